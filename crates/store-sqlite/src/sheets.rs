//! What lists show of an entry's members, ready made: read in one go where the members would be ten
//! thousand rows.

use larder_core::{Key, Sheet};
use rusqlite::{Connection, OptionalExtension, params};

use crate::errors::Fault;
use crate::rows::int;

/// The entry's sheet, if it is of that form and of what the entry is now.
pub(crate) fn sheet(conn: &Connection, key: &Key, form: &str) -> Result<Option<Sheet>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT s.version, s.text FROM entries e JOIN sheets s ON s.entry = e.nr AND s.version = e.version \
         WHERE e.key = ?1 AND s.form = ?2",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let version: i64 = row.get(0)?;
        Ok(Sheet { form: form.to_owned(), version: version as u64, text: row.get(1)? })
    };
    Ok(statement.query_row(params![key.as_str(), form], read).optional()?)
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
