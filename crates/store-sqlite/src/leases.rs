//! Leases: who may refresh an entry, until when, under which fencing token.

use std::time::Duration;

use larder_core::{Acquired, Extent, Key, Lease, LeaseAsk, Stored, Time};
use rusqlite::{Connection, params};

use crate::entries;
use crate::errors::Fault;
use crate::rows::{int, ms};
use crate::sequence;

/// Callers read their clocks before they wait for the writer, so a lease may have been taken a
/// little later than the `now` of whoever meets it; only one from further ahead was taken before
/// the clock was set back.
const QUEUE_SLACK: Duration = Duration::from_mins(1);

/// [`holds`] in SQL, of a row of `leases`, with `?1` = now.
const HOLDS: &str = "until > ?1 AND until - ?1 <= length + 60000";

/// Whether there is such a lease on a row of `entries`.
pub(crate) const LIVE: &str = "EXISTS (SELECT 1 FROM leases WHERE leases.entry = entries.nr \
    AND until > ?1 AND until - ?1 <= length + 60000)";

/// Whether a lease still holds for a caller whose clock was read at `now`.
pub(crate) fn holds(lease: &Lease, now: Time) -> bool {
    let taken = lease.until.minus(lease.length);
    let now = if taken.since(now) <= QUEUE_SLACK { now.max(taken) } else { now };
    lease.is_live(now)
}

/// Takes the leases that are free, in the order asked.
pub(crate) fn acquire(conn: &Connection, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, Fault> {
    asks.iter().map(|ask| acquire_one(conn, ask, now)).collect()
}

fn acquire_one(conn: &Connection, ask: &LeaseAsk, now: Time) -> Result<Acquired, Fault> {
    let (nr, mut entry) = find_or_create(conn, &ask.key, now)?;
    if ask.unless_newer_than.is_some_and(|began| entry.began > began) {
        let members = entries::members(conn, nr)?;
        return Ok(Acquired::Newer(Box::new(Stored { entry, members })));
    }
    if let Some(held) = entry.lease.take_if(|lease| holds(lease, now)) {
        return Ok(Acquired::Held(held));
    }
    let lease = Lease {
        key: ask.key.clone(),
        owner: ask.owner.clone(),
        until: now.plus(ask.length),
        length: ask.length,
        token: sequence::next(conn)?,
    };
    conn.prepare_cached(
        "INSERT OR REPLACE INTO leases (entry, owner, until, length, epoch, seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        nr,
        &*lease.owner,
        lease.until.ms(),
        ms(lease.length),
        lease.token.epoch,
        int(lease.token.seq)
    ])?;
    conn.prepare_cached(
        "UPDATE entries SET unconfigured_since = NULL WHERE nr = ?1 AND unconfigured_since NOT NULL",
    )?
    .execute([nr])?;
    let definition = entry.definition_under_lease();
    if definition != entry.definition {
        conn.prepare_cached("UPDATE entries SET definition = ?2 WHERE nr = ?1")?
            .execute(params![nr, definition.as_str()])?;
        entry.definition = definition;
    }
    entry.lease = Some(lease.clone());
    let members = match ask.extent {
        Extent::Whole => entries::members(conn, nr)?,
        Extent::Row => Vec::new(),
    };
    Ok(Acquired::Granted(lease, Box::new(Stored { entry, members })))
}

fn find_or_create(conn: &Connection, key: &Key, now: Time) -> Result<(i64, larder_core::Entry), Fault> {
    if let Some(found) = entries::find(conn, key)? {
        return Ok(found);
    }
    entries::create_and_find(conn, key, now)
}

/// Ends the lease of an entry, if there is one.
pub(crate) fn end(conn: &Connection, nr: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM leases WHERE entry = ?1")?.execute([nr]).map(drop)
}

/// Moves the ends of leases on.
pub(crate) fn renew(conn: &Connection, leases: &[Lease], now: Time) -> Result<Vec<bool>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "UPDATE leases SET until = ?2, length = ?3 \
         WHERE entry = (SELECT nr FROM entries WHERE key = ?4) AND epoch = ?5 AND seq = ?6 AND {HOLDS}"
    ))?;
    let mut renewed = Vec::with_capacity(leases.len());
    for lease in leases {
        let met = statement.execute(params![
            now.ms(),
            now.plus(lease.length).ms(),
            ms(lease.length),
            lease.key.as_str(),
            lease.token.epoch,
            int(lease.token.seq)
        ])?;
        renewed.push(met > 0);
    }
    Ok(renewed)
}
