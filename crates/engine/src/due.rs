//! What is refreshed with no reader waiting: entries that a trigger marked due, and those whose
//! wait after a failure is over. Nothing is probed because it merely expired.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::{Key, Mode, Priority, StoreError, Trigger};

use crate::flights::landed;
use crate::refresh::Want;
use crate::{Engine, Refreshed};

/// How many entries one turn takes on at the most. A source that has as many in the air takes on none.
const TURN_MAX: usize = 256;

/// A look that went over more rows than this, most of them in the air, makes the next one wait as many times
/// longer.
const LOOKED_MAX: usize = 4096;

/// Wants of what is due.
struct Due {
    wants: Vec<Want>,
    /// How many rows that took.
    looked: usize,
}

impl Engine {
    /// Refreshes what is due now, at most `limit` entries, and waits. Entries that no source knows
    /// any more are left alone.
    pub async fn refresh_due(
        &self,
        limit: usize,
        on_done: impl Fn(&Refreshed) + Send,
    ) -> Result<Vec<Refreshed>, StoreError> {
        let due = self.due(limit, |keys| keys).await?;
        let landed = self.land(due.wants, &on_done).await;
        Ok(landed.iter().map(|refreshed| (**refreshed).clone()).collect())
    }

    /// Entries that no source knows stay due, as do those that are `left` out: they must not take the turn of
    /// the others.
    async fn due(&self, limit: usize, left: impl Fn(Vec<Key>) -> Vec<Key>) -> Result<Due, StoreError> {
        if let Err(error) = self.inner.tell_store().await {
            tracing::debug!(%error, "what came and went with an index could not be noted yet");
        }
        let mut most = limit;
        loop {
            let due = self.inner.store.due(self.inner.clock.now(), most).await?;
            let looked = due.len();
            let mut wants = self.wants(&left(due), Mode::Normal, Trigger::Backoff, Priority::Schedule);
            if wants.len() >= limit || looked < most {
                wants.truncate(limit);
                return Ok(Due { wants, looked });
            }
            most = most.saturating_mul(2);
        }
    }

    /// Refreshes what becomes due, turn by turn, until the engine stops. What this engine itself is
    /// told of is looked at at once, beside what is still under way: a file that changed does not
    /// wait for an upstream that is slow.
    pub async fn run(&self, every: Duration) {
        let mut in_the_air = InTheAir::default();
        let mut is_failing = false;
        while !self.inner.stopping.is_cancelled() && !self.inner.tasks.is_closed() {
            let by_source = &in_the_air.by_source;
            let has_room = |key: &Key| by_source.get(key.source()).is_none_or(|count| *count < TURN_MAX);
            let left = |keys: Vec<Key>| {
                self.inner.flights.on_the_ground(keys.into_iter().filter(has_room).collect())
            };
            let due = self.due(TURN_MAX, left).await;
            let is_first = !std::mem::replace(&mut is_failing, due.is_err());
            let mut looked = 0;
            match due {
                Ok(due) => {
                    looked = due.looked;
                    in_the_air.add(self, due.wants);
                }
                // Once an outage: it is tried again and again.
                Err(error) if is_first => tracing::warn!(%error, "what is due could not be looked up"),
                Err(_) => {}
            }
            let turns = u32::try_from(1 + looked / LOOKED_MAX).unwrap_or(u32::MAX);
            let mut turn = self.inner.clock.sleep(every.saturating_mul(turns));
            loop {
                tokio::select! {
                    biased;
                    () = self.inner.stopping.cancelled() => return,
                    // Also when something has landed that was marked meanwhile.
                    () = self.inner.marked.notified() => break,
                    () = in_the_air.next_lands(), if !in_the_air.is_empty() => {}
                    () = &mut turn => break,
                }
            }
        }
    }
}

/// What the turns so far have under way.
#[derive(Default)]
struct InTheAir {
    landings: FuturesUnordered<BoxFuture<'static, Arc<Refreshed>>>,
    by_source: HashMap<String, usize>,
}

impl InTheAir {
    fn add(&mut self, engine: &Engine, wants: Vec<Want>) {
        for want in &wants {
            *self.by_source.entry(want.key.source().to_owned()).or_default() += 1;
        }
        for landing in engine.fly(wants) {
            self.landings.push(Box::pin(landed(landing)));
        }
    }

    /// Waits for one to land.
    async fn next_lands(&mut self) {
        let Some(refreshed) = self.landings.next().await else { return };
        if let Some(count) = self.by_source.get_mut(refreshed.key.source()) {
            *count = count.saturating_sub(1);
        }
    }

    fn is_empty(&self) -> bool {
        self.landings.is_empty()
    }
}
