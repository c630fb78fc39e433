//! One process: an engine on a runtime of its own, which is polled step by step, stopped, or killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use larder_core::{Clock, Store};
use larder_engine::Engine;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::sim::Sim;
use super::source::SimSource;
use super::store::{Faults, SimStore};

/// A process that lives.
pub(crate) struct Process {
    pub(crate) who: Arc<str>,
    pub(crate) engine: Engine,
    pub(crate) faults: Arc<Mutex<Faults>>,
    heard: Arc<Notify>,
    runtime: Runtime,
    /// Whether its runtime found nothing more to do.
    idle: Arc<AtomicBool>,
    root: Arc<Mutex<Option<Waker>>>,
    /// Stopped until so many milliseconds have passed.
    pub(crate) stopped_until: Option<u64>,
}

impl Process {
    /// Starts one.
    pub(crate) fn start(sim: &Arc<Sim>, store: Arc<dyn Store>, who: &str) -> Self {
        let who: Arc<str> = who.into();
        let (faults, heard) = (Arc::new(Mutex::new(Faults::default())), Arc::new(Notify::new()));
        let store = SimStore {
            sim: sim.clone(),
            who: who.clone(),
            inner: store,
            faults: faults.clone(),
            heard: heard.clone(),
            past: Mutex::default(),
        };
        let clock: Arc<dyn Clock> = Arc::new(sim.clock.clone());
        let source = |name| Arc::new(SimSource { sim: sim.clone(), name, who: who.clone() });
        let engine = Engine::builder(Arc::new(store), clock)
            .source(source("left"))
            .source(source("right"))
            .owner(&*who)
            .seed(sim.pick(u64::MAX))
            .build();
        let idle = Arc::new(AtomicBool::new(false));
        let root: Arc<Mutex<Option<Waker>>> = Arc::default();
        let (is_idle, waits) = (idle.clone(), root.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .event_interval(1)
            .on_thread_park(move || {
                is_idle.store(true, Ordering::Relaxed);
                if let Some(waker) = waits.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    waker.wake();
                }
            })
            .build()
            .unwrap();
        Process { who, engine, faults, heard, runtime, idle, root, stopped_until: None }
    }

    /// Starts a task in it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
        self.rouse();
    }

    /// It may have something to do.
    pub(crate) fn rouse(&self) {
        self.idle.store(false, Ordering::Relaxed);
    }

    /// Tells it that somebody committed.
    pub(crate) fn hear(&self) {
        self.heard.notify_waiters();
        self.rouse();
    }

    /// Whether it has nothing to do before time passes or somebody wants something of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed) || self.stopped_until.is_some()
    }

    /// Polls so many of its tasks, one after the other.
    pub(crate) fn step(&self, polls: u64) {
        let mut left = polls;
        self.runtime.block_on(std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }));
    }

    /// Polls its tasks until none can go on.
    pub(crate) fn run_dry(&self) {
        let (idle, root) = (&self.idle, &self.root);
        idle.store(false, Ordering::Relaxed);
        self.runtime.block_on(std::future::poll_fn(|context| {
            if idle.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            *root.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            Poll::Pending
        }));
    }
}
