//! Commits that come while another is under way: one transaction for all of them, and none pays for another.

use std::collections::BTreeMap;

use futures::future::join_all;
use larder_core::{
    Commit, Committed, Key, Lease, Outcome, Store, StoreError, Stored, Target, Trigger, Write,
};
use larder_store_postgres::PostgresStore;
use larder_testkit::contract::build::{at, book, commit_of, failed, fetched, key, lease, refresh, row};

use tokio::task::JoinHandle;

use crate::frozen::somebody_waits;
use crate::place::{Database, block_on, block_on_threads};

/// So many entries that are held, with leases on them, under `shelf`.
async fn leased(store: &PostgresStore, count: usize) -> Vec<(Lease, Stored)> {
    let keys: Vec<Key> = (0..count).map(|nth| key(&format!("shelf/s{nth:03}"))).collect();
    for key in &keys {
        refresh(store, key, vec![book(key.name(), 1)], at(0)).await;
    }
    let mut leased = Vec::new();
    for key in &keys {
        leased.push(lease(store, key, at(5_000)).await);
    }
    leased
}

/// What was held, found as it was.
fn as_it_was(now: u64) -> Write {
    let success = fetched(Vec::new(), at(now));
    Write { outcome: Outcome::NotModified, members: None, ..success }
}

async fn together(store: &PostgresStore, commits: Vec<Commit>) -> Vec<Result<Committed, StoreError>> {
    join_all(commits.into_iter().map(|commit| store.commit(commit))).await
}

/// Begins to note that it was found as it was.
fn begin(store: &PostgresStore, (lease, _): &(Lease, Stored)) -> JoinHandle<Result<Committed, StoreError>> {
    let (store, commit) = (store.clone(), commit_of(lease, as_it_was(5_001), at(5_001)));
    tokio::spawn(async move { store.commit(commit).await })
}

#[test]
fn a_hundred_entries_that_were_not_modified_take_a_few_transactions() {
    let database = Database::fresh();
    block_on_threads(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let leased = leased(&store, 100).await;
        let commits = leased.iter().map(|(lease, _)| commit_of(lease, as_it_was(5_001), at(5_001))).collect();
        for committed in together(&store, commits).await {
            assert!(matches!(committed, Ok(Committed::Done { version: 1, .. })), "{committed:?}");
        }
        let client = database.client().await;
        let told = "SELECT count(*), count(DISTINCT xmin::text) FROM larder.refresh_log \
            WHERE outcome = 'not_modified'";
        let told = client.query_one(told, &[]).await.unwrap();
        let (lines, transactions): (i64, i64) = (told.get(0), told.get(1));
        assert_eq!(lines, 100);
        assert!(transactions <= 10, "{transactions} transactions");
        for (lease, before) in &leased {
            let after = row(&store, &lease.key).await.entry;
            assert_eq!(after.fetched_at, Some(at(5_001)));
            assert_eq!(after.lease, None);
            assert_eq!(after.body, before.entry.body);
        }
    });
}

/// Each of them comes to its own end, as if it had come alone.
#[test]
fn what_is_committed_together_comes_to_the_end_that_it_would_come_to_alone() {
    let ends = [true, false].map(|is_together| {
        let database = Database::fresh();
        block_on_threads(async {
            let store = PostgresStore::open(database.options()).await.unwrap();
            let leased = leased(&store, 9).await;
            let key_of = |nth: usize| leased[nth].0.key.clone();
            store.evict(&Target::Keys(vec![key_of(1)]), at(5_001)).await.unwrap();
            store.invalidate(&Target::Keys(vec![key_of(2)]), at(5_001)).await.unwrap();
            store.mark_due(&[key_of(3)], Trigger::Watch, at(5_001)).await.unwrap();
            let mut commits: Vec<Commit> =
                leased.iter().map(|(lease, _)| commit_of(lease, as_it_was(5_002), at(5_002))).collect();
            let write = |commit: &mut Commit, write: Write| commit.write = Some(write);
            write(&mut commits[4], failed(&leased[4].1, at(5_002)));
            let tags = Some(vec!["fiction".to_owned()]);
            write(&mut commits[5], Write { tags, ..as_it_was(5_002) });
            commits[6].lease.token.seq += 1_000;
            write(&mut commits[7], fetched(vec![book("new", 1)], at(5_002)));
            commits[8].write = None;
            let mut ends = BTreeMap::new();
            if is_together {
                let keys: Vec<Key> = commits.iter().map(|commit| commit.lease.key.clone()).collect();
                for (key, end) in keys.into_iter().zip(together(&store, commits).await) {
                    ends.insert(key, end.unwrap());
                }
            } else {
                for commit in commits {
                    ends.insert(commit.lease.key.clone(), store.commit(commit).await.unwrap());
                }
            }
            store.invalidate(&Target::Tag("fiction".to_owned()), at(5_003)).await.unwrap();
            let keys: Vec<Key> = ends.keys().cloned().collect();
            let mut held = store.lookup(&keys).await.unwrap();
            for stored in held.iter_mut().flatten() {
                // Numbers that are given in the order in which things come.
                stored.entry.began = 0;
                stored.entry.invalidated = u64::from(stored.entry.invalidated > 0);
                stored.entry.lease = None;
            }
            (ends, held)
        })
    });
    assert_eq!(ends[0], ends[1]);
    let superseded = ends[0].0.values().filter(|end| **end == Committed::Superseded).count();
    assert_eq!(superseded, 2);
}

#[test]
fn what_another_has_locked_keeps_none_waiting_that_is_committed_beside_it() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let leased = leased(&store, 5).await;
        let (mut client, watcher) = (database.client().await, database.client().await);
        let held = client.transaction().await.unwrap();
        held.batch_execute("SELECT 1 FROM larder.entries WHERE key = 'shelf/s002' FOR UPDATE").await.unwrap();
        let mut commits: Vec<_> = leased.iter().map(|one| begin(&store, one)).collect();
        let locked = commits.remove(2);
        for commit in commits {
            assert!(matches!(commit.await.unwrap(), Ok(Committed::Done { .. })));
        }
        somebody_waits(&watcher).await;
        assert!(!locked.is_finished());
        held.rollback().await.unwrap();
        assert!(matches!(locked.await.unwrap(), Ok(Committed::Done { .. })));
    });
}

#[test]
fn a_row_that_cannot_be_read_fails_its_own_commit_alone() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let leased = leased(&store, 5).await;
        let client = database.client().await;
        let spoil = "UPDATE larder.entries SET warnings = '7' WHERE key = 'shelf/s002'";
        client.batch_execute(spoil).await.unwrap();
        let commits = leased.iter().map(|(lease, _)| commit_of(lease, as_it_was(5_001), at(5_001))).collect();
        for (nth, committed) in together(&store, commits).await.into_iter().enumerate() {
            match committed {
                Ok(Committed::Done { .. }) if nth != 2 => {}
                Err(StoreError::BadRow { row, .. }) if nth == 2 => assert_eq!(row, "shelf/s002"),
                other => panic!("{nth}: {other:?}"),
            }
        }
    });
}

#[test]
fn one_statement_that_is_stopped_by_hand_fails_none_of_those_it_was_for() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let leased = leased(&store, 5).await;
        let (mut client, watcher) = (database.client().await, database.client().await);
        let held = client.transaction().await.unwrap();
        held.batch_execute("LOCK TABLE larder.refresh_log IN SHARE MODE").await.unwrap();
        let commits: Vec<_> = leased.iter().map(|one| begin(&store, one)).collect();
        somebody_waits(&watcher).await;
        let stop = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        assert_eq!(watcher.query(stop, &[]).await.unwrap().len(), 1);
        somebody_waits(&watcher).await;
        held.rollback().await.unwrap();
        for commit in commits {
            assert!(matches!(commit.await.unwrap(), Ok(Committed::Done { .. })));
        }
    });
}

/// The others' is done all the same, and so is what has begun.
#[test]
fn who_does_not_wait_for_a_commit_takes_nothing_from_those_who_do() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let leased = leased(&store, 5).await;
        let (mut client, watcher) = (database.client().await, database.client().await);
        // As long as a sweep of markers holds it, nothing is written by what they say.
        let held = client.transaction().await.unwrap();
        held.batch_execute("SELECT pg_advisory_xact_lock(5499533213950803970)").await.unwrap();
        let first = begin(&store, &leased[0]);
        somebody_waits(&watcher).await;
        let [gone, second, third] = [1, 2, 3].map(|nth| begin(&store, &leased[nth]));
        tokio::task::yield_now().await;
        for gone in [first, gone] {
            gone.abort();
        }
        held.rollback().await.unwrap();
        for commit in [second, third] {
            assert!(matches!(commit.await.unwrap(), Ok(Committed::Done { .. })));
        }
        let fetched_at = async |nth: usize| row(&store, &leased[nth].0.key).await.entry.fetched_at;
        assert_eq!(fetched_at(0).await, Some(at(5_001)), "it had begun");
        assert_eq!(fetched_at(1).await, Some(at(0)), "it had not");
    });
}
