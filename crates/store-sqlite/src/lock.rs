//! The lock file beside the database: held shared by every process for its life, and exclusively by
//! one that moves a damaged database aside. SQLite's own locks cannot serve: they are on the very
//! file that is moved.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::StoreError;

use crate::errors::io_error;
use crate::files::with_suffix;
use crate::open::Access;

/// What a lock file of ours begins with, so that it can witness for a database without a header.
const WORDS: &str = "larder: held by every process that uses the database beside it\n";

/// How long a look at a lock waits for the next one.
const PAUSE: Duration = Duration::from_millis(5);

/// A lock file that is held shared.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Where the lock file of a database is.
    pub(crate) fn beside(database: &Path) -> PathBuf {
        with_suffix(database, ".lock")
    }

    /// Whether there is one that Larder wrote.
    pub(crate) fn is_beside(database: &Path) -> bool {
        let mut start = [0_u8; 7];
        let read = File::open(Lock::beside(database)).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && WORDS.as_bytes().starts_with(&start)
    }

    /// Takes the lock, making the file if it may; waits while somebody moves a database aside.
    pub(crate) fn take(database: &Path, access: Access, wait: Duration) -> Result<Lock, StoreError> {
        let path = Lock::beside(database);
        let attempted = "take its lock file";
        let failed = |error: &std::io::Error| io_error(error, &path, attempted);
        let file = match access {
            Access::ReadWrite => make(&path).or_else(|error| File::open(&path).map_err(|_| error)),
            Access::ReadOnly => File::open(&path),
        };
        let file = file.map_err(|error| failed(&error))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock_shared() {
                Ok(()) => return Ok(Lock { file, path }),
                Err(TryLockError::WouldBlock) if waited < wait => waited += pause(),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Busy { place: database.display().to_string(), attempted });
                }
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
        }
    }

    /// Runs `work` if nobody else holds the lock, and then holds it shared again.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.alone_within(Duration::ZERO, work)
    }

    /// The same as soon as nobody else does, if that is within so long.
    pub(crate) fn alone_within<T>(&self, wait: Duration, work: impl FnOnce() -> T) -> Option<T> {
        let mut waited = Duration::ZERO;
        // Linux gives up the shared lock before it tries for the exclusive one.
        let done = loop {
            match self.file.try_lock() {
                Ok(()) => break Some(work()),
                Err(TryLockError::WouldBlock) if waited < wait => waited += pause(),
                Err(_) => break None,
            }
        };
        if let Err(error) = self.file.lock_shared() {
            tracing::warn!(path = %self.path.display(), %error, "could not hold the lock file again");
        }
        done
    }
}

fn make(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if file.metadata()?.len() == 0 {
        file.write_all(WORDS.as_bytes())?;
    }
    Ok(file)
}

/// A short rest between two looks at something that SQLite or the system does not wait for.
pub(crate) fn pause() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "opening is synchronous and waits for another process")]
    std::thread::sleep(PAUSE);
    PAUSE
}
