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
    /// The roots, by where they really are, and the folders that links in them lead to.
    pub(super) roots: Vec<(PathBuf, Key)>,
    /// The projects that are known, by where they really are.
    pub(super) projects: BTreeMap<PathBuf, Key>,
    /// What may be read.
    pub(super) reach: Reach,
}

/// The folders of profiles among a path and those above it, as far as its root; the innermost first. A root may
/// itself lie in something that is called like a profile.
pub(super) fn profiles<'p, 'r>(
    path: &'p Path,
    roots: impl Iterator<Item = &'r PathBuf>,
) -> impl Iterator<Item = &'p Path> {
    let root = roots.filter(|root| path.starts_with(root)).max_by_key(|root| root.as_os_str().len()).cloned();
    let below = path.ancestors().take_while(move |part| root.as_ref().is_none_or(|root| *part != root));
    below.filter(|part| part.file_name().is_some_and(is_profile))
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
        let is_file = || path.file_name().is_some_and(is_collection_file);
        if self.places.collections.iter().any(|place| {
            (path.starts_with(place) && (is_structural || path == place || is_file()))
                || (is_structural && place.starts_with(path))
        }) {
            keys.extend(self.projects.values().cloned());
        }
        let folders = self.with_profiles(path);
        match folders.iter().rev().find_map(|folder| Some((folder, self.projects.get(*folder)?))) {
            Some((folder, key)) => {
                keys.insert(key.clone());
                // Its last artifact may have gone with it.
                if is_structural && !is_project(folder, &self.reach).unwrap_or(true) {
                    self.roots_of(path, keys);
                }
            }
            // What was no project may be one now.
            None if !folders.is_empty() || self.changes_projects(path, is_structural) => {
                self.roots_of(path, keys);
            }
            None => {}
        }
    }

    /// The known project in whose profile the path lies.
    pub(super) fn project_of(&self, path: &Path) -> Option<&Key> {
        self.with_profiles(path).iter().rev().find_map(|folder| self.projects.get(*folder))
    }

    /// Whether a project of which nothing is known may be at the path.
    pub(super) fn is_unexplained(&self, path: &Path) -> bool {
        !self.with_profiles(path).is_empty() && self.project_of(path).is_none()
    }

    /// The folders whose profile the path lies in, the innermost first.
    fn with_profiles<'p>(&self, path: &'p Path) -> Vec<&'p Path> {
        profiles(path, self.roots.iter().map(|(root, _)| root)).filter_map(Path::parent).collect()
    }

    /// Adds the projects at and below a path: the way to them is another.
    pub(super) fn below(&self, path: &Path, keys: &mut BTreeSet<Key>) {
        let below = self.projects.range(path.to_owned()..).take_while(|(at, _)| at.starts_with(path));
        keys.extend(below.map(|(_, key)| key.clone()));
    }

    /// Adds the roots that a path lies below.
    pub(super) fn roots_of(&self, path: &Path, keys: &mut BTreeSet<Key>) {
        let above = self.roots.iter().filter(|(root, _)| path.starts_with(root));
        keys.extend(above.map(|(_, key)| key.clone()));
    }

    /// Adds the roots of the projects that are known and were not met: they may have gone before anybody knew them.
    pub(super) fn unmet(&self, keys: &mut BTreeSet<Key>) {
        let catalogue = &self.shared.catalogue;
        for (_, project) in catalogue.projects() {
            if !self.places.folders.contains(&project.path) {
                let own = catalogue.roots().iter().filter(|root| root.path == project.root);
                keys.extend(own.map(|root| root.key.clone()));
            }
        }
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
        // A folder that came, a link that went, or a folder that held a project and did.
        path.is_dir()
            || self.places.links.contains(path)
            || self.projects.range(path.to_owned()..).next().is_some_and(|(at, _)| at.starts_with(path))
    }
}
