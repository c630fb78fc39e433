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
    /// … so long after it began, …
    given: Duration,
    /// … which is all that there is, or as much as one of several has.
    pub(super) is_a_share: bool,
    /// How long the whole batch has.
    pub(super) span: Duration,
}

impl<'a> Patience<'a> {
    /// From now on, of a fetch that is cut off after `hard_timeout`: after two thirds of it nothing is read but what
    /// artifacts say of themselves, after five sixths nothing at all, and what is left is for putting all of it
    /// together.
    pub(super) fn of(hard_timeout: Duration, time: Clock<'a>, stop: &'a AtomicBool) -> Self {
        let span = hard_timeout * 2 / 3;
        Patience { stop, time, until: time().checked_add(span), given: span, is_a_share: true, span }
    }

    /// Until nobody waits for it any more.
    pub(super) fn endless(stop: &'a AtomicBool) -> Self {
        let span = Duration::MAX;
        Patience { stop, time: &machine_time, until: None, given: span, is_a_share: true, span }
    }

    /// What one of several has of it from now on: half of the whole, or as much of that as the others left.
    pub(super) fn half(&self) -> Self {
        let (now, half) = (self.now(), self.span / 2);
        let left = self.until.map_or(half, |until| until.duration_since(now).unwrap_or_default());
        let given = left.min(half);
        Patience { until: now.checked_add(given), given, is_a_share: given >= self.span / 3, ..*self }
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The time that files carry, now.
    pub(super) fn now(&self) -> SystemTime {
        (self.time)()
    }

    /// Whether it is time to come to an end.
    pub(super) fn is_spent(&self) -> bool {
        self.until.is_some() && self.is_spent_at(self.now())
    }

    /// The same at that time.
    pub(super) fn is_spent_at(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Whether it is high time: nothing is looked at any more that was not looked at so far.
    pub(super) fn is_late(&self) -> bool {
        self.until.is_some_and(|until| self.now().duration_since(until).is_ok_and(|by| by >= self.span / 4))
    }

    /// Whether whoever began then had all the time there is, but for a tenth.
    pub(super) fn had_its_share(&self, began: SystemTime) -> bool {
        let left = self.until.and_then(|until| until.duration_since(began).ok());
        left.is_some_and(|left| left >= self.span / 10 * 9)
    }

    /// How long it lasts, for people.
    pub(super) fn in_words(&self) -> String {
        let ms = self.given.as_millis();
        if ms < 1_000 { format!("{ms} ms") } else { format!("{} s", (ms / 100) as f64 / 10.0) }
    }
}
