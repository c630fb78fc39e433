//! Members: which items an entry holds, in which order and under which names.

use std::collections::{HashMap, HashSet};

use larder_core::{ItemRef, MemberState, MemberWrite};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::digest::Digest;
use crate::errors::Fault;
use crate::json::clean;
use crate::rows::{limit, state_word};
use crate::transaction::Tx;

/// A row of `members`, without its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRow {
    position: i64,
    asked: String,
    state: String,
    pub(crate) item: i64,
}

/// What a list of members says, in its order.
pub(crate) fn digest(members: &[MemberWrite]) -> Digest {
    Digest::of(
        members.iter().flat_map(|member| {
            [&*member.asked, state_word(member.state), &*member.item.kind, &*member.item.id]
        }),
    )
}

/// The members of an entry as they are; none, if they are as `digest` says.
pub(crate) async fn unlike(tx: &Tx, entry: &str, digest: Digest) -> Result<Vec<MemberRow>, Fault> {
    let rows = tx
        .query(
            "SELECT m.position, m.asked, m.state, m.item FROM larder.members m \
             JOIN larder.entries e ON e.nr = m.entry \
             WHERE e.key = $1 AND e.members_digest IS DISTINCT FROM $2 ORDER BY m.position",
            &[(&entry, Type::TEXT), (&digest, Type::UUID)],
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
pub(crate) fn wanted(
    members: &[MemberWrite],
    known: &HashMap<&ItemRef, i64>,
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

/// Copies the members of an entry in that had none, if they are many and it may be done. That takes ways to
/// and fro, so that nothing can be sent behind it which does not wait for it. Answers whether it was done.
pub(crate) async fn copy(
    tx: &Tx,
    entry: i64,
    before: &[MemberRow],
    wanted: &[MemberRow],
) -> Result<bool, Fault> {
    if !before.is_empty() || !tx.may_copy(wanted.len()) {
        return Ok(false);
    }
    let sql = "COPY larder.members (entry, position, asked, state, item) FROM STDIN (FORMAT binary)";
    tx.copy(sql, 5, wanted, |row, line| {
        line.value(&entry, &Type::INT8)?;
        line.value(&row.position, &Type::INT8)?;
        line.value(&row.asked, &Type::TEXT)?;
        line.value(&row.state, &Type::TEXT)?;
        line.value(&row.item, &Type::INT8)
    })
    .await?;
    Ok(true)
}

/// Makes `wanted` the entry's members. Rows that stay as they are are not written.
pub(crate) async fn write(
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
        put(tx, entry, &written)
    );
    removed?;
    put
}

async fn put(tx: &Tx, entry: i64, rows: &[&MemberRow]) -> Result<(), Fault> {
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
