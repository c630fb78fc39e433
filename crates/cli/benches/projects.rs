//! What 100 local projects with 10,000 artifacts cost: a cold scan, as a whole process with its store,
//! beside `find` and `sha256sum` over the same files, and beside one pruned walk within one program that
//! hashes them on one thread, neither of which keeps anything; a scan of what did not change; the database; a server's start, what it burns while nothing happens, and how
//! long a change takes from the file's write to the answer over HTTP. The rounds alternate, so that a
//! noisy machine is noisy for both.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

mod binary;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_testkit::{Grown, Tree};
use sha2::{Digest, Sha256};

use server::Server;

#[path = "http/server.rs"]
#[expect(dead_code, reason = "it is another benchmark's too")]
mod server;

const TREE: Tree = Tree { projects: 100, artifacts: 10_000, seed: 7 };
const COLD: usize = 7;
const AGAIN: usize = 21;
const STARTS: usize = 15;
const CHANGES: usize = 21;
const IDLE: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long the other benchmark loads a server.
const SECONDS: u64 = 3;
const PRUNED: [&str; 9] =
    ["node_modules", ".git", "venv", ".venv", "target", "dist", "build", "vendor", "__pycache__"];

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let grown = TREE.grow(dir.path()).unwrap();
    let config = format!(
        "[store]\nurl = \"sqlite:{}\"\n\n[projects]\nroots = [\"{}\"]\ncollections = [\"{}\"]\n",
        database(dir.path()).display(),
        grown.root.display(),
        grown.collections.display()
    );
    fs::write(dir.path().join("larder.toml"), config).unwrap();
    println!("{} files of artifacts, {:.1} MB", grown.files, grown.bytes as f64 / 1e6);
    scans(dir.path(), &grown);
    starts(dir.path());
    let server = serve(dir.path());
    changes(&server, &grown);
    idle(&server);
}

fn database(dir: &Path) -> PathBuf {
    dir.join("store/larder.db")
}

fn scans(dir: &Path, grown: &Grown) {
    let (mut cold, mut tools, mut walks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut again, mut looks) = (Vec::new(), Vec::new());
    for _ in 0..COLD {
        let _ = fs::remove_dir_all(dir.join("store"));
        tools.push(timed(|| run(find_and_hash(&grown.root))));
        walks.push(timed(|| assert!(walk(&grown.root, Reading::All) >= grown.files)));
        cold.push(timed(|| run(larder(dir, &["projects", "--refresh", "--json"]))));
    }
    for _ in 0..AGAIN {
        looks.push(timed(|| assert!(walk(&grown.root, Reading::Nothing) >= grown.files)));
        again.push(timed(|| run(larder(dir, &["projects", "--refresh", "--json"]))));
    }
    for (beside, times) in [("`find` and `sha256sum`", &mut tools), ("one walk and hash", &mut walks)] {
        let ratio = percentile(&mut cold, 50) / percentile(times, 50);
        println!(
            "| local projects, cold scan | p50 {:>6.1} ms | max {:>6.1} ms | {beside} p50 {:>6.1} ms | {ratio:>5.2}× | goal ≤ 1.5×, ≤ 1 s |",
            percentile(&mut cold, 50),
            percentile(&mut cold, 100),
            percentile(times, 50),
        );
    }
    let ratio = percentile(&mut again, 50) / percentile(&mut looks, 50);
    println!(
        "| local projects, unchanged | p50 {:>6.1} ms | max {:>6.1} ms | one walk and look p50 {:>6.1} ms | {ratio:>5.2}× | goal ≤ 100 ms |",
        percentile(&mut again, 50),
        percentile(&mut again, 100),
        percentile(&mut looks, 50),
    );
    // A command may leave the last of what it wrote beside the file.
    run(larder(dir, &["cache", "verify", "--json"]));
    let bytes: u64 =
        fs::read_dir(dir.join("store")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("| local projects, database  | {:>6.1} MB | goal ≤ 10 MB |", bytes as f64 / 1e6);
}

/// One pruned walk with what every machine has.
fn find_and_hash(root: &Path) -> Command {
    let mut command = Command::new("find");
    command.arg(root).arg("(");
    for (nth, name) in PRUNED.iter().enumerate() {
        command.args((nth > 0).then_some("-o")).args(["-name", name]);
    }
    command.args([
        ")",
        "-prune",
        "-o",
        "-type",
        "f",
        "-path",
        "*/.claude/*",
        "-exec",
        "sha256sum",
        "{}",
        "+",
    ]);
    command
}

/// What a walk does with an artifact's file.
#[derive(Clone, Copy)]
enum Reading {
    All,
    Nothing,
}

/// One pruned walk; answers how many files of artifacts it met.
fn walk(folder: &Path, reading: Reading) -> usize {
    let mut met = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if !PRUNED.iter().any(|name| entry.file_name() == *name) {
                met += walk(&path, reading);
            }
        } else if path.components().any(|part| part.as_os_str() == ".claude") {
            met += 1;
            let bytes = match reading {
                Reading::All => Sha256::digest(fs::read(&path).unwrap())[0] as usize,
                Reading::Nothing => fs::symlink_metadata(&path).unwrap().len() as usize,
            };
            std::hint::black_box(bytes);
        }
    }
    met
}

fn starts(dir: &Path) {
    let start = |_| {
        let mut server = None;
        let took = timed(|| {
            let started = server.insert(serve(dir));
            let answer = started.get("/api/v1/artifacts?search=py");
            assert!(answer.len() > 1_000, "{}", String::from_utf8_lossy(&answer));
        });
        // It ends when the look that it began is over, which nobody waits for.
        drop(server);
        took
    };
    let mut times: Vec<Duration> = (0..STARTS).map(start).collect();
    println!(
        "| `serve`, warm start to the first answer | p50 {:>6.1} ms | max {:>6.1} ms | goal ≤ 50 ms |",
        percentile(&mut times, 50),
        percentile(&mut times, 100),
    );
}

/// From the end of a file's write to the first answer over HTTP that has it.
fn changes(server: &Server, grown: &Grown) {
    let agents: Vec<&PathBuf> = grown
        .projects
        .iter()
        .flat_map(|project| &project.artifacts)
        .filter(|one| one.kind == "agent")
        .filter_map(|one| one.files.first())
        .collect();
    let mut times = Vec::new();
    for number in 0..=CHANGES {
        let word = format!("changed{number}x");
        let text = format!("---\ndescription: it {word}\n---\n");
        fs::write(agents[number * agents.len() / (CHANGES + 1)], text).unwrap();
        let time = timed(|| {
            let began = now();
            let asked = format!("/api/v1/artifacts?search={word}");
            while !String::from_utf8_lossy(&server.get(&asked)).contains(&format!("it {word}")) {
                assert!(now().saturating_sub(began) < PATIENCE, "it is seen some time");
            }
        });
        // The first waits for the look at everything that a server begins with.
        if number > 0 {
            times.push(time);
        }
    }
    println!(
        "| a file's write to the answer over HTTP | p50 {:>6.1} ms | max {:>6.1} ms | of that 100 ms debounce | goal ≤ 150 ms |",
        percentile(&mut times, 50),
        percentile(&mut times, 100),
    );
}

#[expect(clippy::disallowed_methods, reason = "nothing must happen for a while, really")]
fn idle(server: &Server) {
    std::thread::sleep(Duration::from_secs(2));
    let (before, began) = (ran(server), now());
    std::thread::sleep(IDLE);
    let spent = ran(server).saturating_sub(before).as_secs_f64();
    let share = spent / now().saturating_sub(began).as_secs_f64() * 100.0;
    println!(
        "| `serve`, watching and idle | {share:>5.3} % of a core | {:>5.1} MB | goal ≤ 0.1 % |",
        server.memory_mb("VmRSS:")
    );
}

/// The time that all its threads had on a core, to the nanosecond.
fn ran(server: &Server) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let of = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let told = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        told.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

fn serve(dir: &Path) -> Server {
    Server::spawn("larder serve", larder(dir, &["serve", "--listen", "127.0.0.1:0"]))
}

fn larder(dir: &Path, args: &[&str]) -> Command {
    let mut command = binary::larder();
    // Where one stands is looked at too.
    command.env_clear().env("HOME", dir).current_dir(dir).arg("--config").arg(dir.join("larder.toml"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = now();
    work();
    now().saturating_sub(began)
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
