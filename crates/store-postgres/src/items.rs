//! Items, stored once: which are there, which of them come as they were, and what becomes of the rest.

use std::borrow::Cow;
use std::collections::HashMap;

use larder_core::{Coverage, FOLDING, ItemRef, Json, NewItem, Scope, Time, merge_docs};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::digest::Digest;
use crate::docs::{self, Made, Worded};
use crate::errors::Fault;
use crate::json::{JsonText, clean};
use crate::rows::{At, int, limit};
use crate::transaction::Tx;

/// When items were asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// By the clock.
    pub(crate) at: Time,
    /// The number at which the fetch began: what was asked for later knows better, whichever ends
    /// last, and whatever the clocks said.
    pub(crate) began: u64,
}

/// How many are looked for by one statement, which costs the planner a millisecond.
const MET_AT_ONCE: usize = 2_500;

/// How often it is looked again for items that others have just made.
pub(crate) const ROUNDS_MAX: usize = 4;

/// What putting items did.
#[derive(Debug, Default)]
pub(crate) struct Put<'a> {
    /// The numbers of all.
    pub(crate) numbers: HashMap<&'a ItemRef, i64>,
    /// Those whose document or scope is another than before.
    pub(crate) changed: Vec<i64>,
    /// Whether what is held knows better than some of what came.
    pub(crate) overruled: bool,
}

/// An item as it is sent: texts that can be stored, one for every identity.
pub(crate) struct Sent<'a> {
    pub(crate) of: &'a ItemRef,
    pub(crate) scope: Cow<'static, str>,
    pub(crate) doc: Cow<'a, Json>,
    pub(crate) is_partial: bool,
    pub(crate) title: String,
    pub(crate) search: String,
}

impl Sent<'_> {
    /// Reads in its document what it is found by.
    fn find_by(&mut self, tx: &Tx) {
        let found_by = tx.found_by(&self.of.kind, self.doc.as_str());
        self.title = clean(&found_by.title).into_owned();
        self.search = clean(&found_by.words).into_owned();
    }

    /// Of scope and document. What half a document makes of the whole is known when that was read.
    fn doc_digest(&self) -> Option<Digest> {
        let digest = || Digest::of([&*self.scope, &*JsonText::of(&self.doc).0]);
        (!self.is_partial).then(digest)
    }

    /// Of title and words, likewise.
    fn words_digest(&self) -> Option<Digest> {
        (!self.is_partial).then(|| words_digest(&self.title, &self.search))
    }
}

/// Of what an item is found by, and of how that is folded.
pub(crate) fn words_digest(title: &str, search: &str) -> Digest {
    Digest::of([title, search, &FOLDING.to_string()])
}

/// An item with what it is compared by.
pub(crate) struct Weighed<'a> {
    pub(crate) item: Sent<'a>,
    pub(crate) doc: Option<Digest>,
    pub(crate) words: Option<Digest>,
}

impl<'a> Weighed<'a> {
    /// One that is not weighed yet.
    fn of(item: Sent<'a>) -> Self {
        Weighed { item, doc: None, words: None }
    }

    fn weigh(&mut self, tx: &Tx) {
        self.item.find_by(tx);
        self.doc = self.item.doc_digest();
        self.words = self.item.words_digest();
    }
}

/// Puts items that a source answered for. `derived` is never touched.
///
/// Whoever puts items locks those that are there, in the order of their identities, before all else but
/// confirming them; so two that put the same wait for one another and never for each other.
pub(crate) async fn put<'a>(tx: &Tx, items: &'a [NewItem], asked: Asked) -> Result<Put<'a>, Fault> {
    let mut done = Put::default();
    let mut left: Vec<Weighed<'a>> = sendable(items).into_iter().map(Weighed::of).collect();
    left.sort_unstable_by_key(|one| (&one.item.of.id, &one.item.of.kind));
    for round in 0..ROUNDS_MAX {
        if left.is_empty() {
            return Ok(done);
        }
        let mut met = meet_all(tx, &mut left, round == 0, asked).await?;
        complete(tx, &mut left, &mut met).await?;
        let sorted = Sorted::of(&left, met, &mut done)?;
        let made: Vec<Made<'_>> = sorted.missing.iter().map(|(nr, one)| made(*nr, one, asked)).collect();
        let reworded: Vec<Worded<'_>> = sorted.reworded.iter().map(|(nr, one)| worded(*nr, one)).collect();
        let (changed, rewritten, made, differ) = together!(
            docs::update(tx, &sorted.other, asked),
            docs::reword(tx, &reworded),
            docs::make(tx, &made),
            docs::differ(tx, &sorted.newer)
        );
        done.changed.extend(changed?);
        rewritten?;
        done.overruled |= differ?;
        let made = made?;
        let made = sorted.missing.iter().filter(|(nr, _)| made.contains(*nr));
        done.numbers.extend(made.map(|(nr, one)| (one.item.of, *nr)));
        // What was not made after all, another has made meanwhile.
        left.retain(|one| !done.numbers.contains_key(one.item.of));
    }
    if left.is_empty() {
        return Ok(done);
    }
    Err(Fault::Wrong(format!("{} items are made and removed by others all the time", left.len())))
}

/// Lays halves of documents over what is held of them, so that it is known what they are found by.
async fn complete(tx: &Tx, items: &mut [Weighed<'_>], met: &mut Met) -> Result<(), Fault> {
    let mut halves: HashMap<i64, (&mut Weighed<'_>, &mut i16)> = HashMap::new();
    for (one, found) in items.iter_mut().zip(&mut met.found) {
        if let Some((nr, how)) = found
            && one.item.is_partial
            && *how & NEWER == 0
        {
            halves.insert(*nr, (one, how));
        }
    }
    if halves.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i64> = halves.keys().copied().collect();
    let sql = "SELECT nr, doc FROM larder.docs WHERE nr = ANY($1)";
    for row in tx.query(sql, &[(&numbers, Type::INT8_ARRAY)]).await? {
        let doc: JsonText<'static> = row.try_get(1)?;
        let Some((one, how)) = halves.remove(&row.try_get(0)?) else { continue };
        one.item.doc = Cow::Owned(merge_docs(&doc.model(), &one.item.doc));
        one.item.is_partial = false;
        one.item.find_by(tx);
        one.words = one.item.words_digest();
        *how |= OTHER_WORDS;
    }
    Ok(())
}

/// What is to be done about each, with the numbers that are theirs.
#[derive(Default)]
struct Sorted<'a, 'b> {
    missing: Vec<(i64, &'b Weighed<'a>)>,
    /// Their documents, or scopes, may be others.
    other: Vec<(i64, &'b Weighed<'a>)>,
    /// Their words may be.
    reworded: Vec<(i64, &'b Weighed<'a>)>,
    /// What is held was asked for later, and may say something else.
    newer: Vec<(i64, &'b Weighed<'a>)>,
}

impl<'a, 'b> Sorted<'a, 'b> {
    fn of(items: &'b [Weighed<'a>], met: Met, done: &mut Put<'a>) -> Result<Sorted<'a, 'b>, Fault> {
        let mut sorted = Sorted::default();
        let mut missing: Vec<&Weighed<'a>> = Vec::new();
        for (one, found) in items.iter().zip(met.found) {
            let Some((nr, how)) = found else {
                missing.push(one);
                continue;
            };
            done.numbers.insert(one.item.of, nr);
            if how & NEWER != 0 {
                sorted.newer.extend((how & OTHER_DOC != 0).then_some((nr, one)));
                continue;
            }
            sorted.other.extend((how & OTHER_DOC != 0).then_some((nr, one)));
            sorted.reworded.extend((how & OTHER_WORDS != 0).then_some((nr, one)));
        }
        if met.spare.len() < missing.len() {
            return Err(Fault::Wrong("there are too few numbers for new items".to_owned()));
        }
        sorted.missing = met.spare.into_iter().zip(missing).collect();
        Ok(sorted)
    }
}

fn made<'b>(nr: i64, one: &'b Weighed<'_>, asked: Asked) -> Made<'b> {
    let item = &one.item;
    Made {
        nr,
        of: item.of,
        scope: &item.scope,
        doc: &item.doc,
        derived: None,
        title: &item.title,
        search: &item.search,
        fetched_at: asked.at,
        began: int(asked.began),
        doc_digest: one.doc,
        words_digest: one.words,
    }
}

fn worded<'b>(nr: i64, one: &'b Weighed<'_>) -> Worded<'b> {
    Worded { nr, title: &one.item.title, search: &one.item.search, digest: one.words }
}

/// One for every identity, the later ones laid over the earlier.
fn sendable(items: &[NewItem]) -> Vec<Sent<'_>> {
    let mut places: HashMap<&ItemRef, usize> = HashMap::with_capacity(items.len());
    let mut sent: Vec<Sent<'_>> = Vec::with_capacity(items.len());
    for item in items {
        let mut next = Sent {
            of: &item.of,
            scope: scope_text(&item.scope),
            doc: Cow::Borrowed(&item.doc),
            is_partial: item.coverage == Coverage::Partial,
            title: String::new(),
            search: String::new(),
        };
        match places.get(&item.of) {
            None => {
                places.insert(&item.of, sent.len());
                sent.push(next);
            }
            Some(place) => {
                let before = &mut sent[*place];
                if next.is_partial {
                    next.doc = Cow::Owned(merge_docs(&before.doc, &next.doc));
                    next.is_partial = before.is_partial;
                }
                *before = next;
            }
        }
    }
    sent
}

/// Most are public.
pub(crate) fn scope_text(scope: &Scope) -> Cow<'static, str> {
    if scope.is_public() { Cow::Borrowed("public") } else { Cow::Owned(scope.to_string()) }
}

/// What is told of an item that is there: a sum of these.
const OTHER_DOC: i16 = 1;
const OTHER_WORDS: i16 = 2;
const NEWER: i16 = 4;

/// What was met of the items that were asked for.
pub(crate) struct Met {
    /// For each, in its order: its number and what is told of it, if it is there.
    pub(crate) found: Vec<Option<(i64, i16)>>,
    /// Numbers for those that are not.
    pub(crate) spare: Vec<i64>,
}

/// [`meet`], a piece at a time: the database looks at one while we weigh the next.
async fn meet_all(
    tx: &Tx,
    items: &mut [Weighed<'_>],
    are_new_to_us: bool,
    asked: Asked,
) -> Result<Met, Fault> {
    let mut all = Met { found: Vec::with_capacity(items.len()), spare: Vec::new() };
    // Prepared statements wait for one another, so that pieces would but be ways to and fro.
    let piece = if tx.sends_ahead() { MET_AT_ONCE } else { usize::MAX };
    let pieces = items.chunks_mut(piece).map(async |piece| {
        if are_new_to_us {
            for one in piece.iter_mut() {
                one.weigh(tx);
            }
        }
        meet(tx, piece.iter().map(|one| (one.item.of, one.doc, one.words)), asked).await
    });
    let (told, met) = together!(tx.by_index(), docs::sent_in_turn(pieces));
    told?;
    for met in met? {
        all.found.extend(met.found);
        all.spare.extend(met.spare);
    }
    Ok(all)
}

/// Locks those that are there (given in the order of their identities), and confirms at once what comes as it was.
/// After [`Tx::by_index`].
pub(crate) async fn meet<'a>(
    tx: &Tx,
    items: impl Iterator<Item = (&'a ItemRef, Option<Digest>, Option<Digest>)> + Clone,
    asked: Asked,
) -> Result<Met, Fault> {
    let (kinds, ids) = names(items.clone().map(|(of, ..)| of));
    let docs: Vec<Option<Digest>> = items.clone().map(|(_, doc, _)| doc).collect();
    let words: Vec<Option<Digest>> = items.map(|(.., words)| words).collect();
    let sql = format!(
        "WITH held AS MATERIALIZED ( \
           SELECT a.nth, i.nr, i.began > $6 AS newer, \
             i.doc_digest IS DISTINCT FROM a.doc OR a.doc IS NULL AS other_doc, \
             a.words IS NOT NULL AND i.words_digest IS DISTINCT FROM a.words AS other_words \
           FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS a(kind, id, doc, words, nth) \
           JOIN larder.items i ON i.id = a.id AND i.kind = a.kind \
           ORDER BY i.id, i.kind FOR NO KEY UPDATE OF i \
         ), confirmed AS ( \
           UPDATE larder.items i SET fetched_at = $5, began = $6 \
           FROM held h WHERE i.nr = h.nr AND NOT h.newer AND NOT h.other_doc \
         ) \
         SELECT array_agg(h.nth), array_agg(h.nr), array_agg((h.other_doc::int * {OTHER_DOC} \
             + h.other_words::int * {OTHER_WORDS} + h.newer::int * {NEWER})::smallint), \
           ARRAY(SELECT nextval('larder.item_numbers') \
             FROM generate_series(1, $7 - (SELECT count(*) FROM held))) \
         FROM held h"
    );
    let params = [
        (&kinds as _, Type::TEXT_ARRAY),
        (&ids as _, Type::TEXT_ARRAY),
        (&docs as _, Type::UUID_ARRAY),
        (&words as _, Type::UUID_ARRAY),
        (&At(asked.at) as _, Type::TIMESTAMPTZ),
        (&int(asked.began) as _, Type::INT8),
        (&limit(ids.len()) as _, Type::INT8),
    ];
    let row = tx.query_one(&sql, &params).await?;
    let places: Vec<i64> = row.try_get::<_, Option<_>>(0)?.unwrap_or_default();
    let numbers: Vec<i64> = row.try_get::<_, Option<_>>(1)?.unwrap_or_default();
    let told: Vec<i16> = row.try_get::<_, Option<_>>(2)?.unwrap_or_default();
    let mut found = vec![None; ids.len()];
    for ((nth, nr), told) in places.into_iter().zip(numbers).zip(told) {
        if let Some(place) = usize::try_from(nth - 1).ok().and_then(|place| found.get_mut(place)) {
            *place = Some((nr, told));
        }
    }
    Ok(Met { found, spare: row.try_get(3)? })
}

/// Kinds and identities, as arrays.
pub(crate) fn names<'a>(of: impl Iterator<Item = &'a ItemRef>) -> (Vec<Cow<'a, str>>, Vec<Cow<'a, str>>) {
    of.map(|of| (clean(&of.kind), clean(&of.id))).unzip()
}

/// The numbers of items that the members of an entry name besides the ones that came; none, if the
/// entry's members are as `digest` says.
pub(crate) async fn find<'a>(
    tx: &Tx,
    wanted: &[&'a ItemRef],
    entry: &str,
    digest: Option<Digest>,
) -> Result<Vec<(&'a ItemRef, i64)>, Fault> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (kinds, ids) = names(wanted.iter().copied());
    let rows = tx
        .query(
            "SELECT a.nth, i.nr FROM unnest($1, $2) WITH ORDINALITY AS a(kind, id, nth) \
             JOIN larder.items i ON i.id = a.id AND i.kind = a.kind \
             WHERE NOT EXISTS (SELECT 1 FROM larder.entries WHERE key = $3 AND members_digest = $4)",
            &[
                (&kinds, Type::TEXT_ARRAY),
                (&ids, Type::TEXT_ARRAY),
                (&entry, Type::TEXT),
                (&digest, Type::UUID),
            ],
        )
        .await?;
    let read = |row: &Row| {
        let of = usize::try_from(row.try_get::<_, i64>(0)? - 1).ok().and_then(|place| wanted.get(place));
        let of = of.ok_or_else(|| Fault::Wrong("an item was found that nobody asked for".to_owned()))?;
        Ok((*of, row.try_get(1)?))
    };
    rows.iter().map(read).collect()
}

/// Keeps items from being removed as nobody's until this transaction ends.
pub(crate) async fn hold(tx: &Tx, items: &[i64]) -> Result<(), Fault> {
    let held = tx
        .execute(
            "SELECT nr FROM larder.items WHERE nr = ANY($1) ORDER BY id, kind FOR KEY SHARE",
            &[(&items, Type::INT8_ARRAY)],
        )
        .await?;
    if held < items.len() as u64 {
        return Err(Fault::Wrong("an item that a member names was just removed".to_owned()));
    }
    Ok(())
}
