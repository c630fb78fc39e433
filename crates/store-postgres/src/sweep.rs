//! Removing what is past its retention, in transactions of a bounded size.

use std::time::Duration;

use larder_core::{Retention, StoreError, Swept, Time};
use tokio_postgres::types::Type;

use crate::connections::{Connections, Mode};
use crate::entries::{self, Met};
use crate::errors::Fault;
use crate::leases::LIVE;
use crate::markers;
use crate::reword;
use crate::rows::{At, int};
use crate::transaction::Tx;

/// How many entries, items or lines go in one transaction.
const ENTRIES: i64 = entries::BATCH;
const ITEMS: usize = 5_000;
const LINES: i64 = 20_000;

/// How many items are looked at by one statement.
const LOOKED_AT: i64 = 20_000;

/// Notes that a sweep begins, unless one was done within `every`.
pub(crate) async fn begin(tx: &Tx, every: Duration, now: Time) -> Result<bool, Fault> {
    let sql =
        "UPDATE larder.meta SET swept_at = $1 WHERE swept_at IS NULL OR swept_at <= $2 OR swept_at > $3";
    let params = [
        (&At(Retention::begun(every, now)) as _, Type::TIMESTAMPTZ),
        (&At(now.minus(every)) as _, Type::TIMESTAMPTZ),
        (&At(now) as _, Type::TIMESTAMPTZ),
    ];
    Ok(tx.conclude(tx.execute(sql, &params)).await? > 0)
}

/// Notes that it came to its end.
pub(crate) async fn end(tx: &Tx, now: Time) -> Result<(), Fault> {
    let sql = "UPDATE larder.meta SET swept_at = $1";
    tx.conclude(tx.execute(sql, &[(&At(now), Type::TIMESTAMPTZ)])).await.map(drop)
}

/// Removes what is past its retention, and items that nothing holds. What one step cannot do keeps no other from
/// its own; those that take longer the more there is come last.
pub(crate) async fn sweep(
    connections: &Connections,
    retention: &Retention,
    now: Time,
) -> Result<Swept, StoreError> {
    let mut steps = Steps::default();
    let mut swept = Swept::default();
    (swept.entries, swept.items) = steps.take(expired(connections, retention, now)).await;
    let log = all_of(connections, LINES, |tx| async move { log(&tx, retention, now).await });
    swept.log = steps.take(log).await;
    let feed = all_of(connections, LINES, |tx| async move { feed(&tx, retention, now).await });
    swept.feed = steps.take(feed).await;
    swept.written_through = steps.take(markers::write_through(connections, now)).await;
    steps.take(reword::catch_up(connections)).await;
    steps.take(run(connections, |tx| async move { sort_words_in(&tx).await })).await;
    swept.items += steps.take(orphans(connections)).await;
    steps.failed.map_or(Ok(swept), Err)
}

/// Steps that fail each alone, and what went wrong first.
#[derive(Default)]
struct Steps {
    failed: Option<StoreError>,
    /// Whether nobody answers any more.
    is_lost: bool,
}

impl Steps {
    async fn take<T: Default>(&mut self, step: impl Future<Output = Result<T, StoreError>>) -> T {
        if self.is_lost {
            return T::default();
        }
        step.await.unwrap_or_else(|error| {
            self.is_lost |= matches!(error, StoreError::Unreachable { .. });
            match &self.failed {
                Some(_) => tracing::warn!(%error, "another part of the sweep failed"),
                None => self.failed = Some(error),
            }
            T::default()
        })
    }
}

async fn run<T, W: Future<Output = Result<T, Fault>>>(
    connections: &Connections,
    work: impl Fn(std::sync::Arc<Tx>) -> W,
) -> Result<T, StoreError> {
    connections.run(Mode::Write, "sweep", work).await
}

/// Until a batch is not full.
async fn all_of<W: Future<Output = Result<u64, Fault>>>(
    connections: &Connections,
    batch: i64,
    work: impl Fn(std::sync::Arc<Tx>) -> W,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let now = run(connections, &work).await?;
        removed += now;
        if now < batch.cast_unsigned() {
            return Ok(removed);
        }
    }
}

/// Answers how many entries and items went.
async fn expired(
    connections: &Connections,
    retention: &Retention,
    now: Time,
) -> Result<(u64, u64), StoreError> {
    let mut removed = (0, 0);
    loop {
        let (entries, items) =
            run(connections, |tx| async move { past_retention(&tx, retention, now).await }).await?;
        removed = (removed.0 + entries, removed.1 + items);
        if entries < ENTRIES.cast_unsigned() {
            return Ok(removed);
        }
    }
}

/// Entries that failed and have no data, and those that are no longer configured. Answers how many
/// entries and items went.
async fn past_retention(tx: &Tx, retention: &Retention, now: Time) -> Result<(u64, u64), Fault> {
    let sql = format!(
        "SELECT e.nr, e.key, e.version FROM larder.entries e WHERE NOT {LIVE} \
         AND ((e.fetched_at IS NULL AND e.touched_at < $2) OR e.unconfigured_since < $3) \
         ORDER BY e.nr LIMIT {ENTRIES} FOR UPDATE OF e"
    );
    let params = [
        (&tx.lease_clock(now) as _, Type::TIMESTAMPTZ),
        (&At(now.minus(retention.failed)) as _, Type::TIMESTAMPTZ),
        (&At(now.minus(retention.unconfigured)) as _, Type::TIMESTAMPTZ),
    ];
    let rows = tx.query(&sql, &params).await?;
    let gone = rows.iter().map(Met::read).collect::<Result<Vec<_>, _>>()?;
    let items = entries::remove(tx, &gone, now).await?;
    Ok((gone.len() as u64, items))
}

/// Items that nothing holds are looked for a piece at a time, so that no statement takes longer the more there
/// are.
async fn orphans(connections: &Connections) -> Result<u64, StoreError> {
    let (mut removed, mut after) = (0, 0);
    loop {
        let look = connections.run(Mode::Read, "sweep", |tx| async move { orphans_behind(&tx, after).await });
        let (orphans, last) = look.await?;
        for batch in orphans.chunks(ITEMS) {
            removed += run(connections, |tx| async move { remove(&tx, batch).await }).await?;
        }
        let Some(last) = last else { return Ok(removed) };
        after = last;
    }
}

/// Those among the next [`LOOKED_AT`] items, and the last of these, if more follow.
async fn orphans_behind(tx: &Tx, after: i64) -> Result<(Vec<i64>, Option<i64>), Fault> {
    tx.by_index().await?;
    let last = "SELECT max(nr), count(*) FROM \
                (SELECT nr FROM larder.items WHERE nr > $1 ORDER BY nr LIMIT $2) piece";
    let row = tx.query_one(last, &[(&after, Type::INT8), (&LOOKED_AT, Type::INT8)]).await?;
    let (last, met): (Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?);
    let Some(last) = last else { return Ok((Vec::new(), None)) };
    // Both sides are bounded: however they are joined, no more is read.
    let sql = "SELECT i.nr FROM larder.items i WHERE i.nr > $1 AND i.nr <= $2 AND NOT EXISTS \
               (SELECT 1 FROM larder.members m WHERE m.item = i.nr AND m.item > $1 AND m.item <= $2)";
    let rows = tx.query(sql, &[(&after, Type::INT8), (&last, Type::INT8)]).await?;
    let orphans = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok((orphans, Some(last).filter(|_| met == LOOKED_AT)))
}

async fn remove(tx: &Tx, orphans: &[i64]) -> Result<u64, Fault> {
    tx.by_index().await?;
    entries::remove_orphans_of(tx, orphans).await
}

async fn log(tx: &Tx, retention: &Retention, now: Time) -> Result<u64, Fault> {
    let sql = format!(
        "DELETE FROM larder.refresh_log WHERE nr IN (SELECT nr FROM larder.refresh_log \
         WHERE started_at < $1 OR nr <= (SELECT nr FROM larder.refresh_log ORDER BY nr DESC LIMIT 1 OFFSET $2) \
         ORDER BY nr LIMIT {LINES} FOR UPDATE SKIP LOCKED)"
    );
    let params = [
        (&At(now.minus(retention.log)) as _, Type::TIMESTAMPTZ),
        (&int(retention.log_lines_max) as _, Type::INT8),
    ];
    tx.execute(&sql, &params).await
}

/// Puts the words that commits brought into their places in the index, so that no search reads through
/// the list of those that wait, and no commit has to do it when that list is full. Whoever may not (the
/// schema is somebody else's to keep) leaves it to PostgreSQL's own cleaning.
async fn sort_words_in(tx: &Tx) -> Result<(), Fault> {
    let sql = "SELECT gin_clean_pending_list(c.oid) FROM pg_catalog.pg_class c \
               WHERE c.oid = to_regclass('larder.words_by_words') AND pg_has_role(c.relowner, 'USAGE')";
    tx.execute(sql, &[]).await.map(drop)
}

/// Takes lines off the old end alone, so that a place in the feed tells whether any are missing. Answers how many
/// of a batch.
async fn feed(tx: &Tx, retention: &Retention, now: Time) -> Result<u64, Fault> {
    // Of the first lines alone: no statement takes longer the more there are.
    let sql = format!(
        "WITH first AS (SELECT seq, at FROM larder.changes ORDER BY seq LIMIT {LINES}) \
         SELECT max(seq) FROM first WHERE seq <= greatest( \
           coalesce((SELECT min(seq) - 1 FROM first WHERE at >= $1), (SELECT max(seq) FROM first)), \
           (SELECT seq FROM larder.changes ORDER BY seq DESC LIMIT 1 OFFSET $2))"
    );
    let params = [
        (&At(now.minus(retention.feed)) as _, Type::TIMESTAMPTZ),
        (&int(retention.feed_lines_max) as _, Type::INT8),
    ];
    let row = tx.query_one(&sql, &params).await?;
    let Some(last) = row.try_get::<_, Option<i64>>(0)? else { return Ok(0) };
    let params = [(&last as _, Type::INT8)];
    tx.conclude(async {
        let (noted, removed) = together!(
            tx.execute("UPDATE larder.meta SET feed_swept = greatest(feed_swept, $1)", &params),
            tx.execute("DELETE FROM larder.changes WHERE seq <= $1", &params)
        );
        noted?;
        removed
    })
    .await
}
