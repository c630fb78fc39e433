//! The rows that a commit writes besides items and members.

use std::collections::BTreeSet;

use larder_core::{Commit, Fingerprint, Json, Validators, Write};
use tokio_postgres::types::Type;

use crate::digest::Digest;
use crate::errors::Fault;
use crate::json::{JsonText, clean};
use crate::rows::{At, at, int};
use crate::transaction::Tx;

/// What a commit makes of an entry's row, besides what was brought.
pub(super) struct After<'a> {
    pub(super) version: i64,
    pub(super) began: u64,
    pub(super) invalidated: u64,
    pub(super) definition: &'a Fingerprint,
    /// Whether validators and cursor speak of what is held now.
    pub(super) comparable: bool,
    pub(super) members: Option<Digest>,
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

/// Writes the entry's row, and ends its lease.
pub(super) async fn write_row(
    tx: &Tx,
    nr: i64,
    write: &Write,
    after: &After<'_>,
    commit: &Commit,
) -> Result<(), Fault> {
    // What failed waits for its time all the same: nothing is sent inside a Retry-After.
    let at_once = after.invalidated > after.began && write.attempts == 0;
    let due_at = if at_once { write.due_at.min(commit.now) } else { write.due_at };
    let cursor = write.cursor.as_deref().filter(|_| after.comparable).map(clean);
    let body: Option<JsonText<'_>> = write.body.as_ref().map(|body: &Json| JsonText::of(body));
    let validators = if after.comparable { write.validators.clone() } else { Validators::default() };
    let validators = JsonText::encode(&validators)?;
    let (pending, warnings) = (JsonText::encode(&write.pending)?, JsonText::encode(&write.warnings)?);
    let last_error = write.last_error.as_ref().map(JsonText::encode).transpose()?;
    // A trigger that came after this fetch had begun still wants a later one.
    tx.execute(
        "UPDATE larder.entries SET definition = $2, tried = $3, body = $4, validators = $5, cursor = $6, \
         complete = $7, pending = $8, warnings = $9, version = $10, began = $11, invalidated = $12, \
         fetched_at = $13, absent_at = $14, fresh_until = $15, due_at = $16, \
         marked = CASE WHEN marked > $17 THEN marked ELSE 0 END, \
         attempts = $18, faults = $19, last_error = $20, touched_at = coalesce($21, touched_at), \
         members_digest = coalesce($22, members_digest), \
         lease_owner = NULL, lease_until = NULL, lease_length = NULL, lease_epoch = NULL, lease_seq = NULL \
         WHERE nr = $1",
        &[
            (&nr, Type::INT8),
            (&clean(after.definition.as_str()), Type::TEXT),
            (&clean(write.tried.as_str()), Type::TEXT),
            (&body, Type::JSONB),
            (&validators, Type::JSONB),
            (&cursor, Type::TEXT),
            (&write.complete, Type::BOOL),
            (&pending, Type::JSONB),
            (&warnings, Type::JSONB),
            (&after.version, Type::INT8),
            (&int(after.began), Type::INT8),
            (&int(after.invalidated), Type::INT8),
            (&at(write.fetched_at), Type::TIMESTAMPTZ),
            (&at(write.absent_at), Type::TIMESTAMPTZ),
            (&at(write.fresh_until), Type::TIMESTAMPTZ),
            (&At(due_at), Type::TIMESTAMPTZ),
            (&int(commit.lease.token.seq), Type::INT8),
            (&i64::from(write.attempts), Type::INT8),
            (&i64::from(write.faults), Type::INT8),
            (&last_error, Type::JSONB),
            (&at(commit.is_of_use().then_some(commit.now)), Type::TIMESTAMPTZ),
            (&after.members, Type::UUID),
        ],
    )
    .await
    .map(drop)
}
