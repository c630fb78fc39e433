//! What is remembered of entries for those who may see only what is public.
//!
//! Whether everybody may know of an entry is told by its members, of which it may have ten thousand. What they
//! told is remembered by the version of what they are, which no two states of an entry share: nobody's
//! question about the cache reads members that did not change since the last one asked.

use std::collections::HashMap;

use larder_core::{Definition, Entry, Key, MemberState, StoreError, Stored, lookup_past_damage};
use quick_cache::sync::Cache;

use crate::app::App;
use crate::sight::{self, Sight};

/// Of so many entries it is remembered at the most: some hundred bytes each.
const REMEMBERED_MAX: usize = 100_000;

/// What an entry's members say of who may know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Face {
    version: u64,
    /// One that everybody may see is shown.
    pub(crate) shows_public: bool,
    /// One that not everybody may see is held, shown or not.
    pub(crate) holds_private: bool,
}

impl Face {
    /// Of an entry with its members.
    pub(crate) fn of(stored: &Stored) -> Self {
        let is_public = |member: &larder_core::Member| member.item.scope.is_public();
        let is_shown = |member: &larder_core::Member| member.state != MemberState::Hidden;
        Face {
            version: stored.entry.version,
            shows_public: stored.members.iter().any(|member| is_shown(member) && is_public(member)),
            holds_private: !stored.members.iter().all(is_public),
        }
    }
}

/// The faces of the entries that were asked for last.
pub(crate) struct Faces(Cache<Key, Face>);

impl Default for Faces {
    fn default() -> Self {
        Faces(Cache::new(REMEMBERED_MAX))
    }
}

impl Faces {
    fn get(&self, entry: &Entry) -> Option<Face> {
        self.0.get(&entry.key).filter(|face| face.version == entry.version)
    }

    /// Forgets all of them.
    pub(crate) fn forget(&self) {
        self.0.clear();
    }

    fn put(&self, stored: &Stored) -> Face {
        let face = Face::of(stored);
        self.0.insert(stored.entry.key.clone(), face);
        face
    }
}

impl App {
    /// The row as everybody may see it; `None` = they may not know of it.
    pub(crate) async fn public_row(&self, entry: Entry) -> Result<Option<Entry>, StoreError> {
        Ok(self.public_rows(vec![entry]).await?.pop().map(|(entry, _)| entry))
    }

    /// Those of the rows that everybody may know of, as they may see them, in the order given. Those whose members
    /// must be read are looked up together.
    pub(crate) async fn public_rows(&self, mut rows: Vec<Entry>) -> Result<Vec<(Entry, Face)>, StoreError> {
        rows.retain(|row| self.is_for_all(&row.key));
        let definitions: Vec<_> = rows.iter().map(|row| self.engine.define(&row.key)).collect();
        let known = rows.iter().zip(&definitions).map(|(row, definition)| {
            self.faces.get(row).filter(|_| !names_members(row, definition.as_deref()))
        });
        let known: Vec<Option<Face>> = known.collect();
        let to_read = rows.iter().zip(&known).filter(|(row, face)| row.has_data() && face.is_none());
        let to_read: Vec<Key> = to_read.map(|(row, _)| row.key.clone()).collect();
        // Of one that is damaged nothing says whether it is public.
        let read =
            if to_read.is_empty() { Vec::new() } else { lookup_past_damage(&*self.store, &to_read).await?.0 };
        let mut read: HashMap<Key, Stored> =
            read.into_iter().flatten().map(|stored| (stored.entry.key.clone(), stored)).collect();
        let mut shown = Vec::with_capacity(rows.len());
        for ((row, face), definition) in rows.into_iter().zip(known).zip(definitions) {
            let definition = definition.as_deref();
            if !row.has_data() {
                continue;
            }
            if let Some(face) = face {
                if sight::is_known(&row, face, definition) {
                    shown.push((sight::row_without_names(row), face));
                }
            } else if let Some(stored) = read.remove(&row.key) {
                let face = self.faces.put(&stored);
                let stored = Sight::Public.stored(stored, definition);
                shown.extend(stored.map(|stored| (stored.entry, face)));
            }
        }
        Ok(shown)
    }

    /// Of these rows, those that show everybody all that they hold, as everybody may see them: of what is
    /// public as a whole or not, as a repository's trackers are, a part is not told.
    pub(crate) async fn wholly_public(&self, rows: Vec<Entry>) -> Result<Vec<Entry>, StoreError> {
        let shown = self.public_rows(rows).await?.into_iter();
        Ok(shown.filter(|(_, face)| !face.holds_private).map(|(entry, _)| entry).collect())
    }
}

/// Whether what is told of a row depends on which members there are: its warnings name some, or it was made
/// for a definition that named others.
fn names_members(entry: &Entry, definition: Option<&Definition>) -> bool {
    let is_edited = definition.is_some_and(|definition| entry.is_edited(definition));
    is_edited || !entry.warnings.is_empty() || !entry.pending.is_empty()
}
