//! The one door for what an attempt brought: fenced, and all of it or nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use larder_core::{
    Commit, Committed, Entry, Fingerprint, ItemCounts, ItemRef, Key, Outcome, Subject, TOUCHED, Time,
    Validators, Write,
};

use crate::entries::{self, tag_key};
use crate::errors::Fault;
use crate::feed;
use crate::items::{self, Asked, Effect};
use crate::leases::holds;
use crate::markers;
use crate::rows::{EntryRow, key_of};
use crate::tables::{Table, Tx};

/// Admits what came of an attempt, if its lease still holds.
pub(crate) fn commit(tx: &Tx<'_>, commit: &Commit) -> Result<Committed, Fault> {
    let found = entries::find(tx, &commit.lease.key)?;
    let ours = found.filter(|row| {
        let token = row.entry.lease.as_ref().map(|lease| lease.token);
        token == Some(commit.lease.token)
    });
    match (ours, &commit.write) {
        (Some(row), None) => release(tx, row, commit),
        (Some(row), Some(write)) if is_live(&row.entry, commit.now) => admit(tx, row, write, commit),
        _ => {
            feed::log(tx, &commit.log, "superseded", ItemCounts::default())?;
            Ok(Committed::Superseded)
        }
    }
}

/// By the row's own end, which renewals moved on.
fn is_live(entry: &Entry, now: Time) -> bool {
    entry.lease.as_ref().is_some_and(|lease| holds(lease, now))
}

fn release(tx: &Tx<'_>, mut row: EntryRow, commit: &Commit) -> Result<Committed, Fault> {
    row.entry.lease = None;
    entries::save(tx, &row)?;
    feed::log(tx, &commit.log, &commit.log.outcome, ItemCounts::default())?;
    Ok(Committed::Done {
        version: row.entry.version,
        items: ItemCounts::default(),
        invalidated: row.entry.is_invalidated(),
    })
}

/// What an attempt's items did.
struct Landed<'a> {
    counts: ItemCounts,
    /// Items that look different now, whoever holds them.
    changed: Vec<&'a ItemRef>,
    /// Whether all that this answer said is what is held now.
    stands: bool,
    visible: bool,
}

fn admit(tx: &Tx<'_>, mut row: EntryRow, write: &Write, commit: &Commit) -> Result<Committed, Fault> {
    let (now, token) = (commit.now, commit.lease.token);
    let before = row.entry.clone();
    // An item is as old as the asking.
    let asked = Asked { at: commit.log.started_at.min(now), began: token.seq };
    let landed = land(tx, &mut row, write, asked)?;
    if let Some(tags) = &write.tags {
        write_tags(tx, &mut row, tags)?;
        // A tag that it did not carry until now may have been invalidated while it was fetched.
        let marker = markers::newest(tx, before.key.source(), &row.tags)?;
        row.entry.invalidated = row.entry.invalidated.max(marker.map_or(0, |marker| marker.seq));
    }
    let visible = landed.visible || looks_different(&before, write);
    row.entry.version += u64::from(visible);
    if write.answers_invalidation {
        row.entry.began = token.seq;
    }
    let met_by_invalidation = row.entry.invalidated > token.seq;
    write_row(&mut row, write, commit);
    // What goes on from what was held does not answer for what became of that meanwhile.
    let lost_ground = before.is_touched() && (write.members.is_none() || write.cursor.is_some());
    if lost_ground {
        row.entry.definition = before.definition.clone();
    }
    if lost_ground || !landed.stands {
        row.entry.validators = Validators::default();
        row.entry.cursor = None;
    }
    entries::save(tx, &row)?;
    let version = row.entry.version;
    if let Some(what) = what_happened(&before, write, visible) {
        feed::announce(tx, Subject::Entry(before.key.clone()), what, version, now)?;
    }
    announce_elsewhere(tx, &before.key, &landed.changed, now)?;
    feed::log(tx, &commit.log, write.outcome.word(), landed.counts)?;
    Ok(Committed::Done { version, items: landed.counts, invalidated: met_by_invalidation })
}

/// Puts items and members.
fn land<'a>(tx: &Tx<'_>, row: &mut EntryRow, write: &'a Write, asked: Asked) -> Result<Landed<'a>, Fault> {
    let mut known: HashSet<&ItemRef> = HashSet::with_capacity(write.items.len());
    let mut changed = Vec::new();
    let mut stands = true;
    for item in &write.items {
        match items::put(tx, item, asked)? {
            Effect::Changed => changed.push(&item.of),
            Effect::Kept => stands = false,
            Effect::New | Effect::Same => {}
        }
        known.insert(&item.of);
    }
    let moved = match &write.members {
        Some(members) => items::replace_members(tx, row, members, &known)?,
        None => items::Moved::default(),
    };
    let counts = ItemCounts {
        seen: write.items.len() as u32,
        added: moved.added,
        changed: changed.len() as u32,
        removed: moved.removed,
    };
    let visible = moved.visible || !changed.is_empty();
    Ok(Landed { counts, changed, stands, visible })
}

/// Whether a reader of the row itself sees a difference.
fn looks_different(before: &Entry, write: &Write) -> bool {
    before.body != write.body
        || before.warnings != write.warnings
        || before.complete != write.complete
        || before.pending != write.pending
        || before.has_data() != write.fetched_at.is_some()
        || before.absent_at.is_some() != write.absent_at.is_some()
}

fn write_row(row: &mut EntryRow, write: &Write, commit: &Commit) {
    let (now, token) = (commit.now, commit.lease.token.seq);
    let held = &row.entry;
    // What failed waits for its time all the same: nothing is sent inside a Retry-After.
    let at_once = held.invalidated > held.began && write.attempts == 0;
    // A trigger that came after this fetch had begun still wants a later one.
    row.marked = if row.marked > token { row.marked } else { 0 };
    if commit.is_of_use() {
        row.touched_at = now;
    }
    row.entry = Entry {
        key: held.key.clone(),
        definition: write.definition.clone(),
        tried: write.tried.clone(),
        body: write.body.clone(),
        validators: write.validators.clone(),
        cursor: write.cursor.clone(),
        complete: write.complete,
        pending: write.pending.clone(),
        warnings: write.warnings.clone(),
        version: held.version,
        began: held.began,
        invalidated: held.invalidated,
        fetched_at: write.fetched_at,
        absent_at: write.absent_at,
        fresh_until: write.fresh_until,
        due_at: if at_once { write.due_at.min(now) } else { write.due_at },
        marked: row.marked > 0,
        marked_by: held.marked_by.filter(|_| row.marked > 0),
        attempts: write.attempts,
        faults: write.faults,
        last_error: write.last_error.clone(),
        lease: None,
    };
}

/// Other entries that show one of the changed items are seen to change too. The validators and the
/// cursor of all that hold one speak of what they held before, and so does a fetch that is under way.
pub(crate) fn announce_elsewhere(
    tx: &Tx<'_>,
    key: &Key,
    changed: &[&ItemRef],
    now: Time,
) -> Result<(), Fault> {
    let mut holders: BTreeMap<String, bool> = BTreeMap::new();
    for item in changed {
        for (holder, shows) in items::held_in(tx, item)? {
            *holders.entry(holder).or_default() |= shows;
        }
    }
    holders.remove(key.as_str());
    for (holder, shows) in holders {
        let key = key_of(Table::Holders, holder.as_bytes())?;
        let Some(mut row) = entries::find(tx, &key)? else { continue };
        row.entry.validators = Validators::default();
        row.entry.cursor = None;
        if is_live(&row.entry, now) {
            row.entry.definition = Fingerprint::trusted(TOUCHED);
        }
        row.entry.version += u64::from(shows);
        entries::save(tx, &row)?;
        if shows {
            feed::announce(tx, Subject::Entry(key), "updated", row.entry.version, now)?;
        }
    }
    Ok(())
}

/// The feed's word, if there is anything to tell.
fn what_happened(before: &Entry, write: &Write, visible: bool) -> Option<&'static str> {
    let code = |failure: &larder_core::Failure| failure.code.clone();
    match write.outcome {
        Outcome::Failed => {
            let first = before.attempts == 0 && write.attempts > 0;
            let other_reason = before.last_error.as_ref().map(code) != write.last_error.as_ref().map(code);
            (visible || first || other_reason).then_some("failed")
        }
        Outcome::NotModified | Outcome::Updated if visible => Some("updated"),
        Outcome::Absent | Outcome::Partial if visible => Some(write.outcome.word()),
        // Nothing new, but what was shown as failing is well again.
        _ => (before.attempts > 0 && write.attempts == 0).then_some("recovered"),
    }
}

pub(crate) fn write_tags(tx: &Tx<'_>, row: &mut EntryRow, tags: &[String]) -> Result<(), Fault> {
    let wanted: BTreeSet<&String> = tags.iter().collect();
    let held: BTreeSet<&String> = row.tags.iter().collect();
    for tag in held.difference(&wanted) {
        tx.remove(Table::Tags, &tag_key(tag, &row.entry.key))?;
    }
    for tag in wanted.difference(&held) {
        tx.put(Table::Tags, &tag_key(tag, &row.entry.key), &[])?;
    }
    row.tags = wanted.into_iter().cloned().collect();
    Ok(())
}
