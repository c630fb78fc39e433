//! Budgets: what actors may still spend, and what is in flight.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Admission, Budget, EVERYBODY, Reservation, Reserved, SECONDARY, Settlement, Time, Waits, admit,
};
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::keys::{Bytes, EVERYTHING, Parts};
use crate::rows::{bad_row, decode, encode};
use crate::tables::{Look, ON, Table, Tx, all};

/// How long the points-a-minute window is.
const MINUTE: Duration = Duration::from_mins(1);

#[derive(Default, Serialize, Deserialize)]
struct BudgetValue {
    limit: Option<u32>,
    remaining: Option<u32>,
    reset_at: Option<i64>,
    blocked_until: Option<i64>,
    minute_start: i64,
    minute_points: u32,
}

#[derive(Serialize, Deserialize)]
struct ReservationValue<'a> {
    host: &'a str,
    actor: &'a str,
    resource: &'a str,
    points: u32,
    owner: &'a str,
    taken_at: i64,
    until: i64,
}

impl ReservationValue<'_> {
    /// A reservation counts from when it was taken until its end; one from the future was taken
    /// before the clock was set back, and is lost.
    fn is_live(&self, now: Time) -> bool {
        self.taken_at <= now.plus(MINUTE).ms() && self.until > now.ms()
    }

    fn is_of(&self, host: &str, actor: &str, resource: &str) -> bool {
        (self.host, self.actor, self.resource) == (host, actor, resource)
    }
}

fn read_reservation<'a>(number: &[u8], value: &'a [u8]) -> Result<ReservationValue<'a>, Fault> {
    decode(Table::Reservations, number, value)
}

/// Takes points, if there are enough.
pub(crate) fn reserve(tx: &Tx<'_>, ask: &Reservation, now: Time) -> Result<Reserved, Fault> {
    end_reservations(tx, |_, reservation| !reservation.is_live(now))?;
    let budget = one(tx, &ask.host, &ask.actor, &ask.resource, now)?;
    let secondary = one(tx, &ask.host, &ask.actor, SECONDARY, now)?;
    let outage = one(tx, &ask.host, EVERYBODY, SECONDARY, now)?;
    let waits = Waits { secondary: Some(&secondary), outage: Some(&outage) };
    let admission = admit(Some(&budget), waits, ask, now);
    if admission != Admission::Granted {
        return Ok(Reserved::Refused(admission));
    }
    touch(tx, &ask.host, &ask.actor, &ask.resource)?;
    // The number of one that ended never names another.
    let number = tx.change_meta(|meta| {
        meta.reservation += 1;
        meta.reservation
    });
    let reservation = ReservationValue {
        host: &ask.host,
        actor: &ask.actor,
        resource: &ask.resource,
        points: ask.points,
        owner: &ask.owner,
        taken_at: now.ms(),
        until: ask.until.ms(),
    };
    tx.put(Table::Reservations, &number.to_be_bytes(), &encode(&reservation)?)?;
    Ok(Reserved::Granted(number))
}

fn end_reservations(tx: &Tx<'_>, ended: impl Fn(&[u8], &ReservationValue<'_>) -> bool) -> Result<(), Fault> {
    let mut numbers = Vec::new();
    tx.walk(Table::Reservations, EVERYTHING, |number, value| {
        if ended(number, &read_reservation(number, value)?) {
            numbers.push(number.to_vec());
        }
        ON
    })?;
    for number in numbers {
        tx.remove(Table::Reservations, &number)?;
    }
    Ok(())
}

/// Gives a reservation back and notes what the upstream said.
pub(crate) fn settle(tx: &Tx<'_>, settlement: &Settlement, now: Time) -> Result<(), Fault> {
    let Settlement { host, actor, resource, .. } = settlement;
    let id = settlement.id.to_be_bytes();
    end_reservations(tx, |number, held| {
        number == id && (held.host, held.actor) == (host.as_ref(), actor.as_ref())
    })?;
    let told = one(tx, host, actor, resource, now)?.told(settlement, now);
    let unbelieved = read(tx, host, actor, resource)?;
    let blocked_until = unbelieved.and_then(|value| value.blocked_until).map(Time::from_ms);
    write(tx, &Budget { blocked_until, ..told })?;
    match settlement.blocks() {
        Some((actor, resource, until)) => block(tx, host, &actor, &resource, until, now),
        None => Ok(()),
    }
}

/// Everything known, by host, actor and resource.
pub(crate) fn budgets(look: &impl Look, now: Time) -> Result<Vec<Budget>, Fault> {
    let names = all(look, Table::Budgets, |name, _| {
        let mut parts = Parts(name);
        let names = (parts.text(), parts.text(), parts.text());
        let (Some(host), Some(actor), Some(resource)) = names else {
            return Err(bad_row(Table::Budgets, name, "no name"));
        };
        Ok((host.into_owned(), actor.into_owned(), resource.into_owned()))
    })?;
    names.iter().map(|(host, actor, resource)| one(look, host, actor, resource, now)).collect()
}

/// A key of [`Table::Budgets`].
fn name_of(host: &str, actor: &str, resource: &str) -> Vec<u8> {
    Bytes::default().text(host).text(actor).text(resource).done()
}

fn read(look: &impl Look, host: &str, actor: &str, resource: &str) -> Result<Option<BudgetValue>, Fault> {
    let name = name_of(host, actor, resource);
    look.get(Table::Budgets, &name, |value| decode(Table::Budgets, &name, value))
}

fn write(tx: &Tx<'_>, row: &Budget) -> Result<(), Fault> {
    let value = BudgetValue {
        limit: row.limit,
        remaining: row.remaining,
        reset_at: row.reset_at.map(Time::ms),
        blocked_until: row.blocked_until.map(Time::ms),
        minute_start: row.minute_start.ms(),
        minute_points: row.minute_points,
    };
    tx.put(Table::Budgets, &name_of(&row.host, &row.actor, &row.resource), &encode(&value)?)
}

/// The row as it is believed, or one that knows nothing, with what is in flight.
fn one(look: &impl Look, host: &str, actor: &str, resource: &str, now: Time) -> Result<Budget, Fault> {
    let value = read(look, host, actor, resource)?.unwrap_or_default();
    let mut reserved = 0_u32;
    look.walk(Table::Reservations, EVERYTHING, |number, value| {
        let reservation = read_reservation(number, value)?;
        if reservation.is_of(host, actor, resource) && reservation.is_live(now) {
            reserved = reserved.saturating_add(reservation.points);
        }
        ON
    })?;
    let row = Budget {
        host: host.into(),
        actor: actor.into(),
        resource: resource.into(),
        limit: value.limit,
        remaining: value.remaining,
        reset_at: value.reset_at.map(Time::from_ms),
        blocked_until: value.blocked_until.map(Time::from_ms),
        minute_start: Time::from_ms(value.minute_start),
        minute_points: value.minute_points,
        reserved,
    };
    Ok(row.believed(now))
}

/// Makes the row where there is none.
fn touch(tx: &Tx<'_>, host: &str, actor: &str, resource: &str) -> Result<(), Fault> {
    let name = name_of(host, actor, resource);
    if tx.has(Table::Budgets, &name)? {
        return Ok(());
    }
    tx.put(Table::Budgets, &name, &encode(&BudgetValue::default())?)
}

/// The longer wait holds, unless a clock that was ahead noted it.
fn block(tx: &Tx<'_>, host: &str, actor: &str, resource: &str, until: Time, now: Time) -> Result<(), Fault> {
    let name = name_of(host, actor, resource);
    let mut value = read(tx, host, actor, resource)?.unwrap_or_default();
    let until = until.min(now.plus(Budget::WAIT_MAX)).ms();
    let furthest = Budget::furthest(now).ms();
    let held = value.blocked_until.filter(|held| *held > until && *held <= furthest);
    value.blocked_until = Some(held.unwrap_or(until));
    tx.put(Table::Budgets, &name, &encode(&value)?)
}

/// A key of [`Table::Actors`].
fn actor_name(host: &str, credential: &str) -> Vec<u8> {
    Bytes::default().text(host).text(credential).done()
}

/// The actor that a credential stands for.
pub(crate) fn actor(look: &impl Look, host: &str, credential: &str) -> Result<Option<Arc<str>>, Fault> {
    let name = actor_name(host, credential);
    look.get(Table::Actors, &name, |value| {
        let actor =
            std::str::from_utf8(value).map_err(|error| bad_row(Table::Actors, &name, &error.to_string()));
        actor.map(Arc::from)
    })
}

/// Remembers the actor behind a credential.
pub(crate) fn set_actor(tx: &Tx<'_>, host: &str, credential: &str, actor: &str) -> Result<(), Fault> {
    tx.put(Table::Actors, &actor_name(host, credential), actor.as_bytes())
}
