//! Marking, removing and cleaning: everything that changes entries without fetching them.

use std::collections::HashMap;

use larder_core::{Configured, Key, Met, Reconciled, Retention, Rows, StoreError, Swept, Target, Trigger};

use crate::Engine;
use crate::engine::Inner;

impl Engine {
    /// Notes that a refresh is wanted; whoever looks for due entries next does it. Answers how
    /// many were marked. Keys that no source knows are left out.
    pub async fn mark_due(&self, keys: &[Key], trigger: Trigger) -> Result<u64, StoreError> {
        let known: Vec<Key> = keys.iter().filter(|key| self.define(key).is_some()).cloned().collect();
        let marked = self.inner.store.mark_due(&known, trigger, self.inner.clock.now()).await?;
        self.inner.doubt_target(&Target::Keys(known));
        self.inner.marked.notify_one();
        Ok(marked)
    }

    /// Marks stale and keeps. One that lands while a fetch is under way wins over it. Answers how
    /// many entries it met.
    pub async fn invalidate(&self, target: &Target) -> Result<Met, StoreError> {
        let met = self.inner.store.invalidate(target, self.inner.clock.now()).await?;
        self.inner.doubt_target(target);
        Ok(met)
    }

    /// Removes entries. What a fetch under way brings is refused. Answers how many it met.
    pub async fn evict(&self, target: &Target) -> Result<u64, StoreError> {
        let met = self.inner.store.evict(target, self.inner.clock.now()).await?;
        self.inner.drop_target(target);
        Ok(met)
    }

    /// Gives failed and dead entries a new start. Answers how many it met.
    pub async fn replay(&self, target: &Target) -> Result<u64, StoreError> {
        let met = self.inner.store.replay(target, self.inner.clock.now()).await?;
        self.inner.doubt_target(target);
        Ok(met)
    }

    /// Removes what is past its retention.
    pub async fn sweep(&self, retention: &Retention) -> Result<Swept, StoreError> {
        self.inner.store.sweep(retention, self.inner.clock.now()).await
    }

    /// Tells the store what is configured now. Writes only if something differs, so that it can
    /// be called at every start, on a store that may only be read too.
    pub async fn reconcile(&self) -> Result<Reconciled, StoreError> {
        self.learn().await?;
        let mut total = Reconciled::default();
        for (name, source) in &self.inner.sources {
            let mut keys = source.indexes();
            keys.extend(source.keys());
            if keys.is_empty() {
                // Any name goes, or none does any more: the source says so of each that is held.
                let mut rows = Rows::of(&*self.inner.store, Some(name));
                while let Some(row) = rows.next().await? {
                    keys.push(row.entry.key);
                }
            }
            let configured: Vec<Configured> =
                keys.into_iter().filter_map(|key| self.configured(key)).collect();
            if !self.differs(name, &configured).await? {
                continue;
            }
            let now = self.inner.clock.now();
            let done = self.inner.store.reconcile(name, &configured, now).await?;
            self.inner.drop_target(&Target::All);
            total.edited += done.edited;
            total.unconfigured += done.unconfigured;
            total.returned += done.returned;
        }
        Ok(total)
    }

    fn configured(&self, key: Key) -> Option<Configured> {
        let definition = self.define(&key)?;
        Some(Configured { key, definition })
    }

    async fn differs(&self, source: &str, configured: &[Configured]) -> Result<bool, StoreError> {
        let configured: HashMap<&Key, &Configured> = configured.iter().map(|one| (&one.key, one)).collect();
        let mut rows = Rows::of(&*self.inner.store, Some(source));
        while let Some(row) = rows.next().await? {
            let differs = match configured.get(&row.entry.key) {
                Some(found) => {
                    let tried = &row.entry.tried;
                    row.unconfigured_since.is_some()
                        || (!tried.as_str().is_empty() && !found.definition.answers_to(tried))
                }
                None => row.unconfigured_since.is_none(),
            };
            if differs {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Inner {
    /// What was only marked is looked up again before memory serves it.
    fn doubt_target(&self, target: &Target) {
        self.committed.notify_one();
        let Some(tier) = self.tier() else { return };
        match target {
            Target::Keys(keys) => {
                for key in keys {
                    tier.doubt(key);
                }
            }
            Target::Source(_) | Target::Tag(_) | Target::All => tier.doubt_all(),
        }
    }

    /// What was removed is no longer in memory when the one who removed it hears so.
    fn drop_target(&self, target: &Target) {
        self.committed.notify_one();
        let Some(tier) = self.tier() else { return };
        match target {
            Target::Keys(keys) => {
                for key in keys {
                    tier.drop_copy(key);
                }
            }
            Target::Source(_) | Target::Tag(_) | Target::All => tier.clear(),
        }
    }
}
