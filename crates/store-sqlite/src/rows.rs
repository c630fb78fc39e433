//! Rows as the tables hold them, and the fallible way from there to the model.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use larder_core::{
    Entry, Fingerprint, Item, ItemRef, Json, Key, Lease, MemberState, StoreError, Time, Token,
};
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;

use crate::errors::Fault;
use crate::markers;

/// The columns that [`EntryRow::read`] wants, in its order. The last says whether there are markers.
pub(crate) const ENTRY_COLUMNS: &str = "nr, key, definition, tried, body, validators, cursor, complete, \
    pending, warnings, version, began, invalidated, fetched_at, absent_at, fresh_until, due_at, marked, \
    attempts, faults, last_error, leases.owner, leases.until, leases.length, leases.epoch, leases.seq, \
    marked_by, EXISTS (SELECT 1 FROM markers)";

/// Where they are read from.
pub(crate) const ENTRY_ROWS: &str = "entries LEFT JOIN leases ON leases.entry = entries.nr";

/// The place of the first column behind [`ENTRY_COLUMNS`].
pub(crate) const BEHIND_ENTRY: usize = 28;

/// The columns that [`ItemRow::read`] wants, in its order, of a table called `i`.
pub(crate) const ITEM_COLUMNS: &str = "i.nr, i.kind, i.id, i.scope, i.doc, i.derived, i.fetched_at";

/// A row of `entries`.
pub(crate) struct EntryRow {
    nr: i64,
    key: String,
    definition: String,
    tried: String,
    body: Option<String>,
    validators: String,
    cursor: Option<String>,
    complete: bool,
    pending: String,
    warnings: String,
    version: i64,
    began: i64,
    invalidated: i64,
    fetched_at: Option<i64>,
    absent_at: Option<i64>,
    fresh_until: Option<i64>,
    due_at: i64,
    marked: i64,
    marked_by: Option<String>,
    attempts: i64,
    faults: i64,
    last_error: Option<String>,
    lease: Option<LeaseRow>,
    has_markers: bool,
}

struct LeaseRow {
    owner: String,
    until: i64,
    length: i64,
    epoch: i64,
    seq: i64,
}

impl EntryRow {
    /// Reads [`ENTRY_COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let lease = match row.get::<_, Option<String>>(21)? {
            None => None,
            Some(owner) => Some(LeaseRow {
                owner,
                until: row.get(22)?,
                length: row.get(23)?,
                epoch: row.get(24)?,
                seq: row.get(25)?,
            }),
        };
        Ok(EntryRow {
            nr: row.get(0)?,
            key: row.get(1)?,
            definition: row.get(2)?,
            tried: row.get(3)?,
            body: row.get(4)?,
            validators: row.get(5)?,
            cursor: row.get(6)?,
            complete: row.get(7)?,
            pending: row.get(8)?,
            warnings: row.get(9)?,
            version: row.get(10)?,
            began: row.get(11)?,
            invalidated: row.get(12)?,
            fetched_at: row.get(13)?,
            absent_at: row.get(14)?,
            fresh_until: row.get(15)?,
            due_at: row.get(16)?,
            marked: row.get(17)?,
            marked_by: row.get(26)?,
            attempts: row.get(18)?,
            faults: row.get(19)?,
            last_error: row.get(20)?,
            lease,
            has_markers: row.get(27)?,
        })
    }

    /// The row's number, and the entry as the markers leave it.
    pub(crate) fn model(self, conn: &Connection) -> Result<(i64, Entry), Fault> {
        let has_markers = self.has_markers;
        let (nr, mut entry) = self.plain()?;
        if has_markers && let Some(marker) = markers::newest(conn, nr, entry.key.source())? {
            marker.meet(&mut entry);
        }
        Ok((nr, entry))
    }

    fn plain(self) -> Result<(i64, Entry), StoreError> {
        let name = self.key.as_str();
        let key: Key = parse("entries", name, "key", name)?;
        let count =
            |column, value: i64| u32::try_from(value).map_err(|_| bad_row("entries", name, column, value));
        let lease = self.lease.map(|lease| Lease {
            key: key.clone(),
            owner: lease.owner.into(),
            until: Time::from_ms(lease.until),
            length: Duration::from_millis(lease.length.max(0) as u64),
            token: Token { epoch: lease.epoch, seq: lease.seq as u64 },
        });
        let last_error = match &self.last_error {
            None => None,
            Some(text) => Some(decode("entries", name, "last_error", text)?),
        };
        let marked_by = self.marked_by.filter(|_| self.marked > 0);
        let marked_by = marked_by.map(|word| parse("entries", name, "marked_by", &word)).transpose()?;
        let entry = Entry {
            definition: Fingerprint::trusted(self.definition),
            tried: Fingerprint::trusted(self.tried),
            body: self.body.map(Json::trusted),
            validators: decode_unless(&self.validators, "{}", name, "validators")?,
            cursor: self.cursor,
            complete: self.complete,
            pending: decode_unless(&self.pending, "[]", name, "pending")?,
            warnings: decode_unless(&self.warnings, "[]", name, "warnings")?,
            version: self.version as u64,
            began: self.began as u64,
            invalidated: self.invalidated as u64,
            fetched_at: self.fetched_at.map(Time::from_ms),
            absent_at: self.absent_at.map(Time::from_ms),
            fresh_until: self.fresh_until.map(Time::from_ms),
            due_at: Time::from_ms(self.due_at),
            marked: self.marked > 0,
            marked_by,
            attempts: count("attempts", self.attempts)?,
            faults: count("faults", self.faults)?,
            last_error,
            lease,
            key,
        };
        Ok((self.nr, entry))
    }
}

/// A row of `items`.
pub(crate) struct ItemRow {
    /// Its number.
    pub(crate) nr: i64,
    kind: String,
    id: String,
    scope: String,
    doc: String,
    derived: Option<String>,
    fetched_at: i64,
}

impl ItemRow {
    /// Reads [`ITEM_COLUMNS`], the first of them at `first`.
    pub(crate) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(ItemRow {
            nr: row.get(first)?,
            kind: row.get(first + 1)?,
            id: row.get(first + 2)?,
            scope: row.get(first + 3)?,
            doc: row.get(first + 4)?,
            derived: row.get(first + 5)?,
            fetched_at: row.get(first + 6)?,
        })
    }

    /// The item.
    pub(crate) fn model(self) -> Result<Item, StoreError> {
        let scope = self.scope.parse().map_err(|found| StoreError::BadRow {
            table: "items",
            row: format!("{} {}", self.kind, self.id),
            column: "scope",
            found,
        })?;
        Ok(Item {
            of: ItemRef::new(self.kind, self.id),
            scope,
            doc: Json::trusted(self.doc),
            derived: self.derived.map(Json::trusted),
            fetched_at: Time::from_ms(self.fetched_at),
        })
    }
}

/// The word of a member's state; what most of them are is none.
pub(crate) fn state_word(state: MemberState) -> Option<&'static str> {
    match state {
        MemberState::Shown => None,
        MemberState::Absent => Some("absent"),
        MemberState::Hidden => Some("hidden"),
    }
}

/// The state of that word.
pub(crate) fn state(word: Option<&str>, row: &dyn Display) -> Result<MemberState, StoreError> {
    match word {
        None => Ok(MemberState::Shown),
        Some("absent") => Ok(MemberState::Absent),
        Some("hidden") => Ok(MemberState::Hidden),
        Some(word) => Err(bad_row("members", row, "state", word)),
    }
}

/// Reads a column by `FromStr`.
pub(crate) fn parse<T: FromStr>(
    table: &'static str,
    row: &str,
    column: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|_| bad_row(table, row, column, text))
}

/// Reads a column that holds JSON.
fn decode<T: DeserializeOwned>(
    table: &'static str,
    row: &str,
    column: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| bad_row(table, row, column, text))
}

/// Reads a column that holds JSON and mostly the same small one.
fn decode_unless<T: DeserializeOwned + Default>(
    text: &str,
    usual: &str,
    row: &str,
    column: &'static str,
) -> Result<T, StoreError> {
    if text == usual { Ok(T::default()) } else { decode("entries", row, column, text) }
}

/// A row that cannot be understood.
pub(crate) fn bad_row(
    table: &'static str,
    row: impl Display,
    column: &'static str,
    found: impl Display,
) -> StoreError {
    /// Enough to recognise it by, not a page of it.
    const SHOWN_MAX: usize = 80;
    let found: String = found.to_string().chars().take(SHOWN_MAX).collect();
    StoreError::BadRow { table, row: row.to_string(), column, found: format!("`{found}`") }
}

/// A number as SQLite has it.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit as SQLite has it.
pub(crate) fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A span in milliseconds.
pub(crate) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
