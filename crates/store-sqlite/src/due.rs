//! What is due: entries that want a refresh now without a reader.

use larder_core::{CLOCK_SLACK, Entry, Key, StoreError, Time};
use rusqlite::{Connection, params};

use crate::errors::Fault;
use crate::leases::LIVE;
use crate::markers::ANY;
use crate::rows::{limit, parse};

/// What may be due, with `?1` = now. The first term is that of the index.
fn wanted() -> String {
    format!("(marked > 0 OR attempts > 0 OR pending <> '[]') AND NOT {LIVE}")
}

/// [`Entry::is_wait_over`] of a row whose time is `due`, with `?1` = now, `?3` = now and the longest wait,
/// `?4` = the furthest that a right clock may be ahead.
fn is_over(due: &str) -> String {
    format!("(marked > 0 OR {due} <= ?1 OR ({due} > ?3 AND json_extract(last_error, '$.at') > ?4))")
}

/// Entries that want a refresh now without a reader, earliest first.
pub(crate) fn due(conn: &Connection, now: Time, most: usize) -> Result<Vec<Key>, Fault> {
    let has_markers: bool = conn.prepare_cached(&format!("SELECT {ANY}"))?.query_row([], |row| row.get(0))?;
    let sql = if has_markers { among_markers() } else { alone() };
    let mut statement = conn.prepare_cached(&sql)?;
    let far = now.plus(Entry::WAIT_MAX).ms();
    let ahead = now.plus(CLOCK_SLACK).to_string();
    let keys: Vec<String> = statement
        .query_map(params![now.ms(), limit(most), far, ahead], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(keys.iter().map(|key| parse("entries", key, "key", key)).collect::<Result<_, StoreError>>()?)
}

fn alone() -> String {
    format!(
        "SELECT key FROM entries WHERE {} AND {} ORDER BY due_at, key LIMIT ?2",
        wanted(),
        is_over("due_at")
    )
}

/// Where something was invalidated as a whole, a marker may end a row's wait. Those that no marker means are
/// not compared with one: a hundred thousand may be waiting, and this is asked every second.
fn among_markers() -> String {
    let newest = |column: &str| {
        format!(
            "(SELECT {column} FROM markers WHERE name IN ('all', 'source:' || entries.source) \
             OR name IN (SELECT 'tag:' || tag FROM tags WHERE entry = entries.nr) \
             ORDER BY seq DESC LIMIT 1)"
        )
    };
    let (wanted, own, seen) = (wanted(), is_over("due_at"), is_over("due"));
    let (seq, at) = (newest("seq"), newest("at"));
    format!(
        "WITH candidates (nr) AS ( \
           SELECT nr FROM entries WHERE {wanted} AND ({own} OR EXISTS (SELECT 1 FROM markers m \
             WHERE m.name IN ('all', 'source:' || entries.source) AND m.seq > entries.invalidated)) \
           UNION \
           SELECT entries.nr FROM markers m CROSS JOIN tags t ON t.tag = substr(m.name, 5) \
             CROSS JOIN entries ON entries.nr = t.entry \
             WHERE m.name > 'tag:' AND m.name < 'tag;' AND m.seq > entries.invalidated AND {wanted} \
         ) SELECT key FROM ( \
           SELECT key, marked, last_error, \
             CASE WHEN seq > invalidated THEN min(due_at, at) ELSE due_at END AS due FROM ( \
               SELECT key, marked, last_error, due_at, invalidated, {seq} AS seq, {at} AS at \
               FROM candidates CROSS JOIN entries ON entries.nr = candidates.nr)) \
         WHERE {seen} ORDER BY due, key LIMIT ?2"
    )
}
