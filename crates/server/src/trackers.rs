//! What the API and the page of trackers have in common: which entries there are, and what their
//! keys and items say.

use larder_core::{Item, Key};
use larder_domain::{RepoName, Tracker};

use crate::app::App;

/// The source whose entries are a repository's trackers of a type: `trackers/owner/name/type`.
pub(crate) const TRACKERS_SOURCE: &str = "trackers";

/// No list is longer.
pub(crate) const TRACKERS_MAX: usize = 1_000_000;

impl App {
    /// The keys of the configured repositories' trackers, in the order of configuration.
    pub(crate) fn tracker_keys(&self) -> Vec<Key> {
        self.engine.keys_of(TRACKERS_SOURCE)
    }
}

/// Whether an entry holds trackers of that repository.
pub(crate) fn is_of(key: &Key, repo: &RepoName) -> bool {
    repo_of(key).is_some_and(|named| named.key() == repo.key())
}

/// Whose trackers an entry holds.
pub(crate) fn repo_of(key: &Key) -> Option<RepoName> {
    match key.segments().as_slice() {
        [owner, name, _] if key.source() == TRACKERS_SOURCE => RepoName::new(owner, name).ok(),
        _ => None,
    }
}

/// Of which type they are.
pub(crate) fn type_of(key: &Key) -> Option<String> {
    match key.segments().as_slice() {
        [_, _, of] if key.source() == TRACKERS_SOURCE => Some(of.clone()),
        _ => None,
    }
}

/// The tracker that an item holds; a copy that cannot be read is left out and told of.
pub(crate) fn decoded(item: &Item) -> Option<Tracker> {
    match item.doc.decode() {
        Ok(tracker) => Some(tracker),
        Err(error) => {
            tracing::warn!(item = %item.of.id, %error, "a copy cannot be read");
            None
        }
    }
}
