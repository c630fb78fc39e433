//! More than a source fetches at once: each entry has its turn, its own time, and nobody's lease before that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use larder_core::{
    Answers, Ask, Clock, Definition, FetchError, Fetched, Fingerprint, Json, Key, Policy, Source, Spent,
    Status, Store, Trigger,
};
use larder_engine::{Engine, ReadOptions, RefreshError, Refreshed};
use larder_testkit::VirtualClock;

use crate::world::{SECOND, World};

/// Each fetch takes its time, and only so many are done at once.
#[derive(Clone)]
struct Narrow {
    name: &'static str,
    clock: VirtualClock,
    takes: Duration,
    at_once: usize,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    begun: Vec<String>,
    under_way: usize,
    most: usize,
}

impl Narrow {
    fn new(world: &World, takes: Duration, at_once: usize) -> Self {
        Narrow { name: "narrow", clock: world.clock.clone(), takes, at_once, seen: Arc::default() }
    }

    fn begun(&self) -> Vec<String> {
        self.seen.lock().unwrap().begun.clone()
    }

    fn most(&self) -> usize {
        self.seen.lock().unwrap().most
    }
}

#[async_trait]
impl Source for Narrow {
    fn name(&self) -> &str {
        self.name
    }

    fn define(&self, _key: &Key) -> Option<Arc<Definition>> {
        let policy = Policy { jitter: 0.0, ..Policy::default() };
        Some(Arc::new(Definition::new(Fingerprint::of(&["narrow"]), policy)))
    }

    fn at_once(&self) -> usize {
        self.at_once
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        {
            let mut seen = self.seen.lock().unwrap();
            seen.begun.push(ask.key.name().to_owned());
            seen.under_way += 1;
            seen.most = seen.most.max(seen.under_way);
        }
        self.clock.sleep(self.takes).await;
        self.seen.lock().unwrap().under_way -= 1;
        Ok(Fetched::body(Json::from(serde_json::json!({}))))
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        let each = asks.iter().map(async |ask| {
            let answer = self.fetch(ask).await;
            answers.send(&ask.key, answer, Spent { calls: 1, cost: 1 });
        });
        futures::stream::iter(each).for_each_concurrent(self.at_once, |fetch| fetch).await;
    }
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|n| key(&format!("n{n:04}"))).collect()
}

fn key(name: &str) -> Key {
    Key::new("narrow", &[name]).unwrap()
}

/// Lets a hand ask for these.
fn ask_for(engine: &Engine, keys: &[Key]) -> tokio::task::JoinHandle<Vec<Refreshed>> {
    let (engine, keys) = (engine.clone(), keys.to_vec());
    tokio::spawn(async move { engine.refresh(&keys, Trigger::Manual, |_| {}).await })
}

#[tokio::test]
async fn each_of_many_has_its_whole_time_from_when_it_is_its_turn() {
    let mut world = World::new();
    let source = Narrow::new(&world, 10 * SECOND, 4);
    let (engine, _) = world.another_process_with(Arc::new(source.clone()));
    let began = world.now();
    let refreshed = world.run(engine.refresh(&keys(40), Trigger::Manual, |_| {})).await;
    for one in &refreshed {
        assert!(one.result.is_ok(), "{one:?}");
    }
    assert_eq!((source.most(), source.begun().len()), (4, 40));
    assert_eq!(world.now().since(began), 100 * SECOND);
    let log = world.log().await;
    assert!(log.iter().all(|line| line.duration_ms == 10_000), "none is said to have taken the others' time");
}

#[tokio::test]
async fn what_waits_for_its_turn_is_nobodys_lease_and_another_process_fetches_it_at_once() {
    let mut world = World::new();
    let source = Narrow::new(&world, 10 * SECOND, 1);
    let (one, _) = world.another_process_with(Arc::new(source.clone()));
    let (two, _) = world.another_process_with(Arc::new(source.clone()));
    let keys = keys(8);
    one.mark_due(&keys, Trigger::Schedule).await.unwrap();
    let due = tokio::spawn(async move { one.refresh_due(100, |_| {}).await.unwrap() });
    while source.begun().is_empty() {
        world.settle().await;
    }
    let began = world.now();
    world.run(two.read(&keys[7], &ReadOptions::default())).await.unwrap();
    assert_eq!(world.now().since(began), 10 * SECOND);
    assert!(world.run(due).await.unwrap().iter().all(|one| one.result.is_ok()));
    assert_eq!(source.begun().len(), 8, "nothing was fetched twice");
}

#[tokio::test]
async fn who_has_nothing_and_boards_what_waits_for_its_turn_goes_first() {
    let mut world = World::new();
    let source = Narrow::new(&world, 10 * SECOND, 2);
    let (engine, _) = world.another_process_with(Arc::new(source.clone()));
    let keys = keys(60);
    engine.mark_due(&keys, Trigger::Schedule).await.unwrap();
    let due = tokio::spawn({
        let engine = engine.clone();
        async move { engine.refresh_due(100, |_| {}).await.unwrap() }
    });
    while source.begun().len() < 2 {
        world.settle().await;
    }
    let began = world.now();
    world.run(engine.read(&keys[50], &ReadOptions::default())).await.unwrap();
    assert!(world.now().since(began) <= 20 * SECOND, "{:?}", world.now().since(began));
    assert_eq!(source.begun()[2], "n0050");
    assert!(world.run(due).await.unwrap().iter().all(|one| one.result.is_ok()));
}

#[tokio::test]
async fn a_stop_waits_for_what_has_begun_and_not_for_what_waits_for_its_turn() {
    let mut world = World::new();
    let source = Narrow::new(&world, 10 * SECOND, 2);
    let (engine, _) = world.another_process_with(Arc::new(source.clone()));
    let hand = ask_for(&engine, &keys(20));
    while source.begun().len() < 2 {
        world.settle().await;
    }
    let began = world.now();
    assert!(world.run(engine.shutdown(60 * SECOND)).await, "all that had begun came in");
    assert!(world.now().since(began) <= 10 * SECOND);
    let refreshed = world.run(hand).await.unwrap();
    let (came, rest): (Vec<_>, Vec<_>) = refreshed.iter().partition(|one| one.result.is_ok());
    assert_eq!((came.len(), rest.len()), (2, 18));
    assert!(rest.iter().all(|one| matches!(one.result, Err(RefreshError::Interrupted))), "{rest:?}");
    assert!(world.store.due(world.now(), 100).await.unwrap().is_empty(), "no attempt was counted");
}

/// An engine of two sources on the world's store, one of which is slow.
fn both(world: &World, slow: &Narrow) -> Engine {
    let store: Arc<dyn Store> = world.store.clone();
    Engine::builder(store, Arc::new(world.clock.clone()))
        .source(Arc::new(world.source.clone()))
        .source(Arc::new(slow.clone()))
        .build()
}

#[tokio::test]
async fn a_source_with_much_in_the_air_is_given_no_more_and_keeps_no_other_from_its_turn() {
    let world = World::new();
    for (at_once, air_max) in [(usize::MAX, 512), (4, 16)] {
        let slow = Narrow { name: "narrow", ..Narrow::new(&world, 20 * SECOND, at_once) };
        let engine = both(&world, &slow);
        let due = keys(1_100);
        engine.mark_due(&due, Trigger::Schedule).await.unwrap();
        let quick = world.source.entry(&format!("tools{at_once}"), &["a"]);
        world.pass(SECOND).await;
        engine.mark_due(std::slice::from_ref(&quick), Trigger::Watch).await.unwrap();
        let running = tokio::spawn({
            let engine = engine.clone();
            async move { engine.run(SECOND).await }
        });
        world.pass(15 * SECOND).await;
        assert_eq!(world.status(&quick).await, Status::Fresh, "{at_once} at once");
        assert!(slow.most() <= air_max, "{} at once", slow.most());
        world.pass(90 * SECOND).await;
        assert!(slow.most() <= air_max, "{} at once", slow.most());
        let mut begun: BTreeMap<String, usize> = BTreeMap::new();
        slow.begun().into_iter().for_each(|name| *begun.entry(name).or_default() += 1);
        assert!(begun.values().all(|times| *times == 1), "none twice");
        assert!(begun.len() > 30 && (at_once == 4 || begun.len() == 1_100), "{} were fetched", begun.len());
        engine.interrupt().await;
        running.await.unwrap();
    }
}
