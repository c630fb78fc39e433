//! Seventy-two hours without an upstream: copies are served all the time, requests keep to the backoff,
//! nothing good is overwritten, and all heals by itself when it is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Answers, Ask, Clock, Definition, FetchError, Fetched, Key, Policy, Source, Status, Store, Time,
};
use larder_engine::{Engine, ReadError, ReadOptions, Reading};
use larder_testkit::{FakeSource, MemoryStore, VirtualClock};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const OUTAGE: Duration = Duration::from_hours(72);

/// How often a process looks for what is due.
const TURN: Duration = MINUTE;

fn policy() -> Policy {
    Policy { ttl: HOUR, jitter: 0.0, ..Policy::default() }
}

/// The upstream, which takes every request down: of which entry, and when.
#[derive(Clone)]
struct Watched {
    inner: FakeSource,
    clock: VirtualClock,
    store: MemoryStore,
    requests: Arc<Mutex<HashMap<Key, Vec<Time>>>>,
}

impl Watched {
    async fn note(&self, asks: &[Ask]) {
        for ask in asks {
            let row = self.store.lookup(std::slice::from_ref(&ask.key)).await.unwrap().pop().unwrap();
            let (entry, now) = (row.unwrap().entry, self.clock.now());
            // The one immediate retry of a flight is sent under the same lease.
            assert!(entry.attempts == 0 || entry.due_at <= now, "{} before {}", ask.key, entry.due_at);
            self.requests.lock().unwrap().entry(ask.key.clone()).or_default().push(now);
        }
    }

    /// How many requests of each entry there were since then.
    fn since(&self, began: Time) -> HashMap<Key, usize> {
        let all = self.requests.lock().unwrap();
        all.iter().map(|(key, at)| (key.clone(), at.iter().filter(|at| **at >= began).count())).collect()
    }
}

#[async_trait]
impl Source for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.inner.define(key)
    }

    fn keys(&self) -> Vec<Key> {
        self.inner.keys()
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.note(std::slice::from_ref(ask)).await;
        self.inner.fetch(ask).await
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        self.note(asks).await;
        self.inner.fetch_many(asks, answers).await;
    }
}

/// Two processes on one store, many entries, and one that was never fetched.
struct World {
    clock: VirtualClock,
    store: MemoryStore,
    source: Watched,
    processes: Vec<Engine>,
    keys: Vec<Key>,
    cold: Key,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new();
        let store = MemoryStore::new();
        let inner = FakeSource::new(Arc::new(clock.clone()));
        inner.policy(policy());
        // Longer than the other process takes to look at the row, and no more: each look is a step.
        inner.latency(Duration::from_millis(60));
        let keys = (0..8).map(|n| inner.entry(&format!("entry-{n}"), &[&format!("item-{n}"), "shared"]));
        let keys: Vec<Key> = keys.collect();
        let cold = inner.entry("cold", &["never-seen"]);
        let source = Watched { inner, clock: clock.clone(), store: store.clone(), requests: Arc::default() };
        let process = |seed: u64| {
            let builder = Engine::builder(Arc::new(store.clone()), Arc::new(clock.clone()));
            builder.source(Arc::new(source.clone())).owner(format!("process-{seed}")).seed(seed).build()
        };
        let processes = vec![process(1), process(2)];
        World { clock, store, source, processes, keys, cold }
    }

    async fn read(&self, reader: usize, key: &Key) -> Result<Reading, ReadError> {
        let engine = &self.processes[reader % self.processes.len()];
        self.clock.drive(engine.read(key, &ReadOptions::default())).await
    }

    /// A reader comes every ten minutes, to the processes in turn, and reads everything.
    async fn readers(&self, until: Time, see: impl Fn(&Reading)) {
        let mut visit = 0;
        while self.clock.now() < until {
            for key in &self.keys {
                see(&self.read(visit, key).await.expect("a copy is held, and is served"));
            }
            visit += 1;
            self.clock.drive(self.clock.sleep(10 * MINUTE)).await;
        }
    }
}

/// The most requests of one entry that the backoff allows in a span: full jitter waits half the ceiling
/// in the middle of many, and a flight tries a second time at once. A fifth more, for chance.
fn requests_max(policy: &Policy, span: Duration) -> usize {
    let doublings = (policy.backoff_cap.as_secs_f64() / policy.backoff_base.as_secs_f64()).log2().ceil();
    let at_the_cap = span.as_secs_f64() / (policy.backoff_cap.as_secs_f64() / 2.0);
    (2.0 * (doublings + 1.2 * at_the_cap)) as usize
}

fn revision(reading: &Reading) -> Vec<String> {
    reading.stored.members.iter().map(|member| member.item.doc.as_str().to_owned()).collect()
}

#[tokio::test]
async fn through_seventy_two_hours_of_outage_copies_are_served_and_then_all_heals_by_itself() {
    let world = World::new();
    let running: Vec<_> = (world.processes.iter().cloned())
        .map(|engine| tokio::spawn(async move { engine.run(TURN).await }))
        .collect();
    let mut before = HashMap::new();
    for key in &world.keys {
        before.insert(key.clone(), revision(&world.read(0, key).await.unwrap()));
    }

    let cause = "connection refused".to_owned();
    world.source.inner.down(Some(FetchError::Network { host: "fake".to_owned(), cause }));
    for n in 0..8 {
        world.source.inner.present(&format!("item-{n}"), 2);
    }
    let began = world.clock.now();
    assert!(world.read(0, &world.cold).await.is_err(), "there is nothing to serve");
    let expired = began.plus(policy().ttl);
    world
        .readers(began.plus(OUTAGE), |reading| {
            assert_eq!(revision(reading), before[&reading.key], "what was good is shown as it was");
            let is_stale = reading.stored.entry.fresh_until.is_some_and(|until| world.clock.now() >= until);
            assert_eq!(reading.status == Status::Stale, is_stale, "and it is said that it is stale");
        })
        .await;

    let counts = world.source.since(began);
    let (most, ended) = (requests_max(&policy(), OUTAGE), world.clock.now());
    for key in world.keys.iter().chain([&world.cold]) {
        let count = counts[key];
        assert!(count <= most, "{key}: {count} requests, of which the backoff allows {most}");
        assert!(count > most / 2, "{key}: {count} requests: it was given up");
    }
    assert!(ended > expired);

    // Nobody reads, and nobody lifts a hand.
    world.source.inner.down(None);
    let policy = policy();
    world.clock.drive(world.clock.sleep(policy.backoff_cap + TURN + Duration::from_secs(10))).await;
    let healed = world.source.since(ended);
    for key in world.keys.iter().chain([&world.cold]) {
        let stored = world.store.lookup(std::slice::from_ref(key)).await.unwrap().pop().unwrap().unwrap();
        let definition = world.source.define(key);
        let entry = &stored.entry;
        let status = entry.status(definition.as_deref(), world.clock.now());
        assert_eq!((status, entry.attempts, entry.complete), (Status::Fresh, 0, true), "{entry:?}");
        assert_eq!(entry.last_error, None);
        assert_eq!(healed[key], 1, "{key}: one request is enough");
    }
    for (n, key) in world.keys.iter().enumerate() {
        let reading = world.read(0, key).await.unwrap();
        assert!(revision(&reading)[0].contains("\"rev\":2"), "entry {n}: {:?}", revision(&reading));
    }
    assert_eq!(world.store.verify().await.unwrap(), []);
    for engine in &world.processes {
        engine.interrupt().await;
    }
    for run in running {
        run.await.unwrap();
    }
}
