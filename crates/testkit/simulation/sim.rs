//! What a run shares: chance, the world, who does what, and what was found wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use larder_core::{Clock as _, Key, Policy, Target};

use super::clock::SimClock;
use super::leases::Leases;
use super::oracle::Oracle;
use super::world::World;
use super::{Backing, Counts, Setup};

/// One run.
pub(crate) struct Sim {
    pub(crate) clock: SimClock,
    pub(crate) setup: Setup,
    state: Mutex<State>,
}

/// What changes as it goes on.
pub(crate) struct State {
    /// Counts the steps: the order in which things happened.
    pub(crate) tick: u64,
    pub(crate) chance: Rng,
    pub(crate) world: World,
    pub(crate) leases: Leases,
    pub(crate) oracle: Option<Oracle>,
    /// Invalidations and evictions that were done, in order.
    pub(crate) marks: Vec<Mark>,
    /// When the wall clock was set back, and by how much.
    pub(crate) set_back: Vec<(u64, u64)>,
    /// Wishes that wait for their answers: since when, and what for.
    pub(crate) waiting: BTreeMap<u64, (u64, String)>,
    pub(crate) counts: Counts,
    /// Whether a commit, or anything else that others may hear of, happened since this was cleared.
    pub(crate) stirred: bool,
    trace: Option<Vec<String>>,
    violation: Option<String>,
}

/// Entries were invalidated or evicted.
pub(crate) struct Mark {
    pub(crate) tick: u64,
    pub(crate) target: Target,
    pub(crate) evicted: bool,
}

impl Sim {
    pub(crate) fn new(setup: Setup) -> Arc<Self> {
        let mut chance = Rng::with_seed(setup.seed);
        let policy = policy(&mut chance);
        let compares = setup.backing != Backing::Memory && setup.broken.is_none();
        let state = State {
            tick: 0,
            chance,
            world: World::new(policy),
            leases: Leases::default(),
            oracle: compares.then(Oracle::default),
            marks: Vec::new(),
            set_back: Vec::new(),
            waiting: BTreeMap::new(),
            counts: Counts::default(),
            stirred: false,
            trace: setup.traced.then(Vec::new),
            violation: None,
        };
        Arc::new(Sim { clock: SimClock::default(), setup, state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next tick.
    pub(crate) fn tick(&self) -> u64 {
        let mut state = self.state();
        state.tick += 1;
        state.tick
    }

    /// Writes a step down.
    pub(crate) fn note(&self, who: &str, what: impl FnOnce() -> String) {
        let passed = self.clock.passed();
        let mut state = self.state();
        let tick = state.tick;
        if let Some(trace) = &mut state.trace {
            trace.push(format!("{tick:>6} {:>9}.{:03} {who:<4} {}", passed / 1000, passed % 1000, what()));
        }
    }

    /// Something is wrong: the first such thing ends the run.
    pub(crate) fn violate(&self, what: impl FnOnce() -> String) {
        let passed = self.clock.passed();
        let mut state = self.state();
        if state.violation.is_none() {
            let what = what();
            let tick = state.tick;
            if let Some(trace) = &mut state.trace {
                trace.push(format!("{tick:>6} {:>9}.{:03} WRONG {what}", passed / 1000, passed % 1000));
            }
            state.violation = Some(format!("{what} (step {tick})"));
        }
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.state().violation.is_some()
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.state().violation.clone()
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.state().trace.take().unwrap_or_default()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// A number below `below`, by chance.
    pub(crate) fn pick(&self, below: u64) -> u64 {
        self.state().chance.u64(..below.max(1))
    }

    /// Whether it happens this time, so many times of a hundred.
    pub(crate) fn happens(&self, percent: u8) -> bool {
        percent > 0 && self.pick(100) < u64::from(percent)
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> larder_core::Time {
        self.clock.now()
    }
}

impl State {
    /// The last tick before `before` at which the entry was invalidated or evicted.
    pub(crate) fn invalidated_before(&self, key: &Key, before: u64) -> u64 {
        let tags = self.world.entries.get(key).map(|asked| asked.tags.clone()).unwrap_or_default();
        let means = |mark: &&Mark| match &mark.target {
            Target::Keys(keys) => keys.contains(key),
            Target::Source(source) => key.source() == source,
            // A row that was not fetched yet carries no tags, so that it is not evicted by one.
            Target::Tag(tag) => tags.contains(tag) && !mark.evicted,
            Target::All => true,
        };
        let earlier = self.marks.iter().filter(|mark| mark.tick < before);
        earlier.filter(means).map(|mark| mark.tick).max().unwrap_or(0)
    }

    /// The entries that are configured.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.world.entries.keys().cloned().collect()
    }

    /// The owners of leases, for traces.
    pub(crate) fn names(keys: &[Key]) -> String {
        let names: BTreeSet<&str> = keys.iter().map(Key::as_str).collect();
        names.into_iter().collect::<Vec<_>>().join(" ")
    }
}

/// Lifetimes and waits of all sizes.
fn policy(chance: &mut Rng) -> Policy {
    let seconds =
        |chance: &mut Rng, choices: &[u64]| Duration::from_secs(choices[chance.usize(..choices.len())]);
    Policy {
        ttl: seconds(chance, &[20, 600, 21_600]),
        jitter: if chance.bool() { 0.0 } else { 0.1 },
        lease: seconds(chance, &[2, 15]),
        stale_while_revalidate: if chance.u8(..3) == 0 { Some(seconds(chance, &[0, 60])) } else { None },
        stale_if_error: if chance.u8(..4) == 0 { Some(seconds(chance, &[0, 3_600])) } else { None },
        attempts: if chance.u8(..3) == 0 { 3 } else { u32::MAX },
        ..Policy::default()
    }
}
