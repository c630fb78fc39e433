//! Other entries that hold an item which changed: they look different too, and nothing that is known of
//! them by its validators is known of what they hold now.

use larder_core::Time;
use tokio_postgres::types::Type;

use crate::entries::Met;
use crate::errors::Fault;
use crate::feed::Line;
use crate::leases::LIVE;
use crate::rows::At;
use crate::transaction::Tx;

/// An entry that holds an item, and whether it shows it.
pub(crate) struct Holder {
    pub(crate) met: Met,
    is_shown: bool,
}

/// Locks those entries and all others that hold one of the items, in the order of their numbers.
/// Answers the others.
pub(crate) async fn lock(tx: &Tx, own: &[&str], changed: &[i64]) -> Result<Vec<Holder>, Fault> {
    let rows = if changed.is_empty() {
        let sql =
            "SELECT nr, key, version, true FROM larder.entries WHERE key = ANY($1) ORDER BY nr FOR UPDATE";
        tx.query(sql, &[(&own, Type::TEXT_ARRAY)]).await?
    } else {
        tx.query(
            "SELECT e.nr, e.key, e.version, EXISTS (SELECT 1 FROM larder.members s \
               WHERE s.entry = e.nr AND s.item = ANY($2) AND s.state <> 'hidden') \
             FROM larder.entries e WHERE e.nr IN ( \
               SELECT own.nr FROM larder.entries own WHERE own.key = ANY($1) \
               UNION SELECT m.entry FROM larder.members m WHERE m.item = ANY($2) \
             ) ORDER BY e.nr FOR UPDATE OF e",
            &[(&own, Type::TEXT_ARRAY), (&changed, Type::INT8_ARRAY)],
        )
        .await?
    };
    let mut others = Vec::new();
    for row in &rows {
        let holder = Holder { met: Met::read(row)?, is_shown: row.try_get(3)? };
        if !own.contains(&holder.met.key.as_str()) {
            others.push(holder);
        }
    }
    Ok(others)
}

/// The validators and the cursor of all that hold a changed item speak of what they held before, and so
/// does a fetch that is under way.
pub(crate) async fn touch(tx: &Tx, others: &[Holder], now: Time) -> Result<(), Fault> {
    if others.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = others.iter().map(|other| other.met.nr).collect();
    let shown: Vec<bool> = others.iter().map(|other| other.is_shown).collect();
    let sql = format!(
        "UPDATE larder.entries e SET version = e.version + a.shown::int, validators = '{{}}', \
         cursor = NULL, definition = CASE WHEN {LIVE} THEN '' ELSE e.definition END \
         FROM unnest($2, $3) AS a(nr, shown) WHERE e.nr = a.nr"
    );
    let clock: Option<At> = tx.lease_clock(now);
    let params = [
        (&clock as _, Type::TIMESTAMPTZ),
        (&numbers as _, Type::INT8_ARRAY),
        (&shown as _, Type::BOOL_ARRAY),
    ];
    tx.execute(&sql, &params).await.map(drop)
}

/// What the feed is told of those that look different now.
pub(crate) fn lines(others: &[Holder], now: Time) -> impl Iterator<Item = Line> {
    let shown = others.iter().filter(|other| other.is_shown);
    shown.map(move |other| Line::entry(&other.met.key, "updated", other.met.version + 1, now))
}
