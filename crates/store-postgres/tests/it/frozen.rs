//! A larder that freezes amid a transaction, as a machine does that sleeps or is gone without a word.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Acquired, Configured, Definition, Fingerprint, Policy, Store};
use larder_store_postgres::{OpenOptions, PostgresStore};
use larder_testkit::contract::build::{ask, at, key, refresh};
use larder_testkit::{Proxy, Way};
use tokio_postgres::Client;

use crate::connections::{by_way_of, host_of};
use crate::place::{Database, block_on, options};
use crate::slow::RealClock;

/// Until a statement of another waits for a lock.
pub(crate) async fn somebody_waits(watcher: &Client) {
    while waiting(watcher).await == 0 {
        tokio::task::yield_now().await;
    }
}

/// How many statements of others wait for a lock.
pub(crate) async fn waiting(watcher: &Client) -> i64 {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock'";
    watcher.query_one(waits, &[]).await.unwrap().get(0)
}

/// What it holds (rows, and the lock that all share who take leases) it must not hold for ever. Awake
/// again, it does anew what was taken back.
#[test]
fn a_larder_that_freezes_amid_a_transaction_keeps_nobody_waiting() {
    let database = Database::fresh();
    let (direct, pooled) = (database.url(), database.pooled_url());
    // What trickles tells it what it had asked long before that it was let go, and it goes on meanwhile.
    let trickling = Way::Trickling(Duration::from_millis(10), Arc::new(RealClock));
    for (round, (url, then)) in (0..).zip([(&direct, Way::Open), (&direct, trickling), (&pooled, Way::Open)])
    {
        block_on(freeze(&database, url, then, round * 1_000));
    }
}

async fn freeze(database: &Database, way: &str, then: Way, now: u64) {
    let proxy = Proxy::start(&host_of(way)).await.unwrap();
    let patient = |url: &str| OpenOptions { statement_timeout: Duration::from_secs(8), ..options(url) };
    let freezes = PostgresStore::open(patient(&by_way_of(way, &proxy))).await.unwrap();
    let awake = PostgresStore::open(patient(&database.url())).await.unwrap();
    let (first, last) = (key("shelf/first"), key("shelf/last"));
    for one in [&first, &last] {
        refresh(&awake, one, vec![], at(now)).await;
    }
    let (mut client, watcher) = (database.client().await, database.client().await);
    let held = client.transaction().await.unwrap();
    held.batch_execute("SELECT 1 FROM larder.entries WHERE key = 'shelf/last' FOR UPDATE").await.unwrap();
    let asks = [ask(&first, "frozen"), ask(&last, "frozen")];
    let asking = tokio::spawn(async move { freezes.acquire(&asks, at(now + 1)).await });
    somebody_waits(&watcher).await;
    proxy.set(Way::Stalled);
    held.rollback().await.unwrap();
    let definition = Arc::new(Definition::new(Fingerprint::trusted("one"), Policy::default()));
    let configured = [first, last].map(|key| Configured { key, definition: definition.clone() });
    awake.reconcile("shelf", &configured, at(now + 1)).await.unwrap();
    proxy.set(then);
    let granted = asking.await.unwrap().unwrap();
    assert!(granted.iter().all(|one| matches!(one, Acquired::Granted(..))), "{granted:?}");
    let own = "SHOW idle_in_transaction_session_timeout";
    let own: String = client.query_one(own, &[]).await.unwrap().get(0);
    assert_eq!(own, "0", "it is set for each transaction alone");
}

/// The database notices within a second or two; the statement's own time would be half a minute.
#[test]
fn what_nobody_waits_for_any_more_ends_in_the_database_too() {
    let database = Database::fresh();
    for url in [database.url(), database.pooled_url()] {
        block_on(async {
            let store = PostgresStore::open(options(&url)).await.unwrap();
            let (mut client, watcher) = (database.client().await, database.client().await);
            let held = client.transaction().await.unwrap();
            held.batch_execute("LOCK TABLE larder.entries").await.unwrap();
            let asking = tokio::spawn(async move { store.lookup(&[key("shelf/cinder")]).await });
            somebody_waits(&watcher).await;
            asking.abort();
            asking.await.unwrap_err();
            let waits = "SELECT extract(epoch FROM clock_timestamp() - query_start)::float8 \
                FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while let Some(row) = watcher.query_opt(waits, &[]).await.unwrap() {
                let seconds: f64 = row.get(0);
                assert!(seconds < 20.0, "it goes on for {seconds} s");
            }
        });
    }
}
