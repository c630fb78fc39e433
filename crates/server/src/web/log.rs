//! The last refreshes, a row each.

use larder_core::{ItemCounts, Key, LogLine, Time, Trigger};

use super::words::{Prose, Stamp, exact, sentence};

/// One refresh, as shown.
pub(crate) struct LogRow {
    pub(crate) at: Stamp,
    pub(crate) key: Key,
    pub(crate) trigger: &'static str,
    pub(crate) outcome: String,
    pub(crate) why: Option<Prose>,
    pub(crate) took: String,
    pub(crate) items: String,
    pub(crate) calls: String,
    pub(crate) cost: String,
}

impl LogRow {
    /// The row of a line.
    pub(crate) fn new(line: &LogLine, now: Time) -> Self {
        LogRow {
            at: Stamp::new(line.started_at, now),
            key: line.key.clone(),
            trigger: asked_by(line.trigger),
            outcome: line.outcome.replace('_', " "),
            why: line.error.as_deref().map(|error| Prose::new(&sentence(error))),
            took: took(line.duration_ms),
            items: items(line),
            calls: exact(u64::from(line.spent.calls)),
            cost: exact(u64::from(line.spent.cost)),
        }
    }
}

fn asked_by(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Read => "a reader",
        Trigger::Manual => "hand",
        Trigger::Backoff => "retry",
        Trigger::Schedule => "schedule",
        Trigger::Watch => "a changed file",
        Trigger::Webhook => "webhook",
    }
}

fn took(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}

/// `12 seen, +1, 3 changed, −2`; a dash where none was met, or nobody is to know.
fn items(line: &LogLine) -> String {
    let counts = &line.items;
    if *counts == ItemCounts::default() {
        return "–".to_owned();
    }
    let mut words = vec![format!("{} seen", counts.seen)];
    for (count, sign, word) in
        [(counts.added, "+", ""), (counts.changed, "", " changed"), (counts.removed, "−", "")]
    {
        if count > 0 {
            words.push(format!("{sign}{count}{word}"));
        }
    }
    words.join(", ")
}
