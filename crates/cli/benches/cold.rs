//! What a cold `larder repos` costs as a whole process: the best 100 of 10,000 rows, beside the
//! `sqlite3` shell asking the same of the same file. Prints milliseconds and ratios; the rounds
//! alternate, so that a noisy machine is noisy for both.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

mod binary;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use larder_github_sim::{Limits, Options, Owner, Repository, Simulator, Token, World};

const CLUSTERS: usize = 100;
const EACH: usize = 100;
const ROUNDS: usize = 400;

/// What `larder repos --sort stars --limit 100` shows of a row, asked of the same view.
const QUERY: &str = "SELECT name, owner, full_name, description, url, stars, forks, language, topics, is_fork, \
     is_archived, is_private, pushed_at, updated_at, license FROM repositories ORDER BY stars DESC LIMIT 100";

fn world() -> World {
    let mut world = World::new();
    world.add_owner(Owner::organization("octo-org"));
    for n in 0..CLUSTERS * EACH {
        world.add(Repository {
            description: Some(format!("Repository number {n}, described at a usual length for such lines")),
            stars: (n as u64 * 7919) % 100_003,
            topics: vec!["cache".to_owned(), format!("t{}", n % 50)],
            ..Repository::new(&format!("octo-org/r{n}"))
        });
    }
    world.add_token("bench-token", Token::of("octocat"));
    world
}

fn config(url: &str, store: &Path, layout: Layout) -> String {
    let mut text = format!(
        "[store]\nurl = \"sqlite:{}\"\n\n[github]\napi_url = \"{url}\"\nowner = \"octo-org\"\n\n[clusters]\nunclustered = {}\n",
        store.display(),
        layout == Layout::Listing,
    );
    if layout == Layout::Clusters {
        for cluster in 0..CLUSTERS {
            let names: Vec<String> = (0..EACH).map(|n| format!("\"r{}\"", cluster * EACH + n)).collect();
            writeln!(
                text,
                "\n[[cluster]]\nid = \"c{cluster}\"\nname = \"Cluster {cluster}\"\nrepos = [{}]",
                names.join(", ")
            )
            .unwrap();
        }
    }
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// One entry with the owner's 10,000 repositories.
    Listing,
    /// A hundred clusters of a hundred, each repository named in the configuration.
    Clusters,
}

fn larder(dir: &Path, args: &[&str]) -> Command {
    let mut command = binary::larder();
    command
        .env_clear()
        .env("HOME", dir)
        .env("GITHUB_TOKEN", "bench-token")
        .arg("--config")
        .arg(dir.join("larder.toml"))
        .args(args)
        .stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> (Duration, Output) {
    let started = now();
    let output = command.output().unwrap();
    let took = now().saturating_sub(started);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (took, output)
}

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

fn fill(dir: &Path, layout: Layout) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let plenty = Limits { core: 1_000_000, graphql: 1_000_000, ..Limits::default() };
    let options = Options::default().with_limits(plenty);
    let simulator = runtime.block_on(Simulator::start(world(), options)).unwrap();
    std::fs::write(dir.join("larder.toml"), config(simulator.url(), &dir.join("larder.db"), layout)).unwrap();
    run(larder(dir, &["refresh", "--all", "--quiet"]));
    runtime.block_on(simulator.stop());
}

fn compare(name: &str, layout: Layout) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), layout);
    let database = dir.path().join("larder.db");
    let ask = || larder(dir.path(), &["repos", "--sort", "stars", "--limit", "100", "--json", "--offline"]);
    let shell = || {
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-json"]).arg(&database).arg(QUERY);
        command
    };
    let answer: serde_json::Value = serde_json::from_slice(&run(ask()).1.stdout).unwrap();
    assert_eq!(answer["repositories"].as_array().unwrap().len(), 100);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(run(shell()).0);
        ours.push(run(ask()).0);
    }
    let ratio = percentile(&mut ours, 50) / percentile(&mut theirs, 50);
    println!(
        "| cold `larder repos`, {name} | p50 {:>6.2} ms | p99 {:>6.2} ms | sqlite3 shell p50 {:>6.2} ms, p99 {:>6.2} ms | {ratio:>5.2}× | goal p99 ≤ 5 ms |",
        percentile(&mut ours, 50),
        percentile(&mut ours, 99),
        percentile(&mut theirs, 50),
        percentile(&mut theirs, 99),
    );
}

fn main() {
    compare("100 of 10,000 in one entry   ", Layout::Listing);
    compare("100 of 10,000 in 100 clusters", Layout::Clusters);
}
