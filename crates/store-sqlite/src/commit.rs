//! The one door for what an attempt brought: fenced, and all of it or nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use larder_core::{Commit, Committed, Entry, Fingerprint, ItemCounts, ItemRef, Outcome, Time, Write};
use rusqlite::{Connection, params};

use crate::entries::{self, json};
use crate::errors::Fault;
use crate::feed;
use crate::items::{self, Asked, Effect};
use crate::leases::{self, LIVE, holds};
use crate::markers;
use crate::rows::int;
use crate::words::Finders;

/// Admits what came of an attempt, if its lease still holds.
pub(crate) fn commit(conn: &Connection, commit: &Commit) -> Result<Committed, Fault> {
    let found = entries::find(conn, &commit.lease.key)?;
    let ours = found.filter(|(_, entry)| {
        let token = entry.lease.as_ref().map(|lease| lease.token);
        token == Some(commit.lease.token)
    });
    match (ours, &commit.write) {
        (Some((nr, entry)), None) => release(conn, nr, &entry, commit),
        (Some((nr, entry)), Some(write)) if is_live(&entry, commit.now) => {
            admit(conn, nr, &entry, write, commit)
        }
        _ => {
            feed::log(conn, &commit.log, "superseded", ItemCounts::default())?;
            Ok(Committed::Superseded)
        }
    }
}

/// By the row's own end, which renewals moved on.
fn is_live(entry: &Entry, now: Time) -> bool {
    entry.lease.as_ref().is_some_and(|lease| holds(lease, now))
}

fn release(conn: &Connection, nr: i64, entry: &Entry, commit: &Commit) -> Result<Committed, Fault> {
    leases::end(conn, nr)?;
    feed::log(conn, &commit.log, &commit.log.outcome, ItemCounts::default())?;
    Ok(Committed::Done {
        version: entry.version,
        items: ItemCounts::default(),
        invalidated: entry.is_invalidated(),
    })
}

/// What an attempt's items did.
struct Landed {
    counts: ItemCounts,
    /// Items that look different now, whoever holds them.
    changed: Vec<i64>,
    /// Whether all that this answer said is what is held now.
    stands: bool,
    visible: bool,
}

fn admit(
    conn: &Connection,
    nr: i64,
    before: &Entry,
    write: &Write,
    commit: &Commit,
) -> Result<Committed, Fault> {
    let (now, token) = (commit.now, commit.lease.token);
    // An item is as old as the asking.
    let asked = Asked { at: commit.log.started_at.min(now), began: token.seq };
    let landed = land(conn, nr, write, asked)?;
    if let Some(tags) = &write.tags {
        write_tags(conn, nr, tags)?;
    }
    let visible = landed.visible || looks_different(before, write);
    let version = if visible { before.version + 1 } else { before.version };
    let began = if write.answers_invalidation { token.seq } else { before.began };
    // By the tags that it had, which the row as it was found knows of, and by those that it has now.
    let marker = markers::newest(conn, nr, before.key.source())?.map_or(0, |marker| marker.seq);
    let invalidated = before.invalidated.max(marker);
    let met_by_invalidation = invalidated > token.seq;
    // What goes on from what was held does not answer for what became of that meanwhile.
    let lost_ground = before.is_touched() && (write.members.is_none() || write.cursor.is_some());
    let after = After {
        version,
        began,
        invalidated,
        still_stale: invalidated > began,
        definition: if lost_ground { &before.definition } else { &write.definition },
        comparable: landed.stands && !lost_ground,
    };
    write_row(conn, nr, write, &after, commit)?;
    announce(conn, nr, before, write, &landed.changed, &after, visible, now)?;
    feed::log(conn, &commit.log, write.outcome.word(), landed.counts)?;
    Ok(Committed::Done { version, items: landed.counts, invalidated: met_by_invalidation })
}

/// Puts items and members.
fn land(conn: &Connection, nr: i64, write: &Write, asked: Asked) -> Result<Landed, Fault> {
    let mut known: HashMap<&ItemRef, i64> = HashMap::with_capacity(write.items.len());
    let mut changed = Vec::new();
    let mut stands = true;
    let finders = if write.items.is_empty() { Finders::default() } else { Finders::read(conn)? };
    for item in &write.items {
        let put = items::put(conn, item, asked, &finders)?;
        known.insert(&item.of, put.nr);
        match put.effect {
            Effect::Changed => changed.push(put.nr),
            Effect::Kept => stands = false,
            Effect::New | Effect::Same => {}
        }
    }
    let moved = match &write.members {
        Some(members) => items::replace_members(conn, nr, members, &known)?,
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

struct After<'a> {
    version: u64,
    began: u64,
    invalidated: u64,
    still_stale: bool,
    definition: &'a Fingerprint,
    /// Whether the validators and the cursor speak of what is held.
    comparable: bool,
}

fn write_row(
    conn: &Connection,
    nr: i64,
    write: &Write,
    after: &After<'_>,
    commit: &Commit,
) -> Result<(), Fault> {
    let now = commit.now;
    // What failed waits for its time all the same: nothing is sent inside a Retry-After.
    let at_once = after.still_stale && write.attempts == 0;
    let due_at = if at_once { write.due_at.min(now) } else { write.due_at };
    // A trigger that came after this fetch had begun still wants a later one.
    conn.prepare_cached(
        "UPDATE entries SET definition = ?2, tried = ?3, body = ?4, validators = ?5, cursor = ?6, \
         complete = ?7, pending = ?8, warnings = ?9, version = ?10, began = ?11, invalidated = ?12, \
         fetched_at = ?13, absent_at = ?14, fresh_until = ?15, due_at = ?16, \
         marked = CASE WHEN marked > ?17 THEN marked ELSE 0 END, \
         attempts = ?18, faults = ?19, last_error = ?20, touched_at = coalesce(?21, touched_at) WHERE nr = ?1",
    )?
    .execute(params![
        nr,
        after.definition.as_str(),
        write.tried.as_str(),
        write.body.as_ref().map(larder_core::Json::as_str),
        if after.comparable { json(&write.validators)? } else { "{}".to_owned() },
        write.cursor.as_ref().filter(|_| after.comparable),
        write.complete,
        json(&write.pending)?,
        json(&write.warnings)?,
        int(after.version),
        int(after.began),
        int(after.invalidated),
        write.fetched_at.map(Time::ms),
        write.absent_at.map(Time::ms),
        write.fresh_until.map(Time::ms),
        due_at.ms(),
        int(commit.lease.token.seq),
        write.attempts,
        write.faults,
        write.last_error.as_ref().map(json).transpose()?,
        commit.is_of_use().then_some(now.ms()),
    ])?;
    leases::end(conn, nr)?;
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the last step sees what all others found out")]
fn announce(
    conn: &Connection,
    nr: i64,
    before: &Entry,
    write: &Write,
    changed: &[i64],
    after: &After<'_>,
    visible: bool,
    now: Time,
) -> Result<(), Fault> {
    if let Some(what) = what_happened(before, write, visible) {
        feed::announce(conn, before.key.as_str(), what, int(after.version), now)?;
    }
    announce_others(conn, nr, changed, now)
}

/// Tells of the entries besides `nr` that show one of the changed items. The validators and the cursor
/// of all that hold one speak of what they held before, and so does a fetch that is under way.
pub(crate) fn announce_others(conn: &Connection, nr: i64, changed: &[i64], now: Time) -> Result<(), Fault> {
    for (other, is_shown) in other_holders(conn, nr, changed)? {
        conn.prepare_cached(&format!(
            "UPDATE entries SET version = version + ?3, validators = '{{}}', cursor = NULL, \
             definition = CASE WHEN {LIVE} THEN '' ELSE definition END WHERE nr = ?2"
        ))?
        .execute(params![now.ms(), other, is_shown])?;
        if is_shown {
            let (key, version): (String, i64) = conn
                .prepare_cached("SELECT key, version FROM entries WHERE nr = ?1")?
                .query_row([other], |row| Ok((row.get(0)?, row.get(1)?)))?;
            feed::announce(conn, &key, "updated", version, now)?;
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

/// Other entries that hold one of the changed items, and whether they show one.
fn other_holders(conn: &Connection, nr: i64, changed: &[i64]) -> Result<BTreeMap<i64, bool>, Fault> {
    let mut holders = BTreeMap::new();
    let mut statement = conn.prepare_cached(
        "SELECT entry, max(state IS NOT 'hidden') FROM members WHERE item = ?1 AND entry <> ?2 GROUP BY entry",
    )?;
    for item in changed {
        let found =
            statement.query_map([*item, nr], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)))?;
        for holder in found {
            let (entry, is_shown) = holder?;
            *holders.entry(entry).or_insert(false) |= is_shown;
        }
    }
    Ok(holders)
}

/// Makes `tags` the entry's tags.
pub(crate) fn write_tags(conn: &Connection, nr: i64, tags: &[String]) -> Result<(), Fault> {
    let wanted: BTreeSet<&str> = tags.iter().map(String::as_str).collect();
    let held: Vec<String> = conn
        .prepare_cached("SELECT tag FROM tags WHERE entry = ?1 ORDER BY tag")?
        .query_map([nr], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if held.iter().map(String::as_str).eq(wanted.iter().copied()) {
        return Ok(());
    }
    conn.prepare_cached("DELETE FROM tags WHERE entry = ?1")?.execute([nr])?;
    let mut insert = conn.prepare_cached("INSERT INTO tags (entry, tag) VALUES (?1, ?2)")?;
    for tag in wanted {
        insert.execute(params![nr, tag])?;
    }
    Ok(())
}
