//! A link that takes its time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Store, Time};
use larder_store_postgres::{OpenOptions, PostgresStore, Statements};
use larder_testkit::contract::build::{at, book_with, commit_of, done, fetched, key, lease};
use larder_testkit::{Proxy, Way};
use serde_json::json;

use crate::connections::{by_way_of, host_of};
use crate::place::{Database, block_on_threads, options};

/// The database's time-outs are real, and so is the link's slowness.
pub(crate) struct RealClock;

#[async_trait]
impl Clock for RealClock {
    fn now(&self) -> Time {
        at(0)
    }

    #[expect(clippy::disallowed_methods, reason = "a slow link is slow in real time")]
    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// All of it takes longer than anybody waits for an answer; none of its pieces does.
#[test]
fn a_large_commit_arrives_over_a_slow_link_a_piece_at_a_time() {
    for statements in [Statements::Unnamed, Statements::Prepared] {
        let database = Database::fresh();
        block_on_threads(async {
            let proxy = Proxy::start(&host_of(&database.url())).await.unwrap();
            let patience = Duration::from_secs(4);
            let url = by_way_of(&database.url(), &proxy);
            let options = OpenOptions { statement_timeout: patience, statements, ..options(&url) };
            let store = PostgresStore::open(options).await.unwrap();
            let (held, _) = lease(&store, &key("shelf/cinder"), at(0)).await;
            let long = "x".repeat(300);
            let books = (0..9_000).map(|n| json!({"title": n.to_string(), "description": long}));
            let books = books.zip(0..).map(|(doc, n)| book_with(&format!("{n:05}"), doc)).collect();
            proxy.set(Way::Slow(Duration::from_millis(20), Arc::new(RealClock)));
            let commit = commit_of(&held, fetched(books, at(1)), at(1));
            let (_, counts, _) = done(store.commit(commit).await.unwrap());
            assert_eq!(counts.added, 9_000, "{statements:?}");
        });
    }
}
