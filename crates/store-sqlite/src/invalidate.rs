//! Invalidating, which marks stale and keeps, and evicting, which removes.

use larder_core::{Met, StoreError, Subject, Target, Time};
use rusqlite::{Connection, params};

use crate::SqliteStore;
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

/// How many entries are removed in one transaction: others write in between.
const BATCH: usize = 500;

/// Removes what the target means.
pub(crate) async fn evict(store: &SqliteStore, target: &Target, now: Time) -> Result<u64, StoreError> {
    let mut evicted = 0;
    if let Target::Keys(keys) = target {
        for keys in keys.chunks(BATCH) {
            let some = Target::Keys(keys.to_vec());
            evicted += store.write("evict", move |conn| evict_behind(conn, &some, "", now)).await?.0;
        }
        return Ok(evicted);
    }
    let mut after = Some(String::new());
    while let Some(from) = after {
        let target = target.clone();
        let (count, last) = store.write("evict", move |conn| evict_behind(conn, &target, &from, now)).await?;
        evicted += count;
        after = last.filter(|_| count == BATCH as u64);
    }
    Ok(evicted)
}

/// Removes one batch; how many there were, and which was the last.
fn evict_behind(
    conn: &Connection,
    target: &Target,
    after: &str,
    now: Time,
) -> Result<(u64, Option<String>), Fault> {
    let mut met = entries::met_behind(conn, target, after, BATCH)?;
    entries::remove(conn, &met, now)?;
    Ok((met.len() as u64, met.pop().map(|last| last.key)))
}
