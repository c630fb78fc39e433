//! What a commit of 10,000 items costs: through the store, beside raw rusqlite writing the same
//! rows into the same schema in one transaction. Prints ratios.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Acquired, Answer, Attempt, Column, ColumnType, Commit, Committed, Coverage, Definition, Fetched, Finding,
    Fingerprint, ItemCounts, ItemRef, Json, Key, LeaseAsk, Listing, LogLine, NewItem, Policy, Scope, Spent,
    Store, Time, Trigger, ViewSpec, absorb,
};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};

const ITEMS: usize = 10_000;
const ROUNDS: usize = 7;
const NOW: Time = Time::from_ms(1_767_225_600_000);

const VIEW: ViewSpec = ViewSpec {
    kind: "repository",
    view: "repositories",
    columns: &[
        Column { name: "name", holds: ColumnType::Text, indexed: true },
        Column { name: "stars", holds: ColumnType::Integer, indexed: true },
        Column { name: "updated_at", holds: ColumnType::Time, indexed: true },
        Column { name: "language", holds: ColumnType::Text, indexed: true },
    ],
    title: "name",
    words: &["full_name", "description", "topics", "language"],
};

fn doc(n: usize, rev: usize) -> String {
    serde_json::json!({
        "name": format!("r{n}"), "owner": "o", "full_name": format!("o/r{n}"), "host": "github.com",
        "description": "A repository with a description of a usual length, so that a row weighs what rows weigh.",
        "url": format!("https://github.com/o/r{n}"), "stars": n * 17 % 5000 + rev, "forks": n % 91,
        "language": "Rust", "topics": ["cache", "github", "sqlite"], "license": "MIT", "is_fork": false,
        "updated_at": format!("2026-01-{:02}T00:00:00Z", n % 28 + 1),
    })
    .to_string()
}

fn listing(rev: usize) -> Fetched {
    let answer = |n: usize| {
        let item = NewItem {
            of: ItemRef::new("repository", format!("github.com/o/r{n}")),
            scope: Scope::Public,
            doc: Json::parse(doc(n, rev)).unwrap(),
            coverage: Coverage::Whole,
        };
        Answer { asked: format!("o/r{n}").into(), finding: Finding::Present(item) }
    };
    Fetched::Items(Listing { answers: (0..ITEMS).map(answer).collect(), ..Listing::default() })
}

fn fresh_file(dir: &Path, name: &str) -> (PathBuf, SqliteStore) {
    let path = dir.join(name);
    let options = OpenOptions { views: vec![VIEW], ..OpenOptions::new(path.clone(), NOW) };
    (path, SqliteStore::open(options).unwrap())
}

/// The commit alone: what a source answered is absorbed before the clock starts.
fn through_the_store(runtime: &tokio::runtime::Runtime, store: &SqliteStore, rev: usize) -> Duration {
    let key: Key = "bench/all".parse().unwrap();
    let definition = Definition::new(Fingerprint::of(&["bench"]), Policy::default());
    let ask = LeaseAsk {
        key: key.clone(),
        owner: "bench".into(),
        length: Duration::from_secs(15),
        unless_newer_than: None,
        extent: larder_core::Extent::Whole,
    };
    let acquired = runtime.block_on(store.acquire(&[ask], NOW)).unwrap().pop().unwrap();
    let Acquired::Granted(lease, before) = acquired else { panic!("nobody else holds it") };
    let write = absorb(Attempt {
        before: &before,
        definition: &definition,
        subset: false,
        result: Ok(listing(rev)),
        now: NOW,
        chance: 0.0,
    });
    let log = LogLine {
        key,
        trigger: Trigger::Manual,
        started_at: NOW,
        duration_ms: 0,
        outcome: "updated".to_owned(),
        items: ItemCounts::default(),
        spent: Spent::default(),
        error: None,
    };
    let commit = Commit { lease, write: Some(write), log, now: NOW };
    let started = now();
    let committed = runtime.block_on(store.commit(commit)).unwrap();
    let took = now().saturating_sub(started);
    assert!(matches!(committed, Committed::Done { .. }));
    took
}

/// The same rows by hand, into a file with the same schema, indexes and full text.
fn by_hand(path: &Path, rev: usize) -> Duration {
    let docs: Vec<_> =
        (0..ITEMS).map(|n| (format!("github.com/o/r{n}"), format!("o/r{n}"), doc(n, rev))).collect();
    let found: Vec<_> = docs.iter().map(|(_, _, doc)| VIEW.found_by(doc)).collect();
    let mut conn = Connection::open(path).unwrap();
    conn.pragma_update(None, "synchronous", "NORMAL").unwrap();
    // As the store does, or SQLite prepares statements again when values are bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    let started = now();
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    {
        tx.execute(
            "INSERT INTO entries (key, source, definition, tried, validators, complete, pending, warnings, version, \
             began, invalidated, due_at, marked, attempts, faults, touched_at) \
             VALUES ('bench/all', 'bench', '', '', '{}', 1, '[]', '[]', 1, 1, 0, 0, 0, 0, 0, 0) \
             ON CONFLICT (key) DO UPDATE SET version = version + 1",
            [],
        )
        .unwrap();
        let entry: i64 =
            tx.query_row("SELECT nr FROM entries WHERE key = 'bench/all'", [], |row| row.get(0)).unwrap();
        tx.execute("DELETE FROM members WHERE entry = ?1", [entry]).unwrap();
        let mut items = tx
            .prepare(
                "INSERT INTO items (kind, id, scope, doc, fetched_at) \
                 VALUES ('repository', ?1, 'public', ?2, ?3) ON CONFLICT (kind, id) DO UPDATE \
                 SET doc = excluded.doc, fetched_at = excluded.fetched_at RETURNING nr",
            )
            .unwrap();
        let mut members = tx
            .prepare(
                "INSERT INTO members (entry, position, asked, state, item) VALUES (?1, ?2, ?3, NULL, ?4)",
            )
            .unwrap();
        for (position, (id, asked, doc)) in (0_i64..).zip(&docs) {
            let item: i64 = items.query_row(params![id, doc, NOW.ms()], |row| row.get(0)).unwrap();
            members.execute(params![entry, position, asked, item]).unwrap();
        }
        // What changes afterwards is nothing that a search looks at.
        if rev == 0 {
            let mut index = tx
                .prepare("INSERT INTO items_fts (rowid, title, words, kind) VALUES (?1, ?2, ?3, ?4)")
                .unwrap();
            for (nr, found_by) in (1_i64..).zip(&found) {
                index.execute(params![nr, found_by.title, found_by.words, "R"]).unwrap();
            }
        }
    }
    tx.commit().unwrap();
    now().saturating_sub(started)
}

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

fn median<T: PartialOrd + Copy>(mut all: Vec<T>) -> T {
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all[all.len() / 2]
}

fn print(name: &str, rounds: &[(Duration, Duration)]) {
    let raw = median(rounds.iter().map(|round| round.0).collect());
    let ours = median(rounds.iter().map(|round| round.1).collect());
    let ratio = median(rounds.iter().map(|round| round.1.as_secs_f64() / round.0.as_secs_f64()).collect());
    println!(
        "| {name} | {:>8.1} ms | raw rusqlite {:>8.1} ms | {ratio:>5.2}× the time | goal ≤ 1.50× |",
        ours.as_secs_f64() * 1e3,
        raw.as_secs_f64() * 1e3,
    );
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (raw_path, raw_store) = fresh_file(dir.path(), &format!("raw{round}.db"));
        drop(raw_store);
        let (_, store) = fresh_file(dir.path(), &format!("store{round}.db"));
        let store = Arc::new(store);
        new.push((by_hand(&raw_path, 0), through_the_store(&runtime, &store, 0)));
        changed.push((by_hand(&raw_path, 1), through_the_store(&runtime, &store, 1)));
    }
    print("commit of 10,000 new items   ", &new);
    print("commit of 10,000 changed ones", &changed);
}
