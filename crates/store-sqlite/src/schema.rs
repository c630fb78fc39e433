//! The schema and its migrations, up and down, embedded and applied under a lock.

use larder_core::{Fingerprint, StoreError, Time};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::errors::{Fault, sql_error, write_error};
use crate::views;

/// `LRDR`: what tells a database of Larder's from any other (bytes 68 to 71 of the file).
pub const APPLICATION_ID: i32 = 0x4c52_4452;

/// The newest schema that this code knows.
pub const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// A step from one schema to the next and back.
struct Migration {
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "initial",
        up: include_str!("../migrations/001_initial.up.sql"),
        down: include_str!("../migrations/001_initial.down.sql"),
    },
    Migration {
        name: "markers_and_titles",
        up: include_str!("../migrations/002_markers_and_titles.up.sql"),
        down: include_str!("../migrations/002_markers_and_titles.down.sql"),
    },
    Migration {
        name: "item_order",
        up: include_str!("../migrations/003_item_order.up.sql"),
        down: include_str!("../migrations/003_item_order.down.sql"),
    },
    Migration {
        name: "sheets",
        up: include_str!("../migrations/004_sheets.up.sql"),
        down: include_str!("../migrations/004_sheets.down.sql"),
    },
    Migration {
        name: "found_by",
        up: include_str!("../migrations/005_found_by.up.sql"),
        down: include_str!("../migrations/005_found_by.down.sql"),
    },
    Migration {
        name: "leaner",
        up: include_str!("../migrations/006_leaner.up.sql"),
        down: include_str!("../migrations/006_leaner.down.sql"),
    },
    Migration {
        name: "words_once",
        up: include_str!("../migrations/007_words_once.up.sql"),
        down: include_str!("../migrations/007_words_once.down.sql"),
    },
    Migration {
        name: "leases",
        up: include_str!("../migrations/008_leases.up.sql"),
        down: include_str!("../migrations/008_leases.down.sql"),
    },
    Migration {
        name: "swept",
        up: include_str!("../migrations/009_swept.up.sql"),
        down: include_str!("../migrations/009_swept.down.sql"),
    },
];

/// The runner's own table, which stays when all migrations are taken back.
const OWN_TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
  version    INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  checksum   TEXT NOT NULL,
  applied_at INTEGER NOT NULL
) STRICT";

/// The way out of a schema of this number that is not ours.
const ANOTHER_BUILDS: &str = "`larder export FILE` with the larder that made it, remove the store's file, and \
    `larder import FILE` with this one; or remove it alone: what can be fetched is fetched anew";

impl Migration {
    fn checksum(&self) -> Fingerprint {
        Fingerprint::of(&[self.up, self.down])
    }
}

/// Brings the schema up to [`SCHEMA`]. Whoever comes second finds nothing left to do.
pub(crate) fn migrate_up(conn: &mut Connection, place: &str, now: Time) -> Result<(), StoreError> {
    let attempted = "bring the schema up to date";
    let failed = |fault: Fault| fault.named(place, attempted);
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Exclusive)
        .map_err(|error| sql_error(&error, place, attempted))?;
    let found = version(&tx).map_err(|error| failed(error.into()))?;
    refuse_newer(found, place)?;
    check_applied(&tx, found, place)?;
    if found < SCHEMA {
        if found > 0 {
            // A column that a view shows, or an index sorts by, could not go.
            views::drop_all(&tx).map_err(failed)?;
        }
        apply_from(&tx, found, now).map_err(failed)?;
    }
    tx.commit().map_err(|error| sql_error(&error, place, attempted))
}

/// Takes migrations back until schema `to`. What the dropped tables held is gone.
pub(crate) fn migrate_down(conn: &mut Connection, place: &str, to: u32) -> Result<(), StoreError> {
    let attempted = "take the schema back";
    let failed = |error: rusqlite::Error| write_error(&error, place, attempted);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed)?;
    let found = version(&tx).map_err(failed)?;
    refuse_newer(found, place)?;
    if found > to {
        views::drop_all(&tx).map_err(|fault| fault.named(place, attempted))?;
    }
    for version in (to + 1..=found).rev() {
        let Some(migration) = MIGRATIONS.get(version as usize - 1) else { continue };
        tx.execute_batch(migration.down).map_err(failed)?;
        tx.execute("DELETE FROM migrations WHERE version = ?1", [version]).map_err(failed)?;
        tx.pragma_update(None, "user_version", version - 1).map_err(failed)?;
    }
    tx.commit().map_err(failed)
}

/// Says no to a file that a newer Larder wrote.
pub(crate) fn refuse_newer(found: u32, place: &str) -> Result<(), StoreError> {
    if found > SCHEMA {
        return Err(StoreError::TooNew { place: place.to_owned(), found, known: SCHEMA });
    }
    Ok(())
}

/// The migrations that were applied, oldest first.
pub(crate) fn applied(conn: &Connection) -> rusqlite::Result<Vec<larder_core::Migration>> {
    let has_any =
        conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'", [], |row| row.get(0));
    if matches!(has_any, Ok(0)) {
        return Ok(Vec::new());
    }
    let mut rows = conn.prepare("SELECT version, name, applied_at FROM migrations ORDER BY version")?;
    let read = |row: &rusqlite::Row<'_>| {
        let applied_at = Some(Time::from_ms(row.get(2)?));
        Ok(larder_core::Migration { version: row.get(0)?, name: row.get(1)?, applied_at })
    };
    rows.query_map([], read)?.collect()
}

/// All that are known, with the dates of those that were applied, and those that only the file knows.
pub(crate) fn standing(applied: Vec<larder_core::Migration>) -> Vec<larder_core::Migration> {
    let is_left = |version: u32| applied.iter().all(|one| one.version != version);
    let left: Vec<_> = MIGRATIONS
        .iter()
        .zip(1_u32..)
        .filter(|(_, version)| is_left(*version))
        .map(|(step, version)| larder_core::Migration {
            version,
            name: step.name.to_owned(),
            applied_at: None,
        })
        .collect();
    applied.into_iter().chain(left).collect()
}

fn version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn apply_from(conn: &Connection, found: u32, now: Time) -> Result<(), Fault> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.execute_batch(OWN_TABLE)?;
    for (migration, version) in MIGRATIONS.iter().zip(1_u32..).skip(found as usize) {
        conn.execute_batch(migration.up)?;
        conn.execute(
            "INSERT INTO migrations VALUES (?1, ?2, ?3, ?4)",
            params![version, migration.name, migration.checksum().as_str(), now.ms()],
        )?;
        conn.pragma_update(None, "user_version", version)?;
    }
    Ok(())
}

/// A migration that was edited after it was applied would leave two schemas of one number.
pub(crate) fn check_applied(conn: &Connection, found: u32, place: &str) -> Result<(), StoreError> {
    let attempted = "check the applied migrations";
    for (migration, version) in MIGRATIONS.iter().zip(1_u32..).take(found as usize) {
        let applied: Option<String> = conn
            .query_row("SELECT checksum FROM migrations WHERE version = ?1", [version], |row| row.get(0))
            .optional()
            .map_err(|error| sql_error(&error, place, attempted))?;
        if applied.as_deref() != Some(migration.checksum().as_str()) {
            return Err(StoreError::Denied {
                place: place.to_owned(),
                attempted,
                cause: format!(
                    "migration {version} (`{}`) is not the one that was applied to this file: another build of \
                     larder made it",
                    migration.name
                ),
                hint: ANOTHER_BUILDS.to_owned(),
            });
        }
    }
    Ok(())
}
