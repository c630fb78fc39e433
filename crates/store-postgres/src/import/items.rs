//! The items of entries that come in.

use std::borrow::Cow;
use std::collections::HashMap;

use larder_core::{ExportedMember, Item, ItemRef, Time};
use tokio_postgres::types::Type;

use crate::docs::{self, Made};
use crate::errors::Fault;
use crate::items::{self, Asked};
use crate::json::{JsonText, clean};
use crate::rows::At;
use crate::transaction::Tx;
use crate::words;

/// An item with its words, as it is sent.
struct Moved<'a> {
    item: &'a Item,
    scope: Cow<'static, str>,
    title: String,
    search: String,
}

/// Puts the members' items. Unlike what a fetch brings, they were asked for long ago: the later answer
/// stands, however much later it is.
pub(super) async fn put<'a>(
    tx: &Tx,
    members: impl Iterator<Item = &'a ExportedMember>,
) -> Result<items::Put<'a>, Fault> {
    let mut newest: HashMap<&ItemRef, Moved<'_>> = HashMap::new();
    for member in members {
        let item = &member.item;
        if newest.get(&item.of).is_none_or(|held| held.item.fetched_at < item.fetched_at) {
            let found_by = tx.found_by(&item.of.kind, item.doc.as_str());
            let title = clean(&found_by.title).into_owned();
            let search = clean(&found_by.words).into_owned();
            let scope = items::scope_text(&item.scope);
            newest.insert(&item.of, Moved { item, scope, title, search });
        }
    }
    let mut done = items::Put::default();
    let mut left: Vec<Moved<'a>> = newest.into_values().collect();
    for _ in 0..items::ROUNDS_MAX {
        if left.is_empty() {
            break;
        }
        left.sort_unstable_by_key(|moved| (&moved.item.of.id, &moved.item.of.kind));
        // Nothing is confirmed by what nobody has just asked for.
        let asked = Asked { at: Time::from_ms(0), began: 0 };
        let items = left.iter().map(|moved| (&moved.item.of, None, None));
        let (told, met) = together!(tx.by_index(), items::meet(tx, items, asked));
        told?;
        let met = met?;
        let (mut known, mut missing) = (Vec::new(), Vec::new());
        for (moved, found) in left.iter().zip(met.found) {
            match found {
                Some((nr, _)) => known.push((nr, moved)),
                None => missing.push(moved),
            }
        }
        done.numbers.extend(known.iter().map(|(nr, moved)| (&moved.item.of, *nr)));
        let rows: Vec<Made<'_>> =
            met.spare.into_iter().zip(missing).map(|(nr, moved)| moved.made(nr)).collect();
        let (changed, made) = together!(update(tx, &known), docs::make(tx, &rows));
        done.changed.extend(changed?);
        let made = made?;
        let made: HashMap<&ItemRef, i64> =
            rows.iter().filter(|row| made.contains(row.nr)).map(|row| (row.of, row.nr)).collect();
        let made: Vec<(&'a ItemRef, i64)> =
            left.iter().filter_map(|moved| Some((&moved.item.of, *made.get(&moved.item.of)?))).collect();
        done.numbers.extend(made);
        left.retain(|moved| !done.numbers.contains_key(&moved.item.of));
    }
    Ok(done)
}

impl Moved<'_> {
    fn made(&self, nr: i64) -> Made<'_> {
        Made {
            nr,
            of: &self.item.of,
            scope: &self.scope,
            doc: &self.item.doc,
            derived: self.item.derived.as_ref(),
            title: &self.title,
            search: &self.search,
            fetched_at: self.item.fetched_at,
            began: 0,
            doc_digest: None,
            words_digest: None,
        }
    }
}

/// What is held and was fetched as late keeps all but a `derived` that it does not have. Answers those
/// that look different now.
async fn update(tx: &Tx, items: &[(i64, &Moved<'_>)]) -> Result<Vec<i64>, Fault> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = items.iter().map(|(nr, _)| *nr).collect();
    let scopes: Vec<&str> = items.iter().map(|(_, moved)| &*moved.scope).collect();
    let docs: Vec<JsonText<'_>> = items.iter().map(|(_, moved)| JsonText::of(&moved.item.doc)).collect();
    let derived: Vec<Option<JsonText<'_>>> =
        items.iter().map(|(_, moved)| moved.item.derived.as_ref().map(JsonText::of)).collect();
    let titles: Vec<&str> = items.iter().map(|(_, moved)| &*moved.title).collect();
    let searches: Vec<&str> = items.iter().map(|(_, moved)| &*moved.search).collect();
    let vectors: Vec<words::Vector> =
        items.iter().map(|(_, moved)| words::vector(&moved.title, &moved.search)).collect();
    let times: Vec<At> = items.iter().map(|(_, moved)| At(moved.item.fetched_at)).collect();
    let rows = tx
        .query(
            "WITH asked AS MATERIALIZED ( \
               SELECT a.*, i.fetched_at < a.fetched_at AS later, \
                 d.doc IS DISTINCT FROM a.doc OR i.scope <> a.scope AS differs \
               FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) \
               AS a(nr, scope, doc, derived, title, search, words, fetched_at) \
               JOIN larder.items i ON i.nr = a.nr JOIN larder.docs d ON d.nr = a.nr \
             ), taken AS ( \
               UPDATE larder.items i SET scope = a.scope, derived = coalesce(a.derived, i.derived), \
                 fetched_at = a.fetched_at, began = 0, doc_digest = NULL, words_digest = NULL \
               FROM asked a WHERE i.nr = a.nr AND a.later \
             ), written AS ( \
               UPDATE larder.docs d SET doc = a.doc FROM asked a WHERE d.nr = a.nr AND a.later \
             ), worded AS ( \
               UPDATE larder.words w SET title = a.title, search = a.search, words = a.words \
               FROM asked a WHERE w.nr = a.nr AND a.later \
             ), added AS ( \
               UPDATE larder.items i SET derived = a.derived FROM asked a \
               WHERE i.nr = a.nr AND NOT a.later AND i.derived IS NULL AND a.derived IS NOT NULL \
             ) SELECT nr FROM asked WHERE later AND differs",
            &[
                (&numbers, Type::INT8_ARRAY),
                (&scopes, Type::TEXT_ARRAY),
                (&docs, Type::JSONB_ARRAY),
                (&derived, Type::JSONB_ARRAY),
                (&titles, Type::TEXT_ARRAY),
                (&searches, Type::TEXT_ARRAY),
                (&vectors, Type::TS_VECTOR_ARRAY),
                (&times, Type::TIMESTAMPTZ_ARRAY),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
