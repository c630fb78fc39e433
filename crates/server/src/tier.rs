//! The memory tier: what was serialised once is sent as bytes until its entry changes.
//!
//! The store stays the truth. Whoever learns of a change drops it here; a reader that looked the
//! store up before such a drop cannot put its old copy back after it (`Stamp`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use axum::http::HeaderMap;
use bytes::Bytes;
use larder_core::{Definition, Entry, Key, Status, Time};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::sight::Sight;

/// Which of an entry's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// As `/entries/{key}` shows it.
    Entry,
    /// As `/clusters/{id}` shows it.
    Cluster,
}

/// A document, serialised.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its bytes.
    pub(crate) plain: Bytes,
    /// The same compressed, once somebody asked for it.
    gzip: OnceLock<Bytes>,
    /// What names its data.
    pub(crate) etag: String,
    /// Whether all of it may be seen by everybody.
    pub(crate) is_public: bool,
}

/// An entry's document with the row that it was made of.
pub(crate) struct Held {
    pub(crate) entry: Entry,
    pub(crate) definition: Arc<Definition>,
    pub(crate) document: Document,
    /// The last head that was made for it, good for as long as its age in seconds is the same.
    pub(crate) head: Mutex<Option<Arc<Head>>>,
}

/// All headers of an answer.
pub(crate) struct Head {
    pub(crate) age: u64,
    pub(crate) gzip: bool,
    pub(crate) status: Status,
    pub(crate) headers: HeaderMap,
}

impl Held {
    pub(crate) fn new(entry: Entry, definition: Arc<Definition>, document: Document) -> Self {
        Held { entry, definition, document, head: Mutex::new(None) }
    }
}

/// A list, with what makes it out of date.
pub(crate) struct HeldList {
    pub(crate) document: Document,
    /// It was made of what was held then.
    pub(crate) stamp: Stamp,
    /// The first of its entries expires then.
    pub(crate) good_until: Time,
}

/// How many drops there had been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

type Place = (Key, Shape, Sight);
type ListPlace = (Arc<str>, Sight);

/// The tier.
pub(crate) struct Tier {
    entries: Cache<Place, Arc<Held>, Heavy>,
    lists: Cache<ListPlace, Arc<HeldList>, Heavy>,
    drops: AtomicU64,
}

#[derive(Clone)]
struct Heavy;

impl Weighter<Place, Arc<Held>> for Heavy {
    fn weight(&self, (key, ..): &Place, held: &Arc<Held>) -> u64 {
        let row = held.entry.warnings.len() * 200 + held.entry.pending.len() * 50 + key.as_str().len();
        held.document.weight() + row as u64 + 2048
    }
}

impl Weighter<ListPlace, Arc<HeldList>> for Heavy {
    fn weight(&self, (query, _): &ListPlace, held: &Arc<HeldList>) -> u64 {
        held.document.weight() + query.len() as u64 + 256
    }
}

impl Document {
    pub(crate) fn new(plain: Vec<u8>, etag: String, is_public: bool) -> Self {
        Document { plain: plain.into(), gzip: OnceLock::new(), etag, is_public }
    }

    /// The compressed bytes.
    pub(crate) fn gzip(&self) -> Bytes {
        self.gzip.get_or_init(|| crate::answer::gzipped(&self.plain)).clone()
    }

    /// Bytes in memory, with room for the compressed ones.
    fn weight(&self) -> u64 {
        (self.plain.len() + self.plain.len() / 3 + self.etag.len()) as u64
    }
}

impl Tier {
    /// A tier of at most so many bytes: three quarters for entries, the rest for lists.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let lists = bytes_max / 4;
        Tier {
            entries: Cache::with_weighter(1024, bytes_max - lists, Heavy),
            lists: Cache::with_weighter(256, lists, Heavy),
            drops: AtomicU64::new(0),
        }
    }

    /// To be taken before the store is asked for what shall be put here.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.drops.load(Ordering::SeqCst))
    }

    pub(crate) fn entry(&self, key: &Key, shape: Shape, sight: Sight) -> Option<Arc<Held>> {
        self.entries.get(&(key.clone(), shape, sight))
    }

    /// Keeps a document, unless anything was dropped since the stamp.
    pub(crate) fn put(&self, key: &Key, shape: Shape, sight: Sight, held: Arc<Held>, stamp: Stamp) {
        let place = (key.clone(), shape, sight);
        if self.stamp() == stamp {
            self.entries.insert(place.clone(), held);
        }
        // A drop between the look and the insert came too early for it.
        if self.stamp() != stamp {
            self.entries.remove(&place);
        }
    }

    pub(crate) fn list(&self, query: &str, sight: Sight, now: Time) -> Option<Arc<HeldList>> {
        let place = (Arc::from(query), sight);
        self.lists.get(&place).filter(|list| list.stamp == self.stamp() && now < list.good_until)
    }

    pub(crate) fn put_list(&self, query: &str, sight: Sight, list: Arc<HeldList>) {
        self.lists.insert((Arc::from(query), sight), list);
    }

    /// Forgets an entry, and all lists with it.
    pub(crate) fn drop_entry(&self, key: &Key) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        for shape in [Shape::Entry, Shape::Cluster] {
            for sight in [Sight::All, Sight::Public] {
                self.entries.remove(&(key.clone(), shape, sight));
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        self.entries.clear();
        self.lists.clear();
    }
}

#[cfg(test)]
mod tests {
    use larder_core::{Fingerprint, Policy};

    use super::*;

    fn held(key: &Key) -> Arc<Held> {
        let definition = Arc::new(Definition::new(Fingerprint::trusted(""), Policy::default()));
        let document = Document::new(vec![b' '; 1000], "W/\"1\"".to_owned(), true);
        Arc::new(Held::new(Entry::empty(key.clone(), Time::default()), definition, document))
    }

    #[test]
    fn what_was_looked_up_before_a_change_cannot_come_back_after_it() {
        let tier = Tier::new(1 << 20);
        let key: Key = "cluster/tools".parse().unwrap();
        let stamp = tier.stamp();
        tier.put(&key, Shape::Entry, Sight::All, held(&key), stamp);
        assert!(tier.entry(&key, Shape::Entry, Sight::All).is_some());
        assert!(tier.entry(&key, Shape::Entry, Sight::Public).is_none());
        tier.drop_entry(&key);
        assert!(tier.entry(&key, Shape::Entry, Sight::All).is_none());
        tier.put(&key, Shape::Entry, Sight::All, held(&key), stamp);
        assert!(tier.entry(&key, Shape::Entry, Sight::All).is_none());
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let tier = Tier::new(64 * 1024);
        for place in 0..1000 {
            let key = Key::new("cluster", &[place.to_string()]).unwrap();
            tier.put(&key, Shape::Entry, Sight::All, held(&key), tier.stamp());
        }
        assert!(tier.entries.weight() <= 48 * 1024);
        assert!(tier.entries.len() > 5);
    }
}
