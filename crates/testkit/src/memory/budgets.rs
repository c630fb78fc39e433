//! Budgets: what actors may still spend, and what is in flight.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Admission, Budget, EVERYBODY, Reservation, Reserved, SECONDARY, Settlement, Time, Waits, admit,
};

/// How long the points-a-minute window is, and how far ahead a caller's clock may have been read.
const MINUTE: Duration = Duration::from_mins(1);

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
        let budget = self.one(ask, &ask.actor, &ask.resource, now);
        let secondary = self.one(ask, &ask.actor, SECONDARY, now);
        let outage = self.one(ask, EVERYBODY, SECONDARY, now);
        let waits = Waits { secondary: Some(&secondary), outage: Some(&outage) };
        let admission = admit(Some(&budget), waits, ask, now);
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
        let held = self.row(&said.host, &said.actor, &said.resource).clone().believed(now);
        let told = self.with_reserved(held, now).told(said, now);
        *self.row(&said.host, &said.actor, &said.resource) = told;
        let Some((actor, resource, until)) = said.blocks() else { return };
        let until = until.min(now.plus(Budget::WAIT_MAX));
        let row = self.row(&said.host, &actor, &resource);
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

    fn one(&self, ask: &Reservation, actor: &str, resource: &str, now: Time) -> Budget {
        let name = (ask.host.clone(), Arc::from(actor), Arc::from(resource));
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
