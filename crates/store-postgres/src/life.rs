//! Lives of the store. A database that was restored from a copy looks like the one that it is a copy of, and is
//! another: what became of the store since the copy was made never was, and its numbers are given out again.
//!
//! It is told by the one row of `larder.written`, which names the transaction that wrote it and the table that it is
//! in: whatever brings the row from a copy writes it in another one, or into another. So every transaction first looks whether it is in the life that was
//! found whole, and stops where it is not. Whoever meets another life waits until all of it was brought, of which
//! the keys are the last (`pg_restore` makes all tables first, then fills them, and adds keys after that), and then
//! begins it: with another epoch, for tokens of leases, and a stride further in the sequence, so that no place in the
//! feed from before passes for one of it. Whoever may not write reads it as it is, until somebody else begins it.
//!
//! A schema that was made anew under a store that is open, by whomever, counts from 1 again: it gets its stride from
//! the first who comes there from another life.
//!
//! Where the database's files were brought from a copy, and not its rows, the row is as it was. Then a place beyond
//! the sequence is the only sign.

use larder_core::StoreError;
use tokio_postgres::types::Type;

use crate::connections::{Connections, Mode};
use crate::errors::Fault;
use crate::feed;
use crate::rights::TABLES;
use crate::schema::OPENING;
use crate::transaction::Tx;

/// A life of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// The [number](LIFE) of what the row was written by, and into.
    pub(crate) nr: i64,
    /// Whether it names itself: it was not brought from a copy.
    pub(crate) is_own: bool,
}

/// The table that the row is in, and the transaction that wrote it, in one number that is never 0.
pub(crate) const LIFE: &str = "((written.tableoid::bigint << 32) | written.xmin::text::bigint)";

/// Whether the row says so itself.
pub(crate) const IS_OWN: &str = "(written.by = written.xmin AND written.in_table = written.tableoid)";

/// A value, 1, that fails unless the store is in that life. As a condition, which no row decides, it is looked at
/// before any row is, and where there is none.
pub(crate) fn is_still(life: i64) -> String {
    format!("(SELECT 1 / count(*) FROM larder.written WHERE {LIFE} = '{life}')")
}

/// That not all of it is there yet.
pub(crate) fn being_restored(place: &str, found: &str) -> StoreError {
    StoreError::Unreachable {
        place: place.to_owned(),
        attempted: OPENING,
        cause: format!("it is being restored from a copy: {found}"),
    }
}

/// From here on the store is in that life. One that was brought from a copy is begun, once all of it is there; and so
/// is one that was made since another was found whole.
pub(crate) async fn go_on(
    connections: &Connections,
    place: &str,
    life: Option<Life>,
) -> Result<(), StoreError> {
    let Some(life) = life else { return Ok(()) };
    if !life.is_own {
        let lacking = connections.run(Mode::Look, OPENING, |tx| async move { lacking(&tx).await }).await?;
        if let Some(lacking) = lacking {
            return Err(being_restored(place, &lacking));
        }
    }
    let known = connections.life();
    let begun = if life.is_own && (known == 0 || known == life.nr) {
        Ok(life.nr)
    } else {
        connections.run(Mode::Long, "begin another life of it", |tx| async move { begin(&tx).await }).await
    };
    let nr = match begun {
        Ok(nr) => nr,
        Err(error @ (StoreError::Denied { .. } | StoreError::ReadOnly { .. })) => {
            tracing::debug!(%place, %error, "it was restored from a copy, and is read as it is");
            life.nr
        }
        Err(error) => return Err(error),
    };
    connections.set_life(nr);
    Ok(())
}

/// What is not there yet of what a copy brings last, in a phrase.
async fn lacking(tx: &Tx) -> Result<Option<String>, Fault> {
    let mut keys: Vec<String> = TABLES.iter().map(|table| format!("{table}_pkey")).collect();
    keys.extend(["entries_key_key", "items_id_kind_key"].map(str::to_owned));
    let sql = "SELECT min(name) FROM unnest($1) name WHERE to_regclass('larder.' || name) IS NULL";
    let key = tx.query_one(sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    if let Some(key) = key.try_get::<_, Option<&str>>(0)? {
        return Ok(Some(format!("the key `{key}` is not there yet")));
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM larder.changes c WHERE c.seq > n.last) OR EXISTS ( \
                 SELECT 1 FROM larder.entries e \
                 WHERE greatest(e.began, e.invalidated, e.marked, e.lease_seq) > n.last) \
               FROM (SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END AS last FROM larder.sequence s) n";
    let is_behind: bool = tx.query_one(sql, &[]).await?.try_get(0)?;
    Ok(is_behind.then(|| "the sequence is not set yet".to_owned()))
}

/// Begins the life of a store that was restored or made anew, unless somebody else has. Answers which it is.
async fn begin(tx: &Tx) -> Result<i64, Fault> {
    alone(tx).await?;
    // A stride so long that no two lives come by the same numbers.
    let stride = "feed_swept = setval('larder.sequence', \
                  (SELECT last_value + 1 + floor(random() * 1099511627776)::bigint FROM larder.sequence))";
    let own = format!(
        "UPDATE larder.written SET by = pg_current_xact_id()::xid, in_table = tableoid WHERE NOT {IS_OWN}"
    );
    if tx.execute(&own, &[]).await? > 0 {
        // 53 bits of an epoch.
        let anew =
            format!("UPDATE larder.meta SET epoch = floor(random() * 9007199254740991)::bigint, {stride}");
        tx.execute(&anew, &[]).await?;
        tracing::warn!("the database was restored from a copy: whoever follows its changes begins anew");
    } else {
        // Whoever began it before has made the stride.
        tx.execute(&format!("UPDATE larder.meta SET {stride} WHERE feed_swept = 0"), &[]).await?;
    }
    let row = tx.query_one(&format!("SELECT {LIFE} FROM larder.written"), &[]).await?;
    Ok(row.try_get(0)?)
}

/// Moves the sequence beyond all that has a number. A restore of rows alone sets it last, to what it was when the copy
/// was made; by then who met the rows may have begun another life. What has taken numbers since is behind those that
/// were heard before, so the feed begins anew.
pub(crate) async fn catch_up(tx: &Tx) -> Result<(), Fault> {
    alone(tx).await?;
    let sql = "UPDATE larder.meta SET feed_swept = setval('larder.sequence', 1 + greatest(feed_swept, \
                 (SELECT max(seq) FROM larder.changes), (SELECT max(seq) FROM larder.markers), \
                 (SELECT max(greatest(began, invalidated, marked, lease_seq)) FROM larder.entries))) \
               WHERE feed_swept > (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM larder.sequence)";
    if tx.execute(sql, &[]).await? > 0 {
        tracing::warn!("the sequence was behind the feed: whoever follows its changes begins anew");
    }
    Ok(())
}

/// Until the end of the transaction nobody else begins a life, moves the sequence, or takes a number of the feed: a
/// commit under way would come behind what is swept, and be told to nobody.
async fn alone(tx: &Tx) -> Result<(), Fault> {
    tx.execute("SELECT 1 FROM larder.written FOR UPDATE", &[]).await?;
    // Whoever removes entries has this row before the feed.
    tx.execute("SELECT 1 FROM larder.meta FOR UPDATE", &[]).await?;
    feed::lock(tx).await
}
