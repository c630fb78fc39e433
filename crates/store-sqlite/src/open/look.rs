//! What lies at a path: nothing, a database of ours, or something else. Found out without leaving a trace.

use std::fs;
use std::path::Path;
use std::time::Duration;

use larder_core::StoreError;

use crate::errors::{io_error, sql_error};
use crate::files::with_suffix;
use crate::lock::Lock;
use crate::readers::{self, Sight};
use crate::schema::APPLICATION_ID;

/// What lies at the path.
pub(super) enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// A database that calls itself ours, or a torn one that must be.
    Ours,
    /// Something else: in a phrase.
    Foreign(String),
}

/// Tells what is there without leaving a trace and without opening the file by other means than
/// SQLite's: closing it would drop the locks that another handle of this process holds on it.
pub(super) fn look(path: &Path, place: &str) -> Result<Found, StoreError> {
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
pub(super) fn is_redb(path: &Path) -> bool {
    use std::io::Read;
    let mut header = [0_u8; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header == *b"redb"
}
