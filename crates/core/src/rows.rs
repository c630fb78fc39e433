//! Going over the rows of very many entries without holding them all.

use crate::{Key, Row, Store, StoreError};

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
        Rows { store, source, page: Vec::new().into_iter(), last: None, ended: false }
    }

    /// The next one; `None` = there are no more.
    pub async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        if self.page.len() == 0 && !self.ended {
            let page = self.store.rows(self.source, self.last.as_ref(), PAGE).await?;
            self.ended = page.len() < PAGE;
            self.last = page.last().map(|row| row.entry.key.clone());
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}
