//! What stays in a session when we are gone: nothing. A transaction pooler hands it to whoever comes next, who
//! may be another program. Every story of the contract is asked for that too, where it is told behind the pooler
//! (see `place.rs`).

use larder_core::{Retention, Store, Target};
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, migrate_down, migrate_up};
use larder_testkit::contract::build::{at, book, fail, key, refresh, row};

use crate::place::{Database, block_on, left_behind, options};

/// All that the contract does not: migrations both ways, more than is written at once, and what one process
/// alone does with its own connections.
#[test]
fn nothing_is_left_in_sessions_that_a_pooler_hands_on() {
    let database = Database::fresh();
    block_on(async {
        let pooled = OpenOptions { listen: Listen::Here, ..options(&database.pooled_url()) };
        migrate_up(&pooled).await.unwrap();
        migrate_down(&pooled, 0).await.unwrap();
        let store = PostgresStore::open(pooled.clone()).await.unwrap();
        assert!(!store.is_direct().await);
        let cinder = key("shelf/cinder");
        let many = |stars: i64| (0..6_000).map(|n| book(&format!("{n:05}"), stars)).collect();
        refresh(&store, &cinder, many(1), at(0)).await;
        refresh(&store, &cinder, many(2), at(1)).await;
        let all: Vec<_> = (0..40).map(|n| key(&format!("shelf/{n}"))).collect();
        futures::future::join_all(all.iter().map(|one| refresh(&store, one, vec![book("a", 1)], at(2))))
            .await;
        fail(&store, &cinder, at(3)).await;
        store.invalidate(&Target::All, at(4)).await.unwrap();
        let held = store.export(None, 100).await.unwrap();
        store.evict(&Target::All, at(5)).await.unwrap();
        store.import(&held, at(6)).await.unwrap();
        store.sweep(&Retention::default(), at(7)).await.unwrap();
        assert_eq!(row(&store, &cinder).await.members.len(), 6_000);
        assert_eq!(store.verify().await.unwrap(), []);
        assert_eq!(left_behind(&database.pooled_url()).await, [""; 0]);
    });
}

/// Who asks for it finds what there is to find.
#[test]
fn what_is_left_in_a_session_is_seen() {
    let database = Database::fresh();
    block_on(async {
        let client = database.pooled_client().await;
        for leave in [
            "SET jit = off",
            "SELECT pg_advisory_lock(7)",
            "PREPARE one AS SELECT 1",
            "LISTEN larder",
            "DECLARE all_of_them CURSOR WITH HOLD FOR SELECT 1",
            "CREATE TEMP TABLE scratch (n int)",
        ] {
            client.batch_execute(leave).await.unwrap();
        }
        let left = left_behind(&database.pooled_url()).await;
        let expected = [
            "the setting jit = off",
            "an advisory lock, 7",
            "the prepared statement PREPARE one AS SELECT 1",
            "it listens to larder",
            "the cursor all_of_them",
            "the temporary scratch",
        ];
        assert_eq!(left, expected);
    });
}
