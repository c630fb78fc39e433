//! Removing what is past its retention, in transactions of a bounded size: there is one writer, and leases
//! want to be renewed in between.

use std::time::Duration;

use larder_core::{Retention, StoreError, Swept, Time};
use rusqlite::{Connection, Row, params};

use crate::entries::{self, Met};
use crate::errors::Fault;
use crate::leases::LIVE;
use crate::rows::int;
use crate::{SqliteStore, markers, sheets};

/// How many entries, items, or lines of the log and the feed go in one transaction.
const ENTRIES: u64 = 500;
const ITEMS: u64 = 5_000;
const LINES: u64 = 20_000;

/// Notes that a sweep begins, unless one was done within `every`.
pub(crate) fn begin(conn: &Connection, every: Duration, now: Time) -> Result<bool, Fault> {
    let noted = conn
        .prepare_cached("UPDATE meta SET swept_at = ?1 WHERE swept_at <= ?2 OR swept_at > ?3")?
        .execute(params![Retention::begun(every, now).ms(), now.minus(every).ms(), now.ms()])?;
    Ok(noted > 0)
}

/// Notes that it came to its end.
pub(crate) fn end(conn: &Connection, now: Time) -> Result<(), Fault> {
    conn.execute("UPDATE meta SET swept_at = ?1", [now.ms()])?;
    Ok(())
}

/// Removes what is past its retention, and items that nothing holds; writes markers through.
pub(crate) async fn sweep(
    store: &SqliteStore,
    retention: &Retention,
    now: Time,
) -> Result<Swept, StoreError> {
    let retention = *retention;
    let mut swept = Swept::default();
    loop {
        let work = move |conn: &Connection| past_retention(conn, &retention, now);
        let (entries, items) = store.write("sweep", work).await?;
        swept.entries += entries;
        swept.items += items;
        if entries < ENTRIES {
            break;
        }
    }
    swept.items += sweep_orphans(store).await?;
    swept.log = all_of(store, LINES, move |conn| sweep_log(conn, &retention, now)).await?;
    swept.feed = all_of(store, LINES, move |conn| sweep_feed(conn, &retention, now)).await?;
    store.write("sweep", sheets::sweep).await?;
    let mut next = Some(markers::Progress::default());
    while let Some(from) = next {
        let work = move |conn: &Connection| markers::write_through(conn, &from, now);
        let step = store.write("write invalidations through", work).await?;
        swept.written_through += step.written;
        next = step.next;
    }
    Ok(swept)
}

/// Until a batch is not full.
async fn all_of(
    store: &SqliteStore,
    batch: u64,
    work: impl Fn(&Connection) -> Result<u64, Fault> + Clone + Send + 'static,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let now = store.write("sweep", work.clone()).await?;
        removed += now;
        if now < batch {
            return Ok(removed);
        }
    }
}

/// Removes a batch of entries; how many, and how many items with them.
fn past_retention(conn: &Connection, retention: &Retention, now: Time) -> Result<(u64, u64), Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT nr, key, version FROM entries WHERE NOT {LIVE} \
         AND ((fetched_at IS NULL AND touched_at < ?2) OR unconfigured_since < ?3) ORDER BY nr LIMIT ?4"
    ))?;
    let read = |row: &Row<'_>| Ok(Met { nr: row.get(0)?, key: row.get(1)?, version: row.get(2)? });
    let failed = now.minus(retention.failed).ms();
    let unconfigured = now.minus(retention.unconfigured).ms();
    let rows = statement.query_map(params![now.ms(), failed, unconfigured, int(ENTRIES)], read)?;
    let gone: Vec<Met> = rows.collect::<rusqlite::Result<_>>()?;
    let items = entries::remove(conn, &gone, now)?;
    Ok((gone.len() as u64, items))
}

/// Items that nothing holds are looked for without keeping the writer.
async fn sweep_orphans(store: &SqliteStore) -> Result<u64, StoreError> {
    let (mut removed, mut after) = (0, 0);
    loop {
        let orphans: Vec<i64> = store
            .read_long("sweep", move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT nr FROM items WHERE nr > ?1 AND NOT EXISTS \
                     (SELECT 1 FROM members WHERE members.item = items.nr) ORDER BY nr LIMIT ?2",
                )?;
                let found = statement.query_map([after, int(ITEMS)], |row| row.get(0))?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await?;
        let Some(last) = orphans.last() else { return Ok(removed) };
        after = *last;
        removed += store.write("sweep", move |conn| entries::remove_orphans(conn, &orphans)).await?;
    }
}

fn sweep_log(conn: &Connection, retention: &Retention, now: Time) -> Result<u64, Fault> {
    let by_age = conn
        .prepare_cached(
            "DELETE FROM refresh_log WHERE nr IN \
             (SELECT nr FROM refresh_log WHERE started_at < ?1 ORDER BY started_at LIMIT ?2)",
        )?
        .execute(params![now.minus(retention.log).ms(), int(LINES)])?;
    if by_age as u64 == LINES {
        return Ok(LINES);
    }
    let by_lines = conn
        .prepare_cached(
            "DELETE FROM refresh_log WHERE nr IN (SELECT nr FROM refresh_log WHERE nr <= \
             (SELECT nr FROM refresh_log ORDER BY nr DESC LIMIT 1 OFFSET ?1) ORDER BY nr LIMIT ?2)",
        )?
        .execute(params![int(retention.log_lines_max), int(LINES) - by_age as i64])?;
    Ok((by_age + by_lines) as u64)
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
    let last: Option<i64> = conn.query_row(
        "SELECT max(seq) FROM (SELECT seq FROM changes WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
        [upto, int(LINES)],
        |row| row.get(0),
    )?;
    let Some(last) = last else { return Ok(0) };
    conn.execute("UPDATE meta SET feed_swept = max(feed_swept, ?1)", [last])?;
    Ok(conn.execute("DELETE FROM changes WHERE seq <= ?1", [last])? as u64)
}
