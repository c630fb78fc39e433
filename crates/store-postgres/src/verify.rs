//! Looking for damage, and what there is to say about the store as a whole.

use larder_core::{Problem, StoreInfo};
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::rows::{ENTRY_COLUMNS, EntryRow, FROM_ENTRIES, ITEM_COLUMNS, item, number};
use crate::schema::SCHEMA;
use crate::transaction::Tx;

/// The most problems of one sort that are listed.
const LISTED_MAX: usize = 100;

/// How many rows are read at a time.
const PAGE: i64 = 1_000;

/// What Larder's rules promise, as queries that find nothing: where it is, what is wrong.
const PROMISES: &[(&str, &str, &str)] = &[
    (
        "entries",
        "it has members but no data",
        "SELECT e.key FROM larder.entries e WHERE e.fetched_at IS NULL \
         AND EXISTS (SELECT 1 FROM larder.members m WHERE m.entry = e.nr)",
    ),
    (
        "entries",
        "its numbers are ahead of the store's",
        "SELECT e.key FROM larder.entries e CROSS JOIN larder.sequence s \
         WHERE greatest(e.began, e.invalidated, e.marked, e.lease_seq) \
         > CASE WHEN s.is_called THEN s.last_value ELSE 0 END",
    ),
    (
        "members",
        "it names an entry that is not there",
        "SELECT 'of ' || m.entry FROM larder.members m \
         WHERE NOT EXISTS (SELECT 1 FROM larder.entries e WHERE e.nr = m.entry)",
    ),
    (
        "members",
        "it names an item that is not there",
        "SELECT e.key || ' ' || m.asked FROM larder.members m JOIN larder.entries e ON e.nr = m.entry \
         WHERE NOT EXISTS (SELECT 1 FROM larder.items i WHERE i.nr = m.item)",
    ),
    (
        "items",
        "it has not one document and one set of words",
        "SELECT i.kind || ' ' || i.id FROM larder.items i \
         WHERE (SELECT count(*) FROM larder.docs d WHERE d.nr = i.nr) <> 1 \
         OR (SELECT count(*) FROM larder.words w WHERE w.nr = i.nr) <> 1",
    ),
    (
        "docs",
        "it is of an item that is not there",
        "SELECT d.kind || ' ' || d.id FROM larder.docs d \
         WHERE NOT EXISTS (SELECT 1 FROM larder.items i WHERE i.nr = d.nr)",
    ),
    (
        "words",
        "they are of an item that is not there",
        "SELECT w.kind || ' ' || w.title FROM larder.words w \
         WHERE NOT EXISTS (SELECT 1 FROM larder.items i WHERE i.nr = w.nr)",
    ),
    (
        "tags",
        "it is on an entry that is not there",
        "SELECT t.tag FROM larder.tags t WHERE NOT EXISTS (SELECT 1 FROM larder.entries e WHERE e.nr = t.entry)",
    ),
    (
        "changes",
        "a line is ahead of the store's number",
        "SELECT 'line ' || c.seq FROM larder.changes c CROSS JOIN larder.sequence s \
         WHERE c.seq > CASE WHEN s.is_called THEN s.last_value ELSE 0 END",
    ),
    (
        "meta",
        "what was swept of the feed is ahead of the store's number",
        "SELECT 'feed_swept ' || m.feed_swept FROM larder.meta m CROSS JOIN larder.sequence s \
         WHERE m.feed_swept > CASE WHEN s.is_called THEN s.last_value ELSE 0 END",
    ),
    ("meta", "there must be one row", "SELECT 'meta' WHERE (SELECT count(*) FROM larder.meta) <> 1"),
    ("written", "there must be one row", "SELECT 'written' WHERE (SELECT count(*) FROM larder.written) <> 1"),
];

/// Damage in what the rules promise, and rows that cannot be understood. What is PostgreSQL's own to
/// check (pages, indexes) is left to its tools.
pub(crate) async fn verify(tx: &Tx) -> Result<Vec<Problem>, Fault> {
    let mut problems = Vec::new();
    for (on, message, sql) in PROMISES {
        for row in tx.query(&format!("{sql} LIMIT {LISTED_MAX}"), &[]).await? {
            let what: &str = row.try_get(0)?;
            problems.push(Problem { on: format!("{on} {what}"), message: (*message).to_owned() });
        }
    }
    understand_entries(tx, &mut problems).await?;
    understand_items(tx, &mut problems).await?;
    Ok(problems)
}

fn note(problems: &mut Vec<Problem>, table: &str, fault: Fault) -> Result<(), Fault> {
    match fault {
        Fault::Store(error) => {
            if problems.len() < LISTED_MAX {
                problems.push(Problem { on: table.to_owned(), message: error.to_string() });
            }
            Ok(())
        }
        other => Err(other),
    }
}

async fn understand_entries(tx: &Tx, problems: &mut Vec<Problem>) -> Result<(), Fault> {
    let sql = format!("SELECT {ENTRY_COLUMNS} {FROM_ENTRIES} WHERE e.nr > $1 ORDER BY e.nr LIMIT {PAGE}");
    let mut after: i64 = 0;
    loop {
        let rows = tx.query(&sql, &[(&after, Type::INT8)]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(0)?;
        for row in &rows {
            if let Err(fault) = EntryRow::read(row, None) {
                note(problems, "entries", fault)?;
            }
        }
    }
}

async fn understand_items(tx: &Tx, problems: &mut Vec<Problem>) -> Result<(), Fault> {
    let sql = format!(
        "SELECT {ITEM_COLUMNS}, i.nr FROM larder.items i JOIN larder.docs d ON d.nr = i.nr \
             WHERE i.nr > $1 ORDER BY i.nr LIMIT {PAGE}"
    );
    let mut after: i64 = 0;
    loop {
        let rows = tx.query(&sql, &[(&after, Type::INT8)]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(6)?;
        for row in &rows {
            if let Err(fault) = item(row, 0) {
                note(problems, "items", fault)?;
            }
        }
    }
}

/// The store as a whole.
pub(crate) async fn info(tx: &Tx, place: &str) -> Result<StoreInfo, Fault> {
    let sql = "SELECT (SELECT count(*) FROM larder.entries), (SELECT count(*) FROM larder.items), \
               (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_catalog.pg_class c \
                WHERE c.relnamespace = to_regnamespace('larder') AND c.relkind IN ('r', 'S')), \
               greatest((SELECT feed_swept FROM larder.meta), (SELECT max(seq) FROM larder.changes))";
    let row = tx.conclude(tx.query_one(sql, &[])).await?;
    Ok(StoreInfo {
        place: place.to_owned(),
        schema: SCHEMA,
        entries: number(&row, 0)?,
        items: number(&row, 1)?,
        bytes: number(&row, 2)?,
        seq: number(&row, 3)?,
    })
}
