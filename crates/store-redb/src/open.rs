//! Opening: telling a database of ours from a foreign, an old and a damaged one, and making a new
//! one. Looking costs some forty microseconds and leaves no trace, so it is done every time.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, StoreError, Time};
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use crate::errors::{Fault, guarded, io_error};
use crate::files::{make_file, move_aside};
use crate::lock::{Lock, pause};
use crate::overlay::Overlay;
use crate::sequence::{Meta, epoch};
use crate::tables::{self, Look, MAGIC, MAGIC_ROW, SCHEMA, SCHEMA_ROW, Snapshot, Table, Tx};

/// How to open a store.
#[derive(Clone)]
pub struct OpenOptions {
    /// The database's file. Missing directories are made, for the user alone.
    pub path: PathBuf,
    /// Whether it may be written.
    pub access: Access,
    /// How long the file is kept from other processes.
    pub hold: Hold,
    /// How long to wait for another process before [`StoreError::Held`].
    pub busy_timeout: Duration,
    /// The most memory, in bytes, for pages of the file while it is held.
    pub cache_bytes: usize,
    /// Whose time is waited by; `None` = the machine's. Opening itself, and the thread that writes,
    /// always wait by the machine's.
    pub clock: Option<Arc<dyn Clock>>,
    /// Now, for the names of what opening moves aside.
    pub now: Time,
}

impl OpenOptions {
    /// To read and write, taking turns with other processes, for each of whom it waits at most two
    /// seconds; with 64 MiB of memory for pages.
    pub fn new(path: impl Into<PathBuf>, now: Time) -> Self {
        OpenOptions {
            path: path.into(),
            access: Access::ReadWrite,
            hold: Hold::PerCall,
            busy_timeout: Duration::from_secs(2),
            cache_bytes: 64 * 1024 * 1024,
            clock: None,
            now,
        }
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("path", &self.path)
            .field("access", &self.access)
            .field("hold", &self.hold)
            .field("busy_timeout", &self.busy_timeout)
            .field("cache_bytes", &self.cache_bytes)
            .field("now", &self.now)
            .finish_non_exhaustive()
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

/// How long the file is kept from other processes: redb lets one process at a time write, and
/// nobody read meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// From opening to the end, for a server: reads and writes find it open.
    Throughout,
    /// For a call, or a short run of calls, for programs that come and go: it is never held across
    /// a fetch.
    PerCall,
}

/// An open database.
pub(crate) struct Opened {
    /// The file, where it is held.
    pub(crate) database: Option<Database>,
    /// `None` where no lock file can be made: then nothing is ever moved either.
    pub(crate) lock: Option<Lock>,
    /// Where a damaged file was moved on the way.
    pub(crate) recovered: Option<PathBuf>,
}

/// A database that is open for one look.
pub(crate) enum Alone {
    /// Beside others who read.
    Clean(ReadOnlyDatabase),
    /// Repaired in memory: it was not closed well, and may not be written.
    Mended(Database),
}

impl Alone {
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, redb::TransactionError> {
        match self {
            Alone::Clean(database) => database.begin_read(),
            Alone::Mended(database) => database.begin_read(),
        }
    }
}

/// What lies at the path.
enum Found {
    /// Nothing, an empty file, or a database without tables.
    Nothing,
    /// A database of ours.
    Ours(Alone),
}

/// Opens or makes the database, waiting for others as long as it may.
pub(crate) fn open(options: &OpenOptions, place: &str) -> Result<Opened, StoreError> {
    let named = |fault: Fault| fault.named(place, "open it");
    let is_new = match waiting(options, || look(options, place)) {
        Ok(Found::Nothing) if options.access == Access::ReadOnly => {
            return Err(StoreError::ReadOnly {
                place: place.to_owned(),
                cause: "there is no database yet, and it is opened for reading alone".to_owned(),
                hint: None,
            });
        }
        Ok(Found::Nothing) => {
            make_file(&options.path)?;
            true
        }
        Ok(Found::Ours(_)) => false,
        Err(fault) if fault.is_damage() => return open_damaged(options, fault, place),
        Err(fault) => return Err(named(fault)),
    };
    let lock = take_lock(options)?;
    let recovered = None;
    if options.access == Access::ReadOnly || (options.hold == Hold::PerCall && !is_new) {
        return Ok(Opened { database: None, lock, recovered });
    }
    match waiting(options, || for_writing(options, place)) {
        Ok(database) => {
            let database = Some(database).filter(|_| options.hold == Hold::Throughout);
            Ok(Opened { database, lock, recovered })
        }
        Err(fault) if fault.is_damage() => open_damaged(options, fault, place),
        Err(fault) => match named(fault) {
            // What can be read is worth reading.
            StoreError::ReadOnly { .. } | StoreError::Full { .. } if !is_new => {
                Ok(Opened { database: None, lock, recovered })
            }
            error => Err(error),
        },
    }
}

/// Tries again while another process has the file.
fn waiting<T>(options: &OpenOptions, mut attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let mut waited = Duration::ZERO;
    loop {
        match attempt() {
            Err(Fault::Held) if waited < options.busy_timeout => waited += pause(),
            done => return done,
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

/// How long one that meets a damaged file gives way to others that do: one of them finds itself
/// alone and replaces it.
const GIVE_WAY_MAX: Duration = Duration::from_millis(250);

/// A store of the other kind that lies in a file has the same lock beside it.
fn is_sqlite(path: &Path) -> bool {
    use std::io::Read;
    let mut header = [0_u8; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header == *b"SQLite format 3\0"
}

/// Moves a damaged file of ours aside and begins anew, or opens what another made meanwhile.
fn open_damaged(options: &OpenOptions, fault: Fault, place: &str) -> Result<Opened, StoreError> {
    let named = |fault: Fault| fault.named(place, "open it");
    if is_sqlite(&options.path) {
        let found = "it is a SQLite database, which is named `sqlite:PATH`".to_owned();
        return Err(StoreError::Foreign { place: place.to_owned(), found });
    }
    if options.access == Access::ReadOnly {
        return Err(named(fault));
    }
    let held = |database| Some(database).filter(|_| options.hold == Hold::Throughout);
    let mut waited = Duration::ZERO;
    loop {
        let Some(lock) = take_lock(options)? else { return Err(named(fault)) };
        // By now another may have replaced it.
        match waiting(options, || for_writing(options, place)) {
            Ok(database) => {
                return Ok(Opened { database: held(database), lock: Some(lock), recovered: None });
            }
            Err(fault) if fault.is_damage() => {}
            Err(fault) => return Err(named(fault)),
        }
        match replace_damaged(options, &lock, place) {
            Ok((database, aside)) => {
                return Ok(Opened { database: held(database), lock: Some(lock), recovered: Some(aside) });
            }
            Err(StoreError::Corrupt { .. }) if waited < GIVE_WAY_MAX => {
                drop(lock);
                waited += pause();
            }
            Err(error) => return Err(error),
        }
    }
}

/// Moves a damaged database aside and makes a new one in its place, if nobody else uses it. This
/// handle must have closed it.
pub(crate) fn replace_damaged(
    options: &OpenOptions,
    lock: &Lock,
    place: &str,
) -> Result<(Database, PathBuf), StoreError> {
    let replaced = lock.alone(|| {
        let aside = move_aside(&options.path, options.now)?;
        make_file(&options.path)?;
        let made = for_writing_as(options, place, Meta::after_another)
            .map_err(|fault| fault.named(place, "make the database"))?;
        Ok((made, aside))
    });
    replaced.unwrap_or_else(|| {
        let cause = "it is still used by another process, so it was left in place".to_owned();
        Err(StoreError::Corrupt { place: place.to_owned(), cause, moved_to: None })
    })
}

/// Opens the database for one look. One that was not closed well is repaired first, in the file or,
/// where that may not be touched, in memory.
pub(crate) fn for_reading(options: &OpenOptions, place: &str) -> Result<Alone, Fault> {
    match look(options, place)? {
        Found::Ours(alone) if options.access == Access::ReadOnly => return Ok(alone),
        Found::Ours(alone @ Alone::Clean(_)) => return Ok(alone),
        // A look keeps writers out, ourselves too.
        found => drop(found),
    }
    if options.access == Access::ReadWrite {
        match for_writing(options, place) {
            // Closing it writes down that it is well.
            Ok(database) => drop(database),
            // Another is at the same, or looks: it is waited for.
            Err(Fault::Held) => return Err(Fault::Held),
            Err(fault) => match fault.named(place, "open it") {
                StoreError::ReadOnly { .. } | StoreError::Full { .. } => {}
                error => return Err(Fault::Store(error)),
            },
        }
    }
    match look(options, place)? {
        Found::Ours(alone) => Ok(alone),
        Found::Nothing => Err(Fault::Wrong("there is no database any more".to_owned())),
    }
}

/// Opens the database to write, and makes it where there is none.
pub(crate) fn for_writing(options: &OpenOptions, place: &str) -> Result<Database, Fault> {
    for_writing_as(options, place, Meta::fresh)
}

/// The same of a file that was put in the place of one that was open, or made there: its numbers go on, a good way
/// further, and what its feed said is nothing that anybody has heard so far.
pub(crate) fn in_place_of_another(options: &OpenOptions, place: &str) -> Result<Database, Fault> {
    let database = for_writing_as(options, place, Meta::after_another)?;
    let stride = epoch().map_err(|error| Fault::Wrong(error.to_string()))? as u64 >> 13;
    guarded(|| {
        let transaction = database.begin_write()?;
        let tx = Tx::new(&transaction)?;
        tx.change_meta(|meta| {
            meta.seq += 1 + stride;
            meta.feed_swept = meta.seq;
        });
        tx.finish()?;
        Ok(transaction.commit()?)
    })?;
    Ok(database)
}

fn for_writing_as(
    options: &OpenOptions,
    place: &str,
    first: fn() -> Result<Meta, getrandom::Error>,
) -> Result<Database, Fault> {
    let found = look(options, place)?;
    let is_new = matches!(found, Found::Nothing);
    drop(found);
    let system = |error: io::Error| Fault::Store(io_error(&error, &options.path, "open it"));
    if is_new {
        make_file(&options.path)?;
    }
    let file = File::options().read(true).write(true).open(&options.path).map_err(system)?;
    let database = guarded(|| Ok(builder(options).create_file(file)?))?;
    if is_new {
        let meta = first().map_err(|error| Fault::Wrong(error.to_string()))?;
        let transaction = database.begin_write()?;
        tables::make(&transaction, &meta)?;
        transaction.commit()?;
    }
    Ok(database)
}

pub(crate) fn builder(options: &OpenOptions) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    builder
}

/// Tells what is there without leaving a trace.
fn look(options: &OpenOptions, place: &str) -> Result<Found, Fault> {
    let path = &options.path;
    let system = |error: io::Error| Fault::Store(io_error(&error, path, "look at the database"));
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(foreign(place, "it is no file")),
        Ok(metadata) if metadata.len() == 0 => return Ok(Found::Nothing),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(system(error)),
    }
    let found = guarded(|| {
        let alone = open_alone(options, place)?;
        // Whether it is ours, or has no tables and so is nobody's.
        Ok(if inspect(&alone, place)? { Found::Ours(alone) } else { Found::Nothing })
    });
    found.map_err(|fault| ours_to_say(fault, path, place))
}

/// Opens the file to read; one that was not closed well is repaired in memory.
fn open_alone(options: &OpenOptions, place: &str) -> Result<Alone, Fault> {
    let system = |error: io::Error| Fault::Store(io_error(&error, &options.path, "look at the database"));
    match builder(options).open_read_only(&options.path) {
        Ok(database) => Ok(Alone::Clean(database)),
        Err(redb::DatabaseError::RepairAborted) => {
            let file = File::open(&options.path).map_err(system)?;
            let overlay = Overlay::over(FileBackend::new(file)?).map_err(system)?;
            Ok(Alone::Mended(builder(options).create_with_backend(overlay)?))
        }
        Err(redb::DatabaseError::UpgradeRequired(version)) => {
            Err(foreign(place, &format!("it is an older redb's database (format {version})")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Damage is ours to speak of only where our lock file is the witness that the file is ours.
fn ours_to_say(fault: Fault, path: &Path, place: &str) -> Fault {
    if !fault.is_damage() || Lock::is_beside(path) {
        return fault;
    }
    let mut start = [0_u8; 4];
    let read = File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut start));
    let is_redb = read.is_ok() && start == *b"redb";
    foreign(
        place,
        if is_redb {
            "it is a damaged redb database, and nothing says that it is Larder's"
        } else {
            "it is no redb database"
        },
    )
}

fn foreign(place: &str, found: &str) -> Fault {
    Fault::Store(StoreError::Foreign { place: place.to_owned(), found: found.to_owned() })
}

/// Whether it is ours, or has no tables and so is nobody's.
fn inspect(alone: &Alone, place: &str) -> Result<bool, Fault> {
    let snapshot = Snapshot::new(alone.begin_read()?);
    let another = || foreign(place, "it is another program's redb database");
    match snapshot.get(Table::Meta, MAGIC_ROW, |magic| Ok(magic == MAGIC)) {
        Ok(Some(true)) => {}
        Ok(_) => return Err(another()),
        Err(Fault::Redb(error)) => match *error {
            redb::Error::TableDoesNotExist(_) if snapshot.is_empty()? => return Ok(false),
            redb::Error::TableDoesNotExist(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_) => return Err(another()),
            other => return Err(Fault::Redb(Box::new(other))),
        },
        Err(fault) => return Err(fault),
    }
    let schema = snapshot.get(Table::Meta, SCHEMA_ROW, |bytes| {
        Ok(<[u8; 4]>::try_from(bytes).map_or(u32::MAX, u32::from_be_bytes))
    })?;
    match schema.unwrap_or(u32::MAX) {
        found if found > SCHEMA => {
            Err(Fault::Store(StoreError::TooNew { place: place.to_owned(), found, known: SCHEMA }))
        }
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::PAUSE;

    #[test]
    fn who_opens_looks_for_two_seconds_whether_another_lets_go_and_no_longer() {
        let options = OpenOptions::new("larder.redb", Time::default());
        let mut looks = 0;
        let found = waiting(&options, || {
            looks += 1;
            Err::<(), Fault>(Fault::Held)
        });
        assert!(matches!(found, Err(Fault::Held)));
        assert_eq!(PAUSE * (looks - 1), Duration::from_secs(2), "a look, and one after each rest");
        let options = OpenOptions { busy_timeout: 3 * PAUSE, ..options };
        looks = 0;
        let found = waiting(&options, || {
            looks += 1;
            if looks < 4 { Err(Fault::Held) } else { Ok(()) }
        });
        assert!(found.is_ok(), "who lets go before the last look is in time");
    }
}
