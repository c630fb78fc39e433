//! From what SQLite and the system say to [`StoreError`], which names the place and the attempt.

use std::io;
use std::path::Path;

use larder_core::StoreError;
use rusqlite::ErrorCode;

/// What goes wrong inside a transaction, before place and attempt are known.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The database's own word.
    Sql(rusqlite::Error),
    /// Already said in the port's words.
    Store(StoreError),
    /// The call makes no sense: in a sentence.
    Wrong(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

impl Fault {
    /// The error that leaves the store.
    pub(crate) fn named(self, place: &str, attempted: &'static str) -> StoreError {
        match self {
            Fault::Sql(error) => use_error(&error, place, attempted),
            Fault::Store(error) => error,
            Fault::Wrong(cause) => StoreError::Failed { place: place.to_owned(), attempted, cause },
        }
    }

    /// Whether the full-text index alone is damaged, which is rebuilt from the items.
    pub(crate) fn is_damaged_index(&self) -> bool {
        matches!(self, Fault::Sql(error) if is_damaged_index(error))
    }
}

/// Whether the full-text index alone is damaged.
pub(crate) fn is_damaged_index(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(code, _)
        if code.extended_code == rusqlite::ffi::SQLITE_CORRUPT_VTAB)
}

/// An error of a database that was open already. That its file cannot be opened or read now may pass: the
/// process has too many files open, a disk of the network is away.
pub(crate) fn use_error(error: &rusqlite::Error, place: &str, attempted: &'static str) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
            StoreError::Unreachable { place: place.to_owned(), attempted, cause: error.to_string() }
        }
        _ => sql_error(error, place, attempted),
    }
}

/// An error of a database that could be looked at: one that cannot be opened to write is a read-only one.
pub(crate) fn write_error(error: &rusqlite::Error, place: &str, attempted: &'static str) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => {
            StoreError::ReadOnly { place: place.to_owned(), cause: error.to_string(), hint: None }
        }
        _ => sql_error(error, place, attempted),
    }
}

/// An error of the database.
pub(crate) fn sql_error(error: &rusqlite::Error, place: &str, attempted: &'static str) -> StoreError {
    let place = place.to_owned();
    let cause = error.to_string();
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return StoreError::Failed { place, attempted, cause };
    };
    if is_damaged_index(error) {
        let cause = format!("the full-text index is damaged and could not be rebuilt ({cause})");
        return StoreError::Failed { place, attempted, cause };
    }
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy { place, attempted },
        ErrorCode::DiskFull => StoreError::Full { place, attempted },
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            StoreError::ReadOnly { place, cause, hint: None }
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            StoreError::Corrupt { place, cause, moved_to: None }
        }
        _ => StoreError::Failed { place, attempted, cause },
    }
}

/// An error of the file system.
pub(crate) fn io_error(error: &io::Error, path: &Path, attempted: &'static str) -> StoreError {
    let place = path.display().to_string();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly { place, cause: error.to_string(), hint: None }
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { place, attempted },
        _ => StoreError::Failed { place, attempted, cause: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32) -> StoreError {
        let failure = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        sql_error(&failure, "larder.db", "commit")
    }

    #[test]
    fn only_the_databases_word_makes_a_corruption() {
        use rusqlite::ffi;
        assert!(matches!(said(ffi::SQLITE_CORRUPT), StoreError::Corrupt { .. }));
        assert!(matches!(said(ffi::SQLITE_NOTADB), StoreError::Corrupt { .. }));
        assert!(matches!(said(ffi::SQLITE_FULL), StoreError::Full { .. }));
        assert!(matches!(said(ffi::SQLITE_BUSY), StoreError::Busy { .. }));
        assert!(matches!(said(ffi::SQLITE_IOERR), StoreError::Failed { .. }));
        assert!(matches!(said(ffi::SQLITE_READONLY), StoreError::ReadOnly { .. }));
        assert!(matches!(said(ffi::SQLITE_CORRUPT_VTAB), StoreError::Failed { .. }));
    }

    #[test]
    fn a_file_that_is_out_of_reach_for_a_while_is_tried_again() {
        use rusqlite::ffi;
        let met = |code| {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            Fault::Sql(failure).named("larder.db", "commit")
        };
        for code in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_READ] {
            let error = met(code);
            assert!(matches!(error, StoreError::Unreachable { .. }) && error.is_retryable(), "{error:?}");
        }
        assert!(matches!(met(ffi::SQLITE_NOTADB), StoreError::Corrupt { .. }));
        // One that could be looked at lies where nobody may write.
        let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), None);
        let error = write_error(&failure, "larder.db", "take the schema back");
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    }
}
