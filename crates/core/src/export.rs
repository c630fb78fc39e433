//! Entries on their way from one store to another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Damaged, Entry, Item, Key, MemberState, Store, StoreError, Time};

/// An entry with everything worth moving: what a reader sees, how fresh it is, and what failed.
///
/// Its lease stays behind, and so do the log and the feed. The numbers of the sequence that it names
/// are the old store's; of them only the order counts (whether it was invalidated).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// The row, without a lease.
    pub entry: Entry,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// Since when it is not configured any more.
    pub unconfigured_since: Option<Time>,
    /// Its members, in order.
    pub members: Vec<ExportedMember>,
}

/// A member with its item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedMember {
    /// The name under which the entry asks for it.
    pub asked: Arc<str>,
    /// Whether it is shown.
    pub state: MemberState,
    /// The item, hidden ones too.
    pub item: Item,
}

/// All entries as they are exported, by key, a page at a time. One that cannot be understood, or an item of which
/// cannot, is gone past, and told of by [`damaged`](Exports::damaged).
pub struct Exports<'s, S: ?Sized> {
    store: &'s S,
    most: usize,
    last: Option<Key>,
    damaged: Vec<Damaged>,
}

impl<'s, S: Store + ?Sized> Exports<'s, S> {
    /// From the first on, `most` at once.
    pub fn of(store: &'s S, most: usize) -> Self {
        Exports { store, most: most.max(1), last: None, damaged: Vec::new() }
    }

    /// The next ones; none = there are no more.
    pub async fn next(&mut self) -> Result<Vec<Exported>, StoreError> {
        let mut most = self.most;
        loop {
            match self.store.export(self.last.as_ref(), most).await {
                Ok(page) => {
                    self.last = page.last().map(|exported| exported.entry.key.clone()).or(self.last.take());
                    return Ok(page);
                }
                // Among fewer it is found out which one it is.
                Err(StoreError::BadRow { .. }) if most > 1 => most /= 2,
                Err(error @ StoreError::BadRow { .. }) => {
                    self.go_past(error).await?;
                    most = self.most;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Those that were gone past so far.
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// Goes past the one next entry. One whose key is none has nothing by which to go past it.
    async fn go_past(&mut self, error: StoreError) -> Result<(), StoreError> {
        let key = match self.store.rows(None, self.last.as_ref(), 1).await {
            Ok(rows) => rows.into_iter().next().map(|row| row.entry.key),
            Err(StoreError::BadRow { row, .. }) => {
                row.parse().ok().filter(|key| self.last.as_ref() < Some(key))
            }
            Err(error) => return Err(error),
        };
        let Some(key) = key else { return Err(error) };
        self.last = Some(key.clone());
        self.damaged.push(Damaged { key, error });
        Ok(())
    }
}
