//! Who makes room when there are more connections than seats: those on which nothing happens.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::sync::futures::Notified;

use crate::stop::Stop;

/// Who said nothing for so long makes room for others: a client that comes back connects anew.
pub(crate) const IDLE: Duration = Duration::from_secs(1);
/// The same of one that began to say something, or takes nothing of what it was told.
pub(crate) const HALF_WAY: Duration = Duration::from_secs(3);

/// A connection's ear for those who wait for a seat.
pub(crate) struct Crowd<'a, 's> {
    stop: &'s Stop,
    asks: Pin<&'a mut Notified<'s>>,
}

impl<'a, 's> Crowd<'a, 's> {
    /// Hears by `asks`, which is one of the stop's own.
    pub(crate) fn new(stop: &'s Stop, asks: Pin<&'a mut Notified<'s>>) -> Self {
        Crowd { stop, asks }
    }

    /// Whether anybody has asked for room since this was looked at last.
    pub(crate) fn asks(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_asked = false;
        while self.asks.as_mut().poll(cx).is_ready() {
            is_asked = true;
            self.asks.set(self.stop.crowded.notified());
        }
        is_asked
    }
}
