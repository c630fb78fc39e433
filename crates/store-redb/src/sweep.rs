//! Removing what is past its retention.

use larder_core::{Key, Retention, Swept, Time};

use crate::entries;
use crate::errors::Fault;
use crate::feed::log_by_key;
use crate::items;
use crate::keys::EVERYTHING;
use crate::leases::holds;
use crate::lines::{change_at, log_start};
use crate::rows::{EntryRow, key_of, number_of};
use crate::sheets;
use crate::tables::{Look, ON, STOP, Table, Tx};

/// Removes what is past its retention, and items that nothing holds.
pub(crate) fn sweep(tx: &Tx<'_>, retention: &Retention, now: Time) -> Result<Swept, Fault> {
    let gone = past_retention(tx, retention, now)?;
    let removed = entries::remove(tx, &gone, now)?;
    let orphans = items::remove_orphans(tx)?;
    let log = sweep_log(tx, retention, now)?;
    let feed = sweep_feed(tx, retention, now)?;
    sheets::sweep(tx)?;
    Ok(Swept { entries: gone.len() as u64, items: removed + orphans, log, feed, written_through: 0 })
}

fn past_retention(tx: &Tx<'_>, retention: &Retention, now: Time) -> Result<Vec<Key>, Fault> {
    let failed = now.minus(retention.failed);
    let unconfigured = now.minus(retention.unconfigured);
    let mut gone = Vec::new();
    tx.walk(Table::Entries, EVERYTHING, |name, value| {
        // One that cannot be understood is for `verify` to tell of, and for a person to remove.
        let Ok(row) = EntryRow::read(value, name) else { return ON };
        if row.entry.lease.as_ref().is_some_and(|lease| holds(lease, now)) {
            return ON;
        }
        let is_empty = row.entry.fetched_at.is_none() && row.touched_at < failed;
        if is_empty || row.unconfigured_since.is_some_and(|since| since < unconfigured) {
            gone.push(key_of(Table::Entries, name)?);
        }
        ON
    })?;
    Ok(gone)
}

fn sweep_log(tx: &Tx<'_>, retention: &Retention, now: Time) -> Result<u64, Fault> {
    let before = now.minus(retention.log);
    let mut old = Vec::new();
    tx.walk(Table::Log, EVERYTHING, |number, value| {
        let (started_at, key) = log_start(number, value)?;
        if started_at < before {
            old.push((number_of(Table::Log, number)?, key.to_owned()));
        }
        ON
    })?;
    for (number, key) in &old {
        tx.remove(Table::Log, &number.to_be_bytes())?;
        tx.remove(Table::LogByKey, &log_by_key(key, *number))?;
    }
    Ok(old.len() as u64)
}

/// Takes lines off the old end alone, so that a place in the feed tells whether any are missing.
fn sweep_feed(tx: &Tx<'_>, retention: &Retention, now: Time) -> Result<u64, Fault> {
    let too_many = tx.count(Table::Changes)?.saturating_sub(retention.feed_lines_max);
    let before = now.minus(retention.feed);
    let mut old = Vec::new();
    tx.walk(Table::Changes, EVERYTHING, |place, value| {
        if old.len() as u64 >= too_many && change_at(place, value)? >= before {
            return STOP;
        }
        old.push(number_of(Table::Changes, place)?);
        ON
    })?;
    for place in &old {
        tx.remove(Table::Changes, &place.to_be_bytes())?;
    }
    if let Some(last) = old.last() {
        tx.change_meta(|meta| meta.feed_swept = meta.feed_swept.max(*last));
    }
    Ok(old.len() as u64)
}
