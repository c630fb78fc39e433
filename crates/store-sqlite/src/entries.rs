//! Entries: looking them up, creating their rows, listing their heads, removing them.

use std::collections::HashSet;

use larder_core::{
    Configured, Entry, Key, Member, Reconciled, StoreError, Stored, Target, Time, Trigger, Warning,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::errors::Fault;
use crate::feed;
use crate::leases::{self, LIVE};
use crate::rows::{
    BEHIND_ENTRY, ENTRY_COLUMNS, ENTRY_ROWS, EntryRow, ITEM_COLUMNS, ItemRow, int, limit, state,
};
use crate::sequence;

/// Looks entries up with their members, in the order asked.
pub(crate) fn lookup(conn: &Connection, keys: &[Key]) -> Result<Vec<Option<Stored>>, Fault> {
    keys.iter()
        .map(|key| match find(conn, key)? {
            None => Ok(None),
            Some((nr, entry)) => Ok(Some(Stored { members: members(conn, nr)?, entry })),
        })
        .collect()
}

/// One row and its number.
pub(crate) fn find(conn: &Connection, key: &Key) -> Result<Option<(i64, Entry)>, Fault> {
    let sql = const_format_entry();
    let row = conn.prepare_cached(sql)?.query_row([key.as_str()], EntryRow::read).optional()?;
    row.map(|row| row.model(conn)).transpose()
}

fn const_format_entry() -> &'static str {
    static SQL: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("SELECT {ENTRY_COLUMNS} FROM {ENTRY_ROWS} WHERE key = ?1"));
    &SQL
}

/// The members of an entry, in order.
pub(crate) fn members(conn: &Connection, nr: i64) -> Result<Vec<Member>, Fault> {
    static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!(
            "SELECT m.asked, m.state, {ITEM_COLUMNS} FROM members m JOIN items i ON i.nr = m.item \
             WHERE m.entry = ?1 ORDER BY m.position"
        )
    });
    let mut statement = conn.prepare_cached(&SQL)?;
    let mut rows = statement.query([nr])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push(member(row, nr)?);
    }
    Ok(members)
}

fn member(row: &Row<'_>, nr: i64) -> Result<Member, Fault> {
    let item = ItemRow::read(row, 2)?.model()?;
    let asked: Option<String> = row.get(0)?;
    let asked = asked.map_or_else(|| item.of.id.clone(), Into::into);
    let word = row.get_ref(1)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    let state = state(word, &format_args!("entry {nr}, `{asked}`"))?;
    Ok(Member { asked, state, item })
}

/// Makes the row of an entry that has no data yet; no marker from before it was made means it.
pub(crate) fn create(conn: &Connection, key: &Key, now: Time) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO entries (key, source, definition, tried, validators, complete, pending, warnings, \
         version, began, invalidated, due_at, marked, attempts, faults, touched_at) \
         VALUES (?1, ?2, '', '', '{}', 0, '[]', '[]', (SELECT version_floor FROM meta), 0, \
         max(coalesce((SELECT seq FROM markers WHERE name = 'all'), 0), \
         coalesce((SELECT seq FROM markers WHERE name = 'source:' || ?2), 0)), ?3, 0, 0, 0, ?3)",
    )?
    .execute(params![key.as_str(), key.source(), now.ms()])
    .map(drop)
}

/// Makes it, and answers it as the store has it.
pub(crate) fn create_and_find(conn: &Connection, key: &Key, now: Time) -> Result<(i64, Entry), Fault> {
    create(conn, key, now)?;
    find(conn, key)?.ok_or_else(|| Fault::Wrong(format!("the row of `{key}` was not made")))
}

/// A row as the calls that go over many need it.
pub(crate) struct Met {
    pub(crate) nr: i64,
    pub(crate) key: String,
    pub(crate) version: i64,
}

/// The rows that a target means.
pub(crate) fn met(conn: &Connection, target: &Target) -> Result<Vec<Met>, Fault> {
    const SELECT: &str = "SELECT nr, key, version FROM entries";
    let read = |row: &Row<'_>| Ok(Met { nr: row.get(0)?, key: row.get(1)?, version: row.get(2)? });
    let many = |clause: &str, name: &str| -> Result<Vec<Met>, Fault> {
        let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE {clause} ORDER BY key"))?;
        Ok(statement.query_map([name], read)?.collect::<rusqlite::Result<_>>()?)
    };
    match target {
        Target::Keys(keys) => {
            let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE key = ?1"))?;
            let mut seen = HashSet::new();
            let mut found = Vec::new();
            for key in keys.iter().filter(|key| seen.insert(*key)) {
                found.extend(statement.query_row([key.as_str()], read).optional()?);
            }
            Ok(found)
        }
        Target::Source(source) => many("source = ?1", source),
        Target::Tag(tag) => many("nr IN (SELECT entry FROM tags WHERE tag = ?1)", tag),
        Target::All => many("?1 = ''", ""),
    }
}

/// At most `most` of the rows that a source, a tag, or everything means, behind the key `after`.
pub(crate) fn met_behind(
    conn: &Connection,
    target: &Target,
    after: &str,
    most: usize,
) -> Result<Vec<Met>, Fault> {
    let (clause, name) = match target {
        Target::Keys(_) => return met(conn, target),
        Target::Source(source) => ("source = ?1", source.as_str()),
        Target::Tag(tag) => ("nr IN (SELECT entry FROM tags WHERE tag = ?1)", tag.as_str()),
        Target::All => ("?1 = ''", ""),
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT nr, key, version FROM entries WHERE {clause} AND key > ?2 ORDER BY key LIMIT ?3"
    ))?;
    let read = |row: &Row<'_>| Ok(Met { nr: row.get(0)?, key: row.get(1)?, version: row.get(2)? });
    Ok(statement.query_map(params![name, after, limit(most)], read)?.collect::<rusqlite::Result<_>>()?)
}

/// How many rows a target means that is not named key by key, looking at no more than `most`.
pub(crate) fn count(conn: &Connection, target: &Target, most: u64) -> Result<u64, Fault> {
    let (rows, name) = match target {
        Target::Keys(_) => return Ok(met(conn, target)?.len() as u64),
        Target::Source(source) => ("entries WHERE source = ?1", source.as_str()),
        Target::Tag(tag) => ("tags WHERE tag = ?1", tag.as_str()),
        Target::All => ("entries WHERE ?1 = ''", ""),
    };
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT ?2)");
    let count: i64 = conn.prepare_cached(&sql)?.query_row(params![name, int(most)], |row| row.get(0))?;
    Ok(count as u64)
}

/// Removes entries with all that is theirs, and the items that no entry holds any more.
pub(crate) fn remove(conn: &Connection, entries: &[Met], now: Time) -> Result<u64, Fault> {
    let mut orphans = HashSet::new();
    let mut floor = 0;
    for entry in entries {
        let mut held = conn.prepare_cached("SELECT item FROM members WHERE entry = ?1")?;
        for item in held.query_map([entry.nr], |row| row.get::<_, i64>(0))? {
            orphans.insert(item?);
        }
        conn.prepare_cached("DELETE FROM members WHERE entry = ?1")?.execute([entry.nr])?;
        conn.prepare_cached("DELETE FROM tags WHERE entry = ?1")?.execute([entry.nr])?;
        conn.prepare_cached("DELETE FROM sheets WHERE entry = ?1")?.execute([entry.nr])?;
        leases::end(conn, entry.nr)?;
        conn.prepare_cached("DELETE FROM entries WHERE nr = ?1")?.execute([entry.nr])?;
        feed::announce(conn, &entry.key, "evicted", entry.version, now)?;
        floor = floor.max(entry.version);
    }
    conn.prepare_cached("UPDATE meta SET version_floor = max(version_floor, ?1)")?.execute([floor])?;
    remove_orphans(conn, &orphans.into_iter().collect::<Vec<_>>())
}

/// Removes those of the items that nothing holds. By one statement: before each that a trigger follows, FTS5
/// writes down what it gathered.
pub(crate) fn remove_orphans(conn: &Connection, items: &[i64]) -> Result<u64, Fault> {
    let removed = conn
        .prepare_cached(
            "DELETE FROM items WHERE nr IN (SELECT value FROM json_each(?1)) \
             AND NOT EXISTS (SELECT 1 FROM members WHERE members.item = items.nr)",
        )?
        .execute([json(items)?])?;
    Ok(removed as u64)
}

/// The rows of entries (of one source) behind `after`, by key.
pub(crate) fn rows(
    conn: &Connection,
    source: Option<&str>,
    after: Option<&Key>,
    most: usize,
) -> Result<Vec<larder_core::Row>, Fault> {
    // A source's keys stand together: they all begin with its name and a slash, which `0` follows.
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {ENTRY_COLUMNS}, unconfigured_since, touched_at FROM {ENTRY_ROWS} WHERE key > ?1 AND key < ?2 \
         ORDER BY key LIMIT ?3"
    ))?;
    let (first, end) = match source {
        Some(source) => (format!("{source}/"), format!("{source}0")),
        None => (String::new(), "\u{7f}".to_owned()),
    };
    let first = after.map_or(first.as_str(), |after| after.as_str().max(&first));
    let mut found = statement.query(params![first, end, limit(most)])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let (_, entry) = EntryRow::read(row)?.model(conn)?;
        let unconfigured_since = row.get::<_, Option<i64>>(BEHIND_ENTRY)?.map(Time::from_ms);
        let touched_at = Time::from_ms(row.get(BEHIND_ENTRY + 1)?);
        rows.push(larder_core::Row { entry, unconfigured_since, touched_at });
    }
    Ok(rows)
}

/// How many members each entry shows.
pub(crate) fn shown(conn: &Connection, keys: &[Key]) -> Result<Vec<u64>, Fault> {
    let mut count = conn.prepare_cached(
        "SELECT count(*) FROM members WHERE entry = (SELECT nr FROM entries WHERE key = ?1) \
         AND state IS NOT 'hidden'",
    )?;
    let mut shown = Vec::with_capacity(keys.len());
    for key in keys {
        shown.push(count.query_row([key.as_str()], |row| row.get::<_, i64>(0))? as u64);
    }
    Ok(shown)
}

/// Notes that a refresh is wanted.
pub(crate) fn mark_due(conn: &Connection, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, Fault> {
    let mut seen = HashSet::new();
    for key in keys.iter().filter(|key| seen.insert(*key)) {
        if find(conn, key)?.is_none() {
            create(conn, key, now)?;
        }
        // What a reader wants, a fetch under way brings, and what is retried is due without a mark;
        // what an event wants, only a later fetch of the whole brings. A wait that began a moment before
        // is no reader's to end.
        let satisfied_by_flight = trigger == Trigger::Read;
        let seq = int(sequence::next(conn)?.seq);
        conn.prepare_cached(&format!(
            "UPDATE entries SET \
             marked = CASE WHEN ?3 AND (attempts > 0 OR pending <> '[]') THEN marked \
             WHEN ?3 AND {LIVE} THEN max(marked, 1) ELSE ?4 END, \
             marked_by = CASE WHEN ?3 AND marked > 0 THEN marked_by ELSE ?5 END, \
             due_at = CASE WHEN ?3 AND attempts > 0 THEN due_at ELSE min(due_at, ?1) END, \
             touched_at = ?1, unconfigured_since = NULL WHERE key = ?2"
        ))?
        .execute(params![now.ms(), key.as_str(), satisfied_by_flight, seq, trigger.to_string()])?;
    }
    Ok(seen.len() as u64)
}

/// Gives entries that failed a new start.
pub(crate) fn replay(conn: &Connection, target: &Target, now: Time) -> Result<u64, Fault> {
    let mut replayed = 0;
    for entry in met(conn, target)? {
        let seq = int(sequence::next(conn)?.seq);
        replayed += conn
            .prepare_cached(
                "UPDATE entries SET attempts = 0, faults = 0, due_at = min(due_at, ?2), marked = ?3, \
                 marked_by = 'manual', touched_at = ?2, unconfigured_since = NULL \
                 WHERE nr = ?1 AND (attempts > 0 OR pending <> '[]')",
            )?
            .execute(params![entry.nr, now.ms(), seq])? as u64;
    }
    Ok(replayed)
}

/// Compares a source's configured entries with the rows.
pub(crate) fn reconcile(
    conn: &Connection,
    source: &str,
    configured: &[Configured],
    now: Time,
) -> Result<Reconciled, Fault> {
    let mut reconciled = Reconciled::default();
    let known: HashSet<&str> = configured.iter().map(|wanted| wanted.key.as_str()).collect();
    let mut statement =
        conn.prepare_cached("SELECT key FROM entries WHERE source = ?1 AND unconfigured_since IS NULL")?;
    let held: Vec<String> =
        statement.query_map([source], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for key in held.iter().filter(|key| !known.contains(key.as_str())) {
        conn.prepare_cached("UPDATE entries SET unconfigured_since = ?2 WHERE key = ?1")?
            .execute(params![key, now.ms()])?;
        reconciled.unconfigured += 1;
    }
    for wanted in configured {
        reconciled.returned += conn
            .prepare_cached(
                "UPDATE entries SET unconfigured_since = NULL WHERE key = ?1 AND unconfigured_since NOT NULL",
            )?
            .execute([wanted.key.as_str()])? as u64;
        let (nr, entry) = match find(conn, &wanted.key) {
            Ok(Some(found)) => found,
            // One that cannot be understood keeps no other from it.
            Ok(None) | Err(Fault::Store(StoreError::BadRow { .. })) => continue,
            Err(fault) => return Err(fault),
        };
        // A row that nothing was tried for yet has no definition to be edited.
        let never_tried = entry.tried.as_str().is_empty();
        if !never_tried && !wanted.definition.answers_to(&entry.tried) {
            reconciled.edited += 1;
            edit(conn, nr, &entry, wanted, now)?;
        }
    }
    Ok(reconciled)
}

/// Makes an edited entry due, and takes from it what is asked for no longer.
fn edit(conn: &Connection, nr: i64, entry: &Entry, wanted: &Configured, now: Time) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE entries SET due_at = min(due_at, ?2) WHERE nr = ?1")?
        .execute(params![nr, now.ms()])?;
    let names = wanted.definition.names.as_ref();
    let names: Option<HashSet<&str>> = names.map(|names| names.iter().map(|name| &**name).collect());
    let except = &wanted.definition.except;
    let is_named =
        |name: &str| names.as_ref().is_none_or(|names| names.contains(name)) && !except.contains(name);
    let mut statement = conn.prepare_cached(
        "SELECT m.position, coalesce(m.asked, i.id) FROM members m JOIN items i ON i.nr = m.item \
         WHERE m.entry = ?1",
    )?;
    let held: Vec<(i64, String)> =
        statement.query_map([nr], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut gone: HashSet<&str> = HashSet::new();
    for (position, asked) in held.iter().filter(|(_, asked)| !is_named(asked)) {
        conn.prepare_cached("DELETE FROM members WHERE entry = ?1 AND position = ?2")?
            .execute([nr, *position])?;
        gone.insert(asked);
    }
    gone.extend(entry.pending.iter().map(|name| &**name).filter(|name| !is_named(name)));
    if gone.is_empty() {
        return Ok(());
    }
    let pending: Vec<&str> =
        entry.pending.iter().map(|name| &**name).filter(|name| !gone.contains(name)).collect();
    let warnings: Vec<&Warning> =
        entry.warnings.iter().filter(|warning| !gone.contains(warning.about.as_str())).collect();
    let version = int(entry.version + 1);
    // What is left is not all of the old definition's, nor of any other: it is fetched anew, as a whole,
    // also for a process that still has the old configuration.
    conn.prepare_cached(
        "UPDATE entries SET definition = '', pending = ?2, warnings = ?3, version = ?4 WHERE nr = ?1",
    )?
    .execute(params![nr, json(&pending)?, json(&warnings)?, version])?;
    feed::announce(conn, entry.key.as_str(), "updated", version, now)?;
    Ok(())
}

/// A value as a JSON column holds it.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::Wrong(error.to_string()))
}
