//! Leases: who may refresh an entry, until when, under which fencing token.

use std::time::Duration;

use larder_core::{Acquired, Extent, Lease, LeaseAsk, Stored, Time};

use crate::entries;
use crate::errors::Fault;
use crate::tables::Tx;

/// Callers read their clocks before they wait for the writer, so a lease may have been taken a
/// little later than the `now` of whoever meets it; only one from further ahead was taken before
/// the clock was set back.
const QUEUE_SLACK: Duration = Duration::from_mins(1);

/// Whether a lease still holds for a caller whose clock was read at `now`.
pub(crate) fn holds(lease: &Lease, now: Time) -> bool {
    let taken = lease.until.minus(lease.length);
    let now = if taken.since(now) <= QUEUE_SLACK { now.max(taken) } else { now };
    lease.is_live(now)
}

/// Takes the leases that are free, in the order asked.
pub(crate) fn acquire(tx: &Tx<'_>, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, Fault> {
    asks.iter().map(|ask| acquire_one(tx, ask, now)).collect()
}

fn acquire_one(tx: &Tx<'_>, ask: &LeaseAsk, now: Time) -> Result<Acquired, Fault> {
    let mut row = entries::find_or_empty(tx, &ask.key, now)?;
    if ask.unless_newer_than.is_some_and(|began| row.entry.began > began) {
        let members = entries::members(tx, &ask.key)?;
        return Ok(Acquired::Newer(Box::new(Stored { entry: row.entry, members })));
    }
    if let Some(held) = row.entry.lease.take_if(|lease| holds(lease, now)) {
        return Ok(Acquired::Held(held));
    }
    let lease = Lease {
        key: ask.key.clone(),
        owner: ask.owner.clone(),
        until: now.plus(ask.length),
        length: ask.length,
        token: tx.change_meta(crate::sequence::Meta::next),
    };
    row.entry.lease = Some(lease.clone());
    row.entry.definition = row.entry.definition_under_lease();
    row.unconfigured_since = None;
    entries::save(tx, &row)?;
    let members = match ask.extent {
        Extent::Whole => entries::members(tx, &ask.key)?,
        Extent::Row => Vec::new(),
    };
    Ok(Acquired::Granted(lease, Box::new(Stored { entry: row.entry, members })))
}

/// Moves the ends of leases on.
pub(crate) fn renew(tx: &Tx<'_>, leases: &[Lease], now: Time) -> Result<Vec<bool>, Fault> {
    let mut renewed = Vec::with_capacity(leases.len());
    for lease in leases {
        let mut row = entries::find(tx, &lease.key)?;
        let held = row.as_mut().and_then(|row| row.entry.lease.as_mut());
        let ours = held.filter(|held| held.token == lease.token && holds(held, now));
        let is_held = ours.is_some();
        if let Some(held) = ours {
            held.until = now.plus(lease.length);
            held.length = lease.length;
        }
        if let Some(row) = row.filter(|_| is_held) {
            entries::save(tx, &row)?;
        }
        renewed.push(is_held);
    }
    Ok(renewed)
}
