//! The changes feed and the refresh log.

use std::ops::Bound;

use larder_core::{Change, Changes, ItemCounts, Key, LogFilter, LogLine, Subject, Time};

use crate::errors::Fault;
use crate::keys::{Bytes, EVERYTHING, Prefix};
use crate::lines::{read_change, read_log, write_change, write_log};
use crate::rows::{bad_row, number_of};
use crate::tables::{Look, ON, STOP, Table, Tx};

/// Writes a line that says what became of something.
pub(crate) fn announce(tx: &Tx<'_>, on: Subject, what: &str, version: u64, at: Time) -> Result<(), Fault> {
    let seq = tx.change_meta(|meta| meta.next().seq);
    let change = Change { seq, on, what: what.to_owned(), version, at };
    tx.put(Table::Changes, &seq.to_be_bytes(), &write_change(&change)?)
}

/// The stretch of the feed behind `after`.
pub(crate) fn changes(look: &impl Look, after: u64, limit: usize) -> Result<Changes, Fault> {
    let meta = look.meta()?;
    let mut lines = Vec::new();
    let start = after.to_be_bytes();
    if limit > 0 {
        look.walk(Table::Changes, (Bound::Excluded(&start[..]), Bound::Unbounded), |place, value| {
            lines.push(read_change(place, value)?);
            if lines.len() < limit { ON } else { STOP }
        })?;
    }
    // A place further on than there is anything comes from an earlier life of the store.
    let reset = after < meta.feed_swept || after > meta.seq;
    Ok(Changes { lines, reset, last: last(look)? })
}

/// The place of the newest line there is, or was.
pub(crate) fn last(look: &impl Look) -> Result<u64, Fault> {
    let mut last = look.meta()?.feed_swept;
    look.walk_back(Table::Changes, EVERYTHING, |place, _| {
        last = last.max(number_of(Table::Changes, place)?);
        STOP
    })?;
    Ok(last)
}

/// A number that differs after every commit, also of another file at the same place.
pub(crate) fn pulse(look: &impl Look) -> Result<u64, Fault> {
    let meta = look.meta()?;
    Ok((meta.epoch as u64).wrapping_add(meta.commits))
}

/// Writes a line of the refresh log.
pub(crate) fn log(tx: &Tx<'_>, line: &LogLine, outcome: &str, items: ItemCounts) -> Result<(), Fault> {
    let number = tx.change_meta(|meta| {
        meta.log += 1;
        meta.log
    });
    tx.put(Table::Log, &number.to_be_bytes(), &write_log(line, outcome, items)?)?;
    tx.put(Table::LogByKey, &log_by_key(line.key.as_str(), number), &[])?;
    if outcome == line.outcome && line.is_idle() {
        forget_idle(tx, &line.key)?;
    }
    Ok(())
}

/// Removes idle lines that others of their entry have followed.
fn forget_idle(tx: &Tx<'_>, key: &Key) -> Result<(), Fault> {
    let prefix = Prefix::new(Bytes::default().text(key.as_str()).done());
    let (mut place, mut old) = (0, Vec::new());
    tx.walk_back(Table::LogByKey, prefix.stretch(), |name, _| {
        if place >= LogLine::IDLE_KEPT {
            old.push((name.to_vec(), prefix.behind(name).to_vec()));
        }
        place += 1;
        if old.len() < LogLine::IDLE_LOOKED_AT { ON } else { STOP }
    })?;
    for (name, number) in old {
        let line = match tx.get(Table::Log, &number, |value| read_log(&number, value)) {
            // Nobody can say that it is idle, and it is no reason to refuse what came after it.
            Err(fault) if fault.is_of_row() => None,
            line => line?,
        };
        if line.is_some_and(|line| line.is_idle()) {
            tx.remove(Table::Log, &number)?;
            tx.remove(Table::LogByKey, &name)?;
        }
    }
    Ok(())
}

/// A key of [`Table::LogByKey`].
pub(crate) fn log_by_key(key: &str, number: u64) -> Vec<u8> {
    Bytes::default().text(key).number(number).done()
}

/// The refresh log, newest first.
pub(crate) fn log_lines(look: &impl Look, filter: &LogFilter) -> Result<Vec<LogLine>, Fault> {
    let mut lines = Vec::new();
    if filter.limit == 0 {
        return Ok(lines);
    }
    let Some(key) = &filter.key else {
        look.walk_back(Table::Log, EVERYTHING, |number, value| {
            lines.push(read_log(number, value)?);
            if lines.len() < filter.limit { ON } else { STOP }
        })?;
        return Ok(lines);
    };
    let prefix = Prefix::new(Bytes::default().text(key.as_str()).done());
    look.walk_back(Table::LogByKey, prefix.stretch(), |name, _| {
        let number = prefix.behind(name);
        let line = look.get(Table::Log, number, |value| read_log(number, value))?;
        lines.push(line.ok_or_else(|| bad_row(Table::LogByKey, name, "no such line"))?);
        if lines.len() < filter.limit { ON } else { STOP }
    })?;
    Ok(lines)
}
