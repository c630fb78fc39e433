//! What it costs to note of 500 entries that they were not modified: all at once, as a turn of refreshes
//! does, beside one after another. Prints milliseconds and the ratio. Wants the database that
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
        let options =
            OpenOptions { listen: Listen::Never, times: Times::Caller, ..OpenOptions::new(url.into(), clock) };
        let store = PostgresStore::open(options).await.unwrap();
        let keys: Vec<Key> = (0..ENTRIES).map(|nth| key(&format!("shelf/s{nth:03}"))).collect();
        for key in &keys {
            refresh(&store, key, Vec::new(), at(0)).await;
        }
        let (mut in_turn, mut at_once) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let alone = commits(&store, &keys, round * 10_000).await;
            let started = now();
            for commit in alone {
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
        }
        drop(store);
        drop_database(&admin, DATABASE).await;
        let (in_turn, at_once) = (median(in_turn), median(at_once));
        println!(
            "| PostgreSQL, {ENTRIES} entries not modified | {:>6.1} ms | one after another {:>6.1} ms | {:>5.2}× the time |",
            at_once.as_secs_f64() * 1e3,
            in_turn.as_secs_f64() * 1e3,
            at_once.as_secs_f64() / in_turn.as_secs_f64(),
        );
    });
}

fn is_done(committed: &Committed) {
    assert!(matches!(committed, Committed::Done { .. }), "{committed:?}");
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}
