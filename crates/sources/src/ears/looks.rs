//! A look at folders every so often, where the system does not tell of changes: what differs from the look before
//! is told of. (Own lines in place of notify's `PollWatcher`: that knows whole seconds and tells of newer times
//! alone, or else reads every file each time.)

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use notify::event::{CreateKind, DataChange, EventKind, MetadataKind, ModifyKind, RemoveKind};

use super::Mouth;
use crate::projects::{machine_time, tick};

/// Folders that are looked at until it is dropped.
pub(super) struct Looks {
    folders: Arc<Mutex<Folders>>,
    /// The thread that looks ends when it is gone.
    _end: Sender<()>,
}

type Folders = BTreeMap<PathBuf, Seen>;

/// What a look at a folder found.
#[derive(Debug, Clone, Default)]
struct Seen {
    own: Option<Mark>,
    entries: BTreeMap<OsString, Mark>,
}

impl Looks {
    /// `None` = there is no thread left for it.
    pub(super) fn every(span: Duration, mouth: Mouth) -> Option<Self> {
        let folders: Arc<Mutex<Folders>> = Arc::default();
        let (end, ended) = channel::<()>();
        let looked_at = folders.clone();
        let looks = move || {
            while ended.recv_timeout(span) == Err(RecvTimeoutError::Timeout) {
                look_at_all(&looked_at, &mouth);
            }
        };
        std::thread::Builder::new().name("looks".to_owned()).spawn(looks).ok()?;
        Some(Looks { folders, _end: end })
    }

    /// Looks at a folder from now on. `false` = there is none.
    pub(super) fn watch(&self, folder: &Path) -> bool {
        let seen = Seen::of(folder, &Seen::default());
        let is_folder = seen.own.is_some_and(|own| own.kind == Kind::Folder);
        if is_folder {
            lock(&self.folders).insert(folder.to_owned(), seen);
        }
        is_folder
    }

    pub(super) fn unwatch(&self, folder: &Path) {
        lock(&self.folders).remove(folder);
    }
}

/// Nobody who wants to watch one more has to wait for all of it.
fn look_at_all(folders: &Mutex<Folders>, mouth: &Mouth) {
    let all: Vec<PathBuf> = lock(folders).keys().cloned().collect();
    for folder in all {
        let Some(before) = lock(folders).get(&folder).cloned() else { continue };
        let now = Seen::of(&folder, &before);
        before.tell(&now, &folder, mouth);
        if let Some(held) = lock(folders).get_mut(&folder) {
            *held = now;
        }
    }
}

fn lock(folders: &Mutex<Folders>) -> MutexGuard<'_, Folders> {
    folders.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    /// What is there now. What cannot be asked about is taken to be as it was.
    fn of(folder: &Path, before: &Seen) -> Seen {
        let looked_at = machine_time();
        let own = mark_of(fs::symlink_metadata(folder), before.own, looked_at);
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries.flatten().filter_map(|entry| {
                let name = entry.file_name();
                let held = before.entries.get(&name).copied();
                Some((name, mark_of(entry.metadata(), held, looked_at)?))
            }),
            Err(error) if is_gone(&error) => return Seen { own, entries: BTreeMap::new() },
            Err(_) => return Seen { own, entries: before.entries.clone() },
        };
        Seen { own, entries: entries.collect() }
    }

    fn tell(&self, now: &Seen, folder: &Path, mouth: &Mouth) {
        let tell = |kind: Option<EventKind>, path: PathBuf| {
            if let Some(kind) = kind {
                mouth.tell(Ok(notify::Event::new(kind).add_path(path)));
            }
        };
        tell(what_happened(self.own, now.own), folder.to_owned());
        for (name, mark) in &now.entries {
            tell(what_happened(self.entries.get(name).copied(), Some(*mark)), folder.join(name));
        }
        for (name, mark) in self.entries.iter().filter(|(name, _)| !now.entries.contains_key(*name)) {
            tell(what_happened(Some(*mark), None), folder.join(name));
        }
    }
}

fn mark_of(about: std::io::Result<Metadata>, before: Option<Mark>, looked_at: SystemTime) -> Option<Mark> {
    match about {
        Ok(about) => Some(Mark::of(&about, looked_at)),
        Err(error) if is_gone(&error) => None,
        Err(_) => before,
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Other,
}

/// By what one look is told from the next.
#[derive(Debug, Clone, Copy)]
struct Mark {
    kind: Kind,
    /// Which one it is, among those that go by its name.
    which: [u64; 2],
    /// Who may do what with it.
    access: [u64; 3],
    /// What moves when it is written, whatever else somebody sets its times to.
    times: [u64; 5],
    /// Whether it was written so lately that it may be written again without any of that telling.
    is_young: bool,
}

impl Mark {
    fn of(about: &Metadata, looked_at: SystemTime) -> Self {
        let kind = match about.file_type() {
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        let (which, access, times, changed_at) = numbers(about);
        let is_young = looked_at.duration_since(changed_at).unwrap_or_default() < tick(changed_at);
        Mark { kind, which, access, times, is_young }
    }
}

fn what_happened(before: Option<Mark>, now: Option<Mark>) -> Option<EventKind> {
    let (before, now) = match (before, now) {
        (None, None) => return None,
        (None, Some(_)) => return Some(EventKind::Create(CreateKind::Any)),
        (Some(_), None) => return Some(EventKind::Remove(RemoveKind::Any)),
        (Some(before), Some(now)) => (before, now),
    };
    let is_written = before.times != now.times;
    let metadata = |kind| Some(EventKind::Modify(ModifyKind::Metadata(kind)));
    match now.kind {
        _ if before.kind != now.kind || before.which != now.which => Some(EventKind::Any),
        Kind::Folder if before.access != now.access => metadata(MetadataKind::Permissions),
        // What came into it, each look at it tells.
        Kind::Folder => metadata(MetadataKind::WriteTime).filter(|_| is_written),
        Kind::File if is_written || before.is_young => {
            Some(EventKind::Modify(ModifyKind::Data(DataChange::Any)))
        }
        Kind::Other if is_written || before.is_young => Some(EventKind::Any),
        Kind::File | Kind::Other => None,
    }
}

#[cfg(unix)]
fn numbers(about: &Metadata) -> ([u64; 2], [u64; 3], [u64; 5], SystemTime) {
    use std::os::unix::fs::MetadataExt as _;
    let [seconds, nanos] = [about.ctime() as u64, about.ctime_nsec() as u64];
    let times = [about.len(), about.mtime() as u64, about.mtime_nsec() as u64, seconds, nanos];
    let access = [about.mode().into(), about.uid().into(), about.gid().into()];
    let changed_at = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos as u32));
    ([about.dev(), about.ino()], access, times, changed_at.unwrap_or(SystemTime::UNIX_EPOCH))
}

#[cfg(not(unix))]
fn numbers(about: &Metadata) -> ([u64; 2], [u64; 3], [u64; 5], SystemTime) {
    let nanos = |at: std::io::Result<SystemTime>| {
        let since = at.ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.unwrap_or_default().as_nanos() as u64
    };
    let access = [about.permissions().readonly().into(), 0, 0];
    let times = [about.len(), nanos(about.modified()), nanos(about.created()), 0, 0];
    ([0; 2], access, times, about.modified().unwrap_or(SystemTime::UNIX_EPOCH))
}
