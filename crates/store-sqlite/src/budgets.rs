//! Budgets: what actors may still spend, and what is in flight.

use std::sync::Arc;

use larder_core::{
    Admission, Budget, EVERYBODY, Reservation, Reserved, SECONDARY, Settlement, Time, Waits, admit,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::errors::Fault;
use crate::rows::int;

/// A reservation counts from when it was taken until its end; one from the future was taken
/// before the clock was set back, and is lost.
const LIVE_RESERVATION: &str = "r.taken_at <= ?1 + 60000 AND r.until > ?1";

/// Takes points, if there are enough.
pub(crate) fn reserve(conn: &Connection, ask: &Reservation, now: Time) -> Result<Reserved, Fault> {
    conn.prepare_cached(&format!("DELETE FROM reservations AS r WHERE NOT ({LIVE_RESERVATION})"))?
        .execute([now.ms()])?;
    let budget = row_of(conn, &ask.host, &ask.actor, &ask.resource, now)?;
    let secondary = row_of(conn, &ask.host, &ask.actor, SECONDARY, now)?;
    let outage = row_of(conn, &ask.host, EVERYBODY, SECONDARY, now)?;
    let waits = Waits { secondary: secondary.as_ref(), outage: outage.as_ref() };
    let admission = admit(budget.as_ref(), waits, ask, now);
    if admission != Admission::Granted {
        return Ok(Reserved::Refused(admission));
    }
    touch(conn, &ask.host, &ask.actor, &ask.resource)?;
    let nr = conn
        .prepare_cached(
            "INSERT INTO reservations (host, actor, resource, points, owner, taken_at, until) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert(params![
            &*ask.host,
            &*ask.actor,
            &*ask.resource,
            ask.points,
            &*ask.owner,
            now.ms(),
            ask.until.ms()
        ])?;
    Ok(Reserved::Granted(nr as u64))
}

/// Gives a reservation back and notes what the upstream said.
pub(crate) fn settle(conn: &Connection, settlement: &Settlement, now: Time) -> Result<(), Fault> {
    let Settlement { host, actor, resource, .. } = settlement;
    conn.prepare_cached("DELETE FROM reservations WHERE nr = ?1 AND host = ?2 AND actor = ?3")?
        .execute(params![int(settlement.id), &**host, &**actor])?;
    touch(conn, host, actor, resource)?;
    let held = row_of(conn, host, actor, resource, now)?;
    if let Some(held) = held {
        let told = held.told(settlement, now);
        conn.prepare_cached(
            "UPDATE budgets SET points_limit = ?4, remaining = ?5, reset_at = ?6, minute_start = ?7, \
             minute_points = ?8 WHERE host = ?1 AND actor = ?2 AND resource = ?3",
        )?
        .execute(params![
            &**host,
            &**actor,
            &**resource,
            told.limit,
            told.remaining,
            told.reset_at.map(Time::ms),
            told.minute_start.ms(),
            told.minute_points
        ])?;
    }
    let Some((actor, resource, until)) = settlement.blocks() else { return Ok(()) };
    touch(conn, host, &actor, &resource)?;
    block(conn, host, &actor, &resource, until, now)
}

/// Everything known, by host, actor and resource.
pub(crate) fn budgets(conn: &Connection, now: Time) -> Result<Vec<Budget>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{} ORDER BY b.host, b.actor, b.resource", select()))?;
    let rows = statement.query_map([now.ms()], |row| read(row).map(|held| held.believed(now)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The actor that a credential stands for.
pub(crate) fn actor(conn: &Connection, host: &str, credential: &str) -> Result<Option<Arc<str>>, Fault> {
    let found: Option<String> = conn
        .prepare_cached("SELECT actor FROM actors WHERE host = ?1 AND credential = ?2")?
        .query_row([host, credential], |row| row.get(0))
        .optional()?;
    Ok(found.map(Arc::from))
}

/// Remembers the actor behind a credential.
pub(crate) fn set_actor(conn: &Connection, host: &str, credential: &str, actor: &str) -> Result<(), Fault> {
    conn.prepare_cached("INSERT OR REPLACE INTO actors (host, credential, actor) VALUES (?1, ?2, ?3)")?
        .execute([host, credential, actor])?;
    Ok(())
}

fn select() -> String {
    format!(
        "SELECT b.host, b.actor, b.resource, b.points_limit, b.remaining, b.reset_at, b.blocked_until, \
         b.minute_start, b.minute_points, coalesce((SELECT sum(r.points) FROM reservations r \
         WHERE r.host = b.host AND r.actor = b.actor AND r.resource = b.resource AND {LIVE_RESERVATION}), 0) \
         FROM budgets b"
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Budget> {
    let text = |column| row.get::<_, String>(column).map(Arc::from);
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Time::from_ms));
    Ok(Budget {
        host: text(0)?,
        actor: text(1)?,
        resource: text(2)?,
        limit: row.get(3)?,
        remaining: row.get(4)?,
        reset_at: time(5)?,
        blocked_until: time(6)?,
        minute_start: Time::from_ms(row.get(7)?),
        minute_points: row.get(8)?,
        reserved: u32::try_from(row.get::<_, i64>(9)?).unwrap_or(u32::MAX),
    })
}

fn row_of(
    conn: &Connection,
    host: &str,
    actor: &str,
    resource: &str,
    now: Time,
) -> rusqlite::Result<Option<Budget>> {
    conn.prepare_cached(&format!("{} WHERE b.host = ?2 AND b.actor = ?3 AND b.resource = ?4", select()))?
        .query_row(params![now.ms(), host, actor, resource], |row| read(row).map(|held| held.believed(now)))
        .optional()
}

fn touch(conn: &Connection, host: &str, actor: &str, resource: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO budgets (host, actor, resource, minute_start, minute_points) \
         VALUES (?1, ?2, ?3, 0, 0)",
    )?
    .execute([host, actor, resource])
    .map(drop)
}

/// The longer wait holds, unless a clock that was ahead noted it.
fn block(
    conn: &Connection,
    host: &str,
    actor: &str,
    resource: &str,
    until: Time,
    now: Time,
) -> Result<(), Fault> {
    let until = until.min(now.plus(Budget::WAIT_MAX));
    conn.prepare_cached(
        "UPDATE budgets SET blocked_until = \
         CASE WHEN blocked_until > ?4 AND blocked_until <= ?5 THEN blocked_until ELSE ?4 END \
         WHERE host = ?1 AND actor = ?2 AND resource = ?3",
    )?
    .execute(params![host, actor, resource, until.ms(), Budget::furthest(now).ms()])?;
    Ok(())
}
