//! Words that are behind: of items whose kind is to be found by other fields than when they were written.
//! Whatever a fetch brings gets its words anew; this is for what no fetch brings.

use std::collections::HashMap;

use larder_core::{FoundBy, StoreError, ViewSpec};
use tokio_postgres::types::Type;

use crate::connections::{Connections, Mode};
use crate::digest::Digest;
use crate::docs::{self, Worded};
use crate::errors::Fault;
use crate::items::words_digest;
use crate::json::{JsonText, clean};
use crate::transaction::Tx;
use crate::views;

/// How many items are looked at in one transaction: commits go on in between.
const BATCH: i64 = 1_000;

/// Makes the words say what the documents say. One that is cut off begins anew, and writes nothing twice.
pub(crate) async fn catch_up(connections: &Connections) -> Result<(), StoreError> {
    let attempted = "find items by other words";
    let behind = connections
        .run(Mode::Read, attempted, |tx| async move { views::behind(&tx, connections.specs()).await })
        .await?;
    let behind = behind.as_slice();
    if behind.is_empty() {
        return Ok(());
    }
    let mut after = Some(0);
    while let Some(from) = after {
        let step = connections.run(Mode::Write, attempted, |tx| async move { step(&tx, behind, from).await });
        after = step.await?;
    }
    connections.run(Mode::Rewrite, attempted, |tx| async move { views::note_words(&tx, behind).await }).await
}

/// One batch behind the item `after`: where to go on.
async fn step(tx: &Tx, specs: &[ViewSpec], after: i64) -> Result<Option<i64>, Fault> {
    let kinds: Vec<&str> = specs.iter().map(|spec| spec.kind).collect();
    tx.by_index().await?;
    let rows = tx
        .query(
            "SELECT nr FROM larder.items WHERE nr > $1 AND kind = ANY($2) ORDER BY nr LIMIT $3",
            &[(&after, Type::INT8), (&kinds, Type::TEXT_ARRAY), (&BATCH, Type::INT8)],
        )
        .await?;
    let batch: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let astray = astray(tx, &batch, specs).await?;
    let worded: Vec<Worded<'_>> = astray
        .iter()
        .map(|(nr, found)| Worded {
            nr: *nr,
            title: &found.title,
            search: &found.words,
            digest: Some(words_digest(&found.title, &found.words)),
        })
        .collect();
    if !worded.is_empty() {
        docs::reword(tx, &worded).await?;
    }
    let is_last = (batch.len() as i64) < BATCH;
    Ok(batch.last().copied().filter(|_| !is_last))
}

/// Locks the items, in the order in which all do, and answers what those are to be found by that may be found
/// by something else.
async fn astray(tx: &Tx, batch: &[i64], specs: &[ViewSpec]) -> Result<Vec<(i64, FoundBy)>, Fault> {
    let specs: HashMap<&str, &ViewSpec> = specs.iter().map(|spec| (spec.kind, spec)).collect();
    let params = [(&batch as _, Type::INT8_ARRAY)];
    let (locked, rows) = together!(
        tx.execute(
            "SELECT nr FROM larder.items WHERE nr = ANY($1) ORDER BY id, kind FOR NO KEY UPDATE",
            &params
        ),
        tx.query(
            "SELECT i.nr, i.kind, i.words_digest, d.doc FROM larder.items i \
             JOIN larder.docs d ON d.nr = i.nr WHERE i.nr = ANY($1)",
            &params
        )
    );
    locked?;
    let mut astray = Vec::new();
    for row in &rows? {
        let (kind, held): (&str, Option<Digest>) = (row.try_get(1)?, row.try_get(2)?);
        let Some(spec) = specs.get(kind) else { continue };
        let JsonText(doc) = row.try_get(3)?;
        let FoundBy { title, words } = spec.found_by(&doc);
        let found = FoundBy { title: clean(&title).into_owned(), words: clean(&words).into_owned() };
        if held != Some(words_digest(&found.title, &found.words)) {
            astray.push((row.try_get(0)?, found));
        }
    }
    Ok(astray)
}
