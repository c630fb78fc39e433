//! The embedded default store: one SQLite file, one writer, many readers, many processes.
//!
//! [`SqliteStore`] keeps core's [`Store`] and [`Budgets`] contracts. Reads run on the calling thread
//! (an indexed read takes microseconds, a thread hop more); searches and checks of the whole file go
//! to the runtime's blocking threads; writes queue for one writer, which commits them in groups.

mod astray;
mod budgets;
mod commit;
mod due;
mod entries;
mod errors;
mod export;
mod feed;
mod files;
mod flagged;
mod invalidate;
mod items;
mod leases;
mod list;
mod lock;
mod markers;
mod open;
mod page;
mod port;
mod readers;
mod rows;
mod schema;
mod search;
mod sequence;
mod sheets;
mod sweep;
mod verify;
mod views;
mod words;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use larder_core::{Budgets, ListQuery, Migration, Store, StoreError};
use rusqlite::{Connection, TransactionBehavior};

use crate::astray::Seen;
use crate::errors::{Fault, sql_error, write_error};
use crate::lock::Lock;
use crate::open::Opened;
use crate::readers::Sight;
use crate::writer::{Queue, Writer};

pub use open::{Access, OpenOptions};
pub use schema::{APPLICATION_ID, SCHEMA};

/// A store in one SQLite file. Cheap to clone: clones share connections and the writer. The last one
/// to go waits for the writer to finish.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    options: OpenOptions,
    place: String,
    state: RwLock<State>,
    recovered: Mutex<Option<PathBuf>>,
    /// How often the file that is open was looked for in vain.
    missed: AtomicU32,
    /// How it lay when it was looked at last.
    seen: Mutex<Seen>,
}

struct State {
    /// Counts the databases that this handle has had: a damaged one is replaced once.
    life: u64,
    opened: Option<Opened>,
    writer: Mutex<Option<Writer>>,
}

impl SqliteStore {
    /// Opens the store, making it if there is nothing, and bringing an older schema up to date. A
    /// damaged file of ours is moved aside (see [`recovered`](SqliteStore::recovered)).
    ///
    /// Errors: [`StoreError::Foreign`] and [`StoreError::TooNew`] leave the file as it is;
    /// [`StoreError::Corrupt`] says that it is damaged and in use elsewhere.
    pub fn open(options: OpenOptions) -> Result<SqliteStore, StoreError> {
        let place = options.path.display().to_string();
        let options = OpenOptions { path: files::followed(options.path), ..options };
        let opened = open::open(&options, &place)?;
        let recovered = Mutex::new(opened.recovered.clone());
        let state = RwLock::new(State { life: 0, opened: Some(opened), writer: Mutex::new(None) });
        Ok(SqliteStore {
            shared: Arc::new(Shared {
                options,
                place,
                state,
                recovered,
                missed: AtomicU32::new(0),
                seen: Mutex::default(),
            }),
        })
    }

    /// Where a damaged database was moved to, if this handle met one; the store then began anew.
    pub fn recovered(&self) -> Option<PathBuf> {
        lock(&self.shared.recovered).clone()
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.shared.options.path
    }

    /// For a process that ends now: leaves the connections that only read to the system, which takes back
    /// at once what SQLite would free piece by piece. Where this handle wrote, nothing is left: the last
    /// connection brings the journal home.
    pub fn abandon(&self) {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(opened)) = (lock(&state.writer).as_ref(), &state.opened) {
            opened.readers.abandon();
        }
    }

    /// SQLite's plan for a list, step by step: for tests and the curious.
    pub fn list_plan(&self, query: &ListQuery) -> Result<Vec<String>, StoreError> {
        self.read("plan a list", |conn| list::plan(conn, query))
    }

    /// Reads on the calling thread; once more, if it met a damaged index of words that could be mended.
    fn read<T>(
        &self,
        attempted: &'static str,
        work: impl Fn(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let (mut life, mut done) = self.shared.read(&work);
        if done.as_ref().is_err_and(Fault::is_damaged_index) && self.shared.mend_index() {
            (life, done) = self.shared.read(&work);
        }
        done.map_err(|fault| self.shared.heal(fault.named(&self.shared.place, attempted), life))
    }

    /// Reads where a long look does not keep a runtime's thread from others.
    async fn read_long<T: Send + 'static>(
        &self,
        attempted: &'static str,
        work: impl Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.read(attempted, work);
        };
        let store = self.clone();
        match runtime.spawn_blocking(move || store.read(attempted, work)).await {
            Ok(done) => done,
            Err(error) => Err(StoreError::Failed {
                place: self.shared.place.clone(),
                attempted,
                cause: error.to_string(),
            }),
        }
    }

    /// Writes: queues for the writer and waits for the commit. `work` may run more than once.
    async fn write<T: Send + 'static>(
        &self,
        attempted: &'static str,
        work: impl Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (life, queue) = self.shared.queue(attempted)?;
        let done = queue.run(&self.shared.place, attempted, work).await;
        done.map_err(|error| self.shared.heal(error, life))
    }
}

/// All migrations, and when each was applied to a file. Changes nothing; a file that is newer than this
/// code shows the ones it knows nothing of.
pub fn migrations(path: &Path) -> Result<Vec<Migration>, StoreError> {
    let place = path.display().to_string();
    let applied = match open::connect_ours(path, &place)? {
        None => Vec::new(),
        Some(conn) => {
            schema::applied(&conn).map_err(|error| sql_error(&error, &place, "look at its migrations"))?
        }
    };
    Ok(schema::standing(applied))
}

/// Takes a database's migrations back until schema `to` (0 = no tables): what they held is gone.
/// [`StoreError::Busy`] if somebody else goes on using the file.
pub fn migrate_down(path: &Path, to: u32) -> Result<(), StoreError> {
    let (place, attempted) = (path.display().to_string(), "take the schema back");
    let options = OpenOptions::new(files::followed(path.to_owned()), larder_core::Time::default());
    if open::connect_ours(&options.path, &place)?.is_none() {
        return Ok(());
    }
    let held = Lock::take(&options.path, options.access, options.busy_timeout)?;
    let done = held.alone_within(options.busy_timeout, || {
        let mut conn =
            open::connect_writer(&options).map_err(|error| write_error(&error, &place, attempted))?;
        schema::migrate_down(&mut conn, &place, to)
    });
    done.unwrap_or(Err(StoreError::Busy { place, attempted }))
}

impl Shared {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> (u64, Result<T, Fault>) {
        if self.is_astray()
            && let Err(error) = self.look_after("read")
        {
            return (0, Err(Fault::Store(error)));
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let done = match &state.opened {
            Some(opened) => opened.readers.with(work),
            None => Err(Fault::Store(self.lost())),
        };
        (state.life, done)
    }

    /// The way to the writer, who is called to work by the first write.
    fn queue(&self, attempted: &'static str) -> Result<(u64, Queue), StoreError> {
        if self.options.access == Access::ReadOnly {
            return Err(StoreError::ReadOnly {
                place: self.place.clone(),
                cause: "it is opened for reading alone".to_owned(),
                hint: None,
            });
        }
        self.look_after(attempted)?;
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut writer = lock(&state.writer);
        if let Some(writer) = writer.as_ref() {
            return Ok((state.life, writer.queue()));
        }
        let Some(opened) = &state.opened else { return Err(self.lost()) };
        if opened.readers.sight() == Sight::Immutable {
            return Err(StoreError::ReadOnly {
                place: self.place.clone(),
                cause: "its directory lets nobody write".to_owned(),
                hint: None,
            });
        }
        // People may have changed the journal by hand; beside any other, readers would wait.
        let conn = open::connect_writer(&self.options)
            .and_then(|conn| open::use_wal(&conn, self.options.busy_timeout).map(|()| conn))
            .map_err(|error| write_error(&error, &self.place, attempted))?;
        let started = Writer::start(conn, self.place.clone())?;
        let queue = started.queue();
        *writer = Some(started);
        Ok((state.life, queue))
    }

    /// Makes the full-text index anew, which is only a copy of what the items say. Answers whether it did.
    fn mend_index(&self) -> bool {
        let mended = open::connect_writer(&self.options).map_err(Fault::from).and_then(|mut conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            words::rebuild(&tx)?;
            Ok(tx.commit()?)
        });
        if let Err(fault) = &mended {
            tracing::warn!(place = self.place, ?fault, "could not rebuild the full-text index");
        }
        mended.is_ok()
    }

    /// Replaces a database that SQLite says is damaged, once, if nobody else uses it; the call that
    /// met the damage fails all the same and says where the file is now.
    fn heal(&self, error: StoreError, life: u64) -> StoreError {
        let StoreError::Corrupt { place, cause, .. } = error else { return error };
        if self.options.access == Access::ReadOnly {
            return StoreError::Corrupt { place, cause, moved_to: None };
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.life != life {
            return StoreError::Corrupt { place, cause, moved_to: self.recovered_path() };
        }
        let Some(opened) = state.opened.take() else {
            return StoreError::Corrupt { place, cause, moved_to: None };
        };
        // A connection that closes later would take the new database's side files for its own.
        drop(lock(&state.writer).take());
        opened.readers.close();
        let Opened { readers, lock: held, recovered, file } = opened;
        let Some(held) = held else {
            state.opened = Some(Opened { readers, lock: None, recovered, file });
            return StoreError::Corrupt { place, cause, moved_to: None };
        };
        match open::replace_damaged(&self.options, held, &place) {
            Ok((opened, aside)) => {
                state.opened = Some(opened);
                state.life += 1;
                *lock(&self.recovered) = Some(aside.clone());
                StoreError::Corrupt { place, cause, moved_to: Some(aside) }
            }
            Err((held, error)) => {
                tracing::warn!(place, %error, "a damaged database could not be replaced");
                state.opened = Some(Opened { readers, lock: Some(held), recovered, file });
                StoreError::Corrupt { place, cause, moved_to: None }
            }
        }
    }

    fn recovered_path(&self) -> Option<PathBuf> {
        lock(&self.recovered).clone()
    }

    fn lost(&self) -> StoreError {
        StoreError::Failed {
            place: self.place.clone(),
            attempted: "use it",
            cause: "it was damaged and could not be replaced".to_owned(),
        }
    }

    /// Bytes on disk, side files included.
    fn bytes(&self) -> u64 {
        let all = files::files(&self.options.path);
        all.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What both ports ask of a store: a check that `SqliteStore` is one.
const _: fn() = || {
    fn keeps<T: Store + Budgets>() {}
    keeps::<SqliteStore>();
};
