//! The changes feed and the refresh log.

use larder_core::ItemCounts;
use larder_core::{Change, Changes, Key, LogFilter, LogLine, Spent, StoreError, Subject, Time};
use rusqlite::{Connection, Row, params};

use crate::errors::Fault;
use crate::rows::{bad_row, int, limit, parse};
use crate::sequence;

/// Writes a line that says what became of an entry.
pub(crate) fn announce(
    conn: &Connection,
    key: &str,
    what: &str,
    version: i64,
    at: Time,
) -> rusqlite::Result<()> {
    write(conn, ("entry", key), what, version, at)
}

/// Writes a line that may be about more than one entry.
pub(crate) fn announce_of(
    conn: &Connection,
    on: &Subject,
    what: &str,
    version: i64,
    at: Time,
) -> rusqlite::Result<()> {
    let on = match on {
        Subject::Entry(key) => ("entry", key.as_str()),
        Subject::Tag(tag) => ("tag", tag.as_str()),
        Subject::Source(source) => ("source", source.as_str()),
        Subject::All => ("all", ""),
    };
    write(conn, on, what, version, at)
}

fn write(conn: &Connection, on: (&str, &str), what: &str, version: i64, at: Time) -> rusqlite::Result<()> {
    let seq = int(sequence::next(conn)?.seq);
    conn.prepare_cached(
        "INSERT INTO changes (seq, about, name, what, version, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![seq, on.0, on.1, what, version, at.ms()])
    .map(drop)
}

/// The stretch of the feed behind `after`.
pub(crate) fn changes(conn: &Connection, after: u64, most: usize) -> Result<Changes, Fault> {
    let (seq, swept) = conn
        .prepare_cached("SELECT seq, feed_swept FROM meta")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))?;
    let mut statement = conn.prepare_cached(
        "SELECT seq, about, name, what, version, at FROM changes WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![int(after), limit(most)])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(change(row)?);
    }
    // A place further on than there is anything comes from an earlier life of the store.
    Ok(Changes { lines, reset: after < swept || after > seq, last: last(conn)? })
}

/// The place of the newest line there is, or was.
pub(crate) fn last(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT max(feed_swept, coalesce((SELECT max(seq) FROM changes), 0)) FROM meta")?
        .query_row([], |row| Ok(row.get::<_, i64>(0)? as u64))
}

/// A number that differs after every commit: leases, marks and invalidations take one of the
/// sequence, and attempts leave a line in the log.
pub(crate) fn pulse(conn: &Connection) -> Result<u64, Fault> {
    let pulse: i64 = conn
        .prepare_cached("SELECT seq + (SELECT coalesce(max(nr), 0) FROM refresh_log) FROM meta")?
        .query_row([], |row| row.get(0))?;
    Ok(pulse as u64)
}

fn change(row: &Row<'_>) -> Result<Change, Fault> {
    let seq: i64 = row.get(0)?;
    let (about, name): (String, String) = (row.get(1)?, row.get(2)?);
    let on = match about.as_str() {
        "entry" => Subject::Entry(parse("changes", &seq.to_string(), "name", &name)?),
        "tag" => Subject::Tag(name),
        "source" => Subject::Source(name),
        "all" => Subject::All,
        _ => return Err(bad_row("changes", seq, "about", about).into()),
    };
    Ok(Change {
        seq: seq as u64,
        on,
        what: row.get(3)?,
        version: row.get::<_, i64>(4)? as u64,
        at: Time::from_ms(row.get(5)?),
    })
}

/// Writes a line of the refresh log.
pub(crate) fn log(
    conn: &Connection,
    line: &LogLine,
    outcome: &str,
    items: ItemCounts,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO refresh_log (key, triggered_by, started_at, duration_ms, outcome, items_seen, \
         items_added, items_changed, items_removed, calls, cost, error) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        line.key.as_str(),
        line.trigger.to_string(),
        line.started_at.ms(),
        int(line.duration_ms),
        outcome,
        items.seen,
        items.added,
        items.changed,
        items.removed,
        line.spent.calls,
        line.spent.cost,
        line.error,
    ])?;
    if outcome == line.outcome && line.is_idle() {
        forget_idle(conn, &line.key)?;
    }
    Ok(())
}

/// Removes idle lines that others of their entry have followed.
fn forget_idle(conn: &Connection, key: &Key) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "DELETE FROM refresh_log WHERE nr IN \
         (SELECT nr FROM refresh_log WHERE key = ?1 ORDER BY nr DESC LIMIT ?2 OFFSET ?3) \
         AND outcome = 'not_modified' AND calls = 0 AND cost = 0 AND triggered_by <> 'manual'",
    )?
    .execute(params![key.as_str(), limit(LogLine::IDLE_LOOKED_AT), limit(LogLine::IDLE_KEPT)])
    .map(drop)
}

/// The refresh log, newest first.
pub(crate) fn log_lines(conn: &Connection, filter: &LogFilter) -> Result<Vec<LogLine>, Fault> {
    const COLUMNS: &str = "key, triggered_by, started_at, duration_ms, outcome, items_seen, items_added, \
        items_changed, items_removed, calls, cost, error, nr";
    let by_key = if filter.key.is_some() { "key = ?1" } else { "?1 IS NULL" };
    let sql = format!("SELECT {COLUMNS} FROM refresh_log WHERE {by_key} ORDER BY nr DESC LIMIT ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![filter.key.as_ref().map(Key::as_str), limit(filter.limit)])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(log_line(row)?);
    }
    Ok(lines)
}

fn log_line(row: &Row<'_>) -> Result<LogLine, Fault> {
    let nr = row.get::<_, i64>(12)?.to_string();
    let column = |column: &'static str, text: String| -> Result<Key, StoreError> {
        parse("refresh_log", &nr, column, &text)
    };
    let trigger: String = row.get(1)?;
    Ok(LogLine {
        key: column("key", row.get(0)?)?,
        trigger: parse("refresh_log", &nr, "triggered_by", &trigger)?,
        started_at: Time::from_ms(row.get(2)?),
        duration_ms: row.get::<_, i64>(3)? as u64,
        outcome: row.get(4)?,
        items: ItemCounts {
            seen: row.get(5)?,
            added: row.get(6)?,
            changed: row.get(7)?,
            removed: row.get(8)?,
        },
        spent: Spent { calls: row.get(9)?, cost: row.get(10)? },
        error: row.get(11)?,
    })
}
