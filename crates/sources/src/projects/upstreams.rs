//! The collections on this machine, read when one of their files is another than before, and somebody
//! wants to know what they have: that none of them changed is told without reading any.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use larder_core::Warning;
use larder_domain::{Collection, Collections};

use super::content::warning;
use super::place::shown;
use super::stamp::Stamper;
use crate::files::read_plain;

/// What a collection's manifest may be called, and its lock.
const MANIFESTS: [&str; 2] = ["collection.toml", "manifest.toml"];
const LOCKS: [&str; 2] = ["collection.lock", "lockfile.toml"];
/// No manifest or lock is longer.
const BYTES_MAX: u64 = 64 << 20;
/// No folder of collections holds more.
const FOLDERS_MAX: usize = 1_000;

/// The collections as their files are now.
#[derive(Debug)]
pub(super) struct Upstreams {
    /// Tells one state of their files from another.
    pub(super) stamp: String,
    files: Vec<Files>,
    read: OnceLock<Shelved>,
}

impl Upstreams {
    /// What they have, read when it is first asked for.
    pub(super) fn read(&self) -> &Shelved {
        self.read.get_or_init(|| read_all(&self.files))
    }
}

/// What the collections have.
#[derive(Debug, Default)]
pub(super) struct Shelved {
    /// Them.
    pub(super) all: Collections,
    /// What is wrong with them.
    pub(super) warnings: Vec<Warning>,
    /// Whether some could not be read: what was known from them stays.
    pub(super) partly: bool,
}

/// Reads collections, and remembers them.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    places: Vec<PathBuf>,
    held: Mutex<Option<Arc<Upstreams>>>,
}

/// The files of one collection.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    manifest: PathBuf,
    lock: Option<PathBuf>,
}

impl Shelf {
    /// Of folders, each a collection or a folder of such.
    pub(super) fn of(places: Vec<PathBuf>) -> Self {
        Shelf { places, held: Mutex::default() }
    }

    /// As they are now.
    pub(super) fn upstreams(&self) -> Arc<Upstreams> {
        let files: Vec<Files> = self.places.iter().flat_map(|place| files_at(place)).collect();
        let mut stamper = Stamper::new();
        for file in files.iter().flat_map(|files| std::iter::once(&files.manifest).chain(&files.lock)) {
            match fs::metadata(file) {
                Ok(meta) => stamper.file(file, &meta),
                Err(error) => stamper.word(&error.to_string()),
            }
        }
        let stamp = stamper.text();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.as_ref().filter(|known| !stamp.is_empty() && known.stamp == stamp) {
            return known.clone();
        }
        let now = Arc::new(Upstreams { stamp, files, read: OnceLock::new() });
        *held = Some(now.clone());
        now
    }
}

/// A folder's own collection, or those in it.
fn files_at(place: &Path) -> Vec<Files> {
    if let Some(own) = files_in(place) {
        return vec![own];
    }
    let entries = fs::read_dir(place).into_iter().flatten().flatten().take(FOLDERS_MAX);
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().filter_map(|folder| files_in(folder)).collect()
}

fn files_in(folder: &Path) -> Option<Files> {
    let first =
        |names: [&str; 2]| names.map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
    Some(Files { folder: folder.to_owned(), manifest: first(MANIFESTS)?, lock: first(LOCKS) })
}

fn read_all(files: &[Files]) -> Shelved {
    let mut upstreams = Shelved::default();
    for files in files {
        let mut warn = |path: &Path, why: &str| {
            let about = path.display().to_string();
            let message = format!("{about}: {why}; what was known from it stays");
            upstreams.warnings.push(warning(&about, "malformed", message));
            upstreams.partly = true;
        };
        let folder = files.folder.file_name().map(shown).unwrap_or_default();
        let read = bytes(&files.manifest).and_then(|text| Collection::read(&text, &folder));
        let mut collection = match read {
            Ok(collection) => collection,
            Err(why) => {
                warn(&files.manifest, &why);
                continue;
            }
        };
        if let Some(lock) = &files.lock
            && let Err(why) = bytes(lock).and_then(|text| collection.lock(&text))
        {
            warn(lock, &why);
            // Half of what it has would pass for all of it.
            continue;
        }
        let name = collection.name.clone();
        if !upstreams.all.add(collection) {
            let about = files.folder.display().to_string();
            let message = format!("{about}: there is another collection `{name}`, which stands");
            upstreams.warnings.push(warning(&about, "taken", message));
        }
    }
    upstreams
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let read = read_plain(path, BYTES_MAX).map_err(|error| format!("it cannot be read: {error}"));
    read.map(|(bytes, _)| bytes)
}

/// Whether a file of that name says what a collection has.
pub(super) fn is_collection_file(name: &std::ffi::OsStr) -> bool {
    MANIFESTS.iter().chain(&LOCKS).any(|known| name == *known)
}
