//! The pure rules, as tables and properties.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod absorbing;
mod build;
mod deciding;
