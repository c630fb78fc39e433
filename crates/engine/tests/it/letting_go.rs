//! What lets go of many leases at once takes no longer than for one, also where the store hangs.

use larder_core::{Clock, Key, Outcome, Store, Trigger};
use larder_engine::RefreshError;
use larder_testkit::{Fault, Step};

use crate::world::{HOUR, SECOND, World};

fn entries(world: &World) -> Vec<Key> {
    (0..20).map(|n| world.source.entry(&format!("c{n}"), &["a"])).collect()
}

#[tokio::test]
async fn an_interrupted_batch_waits_once_for_a_store_that_hangs() {
    let world = World::new();
    let keys = entries(&world);
    world.source.latency(HOUR);
    let engine = world.engine.clone();
    let refreshing = tokio::spawn(async move { engine.refresh(&keys, Trigger::Manual, |_| {}).await });
    while world.source.call_count() == 0 {
        world.settle().await;
    }
    world.store.inflict(Fault::Hang, &[Step::Commit]);
    let began = world.now();
    world.run(world.engine.interrupt()).await;
    let refreshed = world.run(refreshing).await.unwrap();
    let took = world.now().since(began);
    assert!(took <= 16 * SECOND, "{took:?}");
    assert!(refreshed.iter().all(|one| matches!(one.result, Err(RefreshError::Interrupted))));
}

#[tokio::test]
async fn an_end_is_not_waited_for_longer_than_a_lease_lasts() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.store.inflict(Fault::Hang, &[Step::Lookup]);
    let refreshing = tokio::spawn({
        let engine = world.engine.clone();
        async move { engine.refresh(&[key], Trigger::Manual, |_| {}).await }
    });
    // It is in, and what it came to is looked up.
    while world.log().await.is_empty() {
        world.settle().await;
    }
    let began = world.now();
    let ending = async {
        tokio::select! {
            biased;
            () = world.engine.interrupt() => true,
            () = world.clock.sleep(HOUR) => false,
        }
    };
    let ended = world.run(ending).await;
    let took = world.now().since(began);
    assert!(ended && took <= 16 * SECOND, "{took:?}");
    world.store.mend();
    world.run(refreshing).await.unwrap()[0].result.as_ref().unwrap();
}

#[tokio::test]
async fn leases_that_turn_out_not_to_be_needed_are_let_go_of_together() {
    let mut world = World::new();
    let keys = entries(&world);
    world.engine.mark_due(&keys, Trigger::Schedule).await.unwrap();
    let (other, _) = world.another_process();
    world.store.inflict(Fault::Hang, &[Step::Acquire]);
    let began = world.now();
    let late = tokio::spawn({
        let engine = world.engine.clone();
        async move { engine.refresh_due(100, |_| {}).await }
    });
    while world.store.waiting() == 0 {
        world.settle().await;
    }
    for refreshed in other.refresh(&keys, Trigger::Manual, |_| {}).await {
        assert_eq!(refreshed.result.unwrap(), Outcome::Updated);
    }
    world.store.inflict(Fault::Hang, &[Step::Commit]);
    let landed = world.run(late).await.unwrap().unwrap();
    let took = world.now().since(began);
    assert!(took <= 16 * SECOND, "{took:?}");
    assert!(landed.iter().all(|one| matches!(one.result, Ok(Outcome::NotModified))) && landed.len() == 20);
    assert_eq!(world.source.call_count(), 1);
    world.store.mend();
    assert_eq!(world.store.due(world.now(), 100).await.unwrap().len(), 0);
}
