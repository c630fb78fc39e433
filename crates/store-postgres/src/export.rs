//! Entries on their way out to another store.

use std::collections::HashMap;

use larder_core::{Entry, Exported, ExportedMember, Key};
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::rows::{ENTRY_COLUMNS, EntryRow, FROM_ENTRIES, ITEM_COLUMNS, item, limit, state};
use crate::transaction::Tx;

/// Entries by key behind `after`, with everything worth moving.
pub(crate) async fn export(tx: &Tx, after: Option<&Key>, most: usize) -> Result<Vec<Exported>, Fault> {
    let sql = format!("SELECT {ENTRY_COLUMNS} {FROM_ENTRIES} WHERE e.key > $1 ORDER BY e.key LIMIT $2");
    let params = [(&after.map_or("", Key::as_str) as _, Type::TEXT), (&limit(most) as _, Type::INT8)];
    let rows = tx.query(&sql, &params).await?;
    let rows: Vec<EntryRow> =
        rows.iter().map(|row| EntryRow::read(row, tx.local_now())).collect::<Result<_, _>>()?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.nr).collect();
    let (mut tags, mut members) = tx
        .conclude(async {
            let (tags, members) = together!(tags_of(tx, &numbers), members_of(tx, &numbers));
            Ok((tags?, members?))
        })
        .await?;
    let exported = rows.into_iter().map(|row| Exported {
        entry: Entry { lease: None, ..row.entry },
        tags: tags.remove(&row.nr).unwrap_or_default(),
        unconfigured_since: row.unconfigured_since,
        members: members.remove(&row.nr).unwrap_or_default(),
    });
    Ok(exported.collect())
}

async fn tags_of(tx: &Tx, entries: &[i64]) -> Result<HashMap<i64, Vec<String>>, Fault> {
    let rows = tx
        .query(
            "SELECT entry, tag FROM larder.tags WHERE entry = ANY($1) ORDER BY entry, tag",
            &[(&entries, Type::INT8_ARRAY)],
        )
        .await?;
    let mut tags: HashMap<i64, Vec<String>> = HashMap::new();
    for row in &rows {
        tags.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    Ok(tags)
}

async fn members_of(tx: &Tx, entries: &[i64]) -> Result<HashMap<i64, Vec<ExportedMember>>, Fault> {
    let sql = format!(
        "SELECT m.entry, m.asked, m.state, {ITEM_COLUMNS} FROM larder.members m \
         JOIN larder.items i ON i.nr = m.item JOIN larder.docs d ON d.nr = m.item \
         WHERE m.entry = ANY($1) ORDER BY m.entry, m.position"
    );
    let rows = tx.query(&sql, &[(&entries, Type::INT8_ARRAY)]).await?;
    let mut members: HashMap<i64, Vec<ExportedMember>> = HashMap::new();
    for row in &rows {
        let entry: i64 = row.try_get(0)?;
        let asked: &str = row.try_get(1)?;
        members.entry(entry).or_default().push(ExportedMember {
            state: state(row.try_get(2)?, &format_args!("entry {entry}, `{asked}`"))?,
            asked: asked.into(),
            item: item(row, 3)?,
        });
    }
    Ok(members)
}
