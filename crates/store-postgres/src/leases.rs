//! Leases: who may refresh an entry, until when, under which fencing token.

use std::collections::HashMap;

use larder_core::{
    Acquired, Extent, Key, Lease, LeaseAsk, Member, Stored, TOUCHED, TOUCHED_BEFORE, Time, Token,
};
use tokio_postgres::types::Type;

use crate::entries::{self, texts};
use crate::errors::Fault;
use crate::json::clean;
use crate::markers;
use crate::rows::{EntryRow, int, ms, number};
use crate::transaction::Tx;

/// Whether a lease of `e` holds, with `$1` = the caller's now, or NULL = the database's.
///
/// Callers read their clocks before they wait, so a lease may have been taken a little later than the
/// `now` of whoever meets it; only one from further ahead was taken before the clock was set back.
pub(crate) const LIVE: &str = "(e.lease_until IS NOT NULL AND e.lease_until > coalesce($1, clock_timestamp()) \
    AND e.lease_until <= coalesce($1, clock_timestamp()) + (e.lease_length + 60000) * interval '1 millisecond')";

/// Takes the leases that are free, in the order asked.
pub(crate) async fn acquire(tx: &Tx, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, Fault> {
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Key> = asks.iter().map(|ask| ask.key.clone()).collect();
    let (under_way, rows, live) = together!(
        markers::under_way(tx),
        entries::make_and_lock(tx, &keys, now),
        live_among(tx, &keys, now),
    );
    under_way?;
    let (rows, live) = (rows?, live?);
    let rows: HashMap<&Key, &EntryRow> = rows.iter().map(|row| (&row.entry.key, row)).collect();
    let mut verdicts = Vec::with_capacity(asks.len());
    let mut wanted: Vec<(i64, &LeaseAsk)> = Vec::new();
    for ask in asks {
        let row = rows.get(&ask.key).ok_or_else(|| Fault::Wrong(format!("`{}` has no row", ask.key)))?;
        let verdict = if ask.unless_newer_than.is_some_and(|began| row.entry.began > began) {
            Verdict::Newer
        } else if live.contains(&row.nr) || wanted.iter().any(|(nr, _)| *nr == row.nr) {
            Verdict::Held
        } else {
            wanted.push((row.nr, ask));
            Verdict::Granted
        };
        verdicts.push((verdict, *row, ask));
    }
    let is_whole = |verdict: Verdict, ask: &LeaseAsk| match verdict {
        Verdict::Held => false,
        Verdict::Newer => true,
        Verdict::Granted => ask.extent == Extent::Whole,
    };
    let shown: Vec<i64> = verdicts
        .iter()
        .filter(|(verdict, _, ask)| is_whole(*verdict, ask))
        .map(|(_, row, _)| row.nr)
        .collect();
    let (leases, members) = tx
        .conclude(async {
            let (leases, members) = together!(take(tx, &wanted, now), entries::members_of(tx, &shown));
            Ok((leases?, members?))
        })
        .await?;
    answer(verdicts, &leases, &members)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Granted,
    Held,
    Newer,
}

fn answer(
    verdicts: Vec<(Verdict, &EntryRow, &LeaseAsk)>,
    leases: &HashMap<i64, Lease>,
    members: &HashMap<i64, Vec<Member>>,
) -> Result<Vec<Acquired>, Fault> {
    let stored = |row: &EntryRow, lease: Option<Lease>| {
        let mut entry = row.entry.clone();
        entry.lease = lease;
        Box::new(Stored { entry, members: members.get(&row.nr).cloned().unwrap_or_default() })
    };
    let mut acquired = Vec::with_capacity(verdicts.len());
    for (verdict, row, ask) in verdicts {
        let taken = leases.get(&row.nr).cloned();
        let none = || Fault::Wrong(format!("the lease on `{}` was not taken", ask.key));
        acquired.push(match verdict {
            Verdict::Granted => {
                let lease = taken.ok_or_else(none)?;
                let mut stored = stored(row, Some(lease.clone()));
                stored.entry.definition = row.entry.definition_under_lease();
                Acquired::Granted(lease, stored)
            }
            // Asked for twice at once, it is held by the first wish.
            Verdict::Held => Acquired::Held(taken.or_else(|| row.entry.lease.clone()).ok_or_else(none)?),
            Verdict::Newer => Acquired::Newer(stored(row, row.entry.lease.clone())),
        });
    }
    Ok(acquired)
}

/// The numbers of those rows whose lease holds.
async fn live_among(tx: &Tx, keys: &[Key], now: Time) -> Result<Vec<i64>, Fault> {
    let sql = format!("SELECT e.nr FROM larder.entries e WHERE e.key = ANY($2) AND {LIVE}");
    let params = [(&tx.lease_clock(now) as _, Type::TIMESTAMPTZ), (&texts(keys) as _, Type::TEXT_ARRAY)];
    let rows = tx.query(&sql, &params).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

async fn take(tx: &Tx, wanted: &[(i64, &LeaseAsk)], now: Time) -> Result<HashMap<i64, Lease>, Fault> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let numbers: Vec<i64> = wanted.iter().map(|(nr, _)| *nr).collect();
    let owners: Vec<_> = wanted.iter().map(|(_, ask)| clean(&ask.owner)).collect();
    let lengths: Vec<i64> = wanted.iter().map(|(_, ask)| ms(ask.length)).collect();
    let rows = tx
        .query(
            "UPDATE larder.entries e SET lease_owner = a.owner, \
             lease_until = coalesce($1, clock_timestamp()) + a.length * interval '1 millisecond', \
             lease_length = a.length, lease_epoch = m.epoch, lease_seq = nextval('larder.sequence'), \
             unconfigured_since = NULL, definition = CASE WHEN e.fetched_at IS NOT NULL AND e.definition = $5 THEN $6 ELSE e.definition END \
             FROM unnest($2, $3, $4) AS a(nr, owner, length) CROSS JOIN larder.meta m WHERE e.nr = a.nr \
             RETURNING e.nr, e.lease_epoch, e.lease_seq",
            &[
                (&tx.lease_clock(now), Type::TIMESTAMPTZ),
                (&numbers, Type::INT8_ARRAY),
                (&owners, Type::TEXT_ARRAY),
                (&lengths, Type::INT8_ARRAY),
                (&TOUCHED, Type::TEXT),
                (&TOUCHED_BEFORE, Type::TEXT),
            ],
        )
        .await?;
    let mut leases = HashMap::with_capacity(rows.len());
    for row in &rows {
        let nr: i64 = row.try_get(0)?;
        let Some((_, ask)) = wanted.iter().find(|(wanted, _)| *wanted == nr) else { continue };
        let token = Token { epoch: row.try_get(1)?, seq: number(row, 2)? };
        let lease = Lease {
            key: ask.key.clone(),
            owner: ask.owner.clone(),
            until: now.plus(ask.length),
            length: ask.length,
            token,
        };
        leases.insert(nr, lease);
    }
    Ok(leases)
}

/// Moves the ends of leases on.
pub(crate) async fn renew(tx: &Tx, leases: &[Lease], now: Time) -> Result<Vec<bool>, Fault> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<&str> = leases.iter().map(|lease| lease.key.as_str()).collect();
    let lengths: Vec<i64> = leases.iter().map(|lease| ms(lease.length)).collect();
    let epochs: Vec<i64> = leases.iter().map(|lease| lease.token.epoch).collect();
    let numbers: Vec<i64> = leases.iter().map(|lease| int(lease.token.seq)).collect();
    let sql = format!(
        "UPDATE larder.entries e SET \
         lease_until = coalesce($1, clock_timestamp()) + a.length * interval '1 millisecond', \
         lease_length = a.length \
         FROM unnest($2, $3, $4, $5) AS a(key, length, epoch, seq) \
         WHERE e.key = a.key AND e.lease_epoch = a.epoch AND e.lease_seq = a.seq AND {LIVE} \
         RETURNING e.key, e.lease_seq"
    );
    let params = [
        (&tx.lease_clock(now) as _, Type::TIMESTAMPTZ),
        (&keys as _, Type::TEXT_ARRAY),
        (&lengths as _, Type::INT8_ARRAY),
        (&epochs as _, Type::INT8_ARRAY),
        (&numbers as _, Type::INT8_ARRAY),
    ];
    let lock = "SELECT nr FROM larder.entries WHERE key = ANY($1) ORDER BY nr FOR UPDATE";
    let renewed = tx
        .conclude(async {
            let (locked, renewed) =
                together!(tx.execute(lock, &[(&keys, Type::TEXT_ARRAY)]), tx.query(&sql, &params));
            locked?;
            renewed
        })
        .await?;
    let renewed: Vec<(&str, i64)> = renewed
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    Ok(leases.iter().map(|lease| renewed.contains(&(lease.key.as_str(), int(lease.token.seq)))).collect())
}
