//! What it costs to note of 500 entries that they were not modified: all at once, as a turn of refreshes
//! does, beside one after another; and to look them up after it, as a server does for its memory: together
//! beside each alone, all at once. Prints milliseconds and the ratios. Wants the database that
//! `ci/postgres.sh` starts.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

mod server;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use larder_core::{Commit, Committed, Key, Outcome, Store, Write};
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, Times};
use larder_testkit::VirtualClock;
use larder_testkit::contract::build::{NOW, at, commit_of, fetched, key, lease, refresh};

use server::{connect, drop_database, now, server};

const ENTRIES: usize = 500;
const ROUNDS: u64 = 7;
/// How many the engine looks up together.
const TOGETHER: usize = 256;
const DATABASE: &str = "bench_gathered";

/// Commits that find all entries as they were, with leases that hold.
async fn commits(store: &PostgresStore, keys: &[Key], seconds: u64) -> Vec<Commit> {
    let mut commits = Vec::new();
    for key in keys {
        let (lease, _) = lease(store, key, at(seconds)).await;
        let write =
            Write { outcome: Outcome::NotModified, members: None, ..fetched(Vec::new(), at(seconds)) };
        commits.push(commit_of(&lease, write, at(seconds)));
    }
    commits
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let admin = connect(&server()).await;
        drop_database(&admin, DATABASE).await;
        admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
        let url = format!("{}/{DATABASE}", server().rsplit_once('/').unwrap().0);
        let clock = Arc::new(VirtualClock::at(NOW));
        let options = OpenOptions {
            listen: Listen::Never,
            times: Times::Caller,
            ..OpenOptions::new(url.into(), clock)
        };
        let store = PostgresStore::open(options).await.unwrap();
        let keys: Vec<Key> = (0..ENTRIES).map(|nth| key(&format!("shelf/s{nth:03}"))).collect();
        for key in &keys {
            refresh(&store, key, Vec::new(), at(0)).await;
        }
        let (mut in_turn, mut at_once) = (Vec::new(), Vec::new());
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let one_by_one = commits(&store, &keys, round * 10_000).await;
            let started = now();
            for commit in one_by_one {
                is_done(&store.commit(commit).await.unwrap());
            }
            in_turn.push(now().saturating_sub(started));
            let all = commits(&store, &keys, round * 10_000 + 5_000).await;
            let started = now();
            let committed = join_all(all.into_iter().map(|commit| store.commit(commit))).await;
            at_once.push(now().saturating_sub(started));
            for one in committed {
                is_done(&one.unwrap());
            }
            let started = now();
            let looked = join_all(keys.chunks(1).map(|key| store.lookup(key))).await;
            alone.push(now().saturating_sub(started));
            assert_eq!(looked.into_iter().flat_map(Result::unwrap).flatten().count(), ENTRIES);
            let started = now();
            let mut looked = 0;
            for keys in keys.chunks(TOGETHER) {
                looked += store.lookup(keys).await.unwrap().into_iter().flatten().count();
            }
            together.push(now().saturating_sub(started));
            assert_eq!(looked, ENTRIES);
        }
        drop(store);
        drop_database(&admin, DATABASE).await;
        print("entries not modified", "one after another", median(at_once), median(in_turn));
        print("of them looked up", "each alone", median(together), median(alone));
    });
}

fn print(what: &str, other: &str, ours: Duration, theirs: Duration) {
    println!(
        "| PostgreSQL, {ENTRIES} {what} | {:>6.1} ms | {other} {:>6.1} ms | {:>5.2}× the time |",
        ours.as_secs_f64() * 1e3,
        theirs.as_secs_f64() * 1e3,
        ours.as_secs_f64() / theirs.as_secs_f64(),
    );
}

fn is_done(committed: &Committed) {
    assert!(matches!(committed, Committed::Done { .. }), "{committed:?}");
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}
