//! What all requests share: the world, the switches, the ledger and the log behind one lock that is never held
//! across a wait, and the clock.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::faults::Faults;
use crate::graphql::Schema;
use crate::limits::Ledger;
use crate::log::Log;
use crate::switches::Switches;
use crate::world::World;

/// Tells the time, in milliseconds since 1970.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Waits for a while.
pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) now: Now,
    pub(crate) sleep: Sleep,
    pub(crate) seed: u64,
    pub(crate) schema: Schema,
    /// `http://127.0.0.1:PORT`.
    pub(crate) origin: String,
    /// How many requests have arrived.
    pub(crate) arrived: watch::Sender<u64>,
    /// Changes with every turn of the switches.
    switched: watch::Sender<u64>,
    stopped: watch::Sender<bool>,
}

pub(crate) struct State {
    pub(crate) world: Arc<World>,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    pub(crate) log: Log,
}

impl Shared {
    pub(crate) fn new(state: State, now: Now, sleep: Sleep, seed: u64, origin: String) -> Self {
        Self {
            state: Mutex::new(state),
            now,
            sleep,
            seed,
            schema: Schema::new(),
            origin,
            arrived: watch::Sender::new(0),
            switched: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_s(&self) -> i64 {
        (self.now)().div_euclid(1_000)
    }

    /// The time for headers.
    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp::from_millisecond((self.now)()).unwrap_or_default()
    }

    /// Turns the switches, and wakes what is held.
    pub(crate) fn switch(&self, switches: Switches) {
        self.state().faults.switch(switches);
        self.switched.send_modify(|turns| *turns += 1);
    }

    /// Waits while requests of this kind are held.
    pub(crate) async fn released(&self, kind: crate::log::RequestKind) {
        let mut turns = self.switched.subscribe();
        loop {
            let held = {
                let state = self.state();
                state.faults.switches().hold && state.faults.reach(kind)
            };
            if !held || turns.changed().await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Completes once the simulator stops.
    pub(crate) async fn stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender lives as long as `self`, so this ends by the value alone.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}
