//! The store as one process has it: each call is one step, before and after which it may wait, fail,
//! or never come back; what it answers is watched.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Changes, Clock as _, Commit, Committed, Configured, Exported, Extent, Key, Lease, LeaseAsk,
    ListQuery, Listed, LogFilter, LogLine, Met, Problem, Reconciled, Retention, Row, Store, StoreError,
    StoreInfo, Stored, Swept, Target, Time, Trigger,
};
use tokio::sync::Notify;

use super::Broken;
use super::leases::Granted;
use super::sim::{Mark, Sim, State};

/// What goes wrong between a process and its store, in times of a hundred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// A call fails, and nothing was done.
    pub(crate) refused: u8,
    /// A call fails, though it was done.
    pub(crate) lost: u8,
    /// A call takes its time, up to so many milliseconds.
    pub(crate) slow: u8,
    pub(crate) slow_ms: u64,
    /// Nothing is heard of what others did.
    pub(crate) deaf: u8,
}

/// A process's handle.
pub(crate) struct SimStore {
    pub(crate) sim: Arc<Sim>,
    pub(crate) who: Arc<str>,
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) faults: Arc<Mutex<Faults>>,
    pub(crate) heard: Arc<Notify>,
    /// Rows as they were, for a store that reads behind its writes.
    pub(crate) past: Mutex<VecDeque<Vec<Option<Stored>>>>,
}

impl SimStore {
    fn faults(&self) -> Faults {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: others may come before it, it may come late, or not at all.
    async fn before(&self, attempted: &'static str) -> Result<(), StoreError> {
        let faults = self.faults();
        for _ in 0..self.sim.pick(3) {
            tokio::task::yield_now().await;
        }
        if self.sim.happens(faults.slow) {
            self.wait(faults.slow_ms).await;
        }
        if self.sim.happens(faults.refused) {
            return Err(self.error(attempted, "refused"));
        }
        self.sim.tick();
        self.sim.state().counts.store_calls += 1;
        Ok(())
    }

    /// Its answer may come late, or be lost on the way.
    async fn after(&self, attempted: &'static str) -> Result<(), StoreError> {
        let faults = self.faults();
        for _ in 0..self.sim.pick(3) {
            tokio::task::yield_now().await;
        }
        if self.sim.happens(faults.slow) {
            self.wait(faults.slow_ms).await;
        }
        if self.sim.happens(faults.lost) { Err(self.error(attempted, "answer lost")) } else { Ok(()) }
    }

    async fn wait(&self, most: u64) {
        let ms = self.sim.pick(most + 1);
        self.sim.clock.sleep(Duration::from_millis(ms)).await;
    }

    fn error(&self, attempted: &'static str, how: &str) -> StoreError {
        self.sim.state().counts.store_errors += 1;
        self.sim.note(&self.who, || format!("cannot {attempted}: {how}"));
        let place = "the simulation".to_owned();
        match self.sim.pick(3) {
            0 => StoreError::Busy { place, attempted },
            1 => StoreError::Full { place, attempted },
            _ => StoreError::Unreachable { place, attempted, cause: how.to_owned() },
        }
    }

    fn note(&self, what: impl FnOnce() -> String) {
        self.sim.note(&self.who, what);
    }

    fn check(&self, seen: Result<(), String>) {
        if let Err(wrong) = seen {
            self.sim.violate(|| wrong);
        }
    }

    /// What was committed may be heard of.
    fn stir(&self) {
        self.sim.state().stirred = true;
    }

    /// The oracle repeats what was done, and must answer alike.
    fn compare(&self, repeat: impl FnOnce(&mut super::oracle::Oracle) -> Result<(), String>) {
        let taken = self.sim.state().oracle.take();
        let Some(mut oracle) = taken else { return };
        let seen = repeat(&mut oracle);
        self.sim.state().oracle = Some(oracle);
        self.check(seen);
    }

    fn is_broken(&self, rule: Broken) -> bool {
        self.sim.setup.broken == Some(rule)
    }

    /// Rows that are gone took their leases along.
    fn look_who_is_gone(&self) {
        let keys = self.sim.state().keys();
        let rows = now(self.inner.lookup(&keys)).unwrap_or_default();
        let there: Vec<&Key> =
            keys.iter().zip(&rows).filter(|(_, row)| row.is_some()).map(|(key, _)| key).collect();
        self.sim.state().leases.gone(|key| there.contains(&key));
    }

    /// Whether a fetch is under way on any of the entries, by the rows' word.
    fn any_leased(&self, at: Time) -> bool {
        let keys = self.sim.state().keys();
        let rows = now(self.inner.lookup(&keys)).unwrap_or_default();
        let lease = |row: &Option<Stored>| row.as_ref().and_then(|row| row.entry.lease.clone());
        rows.iter().filter_map(lease).any(|lease| lease.is_live(at))
    }

    fn watch_acquired(&self, acquired: &[Acquired], at: Time) {
        for one in acquired {
            match one {
                Acquired::Granted(lease, _) => {
                    self.note(|| format!("holds {} until {} as {}", lease.key, lease.until, lease.token.seq));
                    let seen = self.sim.state().leases.granted(lease, at);
                    if matches!(seen, Ok(Granted::TakenOver)) {
                        self.sim.state().counts.takeovers += 1;
                    }
                    self.check(seen.map(drop));
                }
                Acquired::Held(lease) => self.note(|| format!("finds {} held by {}", lease.key, lease.owner)),
                Acquired::Newer(row) => self.note(|| format!("finds {} newer", row.entry.key)),
            }
        }
    }

    fn watch_committed(&self, commit: &Commit, committed: Committed) {
        let (key, seq) = (&commit.lease.key, commit.lease.token.seq);
        match committed {
            Committed::Done { version, invalidated, .. } => {
                let word = commit.write.as_ref().map_or("let go", |write| write.outcome.word());
                self.note(|| format!("committed {key} as {seq}: {word}, version {version}, {invalidated}"));
                let passed = self.sim.clock.passed();
                let writes = commit.write.is_some();
                let seen = self.sim.state().leases.committed(&commit.lease, writes, commit.now, passed);
                self.check(seen);
                if commit.write.as_ref().is_some_and(|write| write.answers_invalidation) {
                    self.sim.state().leases.filled(&commit.lease);
                }
            }
            Committed::Superseded => {
                self.note(|| format!("came too late with {key} as {seq}"));
                self.sim.state().counts.superseded += 1;
            }
        }
    }

    /// Commits as a store would that looks at no token.
    fn commit_unfenced(&self, mut commit: Commit) -> Result<Committed, StoreError> {
        let done = now(self.inner.commit(commit.clone()))?;
        if done != Committed::Superseded || commit.write.is_none() {
            return Ok(done);
        }
        let key = commit.lease.key.clone();
        let row = now(self.inner.lookup(std::slice::from_ref(&key)))?.pop().flatten();
        let held = row.and_then(|row| row.entry.lease).filter(|lease| lease.is_live(commit.now));
        let length = commit.lease.length;
        let ask =
            LeaseAsk { key, owner: self.who.clone(), length, unless_newer_than: None, extent: Extent::Whole };
        commit.lease = match (held, now(self.inner.acquire(&[ask], commit.now))?.pop()) {
            (Some(lease), _) | (None, Some(Acquired::Granted(lease, _))) => lease,
            (None, _) => return Ok(done),
        };
        now(self.inner.commit(commit))
    }

    fn commit_once(&self, commit: Commit) -> Result<Committed, StoreError> {
        if self.is_broken(Broken::Fencing) {
            return self.commit_unfenced(commit);
        }
        let may_lose = commit.write.is_some() && commit.lease.is_live(commit.now);
        if self.is_broken(Broken::Commits) && may_lose && self.sim.happens(20) {
            return now(self.inner.commit(Commit { write: None, ..commit }));
        }
        now(self.inner.commit(commit))
    }
}

/// Has a store's call done at once: its own threads do what they have to meanwhile.
pub(crate) fn now<T>(call: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut call = std::pin::pin!(call);
    loop {
        match call.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[async_trait]
impl Store for SimStore {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.before("look up").await?;
        let mut rows = now(self.inner.lookup(keys))?;
        self.compare(|oracle| oracle.lookup(keys, &rows));
        if self.is_broken(Broken::Reads) && keys.len() == 1 {
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            past.push_back(rows.clone());
            let then = if past.len() > 4 { past.pop_front() } else { None };
            let same = |then: &Vec<Option<Stored>>| {
                then.first().and_then(Option::as_ref).is_some_and(|row| row.entry.key == keys[0])
            };
            rows = then.filter(same).unwrap_or(rows);
        }
        for (key, row) in keys.iter().zip(&rows) {
            let began = row.as_ref().map_or(0, |row| row.entry.began);
            let seen = self.sim.state().leases.seen(key, began);
            self.check(seen);
        }
        self.after("look up").await?;
        Ok(rows)
    }

    async fn acquire(&self, asks: &[LeaseAsk], at: Time) -> Result<Vec<Acquired>, StoreError> {
        self.before("take leases").await?;
        let mut acquired = now(self.inner.acquire(asks, at))?;
        if self.is_broken(Broken::Exclusion) {
            for one in &mut acquired {
                let Acquired::Held(lease) = one else { continue };
                let row = now(self.inner.lookup(std::slice::from_ref(&lease.key)))?.pop().flatten();
                if let Some(row) = row {
                    *one =
                        Acquired::Granted(Lease { owner: self.who.clone(), ..lease.clone() }, Box::new(row));
                }
            }
        }
        self.watch_acquired(&acquired, at);
        self.compare(|oracle| oracle.acquire(asks, at, &acquired));
        self.stir();
        self.after("take leases").await?;
        Ok(acquired)
    }

    async fn renew(&self, leases: &[Lease], at: Time) -> Result<Vec<bool>, StoreError> {
        self.before("renew leases").await?;
        let renewed = now(self.inner.renew(leases, at))?;
        for lease in leases.iter().zip(&renewed).filter(|(_, held)| **held).map(|(lease, _)| lease) {
            let seen = self.sim.state().leases.renewed(lease, at);
            self.check(seen);
        }
        self.compare(|oracle| oracle.renew(leases, at, &renewed));
        self.after("renew leases").await?;
        Ok(renewed)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.before("commit").await?;
        let committed = self.commit_once(commit.clone())?;
        self.watch_committed(&commit, committed);
        self.compare(|oracle| oracle.commit(&commit, committed));
        self.stir();
        self.after("commit").await?;
        Ok(committed)
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, at: Time) -> Result<u64, StoreError> {
        self.before("mark due").await?;
        if trigger != Trigger::Read {
            let mut state = self.sim.state();
            let tick = state.tick;
            for key in keys {
                state.leases.wanted(key, tick);
            }
        }
        if self.is_broken(Broken::Marks) {
            return Ok(keys.len() as u64);
        }
        let marked = now(self.inner.mark_due(keys, trigger, at))?;
        self.note(|| format!("marked {} due, by {trigger}", State::names(keys)));
        self.compare(|oracle| oracle.mark_due(keys, trigger, at, marked));
        self.stir();
        self.after("mark due").await?;
        Ok(marked)
    }

    async fn invalidate(&self, target: &Target, at: Time) -> Result<Met, StoreError> {
        self.before("invalidate").await?;
        let forgets = self.is_broken(Broken::Invalidations)
            || (self.is_broken(Broken::InvalidationsInFlight) && self.any_leased(at));
        let met = if forgets { Met::default() } else { now(self.inner.invalidate(target, at))? };
        self.note(|| format!("invalidated {target:?}: {met}"));
        {
            let mut state = self.sim.state();
            let tick = state.tick;
            state.marks.push(Mark { tick, target: target.clone(), evicted: false });
        }
        self.compare(|oracle| oracle.invalidate(target, at, met));
        self.stir();
        self.after("invalidate").await?;
        Ok(met)
    }

    async fn evict(&self, target: &Target, at: Time) -> Result<u64, StoreError> {
        self.before("evict").await?;
        let evicted = now(self.inner.evict(target, at))?;
        self.note(|| format!("evicted {target:?}: {evicted}"));
        {
            let mut state = self.sim.state();
            let tick = state.tick;
            state.marks.push(Mark { tick, target: target.clone(), evicted: true });
        }
        self.look_who_is_gone();
        self.compare(|oracle| oracle.evict(target, at, evicted));
        self.stir();
        self.after("evict").await?;
        Ok(evicted)
    }

    async fn replay(&self, target: &Target, at: Time) -> Result<u64, StoreError> {
        self.before("replay").await?;
        let replayed = now(self.inner.replay(target, at))?;
        self.note(|| format!("replayed {target:?}: {replayed}"));
        self.compare(|oracle| oracle.replay(target, at, replayed));
        self.stir();
        self.after("replay").await?;
        Ok(replayed)
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        at: Time,
    ) -> Result<Reconciled, StoreError> {
        self.before("reconcile").await?;
        let reconciled = now(self.inner.reconcile(source, configured, at))?;
        self.note(|| format!("reconciled {source}: {reconciled:?}"));
        self.compare(|oracle| oracle.reconcile(source, configured, at, reconciled));
        self.stir();
        self.after("reconcile").await?;
        Ok(reconciled)
    }

    async fn begin_sweep(&self, every: Duration, at: Time) -> Result<bool, StoreError> {
        self.before("note a sweep").await?;
        let begins = now(self.inner.begin_sweep(every, at))?;
        self.after("note a sweep").await?;
        Ok(begins)
    }

    async fn end_sweep(&self, at: Time) -> Result<(), StoreError> {
        self.before("note a sweep").await?;
        now(self.inner.end_sweep(at))?;
        self.after("note a sweep").await
    }

    async fn sweep(&self, retention: &Retention, at: Time) -> Result<Swept, StoreError> {
        self.before("sweep").await?;
        let swept = now(self.inner.sweep(retention, at))?;
        self.note(|| format!("swept: {swept:?}"));
        self.look_who_is_gone();
        self.compare(|oracle| oracle.sweep(retention, at, swept));
        self.stir();
        self.after("sweep").await?;
        Ok(swept)
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.before("list entries").await?;
        let rows = now(self.inner.rows(source, after, limit))?;
        self.compare(|oracle| oracle.rows(source, after, limit, &rows));
        self.after("list entries").await?;
        Ok(rows)
    }

    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        self.before("count members").await?;
        let shown = now(self.inner.shown(keys))?;
        self.after("count members").await?;
        Ok(shown)
    }

    async fn due(&self, at: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        self.before("look for due entries").await?;
        let due = now(self.inner.due(at, limit))?;
        self.compare(|oracle| oracle.due(at, limit, &due));
        self.after("look for due entries").await?;
        Ok(due)
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        now(self.inner.list(query))
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.before("read the feed").await?;
        let changes = now(self.inner.changes(after, limit))?;
        self.after("read the feed").await?;
        Ok(changes)
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        now(self.inner.log(filter))
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        now(self.inner.verify())
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        now(self.inner.info())
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        now(self.inner.export(after, limit))
    }

    async fn import(&self, entries: &[Exported], at: Time) -> Result<u64, StoreError> {
        now(self.inner.import(entries, at))
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        self.before("take the pulse").await?;
        let pulse = now(self.inner.pulse())?;
        self.after("take the pulse").await?;
        Ok(pulse)
    }

    async fn heard(&self) {
        self.heard.notified().await;
    }
}
