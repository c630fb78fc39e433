//! GitHub's limits: hourly budgets an actor and resource, points a minute, requests at once.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How much is allowed. The defaults are GitHub's; tests set small numbers to reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// REST requests an hour without a token, by address.
    pub anonymous: u64,
    /// REST requests an hour with one, by user.
    pub core: u64,
    /// GraphQL points an hour, by user.
    pub graphql: u64,
    /// How long an hour is, in seconds.
    pub window_s: i64,
    /// Requests under way at once, by actor.
    pub concurrent: u32,
    /// REST points a minute, by actor (a read is one).
    pub rest_points_a_minute: u32,
    /// GraphQL points a minute, by actor (a query is one, whatever it costs of the hourly budget).
    pub graphql_points_a_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            anonymous: 60,
            core: 5_000,
            graphql: 5_000,
            window_s: 3_600,
            concurrent: 100,
            rest_points_a_minute: 900,
            graphql_points_a_minute: 2_000,
        }
    }
}

/// Whom a limit belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    Address(IpAddr),
    User(String),
}

/// The budgets GitHub tells apart, as far as Larder meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    Core,
    Graphql,
}

/// A budget as the headers and `rateLimit` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) reset_s: i64,
    pub(crate) resource: Resource,
}

impl Rate {
    pub(crate) fn remaining(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl Resource {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Graphql => "graphql",
        }
    }
}

/// What has been spent.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) limits: Limits,
    windows: BTreeMap<(Actor, Resource), Window>,
    minutes: BTreeMap<(Actor, Resource), Window>,
    under_way: BTreeMap<Actor, u32>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    used: u64,
    ends_s: i64,
}

impl Ledger {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The budget as it stands; `forced` overrides what remains of it.
    pub(crate) fn rate(
        &mut self,
        actor: &Actor,
        resource: Resource,
        now_s: i64,
        forced: Option<u64>,
    ) -> Rate {
        let limit = self.limit_of(actor, resource);
        let length = self.limits.window_s;
        let window = self.windows.entry((actor.clone(), resource)).or_default();
        if window.ends_s <= now_s || window.ends_s > now_s + length {
            *window = Window { used: 0, ends_s: now_s + length };
        }
        if let Some(remaining) = forced {
            window.used = limit.saturating_sub(remaining);
        }
        Rate { limit, used: window.used.min(limit), reset_s: window.ends_s, resource }
    }

    /// Spends from a budget that [`rate`](Self::rate) has just shown.
    pub(crate) fn charge(&mut self, actor: &Actor, resource: Resource, cost: u64) {
        if let Some(window) = self.windows.get_mut(&(actor.clone(), resource)) {
            window.used += cost;
        }
    }

    /// Gives back what a 304 did not cost.
    pub(crate) fn refund(&mut self, actor: &Actor, resource: Resource, cost: u64) {
        if let Some(window) = self.windows.get_mut(&(actor.clone(), resource)) {
            window.used = window.used.saturating_sub(cost);
        }
    }

    /// Counts one point of the minute; false when it has none left.
    pub(crate) fn within_the_minute(&mut self, actor: &Actor, resource: Resource, now_s: i64) -> bool {
        let allowed = match resource {
            Resource::Core => self.limits.rest_points_a_minute,
            Resource::Graphql => self.limits.graphql_points_a_minute,
        };
        let minute = self.minutes.entry((actor.clone(), resource)).or_default();
        if minute.ends_s <= now_s || minute.ends_s > now_s + 60 {
            *minute = Window { used: 0, ends_s: now_s + 60 };
        }
        minute.used += 1;
        minute.used <= u64::from(allowed)
    }

    /// Counts a request in; false when too many of this actor's are under way (it is counted all the same).
    pub(crate) fn enter(&mut self, actor: &Actor) -> bool {
        let under_way = self.under_way.entry(actor.clone()).or_default();
        *under_way += 1;
        *under_way <= self.limits.concurrent
    }

    /// Counts a request out.
    pub(crate) fn leave(&mut self, actor: &Actor) {
        if let Some(under_way) = self.under_way.get_mut(actor) {
            *under_way = under_way.saturating_sub(1);
        }
    }

    /// Forgets what was spent; requests under way stay counted.
    pub(crate) fn forget(&mut self) {
        self.windows.clear();
        self.minutes.clear();
    }

    fn limit_of(&self, actor: &Actor, resource: Resource) -> u64 {
        match (actor, resource) {
            (Actor::Address(_), Resource::Core) => self.limits.anonymous,
            (Actor::Address(_), Resource::Graphql) => 0,
            (Actor::User(_), Resource::Core) => self.limits.core,
            (Actor::User(_), Resource::Graphql) => self.limits.graphql,
        }
    }
}
