//! What an actor may still spend upstream, and who gets it when it runs short. Design, section 6.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CLOCK_SLACK, LimitKind, Time};

/// How urgent a call is: when the budget runs short, the least urgent wait first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Filling the cache ahead of need.
    Warming,
    /// A schedule, a webhook, a watch, or a retry that nobody waits for.
    Schedule,
    /// Behind a reader who was served a stale copy.
    StaleRead,
    /// Asked for by hand.
    Manual,
    /// A person is waiting and has nothing.
    Waiting,
}

impl Priority {
    /// The part of the limit, in percent, that must be left after a call of this urgency.
    fn floor_percent(self) -> u32 {
        match self {
            Priority::Warming => 40,
            Priority::Schedule => 20,
            Priority::StaleRead => 10,
            Priority::Manual => 2,
            Priority::Waiting => 0,
        }
    }
}

/// A resource of an upstream with an allowance of its own, such as GitHub's `core` and `graphql`.
pub type Resource = Arc<str>;

/// The row that holds an actor's secondary limit, which blocks all its resources.
pub const SECONDARY: &str = "*";

/// The actor whose row of [`SECONDARY`] holds back everybody: the upstream is out of service, and said
/// for how long.
pub const EVERYBODY: &str = "*";

/// An upstream's own word for the end of one window wavers by this much: it is told by another clock,
/// and moved to ours by an answer that was up to twelve seconds under way. No window is as short.
const RESET_SLACK: Duration = Duration::from_secs(30);

/// What is known of one actor's allowance for one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The upstream.
    pub host: Arc<str>,
    /// The user, installation or address behind a credential; never the credential.
    pub actor: Arc<str>,
    /// Which allowance.
    pub resource: Resource,
    /// Points an hour, as the upstream last said.
    pub limit: Option<u32>,
    /// Points left in this window, as the upstream last said.
    pub remaining: Option<u32>,
    /// When the window ends.
    pub reset_at: Option<Time>,
    /// Nothing may be sent before.
    pub blocked_until: Option<Time>,
    /// When the minute that is being counted began.
    pub minute_start: Time,
    /// Points spent in it.
    pub minute_points: u32,
    /// Points in flight: reserved by calls that have not come back, in this and other processes.
    pub reserved: u32,
}

impl Budget {
    /// No upstream is waited for longer at a time.
    pub const WAIT_MAX: Duration = Duration::from_hours(24);

    /// The latest end of a wait that is believed: another clock, or this one before it was set right,
    /// may have noted the longest wait a little later than now.
    pub fn furthest(now: Time) -> Time {
        now.plus(Budget::WAIT_MAX).plus(CLOCK_SLACK)
    }

    /// Without the instants that only a clock that was ahead can have noted: they would keep the
    /// actor waiting until then.
    #[must_use]
    pub fn believed(self, now: Time) -> Self {
        let believed = |at: &Time| *at <= Budget::furthest(now);
        Budget {
            reset_at: self.reset_at.filter(believed),
            blocked_until: self.blocked_until.filter(believed),
            ..self
        }
    }

    /// The row after an answer, `reserved` being what others have in flight. Answers overtake each
    /// other: within one window only the lowest `remaining` is true, and an earlier window's says
    /// nothing. Of an answer that does not say what is left, what it may have cost is gone; so is what
    /// is in flight beside it, whose answers may have been told before that.
    #[must_use]
    pub fn told(&self, said: &Settlement, now: Time) -> Budget {
        let mut row = self.clone();
        let same_minute = self.minute_start <= now && now < self.minute_start.plus(MINUTE);
        (row.minute_start, row.minute_points) = if same_minute {
            (self.minute_start, self.minute_points.saturating_add(said.spent))
        } else {
            (now, said.spent)
        };
        let beside = if said.spent > 0 { self.reserved } else { 0 };
        let less =
            |left: Option<u32>| left.map(|left| left.saturating_sub(said.spent.saturating_add(beside)));
        let lower = |a: Option<u32>, b: Option<u32>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match (self.reset_at.filter(|reset| now < *reset), said.reset_at) {
            (Some(current), Some(reset)) if current.since(reset).max(reset.since(current)) <= RESET_SLACK => {
                row.remaining = match said.remaining {
                    Some(_) => lower(self.remaining, said.remaining),
                    None => less(self.remaining),
                };
                row.reset_at = Some(current.max(reset));
            }
            // Of an earlier window an answer can only be once that is over. Else a clock that was ahead
            // noted the end that is held.
            (Some(current), Some(reset)) if reset < current && reset <= now.plus(RESET_SLACK) => return row,
            (_, Some(reset)) => (row.remaining, row.reset_at) = (said.remaining, Some(reset)),
            // It named no window: what was spent is gone from the one that is known.
            (Some(_), None) => row.remaining = lower(less(self.remaining), said.remaining),
            (None, None) => row.remaining = said.remaining.or(self.remaining),
        }
        row.limit = said.limit.or(self.limit);
        row
    }
}

/// A block of points that is taken before calls are sent and settled when they came back. It ends
/// by itself, so that a killed process cannot leak it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The upstream.
    pub host: Arc<str>,
    /// Whose allowance.
    pub actor: Arc<str>,
    /// Which.
    pub resource: Resource,
    /// How many points the calls may cost.
    pub points: u32,
    /// How urgent they are.
    pub priority: Priority,
    /// The limit to assume where the upstream has not said one yet.
    pub assumed_limit: u32,
    /// The most points a minute (GitHub's secondary limits: 2,000 for GraphQL, 900 for REST).
    pub per_minute_max: u32,
    /// Who takes them.
    pub owner: Arc<str>,
    /// When they count as lost and are given back.
    pub until: Time,
}

/// The answer to a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// Taken, under this number.
    Granted(u64),
    /// Not now.
    Refused(Admission),
}

/// What came of reserved calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The reservation's number.
    pub id: u64,
    /// The upstream.
    pub host: Arc<str>,
    /// Whose allowance.
    pub actor: Arc<str>,
    /// Which.
    pub resource: Resource,
    /// What the calls cost.
    pub spent: u32,
    /// The limit the upstream named.
    pub limit: Option<u32>,
    /// What it says is left.
    pub remaining: Option<u32>,
    /// When it says the window ends.
    pub reset_at: Option<Time>,
    /// A limit was met: a primary one blocks the resource, a secondary one the actor, an outage
    /// everybody.
    pub blocked: Option<(LimitKind, Time)>,
}

impl Settlement {
    /// Whom a limit that was met keeps back: the actor and resource of the row to note it in, and
    /// until when.
    pub fn blocks(&self) -> Option<(Arc<str>, Resource, Time)> {
        let (kind, until) = self.blocked?;
        match kind {
            LimitKind::Primary => Some((self.actor.clone(), self.resource.clone(), until)),
            LimitKind::Secondary => Some((self.actor.clone(), SECONDARY.into(), until)),
            LimitKind::Outage => Some((EVERYBODY.into(), SECONDARY.into(), until)),
            LimitKind::Budget => None,
        }
    }
}

/// Whether calls may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Granted,
    /// Not before `until`.
    Wait {
        /// Whose limit it is.
        kind: LimitKind,
        /// When to come back.
        until: Time,
    },
}

/// How long the points-a-minute window is.
const MINUTE: Duration = Duration::from_mins(1);

/// The rows that may keep all of an actor's resources back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waits<'a> {
    /// The actor's row of [`SECONDARY`].
    pub secondary: Option<&'a Budget>,
    /// [`EVERYBODY`]'s.
    pub outage: Option<&'a Budget>,
}

/// Decides about a reservation. `budget` is the resource's row with what others have in flight; of one that
/// nobody has made yet as much is known as of one that says nothing.
pub fn admit(budget: Option<&Budget>, waits: Waits<'_>, ask: &Reservation, now: Time) -> Admission {
    let wait = |kind, until| Admission::Wait { kind, until };
    let blocked = |row: Option<&Budget>| {
        let until = row?.clone().believed(now).blocked_until?;
        (now < until).then_some(until)
    };
    // Whoever comes back just when one wait ends must not find the other one.
    let longest =
        [(LimitKind::Secondary, blocked(waits.secondary)), (LimitKind::Outage, blocked(waits.outage))]
            .into_iter()
            .filter_map(|(kind, until)| Some((kind, until?)))
            .max_by_key(|(_, until)| *until);
    if let Some((kind, until)) = longest {
        return wait(kind, until);
    }
    let Some(row) = budget.map(|row| row.clone().believed(now)) else { return Admission::Granted };
    if let Some(until) = row.blocked_until.filter(|until| now < *until) {
        return wait(LimitKind::Primary, until);
    }
    let minute_end = row.minute_start.plus(MINUTE);
    let in_this_minute = row.minute_start <= now && now < minute_end;
    let minute_points = if in_this_minute { row.minute_points } else { 0 };
    let taken = u64::from(minute_points) + u64::from(row.reserved);
    if taken > 0 && taken + u64::from(ask.points) > u64::from(ask.per_minute_max) {
        // That many a minute are all there are, for whomever.
        return wait(LimitKind::Secondary, if in_this_minute { minute_end } else { now.plus(MINUTE) });
    }
    // Somebody must ask first to be told: alone, for one reservation that was too large for what is assumed
    // would be so for ever.
    if taken == 0 && row.limit.is_none() && row.remaining.is_none() {
        return Admission::Granted;
    }
    let limit = row.limit.unwrap_or(ask.assumed_limit);
    let window_over = row.reset_at.is_none_or(|reset| now >= reset);
    let remaining = if window_over { limit } else { row.remaining.unwrap_or(limit) };
    let floor = u64::from(limit) * u64::from(ask.priority.floor_percent()) / 100;
    if u64::from(remaining) >= floor + u64::from(row.reserved) + u64::from(ask.points) {
        return Admission::Granted;
    }
    // What is left is kept for nobody where nobody is more urgent.
    let is_all_there_is = remaining == 0 || ask.priority == Priority::Waiting;
    let kind = if is_all_there_is { LimitKind::Primary } else { LimitKind::Budget };
    // With the window over, what is short is in flight: it ends within the minute.
    wait(kind, if window_over { now.plus(MINUTE) } else { row.reset_at.unwrap_or(now.plus(MINUTE)) })
}

#[cfg(test)]
mod tests;
