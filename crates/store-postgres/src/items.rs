//! Items, stored once, and the members by which entries hold them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use larder_core::{Coverage, ItemRef, Json, MemberState, MemberWrite, NewItem, Time, merge_docs};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::json::{JsonText, clean};
use crate::rows::{At, int, limit, state_word};
use crate::transaction::Tx;
use crate::words;

/// When items were asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// By the clock.
    pub(crate) at: Time,
    /// The number at which the fetch began: what was asked for later knows better, whichever ends
    /// last, and whatever the clocks said.
    pub(crate) began: u64,
}

/// How often it is looked again for items that others have just made.
pub(crate) const ROUNDS_MAX: usize = 4;

/// What putting items did.
#[derive(Debug, Default)]
pub(crate) struct Put {
    /// The numbers of all.
    pub(crate) numbers: HashMap<ItemRef, i64>,
    /// Those whose document or scope is another than before.
    pub(crate) changed: Vec<i64>,
    /// Whether what is held knows better than some of what came.
    pub(crate) overruled: bool,
}

/// An item as it is sent: texts that can be stored, one for every identity.
struct Sent<'a> {
    of: &'a ItemRef,
    scope: String,
    doc: Cow<'a, Json>,
    coverage: Coverage,
    title: Cow<'a, str>,
    search: Cow<'a, str>,
}

impl Sent<'_> {
    /// Half an answer without words of its own must not hide the item from searches.
    fn keeps_words(&self) -> bool {
        self.coverage == Coverage::Partial && self.title.is_empty() && self.search.is_empty()
    }
}

/// Puts items that a source answered for. `derived` is never touched.
///
/// Whoever puts items locks those that are there, in the order of their identities, before anything
/// else; so two that put the same wait for one another and never for each other.
pub(crate) async fn put(tx: &Tx, items: &[NewItem], asked: Asked) -> Result<Put, Fault> {
    let mut done = Put::default();
    let mut left = sendable(items);
    for _ in 0..ROUNDS_MAX {
        if left.is_empty() {
            return Ok(done);
        }
        let held = lock(tx, left.iter().map(|item| item.of)).await?;
        let (mut missing, mut known, mut newer) = (Vec::new(), Vec::new(), Vec::new());
        for (nth, item) in left.into_iter().enumerate() {
            match held.get(&nth) {
                None => missing.push(item),
                Some((nr, began)) => {
                    done.numbers.insert(item.of.clone(), *nr);
                    if *began > asked.began { newer.push((*nr, item)) } else { known.push((*nr, item)) }
                }
            }
        }
        let (changed, made, differ) =
            together!(update(tx, &known, asked), insert(tx, &missing, asked), differ(tx, &newer));
        done.changed.extend(changed?);
        done.overruled |= differ?;
        done.numbers.extend(made?);
        // What was not made after all, another has made meanwhile.
        missing.retain(|item| !done.numbers.contains_key(item.of));
        left = missing;
    }
    if left.is_empty() {
        return Ok(done);
    }
    Err(Fault::Wrong(format!("{} items are made and removed by others all the time", left.len())))
}

/// One for every identity, the later ones laid over the earlier.
fn sendable(items: &[NewItem]) -> Vec<Sent<'_>> {
    let mut places: HashMap<&ItemRef, usize> = HashMap::with_capacity(items.len());
    let mut sent: Vec<Sent<'_>> = Vec::with_capacity(items.len());
    for item in items {
        let mut next = Sent {
            of: &item.of,
            scope: item.scope.to_string(),
            doc: Cow::Borrowed(&item.doc),
            coverage: item.coverage,
            title: clean(&item.title),
            search: clean(&item.search),
        };
        match places.get(&item.of) {
            None => {
                places.insert(&item.of, sent.len());
                sent.push(next);
            }
            Some(place) => {
                let before = &mut sent[*place];
                if next.keeps_words() {
                    (next.title, next.search) = (before.title.clone(), before.search.clone());
                }
                if next.coverage == Coverage::Partial {
                    next.doc = Cow::Owned(merge_docs(&before.doc, &next.doc));
                    next.coverage = before.coverage;
                }
                *before = next;
            }
        }
    }
    sent
}

/// Locks those that are there: by their place among the asked, their number and when the fetch that
/// brought them began.
pub(crate) async fn lock<'a>(
    tx: &Tx,
    items: impl Iterator<Item = &'a ItemRef>,
) -> Result<HashMap<usize, (i64, u64)>, Fault> {
    let (kinds, ids) = names(items);
    let rows = tx
        .query(
            "SELECT a.nth - 1, i.nr, i.began \
             FROM unnest($1, $2) WITH ORDINALITY AS a(kind, id, nth) \
             JOIN larder.items i ON i.id = a.id AND i.kind = a.kind \
             ORDER BY i.id, i.kind FOR NO KEY UPDATE OF i",
            &[(&kinds, Type::TEXT_ARRAY), (&ids, Type::TEXT_ARRAY)],
        )
        .await?;
    let mut held = HashMap::with_capacity(rows.len());
    for row in &rows {
        let nth: i64 = row.try_get(0)?;
        let began = crate::rows::number(row, 2)?;
        held.insert(usize::try_from(nth).unwrap_or(usize::MAX), (row.try_get(1)?, began));
    }
    Ok(held)
}

/// Kinds and identities, as arrays.
pub(crate) fn names<'a>(of: impl Iterator<Item = &'a ItemRef>) -> (Vec<Cow<'a, str>>, Vec<Cow<'a, str>>) {
    of.map(|of| (clean(&of.kind), clean(&of.id))).unzip()
}

/// Whether what is held says something else than these.
async fn differ(tx: &Tx, items: &[(i64, Sent<'_>)]) -> Result<bool, Fault> {
    if items.is_empty() {
        return Ok(false);
    }
    let numbers: Vec<i64> = items.iter().map(|(nr, _)| *nr).collect();
    let scopes: Vec<&str> = items.iter().map(|(_, item)| item.scope.as_str()).collect();
    let docs: Vec<JsonText<'_>> = items.iter().map(|(_, item)| JsonText::of(&item.doc)).collect();
    let rows = tx
        .query(
            "SELECT 1 FROM unnest($1, $2, $3) AS a(nr, scope, doc) JOIN larder.items i ON i.nr = a.nr \
             WHERE i.scope <> a.scope OR i.doc IS DISTINCT FROM a.doc LIMIT 1",
            &[(&numbers, Type::INT8_ARRAY), (&scopes, Type::TEXT_ARRAY), (&docs, Type::JSONB_ARRAY)],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// Writes locked items; answers those that look different now. Documents are compared by what they
/// mean: `jsonb` knows no order of keys.
async fn update(tx: &Tx, items: &[(i64, Sent<'_>)], asked: Asked) -> Result<Vec<i64>, Fault> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = items.iter().map(|(nr, _)| *nr).collect();
    let scopes: Vec<&str> = items.iter().map(|(_, item)| item.scope.as_str()).collect();
    let docs: Vec<JsonText<'_>> = items.iter().map(|(_, item)| JsonText::of(&item.doc)).collect();
    let partial: Vec<bool> = items.iter().map(|(_, item)| item.coverage == Coverage::Partial).collect();
    let titles: Vec<&str> = items.iter().map(|(_, item)| &*item.title).collect();
    let searches: Vec<&str> = items.iter().map(|(_, item)| &*item.search).collect();
    let vectors: Vec<String> =
        items.iter().map(|(_, item)| words::vector(&item.title, &item.search)).collect();
    let keeps: Vec<bool> = items.iter().map(|(_, item)| item.keeps_words()).collect();
    let rows = tx
        .query(
            "WITH asked AS MATERIALIZED ( \
               SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) \
               AS a(nr, scope, doc, partial, title, search, words, keeps) \
             ), judged AS MATERIALIZED ( \
               SELECT a.nr, a.scope, d.doc, a.title, a.search, a.words, \
                 i.doc IS DISTINCT FROM d.doc OR i.scope <> a.scope AS changed, \
                 NOT a.keeps AND (i.title <> a.title OR i.search <> a.search) AS reworded \
               FROM asked a JOIN larder.items i ON i.nr = a.nr CROSS JOIN LATERAL (SELECT \
                 CASE WHEN a.partial AND jsonb_typeof(i.doc) = 'object' AND jsonb_typeof(a.doc) = 'object' \
                 THEN i.doc || a.doc ELSE a.doc END AS doc) d \
             ), rewritten AS ( \
               UPDATE larder.items i SET scope = j.scope, doc = j.doc, fetched_at = $9, began = $10, \
                 title = CASE WHEN j.reworded THEN j.title ELSE i.title END, \
                 search = CASE WHEN j.reworded THEN j.search ELSE i.search END, \
                 words = CASE WHEN j.reworded THEN j.words::tsvector ELSE i.words END \
               FROM judged j WHERE i.nr = j.nr AND (j.changed OR j.reworded) \
             ), confirmed AS ( \
               UPDATE larder.items i SET fetched_at = $9, began = $10 \
               FROM judged j WHERE i.nr = j.nr AND NOT (j.changed OR j.reworded) \
             ) \
             SELECT nr FROM judged WHERE changed",
            &[
                (&numbers, Type::INT8_ARRAY),
                (&scopes, Type::TEXT_ARRAY),
                (&docs, Type::JSONB_ARRAY),
                (&partial, Type::BOOL_ARRAY),
                (&titles, Type::TEXT_ARRAY),
                (&searches, Type::TEXT_ARRAY),
                (&vectors, Type::TEXT_ARRAY),
                (&keeps, Type::BOOL_ARRAY),
                (&At(asked.at), Type::TIMESTAMPTZ),
                (&int(asked.began), Type::INT8),
            ],
        )
        .await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Makes those that are not there yet, in the order of their identities; answers what it made.
async fn insert(tx: &Tx, items: &[Sent<'_>], asked: Asked) -> Result<Vec<(ItemRef, i64)>, Fault> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let (kinds, ids) = names(items.iter().map(|item| item.of));
    let scopes: Vec<&str> = items.iter().map(|item| item.scope.as_str()).collect();
    let docs: Vec<JsonText<'_>> = items.iter().map(|item| JsonText::of(&item.doc)).collect();
    let titles: Vec<&str> = items.iter().map(|item| &*item.title).collect();
    let searches: Vec<&str> = items.iter().map(|item| &*item.search).collect();
    let vectors: Vec<String> = items.iter().map(|item| words::vector(&item.title, &item.search)).collect();
    let rows = tx
        .query(
            "INSERT INTO larder.items (kind, id, scope, doc, title, search, words, fetched_at, began) \
             SELECT a.kind, a.id, a.scope, a.doc, a.title, a.search, a.words::tsvector, $8, $9 \
             FROM unnest($1, $2, $3, $4, $5, $6, $7) AS a(kind, id, scope, doc, title, search, words) \
             ORDER BY a.id COLLATE \"C\", a.kind COLLATE \"C\" \
             ON CONFLICT (id, kind) DO NOTHING RETURNING nr, kind, id",
            &[
                (&kinds, Type::TEXT_ARRAY),
                (&ids, Type::TEXT_ARRAY),
                (&scopes, Type::TEXT_ARRAY),
                (&docs, Type::JSONB_ARRAY),
                (&titles, Type::TEXT_ARRAY),
                (&searches, Type::TEXT_ARRAY),
                (&vectors, Type::TEXT_ARRAY),
                (&At(asked.at), Type::TIMESTAMPTZ),
                (&int(asked.began), Type::INT8),
            ],
        )
        .await?;
    numbered(&rows, items.iter().map(|item| item.of))
}

/// Rows of a number, a kind and an identity, as the references that asked for them.
pub(crate) fn numbered<'a>(
    rows: &[Row],
    asked: impl Iterator<Item = &'a ItemRef>,
) -> Result<Vec<(ItemRef, i64)>, Fault> {
    let mut numbers = HashMap::with_capacity(rows.len());
    for row in rows {
        let name: (&str, &str) = (row.try_get(1)?, row.try_get(2)?);
        numbers.insert(name, row.try_get::<_, i64>(0)?);
    }
    let found = asked.filter_map(|of| {
        let name = (clean(&of.kind), clean(&of.id));
        numbers.get(&(&*name.0, &*name.1)).map(|nr| (of.clone(), *nr))
    });
    Ok(found.collect())
}

/// The numbers of items that members name besides the ones that came.
pub(crate) async fn find(tx: &Tx, wanted: &[&ItemRef]) -> Result<HashMap<ItemRef, i64>, Fault> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let (kinds, ids) = names(wanted.iter().copied());
    let rows = tx
        .query(
            "SELECT i.nr, i.kind, i.id FROM unnest($1, $2) AS a(kind, id) \
             JOIN larder.items i ON i.id = a.id AND i.kind = a.kind",
            &[(&kinds, Type::TEXT_ARRAY), (&ids, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(numbered(&rows, wanted.iter().copied())?.into_iter().collect())
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

/// A row of `members`, without its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRow {
    position: i64,
    asked: String,
    state: String,
    pub(crate) item: i64,
}

/// The members of an entry as they are.
pub(crate) async fn member_rows(tx: &Tx, entry: &str) -> Result<Vec<MemberRow>, Fault> {
    let rows = tx
        .query(
            "SELECT m.position, m.asked, m.state, m.item FROM larder.members m \
             JOIN larder.entries e ON e.nr = m.entry WHERE e.key = $1 ORDER BY m.position",
            &[(&entry, Type::TEXT)],
        )
        .await?;
    let read = |row: &Row| {
        Ok(MemberRow {
            position: row.try_get(0)?,
            asked: row.try_get(1)?,
            state: row.try_get(2)?,
            item: row.try_get(3)?,
        })
    };
    rows.iter().map(read).collect()
}

/// The members as they shall be. `known` are the items' numbers.
pub(crate) fn wanted_rows(
    members: &[MemberWrite],
    known: &HashMap<ItemRef, i64>,
) -> Result<Vec<MemberRow>, Fault> {
    let row = |(position, member): (usize, &MemberWrite)| {
        let ItemRef { kind, id } = &member.item;
        let item = known
            .get(&member.item)
            .ok_or_else(|| Fault::Wrong(format!("a member names {kind} `{id}`, which is not held")))?;
        Ok(MemberRow {
            position: limit(position),
            asked: clean(&member.asked).into_owned(),
            state: state_word(member.state).to_owned(),
            item: *item,
        })
    };
    members.iter().enumerate().map(row).collect()
}

/// What replacing the members does.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) added: u32,
    pub(crate) removed: u32,
    /// Whether a reader sees a difference: also in order, names or states.
    pub(crate) visible: bool,
}

impl Moved {
    pub(crate) fn between(before: &[MemberRow], wanted: &[MemberRow]) -> Moved {
        let (old, new) = (items_of(before), items_of(wanted));
        Moved {
            added: new.difference(&old).count() as u32,
            removed: old.difference(&new).count() as u32,
            visible: visible(before).ne(visible(wanted)),
        }
    }
}

fn items_of(rows: &[MemberRow]) -> HashSet<i64> {
    rows.iter().map(|row| row.item).collect()
}

/// What a reader is shown of them, in order.
fn visible(rows: &[MemberRow]) -> impl Iterator<Item = (&str, &str, i64)> {
    let hidden = state_word(MemberState::Hidden);
    let shown = rows.iter().filter(move |row| row.state != hidden);
    shown.map(|row| (row.asked.as_str(), row.state.as_str(), row.item))
}

/// Makes `wanted` the entry's members. Rows that stay as they are are not written.
pub(crate) async fn write_members(
    tx: &Tx,
    entry: i64,
    before: &[MemberRow],
    wanted: &[MemberRow],
) -> Result<(), Fault> {
    let held: HashMap<i64, &MemberRow> = before.iter().map(|row| (row.position, row)).collect();
    let written: Vec<&MemberRow> = wanted.iter().filter(|row| held.get(&row.position) != Some(row)).collect();
    let (removed, put) = together!(
        async {
            if before.len() <= wanted.len() {
                return Ok(0);
            }
            tx.execute(
                "DELETE FROM larder.members WHERE entry = $1 AND position >= $2",
                &[(&entry, Type::INT8), (&limit(wanted.len()), Type::INT8)],
            )
            .await
        },
        put_members(tx, entry, &written)
    );
    removed?;
    put
}

async fn put_members(tx: &Tx, entry: i64, rows: &[&MemberRow]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let positions: Vec<i64> = rows.iter().map(|row| row.position).collect();
    let asked: Vec<&str> = rows.iter().map(|row| row.asked.as_str()).collect();
    let states: Vec<&str> = rows.iter().map(|row| row.state.as_str()).collect();
    let items: Vec<i64> = rows.iter().map(|row| row.item).collect();
    tx.execute(
        "INSERT INTO larder.members (entry, position, asked, state, item) \
         SELECT $1, a.position, a.asked, a.state, a.item \
         FROM unnest($2, $3, $4, $5) AS a(position, asked, state, item) \
         ON CONFLICT (entry, position) DO UPDATE \
         SET asked = excluded.asked, state = excluded.state, item = excluded.item",
        &[
            (&entry, Type::INT8),
            (&positions, Type::INT8_ARRAY),
            (&asked, Type::TEXT_ARRAY),
            (&states, Type::TEXT_ARRAY),
            (&items, Type::INT8_ARRAY),
        ],
    )
    .await
    .map(drop)
}
