//! One flight per entry in this process: readers of one key share one refresh.
//!
//! A flight is a task of its own that its readers watch, so that a reader who goes away never
//! takes it along. A forced refresh that meets a flight waits for the next one, which all forced
//! ones that come meanwhile share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::Shared;
use larder_core::Key;
use tokio::sync::oneshot;

use crate::{RefreshError, Refreshed};

/// How a flight's end is awaited. Those who wait are woken in the order in which they came, so that
/// a run can be repeated.
pub(crate) type Landing = Shared<oneshot::Receiver<Arc<Refreshed>>>;

/// The flights of this process.
#[derive(Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<Key, Slot>>>);

/// The flight of one key, and the one behind it.
struct Slot {
    current: Flight,
    next: Option<Flight>,
}

#[derive(Clone)]
struct Flight {
    id: u64,
    landing: Landing,
}

/// What boarding came to.
pub(crate) enum Boarded {
    /// Somebody else's flight: watch it.
    Joined(Landing),
    /// A new flight, to be flown by whoever boarded.
    Leads(Pilot, Landing),
}

/// The one who flies a flight and must land it. Dropped without landing (a panic, a runtime that
/// stops), it lands as interrupted, so that nobody waits for ever.
pub(crate) struct Pilot {
    key: Key,
    id: u64,
    /// Gone once it has landed.
    sender: Option<oneshot::Sender<Arc<Refreshed>>>,
    slots: Arc<Mutex<HashMap<Key, Slot>>>,
    /// The flight to wait for before taking off.
    pub(crate) after: Option<Landing>,
}

/// Whether a flight that is under way will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boarding {
    /// Any flight will do.
    Any,
    /// Only one that has not begun yet.
    NotYetBegun,
}

impl Flights {
    /// Joins the key's flight, or leads a new one.
    pub(crate) fn board(&self, key: &Key, boarding: Boarding) -> Boarded {
        let mut slots = lock(&self.0);
        let Some(slot) = slots.get_mut(key) else {
            let (pilot, flight) = self.pilot(key, 0, None);
            let landing = flight.landing.clone();
            slots.insert(key.clone(), Slot { current: flight, next: None });
            return Boarded::Leads(pilot, landing);
        };
        match (boarding, &slot.next) {
            (Boarding::Any, _) => Boarded::Joined(slot.current.landing.clone()),
            (Boarding::NotYetBegun, Some(next)) => Boarded::Joined(next.landing.clone()),
            (Boarding::NotYetBegun, None) => {
                let (pilot, flight) =
                    self.pilot(key, slot.current.id + 1, Some(slot.current.landing.clone()));
                let landing = flight.landing.clone();
                slot.next = Some(flight);
                Boarded::Leads(pilot, landing)
            }
        }
    }

    fn pilot(&self, key: &Key, id: u64, after: Option<Landing>) -> (Pilot, Flight) {
        let (sender, landing) = oneshot::channel();
        let pilot = Pilot { key: key.clone(), id, sender: Some(sender), slots: self.0.clone(), after };
        (pilot, Flight { id, landing: landing.shared() })
    }
}

impl Pilot {
    /// Lands: watchers get the result, and the next flight takes this one's place.
    pub(crate) fn land(mut self, refreshed: Refreshed) {
        self.send(refreshed);
    }

    fn send(&mut self, refreshed: Refreshed) {
        if let Some(sender) = self.sender.take() {
            // All who wanted it may have gone; what was committed is committed.
            let _ = sender.send(Arc::new(refreshed));
        }
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        {
            let mut slots = lock(&self.slots);
            let is_current = slots.get(&self.key).is_some_and(|slot| slot.current.id == self.id);
            if is_current {
                match slots.remove(&self.key).and_then(|slot| slot.next) {
                    Some(next) => slots.insert(self.key.clone(), Slot { current: next, next: None }),
                    None => None,
                };
            } else if let Some(slot) = slots.get_mut(&self.key) {
                slot.next.take_if(|next| next.id == self.id);
            }
        }
        let interrupted =
            Refreshed { key: self.key.clone(), result: Err(RefreshError::Interrupted), stored: None };
        self.send(interrupted);
    }
}

/// Waits until a flight has landed.
pub(crate) async fn landed(landing: Landing) -> Arc<Refreshed> {
    match landing.await {
        Ok(refreshed) => refreshed,
        // The pilot lands in its drop at the latest, so the channel cannot close unlanded.
        Err(_) => std::future::pending().await,
    }
}

fn lock(slots: &Mutex<HashMap<Key, Slot>>) -> MutexGuard<'_, HashMap<Key, Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}
