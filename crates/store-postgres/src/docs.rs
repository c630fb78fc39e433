//! What items say: their documents and their words, each in a table of its own beside `items`, written
//! only where they differ. All of it is about items that are locked, or new.

use std::collections::HashSet;

use futures::future::maybe_done;
use larder_core::{ItemRef, Json, Time};
use tokio_postgres::types::Type;

use crate::digest::Digest;
use crate::errors::Fault;
use crate::items::{Asked, Weighed, names};
use crate::json::{JsonText, clean};
use crate::rows::{At, int};
use crate::transaction::Tx;
use crate::words;

/// How many are sent in one statement: the database works on some while we write the next, and none of
/// its lists outgrows the memory that it gives a step.
const PIECE: usize = 1_000;

/// Has `work` done a piece at a time, all of them on their way at once.
async fn in_pieces<'t, T, R, F>(items: &'t [T], work: impl Fn(&'t [T]) -> F) -> Result<Vec<R>, Fault>
where
    F: Future<Output = Result<R, Fault>>,
{
    sent_in_turn(items.chunks(PIECE).map(work)).await
}

/// Sends each piece before the next is worked on, and waits for all. They are sent in their order, which is
/// the order in which they lock what they are about.
pub(crate) async fn sent_in_turn<R, F>(pieces: impl Iterator<Item = F>) -> Result<Vec<R>, Fault>
where
    F: Future<Output = Result<R, Fault>>,
{
    let mut sent = Vec::new();
    for piece in pieces {
        let mut piece = Box::pin(maybe_done(piece));
        // Polled once it is handed to the connection's task, which may have to share its thread with us.
        let _ = futures::poll!(piece.as_mut());
        tokio::task::yield_now().await;
        sent.push(piece);
    }
    let mut all = Vec::with_capacity(sent.len());
    for mut piece in sent {
        piece.as_mut().await;
        all.extend(piece.as_mut().take_output());
    }
    all.into_iter().collect()
}

/// Items with their numbers.
type Numbered<'a, 'b> = [(i64, &'b Weighed<'a>)];

/// Whether what is held says something else than these.
pub(crate) async fn differ(tx: &Tx, items: &Numbered<'_, '_>) -> Result<bool, Fault> {
    if items.is_empty() {
        return Ok(false);
    }
    let numbers: Vec<i64> = items.iter().map(|(nr, _)| *nr).collect();
    let scopes: Vec<&str> = items.iter().map(|(_, one)| &*one.item.scope).collect();
    let docs: Vec<JsonText<'_>> = items.iter().map(|(_, one)| JsonText::of(&one.item.doc)).collect();
    let rows = tx
        .query(
            "SELECT 1 FROM unnest($1, $2, $3) AS a(nr, scope, doc) JOIN larder.items i ON i.nr = a.nr \
             JOIN larder.docs d ON d.nr = a.nr \
             WHERE i.scope <> a.scope OR d.doc IS DISTINCT FROM a.doc LIMIT 1",
            &[(&numbers, Type::INT8_ARRAY), (&scopes, Type::TEXT_ARRAY), (&docs, Type::JSONB_ARRAY)],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// Writes documents; answers the numbers of those that look different now. They are compared by what
/// they mean: `jsonb` knows no order of keys.
pub(crate) async fn update(tx: &Tx, items: &Numbered<'_, '_>, asked: Asked) -> Result<Vec<i64>, Fault> {
    Ok(in_pieces(items, |piece| update_piece(tx, piece, asked)).await?.concat())
}

async fn update_piece(tx: &Tx, items: &Numbered<'_, '_>, asked: Asked) -> Result<Vec<i64>, Fault> {
    let numbers: Vec<i64> = items.iter().map(|(nr, _)| *nr).collect();
    let scopes: Vec<&str> = items.iter().map(|(_, one)| &*one.item.scope).collect();
    let docs: Vec<JsonText<'_>> = items.iter().map(|(_, one)| JsonText::of(&one.item.doc)).collect();
    let digests: Vec<Option<Digest>> = items.iter().map(|(_, one)| one.doc).collect();
    let sql = "WITH rewritten AS ( \
               UPDATE larder.docs d SET doc = a.doc FROM unnest($1, $3) AS a(nr, doc) \
               WHERE d.nr = a.nr AND a.doc IS DISTINCT FROM d.doc RETURNING d.nr \
             ), moved AS MATERIALIZED ( \
               SELECT i.nr FROM unnest($1, $2) AS a(nr, scope) JOIN larder.items i ON i.nr = a.nr \
               WHERE i.scope <> a.scope \
             ), changed AS MATERIALIZED (SELECT nr FROM rewritten UNION SELECT nr FROM moved \
             ), noted AS ( \
               UPDATE larder.items i SET scope = a.scope, fetched_at = $5, began = $6, \
                 doc_digest = coalesce(a.digest, CASE WHEN c.nr IS NULL THEN i.doc_digest END) \
               FROM unnest($1, $2, $4) AS a(nr, scope, digest) LEFT JOIN changed c ON c.nr = a.nr \
               WHERE i.nr = a.nr \
             ) \
             SELECT array_agg(nr) FROM changed";
    let row = tx
        .query_one(
            sql,
            &[
                (&numbers, Type::INT8_ARRAY),
                (&scopes, Type::TEXT_ARRAY),
                (&docs, Type::JSONB_ARRAY),
                (&digests, Type::UUID_ARRAY),
                (&At(asked.at), Type::TIMESTAMPTZ),
                (&int(asked.began), Type::INT8),
            ],
        )
        .await?;
    Ok(row.try_get::<_, Option<_>>(0)?.unwrap_or_default())
}

/// What an item is found by from now on.
pub(crate) struct Worded<'a> {
    pub(crate) nr: i64,
    pub(crate) title: &'a str,
    pub(crate) search: &'a str,
    pub(crate) digest: Option<Digest>,
}

/// Writes titles and words, where they are others.
pub(crate) async fn reword(tx: &Tx, items: &[Worded<'_>]) -> Result<(), Fault> {
    in_pieces(items, |piece| reword_piece(tx, piece)).await.map(drop)
}

async fn reword_piece(tx: &Tx, items: &[Worded<'_>]) -> Result<(), Fault> {
    let numbers: Vec<i64> = items.iter().map(|one| one.nr).collect();
    let titles: Vec<&str> = items.iter().map(|one| one.title).collect();
    let searches: Vec<&str> = items.iter().map(|one| one.search).collect();
    let vectors: Vec<words::Vector> = items.iter().map(|one| words::vector(one.title, one.search)).collect();
    let digests: Vec<Option<Digest>> = items.iter().map(|one| one.digest).collect();
    tx.execute(
        "WITH noted AS ( \
           UPDATE larder.items i SET words_digest = a.digest FROM unnest($1, $5) AS a(nr, digest) \
           WHERE i.nr = a.nr \
         ) \
         UPDATE larder.words w SET title = a.title, search = a.search, words = a.words \
         FROM unnest($1, $2, $3, $4) AS a(nr, title, search, words) \
         WHERE w.nr = a.nr AND (w.title <> a.title OR w.search <> a.search OR w.words <> a.words)",
        &[
            (&numbers, Type::INT8_ARRAY),
            (&titles, Type::TEXT_ARRAY),
            (&searches, Type::TEXT_ARRAY),
            (&vectors, Type::TS_VECTOR_ARRAY),
            (&digests, Type::UUID_ARRAY),
        ],
    )
    .await
    .map(drop)
}

/// A new item with its number.
pub(crate) struct Made<'a> {
    pub(crate) nr: i64,
    pub(crate) of: &'a ItemRef,
    pub(crate) scope: &'a str,
    pub(crate) doc: &'a Json,
    pub(crate) derived: Option<&'a Json>,
    pub(crate) title: &'a str,
    pub(crate) search: &'a str,
    pub(crate) fetched_at: Time,
    pub(crate) began: i64,
    pub(crate) doc_digest: Option<Digest>,
    pub(crate) words_digest: Option<Digest>,
}

/// Which of the new items were made.
pub(crate) enum Done {
    All,
    These(HashSet<i64>),
}

impl Done {
    pub(crate) fn contains(&self, nr: i64) -> bool {
        match self {
            Done::All => true,
            Done::These(numbers) => numbers.contains(&nr),
        }
    }
}

/// Makes items, given in the order of their identities, that were not there a moment ago. Many are
/// copied in, all or none: if another makes one of them at the same moment, the whole transaction is
/// tried again, and then goes the other way, where what is there by now is left out.
pub(crate) async fn make(tx: &Tx, items: &[Made<'_>]) -> Result<Done, Fault> {
    if tx.is_first_try() && tx.may_copy(items.len()) {
        copy(tx, items).await?;
        return Ok(Done::All);
    }
    let made = in_pieces(items, |piece| insert(tx, piece)).await?;
    Ok(Done::These(made.into_iter().flatten().collect()))
}

async fn copy(tx: &Tx, items: &[Made<'_>]) -> Result<(), Fault> {
    let sql = "COPY larder.items (nr, kind, id, scope, fetched_at, began, doc_digest, words_digest, derived) \
               FROM STDIN (FORMAT binary)";
    tx.copy(sql, 9, items, |made, line| {
        line.value(&made.nr, &Type::INT8)?;
        line.value(&clean(&made.of.kind), &Type::TEXT)?;
        line.value(&clean(&made.of.id), &Type::TEXT)?;
        line.value(&made.scope, &Type::TEXT)?;
        line.value(&At(made.fetched_at), &Type::TIMESTAMPTZ)?;
        line.value(&made.began, &Type::INT8)?;
        line.value(&made.doc_digest, &Type::UUID)?;
        line.value(&made.words_digest, &Type::UUID)?;
        line.value(&made.derived.map(JsonText::of), &Type::JSONB)
    })
    .await?;
    let sql = "COPY larder.docs (nr, kind, id, doc) FROM STDIN (FORMAT binary)";
    tx.copy(sql, 4, items, |made, line| {
        line.value(&made.nr, &Type::INT8)?;
        line.value(&clean(&made.of.kind), &Type::TEXT)?;
        line.value(&clean(&made.of.id), &Type::TEXT)?;
        line.value(&JsonText::of(made.doc), &Type::JSONB)
    })
    .await?;
    let sql = "COPY larder.words (nr, kind, title, search, words) FROM STDIN (FORMAT binary)";
    tx.copy(sql, 5, items, |made, line| {
        line.value(&made.nr, &Type::INT8)?;
        line.value(&clean(&made.of.kind), &Type::TEXT)?;
        line.value(&made.title, &Type::TEXT)?;
        line.value(&made.search, &Type::TEXT)?;
        line.value(&words::vector(made.title, made.search), &Type::TS_VECTOR)
    })
    .await
}

async fn insert(tx: &Tx, items: &[Made<'_>]) -> Result<Vec<i64>, Fault> {
    let numbers: Vec<i64> = items.iter().map(|made| made.nr).collect();
    let (kinds, ids) = names(items.iter().map(|made| made.of));
    let scopes: Vec<&str> = items.iter().map(|made| made.scope).collect();
    let docs: Vec<JsonText<'_>> = items.iter().map(|made| JsonText::of(made.doc)).collect();
    let derived: Vec<Option<JsonText<'_>>> =
        items.iter().map(|made| made.derived.map(JsonText::of)).collect();
    let titles: Vec<&str> = items.iter().map(|made| made.title).collect();
    let searches: Vec<&str> = items.iter().map(|made| made.search).collect();
    let vectors: Vec<words::Vector> =
        items.iter().map(|made| words::vector(made.title, made.search)).collect();
    let times: Vec<At> = items.iter().map(|made| At(made.fetched_at)).collect();
    let began: Vec<i64> = items.iter().map(|made| made.began).collect();
    let doc_digests: Vec<Option<Digest>> = items.iter().map(|made| made.doc_digest).collect();
    let words_digests: Vec<Option<Digest>> = items.iter().map(|made| made.words_digest).collect();
    let row = tx
        .query_one(
            "WITH made AS ( \
               INSERT INTO larder.items \
                 (nr, kind, id, scope, derived, fetched_at, began, doc_digest, words_digest) \
               SELECT * FROM unnest($1, $2, $3, $4, $6, $10, $11, $12, $13) \
               ON CONFLICT (id, kind) DO NOTHING RETURNING nr, kind, id \
             ), docs AS ( \
               INSERT INTO larder.docs (nr, kind, id, doc) SELECT m.nr, m.kind, m.id, a.doc \
               FROM made m JOIN unnest($1, $5) AS a(nr, doc) ON a.nr = m.nr \
             ), words AS ( \
               INSERT INTO larder.words (nr, kind, title, search, words) \
               SELECT m.nr, m.kind, a.title, a.search, a.words \
               FROM made m JOIN unnest($1, $7, $8, $9) AS a(nr, title, search, words) ON a.nr = m.nr \
             ) \
             SELECT array_agg(nr) FROM made",
            &[
                (&numbers, Type::INT8_ARRAY),
                (&kinds, Type::TEXT_ARRAY),
                (&ids, Type::TEXT_ARRAY),
                (&scopes, Type::TEXT_ARRAY),
                (&docs, Type::JSONB_ARRAY),
                (&derived, Type::JSONB_ARRAY),
                (&titles, Type::TEXT_ARRAY),
                (&searches, Type::TEXT_ARRAY),
                (&vectors, Type::TS_VECTOR_ARRAY),
                (&times, Type::TIMESTAMPTZ_ARRAY),
                (&began, Type::INT8_ARRAY),
                (&doc_digests, Type::UUID_ARRAY),
                (&words_digests, Type::UUID_ARRAY),
            ],
        )
        .await?;
    Ok(row.try_get::<_, Option<_>>(0)?.unwrap_or_default())
}
