//! The key-value store beside the SQLite store, in the same run: what a lookup, a list, a commit, and
//! a look of a program that comes and goes cost. Prints ratios.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::time::Duration;

use larder_core::{Acquired, Filter, Key, ListQuery, NewItem, Order, Retention, Store, Target, Test, Time};
use larder_store_redb::{Hold, RedbStore};
use larder_store_sqlite::SqliteStore;
use larder_testkit::contract::build::{VIEW, ask, at, book_with, commit_of, fetched, key};
use serde_json::json;
use tokio::runtime::Runtime;

const NOW: Time = larder_testkit::contract::build::NOW;

fn items(count: usize, rev: usize) -> Vec<NewItem> {
    let item = |n: usize| {
        let description =
            "A repository with a description of a usual length, so that a row weighs what rows weigh.";
        let doc = json!({
            "title": format!("r{n}"), "owner": "o", "full_name": format!("o/r{n}"), "host": "github.com",
            "description": description, "url": format!("https://github.com/o/r{n}"),
            "stars": n * 17 % 5000 + rev, "forks": n % 91, "language": if n.is_multiple_of(3) { "Rust" } else { "Go" },
            "topics": ["cache", "github", "sqlite"], "license": "MIT", "is_fork": false,
            "published_at": format!("2026-01-{:02}T00:00:00Z", n % 28 + 1),
        });
        book_with(&format!("github.com/o/r{n}"), doc)
    };
    (0..count).map(item).collect()
}

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = now();
    let done = work();
    (now().saturating_sub(started), done)
}

fn median<T: PartialOrd + Copy>(mut all: Vec<T>) -> T {
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all[all.len() / 2]
}

fn print(name: &str, rounds: &[(Duration, Duration)]) {
    let sqlite = median(rounds.iter().map(|round| round.0).collect());
    let redb = median(rounds.iter().map(|round| round.1).collect());
    let ratio = median(rounds.iter().map(|round| round.1.as_secs_f64() / round.0.as_secs_f64()).collect());
    println!(
        "| {name:<44} | SQLite {:>9.3} ms | redb {:>9.3} ms | {ratio:>6.2}× the time |",
        sqlite.as_secs_f64() * 1e3,
        redb.as_secs_f64() * 1e3,
    );
}

/// A commit alone: the lease is taken before the clock starts.
fn commit(runtime: &Runtime, store: &impl Store, key: &Key, items: Vec<NewItem>) -> Duration {
    let acquired = runtime.block_on(store.acquire(&[ask(key, "bench")], NOW)).unwrap().pop().unwrap();
    let Acquired::Granted(lease, _) = acquired else { panic!("nobody else holds it") };
    let commit = commit_of(&lease, fetched(items, NOW), NOW);
    timed(|| runtime.block_on(store.commit(commit)).unwrap()).0
}

fn query(search: Option<&str>, filters: Vec<Filter>, order: Option<Order>, limit: usize) -> ListQuery {
    let entries = vec![key("shelf/all")];
    ListQuery { view: &VIEW, entries, search: search.map(str::to_owned), filters, order, offset: 0, limit }
}

/// Both, again and again, in turns.
fn both(rounds: usize, sqlite: impl Fn(), redb: impl Fn()) -> Vec<(Duration, Duration)> {
    (0..rounds).map(|_| (timed(&sqlite).0, timed(&redb).0)).collect()
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sqlite_options = |name: &str| larder_store_sqlite::OpenOptions {
        views: vec![VIEW],
        ..larder_store_sqlite::OpenOptions::new(dir.path().join(name), NOW)
    };
    let redb_options = |name: &str, hold| larder_store_redb::OpenOptions {
        hold,
        ..larder_store_redb::OpenOptions::new(dir.path().join(name), NOW)
    };
    let all = key("shelf/all");
    let (mut new, mut changed, mut same) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..5 {
        let sqlite = SqliteStore::open(sqlite_options(&format!("{round}.db"))).unwrap();
        let redb = RedbStore::open(redb_options(&format!("{round}.redb"), Hold::Throughout)).unwrap();
        for (rev, rounds) in [(0, &mut new), (1, &mut changed), (1, &mut same)] {
            let items = items(10_000, rev);
            rounds
                .push((commit(&runtime, &sqlite, &all, items.clone()), commit(&runtime, &redb, &all, items)));
        }
    }
    print("commit of 10,000 new items", &new);
    print("commit of 10,000 changed ones", &changed);
    print("commit of 10,000 that are the same", &same);

    let sqlite = SqliteStore::open(sqlite_options("0.db")).unwrap();
    let redb = RedbStore::open(redb_options("0.redb", Hold::Throughout)).unwrap();
    let hundred = key("shelf/hundred");
    commit(&runtime, &sqlite, &hundred, items(100, 1));
    commit(&runtime, &redb, &hundred, items(100, 1));
    let small = (0..50).map(|n| {
        let key = key(&format!("shelf/small-{n}"));
        (commit(&runtime, &sqlite, &key, items(1, 1)), commit(&runtime, &redb, &key, items(1, 1)))
    });
    print("commit of one item (redb waits for the disk)", &small.collect::<Vec<_>>());
    let look = |store: &dyn Store| {
        for _ in 0..100 {
            let found = runtime.block_on(store.lookup(std::slice::from_ref(&hundred))).unwrap();
            assert_eq!(found[0].as_ref().unwrap().members.len(), 100);
        }
    };
    print("100 lookups of an entry of 100 members", &both(50, || look(&sqlite), || look(&redb)));
    let rust = vec![Filter { column: "language", test: Test::Is("rust".to_owned()) }];
    for (name, asked) in [
        ("first 100 of 10,000, by identity", query(None, vec![], None, 100)),
        ("first 100 of 10,000, by stars", query(None, vec![], Some(Order::Descending("stars")), 100)),
        ("10,000, by title", query(None, vec![], Some(Order::Ascending("title")), 10_000)),
        ("first 100 in Rust of 10,000, by stars", query(None, rust, Some(Order::Descending("stars")), 100)),
        ("first 20 of a search that finds 1,111", query(Some("r1"), vec![], Some(Order::Rank), 20)),
        ("first 20 of a search that finds all", query(Some("repository"), vec![], Some(Order::Rank), 20)),
    ] {
        let list = |store: &dyn Store| {
            assert!(!runtime.block_on(store.list(&asked)).unwrap().is_empty());
        };
        print(name, &both(11, || list(&sqlite), || list(&redb)));
    }
    let invalidate = |store: &dyn Store| {
        runtime.block_on(store.invalidate(&Target::All, at(1))).unwrap();
    };
    print("everything invalidated", &both(11, || invalidate(&sqlite), || invalidate(&redb)));
    drop((sqlite, redb));

    let cold_sqlite = || {
        let store = SqliteStore::open(sqlite_options("0.db")).unwrap();
        runtime.block_on(store.lookup(std::slice::from_ref(&hundred))).unwrap();
    };
    let cold_redb = || {
        let store = RedbStore::open(redb_options("0.redb", Hold::PerCall)).unwrap();
        runtime.block_on(store.lookup(std::slice::from_ref(&hundred))).unwrap();
    };
    print("open, look up 100 members, close", &both(50, cold_sqlite, cold_redb));
    let turns = RedbStore::open(redb_options("0.redb", Hold::PerCall)).unwrap();
    let sqlite = SqliteStore::open(sqlite_options("0.db")).unwrap();
    let warm = |store: &dyn Store| {
        runtime.block_on(store.lookup(std::slice::from_ref(&hundred))).unwrap();
    };
    print("a lookup by turns (opened for it)", &both(50, || warm(&sqlite), || warm(&turns)));
    let swept = runtime.block_on(turns.sweep(&Retention::default(), at(2))).unwrap();
    println!("| a sweep by turns wrote {} rows through |", swept.written_through);
}
