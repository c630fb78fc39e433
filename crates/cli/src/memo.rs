//! A list as it was last printed, kept for the next who asks: passed on while everything it was made from is
//! as it was, without so much as opening the store. That is told as `make` and `git` tell it: by the files'
//! sizes and times. It is a copy of a copy, in the user's state directory, and may go at any time.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{Fingerprint, SheetText, Time};

use crate::config::{Config, make_private_dir};

/// A file that changed less than this ago may change again and bear the same time: some file systems
/// (FAT) count in twos of seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// The longest first line, with room to spare.
const HEAD_MAX: usize = 1024;

/// Lists that are kept at once; beyond it the oldest goes.
const MEMOS_MAX: usize = 16;

/// Where a list is kept, and what it is made from.
#[derive(Debug, Clone)]
pub struct Memo {
    path: PathBuf,
    /// The files as they were before anything was read of them.
    made_from: String,
    /// Whether they would look different if they changed now.
    is_settled: bool,
}

/// A list that was kept, and holds.
#[derive(Debug)]
pub struct Kept {
    file: File,
    /// Where it begins in the file.
    begins: u64,
    /// How long it is.
    bytes: u64,
}

impl Memo {
    /// Of a list that is decided by the store's file, by the clone's manifest and by `terms`, everything
    /// else that has a say. `None` = the store is no file, or is not there.
    pub fn of(config: &Config, manifest: Option<&Path>, terms: &[&str], now: Time) -> Option<Memo> {
        let url = &config.store.url.value;
        let named = url.to_string();
        let terms = [&[named.as_str()], terms].concat();
        Memo::at(&folder(config), url.file()?, manifest, &terms, now)
    }

    fn at(folder: &Path, store: &Path, manifest: Option<&Path>, terms: &[&str], now: Time) -> Option<Memo> {
        let files = Files::look(store, manifest)?;
        let name = Fingerprint::of(&[&[env!("CARGO_PKG_VERSION")], terms].concat());
        Some(Memo {
            path: folder.join(name.as_str()),
            is_settled: files.newest.is_some_and(|newest| now.since(newest) >= SETTLED),
            made_from: files.told,
        })
    }

    /// The list that was kept, if it was made from the files as they are and `now` is within its time.
    pub fn kept(&self, now: Time) -> Option<Kept> {
        let mut file = File::open(&self.path).ok()?;
        let mut head = [0; HEAD_MAX];
        let read = file.read(&mut head).ok()?;
        let end = memchr::memchr(b'\n', &head[..read])?;
        let head = std::str::from_utf8(&head[..end]).ok()?;
        let told = head.strip_prefix(&*self.made_from)?.strip_prefix(' ')?;
        let mut numbers = told.split(' ').map(str::parse::<i64>);
        let mut next = || numbers.next()?.ok();
        let (from, until, bytes) = (next()?, next()?, u64::try_from(next()?).ok()?);
        let begins = end as u64 + 1;
        let is_whole = file.metadata().is_ok_and(|about| about.len() == begins + bytes);
        let holds = from <= now.ms() && now.ms() < until;
        (is_whole && holds).then_some(Kept { file, begins, bytes })
    }

    /// Whether a list that is made now is worth keeping.
    pub fn may_keep(&self) -> bool {
        self.is_settled
    }

    /// Keeps the list, which holds from a time on and until before another, in place of what was kept of it.
    /// Errors: the directory cannot be written; the next who asks opens the store, as this one did.
    pub fn keep(&self, text: &str, from: Time, until: Time) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        make_private_dir(folder)?;
        if !self.path.exists() {
            make_room(folder)?;
        }
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(beside, "{} {} {} {}", self.made_from, from.ms(), until.ms(), text.len())?;
        beside.write_all(text.as_bytes())?;
        beside.persist(&self.path)?;
        Ok(())
    }
}

impl Kept {
    /// Its beginning: whole lines of the first `most` bytes. `None` = it cannot be read any more.
    pub fn beginning(&self, most: usize) -> Option<SheetText> {
        let bytes = usize::try_from(self.bytes).ok()?;
        let mut text = Vec::with_capacity(bytes.min(most));
        let mut file = &self.file;
        io::Seek::seek(&mut file, io::SeekFrom::Start(self.begins)).ok()?;
        file.take(bytes.min(most) as u64).read_to_end(&mut text).ok()?;
        SheetText::within(text, bytes, most)
    }

    /// The file, with the place of the list in it: where it begins, and how long it is.
    pub fn place(&self) -> (&File, u64, u64) {
        (&self.file, self.begins, self.bytes)
    }
}

/// Forgets all lists, of whatever store. Errors: some could not be removed.
pub fn forget(config: &Config) -> io::Result<()> {
    match fs::remove_dir_all(folder(config)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn folder(config: &Config) -> PathBuf {
    config.dirs.state.join("lists")
}

fn make_room(folder: &Path) -> io::Result<()> {
    let mut kept = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        kept.push((file.metadata()?.modified()?, file.path()));
    }
    kept.sort();
    let too_many = (kept.len() + 1).saturating_sub(MEMOS_MAX);
    kept.iter().take(too_many).try_for_each(|(_, path)| fs::remove_file(path))
}

/// Files as they look from outside.
struct Files {
    told: String,
    /// When one of them last changed.
    newest: Option<Time>,
}

impl Files {
    /// `None` = there is no store, or a manifest that cannot be looked at.
    fn look(store: &Path, manifest: Option<&Path>) -> Option<Files> {
        let mut files = Files { told: "larder".to_owned(), newest: None };
        // What lies beside it lies beside the file itself, not beside a link to it.
        let store = fs::canonicalize(store).ok()?;
        files.add(&fs::metadata(&store).ok()?);
        // SQLite writes there first. Readers make an empty one, which says nothing.
        let mut log = store.into_os_string();
        log.push("-wal");
        match fs::metadata(Path::new(&log)) {
            Ok(about) if about.len() > 0 => files.add(&about),
            _ => files.told.push_str(" -"),
        }
        match manifest.map(fs::metadata) {
            Some(Ok(about)) => files.add(&about),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => files.told.push_str(" none"),
            Some(Err(_)) => return None,
            None => files.told.push_str(" -"),
        }
        Some(files)
    }

    #[cfg(unix)]
    fn add(&mut self, about: &Metadata) {
        use std::fmt::Write as _;
        use std::os::unix::fs::MetadataExt as _;

        let changed = (about.ctime(), about.ctime_nsec()).max((about.mtime(), about.mtime_nsec()));
        let _ = write!(
            self.told,
            " {}:{}:{}:{}.{}:{}.{}",
            about.dev(),
            about.ino(),
            about.len(),
            about.mtime(),
            about.mtime_nsec(),
            about.ctime(),
            about.ctime_nsec()
        );
        let at = Time::from_ms(changed.0.saturating_mul(1000).saturating_add(changed.1 / 1_000_000));
        self.newest = self.newest.max(Some(at));
    }

    /// Without a file's number and the time of its last change of any kind, its looks say too little.
    #[cfg(not(unix))]
    fn add(&mut self, _: &Metadata) {
        self.newest = Some(Time::from_ms(i64::MAX));
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use larder_core::Clock as _;
    use larder_engine::SystemClock;

    use super::*;

    const LINES: &str = "VERSION\nv2\nv1\n";

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            let place = Place(tempfile::tempdir().unwrap());
            place.write("store", "one");
            place
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).unwrap();
        }

        /// As somebody sees it who comes so much later.
        fn memo(&self, terms: &[&str], later: Duration) -> Memo {
            let at = |name: &str| self.0.path().join(name);
            let now = SystemClock.now().plus(later);
            Memo::at(&at("lists"), &at("store"), Some(&at("manifest")), terms, now).unwrap()
        }

        fn keep(&self) -> Memo {
            let memo = self.memo(&["all"], 2 * SETTLED);
            assert!(memo.may_keep());
            memo.keep(LINES, Time::from_ms(1_000), Time::from_ms(2_000)).unwrap();
            memo
        }

        /// What somebody is passed on who looks now, and asks at that time.
        fn passed_on(&self, ms: i64) -> Option<String> {
            let kept = self.memo(&["all"], Duration::ZERO).kept(Time::from_ms(ms))?;
            kept.beginning(usize::MAX).map(|sheet| sheet.text)
        }
    }

    #[test]
    fn a_list_is_passed_on_within_its_time() {
        let place = Place::new();
        assert_eq!(place.passed_on(1_500), None);
        let memo = place.keep();
        assert_eq!(place.passed_on(1_000).as_deref(), Some(LINES));
        assert_eq!(place.passed_on(1_999).as_deref(), Some(LINES));
        assert_eq!((place.passed_on(999), place.passed_on(2_000)), (None, None));
        assert!(place.memo(&["some"], Duration::ZERO).kept(Time::from_ms(1_500)).is_none());
        let kept = memo.kept(Time::from_ms(1_500)).unwrap();
        let beginning = kept.beginning(LINES.len() - 1).unwrap();
        assert_eq!((&*beginning.text, beginning.is_whole), ("VERSION\nv2\n", false));
    }

    #[test]
    fn whatever_it_was_made_from_ends_it() {
        for (name, text) in [("store", "two"), ("store-wal", "frames"), ("manifest", "{}")] {
            let place = Place::new();
            place.keep();
            // As many bytes, in another file of the same name, count as a change too.
            place.write("other", text);
            fs::rename(place.0.path().join("other"), place.0.path().join(name)).unwrap();
            assert_eq!(place.passed_on(1_500), None, "{name}");
        }
        let place = Place::new();
        place.keep();
        place.write("store-wal", "");
        assert!(place.passed_on(1_500).is_some(), "readers make an empty one");
    }

    #[test]
    fn what_lies_beside_the_file_counts_also_by_way_of_a_link() {
        let place = Place::new();
        let real = tempfile::tempdir().unwrap();
        fs::rename(place.0.path().join("store"), real.path().join("real")).unwrap();
        std::os::unix::fs::symlink(real.path().join("real"), place.0.path().join("store")).unwrap();
        place.keep();
        assert!(place.passed_on(1_500).is_some());
        fs::write(real.path().join("real-wal"), "frames").unwrap();
        assert_eq!(place.passed_on(1_500), None);
    }

    #[test]
    fn a_manifest_that_cannot_be_looked_at_is_not_none() {
        let place = Place::new();
        fs::write(place.0.path().join("manifest"), "").unwrap();
        let beneath = place.0.path().join("manifest/pmu-cache.json");
        let store = place.0.path().join("store");
        assert!(Memo::at(place.0.path(), &store, Some(&beneath), &[], Time::from_ms(0)).is_none());
    }

    #[test]
    fn nothing_is_kept_of_what_may_change_within_the_same_tick() {
        let place = Place::new();
        assert!(!place.memo(&["all"], Duration::ZERO).may_keep());
        assert!(place.memo(&["all"], SETTLED).may_keep());
        place.write("manifest", "{}");
        assert!(!place.memo(&["all"], Duration::ZERO).may_keep());
    }

    #[test]
    fn a_torn_one_is_none_and_many_are_forgotten() {
        let place = Place::new();
        let memo = place.keep();
        let whole = fs::read(&memo.path).unwrap();
        for end in [0, 10, whole.len() - 1] {
            fs::write(&memo.path, &whole[..end]).unwrap();
            assert_eq!(place.passed_on(1_500), None, "{end} bytes");
        }
        let folder = memo.path.parent().unwrap();
        for n in 1..MEMOS_MAX {
            fs::write(folder.join(n.to_string()), "").unwrap();
        }
        place.keep();
        let count = || fs::read_dir(folder).unwrap().count();
        assert_eq!(count(), MEMOS_MAX, "it takes its own place");
        let another = place.memo(&["another"], 2 * SETTLED);
        another.keep(LINES, Time::from_ms(1_000), Time::from_ms(2_000)).unwrap();
        assert!(another.path.exists() && count() == MEMOS_MAX, "the oldest went");
    }
}
