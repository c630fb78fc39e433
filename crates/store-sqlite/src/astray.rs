//! A file that is removed or replaced under a process that has it open, as a restore from a copy does it: SQLite
//! would read and write what nobody else sees any more. So whoever writes, or looks for what is new, looks first
//! whether the file at the path is still the one that is open, and goes on with the one that is there.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use file_id::FileId;
use larder_core::StoreError;

use crate::files::{which, with_suffix};
use crate::{Shared, lock, open};

/// How a database lay on disk.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Which file its journal was.
    journal: Option<FileId>,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn of(path: &Path) -> Seen {
        let file = std::fs::metadata(path).ok();
        Seen {
            journal: which(&with_suffix(path, "-wal")).ok().flatten(),
            bytes: file.as_ref().map_or(0, std::fs::Metadata::len),
            modified: file.and_then(|file| file.modified().ok()),
        }
    }

    /// Whether the database itself was not written in between.
    fn lies_as(&self, other: &Seen) -> bool {
        self.modified.is_some() && (self.bytes, self.modified) == (other.bytes, other.modified)
    }
}

/// After so many looks in vain one that is gone is made anew: whoever restores it from a copy takes a moment, and
/// would find ours in his way. A server looks every 250 ms while its store is out of reach.
const MISSED_MAX: u32 = 20;

impl Shared {
    /// Whether the file that is open was gone when somebody looked last.
    pub(crate) fn is_astray(&self) -> bool {
        self.missed.load(Ordering::Relaxed) > 0
    }

    /// Sees to it that the file that is open is the one at the path.
    pub(crate) fn look_after(&self, attempted: &'static str) -> Result<(), StoreError> {
        let (life, own) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.life, state.opened.as_ref().and_then(|opened| opened.file))
        };
        let Some(own) = own else { return Ok(()) };
        match which(&self.options.path) {
            // What cannot be looked at says nothing of what it is.
            Err(_) => Ok(()),
            Ok(Some(found)) if found == own => {
                self.missed.store(0, Ordering::Relaxed);
                *lock(&self.seen) = Seen::of(&self.options.path);
                Ok(())
            }
            Ok(None) if self.missed.fetch_add(1, Ordering::Relaxed) < MISSED_MAX => {
                Err(self.gone(attempted, "its file was removed: it is made anew if it does not come back"))
            }
            Ok(_) => self.reopen(life, attempted),
        }
    }

    /// Opens what is at the path now, or makes it, and lets go of what was there.
    fn reopen(&self, life: u64, attempted: &'static str) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.life != life {
            return Ok(());
        }
        // Some file systems give a file another number while it stays what it is.
        let before = std::mem::take(&mut *lock(&self.seen));
        let is_same = before.lies_as(&Seen::of(&self.options.path));
        if !is_same {
            remove_journal(&self.options.path, before.journal);
        }
        let opened = open::open(&self.options, &self.place).map_err(|error| {
            self.missed.fetch_max(1, Ordering::Relaxed);
            self.gone(attempted, &format!("its file was replaced, and the new one cannot be used: {error}"))
        })?;
        if !is_same && let Err(error) = open::go_on_elsewhere(&self.options, &self.place) {
            tracing::debug!(%error, "whoever follows the feed is not told to begin anew");
        }
        // SQLite leaves the side files of a database alone that has moved: they are the new one's by now.
        drop(lock(&state.writer).take());
        state.opened = Some(opened);
        state.life += 1;
        self.missed.store(0, Ordering::Relaxed);
        let place = self.place.as_str();
        if !is_same {
            tracing::warn!(
                place,
                "the database's file was removed or replaced: the one that is there now is used"
            );
        }
        Ok(())
    }

    fn gone(&self, attempted: &'static str, cause: &str) -> StoreError {
        StoreError::Unreachable { place: self.place.clone(), attempted, cause: cause.to_owned() }
    }
}

/// The journal of what was there, if it lies there still: SQLite, which cannot tell, would take it for the new
/// file's and spoil that.
fn remove_journal(path: &Path, own: Option<FileId>) {
    let journal = with_suffix(path, "-wal");
    if own.is_none() || which(&journal).ok().flatten() != own {
        return;
    }
    for file in [journal, with_suffix(path, "-shm")] {
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::warn!(path = %file.display(), %error, "the journal of a file that was replaced stays");
        }
    }
}
