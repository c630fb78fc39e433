//! Going over the rows of very many entries without holding them all.

use crate::{Entry, Key, Row, Store, StoreError, Time};

/// The rows of all entries (of one source), by key, taken from the store a page at a time. Entries
/// that change meanwhile are met as they are when their page is taken.
pub struct Rows<'s, S: ?Sized> {
    store: &'s S,
    source: Option<&'s str>,
    page: std::vec::IntoIter<Row>,
    last: Option<Key>,
    ended: bool,
}

/// How many rows are held at once.
const PAGE: usize = 500;

impl<'s, S: Store + ?Sized> Rows<'s, S> {
    /// From the first on.
    pub fn of(store: &'s S, source: Option<&'s str>) -> Self {
        Rows::behind(store, source, None)
    }

    /// From the first behind `after` on, whether there is such an entry or not.
    pub fn behind(store: &'s S, source: Option<&'s str>, after: Option<Key>) -> Self {
        Rows { store, source, page: Vec::new().into_iter(), last: after, ended: false }
    }

    /// The next one; `None` = there are no more.
    pub async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        if self.page.len() == 0 {
            self.page = self.next_page().await?.into_iter();
        }
        Ok(self.page.next())
    }

    async fn next_page(&mut self) -> Result<Vec<Row>, StoreError> {
        if self.ended {
            return Ok(Vec::new());
        }
        let page = self.store.rows(self.source, self.last.as_ref(), PAGE).await?;
        self.ended = page.len() < PAGE;
        self.last = page.last().map(|row| row.entry.key.clone());
        Ok(page)
    }
}

/// An entry without its members, which are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The row.
    pub entry: Entry,
    /// How many members are shown.
    pub shown: u64,
    /// Since when it is not configured any more.
    pub unconfigured_since: Option<Time>,
}

/// As [`Rows`], with the members of each counted: the more members there are, the longer it takes.
pub struct Heads<'s, S: ?Sized> {
    rows: Rows<'s, S>,
    page: std::vec::IntoIter<Head>,
}

impl<'s, S: Store + ?Sized> Heads<'s, S> {
    /// From the first on.
    pub fn of(store: &'s S, source: Option<&'s str>) -> Self {
        Heads { rows: Rows::of(store, source), page: Vec::new().into_iter() }
    }

    /// The next one; `None` = there are no more.
    pub async fn next(&mut self) -> Result<Option<Head>, StoreError> {
        if self.page.len() == 0 {
            let page = self.rows.next_page().await?;
            let keys: Vec<Key> = page.iter().map(|row| row.entry.key.clone()).collect();
            let shown = self.rows.store.shown(&keys).await?;
            let head = |(row, shown): (Row, u64)| Head {
                entry: row.entry,
                shown,
                unconfigured_since: row.unconfigured_since,
            };
            let heads: Vec<Head> = page.into_iter().zip(shown).map(head).collect();
            self.page = heads.into_iter();
        }
        Ok(self.page.next())
    }
}
