//! The testkit's own proof: the reference store keeps the contract, and the simulation finds what breaks
//! a rule.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod memory;
mod outage;
mod protocol;
mod simulated;
#[path = "../../simulation/mod.rs"]
mod simulation;
