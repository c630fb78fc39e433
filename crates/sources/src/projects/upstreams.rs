//! The collections on this machine, read when one of their files is another than before, and somebody
//! wants to know what they have: that none of them changed is told without reading any.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use larder_core::Warning;
use larder_domain::{Collection, Collections};

use super::content::warning;
use super::place::shown;
use super::reach::{Led, Reach};
use super::stamp::Stamper;
use crate::files::read_plain;

/// What a collection's manifest may be called, and its lock.
const MANIFESTS: [&str; 2] = ["collection.toml", "manifest.toml"];
const LOCKS: [&str; 2] = ["collection.lock", "lockfile.toml"];
/// No manifest or lock is longer.
const BYTES_MAX: u64 = 64 << 20;
/// Warnings about one collection beyond these are counted, not told.
const WARNINGS_MAX: usize = 20;
/// No folder of collections holds more.
const FOLDERS_MAX: usize = 1_000;

/// The collections as their files are now.
#[derive(Debug)]
pub(super) struct Upstreams {
    /// Tells one state of their files from another.
    pub(super) stamp: String,
    found: Found,
    read: OnceLock<Shelved>,
}

impl Upstreams {
    /// What they have, read when it is first asked for.
    pub(super) fn read(&self) -> &Shelved {
        self.read.get_or_init(|| read_all(&self.found))
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

    /// As they are now, where they may be read.
    pub(super) fn upstreams(&self, reach: &Reach) -> Arc<Upstreams> {
        let found = self.found(reach);
        let mut stamper = Stamper::new();
        for file in found.files.iter().flat_map(|files| std::iter::once(&files.manifest).chain(&files.lock)) {
            match fs::metadata(file) {
                Ok(meta) => stamper.file(file, &meta),
                Err(error) => stamper.word(&error.to_string()),
            }
        }
        for warning in &found.astray {
            stamper.word(&warning.message);
        }
        let stamp = stamper.text();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.as_ref().filter(|known| !stamp.is_empty() && known.stamp == stamp) {
            return known.clone();
        }
        let now = Arc::new(Upstreams { stamp, found, read: OnceLock::new() });
        *held = Some(now.clone());
        now
    }

    /// What links in the places lead to, as far as it may be read.
    pub(super) fn linked(&self, reach: &Reach) -> Vec<PathBuf> {
        self.found(reach).linked
    }

    fn found(&self, reach: &Reach) -> Found {
        let mut search = Search { reach, found: Found::default() };
        for place in &self.places {
            search.place(place);
        }
        search.found
    }
}

/// What there is.
#[derive(Debug, Default)]
struct Found {
    files: Vec<Files>,
    /// Links that lead to where nothing may be read.
    astray: Vec<Warning>,
    /// What the other links lead to.
    linked: Vec<PathBuf>,
}

struct Search<'a> {
    reach: &'a Reach,
    found: Found,
}

impl Search<'_> {
    /// A folder's own collection, or those in it.
    fn place(&mut self, place: &Path) {
        if self.folder(place, place) {
            return;
        }
        let entries = fs::read_dir(place).into_iter().flatten().flatten().take(FOLDERS_MAX);
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            if let Some(real) = self.led(folder) {
                self.folder(folder, &real);
            }
        }
    }

    /// Whether a folder, which really is at `real`, is a collection.
    fn folder(&mut self, folder: &Path, real: &Path) -> bool {
        let (manifest, _) = self.first(folder, real, MANIFESTS);
        let Some(manifest) = manifest else { return false };
        let (lock, is_astray) = self.first(folder, real, LOCKS);
        // Half of what it has would pass for all of it.
        if lock.is_some() || !is_astray {
            self.found.files.push(Files { folder: folder.to_owned(), manifest, lock });
        }
        true
    }

    /// The first file of these names, and whether one of them is where it may not be read.
    fn first(&mut self, folder: &Path, real: &Path, names: [&str; 2]) -> (Option<PathBuf>, bool) {
        let astray = self.found.astray.len();
        let mut there = names.iter().filter(|name| real.join(name).is_file());
        let file = there.find_map(|name| self.led(&folder.join(name)));
        (file, self.found.astray.len() > astray)
    }

    /// Where something really is, if it may be read there.
    fn led(&mut self, path: &Path) -> Option<PathBuf> {
        if !fs::symlink_metadata(path).ok()?.is_symlink() {
            return Some(path.to_owned());
        }
        match self.reach.follow(path, &path.display().to_string()) {
            Led::To(real) => {
                self.found.linked.push(real.clone());
                Some(real)
            }
            Led::Nowhere => None,
            Led::Astray(warning) | Led::Round(warning) => {
                self.found.astray.push(warning);
                None
            }
        }
    }
}

fn read_all(found: &Found) -> Shelved {
    let mut upstreams =
        Shelved { warnings: found.astray.clone(), partly: !found.astray.is_empty(), ..Shelved::default() };
    for files in &found.files {
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
        let problems = std::mem::take(&mut collection.problems);
        upstreams.warnings.extend(told(&files.folder, problems));
        let name = collection.name.clone();
        if !upstreams.all.add(collection) {
            let about = files.folder.display().to_string();
            let message = format!("{about}: there is another collection `{name}`, which stands");
            upstreams.warnings.push(warning(&about, "taken", message));
        }
    }
    upstreams
}

/// What is wrong with single artifacts of a collection: not all of it, where it is all of one kind.
fn told(folder: &Path, mut problems: Vec<String>) -> impl Iterator<Item = Warning> {
    let about = folder.display().to_string();
    if problems.len() > WARNINGS_MAX {
        let more = problems.len() - WARNINGS_MAX;
        problems.truncate(WARNINGS_MAX);
        problems.push(format!("there are {more} more warnings like these"));
    }
    problems.into_iter().map(move |problem| warning(&about, "malformed", format!("{about}: {problem}")))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let read = read_plain(path, BYTES_MAX).map_err(|error| format!("it cannot be read: {error}"));
    read.map(|(bytes, _)| bytes)
}

/// Whether a file of that name says what a collection has.
pub(super) fn is_collection_file(name: &std::ffi::OsStr) -> bool {
    MANIFESTS.iter().chain(&LOCKS).any(|known| name == *known)
}
