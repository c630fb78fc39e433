//! Entries on their way out to another store, and in from one.

use std::collections::HashSet;

use larder_core::{Exported, ExportedMember, Json, Key, MemberWrite, Subject, Time};

use crate::commit::{announce_elsewhere, write_tags};
use crate::entries::{self, with_members};
use crate::errors::Fault;
use crate::feed;
use crate::items;
use crate::markers;
use crate::rows::{EntryRow, ItemValue, Kinds, MemberValue, bad_row, decode, encode, item_key};
use crate::tables::{Look, Table, Tx};

/// Entries by key behind `after`, with everything worth moving.
pub(crate) fn export(look: &impl Look, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, Fault> {
    entries::page(look, None, after, limit)?.into_iter().map(|row| export_one(look, row)).collect()
}

fn export_one(look: &impl Look, mut row: EntryRow) -> Result<Exported, Fault> {
    row.entry.lease = None;
    let mut kinds = Kinds::default();
    let key = row.entry.key.clone();
    let members = with_members(look, &key, |members| {
        members.iter().map(|member| export_member(look, &key, member, &mut kinds)).collect()
    })?;
    Ok(Exported {
        members: members.unwrap_or_default(),
        tags: row.tags,
        unconfigured_since: row.unconfigured_since,
        entry: row.entry,
    })
}

fn export_member(
    look: &impl Look,
    key: &Key,
    member: &MemberValue<'_>,
    kinds: &mut Kinds,
) -> Result<ExportedMember, Fault> {
    let of = kinds.item(member.kind, member.id);
    let name = item_key(&of);
    let item = look.get(Table::Items, &name, |value| {
        let value: ItemValue<'_> = decode(Table::Items, &name, value)?;
        value.model(of.clone())
    })?;
    let missing = || bad_row(Table::Members, key.as_str().as_bytes(), "a member whose item is not held");
    let item = item.ok_or_else(missing)?;
    Ok(ExportedMember { asked: member.asked.into(), state: member.state.into(), item })
}

/// Takes entries of another store in. Answers how many it took.
pub(crate) fn import(tx: &Tx<'_>, entries: &[Exported], now: Time) -> Result<u64, Fault> {
    let mut taken = 0;
    for exported in entries {
        taken += u64::from(import_one(tx, exported, now)?);
    }
    Ok(taken)
}

/// Whether it was taken.
fn import_one(tx: &Tx<'_>, exported: &Exported, now: Time) -> Result<bool, Fault> {
    let key = &exported.entry.key;
    let mut row = match entries::find(tx, key)? {
        Some(held) if held.entry.fetched_at >= exported.entry.fetched_at => return Ok(false),
        Some(held) => held,
        None => entries::find_or_empty(tx, key, now)?,
    };
    // A version names one thing: the exported one, unless this store has used that up.
    let step = u64::from(exported.entry.has_data());
    let version = exported.entry.version.max(row.entry.version + step);
    let mut known = HashSet::with_capacity(exported.members.len());
    let mut changed = Vec::new();
    for member in &exported.members {
        if put_item(tx, member)? {
            changed.push(&member.item.of);
        }
        known.insert(&member.item.of);
    }
    items::replace_members(tx, &mut row, &member_writes(&exported.members), &known)?;
    write_tags(tx, &mut row, &exported.tags)?;
    write_row(tx, &mut row, exported, version, now)?;
    entries::save(tx, &row)?;
    feed::announce(tx, Subject::Entry(key.clone()), "imported", version, now)?;
    announce_elsewhere(tx, key, &changed, now)?;
    Ok(true)
}

fn member_writes(members: &[ExportedMember]) -> Vec<MemberWrite> {
    let write = |member: &ExportedMember| MemberWrite {
        asked: member.asked.clone(),
        state: member.state,
        item: member.item.of.clone(),
    };
    members.iter().map(write).collect()
}

/// Whether an item that was held looks different now. Unlike what a fetch brings, it was asked for
/// long ago: the later answer stands, however much later it is.
fn put_item(tx: &Tx<'_>, member: &ExportedMember) -> Result<bool, Fault> {
    let item = &member.item;
    let (name, scope) = (item_key(&item.of), item.scope.to_string());
    let new = ItemValue {
        fetched_at: item.fetched_at.ms(),
        began: 0,
        scope: &scope,
        doc: item.doc.as_str(),
        derived: item.derived.as_ref().map(Json::as_str),
    };
    let over = tx.get(Table::Items, &name, |value| {
        let held: ItemValue<'_> = decode(Table::Items, &name, value)?;
        if held.fetched_at >= new.fetched_at {
            // What was added to it here stays, and where nothing was, what was added there comes.
            return Ok((false, encode(&ItemValue { derived: held.derived.or(new.derived), ..held })?));
        }
        let differs = (held.scope, held.doc) != (new.scope, new.doc);
        Ok((differs, encode(&ItemValue { derived: new.derived.or(held.derived), ..new })?))
    })?;
    let (differs, value) = match over {
        Some(over) => over,
        None => (false, encode(&new)?),
    };
    tx.put(Table::Items, &name, &value)?;
    Ok(differs)
}

/// The exported row with this store's numbers. The markers of this store came before it.
fn write_row(
    tx: &Tx<'_>,
    row: &mut EntryRow,
    exported: &Exported,
    version: u64,
    now: Time,
) -> Result<(), Fault> {
    let next = || tx.change_meta(|meta| meta.next().seq);
    let entry = &exported.entry;
    let marker = markers::newest(tx, entry.key.source(), &row.tags)?.map_or(0, |marker| marker.seq);
    let began = if entry.began > 0 { next() } else { 0 };
    let invalidated = if entry.is_invalidated() { next() } else { marker };
    row.marked = if entry.marked { next() } else { 0 };
    row.touched_at = now;
    row.unconfigured_since = exported.unconfigured_since;
    row.entry = larder_core::Entry { version, began, invalidated, lease: None, ..entry.clone() };
    Ok(())
}
