//! Stories of the real server over TCP: a SQLite store, the clusters' source, a GitHub that can be
//! switched off.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod addresses;
mod ages;
mod damage;
mod document;
mod events;
mod failures;
mod guards;
mod headlines;
mod herd;
mod lent;
mod lists;
mod long_clusters;
mod many;
mod marketplace;
mod outage;
mod pages;
mod private;
mod projects;
mod raw;
mod refusals;
mod retry_after;
mod seats;
mod sessions;
mod statuses;
mod stopping;
mod trackers;
mod unread;
#[cfg(target_os = "linux")]
mod untouched;
mod visitor;
mod visits;
mod ways;
mod world;
