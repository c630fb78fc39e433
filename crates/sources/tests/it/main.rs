//! Stories of the clusters source and its GitHub client, told against the simulator.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod anonymous;
mod answers;
mod at_once;
mod batches;
mod budgets;
mod limits;
mod marketplace;
mod permissions;
mod projects;
mod renamed;
mod scene;
mod secrets;
mod tracker_pages;
mod tracker_pulls;
mod trackers;
mod unclustered;
mod waits;
