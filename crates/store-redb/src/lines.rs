//! Lines of the changes feed and of the refresh log, as the tables hold them.

use larder_core::{Change, ItemCounts, LogLine, Spent, Subject, Time};
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::rows::{bad_row, decode, encode, key_of, number_of};
use crate::tables::Table;

#[derive(Serialize, Deserialize)]
struct ChangeValue<'a> {
    #[serde(borrow)]
    on: SubjectValue<'a>,
    what: &'a str,
    version: u64,
    at: i64,
}

#[derive(Serialize, Deserialize)]
enum SubjectValue<'a> {
    Entry(&'a str),
    Tag(&'a str),
    Source(&'a str),
    All,
}

/// A line of the feed; its place is the row's key.
pub(crate) fn write_change(change: &Change) -> Result<Vec<u8>, Fault> {
    let on = match &change.on {
        Subject::Entry(key) => SubjectValue::Entry(key.as_str()),
        Subject::Tag(tag) => SubjectValue::Tag(tag),
        Subject::Source(source) => SubjectValue::Source(source),
        Subject::All => SubjectValue::All,
    };
    encode(&ChangeValue { on, what: &change.what, version: change.version, at: change.at.ms() })
}

/// A line of the feed.
pub(crate) fn read_change(place: &[u8], bytes: &[u8]) -> Result<Change, Fault> {
    let value: ChangeValue<'_> = decode(Table::Changes, place, bytes)?;
    let on = match value.on {
        SubjectValue::Entry(key) => Subject::Entry(key_of(Table::Changes, key.as_bytes())?),
        SubjectValue::Tag(tag) => Subject::Tag(tag.to_owned()),
        SubjectValue::Source(source) => Subject::Source(source.to_owned()),
        SubjectValue::All => Subject::All,
    };
    Ok(Change {
        seq: number_of(Table::Changes, place)?,
        on,
        what: value.what.to_owned(),
        version: value.version,
        at: Time::from_ms(value.at),
    })
}

/// When a line of the feed was written.
pub(crate) fn change_at(place: &[u8], bytes: &[u8]) -> Result<Time, Fault> {
    let value: ChangeValue<'_> = decode(Table::Changes, place, bytes)?;
    Ok(Time::from_ms(value.at))
}

#[derive(Serialize, Deserialize)]
struct LogValue<'a> {
    started_at: i64,
    key: &'a str,
    trigger: &'a str,
    duration_ms: u64,
    outcome: &'a str,
    items: [u32; 4],
    spent: [u32; 2],
    error: Option<&'a str>,
}

/// A line of the refresh log.
pub(crate) fn write_log(line: &LogLine, outcome: &str, items: ItemCounts) -> Result<Vec<u8>, Fault> {
    encode(&LogValue {
        started_at: line.started_at.ms(),
        key: line.key.as_str(),
        trigger: &line.trigger.to_string(),
        duration_ms: line.duration_ms,
        outcome,
        items: [items.seen, items.added, items.changed, items.removed],
        spent: [line.spent.calls, line.spent.cost],
        error: line.error.as_deref(),
    })
}

/// A line of the refresh log.
pub(crate) fn read_log(number: &[u8], bytes: &[u8]) -> Result<LogLine, Fault> {
    let value: LogValue<'_> = decode(Table::Log, number, bytes)?;
    let [seen, added, changed, removed] = value.items;
    let [calls, cost] = value.spent;
    Ok(LogLine {
        key: key_of(Table::Log, value.key.as_bytes())?,
        trigger: value.trigger.parse().map_err(|found: String| bad_row(Table::Log, number, &found))?,
        started_at: Time::from_ms(value.started_at),
        duration_ms: value.duration_ms,
        outcome: value.outcome.to_owned(),
        items: ItemCounts { seen, added, changed, removed },
        spent: Spent { calls, cost },
        error: value.error.map(str::to_owned),
    })
}

/// When an attempt in the refresh log began, and on which entry.
pub(crate) fn log_start<'a>(number: &[u8], bytes: &'a [u8]) -> Result<(Time, &'a str), Fault> {
    let value: LogValue<'a> = decode(Table::Log, number, bytes)?;
    Ok((Time::from_ms(value.started_at), value.key))
}
