//! Entries: looking them up, creating their rows, listing their heads, removing them.

use std::collections::{HashMap, HashSet};

use larder_core::{Key, Member, Stored, Target, Time, Trigger};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::feed::{self, Line};
use crate::json::clean;
use crate::leases::LIVE;
use crate::rows::{
    At, ENTRY_COLUMNS, ENTRY_WIDTH, EntryRow, FROM_ENTRIES, ITEM_COLUMNS, item, limit, number, state,
};
use crate::transaction::Tx;

/// Looks entries up with their members, in the order asked.
pub(crate) async fn lookup(tx: &Tx, keys: &[Key]) -> Result<Vec<Option<Stored>>, Fault> {
    let asked = texts(keys);
    let (rows, members) = tx
        .conclude(async {
            let by_key = "JOIN larder.entries e ON e.nr = m.entry WHERE e.key = ANY($1)";
            let (rows, members) =
                together!(rows_of(tx, &asked), tx.query(&members_sql(by_key), &[(&asked, Type::TEXT_ARRAY)]));
            Ok((rows?, members?))
        })
        .await?;
    let mut members = read_members(&members)?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let members = members.remove(&row.nr).unwrap_or_default();
        found.insert(row.entry.key.clone(), Stored { entry: row.entry, members });
    }
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// Keys as an array of texts.
pub(crate) fn texts(keys: &[Key]) -> Vec<&str> {
    keys.iter().map(Key::as_str).collect()
}

/// The rows of those keys, in no order.
pub(crate) async fn rows_of(tx: &Tx, keys: &[&str]) -> Result<Vec<EntryRow>, Fault> {
    let still = tx.is_still();
    let sql = format!("SELECT {ENTRY_COLUMNS} {FROM_ENTRIES} WHERE e.key = ANY($1){still}");
    let rows = tx.query(&sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| EntryRow::read(row, tx.local_now())).collect()
}

/// The members of those rows, in order.
pub(crate) async fn members_of(tx: &Tx, entries: &[i64]) -> Result<HashMap<i64, Vec<Member>>, Fault> {
    let sql = members_sql("WHERE m.entry = ANY($1)");
    read_members(&tx.query(&sql, &[(&entries, Type::INT8_ARRAY)]).await?)
}

fn members_sql(clause: &str) -> String {
    format!(
        "SELECT m.entry, m.asked, m.state, {ITEM_COLUMNS} FROM larder.members m \
         JOIN larder.items i ON i.nr = m.item JOIN larder.docs d ON d.nr = m.item {clause} ORDER BY m.entry, m.position"
    )
}

fn read_members(rows: &[Row]) -> Result<HashMap<i64, Vec<Member>>, Fault> {
    let mut members: HashMap<i64, Vec<Member>> = HashMap::new();
    for row in rows {
        let entry: i64 = row.try_get(0)?;
        let asked: &str = row.try_get(1)?;
        let state = state(row.try_get(2)?, &format_args!("entry {entry}, `{asked}`"))?;
        members.entry(entry).or_default().push(Member { asked: asked.into(), state, item: item(row, 3)? });
    }
    Ok(members)
}

/// Makes the rows that are missing and locks them all, in the order of their numbers: whoever locks
/// several rows does so in that order, and makes missing ones (in the order of their keys) before.
pub(crate) async fn make_and_lock(tx: &Tx, keys: &[Key], now: Time) -> Result<Vec<EntryRow>, Fault> {
    let mut asked = texts(keys);
    asked.sort_unstable();
    asked.dedup();
    let params = [(&asked as _, Type::TEXT_ARRAY), (&At(now) as _, Type::TIMESTAMPTZ)];
    let (made, locked, rows) = together!(
        tx.query(
            "INSERT INTO larder.entries (key, source, definition, tried, validators, complete, pending, warnings, \
             version, began, invalidated, due_at, marked, attempts, faults, touched_at) \
             SELECT a.key, split_part(a.key, '/', 1), '', '', '{}', false, '[]', '[]', m.version_floor, 0, \
             coalesce((SELECT max(k.seq) FROM larder.markers k WHERE k.about = 'all' \
               OR (k.about = 'source' AND k.name = split_part(a.key, '/', 1))), 0), \
             $2, 0, 0, 0, $2 FROM unnest($1) WITH ORDINALITY AS a(key, nth) CROSS JOIN larder.meta m \
             WHERE NOT EXISTS (SELECT 1 FROM larder.entries e WHERE e.key = a.key) \
             ORDER BY a.nth ON CONFLICT (key) DO NOTHING RETURNING nr",
            &params,
        ),
        tx.execute(
            "SELECT e.nr FROM larder.entries e WHERE e.key = ANY($1) ORDER BY e.nr FOR UPDATE",
            &params[..1]
        ),
        rows_of(tx, &asked),
    );
    let made: Vec<i64> = made?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    locked?;
    let mut rows = rows?;
    if rows.len() < asked.len() {
        // One was there, and was gone when its turn came: from the beginning, in the one order.
        return Err(Fault::Overtaken);
    }
    if !made.is_empty() {
        raise_versions(tx, &made, &mut rows).await?;
    }
    Ok(rows)
}

/// A row that was made while another of its key was being removed must go on from that one's version,
/// which shows only now.
async fn raise_versions(tx: &Tx, made: &[i64], rows: &mut [EntryRow]) -> Result<(), Fault> {
    let raised = tx
        .query(
            "UPDATE larder.entries e SET version = m.version_floor FROM larder.meta m \
             WHERE e.nr = ANY($1) AND e.version < m.version_floor RETURNING e.nr, e.version",
            &[(&made, Type::INT8_ARRAY)],
        )
        .await?;
    for row in &raised {
        let nr: i64 = row.try_get(0)?;
        if let Some(held) = rows.iter_mut().find(|held| held.nr == nr) {
            held.entry.version = number(row, 1)?;
        }
    }
    Ok(())
}

/// A row as the calls that go over many need it.
#[derive(Debug, Clone)]
pub(crate) struct Met {
    pub(crate) nr: i64,
    pub(crate) key: String,
    pub(crate) version: i64,
}

impl Met {
    pub(crate) fn read(row: &Row) -> Result<Met, Fault> {
        Ok(Met { nr: row.try_get(0)?, key: row.try_get(1)?, version: row.try_get(2)? })
    }
}

/// Locks the rows that a target means.
pub(crate) async fn met(tx: &Tx, target: &Target) -> Result<Vec<Met>, Fault> {
    let select = |clause: &str| {
        format!(
            "SELECT e.nr, e.key, e.version FROM larder.entries e WHERE {clause} ORDER BY e.nr FOR UPDATE OF e"
        )
    };
    let rows = match target {
        Target::Keys(keys) => {
            tx.query(&select("e.key = ANY($1)"), &[(&texts(keys), Type::TEXT_ARRAY)]).await?
        }
        Target::Source(source) => tx.query(&select("e.source = $1"), &[(&clean(source), Type::TEXT)]).await?,
        Target::Tag(tag) => {
            let clause = "e.nr IN (SELECT t.entry FROM larder.tags t WHERE t.tag = $1)";
            tx.query(&select(clause), &[(&clean(tag), Type::TEXT)]).await?
        }
        Target::All => tx.query(&select("true"), &[]).await?,
    };
    rows.iter().map(Met::read).collect()
}

/// How many entries are removed in one transaction: others write in between.
pub(crate) const BATCH: i64 = 500;

/// Locks the first [`BATCH`] of the rows that a target means, behind the key `after`. Answers them, and the key
/// to go on behind, by what was meant: others may have removed some of that by the time it is locked.
pub(crate) async fn met_behind(
    tx: &Tx,
    target: &Target,
    after: &str,
) -> Result<(Vec<Met>, Option<String>), Fault> {
    let select = |clause: &str| {
        format!(
            "SELECT b.nr, b.key FROM larder.entries b WHERE {clause} AND b.key > $2 ORDER BY b.key LIMIT {BATCH}"
        )
    };
    let after = (&after as _, Type::TEXT);
    let meant = match target {
        Target::Keys(keys) => {
            tx.query(&select("b.key = ANY($1)"), &[(&texts(keys), Type::TEXT_ARRAY), after]).await?
        }
        Target::Source(source) => {
            tx.query(&select("b.source = $1"), &[(&clean(source), Type::TEXT), after]).await?
        }
        Target::Tag(tag) => {
            let clause = "b.nr IN (SELECT t.entry FROM larder.tags t WHERE t.tag = $1)";
            tx.query(&select(clause), &[(&clean(tag), Type::TEXT), after]).await?
        }
        Target::All => tx.query(&select("$1 = ''"), &[(&"", Type::TEXT), after]).await?,
    };
    let last = meant.last().filter(|_| meant.len() as i64 == BATCH);
    let last = last.map(|row| row.try_get(1)).transpose()?;
    let numbers: Vec<i64> = meant.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let rows = tx
        .query(
            "SELECT e.nr, e.key, e.version FROM larder.entries e WHERE e.nr = ANY($1) ORDER BY e.nr \
             FOR UPDATE OF e",
            &[(&numbers, Type::INT8_ARRAY)],
        )
        .await?;
    let met = rows.iter().map(Met::read).collect::<Result<_, _>>()?;
    Ok((met, last))
}

/// Removes entries, locked before, with all that is theirs, and the items that no entry holds any
/// more. Answers how many items went.
pub(crate) async fn remove(tx: &Tx, entries: &[Met], now: Time) -> Result<u64, Fault> {
    if entries.is_empty() {
        return Ok(0);
    }
    let numbers: Vec<i64> = entries.iter().map(|entry| entry.nr).collect();
    let floor = entries.iter().map(|entry| entry.version).max().unwrap_or_default();
    let params = [(&numbers as _, Type::INT8_ARRAY)];
    let (held, tags, rows, meta) = together!(
        tx.query("DELETE FROM larder.members WHERE entry = ANY($1) RETURNING item", &params),
        tx.execute("DELETE FROM larder.tags WHERE entry = ANY($1)", &params),
        tx.execute("DELETE FROM larder.entries WHERE nr = ANY($1)", &params),
        tx.execute(
            "UPDATE larder.meta SET version_floor = $1 WHERE version_floor < $1",
            &[(&floor, Type::INT8)]
        ),
    );
    tags?;
    rows?;
    meta?;
    let held: HashSet<i64> = held?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let items = remove_orphans_of(tx, &held.into_iter().collect::<Vec<_>>()).await?;
    // Locked by number, told by key.
    let mut told: Vec<&Met> = entries.iter().collect();
    told.sort_by(|one, other| one.key.cmp(&other.key));
    let lines: Vec<Line> =
        told.into_iter().map(|entry| Line::entry(&entry.key, "evicted", entry.version, now)).collect();
    tx.conclude(feed::announce(tx, &lines)).await?;
    Ok(items)
}

/// Removes those of the items that nothing holds. Ones that a commit is at work with are left to it,
/// or to the next sweep.
pub(crate) async fn remove_orphans_of(tx: &Tx, items: &[i64]) -> Result<u64, Fault> {
    let locked = tx
        .query(
            "SELECT i.nr FROM larder.items i WHERE i.nr = ANY($1) \
             AND NOT EXISTS (SELECT 1 FROM larder.members m WHERE m.item = i.nr) \
             ORDER BY i.id, i.kind FOR UPDATE SKIP LOCKED",
            &[(&items, Type::INT8_ARRAY)],
        )
        .await?;
    remove_if_orphaned(tx, &locked).await
}

/// Removes locked items, looking once more now that nobody else can: a commit may have taken one in
/// just before.
async fn remove_if_orphaned(tx: &Tx, locked: &[Row]) -> Result<u64, Fault> {
    let locked: Vec<i64> = locked.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    tx.execute(
        "WITH gone AS ( \
           DELETE FROM larder.items i WHERE i.nr = ANY($1) \
           AND NOT EXISTS (SELECT 1 FROM larder.members m WHERE m.item = i.nr) RETURNING i.nr \
         ), docs AS (DELETE FROM larder.docs d USING gone g WHERE d.nr = g.nr \
         ), words AS (DELETE FROM larder.words w USING gone g WHERE w.nr = g.nr \
         ) SELECT nr FROM gone",
        &[(&locked, Type::INT8_ARRAY)],
    )
    .await
}

/// The rows of entries (of one source) behind `after`, by key.
pub(crate) async fn rows(
    tx: &Tx,
    source: Option<&str>,
    after: Option<&Key>,
    most: usize,
) -> Result<Vec<larder_core::Row>, Fault> {
    // A source's keys stand together: they all begin with its name and a slash, which `0` follows.
    let (first, end) = match source {
        Some(source) => (format!("{source}/"), format!("{source}0")),
        None => (String::new(), "\u{7f}".to_owned()),
    };
    let first = after.map_or(first.as_str(), |after| after.as_str().max(&first));
    let sql = format!(
        "SELECT {ENTRY_COLUMNS}, e.touched_at {FROM_ENTRIES} WHERE e.key > $1 AND e.key < $2 \
         ORDER BY e.key LIMIT $3"
    );
    let params =
        [(&clean(first) as _, Type::TEXT), (&clean(&end) as _, Type::TEXT), (&limit(most) as _, Type::INT8)];
    let rows = tx.conclude(tx.query(&sql, &params)).await?;
    let row = |row: &Row| {
        let EntryRow { entry, unconfigured_since, .. } = EntryRow::read(row, tx.local_now())?;
        let At(touched_at) = row.try_get(ENTRY_WIDTH)?;
        Ok(larder_core::Row { entry, unconfigured_since, touched_at })
    };
    rows.iter().map(row).collect()
}

/// How many members each entry shows.
pub(crate) async fn shown(tx: &Tx, keys: &[Key]) -> Result<Vec<u64>, Fault> {
    let sql = "SELECT e.key, count(*) FROM larder.entries e JOIN larder.members m ON m.entry = e.nr \
               WHERE e.key = ANY($1) AND m.state <> 'hidden' GROUP BY e.key";
    let rows = tx.conclude(tx.query(sql, &[(&texts(keys), Type::TEXT_ARRAY)])).await?;
    let mut counted: HashMap<&str, u64> = HashMap::with_capacity(rows.len());
    for row in &rows {
        counted.insert(row.try_get(0)?, number(row, 1)?);
    }
    Ok(keys.iter().map(|key| counted.get(key.as_str()).copied().unwrap_or_default()).collect())
}

/// Notes that a refresh is wanted.
pub(crate) async fn mark_due(tx: &Tx, keys: &[Key], trigger: Trigger, now: Time) -> Result<u64, Fault> {
    if keys.is_empty() {
        return Ok(0);
    }
    let rows = make_and_lock(tx, keys, now).await?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.nr).collect();
    // What a reader wants, a fetch under way brings, and what is retried is due without a mark; what
    // an event wants, only a later fetch of the whole brings. A wait that began a moment before is no
    // reader's to end.
    let sql = format!(
        "UPDATE larder.entries e SET \
         marked = CASE WHEN $3 AND (e.attempts > 0 OR e.pending <> '[]'::jsonb) THEN e.marked \
           WHEN $3 AND {LIVE} THEN greatest(e.marked, 1) ELSE nextval('larder.sequence') END, \
         marked_by = CASE WHEN $3 AND e.marked > 0 THEN e.marked_by ELSE $4 END, \
         due_at = CASE WHEN $3 AND e.attempts > 0 THEN e.due_at ELSE least(e.due_at, $2) END, \
         touched_at = $2, unconfigured_since = NULL WHERE e.nr = ANY($5)"
    );
    let params = [
        (&tx.lease_clock(now) as _, Type::TIMESTAMPTZ),
        (&At(now) as _, Type::TIMESTAMPTZ),
        (&(trigger == Trigger::Read) as _, Type::BOOL),
        (&trigger.to_string() as _, Type::TEXT),
        (&numbers as _, Type::INT8_ARRAY),
    ];
    tx.conclude(async {
        let (marked, told) = together!(tx.execute(&sql, &params), feed::notify(tx));
        marked?;
        told
    })
    .await?;
    Ok(numbers.len() as u64)
}

/// Gives entries that failed a new start.
pub(crate) async fn replay(tx: &Tx, target: &Target, now: Time) -> Result<u64, Fault> {
    let numbers: Vec<i64> = met(tx, target).await?.iter().map(|entry| entry.nr).collect();
    tx.conclude(async {
        let (replayed, told) = together!(
            tx.execute(
                "UPDATE larder.entries SET attempts = 0, faults = 0, due_at = least(due_at, $2), \
                 marked = nextval('larder.sequence'), marked_by = 'manual', touched_at = $2, \
                 unconfigured_since = NULL \
                 WHERE nr = ANY($1) AND (attempts > 0 OR pending <> '[]'::jsonb)",
                &[(&numbers, Type::INT8_ARRAY), (&At(now), Type::TIMESTAMPTZ)],
            ),
            feed::notify(tx)
        );
        told?;
        replayed
    })
    .await
}
