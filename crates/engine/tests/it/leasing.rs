//! One flight per entry: across readers, processes, deaths and delays.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Ask, Definition, Extent, FetchError, Fetched, Key, LeaseAsk, Mode, Request, Source, Status,
    Store, Target, Trigger,
};
use larder_engine::{Hit, ReadOptions, RefreshError};
use larder_testkit::{FakeSource, Fault, Step};

use crate::world::{HOUR, MINUTE, SECOND, World, shown, with_mode};

/// Takes the entry's lease for so long as a process that then dies would.
async fn dead_holder(world: &World, key: &larder_core::Key, length: Duration) {
    let ask = LeaseAsk {
        key: key.clone(),
        owner: "killed".into(),
        length,
        unless_newer_than: None,
        extent: Extent::Whole,
    };
    let acquired = world.store.acquire(&[ask], world.now()).await.unwrap();
    assert!(matches!(acquired[0], Acquired::Granted(..)));
}

async fn until_called(world: &World, calls: usize) {
    while world.source.call_count() < calls {
        world.settle().await;
    }
}

#[tokio::test]
async fn when_the_holder_is_killed_the_next_takes_over_at_the_first_look_after_the_lease() {
    for length in [2 * SECOND, 15 * SECOND] {
        let world = World::new();
        let key = world.source.entry("tools", &["a"]);
        dead_holder(&world, &key, length).await;
        let ends = world.now().plus(length);
        // So that its end is at none of the looks of somebody who looks seldom.
        world.pass(Duration::from_millis(193)).await;
        let reading = world.read(&key).await.unwrap();
        assert_eq!(shown(&reading)[0].1, 1);
        let (now, look) = (world.now(), Duration::from_millis(50));
        assert!((ends..=ends.plus(look)).contains(&now), "{now}, and the lease ended at {ends}");
        assert_eq!(world.source.call_count(), 1);
    }
}

#[tokio::test]
async fn a_slow_holder_keeps_its_lease_alive() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(28 * SECOND);
    let (other, _) = world.another_process();
    let options = ReadOptions::default();
    let both = futures::future::join(world.engine.read(&key, &options), other.read(&key, &options));
    let (one, two) = world.run(both).await;
    assert_eq!(shown(&one.unwrap()), shown(&two.unwrap()));
    assert_eq!(world.source.call_count(), 1);
}

#[tokio::test]
async fn a_lease_that_was_granted_late_is_renewed_before_it_ends() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(20 * SECOND);
    // The writer was busy: of the lease's 15 s less than a third is left.
    world.store.inflict(Fault::Slow(11 * SECOND), &[Step::Acquire]);
    world.refresh(&key).await.result.unwrap();
    assert_eq!(world.status(&key).await, Status::Fresh);
}

/// How often who waits 28 s for another process looks up what is held, with this wrong with its store.
async fn lookups_of_who_waits(fault: Option<(Fault, Step)>) -> usize {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(28 * SECOND);
    let (other, store) = world.another_process();
    if let Some((fault, step)) = fault {
        store.inflict(fault, &[step]);
    }
    let options = ReadOptions::default();
    let holding = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &options).await }
    });
    until_called(&world, 1).await;
    let waiting = world.run(other.read(&key, &options)).await.unwrap();
    let held = world.run(holding).await.unwrap().unwrap();
    assert_eq!((shown(&waiting), world.source.call_count()), (shown(&held), 1));
    store.lookups()
}

#[tokio::test]
async fn who_waits_for_another_reads_what_is_held_when_something_happened_and_not_all_the_time() {
    let lookups = lookups_of_who_waits(None).await;
    assert!(lookups < 20, "in 28 s: {lookups}");
}

#[tokio::test]
async fn who_waits_behind_a_slow_line_asks_the_store_no_more_than_another() {
    let lookups = lookups_of_who_waits(Some((Fault::Slow(SECOND / 10), Step::Pulse))).await;
    assert!(lookups < 20, "in 28 s: {lookups}");
}

#[tokio::test]
async fn a_renewal_that_hung_once_does_not_cost_the_lease() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(20 * SECOND);
    let reading = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    until_called(&world, 1).await;
    world.store.inflict(Fault::Hang, &[Step::Renew]);
    world.pass(Duration::from_millis(10_100)).await;
    world.store.mend();
    let reading = world.run(reading).await.unwrap().unwrap();
    assert_eq!((shown(&reading)[0].1, world.source.call_count()), (1, 1));
}

#[tokio::test]
async fn what_comes_late_for_its_lease_is_refused() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.close_gate();
    let (engine, late_key) = (world.engine.clone(), key.clone());
    let late = tokio::spawn(async move { engine.refresh(&[late_key], Trigger::Manual, |_| {}).await });
    until_called(&world, 1).await;
    world.store.fail_at(&[Step::Renew]);
    // A process that is stopped for 20 s: its timers fire late, another has taken over.
    world.clock.advance(20 * SECOND);
    let (other, _) = world.another_process();
    let (taker, taken_key) = (other.clone(), key.clone());
    let taken = tokio::spawn(async move { taker.refresh(&[taken_key], Trigger::Manual, |_| {}).await });
    until_called(&world, 2).await;
    world.source.present("a", 7);
    world.source.open_gate();
    let taken = world.run(taken).await.unwrap();
    assert!(taken[0].result.is_ok(), "{:?}", taken[0].result);
    let late = world.run(late).await.unwrap();
    assert!(
        matches!(late[0].result, Ok(larder_core::Outcome::NotModified) | Err(RefreshError::Superseded)),
        "{:?}",
        late[0].result
    );
    let words: Vec<_> = world.log().await.into_iter().map(|line| line.outcome).collect();
    assert!(words.contains(&"superseded".to_owned()), "{words:?}");
    let row = world.row(&key).await.unwrap();
    assert_eq!(row.version, 1, "one result is in, not two");
}

#[tokio::test]
async fn who_was_overtaken_waits_for_the_others_result() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(25 * SECOND);
    let refresh = |engine: larder_engine::Engine| {
        let key = key.clone();
        tokio::spawn(async move { engine.refresh(&[key], Trigger::Manual, |_| {}).await })
    };
    let late = refresh(world.engine.clone());
    until_called(&world, 1).await;
    world.store.fail_at(&[Step::Renew]);
    // Its lease ends unrenewed after 15 s, its answer comes after 25, and the other's after 45.
    world.clock.advance(20 * SECOND);
    let (other, _) = world.another_process();
    let taken = refresh(other);
    until_called(&world, 2).await;
    world.source.present("a", 7);
    let late = world.run(late).await.unwrap();
    let row = late[0].stored.as_ref().unwrap();
    assert!(matches!(late[0].result, Ok(larder_core::Outcome::NotModified)), "{:?}", late[0].result);
    assert_eq!((row.entry.version, row.members.len()), (1, 1));
    let taken = world.run(taken).await.unwrap();
    assert!(taken[0].result.is_ok(), "{:?}", taken[0].result);
    assert_eq!(world.source.call_count(), 2, "nobody asks a third time");
}

#[tokio::test]
async fn who_overran_a_lease_that_nobody_took_over_is_not_told_that_another_did() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.close_gate();
    let late = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.refresh(&[key], Trigger::Manual, |_| {}).await }
    });
    until_called(&world, 1).await;
    world.store.fail_at(&[Step::Renew]);
    world.clock.advance(20 * SECOND);
    world.source.open_gate();
    let late = world.run(late).await.unwrap();
    let error = late[0].result.as_ref().unwrap_err();
    assert!(matches!(error, RefreshError::LeaseEnded), "{error:?}");
    assert_eq!(error.to_string(), "its lease had ended when the result came, so that it was refused");
    assert!(error.is_retryable());
    assert!(error.hints()[0].contains("`[engine] lease`"), "{:?}", error.hints());
    let row = world.row(&key).await.unwrap();
    assert!(row.fetched_at.is_none(), "what comes late for its lease is refused, as ever");
    let again = world.run(world.engine.refresh(&[key], Trigger::Manual, |_| {})).await;
    again[0].result.as_ref().unwrap();
}

#[tokio::test]
async fn a_forced_refresh_that_meets_a_flight_takes_the_next_one_and_shares_it() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.close_gate();
    let reader = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    until_called(&world, 1).await;
    let forced: Vec<_> = (0..50)
        .map(|_| {
            let (engine, key) = (world.engine.clone(), key.clone());
            tokio::spawn(async move { engine.read(&key, &with_mode(Mode::Forced)).await })
        })
        .collect();
    world.settle().await;
    assert_eq!(world.source.call_count(), 1, "the next flight has not begun");
    world.source.open_gate();
    world.source.present("a", 2);
    world.run(reader).await.unwrap().unwrap();
    for forced in world.run(futures::future::join_all(forced)).await {
        assert_eq!(shown(&forced.unwrap().unwrap())[0].1, 2);
    }
    assert_eq!(world.source.call_count(), 2);
}

#[tokio::test]
async fn a_forced_refresh_never_takes_another_processs_older_result() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.close_gate();
    let (other, _) = world.another_process();
    let reader = tokio::spawn({
        let key = key.clone();
        async move { other.read(&key, &ReadOptions::default()).await }
    });
    until_called(&world, 1).await;
    let forced = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &with_mode(Mode::Forced)).await }
    });
    world.settle().await;
    world.source.open_gate();
    world.run(reader).await.unwrap().unwrap();
    world.source.present("a", 2);
    let forced = world.run(forced).await.unwrap().unwrap();
    assert_eq!((shown(&forced)[0].1, world.source.call_count()), (2, 2));
}

#[tokio::test]
async fn an_invalidation_that_lands_during_a_fetch_wins() {
    for target in [
        |key: &larder_core::Key| Target::Keys(vec![key.clone()]),
        |_: &_| Target::Source("fake".to_owned()),
        |_: &_| Target::Tag("fake".to_owned()),
        |_: &_| Target::All,
    ] {
        let world = World::new();
        let key = world.source.entry("tools", &["a"]);
        world.source.close_gate();
        let reader = tokio::spawn({
            let (engine, key) = (world.engine.clone(), key.clone());
            async move { engine.read(&key, &ReadOptions::default()).await }
        });
        until_called(&world, 1).await;
        world.engine.invalidate(&target(&key)).await.unwrap();
        world.source.open_gate();
        let reading = world.run(reader).await.unwrap().unwrap();
        assert_eq!(shown(&reading)[0].1, 1, "what came is in");
        assert_eq!(world.status(&key).await, Status::Stale, "as stale: {:?}", target(&key));
        world.source.present("a", 2);
        world.read(&key).await.unwrap();
        world.pass(SECOND).await;
        assert_eq!(world.status(&key).await, Status::Fresh);
        assert_eq!(shown(&world.peek(&key).await.unwrap())[0].1, 2);
    }
}

#[tokio::test]
async fn who_takes_nothing_stale_gets_nothing_that_was_invalidated_on_its_way() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.source.close_gate();
    world.engine.invalidate(&Target::All).await.unwrap();
    let request = Request { max_stale: Some(Duration::ZERO), ..Request::default() };
    let reader = |engine: larder_engine::Engine| {
        let (options, key) = (ReadOptions { request, ..ReadOptions::default() }, key.clone());
        tokio::spawn(async move { engine.read(&key, &options).await })
    };
    let early = reader(world.engine.clone());
    until_called(&world, 2).await;
    world.engine.invalidate(&Target::All).await.unwrap();
    // It meets the flight that began before.
    let late = reader(world.engine.clone());
    world.source.open_gate();
    for reading in [early, late] {
        let reading = world.run(reading).await.unwrap().unwrap();
        assert_eq!((reading.hit, reading.status), (Hit::Miss, Status::Fresh));
    }
    assert_eq!(world.source.call_count(), 3);
}

#[tokio::test]
async fn what_is_fetched_for_an_evicted_entry_is_refused() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.close_gate();
    let reader = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.refresh(&[key], Trigger::Manual, |_| {}).await }
    });
    until_called(&world, 1).await;
    world.engine.evict(&Target::All).await.unwrap();
    world.source.open_gate();
    let refreshed = world.run(reader).await.unwrap();
    assert!(matches!(refreshed[0].result, Err(RefreshError::Removed)), "{:?}", refreshed[0].result);
    assert_eq!(world.row(&key).await, None);
}

#[tokio::test]
async fn a_shutdown_waits_for_what_comes_in_time() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(3 * SECOND);
    let reader = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    until_called(&world, 1).await;
    assert!(world.run(world.engine.shutdown(10 * SECOND)).await);
    assert_eq!(shown(&world.run(reader).await.unwrap().unwrap())[0].1, 1);
}

/// The world's source, where it asks nobody.
struct Nearby(FakeSource);

#[async_trait]
impl Source for Nearby {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.0.define(key)
    }

    fn is_worth_waiting_for(&self) -> bool {
        false
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.0.fetch(ask).await
    }
}

#[tokio::test]
async fn a_shutdown_lets_go_at_once_of_what_asks_nobody() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(3 * SECOND);
    let (engine, _) = world.another_process_with(Arc::new(Nearby(world.source.clone())));
    let reader = tokio::spawn({
        let (engine, key) = (engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    until_called(&world, 1).await;
    let began = world.now();
    world.run(engine.shutdown(10 * SECOND)).await;
    assert_eq!(world.now(), began, "no time has passed");
    world.run(reader).await.unwrap().unwrap_err();
    let row = world.row(&key).await.unwrap();
    assert_eq!((row.attempts, row.lease, row.fetched_at), (0, None, None));
    assert_eq!(world.log().await[0].outcome, "interrupted");
}

#[tokio::test]
async fn an_interrupted_attempt_is_not_counted_and_its_lease_is_free_at_once() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(HOUR);
    let reader = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    until_called(&world, 1).await;
    assert!(!world.run(world.engine.shutdown(2 * SECOND)).await);
    world.run(reader).await.unwrap().unwrap_err();
    let row = world.row(&key).await.unwrap();
    assert_eq!((row.attempts, row.lease, row.last_error), (0, None, None));
    assert_eq!(world.log().await[0].outcome, "interrupted");
}

#[tokio::test]
async fn a_failure_in_one_process_holds_back_the_waiters_in_another() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.down(Some(crate::world::unusable()));
    world.source.latency(2 * SECOND);
    let (other, _) = world.another_process();
    let options = ReadOptions::default();
    let both = futures::future::join(world.engine.read(&key, &options), other.read(&key, &options));
    let (one, two) = world.run(both).await;
    assert!(one.is_err() && two.is_err());
    assert_eq!(world.source.call_count(), 1, "its backoff is everybody's");
    world.pass(MINUTE).await;
}

#[tokio::test]
async fn forced_refreshes_of_many_processes_that_meet_a_flight_share_the_next_one() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(2 * SECOND);
    let options = ReadOptions::default();
    let others: Vec<_> = (0..4).map(|_| world.another_process().0).collect();
    let reader = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &options).await }
    });
    until_called(&world, 1).await;
    let forced =
        others.iter().map(|engine| engine.refresh(std::slice::from_ref(&key), Trigger::Manual, |_| {}));
    for refreshed in world.run(futures::future::join_all(forced)).await {
        refreshed[0].result.as_ref().unwrap();
    }
    reader.await.unwrap().unwrap();
    assert_eq!(world.source.call_count(), 2, "one met, and one that all of them share");
}

#[tokio::test]
async fn a_key_that_stands_twice_in_a_batch_is_fetched_once() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    let twice = [key.clone(), key];
    let refreshed = world.run(world.engine.refresh(&twice, Trigger::Manual, |_| {})).await;
    assert!(refreshed.iter().all(|one| one.result.is_ok()) && refreshed.len() == 2);
    assert_eq!(world.source.call_count(), 1);
    for reading in world.run(world.engine.load_many(&twice, &with_mode(Mode::Forced))).await {
        reading.unwrap();
    }
    assert_eq!(world.source.call_count(), 2);
}

#[tokio::test]
async fn a_mark_of_an_event_is_answered_by_a_whole_fetch_and_a_readers_by_the_unknown_items() {
    for (trigger, subset) in [(Trigger::Webhook, None), (Trigger::Read, Some(vec!["b".into()]))] {
        let world = World::new();
        let key = world.source.entry("tools", &["a", "b"]);
        world.source.unknown("b");
        world.read(&key).await.unwrap();
        world.source.present("a", 2);
        world.source.present("b", 2);
        world.pass(MINUTE).await;
        world.engine.mark_due(std::slice::from_ref(&key), trigger).await.unwrap();
        world.run(world.engine.refresh_due(10, |_| {})).await.unwrap();
        assert_eq!(world.source.calls().last().unwrap().subsets, [subset], "{trigger}");
        assert_eq!(world.run(world.engine.refresh_due(10, |_| {})).await.unwrap().len(), 0);
    }
}

#[tokio::test]
async fn who_waits_for_two_flights_of_others_waits_for_as_long_as_both_may_take() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(28 * SECOND);
    let engines = [world.engine.clone(), world.another_process().0, world.another_process().0];
    let mut hands = Vec::new();
    for engine in engines {
        let key = key.clone();
        hands.push(tokio::spawn(async move { engine.refresh(&[key], Trigger::Manual, |_| {}).await }));
        // Each looks at the row at moments of its own.
        world.pass(std::time::Duration::from_millis(20)).await;
    }
    for refreshed in world.run(futures::future::join_all(hands)).await {
        refreshed.unwrap()[0].result.as_ref().unwrap();
    }
    assert_eq!(world.source.call_count(), 2);
}
