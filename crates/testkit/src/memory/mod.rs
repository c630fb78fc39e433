//! A store in memory: the contract written down as plainly as possible, for simulations to run on
//! and for other stores to be compared with. Nothing is fast here, and nothing is clever.
//!
//! Clones are handles on one store, as processes have them. Each call is one step under one lock, so
//! that it is a transaction by itself.

mod budgets;
mod commit;
mod entries;
mod list;
mod moving;
mod port;
mod search;
mod state;
mod sweep;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_core::StoreError;
use tokio::sync::Notify;

use state::State;

/// The reference store. Cheap to clone; clones are one store.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    committed: Arc<Notify>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    fn read<T>(&self, work: impl FnOnce(&State) -> T) -> T {
        work(&self.state())
    }

    /// One transaction: what fails changes nothing.
    fn write<T>(&self, work: impl FnOnce(&mut State) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let done = {
            let mut state = self.state();
            let before = state.clone();
            let done = work(&mut state);
            match &done {
                Ok(_) => state.commits += 1,
                Err(_) => *state = before,
            }
            done
        };
        self.committed.notify_waiters();
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What this store says when it cannot do something.
fn failed(attempted: &'static str, cause: String) -> StoreError {
    StoreError::Failed { place: PLACE.to_owned(), attempted, cause }
}

/// What this store calls itself.
const PLACE: &str = "memory";
