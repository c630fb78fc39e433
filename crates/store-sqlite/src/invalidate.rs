//! Invalidating, which marks stale and keeps, and evicting, which removes.

use larder_core::{Met, Subject, Target, Time};
use rusqlite::{Connection, params};

use crate::entries;
use crate::errors::Fault;
use crate::feed;
use crate::markers;
use crate::rows::int;
use crate::sequence;

/// Marks what the target means as stale, now and for fetches under way: entries that are named by
/// their rows, all others by one marker, however many they are.
pub(crate) fn invalidate(conn: &Connection, target: &Target, now: Time) -> Result<Met, Fault> {
    let seq = sequence::next(conn)?.seq;
    let subject = match target {
        Target::Keys(_) => return invalidate_rows(conn, target, seq, now),
        Target::Source(source) => Subject::Source(source.clone()),
        Target::Tag(tag) => Subject::Tag(tag.clone()),
        Target::All => Subject::All,
    };
    if let Some(name) = markers::name(target) {
        markers::set(conn, &name, seq, now)?;
    }
    feed::announce_of(conn, &subject, "invalidated", 0, now)?;
    Ok(Met::counted(entries::count(conn, target, Met::COUNTED_MAX + 1)?))
}

fn invalidate_rows(conn: &Connection, target: &Target, seq: u64, now: Time) -> Result<Met, Fault> {
    let met = entries::met(conn, target)?;
    for entry in &met {
        conn.prepare_cached(
            "UPDATE entries SET invalidated = ?2, due_at = min(due_at, ?3), touched_at = ?3 WHERE nr = ?1",
        )?
        .execute(params![entry.nr, int(seq), now.ms()])?;
        feed::announce(conn, &entry.key, "invalidated", entry.version, now)?;
    }
    Ok(Met::exactly(met.len() as u64))
}

/// Removes what the target means.
pub(crate) fn evict(conn: &Connection, target: &Target, now: Time) -> Result<u64, Fault> {
    let met = entries::met(conn, target)?;
    entries::remove(conn, &met, now)?;
    Ok(met.len() as u64)
}
