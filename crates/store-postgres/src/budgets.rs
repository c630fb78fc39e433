//! Budgets: what actors may still spend, and what is in flight.

use std::sync::Arc;

use larder_core::{
    Admission, Budget, EVERYBODY, Reservation, Reserved, SECONDARY, Settlement, Time, Waits, admit,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::json::clean;
use crate::rows::{At, at, count, int, ms, number, time};
use crate::transaction::Tx;

/// A reservation counts from when it was taken until its end; one from the future was taken before
/// the clock was set back, and is lost. `$1` = now, or NULL = the database's.
const LIVE_RESERVATION: &str = "r.taken_at <= coalesce($1, clock_timestamp()) + interval '60 seconds' \
    AND r.until > coalesce($1, clock_timestamp())";

/// Takes points, if there are enough.
pub(crate) async fn reserve(tx: &Tx, ask: &Reservation, now: Time) -> Result<Reserved, Fault> {
    let sweep = format!(
        "DELETE FROM larder.reservations WHERE nr IN (SELECT r.nr FROM larder.reservations r \
         WHERE NOT ({LIVE_RESERVATION}) ORDER BY r.nr LIMIT 1000 FOR UPDATE SKIP LOCKED)"
    );
    let clock = tx.lease_clock(now);
    let (host, actor) = (&*ask.host, &*ask.actor);
    let (touched, locked, swept, budget, secondary, outage) = together!(
        touch(tx, host, actor, &ask.resource),
        lock(tx, host, &[(actor, &ask.resource)]),
        tx.execute(&sweep, &[(&clock, Type::TIMESTAMPTZ)]),
        row_of(tx, host, actor, &ask.resource, now),
        row_of(tx, host, actor, SECONDARY, now),
        row_of(tx, host, EVERYBODY, SECONDARY, now),
    );
    touched?;
    locked?;
    swept?;
    let (budget, secondary, outage) = (budget?, secondary?, outage?);
    let waits = Waits { secondary: secondary.as_ref(), outage: outage.as_ref() };
    let admission = admit(budget.as_ref(), waits, ask, now);
    if admission != Admission::Granted {
        return Ok(Reserved::Refused(admission));
    }
    let length = ms(ask.until.since(now));
    let row = tx
        .conclude(tx.query_one(
            "INSERT INTO larder.reservations (host, actor, resource, points, owner, taken_at, until) \
             VALUES ($2, $3, $4, $5, $6, coalesce($1, clock_timestamp()), \
             coalesce($1, clock_timestamp()) + $7 * interval '1 millisecond') RETURNING nr",
            &[
                (&clock, Type::TIMESTAMPTZ),
                (&clean(host), Type::TEXT),
                (&clean(actor), Type::TEXT),
                (&clean(&ask.resource), Type::TEXT),
                (&i64::from(ask.points), Type::INT8),
                (&clean(&ask.owner), Type::TEXT),
                (&length, Type::INT8),
            ],
        ))
        .await?;
    Ok(Reserved::Granted(number(&row, 0)?))
}

/// Gives a reservation back and notes what the upstream said.
pub(crate) async fn settle(tx: &Tx, settlement: &Settlement, now: Time) -> Result<(), Fault> {
    let (host, actor, resource) = (&*settlement.host, &*settlement.actor, &*settlement.resource);
    let blocks = settlement.blocks();
    let other = blocks.as_ref().map_or((actor, resource), |(actor, resource, _)| (&**actor, &**resource));
    let (touched, other_touched, locked, given_back, held) = together!(
        touch(tx, host, actor, resource),
        touch(tx, host, other.0, other.1),
        lock(tx, host, &[(actor, resource), other]),
        tx.execute(
            "DELETE FROM larder.reservations WHERE nr = $1 AND host = $2 AND actor = $3",
            &[(&int(settlement.id), Type::INT8), (&clean(host), Type::TEXT), (&clean(actor), Type::TEXT)],
        ),
        row_of(tx, host, actor, resource, now),
    );
    touched?;
    other_touched?;
    locked?;
    given_back?;
    let told = held?.map(|held| held.told(settlement, now));
    tx.conclude(async {
        let (noted, blocked) = together!(
            async {
                match &told {
                    Some(told) => note(tx, told).await,
                    None => Ok(()),
                }
            },
            async {
                match blocks {
                    Some((actor, resource, until)) => block(tx, host, &actor, &resource, until, now).await,
                    None => Ok(()),
                }
            }
        );
        noted?;
        blocked
    })
    .await
}

async fn note(tx: &Tx, told: &Budget) -> Result<(), Fault> {
    tx.execute(
        "UPDATE larder.budgets SET points_limit = $4, remaining = $5, reset_at = $6, minute_start = $7, \
         minute_points = $8 WHERE host = $1 AND actor = $2 AND resource = $3",
        &[
            (&&*told.host, Type::TEXT),
            (&&*told.actor, Type::TEXT),
            (&&*told.resource, Type::TEXT),
            (&told.limit.map(i64::from), Type::INT8),
            (&told.remaining.map(i64::from), Type::INT8),
            (&at(told.reset_at), Type::TIMESTAMPTZ),
            (&At(told.minute_start), Type::TIMESTAMPTZ),
            (&i64::from(told.minute_points), Type::INT8),
        ],
    )
    .await
    .map(drop)
}

/// Everything known, by host, actor and resource.
pub(crate) async fn budgets(tx: &Tx, now: Time) -> Result<Vec<Budget>, Fault> {
    let sql = format!("{} ORDER BY b.host, b.actor, b.resource", select());
    let params = [(&tx.lease_clock(now) as _, Type::TIMESTAMPTZ)];
    let rows = tx.conclude(tx.query(&sql, &params)).await?;
    rows.iter().map(|row| read(row).map(|held| held.believed(now))).collect()
}

/// The actor that a credential stands for.
pub(crate) async fn actor(tx: &Tx, host: &str, credential: &str) -> Result<Option<Arc<str>>, Fault> {
    let rows = tx
        .conclude(tx.query(
            "SELECT actor FROM larder.actors WHERE host = $1 AND credential = $2",
            &[(&clean(host), Type::TEXT), (&clean(credential), Type::TEXT)],
        ))
        .await?;
    Ok(rows.first().map(|row| row.try_get::<_, &str>(0)).transpose()?.map(Arc::from))
}

/// Remembers the actor behind a credential.
pub(crate) async fn set_actor(tx: &Tx, host: &str, credential: &str, actor: &str) -> Result<(), Fault> {
    tx.conclude(tx.execute(
        "INSERT INTO larder.actors (host, credential, actor) VALUES ($1, $2, $3) \
         ON CONFLICT (host, credential) DO UPDATE SET actor = excluded.actor",
        &[(&clean(host), Type::TEXT), (&clean(credential), Type::TEXT), (&clean(actor), Type::TEXT)],
    ))
    .await
    .map(drop)
}

fn select() -> String {
    format!(
        "SELECT b.host, b.actor, b.resource, b.points_limit, b.remaining, b.reset_at, b.blocked_until, \
         b.minute_start, b.minute_points, coalesce((SELECT sum(r.points) FROM larder.reservations r \
         WHERE r.host = b.host AND r.actor = b.actor AND r.resource = b.resource \
         AND {LIVE_RESERVATION}), 0)::bigint FROM larder.budgets b"
    )
}

fn read(row: &Row) -> Result<Budget, Fault> {
    let text = |column| row.try_get::<_, &str>(column).map(Arc::from);
    let points = |column| {
        let points = row.try_get::<_, Option<i64>>(column)?;
        Ok::<_, Fault>(points.map(|points| u32::try_from(points.max(0)).unwrap_or(u32::MAX)))
    };
    let At(minute_start) = row.try_get(7)?;
    Ok(Budget {
        host: text(0)?,
        actor: text(1)?,
        resource: text(2)?,
        limit: points(3)?,
        remaining: points(4)?,
        reset_at: time(row, 5)?,
        blocked_until: time(row, 6)?,
        minute_start,
        minute_points: count(row, 8)?,
        reserved: count(row, 9)?,
    })
}

async fn row_of(
    tx: &Tx,
    host: &str,
    actor: &str,
    resource: &str,
    now: Time,
) -> Result<Option<Budget>, Fault> {
    let sql = format!("{} WHERE b.host = $2 AND b.actor = $3 AND b.resource = $4", select());
    let params = [
        (&tx.lease_clock(now) as _, Type::TIMESTAMPTZ),
        (&clean(host) as _, Type::TEXT),
        (&clean(actor) as _, Type::TEXT),
        (&clean(resource) as _, Type::TEXT),
    ];
    let rows = tx.query(&sql, &params).await?;
    rows.first().map(|row| read(row).map(|held| held.believed(now))).transpose()
}

/// Makes the row if there is none.
async fn touch(tx: &Tx, host: &str, actor: &str, resource: &str) -> Result<(), Fault> {
    tx.execute(
        "INSERT INTO larder.budgets (host, actor, resource, minute_start, minute_points) \
         SELECT $1, $2, $3, 'epoch', 0 WHERE NOT EXISTS \
         (SELECT 1 FROM larder.budgets WHERE host = $1 AND actor = $2 AND resource = $3) \
         ON CONFLICT DO NOTHING",
        &[(&clean(host), Type::TEXT), (&clean(actor), Type::TEXT), (&clean(resource), Type::TEXT)],
    )
    .await
    .map(drop)
}

/// Whoever takes or gives back points of a resource does so alone.
async fn lock(tx: &Tx, host: &str, rows: &[(&str, &str)]) -> Result<(), Fault> {
    let actors: Vec<_> = rows.iter().map(|(actor, _)| clean(actor)).collect();
    let resources: Vec<_> = rows.iter().map(|(_, resource)| clean(resource)).collect();
    tx.execute(
        "SELECT 1 FROM larder.budgets WHERE host = $1 \
         AND (actor, resource) IN (SELECT * FROM unnest($2, $3)) ORDER BY actor, resource FOR UPDATE",
        &[(&clean(host), Type::TEXT), (&actors, Type::TEXT_ARRAY), (&resources, Type::TEXT_ARRAY)],
    )
    .await
    .map(drop)
}

/// The longer wait holds, unless a clock that was ahead noted it.
async fn block(
    tx: &Tx,
    host: &str,
    actor: &str,
    resource: &str,
    until: Time,
    now: Time,
) -> Result<(), Fault> {
    let until = until.min(now.plus(Budget::WAIT_MAX));
    tx.execute(
        "UPDATE larder.budgets SET blocked_until = \
         CASE WHEN blocked_until > $4 AND blocked_until <= $5 THEN blocked_until ELSE $4 END \
         WHERE host = $1 AND actor = $2 AND resource = $3",
        &[
            (&clean(host), Type::TEXT),
            (&clean(actor), Type::TEXT),
            (&clean(resource), Type::TEXT),
            (&At(until), Type::TIMESTAMPTZ),
            (&At(Budget::furthest(now)), Type::TIMESTAMPTZ),
        ],
    )
    .await
    .map(drop)
}
