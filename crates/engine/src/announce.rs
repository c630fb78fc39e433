//! Telling this process what was committed. Nothing is announced before it is committed; other
//! processes read the store's feed.

use larder_core::{Key, Outcome};
use tokio::sync::broadcast;

/// An entry's attempt was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Which entry.
    pub key: Key,
    /// What came of the attempt.
    pub outcome: Outcome,
    /// The entry's version after it.
    pub version: u64,
}

/// How many announcements a slow listener may fall behind before it misses some and must look at
/// the feed.
const BACKLOG_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Announcer(broadcast::Sender<Announcement>);

impl Announcer {
    pub(crate) fn new() -> Self {
        Announcer(broadcast::Sender::new(BACKLOG_MAX))
    }

    pub(crate) fn announce(&self, key: &Key, outcome: Outcome, version: u64) {
        // Nobody listening is not an error.
        let _ = self.0.send(Announcement { key: key.clone(), outcome, version });
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.0.subscribe()
    }
}
