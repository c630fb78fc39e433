//! Connections that read, opened when wanted and kept for the next. A read is one transaction and
//! so sees one state of the store; the writer never waits for it, nor it for the writer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::errors::Fault;
use crate::files::with_suffix;

/// How many idle connections are kept.
const IDLE_MAX: usize = 8;

/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 96;

/// The pool.
pub(crate) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    /// How they looked at the file when it was opened.
    sight: Sight,
    idle: Mutex<Idle>,
}

/// Connections that wait for work.
struct Idle {
    conns: Vec<Connection>,
    /// How the file lay when these took it for theirs alone.
    alone: Option<Lie>,
    /// Another for each time that all were let go of.
    life: u64,
}

/// How a reader looks at the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Beside a writer, by way of the shared-memory file.
    Shared,
    /// Alone: the directory lets nobody write, so nobody does, and no side file can be made. Somebody
    /// whom it lets may come all the same (root, another container): then the file lies otherwise.
    Immutable,
}

/// How the file lies on disk: it was not written as long as that is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lie {
    bytes: u64,
    modified: Option<SystemTime>,
    has_wal: bool,
}

impl Lie {
    fn of(path: &Path) -> Lie {
        let file = fs::metadata(path).ok();
        Lie {
            bytes: file.as_ref().map_or(0, fs::Metadata::len),
            modified: file.and_then(|file| file.modified().ok()),
            has_wal: !is_alone(path),
        }
    }
}

/// Only where nothing waits in a journal is the file by itself the whole truth.
pub(crate) fn is_alone(path: &Path) -> bool {
    let empty = |suffix| fs::metadata(with_suffix(path, suffix)).map_or(true, |file| file.len() == 0);
    empty("-wal") && empty("-journal")
}

impl Readers {
    /// A pool with its first connection.
    pub(crate) fn new(path: &Path, busy_timeout: Duration, sight: Sight, first: Connection) -> Self {
        let alone = (sight == Sight::Immutable).then(|| Lie::of(path));
        let idle = Idle { conns: vec![first], alone, life: 0 };
        Readers { path: path.to_owned(), busy_timeout, sight, idle: Mutex::new(idle) }
    }

    /// Runs `work` in one read transaction.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let (conn, life) = self.take()?;
        conn.prepare_cached("BEGIN")?.execute([])?;
        let done = work(&conn);
        let ended = conn.prepare_cached("COMMIT")?.execute([]);
        // A connection that saw an error is not worth keeping.
        if done.is_ok() && ended.is_ok() {
            let mut idle = self.idle();
            if idle.conns.len() < IDLE_MAX && idle.life == life {
                idle.conns.push(conn);
            }
        }
        done
    }

    /// A connection, and the life of the pool that it belongs to.
    fn take(&self) -> Result<(Connection, u64), Fault> {
        let mut idle = self.idle();
        if idle.alone.is_some_and(|lie| lie != Lie::of(&self.path)) {
            idle.conns.clear();
            idle.life += 1;
        }
        if let Some(conn) = idle.conns.pop() {
            return Ok((conn, idle.life));
        }
        if self.sight == Sight::Shared {
            let life = idle.life;
            drop(idle);
            return Ok((connect(&self.path, self.busy_timeout, Sight::Shared)?, life));
        }
        let (conn, alone) = self.look_anew()?;
        idle.alone = alone;
        Ok((conn, idle.life))
    }

    /// Beside whoever writes now, if anybody does; else alone, as long as the file lies as it does.
    fn look_anew(&self) -> rusqlite::Result<(Connection, Option<Lie>)> {
        let lie = Lie::of(&self.path);
        let shared = connect(&self.path, self.busy_timeout, Sight::Shared)
            .and_then(|conn| conn.query_row("SELECT 1 FROM meta", [], |_| Ok(())).map(|()| conn));
        match shared {
            Ok(conn) => Ok((conn, None)),
            Err(_) if !lie.has_wal => {
                Ok((connect(&self.path, self.busy_timeout, Sight::Immutable)?, Some(lie)))
            }
            Err(error) => Err(error),
        }
    }

    /// How they looked at the file when it was opened: alone, where nothing can be written.
    pub(crate) fn sight(&self) -> Sight {
        self.sight
    }

    /// Closes all idle connections.
    pub(crate) fn close(&self) {
        self.idle().conns.clear();
    }

    /// Forgets all idle connections: the process ends.
    pub(crate) fn abandon(&self) {
        self.idle().conns.drain(..).for_each(std::mem::forget);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection that cannot write.
pub(crate) fn connect(path: &Path, busy_timeout: Duration, sight: Sight) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match sight {
        Sight::Shared => Connection::open_with_flags(path, flags)?,
        Sight::Immutable => {
            Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    conn.busy_timeout(busy_timeout)?;
    keep_statements(&conn)?;
    // A short process that only reads must not pay for the writers' checkpoint when it ends.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(conn)
}

/// Statements are prepared once a connection. Without the planner's promise of stability SQLite may
/// throw one away whenever another value is bound, which costs more than most reads.
pub(crate) fn keep_statements(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for c in path.to_string_lossy().chars() {
        match c {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            c => uri.push(c),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(readers: &Readers) -> i64 {
        let count =
            |conn: &Connection| Ok(conn.query_row("SELECT count(*) FROM meta", [], |row| row.get(0))?);
        readers.with(count).unwrap()
    }

    #[test]
    fn who_took_the_file_for_his_alone_sees_what_another_writes_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("larder.db");
        let write = |sql: &str| {
            let conn = Connection::open(&path).unwrap();
            conn.execute_batch(sql).unwrap();
            conn
        };
        drop(write("PRAGMA journal_mode = WAL; CREATE TABLE meta (n); INSERT INTO meta VALUES (1);"));
        let first = connect(&path, Duration::ZERO, Sight::Immutable).unwrap();
        let readers = Readers::new(&path, Duration::ZERO, Sight::Immutable, first);
        assert_eq!((count(&readers), readers.idle().alone.is_some()), (1, true));
        let writer = write("INSERT INTO meta VALUES (2);");
        assert_eq!(count(&readers), 2, "in the journal");
        writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO meta VALUES (3);").unwrap();
        drop(writer);
        assert_eq!(count(&readers), 3, "in the file");
    }
}
