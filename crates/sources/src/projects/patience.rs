//! How long a look at projects goes on reading. A fetch that is cut off by its hard time-out has found out nothing;
//! one that ends by itself before that keeps what it read, and the next goes on from there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::stamp::machine_time;

type Clock<'a> = &'a (dyn Fn() -> SystemTime + Send + Sync);

/// What is left of the time for one batch of looks.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    /// Whether nobody waits for it any more.
    pub(super) stop: &'a AtomicBool,
    /// The time that files carry.
    pub(super) time: Clock<'a>,
    /// No file is read for its hash any more after that, if there is an end to it, …
    until: Option<SystemTime>,
    /// … so long after the batch began.
    span: Duration,
}

impl<'a> Patience<'a> {
    /// From now on, of a fetch that is cut off after `hard_timeout`: the last third of it is for what was not
    /// looked at yet, which is looked at without being read, and for putting all of it together.
    pub(super) fn of(hard_timeout: Duration, time: Clock<'a>, stop: &'a AtomicBool) -> Self {
        let span = hard_timeout * 2 / 3;
        Patience { stop, time, until: time().checked_add(span), span }
    }

    /// Until nobody waits for it any more.
    pub(super) fn endless(stop: &'a AtomicBool) -> Self {
        Patience { stop, time: &machine_time, until: None, span: Duration::MAX }
    }

    /// How long that is, for people.
    pub(super) fn in_words(&self) -> String {
        let tenths = (self.span.as_secs_f64() * 10.0).round() / 10.0;
        format!("{tenths} s")
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether it is time to come to an end.
    pub(super) fn is_spent(&self) -> bool {
        self.until.is_some_and(|until| (self.time)() >= until)
    }

    /// Whether whoever began then had so much time that more of it is not to be had in another batch.
    pub(super) fn had_its_share(&self, began: SystemTime) -> bool {
        let left = self.until.and_then(|until| until.duration_since(began).ok());
        left.is_some_and(|left| left >= self.span / 2)
    }
}
