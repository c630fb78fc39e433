//! Rows as the tables hold them, and the fallible way from there to the model.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use bytes::BytesMut;
use larder_core::{
    Entry, Fingerprint, Item, ItemRef, Key, Lease, MemberState, StoreError, Time, Token, Trigger,
};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::errors::Fault;
use crate::json::JsonText;

/// The columns that [`EntryRow::read`] wants, in its order, of `entries` called `e`, with the newest
/// marker that means the entry called `k`: see [`FROM_ENTRIES`].
pub(crate) const ENTRY_COLUMNS: &str = "e.nr, e.key, e.definition, e.tried, e.body, e.validators, e.cursor, \
    e.complete, e.pending, e.warnings, e.version, e.began, greatest(e.invalidated, k.seq), e.fetched_at, \
    e.absent_at, e.fresh_until, \
    CASE WHEN k.seq > e.invalidated THEN least(e.due_at, k.at) ELSE e.due_at END, e.marked, e.marked_by, \
    e.attempts, e.faults, e.last_error, e.lease_owner, e.lease_until, e.lease_length, e.lease_epoch, \
    e.lease_seq, clock_timestamp(), e.unconfigured_since";

/// How many there are.
pub(crate) const ENTRY_WIDTH: usize = 29;

/// Where they come from. Without any marker nothing is looked for.
pub(crate) const FROM_ENTRIES: &str = "FROM larder.entries e LEFT JOIN LATERAL ( \
      SELECT m.seq, m.at FROM larder.markers m \
      WHERE m.about = 'all' AND m.name = '' AND EXISTS (SELECT 1 FROM larder.markers) \
      UNION ALL \
      SELECT m.seq, m.at FROM larder.markers m \
      WHERE m.about = 'source' AND m.name = e.source AND EXISTS (SELECT 1 FROM larder.markers) \
      UNION ALL \
      SELECT m.seq, m.at FROM larder.tags t JOIN larder.markers m ON m.about = 'tag' AND m.name = t.tag \
      WHERE t.entry = e.nr AND EXISTS (SELECT 1 FROM larder.markers) \
      ORDER BY seq DESC LIMIT 1 \
    ) k ON true";

/// The columns that [`item`] wants, in its order, of `items` called `i` and `docs` called `d`.
pub(crate) const ITEM_COLUMNS: &str = "i.kind, i.id, i.scope, d.doc, i.derived, i.fetched_at";

/// An instant as a `timestamptz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(pub(crate) Time);

/// 2000-01-01, from which PostgreSQL counts microseconds.
const EPOCH_MS: i64 = 946_684_800_000;

/// What a `timestamptz` can hold: from 4714 BC to the last that [`Time`] can write.
const MIN_MS: i64 = -210_866_803_200_000;

impl ToSql for At {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let ms = self.0.ms().clamp(MIN_MS, Time::MAX.ms());
        out.extend_from_slice(&((ms - EPOCH_MS) * 1_000).to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(holds: &Type) -> bool {
        *holds == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for At {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(At(Time::from_ms(micros.div_euclid(1_000).saturating_add(EPOCH_MS).min(Time::MAX.ms()))))
    }

    fn accepts(holds: &Type) -> bool {
        *holds == Type::TIMESTAMPTZ
    }
}

/// An instant that may be missing.
pub(crate) fn at(time: Option<Time>) -> Option<At> {
    time.map(At)
}

/// A row of `entries`.
#[derive(Debug, Clone)]
pub(crate) struct EntryRow {
    /// Its number.
    pub(crate) nr: i64,
    /// The entry.
    pub(crate) entry: Entry,
    /// Since when it is not configured any more.
    pub(crate) unconfigured_since: Option<Time>,
}

impl EntryRow {
    /// Reads [`ENTRY_COLUMNS`]. `local_now` is the caller's clock where ends of leases are the
    /// database's; they are told in the caller's.
    pub(crate) fn read(row: &Row, local_now: Option<Time>) -> Result<EntryRow, Fault> {
        let name: &str = row.try_get(1)?;
        let key: Key = parse("entries", &name, "key", name)?;
        let lease = lease(row, &key, local_now)?;
        let marked: i64 = row.try_get(17)?;
        let marked_by = row.try_get::<_, Option<&str>>(18)?.filter(|_| marked > 0);
        let marked_by: Option<Trigger> =
            marked_by.map(|word| parse("entries", &name, "marked_by", word)).transpose()?;
        let last_error: Option<JsonText<'_>> = row.try_get(21)?;
        let entry = Entry {
            definition: Fingerprint::trusted(row.try_get::<_, &str>(2)?),
            tried: Fingerprint::trusted(row.try_get::<_, &str>(3)?),
            body: row.try_get::<_, Option<JsonText<'_>>>(4)?.map(JsonText::model),
            validators: decode(name, "validators", &row.try_get(5)?)?,
            cursor: row.try_get(6)?,
            complete: row.try_get(7)?,
            pending: decode(name, "pending", &row.try_get(8)?)?,
            warnings: decode(name, "warnings", &row.try_get(9)?)?,
            version: number(row, 10)?,
            began: number(row, 11)?,
            invalidated: number(row, 12)?,
            fetched_at: time(row, 13)?,
            absent_at: time(row, 14)?,
            fresh_until: time(row, 15)?,
            due_at: row.try_get::<_, At>(16)?.0,
            marked: marked > 0,
            marked_by,
            attempts: count(row, 19)?,
            faults: count(row, 20)?,
            last_error: last_error.map(|text| decode(name, "last_error", &text)).transpose()?,
            lease,
            key,
        };
        Ok(EntryRow { nr: row.try_get(0)?, entry, unconfigured_since: time(row, 28)? })
    }
}

fn lease(row: &Row, key: &Key, local_now: Option<Time>) -> Result<Option<Lease>, Fault> {
    let Some(owner) = row.try_get::<_, Option<&str>>(22)? else { return Ok(None) };
    let At(until) = row.try_get(23)?;
    let At(database_now) = row.try_get(27)?;
    let until = match local_now {
        None => until,
        Some(now) if until >= database_now => now.plus(until.since(database_now)),
        Some(now) => now.minus(database_now.since(until)),
    };
    Ok(Some(Lease {
        key: key.clone(),
        owner: owner.into(),
        until,
        length: Duration::from_millis(number(row, 24)?),
        token: Token { epoch: row.try_get(25)?, seq: number(row, 26)? },
    }))
}

/// Reads [`ITEM_COLUMNS`], the first of them at `first`.
pub(crate) fn item(row: &Row, first: usize) -> Result<Item, Fault> {
    let (kind, id): (&str, &str) = (row.try_get(first)?, row.try_get(first + 1)?);
    let scope: &str = row.try_get(first + 2)?;
    Ok(Item {
        of: ItemRef::new(kind, id),
        scope: parse("items", &format_args!("{kind} {id}"), "scope", scope)?,
        doc: row.try_get::<_, JsonText<'_>>(first + 3)?.model(),
        derived: row.try_get::<_, Option<JsonText<'_>>>(first + 4)?.map(JsonText::model),
        fetched_at: row.try_get::<_, At>(first + 5)?.0,
    })
}

/// The word of a member's state.
pub(crate) fn state_word(state: MemberState) -> &'static str {
    match state {
        MemberState::Shown => "shown",
        MemberState::Absent => "absent",
        MemberState::Hidden => "hidden",
    }
}

/// The state of that word.
pub(crate) fn state(word: &str, row: &dyn Display) -> Result<MemberState, StoreError> {
    match word {
        "shown" => Ok(MemberState::Shown),
        "absent" => Ok(MemberState::Absent),
        "hidden" => Ok(MemberState::Hidden),
        _ => Err(bad_row("members", row, "state", word)),
    }
}

/// Reads a column by `FromStr`.
pub(crate) fn parse<T: FromStr>(
    table: &'static str,
    row: &dyn Display,
    column: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|_| bad_row(table, row, column, text))
}

/// Reads a column that holds JSON.
fn decode<T: DeserializeOwned>(
    row: &str,
    column: &'static str,
    text: &JsonText<'_>,
) -> Result<T, StoreError> {
    serde_json::from_str(&text.0).map_err(|_| bad_row("entries", &row, column, &text.0))
}

/// A row that cannot be understood.
pub(crate) fn bad_row(
    table: &'static str,
    row: &dyn Display,
    column: &'static str,
    found: &(impl Display + ?Sized),
) -> StoreError {
    /// Enough to recognise it by, not a page of it.
    const SHOWN_MAX: usize = 80;
    let found: String = found.to_string().chars().take(SHOWN_MAX).collect();
    StoreError::BadRow { table, row: row.to_string(), column, found: format!("`{found}`") }
}

/// A number that is never negative.
pub(crate) fn number(row: &Row, column: usize) -> Result<u64, Fault> {
    Ok(row.try_get::<_, i64>(column)?.max(0) as u64)
}

/// A small one.
pub(crate) fn count(row: &Row, column: usize) -> Result<u32, Fault> {
    Ok(u32::try_from(row.try_get::<_, i64>(column)?.max(0)).unwrap_or(u32::MAX))
}

/// An instant that may be missing.
pub(crate) fn time(row: &Row, column: usize) -> Result<Option<Time>, Fault> {
    Ok(row.try_get::<_, Option<At>>(column)?.map(|At(at)| at))
}

/// A number as PostgreSQL has it.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit as PostgreSQL has it.
pub(crate) fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A span in milliseconds, at most ten years, so that sums with it stay what an instant can be.
pub(crate) fn ms(span: Duration) -> i64 {
    /// Longer than any lease.
    const SPAN_MAX: Duration = Duration::from_hours(24 * 365 * 10);
    i64::try_from(span.min(SPAN_MAX).as_millis()).unwrap_or(i64::MAX)
}
