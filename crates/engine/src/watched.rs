//! A store in front of the store: hears how each call ends, so that what is the matter with the store is
//! told once, not by each of its readers, and keeps readers from waiting for one that does not answer.
//!
//! The engine's own calls go through one that only listens: each of them has a patience of its own. What
//! a server asks besides (lists, logs, counts) goes through one that is [bounded](Engine::within_reach): it
//! does not ask while the store is known to be out of reach, and looks after half of a reader's patience
//! whether the store answers anybody at all. A list may take long; a store that is silent may not.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Changes, Clock, Commit, Committed, Configured, Exported, Key, Lease, LeaseAsk, ListQuery,
    Listed, LogFilter, LogLine, Met, Problem, Reconciled, Retention, Row, Sheet, SheetText, Store,
    StoreError, StoreInfo, Stored, Swept, Target, Time, Trigger,
};

use crate::Engine;
use crate::reach::{PATIENCE, Reach, Writing, loses_reach};

/// A store, and what is known of it.
#[derive(Clone)]
pub(crate) struct Watched {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    reach: Arc<Reach>,
    is_bounded: bool,
}

impl Watched {
    /// One that only listens.
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, reach: Arc<Reach>) -> Self {
        Watched { store, clock, reach, is_bounded: false }
    }

    /// The same for whoever would rather be told that the store is silent than wait for it.
    pub(crate) fn bounded(&self) -> Self {
        Watched { is_bounded: true, ..self.clone() }
    }

    /// Whether the store answers a reader, who waits so long.
    pub(crate) async fn probe(&self, patience: Duration) -> bool {
        let Ok(nobody) = Key::new("larder", &["nobody"]) else { return false };
        let looked = self.store.lookup(std::slice::from_ref(&nobody));
        match within(&*self.clock, patience, "look entries up", looked).await {
            Ok(_) => self.reach.note_answer(),
            Err(error) => self.reach.note_failure(&Arc::new(error), self.clock.now()),
        }
        self.reach.out(self.clock.now()).is_none()
    }

    async fn read<T>(
        &self,
        attempted: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if !self.is_bounded {
            return work.await.inspect_err(|error| self.hear(error));
        }
        if self.reach.out_lately(self.clock.now()).is_some() {
            return Err(self.silent(attempted));
        }
        let mut work = pin!(work);
        // What is answered at once needs no alarm.
        if let Poll::Ready(done) = futures::poll!(work.as_mut()) {
            return self.judged(done).await;
        }
        let half = PATIENCE / 2;
        loop {
            let waited_from = self.clock.now();
            tokio::select! {
                biased;
                done = &mut work => return self.judged(done).await,
                () = self.clock.sleep(half) => {}
            }
            let now = self.clock.now();
            if self.reach.out_lately(now).is_some() {
                return Err(self.silent(attempted));
            }
            // Whoever follows the store has had an answer meanwhile: this one takes long. And many that take long
            // hold all connections, of which each of their probes would want one more.
            let is_answered = self.reach.has_answered_since(waited_from);
            let Some(_only) = self.reach.only_probe().filter(|_| !is_answered) else { continue };
            let is_there = tokio::select! {
                biased;
                done = &mut work => return self.judged(done).await,
                is_there = self.probe(half) => is_there,
            };
            if !is_there {
                return Err(self.silent(attempted));
            }
        }
    }

    /// What failed is looked into: is it that, or all of the store?
    async fn judged<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        let may_be_all = done.as_ref().is_err_and(loses_reach);
        if let Err(error) = &done {
            self.hear(error);
        }
        if may_be_all
            && self.probe(PATIENCE / 2).await
            && let Err(error) = &done
        {
            // It answers others: nobody else tells of it.
            self.reach.trouble(error, self.clock.now());
        }
        done
    }

    async fn write<T>(
        &self,
        attempted: &'static str,
        writing: Writing,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if self.is_bounded && self.reach.out_lately(self.clock.now()).is_some() {
            return Err(self.silent(attempted));
        }
        let error = match work.await {
            Ok(done) => {
                self.reach.wrote(writing, None, self.clock.now());
                return Ok(done);
            }
            Err(error) => error,
        };
        let is_denied_alone = writing == Writing::Aside && matches!(error, StoreError::Denied { .. });
        let error = self.refused(error).await;
        if is_denied_alone {
            self.reach.trouble(&error, self.clock.now());
        } else {
            self.reach.wrote(writing, Some(&error), self.clock.now());
        }
        Err(error)
    }

    /// What was not written is looked into: where readers are answered nobody else tells of it, and a store
    /// that lets us read and does not let us write is one that cannot be written.
    async fn refused(&self, error: StoreError) -> StoreError {
        self.hear(&error);
        let may_be_alone = matches!(error, StoreError::Denied { .. } | StoreError::Failed { .. });
        if !may_be_alone || !self.probe(PATIENCE / 2).await {
            return error;
        }
        match error {
            StoreError::Denied { place, cause, hint, .. } => {
                StoreError::ReadOnly { place, cause, hint: Some(hint) }
            }
            error => {
                self.reach.trouble(&error, self.clock.now());
                error
            }
        }
    }

    fn hear(&self, error: &StoreError) {
        // Whether all of it is out of reach is told by who tries that.
        if !loses_reach(error) {
            self.reach.trouble(error, self.clock.now());
        }
    }

    fn silent(&self, attempted: &'static str) -> StoreError {
        let cause =
            self.reach.error().map_or_else(|| "it did not answer".to_owned(), |error| error.to_string());
        StoreError::Unreachable { place: PLACE.to_owned(), attempted, cause }
    }
}

/// What a store is called whose place nobody told.
pub(crate) const PLACE: &str = "the store";

/// Does `work` of a store's, and takes it for out of reach if it does not come to its end in that span.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    span: Duration,
    attempted: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut work = pin!(work);
    // What is answered at once needs no alarm.
    if let Poll::Ready(done) = futures::poll!(work.as_mut()) {
        return done;
    }
    tokio::select! {
        biased;
        done = work => done,
        () = clock.sleep(span) => Err(StoreError::Unreachable {
            place: PLACE.to_owned(),
            attempted,
            cause: format!("no answer within {} s", span.as_secs_f32()),
        }),
    }
}

impl Engine {
    /// The store for whoever asks it besides the engine: it answers [`StoreError::Unreachable`] at once while
    /// it is known to be out of reach, and else as soon as a reader's patience with a silent store
    /// ends.
    pub fn within_reach(&self) -> Arc<dyn Store> {
        Arc::new(self.inner.watched.bounded())
    }

    /// The same of anything else that is asked of where the store is.
    pub async fn bounded<T>(
        &self,
        attempted: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.inner.watched.bounded().read(attempted, work).await
    }
}

#[async_trait]
impl Store for Watched {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.read("look entries up", self.store.lookup(keys)).await
    }

    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError> {
        self.write("take leases", Writing::Little, self.store.acquire(asks, now)).await
    }

    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError> {
        self.write("renew leases", Writing::Little, self.store.renew(leases, now)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let writing = if commit.write.is_some() { Writing::Much } else { Writing::Little };
        self.write("commit", writing, self.store.commit(commit)).await
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError> {
        self.write("mark entries", Writing::Aside, self.store.mark_due(keys, trigger, now)).await
    }

    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError> {
        self.write("invalidate", Writing::Aside, self.store.invalidate(target, now)).await
    }

    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        self.write("evict", Writing::Aside, self.store.evict(target, now)).await
    }

    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        self.write("replay", Writing::Aside, self.store.replay(target, now)).await
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError> {
        self.write("reconcile", Writing::Aside, self.store.reconcile(source, configured, now)).await
    }

    async fn begin_sweep(&self, every: Duration, now: Time) -> Result<bool, StoreError> {
        self.write("note a sweep", Writing::Aside, self.store.begin_sweep(every, now)).await
    }

    async fn end_sweep(&self, now: Time) -> Result<(), StoreError> {
        self.write("note a sweep", Writing::Aside, self.store.end_sweep(now)).await
    }

    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
        self.write("sweep", Writing::Aside, self.store.sweep(retention, now)).await
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read("read rows", self.store.rows(source, after, limit)).await
    }

    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        self.read("count members", self.store.shown(keys)).await
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        self.read("look up what is due", self.store.due(now, limit)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        self.read("list items", self.store.list(query)).await
    }

    async fn count(&self, query: &ListQuery) -> Result<Met, StoreError> {
        self.read("count items", self.store.count(query)).await
    }

    async fn sheet(&self, key: &Key, form: &str, bytes: usize) -> Result<Option<SheetText>, StoreError> {
        self.read("read a sheet", self.store.sheet(key, form, bytes)).await
    }

    async fn keep_sheet(&self, key: &Key, sheet: &Sheet) -> Result<bool, StoreError> {
        self.write("keep a sheet", Writing::Aside, self.store.keep_sheet(key, sheet)).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.read("read the feed", self.store.changes(after, limit)).await
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        self.read("read the refresh log", self.store.log(filter)).await
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        self.read("verify", self.store.verify()).await
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.read("describe itself", self.store.info()).await
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        self.read("export", self.store.export(after, limit)).await
    }

    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError> {
        self.write("import", Writing::Much, self.store.import(entries, now)).await
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        self.read("take the pulse", self.store.pulse()).await
    }

    async fn heard(&self) {
        self.store.heard().await;
    }
}
