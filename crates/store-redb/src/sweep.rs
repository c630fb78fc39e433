//! Removing what is past its retention, in transactions of a bounded size: there is one writer, and leases
//! want to be renewed in between.

use std::ops::Bound;
use std::time::Duration;

use larder_core::{Retention, StoreError, Swept, Time};

use crate::entries;
use crate::errors::Fault;
use crate::feed::log_by_key;
use crate::items;
use crate::keys::{EVERYTHING, Stretch};
use crate::leases::holds;
use crate::lines::{change_at, log_start};
use crate::markers::{self, Progress};
use crate::rows::{EntryRow, decode, encode, key_of, number_of};
use crate::tables::{Look, ON, STOP, SWEPT_ROW, Table, Tx};
use crate::{RedbStore, sheets};

/// How many rows are looked at, or lines removed, in one transaction.
pub(crate) const LOOKS: usize = 5_000;

/// How many entries are removed in one: each may have thousands of members.
const ENTRIES: usize = 500;

/// A step of a sweep: how many went, and the row to go on behind; `None` = all is done.
#[derive(Default)]
struct Step {
    entries: u64,
    rows: u64,
    next: Option<Vec<u8>>,
}

/// Notes that a sweep begins, unless one was done within `every`.
pub(crate) fn begin(tx: &Tx<'_>, every: Duration, now: Time) -> Result<bool, Fault> {
    let last = tx.get(Table::Meta, SWEPT_ROW, |bytes| decode::<i64>(Table::Meta, SWEPT_ROW, bytes))?;
    let is_due = last.map(Time::from_ms).is_none_or(|last| last <= now.minus(every) || last > now);
    if is_due {
        end(tx, Retention::begun(every, now))?;
    }
    Ok(is_due)
}

/// Notes that it came to its end.
pub(crate) fn end(tx: &Tx<'_>, now: Time) -> Result<(), Fault> {
    tx.put(Table::Meta, SWEPT_ROW, &encode(&now.ms())?)
}

/// Removes what is past its retention, and items that nothing holds; writes markers through.
pub(crate) async fn sweep(store: &RedbStore, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
    let retention = *retention;
    let (entries, removed) =
        all_of(store, move |tx, after| past_retention(tx, after, &retention, now)).await?;
    let (_, orphans) = all_of(store, |tx, after| {
        let (rows, next) = items::remove_orphans(tx, after)?;
        Ok(Step { entries: 0, rows, next })
    })
    .await?;
    let (_, log) = all_of(store, move |tx, after| sweep_log(tx, after, &retention, now)).await?;
    let (_, feed) = all_of(store, move |tx, _| sweep_feed(tx, &retention, now)).await?;
    store.write("sweep", sheets::sweep).await?;
    let written_through = write_through(store, now).await?;
    Ok(Swept { entries, items: removed + orphans, log, feed, written_through })
}

async fn all_of(
    store: &RedbStore,
    work: impl Fn(&Tx<'_>, Option<&[u8]>) -> Result<Step, Fault> + Clone + Send + 'static,
) -> Result<(u64, u64), StoreError> {
    let (mut entries, mut rows) = (0, 0);
    let mut after = None;
    loop {
        let (work, from) = (work.clone(), after.take());
        let step = store.write("sweep", move |tx| work(tx, from.as_deref())).await?;
        entries += step.entries;
        rows += step.rows;
        after = step.next;
        if after.is_none() {
            return Ok((entries, rows));
        }
    }
}

async fn write_through(store: &RedbStore, now: Time) -> Result<u64, StoreError> {
    let Some(under_way) = store.read_long("sweep", move |look| markers::under_way(look, now)).await? else {
        return Ok(0);
    };
    let mut written = 0;
    let mut next = Some(Progress::default());
    while let Some(from) = next {
        let step = store.write("sweep", move |tx| markers::write_through(tx, &from, under_way)).await?;
        written += step.written;
        next = step.next;
    }
    Ok(written)
}

fn behind(after: Option<&[u8]>) -> Stretch<'_> {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

fn past_retention(
    tx: &Tx<'_>,
    after: Option<&[u8]>,
    retention: &Retention,
    now: Time,
) -> Result<Step, Fault> {
    let failed = now.minus(retention.failed);
    let unconfigured = now.minus(retention.unconfigured);
    let (mut gone, mut looked, mut next) = (Vec::new(), 0, None);
    tx.walk(Table::Entries, behind(after), |name, value| {
        looked += 1;
        // One that cannot be understood is for `verify` to tell of, and for a person to remove.
        if EntryRow::read(value, name).is_ok_and(|row| {
            let is_empty = row.entry.fetched_at.is_none() && row.touched_at < failed;
            let is_left = row.unconfigured_since.is_some_and(|since| since < unconfigured);
            let is_held = row.entry.lease.as_ref().is_some_and(|lease| holds(lease, now));
            (is_empty || is_left) && !is_held
        }) {
            gone.push(key_of(Table::Entries, name)?);
        }
        if looked < LOOKS && gone.len() < ENTRIES {
            return ON;
        }
        next = Some(name.to_vec());
        STOP
    })?;
    let items = entries::remove(tx, &gone, now)?;
    Ok(Step { entries: gone.len() as u64, rows: items, next })
}

fn sweep_log(tx: &Tx<'_>, after: Option<&[u8]>, retention: &Retention, now: Time) -> Result<Step, Fault> {
    let before = now.minus(retention.log);
    // Of those that are left the first are the oldest.
    let too_many = tx.count(Table::Log)?.saturating_sub(retention.log_lines_max);
    let (mut old, mut looked, mut next) = (Vec::new(), 0, None);
    tx.walk(Table::Log, behind(after), |number, value| {
        looked += 1;
        let (started_at, key) = log_start(number, value)?;
        if started_at < before || (old.len() as u64) < too_many {
            old.push((number_of(Table::Log, number)?, key.to_owned()));
        }
        if looked < LOOKS {
            return ON;
        }
        next = Some(number.to_vec());
        STOP
    })?;
    for (number, key) in &old {
        tx.remove(Table::Log, &number.to_be_bytes())?;
        tx.remove(Table::LogByKey, &log_by_key(key, *number))?;
    }
    Ok(Step { entries: 0, rows: old.len() as u64, next })
}

/// Takes lines off the old end alone, so that a place in the feed tells whether any are missing.
fn sweep_feed(tx: &Tx<'_>, retention: &Retention, now: Time) -> Result<Step, Fault> {
    let too_many = tx.count(Table::Changes)?.saturating_sub(retention.feed_lines_max);
    let before = now.minus(retention.feed);
    let (mut old, mut next) = (Vec::new(), None);
    tx.walk(Table::Changes, EVERYTHING, |place, value| {
        if old.len() as u64 >= too_many && change_at(place, value)? >= before {
            return STOP;
        }
        old.push(number_of(Table::Changes, place)?);
        if old.len() < LOOKS {
            return ON;
        }
        next = Some(place.to_vec());
        STOP
    })?;
    for place in &old {
        tx.remove(Table::Changes, &place.to_be_bytes())?;
    }
    if let Some(last) = old.last() {
        tx.change_meta(|meta| meta.feed_swept = meta.feed_swept.max(*last));
    }
    Ok(Step { entries: 0, rows: old.len() as u64, next })
}
