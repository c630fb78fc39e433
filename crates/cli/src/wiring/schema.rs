//! The schemas of the stores: where each stands, and its way up and down, in its own answer.

use larder_core::{Migration, Time};

use super::refused;
use super::store::{self, AnyStore, Stay};
use crate::config::{Config, StoreUrl};
use crate::report::Complaint;

/// A step of a store's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The schema after it.
    pub version: u32,
    /// What it is called.
    pub name: String,
    /// Whether this store has taken it.
    pub is_applied: bool,
    /// When, where the store remembers that.
    pub applied_at: Option<Time>,
}

impl From<Migration> for Step {
    fn from(migration: Migration) -> Self {
        let Migration { version, name, applied_at } = migration;
        Step { version, name, is_applied: applied_at.is_some(), applied_at }
    }
}

fn steps(migrations: Vec<Migration>) -> Vec<Step> {
    migrations.into_iter().map(Step::from).collect()
}

/// All steps. Changes nothing, and makes nothing where there is nothing.
pub async fn status(config: &Config) -> Result<Vec<Step>, Complaint> {
    match &config.store.url.value {
        StoreUrl::Sqlite(path) => Ok(steps(larder_store_sqlite::migrations(path)?)),
        StoreUrl::Redb(path) if !path.exists() => Ok(vec![redb_step(larder_store_redb::SCHEMA, false)]),
        StoreUrl::Redb(_) => {
            let store = AnyStore::open(config, Stay::Short).await?;
            Ok(vec![redb_step(store.entries().info().await?.schema, true)])
        }
        StoreUrl::Postgres(url) => {
            let options = store::postgres(url, &config.store.server, Stay::Short);
            let taken = Box::pin(larder_store_postgres::migrations(&options)).await;
            taken.map(steps).map_err(|error| refused::complaint(error, url, config))
        }
    }
}

/// A redb file has one form, and remembers no dates.
fn redb_step(version: u32, is_applied: bool) -> Step {
    Step { version, name: "initial".to_owned(), is_applied, applied_at: None }
}

/// Brings the schema up to what this larder knows; a file is made where there is none. Answers all
/// steps as they are then.
pub async fn up(config: &Config) -> Result<Vec<Step>, Complaint> {
    match &config.store.url.value {
        StoreUrl::Sqlite(_) | StoreUrl::Redb(_) => {
            // Opening is all it takes.
            drop(AnyStore::open(config, Stay::Short).await?);
            status(config).await
        }
        StoreUrl::Postgres(url) => {
            let options = store::postgres(url, &config.store.server, Stay::Short);
            let taken = Box::pin(larder_store_postgres::migrate_up(&options)).await;
            taken.map(steps).map_err(|error| refused::complaint(error, url, config))
        }
    }
}

/// Whether a schema of this store's can be taken back at all.
pub fn has_way_down(config: &Config) -> Result<(), Complaint> {
    match &config.store.url.value {
        StoreUrl::Sqlite(_) | StoreUrl::Postgres(_) => Ok(()),
        StoreUrl::Redb(_) => Err(Complaint::usage("a redb store has one schema, and no way down").hint(
            "`larder export FILE`, remove the store's file, and `larder import FILE` with the other larder",
        )),
    }
}

/// Takes the schema back to `to`: what the steps above it made is gone. Answers all steps as they are
/// then.
pub async fn down(config: &Config, to: u32) -> Result<Vec<Step>, Complaint> {
    has_way_down(config)?;
    match &config.store.url.value {
        StoreUrl::Sqlite(path) => {
            larder_store_sqlite::migrate_down(path, to).map_err(|error| store::in_use(error, config))?;
            status(config).await
        }
        StoreUrl::Redb(_) => status(config).await,
        StoreUrl::Postgres(url) => {
            let options = store::postgres(url, &config.store.server, Stay::Short);
            let taken = Box::pin(larder_store_postgres::migrate_down(&options, to)).await;
            taken.map(steps).map_err(|error| refused::complaint(error, url, config))
        }
    }
}
