//! A circuit breaker: a host that fails again and again is left alone for a while, then tried by
//! one call. A pure state machine: time and chance are arguments.

use std::time::Duration;

use larder_core::Time;

/// Failures in a row before it opens. A batch that one repository poisons is halved about seven
/// times before a half succeeds, which must not look like an outage.
const FAILURES_MAX: u32 = 10;
/// How long it stays open the first time; doubled with each probe that fails.
const OPEN_FOR: Duration = Duration::from_secs(30);
/// The longest it stays open.
const OPEN_FOR_MAX: Duration = Duration::from_mins(5);
/// A probe that has not come back by then was dropped; the next one may go.
const PROBE_FOR: Duration = Duration::from_secs(30);

/// One host's breaker.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    state: State,
    /// Failures since the last success.
    failures: u32,
    /// How often it opened since the last success.
    trips: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Time,
    },
    HalfOpen {
        probe_until: Time,
    },
}

impl Breaker {
    /// Whether a call may go; if not, when to come back.
    pub(super) fn admit(&mut self, now: Time) -> Result<(), Time> {
        match self.state {
            State::Closed => Ok(()),
            State::Open { until } if is_ahead(until, now) => Err(until),
            State::HalfOpen { probe_until } if is_ahead(probe_until, now) => Err(probe_until),
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { probe_until: now.plus(PROBE_FOR) };
                Ok(())
            }
        }
    }

    /// A call that was admitted is not sent after all: if it was the probe, another may be.
    pub(super) fn withdrawn(&mut self, now: Time) {
        if matches!(self.state, State::HalfOpen { .. }) {
            self.state = State::Open { until: now };
        }
    }

    /// The host gave a sane answer, if only a refusal.
    pub(super) fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// The host was not reached, or failed. `chance` (0 ≤ x < 1) lengthens the wait by up to a
    /// tenth, so that many processes do not probe together.
    pub(super) fn failed(&mut self, now: Time, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        let was_probe = matches!(self.state, State::HalfOpen { .. });
        if was_probe || (self.state == State::Closed && self.failures >= FAILURES_MAX) {
            let doubled = OPEN_FOR.saturating_mul(2_u32.saturating_pow(self.trips)).min(OPEN_FOR_MAX);
            self.trips = self.trips.saturating_add(1);
            self.state =
                State::Open { until: now.plus(doubled.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 10.0)) };
        }
    }
}

/// Whether `until` is still to come. One that is further off than any wait that is ever set means
/// that the clock was set back: it is past.
fn is_ahead(until: Time, now: Time) -> bool {
    now < until && until.since(now) <= OPEN_FOR_MAX.saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_000_000_000);

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.admit(NOW), Ok(()));
            breaker.failed(NOW, 0.0);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_otherwise() {
        let mut breaker = Breaker::default();
        for _ in 0..3 * FAILURES_MAX {
            breaker.failed(NOW, 0.0);
            breaker.succeeded();
            assert_eq!(breaker.admit(NOW), Ok(()));
        }
        assert_eq!(opened().admit(NOW), Err(NOW.plus(OPEN_FOR)));
    }

    #[test]
    fn one_probe_goes_when_the_wait_is_over_and_decides() {
        let later = NOW.plus(OPEN_FOR);
        let mut breaker = opened();
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        breaker.failed(later, 0.0);
        assert_eq!(breaker.admit(later), Err(later.plus(2 * OPEN_FOR)), "twice as long");

        let mut breaker = opened();
        assert_eq!(breaker.admit(later), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.admit(later), breaker.admit(later)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_probe_that_was_dropped_does_not_lock_it() {
        let later = NOW.plus(OPEN_FOR);
        let mut breaker = opened();
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later.plus(PROBE_FOR)), Ok(()));
    }

    #[test]
    fn a_probe_that_is_withdrawn_leaves_room_for_another() {
        let later = NOW.plus(OPEN_FOR);
        let mut breaker = opened();
        assert_eq!(breaker.admit(later), Ok(()));
        breaker.withdrawn(later);
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(NOW.minus(Duration::from_hours(24))), Ok(()));
    }

    #[test]
    fn late_failures_of_calls_in_flight_do_not_lengthen_the_wait() {
        let mut breaker = opened();
        breaker.failed(NOW.plus(Duration::from_secs(10)), 0.9);
        assert_eq!(breaker.admit(NOW), Err(NOW.plus(OPEN_FOR)));
    }

    #[test]
    fn the_wait_has_a_limit_whatever_happens() {
        let mut breaker = opened();
        let mut now = NOW;
        for _ in 0..40 {
            let Err(until) = breaker.admit(now) else { panic!("it is open") };
            assert!(until.since(now) <= OPEN_FOR_MAX.saturating_mul(2));
            now = until;
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now, 0.99);
        }
    }
}
