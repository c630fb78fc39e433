//! Budgets in memory, by the rules that every store keeps, with everything that was noted open to
//! the tests. Two clients on one of these are two processes on one store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use larder_core::{
    Admission, Budget, Budgets, EVERYBODY, Fingerprint, Reservation, Reserved, SECONDARY, Settlement,
    StoreError, Time, Waits, admit,
};

/// Budgets of one store.
#[derive(Default)]
pub(crate) struct MemoryBudgets(Mutex<Books>);

#[derive(Default)]
struct Books {
    rows: BTreeMap<(String, String, String), Budget>,
    reservations: BTreeMap<u64, Reservation>,
    actors: BTreeMap<String, Arc<str>>,
    next: u64,
    read_only: bool,
}

impl MemoryBudgets {
    /// From now on nothing can be written.
    pub(crate) fn make_read_only(&self) {
        self.0.lock().unwrap().read_only = true;
    }

    /// How many reservations are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.lock().unwrap().reservations.len()
    }

    /// Everything that is kept, as text.
    pub(crate) fn dump(&self) -> String {
        let books = self.0.lock().unwrap();
        format!("{:?} {:?} {:?}", books.rows, books.reservations, books.actors)
    }

    /// The row of one actor's resource.
    pub(crate) fn row(&self, actor: &str, resource: &str) -> Option<Budget> {
        let books = self.0.lock().unwrap();
        books.rows.values().find(|row| &*row.actor == actor && &*row.resource == resource).cloned()
    }
}

impl Books {
    fn row(&mut self, host: &str, actor: &str, resource: &str, now: Time) -> &mut Budget {
        let key = (host.to_owned(), actor.to_owned(), resource.to_owned());
        self.rows.entry(key).or_insert_with(|| Budget {
            host: host.into(),
            actor: actor.into(),
            resource: resource.into(),
            limit: None,
            remaining: None,
            reset_at: None,
            blocked_until: None,
            minute_start: now,
            minute_points: 0,
            reserved: 0,
        })
    }

    /// What is in flight.
    fn reserved(&self, actor: &str, resource: &str) -> u32 {
        let is_meant = |held: &&Reservation| (&*held.actor, &*held.resource) == (actor, resource);
        self.reservations.values().filter(is_meant).map(|held| held.points).sum()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::ReadOnly {
                place: "memory".to_owned(),
                cause: "a test said so".to_owned(),
                hint: None,
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Budgets for MemoryBudgets {
    async fn reserve(&self, ask: &Reservation, now: Time) -> Result<Reserved, StoreError> {
        let mut books = self.0.lock().unwrap();
        books.check()?;
        books.reservations.retain(|_, held| now < held.until);
        let reserved = books.reserved(&ask.actor, &ask.resource);
        let secondary = books.row(&ask.host, &ask.actor, SECONDARY, now).clone();
        let outage = books.row(&ask.host, EVERYBODY, SECONDARY, now).clone();
        let waits = Waits { secondary: Some(&secondary), outage: Some(&outage) };
        let mut row = books.row(&ask.host, &ask.actor, &ask.resource, now).clone();
        row.reserved = reserved;
        match admit(Some(&row), waits, ask, now) {
            Admission::Granted => {
                books.next += 1;
                let id = books.next;
                books.reservations.insert(id, ask.clone());
                Ok(Reserved::Granted(id))
            }
            wait @ Admission::Wait { .. } => Ok(Reserved::Refused(wait)),
        }
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Result<(), StoreError> {
        let mut books = self.0.lock().unwrap();
        books.check()?;
        books.reservations.remove(&settlement.id);
        let Settlement { host, actor, resource, .. } = settlement;
        let reserved = books.reserved(actor, resource);
        let row = books.row(host, actor, resource, now);
        *row = Budget { reserved, ..row.clone() }.told(settlement, now);
        if let Some((actor, resource, until)) = settlement.blocks() {
            books.row(host, &actor, &resource, now).blocked_until = Some(until);
        }
        Ok(())
    }

    async fn budgets(&self, _now: Time) -> Result<Vec<Budget>, StoreError> {
        Ok(self.0.lock().unwrap().rows.values().cloned().collect())
    }

    async fn actor(&self, host: &str, credential: &Fingerprint) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.0.lock().unwrap().actors.get(&format!("{host} {credential}")).cloned())
    }

    async fn set_actor(&self, host: &str, credential: &Fingerprint, actor: &str) -> Result<(), StoreError> {
        let mut books = self.0.lock().unwrap();
        books.check()?;
        books.actors.insert(format!("{host} {credential}"), actor.into());
        Ok(())
    }
}
