//! One flight per entry in this process: readers of one key share one refresh.
//!
//! A flight is a task of its own that its readers watch, so that a reader who goes away never
//! takes it along. A forced refresh that meets a flight waits for the next one, which all forced
//! ones that come meanwhile share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::Shared;
use larder_core::{Key, Priority};
use tokio::sync::{Notify, oneshot};

use crate::{RefreshError, Refreshed};

/// How a flight's end is awaited. Those who wait are woken in the order in which they came, so that
/// a run can be repeated.
pub(crate) type Landing = Shared<oneshot::Receiver<Arc<Refreshed>>>;

/// The flights of this process.
pub(crate) struct Flights {
    slots: Arc<Mutex<HashMap<Key, Slot>>>,
    /// Told when a flight is over whose entry was marked due meanwhile.
    marked: Arc<Notify>,
}

/// The flight of one key, and the one behind it.
struct Slot {
    current: Flight,
    next: Option<Flight>,
    /// A trigger came while it was in the air, and wants a later one.
    is_marked: bool,
}

#[derive(Clone)]
struct Flight {
    id: u64,
    landing: Landing,
    urgency: Arc<Mutex<Priority>>,
}

impl Flight {
    /// Somebody so urgent waits for it too.
    fn raise(&self, urgency: Priority) {
        let mut own = self.urgency.lock().unwrap_or_else(PoisonError::into_inner);
        *own = urgency.max(*own);
    }
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
    marked: Arc<Notify>,
    urgency: Arc<Mutex<Priority>>,
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
    /// None yet.
    pub(crate) fn new(marked: Arc<Notify>) -> Self {
        Flights { slots: Arc::default(), marked }
    }

    /// Notes that entries were marked due: those that are being refreshed are wanted once more behind that.
    pub(crate) fn note_marked(&self, keys: &[Key]) {
        let mut slots = lock(&self.slots);
        for key in keys {
            if let Some(slot) = slots.get_mut(key) {
                slot.is_marked = true;
            }
        }
    }

    /// Whether somebody flies the key, or waits to.
    pub(crate) fn has(&self, key: &Key) -> bool {
        lock(&self.slots).contains_key(key)
    }

    /// Those of the keys that nobody flies.
    pub(crate) fn on_the_ground(&self, keys: Vec<Key>) -> Vec<Key> {
        let slots = lock(&self.slots);
        keys.into_iter().filter(|key| !slots.contains_key(key)).collect()
    }

    /// Joins the key's flight, which is as urgent from then on, or leads a new one.
    pub(crate) fn board(&self, key: &Key, boarding: Boarding, urgency: Priority) -> Boarded {
        let mut slots = lock(&self.slots);
        let Some(slot) = slots.get_mut(key) else {
            let (pilot, flight) = self.pilot(key, 0, None, urgency);
            let landing = flight.landing.clone();
            slots.insert(key.clone(), Slot { current: flight, next: None, is_marked: false });
            return Boarded::Leads(pilot, landing);
        };
        slot.current.raise(urgency);
        if let (Boarding::NotYetBegun, Some(next)) = (boarding, &slot.next) {
            next.raise(urgency);
        }
        match (boarding, &slot.next) {
            (Boarding::Any, _) => Boarded::Joined(slot.current.landing.clone()),
            (Boarding::NotYetBegun, Some(next)) => Boarded::Joined(next.landing.clone()),
            (Boarding::NotYetBegun, None) => {
                let after = Some(slot.current.landing.clone());
                let (pilot, flight) = self.pilot(key, slot.current.id + 1, after, urgency);
                let landing = flight.landing.clone();
                slot.next = Some(flight);
                Boarded::Leads(pilot, landing)
            }
        }
    }

    fn pilot(&self, key: &Key, id: u64, after: Option<Landing>, urgency: Priority) -> (Pilot, Flight) {
        let (sender, landing) = oneshot::channel();
        let (slots, marked) = (self.slots.clone(), self.marked.clone());
        let flight = Flight { id, landing: landing.shared(), urgency: Arc::new(Mutex::new(urgency)) };
        let urgency = flight.urgency.clone();
        let pilot = Pilot { key: key.clone(), id, sender: Some(sender), slots, marked, urgency, after };
        (pilot, flight)
    }
}

impl Pilot {
    /// How urgent the most urgent are who wait for it by now.
    pub(crate) fn urgency(&self) -> Priority {
        *self.urgency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lands: the next flight takes this one's place, and watchers get the result. In this order: whoever
    /// is woken by it and wants the entry again must not board what has landed.
    pub(crate) fn land(mut self, refreshed: Refreshed) {
        self.end(refreshed);
    }

    fn end(&mut self, refreshed: Refreshed) {
        let Some(sender) = self.sender.take() else { return };
        if self.leave() {
            self.marked.notify_one();
        }
        // All who wanted it may have gone; what was committed is committed.
        let _ = sender.send(Arc::new(refreshed));
    }

    /// Gives up the flight's place; answers whether its entry was marked due meanwhile.
    fn leave(&self) -> bool {
        let mut slots = lock(&self.slots);
        let Some(slot) = slots.get_mut(&self.key) else { return false };
        if slot.current.id != self.id {
            slot.next.take_if(|next| next.id == self.id);
            return false;
        }
        let is_marked = slot.is_marked;
        match slot.next.take() {
            Some(next) => *slot = Slot { current: next, next: None, is_marked: false },
            None => drop(slots.remove(&self.key)),
        }
        is_marked
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        let interrupted =
            Refreshed { key: self.key.clone(), result: Err(RefreshError::Interrupted), stored: None };
        self.end(interrupted);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;

    /// Boards when it is woken, on the spot.
    struct Returns {
        flights: Flights,
        key: Key,
        has_led: AtomicBool,
    }

    impl Wake for Returns {
        fn wake(self: Arc<Self>) {
            let boarded = self.flights.board(&self.key, Boarding::Any, Priority::Waiting);
            self.has_led.store(matches!(boarded, Boarded::Leads(..)), Ordering::SeqCst);
        }
    }

    fn landed_well(key: &Key) -> Refreshed {
        Refreshed { key: key.clone(), result: Err(RefreshError::Interrupted), stored: None }
    }

    #[test]
    fn whoever_is_woken_by_a_landing_does_not_board_what_has_landed() {
        let key: Key = "shelf/a".parse().unwrap();
        let flights = Flights::new(Arc::default());
        let Boarded::Leads(pilot, mut landing) = flights.board(&key, Boarding::Any, Priority::Waiting) else {
            panic!()
        };
        let returns = Arc::new(Returns { flights, key: key.clone(), has_led: AtomicBool::new(false) });
        let waker = Waker::from(returns.clone());
        assert!(landing.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        pilot.land(landed_well(&key));
        assert!(returns.has_led.load(Ordering::SeqCst));
    }

    #[test]
    fn what_is_marked_in_the_air_is_told_of_when_it_has_landed() {
        let key: Key = "shelf/a".parse().unwrap();
        let marked = Arc::new(Notify::new());
        let flights = Flights::new(marked.clone());
        let is_told = || marked.notified().now_or_never().is_some();
        let Boarded::Leads(pilot, _) = flights.board(&key, Boarding::Any, Priority::Waiting) else {
            panic!()
        };
        pilot.land(landed_well(&key));
        assert!(!is_told(), "nobody marked it");
        let Boarded::Leads(pilot, _) = flights.board(&key, Boarding::Any, Priority::Waiting) else {
            panic!()
        };
        flights.note_marked(std::slice::from_ref(&key));
        pilot.land(landed_well(&key));
        assert!(is_told());
    }
}
