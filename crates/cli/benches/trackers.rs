//! What `larder release list` costs as a whole process, in a clone whose manifest did not change, from
//! 10,000 trackers: beside `gh --version`, which is what the list it replaces pays before its first
//! call, and beside the `sqlite3` shell asking the same of the same file. Measured twice: when nothing
//! changed since it was last asked, and when something of the store did, so that it has to be opened. The
//! rounds alternate, so that a noisy machine is noisy for all.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

mod binary;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const TRACKERS: usize = 10_000;
const ROUNDS: usize = 300;

/// What the list shows, asked of the view that the store has of it, by the index that lists walk.
const QUERY: &str = "SELECT version, codename, number, state FROM trackers WHERE type = 'release' \
     ORDER BY sort_key COLLATE NOCASE DESC";

/// A clone of a repository on GitHub, with a manifest of ten thousand releases.
fn clone(dir: &Path) {
    let git = dir.join(".git");
    std::fs::create_dir_all(git.join("refs")).unwrap();
    std::fs::create_dir_all(git.join("objects")).unwrap();
    std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let remote = "[remote \"origin\"]\n\turl = git@github.com:octo-org/kiln.git\n";
    std::fs::write(git.join("config"), remote).unwrap();
    let mut manifest = String::from(
        "{\"version\": 1, \"updated_at\": \"2026-01-01T00:00:00Z\", \"repo\": \"octo-org/kiln\", \"releases\": [",
    );
    for n in 0..TRACKERS {
        let comma = if n == 0 { "" } else { "," };
        let (major, minor, patch) = (n / 1000, n / 10 % 100, n % 10);
        let codename = if n % 3 == 0 { format!(" (Codename {n})") } else { String::new() };
        let (state, closed) = match n % 10 {
            0 => ("OPEN", "null".to_owned()),
            _ => ("CLOSED", format!("\"2026-0{}-11T08:00:00Z\"", n % 9 + 1)),
        };
        write!(
            manifest,
            "{comma}\n{{\"number\": {}, \"title\": \"Release: v{major}.{minor}.{patch}{codename}\", \
             \"state\": \"{state}\", \"createdAt\": \"2025-12-20T08:00:00Z\", \"closedAt\": {closed}}}",
            n + 1
        )
        .unwrap();
    }
    manifest.push_str("], \"microsprints\": []}\n");
    std::fs::create_dir_all(dir.join(".github")).unwrap();
    std::fs::write(dir.join(".github/pmu-cache.json"), manifest).unwrap();
}

/// Where the list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From what was printed before.
    PassedOn,
    /// From the store.
    Opened,
}

impl Way {
    fn said(self) -> &'static str {
        match self {
            Way::PassedOn => "nothing changed  ",
            Way::Opened => "the store changed",
        }
    }
}

fn larder(dir: &Path, store: &str, args: &[&str]) -> Command {
    let mut command = binary::larder();
    command
        .env_clear()
        .env("HOME", dir)
        .env("LARDER_STORE__URL", format!("{store}:{}", dir.join(format!("larder.{store}")).display()))
        // Whoever would be asked is not there: a call would fail.
        .env("LARDER_GITHUB__API_URL", "http://127.0.0.1:9")
        .current_dir(dir)
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

/// `gh --version`, if there is a `gh`.
fn gh() -> Option<Command> {
    let found = Command::new("gh").arg("--version").output().is_ok_and(|output| output.status.success());
    found.then(|| {
        let mut command = Command::new("gh");
        command.arg("--version").env("GH_NO_UPDATE_NOTIFIER", "1");
        command
    })
}

/// What is passed on while nothing changes.
fn lists(dir: &Path) -> PathBuf {
    dir.join(".local/state/larder/lists")
}

/// Asks until the list is kept for the next: what changed a moment ago may change again unseen.
fn settle(dir: &Path, store: &str) {
    let _ = std::fs::remove_dir_all(lists(dir));
    for _ in 0..10_000 {
        if lists(dir).exists() {
            return;
        }
        run(larder(dir, store, &["release", "list"]));
    }
    panic!("nothing is kept for the next");
}

fn compare(dir: &Path, store: &str, way: Way, name: &str, args: &[&str], count: usize) {
    settle(dir, store);
    let ask = || {
        if way == Way::Opened {
            let _ = std::fs::remove_dir_all(lists(dir));
        }
        larder(dir, store, args)
    };
    let answer = run(ask()).1;
    assert_eq!(
        String::from_utf8_lossy(&answer.stdout).lines().count(),
        count + 1,
        "a line each, and the head"
    );
    let database = dir.join("larder.sqlite");
    let limit = if count == TRACKERS { String::new() } else { format!(" LIMIT {count}") };
    let shell = || {
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-tabs"]).arg(&database).arg(format!("{QUERY}{limit}"));
        command
    };
    let (mut ours, mut theirs, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        ours.push(run(ask()).0);
        theirs.push(run(shell()).0);
        // It takes many times as long, and less of it will do.
        if round % 10 == 0 {
            others.extend(gh().map(|command| run(command).0));
        }
    }
    let p50 = percentile(&mut ours, 50);
    let gh = if others.is_empty() {
        "gh NOT MEASURED: apt has none".to_owned()
    } else {
        let gh = percentile(&mut others, 50);
        format!("gh --version p50 {gh:>6.2} ms, {:>5.2}×", p50 / gh)
    };
    let shell = percentile(&mut theirs, 50);
    println!(
        "| `larder release list`, {name}, {store:<6}, {} | p50 {p50:>6.2} ms | p99 {:>6.2} ms | {gh} | sqlite3 shell p50 {shell:>6.2} ms, {:>5.2}× | goal p99 ≤ 5 ms |",
        way.said(),
        percentile(&mut ours, 99),
        p50 / shell,
    );
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    clone(dir.path());
    for store in ["sqlite", "redb"] {
        run(larder(dir.path(), store, &["release", "list"]));
    }
    for way in [Way::PassedOn, Way::Opened] {
        for store in ["sqlite", "redb"] {
            compare(dir.path(), store, way, "30 of 10,000", &["release", "list", "--limit", "30"], 30);
            compare(dir.path(), store, way, "all 10,000  ", &["release", "list"], TRACKERS);
        }
    }
}
