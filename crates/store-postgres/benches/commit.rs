//! What a commit of 10,000 items costs: through the store, beside the same rows written by hand into
//! the same schema, by as few statements as PostgreSQL lets one. Prints milliseconds and ratios. Wants
//! the database that `ci/postgres.sh` starts.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

mod server;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use larder_core::{
    Acquired, Answer, Attempt, Column, ColumnType, Commit, Committed, Coverage, Definition, Fetched, Finding,
    Fingerprint, ItemCounts, ItemRef, Json, Key, LeaseAsk, ListQuery, Listing, LogLine, NewItem, Order,
    Policy, Retention, Scope, Spent, Store, Time, Trigger, ViewSpec, absorb,
};
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, Statements, Times};
use larder_testkit::VirtualClock;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Transaction};

use server::{connect, drop_database, now, server};

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

fn title(n: usize) -> String {
    format!("o/r{n}")
}

fn search(n: usize) -> String {
    format!("o/r{n} a repository with a description of a usual length cache github sqlite Rust")
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

/// The commit alone: what a source answered is absorbed before the clock starts.
async fn prepared(store: &PostgresStore, rev: usize) -> Commit {
    let key: Key = "bench/all".parse().unwrap();
    let definition = Definition::new(Fingerprint::of(&["bench"]), Policy::default());
    let ask = LeaseAsk {
        key: key.clone(),
        owner: "bench".into(),
        length: Duration::from_secs(15),
        unless_newer_than: None,
        extent: larder_core::Extent::Whole,
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
    Commit { lease, write: Some(write), log, now: NOW }
}

async fn through_the_store(store: &PostgresStore, commit: Commit) -> Duration {
    let started = now();
    let committed = store.commit(commit).await.unwrap();
    let took = now().saturating_sub(started);
    assert!(matches!(committed, Committed::Done { .. }));
    took
}

/// What one can write by hand into the same schema, knowing what is there and what is not: made before
/// the clock starts, as the bytes that PostgreSQL takes.
struct ByHand {
    copies: Vec<(&'static str, Bytes)>,
    numbers: Vec<i64>,
    docs: Vec<Value>,
}

/// A value in PostgreSQL's binary form.
#[derive(Debug)]
struct Value(Vec<u8>);

impl Value {
    fn text(text: impl Into<String>) -> Value {
        Value(text.into().into_bytes())
    }

    fn int(number: usize) -> Value {
        Value(i64::try_from(number).unwrap().to_be_bytes().to_vec())
    }

    /// A byte says in which version of its form a `jsonb` comes.
    fn doc(n: usize, rev: usize) -> Value {
        Value([b"\x01", doc(n, rev).as_bytes()].concat())
    }
}

impl ToSql for Value {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Rows as `COPY` takes them.
fn rows<const WIDTH: usize>(row: impl Fn(usize) -> [Value; WIDTH]) -> Bytes {
    let mut bytes = BytesMut::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
    for n in 0..ITEMS {
        bytes.put_i16(i16::try_from(WIDTH).unwrap());
        for Value(value) in row(n) {
            bytes.put_i32(i32::try_from(value.len()).unwrap());
            bytes.put_slice(&value);
        }
    }
    bytes.put_i16(-1);
    bytes.freeze()
}

impl ByHand {
    async fn prepare(client: &Client) -> ByHand {
        let sql = "SELECT tsvectorsend(to_tsvector('simple', title || ' ' || search)) \
                   FROM unnest($1::text[], $2::text[]) AS all_of_them(title, search)";
        let titles: Vec<String> = (0..ITEMS).map(title).collect();
        let searches: Vec<String> = (0..ITEMS).map(search).collect();
        let vectors = client.query(sql, &[&titles, &searches]).await.unwrap();
        let (kind, id) = (|| Value::text("repository"), |n| Value::text(format!("github.com/o/r{n}")));
        let copies = vec![
            (
                "items (nr, kind, id, scope, fetched_at, began)",
                rows(|n| [Value::int(n), kind(), id(n), Value::text("public"), Value::int(0), Value::int(1)]),
            ),
            ("docs (nr, kind, id, doc)", rows(|n| [Value::int(n), kind(), id(n), Value::doc(n, 0)])),
            (
                "words (nr, kind, title, search, words)",
                rows(|n| {
                    let words = Value(vectors[n].get(0));
                    [Value::int(n), kind(), Value::text(title(n)), Value::text(search(n)), words]
                }),
            ),
            (
                "members (entry, position, asked, state, item)",
                rows(|n| {
                    let (asked, state) = (Value::text(title(n)), Value::text("shown"));
                    [Value::int(1), Value::int(n), asked, state, Value::int(n)]
                }),
            ),
        ];
        let numbers = (0..ITEMS).map(|n| i64::try_from(n).unwrap()).collect();
        ByHand { copies, numbers, docs: (0..ITEMS).map(|n| Value::doc(n, 1)).collect() }
    }

    /// All copied in.
    async fn make(&self, client: &mut Client) -> Duration {
        let started = now();
        let tx = client.transaction().await.unwrap();
        entry(&tx).await;
        for (into, rows) in &self.copies {
            let sql = format!("COPY larder.{into} FROM STDIN (FORMAT binary)");
            let mut sink = std::pin::pin!(tx.copy_in::<_, Bytes>(&sql).await.unwrap());
            for at in (0..rows.len()).step_by(64 << 10) {
                sink.send(rows.slice(at..rows.len().min(at + (64 << 10)))).await.unwrap();
            }
            sink.finish().await.unwrap();
        }
        tx.commit().await.unwrap();
        now().saturating_sub(started)
    }

    /// The documents written anew, if they are others, and all of them confirmed.
    async fn again(&self, client: &mut Client, are_others: bool) -> Duration {
        let started = now();
        let tx = client.transaction().await.unwrap();
        entry(&tx).await;
        if are_others {
            let sql = "UPDATE larder.docs d SET doc = a.doc \
                       FROM unnest($1::bigint[], $2::jsonb[]) AS a(nr, doc) WHERE d.nr = a.nr";
            tx.execute(sql, &[&self.numbers, &self.docs]).await.unwrap();
        }
        let sql = "UPDATE larder.items SET fetched_at = now(), began = began + 1 WHERE nr = ANY($1)";
        tx.execute(sql, &[&self.numbers]).await.unwrap();
        tx.commit().await.unwrap();
        now().saturating_sub(started)
    }
}

/// The entry's row, the first of its database.
async fn entry(tx: &Transaction<'_>) {
    let sql = "INSERT INTO larder.entries (key, source, definition, tried, validators, complete, pending, \
         warnings, version, began, invalidated, due_at, marked, attempts, faults, touched_at) \
         VALUES ('bench/all', 'bench', '', '', '{}', true, '[]', '[]', 1, 1, 0, now(), 0, 0, 0, now()) \
         ON CONFLICT (key) DO UPDATE SET version = larder.entries.version + 1 RETURNING nr";
    assert_eq!(tx.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1);
}

/// Lists and searches of the first hundred, as a page asks for them: milliseconds each.
async fn lists(store: &PostgresStore) -> Vec<(&'static str, Duration)> {
    let asks = [
        ("list by stars", Some(Order::Descending("stars")), None),
        ("list by name", Some(Order::Ascending("name")), None),
        ("list by language", Some(Order::Ascending("language")), None),
        ("list in no order", None, None),
        ("search `cache r12`", Some(Order::Rank), Some("cache r12")),
        ("search `gi`", Some(Order::Rank), Some("gi")),
    ];
    let mut took = Vec::new();
    for (name, order, search) in asks {
        let query = ListQuery {
            view: &VIEW,
            entries: vec!["bench/all".parse().unwrap()],
            search: search.map(str::to_owned),
            filters: Vec::new(),
            order,
            offset: 0,
            limit: 100,
        };
        let mut rounds = Vec::new();
        for _ in 0..15 {
            let started = now();
            assert_eq!(store.list(&query).await.unwrap().len(), 100, "{name}");
            rounds.push(now().saturating_sub(started));
        }
        took.push((name, median(rounds)));
    }
    took
}

/// A database of that name with our schema, made anew.
async fn fresh(name: &str, statements: Statements) -> (Client, PostgresStore) {
    let admin = connect(&server()).await;
    drop_database(&admin, name).await;
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let url = format!("{}/{name}", server().rsplit_once('/').unwrap().0);
    let options = OpenOptions {
        views: vec![VIEW],
        listen: Listen::Never,
        statements,
        times: Times::Caller,
        now: NOW,
        ..OpenOptions::new(url.clone().into(), Arc::new(VirtualClock::at(NOW)))
    };
    (connect(&url).await, PostgresStore::open(options).await.unwrap())
}

fn median<T: PartialOrd + Copy>(mut all: Vec<T>) -> T {
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all[all.len() / 2]
}

/// What was measured of one side: the clock, and the CPU of both ends where `/proc` tells of it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Took {
    clock: Duration,
    client: Duration,
    server: Duration,
}

/// The CPU time of a process's first thread.
fn cpu(process: &str) -> Duration {
    let told = std::fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    let ns = told.split(' ').next().and_then(|ns| ns.trim().parse().ok());
    Duration::from_nanos(ns.unwrap_or_default())
}

/// The CPU time of all that the database does in one of its databases.
async fn cpu_in(admin: &Client, database: &str) -> Duration {
    let sql = "SELECT pid::text FROM pg_stat_activity WHERE datname = $1";
    admin.query(sql, &[&database]).await.unwrap().iter().map(|row| cpu(row.get(0))).sum()
}

async fn measured(admin: &Client, database: &str, work: impl Future<Output = Duration>) -> Took {
    let before = (cpu("self"), cpu_in(admin, database).await);
    let clock = work.await;
    let after = (cpu("self"), cpu_in(admin, database).await);
    let (client, server) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    Took { clock, client, server }
}

fn print(name: &str, rounds: &[(Took, Took)]) {
    let ms =
        |one: fn(&(Took, Took)) -> Duration| median(rounds.iter().map(one).collect()).as_secs_f64() * 1e3;
    let ratio = |(raw, ours): &(Took, Took)| ours.clock.as_secs_f64() / raw.clock.as_secs_f64();
    println!(
        "| {name} | {:>6.1} ms | raw PostgreSQL {:>6.1} ms | {:>5.2}× the time | goal ≤ 200 ms | \
         CPU of the database {:>6.1} ms, raw {:>6.1} ms, ours beside it {:>5.1} ms |",
        ms(|round| round.1.clock),
        ms(|round| round.0.clock),
        median(rounds.iter().map(ratio).collect()),
        ms(|round| round.1.server),
        ms(|round| round.0.server),
        ms(|round| round.1.client),
    );
}

fn main() {
    for (statements, said) in
        [(Statements::Unnamed, "as behind a pooler"), (Statements::Prepared, "`store.prepared = true`")]
    {
        println!("PostgreSQL, {said}:");
        bench(statements);
    }
}

fn bench(statements: Statements) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let admin = connect(&server()).await;
        let by_hand = ByHand::prepare(&admin).await;
        let (mut new, mut changed, mut same) = (Vec::new(), Vec::new(), Vec::new());
        let (mut at_once, mut swept) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (mut raw, _raw_store) = fresh("bench_raw", statements).await;
            let (_client, store) = fresh("bench_store", statements).await;
            for (rounds, rev, way) in
                [(&mut new, 0, None), (&mut changed, 1, Some(true)), (&mut same, 1, Some(false))]
            {
                let raw = measured(&admin, "bench_raw", async {
                    match way {
                        None => by_hand.make(&mut raw).await,
                        Some(are_others) => by_hand.again(&mut raw, are_others).await,
                    }
                })
                .await;
                let ours = {
                    let commit = prepared(&store, rev).await;
                    measured(&admin, "bench_store", through_the_store(&store, commit)).await
                };
                rounds.push((raw, ours));
            }
            at_once.push(lists(&store).await);
            store.sweep(&Retention::default(), NOW).await.unwrap();
            swept.push(lists(&store).await);
        }
        print("commit of 10,000 new items         ", &new);
        print("commit of 10,000 changed ones      ", &changed);
        print("commit of 10,000 that are as before", &same);
        for (nth, (name, _)) in at_once[0].iter().enumerate() {
            let ms = |rounds: &[Vec<(&str, Duration)>]| {
                median(rounds.iter().map(|round| round[nth].1).collect()).as_secs_f64() * 1e3
            };
            println!(
                "| {name:<20} of 10,000 | {:>6.2} ms | after a sweep {:>6.2} ms |",
                ms(&at_once),
                ms(&swept)
            );
        }
        for name in ["bench_raw", "bench_store"] {
            drop_database(&admin, name).await;
        }
    });
}
