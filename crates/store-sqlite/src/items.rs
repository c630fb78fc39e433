//! Items, stored once, and the members by which entries hold them.

use std::collections::{HashMap, HashSet};

use larder_core::{Coverage, ItemRef, Json, MemberState, MemberWrite, NewItem, Time, merge_docs};
use rusqlite::{Connection, OptionalExtension, params};

use crate::errors::Fault;
use crate::rows::{int, limit, state_word};
use crate::words::Finders;

/// What putting an item did.
pub(crate) struct Put {
    pub(crate) nr: i64,
    pub(crate) effect: Effect,
}

/// Whether a reader sees a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// There was none.
    New,
    /// Its document or scope is another.
    Changed,
    /// It is as it was.
    Same,
    /// It is as it was, and this answer said otherwise: one that was asked for later stands.
    Kept,
}

/// When an item was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// By the clock.
    pub(crate) at: Time,
    /// The number at which the fetch began: what was asked for later knows better, whichever ends
    /// last, and whatever the clocks said.
    pub(crate) began: u64,
}

struct Held {
    nr: i64,
    scope: String,
    doc: String,
    began: u64,
}

/// Puts an item that a source answered for. `derived` is never touched.
pub(crate) fn put(conn: &Connection, item: &NewItem, asked: Asked, finders: &Finders) -> Result<Put, Fault> {
    let Some(held) = held(conn, &item.of)? else {
        return Ok(Put { nr: insert(conn, item, asked, finders)?, effect: Effect::New });
    };
    let scope = item.scope.to_string();
    if held.began > asked.began {
        let alike = item.doc.as_str() == held.doc && scope == held.scope;
        return Ok(Put { nr: held.nr, effect: if alike { Effect::Same } else { Effect::Kept } });
    }
    let doc = match item.coverage {
        Coverage::Whole => item.doc.clone(),
        Coverage::Partial => merge_docs(&Json::trusted(held.doc.as_str()), &item.doc),
    };
    if doc.as_str() == held.doc && scope == held.scope {
        conn.prepare_cached("UPDATE items SET fetched_at = ?2, began = ?3 WHERE nr = ?1")?
            .execute(params![held.nr, asked.at.ms(), int(asked.began)])?;
        return Ok(Put { nr: held.nr, effect: Effect::Same });
    }
    conn.prepare_cached("UPDATE items SET scope = ?2, doc = ?3, fetched_at = ?4, began = ?5 WHERE nr = ?1")?
        .execute(params![held.nr, scope, doc.as_str(), asked.at.ms(), int(asked.began)])?;
    let before = finders.look(&item.of.kind, &held.doc);
    finders.look(&item.of.kind, doc.as_str()).follow(conn, held.nr, &before)?;
    Ok(Put { nr: held.nr, effect: Effect::Changed })
}

fn held(conn: &Connection, of: &ItemRef) -> rusqlite::Result<Option<Held>> {
    conn.prepare_cached("SELECT nr, scope, doc, began FROM items WHERE kind = ?1 AND id = ?2")?
        .query_row([&*of.kind, &*of.id], |row| {
            Ok(Held {
                nr: row.get(0)?,
                scope: row.get(1)?,
                doc: row.get(2)?,
                began: row.get::<_, i64>(3)? as u64,
            })
        })
        .optional()
}

fn insert(conn: &Connection, item: &NewItem, asked: Asked, finders: &Finders) -> rusqlite::Result<i64> {
    let nr = conn
        .prepare_cached(
            "INSERT INTO items (kind, id, scope, doc, fetched_at, began) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .insert(params![
            &*item.of.kind,
            &*item.of.id,
            item.scope.to_string(),
            item.doc.as_str(),
            asked.at.ms(),
            int(asked.began)
        ])?;
    finders.look(&item.of.kind, item.doc.as_str()).enter(conn, nr)?;
    Ok(nr)
}

/// What replacing the members did.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) added: u32,
    pub(crate) removed: u32,
    /// Whether a reader sees a difference: also in order, names or states.
    pub(crate) visible: bool,
}

#[derive(PartialEq, Eq)]
struct MemberRow {
    position: i64,
    /// `None` = by its item's identity.
    asked: Option<String>,
    /// `None` = shown.
    state: Option<String>,
    item: i64,
}

/// Makes `members` the entry's members. `known` are items whose numbers are known already. Rows that
/// stay as they are are not written.
pub(crate) fn replace_members(
    conn: &Connection,
    entry: i64,
    members: &[MemberWrite],
    known: &HashMap<&ItemRef, i64>,
) -> Result<Moved, Fault> {
    let before = member_rows(conn, entry)?;
    let mut wanted = Vec::with_capacity(members.len());
    for (position, member) in members.iter().enumerate() {
        let item = match known.get(&member.item) {
            Some(nr) => *nr,
            None => number_of(conn, &member.item)?,
        };
        let asked = (member.asked != member.item.id).then(|| member.asked.to_string());
        let state = state_word(member.state).map(str::to_owned);
        wanted.push(MemberRow { position: limit(position), asked, state, item });
    }
    let (old, new) = (items_of(&before), items_of(&wanted));
    let moved = Moved {
        added: new.difference(&old).count() as u32,
        removed: old.difference(&new).count() as u32,
        visible: visible(&before).ne(visible(&wanted)),
    };
    write_members(conn, entry, &before, &wanted)?;
    Ok(moved)
}

fn write_members(
    conn: &Connection,
    entry: i64,
    before: &[MemberRow],
    wanted: &[MemberRow],
) -> rusqlite::Result<()> {
    let mut remove = conn.prepare_cached("DELETE FROM members WHERE entry = ?1 AND position = ?2")?;
    for row in before.iter().filter(|row| row.position >= limit(wanted.len())) {
        remove.execute([entry, row.position])?;
    }
    let held: HashMap<i64, &MemberRow> = before.iter().map(|row| (row.position, row)).collect();
    let mut write = conn.prepare_cached(
        "INSERT INTO members (entry, position, asked, state, item) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (entry, position) DO UPDATE SET asked = ?3, state = ?4, item = ?5",
    )?;
    for row in wanted.iter().filter(|row| held.get(&row.position) != Some(row)) {
        write.execute(params![entry, row.position, row.asked, row.state, row.item])?;
    }
    Ok(())
}

fn items_of(rows: &[MemberRow]) -> HashSet<i64> {
    rows.iter().map(|row| row.item).collect()
}

/// What a reader is shown of them, in order.
fn visible(rows: &[MemberRow]) -> impl Iterator<Item = (Option<&str>, Option<&str>, i64)> {
    let hidden = state_word(MemberState::Hidden);
    let shown = rows.iter().filter(move |row| row.state.as_deref() != hidden);
    shown.map(|row| (row.asked.as_deref(), row.state.as_deref(), row.item))
}

fn member_rows(conn: &Connection, entry: i64) -> rusqlite::Result<Vec<MemberRow>> {
    conn.prepare_cached(
        "SELECT position, asked, state, item FROM members WHERE entry = ?1 ORDER BY position",
    )?
    .query_map([entry], |row| {
        Ok(MemberRow { position: row.get(0)?, asked: row.get(1)?, state: row.get(2)?, item: row.get(3)? })
    })?
    .collect()
}

fn number_of(conn: &Connection, of: &ItemRef) -> Result<i64, Fault> {
    conn.prepare_cached("SELECT nr FROM items WHERE kind = ?1 AND id = ?2")?
        .query_row([&*of.kind, &*of.id], |row| row.get(0))
        .optional()?
        .ok_or_else(|| Fault::Wrong(format!("a member names {} `{}`, which is not held", of.kind, of.id)))
}
