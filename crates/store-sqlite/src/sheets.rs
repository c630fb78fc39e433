//! What lists show of an entry's members, ready made: read in one go where the members would be ten
//! thousand rows.

use larder_core::{Key, Sheet, SheetText};
use rusqlite::{Connection, OptionalExtension, params};

use crate::errors::Fault;
use crate::rows::int;

/// What is on the entry's sheet, if it is of that form and of what the entry is now. A query would read
/// the whole text, of whatever length, before it gave its beginning.
pub(crate) fn sheet(
    conn: &Connection,
    key: &Key,
    form: &str,
    bytes: usize,
) -> Result<Option<SheetText>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT s.entry FROM entries e JOIN sheets s ON s.entry = e.nr AND s.version = e.version \
         WHERE e.key = ?1 AND s.form = ?2",
    )?;
    let found: Option<i64> = statement.query_row(params![key.as_str(), form], |row| row.get(0)).optional()?;
    let Some(entry) = found else { return Ok(None) };
    let text = conn.blob_open("main", "sheets", "text", entry, true)?;
    let mut beginning = vec![0; text.len().min(bytes)];
    text.read_at_exact(&mut beginning, 0)?;
    Ok(SheetText::within(beginning, text.len(), bytes))
}

/// Keeps one, if it is of what the entry is now.
pub(crate) fn keep(conn: &Connection, key: &Key, sheet: &Sheet) -> Result<bool, Fault> {
    if sheet.text.len() > Sheet::BYTES_MAX {
        return Ok(false);
    }
    let kept = conn
        .prepare_cached(
            "INSERT OR REPLACE INTO sheets (entry, version, form, text) \
             SELECT nr, version, ?3, ?4 FROM entries WHERE key = ?1 AND version = ?2",
        )?
        .execute(params![key.as_str(), int(sheet.version), sheet.form, sheet.text])?;
    Ok(kept > 0)
}

/// Removes those that are of what entries were once.
pub(crate) fn sweep(conn: &Connection) -> Result<(), Fault> {
    conn.execute(
        "DELETE FROM sheets WHERE NOT EXISTS \
         (SELECT 1 FROM entries e WHERE e.nr = sheets.entry AND e.version = sheets.version)",
        [],
    )?;
    Ok(())
}
