//! What is configured, compared with what is held.

use std::collections::{HashMap, HashSet};

use larder_core::{Configured, Entry, Reconciled, Time, Warning};
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::feed::{self, Line};
use crate::json::{JsonText, clean};
use crate::rows::{At, ENTRY_COLUMNS, EntryRow, FROM_ENTRIES, int};
use crate::transaction::Tx;

/// Compares a source's configured entries with the rows.
pub(crate) async fn reconcile(
    tx: &Tx,
    source: &str,
    configured: &[Configured],
    now: Time,
) -> Result<Reconciled, Fault> {
    let known: HashMap<&str, &Configured> =
        configured.iter().map(|wanted| (wanted.key.as_str(), wanted)).collect();
    let keys: Vec<&str> = known.keys().copied().collect();
    let params = [(&clean(source) as _, Type::TEXT), (&keys as _, Type::TEXT_ARRAY)];
    let (locked, rows) = together!(
        tx.execute(
            "SELECT nr FROM larder.entries WHERE source = $1 OR key = ANY($2) ORDER BY nr FOR UPDATE",
            &params
        ),
        async {
            let sql = format!(
                "SELECT {ENTRY_COLUMNS} {FROM_ENTRIES} WHERE e.source = $1 OR e.key = ANY($2) ORDER BY e.nr"
            );
            let rows = tx.query(&sql, &params).await?;
            rows.iter().map(|row| EntryRow::read(row, tx.local_now())).collect::<Result<Vec<_>, Fault>>()
        }
    );
    locked?;
    let mut reconciled = Reconciled::default();
    let (mut gone, mut returned, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows? {
        match (known.get(row.entry.key.as_str()), row.unconfigured_since) {
            (None, None) => gone.push(row.nr),
            (None, Some(_)) => {}
            (Some(wanted), since) => {
                returned.extend(since.map(|_| row.nr));
                // A row that nothing was tried for yet has no definition to be edited.
                let never_tried = row.entry.tried.as_str().is_empty();
                if !never_tried && !wanted.definition.answers_to(&row.entry.tried) {
                    reconciled.edited += 1;
                    lines.extend(edit(tx, row.nr, &row.entry, wanted, now).await?);
                }
            }
        }
    }
    reconciled.unconfigured = gone.len() as u64;
    reconciled.returned = returned.len() as u64;
    tx.conclude(async {
        let (gone, returned, told) = together!(
            tx.execute(
                "UPDATE larder.entries SET unconfigured_since = $2 WHERE nr = ANY($1)",
                &[(&gone, Type::INT8_ARRAY), (&At(now), Type::TIMESTAMPTZ)]
            ),
            tx.execute(
                "UPDATE larder.entries SET unconfigured_since = NULL WHERE nr = ANY($1)",
                &[(&returned, Type::INT8_ARRAY)]
            ),
            feed::announce(tx, &lines)
        );
        gone?;
        returned?;
        told
    })
    .await?;
    Ok(reconciled)
}

/// Makes an edited entry due, and takes from it what is asked for no longer.
async fn edit(
    tx: &Tx,
    nr: i64,
    entry: &Entry,
    wanted: &Configured,
    now: Time,
) -> Result<Option<Line>, Fault> {
    let names = wanted.definition.names.as_ref();
    let names: Option<HashSet<&str>> = names.map(|names| names.iter().map(|name| &**name).collect());
    let except = &wanted.definition.except;
    let is_named =
        |name: &str| names.as_ref().is_none_or(|names| names.contains(name)) && !except.contains(name);
    let (due, held) = together!(
        tx.execute(
            "UPDATE larder.entries SET due_at = least(due_at, $2) WHERE nr = $1",
            &[(&nr, Type::INT8), (&At(now), Type::TIMESTAMPTZ)]
        ),
        tx.query("SELECT position, asked FROM larder.members WHERE entry = $1", &[(&nr, Type::INT8)])
    );
    due?;
    let (mut positions, mut gone): (Vec<i64>, HashSet<String>) = (Vec::new(), HashSet::new());
    for row in &held? {
        let asked: String = row.try_get(1)?;
        if !is_named(&asked) {
            positions.push(row.try_get(0)?);
            gone.insert(asked);
        }
    }
    gone.extend(entry.pending.iter().filter(|name| !is_named(name)).map(ToString::to_string));
    if gone.is_empty() {
        return Ok(None);
    }
    let pending: Vec<&str> =
        entry.pending.iter().map(|name| &**name).filter(|name| !gone.contains(*name)).collect();
    let warnings: Vec<&Warning> =
        entry.warnings.iter().filter(|warning| !gone.contains(&warning.about)).collect();
    let version = int(entry.version + 1);
    let (removed, written) = together!(
        tx.execute(
            "DELETE FROM larder.members WHERE entry = $1 AND position = ANY($2)",
            &[(&nr, Type::INT8), (&positions, Type::INT8_ARRAY)]
        ),
        async {
            let (pending, warnings) = (JsonText::encode(&pending)?, JsonText::encode(&warnings)?);
            tx.execute(
                "UPDATE larder.entries SET definition = '', pending = $2, warnings = $3, version = $4, \
                 members_digest = NULL WHERE nr = $1",
                &[
                    (&nr, Type::INT8),
                    (&pending, Type::JSONB),
                    (&warnings, Type::JSONB),
                    (&version, Type::INT8),
                ],
            )
            .await
        }
    );
    removed?;
    written?;
    Ok(Some(Line::entry(entry.key.as_str(), "updated", version, now)))
}
