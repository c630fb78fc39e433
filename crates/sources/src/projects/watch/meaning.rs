//! Which entries something that happened at a path concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use larder_core::Key;

use super::super::Shared;
use super::super::reach::Reach;
use super::super::upstreams::is_collection_file;
use super::super::walk::{is_profile, is_project};
use super::places::Places;

/// What paths mean now.
pub(super) struct Meanings<'a> {
    pub(super) shared: &'a Shared,
    pub(super) places: &'a Places,
    /// The roots, by where they really are.
    pub(super) roots: Vec<(PathBuf, Key)>,
    /// The projects that are known, by where they really are.
    pub(super) projects: BTreeMap<PathBuf, Key>,
    pub(super) collections: Vec<PathBuf>,
    /// What may be read.
    pub(super) reach: Reach,
}

impl Meanings<'_> {
    /// Adds the entries that want a look. `is_structural`: something may have come there, gone, or
    /// been renamed.
    pub(super) fn explain(&self, path: &Path, is_structural: bool, keys: &mut BTreeSet<Key>) {
        for (target, key) in &self.places.linked {
            if path.starts_with(target) || (is_structural && target.starts_with(path)) {
                keys.insert(key.clone());
            }
        }
        if self.collections.iter().any(|place| path.starts_with(place))
            && (is_structural || path.file_name().is_some_and(is_collection_file))
        {
            keys.extend(self.projects.values().cloned());
        }
        let in_profile = path.ancestors().filter(|part| part.file_name().is_some_and(is_profile));
        let folder = in_profile.last().and_then(Path::parent);
        match folder.map(|folder| self.projects.get(folder)) {
            Some(Some(key)) => {
                keys.insert(key.clone());
                // Its last artifact may have gone with it.
                let is_one = || folder.is_some_and(|folder| is_project(folder, &self.reach).unwrap_or(true));
                if is_structural && !is_one() {
                    self.roots_of(path, keys);
                }
            }
            // What was no project may be one now.
            Some(None) => self.roots_of(path, keys),
            None if self.changes_projects(path, is_structural) => self.roots_of(path, keys),
            None => {}
        }
    }

    fn roots_of(&self, path: &Path, keys: &mut BTreeSet<Key>) {
        let above = self.roots.iter().filter(|(root, _)| path.starts_with(root));
        keys.extend(above.map(|(_, key)| key.clone()));
    }

    /// Whether other folders may be projects after something at a path outside of all profiles.
    fn changes_projects(&self, path: &Path, is_structural: bool) -> bool {
        let Some(name) = path.file_name() else { return false };
        if name == ".gitignore" || name == ".ignore" {
            return true;
        }
        if !is_structural || self.shared.rules.prunes(name) {
            return false;
        }
        // A folder that came, or one that held a project and went.
        path.is_dir()
            || self.projects.range(path.to_owned()..).next().is_some_and(|(at, _)| at.starts_with(path))
    }
}
