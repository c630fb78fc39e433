//! Entries on their way out to another store, and in from one.

use std::collections::HashMap;

use larder_core::{Exported, ExportedMember, ItemRef, Json, Key, MemberWrite, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::commit::{announce_others, write_tags};
use crate::entries::{self, json};
use crate::errors::Fault;
use crate::feed;
use crate::items;
use crate::leases;
use crate::markers;
use crate::rows::{
    BEHIND_ENTRY, ENTRY_COLUMNS, ENTRY_ROWS, EntryRow, ITEM_COLUMNS, ItemRow, int, limit, state,
};
use crate::sequence;
use crate::words::Finders;

/// Entries by key behind `after`, with everything worth moving.
pub(crate) fn export(conn: &Connection, after: Option<&Key>, most: usize) -> Result<Vec<Exported>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {ENTRY_COLUMNS}, unconfigured_since FROM {ENTRY_ROWS} WHERE key > ?1 ORDER BY key LIMIT ?2"
    ))?;
    let mut rows = statement.query(params![after.map_or("", Key::as_str), limit(most)])?;
    let mut exported = Vec::new();
    while let Some(row) = rows.next()? {
        let unconfigured_since = row.get::<_, Option<i64>>(BEHIND_ENTRY)?.map(Time::from_ms);
        let (nr, mut entry) = EntryRow::read(row)?.model(conn)?;
        entry.lease = None;
        exported.push(Exported {
            entry,
            tags: tags(conn, nr)?,
            unconfigured_since,
            members: members(conn, nr)?,
        });
    }
    Ok(exported)
}

fn tags(conn: &Connection, nr: i64) -> rusqlite::Result<Vec<String>> {
    conn.prepare_cached("SELECT tag FROM tags WHERE entry = ?1 ORDER BY tag")?
        .query_map([nr], |row| row.get(0))?
        .collect()
}

fn members(conn: &Connection, nr: i64) -> Result<Vec<ExportedMember>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT coalesce(m.asked, i.id), m.state, {ITEM_COLUMNS} FROM members m \
         JOIN items i ON i.nr = m.item WHERE m.entry = ?1 ORDER BY m.position"
    ))?;
    let mut rows = statement.query([nr])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push(member(row, nr)?);
    }
    Ok(members)
}

fn member(row: &Row<'_>, nr: i64) -> Result<ExportedMember, Fault> {
    let asked: String = row.get(0)?;
    let word: Option<String> = row.get(1)?;
    Ok(ExportedMember {
        state: state(word.as_deref(), &format_args!("entry {nr}, `{asked}`"))?,
        asked: asked.into(),
        item: ItemRow::read(row, 2)?.model()?,
    })
}

/// Takes entries of another store in. Answers how many it took.
pub(crate) fn import(conn: &Connection, entries: &[Exported], now: Time) -> Result<u64, Fault> {
    let finders = Finders::read(conn)?;
    let mut taken = 0;
    for exported in entries {
        taken += u64::from(import_one(conn, exported, &finders, now)?);
    }
    Ok(taken)
}

/// Whether it was taken.
fn import_one(conn: &Connection, exported: &Exported, finders: &Finders, now: Time) -> Result<bool, Fault> {
    let key = &exported.entry.key;
    let (nr, used) = match entries::find(conn, key)? {
        Some((_, held)) if held.fetched_at >= exported.entry.fetched_at => return Ok(false),
        Some((nr, held)) => (nr, held.version),
        None => {
            let (nr, made) = entries::create_and_find(conn, key, now)?;
            (nr, made.version)
        }
    };
    // A version names one thing: the exported one, unless this store has used that up.
    let step = u64::from(exported.entry.has_data());
    let version = exported.entry.version.max(used + step);
    let (known, changed) = put_items(conn, &exported.members, finders)?;
    items::replace_members(conn, nr, &member_writes(&exported.members), &known)?;
    write_tags(conn, nr, &exported.tags)?;
    write_row(conn, nr, exported, version, now)?;
    feed::announce(conn, key.as_str(), "imported", int(version), now)?;
    announce_others(conn, nr, &changed, now)?;
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

/// The numbers of all members' items, and of those that look different now.
type PutItems<'a> = (HashMap<&'a ItemRef, i64>, Vec<i64>);

fn put_items<'a>(
    conn: &Connection,
    members: &'a [ExportedMember],
    finders: &Finders,
) -> Result<PutItems<'a>, Fault> {
    let mut known = HashMap::with_capacity(members.len());
    let mut changed = Vec::new();
    for member in members {
        let (nr, differs) = put_item(conn, member, finders)?;
        known.insert(&member.item.of, nr);
        if differs {
            changed.push(nr);
        }
    }
    Ok((known, changed))
}

/// The item's number, and whether one that was held looks different now. Unlike what a fetch brings,
/// it was asked for long ago: the later answer stands, however much later it is.
fn put_item(conn: &Connection, member: &ExportedMember, finders: &Finders) -> Result<(i64, bool), Fault> {
    let item = &member.item;
    let scope = item.scope.to_string();
    let held: Option<(i64, i64, bool, String)> = conn
        .prepare_cached("SELECT nr, fetched_at, scope <> ?3, doc FROM items WHERE kind = ?1 AND id = ?2")?
        .query_row(params![&*item.of.kind, &*item.of.id, scope], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let derived = item.derived.as_ref().map(Json::as_str);
    let Some((nr, fetched_at, is_elsewhere, doc)) = held else {
        let nr = conn
            .prepare_cached(
                "INSERT INTO items (kind, id, scope, doc, derived, fetched_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .insert(params![
                &*item.of.kind,
                &*item.of.id,
                scope,
                item.doc.as_str(),
                derived,
                item.fetched_at.ms()
            ])?;
        finders.look(&item.of.kind, item.doc.as_str()).enter(conn, nr)?;
        return Ok((nr, false));
    };
    if fetched_at >= item.fetched_at.ms() {
        // What was added to it here stays, and where nothing was, what was added there comes.
        conn.prepare_cached("UPDATE items SET derived = ?2 WHERE nr = ?1 AND derived IS NULL")?
            .execute(params![nr, derived])?;
        return Ok((nr, false));
    }
    conn.prepare_cached(
        "UPDATE items SET scope = ?2, doc = ?3, derived = coalesce(?4, derived), fetched_at = ?5, began = 0 \
         WHERE nr = ?1",
    )?
    .execute(params![nr, scope, item.doc.as_str(), derived, item.fetched_at.ms()])?;
    let before = finders.look(&item.of.kind, &doc);
    finders.look(&item.of.kind, item.doc.as_str()).follow(conn, nr, &before)?;
    Ok((nr, is_elsewhere || doc != item.doc.as_str()))
}

fn write_row(conn: &Connection, nr: i64, exported: &Exported, version: u64, now: Time) -> Result<(), Fault> {
    let entry = &exported.entry;
    let answered = markers::newest(conn, nr, entry.key.source())?.map_or(0, |marker| marker.seq);
    let began = if entry.began > 0 { sequence::next(conn)?.seq } else { 0 };
    let invalidated = if entry.is_invalidated() { sequence::next(conn)?.seq } else { answered };
    let marked = if entry.marked { sequence::next(conn)?.seq } else { 0 };
    conn.prepare_cached(
        "UPDATE entries SET definition = ?2, tried = ?3, body = ?4, validators = ?5, cursor = ?6, \
         complete = ?7, pending = ?8, warnings = ?9, version = ?10, began = ?11, invalidated = ?12, \
         fetched_at = ?13, absent_at = ?14, fresh_until = ?15, due_at = ?16, marked = ?17, marked_by = ?18, \
         attempts = ?19, faults = ?20, last_error = ?21, touched_at = ?22, unconfigured_since = ?23 WHERE nr = ?1",
    )?
    .execute(params![
        nr,
        entry.definition.as_str(),
        entry.tried.as_str(),
        entry.body.as_ref().map(Json::as_str),
        json(&entry.validators)?,
        entry.cursor,
        entry.complete,
        json(&entry.pending)?,
        json(&entry.warnings)?,
        int(version),
        int(began),
        int(invalidated),
        entry.fetched_at.map(Time::ms),
        entry.absent_at.map(Time::ms),
        entry.fresh_until.map(Time::ms),
        entry.due_at.ms(),
        int(marked),
        entry.marked_by.map(|trigger| trigger.to_string()),
        entry.attempts,
        entry.faults,
        entry.last_error.as_ref().map(json).transpose()?,
        now.ms(),
        exported.unconfigured_since.map(Time::ms),
    ])?;
    leases::end(conn, nr)?;
    Ok(())
}
