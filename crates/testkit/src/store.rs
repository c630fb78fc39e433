//! A decorator for stores: fails, hangs, delays and loses word as a test says, and keeps virtual time
//! still while a real database works.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Changes, Clock, Commit, Committed, Configured, Exported, Key, Lease, LeaseAsk, ListQuery,
    Listed, LogFilter, LogLine, Met, Outcome, Problem, Reconciled, Retention, Row, Store, StoreError,
    StoreInfo, Stored, Swept, Target, Time, Trigger,
};
use tokio::sync::{Notify, watch};

use crate::VirtualClock;

/// What a decorated store can be told to go wrong at.
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
    /// Marking, invalidating, evicting, replaying, comparing, sweeping, importing.
    Mark,
    /// Lists, rows, what is due, and all else that is read of many.
    List,
    /// The feed and the refresh log.
    Feed,
    /// The pulse.
    Pulse,
}

impl Step {
    /// All of them: a store that is out of reach.
    pub const ALL: [Step; 8] = [
        Step::Lookup,
        Step::Acquire,
        Step::Renew,
        Step::Commit,
        Step::Mark,
        Step::List,
        Step::Feed,
        Step::Pulse,
    ];
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    Full,
    /// It cannot be reached.
    Unreachable,
    /// It does not let us.
    Denied,
    /// It says something that nobody has a word for.
    Failed,
    /// No answer, and nothing done, until the fault is taken away.
    Hang,
    /// Done at once, but the answer comes when the fault is taken away: it may be old by then.
    Late,
    /// Each call takes this long on the clock before anything is done.
    Slow(Duration),
}

/// A store that goes wrong on demand and counts what is asked of it.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    clock: VirtualClock,
    faults: watch::Sender<Vec<(Step, Fault)>>,
    bell: Notify,
    is_deaf: Mutex<bool>,
    refused: Mutex<Option<Key>>,
    ailing: Mutex<Option<(Key, Fault)>>,
    is_tight: AtomicBool,
    holds_back: AtomicBool,
    let_go: Notify,
    lookups: AtomicUsize,
    pulses: AtomicUsize,
    stretches: AtomicUsize,
}

impl FaultyStore {
    /// Decorates `inner`.
    pub fn new(inner: Arc<dyn Store>, clock: VirtualClock) -> Self {
        FaultyStore {
            inner,
            clock,
            faults: watch::Sender::new(Vec::new()),
            bell: Notify::new(),
            is_deaf: Mutex::new(false),
            refused: Mutex::new(None),
            ailing: Mutex::new(None),
            is_tight: AtomicBool::new(false),
            holds_back: AtomicBool::new(false),
            let_go: Notify::new(),
            lookups: AtomicUsize::new(0),
            pulses: AtomicUsize::new(0),
            stretches: AtomicUsize::new(0),
        }
    }

    /// Fails at these steps from now on, with a full disk.
    pub fn fail_at(&self, steps: &[Step]) {
        self.inflict(Fault::Full, steps);
    }

    /// Goes wrong at these steps from now on, and at no others.
    pub fn inflict(&self, fault: Fault, steps: &[Step]) {
        self.faults.send_replace(steps.iter().map(|step| (*step, fault)).collect());
    }

    /// Cannot be reached at all from now on.
    pub fn cut(&self) {
        self.inflict(Fault::Unreachable, &Step::ALL);
    }

    /// Works again; what hung goes on.
    pub fn mend(&self) {
        self.inflict(Fault::Full, &[]);
    }

    /// Lets everybody hear that something was committed, as a notification would.
    pub fn ring(&self) {
        self.bell.notify_waiters();
    }

    /// Loses all notifications from now on, or none any more.
    pub fn lose_word(&self, is_lost: bool) {
        *self.is_deaf.lock().unwrap_or_else(PoisonError::into_inner) = is_lost;
    }

    /// Takes no import of this entry from now on, or of all again.
    pub fn refuse(&self, key: Option<Key>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Goes wrong from now on where this entry is looked up.
    pub fn inflict_on(&self, key: Key, fault: Fault) {
        *self.ailing.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, fault));
    }

    /// Has no room for what is fetched from now on, but for a word that it could not be; or has room again.
    pub fn refuse_answers(&self, is_tight: bool) {
        self.is_tight.store(is_tight, Ordering::Relaxed);
    }

    /// Keeps the answer of the next lookup, and of no other, until it is let go.
    pub fn hold_back_one(&self) {
        self.holds_back.store(true, Ordering::Relaxed);
    }

    /// Lets the answer go that is held back.
    pub fn let_go(&self) {
        self.let_go.notify_one();
    }

    /// How many lookups there were.
    pub fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }

    /// How often its pulse was taken.
    pub fn pulses(&self) -> usize {
        self.pulses.load(Ordering::Relaxed)
    }

    /// How many stretches of rows were read.
    pub fn stretches(&self) -> usize {
        self.stretches.load(Ordering::Relaxed)
    }

    /// How many calls wait for a fault to be taken away.
    pub fn waiting(&self) -> usize {
        self.faults.receiver_count()
    }

    /// Does `work` with whatever is to go wrong at this step.
    async fn at<T, F>(&self, step: Step, work: impl FnOnce() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        if let Some(fault) = self.fault(step) {
            self.befall(step, fault).await?;
        }
        let done = {
            let _still = self.clock.hold_still();
            work().await
        };
        if self.fault(step) == Some(Fault::Late) {
            self.taken_away(step, Fault::Late).await;
        }
        done
    }

    /// What a fault does before anything is done.
    async fn befall(&self, step: Step, fault: Fault) -> Result<(), StoreError> {
        let (place, attempted) = ("the test's store".to_owned(), "do as it was told");
        match fault {
            Fault::Full => return Err(StoreError::Full { place, attempted }),
            Fault::Unreachable => {
                let cause = "the test cut it".to_owned();
                return Err(StoreError::Unreachable { place, attempted, cause });
            }
            Fault::Denied => {
                let (cause, hint) = ("the test forbids it".to_owned(), "ask the test".to_owned());
                return Err(StoreError::Denied { place, attempted, cause, hint });
            }
            Fault::Failed => {
                let cause = "the test says no".to_owned();
                return Err(StoreError::Failed { place, attempted, cause });
            }
            Fault::Hang => self.taken_away(step, Fault::Hang).await,
            Fault::Slow(span) => self.clock.sleep(span).await,
            Fault::Late => {}
        }
        Ok(())
    }

    fn fault(&self, step: Step) -> Option<Fault> {
        self.faults.borrow().iter().find(|(at, _)| *at == step).map(|(_, fault)| *fault)
    }

    async fn taken_away(&self, step: Step, fault: Fault) {
        let mut faults = self.faults.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = faults.wait_for(|faults| !faults.contains(&(step, fault))).await;
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let ailing = self.ailing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, fault)) = ailing.filter(|(key, _)| keys.contains(key)) {
            self.befall(Step::Lookup, fault).await?;
        }
        let is_held_back = self.holds_back.swap(false, Ordering::Relaxed);
        let found = self.at(Step::Lookup, || self.inner.lookup(keys)).await;
        if is_held_back {
            self.let_go.notified().await;
        }
        found
    }

    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError> {
        self.at(Step::Acquire, || self.inner.acquire(asks, now)).await
    }

    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError> {
        self.at(Step::Renew, || self.inner.renew(leases, now)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let is_answer = commit.write.as_ref().is_some_and(|write| write.outcome != Outcome::Failed);
        if is_answer && self.is_tight.load(Ordering::Relaxed) {
            let place = "the test's store".to_owned();
            return Err(StoreError::Full { place, attempted: "commit a refresh" });
        }
        self.at(Step::Commit, || self.inner.commit(commit)).await
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError> {
        self.at(Step::Mark, || self.inner.mark_due(keys, trigger, now)).await
    }

    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError> {
        self.at(Step::Mark, || self.inner.invalidate(target, now)).await
    }

    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        self.at(Step::Mark, || self.inner.evict(target, now)).await
    }

    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        self.at(Step::Mark, || self.inner.replay(target, now)).await
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError> {
        self.at(Step::Mark, || self.inner.reconcile(source, configured, now)).await
    }

    async fn begin_sweep(&self, every: Duration, now: Time) -> Result<bool, StoreError> {
        self.at(Step::Mark, || self.inner.begin_sweep(every, now)).await
    }

    async fn end_sweep(&self, now: Time) -> Result<(), StoreError> {
        self.at(Step::Mark, || self.inner.end_sweep(now)).await
    }

    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
        self.at(Step::Mark, || self.inner.sweep(retention, now)).await
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.stretches.fetch_add(1, Ordering::Relaxed);
        self.at(Step::List, || self.inner.rows(source, after, limit)).await
    }

    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        self.at(Step::List, || self.inner.shown(keys)).await
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        self.at(Step::List, || self.inner.due(now, limit)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        self.at(Step::List, || self.inner.list(query)).await
    }

    async fn count(&self, query: &ListQuery) -> Result<Met, StoreError> {
        let _still = self.clock.hold_still();
        self.inner.count(query).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.at(Step::Feed, || self.inner.changes(after, limit)).await
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        self.at(Step::Feed, || self.inner.log(filter)).await
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        self.at(Step::List, || self.inner.verify()).await
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.at(Step::List, || self.inner.info()).await
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        self.at(Step::List, || self.inner.export(after, limit)).await
    }

    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if refused.is_some_and(|refused| entries.iter().any(|entry| entry.entry.key == refused)) {
            let (place, cause) = ("the test's store".to_owned(), "the test refuses it".to_owned());
            return Err(StoreError::Failed { place, attempted: "import entries", cause });
        }
        self.at(Step::Mark, || self.inner.import(entries, now)).await
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        self.pulses.fetch_add(1, Ordering::Relaxed);
        self.at(Step::Pulse, || self.inner.pulse()).await
    }

    async fn heard(&self) {
        loop {
            tokio::select! {
                () = self.inner.heard() => {}
                () = self.bell.notified() => {}
            }
            if !*self.is_deaf.lock().unwrap_or_else(PoisonError::into_inner) {
                return;
            }
        }
    }
}
