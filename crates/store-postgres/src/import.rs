//! Entries on their way in from another store.

mod items;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use larder_core::{Entry, Exported, ItemRef, Key, Time};
use tokio_postgres::types::Type;

use crate::entries;
use crate::errors::Fault;
use crate::feed::{self, Line};
use crate::json::{JsonText, clean};
use crate::markers;
use crate::others;
use crate::rows::{At, EntryRow, at, int, limit, state_word};
use crate::transaction::Tx;

/// Takes entries of another store in, all at once. Answers how many it took.
///
/// Items are locked before entries, so it is looked which are to be taken before anything is locked, and
/// looked again when all of it is: what stays brings no item.
pub(crate) async fn import(tx: &Tx, entries: &[Exported], now: Time) -> Result<u64, Fault> {
    let offered = wanted(tx, newest(entries)).await?;
    if offered.is_empty() {
        return Ok(0);
    }
    let members = offered.iter().flat_map(|exported| &exported.members);
    let put = items::put(tx, members).await?;
    let keys: Vec<Key> = offered.iter().map(|exported| exported.entry.key.clone()).collect();
    let own = entries::texts(&keys);
    let (under_way, others, held) = together!(
        markers::under_way(tx),
        others::lock(tx, &own, &put.changed),
        entries::make_and_lock(tx, &keys, now)
    );
    under_way?;
    let others = others?;
    let mut taken = taken(offered, held?)?;
    let (numbers, answered) = together!(numbers(tx, taken.len()), answered(tx, &taken));
    number_them(&mut taken, numbers?, &answered?);
    let mut lines: Vec<Line> = taken
        .iter()
        .map(|taken| Line::entry(taken.entry().key.as_str(), "imported", int(taken.version), now))
        .collect();
    lines.extend(others::lines(&others, now));
    tx.conclude(async {
        let (rows, tags, members, touched, told) = together!(
            write_rows(tx, &taken, now),
            write_tags(tx, &taken),
            write_members(tx, &taken, &put.numbers),
            others::touch(tx, &others, now),
            feed::announce(tx, &lines)
        );
        rows?;
        tags?;
        members?;
        touched?;
        told
    })
    .await?;
    Ok(taken.len() as u64)
}

/// Those of which nothing is held, or something older.
async fn wanted<'a>(tx: &Tx, offered: Vec<&'a Exported>) -> Result<Vec<&'a Exported>, Fault> {
    let keys: Vec<&str> = offered.iter().map(|exported| exported.entry.key.as_str()).collect();
    let rows = entries::rows_of(tx, &keys).await?;
    let held: HashMap<&Key, Option<Time>> =
        rows.iter().map(|row| (&row.entry.key, row.entry.fetched_at)).collect();
    let is_wanted = |exported: &&Exported| {
        held.get(&exported.entry.key).is_none_or(|fetched_at| *fetched_at < exported.entry.fetched_at)
    };
    Ok(offered.into_iter().filter(is_wanted).collect())
}

/// All of them, if none was fetched meanwhile. Otherwise it is begun anew.
fn taken<'a>(offered: Vec<&'a Exported>, held: Vec<EntryRow>) -> Result<Vec<Taken<'a>>, Fault> {
    let held: HashMap<Key, EntryRow> = held.into_iter().map(|row| (row.entry.key.clone(), row)).collect();
    let take = |exported: &'a Exported| {
        let entry = &exported.entry;
        let row = held.get(&entry.key).ok_or_else(|| Fault::Wrong(format!("`{}` has no row", entry.key)))?;
        let is_new = row.entry.tried.as_str().is_empty() && !row.entry.has_data();
        if is_new || row.entry.fetched_at < entry.fetched_at {
            return Ok(Taken::of(exported, row));
        }
        Err(Fault::Overtaken)
    };
    offered.into_iter().map(take).collect()
}

/// One for each key: the one that was fetched last.
fn newest(entries: &[Exported]) -> Vec<&Exported> {
    let mut places: HashMap<&Key, usize> = HashMap::with_capacity(entries.len());
    let mut newest: Vec<&Exported> = Vec::with_capacity(entries.len());
    for exported in entries {
        match places.get(&exported.entry.key) {
            None => {
                places.insert(&exported.entry.key, newest.len());
                newest.push(exported);
            }
            Some(place) if newest[*place].entry.fetched_at < exported.entry.fetched_at => {
                newest[*place] = exported;
            }
            Some(_) => {}
        }
    }
    newest
}

/// An entry that is taken in, with its place in this store.
struct Taken<'a> {
    exported: &'a Exported,
    nr: i64,
    version: u64,
    began: i64,
    invalidated: i64,
    marked: i64,
}

impl<'a> Taken<'a> {
    /// A version names one thing: the exported one, unless this store has used that up.
    fn of(exported: &'a Exported, row: &EntryRow) -> Taken<'a> {
        let step = u64::from(exported.entry.has_data());
        let version = exported.entry.version.max(row.entry.version + step);
        Taken { exported, nr: row.nr, version, began: 0, invalidated: 0, marked: 0 }
    }

    fn entry(&self) -> &'a Entry {
        &self.exported.entry
    }
}

/// Three numbers of the sequence for each.
async fn numbers(tx: &Tx, count: usize) -> Result<Vec<i64>, Fault> {
    let sql = "SELECT nextval('larder.sequence') FROM generate_series(1, $1)";
    let rows = tx.query(sql, &[(&limit(count * 3), Type::INT8)]).await?;
    let mut numbers: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// The markers that may mean what is taken in, which do not end its waits.
async fn answered(tx: &Tx, taken: &[Taken<'_>]) -> Result<HashMap<(String, String), i64>, Fault> {
    let tags: HashSet<Cow<'_, str>> =
        taken.iter().flat_map(|taken| &taken.exported.tags).map(|tag| clean(tag)).collect();
    let tags: Vec<_> = tags.into_iter().collect();
    let rows = tx
        .query(
            "SELECT about, name, seq FROM larder.markers WHERE about <> 'tag' OR name = ANY($1)",
            &[(&tags, Type::TEXT_ARRAY)],
        )
        .await?;
    let mut markers = HashMap::with_capacity(rows.len());
    for row in &rows {
        markers.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
    }
    Ok(markers)
}

fn number_them(taken: &mut [Taken<'_>], numbers: Vec<i64>, markers: &HashMap<(String, String), i64>) {
    let mut numbers = numbers.into_iter();
    for taken in taken {
        let entry = taken.entry();
        let mut next = |wanted: bool| numbers.next().filter(|_| wanted);
        let marker = |about: &str, name: &str| {
            markers.get(&(about.to_owned(), clean(name).into_owned())).copied().unwrap_or(0)
        };
        let tags = taken.exported.tags.iter().map(|tag| marker("tag", tag));
        let answered = tags.fold(marker("all", "").max(marker("source", entry.key.source())), i64::max);
        taken.began = next(entry.began > 0).unwrap_or(0);
        taken.invalidated = next(entry.is_invalidated()).unwrap_or(answered);
        taken.marked = next(entry.marked).unwrap_or(0);
    }
}

async fn write_members(tx: &Tx, taken: &[Taken<'_>], known: &HashMap<&ItemRef, i64>) -> Result<(), Fault> {
    let numbers: Vec<i64> = taken.iter().map(|taken| taken.nr).collect();
    let (mut entries, mut positions, mut asked, mut states, mut items) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for taken in taken {
        for (position, member) in taken.exported.members.iter().enumerate() {
            let of = &member.item.of;
            let item = known
                .get(of)
                .ok_or_else(|| Fault::Wrong(format!("{} `{}` was not taken in", of.kind, of.id)))?;
            entries.push(taken.nr);
            positions.push(limit(position));
            asked.push(clean(&member.asked));
            states.push(state_word(member.state));
            items.push(*item);
        }
    }
    let (removed, made) = together!(
        tx.execute("DELETE FROM larder.members WHERE entry = ANY($1)", &[(&numbers, Type::INT8_ARRAY)]),
        tx.execute(
            "INSERT INTO larder.members (entry, position, asked, state, item) \
             SELECT * FROM unnest($1, $2, $3, $4, $5)",
            &[
                (&entries, Type::INT8_ARRAY),
                (&positions, Type::INT8_ARRAY),
                (&asked, Type::TEXT_ARRAY),
                (&states, Type::TEXT_ARRAY),
                (&items, Type::INT8_ARRAY),
            ],
        )
    );
    removed?;
    made?;
    Ok(())
}

async fn write_tags(tx: &Tx, taken: &[Taken<'_>]) -> Result<(), Fault> {
    let numbers: Vec<i64> = taken.iter().map(|taken| taken.nr).collect();
    let (entries, tags): (Vec<i64>, Vec<Cow<'_, str>>) =
        taken.iter().flat_map(|taken| taken.exported.tags.iter().map(|tag| (taken.nr, clean(tag)))).unzip();
    let (removed, made) = together!(
        tx.execute("DELETE FROM larder.tags WHERE entry = ANY($1)", &[(&numbers, Type::INT8_ARRAY)]),
        tx.execute(
            "INSERT INTO larder.tags (entry, tag) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING",
            &[(&entries, Type::INT8_ARRAY), (&tags, Type::TEXT_ARRAY)],
        )
    );
    removed?;
    made?;
    Ok(())
}

/// The rows by one statement: their columns as one document each, which PostgreSQL takes apart again.
async fn write_rows(tx: &Tx, taken: &[Taken<'_>], now: Time) -> Result<(), Fault> {
    let texts = |text: fn(&Entry) -> &str| -> Vec<Cow<'_, str>> {
        taken.iter().map(|taken| clean(text(taken.entry()))).collect()
    };
    let times = |time: fn(&Entry) -> Option<Time>| -> Vec<Option<At>> {
        taken.iter().map(|taken| at(time(taken.entry()))).collect()
    };
    let numbers = |number: fn(&Taken<'_>) -> i64| -> Vec<i64> { taken.iter().map(number).collect() };
    let (mut validators, mut pending, mut warnings, mut errors) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for taken in taken {
        let entry = taken.entry();
        validators.push(JsonText::encode(&entry.validators)?);
        pending.push(JsonText::encode(&entry.pending)?);
        warnings.push(JsonText::encode(&entry.warnings)?);
        errors.push(entry.last_error.as_ref().map(JsonText::encode).transpose()?);
    }
    let bodies: Vec<Option<JsonText<'_>>> =
        taken.iter().map(|taken| taken.entry().body.as_ref().map(JsonText::of)).collect();
    let cursors: Vec<Option<Cow<'_, str>>> =
        taken.iter().map(|taken| taken.entry().cursor.as_deref().map(clean)).collect();
    let marked_by: Vec<Option<String>> =
        taken.iter().map(|taken| taken.entry().marked_by.map(|by| by.to_string())).collect();
    let complete: Vec<bool> = taken.iter().map(|taken| taken.entry().complete).collect();
    let unconfigured: Vec<Option<At>> =
        taken.iter().map(|taken| at(taken.exported.unconfigured_since)).collect();
    tx.execute(
        "UPDATE larder.entries e SET definition = a.definition, tried = a.tried, body = a.body, \
         validators = a.validators, cursor = a.cursor, complete = a.complete, pending = a.pending, \
         warnings = a.warnings, version = a.version, began = a.began, invalidated = a.invalidated, \
         fetched_at = a.fetched_at, absent_at = a.absent_at, fresh_until = a.fresh_until, due_at = a.due_at, \
         marked = a.marked, marked_by = a.marked_by, attempts = a.attempts, faults = a.faults, \
         last_error = a.last_error, touched_at = $23, unconfigured_since = a.unconfigured_since, \
         members_digest = NULL, \
         lease_owner = NULL, lease_until = NULL, lease_length = NULL, lease_epoch = NULL, lease_seq = NULL \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
         $21, $22) AS a(nr, definition, tried, body, validators, cursor, complete, pending, warnings, version, \
         began, invalidated, fetched_at, absent_at, fresh_until, due_at, marked, marked_by, attempts, faults, \
         last_error, unconfigured_since) WHERE e.nr = a.nr",
        &[
            (&numbers(|taken| taken.nr), Type::INT8_ARRAY),
            (&texts(|entry| entry.definition.as_str()), Type::TEXT_ARRAY),
            (&texts(|entry| entry.tried.as_str()), Type::TEXT_ARRAY),
            (&bodies, Type::JSONB_ARRAY),
            (&validators, Type::JSONB_ARRAY),
            (&cursors, Type::TEXT_ARRAY),
            (&complete, Type::BOOL_ARRAY),
            (&pending, Type::JSONB_ARRAY),
            (&warnings, Type::JSONB_ARRAY),
            (&numbers(|taken| int(taken.version)), Type::INT8_ARRAY),
            (&numbers(|taken| taken.began), Type::INT8_ARRAY),
            (&numbers(|taken| taken.invalidated), Type::INT8_ARRAY),
            (&times(|entry| entry.fetched_at), Type::TIMESTAMPTZ_ARRAY),
            (&times(|entry| entry.absent_at), Type::TIMESTAMPTZ_ARRAY),
            (&times(|entry| entry.fresh_until), Type::TIMESTAMPTZ_ARRAY),
            (&times(|entry| Some(entry.due_at)), Type::TIMESTAMPTZ_ARRAY),
            (&numbers(|taken| taken.marked), Type::INT8_ARRAY),
            (&marked_by, Type::TEXT_ARRAY),
            (&numbers(|taken| i64::from(taken.entry().attempts)), Type::INT8_ARRAY),
            (&numbers(|taken| i64::from(taken.entry().faults)), Type::INT8_ARRAY),
            (&errors, Type::JSONB_ARRAY),
            (&unconfigured, Type::TIMESTAMPTZ_ARRAY),
            (&At(now), Type::TIMESTAMPTZ),
        ],
    )
    .await
    .map(drop)
}
