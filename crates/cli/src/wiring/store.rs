//! Opening whichever store is configured. What is not configured is not touched: who reads a SQLite
//! file starts no pool, reads no certificates and opens nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_core::{Budgets, Clock as _, Store, StoreError, ViewSpec};
use larder_domain::{ARTIFACTS, PROJECTS, REPOSITORIES, TRACKERS};
use larder_engine::SystemClock;
use larder_store_postgres::{Listen, PostgresStore, Statements};
use larder_store_redb::{Hold, RedbStore};
use larder_store_sqlite::SqliteStore;

use super::refused;
use crate::config::{Config, PostgresUrl, StoreServer, StoreUrl};
use crate::report::Complaint;

/// The kinds that stores make lists, views and indexes for.
const VIEWS: [ViewSpec; 4] = [REPOSITORIES, TRACKERS, PROJECTS, ARTIFACTS];

/// A store of any kind, open, with the budgets that live in it.
#[derive(Clone)]
pub struct AnyStore {
    store: Arc<dyn Store>,
    budgets: Arc<dyn Budgets>,
    recovered: Option<PathBuf>,
    sqlite: Option<SqliteStore>,
    postgres: Option<PostgresStore>,
}

/// How long whoever opens a store means to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// For one command: what has one user at a time is held for a call, and nobody listens.
    Short,
    /// Until it is stopped, as a server.
    Long,
}

impl AnyStore {
    /// Opens the store that is configured, and makes it where there is none.
    pub async fn open(config: &Config, stay: Stay) -> Result<AnyStore, Complaint> {
        match &config.store.url.value {
            StoreUrl::Sqlite(path) => {
                let store = SqliteStore::open(sqlite(path))?;
                let recovered = store.recovered();
                Ok(AnyStore { recovered, sqlite: Some(store.clone()), ..AnyStore::of(Arc::new(store)) })
            }
            StoreUrl::Redb(path) => {
                let hold = if stay == Stay::Long { Hold::Throughout } else { Hold::PerCall };
                let options = larder_store_redb::OpenOptions::new(path, SystemClock.now());
                let options = larder_store_redb::OpenOptions { hold, ..options };
                let store = RedbStore::open(options).map_err(|error| not_opened(error, config))?;
                let recovered = store.recovered();
                Ok(AnyStore { recovered, ..AnyStore::of(Arc::new(store)) })
            }
            StoreUrl::Postgres(url) => {
                let options = postgres(url, &config.store.server, stay);
                // Boxed, so that the other stores' openings carry none of its state.
                let store = Box::pin(PostgresStore::open(options)).await;
                let store = store.map_err(|error| refused::complaint(error, url, config))?;
                Ok(AnyStore { postgres: Some(store.clone()), ..AnyStore::of(Arc::new(store)) })
            }
        }
    }

    fn of<S: Store + Budgets + 'static>(store: Arc<S>) -> AnyStore {
        AnyStore { store: store.clone(), budgets: store, recovered: None, sqlite: None, postgres: None }
    }

    /// Entries and what belongs to them.
    pub fn entries(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What may still be spent upstream.
    pub fn budgets(&self) -> &Arc<dyn Budgets> {
        &self.budgets
    }

    /// Leaves to the process's end what that ends faster.
    pub fn abandon(&self) {
        if let Some(store) = &self.sqlite {
            store.abandon();
        }
    }

    /// Why a database may be read and not written, where it tells; of a file its disk does.
    pub async fn forbids_writing(&self) -> Result<Option<StoreError>, StoreError> {
        match &self.postgres {
            Some(store) => store.forbids_writing().await,
            None => Ok(None),
        }
    }

    /// Where a damaged database was moved to while it was opened; the store then began anew.
    pub fn recovered(&self) -> Option<&PathBuf> {
        self.recovered.as_ref()
    }
}

/// Why a redb file could not be opened; one that a server holds can be had from that.
fn not_opened(error: StoreError, config: &Config) -> Complaint {
    let is_held = matches!(error, StoreError::Held { .. });
    match crate::detach::server_of(config).filter(|_| is_held) {
        Some(server) => Complaint::failed(error.to_string()).hint(format!(
            "ask the `larder serve` at {}, which holds it, or stop that; many at once can use a SQLite \
             store: `[store] url`",
            server.url
        )),
        None => error.into(),
    }
}

/// Why nobody but the one who asks may use a SQLite file now, and who does.
pub fn in_use(error: StoreError, config: &Config) -> Complaint {
    let is_busy = matches!(error, StoreError::Busy { .. });
    match crate::detach::server_of(config).filter(|_| is_busy) {
        Some(server) => Complaint::failed(error.to_string())
            .hint(format!("stop the `larder serve` at {}, which uses it", server.url)),
        None => error.into(),
    }
}

/// How a SQLite file is opened.
pub fn sqlite(path: &Path) -> larder_store_sqlite::OpenOptions {
    let options = larder_store_sqlite::OpenOptions::new(path, SystemClock.now());
    larder_store_sqlite::OpenOptions { views: VIEWS.to_vec(), ..options }
}

/// How a PostgreSQL database is opened.
pub fn postgres(url: &PostgresUrl, server: &StoreServer, stay: Stay) -> larder_store_postgres::OpenOptions {
    let listen = match (stay, &server.listen_url) {
        (Stay::Short, _) => Listen::Never,
        (Stay::Long, None) => Listen::Here,
        (Stay::Long, Some(url)) => Listen::At(url.value.address().clone()),
    };
    let number = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
    larder_store_postgres::OpenOptions {
        views: VIEWS.to_vec(),
        pool_size: number(server.pool_size.value),
        max_overflow: number(server.max_overflow.value),
        pool_timeout: server.pool_timeout.value,
        // Where nobody set it, the address may say it.
        connect_timeout: server.connect_timeout.is_set().then_some(server.connect_timeout.value),
        statement_timeout: server.statement_timeout.value,
        statements: if server.prepared.value { Statements::Prepared } else { Statements::Unnamed },
        listen,
        ..larder_store_postgres::OpenOptions::new(url.address().clone(), Arc::new(SystemClock))
    }
}
