//! What lists show of an entry's members, ready made: one row where the members would be ten thousand.

use larder_core::{Key, Sheet, SheetText};
use serde::{Deserialize, Serialize};

use crate::entries::find;
use crate::errors::Fault;
use crate::keys::EVERYTHING;
use crate::rows::{decode, encode, key_of};
use crate::tables::{Look, ON, Table, Tx};

/// A row of [`Table::Sheets`].
#[derive(Serialize, Deserialize)]
struct SheetValue<'a> {
    version: u64,
    form: &'a str,
    text: &'a str,
}

/// What is on the entry's sheet, if it is of that form and of what the entry is now.
pub(crate) fn sheet(
    look: &impl Look,
    key: &Key,
    form: &str,
    bytes: usize,
) -> Result<Option<SheetText>, Fault> {
    let Some(row) = find(look, key)? else { return Ok(None) };
    let name = key.as_str().as_bytes();
    let read = |value: &[u8]| {
        let value: SheetValue<'_> = decode(Table::Sheets, name, value)?;
        let holds = value.version == row.entry.version && value.form == form;
        let beginning = || value.text.as_bytes()[..value.text.len().min(bytes)].to_owned();
        Ok(holds.then(|| SheetText::within(beginning(), value.text.len(), bytes)).flatten())
    };
    match look.get(Table::Sheets, name, read) {
        Ok(found) => Ok(found.flatten()),
        Err(Fault::Redb(error)) if matches!(*error, redb::Error::TableDoesNotExist(_)) => Ok(None),
        // It can be made again.
        Err(Fault::Row { .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Keeps one, if it is of what the entry is now.
pub(crate) fn keep(tx: &Tx<'_>, key: &Key, sheet: &Sheet) -> Result<bool, Fault> {
    let now = find(tx, key)?.map(|row| row.entry.version);
    if now != Some(sheet.version) || sheet.text.len() > Sheet::BYTES_MAX {
        return Ok(false);
    }
    let value = SheetValue { version: sheet.version, form: &sheet.form, text: &sheet.text };
    tx.put(Table::Sheets, key.as_str().as_bytes(), &encode(&value)?)?;
    Ok(true)
}

/// Removes those that are of what entries were once.
pub(crate) fn sweep(tx: &Tx<'_>) -> Result<(), Fault> {
    let mut old = Vec::new();
    tx.walk(Table::Sheets, EVERYTHING, |name, value| {
        // One that cannot be read is worth as little.
        let version = decode::<SheetValue<'_>>(Table::Sheets, name, value).map(|value| value.version);
        let now = key_of(Table::Sheets, name).and_then(|key| find(tx, &key));
        let now = now.ok().flatten().map(|row| row.entry.version);
        if now.is_none() || version.ok() != now {
            old.push(name.to_vec());
        }
        ON
    })?;
    for name in old {
        tx.remove(Table::Sheets, &name)?;
    }
    Ok(())
}
