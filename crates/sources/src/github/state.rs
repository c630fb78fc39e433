//! What one client remembers between calls. It is a help, never the truth: the budget in the store
//! is what all processes share.

use std::sync::Arc;

use larder_core::{Budget, LimitKind, Time};

use super::breaker::Breaker;
use super::limits;
use super::sizing::Sizing;

/// A client's memory.
pub(super) struct State {
    pub(super) breaker: Breaker,
    pub(super) sizing: Sizing,
    /// By how many milliseconds the upstream's clock is ahead of ours, by its last answer.
    pub(super) ahead_ms: i64,
    /// The login behind the token, once it is known.
    pub(super) actor: Option<Arc<str>>,
    /// Whether the last answer was that the token is none.
    pub(super) is_refused: bool,
    rng: fastrand::Rng,
    blocks: Vec<Block>,
    /// Limits in a row that named no time.
    unsaid: u32,
}

/// A limit that was met, kept here too in case the store could not take it.
#[derive(Debug, Clone)]
struct Block {
    resource: &'static str,
    kind: LimitKind,
    until: Time,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        State {
            breaker: Breaker::default(),
            sizing: Sizing::default(),
            ahead_ms: 0,
            actor: None,
            is_refused: false,
            rng: fastrand::Rng::with_seed(seed),
            blocks: Vec::new(),
            unsaid: 0,
        }
    }

    /// Chance, in 0 ≤ x < 1.
    pub(super) fn chance(&mut self) -> f64 {
        self.rng.f64()
    }

    /// The limit that keeps calls of this resource back now. An end that is too far off means that the
    /// clock was set back: it is past.
    pub(super) fn blocked(&mut self, resource: &str, now: Time) -> Option<(LimitKind, Time)> {
        self.blocks.retain(|block| now < block.until && block.until <= Budget::furthest(now));
        let applies = |block: &&Block| block.kind != LimitKind::Primary || block.resource == resource;
        let longest = self.blocks.iter().filter(applies).max_by_key(|block| block.until)?;
        Some((longest.kind, longest.until))
    }

    /// Notes a limit and answers until when it keeps calls back.
    pub(super) fn block(&mut self, resource: &'static str, met: limits::Limit, now: Time) -> Time {
        let said = met.until.unwrap_or_else(|| self.unsaid_until(resource, now));
        let until = limits::bounded(said, now);
        self.blocks.push(Block { resource, kind: met.kind, until });
        until
    }

    /// Calls that were in flight together meet one limit together: only the first makes the next
    /// wait longer. What another was told may be shorter than this one's wait.
    fn unsaid_until(&mut self, resource: &str, now: Time) -> Time {
        if let Some((_, until)) = self.blocked(resource, now) {
            return until.max(now.plus(limits::wait_unsaid(1, 0.0)));
        }
        self.unsaid = self.unsaid.saturating_add(1);
        let chance = self.chance();
        now.plus(limits::wait_unsaid(self.unsaid, chance))
    }

    /// A call was answered with data: no limit is being met in a row.
    pub(super) fn answered(&mut self) {
        self.unsaid = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Time = Time::from_ms(1_000_000_000);

    #[test]
    fn limits_without_a_time_grow_in_a_row_and_not_together() {
        let met = limits::Limit { kind: LimitKind::Secondary, until: None };
        let mut state = State::new(1);
        let first = state.block("graphql", met, NOW);
        assert_eq!(state.block("graphql", met, NOW), first, "met together");
        let second = state.block("core", met, first);
        assert!(second.since(first) >= Duration::from_mins(2));
        state.answered();
        let third = state.block("core", met, second);
        assert!(third.since(second) < Duration::from_mins(2), "after an answer it begins anew");
    }

    #[test]
    fn a_short_wait_that_was_named_does_not_shorten_one_that_was_not() {
        let mut state = State::new(1);
        let named =
            limits::Limit { kind: LimitKind::Secondary, until: Some(NOW.plus(Duration::from_secs(5))) };
        state.block("core", named, NOW);
        let until = state.block("core", limits::Limit { until: None, ..named }, NOW);
        assert_eq!(until, NOW.plus(Duration::from_mins(1)));
    }

    #[test]
    fn hours_that_were_named_are_waited_out_and_a_day_is_enough() {
        let mut state = State::new(1);
        let met = |hours| {
            let until = Some(NOW.plus(Duration::from_hours(hours)));
            limits::Limit { kind: LimitKind::Secondary, until }
        };
        let until = state.block("graphql", met(3), NOW);
        assert_eq!(
            state.blocked("core", NOW.plus(Duration::from_mins(1))),
            Some((LimitKind::Secondary, until))
        );
        let until = state.block("graphql", met(100), NOW);
        assert_eq!(until, NOW.plus(Duration::from_hours(24)));
        assert_eq!(state.blocked("core", NOW), Some((LimitKind::Secondary, until)));
    }

    #[test]
    fn a_whole_day_is_waited_out_though_the_clock_goes_back_a_little_meanwhile() {
        let mut state = State::new(1);
        let until = Some(NOW.plus(Duration::from_hours(24)));
        let until = state.block("graphql", limits::Limit { kind: LimitKind::Secondary, until }, NOW);
        for behind in [1, 1_000, 60_000] {
            let now = NOW.minus(Duration::from_millis(behind));
            assert_eq!(state.blocked("core", now), Some((LimitKind::Secondary, until)), "{behind} ms");
        }
        assert_eq!(state.blocked("core", NOW.minus(Duration::from_hours(1))), None, "the clock was set back");
    }

    #[test]
    fn a_primary_limit_keeps_its_resource_back_alone() {
        let mut state = State::new(1);
        let until = NOW.plus(Duration::from_mins(9));
        state.block("graphql", limits::Limit { kind: LimitKind::Primary, until: Some(until) }, NOW);
        assert_eq!(state.blocked("graphql", NOW), Some((LimitKind::Primary, until)));
        assert_eq!(state.blocked("core", NOW), None);
        assert_eq!(state.blocked("graphql", until), None);
    }
}
