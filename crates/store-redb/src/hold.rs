//! Who of this handle uses the file, and when it is let go: redb's lock keeps all others out.
//!
//! Within a handle nobody waits for that lock: a slot holds the database while it is open to write,
//! readers look through it, and where it is empty each opens the file for one look of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use file_id::FileId;
use larder_core::StoreError;
use redb::{Database, ReadableDatabase};
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock};

use crate::errors::{Fault, guarded};
use crate::files::which;
use crate::lock::{Lock, PAUSE, pause};
use crate::open::{self, Access, Alone, Hold, OpenOptions, Opened};
use crate::tables::Snapshot;

/// What all clones of a handle, and its writer, share.
pub(crate) struct Holder {
    pub(crate) options: OpenOptions,
    pub(crate) place: String,
    slot: Arc<RwLock<Slot>>,
    lock: Mutex<Option<Lock>>,
    recovered: Mutex<Option<PathBuf>>,
    #[cfg(target_os = "linux")]
    room: crate::holes::Room,
    /// Tells of every commit of this handle.
    pub(crate) committed: Notify,
}

/// The place of an open database.
pub(crate) struct Slot {
    /// Counts the files that this handle has had: a damaged one is replaced once.
    life: u64,
    database: Option<Database>,
    /// Which file that is, whatever it is called; `None` = not known.
    file: Option<FileId>,
}

impl Slot {
    fn fill(&mut self, database: Option<Database>, path: &Path) {
        self.file = database.as_ref().and_then(|_| which(path).ok().flatten());
        self.database = database;
    }

    /// Whether the file was removed or replaced since it was opened.
    fn is_astray(&self, path: &Path) -> bool {
        self.database.is_some()
            && self.file.is_some_and(|own| which(path).is_ok_and(|found| found != Some(own)))
    }
}

/// The file, open to be read.
pub(crate) struct Reading {
    slot: OwnedRwLockReadGuard<Slot>,
    alone: Option<Alone>,
}

impl Reading {
    /// Has `work` look at the store as it is now.
    pub(crate) fn look<T>(&self, work: impl FnOnce(&Snapshot) -> Result<T, Fault>) -> Result<T, Fault> {
        guarded(|| work(&self.snapshot()?))
    }

    fn snapshot(&self) -> Result<Snapshot, Fault> {
        let transaction = match (&self.slot.database, &self.alone) {
            (Some(database), _) => database.begin_read()?,
            (None, Some(alone)) => alone.begin_read()?,
            (None, None) => return Err(Fault::Wrong("it is not open".to_owned())),
        };
        Ok(Snapshot::new(transaction))
    }

    /// Which file it is.
    pub(crate) fn life(&self) -> u64 {
        self.slot.life
    }
}

impl Holder {
    pub(crate) fn new(options: OpenOptions, place: String, opened: Opened) -> Self {
        let Opened { database, lock, recovered } = opened;
        let mut slot = Slot { life: 0, database: None, file: None };
        slot.fill(database, &options.path);
        Holder {
            options,
            place,
            slot: Arc::new(RwLock::new(slot)),
            lock: Mutex::new(lock),
            recovered: Mutex::new(recovered),
            #[cfg(target_os = "linux")]
            room: crate::holes::Room::default(),
            committed: Notify::new(),
        }
    }

    /// Where a damaged database was moved to.
    pub(crate) fn recovered(&self) -> Option<PathBuf> {
        guard(&self.recovered).clone()
    }

    /// Opens the file to read, waiting for another process as long as it may.
    pub(crate) async fn reading(&self) -> Result<Reading, Fault> {
        let mut waited = Duration::ZERO;
        loop {
            let slot = self.slot.clone().read_owned().await;
            if slot.is_astray(&self.options.path) {
                drop(slot);
                self.follow(&mut *self.slot.write().await)?;
                continue;
            }
            let alone = match &slot.database {
                Some(_) => Ok(None),
                None => open::for_reading(&self.options, &self.place).map(Some),
            };
            match alone {
                Err(Fault::Held) if waited < self.options.busy_timeout => {}
                alone => return alone.map(|alone| Reading { slot, alone }),
            }
            drop(slot);
            self.pause().await;
            waited += PAUSE;
        }
    }

    async fn pause(&self) {
        match &self.options.clock {
            Some(clock) => clock.sleep(PAUSE).await,
            #[expect(clippy::disallowed_methods, reason = "nobody has given a clock to wait by")]
            None => tokio::time::sleep(PAUSE).await,
        }
    }

    /// Whether the file is let go of between calls.
    pub(crate) fn takes_turns(&self) -> bool {
        self.options.hold == Hold::PerCall
    }

    /// Has the file open for writing while `work` goes on. For the writer's thread.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut waited = Duration::ZERO;
        loop {
            let slot = self.slot.blocking_read();
            if slot.is_astray(&self.options.path) {
                drop(slot);
                self.follow(&mut self.slot.blocking_write())?;
                continue;
            }
            if let Some(database) = &slot.database {
                #[cfg(target_os = "linux")]
                self.room.note(&self.options.path);
                return work(database);
            }
            drop(slot);
            let mut slot = self.slot.blocking_write();
            match open::for_writing(&self.options, &self.place) {
                Ok(database) => slot.fill(Some(database), &self.options.path),
                Err(Fault::Held) if waited < self.options.busy_timeout => {
                    drop(slot);
                    waited += pause();
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Has the file for itself, without readers. For the writer's thread.
    pub(crate) fn alone_with<T>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.with(|_| Ok(()))?;
        let mut slot = self.slot.blocking_write();
        match &mut slot.database {
            Some(database) => guarded(|| work(database)),
            None => Err(Fault::Wrong("it is not open".to_owned())),
        }
    }

    /// Goes on with the file that took the place of the one that is open, as a restore from a copy does it; what
    /// is open nobody else sees any more, and its lock keeps nobody out. One that was removed is made anew.
    fn follow(&self, slot: &mut Slot) -> Result<(), Fault> {
        if !slot.is_astray(&self.options.path) {
            return Ok(());
        }
        self.close(slot);
        slot.life += 1;
        let database = open::in_place_of_another(&self.options, &self.place)?;
        slot.fill(Some(database), &self.options.path);
        let place = self.place.as_str();
        tracing::warn!(
            place,
            "the database's file was removed or replaced: the one that is there now is used"
        );
        Ok(())
    }

    /// Closes the file. For the writer's thread.
    pub(crate) fn let_go(&self) {
        self.close(&mut self.slot.blocking_write());
    }

    /// Closing writes, and so may meet damage; whoever opens it next tells.
    fn close(&self, slot: &mut Slot) {
        let database = slot.database.take();
        let close = || {
            drop(database);
            Ok(())
        };
        if let Err(fault) = guarded(close) {
            tracing::warn!(place = self.place, ?fault, "could not be closed well");
        }
    }

    /// Which file this handle has now.
    pub(crate) fn life(&self) -> u64 {
        self.slot.blocking_read().life
    }

    /// Closes a file that redb is through with and opens it again, which repairs it. Only what redb
    /// then still calls damaged is: it is moved aside, once, if nobody else uses it, and a new store
    /// begins. `life` says which file it was, if it was open. For the writer's thread.
    pub(crate) fn heal(&self, fault: Fault, life: Option<u64>, attempted: &'static str) -> StoreError {
        let is_damage = fault.is_damage();
        let error = fault.named(&self.place, attempted);
        if self.options.access == Access::ReadOnly {
            return error;
        }
        let mut slot = self.slot.blocking_write();
        if life.is_some_and(|life| life != slot.life) {
            return self.aside(error, self.recovered());
        }
        self.close(&mut slot);
        if matches!(error, StoreError::Full { .. }) {
            self.give_back();
        }
        match self.repair(is_damage) {
            Ok(database) => {
                slot.fill(Some(database).filter(|_| !self.takes_turns()), &self.options.path);
                if is_damage { sound(error) } else { error }
            }
            Err(fault) if fault.is_damage() => self.replace(&mut slot, error),
            Err(fault) => {
                tracing::warn!(place = self.place, ?fault, "could not open it again");
                error
            }
        }
    }

    /// Gives the disk back what a commit took that was refused for want of room: else there is none for the next.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(clippy::unused_self, reason = "files have holes elsewhere too, by other means")
    )]
    fn give_back(&self) {
        #[cfg(target_os = "linux")]
        match self.room.give_back(&self.options) {
            // Where another process has it, that one meets the same.
            Ok(0) | Err(Fault::Held) => {}
            Ok(bytes) => {
                tracing::info!(place = self.place, bytes, "gave the disk back what a refused commit took");
            }
            Err(fault) => {
                tracing::warn!(place = self.place, ?fault, "could not give back what a refused commit took");
            }
        }
    }

    fn repair(&self, is_damage: bool) -> Result<Database, Fault> {
        let mut waited = Duration::ZERO;
        let mut database = loop {
            match open::for_writing(&self.options, &self.place) {
                Err(Fault::Held) if waited < self.options.busy_timeout => waited += pause(),
                opened => break opened?,
            }
        };
        if is_damage {
            guarded(|| crate::verify::check(&mut database))?;
        }
        Ok(database)
    }

    fn replace(&self, slot: &mut Slot, error: StoreError) -> StoreError {
        let lock = guard(&self.lock);
        let Some(lock) = lock.as_ref() else { return error };
        match open::replace_damaged(&self.options, lock, &self.place) {
            Ok((database, aside)) => {
                slot.fill(Some(database).filter(|_| !self.takes_turns()), &self.options.path);
                slot.life += 1;
                *guard(&self.recovered) = Some(aside.clone());
                self.aside(error, Some(aside))
            }
            Err(other) => {
                tracing::warn!(place = self.place, error = %other, "a damaged database could not be replaced");
                error
            }
        }
    }

    fn aside(&self, error: StoreError, moved_to: Option<PathBuf>) -> StoreError {
        let cause = match error {
            StoreError::Corrupt { cause, .. } => cause,
            other => other.to_string(),
        };
        StoreError::Corrupt { place: self.place.clone(), cause, moved_to }
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        std::fs::metadata(&self.options.path).map_or(0, |file| file.len())
    }
}

/// The file is well, whatever redb said of it as it was open.
fn sound(error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt { place, cause, .. } => {
            StoreError::Failed { place, attempted: "use it as it was open", cause }
        }
        other => other,
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
