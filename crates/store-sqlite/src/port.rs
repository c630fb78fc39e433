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
    SqliteStore, budgets, commit, due, entries, export, feed, invalidate, leases, list, sheets, sweep,
    verify, words,
};

#[async_trait]
impl Store for SqliteStore {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.read("look entries up", |conn| entries::lookup(conn, keys))
    }

    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError> {
        let asks = asks.to_vec();
        self.write("take leases", move |conn| leases::acquire(conn, &asks, now)).await
    }

    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError> {
        let leases = leases.to_vec();
        self.write("renew leases", move |conn| leases::renew(conn, &leases, now)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.write("commit a refresh", move |conn| commit::commit(conn, &commit)).await
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError> {
        let keys = keys.to_vec();
        self.write("mark entries due", move |conn| entries::mark_due(conn, &keys, trigger, now)).await
    }

    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError> {
        let target = target.clone();
        self.write("invalidate", move |conn| invalidate::invalidate(conn, &target, now)).await
    }

    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        invalidate::evict(self, target, now).await
    }

    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        let target = target.clone();
        self.write("replay", move |conn| entries::replay(conn, &target, now)).await
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError> {
        let (source, configured) = (source.to_owned(), configured.to_vec());
        self.write("compare with the configuration", move |conn| {
            entries::reconcile(conn, &source, &configured, now)
        })
        .await
    }

    async fn begin_sweep(&self, every: Duration, now: Time) -> Result<bool, StoreError> {
        self.write("note a sweep", move |conn| sweep::begin(conn, every, now)).await
    }

    async fn end_sweep(&self, now: Time) -> Result<(), StoreError> {
        self.write("note a sweep", move |conn| sweep::end(conn, now)).await
    }

    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
        sweep::sweep(self, retention, now).await
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read("list entries", |conn| entries::rows(conn, source, after, limit))
    }

    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        self.read("count members", |conn| entries::shown(conn, keys))
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        self.read("look for due entries", |conn| due::due(conn, now, limit))
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        if query.search.is_none() {
            return self.read("list items", |conn| list::list(conn, query));
        }
        let query = query.clone();
        self.read_long("search items", move |conn| list::list(conn, &query)).await
    }

    async fn count(&self, query: &ListQuery) -> Result<Met, StoreError> {
        if query.search.is_none() {
            return self.read("count items", |conn| list::count(conn, query));
        }
        let query = query.clone();
        self.read_long("count items", move |conn| list::count(conn, &query)).await
    }

    async fn sheet(&self, key: &Key, form: &str, bytes: usize) -> Result<Option<SheetText>, StoreError> {
        self.read("read a sheet", |conn| sheets::sheet(conn, key, form, bytes))
    }

    async fn keep_sheet(&self, key: &Key, sheet: &Sheet) -> Result<bool, StoreError> {
        let (key, sheet) = (key.clone(), sheet.clone());
        self.write("keep a sheet", move |conn| sheets::keep(conn, &key, &sheet)).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.read("read the feed", |conn| feed::changes(conn, after, limit))
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        self.read("read the refresh log", |conn| feed::log_lines(conn, filter))
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        let mut problems = self.read_long("verify", verify::verify).await?;
        match self.write("verify the full-text index", words::verify).await {
            Ok(found) => problems.extend(found),
            // What cannot be written can still be looked at, all but the index.
            Err(StoreError::ReadOnly { .. }) => {}
            Err(StoreError::Corrupt { cause, .. }) => {
                problems.push(Problem { on: "file".to_owned(), message: cause });
            }
            Err(error) => return Err(error),
        }
        Ok(problems)
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        let shared = &self.shared;
        self.read("describe the store", |conn| verify::info(conn, &shared.place, shared.bytes()))
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        let after = after.cloned();
        self.read_long("export entries", move |conn| export::export(conn, after.as_ref(), limit)).await
    }

    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError> {
        let entries = entries.to_vec();
        self.write("import entries", move |conn| export::import(conn, &entries, now)).await
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        self.shared.look_after("take the pulse")?;
        self.read("take the pulse", feed::pulse)
    }
}

#[async_trait]
impl Budgets for SqliteStore {
    async fn reserve(&self, ask: &Reservation, now: Time) -> Result<Reserved, StoreError> {
        let ask = ask.clone();
        self.write("reserve points", move |conn| budgets::reserve(conn, &ask, now)).await
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Result<(), StoreError> {
        let settlement = settlement.clone();
        self.write("settle a reservation", move |conn| budgets::settle(conn, &settlement, now)).await
    }

    async fn budgets(&self, now: Time) -> Result<Vec<Budget>, StoreError> {
        self.read("read budgets", |conn| budgets::budgets(conn, now))
    }

    async fn actor(&self, host: &str, credential: &Fingerprint) -> Result<Option<Arc<str>>, StoreError> {
        self.read("look an actor up", |conn| budgets::actor(conn, host, credential.as_str()))
    }

    async fn set_actor(&self, host: &str, credential: &Fingerprint, actor: &str) -> Result<(), StoreError> {
        let (host, credential, actor) = (host.to_owned(), credential.clone(), actor.to_owned());
        self.write("remember an actor", move |conn| {
            budgets::set_actor(conn, &host, credential.as_str(), &actor)
        })
        .await
    }
}
