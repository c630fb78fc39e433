//! Connections that read, opened when wanted and kept for the next. A read is one transaction and
//! so sees one state of the store; the writer never waits for it, nor it for the writer.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::errors::Fault;

/// How many idle connections are kept.
const IDLE_MAX: usize = 8;

/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 96;

/// The pool.
pub(crate) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    sight: Sight,
    idle: Mutex<Vec<Connection>>,
}

/// How a reader looks at the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Beside a writer, by way of the shared-memory file.
    Shared,
    /// Alone: the directory lets nobody write, so nobody does, and no side file can be made.
    Immutable,
}

impl Readers {
    /// A pool with its first connection.
    pub(crate) fn new(path: &Path, busy_timeout: Duration, sight: Sight, first: Connection) -> Self {
        Readers { path: path.to_owned(), busy_timeout, sight, idle: Mutex::new(vec![first]) }
    }

    /// Runs `work` in one read transaction.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let conn = match self.idle().pop() {
            Some(conn) => conn,
            None => connect(&self.path, self.busy_timeout, self.sight)?,
        };
        conn.prepare_cached("BEGIN")?.execute([])?;
        let done = work(&conn);
        let ended = conn.prepare_cached("COMMIT")?.execute([]);
        // A connection that saw an error is not worth keeping.
        if done.is_ok() && ended.is_ok() {
            let mut idle = self.idle();
            if idle.len() < IDLE_MAX {
                idle.push(conn);
            }
        }
        done
    }

    /// How they look at the file.
    pub(crate) fn sight(&self) -> Sight {
        self.sight
    }

    /// Closes all idle connections.
    pub(crate) fn close(&self) {
        self.idle().clear();
    }

    /// Forgets all idle connections: the process ends.
    pub(crate) fn abandon(&self) {
        self.idle().drain(..).for_each(std::mem::forget);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
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
