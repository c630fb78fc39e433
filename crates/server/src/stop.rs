//! How a server stops: first it lets what is under way come in, then it cuts all off.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How far a stop is, for all that has to end by it.
#[derive(Default)]
pub(crate) struct Stop {
    /// Ends the listener, and tells connections to end with the answer under way.
    pub(crate) closing: CancellationToken,
    /// Ends connections at once.
    pub(crate) cutting: CancellationToken,
    /// How far it is, to be looked at before each request: tokens would be waited for.
    stage: AtomicU8,
    /// Asks connections to make room on which nothing happens, since others wait for a place.
    pub(crate) crowded: Notify,
}

const CLOSING: u8 = 1;
const CUTTING: u8 = 2;

impl Stop {
    /// No more requests.
    pub(crate) fn close(&self) {
        self.stage.fetch_max(CLOSING, Ordering::SeqCst);
        self.closing.cancel();
    }

    /// No more of anything.
    pub(crate) fn cut(&self) {
        self.stage.fetch_max(CUTTING, Ordering::SeqCst);
        self.closing.cancel();
        self.cutting.cancel();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.stage.load(Ordering::SeqCst) >= CLOSING
    }

    pub(crate) fn is_cutting(&self) -> bool {
        self.stage.load(Ordering::SeqCst) >= CUTTING
    }
}
