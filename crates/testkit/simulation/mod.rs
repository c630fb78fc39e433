//! A whole Larder in one thread, by one seed: several engines ("processes") on one store, readers,
//! hands, events, and everything that goes wrong, at any step. Time is virtual, chance is the seed's,
//! and a run with the same seed takes the same steps.
//!
//! Each process is a runtime of its own, of which one task is polled at a time; dropping it is what a
//! kill is. A call of the store is one step, before and after which anything may happen.

mod clock;
mod driver;
mod feed;
mod leases;
mod oracle;
mod process;
mod readings;
mod sim;
mod source;
mod store;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use driver::Driver;
use sim::Sim;

/// What a run is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// Decides everything that chance decides.
    pub(crate) seed: u64,
    /// What the processes share.
    pub(crate) backing: Backing,
    /// A rule that the store breaks, to see that it is found out.
    pub(crate) broken: Option<Broken>,
    /// Whether the steps are written down.
    pub(crate) traced: bool,
}

impl Setup {
    /// The run of a seed, on the store that the seed says.
    pub(crate) fn of(seed: u64) -> Self {
        let backing = if seed.is_multiple_of(2) { Backing::Sqlite } else { Backing::Memory };
        Setup { seed, backing, broken: None, traced: false }
    }

    /// The same on the reference store.
    pub(crate) fn in_memory(seed: u64) -> Self {
        Setup { backing: Backing::Memory, ..Setup::of(seed) }
    }

    /// The same on a SQLite file.
    pub(crate) fn on_sqlite(seed: u64) -> Self {
        Setup { backing: Backing::Sqlite, ..Setup::of(seed) }
    }
}

/// A store that processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    /// The reference store.
    Memory,
    /// A SQLite file, on which each process has a handle of its own; every call is repeated on the
    /// reference store, and the answers are compared.
    Sqlite,
}

/// A rule that a store breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A commit is admitted whatever its token.
    Fencing,
    /// A lease that another holds is granted once more.
    Exclusion,
    /// Invalidations are forgotten.
    Invalidations,
    /// An invalidation is forgotten if it lands while a fetch is under way.
    InvalidationsInFlight,
    /// One commit in five is lost.
    Commits,
    /// What is marked due is forgotten.
    Marks,
    /// A row is read as it was a while ago.
    Reads,
    /// One line of the feed in five is left out.
    Feed,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    /// The steps, if they were written down.
    pub(crate) trace: Vec<String>,
    /// What must not have happened, and did.
    pub(crate) violation: Option<String>,
    /// How much happened.
    pub(crate) counts: Counts,
}

/// How much happened in a run: a simulation in which nothing happens finds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Calls of the store.
    pub(crate) store_calls: u64,
    /// Fetches that began.
    pub(crate) fetches: u64,
    /// Reads that were answered with data.
    pub(crate) reads: u64,
    /// Reads that were answered fresh, and compared with the world.
    pub(crate) fresh: u64,
    /// Processes that were killed.
    pub(crate) kills: u64,
    /// Commits that came too late.
    pub(crate) superseded: u64,
    /// Leases taken over from a silent holder.
    pub(crate) takeovers: u64,
    /// Store calls that failed.
    pub(crate) store_errors: u64,
}

impl Counts {
    /// The sums.
    #[must_use]
    pub(crate) fn plus(self, other: Counts) -> Counts {
        Counts {
            store_calls: self.store_calls + other.store_calls,
            fetches: self.fetches + other.fetches,
            reads: self.reads + other.reads,
            fresh: self.fresh + other.fresh,
            kills: self.kills + other.kills,
            superseded: self.superseded + other.superseded,
            takeovers: self.takeovers + other.takeovers,
            store_errors: self.store_errors + other.store_errors,
        }
    }
}

/// Lives through one seed.
pub(crate) fn run(setup: Setup) -> Run {
    note_panics();
    PANICS.with_borrow_mut(Vec::clear);
    let sim = Sim::new(setup);
    let lived = catch_unwind(AssertUnwindSafe(|| Driver::new(&sim, setup).live()));
    let mut violation = sim.violation();
    let panics = PANICS.with_borrow_mut(std::mem::take);
    if violation.is_none() {
        violation = panics.into_iter().next();
    }
    if violation.is_none() && lived.is_err() {
        violation = Some("the run ended by a panic".to_owned());
    }
    Run { trace: sim.take_trace(), violation, counts: sim.counts() }
}

thread_local! {
    /// The panics of this thread's run: a task's would else be known to nobody.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Whether a task has panicked in this thread's run.
fn panicked() -> bool {
    PANICS.with_borrow(|panics| !panics.is_empty())
}

fn note_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(format!("a panic: {info}")));
            before(info);
        }));
    });
}

/// Lives through many seeds, on all cores. Answers what happened in all, and the seeds that failed.
pub(crate) fn run_many(seeds: std::ops::Range<u64>, setup: fn(u64) -> Setup) -> (Counts, Vec<(u64, String)>) {
    let next = AtomicU64::new(seeds.start);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let lived = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let (mut counts, mut failed) = (Counts::default(), Vec::new());
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            return (counts, failed);
                        }
                        let lived = run(setup(seed));
                        counts = counts.plus(lived.counts);
                        failed.extend(lived.violation.map(|what| (seed, what)));
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    for (some, wrong) in lived {
        counts = counts.plus(some);
        failed.extend(wrong);
    }
    failed.sort();
    (counts, failed)
}
