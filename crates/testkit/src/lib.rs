//! Contract suites, fault decorators and a virtual clock for the other rooms' tests.
//!
//! A new store runs the whole contract by one line: see [`contract`].

mod clock;
pub mod contract;
mod means;
mod memory;
mod proxy;
mod source;
mod store;
mod tree;

pub use clock::{Still, VirtualClock};
pub use means::{MOUNT_HINT, may_mount};
pub use memory::MemoryStore;
pub use proxy::{Proxy, Traffic, Way};
pub use source::{Call, FakeSource};
pub use store::{Fault, FaultyStore, Step};
pub use tree::{Grown, GrownArtifact, GrownProject, Lot, Tree, write_long_ago};
