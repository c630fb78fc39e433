//! The machine's clock: the one place where real time comes in.

use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Time};

/// The wall clock, waiting on tokio's timer. Needs a runtime with time enabled to wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others take as a parameter")]
    fn now(&self) -> Time {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Time::from_ms(since_epoch.map_or(0, |span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that others take as a parameter")]
    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}
