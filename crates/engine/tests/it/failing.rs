//! Right under failure: what is served, what is retried, what is set aside.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Key, Mode, RefreshState, Status, Target, Trigger};
use larder_engine::{Hit, ReadError};
use larder_testkit::{FakeSource, Step};

use crate::world::{HOUR, MINUTE, SECOND, World, network, shown, unusable, with_mode};

#[tokio::test]
async fn github_down_for_three_days_and_back() {
    let world = World::new();
    let keys: Vec<_> = (0..12)
        .map(|n| world.source.entry(&format!("c{n}"), &[&format!("r{n}"), &format!("s{n}")]))
        .collect();
    for key in &keys {
        world.read(key).await.unwrap();
    }
    let running = tokio::spawn({
        let engine = world.engine.clone();
        async move { engine.run(MINUTE).await }
    });
    world.source.down(Some(network()));
    for n in 0..12 {
        world.source.present(&format!("r{n}"), 2);
    }
    for hour in 0..72 {
        for key in &keys {
            let reading = world.read(key).await.unwrap();
            assert_eq!(shown(&reading)[0].1, 1, "every seen key is served");
            if hour > 6 {
                assert_eq!((reading.hit, reading.status), (Hit::Stale, Status::Stale));
                assert_ne!(reading.refresh, RefreshState::Dead, "nothing is dead");
                assert!(reading.error.is_some() || reading.refresh == RefreshState::Idle);
            }
        }
        world.pass(HOUR).await;
    }
    let tries = world.source.call_count();
    assert!(tries < 72 * 12 * 24, "backoff keeps the calls few: {tries}");
    world.source.down(None);
    world.pass(20 * MINUTE).await;
    for key in &keys {
        assert_eq!(world.status(key).await, Status::Fresh, "with no hand on it");
        assert_eq!(shown(&world.peek(key).await.unwrap())[0].1, 2);
    }
    world.engine.interrupt().await;
    running.await.unwrap();
}

#[tokio::test]
async fn a_failure_of_the_moment_gets_one_more_try_at_once() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.down(Some(network()));
    world.read(&key).await.unwrap_err();
    assert_eq!(world.source.call_count(), 2);
    let row = world.row(&key).await.unwrap();
    assert_eq!((row.attempts, world.log().await.len(), world.log().await[0].spent.calls), (1, 1, 2));
    world.source.down(Some(unusable()));
    world.pass(MINUTE).await;
    world.read(&key).await.unwrap_err();
    assert_eq!(world.source.call_count(), 3, "what cannot succeed on retry is not retried");
}

#[tokio::test]
async fn a_forced_read_that_fails_serves_the_old_copy_and_says_why() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.source.down(Some(network()));
    let reading = world.run(world.engine.read(&key, &with_mode(Mode::Forced))).await.unwrap();
    assert_eq!(shown(&reading)[0].1, 1);
    assert_eq!(reading.error.unwrap().code, "network");
}

#[tokio::test]
async fn a_broken_entry_dies_is_tried_once_per_ttl_and_a_replay_revives_it() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.source.down(Some(unusable()));
    world.pass(7 * HOUR).await;
    for _ in 0..8 {
        world.read(&key).await.unwrap();
        world.pass(20 * MINUTE).await;
    }
    assert_eq!(world.source.call_count(), 1 + 8);
    let dead = world.read(&key).await.unwrap();
    assert_eq!((dead.refresh, shown(&dead)[0].1), (RefreshState::Dead, 1));
    for _ in 0..4 {
        world.pass(HOUR).await;
        world.read(&key).await.unwrap();
    }
    assert_eq!(world.source.call_count(), 9, "left alone");
    world.pass(3 * HOUR).await;
    world.read(&key).await.unwrap();
    world.pass(SECOND).await;
    assert_eq!(world.source.call_count(), 10, "but for once per TTL");
    world.source.down(None);
    assert_eq!(world.engine.replay(&Target::Keys(vec![key.clone()])).await.unwrap(), 1);
    world.run(world.engine.refresh_due(10, |_| {})).await.unwrap();
    let alive = world.read(&key).await.unwrap();
    assert_eq!((alive.status, alive.refresh), (Status::Fresh, RefreshState::Idle));
}

#[tokio::test]
async fn unknown_items_are_retried_alone_until_they_are_known() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "b", "c"]);
    world.read(&key).await.unwrap();
    world.pass(7 * HOUR).await;
    for name in ["a", "b", "c"] {
        world.source.present(name, 2);
    }
    world.source.unknown("b");
    world.refresh(&key).await.result.unwrap();
    let partial = world.peek(&key).await.unwrap();
    assert_eq!(shown(&partial), [("a".to_owned(), 2), ("b".to_owned(), 1), ("c".to_owned(), 2)]);
    assert!(!partial.stored.entry.complete);
    assert_eq!(partial.refresh, RefreshState::Retrying);
    world.source.present("b", 2);
    world.pass(MINUTE).await;
    world.run(world.engine.refresh_due(10, |_| {})).await.unwrap();
    assert_eq!(world.source.calls().last().unwrap().subsets, [Some(vec!["b".into()])]);
    let whole = world.read(&key).await.unwrap();
    assert_eq!((shown(&whole)[1].1, whole.stored.entry.complete), (2, true));
}

#[tokio::test]
async fn a_full_disk_fails_refreshes_and_not_readers() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.pass(7 * HOUR).await;
    world.store.fail_at(&[Step::Commit]);
    let refreshed = world.refresh(&key).await;
    assert!(refreshed.result.unwrap_err().to_string().contains("no room left"));
    world.store.fail_at(&[Step::Acquire]);
    let reading = world.run(world.engine.read(&key, &with_mode(Mode::Forced))).await.unwrap();
    assert_eq!(shown(&reading)[0].1, 1);
    assert!(reading.error.unwrap().message.contains("no room left"));
    world.store.fail_at(&[Step::Lookup]);
    assert!(matches!(world.read(&key).await, Err(ReadError::Store(_))));
    world.store.fail_at(&[]);
    world.pass(Duration::from_secs(16)).await;
    assert!(world.refresh(&key).await.result.is_ok());
}

#[tokio::test]
async fn a_clock_set_back_by_a_year_leaves_nothing_stuck() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.down(Some(network()));
    world.read(&key).await.unwrap_err();
    world.source.down(None);
    world.clock.set(world.now().minus(Duration::from_hours(24 * 365)));
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 1);
}

#[tokio::test]
async fn a_hand_that_failed_on_a_fresh_entry_is_tried_again_by_itself_and_then_rests() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.source.present("a", 2);
    world.source.down(Some(network()));
    world.refresh(&key).await.result.unwrap_err();
    world.source.down(None);
    world.pass(20 * MINUTE).await;
    assert_eq!(world.run(world.engine.refresh_due(10, |_| {})).await.unwrap().len(), 1);
    let reading = world.peek(&key).await.unwrap();
    assert_eq!((shown(&reading)[0].1, reading.refresh), (2, RefreshState::Idle));
    assert_eq!(world.run(world.engine.refresh_due(10, |_| {})).await.unwrap().len(), 0, "nothing spins");
}

#[tokio::test]
async fn a_hand_that_failed_on_what_was_absent_is_tried_again_by_itself_and_then_rests() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.no_such_entry(&key);
    world.read(&key).await.unwrap_err();
    world.source.down(Some(network()));
    world.refresh(&key).await.result.unwrap_err();
    let before = world.log().await.len();
    let mut asked = 0;
    for _ in 0..60 {
        world.pass(SECOND).await;
        asked += world.run(world.engine.refresh_due(10, |_| {})).await.unwrap().len();
    }
    let lines = world.log().await.len() - before;
    assert!(lines < 12 && asked < 12, "{lines} lines, {asked} turns in a minute");
}

#[tokio::test]
async fn what_the_store_does_not_take_is_not_fetched_again_and_again() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.store.refuse_answers(true);
    let error = world.read(&key).await.unwrap_err();
    assert!(matches!(error, larder_engine::ReadError::Failed { .. }), "{error:?}");
    let row = world.row(&key).await.unwrap();
    let told = row.last_error.as_ref().unwrap();
    assert!(told.message.contains("could not be stored"), "{told:?}");
    assert!(row.attempts == 1 && row.lease.is_none());
    for _ in 0..360 {
        world.pass(10 * SECOND).await;
        world.run(world.engine.refresh_due(10, |_| {})).await.unwrap();
    }
    assert!(world.source.call_count() < 20, "{} calls in an hour", world.source.call_count());
    world.store.refuse_answers(false);
    world.pass(HOUR).await;
    world.run(world.engine.refresh_due(10, |_| {})).await.unwrap();
    assert_eq!(shown(&world.peek(&key).await.unwrap())[0].1, 1, "by itself");
}

#[tokio::test]
async fn failed_entries_that_no_source_knows_any_more_do_not_keep_the_others_from_their_turn() {
    let world = World::new();
    world.source.down(Some(network()));
    for n in 0..5 {
        let gone = world.source.entry(&format!("gone{n}"), &["a"]);
        world.read(&gone).await.unwrap_err();
        world.source.forget(&gone);
    }
    world.pass(SECOND).await;
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap_err();
    world.source.down(None);
    world.pass(MINUTE).await;
    let turn = world.run(world.engine.refresh_due(1, |_| {})).await.unwrap();
    assert_eq!(turn.iter().map(|one| one.key.clone()).collect::<Vec<_>>(), [key]);
}

#[tokio::test]
async fn a_hand_whose_result_cannot_be_read_back_is_told_so_with_the_old_copy() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.source.close_gate();
    let forced = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &with_mode(Mode::Forced)).await }
    });
    while world.source.call_count() < 2 {
        world.settle().await;
    }
    world.source.present("a", 2);
    world.store.fail_at(&[Step::Lookup]);
    world.source.open_gate();
    let reading = world.run(forced).await.unwrap().unwrap();
    assert_eq!((shown(&reading)[0].1, reading.error.map(|error| error.code)), (1, Some("local".to_owned())));
}

#[tokio::test]
async fn what_another_configuration_does_not_know_is_retried_and_replayed_by_this_one() {
    let mut world = World::new();
    let theirs = FakeSource::new(Arc::new(world.clock.clone()));
    let (other, _) = world.another_process_with(Arc::new(theirs.clone()));
    theirs.down(Some(network()));
    let keys: Vec<Key> = (0..40).map(|n| theirs.entry(&format!("theirs-{n:02}"), &["x"])).collect();
    world.run(other.refresh(&keys, Trigger::Manual, |_| {})).await;
    let asked = theirs.call_count();
    let key = world.source.entry("ours", &["a"]);
    for is_replayed in [false, true] {
        world.source.down(Some(network()));
        world.refresh(&key).await.result.unwrap_err();
        world.source.down(None);
        assert_eq!(other.reconcile().await.unwrap().unconfigured, 1);
        if is_replayed {
            assert_eq!(world.engine.replay(&Target::Keys(vec![key.clone()])).await.unwrap(), 1);
        } else {
            world.pass(HOUR).await;
        }
        let turn = world.run(world.engine.refresh_due(1, |_| {})).await.unwrap();
        let turn: Vec<_> = turn.into_iter().map(|one| (one.key, one.result.is_ok())).collect();
        assert_eq!(
            turn,
            [(key.clone(), true)],
            "the others' forty come first, and take no turn of this one's"
        );
    }
    assert_eq!(theirs.call_count(), asked);
}
