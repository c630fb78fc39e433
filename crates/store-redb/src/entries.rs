//! Entries: looking them up, creating their rows, listing their heads, removing them.

use std::collections::HashSet;
use std::ops::Bound;

use larder_core::{
    Configured, Fingerprint, Key, Member, MemberWrite, Reconciled, Row, Stored, Subject, TOUCHED, Target,
    Time, Trigger,
};

use crate::errors::Fault;
use crate::feed;
use crate::items;
use crate::keys::{Bytes, EVERYTHING, Parts, Prefix};
use crate::leases::holds;
use crate::markers;
use crate::rows::{EntryRow, ItemValue, Kinds, MemberValue, bad_row, decode, item_key, key_of, read_members};
use crate::sheets;
use crate::tables::{Look, ON, STOP, Table, Tx};

/// Looks entries up with their members, in the order asked.
pub(crate) fn lookup(look: &impl Look, keys: &[Key]) -> Result<Vec<Option<Stored>>, Fault> {
    keys.iter()
        .map(|key| match find(look, key)? {
            None => Ok(None),
            Some(row) => Ok(Some(Stored { members: members(look, key)?, entry: row.entry })),
        })
        .collect()
}

/// One row, as the markers leave it.
pub(crate) fn find(look: &impl Look, key: &Key) -> Result<Option<EntryRow>, Fault> {
    let name = key.as_str().as_bytes();
    let Some(mut row) = look.get(Table::Entries, name, |value| EntryRow::read(value, name))? else {
        return Ok(None);
    };
    markers::meet(look, &mut row)?;
    Ok(Some(row))
}

/// The row; none, if it cannot be understood: where many are gone through, it keeps nobody from the others.
fn find_readable(look: &impl Look, key: &Key) -> Result<Option<EntryRow>, Fault> {
    match find(look, key) {
        Err(Fault::Row { .. }) => Ok(None),
        found => found,
    }
}

/// The row, or a new one that is not written yet. It knows the markers there are, which came before it
/// and so end no wait of its own.
pub(crate) fn find_or_empty(tx: &Tx<'_>, key: &Key, now: Time) -> Result<EntryRow, Fault> {
    if let Some(row) = find(tx, key)? {
        return Ok(row);
    }
    let mut row = EntryRow::empty(key, tx.meta()?.version_floor, now);
    row.entry.invalidated = markers::newest(tx, key.source(), &[])?.map_or(0, |marker| marker.seq);
    Ok(row)
}

/// Writes a row that was found, and its place among those that want a refresh.
pub(crate) fn save(tx: &Tx<'_>, row: &EntryRow) -> Result<(), Fault> {
    let wanted = row.wanted();
    if row.indexed != wanted {
        if let Some(old) = &row.indexed {
            tx.remove(Table::Wanted, old)?;
        }
        if let Some(new) = &wanted {
            tx.put(Table::Wanted, new, &[])?;
        }
    }
    tx.put(Table::Entries, row.entry.key.as_str().as_bytes(), &row.write()?)
}

/// The members of an entry, in order.
pub(crate) fn members(look: &impl Look, key: &Key) -> Result<Vec<Member>, Fault> {
    let mut kinds = Kinds::default();
    let members = with_members(look, key, |members| {
        members.iter().map(|member| read_member(look, key, member, &mut kinds)).collect()
    })?;
    Ok(members.unwrap_or_default())
}

fn read_member(
    look: &impl Look,
    key: &Key,
    member: &MemberValue<'_>,
    kinds: &mut Kinds,
) -> Result<Member, Fault> {
    let of = kinds.item(member.kind, member.id);
    let name = item_key(&of);
    let item = look.get(Table::Items, &name, |value| {
        decode::<ItemValue<'_>>(Table::Items, &name, value)?.model(of.clone())
    })?;
    let missing = || bad_row(Table::Members, key.as_str().as_bytes(), "a member whose item is not held");
    Ok(Member { asked: member.asked.into(), state: member.state.into(), item: item.ok_or_else(missing)? })
}

/// Hands the members to `read` as they lie in their row.
pub(crate) fn with_members<T>(
    look: &impl Look,
    key: &Key,
    read: impl FnOnce(&[MemberValue<'_>]) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let name = key.as_str().as_bytes();
    look.get(Table::Members, name, |value| read(&read_members(name, value)?))
}

/// The names of the entries that a target means, and that are there.
pub(crate) fn met(look: &impl Look, target: &Target) -> Result<Vec<Key>, Fault> {
    let mut found = Vec::new();
    match target {
        Target::Keys(keys) => {
            let mut seen = HashSet::new();
            for key in keys.iter().filter(|key| seen.insert(*key)) {
                if look.has(Table::Entries, key.as_str().as_bytes())? {
                    found.push(key.clone());
                }
            }
        }
        Target::Source(_) | Target::All => {
            let prefix = target_prefix(target);
            look.walk(Table::Entries, prefix.stretch(), |name, _| {
                found.push(key_of(Table::Entries, name)?);
                ON
            })?;
        }
        Target::Tag(_) => {
            let prefix = target_prefix(target);
            look.walk(Table::Tags, prefix.stretch(), |row, _| {
                found.push(key_of(Table::Tags, prefix.behind(row))?);
                ON
            })?;
        }
    }
    Ok(found)
}

/// What the keys of a target's rows begin with: in the table of tags, or of entries.
pub(crate) fn target_prefix(target: &Target) -> Prefix {
    Prefix::new(match target {
        Target::Tag(tag) => Bytes::default().text(tag).done(),
        Target::Source(source) => format!("{source}/").into_bytes(),
        Target::All | Target::Keys(_) => Vec::new(),
    })
}

/// Removes entries with all that is theirs, and the items that no entry holds any more.
pub(crate) fn remove(tx: &Tx<'_>, keys: &[Key], now: Time) -> Result<u64, Fault> {
    let mut items = 0;
    for key in keys {
        // A row that cannot be understood must go all the same.
        let version = match find(tx, key) {
            Ok(Some(row)) => {
                forget(tx, &row)?;
                row.entry.version
            }
            Ok(None) => continue,
            Err(Fault::Row { .. }) => {
                forget_unread(tx, key)?;
                tx.meta()?.version_floor
            }
            Err(fault) => return Err(fault),
        };
        items += items::release_all(tx, key)?;
        tx.remove(Table::Entries, key.as_str().as_bytes())?;
        sheets::remove(tx, key)?;
        feed::announce(tx, Subject::Entry(key.clone()), "evicted", version, now)?;
        tx.change_meta(|meta| meta.version_floor = meta.version_floor.max(version));
    }
    Ok(items)
}

/// Takes a row out of the tables that lead to it.
fn forget(tx: &Tx<'_>, row: &EntryRow) -> Result<(), Fault> {
    if let Some(wanted) = &row.indexed {
        tx.remove(Table::Wanted, wanted)?;
    }
    for tag in &row.tags {
        tx.remove(Table::Tags, &tag_key(tag, &row.entry.key))?;
    }
    Ok(())
}

/// The same where the row does not say what leads to it.
fn forget_unread(tx: &Tx<'_>, key: &Key) -> Result<(), Fault> {
    let ends = |name: &[u8]| name.ends_with(key.as_str().as_bytes());
    for table in [Table::Wanted, Table::Tags] {
        for name in tx.keys(table, EVERYTHING)?.into_iter().filter(|name| ends(name)) {
            let mut parts = Parts(&name);
            let at_key = if table == Table::Wanted {
                parts.number().and(parts.number()).is_some()
            } else {
                parts.text().is_some()
            };
            if at_key && parts.rest() == Some(key.as_str()) {
                tx.remove(table, &name)?;
            }
        }
    }
    Ok(())
}

/// A key of [`Table::Tags`].
pub(crate) fn tag_key(tag: &str, key: &Key) -> Vec<u8> {
    Bytes::default().text(tag).rest(key.as_str()).done()
}

/// The rows of entries (of one source) behind `after`, at most `limit`, by key.
pub(crate) fn page(
    look: &impl Look,
    source: Option<&str>,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<EntryRow>, Fault> {
    let target = source.map_or(Target::All, |source| Target::Source(source.to_owned()));
    let prefix = target_prefix(&target);
    let (start, end) = prefix.stretch();
    let after = after.map(|after| Bound::Excluded(after.as_str().as_bytes()));
    let first = match (start, after) {
        (Bound::Included(start), Some(Bound::Excluded(after))) if after >= start => Bound::Excluded(after),
        (start, _) => start,
    };
    let mut rows = Vec::new();
    // A place behind the last of the source has nothing behind it.
    let is_past = matches!((first, end), (Bound::Excluded(first), Bound::Excluded(end)) if first >= end);
    if limit == 0 || is_past {
        return Ok(rows);
    }
    look.walk(Table::Entries, (first, end), |name, value| {
        let mut row = EntryRow::read(value, name)?;
        markers::meet(look, &mut row)?;
        rows.push(row);
        if rows.len() < limit { ON } else { STOP }
    })?;
    Ok(rows)
}

/// The rows behind `after`, with nothing counted.
pub(crate) fn rows(
    look: &impl Look,
    source: Option<&str>,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<Row>, Fault> {
    let row = |row: EntryRow| Row {
        entry: row.entry,
        unconfigured_since: row.unconfigured_since,
        touched_at: row.touched_at,
    };
    Ok(page(look, source, after, limit)?.into_iter().map(row).collect())
}

/// How many members each entry shows.
pub(crate) fn shown(look: &impl Look, keys: &[Key]) -> Result<Vec<u64>, Fault> {
    keys.iter().map(|key| Ok(find(look, key)?.map_or(0, |row| row.shown))).collect()
}

/// Notes that a refresh is wanted.
pub(crate) fn mark_due(tx: &Tx<'_>, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, Fault> {
    let mut seen = HashSet::new();
    for key in keys.iter().filter(|key| seen.insert(*key)) {
        let mut row = find_or_empty(tx, key, now)?;
        let seq = tx.change_meta(|meta| meta.next().seq);
        let entry = &mut row.entry;
        // What a reader wants, a fetch under way brings, and what is retried is due without a mark;
        // what an event wants, only a later fetch of the whole brings.
        let by_reader = trigger == Trigger::Read;
        let is_retried = entry.attempts > 0 || !entry.pending.is_empty();
        let is_held = entry.lease.as_ref().is_some_and(|lease| holds(lease, now));
        if !by_reader || row.marked == 0 {
            entry.marked_by = Some(trigger);
        }
        row.marked = match (by_reader, is_retried, is_held) {
            (true, true, _) => row.marked,
            (true, false, true) => row.marked.max(1),
            _ => seq,
        };
        // A wait that began a moment before is no reader's to end.
        if !(by_reader && entry.attempts > 0) {
            entry.due_at = entry.due_at.min(now);
        }
        row.touched_at = now;
        row.unconfigured_since = None;
        save(tx, &row)?;
    }
    Ok(seen.len() as u64)
}

/// Gives entries that failed a new start.
pub(crate) fn replay(tx: &Tx<'_>, target: &Target, now: Time) -> Result<u64, Fault> {
    let mut replayed = 0;
    for key in met(tx, target)? {
        let seq = tx.change_meta(|meta| meta.next().seq);
        let Some(mut row) = find(tx, &key)? else { continue };
        if row.entry.attempts == 0 && row.entry.pending.is_empty() {
            continue;
        }
        row.entry.attempts = 0;
        row.entry.faults = 0;
        row.entry.due_at = row.entry.due_at.min(now);
        row.entry.marked_by = Some(Trigger::Manual);
        row.marked = seq;
        row.touched_at = now;
        row.unconfigured_since = None;
        save(tx, &row)?;
        replayed += 1;
    }
    Ok(replayed)
}

/// Compares a source's configured entries with the rows.
pub(crate) fn reconcile(
    tx: &Tx<'_>,
    source: &str,
    configured: &[Configured],
    now: Time,
) -> Result<Reconciled, Fault> {
    let mut reconciled = Reconciled::default();
    let known: HashSet<&Key> = configured.iter().map(|wanted| &wanted.key).collect();
    for key in met(tx, &Target::Source(source.to_owned()))? {
        if known.contains(&key) {
            continue;
        }
        let Some(mut row) = find_readable(tx, &key)? else { continue };
        if row.unconfigured_since.is_none() {
            row.unconfigured_since = Some(now);
            save(tx, &row)?;
            reconciled.unconfigured += 1;
        }
    }
    for wanted in configured {
        let Some(mut row) = find_readable(tx, &wanted.key)? else { continue };
        let is_back = row.unconfigured_since.take().is_some();
        // A row that nothing was tried for yet has no definition to be edited.
        let never_tried = row.entry.tried.as_str().is_empty();
        let is_edited = !never_tried && !wanted.definition.answers_to(&row.entry.tried);
        if is_edited {
            edit(tx, &mut row, wanted, now)?;
        }
        if is_back || is_edited {
            save(tx, &row)?;
        }
        reconciled.returned += u64::from(is_back);
        reconciled.edited += u64::from(is_edited);
    }
    Ok(reconciled)
}

/// Makes an edited entry due, and takes from it what is asked for no longer.
fn edit(tx: &Tx<'_>, row: &mut EntryRow, wanted: &Configured, now: Time) -> Result<(), Fault> {
    let key = row.entry.key.clone();
    row.entry.due_at = row.entry.due_at.min(now);
    let names = wanted.definition.names.as_ref();
    let names: Option<HashSet<&str>> = names.map(|names| names.iter().map(|name| &**name).collect());
    let except = &wanted.definition.except;
    let is_named =
        |name: &str| names.as_ref().is_none_or(|names| names.contains(name)) && !except.contains(name);
    let mut kinds = Kinds::default();
    let held: Vec<MemberWrite> = items::held_members(tx, &key, &mut kinds)?;
    let (kept, left): (Vec<_>, Vec<_>) = held.into_iter().partition(|member| is_named(&member.asked));
    let mut gone: HashSet<&str> = left.iter().map(|member| &*member.asked).collect();
    let pending = row.entry.pending.clone();
    gone.extend(pending.iter().map(|name| &**name).filter(|name| !is_named(name)));
    if gone.is_empty() {
        return Ok(());
    }
    if !left.is_empty() {
        items::replace_members(tx, row, &kept, &HashSet::new())?;
    }
    // What is left is not all of the old definition's, nor of any other: it is fetched anew, as a whole,
    // also for a process that still has the old configuration.
    row.entry.definition = Fingerprint::trusted(TOUCHED);
    row.entry.pending.retain(|name| !gone.contains(&**name));
    row.entry.warnings.retain(|warning| !gone.contains(warning.about.as_str()));
    row.entry.version += 1;
    feed::announce(tx, Subject::Entry(key), "updated", row.entry.version, now)
}
