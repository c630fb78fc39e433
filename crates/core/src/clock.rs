//! Time as a port: the wall clock in the binary, a virtual one in tests.

use std::time::Duration;

use async_trait::async_trait;

use crate::Time;

/// Clocks of two machines may differ by this much, and one machine's be set back by it, before an
/// instant that is too far ahead is distrusted.
pub const CLOCK_SLACK: Duration = Duration::from_mins(1);

/// What time it is, and how to wait. Nothing else in Larder may ask the machine.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Time;

    /// Completes when `span` has passed on this clock.
    async fn sleep(&self, span: Duration);
}
