//! The refresh log (one line an attempt) and the changes feed (one line a change).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Key, Outcome, Time};

/// What asked for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A reader met a stale or missing copy.
    Read,
    /// A person or program asked for it.
    Manual,
    /// The wait after a failure was over.
    Backoff,
    /// A schedule.
    Schedule,
    /// A file changed.
    Watch,
    /// The upstream said so.
    Webhook,
}

const TRIGGERS: [(Trigger, &str); 6] = [
    (Trigger::Read, "read"),
    (Trigger::Manual, "manual"),
    (Trigger::Backoff, "backoff"),
    (Trigger::Schedule, "schedule"),
    (Trigger::Watch, "watch"),
    (Trigger::Webhook, "webhook"),
];

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TRIGGERS.iter().find(|(trigger, _)| trigger == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Trigger {
    type Err = String;

    /// Reads what `Display` wrote; the error is the text that was not a trigger.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = TRIGGERS.iter().find(|(_, name)| *name == text);
        found.map(|(trigger, _)| *trigger).ok_or_else(|| text.to_owned())
    }
}

/// What an attempt cost upstream. Entries that travelled in one call share it: the first to be
/// answered carries it, so that sums are true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Requests sent.
    pub calls: u32,
    /// Points of the upstream's budget.
    pub cost: u32,
}

/// What a commit did to an entry's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ItemCounts {
    /// Answered for.
    pub seen: u32,
    /// New members.
    pub added: u32,
    /// Members whose data changed.
    pub changed: u32,
    /// Members that left.
    pub removed: u32,
}

/// One line of the refresh log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Which entry.
    pub key: Key,
    /// What asked for it.
    pub trigger: Trigger,
    /// When the fetch began.
    pub started_at: Time,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What came of it: [`Outcome::word`](crate::Outcome::word), or `superseded`, `interrupted`.
    pub outcome: String,
    /// What it did to the items. Counted by the store as it commits.
    pub items: ItemCounts,
    /// What it cost.
    pub spent: Spent,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl LogLine {
    /// An idle line is kept for as long as it is among so many lines of its entry, the newest: whoever looks at
    /// one entry sees when it was looked at, and a program that lists a hundred of them every minute leaves no
    /// more behind than one that does it once a day.
    pub const IDLE_KEPT: usize = 5;

    /// So many that are behind those are looked at when one is written: one came there with it, and another may
    /// have been passed over by lines that are not idle.
    pub const IDLE_LOOKED_AT: usize = 2;

    /// Whether it says no more than that all was as it had been: to find that out cost nothing, and no hand
    /// asked for it.
    pub fn is_idle(&self) -> bool {
        self.outcome == Outcome::NotModified.word()
            && self.spent == Spent::default()
            && self.trigger != Trigger::Manual
    }
}

/// One line of the feed: an entry changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in the feed; grows by one or more from line to line.
    pub seq: u64,
    /// What changed.
    #[serde(flatten)]
    pub on: Subject,
    /// What happened: `updated`, `failed`, `invalidated`, `evicted`, …
    pub what: String,
    /// The entry's version after it; 0 where it is about more than one.
    pub version: u64,
    /// When.
    pub at: Time,
}

/// What a line of the feed is about. In JSON one field says it: `"key": "cluster/tools"`,
/// `"tag": "…"`, `"source": "…"`, or `"all": true`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "SubjectField", into = "SubjectField")]
pub enum Subject {
    /// One entry.
    Entry(Key),
    /// All that carry a tag.
    Tag(String),
    /// All of a source.
    Source(String),
    /// All.
    All,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SubjectField {
    Key(Key),
    Tag(String),
    Source(String),
    All(bool),
}

impl From<Subject> for SubjectField {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Entry(key) => SubjectField::Key(key),
            Subject::Tag(tag) => SubjectField::Tag(tag),
            Subject::Source(source) => SubjectField::Source(source),
            Subject::All => SubjectField::All(true),
        }
    }
}

impl From<SubjectField> for Subject {
    fn from(field: SubjectField) -> Self {
        match field {
            SubjectField::Key(key) => Subject::Entry(key),
            SubjectField::Tag(tag) => Subject::Tag(tag),
            SubjectField::Source(source) => Subject::Source(source),
            SubjectField::All(_) => Subject::All,
        }
    }
}

impl Subject {
    /// The entry, where it is about one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Subject::Entry(key) => Some(key),
            Subject::Tag(_) | Subject::Source(_) | Subject::All => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Entry(key) => write!(f, "{key}"),
            Subject::Tag(tag) => write!(f, "tag {tag}"),
            Subject::Source(source) => write!(f, "source {source}"),
            Subject::All => f.write_str("everything"),
        }
    }
}

/// A stretch of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The lines behind the asked place, oldest first.
    pub lines: Vec<Change>,
    /// Whether lines between the asked place and these have been swept: start over.
    pub reset: bool,
    /// The place of the newest line there is.
    pub last: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_feed_says_in_one_field_what_it_is_about() {
        let line =
            |on: Subject| Change { seq: 7, on, what: "invalidated".into(), version: 0, at: Time::default() };
        let key: Key = "cluster/tools".parse().unwrap();
        for (on, field) in [
            (Subject::Entry(key), r#""key":"cluster/tools""#),
            (Subject::Tag("rust".into()), r#""tag":"rust""#),
            (Subject::Source("cluster".into()), r#""source":"cluster""#),
            (Subject::All, r#""all":true"#),
        ] {
            let text = serde_json::to_string(&line(on.clone())).unwrap();
            assert!(text.starts_with(&format!(r#"{{"seq":7,{field},"what""#)), "{text}");
            assert_eq!(serde_json::from_str::<Change>(&text).unwrap().on, on);
        }
    }
}
