//! How many calls are under way at once, and who goes next: the most urgent, and of those the one that came
//! first. GitHub allows an actor a hundred at once, REST and GraphQL together; several processes may share one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_core::Priority;
use tokio::sync::oneshot;

/// Calls of one client at once. Four processes of one actor fit.
pub(super) const AT_ONCE_MAX: usize = 24;

/// One client's gate.
pub(super) struct Gate(Arc<Mutex<Line>>);

struct Line {
    free: usize,
    arrived: u64,
    waiting: BTreeMap<(Reverse<Priority>, u64), oneshot::Sender<Pass>>,
}

/// The right to have one call under way, for as long as it is kept.
pub(super) struct Pass(Option<Arc<Mutex<Line>>>);

impl Gate {
    pub(super) fn new(at_once: usize) -> Self {
        let line = Line { free: at_once, arrived: 0, waiting: BTreeMap::new() };
        Gate(Arc::new(Mutex::new(line)))
    }

    /// Waits for a pass. Whoever goes away meanwhile has waited for nothing, and keeps nobody waiting.
    pub(super) async fn enter(&self, priority: Priority) -> Pass {
        let called = {
            let mut line = lock(&self.0);
            if line.free > 0 {
                line.free -= 1;
                return Pass(Some(self.0.clone()));
            }
            let (call, called) = oneshot::channel();
            line.arrived += 1;
            let place = (Reverse(priority), line.arrived);
            line.waiting.retain(|_, waiting| !waiting.is_closed());
            line.waiting.insert(place, call);
            called
        };
        // The line has the other end until it has called, and lives as long as `self`.
        called.await.unwrap_or(Pass(None))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else { return };
        loop {
            let next = {
                let mut all = lock(&line);
                let next = all.waiting.pop_first();
                all.free += usize::from(next.is_none());
                next
            };
            let Some((_, next)) = next else { return };
            match next.send(Pass(Some(line.clone()))) {
                Ok(()) => return,
                // It went away: the next one gets what it left.
                Err(mut left) => drop(left.0.take()),
            }
        }
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;

    #[test]
    fn so_many_go_at_once_and_then_the_most_urgent_first() {
        let gate = Gate::new(2);
        let enter = |priority| Box::pin(gate.enter(priority));
        let one = enter(Priority::Schedule).now_or_never().unwrap();
        let two = enter(Priority::Schedule).now_or_never().unwrap();
        let mut behind = enter(Priority::Schedule);
        let mut later = enter(Priority::Schedule);
        let mut urgent = enter(Priority::Waiting);
        assert!(behind.as_mut().now_or_never().is_none());
        assert!(later.as_mut().now_or_never().is_none());
        assert!(urgent.as_mut().now_or_never().is_none());
        drop(one);
        assert!(behind.as_mut().now_or_never().is_none());
        let urgent = urgent.now_or_never().unwrap();
        drop((two, urgent));
        assert!(behind.now_or_never().is_some());
        assert!(later.now_or_never().is_some());
        assert!(enter(Priority::Warming).now_or_never().is_some());
    }

    #[test]
    fn who_goes_away_takes_nobodys_place() {
        let gate = Gate::new(1);
        let first = gate.enter(Priority::Manual).now_or_never().unwrap();
        {
            let mut unheard = pin!(gate.enter(Priority::Waiting));
            assert!(unheard.as_mut().now_or_never().is_none());
        }
        let mut called = Box::pin(gate.enter(Priority::StaleRead));
        let mut last = Box::pin(gate.enter(Priority::Schedule));
        assert!(called.as_mut().now_or_never().is_none());
        assert!(last.as_mut().now_or_never().is_none());
        drop(first);
        // It was called, and goes away before it hears of it.
        drop(called);
        let last = last.now_or_never().unwrap();
        drop(last);
        assert!(gate.enter(Priority::Warming).now_or_never().is_some());
    }
}
