//! What hears of changes: the system's own events, and for folders that it has no watch left for,
//! a look every so often.

mod looks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, Flag};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::Sender;

use looks::Looks;

/// What was heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Something about these paths.
    Of(Event),
    /// That something was missed.
    Overflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Events,
    Looks,
}

/// Both ways of hearing.
pub(crate) struct Ears {
    events: Option<RecommendedWatcher>,
    looks: Option<Looks>,
    watched: BTreeMap<PathBuf, By>,
    mouth: Mouth,
    poll: Duration,
    /// Why folders are looked at that should be heard of.
    trouble: Option<String>,
    /// Folders that may not be watched.
    closed: BTreeSet<PathBuf>,
    /// Whether watches may be on what is not there any more.
    is_in_doubt: bool,
}

/// Where what is heard goes. It never waits: what finds no room is missed, which is told.
#[derive(Clone)]
pub(crate) struct Mouth {
    pub(crate) sender: Sender<Heard>,
    pub(crate) missed: Arc<AtomicBool>,
}

impl Mouth {
    fn tell(&self, event: notify::Result<Event>) {
        let heard = match event {
            Ok(event) if event.attrs.flag() == Some(Flag::Rescan) => Heard::Overflow,
            Ok(event) if is_only_a_look(event.kind) => return,
            Ok(event) => Heard::Of(event),
            // Something was not heard, and nobody knows what.
            Err(_) => Heard::Overflow,
        };
        if self.sender.try_send(heard).is_err() {
            self.missed.store(true, Ordering::Release);
        }
    }
}

/// Reading a file is an event too, ours as well.
fn is_only_a_look(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

impl Ears {
    pub(crate) fn new(mouth: Mouth, poll: Duration, by_events: bool) -> Self {
        let mut ears = Ears {
            events: None,
            looks: None,
            watched: BTreeMap::new(),
            mouth,
            poll,
            trouble: None,
            closed: BTreeSet::new(),
            is_in_doubt: false,
        };
        if by_events {
            let mouth = ears.mouth.clone();
            match RecommendedWatcher::new(move |event| mouth.tell(event), Config::default()) {
                Ok(events) => ears.events = Some(events),
                Err(error) => ears.trouble = Some(trouble(&error, poll)),
            }
        }
        ears
    }

    /// Why not all is heard of at once, and what to do about it.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.clone().or_else(|| {
            let first = self.closed.first()?.display();
            let more = match self.closed.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Some(format!("{first}{more} cannot be watched: permission denied"))
        })
    }

    /// Watches exactly these folders from now on, unless it is stopped; answers those that were not
    /// watched before.
    pub(crate) fn watch(&mut self, folders: &BTreeSet<PathBuf>, stop: &AtomicBool) -> Vec<PathBuf> {
        let old: Vec<PathBuf> =
            self.watched.keys().filter(|folder| !folders.contains(*folder)).cloned().collect();
        for folder in old {
            self.forget(&folder);
        }
        self.closed.retain(|folder| folders.contains(folder));
        if std::mem::take(&mut self.is_in_doubt) {
            let by_events = self.watched.iter().filter(|(_, by)| **by == By::Events);
            let again: Vec<PathBuf> = by_events.map(|(folder, _)| folder.clone()).collect();
            for folder in again.iter().take_while(|_| !stop.load(Ordering::Relaxed)) {
                self.watched.remove(folder);
                self.add(folder);
            }
        }
        let new: Vec<PathBuf> =
            folders.iter().filter(|folder| !self.watched.contains_key(*folder)).cloned().collect();
        let wanted = new.into_iter().take_while(|_| !stop.load(Ordering::Relaxed));
        wanted.filter(|folder| self.add(folder)).collect()
    }

    /// Notes that something was missed.
    pub(crate) fn miss(&self) {
        self.mouth.missed.store(true, Ordering::Release);
    }

    /// Puts each watch anew the next time: what went and came again while nothing was heard has the name of a folder
    /// that is watched, and is another.
    pub(crate) fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// Forgets a folder and all below it: they are gone, or called otherwise now.
    pub(crate) fn forget_below(&mut self, folder: &Path) {
        let below = self.watched.range(folder.to_owned()..).map(|(watched, _)| watched);
        let below: Vec<PathBuf> = below.take_while(|watched| watched.starts_with(folder)).cloned().collect();
        for folder in below {
            self.forget(&folder);
        }
    }

    /// How many folders are watched.
    pub(crate) fn count(&self) -> usize {
        self.watched.len()
    }

    pub(crate) fn watches(&self, folder: &Path) -> bool {
        self.watched.contains_key(folder)
    }

    /// Watches one folder more. `false` = it is gone already.
    pub(crate) fn add(&mut self, folder: &Path) -> bool {
        if let Some(events) = &mut self.events {
            match events.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.closed.remove(folder);
                    self.watched.insert(folder.to_owned(), By::Events);
                    return true;
                }
                Err(error) => match Why::of(&error) {
                    Why::Gone => return false,
                    // When it may be, its parent's watch tells.
                    Why::Forbidden => {
                        self.closed.insert(folder.to_owned());
                        return false;
                    }
                    Why::Limit | Why::Other => {
                        self.trouble.get_or_insert_with(|| trouble(&error, self.poll));
                    }
                },
            }
        }
        let is_heard = self.looks().is_some_and(|looks| looks.watch(folder));
        if is_heard {
            self.watched.insert(folder.to_owned(), By::Looks);
        }
        is_heard
    }

    fn forget(&mut self, folder: &Path) {
        // One that is gone has no watch any more, which is what is wanted.
        match self.watched.remove(folder) {
            Some(By::Events) => drop(self.events.as_mut().map(|events| events.unwatch(folder))),
            Some(By::Looks) => drop(self.looks.as_ref().map(|looks| looks.unwatch(folder))),
            None => {}
        }
    }

    fn looks(&mut self) -> Option<&Looks> {
        if self.looks.is_none() {
            self.looks = Looks::every(self.poll, self.mouth.clone());
        }
        self.looks.as_ref()
    }
}

/// Why a folder cannot be watched.
enum Why {
    /// It is not there, or is none.
    Gone,
    /// It may not be looked into.
    Forbidden,
    /// No watch is left, or no file handle to keep watches by.
    Limit,
    /// The system does not do that here.
    Other,
}

impl Why {
    fn of(error: &notify::Error) -> Why {
        use std::io::ErrorKind as Kind;
        match &error.kind {
            ErrorKind::MaxFilesWatch => Why::Limit,
            ErrorKind::Io(error) => match error.kind() {
                Kind::NotFound | Kind::NotADirectory => Why::Gone,
                Kind::PermissionDenied => Why::Forbidden,
                _ if is_limit(error) => Why::Limit,
                _ => Why::Other,
            },
            _ => Why::Gone,
        }
    }
}

#[cfg(unix)]
fn is_limit(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let limits = [Errno::NOSPC, Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|number| limits.contains(&number))
}

#[cfg(not(unix))]
fn is_limit(_error: &std::io::Error) -> bool {
    false
}

fn trouble(error: &notify::Error, poll: Duration) -> String {
    let every = poll.as_secs_f32();
    if !matches!(Why::of(error), Why::Limit) {
        return format!(
            "the system does not tell of changes in all folders ({error}); some are looked at every {every} s instead"
        );
    }
    format!(
        "the system has no watches left for all folders ({error}); some are looked at every {every} s instead. \
         To be told of changes at once, raise fs.inotify.max_user_watches and max_user_instances (sysctl), \
         or have `[projects] prune` leave out what holds no projects"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_is_to_be_raised() {
        let every = Duration::from_secs(5);
        let of = |kind| trouble(&notify::Error::new(kind), every);
        assert!(of(ErrorKind::MaxFilesWatch).contains("max_user_watches"));
        let io = |number| ErrorKind::Io(std::io::Error::from_raw_os_error(number));
        #[cfg(target_os = "linux")]
        assert!(of(io(24)).contains("max_user_instances"), "no file handle");
        let other = of(io(5));
        assert!(!other.contains("max_user") && other.contains("os error 5"), "{other}");
    }

    #[test]
    fn what_is_below_a_folder_is_forgotten_with_it_and_what_is_called_alike_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let mouth = Mouth { sender: tokio::sync::mpsc::channel(8).0, missed: Arc::default() };
        let mut ears = Ears::new(mouth, Duration::from_mins(1), false);
        let folders = ["a", "a/b", "a/b/c/d", "a/b/c", "a/b-c", "a/b.d", "a/ba"];
        let all: BTreeSet<PathBuf> = folders.iter().map(|name| dir.path().join(name)).collect();
        for folder in &all {
            std::fs::create_dir_all(folder).unwrap();
        }
        assert_eq!(ears.watch(&all, &AtomicBool::new(false)).len(), folders.len());
        ears.forget_below(&dir.path().join("a/b"));
        let left: Vec<&str> =
            folders.into_iter().filter(|name| ears.watches(&dir.path().join(name))).collect();
        assert_eq!(left, ["a", "a/b-c", "a/b.d", "a/ba"]);
    }
}
