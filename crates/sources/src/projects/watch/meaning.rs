//! Which entries something that happened at a path concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use larder_core::Key;

use super::super::Shared;
use super::super::ignored::is_ignore_file;
use super::super::reach::Reach;
use super::super::upstreams::is_collection_file;
use super::super::walk::is_project;
use super::extent::profiles_above;
use super::places::Places;
use super::ways::Whose;

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

/// The folders of profiles in which a path is looked at, as far as a root that it lies below, the innermost first;
/// for each such root, since one may lie in something that is called like a profile, or be one to which a link in
/// another leads.
pub(super) fn profiles<'p>(path: &'p Path, roots: impl Iterator<Item = &'p PathBuf>) -> Vec<Vec<&'p Path>> {
    let below = |root: Option<&PathBuf>| -> Vec<&'p Path> {
        profiles_above(path)
            .take_while(|part| root.is_none_or(|root| *part != root && part.starts_with(root)))
            .collect()
    };
    let mut ways: Vec<Vec<&Path>> =
        roots.filter(|root| path.starts_with(root)).map(|root| below(Some(root))).collect();
    if ways.is_empty() {
        ways.push(below(None));
    }
    ways.sort();
    ways.dedup();
    ways
}

impl Meanings<'_> {
    /// Adds the entries that want a look. `is_structural`: something may have come there, gone, or
    /// been renamed.
    pub(super) fn explain(&self, path: &Path, is_structural: bool, keys: &mut BTreeSet<Key>) {
        for key in self.places.linked.concerned(path, is_structural) {
            keys.insert(key.clone());
            // A link that leads here may have been the way to its last artifact.
            if is_structural
                && let Some(project) = self.shared.catalogue.project(key)
                && !is_project(&project.path, &self.reach).unwrap_or(true)
            {
                self.roots_of(&project.path, keys);
            }
        }
        for way in
            self.places.ways.iter().filter(|way| is_structural && way.names.iter().any(|name| name == path))
        {
            match &way.whose {
                Whose::Entry(key) => drop(keys.insert(key.clone())),
                Whose::Collections => keys.extend(self.projects.values().cloned()),
            }
        }
        let is_file = || path.file_name().is_some_and(is_collection_file);
        if self.places.collections.iter().any(|place| {
            (path.starts_with(place) && (is_structural || path == place || is_file()))
                || (is_structural && place.starts_with(path))
        }) {
            keys.extend(self.projects.values().cloned());
        }
        let mut is_for_roots = false;
        for folders in self.with_profiles(path) {
            let known: Vec<_> =
                folders.iter().filter_map(|at| Some((*at, self.projects.get(*at)?))).collect();
            for (folder, key) in &known {
                keys.insert((*key).clone());
                // Its last artifact may have gone with it.
                is_for_roots |= is_structural && !is_project(folder, &self.reach).unwrap_or(true);
            }
            // What was no project may be one now.
            let is_other = || !folders.is_empty() || self.changes_projects(path, is_structural);
            is_for_roots |= known.is_empty() && is_other();
        }
        if is_for_roots {
            self.roots_of(path, keys);
        }
    }

    /// The known project in whose profile the path lies, as the nearest root tells.
    pub(super) fn project_of(&self, path: &Path) -> Option<&Key> {
        self.nearest(path).iter().rev().find_map(|folder| self.projects.get(*folder))
    }

    /// Whether a project of which nothing is known may be at the path.
    pub(super) fn is_unexplained(&self, path: &Path) -> bool {
        !self.nearest(path).is_empty() && self.project_of(path).is_none()
    }

    fn nearest<'p>(&'p self, path: &'p Path) -> Vec<&'p Path> {
        let ways = self.with_profiles(path).into_iter().filter(|way| !way.is_empty());
        ways.min_by_key(Vec::len).unwrap_or_default()
    }

    /// The folders whose profile the path lies in, the innermost first, as far as each root above it.
    fn with_profiles<'p>(&'p self, path: &'p Path) -> Vec<Vec<&'p Path>> {
        let ways = profiles(path, self.roots.iter().map(|(root, _)| root));
        ways.into_iter().map(|way| way.into_iter().filter_map(Path::parent).collect()).collect()
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
            if !self.places.folders.contains_key(&project.path) {
                let own = catalogue.roots().iter().filter(|root| root.path == project.root);
                keys.extend(own.map(|root| root.key.clone()));
            }
        }
    }

    /// Whether other folders may be projects after something at a path outside of all profiles.
    fn changes_projects(&self, path: &Path, is_structural: bool) -> bool {
        let Some(name) = path.file_name() else { return false };
        if is_ignore_file(name) {
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
