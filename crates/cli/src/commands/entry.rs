//! An entry's state in words, as every command and every `--json` says it.

use std::time::Duration;

use larder_core::{Definition, Entry, Failure, Key, Policy, RefreshState, Status, Time, Warning};
use serde::Serialize;

use crate::ui::{Cell, Tone, age, ago, in_a_while};

/// An entry's state. Its names are an interface: programs read them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryView {
    /// Its key.
    pub key: Key,
    /// `missing`, `fresh` or `stale`.
    pub status: Status,
    /// `idle`, `running`, `retrying` or `dead`.
    pub refresh: RefreshState,
    /// When its data was fetched.
    pub fetched_at: Option<Time>,
    /// The end of its freshness lifetime.
    pub fresh_until: Option<Time>,
    /// How old the data is.
    pub age_seconds: Option<u64>,
    /// Whether every repository was answered for.
    pub complete: bool,
    /// Attempts without success since the last one.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<Failure>,
    /// What a reader should know.
    pub warnings: Vec<Warning>,
    /// What its row counts what readers see of it by.
    #[serde(skip)]
    pub version: u64,
    /// When the next refresh may start, where one waits for its time.
    #[serde(skip)]
    pub due_at: Time,
    /// What made it stale before its time.
    #[serde(skip)]
    pub cut_short: Option<CutShort>,
    /// Whether all that it holds is hidden: it was private, and its source says that it is gone.
    #[serde(skip)]
    pub is_hidden: bool,
}

/// What makes an entry stale before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutShort {
    /// Somebody said so.
    Invalidated,
    /// What configuration says of it is not what it was fetched by.
    Edited,
}

impl EntryView {
    /// Of a row, or of none. Without a definition (no longer configured) the row alone decides.
    pub fn new(key: &Key, entry: Option<&Entry>, definition: Option<&Definition>, now: Time) -> Self {
        let Some(entry) = entry else { return EntryView::missing(key, now) };
        let usual = Policy::default();
        let policy = definition.map_or(&usual, |definition| &definition.policy);
        EntryView {
            key: key.clone(),
            status: entry.status(definition, now),
            refresh: entry.refresh_state(policy, now),
            fetched_at: entry.fetched_at,
            fresh_until: entry.fresh_until,
            age_seconds: entry.fetched_at.map(|at| now.since(at).as_secs()),
            complete: entry.complete,
            attempts: entry.attempts,
            last_error: entry.last_error.clone(),
            warnings: entry.warnings.clone(),
            version: entry.version,
            due_at: entry.due_at,
            cut_short: CutShort::of(entry, definition),
            is_hidden: false,
        }
    }

    fn missing(key: &Key, now: Time) -> Self {
        EntryView {
            key: key.clone(),
            status: Status::Missing,
            refresh: RefreshState::Idle,
            fetched_at: None,
            fresh_until: None,
            age_seconds: None,
            complete: false,
            attempts: 0,
            last_error: None,
            warnings: Vec::new(),
            version: 0,
            due_at: now,
            cut_short: None,
            is_hidden: false,
        }
    }

    /// Whether there is anything to show.
    pub fn has_data(&self) -> bool {
        self.status != Status::Missing && !self.is_hidden
    }

    /// Whether there is nothing to be said of it but what it holds.
    pub fn is_plain(&self) -> bool {
        self.status == Status::Fresh
            && self.refresh == RefreshState::Idle
            && self.complete
            && self.last_error.is_none()
            && self.warnings.is_empty()
    }

    /// How old the data is, in words.
    pub fn age(&self) -> String {
        self.age_seconds.map_or_else(|| "no data".to_owned(), |secs| age(Duration::from_secs(secs)))
    }

    /// Until when it is fresh, or since when it is not, in words.
    pub fn expires(&self, now: Time) -> Option<String> {
        match self.cut_short {
            Some(CutShort::Invalidated) => Some("invalidated".to_owned()),
            Some(CutShort::Edited) => Some("edited since".to_owned()),
            None => self.fresh_until.map(|at| if at > now { in_a_while(at, now) } else { ago(at, now) }),
        }
    }

    /// When it is tried again after a failure, in words.
    pub fn next_try(&self, now: Time) -> String {
        match self.refresh {
            RefreshState::Running => "under way".to_owned(),
            _ if self.due_at <= now => "at the next read".to_owned(),
            _ => in_a_while(self.due_at, now),
        }
    }

    /// The worse of the two states, as people see it.
    pub fn badge(&self) -> Cell<'static> {
        let (word, tone) = match (self.refresh, self.status) {
            (RefreshState::Dead, _) => ("dead", Tone::Bad),
            (RefreshState::Retrying, _) => ("error", Tone::Bad),
            (RefreshState::Running, _) => ("updating", Tone::Warn),
            (RefreshState::Idle, Status::Stale) => ("stale", Tone::Warn),
            (RefreshState::Idle, Status::Fresh) if !self.complete => ("incomplete", Tone::Warn),
            (RefreshState::Idle, Status::Fresh) => ("fresh", Tone::Good),
            (RefreshState::Idle, Status::Missing) => ("missing", Tone::Quiet),
        };
        Cell::new(word).tone(tone)
    }
}

impl CutShort {
    fn of(entry: &Entry, definition: Option<&Definition>) -> Option<Self> {
        let is_edited = definition.is_some_and(|definition| entry.is_outdated(definition));
        match (entry.fetched_at, is_edited) {
            (None, _) => None,
            (Some(_), true) => Some(CutShort::Edited),
            (Some(_), false) => entry.is_invalidated().then_some(CutShort::Invalidated),
        }
    }
}
