//! What a reader gets, and how often the source is asked for it.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Mode, Policy, Request, Status, Trigger};
use larder_engine::{Behind, Hit, ReadError, ReadOptions};

use crate::world::{HOUR, MINUTE, SECOND, World, network, shown, with_mode};

#[tokio::test]
async fn a_cold_key_is_fetched_once_and_served_from_the_store_from_then_on() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "b"]);
    let first = world.read(&key).await.unwrap();
    assert_eq!((first.hit, first.status), (Hit::Miss, Status::Fresh));
    assert_eq!(shown(&first), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    let second = world.read(&key).await.unwrap();
    assert_eq!((second.hit, second.stored), (Hit::Hit, first.stored));
    assert_eq!(world.source.call_count(), 1);
}

#[tokio::test]
async fn a_stale_copy_is_served_at_once_and_refreshed_behind_the_reader() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.pass(7 * HOUR).await;
    world.source.present("a", 2);
    world.source.latency(5 * SECOND);
    let before = world.now();
    let stale = world.read(&key).await.unwrap();
    assert_eq!((stale.hit, shown(&stale)[0].1), (Hit::Stale, 1));
    assert_eq!(world.now(), before, "the reader did not wait");
    world.pass(6 * SECOND).await;
    let fresh = world.read(&key).await.unwrap();
    assert_eq!((fresh.hit, shown(&fresh)[0].1), (Hit::Hit, 2));
    assert_eq!(world.source.call_count(), 2);
}

#[tokio::test]
async fn a_thousand_readers_of_a_cold_key_in_two_engines_make_one_call() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(Duration::from_millis(700));
    let (other, _) = world.another_process();
    let options = ReadOptions::default();
    let readers =
        (0..1000).map(|n| if n % 2 == 0 { world.engine.clone() } else { other.clone() }).map(|engine| {
            let key = key.clone();
            tokio::spawn(async move { engine.read(&key, &options).await })
        });
    let readers: Vec<_> = readers.collect();
    let readings = world.run(futures::future::join_all(readers)).await;
    assert!(readings.iter().all(|reading| shown(reading.as_ref().unwrap().as_ref().unwrap())[0].1 == 1));
    assert_eq!(world.source.call_count(), 1);
}

#[tokio::test]
async fn a_batch_is_one_lookup_and_one_call_with_an_error_per_key() {
    let world = World::new();
    let fresh = world.source.entry("fresh", &["a"]);
    world.read(&fresh).await.unwrap();
    let cold = world.source.entry("cold", &["b"]);
    let gone = world.source.entry("gone", &["c"]);
    world.source.no_such_entry(&gone);
    let foreign = "fake/never-heard-of".parse().unwrap();
    let elsewhere = "other/thing".parse().unwrap();
    let (calls, lookups) = (world.source.call_count(), world.store.lookups());
    let keys = [cold.clone(), foreign, gone.clone(), fresh.clone(), elsewhere, cold.clone()];
    let readings = world.run(world.engine.load_many(&keys, &ReadOptions::default())).await;
    assert_eq!(readings[0].as_ref().unwrap().hit, Hit::Miss);
    assert!(matches!(&readings[1], Err(ReadError::Unknown(key)) if key.name() == "never-heard-of"));
    assert!(matches!(&readings[2], Err(ReadError::Absent { .. })));
    assert_eq!(readings[3].as_ref().unwrap().hit, Hit::Hit);
    assert!(matches!(&readings[4], Err(ReadError::Unknown(_))));
    assert_eq!(readings[5].as_ref().unwrap().stored, readings[0].as_ref().unwrap().stored);
    assert_eq!(world.source.call_count(), calls + 1);
    assert_eq!(world.source.calls().last().unwrap().keys, [cold, gone]);
    assert_eq!(world.store.lookups(), lookups + 1 + 2, "one for the batch, one for each that was fetched");
}

#[tokio::test]
async fn offline_never_goes_upstream() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    let options = with_mode(Mode::Offline);
    assert!(matches!(world.run(world.engine.read(&key, &options)).await, Err(ReadError::NotCached(_))));
    assert_eq!(world.source.call_count(), 0);
    world.read(&key).await.unwrap();
    world.pass(100 * HOUR).await;
    let stale = world.run(world.engine.read(&key, &options)).await.unwrap();
    world.pass(MINUTE).await;
    assert_eq!((stale.hit, world.source.call_count()), (Hit::Stale, 1));
}

#[tokio::test]
async fn a_caller_who_wants_it_younger_waits_for_it() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.pass(2 * HOUR).await;
    world.source.present("a", 2);
    let request = Request { max_age: Some(HOUR), ..Request::default() };
    let options = ReadOptions { request, ..ReadOptions::default() };
    let reading = world.run(world.engine.read(&key, &options)).await.unwrap();
    assert_eq!((reading.hit, shown(&reading)[0].1), (Hit::Miss, 2));
}

#[tokio::test]
async fn past_the_soft_time_out_the_old_copy_is_served_and_the_new_one_is_kept_when_it_comes() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.policy(Policy { stale_while_revalidate: Some(HOUR), jitter: 0.0, ..Policy::default() });
    world.read(&key).await.unwrap();
    world.pass(20 * HOUR).await;
    world.source.present("a", 2);
    world.source.latency(10 * SECOND);
    let before = world.now();
    let late = world.read(&key).await.unwrap();
    assert_eq!((late.hit, shown(&late)[0].1), (Hit::Stale, 1));
    assert_eq!(world.now().since(before), SECOND);
    world.pass(10 * SECOND).await;
    let kept = world.read(&key).await.unwrap();
    assert_eq!((kept.hit, shown(&kept)[0].1, world.source.call_count()), (Hit::Hit, 2, 2));
}

#[tokio::test]
async fn past_the_hard_time_out_a_fetch_is_cancelled_and_counts_against_nobody() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.latency(HOUR);
    let before = world.now();
    let Err(ReadError::Failed { source, .. }) = world.read(&key).await else { panic!("it hangs") };
    assert_eq!(source.to_string(), "no answer within 30 s");
    assert_eq!(world.now().since(before), 30 * SECOND);
    let row = world.row(&key).await.unwrap();
    assert_eq!((row.attempts, row.faults, row.lease), (1, 0, None));
    world.source.latency(Duration::ZERO);
    world.pass(MINUTE).await;
    assert_eq!(world.read(&key).await.unwrap().hit, Hit::Miss);
}

#[tokio::test]
async fn a_reader_who_goes_away_does_not_take_the_fetch_along() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.close_gate();
    let reader = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    while world.source.call_count() == 0 {
        world.settle().await;
    }
    reader.abort();
    assert!(reader.await.unwrap_err().is_cancelled());
    world.source.open_gate();
    assert_eq!(world.read(&key).await.unwrap().stored.members.len(), 1);
    assert_eq!(world.source.call_count(), 1);
}

#[tokio::test]
async fn a_process_that_ends_soon_marks_due_and_another_refreshes() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.pass(7 * HOUR).await;
    world.source.present("a", 2);
    let options = ReadOptions { behind: Behind::MarkDue, ..ReadOptions::default() };
    world.run(world.engine.read(&key, &options)).await.unwrap();
    world.pass(MINUTE).await;
    assert_eq!(world.source.call_count(), 1, "it only left word");
    let (other, _) = world.another_process();
    let refreshed = world.run(other.refresh_due(10, |_| {})).await.unwrap();
    assert_eq!((refreshed.len(), &refreshed[0].key), (1, &key));
    assert_eq!(shown(&world.read(&key).await.unwrap())[0].1, 2);
    assert_eq!(world.run(other.refresh_due(10, |_| {})).await.unwrap().len(), 0, "and once is enough");
}

#[tokio::test]
async fn nothing_is_refreshed_merely_because_it_expired() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.pass(100 * HOUR).await;
    assert_eq!(world.run(world.engine.refresh_due(10, |_| {})).await.unwrap().len(), 0);
    assert_eq!(world.source.call_count(), 1);
}

#[tokio::test]
async fn an_edited_entry_is_due_at_once_and_its_unchanged_members_are_served_meanwhile() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "b"]);
    world.read(&key).await.unwrap();
    world.source.entry("tools", &["b", "c"]);
    world.source.close_gate();
    let meanwhile = world.read(&key).await.unwrap();
    assert_eq!((meanwhile.status, shown(&meanwhile)), (Status::Stale, vec![("b".to_owned(), 1)]));
    world.source.open_gate();
    world.pass(SECOND).await;
    let after = world.read(&key).await.unwrap();
    assert_eq!(shown(&after), [("b".to_owned(), 1), ("c".to_owned(), 1)]);
}

#[tokio::test]
async fn the_absence_of_a_whole_entry_is_remembered_for_a_short_while() {
    let world = World::new();
    let key = world.source.entry("nobody", &[]);
    world.source.no_such_entry(&key);
    for _ in 0..10 {
        assert!(matches!(world.read(&key).await, Err(ReadError::Absent { .. })));
    }
    assert_eq!(world.source.call_count(), 1);
    world.pass(2 * MINUTE).await;
    assert!(matches!(world.read(&key).await, Err(ReadError::Absent { .. })));
    assert_eq!(world.source.call_count(), 2);
}

#[tokio::test]
async fn commits_are_announced_and_stand_in_the_log_and_the_feed() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "b"]);
    let mut heard = world.engine.subscribe();
    world.read(&key).await.unwrap();
    assert_eq!(heard.try_recv().unwrap().key, key);
    world.pass(7 * HOUR).await;
    world.source.present("b", 2);
    world.refresh(&key).await;
    world.source.down(Some(network()));
    world.refresh(&key).await.result.unwrap_err();
    let log = world.log().await;
    let lines: Vec<_> =
        log.iter().rev().map(|line| (line.trigger, line.outcome.as_str(), line.items.changed)).collect();
    assert_eq!(
        lines,
        [(Trigger::Read, "updated", 0), (Trigger::Manual, "updated", 1), (Trigger::Manual, "failed", 0)]
    );
    assert_eq!((log[1].items.seen, log[2].items.added, log[1].spent.calls), (2, 2, 1));
    assert!(log[0].error.as_deref().unwrap().contains("could not be reached"));
    let store: &Arc<dyn larder_core::Store> = world.engine.store();
    let feed = store.changes(0, 100).await.unwrap();
    let what: Vec<_> = feed.lines.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(what, ["updated", "updated", "failed"]);
}
