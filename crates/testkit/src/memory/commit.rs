//! The one door for what an attempt brought: fenced, and all of it or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use larder_core::{
    Commit, Committed, Coverage, Entry, Failure, Fingerprint, Item, ItemCounts, ItemRef, Key, LogLine,
    MemberState, MemberWrite, NewItem, Outcome, StoreError, Subject, TOUCHED, Time, Validators, Write,
    merge_docs,
};

use super::failed;
use super::state::{EntryRow, ItemRow, State, holds};

impl State {
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Committed, StoreError> {
        let ours = self
            .entries
            .get(&commit.lease.key)
            .filter(|row| row.entry.lease.as_ref().is_some_and(|lease| lease.token == commit.lease.token));
        let lives = |row: &&EntryRow| row.entry.lease.as_ref().is_some_and(|lease| holds(lease, commit.now));
        match (ours.cloned(), &commit.write) {
            (Some(row), None) => Ok(self.release(row, commit)),
            (Some(row), Some(write)) if lives(&&row) => self.admit(row, write, commit),
            (Some(_) | None, _) => {
                self.note(&commit.log, "superseded", ItemCounts::default());
                Ok(Committed::Superseded)
            }
        }
    }

    fn note(&mut self, line: &LogLine, outcome: &str, items: ItemCounts) {
        let line = LogLine { outcome: outcome.to_owned(), items, ..line.clone() };
        let is_idle = line.is_idle();
        self.log.push(Arc::new(line));
        if is_idle {
            self.forget_idle();
        }
    }

    /// Removes idle lines of the entry of the newest line that others of it have followed.
    fn forget_idle(&mut self) {
        let Some(key) = self.log.last().map(|line| line.key.clone()) else { return };
        let own = (0..self.log.len()).rev().filter(|place| self.log[*place].key == key);
        let old: Vec<usize> = own.skip(LogLine::IDLE_KEPT).take(LogLine::IDLE_LOOKED_AT).collect();
        for place in old {
            if self.log[place].is_idle() {
                self.log.remove(place);
            }
        }
    }

    fn release(&mut self, mut row: EntryRow, commit: &Commit) -> Committed {
        row.entry.lease = None;
        let invalidated = self.seen(&row).is_invalidated();
        let version = row.entry.version;
        self.entries.insert(commit.lease.key.clone(), row);
        self.note(&commit.log, &commit.log.outcome, ItemCounts::default());
        Committed::Done { version, items: ItemCounts::default(), invalidated }
    }

    fn admit(&mut self, mut row: EntryRow, write: &Write, commit: &Commit) -> Result<Committed, StoreError> {
        let (key, token, now) = (&commit.lease.key, commit.lease.token.seq, commit.now);
        let before = row.entry.clone();
        // What was invalidated by a tag that this fetch no longer brings was invalidated all the same.
        let stamped = self.seen(&row).invalidated;
        let asked_at = commit.log.started_at.min(now);
        let (mut changed, mut stands) = (BTreeSet::new(), true);
        for item in &write.items {
            match self.put(item, asked_at, token) {
                Put::Changed => drop(changed.insert(item.of.clone())),
                Put::Kept => stands = false,
                Put::New | Put::Same => {}
            }
        }
        let mut counts = ItemCounts {
            seen: write.items.len() as u32,
            changed: changed.len() as u32,
            ..ItemCounts::default()
        };
        let mut visible = !changed.is_empty() || looks_different(&before, write);
        if let Some(members) = &write.members {
            if let Some(member) = members.iter().find(|member| !self.items.contains_key(&member.item)) {
                let cause = format!("a member names `{}`, which is not held", member.item.id);
                return Err(failed("commit a refresh", cause));
            }
            let (old, new) = (items_of(&row.members), items_of(members));
            counts.added = new.difference(&old).count() as u32;
            counts.removed = old.difference(&new).count() as u32;
            visible |= shown(&row.members) != shown(members);
            row.members.clone_from(members);
        }
        if let Some(tags) = &write.tags {
            row.tags = tags.iter().cloned().collect();
        }
        let marker = self.newest_marker(key, &row.tags).map_or(0, |marker| marker.seq);
        let version = before.version + u64::from(visible);
        fill(&mut row, write);
        // What goes on from what was held does not answer for what became of that meanwhile.
        let lost_ground = before.is_touched() && (write.members.is_none() || write.cursor.is_some());
        if lost_ground {
            row.entry.definition = before.definition.clone();
        }
        if lost_ground || !stands {
            row.entry.validators = Validators::default();
            row.entry.cursor = None;
        }
        row.entry.version = version;
        row.entry.began = if write.answers_invalidation { token } else { before.began };
        row.entry.invalidated = stamped.max(marker);
        // What failed waits for its time all the same: nothing is sent inside a Retry-After.
        if row.entry.is_invalidated() && write.attempts == 0 {
            row.entry.due_at = row.entry.due_at.min(now);
        }
        // A trigger that came after this fetch had begun still wants a later one.
        row.marked = if row.marked > token { row.marked } else { 0 };
        if commit.is_of_use() {
            row.touched_at = now;
        }
        let invalidated = row.entry.invalidated > token;
        self.entries.insert(key.clone(), row);
        if let Some(what) = what_happened(&before, write, visible) {
            self.announce(Subject::Entry(key.clone()), what, version, now);
        }
        self.tell_other_holders(key, &changed, now);
        self.note(&commit.log, write.outcome.word(), counts);
        Ok(Committed::Done { version, items: counts, invalidated })
    }

    /// Puts an item that was asked for at `at`, under the token `began`. What was asked for later knows
    /// better, whichever ends last, and whatever the clocks said.
    fn put(&mut self, new: &NewItem, at: Time, began: u64) -> Put {
        let Some(held) = self.items.get_mut(&new.of) else {
            let (of, scope, doc) = (new.of.clone(), new.scope.clone(), new.doc.clone());
            let item = Item { of, scope, doc, derived: None, fetched_at: at };
            self.items.insert(new.of.clone(), ItemRow { item, began });
            return Put::New;
        };
        if held.began > began {
            let alike = new.doc == held.item.doc && new.scope == held.item.scope;
            return if alike { Put::Same } else { Put::Kept };
        }
        let doc = match new.coverage {
            Coverage::Whole => new.doc.clone(),
            Coverage::Partial => merge_docs(&held.item.doc, &new.doc),
        };
        let changed = doc != held.item.doc || new.scope != held.item.scope;
        held.began = began;
        held.item = Item { scope: new.scope.clone(), doc, fetched_at: at, ..held.item.clone() };
        if changed { Put::Changed } else { Put::Same }
    }

    /// Other entries that show one of the changed items look different too. The validators and the
    /// cursor of all that hold one speak of what they held before, and so does a fetch under way.
    pub(super) fn tell_other_holders(&mut self, key: &Key, changed: &BTreeSet<ItemRef>, now: Time) {
        let mut told = Vec::new();
        for row in self.entries.values_mut().filter(|row| row.entry.key != *key) {
            let mut held = row.members.iter().filter(|member| changed.contains(&member.item)).peekable();
            if held.peek().is_none() {
                continue;
            }
            let is_shown = held.any(|member| member.state != MemberState::Hidden);
            row.entry.validators = Validators::default();
            row.entry.cursor = None;
            if row.is_leased(now) {
                row.entry.definition = Fingerprint::trusted(TOUCHED);
            }
            if is_shown {
                row.entry.version += 1;
                told.push((row.entry.key.clone(), row.entry.version));
            }
        }
        for (key, version) in told {
            self.announce(Subject::Entry(key), "updated", version, now);
        }
    }
}

/// What putting an item did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    /// There was none.
    New,
    /// It looks different.
    Changed,
    /// It is as it was, and as this answer says.
    Same,
    /// It is as it was, and this answer said otherwise: one that was asked for later stands.
    Kept,
}

/// Lays what is written over the row, and lets go of the lease.
fn fill(row: &mut EntryRow, write: &Write) {
    let entry = &mut row.entry;
    entry.definition = write.definition.clone();
    entry.tried = write.tried.clone();
    entry.body.clone_from(&write.body);
    entry.validators = write.validators.clone();
    entry.cursor.clone_from(&write.cursor);
    entry.complete = write.complete;
    entry.pending.clone_from(&write.pending);
    entry.warnings.clone_from(&write.warnings);
    entry.fetched_at = write.fetched_at;
    entry.absent_at = write.absent_at;
    entry.fresh_until = write.fresh_until;
    entry.due_at = write.due_at;
    entry.attempts = write.attempts;
    entry.faults = write.faults;
    entry.last_error.clone_from(&write.last_error);
    entry.lease = None;
}

/// Whether a reader of the row itself sees a difference.
fn looks_different(before: &Entry, write: &Write) -> bool {
    before.body != write.body
        || before.warnings != write.warnings
        || before.complete != write.complete
        || before.pending != write.pending
        || before.has_data() != write.fetched_at.is_some()
        || before.absent_at.is_some() != write.absent_at.is_some()
}

fn items_of(members: &[MemberWrite]) -> BTreeSet<&ItemRef> {
    members.iter().map(|member| &member.item).collect()
}

/// What a reader is shown of them, in order.
fn shown(members: &[MemberWrite]) -> Vec<&MemberWrite> {
    members.iter().filter(|member| member.state != MemberState::Hidden).collect()
}

/// The feed's word, if there is anything to tell.
fn what_happened(before: &Entry, write: &Write, visible: bool) -> Option<&'static str> {
    let code = |failure: &Option<Failure>| failure.as_ref().map(|failure| failure.code.clone());
    let recovered = before.attempts > 0 && write.attempts == 0;
    match write.outcome {
        Outcome::Failed => {
            let first = before.attempts == 0 && write.attempts > 0;
            let other_reason = code(&before.last_error) != code(&write.last_error);
            (visible || first || other_reason).then_some("failed")
        }
        Outcome::NotModified | Outcome::Updated if visible => Some("updated"),
        Outcome::Absent | Outcome::Partial if visible => Some(write.outcome.word()),
        _ => recovered.then_some("recovered"),
    }
}
