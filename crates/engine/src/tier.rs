//! The memory tier: copies of entries in front of the store, so that a hit touches nothing else.
//!
//! - Opt-in ([`Builder::memory`](crate::Builder::memory)), bounded by bytes, shared (`Arc<Stored>`): a
//!   reading clones no member.
//! - The store stays the truth. A copy answers only what needs no store: it is fresh, or nothing may
//!   start before a time that it names. All else is looked up.
//! - It is believed for as long as [`follow`](crate::Engine::follow) has looked at the store's feed
//!   within the last second ([`reach`](crate::reach)). Whoever hangs, whatever notification is lost:
//!   nothing that was replaced more than a second ago is served as if it were not.
//! - *Dropped* is what was replaced or removed; *doubted* is what was only marked stale, or may have
//!   been: it is looked up again before it is served, but still stands in when the store is out of reach.
//! - A reader that looked the store up before a change cannot put its old copy back after it: it took
//!   a stamp first, and a drop or a doubt in between makes the stamp void.
//! - What else is made of a copy (a server's serialised bodies) is tied to the very `Arc`: one drop
//!   drops both, since nobody is given that `Arc` any more.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::mem::size_of;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_core::{Item, Key, Member, MemberState, Stored};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// Keys share this many counters of drops.
const SHARDS: usize = 256;

/// More that came too late are left to their readers.
const LATE_MAX: usize = 64;

/// What is kept is taken to weigh about this much when the tables are laid out.
const USUAL_BYTES: u64 = 16 * 1024;

/// A part of the tables is no smaller, as long as there is so much: nothing is kept that weighs more than one, so
/// that the room of a list of 10,000 items must not hang on how many processors there are.
const PART_BYTES_MIN: u64 = 16 << 20;

/// A table that holds no more than so many bytes, and anything that weighs up to 15 MiB, or 15/16 of what it may hold
/// if that is less.
pub fn bounded<K: Eq + Hash, V: Clone, W: Weighter<K, V> + Clone>(
    bytes_max: u64,
    weighter: W,
) -> Cache<K, V, W> {
    let entries = usize::try_from(bytes_max / USUAL_BYTES).unwrap_or(usize::MAX).clamp(64, 1 << 20);
    let parts = (bytes_max / PART_BYTES_MIN).clamp(1, 64);
    let options = OptionsBuilder::new()
        // Half of a power of two that is not reached would be doubled again.
        .shards(1 << parts.ilog2())
        .estimated_items_capacity(entries)
        .weight_capacity(bytes_max)
        .build();
    match options {
        Ok(options) => {
            Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        // Only a capacity that is not said is no option.
        Err(_) => Cache::with_weighter(entries, bytes_max, weighter),
    }
}

/// The copies.
pub(crate) struct Tier {
    copies: Cache<Key, Arc<Kept>, Heavy>,
    /// How often copies of a shard's keys were dropped or doubted.
    drops: [AtomicU64; SHARDS],
    /// How often all were doubted.
    doubts: AtomicU64,
    /// How often all were dropped.
    clears: AtomicU64,
    /// How often anything was dropped or doubted, in memory or not.
    edition: AtomicU64,
    /// What came too late to be kept, and so is in nobody's hands: whoever follows the store looks it up again.
    late: Mutex<BTreeSet<Key>>,
}

/// A copy.
struct Kept {
    stored: Arc<Stored>,
    bytes: u64,
    /// How often all had been doubted when it was looked up.
    doubts: u64,
    is_doubted: AtomicBool,
}

/// What a reader takes before it looks the store up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    drops: u64,
    doubts: u64,
    clears: u64,
}

#[derive(Clone)]
struct Heavy;

impl Weighter<Key, Arc<Kept>> for Heavy {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        kept.bytes
    }
}

impl Tier {
    /// A tier of at most so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Tier {
            copies: bounded(bytes_max, Heavy),
            drops: [const { AtomicU64::new(0) }; SHARDS],
            doubts: AtomicU64::new(0),
            clears: AtomicU64::new(0),
            edition: AtomicU64::new(0),
            late: Mutex::default(),
        }
    }

    /// To be taken before the store is asked for what shall be put here.
    pub(crate) fn stamp(&self, key: &Key) -> Stamp {
        Stamp {
            drops: self.shard(key).load(Ordering::SeqCst),
            doubts: self.doubts.load(Ordering::SeqCst),
            clears: self.clears.load(Ordering::SeqCst),
        }
    }

    /// A copy that nothing is known against.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        let kept = self.copies.get(key)?;
        let is_doubted =
            kept.is_doubted.load(Ordering::SeqCst) || kept.doubts != self.doubts.load(Ordering::SeqCst);
        (!is_doubted).then(|| kept.stored.clone())
    }

    /// A copy that may be out of date: for when the store cannot be asked.
    pub(crate) fn get_any(&self, key: &Key) -> Option<Arc<Stored>> {
        self.copies.get(key).map(|kept| kept.stored.clone())
    }

    /// Keeps a copy, unless it was dropped or doubted since the stamp. Answers the copy to go on
    /// with: the one that was held where it says the same, so that what was made of it serves on.
    pub(crate) fn put(&self, stored: Arc<Stored>, stamp: Stamp) -> Arc<Stored> {
        let key = stored.entry.key.clone();
        let stored = match self.copies.peek(&key) {
            Some(held) if held.stored == stored => held.stored.clone(),
            _ => stored,
        };
        let kept = Kept {
            bytes: weigh(&stored),
            stored: stored.clone(),
            doubts: stamp.doubts,
            is_doubted: AtomicBool::new(false),
        };
        if self.stamp(&key) == stamp {
            self.copies.insert(key.clone(), Arc::new(kept));
            // A drop between the look and the insert came too early for it.
            if self.stamp(&key) != stamp {
                self.copies.remove(&key);
                self.is_late(key);
            }
        } else {
            self.is_late(key);
        }
        stored
    }

    fn is_late(&self, key: Key) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if late.len() < LATE_MAX {
            late.insert(key);
        }
    }

    /// What came too late to be kept since this was last asked, as far as it is not held after all.
    pub(crate) fn take_late(&self) -> Vec<Key> {
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        late.into_iter().filter(|key| self.copies.peek(key).is_none()).collect()
    }

    /// Forgets a copy. Answers whether there was one.
    pub(crate) fn drop_copy(&self, key: &Key) -> bool {
        self.shard(key).fetch_add(1, Ordering::SeqCst);
        self.edition.fetch_add(1, Ordering::SeqCst);
        self.copies.remove(key).is_some()
    }

    /// Has a copy looked up again before it is served. Answers whether there is one.
    pub(crate) fn doubt(&self, key: &Key) -> bool {
        self.shard(key).fetch_add(1, Ordering::SeqCst);
        self.edition.fetch_add(1, Ordering::SeqCst);
        let kept = self.copies.peek(key);
        kept.inspect(|kept| kept.is_doubted.store(true, Ordering::SeqCst)).is_some()
    }

    /// Has all copies looked up again before they are served.
    pub(crate) fn doubt_all(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
        self.edition.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets all copies.
    pub(crate) fn clear(&self) {
        self.clears.fetch_add(1, Ordering::SeqCst);
        self.edition.fetch_add(1, Ordering::SeqCst);
        self.copies.clear();
    }

    /// A number that differs once anything changed.
    pub(crate) fn edition(&self) -> u64 {
        self.edition.load(Ordering::SeqCst)
    }

    /// How many copies there are, and their bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.copies.len() as u64, self.copies.weight())
    }

    fn shard(&self, key: &Key) -> &AtomicU64 {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key.as_str());
        &self.drops[hash as usize % SHARDS]
    }
}

/// A row with the members that anybody is shown.
pub(crate) fn shown(mut stored: Stored) -> Stored {
    stored.members.retain(|member| member.state != MemberState::Hidden);
    stored
}

/// About how many bytes a copy takes.
pub(crate) fn weigh(stored: &Stored) -> u64 {
    let entry = &stored.entry;
    let texts = entry.key.as_str().len()
        + entry.body.as_ref().map_or(0, |body| body.as_str().len())
        + entry.cursor.as_ref().map_or(0, String::len)
        + entry.pending.iter().map(|name| name.len() + 32).sum::<usize>()
        + entry
            .warnings
            .iter()
            .map(|warning| warning.about.len() + warning.code.len() + warning.message.len() + 96)
            .sum::<usize>()
        + entry.last_error.as_ref().map_or(0, |failure| failure.message.len() + 256);
    let members: usize =
        stored.members.iter().map(|member| weigh_item(&member.item) + member.asked.len()).sum();
    // Beside the texts: the allocations themselves, and the tables' own room.
    let frame = size_of::<Stored>() + size_of::<Kept>() + 256;
    (frame + texts + members + stored.members.len() * (size_of::<Member>() + 96)) as u64
}

fn weigh_item(item: &Item) -> usize {
    let derived = item.derived.as_ref().map_or(0, |derived| derived.as_str().len());
    item.of.id.len() + item.of.kind.len() + item.doc.as_str().len() + derived
}

#[cfg(test)]
mod tests {
    use larder_core::{Entry, Json, Time};

    use super::*;

    fn copy(name: &str, version: u64) -> Arc<Stored> {
        let key = Key::new("fake", &[name]).unwrap();
        let body = Some(Json::from(serde_json::json!({ "filling": "x".repeat(1000) })));
        let entry = Entry { version, body, ..Entry::empty(key, Time::default()) };
        Arc::new(Stored { entry, members: Vec::new() })
    }

    #[test]
    fn what_was_looked_up_before_a_change_cannot_come_back_after_it() {
        let tier = Tier::new(1 << 20);
        let old = copy("tools", 1);
        let key = old.entry.key.clone();
        let changes: [fn(&Tier, &Key) -> bool; 4] = [
            |tier, key| tier.drop_copy(key),
            |tier, key| tier.doubt(key),
            |tier, _| {
                tier.doubt_all();
                true
            },
            |tier, _| {
                tier.clear();
                true
            },
        ];
        for change in changes {
            let stamp = tier.stamp(&key);
            tier.put(old.clone(), stamp);
            assert!(tier.get(&key).is_some());
            assert!(change(&tier, &key));
            assert!(tier.get(&key).is_none());
            tier.put(old.clone(), stamp);
            assert!(tier.get(&key).is_none(), "it was looked up before");
            tier.put(old.clone(), tier.stamp(&key));
            assert!(tier.get(&key).is_some(), "it was looked up since");
        }
    }

    #[test]
    fn what_is_doubted_stands_in_and_what_is_dropped_does_not() {
        let tier = Tier::new(1 << 20);
        let held = copy("tools", 1);
        let key = held.entry.key.clone();
        tier.put(held.clone(), tier.stamp(&key));
        tier.doubt(&key);
        assert!(tier.get_any(&key).is_some());
        tier.doubt_all();
        assert!(tier.get_any(&key).is_some());
        tier.drop_copy(&key);
        assert!(tier.get_any(&key).is_none());
    }

    #[test]
    fn a_copy_that_says_the_same_takes_nobody_s_place() {
        let tier = Tier::new(1 << 20);
        let held = copy("tools", 1);
        let key = held.entry.key.clone();
        tier.put(held.clone(), tier.stamp(&key));
        tier.doubt(&key);
        let again = tier.put(copy("tools", 1), tier.stamp(&key));
        assert!(Arc::ptr_eq(&again, &held));
        assert!(tier.get(&key).is_some_and(|kept| Arc::ptr_eq(&kept, &held)));
        let other = tier.put(copy("tools", 2), tier.stamp(&key));
        assert!(!Arc::ptr_eq(&other, &held));
    }

    #[test]
    fn a_large_copy_is_held_however_many_processors_there_are() {
        for (bytes_max, held) in [(1 << 20, 15 << 16), (16 << 20, 15 << 20), (64 << 20, 15 << 20)] {
            let tier = Tier::new(bytes_max);
            let mut large = (*copy("large", 1)).clone();
            large.entry.body = Some(Json::from(serde_json::Value::from("x".repeat(held - 8_192))));
            let large = Arc::new(large);
            let stamp = tier.stamp(&large.entry.key);
            tier.put(large.clone(), stamp);
            assert!(tier.get(&large.entry.key).is_some(), "{bytes_max}");
        }
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let tier = Tier::new(64 * 1024);
        for place in 0..1000 {
            let one = copy(&place.to_string(), 1);
            let stamp = tier.stamp(&one.entry.key);
            tier.put(one, stamp);
        }
        let (entries, bytes) = tier.size();
        assert!(bytes <= 64 * 1024, "{bytes}");
        assert!(entries > 5, "{entries}");
    }
}
