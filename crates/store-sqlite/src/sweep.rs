//! Removing what is past its retention.

use larder_core::{Retention, Swept, Time};
use rusqlite::{Connection, Row, params};

use crate::entries::{self, Met};
use crate::errors::Fault;
use crate::leases::LIVE;
use crate::rows::int;
use crate::sheets;

/// Removes what is past its retention, and items that nothing holds.
pub(crate) fn sweep(conn: &Connection, retention: &Retention, now: Time) -> Result<Swept, Fault> {
    let gone = past_retention(conn, retention, now)?;
    let removed = entries::remove(conn, &gone, now)?;
    let orphans = conn.execute(
        "DELETE FROM items WHERE NOT EXISTS (SELECT 1 FROM members WHERE members.item = items.nr)",
        [],
    )?;
    let log =
        conn.execute("DELETE FROM refresh_log WHERE started_at < ?1", [now.minus(retention.log).ms()])?;
    let feed = sweep_feed(conn, retention, now)?;
    sheets::sweep(conn)?;
    let (entries, items) = (gone.len() as u64, removed + orphans as u64);
    Ok(Swept { entries, items, log: log as u64, feed, written_through: 0 })
}

fn past_retention(conn: &Connection, retention: &Retention, now: Time) -> Result<Vec<Met>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT nr, key, version FROM entries WHERE NOT {LIVE} \
         AND ((fetched_at IS NULL AND touched_at < ?2) OR unconfigured_since < ?3) ORDER BY nr"
    ))?;
    let read = |row: &Row<'_>| Ok(Met { nr: row.get(0)?, key: row.get(1)?, version: row.get(2)? });
    let failed = now.minus(retention.failed).ms();
    let unconfigured = now.minus(retention.unconfigured).ms();
    let rows = statement.query_map(params![now.ms(), failed, unconfigured], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Takes lines off the old end alone, so that a place in the feed tells whether any are missing.
fn sweep_feed(conn: &Connection, retention: &Retention, now: Time) -> Result<u64, Fault> {
    let by_age: i64 = conn.query_row(
        "SELECT coalesce((SELECT min(seq) - 1 FROM changes WHERE at >= ?1), \
         (SELECT max(seq) FROM changes), 0)",
        [now.minus(retention.feed).ms()],
        |row| row.get(0),
    )?;
    let by_lines: i64 = conn.query_row(
        "SELECT coalesce((SELECT seq FROM changes ORDER BY seq DESC LIMIT 1 OFFSET ?1), 0)",
        [int(retention.feed_lines_max)],
        |row| row.get(0),
    )?;
    let upto = by_age.max(by_lines);
    let last: Option<i64> =
        conn.query_row("SELECT max(seq) FROM changes WHERE seq <= ?1", [upto], |row| row.get(0))?;
    let Some(last) = last else { return Ok(0) };
    conn.execute("UPDATE meta SET feed_swept = max(feed_swept, ?1)", [last])?;
    Ok(conn.execute("DELETE FROM changes WHERE seq <= ?1", [last])? as u64)
}
