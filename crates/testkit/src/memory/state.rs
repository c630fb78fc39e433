//! Everything the store holds, and the small rules that all its calls share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Change, Entry, Item, ItemRef, Key, Lease, LogLine, Member, MemberWrite, Sheet, Stored, Subject, Target,
    Time, Token,
};

use super::budgets::Books;

/// Callers read their clocks before they queue, so a lease may have been taken a little later than
/// the `now` of whoever meets it; one from further ahead was taken before the clock was set back.
const QUEUE_SLACK: Duration = Duration::from_mins(1);

/// All there is.
#[derive(Clone, Default)]
pub(super) struct State {
    /// The number that orders everything.
    pub(super) seq: u64,
    /// Counts transactions.
    pub(super) commits: u64,
    /// The highest version among removed entries: a new row goes on from there.
    pub(super) version_floor: u64,
    pub(super) feed_swept: u64,
    /// When a sweep was last done.
    pub(super) swept_at: Option<Time>,
    pub(super) entries: BTreeMap<Key, EntryRow>,
    pub(super) items: BTreeMap<ItemRef, ItemRow>,
    pub(super) markers: Vec<Marker>,
    pub(super) feed: Vec<Arc<Change>>,
    pub(super) log: Vec<Arc<LogLine>>,
    pub(super) books: Books,
}

/// An entry's row. Its `entry` says what is written on the row itself; what markers say of it comes
/// in as it is [seen](State::seen).
#[derive(Clone)]
pub(super) struct EntryRow {
    pub(super) entry: Entry,
    pub(super) members: Vec<MemberWrite>,
    pub(super) tags: BTreeSet<String>,
    /// The number at which a trigger asked for a refresh; 0 = none did.
    pub(super) marked: u64,
    pub(super) touched_at: Time,
    pub(super) unconfigured_since: Option<Time>,
    /// What a reader wrote down of its list.
    pub(super) sheet: Option<Arc<Sheet>>,
}

/// An item's row.
#[derive(Clone)]
pub(super) struct ItemRow {
    pub(super) item: Item,
    /// The number at which the fetch that brought it began.
    pub(super) began: u64,
}

/// An invalidation of many entries at once.
#[derive(Clone)]
pub(super) struct Marker {
    pub(super) on: Subject,
    pub(super) seq: u64,
    pub(super) at: Time,
}

impl Marker {
    /// Whether it means an entry of these tags.
    pub(super) fn means(&self, key: &Key, tags: &BTreeSet<String>) -> bool {
        match &self.on {
            Subject::Entry(named) => named == key,
            Subject::Tag(tag) => tags.contains(tag),
            Subject::Source(source) => key.source() == source,
            Subject::All => true,
        }
    }
}

impl State {
    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// The next number as a token. There is only one life of this store.
    pub(super) fn token(&mut self) -> Token {
        Token { epoch: 1, seq: self.next() }
    }

    /// The newest marker that means an entry of these tags.
    pub(super) fn newest_marker(&self, key: &Key, tags: &BTreeSet<String>) -> Option<&Marker> {
        self.markers.iter().filter(|marker| marker.means(key, tags)).max_by_key(|marker| marker.seq)
    }

    /// The entry as readers see it: with what markers say of it.
    pub(super) fn seen(&self, row: &EntryRow) -> Entry {
        let mut entry = row.entry.clone();
        if let Some(marker) = self.newest_marker(&entry.key, &row.tags)
            && marker.seq > entry.invalidated
        {
            entry.invalidated = marker.seq;
            entry.due_at = entry.due_at.min(marker.at);
        }
        entry.marked = row.marked > 0;
        entry.marked_by = entry.marked_by.filter(|_| row.marked > 0);
        entry
    }

    /// The entry with its members.
    pub(super) fn stored(&self, row: &EntryRow) -> Stored {
        let member = |member: &MemberWrite| {
            let item = self.items.get(&member.item)?.item.clone();
            Some(Member { asked: member.asked.clone(), state: member.state, item })
        };
        Stored { entry: self.seen(row), members: row.members.iter().filter_map(member).collect() }
    }

    /// The row, made with nothing in it where there is none: no marker from before it means it.
    pub(super) fn row_or_new(&mut self, key: &Key, now: Time) -> &mut EntryRow {
        let version = self.version_floor;
        let invalidated = self.newest_marker(key, &BTreeSet::new()).map_or(0, |marker| marker.seq);
        self.entries.entry(key.clone()).or_insert_with(|| EntryRow {
            entry: Entry { version, invalidated, ..Entry::empty(key.clone(), now) },
            members: Vec::new(),
            tags: BTreeSet::new(),
            marked: 0,
            touched_at: now,
            unconfigured_since: None,
            sheet: None,
        })
    }

    /// The entries that a target means, each once.
    pub(super) fn met(&self, target: &Target) -> Vec<Key> {
        let means = |row: &EntryRow| match target {
            Target::Keys(keys) => keys.contains(&row.entry.key),
            Target::Source(source) => row.entry.key.source() == source,
            Target::Tag(tag) => row.tags.contains(tag),
            Target::All => true,
        };
        self.entries.values().filter(|row| means(row)).map(|row| row.entry.key.clone()).collect()
    }

    /// Writes a line of the feed.
    pub(super) fn announce(&mut self, on: Subject, what: &str, version: u64, at: Time) {
        let seq = self.next();
        self.feed.push(Arc::new(Change { seq, on, what: what.to_owned(), version, at }));
    }

    /// The place of the newest line of the feed there is, or was.
    pub(super) fn feed_last(&self) -> u64 {
        self.feed.last().map_or(0, |line| line.seq).max(self.feed_swept)
    }
}

impl EntryRow {
    /// Whether somebody refreshes it.
    pub(super) fn is_leased(&self, now: Time) -> bool {
        self.entry.lease.as_ref().is_some_and(|lease| holds(lease, now))
    }

    /// Whether it is retried by itself.
    pub(super) fn is_retried(&self) -> bool {
        self.entry.attempts > 0 || !self.entry.pending.is_empty()
    }
}

/// Whether a lease still holds for a caller whose clock was read at `now`.
pub(super) fn holds(lease: &Lease, now: Time) -> bool {
    let taken = lease.until.minus(lease.length);
    let now = if taken.since(now) <= QUEUE_SLACK { now.max(taken) } else { now };
    lease.is_live(now)
}
