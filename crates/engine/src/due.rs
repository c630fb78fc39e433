//! What is refreshed with no reader waiting: entries that a trigger marked due, and those whose
//! wait after a failure is over. Nothing is probed because it merely expired.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::{Mode, Priority, StoreError, Trigger};

use crate::flights::landed;
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
        if let Err(error) = self.inner.tell_store().await {
            tracing::debug!(%error, "what came and went with an index could not be noted yet");
        }
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

    /// Refreshes what becomes due, turn by turn, until the engine stops. What this engine itself is
    /// told of is looked at at once, beside what is still under way: a file that changed does not
    /// wait for an upstream that is slow.
    pub async fn run(&self, every: Duration) {
        let mut in_the_air = FuturesUnordered::new();
        let mut marked_meanwhile = false;
        let mut is_failing = false;
        while !self.inner.stopping.is_cancelled() && !self.inner.tasks.is_closed() {
            let due = self.due_wants(TURN_MAX).await;
            let is_first = !std::mem::replace(&mut is_failing, due.is_err());
            match due {
                Ok(wants) => {
                    let landings = self.fly(wants).into_iter();
                    in_the_air.extend(landings.map(landed));
                }
                // Once an outage: it is tried again and again.
                Err(error) if is_first => tracing::warn!(%error, "what is due could not be looked up"),
                Err(_) => {}
            }
            let mut turn = self.inner.clock.sleep(every);
            loop {
                tokio::select! {
                    biased;
                    () = self.inner.stopping.cancelled() => return,
                    () = self.inner.marked.notified() => {
                        // What is marked while it is being fetched is fetched once more behind that.
                        marked_meanwhile = !in_the_air.is_empty();
                        break;
                    }
                    Some(_) = in_the_air.next(), if !in_the_air.is_empty() => {
                        if marked_meanwhile {
                            marked_meanwhile = !in_the_air.is_empty();
                            break;
                        }
                    }
                    () = &mut turn => break,
                }
            }
        }
    }
}
