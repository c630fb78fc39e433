//! The changes feed and the refresh log.
//!
//! Lines of the feed take their numbers under a lock that is held until they are committed, so that
//! they become visible in the order of their numbers: a reader that has seen one has seen all before
//! it, whichever transaction began first. (Reading below the snapshot's `xmin` would do without the
//! lock, but `xmin` is the whole cluster's: a long report of another application in another database
//! would hold our feed back for as long as it takes.) The lock is the last thing that a transaction
//! takes, together with `COMMIT`: nobody holds it across a way to the database and back, but who moves
//! the sequence, which is seldom. Commits that have nothing to tell, which most are, never take it.

use larder_core::{Change, Changes, ItemCounts, Key, LogFilter, LogLine, Spent, Subject, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::json::clean;
use crate::rows::{At, bad_row, count, int, limit, number, parse};
use crate::transaction::Tx;

/// The channel on which it is told that something was committed.
pub(crate) const CHANNEL: &str = "larder";

/// Held by whoever adds to the feed: an advisory lock of Larder's (`LRDR` and a purpose).
const ADDING: i64 = 0x4c52_4452_0000_0003;

/// A line to write.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    about: &'static str,
    name: String,
    what: &'static str,
    version: i64,
    at: Time,
}

impl Line {
    /// What became of an entry.
    pub(crate) fn entry(key: &str, what: &'static str, version: i64, at: Time) -> Line {
        Line { about: "entry", name: key.to_owned(), what, version, at }
    }

    /// What became of many at once.
    pub(crate) fn many(about: &'static str, name: &str, what: &'static str, at: Time) -> Line {
        Line { about, name: clean(name).into_owned(), what, version: 0, at }
    }
}

/// Until the end of the transaction nobody else adds to the feed, and whoever was adding has committed. Rows are
/// locked before, never after.
pub(crate) async fn lock(tx: &Tx) -> Result<(), Fault> {
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[(&ADDING, Type::INT8)]).await.map(drop)
}

/// Writes lines, and tells other instances. For the very end of a transaction.
pub(crate) async fn announce(tx: &Tx, lines: &[Line]) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    let abouts: Vec<&str> = lines.iter().map(|line| line.about).collect();
    let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    let whats: Vec<&str> = lines.iter().map(|line| line.what).collect();
    let versions: Vec<i64> = lines.iter().map(|line| line.version).collect();
    let times: Vec<At> = lines.iter().map(|line| At(line.at)).collect();
    let params = [
        (&abouts as _, Type::TEXT_ARRAY),
        (&names as _, Type::TEXT_ARRAY),
        (&whats as _, Type::TEXT_ARRAY),
        (&versions as _, Type::INT8_ARRAY),
        (&times as _, Type::TIMESTAMPTZ_ARRAY),
    ];
    let (locked, written, told) = together!(
        lock(tx),
        tx.execute(
            "INSERT INTO larder.changes (seq, about, name, what, version, at) \
             SELECT nextval('larder.sequence'), l.about, l.name, l.what, l.version, l.at FROM ( \
               SELECT * FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY \
               AS a(about, name, what, version, at, nth) ORDER BY nth \
             ) l",
            &params,
        ),
        notify(tx),
    );
    locked?;
    written?;
    told
}

/// Tells other instances, when this is committed, that something was.
pub(crate) async fn notify(tx: &Tx) -> Result<(), Fault> {
    tx.execute("SELECT pg_notify($1, '')", &[(&CHANNEL, Type::TEXT)]).await.map(drop)
}

/// The stretch of the feed behind `after`; and whether the sequence is behind what was swept, where every place would
/// be of another life for good.
pub(crate) async fn changes(tx: &Tx, after: u64, most: usize) -> Result<(Changes, bool), Fault> {
    let (standing, lines) = tx
        .conclude(async {
            let (standing, lines) = together!(
                tx.query_one(
                    "SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END, m.feed_swept, \
                     greatest(m.feed_swept, (SELECT max(seq) FROM larder.changes)) \
                     FROM larder.sequence s CROSS JOIN larder.meta m",
                    &[],
                ),
                tx.query(
                    "SELECT seq, about, name, what, version, at FROM larder.changes \
                     WHERE seq > $1 ORDER BY seq LIMIT $2",
                    &[(&int(after), Type::INT8), (&limit(most), Type::INT8)],
                )
            );
            Ok((standing?, lines?))
        })
        .await?;
    let (seq, swept) = (number(&standing, 0)?, number(&standing, 1)?);
    let lines = lines.iter().map(change).collect::<Result<_, _>>()?;
    // A place further on than there is anything comes from an earlier life of the store. Nothing else tells of one
    // where its files were brought from a copy, and not its rows (see life.rs).
    let changes = Changes { lines, reset: after < swept || after > seq, last: number(&standing, 2)? };
    Ok((changes, swept > seq))
}

fn change(row: &Row) -> Result<Change, Fault> {
    let seq = number(row, 0)?;
    let (about, name): (&str, &str) = (row.try_get(1)?, row.try_get(2)?);
    let on = match about {
        "entry" => Subject::Entry(parse("changes", &seq, "name", name)?),
        "tag" => Subject::Tag(name.to_owned()),
        "source" => Subject::Source(name.to_owned()),
        "all" => Subject::All,
        _ => return Err(bad_row("changes", &seq, "about", about).into()),
    };
    let At(at) = row.try_get(5)?;
    Ok(Change { seq, on, what: row.try_get(3)?, version: number(row, 4)?, at })
}

/// A number that differs after every commit: what the database knows of the transactions that have
/// ended is another after each, and never again what it was. (It differs after those of other
/// applications in the cluster too: then somebody looks for nothing.)
pub(crate) async fn pulse(tx: &Tx) -> Result<u64, Fault> {
    let sql = "SELECT hashtextextended(pg_current_snapshot()::text, 0)";
    let row = tx.conclude(tx.query_one(sql, &[])).await?;
    Ok(row.try_get::<_, i64>(0)?.cast_unsigned())
}

/// A line for the refresh log.
pub(crate) struct Logged<'a> {
    pub(crate) line: &'a LogLine,
    pub(crate) outcome: &'a str,
    pub(crate) items: ItemCounts,
}

impl<'a> Logged<'a> {
    /// One that tells of no items.
    pub(crate) fn of(line: &'a LogLine, outcome: &'a str) -> Self {
        Logged { line, outcome, items: ItemCounts::default() }
    }

    fn is_idle(&self) -> bool {
        self.outcome == self.line.outcome && self.line.is_idle()
    }
}

/// Writes lines of the refresh log.
pub(crate) async fn log(tx: &Tx, lines: &[Logged<'_>]) -> Result<(), Fault> {
    fn all<'a, T>(lines: &'a [Logged<'a>], what: impl Fn(&'a Logged<'a>) -> T) -> Vec<T> {
        lines.iter().map(what).collect()
    }
    let items = |of: fn(&ItemCounts) -> u32| all(lines, |one| i64::from(of(&one.items)));
    let idle: Vec<&str> = lines.iter().filter(|one| one.is_idle()).map(|one| one.line.key.as_str()).collect();
    let written = async {
        tx.execute(
            "INSERT INTO larder.refresh_log (key, triggered_by, started_at, duration_ms, outcome, items_seen, \
             items_added, items_changed, items_removed, calls, cost, error) \
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            &[
                (&all(lines, |one| one.line.key.as_str()), Type::TEXT_ARRAY),
                (&all(lines, |one| one.line.trigger.to_string()), Type::TEXT_ARRAY),
                (&all(lines, |one| At(one.line.started_at)), Type::TIMESTAMPTZ_ARRAY),
                (&all(lines, |one| int(one.line.duration_ms)), Type::INT8_ARRAY),
                (&all(lines, |one| clean(one.outcome)), Type::TEXT_ARRAY),
                (&items(|items| items.seen), Type::INT8_ARRAY),
                (&items(|items| items.added), Type::INT8_ARRAY),
                (&items(|items| items.changed), Type::INT8_ARRAY),
                (&items(|items| items.removed), Type::INT8_ARRAY),
                (&all(lines, |one| i64::from(one.line.spent.calls)), Type::INT8_ARRAY),
                (&all(lines, |one| i64::from(one.line.spent.cost)), Type::INT8_ARRAY),
                (&all(lines, |one| one.line.error.as_deref().map(clean)), Type::TEXT_ARRAY),
            ],
        )
        .await
        .map(drop)
    };
    if idle.is_empty() {
        return written.await;
    }
    let (written, forgotten) = together!(written, forget_idle(tx, &idle));
    written?;
    forgotten
}

/// Removes idle lines that others of their entry have followed.
async fn forget_idle(tx: &Tx, keys: &[&str]) -> Result<(), Fault> {
    tx.execute(
        "DELETE FROM larder.refresh_log WHERE nr IN (SELECT l.nr FROM unnest($1) asked (key), \
         LATERAL (SELECT nr FROM larder.refresh_log WHERE key = asked.key ORDER BY nr DESC LIMIT $2 OFFSET $3) l) \
         AND outcome = 'not_modified' AND calls = 0 AND cost = 0 AND triggered_by <> 'manual'",
        &[
            (&keys, Type::TEXT_ARRAY),
            (&int(LogLine::IDLE_LOOKED_AT as u64), Type::INT8),
            (&int(LogLine::IDLE_KEPT as u64), Type::INT8),
        ],
    )
    .await
    .map(drop)
}

/// The refresh log, newest first.
pub(crate) async fn log_lines(tx: &Tx, filter: &LogFilter) -> Result<Vec<LogLine>, Fault> {
    const COLUMNS: &str = "nr, key, triggered_by, started_at, duration_ms, outcome, items_seen, items_added, \
        items_changed, items_removed, calls, cost, error";
    let by_key = if filter.key.is_some() { "key = $1" } else { "$1 IS NULL" };
    let sql = format!("SELECT {COLUMNS} FROM larder.refresh_log WHERE {by_key} ORDER BY nr DESC LIMIT $2");
    let key = filter.key.as_ref().map(Key::as_str);
    let params = [(&key as _, Type::TEXT), (&limit(filter.limit) as _, Type::INT8)];
    let rows = tx.conclude(tx.query(&sql, &params)).await?;
    rows.iter().map(log_line).collect()
}

fn log_line(row: &Row) -> Result<LogLine, Fault> {
    let nr: i64 = row.try_get(0)?;
    let At(started_at) = row.try_get(3)?;
    Ok(LogLine {
        key: parse("refresh_log", &nr, "key", row.try_get(1)?)?,
        trigger: parse("refresh_log", &nr, "triggered_by", row.try_get(2)?)?,
        started_at,
        duration_ms: number(row, 4)?,
        outcome: row.try_get(5)?,
        items: ItemCounts {
            seen: count(row, 6)?,
            added: count(row, 7)?,
            changed: count(row, 8)?,
            removed: count(row, 9)?,
        },
        spent: Spent { calls: count(row, 10)?, cost: count(row, 11)? },
        error: row.try_get(12)?,
    })
}
