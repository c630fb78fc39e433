//! Markers: one row that invalidates a tag, a source or everything, compared by whoever reads an
//! entry, and written through to the entries' rows by the sweep.
//!
//! A row remembers the newest marker that it has answered (`invalidated`): its making, every commit
//! and every import write it down, so that a marker ends a backoff once, and not the next one too.

use larder_core::{StoreError, Time};
use tokio_postgres::types::Type;

use crate::connections::{Connections, Mode};
use crate::errors::Fault;
use crate::rows::At;
use crate::transaction::Tx;

/// Held shared, until it is committed, by whatever takes a lease or writes a row by what the markers
/// say; held alone for a moment by a sweep, which so waits until what it might miss is there to be
/// seen. An advisory lock of Larder's (`LRDR` and a purpose).
const UNDER_WAY: i64 = 0x4c52_4452_0000_0002;

/// How many entries are looked at in one transaction of a sweep: others write in between.
const BATCH: i64 = 1_000;

/// A fetch may go on for so long past its lease's end by the clock of another machine.
const CLOCK_SLACK: &str = "interval '10 minutes'";

/// An invalidation that means many entries.
#[derive(Debug, Clone)]
struct Marker {
    about: String,
    name: String,
    seq: i64,
    at: At,
}

/// To be sent before markers are read, or a number for a lease is taken.
pub(crate) async fn under_way(tx: &Tx) -> Result<(), Fault> {
    tx.execute("SELECT pg_advisory_xact_lock_shared($1)", &[(&UNDER_WAY, Type::INT8)]).await.map(drop)
}

/// Writes all markers through to the rows that they mean, in transactions of a bounded size; answers
/// how many rows were written. A marker that all know goes, unless a fetch is under way that began
/// before it: that may bring an entry a tag that it did not have.
pub(crate) async fn write_through(connections: &Connections, now: Time) -> Result<u64, StoreError> {
    let attempted = "write invalidations through";
    let markers = connections.run(Mode::Read, attempted, |tx| async move { all(&tx).await }).await?;
    if markers.is_empty() {
        return Ok(0);
    }
    // Whatever has not seen these markers yet ends before this does, and whatever begins behind it sees
    // them.
    let waited = connections.run(Mode::Rewrite, attempted, |tx| async move {
        tx.execute("SELECT pg_advisory_xact_lock($1)", &[(&UNDER_WAY, Type::INT8)]).await
    });
    waited.await?;
    let mut written = 0;
    for marker in &markers {
        let mut after = Some(0);
        while let Some(from) = after {
            let step = connections
                .run(Mode::Write, attempted, |tx| async move { step(&tx, marker, from).await })
                .await?;
            written += step.0;
            after = step.1;
        }
        connections
            .run(Mode::Rewrite, attempted, |tx| async move { remove_if_known(&tx, marker, now).await })
            .await?;
    }
    Ok(written)
}

async fn all(tx: &Tx) -> Result<Vec<Marker>, Fault> {
    let sql = "SELECT about, name, seq, at FROM larder.markers ORDER BY about, name";
    let rows = tx.conclude(tx.query(sql, &[])).await?;
    let mut markers = Vec::with_capacity(rows.len());
    for row in &rows {
        let (about, name) = (row.try_get(0)?, row.try_get(1)?);
        markers.push(Marker { about, name, seq: row.try_get(2)?, at: row.try_get(3)? });
    }
    Ok(markers)
}

/// One batch behind the row `after`: how many rows were written, and where to go on.
async fn step(tx: &Tx, marker: &Marker, after: i64) -> Result<(u64, Option<i64>), Fault> {
    let meant = match marker.about.as_str() {
        "tag" => "SELECT entry AS nr FROM larder.tags WHERE tag = $1 AND entry > $2 ORDER BY entry",
        "source" => "SELECT nr FROM larder.entries WHERE source = $1 AND nr > $2 ORDER BY nr",
        _ => "SELECT nr FROM larder.entries WHERE $1 = '' AND nr > $2 ORDER BY nr",
    };
    let rows = tx
        .query(
            &format!("{meant} LIMIT $3"),
            &[(&marker.name, Type::TEXT), (&after, Type::INT8), (&BATCH, Type::INT8)],
        )
        .await?;
    let batch: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let written = tx
        .conclude(async {
            let (locked, written) = together!(
                tx.execute(
                    "SELECT nr FROM larder.entries WHERE nr = ANY($1) AND invalidated < $2 \
                     ORDER BY nr FOR UPDATE",
                    &[(&batch, Type::INT8_ARRAY), (&marker.seq, Type::INT8)],
                ),
                tx.execute(
                    "UPDATE larder.entries SET invalidated = $2, due_at = least(due_at, $3) \
                     WHERE nr = ANY($1) AND invalidated < $2",
                    &[(&batch, Type::INT8_ARRAY), (&marker.seq, Type::INT8), (&marker.at, Type::TIMESTAMPTZ)],
                )
            );
            locked?;
            written
        })
        .await?;
    let is_last = (batch.len() as i64) < BATCH;
    Ok((written, batch.last().copied().filter(|_| !is_last)))
}

/// Set again meanwhile, it is another marker, for the next sweep.
async fn remove_if_known(tx: &Tx, marker: &Marker, now: Time) -> Result<(), Fault> {
    let sql = format!(
        "DELETE FROM larder.markers WHERE about = $1 AND name = $2 AND seq = $3 AND NOT EXISTS \
         (SELECT 1 FROM larder.entries WHERE lease_seq < $3 \
         AND lease_until > coalesce($4, clock_timestamp()) - {CLOCK_SLACK})"
    );
    let params = [
        (&marker.about as _, Type::TEXT),
        (&marker.name as _, Type::TEXT),
        (&marker.seq as _, Type::INT8),
        (&tx.lease_clock(now) as _, Type::TIMESTAMPTZ),
    ];
    tx.conclude(tx.execute(&sql, &params)).await.map(drop)
}
