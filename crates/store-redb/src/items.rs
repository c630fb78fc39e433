//! Items, stored once, and the members by which entries hold them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use larder_core::{Coverage, ItemRef, Json, Key, MemberState, MemberWrite, NewItem, Time, merge_docs};

use crate::entries::with_members;
use crate::errors::Fault;
use crate::keys::{Parts, Prefix};
use crate::rows::{
    EntryRow, ItemValue, Kinds, MemberValue, StateValue, bad_row, decode, encode, item_key, read_members,
    write_members,
};
use crate::sweep::LOOKS;
use crate::tables::{Look, ON, STOP, Table, Tx, count_upto};

/// Whether a reader sees a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// There was none.
    New,
    /// Its document or scope is another.
    Changed,
    /// It is as it was.
    Same,
    /// It is as it was, and this answer said otherwise: one that was asked for later stands.
    Kept,
}

/// When an item was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// By the clock.
    pub(crate) at: Time,
    /// The number at which the fetch began: what was asked for later knows better, whichever ends
    /// last, and whatever the clocks said.
    pub(crate) began: u64,
}

/// Puts an item that a source answered for. `derived` is never touched.
pub(crate) fn put(tx: &Tx<'_>, item: &NewItem, asked: Asked) -> Result<Effect, Fault> {
    let name = item_key(&item.of);
    let over = |value: &[u8]| put_over(&decode(Table::Items, &name, value)?, item, asked);
    let (effect, value) = if let Some(put) = tx.get(Table::Items, &name, over)? {
        put
    } else {
        let scope = item.scope.to_string();
        let (fetched_at, began) = (asked.at.ms(), asked.began);
        let value = ItemValue { fetched_at, began, scope: &scope, doc: item.doc.as_str(), derived: None };
        (Effect::New, Some(encode(&value)?))
    };
    if let Some(value) = value {
        tx.put(Table::Items, &name, &value)?;
    }
    Ok(effect)
}

/// What becomes of an item that is held; no bytes where it stays as it is.
fn put_over(held: &ItemValue<'_>, item: &NewItem, asked: Asked) -> Result<(Effect, Option<Vec<u8>>), Fault> {
    let scope = item.scope.to_string();
    if held.began > asked.began {
        let alike = item.doc.as_str() == held.doc && scope == held.scope;
        return Ok((if alike { Effect::Same } else { Effect::Kept }, None));
    }
    let doc = match item.coverage {
        Coverage::Whole => item.doc.clone(),
        Coverage::Partial => merge_docs(&Json::trusted(held.doc), &item.doc),
    };
    let is_same = doc.as_str() == held.doc && scope == held.scope;
    let effect = if is_same { Effect::Same } else { Effect::Changed };
    let (fetched_at, began) = (asked.at.ms(), asked.began);
    let value = ItemValue { fetched_at, began, scope: &scope, doc: doc.as_str(), derived: held.derived };
    Ok((effect, Some(encode(&value)?)))
}

/// What replacing the members did.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) added: u32,
    pub(crate) removed: u32,
    /// Whether a reader sees a difference: also in order, names or states.
    pub(crate) visible: bool,
}

/// The members of an entry as they would be written again.
pub(crate) fn held_members(
    look: &impl Look,
    key: &Key,
    kinds: &mut Kinds,
) -> Result<Vec<MemberWrite>, Fault> {
    let write = |member: &MemberValue<'_>| MemberWrite {
        asked: member.asked.into(),
        state: MemberState::from(member.state),
        item: kinds.item(member.kind, member.id),
    };
    let held = with_members(look, key, |members| Ok(members.iter().map(write).collect()))?;
    Ok(held.unwrap_or_default())
}

/// An item by its name, and whether the entry that holds it shows it.
pub(crate) type Holding<'a> = BTreeMap<(&'a str, &'a str), StateValue>;

/// Makes `members` the entry's members, and counts in its row how many are shown. `known` are items
/// that are held for certain. What stays as it is is not written.
pub(crate) fn replace_members(
    tx: &Tx<'_>,
    row: &mut EntryRow,
    members: &[MemberWrite],
    known: &HashSet<&ItemRef>,
) -> Result<Moved, Fault> {
    for member in members.iter().filter(|member| !known.contains(&member.item)) {
        if !tx.has(Table::Items, &item_key(&member.item))? {
            let ItemRef { kind, id } = &member.item;
            return Err(Fault::Wrong(format!("a member names {kind} `{id}`, which is not held")));
        }
    }
    let name = row.entry.key.as_str().as_bytes();
    let before = tx.get(Table::Members, name, |value| Ok(value.to_vec()))?;
    let wanted = write_members(members)?;
    if before.as_deref() == Some(&wanted) || (before.is_none() && members.is_empty()) {
        return Ok(Moved::default());
    }
    let before = before.unwrap_or_default();
    let old = if before.is_empty() { Vec::new() } else { read_members(name, &before)? };
    let new = read_members(name, &wanted)?;
    let (held, holds) = (holding(&old), holding(&new));
    let moved = Moved {
        added: holds.keys().filter(|item| !held.contains_key(*item)).count() as u32,
        removed: held.keys().filter(|item| !holds.contains_key(*item)).count() as u32,
        visible: visible(&old).ne(visible(&new)),
    };
    write_holders(tx, &row.entry.key, &held, &holds)?;
    if members.is_empty() {
        tx.remove(Table::Members, name)?;
    } else {
        tx.put(Table::Members, name, &wanted)?;
    }
    row.shown = count_shown(&new);
    Ok(moved)
}

/// An item may be asked for under two names; it is shown if one of them shows it.
pub(crate) fn holding<'a>(members: &[MemberValue<'a>]) -> Holding<'a> {
    let mut holding = Holding::new();
    for member in members {
        let state = holding.entry((member.kind, member.id)).or_insert(member.state);
        if *state == StateValue::Hidden {
            *state = member.state;
        }
    }
    holding
}

fn write_holders(tx: &Tx<'_>, key: &Key, held: &Holding<'_>, holds: &Holding<'_>) -> Result<(), Fault> {
    for (item, _) in held.iter().filter(|(item, _)| !holds.contains_key(*item)) {
        tx.remove(Table::Holders, &holder_key(*item, key))?;
    }
    for (item, state) in holds.iter().filter(|(item, state)| held.get(*item) != Some(state)) {
        tx.put(Table::Holders, &holder_key(*item, key), &[state.byte()])?;
    }
    Ok(())
}

/// A key of [`Table::Holders`].
pub(crate) fn holder_key((kind, id): (&str, &str), key: &Key) -> Vec<u8> {
    crate::keys::Bytes::default().text(kind).text(id).rest(key.as_str()).done()
}

/// What a reader is shown of them, in order.
fn visible<'a>(members: &'a [MemberValue<'a>]) -> impl Iterator<Item = &'a MemberValue<'a>> {
    members.iter().filter(|member| member.state != StateValue::Hidden)
}

/// How many members a reader is shown.
pub(crate) fn count_shown(members: &[MemberValue<'_>]) -> u64 {
    visible(members).count() as u64
}

/// The entries that hold an item, and whether they show it.
pub(crate) fn held_in(look: &impl Look, of: &ItemRef) -> Result<Vec<(String, bool)>, Fault> {
    let prefix = Prefix::new(item_key(of));
    let mut keys = Vec::new();
    look.walk(Table::Holders, prefix.stretch(), |name, value| {
        let key = std::str::from_utf8(prefix.behind(name));
        let key = key.map_err(|_| bad_row(Table::Holders, name, "no key"))?.to_owned();
        keys.push((key, StateValue::shows(value)));
        ON
    })?;
    Ok(keys)
}

/// Takes an entry's members away, and removes the items that nothing else holds; says how many.
pub(crate) fn release_all(tx: &Tx<'_>, key: &Key) -> Result<u64, Fault> {
    let mut kinds = Kinds::default();
    let members = match held_members(tx, key, &mut kinds) {
        Ok(members) => members.into_iter().map(|member| member.item).collect(),
        Err(Fault::Row { .. }) => held_by(tx, key)?,
        Err(fault) => return Err(fault),
    };
    tx.remove(Table::Members, key.as_str().as_bytes())?;
    let mut removed = 0;
    for item in members {
        tx.remove(Table::Holders, &holder_key((&item.kind, &item.id), key))?;
        removed += u64::from(remove_unheld(tx, &item_key(&item))?);
    }
    Ok(removed)
}

/// What an entry holds, by the other table: its own row cannot be understood.
fn held_by(tx: &Tx<'_>, key: &Key) -> Result<Vec<ItemRef>, Fault> {
    let mut held = Vec::new();
    tx.walk(Table::Holders, crate::keys::EVERYTHING, |name, _| {
        let mut parts = Parts(name);
        if let (Some(kind), Some(id)) = (parts.text(), parts.text())
            && parts.rest() == Some(key.as_str())
        {
            held.push(ItemRef::new(&*kind, &*id));
        }
        ON
    })?;
    Ok(held)
}

/// Removes an item that no entry holds.
fn remove_unheld(tx: &Tx<'_>, item: &[u8]) -> Result<bool, Fault> {
    if count_upto(tx, Table::Holders, Prefix::new(item.to_vec()).stretch(), 1)? > 0 {
        return Ok(false);
    }
    tx.remove(Table::Items, item)
}

/// Removes items that no entry holds, looking at some behind `after`; says how many went, and where to go on.
pub(crate) fn remove_orphans(tx: &Tx<'_>, after: Option<&[u8]>) -> Result<(u64, Option<Vec<u8>>), Fault> {
    let (mut orphans, mut looked, mut next) = (Vec::new(), 0, None);
    let first = after.map_or(Bound::Unbounded, Bound::Excluded);
    tx.walk(Table::Items, (first, Bound::Unbounded), |item, _| {
        looked += 1;
        let prefix = Prefix::new(item.to_vec());
        let mut is_held = false;
        tx.walk(Table::Holders, prefix.stretch(), |_, _| {
            is_held = true;
            STOP
        })?;
        if !is_held {
            orphans.push(item.to_vec());
        }
        if looked < LOOKS {
            return ON;
        }
        next = Some(item.to_vec());
        STOP
    })?;
    for item in &orphans {
        tx.remove(Table::Items, item)?;
    }
    Ok((orphans.len() as u64, next))
}
