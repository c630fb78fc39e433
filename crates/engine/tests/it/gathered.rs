//! What was committed is looked up with what others committed meanwhile, and nobody pays for another.

use std::sync::Arc;

use larder_core::{Key, Policy, Status, Target, Trigger};
use larder_engine::{ReadOptions, Refreshed};
use larder_testkit::Fault;
use tokio::task::JoinHandle;

use crate::world::{FOLLOW_EVERY, HOUR, MINUTE, World, network};

/// So many entries in memory, whose source fails from now on.
async fn failing(count: usize) -> (World, Vec<Key>) {
    let world = World::remembering();
    let (backoff_base, backoff_cap) = (24 * HOUR, 24 * HOUR);
    world.source.policy(Policy { jitter: 0.0, backoff_base, backoff_cap, ..Policy::default() });
    let keys: Vec<Key> = (0..count).map(|nth| world.source.entry(&format!("c{nth:02}"), &["a"])).collect();
    warm(&world, &keys).await;
    world.source.down(Some(network()));
    (world, keys)
}

async fn warm(world: &World, keys: &[Key]) {
    world.pass(FOLLOW_EVERY).await;
    for reading in world.run(world.engine.load_many(keys, &ReadOptions::default())).await {
        reading.unwrap();
    }
    world.pass(2 * FOLLOW_EVERY).await;
}

/// Refreshes the first, and when the look at what was committed of it is under way, the others; that look
/// comes to its end when it is let go.
async fn begin(world: &World, keys: &[Key]) -> JoinHandle<Vec<Refreshed>> {
    world.store.hold_back_one();
    let first = refresh(world, &keys[..1]);
    world.settle().await;
    let others = refresh(world, &keys[1..]);
    world.settle().await;
    tokio::spawn(async move { [first.await.unwrap(), others.await.unwrap()].concat() })
}

fn refresh(world: &World, keys: &[Key]) -> JoinHandle<Vec<Refreshed>> {
    let (engine, keys) = (world.engine.clone(), keys.to_vec());
    tokio::spawn(async move { engine.refresh_only(&keys, Trigger::Manual, |_| {}).await })
}

/// How often each failed, as memory has it.
async fn attempts_in_memory(world: &World, keys: &[Key]) -> Vec<u32> {
    world.pass(2 * FOLLOW_EVERY).await;
    let lookups = world.store.lookups();
    let mut attempts = Vec::new();
    for key in keys {
        attempts.push(world.peek(key).await.unwrap().stored.entry.attempts);
    }
    assert_eq!(world.store.lookups(), lookups, "it is in memory");
    attempts
}

#[tokio::test]
async fn what_is_committed_while_a_look_is_under_way_is_looked_up_together_in_the_next_one() {
    let (world, keys) = failing(40).await;
    let lookups = world.store.lookups();
    let refreshing = begin(&world, &keys).await;
    assert_eq!(world.store.lookups() - lookups, 1);
    world.store.let_go();
    world.settle().await;
    assert_eq!(world.store.lookups() - lookups, 2);
    let refreshed = world.run(refreshing).await.unwrap();
    assert!(refreshed.iter().all(|one| one.result.is_err()));
    assert_eq!(attempts_in_memory(&world, &keys).await, [1; 40]);
}

#[tokio::test]
async fn a_look_that_takes_long_keeps_none_waiting_that_come_after_it() {
    let (world, keys) = failing(9).await;
    let refreshing = begin(&world, &keys).await;
    let is_landed = |key: &&Key| !world.engine.is_under_way(key);
    world.pass(2 * FOLLOW_EVERY).await;
    assert_eq!(keys.iter().filter(is_landed).count(), 8);
    world.store.let_go();
    world.run(refreshing).await.unwrap();
}

#[tokio::test]
async fn what_is_large_is_looked_up_alone() {
    let world = World::remembering();
    let names: Vec<String> = (0..500).map(|nth| format!("n{nth}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let large = world.source.entry("large", &names);
    let mut keys: Vec<Key> = (0..9).map(|nth| world.source.entry(&format!("c{nth}"), &["a"])).collect();
    keys.push(large.clone());
    warm(&world, &keys).await;
    world.source.down(Some(network()));
    world.store.inflict_on(large.clone(), Fault::Slow(MINUTE));
    let refreshing = refresh(&world, &keys);
    world.settle().await;
    let under_way: Vec<&Key> = keys.iter().filter(|key| world.engine.is_under_way(key)).collect();
    assert_eq!(under_way, [&large]);
    refreshing.abort();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_costs_no_other_its_place_in_memory() {
    let (world, mut keys) = failing(12).await;
    let refreshing = begin(&world, &keys).await;
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/c07'");
    world.store.let_go();
    assert_eq!(world.run(refreshing).await.unwrap().len(), 12);
    let spoilt = keys.remove(7);
    assert_eq!(attempts_in_memory(&world, &keys).await, [1; 11]);
    world.peek(&spoilt).await.unwrap_err();
}

#[tokio::test]
async fn what_is_invalidated_between_the_commit_and_the_look_is_stale() {
    let (mut world, keys) = failing(12).await;
    let (_, other) = world.another_process();
    let refreshing = begin(&world, &keys).await;
    let store: Arc<dyn larder_core::Store> = other;
    store.invalidate(&Target::Keys(vec![keys[7].clone()]), world.now()).await.unwrap();
    world.store.let_go();
    world.run(refreshing).await.unwrap();
    for (nth, key) in keys.iter().enumerate() {
        let status = world.peek(key).await.unwrap().status;
        assert_eq!(status, if nth == 7 { Status::Stale } else { Status::Fresh }, "{key}");
    }
}
