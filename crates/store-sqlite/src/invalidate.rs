//! Invalidating, which marks stale and keeps, and evicting, which removes.

use larder_core::{Met, Target, Time};
use rusqlite::{Connection, params};

use crate::entries;
use crate::errors::Fault;
use crate::feed;
use crate::rows::int;
use crate::sequence;

/// Marks what the target means as stale, now and for fetches under way.
pub(crate) fn invalidate(conn: &Connection, target: &Target, now: Time) -> Result<Met, Fault> {
    let stamp = int(sequence::next(conn)?.seq);
    if let Some(name) = marker(target) {
        conn.prepare_cached("INSERT OR REPLACE INTO markers (name, seq, at) VALUES (?1, ?2, ?3)")?
            .execute(params![name, stamp, now.ms()])?;
    }
    let met = entries::met(conn, target)?;
    for entry in &met {
        conn.prepare_cached(
            "UPDATE entries SET invalidated = ?2, due_at = min(due_at, ?3), touched_at = ?3 WHERE nr = ?1",
        )?
        .execute(params![entry.nr, stamp, now.ms()])?;
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

/// The last invalidation of the entry's source, its tags, or everything; 0 = none.
pub(crate) fn newest_marker(conn: &Connection, nr: i64, source: &str) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "SELECT coalesce(max(seq), 0) FROM markers WHERE name IN ('all', 'source:' || ?2) \
         OR name IN (SELECT 'tag:' || tag FROM tags WHERE entry = ?1)",
    )?
    .query_row(params![nr, source], |row| Ok(row.get::<_, i64>(0)? as u64))
}

fn marker(target: &Target) -> Option<String> {
    match target {
        Target::Keys(_) => None,
        Target::Source(source) => Some(format!("source:{source}")),
        Target::Tag(tag) => Some(format!("tag:{tag}")),
        Target::All => Some("all".to_owned()),
    }
}
