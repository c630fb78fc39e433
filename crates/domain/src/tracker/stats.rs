//! How many trackers there are, by state and by month: what the command line, the API and the page
//! all count alike.

use std::collections::BTreeMap;

use larder_core::Time;
use serde::Serialize;

use super::{Tracker, TrackerState};

/// How many trackers of a type there are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TrackerStats {
    /// The type's name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Open ones.
    pub open: u64,
    /// Closed ones.
    pub closed: u64,
    /// By month in UTC, as `2026-11`, the earliest first; months in which nothing happened left out.
    pub months: BTreeMap<String, TrackerMonth>,
}

/// What happened in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TrackerMonth {
    /// Trackers that were opened in it.
    pub opened: u64,
    /// Trackers that were closed in it.
    pub closed: u64,
}

impl TrackerStats {
    /// Counts those of a type among these.
    pub fn count<'t>(of: &str, trackers: impl IntoIterator<Item = &'t Tracker>) -> Self {
        let mut stats = TrackerStats { kind: of.to_owned(), ..TrackerStats::default() };
        for tracker in trackers.into_iter().filter(|tracker| tracker.kind == of) {
            match tracker.state {
                TrackerState::Open => stats.open += 1,
                TrackerState::Closed => stats.closed += 1,
            }
            if let Some(at) = tracker.created_at {
                stats.months.entry(month_of(at)).or_default().opened += 1;
            }
            if let Some(at) = tracker.closed_at {
                stats.months.entry(month_of(at)).or_default().closed += 1;
            }
        }
        stats
    }
}

/// The month of an instant, in UTC, as `2026-11`.
pub fn month_of(at: Time) -> String {
    at.to_string().chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_count_what_was_opened_and_closed_in_them() {
        let at = |text: &str| Some(Time::parse(text).unwrap());
        let tracker = |kind: &str, created_at, closed_at: Option<Time>| Tracker {
            kind: kind.to_owned(),
            state: if closed_at.is_some() { TrackerState::Closed } else { TrackerState::Open },
            created_at,
            closed_at,
            ..Tracker::default()
        };
        let trackers = [
            tracker("release", at("2025-12-31T23:59:59Z"), at("2026-01-31")),
            tracker("release", at("2026-01-01T00:00:00+02:00"), None),
            tracker("microsprint", at("2026-01-01"), None),
        ];
        let stats = TrackerStats::count("release", &trackers);
        assert_eq!((stats.open, stats.closed), (1, 1));
        let months = |opened, closed| TrackerMonth { opened, closed };
        assert_eq!(
            stats.months.into_iter().collect::<Vec<_>>(),
            [("2025-12".to_owned(), months(2, 0)), ("2026-01".to_owned(), months(0, 1))]
        );
    }
}
