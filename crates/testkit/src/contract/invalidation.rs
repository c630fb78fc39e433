//! Stories of invalidation, marks and new starts: what is wanted is never lost.

use std::time::Duration;

use larder_core::{Definition, Fingerprint, Met, Policy, Status, Store, Target, Trigger, Write};

use super::Place;
use super::build::{at, book, commit_of, done, fail, fetched, ids, key, lease, refresh, row, words, write};

/// Stale and kept; the entry says since which number.
pub async fn one_key_is_stale_and_kept<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (cinder, other) = (key("shelf/cinder"), key("shelf/other"));
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    refresh(&store, &other, vec![], at(0)).await;
    let target = Target::Keys(vec![cinder.clone(), key("shelf/unknown"), cinder.clone()]);
    assert_eq!(store.invalidate(&target, at(1)).await.unwrap(), Met::exactly(1));
    let held = row(&store, &cinder).await;
    assert_eq!(held.entry.status(None, at(1)), Status::Stale);
    assert_eq!((ids(&held), held.entry.due_at), (vec!["a"], at(1)));
    assert_eq!(words(&store, &cinder).await, ["updated", "invalidated"]);
    assert_eq!(row(&store, &other).await.entry.status(None, at(1)), Status::Fresh);
    refresh(&store, &cinder, vec![book("a", 1)], at(2)).await;
    assert_eq!(row(&store, &cinder).await.entry.status(None, at(2)), Status::Fresh);
}

/// Every target meets its entries and no others; mistake 7 of the field: also with a long lifetime.
pub async fn a_source_a_tag_and_everything_can_be_invalidated<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let keys = [key("shelf/a"), key("shelf/b"), key("other/c")];
    let refresh_all = async |now| {
        for entry in &keys {
            let tags = if entry.as_str() == "other/c" { vec![] } else { vec!["red".to_owned()] };
            let far = Some(at(86_400 * 30));
            let kept = Write { tags: Some(tags), fresh_until: far, ..fetched(vec![], now) };
            write(&store, entry, kept, now).await;
        }
    };
    let stale = async |now| {
        let mut names = Vec::new();
        for entry in &keys {
            if row(&store, entry).await.entry.status(None, now) == Status::Stale {
                names.push(entry.name().to_owned());
            }
        }
        names.concat()
    };
    let cases = [
        (Target::Source("shelf".to_owned()), 2, "ab"),
        (Target::Source("none".to_owned()), 0, ""),
        (Target::Tag("red".to_owned()), 2, "ab"),
        (Target::Tag("blue".to_owned()), 0, ""),
        (Target::All, 3, "abc"),
    ];
    for (round, (target, met, expected)) in (1..).zip(cases) {
        let now = at(round * 10);
        refresh_all(now).await;
        assert_eq!(stale(now).await, "", "before {target:?}");
        assert_eq!(store.invalidate(&target, now).await.unwrap(), Met::exactly(met), "{target:?}");
        assert_eq!(stale(now).await, expected, "{target:?}");
    }
}

/// What a fetch brings that began before the invalidation is in, and stale.
pub async fn an_invalidation_in_flight_wins<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    for target in [Target::Keys(vec![cinder.clone()]), Target::Source("shelf".to_owned()), Target::All] {
        let (held, _) = lease(&store, &cinder, at(0)).await;
        assert_eq!(store.invalidate(&target, at(1)).await.unwrap(), Met::exactly(1));
        let commit = commit_of(&held, fetched(vec![book("a", 1)], at(2)), at(2));
        let (_, _, invalidated) = done(store.commit(commit).await.unwrap());
        assert!(invalidated, "{target:?}");
        let stored = row(&store, &cinder).await;
        assert_eq!(ids(&stored), ["a"]);
        assert_eq!(stored.entry.status(None, at(2)), Status::Stale, "{target:?}");
        assert!(stored.entry.due_at <= at(2), "it is due at once: {target:?}");
        let (_, _, invalidated) = done(refresh(&store, &cinder, vec![book("a", 1)], at(3)).await);
        assert!(!invalidated);
        assert_eq!(row(&store, &cinder).await.entry.status(None, at(3)), Status::Fresh);
    }
}

/// The entry did not carry the tag yet when the tag was invalidated, but its fetch had begun.
pub async fn a_tag_invalidated_before_the_fetch_brings_it_wins<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (cinder, later) = (key("shelf/cinder"), key("shelf/later"));
    let tagged = |now| Write { tags: Some(vec!["red".to_owned()]), ..fetched(vec![], now) };
    let (held, _) = lease(&store, &cinder, at(0)).await;
    assert_eq!(store.invalidate(&Target::Tag("red".to_owned()), at(1)).await.unwrap(), Met::default());
    let (_, _, invalidated) = done(store.commit(commit_of(&held, tagged(at(2)), at(2))).await.unwrap());
    assert!(invalidated);
    assert_eq!(row(&store, &cinder).await.entry.status(None, at(2)), Status::Stale);
    let (_, _, invalidated) = done(write(&store, &later, tagged(at(3)), at(3)).await);
    assert!(!invalidated, "this fetch began after the invalidation");
}

/// A fetch of some items alone says nothing about the entry as a whole.
pub async fn a_subset_does_not_answer_an_invalidation<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let before = row(&store, &cinder).await.entry;
    store.invalidate(&Target::All, at(1)).await.unwrap();
    let subset = Write { answers_invalidation: false, tags: None, ..fetched(vec![book("a", 2)], at(2)) };
    write(&store, &cinder, subset, at(2)).await;
    let entry = row(&store, &cinder).await.entry;
    assert_eq!(entry.began, before.began);
    assert_eq!(entry.status(None, at(2)), Status::Stale);
}

/// Whoever invalidates does not wait for the backoff.
pub async fn a_backoff_ends_by_invalidation<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    fail(&store, &cinder, at(0)).await;
    assert_eq!(store.due(at(1), 10).await.unwrap(), []);
    store.invalidate(&Target::Keys(vec![cinder.clone()]), at(1)).await.unwrap();
    assert_eq!(store.due(at(1), 10).await.unwrap(), [cinder]);
}

/// A mark that comes while a fetch is under way wants a later one; a reader's wish does not.
pub async fn a_mark_is_due_until_a_fetch_that_began_later<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let marked = [cinder.clone()];
    assert_eq!(store.mark_due(&marked, Trigger::Read, at(0)).await.unwrap(), 1);
    let entry = row(&store, &cinder).await.entry;
    assert!(entry.marked, "a row is made where there is none");
    assert_eq!(entry.marked_by, Some(Trigger::Read));
    assert_eq!(store.due(at(0), 10).await.unwrap(), marked);
    refresh(&store, &cinder, vec![book("a", 1)], at(1)).await;
    assert_eq!(store.due(at(1), 10).await.unwrap(), []);

    for (trigger, still_due) in [(Trigger::Read, false), (Trigger::Webhook, true)] {
        let (held, _) = lease(&store, &cinder, at(2)).await;
        store.mark_due(&marked, trigger, at(3)).await.unwrap();
        assert_eq!(store.due(at(3), 10).await.unwrap(), [], "it is being refreshed");
        store.commit(commit_of(&held, fetched(vec![book("a", 1)], at(4)), at(4))).await.unwrap();
        assert_eq!(!store.due(at(4), 10).await.unwrap().is_empty(), still_due, "{trigger}");
    }
}

/// What is retried is due by itself: a reader's wish for it is no event that it has to answer.
pub async fn a_readers_mark_leaves_what_is_retried_to_its_retry<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let half = Write { complete: false, pending: vec!["x".into()], due_at: at(5), ..fetched(vec![], at(0)) };
    write(&store, &cinder, half, at(0)).await;
    for (trigger, marked) in [(Trigger::Read, false), (Trigger::Webhook, true), (Trigger::Read, true)] {
        store.mark_due(std::slice::from_ref(&cinder), trigger, at(1)).await.unwrap();
        assert_eq!(row(&store, &cinder).await.entry.marked, marked, "{trigger}");
        assert_eq!(store.due(at(1), 10).await.unwrap(), std::slice::from_ref(&cinder), "{trigger}");
    }
}

/// Nor does it end a wait that began a moment before: nothing is sent inside a Retry-After because a reader
/// came.
pub async fn a_readers_mark_ends_no_backoff<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = [key("shelf/cinder")];
    fail(&store, &cinder[0], at(0)).await;
    store.mark_due(&cinder, Trigger::Read, at(1)).await.unwrap();
    let entry = row(&store, &cinder[0]).await.entry;
    assert_eq!((entry.marked, entry.due_at), (false, at(60)));
    assert_eq!(store.due(at(1), 10).await.unwrap(), []);
    assert_eq!(store.due(at(60), 10).await.unwrap(), cinder);
    store.mark_due(&cinder, Trigger::Manual, at(2)).await.unwrap();
    assert_eq!(store.due(at(2), 10).await.unwrap(), cinder, "a hand does");
}

/// A failure that a clock noted which was a year ahead is not waited for until then.
pub async fn a_wait_noted_by_a_clock_that_was_ahead_is_over<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (ahead, long, dead) = (key("shelf/ahead"), key("shelf/long"), key("shelf/dead"));
    let days = |days: u64| at(days * 86_400);
    fail(&store, &ahead, days(365)).await;
    // Waits of a month, noted by a clock that is right, or that was a moment ahead.
    for (key, now) in [(&long, at(0)), (&dead, at(30))] {
        let (held, before) = lease(&store, key, now).await;
        let tired = Write { attempts: 8, faults: 8, due_at: days(30), ..super::build::failed(&before, now) };
        store.commit(commit_of(&held, tired, now)).await.unwrap();
    }
    assert_eq!(store.due(at(1), 10).await.unwrap(), std::slice::from_ref(&ahead));
    let entry = row(&store, &ahead).await.entry;
    let yearly = Policy::with_ttl(Duration::from_hours(24 * 400));
    let definition = Definition::new(Fingerprint::trusted("one"), yearly);
    assert!(entry.is_due(&definition, at(1)), "whoever looks closer finds the same");
    store.invalidate(&Target::Tag("red".to_owned()), at(1)).await.unwrap();
    assert_eq!(store.due(at(2), 10).await.unwrap(), [ahead], "also where markers are compared");
}

/// Only what failed is replayed.
pub async fn dead_entries_get_a_new_start<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (dead, fine) = (key("shelf/dead"), key("shelf/fine"));
    refresh(&store, &fine, vec![], at(0)).await;
    let (held, before) = lease(&store, &dead, at(0)).await;
    let tired = Write {
        attempts: 8,
        faults: 8,
        due_at: at(0).plus(Duration::from_hours(6)),
        ..super::build::failed(&before, at(0))
    };
    store.commit(commit_of(&held, tired, at(0))).await.unwrap();
    assert_eq!(store.replay(&Target::All, at(1)).await.unwrap(), 1);
    let entry = row(&store, &dead).await.entry;
    assert_eq!((entry.attempts, entry.faults, entry.due_at, entry.marked), (0, 0, at(1), true));
    assert!(!row(&store, &fine).await.entry.marked);
    assert_eq!(store.due(at(1), 10).await.unwrap(), [dead]);
}

/// Marked ones and those past their backoff, the earliest first; never what merely expired.
pub async fn what_wants_a_refresh_is_due_in_order<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (expired, waiting, marked, unknown) =
        (key("shelf/expired"), key("shelf/waiting"), key("shelf/marked"), key("shelf/unknown"));
    refresh(&store, &expired, vec![], at(0)).await;
    fail(&store, &waiting, at(0)).await;
    let half = Write { complete: false, pending: vec!["x".into()], due_at: at(50), ..fetched(vec![], at(0)) };
    write(&store, &unknown, half, at(0)).await;
    store.mark_due(std::slice::from_ref(&marked), Trigger::Schedule, at(10)).await.unwrap();
    assert_eq!(store.due(at(20), 10).await.unwrap(), std::slice::from_ref(&marked));
    assert_eq!(store.due(at(100_000), 10).await.unwrap(), [marked.clone(), unknown, waiting]);
    assert_eq!(store.due(at(100_000), 1).await.unwrap(), [marked]);
}
