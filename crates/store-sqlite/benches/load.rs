//! Reading while much is written, and invalidating very many at once.
//!
//! First the p99 of looking one entry up, quiet and while 5,000 entries a second are refreshed (leased
//! and committed, by four engines at a time), in windows that alternate, so that a noisy machine is
//! noisy for both. Then a tag over 1,000,000 entries: invalidated, and looked up beside the marker.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use larder_core::{
    Acquired, Commit, Committed, Coverage, Fingerprint, ItemCounts, ItemRef, Json, Key, Lease, LeaseAsk,
    LogLine, MemberState, MemberWrite, NewItem, Outcome, Retention, Scope, Spent, Store, Target, Time,
    Trigger, Validators, Write,
};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use rusqlite::Connection;

const ENTRIES: usize = 20_000;
const RATE: u64 = 5_000;
const ENGINES: usize = 4;
const BATCH: usize = 50;
const WINDOW: Duration = Duration::from_secs(2);
const WINDOWS: usize = 6;
const TAGGED: usize = 1_000_000;
const NOW: Time = Time::from_ms(1_767_225_600_000);

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark keeps a pace in real time")]
async fn until(then: Duration) {
    tokio::time::sleep(then.saturating_sub(now())).await;
}

fn key(n: usize) -> Key {
    format!("bench/{n}").parse().unwrap()
}

fn item(n: usize, rev: u64) -> NewItem {
    let doc = serde_json::json!({
        "name": format!("r{n}"), "owner": "o", "stars": rev, "language": "Rust", "topics": ["cache", "sqlite"],
        "description": "A repository with a description of a usual length, so that a row weighs what rows weigh.",
    });
    NewItem {
        of: ItemRef::new("repository", format!("github.com/o/r{n}")),
        scope: Scope::Public,
        doc: Json::from(doc),
        coverage: Coverage::Whole,
    }
}

fn commit(lease: Lease, n: usize, rev: u64) -> Commit {
    let item = item(n, rev);
    let one = Fingerprint::trusted("one");
    let member = MemberWrite { asked: item.of.id.clone(), state: MemberState::Shown, item: item.of.clone() };
    let write = Write {
        outcome: Outcome::Updated,
        definition: one.clone(),
        tried: one,
        body: None,
        validators: Validators::default(),
        cursor: None,
        complete: true,
        pending: Vec::new(),
        warnings: Vec::new(),
        answers_invalidation: true,
        fetched_at: Some(NOW),
        absent_at: None,
        fresh_until: Some(NOW.plus(Duration::from_hours(1))),
        due_at: NOW.plus(Duration::from_hours(1)),
        attempts: 0,
        faults: 0,
        last_error: None,
        members: Some(vec![member]),
        items: vec![item],
        tags: Some(vec!["bench".to_owned()]),
    };
    let log = LogLine {
        key: lease.key.clone(),
        trigger: Trigger::Schedule,
        started_at: NOW,
        duration_ms: 1,
        outcome: "updated".to_owned(),
        items: ItemCounts::default(),
        spent: Spent::default(),
        error: None,
    };
    Commit { lease, write: Some(write), log, now: NOW }
}

/// Refreshes some entries as an engine does: leases in one call, commits as they come.
async fn refresh(store: &SqliteStore, numbers: std::ops::Range<usize>, rev: u64) {
    let asks: Vec<LeaseAsk> = numbers
        .clone()
        .map(|n| LeaseAsk {
            key: key(n),
            owner: "bench".into(),
            length: Duration::from_secs(15),
            unless_newer_than: None,
            extent: larder_core::Extent::Whole,
        })
        .collect();
    let acquired = store.acquire(&asks, NOW).await.unwrap();
    let commits = acquired.into_iter().zip(numbers).filter_map(|(acquired, n)| match acquired {
        Acquired::Granted(lease, _) => Some(store.commit(commit(lease, n, rev))),
        Acquired::Held(_) | Acquired::Newer(_) => None,
    });
    for committed in futures::future::join_all(commits).await {
        assert!(matches!(committed.unwrap(), Committed::Done { .. }));
    }
}

/// One engine's share of the refreshes, at an even pace, while `on`.
async fn engine(store: SqliteStore, nr: usize, on: Arc<AtomicBool>, done: Arc<AtomicU64>) {
    let share = ENTRIES / ENGINES;
    let every = Duration::from_secs(1).mul_f64((BATCH * ENGINES) as f64 / RATE as f64);
    let (mut place, mut rev) = (0, 0);
    let mut next = now();
    loop {
        next = next.max(now().saturating_sub(WINDOW)) + every;
        until(next).await;
        if !on.load(Ordering::Relaxed) {
            next = now();
            continue;
        }
        let start = nr * share + place;
        refresh(&store, start..start + BATCH, rev).await;
        done.fetch_add(BATCH as u64, Ordering::Relaxed);
        place += BATCH;
        if place + BATCH > share {
            (place, rev) = (0, rev + 1);
        }
    }
}

/// Looks entries up one after the other for a while.
fn look(runtime: &tokio::runtime::Runtime, store: &SqliteStore) -> Vec<Duration> {
    let mut times = Vec::new();
    let end = now() + WINDOW;
    let mut n = 1;
    while now() < end {
        n = (n * 7_919 + 13) % ENTRIES;
        let wanted = [key(n)];
        let started = now();
        assert!(black_box(runtime.block_on(store.lookup(&wanted)).unwrap())[0].is_some());
        times.push(now().saturating_sub(started));
    }
    times
}

fn micros(mut times: Vec<Duration>, part: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn under_load(dir: &Path) {
    let store = SqliteStore::open(OpenOptions::new(dir.join("load.db"), NOW)).unwrap();
    let reader = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for start in (0..ENTRIES).step_by(BATCH) {
        reader.block_on(refresh(&store, start..start + BATCH, 0));
    }
    let (on, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let over = tokio::sync::mpsc::channel::<()>(1);
    let engines = {
        let (store, on, done, mut over) = (store.clone(), on.clone(), done.clone(), over.1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let all = (0..ENGINES).map(|nr| engine(store.clone(), nr, on.clone(), done.clone()));
            let all = futures::future::join_all(all);
            runtime.block_on(futures::future::select(std::pin::pin!(all), std::pin::pin!(over.recv())));
        })
    };
    let (mut quiet, mut loaded, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        on.store(false, Ordering::Relaxed);
        let alone = look(&reader, &store);
        on.store(true, Ordering::Relaxed);
        let beside = look(&reader, &store);
        ratios.push(micros(beside.clone(), 0.99) / micros(alone.clone(), 0.99));
        quiet.push((micros(alone.clone(), 0.5), micros(alone, 0.99)));
        loaded.push((micros(beside.clone(), 0.5), micros(beside, 0.99)));
    }
    let rate = done.load(Ordering::Relaxed) as f64 / (WINDOW.as_secs_f64() * WINDOWS as f64);
    drop(over.0);
    engines.join().unwrap();
    let wal = std::fs::metadata(dir.join("load.db-wal")).map_or(0, |file| file.len());
    let of = |all: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| median(all.iter().map(which).collect());
    println!(
        "| lookup while {rate:>5.0} entries/s are refreshed | p50 {:.1} µs, p99 {:.1} µs | quiet p50 {:.1} µs, \
         p99 {:.1} µs | {:.2}× the p99 | goal ≤ 1.50× | journal {} MiB |",
        of(&loaded, |one| one.0),
        of(&loaded, |one| one.1),
        of(&quiet, |one| one.0),
        of(&quiet, |one| one.1),
        median(ratios),
        wal >> 20,
    );
}

fn many_tagged(dir: &Path) {
    let path = dir.join("tags.db");
    drop(SqliteStore::open(OpenOptions::new(path.clone(), NOW)).unwrap());
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA synchronous = OFF; BEGIN;
         UPDATE meta SET seq = 1;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {TAGGED})
         INSERT INTO entries (nr, key, source, definition, tried, validators, complete, pending, warnings, version,
           began, invalidated, fetched_at, fresh_until, due_at, marked, attempts, faults, touched_at)
         SELECT n, 'bench/' || n, 'bench', 'one', 'one', '{{}}', 1, '[]', '[]', 1, 1, 0, {now}, {later}, {later},
           0, 0, 0, {now} FROM n;
         INSERT INTO tags (entry, tag) SELECT nr, 'all-of-them' FROM entries;
         INSERT INTO tags (entry, tag) SELECT nr, 'one-in-ten' FROM entries WHERE nr % 10 = 0;
         COMMIT;",
        now = NOW.ms(),
        later = NOW.plus(Duration::from_hours(1)).ms(),
    ))
    .unwrap();
    drop(conn);
    let store = SqliteStore::open(OpenOptions::new(path, NOW)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let time = |calls: usize, mut call: Box<dyn FnMut(usize) + '_>| -> Vec<Duration> {
        let mut times = Vec::with_capacity(calls);
        for n in 0..calls {
            let started = now();
            call(n);
            times.push(now().saturating_sub(started));
        }
        times
    };
    let lookups = || {
        let look = |n: usize| {
            let wanted = [key(1 + n * 7_919 % TAGGED)];
            black_box(runtime.block_on(store.lookup(&wanted)).unwrap());
        };
        time(20_000, Box::new(look))
    };
    lookups();
    let without = lookups();
    let tag = |name: &str| Target::Tag(name.to_owned());
    let invalidate = |_| drop(black_box(runtime.block_on(store.invalidate(&tag("all-of-them"), NOW))));
    let invalidated = time(200, Box::new(invalidate));
    let beside = lookups();
    println!(
        "| invalidating a tag over 1,000,000 entries | p50 {:.3} ms, p99 {:.3} ms | goal ≤ 1 ms |",
        micros(invalidated.clone(), 0.5) / 1e3,
        micros(invalidated, 0.99) / 1e3,
    );
    println!(
        "| lookup of a tagged entry | without a marker p50 {:.1} µs | beside its marker p50 {:.1} µs |",
        micros(without, 0.5),
        micros(beside, 0.5),
    );
    let started = now();
    let swept = runtime.block_on(store.sweep(&Retention::default(), NOW)).unwrap();
    println!(
        "| a sweep writes the marker through | {} entries | {:.1} s, in transactions of 1,000 |",
        swept.written_through,
        now().saturating_sub(started).as_secs_f64(),
    );
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    under_load(dir.path());
    many_tagged(dir.path());
}
