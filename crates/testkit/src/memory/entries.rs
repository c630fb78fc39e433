//! Leases, marks, invalidations, evictions, and the comparison with what is configured.

use std::collections::{BTreeMap, BTreeSet};

use larder_core::{
    Acquired, Configured, Extent, Fingerprint, Key, Lease, LeaseAsk, Met, Reconciled, Stored, Subject,
    TOUCHED, Target, Time, Trigger,
};

use super::state::{Marker, State, holds};

impl State {
    pub(super) fn acquire(&mut self, ask: &LeaseAsk, now: Time) -> Acquired {
        let row = self.row_or_new(&ask.key, now).clone();
        if ask.unless_newer_than.is_some_and(|began| row.entry.began > began) {
            return Acquired::Newer(Box::new(self.stored(&row)));
        }
        if let Some(held) = row.entry.lease.filter(|lease| holds(lease, now)) {
            return Acquired::Held(held);
        }
        let lease = Lease {
            key: ask.key.clone(),
            owner: ask.owner.clone(),
            until: now.plus(ask.length),
            length: ask.length,
            token: self.token(),
        };
        let row = self.row_or_new(&ask.key, now);
        row.entry.lease = Some(lease.clone());
        row.entry.definition = row.entry.definition_under_lease();
        row.unconfigured_since = None;
        let row = row.clone();
        let stored = match ask.extent {
            Extent::Whole => self.stored(&row),
            Extent::Row => Stored { members: Vec::new(), ..self.stored(&row) },
        };
        Acquired::Granted(lease, Box::new(stored))
    }

    pub(super) fn renew(&mut self, lease: &Lease, now: Time) -> bool {
        let Some(row) = self.entries.get_mut(&lease.key) else { return false };
        match &mut row.entry.lease {
            Some(held) if held.token == lease.token && holds(held, now) => {
                held.until = now.plus(lease.length);
                held.length = lease.length;
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn mark_due(&mut self, keys: &[Key], trigger: Trigger, now: Time) -> u64 {
        let keys: BTreeSet<&Key> = keys.iter().collect();
        for key in &keys {
            let seq = self.next();
            let row = self.row_or_new(key, now);
            // What a reader wants, a fetch under way brings, and what is retried is due without a
            // mark; what an event wants, only a later fetch of the whole brings.
            let is_wish = trigger == Trigger::Read;
            if !(is_wish && row.marked > 0) {
                row.entry.marked_by = Some(trigger);
            }
            row.marked = match () {
                () if is_wish && row.is_retried() => row.marked,
                () if is_wish && row.is_leased(now) => row.marked.max(1),
                () => seq,
            };
            // A wait that began a moment before is no reader's to end.
            if !(is_wish && row.entry.attempts > 0) {
                row.entry.due_at = row.entry.due_at.min(now);
            }
            row.touched_at = now;
            row.unconfigured_since = None;
        }
        keys.len() as u64
    }

    pub(super) fn invalidate(&mut self, target: &Target, now: Time) -> Met {
        let met = self.met(target);
        let seq = self.next();
        let on = match target {
            Target::Keys(_) => return self.invalidate_keys(&met, seq, now),
            Target::Source(source) => Subject::Source(source.clone()),
            Target::Tag(tag) => Subject::Tag(tag.clone()),
            Target::All => Subject::All,
        };
        self.markers.retain(|marker| marker.on != on);
        self.markers.push(Marker { on: on.clone(), seq, at: now });
        self.announce(on, "invalidated", 0, now);
        Met::counted(met.len() as u64)
    }

    fn invalidate_keys(&mut self, keys: &[Key], seq: u64, now: Time) -> Met {
        for key in keys {
            let Some(row) = self.entries.get_mut(key) else { continue };
            row.entry.invalidated = seq;
            row.entry.due_at = row.entry.due_at.min(now);
            row.touched_at = now;
            let version = row.entry.version;
            self.announce(Subject::Entry(key.clone()), "invalidated", version, now);
        }
        Met::exactly(keys.len() as u64)
    }

    /// Removes entries, and the items that only they held. Answers how many items went.
    pub(super) fn remove(&mut self, keys: &[Key], now: Time) -> u64 {
        let mut orphans = BTreeSet::new();
        for key in keys {
            let Some(row) = self.entries.remove(key) else { continue };
            self.version_floor = self.version_floor.max(row.entry.version);
            self.announce(Subject::Entry(key.clone()), "evicted", row.entry.version, now);
            orphans.extend(row.members.into_iter().map(|member| member.item));
        }
        let before = self.items.len();
        let held = self.held();
        self.items.retain(|of, _| !orphans.contains(of) || held.contains(of));
        (before - self.items.len()) as u64
    }

    pub(super) fn replay(&mut self, target: &Target, now: Time) -> u64 {
        let mut replayed = 0;
        for key in self.met(target) {
            let seq = self.next();
            let Some(row) = self.entries.get_mut(&key).filter(|row| row.is_retried()) else { continue };
            row.entry.attempts = 0;
            row.entry.faults = 0;
            row.entry.due_at = row.entry.due_at.min(now);
            row.entry.marked_by = Some(Trigger::Manual);
            row.marked = seq;
            row.touched_at = now;
            row.unconfigured_since = None;
            replayed += 1;
        }
        replayed
    }

    pub(super) fn due(&self, now: Time, limit: usize) -> Vec<Key> {
        let is_wanted = |row: &&super::state::EntryRow| {
            let wants = row.marked > 0 || (row.is_retried() && self.seen(row).is_wait_over(now));
            wants && !row.is_leased(now)
        };
        let mut due: Vec<(Time, &Key)> = self
            .entries
            .values()
            .filter(is_wanted)
            .map(|row| (self.seen(row).due_at, &row.entry.key))
            .collect();
        due.sort();
        due.into_iter().take(limit).map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn reconcile(&mut self, source: &str, configured: &[Configured], now: Time) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let wanted: BTreeMap<&Key, &Configured> = configured.iter().map(|one| (&one.key, one)).collect();
        let keys: Vec<Key> = self.met(&Target::Source(source.to_owned()));
        for key in keys.iter().filter(|key| !wanted.contains_key(key)) {
            let Some(row) = self.entries.get_mut(key) else { continue };
            if row.unconfigured_since.is_none() {
                row.unconfigured_since = Some(now);
                reconciled.unconfigured += 1;
            }
        }
        for (key, one) in wanted {
            let Some(row) = self.entries.get_mut(key) else { continue };
            reconciled.returned += u64::from(row.unconfigured_since.take().is_some());
            let never_tried = row.entry.tried.as_str().is_empty();
            if !never_tried && !one.definition.answers_to(&row.entry.tried) {
                reconciled.edited += 1;
                self.edit(one, now);
            }
        }
        reconciled
    }

    /// Makes an edited entry due, and takes from it what is asked for no longer.
    fn edit(&mut self, wanted: &Configured, now: Time) {
        let Some(row) = self.entries.get_mut(&wanted.key) else { return };
        let is_named = |name: &str| wanted.definition.names(name);
        row.entry.due_at = row.entry.due_at.min(now);
        let members = row.members.iter().map(|member| &member.asked);
        let gone: BTreeSet<_> =
            members.chain(&row.entry.pending).filter(|name| !is_named(name)).cloned().collect();
        if gone.is_empty() {
            return;
        }
        // What is left is not all of the old definition's, nor of any other: it is fetched anew, as a whole.
        row.entry.definition = Fingerprint::trusted(TOUCHED);
        row.members.retain(|member| is_named(&member.asked));
        row.entry.pending.retain(|name| is_named(name));
        row.entry.warnings.retain(|warning| !gone.contains(warning.about.as_str()));
        row.entry.version += 1;
        let version = row.entry.version;
        self.announce(Subject::Entry(wanted.key.clone()), "updated", version, now);
    }
}
