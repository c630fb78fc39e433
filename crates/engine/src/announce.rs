//! Telling this process what was committed. Nothing is announced before it is committed; other
//! processes read the store's feed.

use std::sync::OnceLock;

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
pub(crate) struct Announcer(Broadcast<Announcement>);

impl Announcer {
    pub(crate) fn new() -> Self {
        Announcer(Broadcast::new(BACKLOG_MAX))
    }

    pub(crate) fn announce(&self, key: &Key, outcome: Outcome, version: u64) {
        self.0.send(Announcement { key: key.clone(), outcome, version });
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.0.subscribe()
    }
}

/// A broadcast whose backlog is made for its first listener: a short command's engine has none, and
/// would spend longer on the room for thousands than on what it was asked.
#[derive(Debug)]
pub(crate) struct Broadcast<T> {
    backlog: usize,
    sender: OnceLock<broadcast::Sender<T>>,
}

impl<T: Clone> Broadcast<T> {
    pub(crate) fn new(backlog: usize) -> Self {
        Broadcast { backlog, sender: OnceLock::new() }
    }

    /// Nobody listening is not an error.
    pub(crate) fn send(&self, news: T) {
        if let Some(sender) = self.sender.get() {
            let _ = sender.send(news);
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<T> {
        self.sender.get_or_init(|| broadcast::Sender::new(self.backlog)).subscribe()
    }
}
