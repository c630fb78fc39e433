//! A life by chance: what readers, hands, events and the weather do to the processes, step by step,
//! and what must hold when all is well again.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use larder_core::{Definition, Key, Mode, Request, Retention, Status, Store, Target, Trigger};
use larder_engine::{Behind, Engine, ReadOptions};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use larder_testkit::MemoryStore;
use tempfile::TempDir;

use super::feed::Follower;
use super::process::Process;
use super::readings::{Asked, check_reading, check_refreshed};
use super::sim::{Sim, State};
use super::store::{Faults, now};
use super::world::{NAMES, Weather, is_private};
use super::{Backing, Setup, panicked};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// No wait of a reader or a hand is longer, whatever else goes wrong.
const WAIT_MAX: u64 = 20 * MINUTE;

/// Where the processes' store is.
enum Place {
    Memory(MemoryStore),
    Sqlite(TempDir),
}

impl Place {
    fn of(backing: Backing) -> Self {
        match backing {
            Backing::Memory => Place::Memory(MemoryStore::new()),
            Backing::Sqlite => {
                // Memory that is a file system, where there is one: nothing here outlives a kill.
                let shared = std::path::Path::new("/dev/shm");
                let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
                Place::Sqlite(dir.unwrap())
            }
        }
    }

    fn open(&self, sim: &Sim) -> Arc<dyn Store> {
        match self {
            Place::Memory(store) => Arc::new(store.clone()),
            Place::Sqlite(dir) => {
                let options = OpenOptions::new(dir.path().join("larder.db"), sim.now());
                Arc::new(SqliteStore::open(options).unwrap())
            }
        }
    }
}

/// What may go wrong in this life; not everything in each, so that what hides behind one fault is
/// found in another life.
#[expect(clippy::struct_excessive_bools, reason = "each is a peril of its own")]
struct Perils {
    kills: bool,
    stops: bool,
    jumps: bool,
    weather: bool,
    store: Faults,
    evictions: bool,
    sweeps: bool,
    edits: bool,
}

/// The one who plays chance.
pub(crate) struct Driver<'a> {
    sim: &'a Arc<Sim>,
    place: Place,
    /// The store as nobody disturbs it, to look on.
    plain: Arc<dyn Store>,
    processes: Vec<Process>,
    born: u64,
    follower: Follower,
    perils: Perils,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(sim: &'a Arc<Sim>, setup: Setup) -> Self {
        let place = Place::of(setup.backing);
        let plain = place.open(sim);
        let follower = Follower::default();
        let perils = Perils::by_chance(sim);
        Driver { sim, place, plain, processes: Vec::new(), born: 0, follower, perils }
    }

    /// From the first start to the rest after everything.
    pub(crate) fn live(mut self) {
        for _ in 0..2 + self.sim.pick(2) {
            self.start();
        }
        let steps = 40 + self.sim.pick(60);
        for _ in 0..steps {
            self.act();
            self.pace();
            if self.is_over() {
                return;
            }
        }
        self.heal();
    }

    fn is_over(&self) -> bool {
        self.sim.is_violated() || panicked()
    }

    fn start(&mut self) {
        self.born += 1;
        let who = format!("p{}", self.born);
        self.sim.note(&who, || "starts".to_owned());
        let process = Process::start(self.sim, self.place.open(self.sim), &who);
        self.set_faults(&process);
        self.processes.push(process);
        // Every start compares what is held with what is configured.
        let engine = self.processes[self.processes.len() - 1].engine.clone();
        self.wish(self.processes.len() - 1, "reconcile", async move {
            drop(engine.reconcile().await);
        });
    }

    fn set_faults(&self, process: &Process) {
        let store = self.perils.store;
        let on = |percent: u8| if self.sim.happens(50) { percent } else { 0 };
        let faults = Faults {
            refused: on(store.refused),
            lost: on(store.lost),
            slow: on(store.slow),
            slow_ms: store.slow_ms,
            deaf: store.deaf,
        };
        *process.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    fn pick(&self) -> usize {
        self.sim.pick(self.processes.len() as u64) as usize
    }

    fn key(&self) -> Key {
        let keys = self.sim.state().keys();
        keys[self.sim.pick(keys.len() as u64) as usize].clone()
    }

    fn some_keys(&self) -> Vec<Key> {
        let keys = self.sim.state().keys();
        let mut some: Vec<Key> = keys.into_iter().filter(|_| self.sim.happens(40)).collect();
        if some.is_empty() {
            some.push(self.key());
        }
        some
    }

    fn name(&self) -> &'static str {
        NAMES[self.sim.pick(NAMES.len() as u64) as usize]
    }

    fn target(&self) -> Target {
        match self.sim.pick(8) {
            0 => Target::All,
            1 => Target::Source("left".to_owned()),
            2 => Target::Tag("every".to_owned()),
            3 => Target::Tag("of-right".to_owned()),
            4 => Target::Tag("extra".to_owned()),
            _ => Target::Keys(self.some_keys()),
        }
    }

    /// One thing happens.
    fn act(&mut self) {
        let chance = self.sim.pick(100);
        match chance {
            0..=27 => self.read(),
            28..=33 => self.refresh(),
            34..=43 => self.change(),
            44..=53 => self.invalidate(),
            54..=57 => self.mark(),
            58..=63 => self.run_due(),
            64..=68 => self.weather(),
            69..=75 => self.kill(),
            76..=79 => self.stop(),
            80..=82 => self.jump(),
            83..=86 => self.evict(),
            87..=89 => self.sweep(),
            90..=92 => self.edit(),
            93 => self.replay(),
            94..=96 => {
                self.follower.follow(self.sim, &*self.plain, 5);
            }
            _ => self.shut_down(),
        }
    }

    /// Starts something in a process that must come to an end as long as the process lives.
    fn wish(&self, process: usize, what: &str, work: impl Future<Output = ()> + Send + 'static) {
        struct Waits(Arc<Sim>, u64);
        impl Drop for Waits {
            fn drop(&mut self) {
                self.0.state().waiting.remove(&self.1);
            }
        }
        let (sim, process) = (self.sim.clone(), &self.processes[process]);
        let id = sim.tick();
        let since = sim.clock.passed();
        sim.state().waiting.insert(id, (since, format!("{} of {}", what, process.who)));
        let waits = Waits(sim, id);
        process.spawn(async move {
            let _waits = waits;
            work.await;
        });
    }

    fn read(&mut self) {
        let (process, keys) = (self.pick(), self.some_keys());
        let keys = if self.sim.happens(70) { vec![keys[0].clone()] } else { keys };
        let mode = match self.sim.pick(10) {
            0 | 1 => Mode::Forced,
            2 => Mode::Offline,
            _ => Mode::Normal,
        };
        let max_age = self.sim.happens(10).then(|| Duration::from_secs(self.sim.pick(900)));
        let behind = if self.sim.happens(20) { Behind::MarkDue } else { Behind::Refresh };
        let options = ReadOptions { request: Request { mode, max_age, max_stale: None }, behind };
        let (sim, who) = (self.sim.clone(), self.processes[process].who.clone());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a read of {}", State::names(&keys)), async move {
            let asked = Asked { tick: sim.tick(), passed: sim.clock.passed(), mode };
            sim.note(&who, || format!("reads {} ({mode:?})", State::names(&keys)));
            for reading in engine.load_many(&keys, &options).await {
                match reading {
                    Ok(reading) => check_reading(&sim, &who, asked, &reading),
                    Err(error) => sim.note(&who, || format!("no answer: {error}")),
                }
            }
        });
    }

    fn refresh(&mut self) {
        let (process, keys) = (self.pick(), self.some_keys());
        let (sim, who) = (self.sim.clone(), self.processes[process].who.clone());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a refresh of {}", State::names(&keys)), async move {
            let asked = Asked { tick: sim.tick(), passed: sim.clock.passed(), mode: Mode::Forced };
            sim.note(&who, || format!("is told to refresh {}", State::names(&keys)));
            let defined: Vec<Option<Arc<Definition>>> = keys.iter().map(|key| engine.define(key)).collect();
            let refreshed = engine.refresh(&keys, Trigger::Manual, |_| {}).await;
            for (one, definition) in refreshed.iter().zip(defined) {
                if let Some(definition) = definition {
                    check_refreshed(&sim, &who, asked, one, &definition);
                }
            }
        });
    }

    /// Something is otherwise upstream from now on.
    fn change(&mut self) {
        let (name, tick) = (self.name(), self.sim.tick());
        let mut state = self.sim.state();
        let what = state.chance.u8(..10);
        match what {
            0 => state.world.remove(name, tick),
            1 => drop(state.world.unknown.insert(name)),
            2 => state.world.unknown.clear(),
            3 => state.world.extra_tag = !state.world.extra_tag,
            _ => state.world.change(name, tick),
        }
        let there = state.world.now(name);
        drop(state);
        self.sim.note("up", || format!("{name} is {there:?} ({what})"));
        // Two fetches that begin within one millisecond cannot be told apart by their times.
        let then = self.sim.clock.passed() + 2;
        self.sim.clock.advance_to(then);
        self.rouse_all();
    }

    fn invalidate(&mut self) {
        let (process, target) = (self.pick(), self.target());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("an invalidation of {target:?}"), async move {
            drop(engine.invalidate(&target).await);
        });
    }

    fn evict(&mut self) {
        if !self.perils.evictions {
            return;
        }
        let (process, target) = (self.pick(), self.target());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("an eviction of {target:?}"), async move {
            drop(engine.evict(&target).await);
        });
    }

    fn mark(&mut self) {
        let (process, keys) = (self.pick(), self.some_keys());
        let trigger = [Trigger::Webhook, Trigger::Read, Trigger::Schedule][self.sim.pick(3) as usize];
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a mark on {}", State::names(&keys)), async move {
            drop(engine.mark_due(&keys, trigger).await);
        });
    }

    fn run_due(&mut self) {
        let (process, limit) = (self.pick(), 1 + self.sim.pick(4) as usize);
        let engine = self.processes[process].engine.clone();
        self.wish(process, "a turn of what is due", async move {
            drop(engine.refresh_due(limit, |_| {}).await);
        });
    }

    fn replay(&mut self) {
        let (process, target) = (self.pick(), self.target());
        let engine = self.processes[process].engine.clone();
        self.wish(process, &format!("a replay of {target:?}"), async move {
            drop(engine.replay(&target).await);
        });
    }

    fn sweep(&mut self) {
        if !self.perils.sweeps {
            return;
        }
        let process = self.pick();
        let brief = Duration::from_secs(self.sim.pick(600));
        let retention = if self.sim.happens(50) {
            Retention::default()
        } else {
            Retention {
                failed: brief,
                log: brief,
                unconfigured: brief,
                feed: brief,
                feed_lines_max: 5 + self.sim.pick(50),
            }
        };
        let engine = self.processes[process].engine.clone();
        self.wish(process, "a sweep", async move {
            drop(engine.sweep(&retention).await);
        });
    }

    /// Somebody edits the names of an entry; every process knows at once.
    fn edit(&mut self) {
        if !self.perils.edits {
            return;
        }
        let (key, process) = (self.key(), self.pick());
        let names: Vec<Arc<str>> =
            NAMES.iter().filter(|_| self.sim.happens(50)).map(|name| Arc::from(*name)).collect();
        if let Some(asked) = self.sim.state().world.entries.get_mut(&key) {
            asked.edition += 1;
            asked.names = names;
        }
        self.sim.note("up", || format!("{key} is edited"));
        let engine = self.processes[process].engine.clone();
        self.wish(process, "a comparison", async move {
            drop(engine.reconcile().await);
        });
    }

    fn weather(&mut self) {
        if !self.perils.weather {
            return;
        }
        let (chance, key) = (self.sim.pick(8), self.key());
        let mut state = self.sim.state();
        let latency = [0, 20, 900, 8_000, 20_000][state.chance.usize(..5)];
        state.world.latency = latency;
        match chance {
            0 => state.world.weather = Weather::Failing(100),
            1 => state.world.weather = Weather::Failing(30),
            2 => state.world.weather = Weather::Hanging,
            3 => drop(state.world.absent.insert(key)),
            4 => state.world.absent.clear(),
            _ => state.world.weather = Weather::Fine,
        }
        let weather = state.world.weather;
        drop(state);
        self.sim.note("up", || format!("{weather:?}, {latency} ms"));
    }

    /// A process is killed, wherever it stands, and another comes.
    fn kill(&mut self) {
        if !self.perils.kills {
            return;
        }
        let process = self.processes.remove(self.pick());
        self.sim.note(&process.who, || "is killed".to_owned());
        self.sim.state().counts.kills += 1;
        drop(process);
        self.start();
    }

    /// A process ends as it should, with more or less grace.
    fn shut_down(&mut self) {
        let place = self.pick();
        let grace = Duration::from_secs([0, 3][self.sim.pick(2) as usize]);
        let process = &self.processes[place];
        let (engine, sim, who) = (process.engine.clone(), self.sim.clone(), process.who.clone());
        sim.note(&who, || "shuts down".to_owned());
        self.wish(place, "a shutdown", async move {
            engine.shutdown(grace).await;
            sim.note(&who, || "has shut down".to_owned());
        });
        self.pass(4 * SECOND);
        drop(self.processes.remove(place));
        self.start();
    }

    /// A process is stopped, and goes on later as if nothing had happened.
    fn stop(&mut self) {
        if !self.perils.stops {
            return;
        }
        let span = [200, 3 * SECOND, 20 * SECOND, 2 * MINUTE][self.sim.pick(4) as usize];
        let until = self.sim.clock.passed() + span;
        let place = self.pick();
        let process = &mut self.processes[place];
        process.stopped_until = Some(until);
        self.sim.note(&process.who, || format!("is stopped for {span} ms"));
    }

    /// The wall clock is set on, or back, by seconds or by hours.
    fn jump(&mut self) {
        if !self.perils.jumps {
            return;
        }
        let most = [5 * SECOND, 90 * SECOND, 2 * HOUR][self.sim.pick(3) as usize];
        let by = (1 + self.sim.pick(most)) as i64;
        let by = if self.sim.happens(50) { by } else { -by };
        self.sim.note("up", || format!("the clock jumps by {by} ms"));
        self.sim.clock.jump(by);
        if by < 0 {
            let passed = self.sim.clock.passed();
            self.sim.state().set_back.push((passed, by.unsigned_abs()));
        }
    }

    /// How far things come before the next one happens.
    fn pace(&mut self) {
        match self.sim.pick(20) {
            0..=4 => self.some_steps(),
            5..=10 => self.settle(),
            11..=14 => self.pass(1 + self.sim.pick(300)),
            15..=17 => self.pass(self.sim.pick(20 * SECOND)),
            18 => self.pass(self.sim.pick(10 * MINUTE)),
            _ => self.pass(self.sim.pick(8 * HOUR)),
        }
    }

    /// A few steps of whoever has something to do: the next thing happens in their midst.
    fn some_steps(&mut self) {
        for _ in 0..=self.sim.pick(12) {
            let busy = self.busy();
            let Some(place) = busy.get(self.sim.pick(busy.len() as u64) as usize) else { return };
            self.processes[*place].step(1);
            self.spread();
        }
    }

    /// Everybody goes on, in turns by chance, until nobody can before time passes.
    fn settle(&mut self) {
        loop {
            let busy = self.busy();
            let Some(place) = busy.get(self.sim.pick(busy.len() as u64) as usize) else { return };
            let place = *place;
            match self.sim.pick(4) {
                0 => self.processes[place].run_dry(),
                polls => self.processes[place].step(polls),
            }
            self.spread();
            if self.is_over() {
                return;
            }
        }
    }

    fn busy(&self) -> Vec<usize> {
        let places = 0..self.processes.len();
        places.filter(|place| !self.processes[*place].is_idle()).collect()
    }

    /// What was committed is heard of, by those who are not deaf.
    fn spread(&self) {
        if !std::mem::take(&mut self.sim.state().stirred) {
            return;
        }
        for process in &self.processes {
            let deaf = process.faults.lock().unwrap_or_else(PoisonError::into_inner).deaf;
            if !self.sim.happens(deaf) {
                process.hear();
            }
        }
    }

    fn rouse_all(&self) {
        self.processes.iter().for_each(Process::rouse);
    }

    /// Lets time pass, with everything that is to happen in it.
    fn pass(&mut self, span: u64) {
        let until = self.sim.clock.passed() + span;
        loop {
            self.settle();
            if self.is_over() {
                return;
            }
            let stops = self.processes.iter().filter_map(|process| process.stopped_until);
            let next = self.sim.clock.next_wake().into_iter().chain(stops).min().unwrap_or(u64::MAX);
            // A stopped process' sleepers are overdue; nobody waits for them.
            let next = next.max(self.sim.clock.passed() + 1);
            if next > until {
                self.sim.clock.advance_to(until);
                break;
            }
            self.sim.clock.advance_to(next);
            for process in &mut self.processes {
                process.stopped_until = process.stopped_until.filter(|at| *at > next);
                process.rouse();
            }
        }
        self.rouse_all();
        self.settle();
        self.check_waits();
    }

    fn check_waits(&self) {
        let passed = self.sim.clock.passed();
        let waits = self.sim.state().waiting.values().find(|(since, _)| passed - since > WAIT_MAX).cloned();
        if let Some((since, what)) = waits {
            self.sim.violate(|| format!("{what} has waited for {} ms", passed - since));
        }
    }
}

impl Perils {
    fn by_chance(sim: &Sim) -> Self {
        let on = |percent| sim.happens(percent);
        let store = Faults {
            refused: if on(40) { 1 + sim.pick(15) as u8 } else { 0 },
            lost: if on(30) { 1 + sim.pick(8) as u8 } else { 0 },
            slow: if on(60) { 1 + sim.pick(40) as u8 } else { 0 },
            slow_ms: [5, 300, 4_000, 20_000][sim.pick(4) as usize],
            deaf: if on(50) { 100 } else { 0 },
        };
        Perils {
            kills: on(60),
            stops: on(40),
            jumps: on(25),
            weather: on(70),
            store,
            evictions: on(50),
            sweeps: on(60),
            edits: on(40),
        }
    }
}

/// All is well again: what must hold then.
impl Driver<'_> {
    fn heal(&mut self) {
        self.sim.note("up", || "all is well again".to_owned());
        {
            let mut state = self.sim.state();
            state.world.weather = Weather::Fine;
            state.world.latency = 20;
            state.world.forgetful = false;
            state.world.unknown.clear();
            state.world.absent.clear();
            for name in NAMES {
                state.tick += 1;
                let tick = state.tick;
                state.world.change(name, tick);
            }
        }
        for process in &mut self.processes {
            process.stopped_until = None;
            *process.faults.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
        }
        self.rouse_all();
        self.pass(2 * MINUTE);
        if self.is_over() {
            return;
        }
        let waiting = self.sim.state().waiting.values().next().cloned();
        if let Some((_, what)) = waiting {
            return self.sim.violate(|| format!("{what} still waits, though all is well"));
        }
        self.heal_by_itself();
        if !self.is_over() {
            self.converge();
        }
        if !self.is_over() {
            self.rest();
        }
    }

    /// What failed, or was marked, is refreshed with no reader asking, and no hand but for the dead.
    fn heal_by_itself(&mut self) {
        let engine = self.processes[0].engine.clone();
        self.do_now("a replay", async move { drop(engine.replay(&Target::All).await) });
        let engine = self.processes[0].engine.clone();
        self.processes[0].spawn(async move { engine.run(Duration::from_mins(1)).await });
        self.pass(40 * MINUTE);
        let due = now(self.plain.due(self.sim.now(), 100)).unwrap_or_default();
        if !due.is_empty() {
            return self.sim.violate(|| format!("{} stays due, though all is well", State::names(&due)));
        }
        let neglected = self.sim.state().leases.neglected();
        if !neglected.is_empty() {
            return self
                .sim
                .violate(|| format!("{} is wanted, and nobody fetched it", State::names(&neglected)));
        }
        let rows = now(self.plain.rows(None, None, 100)).unwrap_or_default();
        for row in rows.iter().filter(|row| row.unconfigured_since.is_none()) {
            let entry = &row.entry;
            if entry.attempts > 0 || entry.marked || !entry.pending.is_empty() {
                return self.sim.violate(|| format!("it did not heal by itself: {entry:?}"));
            }
        }
    }

    /// After an invalidation of everything, a read of everything shows the world as it is.
    fn converge(&mut self) {
        let engine = self.processes[self.pick()].engine.clone();
        self.do_now("an invalidation", async move { drop(engine.invalidate(&Target::All).await) });
        let keys = self.sim.state().keys();
        let engine = self.processes[self.pick()].engine.clone();
        let asked = keys.clone();
        self.do_now("a read of all", async move {
            drop(engine.load_many(&asked, &ReadOptions::default()).await);
        });
        self.pass(MINUTE);
        let at = self.sim.now();
        for key in keys {
            let row = now(self.plain.lookup(std::slice::from_ref(&key)))
                .ok()
                .and_then(|mut rows| rows.pop().flatten());
            let engine = self.processes[0].engine.clone();
            let (Some(row), Some(definition)) = (row, engine.define(&key)) else {
                return self.sim.violate(|| format!("{key} has no row after it was read"));
            };
            let just_now = row.entry.fetched_at.unwrap_or(at);
            let status = row.entry.status(Some(&definition), just_now);
            if (status, row.entry.complete) != (Status::Fresh, true) {
                return self.sim.violate(|| format!("{key} is not fresh after it was read: {:?}", row.entry));
            }
            self.compare_with_world(&engine, &key, &row);
        }
    }

    fn compare_with_world(&self, engine: &Engine, key: &Key, row: &larder_core::Stored) {
        let definition = engine.define(key);
        let mut expected: Vec<(String, Option<u64>)> = Vec::new();
        for name in definition.iter().filter_map(|found| found.names.as_deref()).flatten() {
            expected.push((name.to_string(), self.sim.state().world.now(name)));
        }
        let shown =
            row.members.iter().map(|one| (one.asked.to_string(), super::source::revision(&one.item.doc)));
        let mut shown: Vec<_> = shown.collect();
        expected.sort();
        shown.sort();
        if shown != expected {
            self.sim.violate(|| format!("{key} shows {shown:?}, the world has {expected:?}"));
        }
        if row.members.iter().any(|one| is_private(&one.asked) == one.item.scope.is_public()) {
            self.sim.violate(|| format!("{key} has a wrong scope"));
        }
    }

    /// Nothing more is to be done, and nothing is.
    fn rest(&mut self) {
        // What expires is left alone; what the reads above started has ended.
        self.pass(2 * MINUTE);
        let before = self.sim.counts().fetches;
        self.pass(2 * HOUR);
        let after = self.sim.counts().fetches;
        if after != before {
            self.sim.violate(|| format!("{} fetches that nobody wanted", after - before));
        }
        self.follower.compare(self.sim, &*self.plain);
        let problems = now(self.plain.verify());
        if !matches!(&problems, Ok(problems) if problems.is_empty()) {
            self.sim.violate(|| format!("{problems:?}"));
        }
        let oracle = self.sim.state().oracle.take();
        if let Some(Err(wrong)) = oracle.map(|oracle| oracle.feed(&*self.plain)) {
            self.sim.violate(|| wrong);
        }
    }

    /// Does something in the first process, to its end.
    fn do_now(&mut self, what: &str, work: impl Future<Output = ()> + Send + 'static) {
        self.wish(0, what, work);
        self.pass(2 * MINUTE);
        let waits = self.sim.state().waiting.values().next().cloned();
        if let Some((_, what)) = waits {
            self.sim.violate(|| format!("{what} does not come to an end"));
        }
    }
}
