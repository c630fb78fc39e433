//! The artifacts of a project that are there, by where they lie: nothing is read but folders.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::Warning;
use larder_domain::{ArtifactType, bare_name};

use super::content::warning;
use super::place::{shown, shown_path};
use super::reach::{Led, Reach, is_absence};
use super::seen::{About, Met};

/// An artifact that is there.
#[derive(Debug, Clone)]
pub(super) struct Spotted {
    /// For which tool.
    pub(super) profile: String,
    /// What it is.
    pub(super) kind: ArtifactType,
    /// Its file's or folder's name without an ending.
    pub(super) name: String,
    /// Where it is below its type's folder, with its ending: unique where a name is not.
    pub(super) below: String,
    /// Where it is, from the project's folder.
    pub(super) path: String,
    /// Where it really is.
    pub(super) real: PathBuf,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// The artifacts, by profile, type and path.
    pub(super) spotted: Vec<Spotted>,
    /// What a reader should know.
    pub(super) warnings: Vec<Warning>,
    /// Folders that could not be read, from the project's folder: what was known below them stays.
    pub(super) dark: Vec<String>,
    /// Recorded places, from the project's folder, at which there is something that may not be looked at.
    pub(super) barred: BTreeSet<String>,
    /// The folders that were listed, from the project's folder.
    pub(super) folders: Vec<Met>,
    /// Whether there was anything by the way of which these folders do not tell: a link, a limit.
    pub(super) odd: bool,
}

impl Sight {
    /// Whether a path lies where one could not look.
    pub(super) fn is_dark(&self, path: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.dark.iter().any(|folder| path.strip_prefix(folder.as_str()).is_some_and(is_below))
    }
}

/// How deep artifacts of a type may lie below their folder: people sort them in folders.
const DEPTH_MAX: usize = 6;
/// No project has more.
const ARTIFACTS_MAX: usize = 20_000;
/// Nor does anybody sort them in more folders.
const FOLDERS_MAX: usize = 20_000;

/// So many folders are looked into to tell whether there is any.
const LOOKS_MAX: usize = 32;

/// Looks at one profile's folder (`.claude`) of a project, until it is to `stop`.
pub(super) fn spot(
    project: &Path,
    root: &str,
    profile: &str,
    reach: &Reach,
    stop: &AtomicBool,
    sight: &mut Sight,
) {
    let mut look =
        Look { reach, profile, stop, sight, listed: HashSet::new(), links: BTreeSet::new(), is_full: false };
    let Some((real, told)) = look.enter(&project.join(root), root) else { return };
    look.sight.folders.push((PathBuf::from(root), told));
    for kind in ArtifactType::ALL {
        let about = format!("{root}/{}", kind.folder());
        let Some((folder, told)) = look.enter(&real.join(kind.folder()), &about) else { continue };
        look.sight.folders.push((PathBuf::from(&about), told));
        look.all(kind, folder, Path::new(&about));
    }
}

/// Whether a folder holds a profile's artifacts or records, as far as one look tells. A profile's
/// folder that may not be looked into counts, so that somebody is told; the error is that not even
/// that can be said.
pub(super) fn holds_artifacts(profile_folder: &Path, reach: &Reach) -> io::Result<bool> {
    let real = match led(profile_folder, reach)? {
        Way::In(real) => real,
        Way::Barred => return Ok(true),
        Way::None => return Ok(false),
    };
    for name in [super::RECORDS_FILE, super::PROJECT_FILE] {
        match fs::symlink_metadata(real.join(name)) {
            Err(error) if is_absence(&error) => {}
            Ok(_) | Err(_) => return Ok(true),
        }
    }
    Ok(ArtifactType::ALL.into_iter().any(|kind| match led(&real.join(kind.folder()), reach) {
        Ok(Way::In(folder)) => holds_any(kind, folder, reach),
        Ok(Way::None) => false,
        Ok(Way::Barred) | Err(_) => true,
    }))
}

/// Whether there is an artifact of a type below its folder, the least deep folders first: where there are any, the
/// first names tell. What may not be looked at counts, and so does what would take long to look through.
fn holds_any(kind: ArtifactType, folder: PathBuf, reach: &Reach) -> bool {
    let mut folders = VecDeque::from([(folder, 0)]);
    let mut looks = 0;
    while let Some((folder, depth)) = folders.pop_front() {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => continue,
            Err(_) => return true,
        };
        for entry in entries.flatten().filter(|entry| !is_hidden(&shown(&entry.file_name()))) {
            let path = entry.path();
            let Ok(sort) = entry.file_type() else { return true };
            let (real, sort) = if sort.is_symlink() {
                let Led::To(real) = reach.follow(&path, "") else { return true };
                let Ok(about) = real.metadata() else { return true };
                (real, about.file_type())
            } else {
                (path.clone(), sort)
            };
            looks += usize::from(sort.is_dir());
            if looks > LOOKS_MAX || is_artifact(kind, sort, &path, &real) {
                return true;
            }
            if sort.is_dir() && depth < DEPTH_MAX {
                folders.push_back((real, depth + 1));
            }
        }
    }
    false
}

/// Whether something is an artifact of a type, by its name and what it really is.
fn is_artifact(kind: ArtifactType, sort: FileType, name: &Path, real: &Path) -> bool {
    let is_markdown = || name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("md"));
    let is_own = |is_file: bool| is_file && !is_about_its_folder(name);
    match kind {
        ArtifactType::Skill => sort.is_dir() && has_skill_file(real),
        ArtifactType::Command | ArtifactType::Agent => is_own(sort.is_file()) && is_markdown(),
        ArtifactType::Hook | ArtifactType::Mcp => sort.is_dir() || is_own(sort.is_file()),
        ArtifactType::Plugin => false,
    }
}

/// Whether a file tells people what its folder holds. Where it was deployed as an artifact, its record says so.
fn is_about_its_folder(name: &Path) -> bool {
    name.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("README"))
}

/// Whether one may go into a folder.
enum Way {
    /// Yes: there it really is.
    In(PathBuf),
    /// It is a link to where nothing may be read, or to itself.
    Barred,
    /// There is no folder.
    None,
}

fn led(folder: &Path, reach: &Reach) -> io::Result<Way> {
    match fs::symlink_metadata(folder) {
        Ok(meta) if meta.is_dir() => return Ok(Way::In(folder.to_owned())),
        Ok(meta) if meta.is_symlink() => {}
        Ok(_) => return Ok(Way::None),
        Err(error) if is_absence(&error) => return Ok(Way::None),
        Err(error) => return Err(error),
    }
    Ok(match reach.follow(folder, "") {
        Led::To(real) => Way::In(real),
        Led::Astray(_) | Led::Round(_) => Way::Barred,
        Led::Nowhere => Way::None,
    })
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('~') || name.ends_with('~') || name.starts_with('#')
}

struct Look<'a> {
    reach: &'a Reach,
    profile: &'a str,
    stop: &'a AtomicBool,
    sight: &'a mut Sight,
    /// The folders of the type at hand that were listed, by where they really are.
    listed: HashSet<PathBuf>,
    /// Links of the type at hand that lead to folders to list, the least deep first: by depth, by how each is
    /// called from the project's folder and from the type's, and where it leads.
    links: BTreeSet<(usize, PathBuf, PathBuf, PathBuf)>,
    /// Whether a limit was met.
    is_full: bool,
}

impl Look<'_> {
    /// All artifacts of a type below its folder. A folder to which several names lead is listed once: by its
    /// own name if that is below here, so links wait until all else was listed.
    fn all(&mut self, kind: ArtifactType, folder: PathBuf, named: &Path) {
        self.listed.clear();
        self.links.clear();
        self.list(kind, folder, named, Path::new(""), 0);
        while let Some((depth, named, below, real)) = self.links.pop_first() {
            self.list(kind, real, &named, &below, depth);
        }
    }

    /// Lists a folder, unless it was listed.
    fn list(&mut self, kind: ArtifactType, real: PathBuf, named: &Path, below: &Path, depth: usize) {
        if self.is_full || self.stop.load(Ordering::Relaxed) || self.listed.contains(&real) {
            return;
        }
        if self.sight.folders.len() >= FOLDERS_MAX {
            return self.leave(named, &format!("there are more than {FOLDERS_MAX} folders of artifacts"));
        }
        if depth > 0 {
            // It is asked about when that is needed.
            self.sight.folders.push((named.to_owned(), None));
        }
        self.folder(kind, &real, named, below, depth);
        self.listed.insert(real);
    }

    /// Looks at nothing more: there is too much.
    fn leave(&mut self, at: &Path, why: &str) {
        self.is_full = true;
        let message = format!("{why}; the others are left out");
        self.sight.warnings.push(warning(&shown_path(at), "too_many", message));
    }

    /// Goes into a folder by a known name, links followed, and answers where it really is and what was told
    /// of it; `None` = there is none to go into.
    fn enter(&mut self, path: &Path, about: &str) -> Option<(PathBuf, Option<About>)> {
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if is_absence(&error) => return None,
            Err(error) => {
                self.cannot(about, &error);
                return None;
            }
        };
        if meta.is_dir() {
            return Some((path.to_owned(), About::of(&meta)));
        }
        if !meta.is_symlink() {
            return None;
        }
        self.follow(path, about).filter(|real| real.is_dir()).map(|real| (real, None))
    }

    fn follow(&mut self, path: &Path, about: &str) -> Option<PathBuf> {
        self.sight.odd = true;
        match self.reach.follow(path, about) {
            Led::To(real) => Some(real),
            Led::Nowhere => {
                let message = format!("`{about}` is a link to nothing");
                self.sight.warnings.push(warning(about, "link_broken", message));
                None
            }
            Led::Round(warning) => {
                self.sight.warnings.push(warning);
                None
            }
            Led::Astray(warning) => {
                self.sight.dark.push(about.to_owned());
                self.sight.warnings.push(warning);
                None
            }
        }
    }

    fn cannot(&mut self, about: &str, error: &io::Error) {
        self.sight.dark.push(about.to_owned());
        let message = format!("`{about}` cannot be read: {error}");
        self.sight.warnings.push(warning(about, "unreadable", message));
    }

    /// The artifacts of a type below a folder; `named` is that folder from the project's.
    fn folder(&mut self, kind: ArtifactType, real: &Path, named: &Path, below: &Path, depth: usize) {
        let about = shown_path(named);
        let mut entries = match fs::read_dir(real).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.cannot(&about, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let file_name = entry.file_name();
            if is_hidden(&shown(&file_name)) {
                continue;
            }
            if self.is_full || self.stop.load(Ordering::Relaxed) {
                return;
            }
            if self.sight.spotted.len() >= ARTIFACTS_MAX {
                return self.leave(named, &format!("there are more than {ARTIFACTS_MAX} artifacts"));
            }
            let (named, below) = (named.join(&file_name), below.join(&file_name));
            let Ok(kind_of_file) = entry.file_type() else { continue };
            let is_link = kind_of_file.is_symlink();
            let real = if is_link {
                match self.follow(&entry.path(), &shown_path(&named)) {
                    Some(real) => real,
                    None => continue,
                }
            } else {
                entry.path()
            };
            // A link was followed, so whatever this is now is none.
            let sort = if is_link {
                real.metadata().ok().map(|about| about.file_type())
            } else {
                Some(kind_of_file)
            };
            let Some(sort) = sort else { continue };
            self.entry(kind, real, (sort, is_link), &named, &below, depth);
        }
    }

    fn entry(
        &mut self,
        kind: ArtifactType,
        real: PathBuf,
        (sort, is_link): (FileType, bool),
        named: &Path,
        below: &Path,
        depth: usize,
    ) {
        let is_folder = sort.is_dir();
        if is_artifact(kind, sort, below, &real) {
            let name = below.file_name().map(shown).unwrap_or_default();
            self.sight.spotted.push(Spotted {
                profile: self.profile.to_owned(),
                kind,
                name: if is_folder { name } else { bare_name(&name).to_owned() },
                below: shown_path(below),
                path: shown_path(named),
                real,
            });
        } else if is_folder && depth < DEPTH_MAX {
            if is_link {
                self.links.insert((depth + 1, named.to_owned(), below.to_owned(), real));
            } else {
                self.list(kind, real, named, below, depth + 1);
            }
        } else if is_folder {
            self.sight.odd = true;
            if self.sight.warnings.iter().all(|warning| warning.code != "too_deep") {
                let about = shown_path(named);
                let message = format!(
                    "`{about}` lies deeper than the {DEPTH_MAX} folders that artifacts are sorted in, and is not \
                     looked into, nor is any other folder as deep"
                );
                self.sight.warnings.push(warning(&about, "too_deep", message));
            }
        }
    }
}

/// However it is written: most systems' people do not mind, and the file that describes it is read by any case.
fn has_skill_file(folder: &Path) -> bool {
    let is_skill = |name: OsString| name.to_str().is_some_and(|name| name.eq_ignore_ascii_case("SKILL.md"));
    fs::symlink_metadata(folder.join("SKILL.md")).is_ok()
        || fs::read_dir(folder).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| is_skill(entry.file_name())))
        })
}
