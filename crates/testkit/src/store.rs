//! A decorator for stores: fails what a test says, and keeps virtual time still while a real
//! database works.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use larder_core::{
    Acquired, Changes, Commit, Committed, Configured, Exported, Head, Key, Lease, LeaseAsk, ListQuery,
    Listed, LogFilter, LogLine, Met, Problem, Reconciled, Retention, Row, Store, StoreError, StoreInfo,
    Stored, Swept, Target, Time, Trigger,
};

use crate::VirtualClock;

/// What a decorated store can be told to fail at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking up.
    Lookup,
    /// Taking leases.
    Acquire,
    /// Renewing leases: the holder seems dead.
    Renew,
    /// Committing.
    Commit,
}

/// A store that fails on demand and counts what is asked of it.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    clock: VirtualClock,
    failing: Mutex<Vec<Step>>,
    lookups: AtomicUsize,
}

impl FaultyStore {
    /// Decorates `inner`.
    pub fn new(inner: Arc<dyn Store>, clock: VirtualClock) -> Self {
        FaultyStore { inner, clock, failing: Mutex::default(), lookups: AtomicUsize::new(0) }
    }

    /// Fails at these steps from now on.
    pub fn fail_at(&self, steps: &[Step]) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = steps.to_vec();
    }

    /// How many lookups there were.
    pub fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }

    fn check(&self, step: Step) -> Result<(), StoreError> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.contains(&step) {
            return Err(StoreError::Full {
                place: "the test's store".to_owned(),
                attempted: "do as it was told",
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        let _still = self.clock.hold_still();
        self.lookups.fetch_add(1, Ordering::Relaxed);
        self.check(Step::Lookup)?;
        self.inner.lookup(keys).await
    }

    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError> {
        let _still = self.clock.hold_still();
        self.check(Step::Acquire)?;
        self.inner.acquire(asks, now).await
    }

    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError> {
        let _still = self.clock.hold_still();
        self.check(Step::Renew)?;
        self.inner.renew(leases, now).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let _still = self.clock.hold_still();
        self.check(Step::Commit)?;
        self.inner.commit(commit).await
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.mark_due(keys, trigger, now).await
    }

    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.invalidate(target, now).await
    }

    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.evict(target, now).await
    }

    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.replay(target, now).await
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.reconcile(source, configured, now).await
    }

    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.sweep(retention, now).await
    }

    async fn heads(&self, source: Option<&str>) -> Result<Vec<Head>, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.heads(source).await
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.rows(source, after, limit).await
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.due(now, limit).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.list(query).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.changes(after, limit).await
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.log(filter).await
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.verify().await
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.info().await
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.export(after, limit).await
    }

    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.import(entries, now).await
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.pulse().await
    }

    async fn heard(&self) {
        self.inner.heard().await;
    }
}
