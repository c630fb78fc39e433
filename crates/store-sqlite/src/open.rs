//! Opening: telling a database of ours from a foreign, an old and a damaged one, and making a new
//! one; the usual case in as few steps as possible, since short processes pay for every one.

mod inside;
mod look;

use std::path::{Path, PathBuf};
use std::time::Duration;

use file_id::FileId;
use larder_core::{StoreError, Time, ViewSpec};
use rusqlite::{Connection, OpenFlags};

use crate::errors::{Fault, sql_error};
use crate::files::{make_file, move_aside, which};
use crate::lock::{Lock, pause};
use crate::readers::{self, Readers, Sight};
use crate::schema::{self, SCHEMA};
use crate::views::Views;

use inside::{Seen, Standing, inspect};
use look::{Found, is_redb, look};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The database's file. Missing directories are made, for the user alone.
    pub path: PathBuf,
    /// The kinds to make views and indexes for.
    pub views: Vec<ViewSpec>,
    /// Whether it may be written.
    pub access: Access,
    /// How long to wait for another process before [`StoreError::Busy`].
    pub busy_timeout: Duration,
    /// The most pages (of 4 KiB) that the file may grow to; beyond it, [`StoreError::Full`].
    pub pages_max: Option<u32>,
    /// Now, for the names and dates of what opening makes.
    pub now: Time,
}

impl OpenOptions {
    /// To read and write, without views, waiting at most five seconds for others, of any size.
    pub fn new(path: impl Into<PathBuf>, now: Time) -> Self {
        OpenOptions {
            path: path.into(),
            views: Vec::new(),
            access: Access::ReadWrite,
            busy_timeout: Duration::from_secs(5),
            pages_max: None,
            now,
        }
    }
}

/// Whether a store may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and write, as far as the file system lets us.
    ReadWrite,
    /// Never write, make or move anything.
    ReadOnly,
}

/// An open database.
pub(crate) struct Opened {
    pub(crate) readers: Readers,
    /// `None` where no lock file can be made: then nothing is ever moved either.
    pub(crate) lock: Option<Lock>,
    /// Where a damaged file was moved on the way.
    pub(crate) recovered: Option<PathBuf>,
    /// Which file it is; `None` = not known.
    pub(crate) file: Option<FileId>,
}

impl Opened {
    fn new(
        options: &OpenOptions,
        sight: Sight,
        first: Connection,
        lock: Option<Lock>,
        recovered: Option<PathBuf>,
    ) -> Opened {
        let readers = Readers::new(&options.path, options.busy_timeout, sight, first);
        Opened { readers, lock, recovered, file: which(&options.path).ok().flatten() }
    }
}

/// Opens or makes the database.
pub(crate) fn open(options: &OpenOptions, place: &str) -> Result<Opened, StoreError> {
    let views = Views::of(&options.views);
    match look(&options.path, place)? {
        Found::Foreign(found) => Err(StoreError::Foreign { place: place.to_owned(), found }),
        Found::Ours => open_ours(options, &views, place),
        Found::Nothing if options.access == Access::ReadOnly => Err(StoreError::ReadOnly {
            place: place.to_owned(),
            cause: "there is no database yet, and it is opened for reading alone".to_owned(),
            hint: None,
        }),
        Found::Nothing => {
            views.check(place)?;
            make_file(&options.path)?;
            let lock = Lock::take(&options.path, options.access, options.busy_timeout)?;
            make(options, &views, place)?;
            finish(options, Some(lock), None, place)
        }
    }
}

/// How many pages gather beside the file before they are written into it: what is written again and again
/// meanwhile, as a scan of a hundred projects does, is written there once. 16 MB, which readers find their
/// way in as quickly (the index beside it holds 4,096 pages a part).
const CHECKPOINT_PAGES: u32 = 4_000;

/// Opens a connection that writes.
pub(crate) fn connect_writer(options: &OpenOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&options.path, flags)?;
    conn.busy_timeout(options.busy_timeout)?;
    readers::keep_statements(&conn)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    if let Some(pages) = options.pages_max {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(conn)
}

/// Opens a connection that only looks, where there is a database of ours.
pub(crate) fn connect_ours(path: &Path, place: &str) -> Result<Option<Connection>, StoreError> {
    match look(path, place)? {
        Found::Foreign(found) => Err(StoreError::Foreign { place: place.to_owned(), found }),
        Found::Nothing => Ok(None),
        Found::Ours => {
            let failed = |error: &rusqlite::Error| sql_error(error, place, "open it");
            let error = match look_inside(path, LOOK_TIMEOUT, Sight::Shared) {
                Ok((conn, _)) => return Ok(Some(conn)),
                Err(error) => failed(&error),
            };
            if !may_lie_alone(&error, path) {
                return Err(error);
            }
            let (conn, _) =
                look_inside(path, LOOK_TIMEOUT, Sight::Immutable).map_err(|error| failed(&error))?;
            Ok(Some(conn))
        }
    }
}

/// How long one who only looks waits for others.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a connection that reads, and what it sees.
fn look_inside(path: &Path, busy_timeout: Duration, sight: Sight) -> rusqlite::Result<(Connection, Seen)> {
    let conn = readers::connect(path, busy_timeout, sight)?;
    inspect(&conn).map(|seen| (conn, seen))
}

/// Whether a file that cannot be looked at beside a writer may be looked at alone: a directory that lets nobody
/// write lets nobody make the side files of a reader.
fn may_lie_alone(error: &StoreError, path: &Path) -> bool {
    matches!(error, StoreError::Failed { .. } | StoreError::ReadOnly { .. }) && readers::is_alone(path)
}

/// Moves a damaged database aside and opens a new one in its place, if nobody else uses it. All of
/// this handle's connections must be closed.
pub(crate) fn replace_damaged(
    options: &OpenOptions,
    lock: Lock,
    place: &str,
) -> Result<(Opened, PathBuf), (Lock, StoreError)> {
    let views = Views::of(&options.views);
    let replaced = lock.alone(|| {
        let aside = move_aside(&options.path, options.now)?;
        make_file(&options.path)?;
        make(options, &views, place)?;
        begin_elsewhere(options, place)?;
        Ok(aside)
    });
    match replaced {
        None => {
            let cause = "it is still used by another process, so it was left in place".to_owned();
            Err((lock, StoreError::Corrupt { place: place.to_owned(), cause, moved_to: None }))
        }
        Some(Err(error)) => Err((lock, error)),
        Some(Ok(aside)) => match readers::connect(&options.path, options.busy_timeout, Sight::Shared) {
            Err(error) => Err((lock, sql_error(&error, place, "open it anew"))),
            Ok(conn) => {
                Ok((Opened::new(options, Sight::Shared, conn, Some(lock), Some(aside.clone())), aside))
            }
        },
    }
}

/// How long one that meets a damaged file gives way to others that do: one of them finds itself
/// alone and replaces it.
const GIVE_WAY_MAX: Duration = Duration::from_millis(250);

fn open_ours(options: &OpenOptions, views: &Views, place: &str) -> Result<Opened, StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        let lock = take_lock(options)?;
        let error = match check(options, place) {
            Ok(standing) => return settle(options, views, lock, standing, place),
            Err(error) => error,
        };
        if matches!(error, StoreError::Corrupt { .. }) && is_redb(&options.path) {
            let found = "it is a redb database, which is named `redb:PATH`".to_owned();
            return Err(StoreError::Foreign { place: place.to_owned(), found });
        }
        let (Some(lock), StoreError::Corrupt { .. }, Access::ReadWrite) = (lock, &error, options.access)
        else {
            return Err(error);
        };
        match replace_damaged(options, lock, place) {
            Ok((opened, _)) => return Ok(opened),
            Err((lock, StoreError::Corrupt { .. })) if waited < GIVE_WAY_MAX => {
                drop(lock);
                waited += pause();
            }
            Err((_, error)) => return Err(error),
        }
    }
}

/// No lock file can be made in a directory that is not ours to write; reading goes on without.
fn take_lock(options: &OpenOptions) -> Result<Option<Lock>, StoreError> {
    match Lock::take(&options.path, options.access, options.busy_timeout) {
        Ok(lock) => Ok(Some(lock)),
        Err(StoreError::ReadOnly { .. } | StoreError::Full { .. }) => Ok(None),
        Err(StoreError::Failed { .. }) if options.access == Access::ReadOnly => Ok(None),
        Err(error) => Err(error),
    }
}

fn check(options: &OpenOptions, place: &str) -> Result<Standing, StoreError> {
    let failed = |error: &rusqlite::Error| sql_error(error, place, "open it");
    let look = |sight| look_inside(&options.path, options.busy_timeout, sight);
    let error = match look(Sight::Shared) {
        Ok((conn, seen)) => return seen.standing(conn, Sight::Shared, place),
        Err(error) => failed(&error),
    };
    if !matches!(error, StoreError::Failed { .. } | StoreError::ReadOnly { .. }) {
        return Err(error);
    }
    // A crash while the file was made leaves a journal that only a writer may roll back.
    let rolled_back = options.access == Access::ReadWrite
        && connect_writer(options).is_ok_and(|conn| inspect(&conn).is_ok());
    if rolled_back && let Ok((conn, seen)) = look(Sight::Shared) {
        return seen.standing(conn, Sight::Shared, place);
    }
    if may_lie_alone(&error, &options.path) {
        let (conn, seen) = look(Sight::Immutable).map_err(|error| failed(&error))?;
        return seen.standing(conn, Sight::Immutable, place);
    }
    Err(error)
}

fn settle(
    options: &OpenOptions,
    views: &Views,
    lock: Option<Lock>,
    standing: Standing,
    place: &str,
) -> Result<Opened, StoreError> {
    let Standing { conn, sight, schema, views: held } = standing;
    let up_to_date = schema == SCHEMA && held.as_deref() == Some(views.fingerprint());
    let may_write = options.access == Access::ReadWrite && sight == Sight::Shared;
    if up_to_date || (!may_write && schema == SCHEMA) {
        return Ok(Opened::new(options, sight, conn, lock, None));
    }
    drop(conn);
    match make(options, views, place) {
        // Lists only lose their indexes: what can be read is worth reading.
        Err(StoreError::ReadOnly { .. }) if schema == SCHEMA => {}
        made => made?,
    }
    finish(options, lock, None, place)
}

fn finish(
    options: &OpenOptions,
    lock: Option<Lock>,
    recovered: Option<PathBuf>,
    place: &str,
) -> Result<Opened, StoreError> {
    let conn = readers::connect(&options.path, options.busy_timeout, Sight::Shared)
        .map_err(|error| sql_error(&error, place, "open it"))?;
    Ok(Opened::new(options, Sight::Shared, conn, lock, recovered))
}

/// Brings schema and views to where they must be; also from nothing.
fn make(options: &OpenOptions, views: &Views, place: &str) -> Result<(), StoreError> {
    let attempted = "make the database";
    views.check(place)?;
    let failed = |error: rusqlite::Error| sql_error(&error, place, attempted);
    let mut conn = connect_writer(options).map_err(failed)?;
    schema::migrate_up(&mut conn, place, options.now)?;
    use_wal(&conn, options.busy_timeout).map_err(failed)?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    views.rebuild(&tx).map_err(|fault: Fault| fault.named(place, attempted))?;
    tx.commit().map_err(failed)
}

/// A place in the feed of the life before must not be one in the new one's, for a process that lives through
/// both: so its numbers begin somewhere else. 52 bits, for readers of JSON that know doubles alone.
fn begin_elsewhere(options: &OpenOptions, place: &str) -> Result<(), StoreError> {
    connect_writer(options)
        .and_then(|conn| {
            conn.execute_batch(
                "BEGIN; UPDATE meta SET seq = random() & 4503599627370495; UPDATE meta SET feed_swept = seq; COMMIT",
            )
        })
        .map_err(|error| sql_error(&error, place, "make the database"))
}

/// The same of a file that was put in the place of another: its numbers go on, a good way further, and what its
/// feed said is nothing that anybody has heard so far.
pub(crate) fn go_on_elsewhere(options: &OpenOptions, place: &str) -> Result<(), StoreError> {
    connect_writer(options)
        .and_then(|conn| {
            conn.execute_batch(
                "BEGIN IMMEDIATE; UPDATE meta SET seq = seq + 1 + (random() & 1099511627775); \
                 UPDATE meta SET feed_swept = seq; COMMIT",
            )
        })
        .map_err(|error| sql_error(&error, place, "go on with it"))
}

/// The change of journal needs the file for itself, and SQLite does not wait for that.
pub(crate) fn use_wal(conn: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        let mode = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Err(rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == rusqlite::ErrorCode::DatabaseBusy && waited < busy_timeout =>
            {
                waited += pause();
            }
            other => return other.map(drop),
        }
    }
}
