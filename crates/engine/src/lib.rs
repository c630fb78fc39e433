//! The flow: what stands between a reader who wants an answer now and a source that is slow,
//! limited or down.
//!
//! The way of a read, file by file: `memory` answers hits from the `tier`, `read` looks up and
//! decides, `flights` lets readers of one key share one refresh in this process, `lease` makes it one
//! across processes, `refresh` takes off, `batch` fetches, `settle` absorbs, commits and announces, and
//! `gather` looks up what was committed. `follow` keeps memory right, `reach` says for how long it is
//! believed, and `watched` hears how every call of the store ends. The engine knows ports alone: any
//! [`Store`](larder_core::Store), any [`Source`](larder_core::Source), any
//! [`Clock`](larder_core::Clock).
//!
//! A source of one's own in about twenty lines: `examples/own_source.rs`.

mod announce;
mod batch;
mod clock;
mod due;
mod engine;
mod flights;
mod follow;
mod gather;
mod indexes;
mod lease;
mod memory;
mod outcome;
mod reach;
mod read;
mod refresh;
mod settle;
mod spell;
mod tier;
mod upkeep;
mod watched;

pub use announce::Announcement;
pub use clock::SystemClock;
pub use engine::{Builder, Engine};
pub use follow::News;
pub use memory::MemorySize;
pub use outcome::{Hit, ReadError, Reading, RefreshError, Refreshed};
pub use reach::OutOfReach;
pub use read::{Behind, ReadOptions};
pub use tier::bounded;
