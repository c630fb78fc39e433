//! The simulator's behaviour as a client meets it: every test drives it over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod control;
mod faults;
mod files;
mod github;
mod graphql;
mod issues;
mod limits;
mod permissions;
mod rest;
mod world;
