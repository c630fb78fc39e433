//! Why a store could not do something: what was attempted, where, and what people can do about it.

use std::path::PathBuf;

use crate::Hint;

/// Why a store could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or the connection broke: nobody knows whether a write went through.
    #[error("{place} cannot be reached to {attempted}: {cause}")]
    Unreachable {
        /// The store, without secrets.
        place: String,
        /// What for.
        attempted: &'static str,
        /// In the network's or the database's words.
        cause: String,
    },
    /// Another process holds it, for longer than we wait.
    #[error("{place} is in use by another process: waited in vain to {attempted}")]
    Busy {
        /// The store.
        place: String,
        /// What for.
        attempted: &'static str,
    },
    /// It was at it for as long as it may be with one thing, or waited for so long.
    #[error("{place} could not {attempted} within the time that one statement may take: {cause}")]
    Slow {
        /// The store.
        place: String,
        /// What for.
        attempted: &'static str,
        /// In the database's words.
        cause: String,
    },
    /// A person stopped it at what it was at.
    #[error("{place} could not {attempted}, since somebody stopped it at that: {cause}")]
    Stopped {
        /// The store.
        place: String,
        /// What for.
        attempted: &'static str,
        /// In the database's words.
        cause: String,
    },
    /// It takes no more connections.
    #[error("{place} takes no more connections to {attempted}: {cause}")]
    Crowded {
        /// The store.
        place: String,
        /// What for.
        attempted: &'static str,
        /// In the database's words.
        cause: String,
    },
    /// It has one user at a time, and another process is that, for longer than we wait.
    #[error("{place} is held by another process, and has one user at a time: waited in vain to {attempted}")]
    Held {
        /// The store.
        place: String,
        /// What for.
        attempted: &'static str,
    },
    /// No room.
    #[error("no room left on the disk of {place} to {attempted}")]
    Full {
        /// The store.
        place: String,
        /// What for.
        attempted: &'static str,
    },
    /// It may be read, not written.
    #[error("{place} cannot be written: {cause}")]
    ReadOnly {
        /// The store.
        place: String,
        /// In the system's words.
        cause: String,
        /// What a person can do, where more is known than that.
        hint: Option<Hint>,
    },
    /// It lets us not in, or not do that: waiting mends nothing, a person must.
    #[error("{place}: could not {attempted}: {cause}")]
    Denied {
        /// The store.
        place: String,
        /// What was attempted.
        attempted: &'static str,
        /// In the database's words.
        cause: String,
        /// What a person can do.
        hint: Hint,
    },
    /// Not Larder's.
    #[error("{place} is not a Larder database: {found}")]
    Foreign {
        /// The store.
        place: String,
        /// What it seems to be.
        found: String,
    },
    /// Written by a newer Larder.
    #[error("{place} has schema {found}, this larder knows up to {known}")]
    TooNew {
        /// The store.
        place: String,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Damaged; `moved_to` says where the damaged file was put, if it could be.
    #[error("{place} is damaged: {cause}")]
    Corrupt {
        /// The store.
        place: String,
        /// In the database's words.
        cause: String,
        /// Where the file is now.
        moved_to: Option<PathBuf>,
    },
    /// A row that cannot be understood.
    #[error("{table} {row}: column `{column}` holds {found}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// The row's name.
        row: String,
        /// The column.
        column: &'static str,
        /// What it holds.
        found: String,
    },
    /// Anything else the database or the system said.
    #[error("{place}: could not {attempted}: {cause}")]
    Failed {
        /// The store.
        place: String,
        /// What was attempted.
        attempted: &'static str,
        /// In the database's words.
        cause: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            StoreError::Busy { .. }
                | StoreError::Slow { .. }
                | StoreError::Stopped { .. }
                | StoreError::Crowded { .. }
                | StoreError::Held { .. }
                | StoreError::Full { .. }
                | StoreError::Unreachable { .. }
        )
    }

    /// What a person can do.
    pub fn hints(&self) -> Vec<Hint> {
        let hint: Hint = match self {
            StoreError::Unreachable { place, .. } if is_file(place) => {
                "see whether its disk is there, and whether the process may open more files (`ulimit -n`)".into()
            }
            StoreError::Unreachable { .. } => {
                "see whether the database runs, and whether `[store] url` names it: `larder config show`".into()
            }
            StoreError::Busy { .. } => "wait for the other larder, or end it: a `larder serve` (`larder doctor` says where), or a `larder watch`".into(),
            StoreError::Slow { .. } => {
                "see what keeps the database busy (`pg_stat_activity`), or allow more time: `[store] statement_timeout`".into()
            }
            StoreError::Stopped { .. } => "try again".into(),
            StoreError::Crowded { .. } => {
                "lower `[store] pool_size`, or let the server take more: `max_connections`, or the role's `CONNECTION LIMIT`".into()
            }
            StoreError::Held { .. } => {
                "ask the `larder serve` that holds it, over HTTP, or stop it; many at once can use a SQLite store: `[store] url`".into()
            }
            StoreError::Full { .. } => "free some room, or move the store: `[store] url`".into(),
            StoreError::Denied { hint, .. } | StoreError::ReadOnly { hint: Some(hint), .. } => hint.clone(),
            StoreError::ReadOnly { place, .. } if is_server(place) => {
                "let it be written again, or set `[store] url` to one that can be".into()
            }
            StoreError::ReadOnly { .. } => {
                "make the file and its directory writable, or set `[store] url` to a place that is".into()
            }
            StoreError::Foreign { place, .. } if is_server(place) => {
                "set `[store] url` to another database; Larder touches only what is its own".into()
            }
            StoreError::Foreign { .. } => "set `[store] url` to another path; Larder touches only its own files".into(),
            StoreError::TooNew { place, .. } => {
                let other = if is_server(place) { "database" } else { "path" };
                format!("update larder, or set `[store] url` to another {other}")
            }
            StoreError::Corrupt { moved_to: Some(path), .. } => {
                format!("it was moved to {} and a new one is made; the cache refills itself", path.display())
            }
            StoreError::Corrupt { .. } => "stop every larder that uses it and run the command again".into(),
            StoreError::BadRow { .. } => "`larder cache clear KEY` removes the entry; it is fetched anew".into(),
            StoreError::Failed { .. } => return Vec::new(),
        };
        vec![hint]
    }
}

/// Whether a place is a file's path.
fn is_file(place: &str) -> bool {
    !is_server(place) && place.contains(std::path::is_separator)
}

/// Whether a place is a server's address, not a file's path.
fn is_server(place: &str) -> bool {
    place.contains("://")
}
