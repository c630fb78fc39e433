//! The quick look: one question a file and a folder, no folder listed and nothing opened, that proves
//! a project to be as it was, or proves nothing.
//!
//! A folder whose own inode and times are what they were holds the same names: whatever puts a name
//! there, takes or replaces one, moves its change time, which nobody can set. So the names that a look
//! went by are kept, with one number made of what the system says of each of them. The next look asks
//! of each name again, also of every file, and compares the number. Whatever is not beyond doubt gets
//! the full look:
//!
//! - something changed so shortly before the look that it may change once more within the same tick of
//!   the file system's clock (as git's index has it), or by a clock that is ahead of ours: no number is
//!   kept, and the next look that finds it older keeps one;
//! - a link by the way, a folder that may not be looked into, a limit that was met, a name that is no
//!   text: these are what the full look is for;
//! - a file system that is not known to move a folder's times with its names (FAT, networks, whatever
//!   runs in user space), or one that is mounted within a project.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::stamp::tick;

/// What a look went by, and what the system said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The folders and files, each by its depth and its name, those in a folder behind it: see [`written`].
    names: String,
    /// Paths where nothing was, from the project's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nothing: Vec<String>,
    /// One number for all of it.
    number: String,
}

/// No project with longer names is looked at quickly.
const NAMES_BYTES_MAX: usize = 1 << 20;
/// Names lie no deeper than can be written as one character each.
const DEPTH_MAX: usize = 64;
/// What is at the first depth is written with this character, what is below it with the next one.
const FIRST_DEPTH: u8 = b'0';

/// What the system said of a file or a folder, before it was read or listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About {
    device: u64,
    numbers: [u64; 7],
}

impl About {
    /// In as far as this system tells; `None` = it has to be asked anew.
    #[cfg(target_os = "linux")]
    #[expect(clippy::unnecessary_wraps, reason = "other systems tell nothing")]
    pub(super) fn of(meta: &Metadata) -> Option<About> {
        use std::os::unix::fs::MetadataExt;
        let numbers = [
            meta.ino(),
            u64::from(meta.mode()),
            meta.size(),
            meta.mtime() as u64,
            meta.mtime_nsec() as u64,
            meta.ctime() as u64,
            meta.ctime_nsec() as u64,
        ];
        Some(About { device: meta.dev(), numbers })
    }

    /// In as far as this system tells; `None` = it has to be asked anew.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_meta: &Metadata) -> Option<About> {
        None
    }
}

/// A path from a project's folder, and what is known of what lies there.
pub(super) type Met = (PathBuf, Option<About>);

impl Seen {
    /// Keeps what a look went by that began at `began`: all that it met, in any order, with the folders
    /// above; and where nothing was. `None` = it proves nothing.
    pub(super) fn of(
        project: &Path,
        met: Vec<Met>,
        nothing: Vec<String>,
        began: SystemTime,
        now: impl Fn() -> SystemTime,
    ) -> Option<Self> {
        let (names, known) = written(met)?;
        let told = ask::all(project, &names, &nothing, &known)?;
        // What changed last before the look began was as it is now all the while, unless the clock was
        // set back meanwhile.
        let is_old = told
            .newest
            .is_none_or(|newest| began.duration_since(newest).is_ok_and(|age| age >= tick(newest)));
        (is_old && now() >= began).then_some(Seen { names, nothing, number: told.number })
    }

    /// Whether all of it is as it was.
    pub(super) fn is_still_so(&self, project: &Path) -> bool {
        ask::all(project, &self.names, &self.nothing, &[]).is_some_and(|told| told.number == self.number)
    }
}

/// Paths in order, each as the character of its depth, its name and a `/`, which no name has; and what is
/// known of each of these names.
fn written(mut met: Vec<Met>) -> Option<(String, Vec<Option<About>>)> {
    met.sort_by(|(a, _), (b, _)| in_order(a).cmp(in_order(b)));
    met.dedup_by(|(path, about), (first, first_about)| {
        let is_same = path.as_os_str() == first.as_os_str();
        if is_same {
            *first_about = first_about.or(*about);
        }
        is_same
    });
    let (mut names, mut known) = (String::new(), Vec::with_capacity(met.len()));
    let mut above: Vec<&str> = Vec::new();
    for (path, about) in &met {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        let shared = above.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        for (depth, part) in parts.iter().enumerate().skip(shared) {
            if depth >= DEPTH_MAX || names.len() > NAMES_BYTES_MAX {
                return None;
            }
            names.push(char::from(FIRST_DEPTH + depth as u8));
            names.push_str(part);
            names.push('/');
            known.push(about.filter(|_| depth + 1 == parts.len()));
        }
        above = parts;
    }
    Some((names, known))
}

/// A path such that what lies in a folder comes behind it and before all else, as by its parts, which take
/// five times as long to be compared. These paths have no part that says nothing.
fn in_order(path: &Path) -> impl Iterator<Item = u8> {
    path.as_os_str().as_encoded_bytes().iter().map(|byte| if *byte == b'/' { 0 } else { *byte })
}

/// What the system said of all names.
struct Told {
    number: String,
    /// When the one that changed last did.
    newest: Option<SystemTime>,
}

/// The time that a file carries; `None` = before all times.
pub(super) fn time(seconds: i64, nanos: u64) -> Option<SystemTime> {
    let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(target_os = "linux")]
mod ask {
    //! One call of the system's a name.

    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
    use rustix::io::Errno;

    use super::{About, DEPTH_MAX, FIRST_DEPTH, Told, time};

    /// File systems on this machine that move a folder's times with its names, by their numbers: ext4
    /// (and 2 and 3), XFS, Btrfs, F2FS, tmpfs, overlayfs, ZFS, bcachefs.
    const KNOWN: [u32; 8] = [
        0x0000_ef53,
        0x5846_5342,
        0x9123_683e,
        0xf2f5_2010,
        0x0102_1994,
        0x794c_7630,
        0x2fc1_2fc1,
        0xca45_1a4e,
    ];

    /// Asks of all names below a folder that are not `known`, in their order, and that there is nothing where
    /// nothing was. `None` = some of it is not there, or is of a kind that says nothing.
    pub(super) fn all(
        project: &Path,
        names: &str,
        nothing: &[String],
        known: &[Option<About>],
    ) -> Option<Told> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(project, flags, Mode::empty()).ok()?;
        if !KNOWN.contains(&(rustix::fs::fstatfs(&folder).ok()?.f_type as u32)) {
            return None;
        }
        let device = about(&rustix::fs::fstat(&folder).ok()?).device;
        let mut hasher = blake3::Hasher::new();
        let mut newest = None;
        let mut path = String::new();
        let mut ends = [0; DEPTH_MAX];
        for (place, name) in names.split_terminator('/').enumerate() {
            let depth = usize::from(name.as_bytes().first()?.checked_sub(FIRST_DEPTH)?);
            path.truncate(if depth == 0 { 0 } else { *ends.get(depth - 1)? });
            if depth > 0 {
                path.push('/');
            }
            path.push_str(name.get(1..)?);
            *ends.get_mut(depth)? = path.len();
            let About { device: on, numbers } = match known.get(place) {
                Some(Some(known)) => *known,
                _ => about(&look(&folder, &path).ok()?),
            };
            let [_, mode, _, _, _, changed, changed_nanos] = numbers;
            let kind = FileType::from_raw_mode(u32::try_from(mode).ok()?);
            if on != device || !matches!(kind, FileType::Directory | FileType::RegularFile) {
                return None;
            }
            for number in numbers {
                hasher.update(&number.to_le_bytes());
            }
            newest = newest.max(Some(time(changed.cast_signed(), changed_nanos)?));
        }
        let is_nothing =
            |path: &String| matches!(look(&folder, path).err(), Some(Errno::NOENT | Errno::NOTDIR));
        let number = hasher.finalize().to_hex()[..16].to_owned();
        nothing.iter().all(is_nothing).then_some(Told { number, newest })
    }

    fn look(folder: &OwnedFd, path: &str) -> rustix::io::Result<Stat> {
        rustix::fs::statat(folder, path, AtFlags::SYMLINK_NOFOLLOW)
    }

    #[expect(clippy::unnecessary_cast, reason = "on other processors these have other types")]
    fn about(told: &Stat) -> About {
        let numbers = [
            told.st_ino as u64,
            u64::from(told.st_mode),
            told.st_size as u64,
            told.st_mtime as u64,
            told.st_mtime_nsec as u64,
            told.st_ctime as u64,
            told.st_ctime_nsec as u64,
        ];
        About { device: told.st_dev as u64, numbers }
    }
}

#[cfg(not(target_os = "linux"))]
mod ask {
    //! What other systems' folders promise was not looked into: there every look is a full one.

    use std::path::Path;

    use super::{About, Told};

    pub(super) fn all(
        _project: &Path,
        _names: &str,
        _nothing: &[String],
        _known: &[Option<About>],
    ) -> Option<Told> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_that_promises_nothing_of_its_folders_is_not_believed() {
        let (began, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33), || SystemTime::UNIX_EPOCH);
        let later = move || now() + Duration::from_secs(1 << 34);
        let paths = |name: &str| vec![(PathBuf::from(name), None)];
        assert_eq!(Seen::of(Path::new("/proc/self"), paths("status"), Vec::new(), began, later), None);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("status"), "").unwrap();
        let nothing = || vec!["more".to_owned()];
        let seen = Seen::of(dir.path(), paths("status"), nothing(), began, later).unwrap();
        assert!(seen.is_still_so(dir.path()));
        std::fs::write(dir.path().join("more"), "").unwrap();
        assert!(!seen.is_still_so(dir.path()), "there is something where nothing was");
        assert_eq!(Seen::of(dir.path(), paths("status"), nothing(), began, later), None);
        assert_eq!(
            Seen::of(dir.path(), paths("status"), Vec::new(), began, now),
            None,
            "a clock that went back"
        );
    }

    #[test]
    fn names_are_written_once_each_with_the_folders_above_them() {
        let paths = [".claude/skills/pdf/SKILL.md", ".claude", ".claude/skills/pdf/a b", ".claude/agents"];
        let met = |path: &str| (PathBuf::from(path), None);
        let (names, _) = written(paths.map(met).to_vec()).unwrap();
        assert_eq!(names, "0.claude/1agents/1skills/2pdf/3SKILL.md/3a b/");
        assert_eq!(written(vec![met(&"a/".repeat(DEPTH_MAX + 1))]), None);
        assert_eq!(written(vec![met(&"x".repeat(NAMES_BYTES_MAX + 1)), met("y")]), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_look_was_told_is_what_the_next_one_is_told() {
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33);
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/c"), "c").unwrap();
        let asked = |path: &str| (PathBuf::from(path), None);
        let told = |path: &str| {
            (PathBuf::from(path), About::of(&std::fs::symlink_metadata(dir.path().join(path)).unwrap()))
        };
        assert!(told("a").1.is_some());
        let seen = |met: Vec<Met>| Seen::of(dir.path(), met, Vec::new(), later, || later);
        let all_asked = seen(vec![asked("a/b/c"), asked("a")]).unwrap();
        for met in [
            vec![told("a/b/c"), told("a/b"), told("a")],
            vec![told("a/b/c")],
            vec![asked("a"), told("a/b"), asked("a/b/c")],
            vec![asked("a/b"), told("a/b"), asked("a/b/c"), told("a/b")],
        ] {
            assert_eq!(seen(met).as_ref(), Some(&all_asked));
        }
        let before = told("a/b/c");
        std::fs::write(dir.path().join("a/b/c"), "changed since it was looked at").unwrap();
        assert!(!seen(vec![before]).unwrap().is_still_so(dir.path()), "a change after the look is one");
    }
}
