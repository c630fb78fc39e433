//! Entries on their way out to another store, and in from one.

use std::collections::BTreeSet;

use larder_core::{Entry, Exported, ExportedMember, Item, ItemRef, Key, MemberWrite, Subject, Time};

use super::state::{EntryRow, ItemRow, State};

impl State {
    /// Entries by key behind `after`.
    pub(super) fn export(&self, after: Option<&Key>, limit: usize) -> Vec<Exported> {
        let behind = self.entries.values().filter(|row| after.is_none_or(|after| row.entry.key > *after));
        behind.take(limit).map(|row| self.export_one(row)).collect()
    }

    fn export_one(&self, row: &EntryRow) -> Exported {
        let member = |member: &MemberWrite| {
            let held = self.items.get(&member.item)?.clone();
            Some(ExportedMember { asked: member.asked.clone(), state: member.state, item: held.item })
        };
        Exported {
            entry: Entry { lease: None, ..self.seen(row) },
            tags: row.tags.iter().cloned().collect(),
            unconfigured_since: row.unconfigured_since,
            members: row.members.iter().filter_map(member).collect(),
        }
    }

    /// Takes an entry in, unless what is held was fetched as late or later.
    pub(super) fn import(&mut self, exported: &Exported, now: Time) -> bool {
        let Exported { entry, tags, unconfigured_since, members } = exported;
        let key = &entry.key;
        if self.entries.get(key).is_some_and(|held| held.entry.fetched_at >= entry.fetched_at) {
            return false;
        }
        // A version names one thing: the exported one, unless this store has used that up.
        let used = self.row_or_new(key, now).entry.version;
        let version = entry.version.max(used + u64::from(entry.has_data()));
        let changed: BTreeSet<ItemRef> = members
            .iter()
            .filter(|member| self.import_item(member))
            .map(|member| member.item.of.clone())
            .collect();
        let began = if entry.began > 0 { self.next() } else { 0 };
        let tags: BTreeSet<String> = tags.iter().cloned().collect();
        // The markers that there are say nothing of what comes from elsewhere.
        let answered = self.newest_marker(key, &tags).map_or(0, |marker| marker.seq);
        let invalidated = if entry.is_invalidated() { self.next() } else { answered };
        let marked = if entry.marked { self.next() } else { 0 };
        let member = |member: &ExportedMember| MemberWrite {
            asked: member.asked.clone(),
            state: member.state,
            item: member.item.of.clone(),
        };
        let row = EntryRow {
            entry: Entry { version, began, invalidated, lease: None, ..entry.clone() },
            members: members.iter().map(member).collect(),
            tags,
            marked,
            touched_at: now,
            unconfigured_since: *unconfigured_since,
            sheet: None,
        };
        self.entries.insert(key.clone(), row);
        self.announce(Subject::Entry(key.clone()), "imported", version, now);
        self.tell_other_holders(key, &changed, now);
        true
    }

    /// Whether one that was held looks different now. It was asked for long ago: the later answer
    /// stands, however much later it is.
    fn import_item(&mut self, member: &ExportedMember) -> bool {
        let item = &member.item;
        let new = ItemRow { item: item.clone(), began: 0 };
        let Some(held) = self.items.get_mut(&item.of) else {
            self.items.insert(item.of.clone(), new);
            return false;
        };
        let derived_here = held.item.derived.clone();
        if held.item.fetched_at >= item.fetched_at {
            // What was added to it here stays, and where nothing was, what was added there comes.
            held.item.derived = derived_here.or(item.derived.clone());
            return false;
        }
        let differs = held.item.scope != item.scope || held.item.doc != item.doc;
        let derived = item.derived.clone().or(derived_here);
        *held = ItemRow { item: Item { derived, ..item.clone() }, ..new };
        differs
    }
}
