//! What to do about a read: one pure decision from the row, the definition, the caller's wishes
//! and the time.

use std::time::Duration;

use crate::{CLOCK_SLACK, Definition, Entry, Failure, Status, Time};

/// Whether a caller wants it fresh, wants it now, or wants no network at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// By the policy's windows.
    #[default]
    Normal,
    /// Fetch, whatever is held (RFC 9111 request `no-cache`).
    Forced,
    /// Never ask upstream (RFC 9111 `only-if-cached`).
    Offline,
}

/// A caller's wishes, in the terms of RFC 9111 request directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Request {
    /// Fresh, normal, or offline.
    pub mode: Mode,
    /// The oldest copy that will do, by the time since it was fetched.
    pub max_age: Option<Duration>,
    /// The furthest past its freshness lifetime that will do; `None` = as the policy allows.
    pub max_stale: Option<Duration>,
}

/// What a read does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Serve what is held.
    Fresh,
    /// Serve what is held, and refresh behind the reader; of a fresh entry, the unknown items, or
    /// all of it after a failed refresh by hand.
    Revalidate,
    /// Serve what is held and leave it: no refresh may start now.
    Stale(StaleReason),
    /// Wait for a fetch. With `fallback`, at most for the soft time-out, and serve what is held
    /// if it does not come.
    Fetch {
        /// Whether what is held may be served instead.
        fallback: bool,
    },
    /// There is nothing to serve, and nothing may be fetched.
    Refuse(Refusal),
}

/// Why a stale copy is served and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleReason {
    /// The caller wants no network.
    Offline,
    /// The last attempt failed; the next one waits until then.
    Backoff(Time),
    /// Set aside until then, or until a person replays it.
    Dead(Time),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing held, and the caller wants no network.
    NotCached,
    /// What is held is older than the caller will take, and it wants no network.
    TooOld,
    /// The source said that it does not exist; it is not asked again before `until`.
    Absent {
        /// When it may be asked again.
        until: Time,
    },
    /// Nothing that may be served, and the last attempt failed.
    Backoff {
        /// When the next one may start.
        until: Time,
        /// What went wrong.
        error: Option<Box<Failure>>,
    },
}

/// Decides what a read does. Pure: the same row, wishes and time always decide alike.
pub fn decide(entry: Option<&Entry>, definition: &Definition, request: &Request, now: Time) -> Decision {
    if request.mode == Mode::Forced {
        let fallback = entry.is_some_and(|entry| may_serve_on_error(entry, definition, request, now));
        return Decision::Fetch { fallback };
    }
    let Some(entry) = entry else {
        return match request.mode {
            Mode::Offline => Decision::Refuse(Refusal::NotCached),
            Mode::Normal | Mode::Forced => Decision::Fetch { fallback: false },
        };
    };
    match entry.status(Some(definition), now) {
        Status::Missing => decide_missing(entry, definition, request, now),
        Status::Fresh if !is_too_old(entry, request, now) => decide_fresh(entry, definition, request, now),
        Status::Fresh | Status::Stale => decide_stale(entry, definition, request, now),
    }
}

fn decide_missing(entry: &Entry, definition: &Definition, request: &Request, now: Time) -> Decision {
    let absent_until = entry.absent_at.and(entry.fresh_until).filter(|until| {
        let longest = definition.policy.negative_ttl.saturating_add(CLOCK_SLACK);
        now < *until && until.since(now) <= longest && !entry.is_outdated(definition)
    });
    // A hand that wanted to know better and failed is tried again by itself.
    let is_retried = entry.attempts > 0 && request.mode == Mode::Normal && entry.is_due(definition, now);
    match absent_until {
        Some(until) if !entry.is_invalidated() && !is_retried => Decision::Refuse(Refusal::Absent { until }),
        _ if request.mode == Mode::Offline => Decision::Refuse(Refusal::NotCached),
        _ if entry.is_due(definition, now) || spares_the_urgent(entry, definition) => {
            Decision::Fetch { fallback: false }
        }
        _ => refuse_in_backoff(entry),
    }
}

fn decide_fresh(entry: &Entry, definition: &Definition, request: &Request, now: Time) -> Decision {
    // Young enough, but a hand wanted it younger and failed, or some items are unknown.
    let is_retrying = !entry.pending.is_empty() || entry.attempts > 0;
    let wants_more = is_retrying && entry.is_due(definition, now);
    match request.mode {
        Mode::Normal if wants_more => Decision::Revalidate,
        Mode::Normal | Mode::Offline | Mode::Forced => Decision::Fresh,
    }
}

fn decide_stale(entry: &Entry, definition: &Definition, request: &Request, now: Time) -> Decision {
    let policy = &definition.policy;
    let acceptable = !is_too_old(entry, request, now)
        && request
            .max_stale
            .is_none_or(|most| staleness(entry, definition, now).is_some_and(|by| by <= most));
    if request.mode == Mode::Offline {
        return if acceptable {
            Decision::Stale(StaleReason::Offline)
        } else {
            Decision::Refuse(Refusal::TooOld)
        };
    }
    let on_error = may_serve_on_error(entry, definition, request, now);
    if !entry.is_due(definition, now) {
        return match (on_error, entry.is_dead(policy)) {
            (false, false) if spares_the_urgent(entry, definition) => Decision::Fetch { fallback: false },
            (false, _) => refuse_in_backoff(entry),
            (true, true) => Decision::Stale(StaleReason::Dead(entry.due_at)),
            (true, false) if entry.attempts > 0 => Decision::Stale(StaleReason::Backoff(entry.due_at)),
            // It waits for nothing but a time that a clock which jumped has moved away.
            (true, false) if acceptable => Decision::Revalidate,
            // Younger than its lifetime, yet older than this caller takes.
            (true, false) => Decision::Fetch { fallback: on_error },
        };
    }
    let by = staleness(entry, definition, now).unwrap_or(Duration::ZERO);
    let behind = policy.stale_while_revalidate.is_none_or(|window| by <= window);
    if acceptable && behind { Decision::Revalidate } else { Decision::Fetch { fallback: on_error } }
}

/// Whether it waits only since what was left of a limit is kept for readers who have nothing: such a reader
/// does not wait with it.
fn spares_the_urgent(entry: &Entry, definition: &Definition) -> bool {
    !entry.is_dead(&definition.policy) && entry.last_error.as_ref().is_some_and(Failure::spares_the_urgent)
}

fn refuse_in_backoff(entry: &Entry) -> Decision {
    let error = entry.last_error.clone().map(Box::new);
    Decision::Refuse(Refusal::Backoff { until: entry.due_at, error })
}

/// Whether the caller's `max-age` rules out what is held.
fn is_too_old(entry: &Entry, request: &Request, now: Time) -> bool {
    let age = entry.fetched_at.map(|at| now.since(at));
    request.max_age.is_some_and(|most| age.is_none_or(|age| age > most))
}

/// How far past its lifetime the copy is; `None` for one that was invalidated or edited, whose
/// staleness has no measure.
fn staleness(entry: &Entry, definition: &Definition, now: Time) -> Option<Duration> {
    let measurable = !entry.is_invalidated() && !entry.is_outdated(definition);
    measurable.then(|| entry.fresh_until.map_or(Duration::ZERO, |until| now.since(until)))
}

/// Whether what is held may be served when nothing newer can be had: the source failed, or the store
/// cannot be asked (RFC 5861, stale-if-error).
pub fn may_serve_on_error(entry: &Entry, definition: &Definition, request: &Request, now: Time) -> bool {
    let by = staleness(entry, definition, now);
    let in_window =
        definition.policy.stale_if_error.is_none_or(|window| by.unwrap_or(Duration::ZERO) <= window);
    let wanted = request.max_stale.is_none_or(|most| by.is_some_and(|by| by <= most));
    entry.has_data() && in_window && wanted
}
