//! From what redb and the system say to [`StoreError`], which names the place and the attempt.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use larder_core::StoreError;

/// What goes wrong inside a transaction, before place and attempt are known.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The database's own word.
    Redb(Box<redb::Error>),
    /// redb panicked, as it may over a torn page.
    Panicked(String),
    /// Another process has the file open.
    Held,
    /// A row that cannot be understood.
    Row {
        /// Its table.
        table: &'static str,
        /// Which row, as text.
        row: String,
        /// What about it.
        found: String,
    },
    /// Already said in the port's words.
    Store(StoreError),
    /// The call makes no sense: in a sentence.
    Wrong(String),
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Fault::redb(error.into())
            }
        })*
    };
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::CompactionError
);

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

impl Fault {
    fn redb(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Fault::Held,
            other => Fault::Redb(Box::new(other)),
        }
    }

    /// The error that leaves the store.
    pub(crate) fn named(self, place: &str, attempted: &'static str) -> StoreError {
        let place = place.to_owned();
        match self {
            Fault::Redb(error) => redb_error(&error, place, attempted),
            Fault::Panicked(cause) => StoreError::Corrupt { place, cause, moved_to: None },
            Fault::Held => StoreError::Held { place, attempted },
            Fault::Row { table, row, found } => {
                StoreError::BadRow { table, row, column: "value", found: format!("`{found}`") }
            }
            Fault::Store(error) => error,
            Fault::Wrong(cause) => StoreError::Failed { place, attempted, cause },
        }
    }

    /// Whether redb will do nothing more with the database as it is open now: it must be closed and
    /// opened again, which repairs it, and shows whether it is damaged.
    pub(crate) fn wants_reopening(&self) -> bool {
        match self {
            Fault::Panicked(_) => true,
            Fault::Redb(error) => matches!(
                **error,
                redb::Error::Io(_)
                    | redb::Error::PreviousIo
                    | redb::Error::DatabaseClosed
                    | redb::Error::LockPoisoned(_)
                    | redb::Error::TransactionPoisoned
                    | redb::Error::Corrupted(_)
            ),
            _ => false,
        }
    }

    /// Whether it is of one value, which cannot be understood.
    pub(crate) fn is_of_row(&self) -> bool {
        matches!(self, Fault::Row { .. })
    }

    /// Whether redb found the file damaged, or cut short.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Fault::Panicked(_) => true,
            Fault::Redb(error) => match &**error {
                redb::Error::Corrupted(_) => true,
                redb::Error::Io(error) => is_damage(error),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Has redb work on pages that may be torn: where it panics over one, that is an error like others.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Err(Fault::Panicked(format!("redb panicked: {}", said.unwrap_or_default())))
    })
}

/// It is no redb database, or it ends before its own pages do.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn redb_error(error: &redb::Error, place: String, attempted: &'static str) -> StoreError {
    match error {
        redb::Error::Corrupted(cause) => StoreError::Corrupt { place, cause: cause.clone(), moved_to: None },
        redb::Error::Io(error) if is_damage(error) => {
            StoreError::Corrupt { place, cause: error.to_string(), moved_to: None }
        }
        redb::Error::Io(error) => system_error(error, place, attempted),
        other => StoreError::Failed { place, attempted, cause: other.to_string() },
    }
}

/// An error of the file system.
pub(crate) fn io_error(error: &io::Error, path: &Path, attempted: &'static str) -> StoreError {
    system_error(error, path.display().to_string(), attempted)
}

fn system_error(error: &io::Error, place: String, attempted: &'static str) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly { place, cause: error.to_string(), hint: None }
        }
        // A limit on the size of files is a disk of that size.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full { place, attempted }
        }
        _ => StoreError::Failed { place, attempted, cause: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: redb::Error) -> StoreError {
        Fault::redb(error).named("larder.redb", "commit")
    }

    #[test]
    fn a_panic_over_a_torn_page_is_an_error() {
        let fault = guarded::<()>(|| panic!("page {}", 7)).unwrap_err();
        assert!(fault.is_damage() && fault.wants_reopening());
        let error = fault.named("larder.redb", "look");
        assert!(matches!(&error, StoreError::Corrupt { cause, .. } if cause.contains("page 7")), "{error:?}");
    }

    #[test]
    fn only_the_databases_word_makes_a_corruption() {
        let io = |kind: io::ErrorKind| said(redb::Error::Io(kind.into()));
        assert!(matches!(said(redb::Error::Corrupted("x".into())), StoreError::Corrupt { .. }));
        assert!(matches!(io(io::ErrorKind::UnexpectedEof), StoreError::Corrupt { .. }));
        assert!(matches!(io(io::ErrorKind::StorageFull), StoreError::Full { .. }));
        assert!(matches!(io(io::ErrorKind::FileTooLarge), StoreError::Full { .. }));
        assert!(matches!(io(io::ErrorKind::PermissionDenied), StoreError::ReadOnly { .. }));
        assert!(matches!(io(io::ErrorKind::Interrupted), StoreError::Failed { .. }));
        assert!(matches!(said(redb::Error::PreviousIo), StoreError::Failed { .. }));
        let held = said(redb::Error::DatabaseAlreadyOpen);
        assert!(matches!(held, StoreError::Held { .. }) && held.is_retryable());
        assert!(held.hints()[0].contains("larder serve"), "{:?}", held.hints());
    }
}
