//! What is due: entries that want a refresh now without a reader.

use larder_core::{CLOCK_SLACK, Entry, Key, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::leases::LIVE;
use crate::rows::{At, FROM_ENTRIES, limit, parse};
use crate::transaction::Tx;

/// Entries that want a refresh now without a reader, earliest first. Which waits are over says
/// [`Entry::is_wait_over`].
pub(crate) async fn due(tx: &Tx, now: Time, most: usize) -> Result<Vec<Key>, Fault> {
    let sql = format!(
        "SELECT key FROM ( \
           SELECT e.key, e.marked, e.last_error, \
             CASE WHEN k.seq > e.invalidated THEN least(e.due_at, k.at) ELSE e.due_at END AS due_at \
           {FROM_ENTRIES} \
           WHERE (e.marked > 0 OR e.attempts > 0 OR e.pending <> '[]'::jsonb) \
             AND NOT {LIVE} \
         ) wanted WHERE marked > 0 OR due_at <= $2 \
           OR (due_at > $4 AND larder.instant(last_error ->> 'at') > $5) ORDER BY due_at, key LIMIT $3"
    );
    let params = [
        (&tx.lease_clock(now) as _, Type::TIMESTAMPTZ),
        (&At(now) as _, Type::TIMESTAMPTZ),
        (&limit(most) as _, Type::INT8),
        (&At(now.plus(Entry::WAIT_MAX)) as _, Type::TIMESTAMPTZ),
        (&At(now.plus(CLOCK_SLACK)) as _, Type::TIMESTAMPTZ),
    ];
    let rows = tx.conclude(tx.query(&sql, &params)).await?;
    let key = |row: &Row| {
        let key: &str = row.try_get(0)?;
        Ok(parse("entries", &key, "key", key)?)
    };
    rows.iter().map(key).collect()
}
