//! The engine's stories, on a real SQLite file and a clock that tests move.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::unnecessary_wraps, unreachable_pub, reason = "builders have the shape that tests need")]
#![allow(
    clippy::large_futures,
    clippy::similar_names,
    reason = "a story is one long future about one and other"
)]

mod batches;
mod bounds;
mod broken;
mod clocks;
mod configured;
mod extent;
mod failing;
mod gathered;
mod herd;
mod indexes;
mod leasing;
mod letting_go;
mod memory;
mod mistakes;
mod model;
mod reach;
mod reading;
mod turns;
mod unreadable;
mod upkeep;
mod urgency;
mod world;
