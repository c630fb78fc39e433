//! The contract that every store keeps, and what is SQLite's own: files, locks, damage, migrations.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod damage;
mod files;
mod lists;
mod migrations;
mod place;
mod processes;

use place::TempPlace;

larder_testkit::contract_suite!(TempPlace);
