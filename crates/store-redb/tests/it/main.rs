//! The contract that every store keeps, and what is redb's own: turns, files, damage, crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod crash;
mod damage;
mod files;
mod place;
mod turns;

use place::TempPlace;

larder_testkit::contract_suite!(TempPlace);
