//! What is remembered of entries for those who may see only what is public.
//!
//! Whether everybody may know of an entry is told by its members, of which it may have ten thousand. What they
//! told is remembered by the version of what they are, which no two states of an entry share: nobody's
//! question about the cache reads members that did not change since the last one asked.

use larder_core::{Definition, Entry, Key, MemberState, StoreError, Stored};
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

    fn put(&self, stored: &Stored) -> Face {
        let face = Face::of(stored);
        self.0.insert(stored.entry.key.clone(), face);
        face
    }
}

impl App {
    /// The row as everybody may see it; `None` = they may not know of it.
    pub(crate) async fn public_row(&self, entry: Entry) -> Result<Option<(Entry, Face)>, StoreError> {
        if !entry.has_data() {
            return Ok(None);
        }
        let definition = self.engine.define(&entry.key);
        let definition = definition.as_deref();
        if let Some(face) = self.faces.get(&entry).filter(|_| !names_members(&entry, definition)) {
            let is_known = sight::is_known(&entry, face, definition);
            return Ok(is_known.then(|| (sight::row_without_names(entry), face)));
        }
        let Some(stored) = self.store.lookup(std::slice::from_ref(&entry.key)).await?.pop().flatten() else {
            return Ok(None);
        };
        let face = self.faces.put(&stored);
        let shown = Sight::Public.stored(stored, definition);
        Ok(shown.map(|stored| (stored.entry, face)))
    }

    /// Of these rows, those that show everybody all that they hold, as everybody may see them: of what is
    /// public as a whole or not, as a repository's trackers are, a part is not told.
    pub(crate) async fn wholly_public(&self, rows: Vec<Entry>) -> Result<Vec<Entry>, StoreError> {
        let mut shown = Vec::with_capacity(rows.len());
        for row in rows {
            let row = self.public_row(row).await?;
            shown.extend(row.filter(|(_, face)| !face.holds_private).map(|(entry, _)| entry));
        }
        Ok(shown)
    }
}

/// Whether what is told of a row depends on which members there are: its warnings name some, or it was made
/// for a definition that named others.
fn names_members(entry: &Entry, definition: Option<&Definition>) -> bool {
    let is_edited = definition.is_some_and(|definition| entry.is_edited(definition));
    is_edited || !entry.warnings.is_empty() || !entry.pending.is_empty()
}
