//! The contract that every store keeps, and what is PostgreSQL's own: addresses, schemas, connections
//! that break, clocks that differ. Wants the databases that `ci/postgres.sh` starts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bulk;
mod clocks;
mod connections;
mod documents;
mod frozen;
mod gathered;
mod hosts;
mod instants;
mod limits;
mod listening;
mod migrations;
mod moved;
mod place;
mod restored;
mod sessions;
mod slow;
mod sweeps;
mod together;
mod views;

mod contract {
    larder_testkit::contract_suite!(crate::place::Direct);
}

/// Once more, with a transaction pooler before the database.
mod pooled {
    larder_testkit::contract_suite!(crate::place::Pooled);
}
