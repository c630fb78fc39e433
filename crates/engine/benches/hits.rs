//! What a hit costs: the engine's read of one entry from memory, and from SQLite, beside raw rusqlite
//! reading the same rows of the same file. Prints ratios; the rounds alternate, so that a noisy
//! machine is noisy for all.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Answer, Ask, Clock, Coverage, Definition, FetchError, Fetched, Finding, Fingerprint, ItemRef, Json, Key,
    Listing, NewItem, Policy, Scope, Source,
};
use larder_engine::{Engine, ReadOptions, SystemClock};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

const ROUNDS: usize = 21;

/// Reads from memory in a row: fewer than take the second for which it is believed.
const MEMORY_READS: u32 = 200_000;

/// Single reads that are timed, for their slowest hundredth.
const TIMED: usize = 20_000;

struct Repositories(Arc<Definition>);

impl Repositories {
    fn new() -> Self {
        Repositories(Arc::new(Definition::new(Fingerprint::of(&["bench"]), Policy::default())))
    }
}

#[async_trait]
impl Source for Repositories {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "bench"
    }

    fn define(&self, _key: &Key) -> Option<Arc<Definition>> {
        Some(self.0.clone())
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let count: usize = ask.key.name().parse().unwrap();
        let answers = (0..count)
            .map(|n| Answer { asked: format!("o/r{n}").into(), finding: Finding::Present(item(n)) });
        Ok(Fetched::Items(Listing { answers: answers.collect(), ..Listing::default() }))
    }
}

fn item(n: usize) -> NewItem {
    let doc = serde_json::json!({
        "name": format!("r{n}"), "owner": "o", "full_name": format!("o/r{n}"), "host": "github.com",
        "description": "A repository with a description of a usual length, so that a row weighs what rows weigh.",
        "url": format!("https://github.com/o/r{n}"), "stars": n * 17 % 5000, "forks": n % 91, "language": "Rust",
        "languages": [{"name": "Rust", "size": 123_456, "color": "#dea584"}, {"name": "Shell", "size": 777, "color": null}],
        "topics": ["cache", "github", "sqlite"], "license": "MIT", "is_fork": false, "is_archived": false,
        "is_private": false, "pushed_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    NewItem {
        of: ItemRef::new("repository", format!("github.com/o/r{n}")),
        scope: Scope::Public,
        doc: Json::from(doc),
        coverage: Coverage::Whole,
    }
}

/// The same rows by hand: the entry's columns and its members' documents, copied out as text.
fn raw_read(conn: &Connection, key: &str) -> (Vec<String>, i64) {
    let mut entry = conn
        .prepare_cached(
            "SELECT nr, key, definition, tried, body, validators, pending, warnings, version, began, invalidated, \
             fetched_at, fresh_until, due_at, attempts, faults, last_error, leases.owner FROM entries \
             LEFT JOIN leases ON leases.entry = entries.nr WHERE key = ?1",
        )
        .unwrap();
    let (nr, version) = entry
        .query_row([key], |row| {
            for text in [1, 2, 3, 5, 6, 7] {
                black_box(row.get::<_, String>(text)?);
            }
            black_box(row.get::<_, Option<String>>(4)?);
            for number in 8..=15 {
                black_box(row.get::<_, i64>(number)?);
            }
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(8)?))
        })
        .unwrap();
    let mut members = conn
        .prepare_cached(
            "SELECT m.asked, m.state, i.kind, i.id, i.scope, i.doc, i.derived, i.fetched_at \
             FROM members m JOIN items i ON i.nr = m.item WHERE m.entry = ?1 ORDER BY m.position",
        )
        .unwrap();
    let rows = members.query_map([nr], |row| {
        for text in [0, 2, 3, 4] {
            black_box(row.get::<_, String>(text)?);
        }
        for text in [1, 6] {
            black_box(row.get::<_, Option<String>>(text)?);
        }
        black_box(row.get::<_, i64>(7)?);
        row.get::<_, String>(5)
    });
    (rows.unwrap().map(Result::unwrap).collect(), version)
}

fn per_call(calls: u32, mut call: impl FnMut()) -> Duration {
    let started = now();
    for _ in 0..calls {
        call();
    }
    now().saturating_sub(started) / calls
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

/// One read after the other from memory, as on a busy thread.
fn from_memory(remembering: &Engine, runtime: &tokio::runtime::Runtime, key: &Key) -> Duration {
    let options = ReadOptions::default();
    runtime.block_on(async {
        // The follower shares this thread: it gets its turn before the clock runs.
        while remembering.edition().is_none() || remembering.read(key, &options).await.is_err() {
            SystemClock.sleep(Duration::from_millis(1)).await;
        }
        let first = remembering.read(key, &options).await.unwrap();
        let started = now();
        for _ in 0..MEMORY_READS {
            black_box(remembering.read(black_box(key), &options).await.unwrap());
        }
        let took = now().saturating_sub(started);
        let last = remembering.read(key, &options).await.unwrap();
        assert!(Arc::ptr_eq(&first.stored, &last.stored), "all of them were hits of one copy");
        took / MEMORY_READS
    })
}

/// The slowest hundredth of single reads from SQLite.
fn slowest_hundredth(engine: &Engine, runtime: &tokio::runtime::Runtime, key: &Key) -> Duration {
    let options = ReadOptions::default();
    let mut all: Vec<Duration> = runtime.block_on(async {
        let mut all = Vec::with_capacity(TIMED);
        for _ in 0..TIMED {
            let started = now();
            black_box(engine.read(key, &options).await.unwrap());
            all.push(now().saturating_sub(started));
        }
        all
    });
    all.sort();
    all[TIMED * 99 / 100]
}

fn compare(engines: [&Engine; 2], runtime: &tokio::runtime::Runtime, path: &Path, members: usize) {
    let [engine, remembering] = engines;
    let key: Key = format!("bench/{members}").parse().unwrap();
    let options = ReadOptions::default();
    let cold = runtime.block_on(engine.read(&key, &options)).unwrap();
    assert_eq!(cold.stored.members.len(), members);
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    // As the store does, or SQLite prepares statements again when values are bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    assert_eq!(raw_read(&conn, key.as_str()).0.len(), members);
    let calls = u32::try_from(20_000 / (members + 4)).unwrap();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let raw = per_call(calls, || {
            black_box(raw_read(&conn, key.as_str()));
        });
        let hit = per_call(calls, || {
            black_box(runtime.block_on(engine.read(&key, &options)).unwrap());
        });
        let memory = from_memory(remembering, runtime, &key);
        rounds.push((raw, hit, raw.as_secs_f64() / hit.as_secs_f64(), memory));
    }
    let raw = median(rounds.iter().map(|round| round.0).collect());
    let hit = median(rounds.iter().map(|round| round.1).collect());
    let ratio = median(rounds.iter().map(|round| round.2).collect());
    let memory = median(rounds.iter().map(|round| round.3).collect());
    println!(
        "| memory hit, {members:>3} members | {:>8.3} µs | {:>8.2} million/s | {:>5.0}× the SQLite hit | goal ≥ 3 million/s |",
        memory.as_secs_f64() * 1e6,
        1e-6 / memory.as_secs_f64(),
        hit.as_secs_f64() / memory.as_secs_f64(),
    );
    println!(
        "| SQLite hit, {members:>3} members | p99 {:>6.1} µs | goal ≤ 10 µs |",
        slowest_hundredth(engine, runtime, &key).as_secs_f64() * 1e6,
    );
    println!(
        "| engine hit, {members:>3} members | {:>8.1} µs | raw rusqlite {:>8.1} µs | {ratio:>5.2}× the throughput | goal ≥ 0.70× |",
        hit.as_secs_f64() * 1e6,
        raw.as_secs_f64() * 1e6,
    );
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("larder.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = Arc::new(SqliteStore::open(OpenOptions::new(path.clone(), SystemClock.now())).unwrap());
    let build = |bytes| {
        Engine::builder(store.clone(), Arc::new(SystemClock))
            .source(Arc::new(Repositories::new()))
            .memory(bytes)
            .build()
    };
    let (engine, remembering) = (build(0), build(64 << 20));
    let follower = remembering.clone();
    runtime.spawn(async move { follower.follow(0, Duration::from_millis(50)).await });
    for members in [1, 20, 100] {
        compare([&engine, &remembering], &runtime, &path, members);
    }
}
