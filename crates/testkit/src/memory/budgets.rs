//! Budgets: what actors may still spend, and what is in flight.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Admission, Budget, LimitKind, Reservation, Reserved, SECONDARY, Settlement, Time, admit};

/// How long the points-a-minute window is, and how far ahead a caller's clock may have been read.
const MINUTE: Duration = Duration::from_mins(1);

/// An upstream's own word for the end of one window wavers by this much.
const RESET_SLACK: Duration = Duration::from_secs(5);

/// Host, actor, resource.
type Name = (Arc<str>, Arc<str>, Arc<str>);

/// What is known of all actors.
#[derive(Clone, Default)]
pub(super) struct Books {
    rows: BTreeMap<Name, Budget>,
    reservations: BTreeMap<u64, (Reservation, Time)>,
    next: u64,
    actors: BTreeMap<(String, String), Arc<str>>,
}

impl Books {
    pub(super) fn reserve(&mut self, ask: &Reservation, now: Time) -> Reserved {
        self.reservations.retain(|_, (held, taken)| *taken <= now.plus(MINUTE) && held.until > now);
        let budget = self.one(ask, &ask.resource, now);
        let secondary = self.one(ask, SECONDARY, now);
        let admission = admit(Some(&budget), Some(&secondary), ask, now);
        if admission != Admission::Granted {
            return Reserved::Refused(admission);
        }
        self.row(&ask.host, &ask.actor, &ask.resource);
        self.next += 1;
        self.reservations.insert(self.next, (ask.clone(), now));
        Reserved::Granted(self.next)
    }

    pub(super) fn settle(&mut self, said: &Settlement, now: Time) {
        if let Some((held, _)) = self.reservations.get(&said.id)
            && held.host == said.host
            && held.actor == said.actor
        {
            self.reservations.remove(&said.id);
        }
        let row = self.row(&said.host, &said.actor, &said.resource);
        *row = tell(&row.clone().believed(now), said, now);
        let (resource, until) = match said.blocked {
            Some((LimitKind::Primary, until)) => (said.resource.clone(), until),
            Some((LimitKind::Secondary, until)) => (SECONDARY.into(), until),
            Some((LimitKind::Budget, _)) | None => return,
        };
        let until = until.min(now.plus(Budget::WAIT_MAX));
        let row = self.row(&said.host, &said.actor, &resource);
        // The longer wait holds, unless a clock that was ahead noted it.
        let held = row.clone().believed(now).blocked_until;
        row.blocked_until = Some(held.map_or(until, |held| held.max(until)));
    }

    pub(super) fn budgets(&self, now: Time) -> Vec<Budget> {
        let seen = |row: &Budget| self.with_reserved(row.clone().believed(now), now);
        self.rows.values().map(seen).collect()
    }

    pub(super) fn actor(&self, host: &str, credential: &str) -> Option<Arc<str>> {
        self.actors.get(&(host.to_owned(), credential.to_owned())).cloned()
    }

    pub(super) fn set_actor(&mut self, host: &str, credential: &str, actor: &str) {
        self.actors.insert((host.to_owned(), credential.to_owned()), actor.into());
    }

    fn one(&self, ask: &Reservation, resource: &str, now: Time) -> Budget {
        let name = (ask.host.clone(), ask.actor.clone(), Arc::from(resource));
        let row = self.rows.get(&name).cloned().unwrap_or_else(|| unknown(&name));
        self.with_reserved(row.believed(now), now)
    }

    fn with_reserved(&self, row: Budget, now: Time) -> Budget {
        let counts = |(held, taken): &&(Reservation, Time)| {
            let is_live = *taken <= now.plus(MINUTE) && held.until > now;
            is_live && held.host == row.host && held.actor == row.actor && held.resource == row.resource
        };
        let reserved = self.reservations.values().filter(counts).map(|(held, _)| held.points).sum();
        Budget { reserved, ..row }
    }

    fn row(&mut self, host: &Arc<str>, actor: &Arc<str>, resource: &Arc<str>) -> &mut Budget {
        let name = (host.clone(), actor.clone(), resource.clone());
        let new = unknown(&name);
        self.rows.entry(name).or_insert(new)
    }
}

/// A row that knows nothing.
fn unknown((host, actor, resource): &Name) -> Budget {
    Budget {
        host: host.clone(),
        actor: actor.clone(),
        resource: resource.clone(),
        limit: None,
        remaining: None,
        reset_at: None,
        blocked_until: None,
        minute_start: Time::default(),
        minute_points: 0,
        reserved: 0,
    }
}

/// The row after an answer. Answers overtake each other: within one window only the lowest
/// `remaining` is true, and an earlier window's says nothing.
fn tell(held: &Budget, said: &Settlement, now: Time) -> Budget {
    let mut row = held.clone();
    let same_minute = held.minute_start <= now && now < held.minute_start.plus(MINUTE);
    (row.minute_start, row.minute_points) = if same_minute {
        (held.minute_start, held.minute_points.saturating_add(said.spent))
    } else {
        (now, said.spent)
    };
    let less = |left: Option<u32>| left.map(|left| left.saturating_sub(said.spent));
    let lower = |a: Option<u32>, b: Option<u32>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    match (held.reset_at.filter(|reset| now < *reset), said.reset_at) {
        (Some(current), Some(reset)) if reset.plus(RESET_SLACK) < current => return row,
        (Some(current), Some(reset)) if reset.since(current) <= RESET_SLACK => {
            row.remaining = match said.remaining {
                Some(_) => lower(held.remaining, said.remaining),
                None => less(held.remaining),
            };
            row.reset_at = Some(current.max(reset));
        }
        (_, Some(reset)) => (row.remaining, row.reset_at) = (said.remaining, Some(reset)),
        // It named no window: what was spent is gone from the one that is known.
        (Some(_), None) => row.remaining = lower(less(held.remaining), said.remaining),
        (None, None) => row.remaining = said.remaining.or(held.remaining),
    }
    row.limit = said.limit.or(held.limit);
    row
}
