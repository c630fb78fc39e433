//! Invalidating, which marks stale and keeps, and evicting, which removes.

use larder_core::{Key, Met, Target, Time};
use tokio_postgres::types::Type;

use crate::entries::{self, texts};
use crate::errors::Fault;
use crate::feed::{self, Line};
use crate::json::clean;
use crate::rows::{At, int, number};
use crate::transaction::Tx;

/// Marks what the target means as stale, now and for fetches under way.
pub(crate) async fn invalidate(tx: &Tx, target: &Target, now: Time) -> Result<Met, Fault> {
    match target {
        Target::Keys(keys) => invalidate_keys(tx, keys, now).await,
        Target::Tag(tag) => {
            let counted = "SELECT 1 FROM larder.tags WHERE tag = $1";
            mark(tx, "tag", tag, counted, now).await
        }
        Target::Source(source) => {
            let counted = "SELECT 1 FROM larder.entries WHERE source = $1";
            mark(tx, "source", source, counted, now).await
        }
        Target::All => mark(tx, "all", "", "SELECT 1 FROM larder.entries WHERE $1 = ''", now).await,
    }
}

/// Stamps each row. The number is taken before anybody is waited for: a lease that is given meanwhile
/// gets a later one, and its fetch begins after what is told of here.
async fn invalidate_keys(tx: &Tx, keys: &[Key], now: Time) -> Result<Met, Fault> {
    let keys = texts(keys);
    let (stamp, locked) = together!(
        tx.query_one("SELECT nextval('larder.sequence')", &[]),
        tx.execute(
            "SELECT nr FROM larder.entries WHERE key = ANY($1) ORDER BY nr FOR UPDATE",
            &[(&keys, Type::TEXT_ARRAY)]
        )
    );
    let stamp: i64 = stamp?.try_get(0)?;
    locked?;
    let stamped = tx
        .query(
            "UPDATE larder.entries SET invalidated = greatest(invalidated, $2), due_at = least(due_at, $3), \
             touched_at = $3 WHERE key = ANY($1) RETURNING nr, key, version",
            &[(&keys, Type::TEXT_ARRAY), (&stamp, Type::INT8), (&At(now), Type::TIMESTAMPTZ)],
        )
        .await?;
    let mut lines = Vec::with_capacity(stamped.len());
    for row in &stamped {
        let met = entries::Met::read(row)?;
        lines.push(Line::entry(&met.key, "invalidated", met.version, now));
    }
    tx.conclude(feed::announce(tx, &lines)).await?;
    Ok(Met::exactly(lines.len() as u64))
}

/// Leaves one marker, which whoever reads a row compares.
async fn mark(tx: &Tx, about: &'static str, name: &str, counted: &str, now: Time) -> Result<Met, Fault> {
    let text = clean(name);
    let count = format!("SELECT count(*) FROM ({counted} LIMIT $2) AS met");
    let most = int(Met::COUNTED_MAX + 1);
    let lines = [Line::many(about, name, "invalidated", now)];
    let counted = tx
        .conclude(async {
            let count_params = [(&text as _, Type::TEXT), (&most as _, Type::INT8)];
            let (marked, counted, told) = together!(
                tx.execute(
                    "INSERT INTO larder.markers AS m (about, name, seq, at) \
                     VALUES ($1, $2, nextval('larder.sequence'), $3) ON CONFLICT (about, name) \
                     DO UPDATE SET seq = greatest(m.seq, excluded.seq), at = excluded.at",
                    &[(&about, Type::TEXT), (&text, Type::TEXT), (&At(now), Type::TIMESTAMPTZ)],
                ),
                tx.query_one(&count, &count_params),
                feed::announce(tx, &lines)
            );
            marked?;
            told?;
            counted
        })
        .await?;
    Ok(Met::counted(number(&counted, 0)?))
}

/// Removes one batch of what the target means, behind the key `after`: how many there were, and the key to go
/// on behind.
pub(crate) async fn evict(
    tx: &Tx,
    target: &Target,
    after: &str,
    now: Time,
) -> Result<(u64, Option<String>), Fault> {
    let (met, last) = entries::met_behind(tx, target, after).await?;
    entries::remove(tx, &met, now).await?;
    Ok((met.len() as u64, last))
}
