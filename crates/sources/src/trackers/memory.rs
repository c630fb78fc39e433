//! What an entry remembers from one fetch to the next: in its document, which people see, how its
//! trackers came in; in its cursor, which they do not, where the next asking goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use larder_core::{Ask, Delta, FetchError, Fetched, Fingerprint, ItemRef, Others, Scope, Time};
use larder_domain::{Tracker, payload};
use serde::{Deserialize, Serialize};

/// How the trackers that are held came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WayIn {
    /// By the manifest that the repository carries.
    Manifest,
    /// From GitHub.
    Api,
}

/// An entry's document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// How they came in.
    pub way: WayIn,
    /// When what is held was true: the beginning of the fetch, or the manifest's `updated_at`.
    pub as_of: Time,
    /// The manifest's file as it was when it was last looked at, whatever was made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Seen>,
    /// When the repository's remote was last asked for a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled_at: Option<Time>,
}

/// A file as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since 1970, as text: JSON's numbers are too short.
    pub modified: String,
    /// The digest of its content.
    pub hash: Fingerprint,
}

/// Where the next asking of GitHub goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// When everything was last listed.
    pub(super) full_at: Time,
    /// What changed from then on, by GitHub's clock, is asked for.
    pub(super) since: Time,
    /// Issues that carry the label and are no trackers.
    pub(super) others: BTreeSet<u64>,
}

/// What is held, and how it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) way: Option<Way>,
    pub(super) cursor: Option<Cursor>,
    pub(super) held: Vec<(ItemRef, Tracker)>,
    is_public: bool,
}

impl Memory {
    pub(super) fn of(ask: &Ask) -> Memory {
        let tracker = |member: &larder_core::Member| {
            Some((member.item.of.clone(), member.item.doc.decode::<Tracker>().ok()?))
        };
        Memory {
            way: ask.body.as_ref().and_then(|body| body.decode().ok()),
            cursor: ask.cursor.as_deref().and_then(|cursor| serde_json::from_str(cursor).ok()),
            held: ask.held.at_hand().iter().filter_map(tracker).collect(),
            is_public: ask.held.at_hand().iter().any(|member| member.item.scope.is_public()),
        }
    }

    /// Whether everybody may see what is held.
    pub(super) fn is_public(&self) -> bool {
        self.is_public
    }

    /// Who may see a repository's trackers, by what GitHub last said of it.
    pub(super) fn scope(&self, host: &str, repo: &str) -> Scope {
        if self.is_public {
            Scope::Public
        } else {
            Scope::Repo(format!("{host}/{}", repo.to_lowercase()).into())
        }
    }

    /// The digest of what is held.
    pub(super) fn payload(&self) -> Fingerprint {
        let trackers: Vec<Tracker> = self.held.iter().map(|(_, tracker)| tracker.clone()).collect();
        payload(&trackers)
    }

    /// The cursor as text.
    pub(super) fn written(cursor: Option<&Cursor>) -> Option<String> {
        cursor.and_then(|cursor| serde_json::to_string(cursor).ok())
    }

    /// Nothing came that is newer: what is held stays as it is, no younger than it was.
    pub(super) fn as_it_was(&self) -> Result<Fetched, FetchError> {
        let nothing = || FetchError::Local("the manifest says nothing that is not held".to_owned());
        let way = self.way.as_ref().ok_or_else(nothing)?;
        Ok(Fetched::Delta(Delta {
            others: Others::Stay,
            cursor: Memory::written(self.cursor.as_ref()),
            as_of: Some(way.as_of),
            ttl: Some(Duration::ZERO),
            ..Delta::default()
        }))
    }
}
