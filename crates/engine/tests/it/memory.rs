//! What memory answers, and what it must not: another process's changes, through whatever is lost.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Change, Key, Mode, Policy, Status, Subject, Target, Trigger};
use larder_engine::{Hit, News, ReadOptions};
use larder_testkit::{Fault, Step};

use crate::world::{FOLLOW_EVERY, HOUR, SECOND, World, follow, network, shown, with_mode};

/// What a reader must see at the latest.
const AT_ONCE: Duration = Duration::from_millis(60);

/// One entry, read once, and the follower at work.
async fn warm() -> (World, Key) {
    let world = World::remembering();
    let key = world.source.entry("tools", &["a"]);
    world.pass(FOLLOW_EVERY).await;
    world.read(&key).await.unwrap();
    world.pass(2 * FOLLOW_EVERY).await;
    (world, key)
}

#[tokio::test]
async fn a_hit_does_not_touch_the_store_and_clones_no_member() {
    let (world, key) = warm().await;
    let lookups = world.store.lookups();
    let first = world.read(&key).await.unwrap();
    let second = world.read(&key).await.unwrap();
    assert_eq!((first.hit, first.status, first.out_of_reach), (Hit::Hit, Status::Fresh, None));
    assert!(Arc::ptr_eq(&first.stored, &second.stored));
    assert_eq!(world.store.lookups(), lookups);
    let offline = world.run(world.engine.read(&key, &with_mode(Mode::Offline))).await.unwrap();
    assert!(Arc::ptr_eq(&first.stored, &offline.stored));
    assert_eq!(world.engine.memory().unwrap().entries, 1);
}

#[tokio::test]
async fn without_a_follower_memory_is_not_believed() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    let lookups = world.store.lookups();
    world.read(&key).await.unwrap();
    assert_eq!(world.store.lookups(), lookups + 1);
    assert_eq!((world.engine.edition(), world.engine.memory()), (None, None));
}

#[tokio::test]
async fn what_is_stale_or_forced_goes_to_the_store() {
    let (world, key) = warm().await;
    world.source.present("a", 2);
    let forced = world.run(world.engine.read(&key, &with_mode(Mode::Forced))).await.unwrap();
    assert_eq!((forced.hit, shown(&forced)[0].1), (Hit::Miss, 2));
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 2, "its own commit is in memory at once");
    world.clock.advance(7 * HOUR);
    world.source.present("a", 3);
    world.pass(FOLLOW_EVERY).await;
    assert_eq!(world.read(&key).await.unwrap().hit, Hit::Stale);
    world.pass(SECOND).await;
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 3);
}

#[tokio::test]
async fn what_another_process_replaced_is_served_within_a_turn() {
    let (mut world, key) = warm().await;
    let (other, _) = world.another_process();
    world.source.present("a", 2);
    world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await;
    world.pass(AT_ONCE).await;
    let lookups = world.store.lookups();
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 2);
    assert_eq!(world.store.lookups(), lookups, "it was looked up again by the follower already");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_keeps_none_out_of_memory_that_changed_with_it() {
    let (mut world, key) = warm().await;
    let (other, _) = world.another_process();
    let spoilt = world.source.entry("spoilt", &["a"]);
    world.read(&spoilt).await.unwrap();
    world.pass(2 * FOLLOW_EVERY).await;
    world.source.present("a", 2);
    world.run(other.refresh(&[key.clone(), spoilt.clone()], Trigger::Manual, |_| {})).await;
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/spoilt'");
    world.pass(AT_ONCE).await;
    let lookups = world.store.lookups();
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 2);
    assert_eq!(world.store.lookups(), lookups);
    world.read(&spoilt).await.unwrap_err();
}

#[tokio::test]
async fn what_changed_while_it_was_looked_up_is_in_memory_soon() {
    let (mut world, _) = warm().await;
    let (other, _) = world.another_process();
    let key = world.source.entry("more", &["b"]);
    world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await;
    world.pass(AT_ONCE).await;
    world.store.inflict(Fault::Hang, &[Step::Lookup]);
    let (ours, our_key) = (world.engine.clone(), key.clone());
    let reading = tokio::spawn(async move { ours.read(&our_key, &ReadOptions::default()).await });
    while world.store.waiting() == 0 {
        world.settle().await;
    }
    world.source.present("b", 2);
    world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await;
    world.pass(AT_ONCE).await;
    world.store.mend();
    assert_eq!(shown(&world.run(reading).await.unwrap().unwrap())[0].1, 2);
    world.pass(FOLLOW_EVERY).await;
    let lookups = world.store.lookups();
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 2);
    assert_eq!(world.store.lookups(), lookups, "an outage that begins now finds it in memory");
}

#[tokio::test]
async fn what_was_made_before_another_s_refresh_was_waited_for_is_not_served_after_it() {
    let (mut world, _) = warm().await;
    let (other, _) = world.another_process();
    let key = world.source.entry("more", &["b"]);
    world.source.close_gate();
    let (theirs, their_key) = (other.clone(), key.clone());
    let fetching = tokio::spawn(async move { theirs.read(&their_key, &ReadOptions::default()).await });
    while world.source.call_count() < 2 {
        world.settle().await;
    }
    world.store.inflict(Fault::Hang, &[Step::Pulse]);
    let edition = world.engine.edition().unwrap();
    let (ours, our_key) = (world.engine.clone(), key.clone());
    let waiting = tokio::spawn(async move { ours.read(&our_key, &ReadOptions::default()).await });
    world.settle().await;
    world.source.open_gate();
    let (theirs, ours) = world.run(futures::future::join(fetching, waiting)).await;
    assert_eq!(shown(&theirs.unwrap().unwrap()), shown(&ours.unwrap().unwrap()));
    assert_eq!(world.source.call_count(), 2);
    let now = world.engine.edition();
    assert!(
        now.is_some_and(|now| now > edition),
        "a list that lacks it is of edition {edition}, now {now:?}"
    );
    world.store.mend();
}

#[tokio::test]
async fn a_notification_wakes_the_follower_before_its_turn() {
    let world = World::remembering();
    let slow = world.engine.clone();
    let key = world.source.entry("tools", &["a"]);
    world.pass(FOLLOW_EVERY).await;
    world.read(&key).await.unwrap();
    world.pass(2 * FOLLOW_EVERY).await;
    drop(slow);
    let mut news = world.engine.news();
    world.engine.store().invalidate(&Target::Keys(vec![key.clone()]), world.now()).await.unwrap();
    world.pass(Duration::from_millis(11)).await;
    world.store.ring();
    world.settle().await;
    let heard = std::iter::from_fn(|| news.try_recv().ok()).collect::<Vec<_>>();
    assert!(
        heard.iter().any(|news| matches!(news, News::Changed(Change { what, .. }) if what == "invalidated")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn markers_of_another_process_reach_what_they_mean_without_emptying_memory() {
    let (mut world, key) = warm().await;
    let (other, _) = world.another_process();
    for target in [Target::Tag("fake".to_owned()), Target::Source("fake".to_owned()), Target::All] {
        world.run(other.invalidate(&target)).await.unwrap();
        world.pass(AT_ONCE).await;
        assert_eq!(world.peek(&key).await.unwrap().status, Status::Stale, "{target:?}");
        assert_eq!(world.engine.memory().unwrap().entries, 1, "it can still stand in");
        world.refresh(&key).await.result.unwrap();
        assert_eq!(world.peek(&key).await.unwrap().status, Status::Fresh);
    }
}

#[tokio::test]
async fn what_another_process_removed_is_gone_from_memory_too() {
    let (mut world, key) = warm().await;
    let (other, _) = world.another_process();
    world.run(other.evict(&Target::Keys(vec![key.clone()]))).await.unwrap();
    world.pass(AT_ONCE).await;
    assert_eq!(world.engine.memory().unwrap().entries, 0);
    world.store.cut();
    world.pass(2 * SECOND).await;
    world.read(&key).await.unwrap_err();
}

#[tokio::test]
async fn a_follower_that_hangs_costs_no_reader_more_than_a_second_of_the_past() {
    for step in [Step::Pulse, Step::Feed] {
        let (mut world, key) = warm().await;
        let (other, _) = world.another_process();
        world.store.lose_word(true);
        world.store.inflict(Fault::Hang, &[step]);
        world.source.present("a", 2);
        let (_, store) = world.another_process();
        world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await;
        let replaced = world.now();
        drop(store);
        while world.now().since(replaced) < 1001 * Duration::from_millis(1) {
            world.pass(Duration::from_millis(7)).await;
        }
        assert_eq!(shown(&world.peek(&key).await.unwrap())[0].1, 2, "{step:?}");
        world.store.mend();
        world.pass(SECOND).await;
        let lookups = world.store.lookups();
        assert_eq!(shown(&world.peek(&key).await.unwrap())[0].1, 2);
        assert_eq!(world.store.lookups(), lookups, "and memory is believed again");
    }
}

#[tokio::test]
async fn a_reader_that_looked_before_a_change_does_not_bring_the_old_copy_back() {
    let (mut world, _) = warm().await;
    let (other, _) = world.another_process();
    let key = world.source.entry("elsewhere", &["z"]);
    let refresh = async |world: &World| {
        world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await
    };
    refresh(&world).await;
    world.pass(AT_ONCE).await;
    world.store.inflict(Fault::Late, &[Step::Lookup]);
    let lookups = world.store.lookups();
    let late = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    world.settle().await;
    assert_eq!(world.store.lookups(), lookups + 1, "it has looked, and waits for its answer");
    world.source.present("z", 2);
    refresh(&world).await;
    world.pass(AT_ONCE).await;
    world.store.mend();
    let old = late.await.unwrap().unwrap();
    assert_eq!(shown(&old)[0].1, 1);
    assert_eq!(shown(&world.peek(&key).await.unwrap())[0].1, 2);
}

#[tokio::test]
async fn an_upstream_that_fails_is_answered_for_from_memory_until_it_is_tried_again() {
    let (world, key) = warm().await;
    world.source.policy(Policy { backoff_base: HOUR, backoff_cap: HOUR, jitter: 0.0, ..Policy::default() });
    world.source.down(Some(network()));
    world.clock.advance(7 * HOUR);
    world.pass(FOLLOW_EVERY).await;
    world.read(&key).await.unwrap();
    world.pass(Duration::from_millis(70)).await;
    let backing_off = world.peek(&key).await.unwrap();
    assert_eq!(backing_off.hit, Hit::Stale);
    assert!(backing_off.error.is_some());
    let lookups = world.store.lookups();
    assert!(Arc::ptr_eq(&world.peek(&key).await.unwrap().stored, &backing_off.stored));
    assert_eq!(world.store.lookups(), lookups);
}

#[tokio::test]
async fn an_edited_entry_is_not_answered_from_memory() {
    let (world, key) = warm().await;
    world.source.entry("tools", &["a", "b"]);
    world.read(&key).await.unwrap();
    world.pass(SECOND).await;
    assert_eq!(shown(&world.read(&key).await.unwrap()).len(), 2);
}

#[tokio::test]
async fn one_follower_an_engine_and_it_tells_what_anybody_commits_in_order() {
    let (mut world, key) = warm().await;
    assert!(!world.run(world.engine.follow(0, FOLLOW_EVERY)).await, "there is one");
    let mut news = world.engine.news();
    let (other, _) = world.another_process();
    world.source.present("a", 2);
    world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await;
    world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await;
    world.pass(AT_ONCE).await;
    let heard: Vec<News> = std::iter::from_fn(|| news.try_recv().ok()).collect();
    let changes: Vec<_> = heard
        .iter()
        .filter_map(|news| match news {
            News::Changed(Change { on: Subject::Entry(key), what, .. }) => Some((key.clone(), what.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(changes, [(key.clone(), "updated")], "the second changed nothing that is seen");
    let refreshed =
        heard.iter().filter(|news| matches!(news, News::Refreshed { line, .. } if line.key == key)).count();
    assert_eq!(refreshed, 2);
}

/// A server that idles looks at its store all day.
#[tokio::test]
async fn where_nothing_happens_the_store_is_looked_at_less_often_and_what_comes_is_seen_all_the_same() {
    let (mut world, key) = warm().await;
    world.store.lose_word(true);
    let (other, _) = world.another_process();
    world.pass(15 * SECOND).await;
    let taken = async |world: &World, span| {
        let before = world.store.pulses();
        world.pass(span).await;
        world.store.pulses() - before
    };
    let quiet = taken(&world, 10 * SECOND).await;
    assert!((40..=60).contains(&quiet), "{quiet} looks in ten quiet seconds");
    world.source.present("a", 2);
    world.run(other.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {})).await;
    world.pass(5 * FOLLOW_EVERY).await;
    let lookups = world.store.lookups();
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 2);
    assert_eq!(world.store.lookups(), lookups, "the follower has looked it up again");
    let after = taken(&world, SECOND).await;
    assert!(after >= 18, "{after} looks in the second after something happened");
}

/// Idle lines go where others of their entry have followed them.
#[tokio::test]
async fn a_line_of_the_log_that_is_gone_makes_no_news_of_those_before_it() {
    let (mut world, key) = warm().await;
    let (other, _) = world.another_process();
    let refreshed = |news: &mut tokio::sync::broadcast::Receiver<News>| {
        let heard = std::iter::from_fn(|| news.try_recv().ok());
        heard.filter(|news| matches!(news, News::Refreshed { .. })).count()
    };
    let mut news = world.engine.news();
    for _ in 0..3 {
        world.pass(SECOND).await;
        world.run(other.refresh(std::slice::from_ref(&key), Trigger::Watch, |_| {})).await;
    }
    world.pass(SECOND).await;
    assert_eq!(refreshed(&mut news), 3);
    world.run(other.refresh(std::slice::from_ref(&key), Trigger::Watch, |_| {})).await;
    world.spoil("DELETE FROM refresh_log WHERE nr = (SELECT max(nr) - 1 FROM refresh_log)");
    world.pass(SECOND).await;
    assert_eq!(refreshed(&mut news), 1);
}

#[tokio::test]
async fn an_engine_that_stops_stops_following() {
    let world = World::remembering();
    world.pass(FOLLOW_EVERY).await;
    world.run(world.engine.shutdown(SECOND)).await;
    world.settle().await;
    follow(&world.engine);
    world.settle().await;
    assert!(world.run(world.engine.follow(0, FOLLOW_EVERY)).await, "the ones before have ended");
}
