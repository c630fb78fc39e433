//! The two ports, each method a transaction of the modules beside this one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Budget, Budgets, Changes, Commit, Committed, Configured, Exported, Fingerprint, Key, Lease,
    LeaseAsk, ListQuery, Listed, LogFilter, LogLine, Met, Problem, Reconciled, Reservation, Reserved,
    Retention, Row, Settlement, Store, StoreError, StoreInfo, Stored, Swept, Target, Time, Trigger, Write,
};

use crate::connections::Mode;
use crate::search::Looks;
use crate::transaction::Tx;
use crate::unfit::Load;
use crate::{
    PostgresStore, budgets, commit, due, entries, export, feed, import, invalidate, leases, list, reconcile,
    sweep, verify,
};

#[async_trait]
impl Store for PostgresStore {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        let work = |tx: Arc<Tx>| async move { entries::lookup(&tx, keys).await };
        self.run(Mode::Hit, "look entries up", work).await
    }

    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError> {
        let work = |tx: Arc<Tx>| async move { leases::acquire(&tx, asks, now).await };
        self.run(Mode::Write, "take leases", work).await
    }

    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError> {
        let work = |tx: Arc<Tx>| async move { leases::renew(&tx, leases, now).await };
        self.run(Mode::Rewrite, "renew leases", work).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let commit = Arc::new(commit);
        if commit::is_of_row(&commit)
            && let Some(committed) = self.commit_gathered(commit.clone()).await?
        {
            return Ok(committed);
        }
        let commit = &*commit;
        let most = |write: &Write| write.items.len().max(write.members.as_ref().map_or(0, Vec::len));
        self.shared.connections.expect(commit.write.as_ref().map_or(0, most)).await;
        let named = |fault| commit.write.as_ref().map(Load::of_write).unwrap_or_default().named(fault);
        let work = |tx: Arc<Tx>| async move { commit::commit(&tx, commit).await.map_err(named) };
        self.run(Mode::Write, "commit a refresh", work).await
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError> {
        let work = |tx: Arc<Tx>| async move { entries::mark_due(&tx, keys, trigger, now).await };
        self.run(Mode::Rewrite, "mark entries due", work).await
    }

    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError> {
        let work = |tx: Arc<Tx>| async move { invalidate::invalidate(&tx, target, now).await };
        self.run(Mode::Rewrite, "invalidate", work).await
    }

    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        let (mut evicted, mut after) = (0, Some(String::new()));
        while let Some(from) = after {
            let from = from.as_str();
            let work = |tx: Arc<Tx>| async move { invalidate::evict(&tx, target, from, now).await };
            let (count, last) = self.run(Mode::Write, "evict", work).await?;
            evicted += count;
            after = last;
        }
        Ok(evicted)
    }

    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        let work = |tx: Arc<Tx>| async move { entries::replay(&tx, target, now).await };
        self.run(Mode::Write, "replay", work).await
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError> {
        let work = |tx: Arc<Tx>| async move { reconcile::reconcile(&tx, source, configured, now).await };
        self.run(Mode::Write, "compare with the configuration", work).await
    }

    async fn begin_sweep(&self, every: Duration, now: Time) -> Result<bool, StoreError> {
        let work = |tx: Arc<Tx>| async move { sweep::begin(&tx, every, now).await };
        self.run(Mode::Write, "note a sweep", work).await
    }

    async fn end_sweep(&self, now: Time) -> Result<(), StoreError> {
        let work = |tx: Arc<Tx>| async move { sweep::end(&tx, now).await };
        self.run(Mode::Rewrite, "note a sweep", work).await
    }

    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
        sweep::sweep(&self.shared.connections, retention, now).await
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let work = |tx: Arc<Tx>| async move { entries::rows(&tx, source, after, limit).await };
        self.run(Mode::Read, "list entries", work).await
    }

    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        let work = |tx: Arc<Tx>| async move { entries::shown(&tx, keys).await };
        self.run(Mode::Read, "count members", work).await
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        let work = |tx: Arc<Tx>| async move { due::due(&tx, now, limit).await };
        self.run(Mode::Read, "look for due entries", work).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        for looks in [Looks::AtAll, Looks::AtItsOwn] {
            let work = |tx: Arc<Tx>| async move { list::list(&tx, query, looks).await };
            if let Some(listed) = self.run(Mode::Read, "list items", work).await? {
                return Ok(listed);
            }
        }
        Ok(Vec::new())
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        let work = |tx: Arc<Tx>| async move { feed::changes(&tx, after, limit).await };
        let (changes, is_behind) = self.run(Mode::Read, "read the feed", work).await?;
        if is_behind && self.is_caught_up().await {
            return Ok(self.run(Mode::Read, "read the feed", work).await?.0);
        }
        Ok(changes)
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        let work = |tx: Arc<Tx>| async move { feed::log_lines(&tx, filter).await };
        self.run(Mode::Read, "read the refresh log", work).await
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        let work = |tx: Arc<Tx>| async move { verify::verify(&tx).await };
        self.run(Mode::Read, "verify", work).await
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let place = self.place();
        let work = |tx: Arc<Tx>| async move { verify::info(&tx, place).await };
        self.run(Mode::Read, "describe the store", work).await
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        let work = |tx: Arc<Tx>| async move { export::export(&tx, after, limit).await };
        self.run(Mode::Read, "export entries", work).await
    }

    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError> {
        self.shared.connections.expect(entries.iter().map(|entry| entry.members.len()).sum()).await;
        let named = |fault| Load::of_exported(entries).named(fault);
        let work = |tx: Arc<Tx>| async move { import::import(&tx, entries, now).await.map_err(named) };
        self.run(Mode::Write, "import entries", work).await
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        let work = |tx: Arc<Tx>| async move { feed::pulse(&tx).await };
        self.run(Mode::Read, "take the pulse", work).await
    }

    async fn heard(&self) {
        match &self.shared.listener {
            Some(listener) => listener.heard().await,
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Budgets for PostgresStore {
    async fn reserve(&self, ask: &Reservation, now: Time) -> Result<Reserved, StoreError> {
        let work = |tx: Arc<Tx>| async move { budgets::reserve(&tx, ask, now).await };
        self.run(Mode::Write, "reserve points", work).await
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Result<(), StoreError> {
        let work = |tx: Arc<Tx>| async move { budgets::settle(&tx, settlement, now).await };
        self.run(Mode::Write, "settle a reservation", work).await
    }

    async fn budgets(&self, now: Time) -> Result<Vec<Budget>, StoreError> {
        let work = |tx: Arc<Tx>| async move { budgets::budgets(&tx, now).await };
        self.run(Mode::Read, "read budgets", work).await
    }

    async fn actor(&self, host: &str, credential: &Fingerprint) -> Result<Option<Arc<str>>, StoreError> {
        let work = |tx: Arc<Tx>| async move { budgets::actor(&tx, host, credential.as_str()).await };
        self.run(Mode::Read, "look an actor up", work).await
    }

    async fn set_actor(&self, host: &str, credential: &Fingerprint, actor: &str) -> Result<(), StoreError> {
        let work =
            |tx: Arc<Tx>| async move { budgets::set_actor(&tx, host, credential.as_str(), actor).await };
        self.run(Mode::Rewrite, "remember an actor", work).await
    }
}
