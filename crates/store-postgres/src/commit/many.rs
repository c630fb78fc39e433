//! Commits that write nothing but a row: of what was not modified, or could not be had, which most refreshes
//! are. Many of them are one transaction.

use std::collections::{BTreeSet, HashMap, HashSet};

use larder_core::{Commit, Committed, Entry, ItemCounts, Write};
use tokio_postgres::types::Type;

use super::look::{Looked, Ours, Wish, look};
use super::written::{After, RowWrite, write_rows};
use super::{looks_different, own_line};
use crate::errors::Fault;
use crate::feed::{self, Line, Logged};
use crate::json::clean;
use crate::markers;
use crate::rows::number;
use crate::transaction::Tx;

/// A larger body is sent by itself.
const BODY_MAX: usize = 64 << 10;

/// Whether only the row is to be written, unless its tags are others by now.
pub(crate) fn is_of_row(commit: &Commit) -> bool {
    commit.write.as_ref().is_some_and(|write| {
        let body = write.body.as_ref().map_or(0, |body| body.as_str().len());
        write.items.is_empty() && write.members.is_none() && body <= BODY_MAX
    })
}

/// Admits those whose leases still hold, each as if it came alone. `None` = it is to come alone: another has
/// its row locked, which nobody else is to wait for, or it has other tags.
pub(crate) async fn commit_rows(tx: &Tx, commits: &[&Commit]) -> Result<Vec<Option<Committed>>, Fault> {
    let wishes: Vec<Wish<'_>> = commits
        .iter()
        .filter_map(|commit| Some(Wish { commit, write: commit.write.as_ref()?, digest: None }))
        .collect();
    let keys: Vec<&str> = wishes.iter().map(|wish| wish.commit.lease.key.as_str()).collect();
    let (by_index, under_way, locked, rows, tags, markers) = together!(
        tx.by_index(),
        markers::under_way(tx),
        lock_free(tx, &keys),
        look(tx, &wishes),
        tags_of(tx, &keys),
        markers_of(tx, &wishes),
    );
    by_index?;
    under_way?;
    let (locked, tags, markers) = (locked?, tags?, markers?);
    let rows: HashMap<String, Option<Ours>> =
        rows?.into_iter().map(|Looked { key, ours }| (key, ours)).collect();
    let none = BTreeSet::new();
    let mut met = Vec::with_capacity(wishes.len());
    for wish in &wishes {
        let key = wish.commit.lease.key.as_str();
        let tags = tags.get(key).unwrap_or(&none);
        met.push(match rows.get(key) {
            Some(_) if !locked.contains(key) => Met::InTheWay,
            Some(Some(_)) if !has_tags(wish.write, tags) => Met::InTheWay,
            Some(Some(ours)) => Met::Ours(Landing::of(wish, ours, markers.newest(wish))),
            // It is another's, or was removed.
            Some(None) | None => Met::Lost(wish.commit),
        });
    }
    write(tx, &met).await?;
    Ok(met.into_iter().map(Met::committed).collect())
}

/// What a commit meets.
enum Met<'a> {
    Ours(Landing<'a>),
    Lost(&'a Commit),
    InTheWay,
}

impl Met<'_> {
    fn committed(self) -> Option<Committed> {
        match self {
            Met::Ours(landing) => Some(Committed::Done {
                version: landing.after.version.max(0).cast_unsigned(),
                items: ItemCounts::default(),
                invalidated: landing.after.invalidated > landing.commit.lease.token.seq,
            }),
            Met::Lost(_) => Some(Committed::Superseded),
            Met::InTheWay => None,
        }
    }
}

/// What becomes of a row.
struct Landing<'a> {
    nr: i64,
    commit: &'a Commit,
    write: &'a Write,
    after: After<'a>,
    same_body: bool,
    line: Option<Line>,
}

impl<'a> Landing<'a> {
    fn of(wish: &Wish<'a>, ours: &'a Ours, marker: u64) -> Landing<'a> {
        let Wish { commit, write, .. } = *wish;
        let before: &Entry = &ours.row.entry;
        let visible = looks_different(before, write, ours.same_body);
        let after = After::of(commit, write, before, marker, visible);
        let line = own_line(commit, write, before, after.version, visible);
        Landing { nr: ours.row.nr, commit, write, after, same_body: ours.same_body, line }
    }
}

async fn write(tx: &Tx, met: &[Met<'_>]) -> Result<(), Fault> {
    let (mut rows, mut logged, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for one in met {
        match one {
            Met::Ours(Landing { nr, commit, write, after, same_body, line }) => {
                rows.push(RowWrite { nr: *nr, commit, write, after, same_body: *same_body });
                logged.push(Logged::of(&commit.log, write.outcome.word()));
                lines.extend(line.clone());
            }
            Met::Lost(commit) => logged.push(Logged::of(&commit.log, "superseded")),
            Met::InTheWay => {}
        }
    }
    tx.conclude(async {
        let (written, logged, told) =
            together!(write_rows(tx, &rows), feed::log(tx, &logged), feed::announce(tx, &lines));
        written?;
        logged?;
        told
    })
    .await
}

/// Locks those rows that nobody else has locked.
async fn lock_free(tx: &Tx, keys: &[&str]) -> Result<HashSet<String>, Fault> {
    let sql = "SELECT key FROM larder.entries WHERE key = ANY($1) ORDER BY nr FOR UPDATE SKIP LOCKED";
    let rows = tx.query(sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

async fn tags_of(tx: &Tx, keys: &[&str]) -> Result<HashMap<String, BTreeSet<String>>, Fault> {
    let sql = "SELECT e.key, t.tag FROM larder.entries e JOIN larder.tags t ON t.entry = e.nr \
        WHERE e.key = ANY($1)";
    let mut tags: HashMap<String, BTreeSet<String>> = HashMap::new();
    for row in &tx.query(sql, &[(&keys, Type::TEXT_ARRAY)]).await? {
        tags.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?);
    }
    Ok(tags)
}

/// Whether those are its tags already.
fn has_tags(write: &Write, held: &BTreeSet<String>) -> bool {
    let Some(tags) = &write.tags else { return true };
    let wanted: BTreeSet<_> = tags.iter().map(|tag| clean(tag)).collect();
    wanted.iter().map(|tag| &**tag).eq(held.iter().map(String::as_str))
}

/// The markers that may mean what is written, by what they are about and its name.
struct Markers(Vec<(String, String, u64)>);

async fn markers_of(tx: &Tx, wishes: &[Wish<'_>]) -> Result<Markers, Fault> {
    let sources: BTreeSet<&str> = wishes.iter().map(|wish| wish.commit.lease.key.source()).collect();
    let tags: BTreeSet<_> = wishes.iter().flat_map(|wish| wish.write.tags.iter().flatten()).collect();
    let sources: Vec<&str> = sources.into_iter().collect();
    let tags: Vec<_> = tags.into_iter().map(|tag| clean(tag)).collect();
    let sql = "SELECT about, name, seq FROM larder.markers WHERE (about = 'all' AND name = '') \
        OR (about = 'source' AND name = ANY($1)) OR (about = 'tag' AND name = ANY($2))";
    let rows = tx.query(sql, &[(&sources, Type::TEXT_ARRAY), (&tags, Type::TEXT_ARRAY)]).await?;
    let read = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, number(row, 2)?)));
    Ok(Markers(read.collect::<Result<_, Fault>>()?))
}

impl Markers {
    /// The newest that means what is written; what the entry is, its row says already.
    fn newest(&self, wish: &Wish<'_>) -> u64 {
        let Some(tags) = &wish.write.tags else { return 0 };
        let is_meant = |about: &str, name: &str| match about {
            "source" => name == wish.commit.lease.key.source(),
            "tag" => tags.iter().any(|tag| clean(tag) == name),
            _ => true,
        };
        let meant = self.0.iter().filter(|(about, name, _)| is_meant(about, name));
        meant.map(|(.., seq)| *seq).max().unwrap_or(0)
    }
}
