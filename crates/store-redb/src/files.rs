//! The file of a database: making it for the user alone, and moving a damaged one aside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use file_id::FileId;
use larder_core::{StoreError, Time};

use crate::errors::io_error;

/// The file that a symbolic link names, where the path is one: what lies beside it, and what is moved aside, is
/// that file's, by whichever name somebody comes.
pub(crate) fn followed(path: PathBuf) -> PathBuf {
    let is_link = fs::symlink_metadata(&path).is_ok_and(|file| file.is_symlink());
    if is_link { fs::canonicalize(&path).unwrap_or(path) } else { path }
}

/// Makes an empty file where there is none, and the directories above it, for the user alone.
pub(crate) fn make_file(path: &Path) -> Result<(), StoreError> {
    let attempted = "make the database";
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory).map_err(|error| io_error(&error, directory, attempted))?;
    }
    if fs::exists(path).unwrap_or(false) {
        return Ok(());
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error(&error, path, attempted)),
    }
}

/// Gives a damaged database a name that nobody opens.
pub(crate) fn move_aside(path: &Path, now: Time) -> Result<PathBuf, StoreError> {
    let stamp: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let first = with_suffix(path, &format!(".corrupt-{stamp}"));
    let aside = (2..100).map(|n| with_suffix(&first, &format!("-{n}")));
    let aside = std::iter::once(first.clone())
        .chain(aside)
        .find(|aside| !fs::exists(aside).unwrap_or(true))
        .unwrap_or(first);
    match fs::rename(path, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_error(&error, path, "move the damaged database aside"));
        }
        _ => {}
    }
    Ok(aside)
}

/// `larder.redb` and `.lock` make `larder.redb.lock`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Which file of which disk lies at a path, whatever it is called; `None` = there is none.
pub(crate) fn which(path: &Path) -> io::Result<Option<FileId>> {
    match file_id::get_file_id(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}
