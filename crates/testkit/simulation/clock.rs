//! Virtual time with two faces, as machines have them: what waits is measured in time that passes,
//! what is dated by a wall clock that jumps.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Time};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

/// The clock of all processes. Sleepers wake in the order of their times, and of their coming.
#[derive(Clone, Default)]
pub(crate) struct SimClock(Arc<Mutex<Face>>);

#[derive(Default)]
struct Face {
    /// Milliseconds that have passed.
    passed: u64,
    /// How far the wall clock is off.
    offset: i64,
    sleepers: BTreeMap<(u64, u64), Waker>,
    next: u64,
}

impl SimClock {
    /// Milliseconds that have passed since the beginning, whatever the wall clock says.
    pub(crate) fn passed(&self) -> u64 {
        self.face().passed
    }

    /// Sets the wall clock on or back.
    pub(crate) fn jump(&self, ms: i64) {
        self.face().offset += ms;
    }

    /// When the first sleeper wants to wake.
    pub(crate) fn next_wake(&self) -> Option<u64> {
        self.face().sleepers.keys().next().map(|(at, _)| *at)
    }

    /// Lets time pass until then, and wakes who waited for it.
    pub(crate) fn advance_to(&self, at: u64) {
        let due = {
            let mut face = self.face();
            face.passed = face.passed.max(at);
            let later = face.sleepers.split_off(&(at + 1, 0));
            std::mem::replace(&mut face.sleepers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    fn face(&self) -> MutexGuard<'_, Face> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Time {
        let face = self.face();
        Time::from_ms(START + face.passed as i64 + face.offset)
    }

    async fn sleep(&self, span: Duration) {
        let place = {
            let mut face = self.face();
            face.next += 1;
            let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
            // A span of less than a millisecond ends no earlier than it should.
            let ms = ms + u64::from(!span.subsec_nanos().is_multiple_of(1_000_000));
            (face.passed + ms, face.next)
        };
        Sleep { clock: self, place }.await;
    }
}

struct Sleep<'a> {
    clock: &'a SimClock,
    place: (u64, u64),
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut face = self.clock.face();
        if face.passed >= self.place.0 {
            return Poll::Ready(());
        }
        face.sleepers.insert(self.place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.clock.face().sleepers.remove(&self.place);
    }
}
