//! Marking, removing and cleaning: everything that changes entries without fetching them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Configured, Definition, Entry, Key, Met, Policy, Reconciled, Retention, Row, Rows, Source, StoreError,
    Swept, Target, Trigger, lookup_past_damage,
};

use crate::Engine;
use crate::engine::Inner;

/// How often a source's rows are compared at the most: other processes may have another configuration.
const COMPARED_MAX: usize = 3;

/// How many entries that nobody reads go at once.
const EVICTED_AT_ONCE: usize = 500;

impl Engine {
    /// Notes that a refresh is wanted; whoever looks for due entries next does it. Answers how
    /// many were marked. Keys that no source knows are left out.
    pub async fn mark_due(&self, keys: &[Key], trigger: Trigger) -> Result<u64, StoreError> {
        let known: Vec<Key> = keys.iter().filter(|key| self.define(key).is_some()).cloned().collect();
        let marked = self.inner.store.mark_due(&known, trigger, self.inner.clock.now()).await?;
        self.inner.flights.note_marked(&known);
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

    /// [`sweep`](Engine::sweep), unless any process on this store did within `every`. One that fails or is dropped
    /// is due again [within minutes](Retention::CUT_OFF).
    pub async fn sweep_in_turn(
        &self,
        retention: &Retention,
        every: Duration,
    ) -> Result<Option<Swept>, StoreError> {
        if !self.inner.store.begin_sweep(every, self.inner.clock.now()).await? {
            return Ok(None);
        }
        let swept = tokio::select! {
            biased;
            swept = self.sweep(retention) => swept,
            never = self.renew_sweep(every) => match never {},
        };
        // A row that cannot be read is there the next time too, and all others were seen to.
        if swept.as_ref().err().is_none_or(is_of_one_row) {
            self.inner.store.end_sweep(self.inner.clock.now()).await?;
        }
        swept.map(Some)
    }

    /// Keeps others from beginning a sweep beside this process's own, for as long as it goes on.
    async fn renew_sweep(&self, every: Duration) -> Infallible {
        loop {
            self.inner.clock.sleep(Retention::RENEWED_EVERY).await;
            if let Err(error) = self.inner.store.renew_sweep(every, self.inner.clock.now()).await {
                tracing::debug!(%error, "it could not be noted that the sweep goes on");
            }
        }
    }

    /// Removes what is past its retention. Where any name goes, as it does with repositories, whatever was
    /// once asked for would be kept for ever otherwise.
    pub async fn sweep(&self, retention: &Retention) -> Result<Swept, StoreError> {
        let removed = self.inner.store.sweep(retention, self.inner.clock.now()).await;
        // What cannot be removed, and a source that cannot be looked through, keeps no other from it.
        let (mut swept, mut failed) = match removed {
            Ok(swept) => (swept, Ok(())),
            Err(error) => (Swept::default(), Err(error)),
        };
        for (name, source) in &self.inner.sources {
            match self.sweep_unread(name, &**source, retention).await {
                Ok(unread) => swept.entries += unread,
                // What keeps more than one row from it is told first.
                Err(error) if failed.as_ref().err().is_none_or(is_of_one_row) => failed = Err(error),
                Err(_) => {}
            }
        }
        failed.map(|()| swept)
    }

    async fn sweep_unread(
        &self,
        name: &str,
        source: &dyn Source,
        retention: &Retention,
    ) -> Result<u64, StoreError> {
        self.learn_of(source).await?;
        let listed: HashSet<Key> = source.indexes().into_iter().chain(source.keys()).collect();
        let is_unread = |entry: &Entry| {
            let (length, now) = (retention.unread, self.inner.clock.now());
            if source.is_own(&entry.key) {
                entry.is_unread_for(length, now) && self.define(&entry.key).is_some()
            } else {
                entry.is_unheard_of_for(length, now)
            }
        };
        let mut unread = Vec::new();
        let mut rows = Rows::of(&*self.inner.store, Some(name)).past_damage();
        while let Some(row) = rows.next().await? {
            let is_kept = row.unconfigured_since.is_some() || listed.contains(&row.entry.key);
            let is_wanted = row.is_touched_within(retention.unread, self.inner.clock.now());
            if !is_kept && !is_wanted && is_unread(&row.entry) {
                unread.push((row.entry.key, row.entry.version));
            }
        }
        let mut damaged = rows.damaged().first().map(|damaged| damaged.error.clone());
        let mut met = 0;
        for unread in unread.chunks(EVICTED_AT_ONCE) {
            // Somebody may have come since, or brought it anew: all the others were looked through meanwhile.
            let keys: Vec<Key> = unread.iter().map(|(key, _)| key.clone()).collect();
            let (rows, more) = lookup_past_damage(&*self.inner.store, &keys).await?;
            damaged = damaged.or_else(|| more.first().map(|damaged| damaged.error.clone()));
            let seen =
                rows.into_iter().zip(unread).filter_map(|(row, (_, version))| Some((row?.entry, version)));
            let still = seen.filter(|(entry, version)| entry.version == **version && is_unread(entry));
            met += self.evict(&Target::Keys(still.map(|(entry, _)| entry.key).collect())).await?;
        }
        // All others were seen to.
        match damaged {
            Some(error) => Err(error),
            None => Ok(met),
        }
    }

    /// Tells the store what is configured now. Writes only if something differs, so that it can
    /// be called at every start, on a store that may only be read too.
    pub async fn reconcile(&self) -> Result<Reconciled, StoreError> {
        let sources: Vec<&str> = self.inner.sources.keys().map(|name| &**name).collect();
        self.reconcile_of(&sources).await
    }

    /// The same of these sources alone, for whoever wants nothing of the others: it looks at every row
    /// of theirs.
    pub async fn reconcile_of(&self, sources: &[&str]) -> Result<Reconciled, StoreError> {
        let mut total = Reconciled::default();
        let mut failed = Ok(());
        for name in sources {
            let Some(source) = self.inner.sources.get(*name) else { continue };
            // One that cannot be compared keeps no other from it.
            failed = failed.and(self.compare(name, &**source, &mut total).await);
        }
        failed.map(|()| total)
    }

    /// Takes back what processes with other configurations noted of what this one has: that it is configured no
    /// longer. Nothing else is told: of what is defined otherwise they may have the newer word. Answers how many
    /// it took back.
    ///
    /// Whoever lives long does so [often](Retention::EVERY), though it neither reads nor refreshes an entry: so
    /// what was noted for as long as [`Retention::unconfigured`] is what nobody has configured who was there since.
    pub async fn vouch(&self) -> Result<u64, StoreError> {
        let (mut returned, mut failed) = (0, Ok(()));
        for (name, source) in &self.inner.sources {
            // One that cannot be looked through keeps no other from it.
            failed = failed.and(self.vouch_for(name, &**source, &mut returned).await);
        }
        failed.map(|()| returned)
    }

    async fn vouch_for(&self, name: &str, source: &dyn Source, returned: &mut u64) -> Result<(), StoreError> {
        self.learn_of(source).await?;
        for _ in 0..COMPARED_MAX {
            let (mut differs, mut held) = (false, self.listed(source));
            let mut rows = Rows::of(&*self.inner.store, Some(name)).past_damage();
            while let Some(Row { entry, unconfigured_since, .. }) = rows.next().await? {
                let is_noted = unconfigured_since.is_some();
                let is_ours = is_noted && self.define(&entry.key).is_some();
                differs |= is_ours;
                if is_ours || !is_noted {
                    held.insert(entry.key.clone(), as_tried(entry));
                }
            }
            if !differs {
                break;
            }
            let held: Vec<Configured> = held.into_values().collect();
            let done = self.inner.store.reconcile(name, &held, self.inner.clock.now()).await?;
            *returned += done.returned;
            // A row that came after the look passes for one that nobody knows, until the next look.
            if done.unconfigured == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn compare(
        &self,
        name: &str,
        source: &dyn Source,
        total: &mut Reconciled,
    ) -> Result<(), StoreError> {
        let knows_all = self.learn_of(source).await?;
        let mut damaged = None;
        for _ in 0..COMPARED_MAX {
            let differing = self.differing(name, source, knows_all, &mut damaged).await?;
            let Some(configured) = differing else { break };
            let now = self.inner.clock.now();
            let done = self.inner.store.reconcile(name, &configured, now).await?;
            self.inner.drop_target(&Target::All);
            total.edited += done.edited;
            total.unconfigured += done.unconfigured;
            total.returned += done.returned;
            // A row that came after the look passes for one that nobody knows, until the next look.
            if done.unconfigured == 0 {
                break;
            }
        }
        // All others were compared.
        damaged.map_or(Ok(()), Err)
    }

    fn configured(&self, key: Key) -> Option<Configured> {
        let definition = self.define(&key)?;
        Some(Configured { key, definition })
    }

    /// What a source lists, whether or not its row is there and can be read.
    fn listed(&self, source: &dyn Source) -> HashMap<Key, Configured> {
        let keys = source.indexes().into_iter().chain(source.keys());
        let named = keys.filter_map(|key| self.configured(key));
        named.map(|one| (one.key.clone(), one)).collect()
    }

    /// What is configured of a source, if its rows say something else: what it lists, and whatever else is
    /// held that it knows, as it does where any name goes. What is not its own is left as it is: the store takes
    /// what it is not told of for gone. So is what it does not know where it does not know all. A row that cannot be
    /// read is gone past, and told of.
    async fn differing(
        &self,
        name: &str,
        source: &dyn Source,
        knows_all: bool,
        damaged: &mut Option<StoreError>,
    ) -> Result<Option<Vec<Configured>>, StoreError> {
        let mut configured = self.listed(source);
        let (mut differs, mut others) = (false, Vec::new());
        let mut rows = Rows::of(&*self.inner.store, Some(name)).past_damage();
        while let Some(Row { entry, unconfigured_since, .. }) = rows.next().await? {
            if !configured.contains_key(&entry.key) {
                configured.extend(self.configured(entry.key.clone()).map(|one| (one.key.clone(), one)));
            }
            differs |= match configured.get(&entry.key) {
                Some(found) => {
                    let was_tried = !entry.tried.as_str().is_empty();
                    unconfigured_since.is_some() || (was_tried && !found.definition.answers_to(&entry.tried))
                }
                None if unconfigured_since.is_some() => false,
                None if knows_all && source.is_own(&entry.key) => true,
                None => {
                    others.push(as_tried(entry));
                    false
                }
            };
        }
        *damaged = rows.damaged().first().map(|damaged| damaged.error.clone());
        Ok(differs.then(|| configured.into_values().chain(others).collect()))
    }
}

fn is_of_one_row(error: &StoreError) -> bool {
    matches!(error, StoreError::BadRow { .. })
}

/// An entry as it was last tried, whoever defines it: neither gone nor edited.
fn as_tried(entry: Entry) -> Configured {
    let definition = Definition::new(entry.tried.alone(), Policy::default());
    Configured { key: entry.key, definition: Arc::new(definition) }
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
