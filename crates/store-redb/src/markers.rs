//! Markers: one row that invalidates a tag, a source or everything, compared by whoever reads an
//! entry, and written through to the entries' rows by the sweep.
//!
//! A row remembers the newest marker that it has answered (`invalidated`): its making, every commit
//! and every import write it down, so that a marker ends a backoff once, and not the next one too.

use std::ops::Bound;
use std::time::Duration;

use larder_core::{Target, Time};
use serde::{Deserialize, Serialize};

use crate::entries::{find, save, target_prefix};
use crate::errors::Fault;
use crate::keys::EVERYTHING;
use crate::rows::{EntryRow, decode, encode, key_of};
use crate::tables::{Look, ON, STOP, Table, Tx, all};

/// How many entries are looked at in one transaction of a sweep: others write in between.
const BATCH: usize = 1_000;

/// A lease that ended may still be believed in by its holder, whose commit is waiting for its turn.
const LEASE_SLACK: Duration = Duration::from_mins(10);

/// When something was last invalidated as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) seq: u64,
    pub(crate) at: i64,
}

const ALL: &str = "all";

fn of_source(source: &str) -> String {
    format!("source:{source}")
}

fn of_tag(tag: &str) -> String {
    format!("tag:{tag}")
}

/// The name of the marker that a target becomes; `None` = it names its entries one by one.
pub(crate) fn name(target: &Target) -> Option<String> {
    match target {
        Target::Keys(_) => None,
        Target::Source(source) => Some(of_source(source)),
        Target::Tag(tag) => Some(of_tag(tag)),
        Target::All => Some(ALL.to_owned()),
    }
}

/// What a marker of that name means.
fn target_of(name: &[u8]) -> Option<Target> {
    let name = std::str::from_utf8(name).ok()?;
    match name.split_once(':') {
        None if name == ALL => Some(Target::All),
        Some(("source", source)) => Some(Target::Source(source.to_owned())),
        Some(("tag", tag)) => Some(Target::Tag(tag.to_owned())),
        _ => None,
    }
}

/// What the markers that there are mean.
pub(crate) fn targets(look: &impl Look) -> Result<Vec<Target>, Fault> {
    let targets = all(look, Table::Markers, |name, _| Ok(target_of(name)))?;
    Ok(targets.into_iter().flatten().collect())
}

/// Sets the marker of that name, or moves it on.
pub(crate) fn set(tx: &Tx<'_>, name: &str, seq: u64, now: Time) -> Result<(), Fault> {
    tx.put(Table::Markers, name.as_bytes(), &encode(&Marker { seq, at: now.ms() })?)
}

/// The newest marker that means an entry, by its source and tags.
pub(crate) fn newest(look: &impl Look, source: &str, tags: &[String]) -> Result<Option<Marker>, Fault> {
    // Mostly there are none, and then a read pays for nothing else.
    if look.count(Table::Markers)? == 0 {
        return Ok(None);
    }
    let mut newest: Option<Marker> = None;
    let names = [ALL.to_owned(), of_source(source)].into_iter().chain(tags.iter().map(|tag| of_tag(tag)));
    for name in names {
        let name = name.as_bytes();
        let marker = look.get(Table::Markers, name, |value| decode::<Marker>(Table::Markers, name, value))?;
        newest = newest.into_iter().chain(marker).max_by_key(|marker| marker.seq);
    }
    Ok(newest)
}

/// Shows a row as the markers leave it: stale if it was fetched before, and past any backoff that
/// began before.
pub(crate) fn meet(look: &impl Look, row: &mut EntryRow) -> Result<(), Fault> {
    let marker = newest(look, row.entry.key.source(), &row.tags)?;
    if let Some(marker) = marker.filter(|marker| marker.seq > row.entry.invalidated) {
        row.entry.invalidated = marker.seq;
        row.entry.due_at = row.entry.due_at.min(Time::from_ms(marker.at));
    }
    Ok(())
}

/// How far a sweep has come with writing markers through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The marker it is at; empty = before the first.
    name: Vec<u8>,
    /// As it was set when this pass over its entries began: set again, it needs another one.
    seq: u64,
    /// The last row it has looked at.
    after: Option<Vec<u8>>,
}

/// A step of a sweep.
pub(crate) struct Step {
    /// How many rows were written.
    pub(crate) written: u64,
    /// Where to go on; `None` = all is done.
    pub(crate) next: Option<Progress>,
}

/// Writes one batch through. A marker whose entries all know it goes, unless a fetch is under way
/// that began before it: that may bring an entry a tag that it did not have.
pub(crate) fn write_through(tx: &Tx<'_>, from: &Progress, under_way: UnderWay) -> Result<Step, Fault> {
    let mut found = None;
    tx.walk(Table::Markers, (Bound::Included(&from.name), Bound::Unbounded), |name, value| {
        found = Some((name.to_vec(), decode::<Marker>(Table::Markers, name, value)?));
        STOP
    })?;
    let Some((name, marker)) = found else { return Ok(Step { written: 0, next: None }) };
    let is_same_pass = (&name, marker.seq) == (&from.name, from.seq);
    let after = from.after.as_deref().filter(|_| is_same_pass);
    let (table, rows) = batch(tx, &name, after)?;
    let mut written = 0;
    for row in &rows {
        let prefix = target_prefix_of(&name, table);
        let key = key_of(table, row.get(prefix..).unwrap_or_default())?;
        // One that cannot be understood is for `verify` to tell of.
        let Ok(Some(row)) = find(tx, &key) else { continue };
        if row.entry.invalidated > row.stamped {
            save(tx, &row)?;
            written += 1;
        }
    }
    if let Some(last) = rows.into_iter().nth(BATCH - 1) {
        return Ok(Step { written, next: Some(Progress { name, seq: marker.seq, after: Some(last) }) });
    }
    if !under_way.needs(marker) {
        tx.remove(Table::Markers, &name)?;
    }
    // No name stands between this one and the next.
    let next = [&name[..], &[0]].concat();
    Ok(Step { written, next: Some(Progress { name: next, ..Progress::default() }) })
}

/// The rows that lead to the entries which the marker of that name means, behind `after`.
fn batch(tx: &Tx<'_>, name: &[u8], after: Option<&[u8]>) -> Result<(Table, Vec<Vec<u8>>), Fault> {
    let Some(target) = target_of(name) else { return Ok((Table::Entries, Vec::new())) };
    let table = table_of(&target);
    let prefix = target_prefix(&target);
    let (start, end) = prefix.stretch();
    let start = after.map_or(start, Bound::Excluded);
    let mut rows = Vec::new();
    tx.walk(table, (start, end), |row, _| {
        rows.push(row.to_vec());
        if rows.len() < BATCH { ON } else { STOP }
    })?;
    Ok((table, rows))
}

/// Where a target's entries are found.
pub(crate) fn table_of(target: &Target) -> Table {
    if matches!(target, Target::Tag(_)) { Table::Tags } else { Table::Entries }
}

/// How much stands before an entry's key in a row that leads to it.
fn target_prefix_of(name: &[u8], table: Table) -> usize {
    match target_of(name) {
        Some(target) if table == Table::Tags => target_prefix(&target).len(),
        _ => 0,
    }
}

/// The fetches under way, as a sweep found them when it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnderWay {
    /// The number of the oldest lease that was believed in.
    oldest: Option<u64>,
    /// The store's number then: a lease that was taken since has a greater one.
    as_of: u64,
}

impl UnderWay {
    /// Whether there is, or may be, one that began before the marker.
    fn needs(self, marker: Marker) -> bool {
        marker.seq > self.as_of || self.oldest.is_some_and(|oldest| oldest < marker.seq)
    }
}

/// Looks at every entry, once a sweep; `None` = there is no marker that anybody could need.
pub(crate) fn under_way(look: &impl Look, now: Time) -> Result<Option<UnderWay>, Fault> {
    if look.count(Table::Markers)? == 0 {
        return Ok(None);
    }
    let mut oldest: Option<u64> = None;
    look.walk(Table::Entries, EVERYTHING, |name, value| {
        let lease = EntryRow::read(value, name).ok().and_then(|row| row.entry.lease);
        if let Some(lease) = lease.filter(|lease| now.since(lease.until) < LEASE_SLACK) {
            oldest = Some(oldest.map_or(lease.token.seq, |oldest| oldest.min(lease.token.seq)));
        }
        ON
    })?;
    Ok(Some(UnderWay { oldest, as_of: look.meta()?.seq }))
}
