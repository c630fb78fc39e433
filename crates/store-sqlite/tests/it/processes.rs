//! Many at once: the first opening, the group commit, handles that come and go.

use std::sync::{Arc, Barrier};
use std::thread;

use larder_core::{LogFilter, MemberState, Store};
use larder_store_sqlite::SqliteStore;
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{
    at, book, commit_of, fetched, find, ids, key, lease, member, refresh, row,
};

use crate::place::{TempPlace, block_on};

#[test]
fn eight_open_a_new_store_at_once_and_all_write() {
    for _ in 0..5 {
        let place = TempPlace::fresh();
        let start = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (options, start) = (place.options(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    let store = SqliteStore::open(options).unwrap();
                    block_on(refresh(&store, &key(&format!("shelf/{n}")), vec![book("a", n)], at(0)));
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let store = SqliteStore::open(place.options()).unwrap();
        block_on(async {
            let info = store.info().await.unwrap();
            assert_eq!((info.entries, info.items), (8, 1));
            assert_eq!(store.verify().await.unwrap(), []);
        });
    }
}

#[test]
fn many_commits_at_once_are_kept_apart() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        let mut leases = Vec::new();
        for n in 0..300 {
            leases.push(lease(&store, &key(&format!("shelf/{n}")), at(0)).await.0);
        }
        let commits = leases.iter().enumerate().map(|(n, lease)| {
            let mut write = fetched(vec![book(&n.to_string(), 1)], at(1));
            if n % 100 == 50 {
                write.members = Some(vec![member("nowhere", MemberState::Shown)]);
            }
            store.commit(commit_of(lease, write, at(1)))
        });
        let committed = join_all(commits).await;
        let failed: Vec<usize> =
            committed.iter().enumerate().filter(|(_, done)| done.is_err()).map(|(n, _)| n).collect();
        assert_eq!(failed, [50, 150, 250]);
        for n in 0..300 {
            let row = row(&store, &key(&format!("shelf/{n}"))).await;
            assert_eq!(row.entry.has_data(), n % 100 != 50, "{n}");
        }
        assert_eq!(store.info().await.unwrap().items, 297);
        assert_eq!(store.log(&LogFilter { key: None, limit: 1_000 }).await.unwrap().len(), 297);
        assert_eq!(store.changes(0, 1_000).await.unwrap().lines.len(), 297);
    });
}

#[test]
fn what_was_queued_is_written_before_a_store_is_gone() {
    let place = TempPlace::fresh();
    let store = SqliteStore::open(place.options()).unwrap();
    block_on(async {
        let cinder = key("shelf/cinder");
        let asking = store.clone();
        let asked = tokio::spawn(async move { refresh(&asking, &key("shelf/cinder"), vec![], at(0)).await });
        asked.await.unwrap();
        let marking = store.clone();
        let wish = tokio::spawn(async move {
            marking.mark_due(&[key("shelf/later")], larder_core::Trigger::Read, at(0)).await
        });
        // Polled once, so that the wish is in the queue; nobody waits for its answer.
        tokio::task::yield_now().await;
        wish.abort();
        // A writer that was faster has answered already: then there was nothing to lose.
        let _ = wish.await;
        drop(store);
        let again = place.open().await;
        assert!(find(&again, &cinder).await.is_some());
        assert!(find(&again, &key("shelf/later")).await.is_some());
    });
}

#[test]
fn a_closed_store_is_one_file_and_its_lock() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        refresh(&store, &key("shelf/a"), vec![book("a", 1)], at(0)).await;
        drop(store);
        assert_eq!(place.files(), ["larder.db", "larder.db.lock"]);
        let store = place.open().await;
        assert_eq!(ids(&row(&store, &key("shelf/a")).await), ["a"]);
    });
}

/// Polls all at once, in order.
async fn join_all<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(move |context| {
        let mut waiting = false;
        for (one, done) in &mut all {
            if done.is_none() {
                match one.as_mut().poll(context) {
                    std::task::Poll::Ready(output) => *done = Some(output),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(all.iter_mut().filter_map(|(_, done)| done.take()).collect())
    })
    .await
}
