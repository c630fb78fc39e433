//! A life by chance: what readers and hands (`wishes`), events and the weather (`blows`) do to the
//! processes as time passes (`time`), step by step, and what must hold when all is well again (`peace`).

mod blows;
mod peace;
mod time;
mod wishes;

use std::sync::Arc;
use std::sync::PoisonError;

use larder_core::{Key, Store, Target};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use larder_testkit::MemoryStore;
use tempfile::TempDir;

use super::feed::Follower;
use super::process::Process;
use super::sim::Sim;
use super::store::Faults;
use super::world::NAMES;
use super::{Backing, Setup, panicked};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

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
