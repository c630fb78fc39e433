//! Looking for damage, and what there is to say about the store as a whole.

use larder_core::{Problem, StoreInfo};
use rusqlite::Connection;

use crate::errors::Fault;
use crate::feed;
use crate::rows::{ENTRY_COLUMNS, ENTRY_ROWS, EntryRow, ITEM_COLUMNS, ItemRow};
use crate::schema::SCHEMA;

/// The most problems of one sort that are listed.
const LISTED_MAX: usize = 100;

/// What Larder's rules promise, as queries that find nothing: where it is, what is wrong.
const PROMISES: &[(&str, &str, &str)] = &[
    (
        "entries",
        "it has members but no data",
        "SELECT key FROM entries e WHERE fetched_at IS NULL \
         AND EXISTS (SELECT 1 FROM members m WHERE m.entry = e.nr)",
    ),
    (
        "entries",
        "its numbers are ahead of the store's",
        "SELECT key FROM entries WHERE max(began, invalidated, marked) > (SELECT seq FROM meta)",
    ),
    (
        "leases",
        "its number is ahead of the store's",
        "SELECT key FROM leases JOIN entries ON nr = entry WHERE leases.seq > (SELECT seq FROM meta)",
    ),
    (
        "entries",
        "its body is not JSON",
        "SELECT key FROM entries WHERE body NOT NULL AND NOT json_valid(body)",
    ),
    ("items", "its document is not JSON", "SELECT kind || ' ' || id FROM items WHERE NOT json_valid(doc)"),
    (
        "items",
        "what was derived of it is not JSON",
        "SELECT kind || ' ' || id FROM items WHERE derived NOT NULL AND NOT json_valid(derived)",
    ),
    (
        "changes",
        "a line is ahead of the store's number",
        "SELECT 'line ' || seq FROM changes WHERE seq > (SELECT seq FROM meta)",
    ),
    (
        "markers",
        "its number is ahead of the store's",
        "SELECT name FROM markers WHERE seq > (SELECT seq FROM meta)",
    ),
    ("meta", "there must be one row", "SELECT 'meta' WHERE (SELECT count(*) FROM meta) <> 1"),
];

/// Damage in the file's structure and in what the rules promise.
pub(crate) fn verify(conn: &Connection) -> Result<Vec<Problem>, Fault> {
    let mut problems = structure(conn)?;
    if !problems.is_empty() {
        // Of a file that is torn, rows say nothing.
        return Ok(problems);
    }
    foreign_keys(conn, &mut problems)?;
    for (on, message, sql) in PROMISES {
        let mut statement = conn.prepare(&format!("{sql} LIMIT {LISTED_MAX}"))?;
        for row in statement.query_map([], |row| row.get::<_, String>(0))? {
            problems.push(Problem { on: format!("{on} {}", row?), message: (*message).to_owned() });
        }
    }
    understand_rows(conn, &mut problems)?;
    Ok(problems)
}

fn structure(conn: &Connection) -> Result<Vec<Problem>, Fault> {
    let mut problems = Vec::new();
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({LISTED_MAX})"))?;
    let mut rows = statement.query([])?;
    let on = "file";
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let message: String = row.get(0)?;
                // A stale index is found, and mended, by `words::verify`.
                if message != "ok" && !message.contains("items_fts") {
                    problems.push(Problem { on: on.to_owned(), message });
                }
            }
            Ok(None) => return Ok(problems),
            Err(error) => {
                problems.push(Problem { on: on.to_owned(), message: error.to_string() });
                return Ok(problems);
            }
        }
    }
}

fn foreign_keys(conn: &Connection, problems: &mut Vec<Problem>) -> Result<(), Fault> {
    let mut statement =
        conn.prepare("SELECT \"table\", \"parent\", count(*) FROM pragma_foreign_key_check GROUP BY 1, 2")?;
    let found = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    for row in found {
        let (table, parent, rows) = row?;
        problems
            .push(Problem { on: table, message: format!("{rows} rows name {parent} that are not there") });
    }
    Ok(())
}

fn understand_rows(conn: &Connection, problems: &mut Vec<Problem>) -> Result<(), Fault> {
    let mut note = |table: &str, error: &larder_core::StoreError| {
        if problems.len() < LISTED_MAX {
            problems.push(Problem { on: table.to_owned(), message: error.to_string() });
        }
    };
    let mut statement = conn.prepare(&format!("SELECT {ENTRY_COLUMNS} FROM {ENTRY_ROWS}"))?;
    for row in statement.query_map([], EntryRow::read)? {
        match row?.model(conn) {
            Err(Fault::Store(error)) => note("entries", &error),
            Err(fault) => return Err(fault),
            Ok(_) => {}
        }
    }
    let mut statement = conn.prepare(&format!("SELECT {ITEM_COLUMNS} FROM items i"))?;
    for row in statement.query_map([], |row| ItemRow::read(row, 0))? {
        if let Err(error) = row?.model() {
            note("items", &error);
        }
    }
    Ok(())
}

/// The store as a whole; `bytes` are counted by the caller, who knows the files.
pub(crate) fn info(conn: &Connection, place: &str, bytes: u64) -> Result<StoreInfo, Fault> {
    let count = |sql: &str| -> rusqlite::Result<u64> {
        conn.prepare_cached(sql)?.query_row([], |row| Ok(row.get::<_, i64>(0)? as u64))
    };
    Ok(StoreInfo {
        place: place.to_owned(),
        schema: SCHEMA,
        entries: count("SELECT count(*) FROM entries")?,
        items: count("SELECT count(*) FROM items")?,
        bytes,
        seq: feed::last(conn)?,
    })
}
