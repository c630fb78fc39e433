//! How long a connection may be silent. Most are not, so that nothing is set anew for each request:
//! the alarm looks at what came in between when it goes off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use larder_core::{Clock, Time};

/// Goes off when nothing was heard for a span.
pub(crate) struct Alarm<'c> {
    clock: &'c dyn Clock,
    span: Duration,
    /// It rings a span after this.
    set_at: Time,
    /// When something was heard since it was set.
    heard_at: Option<Time>,
    sleep: Pin<Box<dyn Future<Output = ()> + Send + 'c>>,
}

/// Nobody's timers and clocks differ by more.
const NEAR: Duration = Duration::from_secs(1);

impl<'c> Alarm<'c> {
    pub(crate) fn new(clock: &'c dyn Clock, span: Duration) -> Self {
        Alarm { clock, span, set_at: clock.now(), heard_at: None, sleep: clock.sleep(span) }
    }

    /// Notes that something was heard.
    pub(crate) fn heard(&mut self, now: Time) {
        self.heard_at = Some(now);
    }

    /// Notes that something was heard now.
    pub(crate) fn heard_now(&mut self) {
        self.heard(self.clock.now());
    }

    /// Whether it may go off, or have gone off, about now.
    pub(crate) fn is_near(&self, now: Time) -> bool {
        now < self.set_at || now.plus(NEAR) >= self.set_at.plus(self.span)
    }

    /// For how long nothing was heard.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.clock.now().since(self.heard_at.unwrap_or(self.set_at))
    }

    /// Completes when nothing was heard for the span.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            let Some(heard_at) = self.heard_at.take() else { return Poll::Ready(()) };
            let rest = heard_at.plus(self.span).since(self.clock.now()).min(self.span);
            if rest.is_zero() {
                return Poll::Ready(());
            }
            self.set_at = heard_at;
            self.sleep = self.clock.sleep(rest);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use larder_testkit::VirtualClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rings(alarm: &mut Alarm<'_>) -> bool {
        let waker = futures::task::noop_waker();
        alarm.poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn it_rings_a_span_after_what_was_heard_last() {
        let clock = Arc::new(VirtualClock::new());
        let mut alarm = Alarm::new(&*clock, 10 * SECOND);
        for _ in 0..100 {
            assert!(!rings(&mut alarm));
            clock.advance(7 * SECOND);
            alarm.heard_now();
        }
        clock.advance(9 * SECOND);
        assert!(!rings(&mut alarm));
        assert!(alarm.is_near(clock.now()));
        clock.advance(SECOND);
        assert!(rings(&mut alarm));
    }

    #[test]
    fn it_is_near_when_it_may_have_rung_and_whenever_the_clock_is_set_back() {
        let clock = VirtualClock::new();
        let start = clock.now();
        let alarm = Alarm::new(&clock, 10 * SECOND);
        assert!(!alarm.is_near(start.plus(8 * SECOND)));
        assert!(alarm.is_near(start.plus(9 * SECOND)));
        assert!(alarm.is_near(start.minus(SECOND)));
    }
}
