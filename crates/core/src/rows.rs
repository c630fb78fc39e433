//! Going over the rows of very many entries without holding them all.

use crate::{Entry, Key, ListQuery, Listed, Row, Store, StoreError, Stored, Time};

/// The rows of all entries (of one source), by key, taken from the store a page at a time. Entries
/// that change meanwhile are met as they are when their page is taken.
pub struct Rows<'s, S: ?Sized> {
    store: &'s S,
    source: Option<&'s str>,
    page: std::vec::IntoIter<Row>,
    last: Option<Key>,
    ended: bool,
    /// `None` = the first row that cannot be understood ends it.
    damaged: Option<Vec<Damaged>>,
}

/// An entry whose row cannot be understood.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// Which.
    pub key: Key,
    /// What is wrong, in the store's words.
    pub error: StoreError,
}

/// How many rows are held at once.
const PAGE: usize = 500;

/// So many damaged items of one list are gone past.
const DAMAGED_MAX: usize = 20;

impl<'s, S: Store + ?Sized> Rows<'s, S> {
    /// From the first on.
    pub fn of(store: &'s S, source: Option<&'s str>) -> Self {
        Rows::behind(store, source, None)
    }

    /// From the first behind `after` on, whether there is such an entry or not.
    pub fn behind(store: &'s S, source: Option<&'s str>, after: Option<Key>) -> Self {
        Rows { store, source, page: Vec::new().into_iter(), last: after, ended: false, damaged: None }
    }

    /// Goes past rows that cannot be understood, of which [`damaged`](Rows::damaged) tells: for whoever would
    /// rather have all others than none.
    #[must_use]
    pub fn past_damage(self) -> Self {
        Rows { damaged: Some(Vec::new()), ..self }
    }

    /// The entries that were gone past so far.
    pub fn damaged(&self) -> &[Damaged] {
        self.damaged.as_deref().unwrap_or_default()
    }

    /// The next one; `None` = there are no more.
    pub async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        if self.page.len() == 0 {
            self.page = self.next_page().await?.into_iter();
        }
        Ok(self.page.next())
    }

    async fn next_page(&mut self) -> Result<Vec<Row>, StoreError> {
        let mut most = PAGE;
        while !self.ended {
            match self.store.rows(self.source, self.last.as_ref(), most).await {
                Ok(page) => {
                    self.ended = page.len() < most;
                    self.last = page.last().map(|row| row.entry.key.clone());
                    return Ok(page);
                }
                // Among fewer it is found out which one it is.
                Err(StoreError::BadRow { .. }) if self.damaged.is_some() && most > 1 => most /= 2,
                Err(error) => {
                    self.go_past(error)?;
                    most = PAGE;
                }
            }
        }
        Ok(Vec::new())
    }

    /// Goes past the one next row, if it is that which cannot be understood. One whose key is none either has
    /// nothing by which to go past it.
    fn go_past(&mut self, error: StoreError) -> Result<(), StoreError> {
        let key: Option<Key> = match &error {
            StoreError::BadRow { row, .. } => row.parse().ok(),
            _ => None,
        };
        match (key.filter(|key| self.last.as_ref() < Some(key)), &mut self.damaged) {
            (Some(key), Some(damaged)) => {
                self.last = Some(key.clone());
                damaged.push(Damaged { key, error });
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// As [`Store::lookup`], where an entry that cannot be understood is `None` and is told of beside, and keeps
/// nobody from the others.
pub async fn lookup_past_damage<S: Store + ?Sized>(
    store: &S,
    keys: &[Key],
) -> Result<(Vec<Option<Stored>>, Vec<Damaged>), StoreError> {
    match store.lookup(keys).await {
        Err(StoreError::BadRow { .. }) => {}
        looked => return looked.map(|rows| (rows, Vec::new())),
    }
    let (mut rows, mut damaged) = (Vec::with_capacity(keys.len()), Vec::new());
    for key in keys {
        match store.lookup(std::slice::from_ref(key)).await {
            Ok(mut row) => rows.push(row.pop().flatten()),
            Err(error @ StoreError::BadRow { .. }) => {
                rows.push(None);
                damaged.push(Damaged { key: key.clone(), error });
            }
            Err(error) => return Err(error),
        }
    }
    Ok((rows, damaged))
}

/// As [`Store::list`], where an item that cannot be understood has its place in the list, and keeps nobody from the
/// others. A store that says the same of each place says it of the whole list: that is an error.
pub async fn list_past_damage<S: Store + ?Sized>(
    store: &S,
    query: &ListQuery,
) -> Result<Vec<Result<Listed, StoreError>>, StoreError> {
    let (mut listed, mut damaged, mut most) = (Vec::new(), 0, query.limit);
    while listed.len() < query.limit {
        let limit = most.min(query.limit - listed.len());
        let part = ListQuery { offset: query.offset + listed.len(), limit, ..query.clone() };
        match store.list(&part).await {
            Ok(some) => {
                let is_end = some.len() < limit;
                listed.extend(some.into_iter().map(Ok));
                if is_end {
                    break;
                }
            }
            // Among fewer it is found out which one it is.
            Err(StoreError::BadRow { .. }) if limit > 1 => most = limit / 2,
            Err(error @ StoreError::BadRow { .. }) if is_said_again(&error, &listed) => return Err(error),
            Err(error @ StoreError::BadRow { .. }) if damaged < DAMAGED_MAX => {
                damaged += 1;
                listed.push(Err(error));
                most = query.limit;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(listed)
}

fn is_said_again(error: &StoreError, listed: &[Result<Listed, StoreError>]) -> bool {
    let before = listed.last().and_then(|listed| listed.as_ref().err());
    before.is_some_and(|before| before.to_string() == error.to_string())
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

    /// As [`Rows::past_damage`].
    #[must_use]
    pub fn past_damage(self) -> Self {
        Heads { rows: self.rows.past_damage(), ..self }
    }

    /// As [`Rows::damaged`].
    pub fn damaged(&self) -> &[Damaged] {
        self.rows.damaged()
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
