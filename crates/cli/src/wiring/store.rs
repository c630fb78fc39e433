//! Opening whichever store is configured. What is not configured is not touched: who reads a SQLite
//! file starts no pool, reads no certificates and opens nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use larder_core::{Budgets, Clock as _, Store};
use larder_domain::{REPOSITORIES, TRACKERS};
use larder_engine::SystemClock;
use larder_store_sqlite::{OpenOptions, SqliteStore};

use crate::config::{Config, StoreUrl};
use crate::report::Complaint;

/// A store of any kind, open, with the budgets that live in it.
#[derive(Clone)]
pub struct AnyStore {
    store: Arc<dyn Store>,
    budgets: Arc<dyn Budgets>,
    recovered: Option<PathBuf>,
}

impl AnyStore {
    /// Opens the store that is configured, and makes it where there is none.
    pub fn open(config: &Config) -> Result<AnyStore, Complaint> {
        let StoreUrl::Sqlite(path) = &config.store.url.value;
        let options =
            OpenOptions { views: vec![REPOSITORIES, TRACKERS], ..OpenOptions::new(path, SystemClock.now()) };
        let store = SqliteStore::open(options)?;
        let recovered = store.recovered();
        Ok(AnyStore { recovered, ..AnyStore::of(Arc::new(store)) })
    }

    fn of<S: Store + Budgets + 'static>(store: Arc<S>) -> AnyStore {
        AnyStore { store: store.clone(), budgets: store, recovered: None }
    }

    /// Entries and what belongs to them.
    pub fn entries(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What may still be spent upstream.
    pub fn budgets(&self) -> &Arc<dyn Budgets> {
        &self.budgets
    }

    /// Where a damaged database was moved to while it was opened; the store then began anew.
    pub fn recovered(&self) -> Option<&PathBuf> {
        self.recovered.as_ref()
    }
}
