//! The pure rules, as tables and properties.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::unnecessary_wraps, unreachable_pub, reason = "builders have the shape that tests need")]

mod absorbing;
mod bounds;
mod build;
mod deciding;
