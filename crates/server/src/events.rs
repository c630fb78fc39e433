//! What open streams hear: the store's feed, live, each line with whether everybody may know of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_core::{Change, Key, Time};
use serde::Serialize;
use tokio::sync::broadcast;

/// What a stream is told.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A line of the feed.
    Changed(Change),
    /// A refresh that changed nothing but the entry's age: no line of the feed, and so no place.
    Refreshed(Renewal),
    /// Lines were lost: start over.
    Reset {
        /// Where the feed goes on.
        last: u64,
    },
    /// The store is out of reach.
    Lost(Time),
    /// It can be reached again.
    Found,
}

/// A refresh that the feed has no line of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Renewal {
    /// Which entry.
    pub(crate) key: Key,
    /// The log's word for what came of it.
    pub(crate) what: String,
    /// When.
    pub(crate) at: Time,
}

/// An event, and whether everybody may know of it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) event: Arc<Event>,
    pub(crate) is_public: bool,
}

/// How far a slow stream may fall behind before it looks at the feed again.
const BACKLOG_MAX: usize = 1024;

/// Entries whose visibility is remembered, so that their end can be told to those who knew them.
const KNOWN_MAX: usize = 10_000;

/// All open streams.
pub(crate) struct Events {
    sender: broadcast::Sender<Told>,
    open: Arc<AtomicUsize>,
    streams_max: usize,
    place: AtomicU64,
    known: Mutex<HashMap<Key, bool>>,
}

/// A stream's right to be open, given back when it is dropped.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Events {
    pub(crate) fn new(streams_max: usize, place: u64) -> Self {
        Events {
            sender: broadcast::Sender::new(BACKLOG_MAX),
            open: Arc::default(),
            streams_max,
            place: AtomicU64::new(place),
            known: Mutex::default(),
        }
    }

    /// Takes a seat; `None` = all are taken, or, for those whom nobody knows, all but the quarter that is kept for
    /// the others.
    pub(crate) fn sit(&self, is_known: bool) -> Option<Seat> {
        let kept = if is_known { 0 } else { self.streams_max / 4 };
        let take = |open: usize| (open < self.streams_max - kept).then_some(open + 1);
        let taken = self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.ok().map(|_| Seat(self.open.clone()))
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Hears of everything from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Told> {
        self.sender.subscribe()
    }

    /// The place of the feed up to which everything was told.
    pub(crate) fn place(&self) -> u64 {
        self.place.load(Ordering::SeqCst)
    }

    /// Tells everybody, once the feed was read up to `place`.
    pub(crate) fn tell(&self, event: Event, is_public: bool) {
        match &event {
            Event::Changed(change) => self.place.store(change.seq, Ordering::SeqCst),
            Event::Reset { last } => self.place.store(*last, Ordering::SeqCst),
            Event::Refreshed(_) | Event::Lost(_) | Event::Found => {}
        }
        // Nobody listening is not an error.
        let _ = self.sender.send(Told { event: Arc::new(event), is_public });
    }

    /// Remembers whether everybody may know of an entry; answers what was known before where the
    /// entry itself cannot say any more.
    pub(crate) fn remember(&self, key: &Key, now_public: Option<bool>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match now_public {
            Some(is_public) => {
                if known.len() >= KNOWN_MAX && !known.contains_key(key) {
                    known.clear();
                }
                known.insert(key.clone(), is_public);
                is_public
            }
            None => known.get(key).copied().unwrap_or(false),
        }
    }
}
