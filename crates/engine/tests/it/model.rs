//! A seeded life of three processes on one file: readers, hands, events, outages, deaths, by chance.
//! What must hold is checked after every step, and once more when the upstream is well again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Answers, Ask, Definition, Extent, FetchError, Fetched, Key, LeaseAsk, LimitKind, MemberState,
    Mode, Policy, Source, Status, Store, Target, Time, Trigger,
};
use larder_engine::{Engine, Hit, ReadError, ReadOptions, Reading};
use larder_testkit::{FakeSource, FaultyStore, Step};
use tokio::task::JoinHandle;

use crate::world::{HOUR, MINUTE, SECOND, World, network, shown, unusable, with_mode};

/// The fake source, watched for two fetches of one key at once.
#[derive(Clone)]
struct Watched {
    inner: FakeSource,
    flying: Arc<Mutex<HashMap<Key, usize>>>,
    most: Arc<Mutex<usize>>,
}

struct Flying(Watched, Vec<Key>);

impl Drop for Flying {
    fn drop(&mut self) {
        let mut flying = self.0.flying.lock().unwrap();
        self.1.iter().for_each(|key| *flying.get_mut(key).unwrap() -= 1);
    }
}

impl Watched {
    fn take_off(&self, asks: &[Ask]) -> Flying {
        let keys: Vec<Key> = asks.iter().map(|ask| ask.key.clone()).collect();
        let mut flying = self.flying.lock().unwrap();
        let mut most = self.most.lock().unwrap();
        for key in &keys {
            let count = flying.entry(key.clone()).or_default();
            *count += 1;
            *most = (*most).max(*count);
        }
        Flying(self.clone(), keys)
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
        let _flying = self.take_off(std::slice::from_ref(ask));
        self.inner.fetch(ask).await
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        let _flying = self.take_off(asks);
        self.inner.fetch_many(asks, answers).await;
    }
}

/// A read, and if it was forced, the revisions that the upstream had when it was asked for.
type Read = JoinHandle<(Key, Option<HashMap<&'static str, u64>>, Result<Reading, ReadError>)>;

/// Names that the upstream always has; the others come and go.
const STEADY: usize = 4;
const NAMES: [&str; 7] = ["a", "b", "c", "d", "x", "y", "z"];

struct Life {
    world: World,
    source: Watched,
    processes: Vec<(Engine, Arc<FaultyStore>)>,
    keys: Vec<Key>,
    chance: fastrand::Rng,
    revision: u64,
    reads: Vec<Read>,
    /// The revisions that the upstream has now.
    upstream: HashMap<&'static str, u64>,
    /// By entry, the names that it showed.
    seen: BTreeMap<Key, HashSet<String>>,
    gone_once: HashSet<&'static str>,
    /// Entries whose attempts began anew by a hand.
    uncounted: HashSet<Key>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        world.source.policy(Policy { jitter: 0.0, attempts: u32::MAX, ..Policy::default() });
        let source = Watched { inner: world.source.clone(), flying: Arc::default(), most: Arc::default() };
        let keys = vec![
            world.source.entry("one", &["a", "b", "c", "x"]),
            world.source.entry("two", &["b", "c", "d", "y", "z"]),
            world.source.entry("three", &["a"]),
            world.source.entry("four", &["d", "x", "a", "z"]),
        ];
        let processes = (0..3).map(|_| world.another_process_with(Arc::new(source.clone()))).collect();
        Life {
            world,
            source,
            processes,
            keys,
            chance: fastrand::Rng::with_seed(seed),
            revision: 1,
            reads: Vec::new(),
            upstream: NAMES.iter().map(|name| (*name, 1)).collect(),
            seen: BTreeMap::new(),
            gone_once: HashSet::new(),
            uncounted: HashSet::new(),
        }
    }

    fn pick(&mut self) -> Key {
        self.keys[self.chance.usize(..self.keys.len())].clone()
    }

    fn engine(&mut self) -> Engine {
        self.processes[self.chance.usize(..self.processes.len())].0.clone()
    }

    fn start_read(&mut self) {
        let (engine, key) = (self.engine(), self.pick());
        let mode = if self.chance.u8(..4) == 0 { Mode::Forced } else { Mode::Normal };
        let at_least = (mode == Mode::Forced).then(|| self.upstream.clone());
        self.reads.push(tokio::spawn(async move {
            let reading = engine.read(&key, &with_mode(mode)).await;
            (key, at_least, reading)
        }));
    }

    /// Something changes upstream, or is not answered for.
    fn change(&mut self) {
        let name = NAMES[self.chance.usize(..NAMES.len())];
        let fickle = NAMES[STEADY + self.chance.usize(..NAMES.len() - STEADY)];
        self.revision += 1;
        match self.chance.u8(..8) {
            0 => self.world.source.unknown(name),
            1 => {
                self.gone_once.insert(fickle);
                self.world.source.absent(fickle);
            }
            2 => self.world.source.private(fickle, self.revision),
            _ => {
                self.upstream.insert(name, self.revision);
                self.world.source.present(name, self.revision);
            }
        }
    }

    fn weather(&mut self) {
        let until = self.world.now().plus(10 * MINUTE);
        let limited = FetchError::Limited { kind: LimitKind::Primary, until, message: "limit".to_owned() };
        let down = [None, None, Some(network()), Some(unusable()), Some(limited)];
        self.world.source.down(down[self.chance.usize(..down.len())].clone());
        let latency = [0, 0, 1, 5, 20, 40];
        self.world.source.latency(SECOND * latency[self.chance.usize(..latency.len())]);
    }

    async fn event(&mut self) {
        let (engine, key) = (self.engine(), self.pick());
        let keys = vec![key.clone()];
        match self.chance.u8(..6) {
            0 => drop(engine.invalidate(&Target::Keys(keys)).await.unwrap()),
            1 => drop(engine.invalidate(&Target::Tag("fake".to_owned())).await.unwrap()),
            2 => drop(engine.mark_due(&keys, Trigger::Webhook).await.unwrap()),
            3 => drop(engine.mark_due(&keys, Trigger::Read).await.unwrap()),
            4 => drop(tokio::spawn(async move { engine.refresh(&keys, Trigger::Manual, |_| {}).await })),
            _ => drop(tokio::spawn(async move { engine.refresh_due(3, |_| {}).await })),
        }
    }

    /// A process is killed while it holds a lease, or is stopped and another comes.
    async fn death(&mut self) {
        if self.chance.bool() {
            let key = self.pick();
            let ask = LeaseAsk {
                key,
                owner: "killed".into(),
                length: 15 * SECOND,
                unless_newer_than: None,
                extent: Extent::Whole,
            };
            let acquired = self.world.store.acquire(&[ask], self.world.now()).await.unwrap();
            assert!(matches!(acquired[0], Acquired::Granted(..) | Acquired::Held(_)));
        } else {
            let index = self.chance.usize(..self.processes.len());
            let (stopped, _) = self.processes.remove(index);
            let grace = if self.chance.bool() { Duration::ZERO } else { 3 * SECOND };
            self.world.run(stopped.shutdown(grace)).await;
            self.processes.push(self.world.another_process_with(Arc::new(self.source.clone())));
        }
    }

    /// One process cannot write, or not even read, for a while.
    fn full_disk(&mut self) {
        let steps = [&[][..], &[], &[Step::Commit], &[Step::Acquire], &[Step::Lookup]];
        let failing = steps[self.chance.usize(..steps.len())];
        self.processes[self.chance.usize(..self.processes.len())].1.fail_at(failing);
    }

    /// Somebody edits an entry's names, or replays what failed.
    async fn hand(&mut self) {
        let (engine, key) = (self.engine(), self.pick());
        if self.chance.bool() {
            engine.replay(&Target::All).await.unwrap();
            self.uncounted.extend(self.keys.clone());
            return;
        }
        self.end_reads().await;
        let names: Vec<&str> = NAMES.into_iter().filter(|_| self.chance.u8(..3) > 0).collect();
        self.world.source.entry(key.name(), &names);
        engine.reconcile().await.unwrap();
        self.seen.remove(&key);
        self.uncounted.insert(key);
    }

    async fn end_reads(&mut self) {
        for read in std::mem::take(&mut self.reads) {
            drop(self.world.run(read).await.unwrap());
        }
    }

    async fn step(&mut self) {
        match self.chance.u8(..22) {
            0..=7 => self.start_read(),
            8..=11 => self.change(),
            12..=13 => self.weather(),
            14..=16 => self.event().await,
            17 => self.death().await,
            18 => self.full_disk(),
            19 => self.hand().await,
            20 => self.world.pass(Duration::from_millis(self.chance.u64(1..5_000))).await,
            _ => self.world.pass(MINUTE * self.chance.u32(1..400)).await,
        }
        self.world.settle().await;
        self.check().await;
    }

    /// What holds at every moment.
    async fn check(&mut self) {
        assert!(*self.source.most.lock().unwrap() <= 1, "two fetches of one key at once");
        let (ended, under_way) =
            std::mem::take(&mut self.reads).into_iter().partition(JoinHandle::is_finished);
        self.reads = under_way;
        for read in ended {
            let (key, at_least, reading) = read.await.unwrap();
            if let Ok(reading) = reading {
                self.check_reading(&key, &reading, at_least);
            }
        }
        for key in self.keys.clone() {
            let Some(stored) = self.world.stored(&key).await else { continue };
            let mut names = HashSet::new();
            assert!(
                stored.members.iter().all(|member| names.insert(&member.item.of)),
                "an item stands twice"
            );
            let pending = &stored.entry.pending;
            assert!(pending.is_empty() || !stored.entry.complete, "{stored:?}");
        }
    }

    fn check_reading(&mut self, key: &Key, reading: &Reading, at_least: Option<HashMap<&'static str, u64>>) {
        let now_shown: HashMap<String, u64> = shown(reading).into_iter().collect();
        let seen = self.seen.entry(key.clone()).or_default();
        for name in seen.iter().filter(|name| !self.gone_once.contains(name.as_str())) {
            assert!(now_shown.contains_key(name), "{key} lost {name}, which the upstream has: {reading:?}");
        }
        seen.extend(now_shown.keys().cloned());
        let Some(at_least) = at_least else { return };
        if reading.hit != Hit::Miss {
            assert!(reading.error.is_some(), "a hand was given the old copy and no reason: {reading:?}");
            return;
        }
        let pending = &reading.stored.entry.pending;
        for (name, revision) in &now_shown {
            let mut members = reading.stored.members.iter();
            // What is gone by now is shown as it was.
            let is_unknown = pending.iter().any(|unknown| **unknown == *name.as_str())
                || members.any(|member| *member.asked == **name && member.state == MemberState::Absent);
            let wanted = at_least.get(name.as_str()).copied().unwrap_or_default();
            assert!(is_unknown || *revision >= wanted, "{name}: {revision}, yet {wanted} was there before");
        }
    }

    /// Attempts are the failures since the last success: nothing interrupted, overtaken or not
    /// needed is among them.
    async fn check_counts(&self) {
        let mut counted: HashMap<Key, u32> = HashMap::new();
        for line in self.world.log().await.into_iter().rev() {
            let attempts = counted.entry(line.key.clone()).or_default();
            match line.outcome.as_str() {
                "updated" | "not_modified" | "absent" => *attempts = 0,
                "failed" | "partial" => *attempts += 1,
                "interrupted" | "superseded" | "unneeded" => {}
                other => panic!("{other}"),
            }
        }
        for key in self.keys.iter().filter(|key| !self.uncounted.contains(*key)) {
            let row = self.world.row(key).await.map_or(0, |row| row.attempts);
            assert_eq!(row, counted.get(key).copied().unwrap_or_default(), "{key}");
        }
    }

    /// Fresh at some time since then: it may have expired again, for which nobody probes.
    async fn check_well(&self, key: &Key, since: Time) {
        let row = self.world.row(key).await.unwrap();
        let at = row.fetched_at.unwrap().max(since);
        let status = row.status(self.world.source.define(key).as_deref(), at);
        assert_eq!((status, row.attempts, row.complete), (Status::Fresh, 0, true), "{row:?}");
    }

    /// The upstream is well again: what failed heals with no hand on it, and then there is rest.
    async fn heal(&mut self) {
        self.world.source.down(None);
        self.world.source.latency(Duration::ZERO);
        self.revision += 1;
        for name in NAMES {
            self.world.source.present(name, self.revision);
        }
        for (_, store) in &self.processes {
            store.fail_at(&[]);
        }
        self.end_reads().await;
        self.world.pass(2 * MINUTE).await;
        self.check_counts().await;
        let mut failed = Vec::new();
        for key in &self.keys {
            let row = self.world.row(key).await;
            failed.extend(row.filter(|row| row.attempts > 0 || row.marked).map(|_| key.clone()));
        }
        let (engine, healed_at) = (self.engine(), self.world.now());
        let running = tokio::spawn({
            let engine = engine.clone();
            async move { engine.run(MINUTE).await }
        });
        self.world.pass(35 * MINUTE).await;
        for key in &failed {
            self.check_well(key, healed_at).await;
        }
        let (options, read_at) = (ReadOptions::default(), self.world.now());
        for reading in self.world.run(engine.load_many(&self.keys, &options)).await {
            reading.unwrap();
        }
        self.world.pass(5 * MINUTE).await;
        let (calls, lines) = (self.source.inner.call_count(), self.world.log().await.len());
        for key in &self.keys {
            self.check_well(key, read_at).await;
        }
        self.world.pass(2 * HOUR).await;
        assert_eq!(
            (self.source.inner.call_count(), self.world.log().await.len()),
            (calls, lines),
            "it spins"
        );
        engine.interrupt().await;
        running.await.unwrap();
        assert_eq!(self.world.store.verify().await.unwrap(), []);
    }
}

#[tokio::test]
async fn whatever_happens_nothing_is_lost_and_all_heals() {
    for seed in 0..10 {
        let life = tokio::spawn(async move {
            let mut life = Life::new(seed);
            for _ in 0..60 {
                life.step().await;
            }
            life.heal().await;
        });
        if let Err(failed) = life.await {
            panic!("with seed {seed}: {failed}");
        }
    }
}
