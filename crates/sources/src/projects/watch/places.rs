//! Which folders are watched: those in which a project may appear, those that hold artifacts, and
//! those that links and collections lead to. Each by itself: a watch on everything below a root
//! would also take all that is pruned.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use larder_core::Key;
use larder_domain::PROFILES;

use super::super::reach::{Led, Reach};
use super::super::{Shared, walk};

/// No more folders are watched: a system that could would still suffer.
const FOLDERS_MAX: usize = 200_000;
/// So deep below a profile's folder.
const DEPTH_MAX: usize = 32;

/// Folders to watch, and what those mean that lie nowhere else.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) folders: BTreeSet<PathBuf>,
    /// What links lead to, with the project that has the link.
    pub(super) linked: Vec<(PathBuf, Key)>,
}

/// Works out what is to be watched now.
pub(super) fn places(shared: &Shared) -> Places {
    let reach = Reach::of(shared.allowed.iter().map(PathBuf::as_path));
    let mut places = Places::default();
    let stop = AtomicBool::new(false);
    for root in shared.catalogue.roots() {
        let real = root.path.canonicalize().unwrap_or_else(|_| root.path.clone());
        // A root that is away, or only half there, is watched as far as it goes.
        let Ok(walked) = walk::walk(&root.path, &shared.rules, &reach.and(&real), &stop) else { continue };
        for folder in &walked.folders {
            for (profile, _) in PROFILES {
                places.below(&folder.join(profile), 0);
            }
        }
        places.folders.extend(walked.folders);
    }
    for (key, project) in shared.catalogue.projects() {
        let own = reach.and(&project.path).and(&project.root);
        for (profile, _) in PROFILES {
            places.links(&project.path.join(profile), &key, &own, 0);
        }
    }
    for place in &shared.collections {
        // One named through a link is watched where it really is.
        places.below(&place.canonicalize().unwrap_or_else(|_| place.clone()), DEPTH_MAX - 2);
    }
    while places.folders.len() > FOLDERS_MAX {
        places.folders.pop_last();
    }
    places
}

impl Places {
    /// A folder and all below it, links aside.
    pub(super) fn below(&mut self, folder: &Path, depth: usize) {
        let is_folder = fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir());
        if !is_folder || depth > DEPTH_MAX || self.folders.len() > FOLDERS_MAX {
            return;
        }
        self.folders.insert(folder.to_owned());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.below(&entry.path(), depth + 1);
            }
        }
    }

    /// What links below a folder lead to, as far as it may be read.
    fn links(&mut self, folder: &Path, key: &Key, reach: &Reach, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        if fs::symlink_metadata(folder).is_ok_and(|about| about.is_symlink()) {
            self.link(folder, key, reach, depth);
            return;
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_symlink() {
                self.link(&entry.path(), key, reach, depth);
            } else if kind.is_dir() {
                self.links(&entry.path(), key, reach, depth + 1);
            }
        }
    }

    fn link(&mut self, link: &Path, key: &Key, reach: &Reach, depth: usize) {
        let Led::To(target) = reach.follow(link, "") else { return };
        let known = (target.clone(), key.clone());
        if self.linked.contains(&known) {
            return;
        }
        self.linked.push(known);
        if target.is_dir() {
            self.below(&target, depth);
            self.links(&target, key, reach, depth + 1);
        } else if let Some(folder) = target.parent() {
            self.folders.insert(folder.to_owned());
        }
    }
}
