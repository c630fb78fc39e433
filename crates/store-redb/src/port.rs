//! The two ports, each method a read or a write of the modules beside this one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Budget, Budgets, Changes, Commit, Committed, Configured, Exported, Fingerprint, Key, Lease,
    LeaseAsk, ListQuery, Listed, LogFilter, LogLine, Met, Problem, Reconciled, Reservation, Reserved,
    Retention, Row, Settlement, Sheet, SheetText, Store, StoreError, StoreInfo, Stored, Swept, Target, Time,
    Trigger,
};

use crate::{
    RedbStore, budgets, commit, due, entries, export, feed, invalidate, leases, list, sheets, sweep, verify,
};

#[async_trait]
impl Store for RedbStore {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.read("look entries up", |look| entries::lookup(look, keys)).await
    }

    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError> {
        let asks = asks.to_vec();
        self.write("take leases", move |tx| leases::acquire(tx, &asks, now)).await
    }

    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError> {
        let leases = leases.to_vec();
        self.write("renew leases", move |tx| leases::renew(tx, &leases, now)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.write("commit a refresh", move |tx| commit::commit(tx, &commit)).await
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError> {
        let keys = keys.to_vec();
        self.write("mark entries due", move |tx| entries::mark_due(tx, &keys, trigger, now)).await
    }

    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError> {
        let target = target.clone();
        self.write("invalidate", move |tx| invalidate::invalidate(tx, &target, now)).await
    }

    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        invalidate::evict(self, target, now).await
    }

    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        let target = target.clone();
        self.write("replay", move |tx| entries::replay(tx, &target, now)).await
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError> {
        let (source, configured) = (source.to_owned(), configured.to_vec());
        self.write("compare with the configuration", move |tx| {
            entries::reconcile(tx, &source, &configured, now)
        })
        .await
    }

    async fn begin_sweep(&self, every: Duration, now: Time) -> Result<bool, StoreError> {
        self.write("note a sweep", move |tx| sweep::begin(tx, every, now)).await
    }

    async fn end_sweep(&self, now: Time) -> Result<(), StoreError> {
        self.write("note a sweep", move |tx| sweep::end(tx, now)).await
    }

    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
        let swept = sweep::sweep(self, retention, now).await?;
        if swept.entries + swept.items + swept.log + swept.feed > 0 {
            self.compact().await?;
        }
        Ok(swept)
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read("list entries", |look| entries::rows(look, source, after, limit)).await
    }

    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        self.read("count members", |look| entries::shown(look, keys)).await
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        self.read("look for due entries", |look| due::due(look, now, limit)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        let query = query.clone();
        self.read_long("list items", move |look| list::list(look, &query)).await
    }

    async fn sheet(&self, key: &Key, form: &str, bytes: usize) -> Result<Option<SheetText>, StoreError> {
        self.read("read a sheet", |look| sheets::sheet(look, key, form, bytes)).await
    }

    async fn keep_sheet(&self, key: &Key, sheet: &Sheet) -> Result<bool, StoreError> {
        let (key, sheet) = (key.clone(), sheet.clone());
        self.write("keep a sheet", move |tx| sheets::keep(tx, &key, &sheet)).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.read("read the feed", |look| feed::changes(look, after, limit)).await
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        self.read("read the refresh log", |look| feed::log_lines(look, filter)).await
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        let structure = self.tend("verify", |holder| holder.alone_with(verify::check)).await;
        let mut problems = match structure {
            Ok(Ok(said)) => said.into_iter().map(in_file).collect(),
            // Of a file that is torn, rows say nothing.
            Ok(Err(fault)) if fault.is_damage() => {
                let error = self.met(fault, None, "verify").await;
                return Ok(vec![in_file(error.to_string())]);
            }
            Ok(Err(fault)) => match fault.named(&self.shared.holder.place, "verify") {
                // What cannot be written can still be looked at.
                StoreError::ReadOnly { .. } => Vec::new(),
                error => return Err(error),
            },
            Err(StoreError::ReadOnly { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let found = self.read_long("verify", verify::verify).await?;
        if found.iter().any(verify::is_mended) {
            self.write("verify", verify::rebuild).await?;
        }
        problems.extend(found);
        Ok(problems)
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let holder = &self.shared.holder;
        self.read("describe the store", |look| verify::info(look, &holder.place, holder.bytes())).await
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        let after = after.cloned();
        self.read_long("export entries", move |look| export::export(look, after.as_ref(), limit)).await
    }

    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError> {
        let entries = entries.to_vec();
        self.write("import entries", move |tx| export::import(tx, &entries, now)).await
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        self.read("take the pulse", feed::pulse).await
    }

    async fn heard(&self) {
        self.shared.holder.committed.notified().await;
    }
}

fn in_file(message: String) -> Problem {
    Problem { on: "file".to_owned(), message }
}

#[async_trait]
impl Budgets for RedbStore {
    async fn reserve(&self, ask: &Reservation, now: Time) -> Result<Reserved, StoreError> {
        let ask = ask.clone();
        self.write("reserve points", move |tx| budgets::reserve(tx, &ask, now)).await
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Result<(), StoreError> {
        let settlement = settlement.clone();
        self.write("settle a reservation", move |tx| budgets::settle(tx, &settlement, now)).await
    }

    async fn budgets(&self, now: Time) -> Result<Vec<Budget>, StoreError> {
        self.read("read budgets", |look| budgets::budgets(look, now)).await
    }

    async fn actor(&self, host: &str, credential: &Fingerprint) -> Result<Option<Arc<str>>, StoreError> {
        self.read("look an actor up", |look| budgets::actor(look, host, credential.as_str())).await
    }

    async fn set_actor(&self, host: &str, credential: &Fingerprint, actor: &str) -> Result<(), StoreError> {
        let (host, credential, actor) = (host.to_owned(), credential.clone(), actor.to_owned());
        self.write("remember an actor", move |tx| budgets::set_actor(tx, &host, credential.as_str(), &actor))
            .await
    }
}
