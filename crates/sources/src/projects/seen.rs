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

impl Seen {
    /// Keeps what a look went by that began at `began`: all `paths` from the project's folder, in any
    /// order, with the folders above them; and where nothing was. `None` = it proves nothing.
    pub(super) fn of(
        project: &Path,
        paths: Vec<PathBuf>,
        nothing: Vec<String>,
        began: SystemTime,
        now: impl Fn() -> SystemTime,
    ) -> Option<Self> {
        let names = written(paths)?;
        let told = ask::all(project, &names, &nothing)?;
        // What changed last before the look began was as it is now all the while, unless the clock was
        // set back meanwhile.
        let is_old = told
            .newest
            .is_none_or(|newest| began.duration_since(newest).is_ok_and(|age| age >= tick(newest)));
        (is_old && now() >= began).then_some(Seen { names, nothing, number: told.number })
    }

    /// Whether all of it is as it was.
    pub(super) fn is_still_so(&self, project: &Path) -> bool {
        ask::all(project, &self.names, &self.nothing).is_some_and(|told| told.number == self.number)
    }
}

/// Paths in order, each as the character of its depth, its name and a `/`, which no name has.
fn written(mut paths: Vec<PathBuf>) -> Option<String> {
    paths.sort();
    paths.dedup();
    let mut names = String::new();
    let mut above: Vec<&str> = Vec::new();
    for path in &paths {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        let shared = above.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        for (depth, part) in parts.iter().enumerate().skip(shared) {
            if depth >= DEPTH_MAX || names.len() > NAMES_BYTES_MAX {
                return None;
            }
            names.push(char::from(FIRST_DEPTH + depth as u8));
            names.push_str(part);
            names.push('/');
        }
        above = parts;
    }
    Some(names)
}

/// What the system said of all names.
struct Told {
    number: String,
    /// When the one that changed last did.
    newest: Option<SystemTime>,
}

/// The time that a file carries; `None` = before all times.
fn time(seconds: i64, nanos: u64) -> Option<SystemTime> {
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

    use super::{DEPTH_MAX, FIRST_DEPTH, Told, time};

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

    /// Asks of all names below a folder, and that there is nothing where nothing was. `None` = some of it
    /// is not there, or is of a kind that says nothing.
    pub(super) fn all(project: &Path, names: &str, nothing: &[String]) -> Option<Told> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(project, flags, Mode::empty()).ok()?;
        if !KNOWN.contains(&(rustix::fs::fstatfs(&folder).ok()?.f_type as u32)) {
            return None;
        }
        let device = rustix::fs::fstat(&folder).ok()?.st_dev;
        let mut hasher = blake3::Hasher::new();
        let mut newest = None;
        let mut path = String::new();
        let mut ends = [0; DEPTH_MAX];
        for name in names.split_terminator('/') {
            let depth = usize::from(name.as_bytes().first()?.checked_sub(FIRST_DEPTH)?);
            path.truncate(if depth == 0 { 0 } else { *ends.get(depth - 1)? });
            if depth > 0 {
                path.push('/');
            }
            path.push_str(name.get(1..)?);
            *ends.get_mut(depth)? = path.len();
            let about = look(&folder, &path).ok()?;
            if about.st_dev != device
                || !matches!(
                    FileType::from_raw_mode(about.st_mode),
                    FileType::Directory | FileType::RegularFile
                )
            {
                return None;
            }
            for number in numbers(&about) {
                hasher.update(&number.to_le_bytes());
            }
            newest = newest.max(Some(time(about.st_ctime as i64, about.st_ctime_nsec as u64)?));
        }
        let is_nothing = |path: &String| look(&folder, path).err() == Some(Errno::NOENT);
        let number = hasher.finalize().to_hex()[..16].to_owned();
        nothing.iter().all(is_nothing).then_some(Told { number, newest })
    }

    fn look(folder: &OwnedFd, path: &str) -> rustix::io::Result<Stat> {
        rustix::fs::statat(folder, path, AtFlags::SYMLINK_NOFOLLOW)
    }

    #[expect(clippy::unnecessary_cast, reason = "on other processors these have other types")]
    fn numbers(about: &Stat) -> [u64; 7] {
        [
            about.st_ino as u64,
            u64::from(about.st_mode),
            about.st_size as u64,
            about.st_mtime as u64,
            about.st_mtime_nsec as u64,
            about.st_ctime as u64,
            about.st_ctime_nsec as u64,
        ]
    }
}

#[cfg(not(target_os = "linux"))]
mod ask {
    //! What other systems' folders promise was not looked into: there every look is a full one.

    use std::path::Path;

    use super::Told;

    pub(super) fn all(_project: &Path, _names: &str, _nothing: &[String]) -> Option<Told> {
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
        let paths = |name: &str| vec![PathBuf::from(name)];
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
        let names = written(paths.map(PathBuf::from).to_vec()).unwrap();
        assert_eq!(names, "0.claude/1agents/1skills/2pdf/3SKILL.md/3a b/");
        assert_eq!(written(vec![PathBuf::from("a/".repeat(DEPTH_MAX + 1))]), None);
        assert_eq!(written(vec![PathBuf::from("x".repeat(NAMES_BYTES_MAX + 1)), PathBuf::from("y")]), None);
    }
}
