//! What lists show of an entry's members, ready made: a few rows where the members would be ten thousand.
//! The first says what it is of; the text lies behind it in pieces, so that whoever wants its beginning
//! reads no more.

use larder_core::{Key, Sheet, SheetText};
use serde::{Deserialize, Serialize};

use crate::entries::find;
use crate::errors::Fault;
use crate::keys::{Bytes, EVERYTHING, Parts, Prefix};
use crate::rows::{decode, encode};
use crate::tables::{Look, ON, STOP, Table, Tx};

/// The first row of a sheet.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    version: u64,
    form: &'a str,
    bytes: usize,
}

/// A piece and its key fill four pages of redb's, and not a byte of a fifth.
const PIECE: usize = 15 << 10;

/// Where a sheet's rows lie: its head at 0, then its pieces.
fn rows_of(key: &str) -> Bytes {
    Bytes::default().text(key)
}

/// What is on the entry's sheet, if it is of that form and of what the entry is now.
pub(crate) fn sheet(
    look: &impl Look,
    key: &Key,
    form: &str,
    bytes: usize,
) -> Result<Option<SheetText>, Fault> {
    let Some(row) = find(look, key)? else { return Ok(None) };
    let rows = Prefix::new(rows_of(key.as_str()).done());
    let (mut of, mut beginning) = (None, Vec::new());
    let walked = look.walk(Table::Sheets, rows.stretch(), |name, value| {
        let Some(of) = of else {
            let head: Head<'_> = decode(Table::Sheets, name, value)?;
            let is_sound = head.bytes <= Sheet::BYTES_MAX;
            let holds = is_sound && head.version == row.entry.version && head.form == form;
            if !holds {
                return STOP;
            }
            of = Some(head.bytes);
            beginning.reserve(head.bytes.min(bytes));
            return ON;
        };
        let wanted = bytes.min(of).saturating_sub(beginning.len());
        beginning.extend_from_slice(&value[..value.len().min(wanted)]);
        if value.len() < wanted { ON } else { STOP }
    });
    match walked {
        // One of which a piece is missing can be made again, as one that cannot be read.
        Ok(()) => Ok(of
            .filter(|of| beginning.len() == bytes.min(*of))
            .and_then(|of| SheetText::within(beginning, of, bytes))),
        Err(Fault::Redb(error)) if matches!(*error, redb::Error::TableDoesNotExist(_)) => Ok(None),
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
    remove(tx, key)?;
    let head = Head { version: sheet.version, form: &sheet.form, bytes: sheet.text.len() };
    tx.put(Table::Sheets, &rows_of(key.as_str()).number(0).done(), &encode(&head)?)?;
    for (number, piece) in (1..).zip(sheet.text.as_bytes().chunks(PIECE)) {
        tx.put(Table::Sheets, &rows_of(key.as_str()).number(number).done(), piece)?;
    }
    Ok(true)
}

/// Removes one, if there is one.
pub(crate) fn remove(tx: &Tx<'_>, key: &Key) -> Result<(), Fault> {
    let rows = Prefix::new(rows_of(key.as_str()).done());
    for name in tx.keys(Table::Sheets, rows.stretch())? {
        tx.remove(Table::Sheets, &name)?;
    }
    Ok(())
}

/// Removes those that are of what entries were once.
pub(crate) fn sweep(tx: &Tx<'_>) -> Result<(), Fault> {
    let (mut old, mut last) = (Vec::new(), None);
    tx.walk(Table::Sheets, EVERYTHING, |name, value| {
        let mut parts = Parts(name);
        // One that cannot be read is worth as little.
        let (of, number) = (parts.text(), parts.number());
        if number == Some(0) {
            let version = decode::<Head<'_>>(Table::Sheets, name, value).map(|head| head.version).ok();
            let key = of.as_deref().and_then(|of| of.parse::<Key>().ok());
            let now = key.and_then(|key| find(tx, &key).ok().flatten()).map(|row| row.entry.version);
            last = of.as_deref().map(str::to_owned).filter(|_| version.is_some() && version == now);
        }
        if last.is_none() || of.as_deref() != last.as_deref() {
            old.push(name.to_vec());
        }
        ON
    })?;
    for name in old {
        tx.remove(Table::Sheets, &name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use larder_core::Store;
    use larder_testkit::contract::build::{at, book, key, refresh, row};

    use super::*;
    use crate::{OpenOptions, RedbStore};

    #[tokio::test]
    async fn a_sheet_that_is_not_what_its_head_says_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = RedbStore::open(OpenOptions::new(dir.path().join("larder.redb"), at(0))).unwrap();
        let one = key("shelf/one");
        refresh(&store, &one, vec![book("a", 1)], at(0)).await;
        let version = row(&store, &one).await.entry.version;
        let lines = "a 1\na 2\n";
        for (bytes, holds) in [(usize::MAX, false), (lines.len() + 1, false), (lines.len(), true)] {
            let name = one.clone();
            let put = move |tx: &Tx<'_>| {
                let head = Head { version, form: "books/1", bytes };
                tx.put(Table::Sheets, &rows_of(name.as_str()).number(0).done(), &encode(&head)?)?;
                tx.put(Table::Sheets, &rows_of(name.as_str()).number(1).done(), lines.as_bytes())
            };
            store.write("put a sheet", put).await.unwrap();
            let read = store.sheet(&one, "books/1", usize::MAX).await.unwrap();
            assert_eq!(read.map(|read| read.text).as_deref(), holds.then_some(lines), "{bytes}");
        }
    }
}
