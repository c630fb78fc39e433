//! The one door for what an attempt brought: fenced, and all of it or nothing.
//!
//! What is locked is locked in one order, by everybody: items by their identities, then entries by
//! their numbers, then the feed. So the items go first, and the entry's row is locked only when its
//! turn comes; that the lease still holds is looked at before (nothing is done for one that is lost)
//! and again under that lock, where it counts.

mod look;
mod many;
mod written;

use std::collections::{BTreeSet, HashSet};

use larder_core::{Commit, Committed, Entry, ItemCounts, ItemRef, Outcome, Write};
use tokio_postgres::types::Type;

use crate::digest::Digest;
use crate::errors::Fault;
use crate::feed::{self, Line, Logged};
use crate::items::{self, Asked, Put};
use crate::json::clean;
use crate::leases::LIVE;
use crate::markers;
use crate::members::{self, MemberRow, Moved};
use crate::others::{self, Holder};
use crate::rows::{ENTRY_COLUMNS, EntryRow, FROM_ENTRIES, int};
use crate::transaction::Tx;

use look::{Ours, Wish, look};
use written::{After, RowWrite, write_rows, write_tags};

pub(crate) use many::{commit_rows, is_of_row};

/// Admits what came of an attempt, if its lease still holds.
pub(crate) async fn commit(tx: &Tx, commit: &Commit) -> Result<Committed, Fault> {
    let Some(write) = &commit.write else { return release(tx, commit).await };
    if !write.items.is_empty() && !may_land(tx, commit).await? {
        return superseded(tx, commit).await;
    }
    // An item is as old as the asking.
    let asked = Asked { at: commit.log.started_at.min(commit.now), began: commit.lease.token.seq };
    let put = items::put(tx, &write.items, asked).await?;
    let Some(met) = meet(tx, commit, write, put).await? else {
        tx.start_over().await?;
        return superseded(tx, commit).await;
    };
    land(tx, commit, write, met).await
}

/// Lost: nothing is written but the log line.
async fn superseded(tx: &Tx, commit: &Commit) -> Result<Committed, Fault> {
    tx.conclude(feed::log(tx, &[Logged::of(&commit.log, "superseded")])).await?;
    Ok(Committed::Superseded)
}

/// Lets go of the lease, if it is still ours.
async fn release(tx: &Tx, commit: &Commit) -> Result<Committed, Fault> {
    let lease = &commit.lease;
    let released = tx
        .query(
            "UPDATE larder.entries SET lease_owner = NULL, lease_until = NULL, lease_length = NULL, \
             lease_epoch = NULL, lease_seq = NULL \
             WHERE key = $1 AND lease_epoch = $2 AND lease_seq = $3 AND lease_owner = $4 RETURNING key",
            &[
                (&lease.key.as_str(), Type::TEXT),
                (&lease.token.epoch, Type::INT8),
                (&int(lease.token.seq), Type::INT8),
                (&clean(&lease.owner), Type::TEXT),
            ],
        )
        .await?;
    if released.is_empty() {
        return superseded(tx, commit).await;
    }
    let sql = format!("SELECT {ENTRY_COLUMNS} {FROM_ENTRIES} WHERE e.key = $1");
    let row = tx
        .conclude(async {
            let (logged, row) = together!(
                feed::log(tx, &[Logged::of(&commit.log, &commit.log.outcome)]),
                tx.query_one(&sql, &[(&lease.key.as_str(), Type::TEXT)])
            );
            logged?;
            row
        })
        .await?;
    let entry = EntryRow::read(&row, None)?.entry;
    Ok(Committed::Done {
        version: entry.version,
        items: ItemCounts::default(),
        invalidated: entry.is_invalidated(),
    })
}

/// A look at the lease before any work is done for it, with nothing locked.
async fn may_land(tx: &Tx, commit: &Commit) -> Result<bool, Fault> {
    let lease = &commit.lease;
    let sql = format!(
        "SELECT 1 FROM larder.entries e WHERE e.key = $2 AND {LIVE} \
         AND e.lease_epoch = $3 AND e.lease_seq = $4 AND e.lease_owner = $5"
    );
    let params = [
        (&tx.lease_clock(commit.now) as _, Type::TIMESTAMPTZ),
        (&lease.key.as_str() as _, Type::TEXT),
        (&lease.token.epoch as _, Type::INT8),
        (&int(lease.token.seq) as _, Type::INT8),
        (&clean(&lease.owner) as _, Type::TEXT),
    ];
    Ok(!tx.query(&sql, &params).await?.is_empty())
}

/// What an attempt meets under the locks.
struct Meeting<'a> {
    nr: i64,
    before: Entry,
    /// Whether the body is the same document.
    same_body: bool,
    /// The newest marker that means the entry by its source or its new tags.
    marker: u64,
    /// Other entries that hold an item that changed.
    others: Vec<Holder>,
    members: Vec<MemberRow>,
    tags: Vec<String>,
    put: Put<'a>,
    /// What the members say; `None` = they stay as they are, or are as they were.
    digest: Option<Digest>,
}

/// Locks the entry and all that show what changed, and looks at them. `None` = the lease is lost.
async fn meet<'a>(
    tx: &Tx,
    commit: &Commit,
    write: &'a Write,
    put: Put<'a>,
) -> Result<Option<Meeting<'a>>, Fault> {
    let key = commit.lease.key.as_str();
    let kept = kept(write, &put);
    let digest = write.members.as_deref().map(members::digest);
    let wish = [Wish { commit, write, digest }];
    let (under_way, locked, row, marker, members, tags, found) = together!(
        markers::under_way(tx),
        others::lock(tx, &[key], &put.changed),
        look(tx, &wish),
        newest_marker(tx, commit, write),
        async {
            match digest {
                Some(digest) => members::unlike(tx, key, digest).await,
                None => Ok(Vec::new()),
            }
        },
        async { if write.tags.is_some() { tags_of(tx, key).await } else { Ok(Vec::new()) } },
        items::find(tx, &kept, key, digest),
    );
    under_way?;
    let others = locked?;
    let ours = row?.into_iter().find_map(|looked| looked.ours);
    let Some(Ours { row, same_body, same_members }) = ours else { return Ok(None) };
    let mut put = put;
    put.numbers.extend(found?);
    Ok(Some(Meeting {
        nr: row.nr,
        before: row.entry,
        same_body,
        marker: marker?,
        others,
        members: members?,
        tags: tags?,
        put,
        digest: digest.filter(|_| !same_members),
    }))
}

/// The items that members name and the attempt did not bring.
fn kept<'a>(write: &'a Write, put: &Put<'a>) -> Vec<&'a ItemRef> {
    let members = write.members.iter().flatten().map(|member| &member.item);
    let kept: HashSet<&ItemRef> = members.filter(|item| !put.numbers.contains_key(*item)).collect();
    kept.into_iter().collect()
}

/// The newest marker that means what the entry will be; what it is, its row says already.
async fn newest_marker(tx: &Tx, commit: &Commit, write: &Write) -> Result<u64, Fault> {
    let Some(tags) = &write.tags else { return Ok(0) };
    let tags: Vec<_> = tags.iter().map(|tag| clean(tag)).collect();
    let row = tx
        .query_one(
            "SELECT coalesce(max(seq), 0) FROM larder.markers WHERE (about = 'all' AND name = '') \
             OR (about = 'source' AND name = $1) OR (about = 'tag' AND name = ANY($2))",
            &[(&commit.lease.key.source(), Type::TEXT), (&tags, Type::TEXT_ARRAY)],
        )
        .await?;
    crate::rows::number(&row, 0)
}

async fn tags_of(tx: &Tx, key: &str) -> Result<Vec<String>, Fault> {
    let rows = tx
        .query(
            "SELECT t.tag FROM larder.tags t JOIN larder.entries e ON e.nr = t.entry WHERE e.key = $1",
            &[(&key, Type::TEXT)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Writes all of it, and commits.
async fn land(tx: &Tx, commit: &Commit, write: &Write, met: Meeting<'_>) -> Result<Committed, Fault> {
    let before = &met.before;
    let wanted = match (&write.members, met.digest) {
        (Some(members), Some(_)) => Some(members::wanted(members, &met.put.numbers)?),
        _ => None,
    };
    hold_newcomers(tx, write, &met, wanted.as_deref()).await?;
    let moved = wanted.as_ref().map(|wanted| Moved::between(&met.members, wanted)).unwrap_or_default();
    let visible =
        moved.visible || !met.put.changed.is_empty() || looks_different(before, write, met.same_body);
    let after = After { members: met.digest, ..After::of(commit, write, before, met.marker, visible) };
    let after = After { comparable: after.comparable && !met.put.overruled, ..after };
    let row = RowWrite { nr: met.nr, commit, write, after: &after, same_body: met.same_body };
    let counts = ItemCounts {
        seen: write.items.len() as u32,
        added: moved.added,
        changed: met.put.changed.len() as u32,
        removed: moved.removed,
    };
    let lines = lines(commit, write, &met, after.version, visible);
    let is_copied = match &wanted {
        Some(wanted) => members::copy(tx, met.nr, &met.members, wanted).await?,
        None => false,
    };
    tx.conclude(async {
        let (members, tags, row, others, logged, told) = together!(
            async {
                match &wanted {
                    Some(wanted) if !is_copied => members::write(tx, met.nr, &met.members, wanted).await,
                    _ => Ok(()),
                }
            },
            write_tags(tx, met.nr, &met.tags, write),
            write_rows(tx, &[row]),
            others::touch(tx, &met.others, commit.now),
            feed::log(tx, &[Logged { line: &commit.log, outcome: write.outcome.word(), items: counts }]),
            feed::announce(tx, &lines),
        );
        members?;
        tags?;
        row?;
        others?;
        logged?;
        told
    })
    .await?;
    let version = after.version.max(0).cast_unsigned();
    Ok(Committed::Done { version, items: counts, invalidated: after.invalidated > commit.lease.token.seq })
}

/// Items that the attempt did not bring and the entry did not hold may be nobody's by now.
async fn hold_newcomers(
    tx: &Tx,
    write: &Write,
    met: &Meeting<'_>,
    wanted: Option<&[MemberRow]>,
) -> Result<(), Fault> {
    let Some(wanted) = wanted else { return Ok(()) };
    let held: HashSet<i64> = met.members.iter().map(|row| row.item).collect();
    let brought: HashSet<i64> =
        write.items.iter().filter_map(|item| met.put.numbers.get(&item.of)).copied().collect();
    let newcomers: BTreeSet<i64> = wanted
        .iter()
        .map(|row| row.item)
        .filter(|item| !held.contains(item) && !brought.contains(item))
        .collect();
    if newcomers.is_empty() {
        return Ok(());
    }
    items::hold(tx, &newcomers.into_iter().collect::<Vec<_>>()).await
}

/// Whether a reader of the row itself sees a difference.
fn looks_different(before: &Entry, write: &Write, same_body: bool) -> bool {
    !same_body
        || before.warnings != write.warnings
        || before.complete != write.complete
        || before.pending != write.pending
        || before.has_data() != write.fetched_at.is_some()
        || before.absent_at.is_some() != write.absent_at.is_some()
}

/// What the feed is told, of this entry and of others that show what changed.
fn lines(commit: &Commit, write: &Write, met: &Meeting<'_>, version: i64, visible: bool) -> Vec<Line> {
    let own = own_line(commit, write, &met.before, version, visible);
    own.into_iter().chain(others::lines(&met.others, commit.now)).collect()
}

/// What the feed is told of this entry.
fn own_line(commit: &Commit, write: &Write, before: &Entry, version: i64, visible: bool) -> Option<Line> {
    let what = what_happened(before, write, visible)?;
    Some(Line::entry(commit.lease.key.as_str(), what, version, commit.now))
}

/// The feed's word, if there is anything to tell.
fn what_happened(before: &Entry, write: &Write, visible: bool) -> Option<&'static str> {
    let code = |failure: &larder_core::Failure| failure.code.clone();
    match write.outcome {
        Outcome::Failed => {
            let first = before.attempts == 0 && write.attempts > 0;
            let other_reason = before.last_error.as_ref().map(code) != write.last_error.as_ref().map(code);
            (visible || first || other_reason).then_some("failed")
        }
        Outcome::NotModified | Outcome::Updated if visible => Some("updated"),
        Outcome::Absent | Outcome::Partial if visible => Some(write.outcome.word()),
        // Nothing new, but what was shown as failing is well again.
        _ => (before.attempts > 0 && write.attempts == 0).then_some("recovered"),
    }
}
