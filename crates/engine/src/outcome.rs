//! What a read and a refresh answer.

use std::sync::Arc;

use larder_core::{
    Definition, Failure, FetchError, Hint, Key, Outcome, RefreshState, Status, StoreError, Stored, Time,
};

use crate::OutOfReach;

/// Where a reader's answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// From the store, fresh.
    Hit,
    /// From the store, stale.
    Stale,
    /// From the source: the reader waited for it.
    Miss,
}

impl Hit {
    /// The seeds' word for it, as in `X-Cache-Hit`.
    pub fn word(self) -> &'static str {
        match self {
            Hit::Hit => "hit",
            Hit::Stale => "stale",
            Hit::Miss => "miss",
        }
    }
}

/// A reader's answer.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Which entry.
    pub key: Key,
    /// The row, with the members a reader may see. Shared: as long as memory holds a copy, every
    /// reading of it has the same `Arc`.
    pub stored: Arc<Stored>,
    /// Where it came from.
    pub hit: Hit,
    /// Its status when it was served.
    pub status: Status,
    /// What was being done about it.
    pub refresh: RefreshState,
    /// Why it is not fresher, where a refresh failed.
    pub error: Option<Failure>,
    /// Whether it is only what memory held, since the store could not be asked.
    pub out_of_reach: Option<OutOfReach>,
    /// What it is meant to be.
    pub definition: Arc<Definition>,
}

/// Why a reader has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// No source knows the key.
    #[error("`{0}` is not configured")]
    Unknown(Key),
    /// Not held, and the reader wants no network.
    #[error("`{0}` is not in the cache")]
    NotCached(Key),
    /// Held, but older than the reader takes, and it wants no network.
    #[error("the copy of `{0}` is older than asked for")]
    TooOld(Key),
    /// The source says that there is no such thing.
    #[error("`{key}` does not exist")]
    Absent {
        /// Which entry.
        key: Key,
        /// When it may be asked for again.
        until: Time,
    },
    /// Not held, and the last attempt failed a moment ago.
    #[error("`{key}` could not be fetched; it is not tried again before {}", until.whole_second())]
    Backoff {
        /// Which entry.
        key: Key,
        /// When it may be tried again.
        until: Time,
        /// What went wrong.
        failure: Option<Box<Failure>>,
    },
    /// Not held, and the fetch failed.
    #[error("`{key}` could not be fetched")]
    Failed {
        /// Which entry.
        key: Key,
        /// What went wrong.
        source: RefreshError,
    },
    /// The store could not be asked.
    #[error("the store could not be read")]
    Store(#[source] Arc<StoreError>),
}

impl ReadError {
    /// Whether the same read may succeed later with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            ReadError::Unknown(_) | ReadError::TooOld(_) | ReadError::NotCached(_) => false,
            ReadError::Absent { .. } | ReadError::Backoff { .. } => true,
            ReadError::Failed { source, .. } => source.is_retryable(),
            ReadError::Store(error) => error.is_retryable(),
        }
    }

    /// What a person can do.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            ReadError::Unknown(key) => vec![format!("add `{}` to larder.toml", key.name())],
            ReadError::NotCached(_) | ReadError::TooOld(_) => {
                vec!["read it without --offline once".to_owned()]
            }
            ReadError::Absent { .. } => {
                vec!["check its name; what is private wants a token that may see it".to_owned()]
            }
            ReadError::Backoff { failure, .. } => {
                failure.as_ref().and_then(|failure| failure.hint.clone()).into_iter().collect()
            }
            ReadError::Failed { source, .. } => source.hints(),
            ReadError::Store(error) => error.hints(),
        }
    }
}

/// Why a refresh brought nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RefreshError {
    /// The source failed, wholly.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The store could not be asked, or could not take the result.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// A failure of a moment ago, ours or another process's: it is not tried again yet.
    #[error("{}", .0.message)]
    Held(Box<Failure>),
    /// Another took over while this one was silent for longer than its lease, and came to nothing, or that
    /// happened twice.
    #[error("another refresh took over")]
    Superseded,
    /// This one was silent for longer than its lease. Nobody took over, but somebody might have: what
    /// comes late for its lease is refused. Design, rule 5.
    #[error("its lease had ended when the result came, so that it was refused")]
    LeaseEnded,
    /// The entry was evicted while it was being fetched.
    #[error("the entry was removed from the cache meanwhile")]
    Removed,
    /// The process is shutting down; the attempt is not counted.
    #[error("the refresh was interrupted")]
    Interrupted,
    /// Another process holds the entry and does not come to an end.
    #[error("another process has been refreshing it for too long")]
    Stuck,
    /// No source knows the key.
    #[error("it is not configured")]
    NotConfigured,
}

impl RefreshError {
    /// Whether the same refresh may succeed later with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            RefreshError::Fetch(error) => !error.counts(),
            RefreshError::Store(error) => error.is_retryable(),
            RefreshError::Held(_)
            | RefreshError::Superseded
            | RefreshError::LeaseEnded
            | RefreshError::Removed
            | RefreshError::Interrupted
            | RefreshError::Stuck => true,
            RefreshError::NotConfigured => false,
        }
    }

    /// What a person can do.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            RefreshError::Fetch(error) => error.hints(),
            RefreshError::Store(error) => error.hints(),
            RefreshError::Held(failure) => failure.hint.clone().into_iter().collect(),
            RefreshError::Stuck => vec!["see `larder cache status`".to_owned()],
            RefreshError::LeaseEnded => {
                vec!["try again; if it comes again, give refreshes a longer `[engine] lease`".to_owned()]
            }
            RefreshError::Superseded
            | RefreshError::Removed
            | RefreshError::Interrupted
            | RefreshError::NotConfigured => Vec::new(),
        }
    }

    /// Whether our own budget refused it for the sake of whoever is more urgent.
    pub(crate) fn spares_the_urgent(&self) -> bool {
        match self {
            RefreshError::Fetch(error) => error.spares_the_urgent(),
            RefreshError::Held(failure) => failure.spares_the_urgent(),
            _ => false,
        }
    }

    /// The failure as a reader is told of it.
    pub(crate) fn failure(&self, now: Time) -> Failure {
        match self {
            RefreshError::Fetch(error) => error.at(now),
            RefreshError::Held(failure) => (**failure).clone(),
            other => Failure {
                code: "local".to_owned(),
                message: other.to_string(),
                hint: other.hints().into_iter().next(),
                at: now,
            },
        }
    }
}

/// What a refresh of one entry came to.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// Which entry.
    pub key: Key,
    /// What came of it. [`Outcome::Failed`] is never here: a failure is an error.
    pub result: Result<Outcome, RefreshError>,
    /// The row after it, where it could be looked up.
    pub stored: Option<Arc<Stored>>,
}
