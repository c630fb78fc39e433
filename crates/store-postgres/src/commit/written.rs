//! The rows that a commit writes besides items and members.

use std::borrow::Cow;
use std::collections::BTreeSet;

use larder_core::{Commit, Entry, Fingerprint, Time, Validators, Write};
use tokio_postgres::types::Type;

use crate::digest::Digest;
use crate::errors::Fault;
use crate::json::{JsonText, clean};
use crate::rows::{At, at, int};
use crate::transaction::Tx;

/// What a commit makes of an entry's row, besides what was brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct After<'a> {
    pub(super) version: i64,
    pub(super) began: u64,
    pub(super) invalidated: u64,
    pub(super) definition: &'a Fingerprint,
    /// Whether validators and cursor speak of what is held now.
    pub(super) comparable: bool,
    pub(super) members: Option<Digest>,
}

impl<'a> After<'a> {
    /// `marker` is the newest that means the entry by its source or its new tags, and `visible` says whether
    /// readers see a difference.
    pub(super) fn of(
        commit: &Commit,
        write: &'a Write,
        before: &'a Entry,
        marker: u64,
        visible: bool,
    ) -> After<'a> {
        // What goes on from what was held does not answer for what became of that meanwhile.
        let lost_ground = before.is_touched() && (write.members.is_none() || write.cursor.is_some());
        After {
            version: int(if visible { before.version + 1 } else { before.version }),
            began: if write.answers_invalidation { commit.lease.token.seq } else { before.began },
            // The row's number is what readers make of it: its own, or a newer marker's. It is written down, so
            // that a backoff that begins now is not ended by a marker from before.
            invalidated: before.invalidated.max(marker),
            definition: if lost_ground { &before.definition } else { &write.definition },
            comparable: !lost_ground,
            members: None,
        }
    }
}

/// Makes those the entry's tags that were brought, if any were.
pub(super) async fn write_tags(tx: &Tx, nr: i64, held: &[String], write: &Write) -> Result<(), Fault> {
    let Some(tags) = &write.tags else { return Ok(()) };
    let cleaned: Vec<_> = tags.iter().map(|tag| clean(tag)).collect();
    let wanted: BTreeSet<&str> = cleaned.iter().map(|tag| &**tag).collect();
    if held.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted {
        return Ok(());
    }
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let params = [(&nr as _, Type::INT8), (&wanted as _, Type::TEXT_ARRAY)];
    let (removed, made) = together!(
        tx.execute("DELETE FROM larder.tags WHERE entry = $1 AND tag <> ALL($2)", &params),
        tx.execute(
            "INSERT INTO larder.tags (entry, tag) SELECT $1, tag FROM unnest($2) AS tag ON CONFLICT DO NOTHING",
            &params
        )
    );
    removed?;
    made?;
    Ok(())
}

/// A row to write.
pub(super) struct RowWrite<'a> {
    pub(super) nr: i64,
    pub(super) commit: &'a Commit,
    pub(super) write: &'a Write,
    pub(super) after: &'a After<'a>,
    /// Whether its body is the same document already, which then is neither sent nor written again.
    pub(super) same_body: bool,
}

impl RowWrite<'_> {
    fn due_at(&self) -> Time {
        let (after, due_at) = (self.after, self.write.due_at);
        // What failed waits for its time all the same: nothing is sent inside a Retry-After.
        let at_once = after.invalidated > after.began && self.write.attempts == 0;
        if at_once { due_at.min(self.commit.now) } else { due_at }
    }

    fn cursor(&self) -> Option<Cow<'_, str>> {
        self.write.cursor.as_deref().filter(|_| self.after.comparable).map(clean)
    }

    fn validators(&self) -> Result<JsonText<'static>, Fault> {
        let none = Validators::default();
        JsonText::encode(if self.after.comparable { &self.write.validators } else { &none })
    }

    fn body(&self) -> Option<JsonText<'_>> {
        self.write.body.as_ref().filter(|_| !self.same_body).map(JsonText::of)
    }
}

/// Writes rows, and ends their leases.
pub(super) async fn write_rows(tx: &Tx, rows: &[RowWrite<'_>]) -> Result<(), Fault> {
    fn all<'a, T>(rows: &'a [RowWrite<'a>], what: impl Fn(&'a RowWrite<'a>) -> T) -> Vec<T> {
        rows.iter().map(what).collect()
    }
    fn encoded<'a, T>(
        rows: &'a [RowWrite<'a>],
        what: impl Fn(&'a RowWrite<'a>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        rows.iter().map(what).collect()
    }
    if rows.is_empty() {
        return Ok(());
    }
    let validators = encoded(rows, RowWrite::validators)?;
    let pending = encoded(rows, |row| JsonText::encode(&row.write.pending))?;
    let warnings = encoded(rows, |row| JsonText::encode(&row.write.warnings))?;
    let errors = encoded(rows, |row| row.write.last_error.as_ref().map(JsonText::encode).transpose())?;
    // A trigger that came after this fetch had begun still wants a later one.
    tx.execute(
        "UPDATE larder.entries e SET definition = a.definition, tried = a.tried, \
         body = CASE WHEN a.same_body THEN e.body ELSE a.body END, validators = a.validators, \
         cursor = a.cursor, complete = a.complete, pending = a.pending, warnings = a.warnings, \
         version = a.version, began = a.began, invalidated = a.invalidated, fetched_at = a.fetched_at, \
         absent_at = a.absent_at, fresh_until = a.fresh_until, due_at = a.due_at, \
         marked = CASE WHEN e.marked > a.seq THEN e.marked ELSE 0 END, attempts = a.attempts, \
         faults = a.faults, last_error = a.last_error, touched_at = coalesce(a.touched_at, e.touched_at), \
         members_digest = coalesce(a.members_digest, e.members_digest), \
         lease_owner = NULL, lease_until = NULL, lease_length = NULL, lease_epoch = NULL, lease_seq = NULL \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
         $21, $22, $23) AS a(nr, definition, tried, same_body, body, validators, cursor, complete, pending, \
         warnings, version, began, invalidated, fetched_at, absent_at, fresh_until, due_at, seq, attempts, \
         faults, last_error, touched_at, members_digest) WHERE e.nr = a.nr",
        &[
            (&all(rows, |row| row.nr), Type::INT8_ARRAY),
            (&all(rows, |row| clean(row.after.definition.as_str())), Type::TEXT_ARRAY),
            (&all(rows, |row| clean(row.write.tried.as_str())), Type::TEXT_ARRAY),
            (&all(rows, |row| row.same_body), Type::BOOL_ARRAY),
            (&all(rows, RowWrite::body), Type::JSONB_ARRAY),
            (&validators, Type::JSONB_ARRAY),
            (&all(rows, RowWrite::cursor), Type::TEXT_ARRAY),
            (&all(rows, |row| row.write.complete), Type::BOOL_ARRAY),
            (&pending, Type::JSONB_ARRAY),
            (&warnings, Type::JSONB_ARRAY),
            (&all(rows, |row| row.after.version), Type::INT8_ARRAY),
            (&all(rows, |row| int(row.after.began)), Type::INT8_ARRAY),
            (&all(rows, |row| int(row.after.invalidated)), Type::INT8_ARRAY),
            (&all(rows, |row| at(row.write.fetched_at)), Type::TIMESTAMPTZ_ARRAY),
            (&all(rows, |row| at(row.write.absent_at)), Type::TIMESTAMPTZ_ARRAY),
            (&all(rows, |row| at(row.write.fresh_until)), Type::TIMESTAMPTZ_ARRAY),
            (&all(rows, |row| At(row.due_at())), Type::TIMESTAMPTZ_ARRAY),
            (&all(rows, |row| int(row.commit.lease.token.seq)), Type::INT8_ARRAY),
            (&all(rows, |row| i64::from(row.write.attempts)), Type::INT8_ARRAY),
            (&all(rows, |row| i64::from(row.write.faults)), Type::INT8_ARRAY),
            (&errors, Type::JSONB_ARRAY),
            (&all(rows, |row| row.commit.is_of_use().then_some(At(row.commit.now))), Type::TIMESTAMPTZ_ARRAY),
            (&all(rows, |row| row.after.members), Type::UUID_ARRAY),
        ],
    )
    .await
    .map(drop)
}
