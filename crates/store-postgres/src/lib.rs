//! The shared store: PostgreSQL, for many instances and many users.
//!
//! [`PostgresStore`] keeps core's [`Store`](larder_core::Store) and [`Budgets`](larder_core::Budgets)
//! contracts in a schema `larder` of its own, in whatever database it is given. Every call is one
//! transaction that leaves nothing behind in its session, so that a transaction pooler may stand
//! before the database; a connection of its own hears what other instances commit.

/// Sends several statements at once, in this order, and waits for all their answers.
macro_rules! together {
    ($($work:expr),+ $(,)?) => {
        // In a block of its own a statement's values live as long as it does.
        futures::join!($(async { $work.await }),+)
    };
}

mod address;
mod budgets;
mod commit;
mod connections;
mod copy;
mod digest;
mod direct;
mod docs;
mod due;
mod entries;
mod errors;
mod export;
mod feed;
mod gather;
mod idle;
mod import;
mod invalidate;
mod items;
mod json;
mod leases;
mod life;
mod list;
mod listen;
mod markers;
mod members;
mod open;
mod others;
mod port;
mod reach;
mod reconcile;
mod reword;
mod rights;
mod rows;
mod schema;
mod search;
mod sweep;
mod tls;
mod transaction;
mod unfit;
mod verify;
mod views;
mod words;

use std::sync::Arc;

use larder_core::{ListQuery, StoreError};

use crate::address::Address;
use crate::connections::{Connections, Mode};
use crate::errors::Fault;
use crate::gather::Gathered;
use crate::listen::Listener;
use crate::transaction::Tx;

pub use address::{
    PARAMETERS, READING, check as check_address, connect_timeout as connect_timeout_of_address, is_postgres,
};
pub use open::{Listen, Migrate, OpenOptions, Statements, Times};
pub use schema::{MAGIC, SCHEMA, migrate_down, migrate_up, migrations};

/// A store in a PostgreSQL database. Cheap to clone: clones share connections.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    connections: Connections,
    address: Address,
    options: OpenOptions,
    /// When there was found to be no schema; held while it is made anew.
    missing: tokio::sync::Mutex<Option<open::Missing>>,
    listener: Option<Listener>,
    gathered: Gathered,
}

impl PostgresStore {
    /// Opens the store, making its schema if there is none, and bringing an older one up to date
    /// (unless [`Migrate::No`] forbids it). Wants a tokio runtime with I/O and time.
    ///
    /// Errors: [`StoreError::Foreign`] and [`StoreError::TooNew`] leave the database as it is;
    /// [`StoreError::Unreachable`] says that there is none to be had now.
    pub async fn open(options: OpenOptions) -> Result<PostgresStore, StoreError> {
        let opened = open::open(&options).await?;
        let listener = open::listen(&options, &opened)?;
        let open::Opened { connections, address } = opened;
        let shared = Shared {
            connections,
            address,
            options,
            missing: tokio::sync::Mutex::default(),
            listener,
            gathered: Gathered::default(),
        };
        Ok(PostgresStore { shared: Arc::new(shared) })
    }

    /// Where it is, without user and password.
    pub fn place(&self) -> &str {
        &self.shared.address.place
    }

    /// Whether nobody stands between: then many new rows are copied in, unless another makes the same.
    pub async fn is_direct(&self) -> bool {
        self.shared.connections.is_direct().await
    }

    /// Why it may be read and not written, as far as the database tells without being written to:
    /// [`StoreError::ReadOnly`]; `None` = nothing speaks against it.
    pub async fn forbids_writing(&self) -> Result<Option<StoreError>, StoreError> {
        let place = self.place();
        let work = |tx: Arc<Tx>| async move { rights::forbids_writing(&tx, place).await };
        self.run(Mode::Read, "see whether it can be written", work).await
    }

    /// PostgreSQL's plan for a list, line by line: for tests and the curious.
    pub async fn list_plan(&self, query: &ListQuery) -> Result<Vec<String>, StoreError> {
        self.run(Mode::Read, "plan a list", |tx| async move { list::plan(&tx, query).await }).await
    }

    async fn run<T, W: Future<Output = Result<T, Fault>>>(
        &self,
        mode: Mode,
        attempted: &'static str,
        work: impl Fn(Arc<Tx>) -> W,
    ) -> Result<T, StoreError> {
        let connections = &self.shared.connections;
        match connections.tried(mode, &work).await {
            Ok(done) => Ok(done),
            Err(fault) if fault.is_missing_table() || fault.is_of_another_life() => {
                match self.is_made_anew().await {
                    Ok(true) => connections.run(mode, attempted, &work).await,
                    // What there is was not all brought yet.
                    Err(StoreError::Unreachable { place, cause, .. }) if fault.is_of_another_life() => {
                        Err(StoreError::Unreachable { place, attempted, cause })
                    }
                    // What there is cannot be used until a person puts it right.
                    Err(error @ (StoreError::TooNew { .. } | StoreError::Denied { .. })) => Err(error),
                    Err(error) if fault.is_of_another_life() => Err(error),
                    Ok(false) | Err(_) => Err(connections.named(fault, attempted)),
                }
            }
            Err(fault) => Err(connections.named(fault, attempted)),
        }
    }

    /// Moves a sequence that a restore has set back to where the feed is. Whoever may not leaves it.
    async fn is_caught_up(&self) -> bool {
        let work = |tx: Arc<Tx>| async move { life::catch_up(&tx).await };
        let caught_up = self.run(Mode::Write, "set the sequence", work).await;
        if let Err(error) = &caught_up {
            tracing::debug!(%error, "the sequence stays behind the feed");
        }
        caught_up.is_ok()
    }

    /// Sees to it that a database that somebody made anew has the schema, and that one that was restored begins
    /// another life. In a task of its own, which ends also where whoever met it waits no longer.
    async fn is_made_anew(&self) -> Result<bool, StoreError> {
        let shared = self.shared.clone();
        let making = tokio::spawn(async move {
            let mut missing = shared.missing.lock().await;
            let Shared { options, connections, address, .. } = &*shared;
            let made = open::make_anew(options, connections, &address.place, *missing).await;
            match made? {
                open::Anew::Missing(seen) => {
                    *missing = Some(seen);
                    Ok::<_, StoreError>(false)
                }
                open::Anew::Whole => {
                    *missing = None;
                    Ok(true)
                }
                open::Anew::LeftSo => {
                    *missing = None;
                    Ok(false)
                }
            }
        });
        let made = making.await.unwrap_or(Ok(false));
        if let Err(error) = &made {
            tracing::debug!(%error, hint = error.hints().join("; "), "the schema could not be made anew");
        }
        made
    }
}
