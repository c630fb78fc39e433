//! What a commit of 10,000 items costs: through the store, beside the same rows written by hand into
//! the same schema, by as few statements as PostgreSQL lets one. Prints milliseconds and ratios. Wants
//! the database that `ci/postgres.sh` starts.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Acquired, Answer, Attempt, Column, ColumnType, Commit, Committed, Coverage, Definition, Fetched, Finding,
    Fingerprint, ItemCounts, ItemRef, Json, Key, LeaseAsk, Listing, LogLine, NewItem, Policy, Scope, Spent,
    Store, Time, Trigger, ViewSpec, absorb,
};
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, Times};
use larder_testkit::VirtualClock;
use tokio_postgres::{Client, NoTls};

const ITEMS: usize = 10_000;
const ROUNDS: usize = 5;
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

fn title(n: usize) -> String {
    format!("o/r{n}")
}

const SEARCH: &str = "a repository with a description of a usual length cache github sqlite Rust";

fn listing(rev: usize) -> Fetched {
    let answer = |n: usize| {
        let item = NewItem {
            of: ItemRef::new("repository", format!("github.com/o/r{n}")),
            scope: Scope::Public,
            doc: Json::parse(doc(n, rev)).unwrap(),
            coverage: Coverage::Whole,
            title: title(n),
            search: SEARCH.to_owned(),
        };
        Answer { asked: format!("o/r{n}").into(), finding: Finding::Present(item) }
    };
    Fetched::Items(Listing { answers: (0..ITEMS).map(answer).collect(), ..Listing::default() })
}

/// The commit alone: what a source answered is absorbed before the clock starts.
async fn through_the_store(store: &PostgresStore, rev: usize) -> Duration {
    let key: Key = "bench/all".parse().unwrap();
    let definition = Definition::new(Fingerprint::of(&["bench"]), Policy::default());
    let ask = LeaseAsk {
        key: key.clone(),
        owner: "bench".into(),
        length: Duration::from_secs(15),
        unless_newer_than: None,
    };
    let acquired = store.acquire(&[ask], NOW).await.unwrap().pop().unwrap();
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
    let committed = store.commit(commit).await.unwrap();
    let took = now().saturating_sub(started);
    assert!(matches!(committed, Committed::Done { .. }));
    took
}

/// The same rows by hand, into a database with the same schema, indexes and full text.
async fn by_hand(client: &mut Client, rev: usize) -> Duration {
    let ids: Vec<String> = (0..ITEMS).map(|n| format!("github.com/o/r{n}")).collect();
    let asked: Vec<String> = (0..ITEMS).map(|n| format!("o/r{n}")).collect();
    let docs: Vec<String> = (0..ITEMS).map(|n| doc(n, rev)).collect();
    let titles: Vec<String> = (0..ITEMS).map(title).collect();
    let started = now();
    let tx = client.transaction().await.unwrap();
    let entry: i64 = tx
        .query_one(
            "INSERT INTO larder.entries (key, source, definition, tried, validators, complete, pending, warnings, \
             version, began, invalidated, due_at, marked, attempts, faults, touched_at) \
             VALUES ('bench/all', 'bench', '', '', '{}', true, '[]', '[]', 1, 1, 0, now(), 0, 0, 0, now()) \
             ON CONFLICT (key) DO UPDATE SET version = larder.entries.version + 1 RETURNING nr",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    tx.execute("DELETE FROM larder.members WHERE entry = $1", &[&entry]).await.unwrap();
    tx.execute(
        "WITH put AS (INSERT INTO larder.items (kind, id, scope, doc, title, search, words, fetched_at) \
           SELECT 'repository', a.id, 'public', a.doc::jsonb, a.title, $5, \
             to_tsvector('simple', a.title || ' ' || $5), now() \
           FROM unnest($2::text[], $3::text[], $4::text[]) AS a(id, doc, title) \
           ON CONFLICT (id, kind) DO UPDATE SET doc = excluded.doc, title = excluded.title, \
             search = excluded.search, words = excluded.words, fetched_at = excluded.fetched_at \
           RETURNING nr, id) \
         INSERT INTO larder.members (entry, position, asked, state, item) \
         SELECT $1, a.nth, a.asked, 'shown', put.nr \
         FROM unnest($2::text[], $6::text[]) WITH ORDINALITY AS a(id, asked, nth) JOIN put USING (id)",
        &[&entry, &ids, &docs, &titles, &SEARCH, &asked],
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    now().saturating_sub(started)
}

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "the script that starts the database tells of it so")]
fn server() -> String {
    std::env::var("LARDER_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("LARDER_TEST_POSTGRES is not set: run ./bench, or eval \"$(ci/postgres.sh start DIR)\"");
    })
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A database of that name with our schema, made anew.
async fn fresh(name: &str) -> (Client, PostgresStore) {
    let admin = connect(&server()).await;
    drop_database(&admin, name).await;
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let url = format!("{}/{name}", server().rsplit_once('/').unwrap().0);
    let options = OpenOptions {
        views: vec![VIEW],
        listen: Listen::Never,
        times: Times::Caller,
        now: NOW,
        ..OpenOptions::new(url.clone().into(), Arc::new(VirtualClock::at(NOW)))
    };
    (connect(&url).await, PostgresStore::open(options).await.unwrap())
}

async fn drop_database(admin: &Client, name: &str) {
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
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
        "| {name} | {:>8.1} ms | raw PostgreSQL {:>8.1} ms | {ratio:>5.2}× the time | goal ≤ 200 ms |",
        ours.as_secs_f64() * 1e3,
        raw.as_secs_f64() * 1e3,
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut new, mut changed, mut same) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (mut raw, _raw_store) = fresh("bench_raw").await;
            let (_client, store) = fresh("bench_store").await;
            new.push((by_hand(&mut raw, 0).await, through_the_store(&store, 0).await));
            changed.push((by_hand(&mut raw, 1).await, through_the_store(&store, 1).await));
            same.push((by_hand(&mut raw, 1).await, through_the_store(&store, 1).await));
        }
        print("commit of 10,000 new items         ", &new);
        print("commit of 10,000 changed ones      ", &changed);
        print("commit of 10,000 that are as before", &same);
        let admin = connect(&server()).await;
        for name in ["bench_raw", "bench_store"] {
            drop_database(&admin, name).await;
        }
    });
}
