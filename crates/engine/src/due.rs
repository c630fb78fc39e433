//! What is refreshed with no reader waiting: entries that a trigger marked due, and those whose
//! wait after a failure is over. Nothing is probed because it merely expired.

use std::time::Duration;

use larder_core::{Mode, Priority, StoreError, Trigger};

use crate::refresh::Want;
use crate::{Engine, Refreshed};

/// How many entries one turn takes on at the most.
const TURN_MAX: usize = 256;

impl Engine {
    /// Refreshes what is due now, at most `limit` entries, and waits. Entries that no source knows
    /// any more are left alone.
    pub async fn refresh_due(
        &self,
        limit: usize,
        on_done: impl Fn(&Refreshed) + Send,
    ) -> Result<Vec<Refreshed>, StoreError> {
        let wants = self.due_wants(limit).await?;
        let landed = self.land(wants, &on_done).await;
        Ok(landed.iter().map(|refreshed| (**refreshed).clone()).collect())
    }

    /// Entries that no source knows stay due, and must not take the turn of the others.
    async fn due_wants(&self, limit: usize) -> Result<Vec<Want>, StoreError> {
        let mut most = limit;
        loop {
            let due = self.inner.store.due(self.inner.clock.now(), most).await?;
            let mut wants = self.wants(&due, Mode::Normal, Trigger::Backoff, Priority::Schedule);
            if wants.len() >= limit || due.len() < most {
                wants.truncate(limit);
                return Ok(wants);
            }
            most = most.saturating_mul(2);
        }
    }

    /// Refreshes what becomes due, turn by turn, until the engine stops.
    pub async fn run(&self, every: Duration) {
        while !self.inner.stopping.is_cancelled() && !self.inner.tasks.is_closed() {
            if let Err(error) = self.refresh_due(TURN_MAX, |_| {}).await {
                tracing::warn!(%error, "what is due could not be looked up");
            }
            tokio::select! {
                biased;
                () = self.inner.stopping.cancelled() => return,
                () = self.inner.clock.sleep(every) => {}
            }
        }
    }
}
