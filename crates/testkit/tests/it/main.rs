//! The testkit's own proof: the reference store keeps the contract.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod memory;
