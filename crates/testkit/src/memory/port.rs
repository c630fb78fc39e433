//! The two ports, each method a look at the state or one step of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Acquired, Budget, Budgets, Changes, Commit, Committed, Configured, Exported, Fingerprint, Key, Lease,
    LeaseAsk, ListQuery, Listed, LogFilter, LogLine, MemberState, Met, Problem, Reconciled, Reservation,
    Reserved, Retention, Row, Settlement, Sheet, SheetText, Store, StoreError, StoreInfo, Stored, Swept,
    Target, Time, Trigger,
};

use super::{MemoryStore, PLACE};

#[async_trait]
impl Store for MemoryStore {
    async fn lookup(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, StoreError> {
        self.read(|state| {
            let find = |key: &Key| state.entries.get(key).map(|row| state.stored(row));
            Ok(keys.iter().map(find).collect())
        })
    }

    async fn acquire(&self, asks: &[LeaseAsk], now: Time) -> Result<Vec<Acquired>, StoreError> {
        self.write(|state| Ok(asks.iter().map(|ask| state.acquire(ask, now)).collect()))
    }

    async fn renew(&self, leases: &[Lease], now: Time) -> Result<Vec<bool>, StoreError> {
        self.write(|state| Ok(leases.iter().map(|lease| state.renew(lease, now)).collect()))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.write(|state| state.commit(&commit))
    }

    async fn mark_due(&self, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, StoreError> {
        self.write(|state| Ok(state.mark_due(keys, trigger, now)))
    }

    async fn invalidate(&self, target: &Target, now: Time) -> Result<Met, StoreError> {
        self.write(|state| Ok(state.invalidate(target, now)))
    }

    async fn evict(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        self.write(|state| {
            let met = state.met(target);
            state.remove(&met, now);
            Ok(met.len() as u64)
        })
    }

    async fn replay(&self, target: &Target, now: Time) -> Result<u64, StoreError> {
        self.write(|state| Ok(state.replay(target, now)))
    }

    async fn reconcile(
        &self,
        source: &str,
        configured: &[Configured],
        now: Time,
    ) -> Result<Reconciled, StoreError> {
        self.write(|state| Ok(state.reconcile(source, configured, now)))
    }

    async fn begin_sweep(&self, every: Duration, now: Time) -> Result<bool, StoreError> {
        self.write(|state| Ok(state.begin_sweep(every, now)))
    }

    async fn end_sweep(&self, now: Time) -> Result<(), StoreError> {
        self.write(|state| {
            state.end_sweep(now);
            Ok(())
        })
    }

    async fn sweep(&self, retention: &Retention, now: Time) -> Result<Swept, StoreError> {
        self.write(|state| Ok(state.sweep(retention, now)))
    }

    async fn rows(
        &self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(|state| {
            let is_asked = |key: &Key| source.is_none_or(|name| key.source() == name);
            let behind = |key: &Key| after.is_none_or(|after| key > after);
            let rows =
                state.entries.values().filter(|row| is_asked(&row.entry.key) && behind(&row.entry.key));
            let row = rows.map(|row| Row {
                entry: state.seen(row),
                unconfigured_since: row.unconfigured_since,
                touched_at: row.touched_at,
            });
            Ok(row.take(limit).collect())
        })
    }

    async fn shown(&self, keys: &[Key]) -> Result<Vec<u64>, StoreError> {
        self.read(|state| {
            let shown = |key: &Key| {
                let members = state.entries.get(key).map_or(&[][..], |row| &row.members);
                members.iter().filter(|member| member.state != MemberState::Hidden).count() as u64
            };
            Ok(keys.iter().map(shown).collect())
        })
    }

    async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        self.read(|state| Ok(state.due(now, limit)))
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        self.read(|state| state.list(query))
    }

    async fn sheet(&self, key: &Key, form: &str, bytes: usize) -> Result<Option<SheetText>, StoreError> {
        self.read(|state| {
            let row = state.entries.get(key);
            let kept =
                row.and_then(|row| row.sheet.as_deref().filter(|sheet| sheet.version == row.entry.version));
            let kept = kept.filter(|sheet| sheet.form == form);
            Ok(kept.and_then(|sheet| SheetText::within(sheet.text.clone().into(), sheet.text.len(), bytes)))
        })
    }

    async fn keep_sheet(&self, key: &Key, sheet: &Sheet) -> Result<bool, StoreError> {
        self.write(|state| {
            let row = state.entries.get_mut(key).filter(|row| row.entry.version == sheet.version);
            let row = row.filter(|_| sheet.text.len() <= Sheet::BYTES_MAX);
            Ok(row.map(|row| row.sheet = Some(Arc::new(sheet.clone()))).is_some())
        })
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, StoreError> {
        self.read(|state| {
            let lines = state.feed.iter().filter(|line| line.seq > after).take(limit);
            Ok(Changes {
                lines: lines.map(|line| (**line).clone()).collect(),
                // A place further on than there is anything comes from another store's life.
                reset: after < state.feed_swept || after > state.seq,
                last: state.feed_last(),
            })
        })
    }

    async fn log(&self, filter: &LogFilter) -> Result<Vec<LogLine>, StoreError> {
        self.read(|state| {
            let of_key = |line: &&Arc<LogLine>| filter.key.as_ref().is_none_or(|key| line.key == *key);
            let lines = state.log.iter().rev().filter(of_key).take(filter.limit);
            Ok(lines.map(|line| (**line).clone()).collect())
        })
    }

    async fn verify(&self) -> Result<Vec<Problem>, StoreError> {
        self.read(|state| {
            let mut problems = Vec::new();
            for row in state.entries.values() {
                let entry = &row.entry;
                let mut note = |message: &str| {
                    problems
                        .push(Problem { on: format!("entries {}", entry.key), message: message.to_owned() });
                };
                if !entry.has_data() && !row.members.is_empty() {
                    note("it has members but no data");
                }
                if row.members.iter().any(|member| !state.items.contains_key(&member.item)) {
                    note("a member names an item that is not held");
                }
                if entry.began.max(entry.invalidated).max(row.marked) > state.seq {
                    note("its numbers are ahead of the store's");
                }
            }
            Ok(problems)
        })
    }

    async fn info(&self) -> Result<StoreInfo, StoreError> {
        self.read(|state| {
            let (entries, items) = (state.entries.len() as u64, state.items.len() as u64);
            let docs: usize = state.items.values().map(|row| row.item.doc.as_str().len()).sum();
            let bytes = docs as u64;
            Ok(StoreInfo {
                place: PLACE.to_owned(),
                schema: 1,
                entries,
                items,
                bytes,
                seq: state.feed_last(),
            })
        })
    }

    async fn export(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Exported>, StoreError> {
        self.read(|state| Ok(state.export(after, limit)))
    }

    async fn import(&self, entries: &[Exported], now: Time) -> Result<u64, StoreError> {
        self.write(|state| Ok(entries.iter().filter(|exported| state.import(exported, now)).count() as u64))
    }

    async fn pulse(&self) -> Result<u64, StoreError> {
        self.read(|state| Ok(state.commits))
    }

    async fn heard(&self) {
        self.committed.notified().await;
    }
}

#[async_trait]
impl Budgets for MemoryStore {
    async fn reserve(&self, ask: &Reservation, now: Time) -> Result<Reserved, StoreError> {
        self.write(|state| Ok(state.books.reserve(ask, now)))
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Result<(), StoreError> {
        self.write(|state| {
            state.books.settle(settlement, now);
            Ok(())
        })
    }

    async fn budgets(&self, now: Time) -> Result<Vec<Budget>, StoreError> {
        self.read(|state| Ok(state.books.budgets(now)))
    }

    async fn actor(&self, host: &str, credential: &Fingerprint) -> Result<Option<Arc<str>>, StoreError> {
        self.read(|state| Ok(state.books.actor(host, credential.as_str())))
    }

    async fn set_actor(&self, host: &str, credential: &Fingerprint, actor: &str) -> Result<(), StoreError> {
        self.write(|state| {
            state.books.set_actor(host, credential.as_str(), actor);
            Ok(())
        })
    }
}
