//! Documents in memory: what was serialised once is sent as bytes until its entry changes.
//!
//! Which copies are good the engine's memory knows. A document is tied to the very copy that it was
//! made of: once the engine gives out another, or none, it is not found any more, so that one drop
//! drops both.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use larder_core::{Entry, Key, Stored, Time};
use larder_engine::{OutOfReach, Reading, bounded};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::answer::Copies;
use crate::sight::Sight;
use crate::wire::Wires;

/// Which of an entry's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// As `/entries/{key}` shows it.
    Entry,
    /// As `/clusters/{id}` shows it.
    Cluster,
    /// As `/projects/{id}` shows it.
    Project,
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
    /// The engine's copy that it was made of; its place in memory is not given to another meanwhile.
    of: Weak<Stored>,
    /// Whether it was made while the store was out of reach, and says so.
    out: Option<OutOfReach>,
    pub(crate) entry: Entry,
    pub(crate) document: Document,
    /// The heads of its answers.
    pub(crate) wires: Wires,
}

impl Held {
    /// A document made of a reading, with the row as its reader is told of it.
    pub(crate) fn new(of: &Reading, entry: Entry, document: Document) -> Self {
        Held {
            of: Arc::downgrade(&of.stored),
            out: of.out_of_reach,
            entry,
            document,
            wires: Wires::default(),
        }
    }

    fn is_of(&self, reading: &Reading) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(&reading.stored)) && self.out == reading.out_of_reach
    }
}

/// A list, with what makes it out of date.
pub(crate) struct HeldList {
    pub(crate) document: Document,
    /// It was made of what was held then.
    pub(crate) edition: Option<u64>,
    /// The first of its entries expires then.
    pub(crate) good_until: Time,
    /// What there is to tell of the copies that it was made of.
    pub(crate) copies: Copies,
}

type Place = (Key, Shape, Sight);
type ListPlace = (Arc<str>, Sight);

/// The tier.
pub(crate) struct Tier {
    entries: Cache<Place, Arc<Held>, Heavy>,
    lists: Cache<ListPlace, Arc<HeldList>, Heavy>,
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
        Tier { entries: bounded(bytes_max - lists, Heavy), lists: bounded(lists, Heavy) }
    }

    /// The document that was made of this very reading's copy.
    pub(crate) fn entry(&self, shape: Shape, sight: Sight, reading: &Reading) -> Option<Arc<Held>> {
        let held = self.entries.get(&(reading.key.clone(), shape, sight))?;
        held.is_of(reading).then_some(held)
    }

    /// Keeps a document.
    pub(crate) fn put(&self, key: &Key, shape: Shape, sight: Sight, held: Arc<Held>) {
        self.entries.insert((key.clone(), shape, sight), held);
    }

    /// The list that was made of what is held now.
    pub(crate) fn list(
        &self,
        query: &str,
        sight: Sight,
        edition: Option<u64>,
        now: Time,
    ) -> Option<Arc<HeldList>> {
        self.last_list(query, sight)
            .filter(|list| edition.is_some() && list.edition == edition && now < list.good_until)
    }

    /// The list as it was made last, however old: for when no other can be made.
    pub(crate) fn last_list(&self, query: &str, sight: Sight) -> Option<Arc<HeldList>> {
        self.lists.get(&(Arc::from(query), sight))
    }

    pub(crate) fn put_list(&self, query: &str, sight: Sight, list: Arc<HeldList>) {
        self.lists.insert((Arc::from(query), sight), list);
    }
}

#[cfg(test)]
mod tests {
    use larder_core::{Definition, Fingerprint, Policy, RefreshState, Status};
    use larder_engine::Hit;

    use super::*;

    fn reading(key: &Key) -> Reading {
        let entry = Entry::empty(key.clone(), Time::default());
        Reading {
            key: key.clone(),
            stored: Arc::new(Stored { entry, members: Vec::new() }),
            hit: Hit::Hit,
            status: Status::Fresh,
            refresh: RefreshState::Idle,
            error: None,
            out_of_reach: None,
            definition: Arc::new(Definition::new(Fingerprint::trusted(""), Policy::default())),
        }
    }

    fn held(of: &Reading) -> Arc<Held> {
        let document = Document::new(vec![b' '; 1000], "W/\"1\"".to_owned(), true);
        Arc::new(Held::new(of, of.stored.entry.clone(), document))
    }

    #[test]
    fn a_document_is_found_by_those_alone_who_have_the_copy_it_was_made_of() {
        let tier = Tier::new(1 << 20);
        let key: Key = "cluster/tools".parse().unwrap();
        let copy = reading(&key);
        tier.put(&key, Shape::Entry, Sight::All, held(&copy));
        assert!(tier.entry(Shape::Entry, Sight::All, &copy.clone()).is_some());
        assert!(tier.entry(Shape::Cluster, Sight::All, &copy).is_none());
        assert!(tier.entry(Shape::Entry, Sight::Public, &copy).is_none());
        let out = OutOfReach { since: Time::default(), looked_at: None, is_proven: true };
        let in_an_outage = Reading { out_of_reach: Some(out), ..copy.clone() };
        assert!(tier.entry(Shape::Entry, Sight::All, &in_an_outage).is_none());
        // The engine dropped it: another copy says the same, and is another all the same.
        drop(copy);
        drop(in_an_outage);
        assert!(tier.entry(Shape::Entry, Sight::All, &reading(&key)).is_none());
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let tier = Tier::new(64 * 1024);
        for place in 0..1000 {
            let key = Key::new("cluster", &[place.to_string()]).unwrap();
            tier.put(&key, Shape::Entry, Sight::All, held(&reading(&key)));
        }
        assert!(tier.entries.weight() <= 48 * 1024);
        assert!(tier.entries.len() > 5);
    }
}
