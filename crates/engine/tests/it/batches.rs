//! Entries that travel together do not wait for each other longer than they must, nor for a store
//! that hangs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Ask, Clock, Definition, FetchError, Fetched, Fingerprint, Json, Key, Policy, Source, Time, Trigger,
};
use larder_engine::{Engine, ReadOptions, RefreshError};
use larder_testkit::{Fault, Step, VirtualClock};

use crate::world::{SECOND, World};

/// Each entry with the time that its fetch takes, and its hard time-out, in seconds.
#[derive(Clone)]
struct Paced {
    clock: VirtualClock,
    pace: Arc<BTreeMap<Key, (u64, u64)>>,
}

#[async_trait]
impl Source for Paced {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "paced"
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        let (_, hard) = self.pace.get(key)?;
        let policy = Policy { hard_timeout: Duration::from_secs(*hard), jitter: 0.0, ..Policy::default() };
        Some(Arc::new(Definition::new(Fingerprint::of(&["paced"]), policy)))
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.clock.sleep(Duration::from_secs(self.pace[&ask.key].0)).await;
        Ok(Fetched::body(Json::from(serde_json::json!({}))))
    }
}

fn key(name: &str) -> Key {
    Key::new("paced", &[name]).unwrap()
}

/// An engine on entries of such paces.
fn paced(world: &mut World, entries: &[(&str, u64, u64)]) -> Engine {
    let pace = entries.iter().map(|(name, takes, hard)| (key(name), (*takes, *hard))).collect();
    let source = Paced { clock: world.clock.clone(), pace: Arc::new(pace) };
    world.another_process_with(Arc::new(source)).0
}

/// Refreshes as one batch, and says when each landed, in whole seconds since `from`.
async fn landings(world: &World, engine: &Engine, keys: &[Key], from: Time) -> BTreeMap<Key, (u64, bool)> {
    let landed = Mutex::new(BTreeMap::new());
    let note = |refreshed: &larder_engine::Refreshed| {
        let after = world.now().since(from).as_secs();
        landed.lock().unwrap().insert(refreshed.key.clone(), (after, refreshed.result.is_ok()));
    };
    world.run(engine.refresh(keys, Trigger::Manual, note)).await;
    landed.into_inner().unwrap()
}

#[tokio::test]
async fn each_entry_of_a_batch_has_a_hard_time_out_of_its_own() {
    let mut world = World::new();
    let engine = paced(&mut world, &[("hasty", 10, 2), ("patient", 10, 30), ("hanging", 1000, 20)]);
    let keys = ["hasty", "patient", "hanging"].map(key);
    let landed = landings(&world, &engine, &keys, world.now()).await;
    let expected = [("hanging", (20, false)), ("hasty", (2, false)), ("patient", (10, true))];
    assert_eq!(landed, expected.map(|(name, when)| (key(name), when)).into());
    let log = world.log().await;
    let hasty = log.iter().find(|line| line.key == key("hasty")).unwrap();
    assert_eq!(hasty.error.as_deref(), Some("no answer within 2 s"));
}

#[tokio::test]
async fn the_slowest_flight_that_a_forced_batch_meets_keeps_none_of_the_others_waiting() {
    let mut world = World::new();
    let engine = paced(&mut world, &[("slow", 25, 60), ("quick", 1, 60), ("idle", 1, 60)]);
    let began = world.now();
    for name in ["slow", "quick"] {
        let (engine, key) = (engine.clone(), key(name));
        tokio::spawn(async move { engine.read(&key, &ReadOptions::default()).await });
    }
    world.settle().await;
    let keys = ["slow", "quick", "idle"].map(key);
    let landed = landings(&world, &engine, &keys, began).await;
    let expected = [("idle", (1, true)), ("quick", (2, true)), ("slow", (50, true))];
    assert_eq!(landed, expected.map(|(name, when)| (key(name), when)).into());
}

#[tokio::test]
async fn flights_that_land_together_are_fetched_again_together() {
    let world = World::new();
    let keys = [world.source.entry("one", &["a"]), world.source.entry("two", &["b"])];
    world.source.latency(SECOND);
    let first = tokio::spawn({
        let (engine, keys) = (world.engine.clone(), keys.clone());
        async move { engine.load_many(&keys, &ReadOptions::default()).await }
    });
    world.settle().await;
    world.run(world.engine.refresh(&keys, Trigger::Manual, |_| {})).await;
    world.run(first).await.unwrap();
    let calls: Vec<usize> = world.source.calls().iter().map(|call| call.keys.len()).collect();
    assert_eq!(calls, [2, 2]);
}

#[tokio::test]
async fn a_store_that_hangs_ends_every_wait() {
    for step in [Step::Acquire, Step::Commit, Step::Renew] {
        let world = World::remembering();
        let key = world.source.entry("tools", &["a"]);
        world.source.latency(10 * SECOND);
        world.store.inflict(Fault::Hang, &[step]);
        let began = world.now();
        let refreshed = world.refresh(&key).await;
        let took = world.now().since(began);
        match step {
            Step::Renew => assert!(refreshed.result.is_ok(), "the lease held for long enough"),
            _ => assert!(matches!(refreshed.result, Err(RefreshError::Store(_))), "{:?}", refreshed.result),
        }
        assert!(took <= 30 * SECOND, "{step:?}: {took:?}");
        world.store.mend();
        world.pass(16 * SECOND).await;
        assert!(world.refresh(&key).await.result.is_ok(), "{step:?}: and it goes on");
    }
}
