//! A clock that moves when a test says so, or by itself when everybody waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Time};
use tokio::sync::watch;

/// Virtual time. Sleepers wake when [`advance`](VirtualClock::advance) moves it past their end.
#[derive(Clone)]
pub struct VirtualClock {
    now: Arc<watch::Sender<Time>>,
    sleepers: Arc<Mutex<Vec<(u64, Time)>>>,
    busy: Arc<AtomicUsize>,
}

/// Keeps time from moving by itself while real work is under way on another thread.
pub struct Still(Arc<AtomicUsize>);

impl Drop for Still {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl VirtualClock {
    /// A clock that stands at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        VirtualClock::at(Time::from_ms(1_767_225_600_000))
    }

    /// A clock that stands at `now`.
    pub fn at(now: Time) -> Self {
        VirtualClock {
            now: Arc::new(watch::Sender::new(now)),
            sleepers: Arc::default(),
            busy: Arc::default(),
        }
    }

    /// Moves time on by `span` in one jump.
    pub fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now = now.plus(span));
    }

    /// Sets the time, back as well as forth: clocks jump.
    pub fn set(&self, now: Time) {
        self.now.send_replace(now);
    }

    /// Keeps [`drive`](VirtualClock::drive) from moving time until the answer is dropped.
    pub fn hold_still(&self) -> Still {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Still(self.busy.clone())
    }

    /// Whether somebody [holds it still](VirtualClock::hold_still).
    pub fn is_held_still(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// When the first sleeper wants to wake, if anybody sleeps.
    pub fn next_wake(&self) -> Option<Time> {
        self.sleepers().iter().map(|(_, at)| *at).min()
    }

    /// When the first sleeper wants to wake that does not yet: one whose time has come, and that nobody
    /// looks at any more, keeps no other waiting.
    fn wake_after(&self, now: Time) -> Option<Time> {
        self.sleepers().iter().map(|(_, at)| *at).filter(|at| *at > now).min()
    }

    /// Polls `work` to its end; whenever nothing else can go on, moves time to the next sleeper.
    /// For a current-thread runtime. While somebody [holds it still](VirtualClock::hold_still),
    /// time does not move.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            for _ in 0..SETTLE_POLLS {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    () = tokio::task::yield_now() => {}
                }
            }
            match self.wake_after(self.now()) {
                Some(at) if !self.is_held_still() => self.set(at),
                _ => std::thread::yield_now(),
            }
        }
    }

    fn sleepers(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Time)>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often everything that can run is polled before time may move.
const SETTLE_POLLS: usize = 64;

impl Default for VirtualClock {
    fn default() -> Self {
        VirtualClock::new()
    }
}

/// Takes a sleeper off the list, also when its sleep was dropped.
struct Sleeper<'a> {
    clock: &'a VirtualClock,
    id: u64,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.clock.sleepers().retain(|(id, _)| *id != self.id);
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Time {
        *self.now.borrow()
    }

    async fn sleep(&self, span: Duration) {
        let mut seen = self.now.subscribe();
        let until = self.now().plus(span);
        let id = {
            let mut sleepers = self.sleepers();
            let id = sleepers.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
            sleepers.push((id, until));
            id
        };
        let _sleeper = Sleeper { clock: self, id };
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = seen.wait_for(|now| *now >= until).await;
    }
}
