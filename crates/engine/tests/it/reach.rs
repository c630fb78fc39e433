//! The store is out of reach: who is served what, for how long, and how it ends.

use std::time::Duration;

use larder_core::{Key, Mode, Policy, Scope, Status, StoreError, Time, Trigger};
use larder_engine::{Hit, News, ReadError, Reading};
use larder_testkit::{Fault, Step};

use crate::world::{FOLLOW_EVERY, HOUR, MINUTE, SECOND, World, shown, with_mode};

/// `tools` is public, `mixed` half, `bunker` private; all read once.
async fn warm() -> (World, [Key; 3]) {
    let world = World::remembering();
    world.source.private("vault", 1);
    world.source.private("cellar", 1);
    let keys = [
        world.source.entry("tools", &["a", "b"]),
        world.source.entry("mixed", &["a", "vault"]),
        world.source.entry("bunker", &["cellar"]),
    ];
    world.pass(FOLLOW_EVERY).await;
    for key in &keys {
        world.read(key).await.unwrap();
    }
    world.pass(2 * FOLLOW_EVERY).await;
    (world, keys)
}

fn names(reading: &Result<Reading, ReadError>) -> Vec<String> {
    reading.iter().flat_map(shown).map(|(name, _)| name).collect()
}

fn is_out(reading: &Result<Reading, ReadError>) -> bool {
    matches!(reading, Err(ReadError::Store(error)) if matches!(**error, StoreError::Unreachable { .. }))
}

async fn all(world: &World, keys: &[Key]) -> Vec<Result<Reading, ReadError>> {
    world.run(world.engine.load_many(keys, &with_mode(Mode::Normal))).await
}

#[tokio::test]
async fn readers_are_served_from_memory_and_told_so_and_nothing_is_refreshed() {
    let (world, keys) = warm().await;
    let (cut_at, calls) = (world.now(), world.source.call_count());
    world.store.cut();
    world.pass(2 * SECOND).await;
    let reading = world.read(&keys[0]).await.unwrap();
    assert_eq!((reading.hit, reading.status), (Hit::Stale, Status::Stale));
    assert_eq!(shown(&reading).len(), 2);
    let out = reading.out_of_reach.unwrap();
    assert!(out.since >= cut_at && out.since.since(cut_at) <= Duration::from_millis(100), "{out:?}");
    let error = reading.error.unwrap();
    assert_eq!(error.code, "store_unreachable");
    assert_eq!(world.engine.out_of_reach().map(|out| out.since), Some(out.since));
    // Forced or expired: no lease, no fetch.
    world.run(world.engine.read(&keys[0], &with_mode(Mode::Forced))).await.unwrap();
    world.clock.advance(10 * HOUR);
    world.pass(SECOND).await;
    world.read(&keys[0]).await.unwrap();
    world.run(world.engine.refresh_due(10, |_| {})).await.unwrap_err();
    assert_eq!(world.source.call_count(), calls);
    // What memory does not hold is not made up.
    let cold = world.source.entry("cold", &["a"]);
    assert!(is_out(&world.read(&cold).await));
    assert_eq!(world.source.call_count(), calls);
}

#[tokio::test]
async fn it_recovers_by_itself() {
    let (world, keys) = warm().await;
    let mut news = world.engine.news();
    world.store.cut();
    world.pass(MINUTE).await;
    assert!(world.read(&keys[0]).await.unwrap().out_of_reach.is_some());
    world.store.mend();
    world.pass(SECOND).await;
    let reading = world.read(&keys[0]).await.unwrap();
    assert_eq!((reading.hit, reading.out_of_reach, reading.error), (Hit::Hit, None, None));
    assert_eq!(world.engine.out_of_reach(), None);
    let heard: Vec<News> = std::iter::from_fn(|| news.try_recv().ok()).collect();
    assert!(matches!(heard[..], [News::Lost(_), News::Found]), "{heard:?}");
}

#[tokio::test]
async fn what_changed_meanwhile_is_seen_at_once_when_it_is_back() {
    let (mut world, keys) = warm().await;
    let (other, _) = world.another_process();
    world.store.cut();
    world.pass(10 * SECOND).await;
    world.source.present("a", 2);
    world.run(other.refresh(&keys, Trigger::Manual, |_| {})).await;
    assert_eq!(shown(&world.read(&keys[0]).await.unwrap())[0].1, 1);
    world.store.mend();
    world.pass(SECOND).await;
    assert_eq!(shown(&world.read(&keys[0]).await.unwrap())[0].1, 2);
}

#[tokio::test]
async fn private_items_are_served_while_their_proof_is_recent_and_public_ones_on() {
    let (world, keys) = warm().await;
    let cut_at = world.now();
    world.store.cut();
    world.pass(2 * SECOND).await;
    let early = all(&world, &keys).await;
    assert_eq!(early.iter().map(|one| names(one).len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert!(early[1].as_ref().unwrap().out_of_reach.unwrap().is_proven);
    world.clock.set(cut_at.plus(5 * MINUTE));
    world.pass(SECOND).await;
    let late = all(&world, &keys).await;
    assert_eq!(names(&late[0]), ["a", "b"]);
    assert_eq!(names(&late[1]), ["a"]);
    assert!(is_out(&late[2]), "it shows nothing public");
    assert!(!late[1].as_ref().unwrap().out_of_reach.unwrap().is_proven);
    let every = late.iter().flatten().flat_map(|reading| &reading.stored.members);
    assert!(every.into_iter().all(|member| member.item.scope == Scope::Public));
}

#[tokio::test]
async fn a_clock_that_is_set_back_proves_nothing() {
    let (world, keys) = warm().await;
    world.store.cut();
    world.pass(2 * SECOND).await;
    world.clock.set(world.now().minus(HOUR));
    let readings = all(&world, &keys).await;
    assert_eq!(names(&readings[1]), ["a"]);
    assert!(is_out(&readings[2]));
}

#[tokio::test]
async fn past_stale_if_error_nobody_is_served() {
    let world = World::remembering();
    let policy = Policy { jitter: 0.0, ttl: HOUR, stale_if_error: Some(HOUR), ..Policy::default() };
    world.source.policy(policy);
    let key = world.source.entry("tools", &["a"]);
    world.pass(FOLLOW_EVERY).await;
    world.read(&key).await.unwrap();
    world.pass(2 * FOLLOW_EVERY).await;
    let read_at = world.now();
    world.store.cut();
    world.pass(2 * SECOND).await;
    world.clock.set(read_at.plus(2 * HOUR).minus(10 * SECOND));
    assert!(world.read(&key).await.is_ok());
    world.clock.set(read_at.plus(2 * HOUR).plus(10 * SECOND));
    assert!(is_out(&world.read(&key).await));
}

#[tokio::test]
async fn a_reader_who_wants_it_younger_than_memory_has_it_is_refused() {
    let (world, keys) = warm().await;
    world.store.cut();
    world.pass(MINUTE).await;
    let request = larder_core::Request { max_age: Some(SECOND), ..larder_core::Request::default() };
    let options = larder_engine::ReadOptions { request, ..larder_engine::ReadOptions::default() };
    assert!(is_out(&world.run(world.engine.read(&keys[0], &options)).await));
}

#[tokio::test]
async fn a_store_that_hangs_is_waited_for_once_and_not_by_every_reader() {
    let (world, keys) = warm().await;
    world.store.inflict(Fault::Hang, &Step::ALL);
    let stalled_at = world.now();
    world.pass(Duration::from_millis(900)).await;
    let trusted = world.read(&keys[0]).await.unwrap();
    assert_eq!((trusted.hit, world.now().since(stalled_at) < SECOND), (Hit::Hit, true));
    world.pass(Duration::from_millis(200)).await;
    let waited = |since: Time| world.now().since(since);
    let began = world.now();
    let first = world.read(&keys[0]).await.unwrap();
    assert!(first.out_of_reach.is_some());
    assert!(waited(began) <= SECOND, "{:?}", waited(began));
    let began = world.now();
    for _ in 0..100 {
        assert!(world.read(&keys[0]).await.unwrap().out_of_reach.is_some());
    }
    assert_eq!(waited(began), Duration::ZERO);
    world.store.mend();
    world.pass(2 * SECOND).await;
    assert_eq!(world.read(&keys[0]).await.unwrap().out_of_reach, None);
}

#[tokio::test]
async fn a_store_that_can_be_asked_but_not_followed_is_asked() {
    for fault in [Fault::Hang, Fault::Unreachable] {
        let (mut world, keys) = warm().await;
        let (other, _) = world.another_process();
        world.store.inflict(fault, &[Step::Pulse, Step::Feed]);
        world.pass(3 * SECOND).await;
        world.source.present("a", 2);
        world.run(other.refresh(&keys, Trigger::Manual, |_| {})).await;
        let reading = world.read(&keys[0]).await.unwrap();
        assert_eq!((reading.hit, reading.out_of_reach, shown(&reading)[0].1), (Hit::Hit, None, 2));
        world.store.cut();
        world.pass(3 * SECOND).await;
        assert!(world.read(&keys[0]).await.unwrap().out_of_reach.is_some());
        world.store.inflict(fault, &[Step::Pulse, Step::Feed]);
        world.pass(3 * SECOND).await;
        assert_eq!(world.read(&keys[0]).await.unwrap().out_of_reach, None, "{fault:?}");
    }
}

#[tokio::test]
async fn without_a_follower_a_reader_finds_the_store_again_itself() {
    let (world, keys) = warm().await;
    // The follower hangs for good, and the store is gone for everybody else.
    world.store.inflict(Fault::Hang, &[Step::Pulse]);
    world.pass(Duration::from_millis(60)).await;
    world.store.cut();
    world.pass(Duration::from_millis(10)).await;
    world.clock.advance(2 * SECOND);
    assert!(world.read(&keys[0]).await.unwrap().out_of_reach.is_some());
    world.store.mend();
    world.clock.advance(3 * SECOND);
    assert_eq!(world.read(&keys[0]).await.unwrap().out_of_reach, None);
}

#[tokio::test]
async fn with_no_memory_it_is_an_error_as_it_always_was() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.store.cut();
    assert!(is_out(&world.read(&key).await));
}

#[tokio::test]
async fn a_list_waits_for_a_store_that_hangs_as_a_reader_does_and_not_at_all_once_that_is_known() {
    let (world, _) = warm().await;
    let store = world.engine.within_reach();
    let is_silent =
        async || matches!(world.run(store.rows(None, None, 10)).await, Err(StoreError::Unreachable { .. }));
    world.store.inflict(Fault::Hang, &Step::ALL);
    let began = world.now();
    assert!(is_silent().await);
    assert!(world.now().since(began) <= SECOND, "{:?}", world.now().since(began));
    let asked = world.store.stretches();
    for _ in 0..60 {
        world.pass(SECOND).await;
        let began = world.now();
        assert!(is_silent().await);
        assert_eq!(world.now().since(began), Duration::ZERO);
    }
    assert_eq!(world.store.stretches(), asked, "whoever follows the store asks for all");
    world.store.mend();
    world.pass(2 * SECOND).await;
    assert_eq!(world.run(store.rows(None, None, 10)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_list_that_is_slow_or_fails_by_itself_is_no_outage() {
    let (world, _) = warm().await;
    let store = world.engine.within_reach();
    world.store.inflict(Fault::Slow(5 * SECOND), &[Step::List]);
    assert_eq!(world.run(store.rows(None, None, 10)).await.unwrap().len(), 3);
    world.store.inflict(Fault::Unreachable, &[Step::List]);
    world.run(store.rows(None, None, 10)).await.unwrap_err();
    assert_eq!(world.engine.out_of_reach(), None);
}

#[tokio::test]
async fn an_entry_so_large_that_it_takes_long_is_read_and_no_outage() {
    let (mut world, keys) = warm().await;
    let (other, _) = world.another_process();
    let mut news = world.engine.news();
    world.store.inflict_on(keys[0].clone(), Fault::Slow(5 * SECOND));
    world.source.present("a", 2);
    world.run(other.refresh(&keys[..1], Trigger::Manual, |_| {})).await;
    world.pass(100 * FOLLOW_EVERY).await;
    // What else there is, is answered from memory meanwhile.
    let began = world.now();
    assert_eq!(world.read(&keys[2]).await.unwrap().hit, Hit::Hit);
    assert_eq!(world.now(), began);
    let reading = world.read(&keys[0]).await.unwrap();
    assert_eq!((reading.hit, reading.out_of_reach, shown(&reading)[0].1), (Hit::Hit, None, 2));
    let heard: Vec<News> = std::iter::from_fn(|| news.try_recv().ok()).collect();
    assert!(!heard.iter().any(|news| matches!(news, News::Lost(_))), "{heard:?}");
}

#[tokio::test]
async fn what_alone_cannot_be_looked_up_is_served_from_memory_as_stale() {
    let (world, keys) = warm().await;
    world.store.inflict_on(keys[0].clone(), Fault::Unreachable);
    let reading = world.run(world.engine.read(&keys[0], &with_mode(Mode::Forced))).await.unwrap();
    assert_eq!((reading.status, reading.out_of_reach.is_some()), (Status::Stale, true));
    assert_eq!(world.engine.out_of_reach(), None);
}

#[tokio::test]
async fn that_it_cannot_be_written_is_known_until_it_can_and_readers_are_served() {
    let (world, keys) = warm().await;
    assert_eq!(world.engine.unwritable_since(), None);
    let full_at = world.now();
    world.store.fail_at(&[Step::Acquire, Step::Commit, Step::Mark]);
    world.refresh(&keys[0]).await.result.unwrap_err();
    assert!(world.engine.unwritable_since().is_some_and(|since| since >= full_at));
    let reading = world.read(&keys[0]).await.unwrap();
    assert_eq!((reading.hit, reading.out_of_reach), (Hit::Hit, None));
    // A lease is little: that there is room for it says nothing of what a fetch brings.
    world.store.fail_at(&[Step::Commit]);
    world.source.present("a", 2);
    world.refresh(&keys[0]).await.result.unwrap_err();
    world.run(world.engine.mark_due(&keys[1..2], Trigger::Manual)).await.unwrap();
    assert!(world.engine.unwritable_since().is_some());
    world.store.mend();
    // The lease of what could not be stored ends.
    world.clock.advance(HOUR);
    world.pass(SECOND).await;
    world.refresh(&keys[0]).await.result.unwrap();
    assert_eq!(world.engine.unwritable_since(), None);
}

#[tokio::test]
async fn who_may_read_and_not_write_is_told_so_as_where_nobody_can_until_a_write_succeeds() {
    let (world, keys) = warm().await;
    let denied_at = world.now();
    world.store.inflict(Fault::Denied, &[Step::Acquire, Step::Commit, Step::Mark]);
    let error = world.refresh(&keys[0]).await.result.unwrap_err();
    assert!(error.to_string().contains("cannot be written: the test forbids it"), "{error}");
    assert_eq!(error.hints(), ["ask the test"]);
    assert!(world.engine.unwritable_since().is_some_and(|since| since >= denied_at));
    assert_eq!(world.engine.out_of_reach(), None);
    let store = world.engine.within_reach();
    let marked = world.run(store.mark_due(&keys[1..2], Trigger::Manual, world.now())).await;
    assert!(matches!(marked, Err(StoreError::ReadOnly { .. })), "{marked:?}");
    let reading = world.read(&keys[0]).await.unwrap();
    assert_eq!((reading.hit, reading.out_of_reach), (Hit::Hit, None));
    world.store.mend();
    world.refresh(&keys[0]).await.result.unwrap();
    assert_eq!(world.engine.unwritable_since(), None);
}

/// A table that a later version made may be none of theirs yet.
#[tokio::test]
async fn who_may_not_write_everything_is_not_told_that_nothing_is_refreshed() {
    let (world, keys) = warm().await;
    world.store.inflict(Fault::Denied, &[Step::Mark]);
    let store = world.engine.within_reach();
    for _ in 0..2 {
        let marked = world.run(store.mark_due(&keys[1..2], Trigger::Manual, world.now())).await;
        assert!(matches!(marked, Err(StoreError::ReadOnly { .. })), "{marked:?}");
        assert_eq!(world.engine.unwritable_since(), None);
        world.refresh(&keys[0]).await.result.unwrap();
    }
}

#[tokio::test]
async fn who_may_not_even_read_has_a_store_out_of_reach() {
    let (world, keys) = warm().await;
    world.store.inflict(Fault::Denied, &Step::ALL);
    let error = world.refresh(&keys[0]).await.result.unwrap_err();
    assert!(error.to_string().contains("could not do as it was told"), "{error}");
    assert_eq!(world.engine.unwritable_since(), None);
    world.pass(2 * SECOND).await;
    assert!(world.read(&keys[0]).await.unwrap().out_of_reach.is_some());
    world.store.mend();
    world.pass(SECOND).await;
    assert_eq!((world.engine.out_of_reach(), world.engine.unwritable_since()), (None, None));
}
