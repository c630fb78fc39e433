//! One process at a time: by turns, where programs come and go, and throughout, where one stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use larder_core::{Acquired, Budgets, Clock, Fingerprint, LogFilter, MemberState, Store, StoreError};
use larder_store_redb::{Hold, OpenOptions, RedbStore};
use larder_testkit::VirtualClock;
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{
    NOW, acquire, at, book, commit_of, fetched, find, ids, key, lease, member, refresh, row,
};

use crate::place::{TempPlace, block_on};

fn throughout(place: &TempPlace) -> OpenOptions {
    OpenOptions { hold: Hold::Throughout, ..place.options() }
}

fn refused(options: OpenOptions) -> StoreError {
    RedbStore::open(options).map(|_| ()).unwrap_err()
}

#[test]
fn nobody_waits_for_a_fetch_of_another_process() {
    let place = TempPlace::fresh();
    let (one, two) = (RedbStore::open(place.options()).unwrap(), RedbStore::open(place.options()).unwrap());
    block_on(async {
        let (slow, quick) = (key("shelf/slow"), key("shelf/quick"));
        let (held, _) = lease(&one, &slow, at(0)).await;
        // From here on its fetch is under way. Another process looks, refreshes, and is refused the lease.
        assert!(!row(&two, &slow).await.entry.has_data());
        refresh(&two, &quick, vec![book("q", 1)], at(1)).await;
        assert!(matches!(acquire(&two, &slow, "you", at(1)).await, Acquired::Held(_)));
        // A server comes and keeps the file, and goes again.
        let server = RedbStore::open(throughout(&place)).unwrap();
        assert_eq!(ids(&row(&server, &quick).await), ["q"]);
        assert_eq!(server.renew(std::slice::from_ref(&held), at(5)).await.unwrap(), [true]);
        drop(server);
        one.commit(commit_of(&held, fetched(vec![book("s", 1)], at(16)), at(16))).await.unwrap();
        assert_eq!(ids(&row(&two, &slow).await), ["s"]);
        assert_eq!(two.verify().await.unwrap(), []);
    });
}

#[test]
fn a_file_that_a_server_keeps_is_said_to_be_held_and_what_to_do() {
    let place = TempPlace::fresh();
    let server = RedbStore::open(throughout(&place)).unwrap();
    block_on(refresh(&server, &key("shelf/a"), vec![book("a", 1)], at(0)));
    for hold in [Hold::PerCall, Hold::Throughout] {
        let options = OpenOptions { hold, busy_timeout: Duration::from_millis(20), ..place.options() };
        let error = refused(options);
        assert!(matches!(error, StoreError::Held { .. }) && error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains(place.path().to_str().unwrap()), "{error}");
        assert!(error.hints()[0].contains("larder serve"), "{:?}", error.hints());
    }
    assert_eq!(ids(&block_on(row(&server, &key("shelf/a")))), ["a"], "the server has noticed nothing");
    drop(server);
    let store = RedbStore::open(place.options()).unwrap();
    assert_eq!(ids(&block_on(row(&store, &key("shelf/a")))), ["a"]);
}

#[test]
fn a_call_waits_two_seconds_by_the_clock_and_no_longer() {
    let place = TempPlace::fresh();
    let clock = VirtualClock::new();
    let options = OpenOptions { clock: Some(Arc::new(clock.clone())), ..place.options() };
    let store = RedbStore::open(options).unwrap();
    block_on(async {
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
        // Opening waits until the writer has let go.
        let server = RedbStore::open(throughout(&place)).unwrap();
        let error = clock.drive(store.lookup(std::slice::from_ref(&cinder))).await.unwrap_err();
        assert!(matches!(error, StoreError::Held { attempted: "look entries up", .. }), "{error:?}");
        assert_eq!(clock.now(), NOW.plus(Duration::from_secs(2)));
        let wanted = [cinder.clone()];
        let read = store.lookup(&wanted);
        let mut read = std::pin::pin!(clock.drive(read));
        let waits = std::future::poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_pending()));
        assert!(waits.await, "it waits for the file");
        drop(server);
        assert!(read.await.unwrap()[0].is_some(), "and goes on when it is let go");
    });
}

#[test]
fn a_process_that_writes_without_end_gives_others_their_turn() {
    let place = TempPlace::fresh();
    let busy = RedbStore::open(place.options()).unwrap();
    let has_ended = Arc::new(AtomicBool::new(false));
    let writing = thread::spawn({
        let has_ended = has_ended.clone();
        move || {
            let mut round = 0;
            while !has_ended.load(Ordering::SeqCst) {
                block_on(refresh(&busy, &key("shelf/busy"), vec![book("b", round)], at(0)));
                round += 1;
            }
            round
        }
    });
    let other = RedbStore::open(place.options()).unwrap();
    block_on(async {
        for round in 0..3 {
            refresh(&other, &key("shelf/other"), vec![book("o", round)], at(0)).await;
        }
        has_ended.store(true, Ordering::SeqCst);
        let rounds = writing.join().unwrap();
        assert!(rounds > 0);
        assert_eq!(
            other.log(&LogFilter { key: None, limit: 10_000 }).await.unwrap().len(),
            rounds as usize + 3
        );
        assert_eq!(other.verify().await.unwrap(), []);
    });
}

#[test]
fn eight_open_a_new_store_at_once_and_all_write() {
    let place = TempPlace::fresh();
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let options = OpenOptions { busy_timeout: Duration::from_secs(20), ..place.options() };
            thread::spawn(move || {
                let store = RedbStore::open(options).unwrap();
                block_on(refresh(&store, &key(&format!("shelf/{n}")), vec![book("a", n)], at(0)));
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let store = RedbStore::open(place.options()).unwrap();
    block_on(async {
        let info = store.info().await.unwrap();
        assert_eq!((info.entries, info.items), (8, 1));
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn many_commits_at_once_are_kept_apart() {
    for hold in [Hold::PerCall, Hold::Throughout] {
        let place = TempPlace::fresh();
        let store = RedbStore::open(OpenOptions { hold, ..place.options() }).unwrap();
        block_on(async {
            let mut leases = Vec::new();
            let keys: Vec<_> = (0..300).map(|n| key(&format!("shelf/{n}"))).collect();
            let asks: Vec<_> =
                keys.iter().map(|key| larder_testkit::contract::build::ask(key, "me")).collect();
            for acquired in store.acquire(&asks, at(0)).await.unwrap() {
                let Acquired::Granted(lease, _) = acquired else { panic!("{acquired:?}") };
                leases.push(lease);
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
            for (n, key) in keys.iter().enumerate() {
                assert_eq!(row(&store, key).await.entry.has_data(), n % 100 != 50, "{n}");
            }
            assert_eq!(store.info().await.unwrap().items, 297);
            assert_eq!(store.log(&LogFilter { key: None, limit: 1_000 }).await.unwrap().len(), 297);
            assert_eq!(store.changes(0, 1_000).await.unwrap().lines.len(), 297);
        });
    }
}

#[test]
fn what_was_queued_is_written_before_a_store_is_gone() {
    let place = TempPlace::fresh();
    let store = RedbStore::open(place.options()).unwrap();
    block_on(async {
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
        assert!(find(&again, &key("shelf/later")).await.is_some());
    });
}

#[test]
fn a_commit_is_heard_and_moves_the_pulse() {
    let place = TempPlace::fresh();
    let store = RedbStore::open(throughout(&place)).unwrap();
    block_on(async {
        let before = store.pulse().await.unwrap();
        assert_eq!(store.pulse().await.unwrap(), before, "nothing happened");
        let listening = store.clone();
        let mut heard = std::pin::pin!(listening.heard());
        let first = std::future::poll_fn(|context| Poll::Ready(heard.as_mut().poll(context).is_ready()));
        assert!(!first.await);
        // Also what leaves no line and takes no number of the sequence.
        store.set_actor("h", &Fingerprint::of(&["token"]), "octocat").await.unwrap();
        heard.await;
        assert!(store.pulse().await.unwrap() != before);
    });
}

#[test]
fn another_file_at_the_same_place_has_another_pulse() {
    let place = TempPlace::fresh();
    let pulses = || {
        let store = RedbStore::open(throughout(&place)).unwrap();
        block_on(async {
            let mut pulses = vec![store.pulse().await.unwrap()];
            refresh(&store, &key("shelf/a"), vec![], at(0)).await;
            pulses.push(store.pulse().await.unwrap());
            pulses
        })
    };
    let before = pulses();
    std::fs::remove_file(place.path()).unwrap();
    let after = pulses();
    assert!(after.iter().all(|pulse| !before.contains(pulse)), "{before:?} {after:?}");
}

/// Polls all at once, in order.
async fn join_all<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(move |context| {
        let mut waiting = false;
        for (one, done) in &mut all {
            if done.is_none() {
                match one.as_mut().poll(context) {
                    Poll::Ready(output) => *done = Some(output),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            return Poll::Pending;
        }
        Poll::Ready(all.iter_mut().filter_map(|(_, done)| done.take()).collect())
    })
    .await
}
