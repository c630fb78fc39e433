//! Stories of leases: one flight per entry, across processes.

use larder_core::{Acquired, Commit, Committed, Extent, LeaseAsk, Status, Store, Target, Write};

use super::Place;
use super::build::{LEASE, acquire, ask, at, book, commit_of, fetched, find, key, lease, line, refresh, row};

/// Mistake 4 of the field: a row made to take the lock was read as an empty hit.
pub async fn a_placeholder_is_no_hit<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    assert!(find(&store, &cinder).await.is_none(), "an unknown key has no row");
    let (_, before) = lease(&store, &cinder, at(0)).await;
    assert!(!before.entry.has_data());
    let row = row(&store, &cinder).await;
    assert!(!row.entry.has_data());
    assert_eq!(row.entry.status(None, at(0)), Status::Missing);
    assert!(row.members.is_empty());
    assert!(row.entry.lease.is_some_and(|lease| &*lease.owner == "me"));
}

/// Who tells by the row alone whether anything changed is not made to wait for thousands of members.
pub async fn a_lease_comes_with_as_much_of_the_entry_as_is_wanted<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1), book("b", 1)], at(0)).await;
    let held = row(&store, &cinder).await;
    let bare = LeaseAsk { extent: Extent::Row, ..ask(&cinder, "me") };
    let acquired = store.acquire(std::slice::from_ref(&bare), at(1)).await.unwrap().pop();
    let Some(Acquired::Granted(first, granted)) = acquired else { panic!("it was free") };
    assert_eq!((granted.members.len(), granted.entry.version), (0, held.entry.version));
    assert_eq!(row(&store, &cinder).await.members, held.members, "they are held all the same");
    // Who came too late is told all of what the other brought.
    let late = LeaseAsk { unless_newer_than: Some(0), ..bare };
    let acquired = store.acquire(std::slice::from_ref(&late), at(2)).await.unwrap().pop();
    let Some(Acquired::Newer(newer)) = acquired else { panic!("there is data since") };
    assert_eq!(newer.members, held.members);
    let write = Write { members: None, items: Vec::new(), ..fetched(Vec::new(), at(3)) };
    assert!(matches!(
        store.commit(commit_of(&first, write, at(3))).await.unwrap(),
        Committed::Done { version, .. } if version == held.entry.version
    ));
    assert_eq!(row(&store, &cinder).await.members.len(), 2);
}

/// Two handles ask for one lease at once.
pub async fn one_of_two_processes_wins_a_lease<P: Place>() {
    let place = P::fresh();
    let (one, two) = (place.open().await, place.open().await);
    let cinder = key("shelf/cinder");
    for round in 0..10 {
        let now = at(round * 100);
        let (first, second) =
            futures::join!(acquire(&one, &cinder, "one", now), acquire(&two, &cinder, "two", now));
        let granted = |acquired: &Acquired| matches!(acquired, Acquired::Granted(..));
        assert!(granted(&first) != granted(&second), "exactly one wins: {first:?} {second:?}");
        let loser = if granted(&first) { second } else { first };
        assert!(matches!(loser, Acquired::Held(held) if held.key == cinder && held.until == now.plus(LEASE)));
    }
}

/// A killed holder keeps nobody waiting past its lease's end, and its late commit is refused.
pub async fn a_lease_past_its_end_is_taken_over<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let (killed, _) = lease(&store, &cinder, at(0)).await;
    assert!(matches!(acquire(&store, &cinder, "you", at(14)).await, Acquired::Held(_)));
    let Acquired::Granted(taken, _) = acquire(&store, &cinder, "you", at(15)).await else {
        panic!("the lease ended at 15 s");
    };
    assert!(taken.token.seq > killed.token.seq);
    assert_eq!(taken.token.epoch, killed.token.epoch);
    let late = commit_of(&killed, fetched(vec![book("a", 1)], at(16)), at(16));
    assert_eq!(store.commit(late).await.unwrap(), Committed::Superseded);
    assert!(!row(&store, &cinder).await.entry.has_data());
}

/// Renewing moves the end on; a lease that was taken over, released or evicted is lost.
pub async fn a_renewed_lease_holds_and_a_lost_one_is_not_renewed<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (a, b, c) = (key("shelf/a"), key("shelf/b"), key("shelf/c"));
    let (on_a, _) = lease(&store, &a, at(0)).await;
    let (on_b, _) = lease(&store, &b, at(0)).await;
    let (on_c, _) = lease(&store, &c, at(0)).await;
    store.evict(&Target::Keys(vec![c.clone()]), at(1)).await.unwrap();
    let leases = [on_a.clone(), on_b.clone(), on_c];
    assert_eq!(store.renew(&leases, at(10)).await.unwrap(), [true, true, false]);
    assert!(matches!(acquire(&store, &a, "you", at(20)).await, Acquired::Held(_)), "renewed until 25 s");
    let landed = commit_of(&on_a, fetched(vec![], at(20)), at(20));
    assert!(matches!(store.commit(landed).await.unwrap(), Committed::Done { .. }), "the row's end counts");
    assert_eq!(store.renew(&[on_a, on_b], at(26)).await.unwrap(), [false, false], "released; past its end");
}

/// An end further off than the lease's length is past.
pub async fn a_lease_from_a_clock_that_was_set_back_is_past<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    lease(&store, &cinder, at(7_200)).await;
    assert!(matches!(acquire(&store, &cinder, "you", at(0)).await, Acquired::Granted(..)));
}

/// Callers read their clocks before they queue: a few milliseconds out of order are no set-back.
pub async fn a_lease_taken_a_moment_ahead_of_a_slower_caller_holds<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let (held, _) = lease(&store, &cinder, at(1)).await;
    assert!(matches!(acquire(&store, &cinder, "you", at(0)).await, Acquired::Held(_)));
    assert_eq!(store.renew(std::slice::from_ref(&held), at(0)).await.unwrap(), [true]);
}

/// A wish based on an old row is answered with the newer one instead of a second fetch.
pub async fn a_wish_that_was_overtaken_gets_the_newer_row<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let seen = row(&store, &cinder).await.entry.began;
    let wish = LeaseAsk { unless_newer_than: Some(seen), ..ask(&cinder, "me") };
    refresh(&store, &cinder, vec![book("a", 2)], at(1)).await;
    let acquired = store.acquire(std::slice::from_ref(&wish), at(2)).await.unwrap().pop();
    let Some(Acquired::Newer(newer)) = acquired else { panic!("{acquired:?}") };
    assert!(newer.entry.began > seen);
    let current = LeaseAsk { unless_newer_than: Some(newer.entry.began), ..wish };
    let acquired = store.acquire(&[current], at(2)).await.unwrap().pop();
    assert!(matches!(acquired, Some(Acquired::Granted(..))));
}

/// The sequence outlives the rows: a holder from before an eviction cannot pass for a current one.
pub async fn tokens_grow_across_evictions<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let (old, _) = lease(&store, &cinder, at(0)).await;
    store.evict(&Target::All, at(1)).await.unwrap();
    drop(store);
    let store = place.open().await;
    let (new, _) = lease(&store, &cinder, at(2)).await;
    assert!(new.token.seq > old.token.seq && new.token.epoch == old.token.epoch);
    let late = commit_of(&old, fetched(vec![book("a", 1)], at(3)), at(3));
    assert_eq!(store.commit(late).await.unwrap(), Committed::Superseded);
    assert_eq!(store.renew(&[old, new], at(3)).await.unwrap(), [false, true]);
}

/// Letting go without a result frees the entry and leaves its counts alone.
pub async fn an_interrupted_attempt_is_not_counted<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let before = row(&store, &cinder).await;
    let (held, _) = lease(&store, &cinder, at(1)).await;
    let log = line(&cinder, "interrupted", at(1));
    let released = Commit { lease: held.clone(), write: None, log, now: at(2) };
    assert!(matches!(store.commit(released.clone()).await.unwrap(), Committed::Done { .. }));
    assert_eq!(row(&store, &cinder).await, before);
    assert_eq!(store.commit(released).await.unwrap(), Committed::Superseded, "there is nothing to release");
    let filter = larder_core::LogFilter { key: None, limit: 10 };
    let words: Vec<String> = store.log(&filter).await.unwrap().into_iter().map(|line| line.outcome).collect();
    assert_eq!(words, ["superseded", "interrupted", "updated"]);
    assert!(matches!(acquire(&store, &cinder, "you", at(2)).await, Acquired::Granted(..)));
}
