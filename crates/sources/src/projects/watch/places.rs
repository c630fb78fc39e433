//! Which folders are watched: those in which a project may appear, those that hold artifacts, and
//! those that links, records and collections lead to. Each by itself: a watch on everything below a root
//! would also take all that is pruned.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::Key;
use larder_domain::{ArtifactType, PROFILES};

use super::super::ignored::is_ignore_file;
use super::super::patience::Patience;
use super::super::reach::{Led, Reach, is_nothing, would_be};
use super::super::upstreams::is_collection_file;
use super::super::{Shared, walk};
use super::extent::{Extent, looked_at, profiles_above};
use super::linked::Linked;
use super::recorded::RecordFile;
use super::ways::{Way, Whose};

/// No more folders are watched: a system that could would still suffer.
pub(super) const FOLDERS_MAX: usize = 200_000;
/// So deep below a profile's folder.
const DEPTH_MAX: usize = 32;

/// Folders to watch, and what those mean that lie nowhere else.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) folders: BTreeMap<PathBuf, Extent>,
    /// Other folders, of which only the way to what is awaited matters.
    lookouts: BTreeSet<PathBuf>,
    /// What may come, or go with a folder above it, and the first of the folders on the way to it that was not
    /// there.
    awaited: BTreeMap<PathBuf, Option<PathBuf>>,
    /// The ways to the roots and the collections.
    pub(super) ways: Vec<Way>,
    /// What links and records lead to, with the entry of the project that has them, or of the root where its
    /// projects would be.
    pub(super) linked: Linked,
    /// The files that record what was deployed.
    pub(super) records: Vec<RecordFile>,
    /// Folders that links below a root lead to, with the root.
    pub(super) beyond: Vec<(PathBuf, Key)>,
    /// The links to folders below roots.
    pub(super) links: BTreeSet<PathBuf>,
    /// The collections, there or not, and what links in them lead to.
    pub(super) collections: Vec<PathBuf>,
    /// Roots that cannot be looked at now.
    pub(super) away: Vec<PathBuf>,
    /// Whether there are more folders than are watched.
    pub(super) is_cut: bool,
}

/// Works out what is to be watched now. Nobody waits for what comes of it once it is stopped.
pub(super) fn places(shared: &Shared, stop: &AtomicBool) -> Places {
    let reach = shared.reach();
    let known: BTreeSet<PathBuf> =
        shared.catalogue.projects().iter().map(|(_, project)| project.path.clone()).collect();
    let mut places = Places::default();
    for root in shared.catalogue.roots() {
        places.follow(Way::to(&root.path, Whose::Entry(root.key.clone())));
        if shared.is_too_much(&root.path) {
            continue;
        }
        let real = root.path.canonicalize().unwrap_or_else(|_| root.path.clone());
        // A root that is only half there is watched as far as it goes.
        let own = reach.and(&real);
        let Ok(walked) = walk::walk(&root.path, &shared.rules, &own, &Patience::endless(stop)) else {
            places.away.push(root.path.clone());
            let real = would_be(&root.path).unwrap_or(real);
            places.wait_for(&real);
            places.linked.add(&real, Extent::All, &root.key);
            continue;
        };
        shared.catalogue.came(&root.key);
        for (link, target) in walked.links {
            places.links.insert(link);
            let Some(target) = target else { continue };
            places.guard(&target, &own);
            if target.is_dir() {
                places.beyond.push((target, root.key.clone()));
            } else {
                places.linked.add(&target, Extent::All, &root.key);
            }
        }
        for folder in &walked.folders {
            for (profile, _) in PROFILES {
                let profile = folder.join(profile);
                if is_nothing(&profile) {
                    continue;
                }
                if profile.symlink_metadata().is_ok_and(|about| about.is_dir()) {
                    places.profile(&profile, 0, stop);
                }
                // It becomes a project when there is something where its links lead.
                if !known.contains(folder) {
                    places.profile_links(&profile, &root.key, &own, 0, stop);
                }
            }
        }
        places.folders.extend(walked.folders.into_iter().map(|folder| (folder, Extent::All)));
    }
    for (key, project) in shared.catalogue.projects() {
        let own = reach.and(&project.path).and(&project.root);
        for (profile, _) in PROFILES {
            let profile = project.path.join(profile);
            if !is_nothing(&profile) {
                places.profile_links(&profile, &key, &own, 0, stop);
            }
        }
        for file in RecordFile::all(&project.path, &own) {
            for place in &file.places {
                places.recorded(&project.path.join(place), &key, &own, stop);
            }
            places.records.push(file);
        }
    }
    for place in &shared.collections {
        places.follow(Way::to(place, Whose::Collections));
        // One named through a link is watched where it really is.
        let real = would_be(place).unwrap_or_else(|| place.clone());
        places.below(&real, DEPTH_MAX - 2, stop);
        places.wait_for(&real);
        places.collections.push(real);
    }
    for target in shared.shelf.linked(&reach) {
        places.below(&target, DEPTH_MAX - 2, stop);
        places.guard(&target, &reach);
        places.collections.push(target);
    }
    places.lookouts.retain(|folder| !places.folders.contains_key(folder));
    places.cut(FOLDERS_MAX);
    places
}

impl Places {
    /// Whether something that happened at a path may concern anybody. Files outside of all profiles do not,
    /// but for those that are read by name.
    pub(super) fn may_matter(&self, path: &Path, is_structural: bool) -> bool {
        if is_structural && self.is_on_way(path) {
            return true;
        }
        let is_watched = || self.folders.contains_key(path) || self.lookouts.contains(path);
        let is_linked = || self.linked.has(path) || self.collections.iter().any(|place| place == path);
        let is_in_profile = || profiles_above(path).next().is_some();
        if let Some(extent) = path.parent().and_then(|above| self.partly(above)) {
            return (extent == Extent::Profile && is_in_profile())
                || is_linked()
                || self.is_awaited(path)
                || (is_structural && is_watched());
        }
        let is_read =
            || path.file_name().is_some_and(|name| is_ignore_file(name) || is_collection_file(name));
        // A folder, or a link, that came, and one that went.
        let is_other = || match fs::symlink_metadata(path) {
            Ok(about) => !about.is_file(),
            Err(_) => is_watched() || self.links.contains(path),
        };
        is_in_profile() || is_read() || is_linked() || (is_structural && is_other())
    }

    /// How much of a folder matters, if that is not all.
    fn partly(&self, folder: &Path) -> Option<Extent> {
        let lookout = || self.lookouts.contains(folder).then_some(Extent::Named);
        self.folders.get(folder).copied().or_else(lookout).filter(|extent| *extent != Extent::All)
    }

    /// Whether something is awaited at a path or below it.
    fn is_awaited(&self, path: &Path) -> bool {
        self.awaited.range(path.to_owned()..).next().is_some_and(|(awaited, _)| awaited.starts_with(path))
    }

    /// Whether a way goes through a path.
    pub(super) fn is_on_way(&self, path: &Path) -> bool {
        self.ways.iter().any(|way| way.names.iter().any(|name| name == path))
    }

    /// Whether what is mounted on a place, or was, holds anything that is watched or awaited, or the way to it.
    pub(super) fn reach_to(&self, place: &Path) -> bool {
        let is_below = |folder: Option<&PathBuf>| folder.is_some_and(|folder| folder.starts_with(place));
        is_below(self.folders.range(place.to_owned()..).next().map(|(folder, _)| folder))
            || is_below(self.lookouts.range(place.to_owned()..).next())
            || self.is_on_way(place)
            || self.is_awaited(place)
    }

    /// All that is to be watched.
    pub(super) fn watched(&self) -> BTreeSet<PathBuf> {
        self.folders.keys().chain(&self.lookouts).cloned().collect()
    }

    /// Whether a folder is watched for what is awaited alone.
    pub(super) fn is_lookout(&self, folder: &Path) -> bool {
        self.lookouts.contains(folder)
    }

    /// Whether folders of a name in a folder that is watched are watched as well.
    pub(super) fn goes_into(&self, folder: &Path, name: &OsStr) -> bool {
        self.folders.get(folder).is_some_and(|extent| extent.goes_into(name))
    }

    /// Listens in a folder.
    fn listen(&mut self, folder: &Path, extent: Extent) {
        let known = self.folders.entry(folder.to_owned()).or_insert(extent);
        *known = extent.max(*known);
    }

    /// Leaves out the last folders, where there are more than that.
    fn cut(&mut self, most: usize) {
        self.is_cut = self.folders.len() > most;
        while self.folders.len() > most {
            self.folders.pop_last();
        }
    }

    /// What was awaited and came before anybody listened, and the ways that became others.
    pub(super) fn outrun(&self) -> Vec<PathBuf> {
        let next = self.awaited.values().flatten();
        let came = next.filter(|next| !is_nothing(next));
        let ways = self.ways.iter().filter(|way| way.is_outrun());
        came.chain(ways.flat_map(|way| &way.names)).cloned().collect()
    }

    /// Listens for what a way goes through becoming another.
    fn follow(&mut self, way: Way) {
        self.lookouts.extend(way.lookouts().map(Path::to_owned));
        self.ways.push(way);
    }

    /// Listens for what comes at a path, and for the folder above it going.
    fn wait_for(&mut self, path: &Path) {
        let Some(above) = path.ancestors().skip(1).find(|above| above.is_dir()) else { return };
        let is_next = |way: &&Path| way.parent() == Some(above);
        let next = path.ancestors().find(is_next).filter(|next| is_nothing(next));
        self.lookouts.insert(above.to_owned());
        self.awaited.insert(path.to_owned(), next.map(Path::to_owned));
    }

    /// The same, and for any of the folders above it going, as far as they may be read.
    fn guard(&mut self, path: &Path, reach: &Reach) {
        self.wait_for(path);
        let above = path.ancestors().skip(1).take_while(|above| reach.has(above) && above.is_dir());
        self.lookouts.extend(above.map(Path::to_owned));
    }

    /// A folder and all below it, links aside.
    fn below(&mut self, folder: &Path, depth: usize, stop: &AtomicBool) {
        below(folder, depth, stop, &mut |folder| {
            let has_room = self.folders.len() <= FOLDERS_MAX;
            if has_room {
                self.listen(folder, Extent::All);
            }
            has_room
        });
    }

    /// A profile's folder, which really is there, and all below it that is looked at, links aside.
    fn profile(&mut self, profile: &Path, depth: usize, stop: &AtomicBool) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        self.listen(profile, Extent::Profile);
        for kind in ArtifactType::ALL {
            self.below(&profile.join(kind.folder()), depth + 1, stop);
        }
    }

    /// What a profile's folder leads to if it is a link, and what links do that are looked at in it.
    fn profile_links(&mut self, profile: &Path, key: &Key, reach: &Reach, depth: usize, stop: &AtomicBool) {
        if depth > DEPTH_MAX || stop.load(Ordering::Relaxed) {
            return;
        }
        if profile.is_symlink() {
            return self.link(profile, Extent::Profile, key, reach, depth, stop);
        }
        for name in looked_at() {
            self.links(&profile.join(name), key, reach, depth + 1, stop);
        }
    }

    /// What links below a folder lead to, as far as it may be read, and what it leads to itself if it is one.
    fn links(&mut self, folder: &Path, key: &Key, reach: &Reach, depth: usize, stop: &AtomicBool) {
        if depth > DEPTH_MAX || stop.load(Ordering::Relaxed) {
            return;
        }
        if folder.is_symlink() {
            return self.link(folder, Extent::All, key, reach, depth, stop);
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_symlink() {
                self.link(&entry.path(), Extent::All, key, reach, depth, stop);
            } else if kind.is_dir() {
                self.links(&entry.path(), key, reach, depth + 1, stop);
            }
        }
    }

    /// What is recorded to be where artifacts are not looked for.
    fn recorded(&mut self, path: &Path, key: &Key, reach: &Reach, stop: &AtomicBool) {
        if would_be(path).is_none_or(|real| real != path) {
            self.follow(Way::to(path, Whose::Entry(key.clone())));
        }
        self.link(path, Extent::All, key, reach, 0, stop);
    }

    fn link(
        &mut self,
        link: &Path,
        extent: Extent,
        key: &Key,
        reach: &Reach,
        depth: usize,
        stop: &AtomicBool,
    ) {
        let target = match reach.follow(link, "") {
            Led::To(target) => Some(target),
            Led::Nowhere => would_be(link).filter(|target| reach.has(target)),
            Led::Astray(_) | Led::Round(_) => None,
        };
        let Some(target) = target else { return };
        if !self.linked.add(&target, extent, key) {
            return;
        }
        self.guard(&target, reach);
        if !target.is_dir() {
            if let Some(folder) = target.parent().filter(|_| target.exists()) {
                self.listen(folder, Extent::Named);
            }
        } else if extent == Extent::Profile {
            self.profile(&target, depth, stop);
            self.profile_links(&target, key, reach, depth + 1, stop);
        } else {
            self.below(&target, depth, stop);
            self.links(&target, key, reach, depth + 1, stop);
        }
    }
}

/// Meets a folder and all below it, links aside, each before it is looked into: whatever comes into one that is
/// watched then is seen or heard of. `meet` answers whether to go on.
pub(super) fn below(folder: &Path, depth: usize, stop: &AtomicBool, meet: &mut impl FnMut(&Path) -> bool) {
    let is_folder = || fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir());
    if stop.load(Ordering::Relaxed) || depth > DEPTH_MAX || !is_folder() || !meet(folder) {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&entry.path(), depth + 1, stop, meet);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use larder_core::Policy;

    use super::super::super::{ProjectsConfig, ProjectsSource};
    use super::*;

    #[test]
    fn what_is_stopped_looks_into_no_folder_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let (root, collection) = (dir.path().join("dev"), dir.path().join("collection/skills"));
        fs::create_dir_all(root.join("site/.claude/skills/pdf")).unwrap();
        fs::write(root.join("site/.claude/skills/pdf/SKILL.md"), "# pdf\n").unwrap();
        fs::create_dir_all(&collection).unwrap();
        let collections = vec![dir.path().join("collection")];
        let config = ProjectsConfig { roots: vec![root], collections, ..ProjectsConfig::default() };
        let source = ProjectsSource::new(&config, &Policy::default(), || TimeZone::UTC).unwrap();
        let all = places(&source.shared, &AtomicBool::new(false));
        assert!(all.folders.contains_key(&collection.canonicalize().unwrap()));
        assert!(all.folders.keys().any(|folder| folder.ends_with("site/.claude/skills/pdf")));
        let stopped = places(&source.shared, &AtomicBool::new(true));
        assert_eq!(stopped.folders, BTreeMap::new());
    }

    #[test]
    fn it_is_known_when_there_are_more_folders_than_are_watched() {
        let folders = ["/a", "/a/b", "/c"].map(|folder| (PathBuf::from(folder), Extent::All)).into();
        let mut places = Places { folders, ..Places::default() };
        places.cut(3);
        assert!(!places.is_cut);
        places.cut(2);
        assert!(places.is_cut && !places.folders.contains_key(Path::new("/c")), "{:?}", places.folders);
    }

    #[test]
    fn a_folder_that_comes_when_the_one_above_it_is_met_is_met_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let mut met = BTreeSet::new();
        below(dir.path(), 0, &AtomicBool::new(false), &mut |folder| {
            met.insert(folder.to_owned());
            let came = folder.join("came");
            if met.len() < 4 { fs::create_dir(came).is_ok() } else { true }
        });
        assert!(met.iter().any(|folder| folder.ends_with("came/came/came")), "{met:?}");
    }
}
