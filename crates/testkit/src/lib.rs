//! Contract suites, fault decorators and a virtual clock for the other rooms' tests.
//!
//! A new store runs the whole contract by one line: see [`contract`].

mod clock;
pub mod contract;

pub use clock::VirtualClock;
