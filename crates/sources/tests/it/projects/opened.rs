//! Which files were opened, by the kernel's own account.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Hears of every file that is opened in some folders.
pub(crate) struct Opened {
    listening: JoinHandle<Account>,
    /// Opening it ends the account: events come in the order in which they happened.
    end: PathBuf,
    _dir: tempfile::TempDir,
}

/// What was opened.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) files: BTreeSet<PathBuf>,
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl Opened {
    /// Listens in all folders below these.
    pub(crate) fn below<'a>(places: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut folders = Vec::new();
        for place in places {
            gather(place, &mut folders);
        }
        Opened::in_these(folders)
    }

    /// Listens in these folders, and not below them.
    pub(crate) fn in_these(mut folders: Vec<PathBuf>) -> Self {
        let kernel = inotify::init(CreateFlags::CLOEXEC).unwrap();
        let dir = tempfile::tempdir().unwrap();
        folders.push(dir.path().to_owned());
        // Its making is not listened to: two events that are alike and stand together would be told as one.
        let end = dir.path().join("end");
        fs::write(&end, "").unwrap();
        let listen =
            |folder: PathBuf| (inotify::add_watch(&kernel, &folder, WatchFlags::OPEN).unwrap(), folder);
        let watches: HashMap<i32, PathBuf> = folders.into_iter().map(listen).collect();
        let file = end.clone();
        let listening = std::thread::spawn(move || {
            let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
            let mut events = inotify::Reader::new(kernel, &mut buffer);
            let mut account = Account::default();
            loop {
                let event = events.next().unwrap();
                assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "the kernel's account has gaps");
                let mut path = watches[&event.wd()].clone();
                path.extend(event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())));
                if event.events().contains(ReadFlags::ISDIR) {
                    account.folders.insert(path);
                    continue;
                }
                if path == file {
                    return account;
                }
                account.files.insert(path);
            }
        });
        Opened { listening, end, _dir: dir }
    }

    /// All that was opened until now.
    pub(crate) fn account(self) -> Account {
        fs::read(&self.end).unwrap();
        self.listening.join().unwrap()
    }
}

/// A folder and those below it, links aside.
pub(crate) fn gather(folder: &Path, all: &mut Vec<PathBuf>) {
    all.push(folder.to_owned());
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), all);
        }
    }
}
