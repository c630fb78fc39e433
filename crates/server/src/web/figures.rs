//! The figures of the cache's page, each with its text: hit rate, budgets, store.

use larder_core::{Budget, SECONDARY, StoreInfo, Time};

use super::words::{Stamp, counted, exact, short};
use crate::access::Viewer;
use crate::metrics::Reads;

/// How many readers waited.
pub(crate) struct RateFigure {
    pub(crate) percent: String,
    /// The part served at once, fresh or stale, in percent.
    pub(crate) served: u32,
    /// The part of it that was fresh.
    pub(crate) fresh: u32,
    pub(crate) says: String,
}

impl RateFigure {
    /// Of what reads came to; `None` before the first.
    pub(crate) fn new(reads: &Reads) -> Option<Self> {
        let rate = reads.hit_rate?;
        let all = reads.hits + reads.stale + reads.misses + reads.failures;
        let fresh = reads.hits as f64 / all as f64;
        Some(RateFigure {
            // Nothing but all is all.
            percent: format!("{} %", (rate * 1000.0).floor() / 10.0),
            served: (rate * 100.0).round() as u32,
            fresh: (fresh * 100.0).round() as u32,
            says: says(reads),
        })
    }
}

fn says(reads: &Reads) -> String {
    let waited = counted(reads.misses, "reader", "readers");
    let says = format!("{} fresh, {} stale, {waited} waited for", exact(reads.hits), exact(reads.stale));
    if reads.failures > 0 { format!("{says}, {} in vain", exact(reads.failures)) } else { says }
}

/// What is left of one allowance.
pub(crate) struct BudgetFigure {
    pub(crate) name: String,
    pub(crate) left: String,
    pub(crate) limit: String,
    pub(crate) percent: u32,
    /// The level's class: none, low, or as it should be.
    pub(crate) level: &'static str,
    pub(crate) reset: Option<Stamp>,
    pub(crate) blocked: Option<Stamp>,
}

/// An actor that must pause altogether.
pub(crate) struct Pause {
    pub(crate) name: String,
    pub(crate) until: Stamp,
}

/// The budgets as bars, and the pauses that upstreams asked for.
pub(crate) fn budgets(budgets: &[Budget], viewer: Viewer, now: Time) -> (Vec<BudgetFigure>, Vec<Pause>) {
    let (pauses, bars): (Vec<&Budget>, Vec<&Budget>) =
        budgets.iter().partition(|budget| &*budget.resource == SECONDARY);
    // Two of one host and resource are told apart by whose they are.
    let names_actor = |one: &Budget| {
        let alike = |other: &&&Budget| other.resource == one.resource && other.host == one.host;
        let known = bars.iter().filter(alike).filter(|other| other.limit.is_some());
        viewer.may_read_private && known.count() > 1
    };
    let pause = |budget: &&Budget| {
        let until = budget.blocked_until.filter(|until| *until > now)?;
        Some(Pause { name: budget.host.to_string(), until: Stamp::due(until, now) })
    };
    (
        bars.iter().filter_map(|budget| BudgetFigure::new(budget, names_actor(budget), now)).collect(),
        pauses.iter().filter_map(pause).collect(),
    )
}

impl BudgetFigure {
    fn new(budget: &Budget, names_actor: bool, now: Time) -> Option<Self> {
        let limit = budget.limit?;
        let actor = if names_actor { format!(" as {}", budget.actor) } else { String::new() };
        let is_over = budget.reset_at.is_none_or(|reset| now >= reset);
        let left = if is_over { limit } else { budget.remaining.unwrap_or(limit) };
        let percent = u64::from(left) * 100 / u64::from(limit.max(1));
        Some(BudgetFigure {
            name: format!("{} on {}{actor}", budget.resource, budget.host),
            left: exact(u64::from(left)),
            limit: exact(u64::from(limit)),
            percent: percent.min(100) as u32,
            level: match percent {
                0 => " none",
                1..20 => " low",
                _ => "",
            },
            reset: budget.reset_at.filter(|_| !is_over).map(|at| Stamp::due(at, now)),
            blocked: budget.blocked_until.filter(|until| *until > now).map(|at| Stamp::due(at, now)),
        })
    }
}

/// What the store holds.
pub(crate) struct StoreFigure {
    pub(crate) entries: String,
    pub(crate) entries_word: &'static str,
    pub(crate) says: String,
    pub(crate) place: Option<String>,
}

impl StoreFigure {
    /// As a viewer may know it: what is private is not counted for everybody, and a path is for
    /// those who run the server.
    pub(crate) fn new(info: &StoreInfo, entries_seen: u64, viewer: Viewer) -> Self {
        let says = if viewer.may_read_private {
            format!("{} on {}", counted(info.items, "item", "items"), bytes(info.bytes))
        } else {
            "Public entries alone are counted.".to_owned()
        };
        let entries = if viewer.may_read_private { info.entries } else { entries_seen };
        StoreFigure {
            entries: short(entries),
            entries_word: if entries == 1 { "entry" } else { "entries" },
            says,
            place: viewer.may_admin.then(|| info.place.clone()),
        }
    }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{}.{} MiB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    fn budget(actor: &str, resource: &str) -> Budget {
        Budget {
            host: "api.github.com".into(),
            actor: actor.into(),
            resource: resource.into(),
            limit: Some(5000),
            remaining: Some(4000),
            reset_at: None,
            blocked_until: None,
            minute_start: NOW,
            minute_points: 0,
            reserved: 0,
        }
    }

    #[test]
    fn two_allowances_of_one_name_are_told_apart_by_whose_they_are() {
        let held = [budget("ann", "core"), budget("ann", "graphql"), budget("token:4acf", "core")];
        let names = |viewer: Viewer| {
            let (bars, _) = budgets(&held, viewer, NOW);
            bars.into_iter().map(|bar| bar.name).collect::<Vec<_>>()
        };
        let expected = [
            "core on api.github.com as ann",
            "graphql on api.github.com",
            "core on api.github.com as token:4acf",
        ];
        assert_eq!(names(Viewer::READER), expected);
        let public = names(Viewer::PUBLIC);
        assert!(public.iter().all(|name| !name.contains(" as ")), "whose they are is not for everybody");
    }
}
