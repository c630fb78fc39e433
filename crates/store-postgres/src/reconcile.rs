//! What is configured, compared with what is held.

use std::collections::{HashMap, HashSet};

use larder_core::{Configured, Entry, Reconciled, StoreError, Time, Warning};
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
            // One that cannot be understood keeps no other from it.
            let is_readable =
                |row: &Result<EntryRow, Fault>| !matches!(row, Err(Fault::Store(StoreError::BadRow { .. })));
            let read = rows.iter().map(|row| EntryRow::read(row, tx.local_now()));
            read.filter(is_readable).collect::<Result<Vec<_>, Fault>>()
        }
    );
    locked?;
    let mut reconciled = Reconciled::default();
    let (mut gone, mut returned, mut edited) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows? {
        match (known.get(row.entry.key.as_str()), row.unconfigured_since) {
            (None, None) => gone.push(row.nr),
            (None, Some(_)) => {}
            (Some(wanted), since) => {
                returned.extend(since.map(|_| row.nr));
                // A row that nothing was tried for yet has no definition to be edited.
                let never_tried = row.entry.tried.as_str().is_empty();
                if !never_tried && !wanted.definition.answers_to(&row.entry.tried) {
                    edited.push(Edited { nr: row.nr, entry: row.entry, wanted });
                }
            }
        }
    }
    let mut lines = Vec::new();
    for some in edited.chunks(EDITED_AT_ONCE) {
        lines.extend(edit(tx, some, now).await?);
    }
    reconciled.edited = edited.len() as u64;
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

/// So many edited entries are seen to by one statement of each sort: all of the source is locked meanwhile.
const EDITED_AT_ONCE: usize = 1_000;

/// An entry that is configured otherwise than it was.
struct Edited<'a> {
    nr: i64,
    entry: Entry,
    wanted: &'a Configured,
}

/// Makes edited entries due, and takes from them what is asked for no longer.
async fn edit(tx: &Tx, edited: &[Edited<'_>], now: Time) -> Result<Vec<Line>, Fault> {
    let numbers: Vec<i64> = edited.iter().map(|one| one.nr).collect();
    let (due, held) = together!(
        tx.execute(
            "UPDATE larder.entries SET due_at = least(due_at, $2) WHERE nr = ANY($1)",
            &[(&numbers, Type::INT8_ARRAY), (&At(now), Type::TIMESTAMPTZ)]
        ),
        tx.query(
            "SELECT entry, position, asked FROM larder.members WHERE entry = ANY($1)",
            &[(&numbers, Type::INT8_ARRAY)]
        )
    );
    due?;
    let mut members: HashMap<i64, Vec<(i64, String)>> = HashMap::new();
    for row in &held? {
        members.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
    }
    let mut cut = Cut::default();
    for one in edited {
        cut.add(one, members.remove(&one.nr).unwrap_or_default(), now)?;
    }
    cut.write(tx).await?;
    Ok(cut.lines)
}

/// What goes from edited entries, and how they are without it.
#[derive(Default)]
struct Cut {
    /// Members, by entry and place.
    entries: Vec<i64>,
    positions: Vec<i64>,
    /// Rows.
    numbers: Vec<i64>,
    pending: Vec<JsonText<'static>>,
    warnings: Vec<JsonText<'static>>,
    versions: Vec<i64>,
    lines: Vec<Line>,
}

impl Cut {
    fn add(&mut self, one: &Edited<'_>, members: Vec<(i64, String)>, now: Time) -> Result<(), Fault> {
        let Edited { nr, entry, wanted } = one;
        let names = wanted.definition.names.as_ref();
        let names: Option<HashSet<&str>> = names.map(|names| names.iter().map(|name| &**name).collect());
        let except = &wanted.definition.except;
        let is_named =
            |name: &str| names.as_ref().is_none_or(|names| names.contains(name)) && !except.contains(name);
        let mut gone: HashSet<String> = HashSet::new();
        for (position, asked) in members.into_iter().filter(|(_, asked)| !is_named(asked)) {
            self.entries.push(*nr);
            self.positions.push(position);
            gone.insert(asked);
        }
        gone.extend(entry.pending.iter().filter(|name| !is_named(name)).map(ToString::to_string));
        if gone.is_empty() {
            return Ok(());
        }
        let pending: Vec<&str> =
            entry.pending.iter().map(|name| &**name).filter(|name| !gone.contains(*name)).collect();
        let warnings: Vec<&Warning> =
            entry.warnings.iter().filter(|warning| !gone.contains(&warning.about)).collect();
        let version = int(entry.version + 1);
        self.numbers.push(*nr);
        self.pending.push(JsonText::encode(&pending)?);
        self.warnings.push(JsonText::encode(&warnings)?);
        self.versions.push(version);
        self.lines.push(Line::entry(entry.key.as_str(), "updated", version, now));
        Ok(())
    }

    async fn write(&self, tx: &Tx) -> Result<(), Fault> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let (removed, written) = together!(
            tx.execute(
                "DELETE FROM larder.members m USING unnest($1, $2) AS a(entry, position) \
                 WHERE m.entry = a.entry AND m.position = a.position",
                &[(&self.entries, Type::INT8_ARRAY), (&self.positions, Type::INT8_ARRAY)]
            ),
            tx.execute(
                "UPDATE larder.entries e SET definition = '', pending = a.pending, warnings = a.warnings, \
                 version = a.version, members_digest = NULL \
                 FROM unnest($1, $2, $3, $4) AS a(nr, pending, warnings, version) WHERE e.nr = a.nr",
                &[
                    (&self.numbers, Type::INT8_ARRAY),
                    (&self.pending, Type::JSONB_ARRAY),
                    (&self.warnings, Type::JSONB_ARRAY),
                    (&self.versions, Type::INT8_ARRAY),
                ]
            )
        );
        removed?;
        written.map(drop)
    }
}
