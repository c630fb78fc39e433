//! Looking for damage, and what there is to say about the store as a whole.

use std::collections::{BTreeMap, BTreeSet};

use larder_core::{Key, Problem, StoreInfo};
use redb::Database;
use serde_json::value::RawValue;

use crate::entries::tag_key;
use crate::errors::Fault;
use crate::feed;
use crate::items::{holder_key, holding};
use crate::keys::{EVERYTHING, Parts};
use crate::lines::{read_change, read_log};
use crate::rows::{EntryRow, ItemValue, decode, key_of, read_members};
use crate::sequence::epoch;
use crate::tables::{Look, ON, SCHEMA, Table, Tx};

/// The most problems of one sort that are listed.
const LISTED_MAX: usize = 100;

/// Has redb go over every page and its checksum. Where it mended something, a transaction may be lost
/// that was answered: the store begins another life, so that no number is given twice.
pub(crate) fn check(database: &mut Database) -> Result<Option<String>, Fault> {
    if database.check_integrity()? {
        return Ok(None);
    }
    let epoch = epoch().map_err(|error| Fault::Wrong(error.to_string()))?;
    let transaction = database.begin_write()?;
    let tx = Tx::new(&transaction)?;
    tx.change_meta(|meta| meta.epoch = epoch);
    tx.finish()?;
    transaction.commit()?;
    Ok(Some("pages did not match their checksums; redb mended it".to_owned()))
}

/// What the rules promise, and does not hold.
pub(crate) fn verify(look: &impl Look) -> Result<Vec<Problem>, Fault> {
    let mut problems = Problems::default();
    let seq = look.meta()?.seq;
    let mut expected = Expected::default();
    look.walk(Table::Entries, EVERYTHING, |name, value| {
        match EntryRow::read(value, name) {
            Err(fault) => problems.row("entries", fault),
            Ok(row) => {
                verify_entry(&row, seq, &mut problems);
                expected.entry(&row);
            }
        }
        ON
    })?;
    verify_members(look, &mut expected, &mut problems)?;
    verify_items(look, &mut problems)?;
    verify_lines(look, seq, &mut problems)?;
    expected.compare(look, &mut problems)?;
    Ok(problems.all)
}

#[derive(Default)]
struct Problems {
    all: Vec<Problem>,
    by_message: BTreeMap<String, usize>,
}

impl Problems {
    fn note(&mut self, on: impl Into<String>, message: &str) {
        let count = self.by_message.entry(message.to_owned()).or_default();
        *count += 1;
        if *count <= LISTED_MAX {
            self.all.push(Problem { on: on.into(), message: message.to_owned() });
        }
    }

    fn row(&mut self, table: &str, fault: Fault) {
        self.note(table, &fault.named("the store", "verify").to_string());
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

fn verify_entry(row: &EntryRow, seq: u64, problems: &mut Problems) {
    let entry = &row.entry;
    let on = || format!("entries {}", entry.key);
    let lease = entry.lease.as_ref().map_or(0, |lease| lease.token.seq);
    if entry.began.max(entry.invalidated).max(row.marked).max(lease) > seq {
        problems.note(on(), "its numbers are ahead of the store's");
    }
    if entry.body.as_ref().is_some_and(|body| !is_json(body.as_str())) {
        problems.note(on(), "its body is not JSON");
    }
}

fn verify_members(look: &impl Look, expected: &mut Expected, problems: &mut Problems) -> Result<(), Fault> {
    look.walk(Table::Members, EVERYTHING, |name, value| {
        let key = key_of(Table::Members, name)?;
        let members = match read_members(name, value) {
            Ok(members) => members,
            Err(fault) => {
                problems.row("members", fault);
                return ON;
            }
        };
        for ((kind, id), state) in holding(&members) {
            let item = crate::keys::Bytes::default().text(kind).text(id).done();
            if !look.has(Table::Items, &item)? {
                problems.note(format!("members {key}"), "it names items that are not there");
            }
            expected.holders.insert(holder_key((kind, id), &key), state.byte());
        }
        let row = look.get(Table::Entries, name, |value| {
            // What cannot be understood has been told of.
            Ok(EntryRow::read(value, name).ok().map(|row| (row.entry.has_data(), row.shown)))
        })?;
        match row {
            None => problems.note(format!("members {key}"), "they belong to an entry that is not there"),
            Some(Some((false, _))) => problems.note(format!("entries {key}"), "it has members but no data"),
            Some(Some((true, shown))) if shown != crate::items::count_shown(&members) => {
                problems.note(format!("entries {key}"), "it counts its members wrongly");
            }
            Some(_) => {}
        }
        ON
    })
}

fn verify_items(look: &impl Look, problems: &mut Problems) -> Result<(), Fault> {
    look.walk(Table::Items, EVERYTHING, |name, value| {
        let mut parts = Parts(name);
        let (kind, id) = (parts.text().unwrap_or_default(), parts.text().unwrap_or_default());
        let on = format!("items {kind} {id}");
        match decode::<ItemValue<'_>>(Table::Items, name, value) {
            Err(fault) => problems.row("items", fault),
            Ok(item) => {
                if !is_json(item.doc) {
                    problems.note(&on, "its document is not JSON");
                }
                if item.derived.is_some_and(|derived| !is_json(derived)) {
                    problems.note(&on, "what was derived of it is not JSON");
                }
                if item.scope.parse::<larder_core::Scope>().is_err() {
                    problems.note(&on, "its scope is none");
                }
            }
        }
        ON
    })
}

fn verify_lines(look: &impl Look, seq: u64, problems: &mut Problems) -> Result<(), Fault> {
    look.walk(Table::Changes, EVERYTHING, |place, value| {
        match read_change(place, value) {
            Err(fault) => problems.row("changes", fault),
            Ok(line) if line.seq > seq => {
                problems.note(format!("changes line {}", line.seq), "a line is ahead of the store's number");
            }
            Ok(_) => {}
        }
        ON
    })?;
    look.walk(Table::Log, EVERYTHING, |number, value| {
        if let Err(fault) = read_log(number, value) {
            problems.row("refresh_log", fault);
        }
        ON
    })
}

/// Said of a table that is made anew then.
const ASTRAY: &str = "it did not lead to the rows that there are; it was made anew";

/// Whether [`rebuild`] mends it.
pub(crate) fn is_mended(problem: &Problem) -> bool {
    problem.message == ASTRAY
}

/// What the tables must hold that only lead to rows.
#[derive(Default)]
struct Expected {
    wanted: BTreeSet<Vec<u8>>,
    tags: BTreeSet<Vec<u8>>,
    holders: BTreeMap<Vec<u8>, u8>,
}

impl Expected {
    fn entry(&mut self, row: &EntryRow) {
        let key: &Key = &row.entry.key;
        self.wanted.extend(row.indexed.clone());
        self.tags.extend(row.tags.iter().map(|tag| tag_key(tag, key)));
    }

    fn compare(&self, look: &impl Look, problems: &mut Problems) -> Result<(), Fault> {
        for (table, differs) in [
            (Table::Wanted, !same(look, Table::Wanted, self.wanted.iter())?),
            (Table::Tags, !same(look, Table::Tags, self.tags.iter())?),
            (Table::Holders, !same(look, Table::Holders, self.holders.keys())?),
        ] {
            if differs {
                problems.note(table.name(), ASTRAY);
            }
        }
        Ok(())
    }
}

fn same<'a>(
    look: &impl Look,
    table: Table,
    expected: impl Iterator<Item = &'a Vec<u8>>,
) -> Result<bool, Fault> {
    Ok(look.keys(table, EVERYTHING)?.iter().eq(expected))
}

/// Makes the tables anew that only lead to rows.
pub(crate) fn rebuild(tx: &Tx<'_>) -> Result<(), Fault> {
    let mut expected = Expected::default();
    tx.walk(Table::Entries, EVERYTHING, |name, value| {
        if let Ok(row) = EntryRow::read(value, name) {
            expected.entry(&row);
        }
        ON
    })?;
    tx.walk(Table::Members, EVERYTHING, |name, value| {
        let Ok(members) = read_members(name, value) else { return ON };
        let key = key_of(Table::Members, name)?;
        for (item, state) in holding(&members) {
            expected.holders.insert(holder_key(item, &key), state.byte());
        }
        ON
    })?;
    for table in [Table::Wanted, Table::Tags, Table::Holders] {
        for name in tx.keys(table, EVERYTHING)? {
            tx.remove(table, &name)?;
        }
    }
    for name in &expected.wanted {
        tx.put(Table::Wanted, name, &[])?;
    }
    for name in &expected.tags {
        tx.put(Table::Tags, name, &[])?;
    }
    for (name, state) in &expected.holders {
        tx.put(Table::Holders, name, &[*state])?;
    }
    Ok(())
}

/// The store as a whole; `bytes` are counted by the caller, who knows the file.
pub(crate) fn info(look: &impl Look, place: &str, bytes: u64) -> Result<StoreInfo, Fault> {
    Ok(StoreInfo {
        place: place.to_owned(),
        schema: SCHEMA,
        entries: look.count(Table::Entries)?,
        items: look.count(Table::Items)?,
        bytes,
        seq: feed::last(look)?,
    })
}
