//! The shared store: PostgreSQL, for many instances and many users.
//!
//! [`PostgresStore`] keeps core's [`Store`](larder_core::Store) and [`Budgets`](larder_core::Budgets)
//! contracts in a schema `larder` of its own, in whatever database it is given.
#![allow(dead_code, reason = "the ports land next")]

mod address;
mod errors;
mod json;
mod open;
mod rows;
mod schema;
mod tls;
mod transaction;
mod views;

use std::sync::Arc;

use larder_core::StoreError;

use crate::address::Address;
use crate::transaction::Connections;

pub use address::is_postgres;
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
}

impl PostgresStore {
    /// Opens the store, making its schema if there is none, and bringing an older one up to date
    /// (unless [`Migrate::No`] forbids it). Wants a tokio runtime.
    ///
    /// Errors: [`StoreError::Foreign`] and [`StoreError::TooNew`] leave the database as it is;
    /// [`StoreError::Unreachable`] says that there is none to be had now.
    pub async fn open(options: OpenOptions) -> Result<PostgresStore, StoreError> {
        let opened = open::open(&options).await?;
        let shared = Shared { connections: opened.connections, address: opened.address };
        Ok(PostgresStore { shared: Arc::new(shared) })
    }

    /// Where it is, without user and password.
    pub fn place(&self) -> &str {
        &self.shared.address.place
    }
}
