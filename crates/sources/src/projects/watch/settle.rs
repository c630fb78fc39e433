//! Puts watches where they belong. Whatever comes into a folder between the look into it and its watch, nobody
//! hears of; so it is looked once more where something may have come.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::super::stamp::{machine_time, tick};
use super::super::walk::Rules;
use super::places::Places;
use crate::ears::Ears;

/// It is looked so often for what comes meanwhile; if there is more, it is missed.
const OUTRUN_MAX: usize = 4;

/// Watches what `work_out` says, which is asked again while there is more than it said. Answers the folders that
/// were not watched before.
pub(super) fn settle(
    ears: &mut Ears,
    rules: &Rules,
    stop: &AtomicBool,
    mut work_out: impl FnMut() -> Places,
) -> (Places, Vec<PathBuf>) {
    let mut new = Vec::new();
    let mut looks = 0;
    loop {
        let looked_at = machine_time();
        let found = work_out();
        let added = ears.watch(&found.watched(), stop);
        let came = found.outrun();
        let is_more = |folder: &PathBuf| {
            found.folders.contains_key(folder)
                && may_have_changed(folder, looked_at)
                && holds_more(folder, &found, rules)
        };
        let is_settled = came.is_empty() && !added.iter().any(is_more);
        new.extend(came);
        new.extend(added);
        if is_settled {
            return (found, new);
        }
        looks += 1;
        if looks == OUTRUN_MAX {
            ears.miss();
            return (found, new);
        }
    }
}

/// Whether something may have come into a folder, or gone, since that time.
fn may_have_changed(folder: &Path, since: SystemTime) -> bool {
    let changed_at = folder.metadata().and_then(|about| about.modified());
    changed_at.is_ok_and(|at| at.checked_add(tick(at)).is_none_or(|at| at >= since))
}

/// Whether a folder holds a folder or a link that was not met. One that is left out by an ignore file, or lies too
/// deep, is taken for one: that costs a look.
fn holds_more(folder: &Path, found: &Places, rules: &Rules) -> bool {
    let is_more = |entry: DirEntry| {
        let path = entry.path();
        entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink())
            && found.goes_into(folder, &entry.file_name())
            && !rules.prunes(&entry.file_name())
            && !found.folders.contains_key(&path)
            && !found.links.contains(&path)
    };
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(is_more))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::tz::TimeZone;
    use larder_core::Policy;
    use tokio::sync::mpsc::channel;

    use super::super::super::{ProjectsConfig, ProjectsSource};
    use super::super::places::places;
    use super::*;
    use crate::ears::Mouth;

    fn ears(missed: &Arc<AtomicBool>) -> Ears {
        let mouth = Mouth { sender: channel(8).0, missed: missed.clone() };
        Ears::new(mouth, Duration::from_mins(1), true)
    }

    fn source(root: &Path) -> ProjectsSource {
        let config = ProjectsConfig { roots: vec![root.to_owned()], ..ProjectsConfig::default() };
        ProjectsSource::new(&config, &Policy::default(), || TimeZone::UTC).unwrap()
    }

    #[test]
    fn what_comes_between_the_look_into_a_folder_and_its_watch_is_watched_as_well() {
        for came in ["later/src", "kiln/.claude/skills"] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().canonicalize().unwrap();
            fs::create_dir(root.join("kiln")).unwrap();
            let (source, stop) = (source(&root), AtomicBool::new(false));
            let mut ears = ears(&Arc::default());
            let (found, new) = settle(&mut ears, &source.shared.rules, &stop, || {
                let found = places(&source.shared, &stop);
                fs::create_dir_all(root.join(came)).unwrap();
                found
            });
            let came = root.join(came);
            assert!(ears.watches(&came) && found.folders.contains_key(&came), "{}", came.display());
            assert!(new.contains(&came) && new.contains(&root), "{new:?}");
        }
    }

    /// Whether the system really tells of a folder.
    #[cfg(target_os = "linux")]
    fn is_told_of(folder: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let own = format!(" ino:{:x} ", folder.metadata().unwrap().ino());
        let files = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).any(|told| told.contains(&own))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_went_and_came_again_unheard_is_watched_when_something_was_missed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let folder = root.join("kiln");
        fs::create_dir(&folder).unwrap();
        let (source, stop) = (source(&root), AtomicBool::new(false));
        let mut ears = ears(&Arc::default());
        let settled = |ears: &mut Ears| {
            settle(ears, &source.shared.rules, &stop, || places(&source.shared, &stop));
        };
        settled(&mut ears);
        assert!(is_told_of(&folder) && is_told_of(&root));
        fs::remove_dir(&folder).unwrap();
        // Another takes its inode, so that the next has one of its own.
        fs::create_dir(root.join("other")).unwrap();
        fs::create_dir(&folder).unwrap();
        settled(&mut ears);
        assert!(!is_told_of(&folder), "nobody knows that it is another");
        ears.doubt();
        settled(&mut ears);
        assert!(is_told_of(&folder) && is_told_of(&root));
        fs::remove_dir(root.join("other")).unwrap();
        settled(&mut ears);
        assert!(is_told_of(&folder) && is_told_of(&root), "and is left alone otherwise");
    }

    #[test]
    fn what_never_ends_to_come_is_missed_and_not_looked_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (source, stop, missed) = (source(&root), AtomicBool::new(false), Arc::default());
        let mut looks = 0;
        settle(&mut ears(&missed), &source.shared.rules, &stop, || {
            let found = places(&source.shared, &stop);
            looks += 1;
            let last = found.folders.keys().next_back().unwrap().join(looks.to_string());
            fs::create_dir(last).unwrap();
            found
        });
        assert_eq!((looks, missed.load(std::sync::atomic::Ordering::Acquire)), (OUTRUN_MAX, true));
    }
}
