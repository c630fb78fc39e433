//! Entries that say which other entries there are: the folders that hold projects, say. A source
//! learns from them what it is asked for, when the engine starts and whenever one changes, by
//! whichever process; the entries that came are due, and those that went are removed.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_core::{Json, Key, Learned, Source, StoreError, Stored, Target, Trigger, lookup_past_damage};

use crate::Engine;
use crate::engine::Inner;

impl Engine {
    /// The configured entries of one source, in its own order, without its indexes.
    pub fn keys_of(&self, source: &str) -> Vec<Key> {
        self.inner.sources.get(source).map(|source| source.keys()).unwrap_or_default()
    }

    /// The entries of one source that say which others it has.
    pub fn indexes_of(&self, source: &str) -> Vec<Key> {
        self.inner.sources.get(source).map(|source| source.indexes()).unwrap_or_default()
    }

    /// Shows every source what its indexes hold now. Done by [`reconcile`](Engine::reconcile) too,
    /// and to be done when another process may have changed one.
    pub async fn learn(&self) -> Result<(), StoreError> {
        for source in self.inner.sources.values() {
            self.learn_of(&**source).await?;
        }
        Ok(())
    }

    /// Shows one source what its indexes hold. Answers whether all of them could be read: else it may not know of
    /// what is there all the same.
    pub(crate) async fn learn_of(&self, source: &dyn Source) -> Result<bool, StoreError> {
        let indexes: Vec<Key> = source.indexes().into_iter().chain(source.awaited()).collect();
        if indexes.is_empty() {
            return Ok(true);
        }
        let look = self.inner.learning.look();
        let (rows, damaged) = lookup_past_damage(&*self.inner.store, &indexes).await?;
        // What one that cannot be read says is not known: it does not say that there is nothing.
        let is_read = |index: &Key| damaged.iter().all(|damaged| damaged.key != *index);
        for (index, row) in indexes.iter().zip(rows).filter(|(index, _)| is_read(index)) {
            let body = row.as_ref().and_then(|row| row.entry.body.as_ref());
            self.inner.learning.learn(source, index, body, look, |_| {});
        }
        Ok(damaged.is_empty())
    }

    /// Shows a source one of its indexes, where that is what `key` is: another process changed it, or this
    /// one, and who follows the store saw it before whoever fetched it did. Then nobody else sees to what
    /// came: what nobody ever wanted is wanted now, and what went is removed.
    pub async fn heard_of(&self, key: &Key) -> Result<(), StoreError> {
        let Some(source) = self.inner.source_of_index(key) else { return Ok(()) };
        let look = self.inner.learning.look();
        let row = self.inner.store.lookup(std::slice::from_ref(key)).await?.pop().flatten();
        let body = row.as_ref().and_then(|row| row.entry.body.as_ref());
        let came = self.inner.learning.learn(&**source, key, body, look, |learned| {
            if body.is_none() {
                // It was cleared, and says nothing: what it said was there may be there all the same.
                learned.gone.clear();
            }
            self.inner.untold.note(learned, Trigger::Read);
        });
        let (rows, _) = lookup_past_damage(&*self.inner.store, &came).await?;
        let is_unknown = |row: &Option<Stored>| {
            row.as_ref().is_none_or(|row| {
                let entry = &row.entry;
                !entry.has_data() && !entry.marked && entry.attempts == 0 && entry.lease.is_none()
            })
        };
        let known = came.iter().zip(&rows).filter(|(_, row)| !is_unknown(row)).map(|(key, _)| key);
        self.inner.untold.forget(known);
        self.inner.tell_store().await
    }
}

impl Inner {
    /// The source of an entry that says which others it has, or that would if anything were held of it.
    pub(crate) fn source_of_index(&self, key: &Key) -> Option<&Arc<dyn Source>> {
        let source = self.sources.get(key.source())?;
        (source.indexes().contains(key) || source.awaited().contains(key)).then_some(source)
    }

    /// Looks up an index whose refresh was committed, and takes in what it says there is.
    pub(crate) async fn look_up_index(
        &self,
        source: &dyn Source,
        key: &Key,
        trigger: Trigger,
    ) -> Result<Option<Arc<Stored>>, Arc<StoreError>> {
        let look = self.learning.look();
        let stored = self.look_up_one(key).await?;
        if let Some(stored) = &stored {
            let body = stored.entry.body.as_ref();
            self.learning.learn(source, key, body, look, |learned| self.untold.note(learned, trigger));
        }
        if let Err(error) = self.tell_store().await {
            tracing::warn!(%key, %error, "what came and went with it could not be noted yet");
        }
        Ok(stored)
    }

    /// Has the store note what came and went. What it cannot note now is told again the next time.
    pub(crate) async fn tell_store(&self) -> Result<(), StoreError> {
        let words = self.untold.words();
        if words.is_empty() {
            return Ok(());
        }
        let is_defined =
            |key: &Key| self.sources.get(key.source()).is_some_and(|of| of.define(key).is_some());
        let mut came: BTreeMap<Trigger, Vec<Key>> = BTreeMap::new();
        let mut gone = Vec::new();
        for (key, word) in &words {
            // An index that changed since has the last word.
            match (word, is_defined(key)) {
                (Word::Came(trigger), true) => came.entry(*trigger).or_default().push(key.clone()),
                (Word::Gone, false) => gone.push(key.clone()),
                (Word::Came(_), false) | (Word::Gone, true) => {}
            }
        }
        let is_any_due = !came.is_empty();
        for (trigger, keys) in came {
            self.store.mark_due(&keys, trigger, self.clock.now()).await?;
        }
        if !gone.is_empty() {
            self.store.evict(&Target::Keys(gone), self.clock.now()).await?;
        }
        self.untold.told(&words);
        if is_any_due {
            self.marked.notify_one();
        }
        Ok(())
    }
}

/// What was learned, and from which look: what was looked up earlier is not learned after what is newer. Whoever
/// changes an index is followed by a look that begins after that; nobody waits for another's.
#[derive(Default)]
pub(crate) struct Learning {
    looks: AtomicU64,
    learned: Mutex<HashMap<Key, Look>>,
}

/// A look at indexes, which has its number before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Look(u64);

impl Learning {
    fn look(&self) -> Look {
        Look(self.looks.fetch_add(1, Ordering::SeqCst))
    }

    /// Shows a source what an index was found to hold, unless a later look has shown it already; `note` is told
    /// before another can. Answers what came.
    fn learn(
        &self,
        source: &dyn Source,
        index: &Key,
        body: Option<&Json>,
        look: Look,
        note: impl FnOnce(&mut Learned),
    ) -> Vec<Key> {
        let mut latest = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.get(index).is_some_and(|latest| *latest > look) {
            return Vec::new();
        }
        latest.insert(index.clone(), look);
        let mut learned = source.learn(index, body);
        note(&mut learned);
        learned.came
    }
}

/// What indexes said that the store has not noted yet: a source tells it once, and then it knows.
#[derive(Default)]
pub(crate) struct Untold(Mutex<BTreeMap<Key, Word>>);

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Came(Trigger),
    Gone,
}

impl Untold {
    fn note(&self, learned: &Learned, trigger: Trigger) {
        let Learned { came, gone } = learned;
        let came = came.iter().map(|key| (key.clone(), Word::Came(trigger)));
        self.lock().extend(came.chain(gone.iter().map(|key| (key.clone(), Word::Gone))));
    }

    fn words(&self) -> BTreeMap<Key, Word> {
        self.lock().clone()
    }

    fn forget<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        let mut untold = self.lock();
        for key in keys {
            untold.remove(key);
        }
    }

    /// What was said anew meanwhile stays.
    fn told(&self, words: &BTreeMap<Key, Word>) {
        self.lock().retain(|key, word| words.get(key) != Some(word));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Word>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
