//! What a viewer sees of what is held. Design rule 10: doubt means no.
//!
//! For one who may not see what is private, an entry exists only if it shows a public item (or can
//! hold none at all), and nothing that could name a private one leaves: no warning about it, no
//! message in an upstream's words, no pending name.

use std::collections::HashSet;
use std::sync::Arc;

use larder_core::{Definition, Entry, Failure, Key, Listed, MemberState, Stored, Warning};
use larder_engine::Reading;

use crate::access::Viewer;
use crate::faces::Face;
use crate::folders::{self, MARKETPLACE_SOURCE};
use crate::trackers::TRACKERS_SOURCE;

/// Which of an answer's two faces a viewer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sight {
    /// Everything, local folders by their whole paths.
    Local,
    /// Everything, local folders from their roots.
    All,
    /// What is public.
    Public,
}

impl From<Viewer> for Sight {
    fn from(viewer: Viewer) -> Self {
        match viewer {
            Viewer { may_read_private: false, .. } => Sight::Public,
            Viewer { is_local: true, .. } => Sight::Local,
            Viewer { .. } => Sight::All,
        }
    }
}

impl Sight {
    /// The reading as this viewer sees it; `None` = there is no such entry for it.
    pub(crate) fn reading(self, mut reading: Reading) -> Option<Reading> {
        if self != Sight::Public {
            if self == Sight::All && folders::is_local(&reading.key) {
                folders::keep_relative(Arc::make_mut(&mut reading.stored));
                reading.error = reading.error.as_ref().map(|failure| folders::failure(&reading.key, failure));
            }
            return Some(reading);
        }
        if !is_public(&reading.stored, Some(&reading.definition)) {
            return None;
        }
        keep_public(Arc::make_mut(&mut reading.stored));
        reading.error = reading.error.as_ref().map(plain_failure);
        Some(reading)
    }

    /// As [`reading`](Sight::reading), of what a store holds: without members that nobody is shown.
    pub(crate) fn stored(self, mut stored: Stored, definition: Option<&Definition>) -> Option<Stored> {
        // What was committed under this definition has no other names.
        let edited = definition.filter(|definition| stored.entry.is_edited(definition));
        let is_named = |asked: &str| edited.is_none_or(|definition| definition.names(asked));
        stored.members.retain(|member| member.state != MemberState::Hidden && is_named(&member.asked));
        if self != Sight::Public {
            if self == Sight::All && folders::is_local(&stored.entry.key) {
                folders::keep_relative(&mut stored);
            }
            return Some(stored);
        }
        if !is_public(&stored, definition) {
            return None;
        }
        keep_public(&mut stored);
        Some(stored)
    }

    /// Keeps of a list what this viewer may see. A list is read after it was decided whose items are
    /// on it, and what was public then may have been committed as private since.
    pub(crate) fn keep_seen(self, listed: &mut Vec<Listed>) {
        listed.retain(|listed| self.sees(listed));
    }

    /// Whether this viewer may see an item of a list.
    pub(crate) fn sees(self, listed: &Listed) -> bool {
        self != Sight::Public || listed.item.scope.is_public()
    }

    /// A failure as this viewer is told of it.
    pub(crate) fn failure(self, key: &Key, failure: &Failure) -> Failure {
        match self {
            Sight::All if folders::is_local(key) => folders::failure(key, failure),
            Sight::Local | Sight::All => failure.clone(),
            Sight::Public => plain_failure(failure),
        }
    }
}

/// Whether all of an answer may be seen by everybody, so that shared caches may keep it.
pub(crate) fn is_all_public(stored: &Stored) -> bool {
    let public = names_public(stored);
    let about_public = |warning: &Warning| public.contains(warning.about.to_lowercase().as_str());
    let about_entry = |warning: &Warning| warning.about == stored.entry.key.as_str();
    stored.members.iter().all(|member| member.item.scope.is_public())
        && stored.entry.warnings.iter().all(|warning| about_entry(warning) || about_public(warning))
        && stored.entry.body.is_none()
}

/// Whether the entry's very name may be told to everybody: it shows a public item, or nothing
/// private could be in it.
pub(crate) fn is_public(stored: &Stored, definition: Option<&Definition>) -> bool {
    is_known(&stored.entry, Face::of(stored), definition)
}

/// As [`is_public`], of a row and what its members say.
pub(crate) fn is_known(entry: &Entry, face: Face, definition: Option<&Definition>) -> bool {
    if definition.is_some_and(|definition| definition.private) {
        return false;
    }
    let nothing_named = !names_itself(&entry.key)
        && definition
            .is_some_and(|definition| definition.names.as_ref().is_none_or(|names| names.is_empty()));
    face.shows_public || (nothing_named && entry.has_data())
}

/// Whether everybody is told that there is no such entry, of what is held of it. A failed first fetch of one that
/// [names itself](names_itself) says nothing, and doubt means no.
pub(crate) fn is_secret(key: &Key, stored: Option<&Stored>, definition: Option<&Definition>) -> bool {
    match stored.filter(|stored| stored.entry.has_data()) {
        Some(stored) => !is_public(stored, definition),
        None => names_itself(key) || definition.is_some_and(|definition| definition.private),
    }
}

/// Whether an entry's very name may be a private one, so that it tells as much as what it holds: a repository's
/// trackers bear its name, and so may a marketplace. One of them that holds nothing does not say whether it may
/// be told.
pub(crate) fn names_itself(key: &Key) -> bool {
    matches!(key.source(), TRACKERS_SOURCE | MARKETPLACE_SOURCE)
}

/// A row as everybody may see it, where nothing in it speaks of a member.
pub(crate) fn row_without_names(mut entry: Entry) -> Entry {
    entry.body = None;
    entry.last_error = entry.last_error.as_ref().map(plain_failure);
    entry
}

fn keep_public(stored: &mut Stored) {
    stored.members.retain(|member| member.item.scope.is_public() && member.state != MemberState::Hidden);
    let known: HashSet<String> = names_public(stored).into_iter().map(str::to_owned).collect();
    let Entry { key, warnings, pending, body, last_error, .. } = &mut stored.entry;
    // A warning about the entry as a whole speaks in the source's own fixed words; any other may
    // stay only if it is about something that is shown.
    warnings.retain(|warning| {
        known.contains(&warning.about.to_lowercase())
            || (warning.about == key.as_str() && warning.code == "needs_token")
    });
    pending.retain(|name| known.contains(&**name));
    *body = None;
    *last_error = last_error.as_ref().map(plain_failure);
}

/// The names, lower-cased, under which public members are asked for, and their own.
fn names_public(stored: &Stored) -> HashSet<&str> {
    let public = stored.members.iter().filter(|member| member.item.scope.is_public());
    public.flat_map(|member| [&*member.asked, without_host(&member.item.of.id)]).collect()
}

/// `owner/name` of `host/owner/name`.
fn without_host(id: &str) -> &str {
    id.split_once('/').map_or(id, |(_, name)| name)
}

/// A failure in words of our own: an upstream's may name what is private.
fn plain_failure(failure: &Failure) -> Failure {
    let own_words = matches!(
        failure.code.as_str(),
        "primary_limit"
            | "secondary_limit"
            | "outage"
            | "budget"
            | "breaker_open"
            | "timed_out"
            | "store_unreachable"
    );
    let message = if own_words {
        failure.message.clone()
    } else {
        match failure.code.as_str() {
            "network" => "the upstream could not be reached",
            "upstream" => "the upstream failed",
            "partial" => "the upstream left part of the answer out",
            "refused" | "needs_token" | "access_lost" => "the upstream refused access",
            "bad_request" | "unusable" => "the upstream's answer could not be used",
            _ => "the refresh failed",
        }
        .to_owned()
    };
    Failure { code: failure.code.clone(), message, hint: None, at: failure.at }
}
