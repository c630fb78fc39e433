//! Markers: one row that invalidates a tag, a source or everything, compared by whoever reads an
//! entry, and written through to the entries' rows by the sweep.
//!
//! A row remembers the newest marker that it has answered (`invalidated`): its making, every commit
//! and every import write it down, so that a marker ends a backoff once, and not the next one too.

use larder_core::{Entry, Target, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::errors::Fault;
use crate::rows::{int, limit};

/// Whether there are any: mostly there are none, and then a read pays for nothing else.
pub(crate) const ANY: &str = "EXISTS (SELECT 1 FROM markers)";

/// How many entries are looked at in one transaction of a sweep: others write in between.
const BATCH: usize = 1_000;

/// A fetch may go on for so long past its lease's end by the clock of another machine.
const CLOCK_SLACK_MS: i64 = 600_000;

/// An invalidation that means many entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) seq: u64,
    pub(crate) at: Time,
}

impl Marker {
    /// Shows an entry as the marker leaves it: stale if it was fetched before, and past any backoff
    /// that began before.
    pub(crate) fn meet(self, entry: &mut Entry) {
        if self.seq > entry.invalidated {
            entry.invalidated = self.seq;
            entry.due_at = entry.due_at.min(self.at);
        }
    }
}

/// The name of the marker that a target becomes; `None` = it names its entries one by one.
pub(crate) fn name(target: &Target) -> Option<String> {
    match target {
        Target::Keys(_) => None,
        Target::Source(source) => Some(format!("source:{source}")),
        Target::Tag(tag) => Some(format!("tag:{tag}")),
        Target::All => Some("all".to_owned()),
    }
}

/// Sets the marker of that name, or moves it on.
pub(crate) fn set(conn: &Connection, name: &str, seq: u64, now: Time) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO markers (name, seq, at) VALUES (?1, ?2, ?3)")?
        .execute(params![name, int(seq), now.ms()])
        .map(drop)
}

/// The newest marker that means an entry, by its source and the tags that it has in the store.
///
/// Asked for by every commit. The markers are looked up one at a time and compared here: a list of names, a
/// union or an order would have SQLite make a table for it, whose 80 KB take longer to come and go than all
/// else in a small commit.
pub(crate) fn newest(conn: &Connection, nr: i64, source: &str) -> rusqlite::Result<Option<Marker>> {
    let read =
        |row: &Row<'_>| Ok(Marker { seq: row.get::<_, i64>(0)? as u64, at: Time::from_ms(row.get(1)?) });
    let mut named = conn.prepare_cached("SELECT seq, at FROM markers WHERE name = ?1")?;
    let all = named.query_row(["all"], read).optional()?;
    let of_source = named.query_row([format!("source:{source}")], read).optional()?;
    let mut newest = all.into_iter().chain(of_source).max_by_key(|marker| marker.seq);
    let mut tagged = conn.prepare_cached(
        "SELECT m.seq, m.at FROM tags t CROSS JOIN markers m ON m.name = 'tag:' || t.tag WHERE t.entry = ?1",
    )?;
    for marker in tagged.query_map([nr], read)? {
        let marker = marker?;
        newest = newest.filter(|newest| newest.seq > marker.seq).or(Some(marker));
    }
    Ok(newest)
}

/// How far a sweep has come with writing markers through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The marker it is at; empty = before the first.
    name: String,
    /// As it was set when this pass over its entries began: set again, it needs another one.
    seq: i64,
    /// The last entry it has looked at.
    after: i64,
}

/// A step of a sweep.
pub(crate) struct Step {
    /// How many rows were written.
    pub(crate) written: u64,
    /// Where to go on; `None` = all is done.
    pub(crate) next: Option<Progress>,
}

/// Writes one batch through. A marker whose entries all know it goes, unless a fetch is under way
/// that began before it: that may bring an entry a tag that it did not have.
pub(crate) fn write_through(conn: &Connection, from: &Progress, now: Time) -> Result<Step, Fault> {
    let found: Option<(String, i64, i64)> = conn
        .prepare_cached("SELECT name, seq, at FROM markers WHERE name >= ?1 ORDER BY name LIMIT 1")?
        .query_row([&from.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((name, seq, at)) = found else { return Ok(Step { written: 0, next: None }) };
    let after = if (&name, seq) == (&from.name, from.seq) { from.after } else { 0 };
    let batch = batch(conn, &name, after)?;
    let mut update = conn.prepare_cached(
        "UPDATE entries SET invalidated = ?2, due_at = min(due_at, ?3) WHERE nr = ?1 AND invalidated < ?2",
    )?;
    let mut written = 0;
    for nr in &batch {
        written += update.execute(params![nr, seq, at])? as u64;
    }
    if let Some(last) = batch.last().filter(|_| batch.len() == BATCH) {
        return Ok(Step { written, next: Some(Progress { name, seq, after: *last }) });
    }
    conn.prepare_cached(
        "DELETE FROM markers WHERE name = ?1 AND NOT EXISTS \
         (SELECT 1 FROM leases WHERE seq < ?2 AND until > ?3)",
    )?
    .execute(params![name, seq, now.ms() - CLOCK_SLACK_MS])?;
    // No name stands between this one and the next.
    Ok(Step { written, next: Some(Progress { name: format!("{name}\0"), seq: 0, after: 0 }) })
}

/// The entries that the marker of that name means, behind `after`.
fn batch(conn: &Connection, name: &str, after: i64) -> rusqlite::Result<Vec<i64>> {
    let (sql, of) = match name.split_once(':') {
        Some(("tag", tag)) => ("SELECT entry FROM tags WHERE tag = ?1 AND entry > ?2 ORDER BY entry", tag),
        Some((_, source)) => ("SELECT nr FROM entries WHERE source = ?1 AND nr > ?2 ORDER BY nr", source),
        None => ("SELECT nr FROM entries WHERE ?1 = '' AND nr > ?2 ORDER BY nr", ""),
    };
    conn.prepare_cached(&format!("{sql} LIMIT ?3"))?
        .query_map(params![of, after, limit(BATCH)], |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use larder_core::{Retention, Store};
    use larder_testkit::contract::build::{at, exported, key};

    use super::*;
    use crate::{OpenOptions, SqliteStore};

    /// Steps until nothing is left; how many rows each wrote. `between` runs after each.
    async fn sweep(store: &SqliteStore, between: impl AsyncFn(usize)) -> Vec<u64> {
        let mut next = Some(Progress::default());
        let mut written = Vec::new();
        while let Some(from) = next {
            let step = store.write("sweep", move |conn| write_through(conn, &from, at(9))).await.unwrap();
            written.push(step.written);
            next = step.next;
            between(written.len()).await;
        }
        written
    }

    #[tokio::test]
    async fn a_marker_set_again_while_it_is_written_through_is_written_through_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(OpenOptions::new(dir.path().join("larder.db"), at(0))).unwrap();
        let keys: Vec<_> = (0..2_500).map(|n| key(&format!("shelf/{n:04}"))).collect();
        let all: Vec<_> = keys.iter().map(|key| exported(key, &["red"], at(0))).collect();
        store.import(&all, at(0)).await.unwrap();
        let red = Target::Tag("red".to_owned());
        store.invalidate(&red, at(1)).await.unwrap();
        let last = keys.last().unwrap().clone();
        let written = sweep(&store, async |steps| {
            if steps == 2 {
                store.invalidate(&red, at(2)).await.unwrap();
            }
        })
        .await;
        assert_eq!(written, [1_000, 1_000, 1_000, 1_000, 500, 0], "the second pass begins at the first row");
        let row = store.lookup(&[last]).await.unwrap().pop().flatten().unwrap();
        let first = store.lookup(&keys[..1]).await.unwrap().pop().flatten().unwrap();
        assert_eq!(first.entry.invalidated, row.entry.invalidated);
        let left = store.read("count", |conn| Ok(conn.query_row(ANY_SQL, [], |row| row.get::<_, bool>(0))?));
        assert!(!left.unwrap(), "no fetch is under way");
        assert_eq!(store.sweep(&Retention::default(), at(10)).await.unwrap().written_through, 0);
    }

    #[tokio::test]
    async fn a_marker_stays_while_a_fetch_is_under_way_that_began_before_it() {
        use larder_testkit::contract::build::lease;
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(OpenOptions::new(dir.path().join("larder.db"), at(0))).unwrap();
        let is_left = || {
            let left =
                store.read("count", |conn| Ok(conn.query_row(ANY_SQL, [], |row| row.get::<_, bool>(0))?));
            left.unwrap()
        };
        lease(&store, &key("shelf/a"), at(0)).await;
        store.invalidate(&Target::Tag("red".to_owned()), at(1)).await.unwrap();
        lease(&store, &key("shelf/b"), at(2)).await;
        store.sweep(&Retention::default(), at(3)).await.unwrap();
        assert!(is_left());
        // A holder on another machine may believe in its lease for a little longer.
        store.sweep(&Retention::default(), at(60)).await.unwrap();
        assert!(is_left());
        store.sweep(&Retention::default(), at(16 + 600)).await.unwrap();
        assert!(!is_left(), "the younger fetch does not need it");
    }

    const ANY_SQL: &str = "SELECT EXISTS (SELECT 1 FROM markers)";
}
