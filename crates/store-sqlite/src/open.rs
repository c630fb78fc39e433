//! Opening: telling a database of ours from a foreign, an old and a damaged one, and making a new
//! one; the usual case in as few steps as possible, since short processes pay for every one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use file_id::FileId;
use larder_core::{StoreError, Time, ViewSpec};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::errors::{Fault, io_error, sql_error};
use crate::files::{make_file, move_aside, which, with_suffix};
use crate::lock::{Lock, pause};
use crate::readers::{self, Readers, Sight};
use crate::schema::{self, APPLICATION_ID, SCHEMA};
use crate::views::Views;

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

/// What lies at the path.
enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// A database that calls itself ours, or a torn one that must be.
    Ours,
    /// Something else: in a phrase.
    Foreign(String),
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

/// Tells what is there without leaving a trace and without opening the file by other means than
/// SQLite's: closing it would drop the locks that another handle of this process holds on it.
fn look(path: &Path, place: &str) -> Result<Found, StoreError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(io_error(&error, path, "look at the database")),
    };
    if !metadata.is_file() {
        return Ok(Found::Foreign("it is no file".to_owned()));
    }
    if metadata.len() == 0 {
        return Ok(Found::Nothing);
    }
    if Lock::is_beside(path) {
        return Ok(Found::Ours);
    }
    let failed = |error: &rusqlite::Error| sql_error(error, place, "look at the database");
    let conn = readers::connect(path, Duration::ZERO, Sight::Immutable).map_err(|error| failed(&error))?;
    let id: Result<i32, _> = conn.pragma_query_value(None, "application_id", |row| row.get(0));
    let id = match id {
        Ok(id) => id,
        Err(error) => {
            return match failed(&error) {
                StoreError::Corrupt { .. } if header_is_ours(path) => Ok(Found::Ours),
                StoreError::Corrupt { .. } => Ok(Found::Foreign("it is no SQLite database".to_owned())),
                other => Err(other),
            };
        }
    };
    if id == APPLICATION_ID {
        return Ok(Found::Ours);
    }
    let has_wal = fs::metadata(with_suffix(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let tables: Result<i64, _> = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
    if id == 0 && !has_wal && matches!(tables, Ok(0)) {
        return Ok(Found::Nothing);
    }
    Ok(Found::Foreign(format!("it is another program's SQLite database (application_id {id})")))
}

/// Bytes 68 to 71 hold the application's number also where the rest of a header is damaged.
fn header_is_ours(path: &Path) -> bool {
    use std::io::Read;
    let mut header = [0_u8; 72];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[68..72] == APPLICATION_ID.to_be_bytes()
}

/// A store of the other kind that lies in a file has the same lock beside it.
fn is_redb(path: &Path) -> bool {
    use std::io::Read;
    let mut header = [0_u8; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header == *b"redb"
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

/// How a database of ours stands.
struct Standing {
    conn: Connection,
    sight: Sight,
    schema: u32,
    views: Option<String>,
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

struct Seen {
    application: i32,
    schema: u32,
    views: Option<String>,
    /// Whether nobody made anything in it.
    is_empty: bool,
}

impl Seen {
    fn standing(self, conn: Connection, sight: Sight, place: &str) -> Result<Standing, StoreError> {
        // Who was making it ended first, and what was made was rolled back: it is made anew.
        if self.application == 0 && self.is_empty {
            return Ok(Standing { conn, sight, schema: 0, views: None });
        }
        if self.application != APPLICATION_ID {
            let found =
                format!("it is another program's SQLite database (application_id {})", self.application);
            return Err(StoreError::Foreign { place: place.to_owned(), found });
        }
        schema::refuse_newer(self.schema, place)?;
        if self.schema > 0 && self.views.is_none() {
            let found = "it has Larder's mark, but not Larder's tables".to_owned();
            return Err(StoreError::Foreign { place: place.to_owned(), found });
        }
        Ok(Standing { conn, sight, schema: self.schema, views: self.views })
    }
}

/// In the usual case one statement.
fn inspect(conn: &Connection) -> rusqlite::Result<Seen> {
    let all = conn.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), \
         (SELECT user_version FROM pragma_user_version), views FROM meta",
        [],
        |row| Ok(Seen { application: row.get(0)?, schema: row.get(1)?, views: row.get(2)?, is_empty: false }),
    );
    match all {
        Err(rusqlite::Error::SqliteFailure(failure, _)) if failure.code == rusqlite::ErrorCode::Unknown => {
            inspect_foreign(conn)
        }
        Err(rusqlite::Error::QueryReturnedNoRows) => inspect_foreign(conn),
        other => other,
    }
}

fn inspect_foreign(conn: &Connection) -> rusqlite::Result<Seen> {
    Ok(Seen {
        application: conn.pragma_query_value(None, "application_id", |row| row.get(0))?,
        schema: conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
        views: conn.query_row("SELECT views FROM meta", [], |row| row.get(0)).optional().unwrap_or_default(),
        is_empty: conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?,
    })
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
