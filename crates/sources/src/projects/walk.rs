//! The one walk that finds projects below a root: parallel, pruned, blind to nothing but what
//! ignore files and `prune` leave out. A link is followed where it may be.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::{WalkBuilder, WalkState};
use larder_core::{Key, Warning};
use larder_domain::PROFILES;

use super::content::warning;
use super::find::holds_artifacts;
use super::ignored::Ignored;
use super::patience::Patience;
use super::place::{shown, shown_path};
use super::reach::{Led, Reach, would_be};

/// How to walk.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// How many folders below the root a project may lie.
    pub(super) depth: usize,
    /// Names of folders that are not looked into.
    pub(super) prune: Arc<BTreeSet<String>>,
}

impl Rules {
    /// Whether folders of that name are not looked into.
    pub(super) fn prunes(&self, name: &OsStr) -> bool {
        name.to_str().is_some_and(|name| self.prune.contains(name))
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Projects by their real folders, with how they are called from the root.
    pub(super) projects: BTreeMap<PathBuf, String>,
    /// Every folder that was looked into: whoever watches them misses no new project.
    pub(super) folders: BTreeSet<PathBuf>,
    /// The links that lead to folders, or would if there were something; and where, if it may be read.
    pub(super) links: BTreeMap<PathBuf, Option<PathBuf>>,
    /// What a reader should know.
    pub(super) warnings: Vec<Warning>,
    /// Whether all of it was looked at: if not, nothing may be taken for gone.
    pub(super) completely: bool,
    /// Whether that is because the time did not last.
    pub(super) is_cut: bool,
}

/// Warnings beyond these are counted, not told.
const WARNINGS_MAX: usize = 50;
/// No root has more folders than this within its depth.
const FOLDERS_MAX: usize = 1_000_000;
/// Links to folders beyond these are not followed.
const LINKS_MAX: usize = 10_000;

/// Walks below a root. The error is the system's: the root itself cannot be looked at.
pub(super) fn walk(
    root: &Path,
    rules: &Rules,
    reach: &Reach,
    patience: &Patience<'_>,
) -> std::io::Result<Walked> {
    let real = root.canonicalize()?;
    std::fs::read_dir(&real)?;
    let mut walk = Walk {
        rules,
        reach,
        walked: Walked { completely: true, ..Walked::default() },
        depths: HashMap::new(),
        links: HashSet::new(),
        followed: 0,
        starts: BTreeSet::from([Start { depth: 0, called: PathBuf::new(), folder: real }]),
    };
    while let Some(start) = walk.starts.pop_first() {
        walk.from(&start, patience);
    }
    if patience.is_spent() {
        walk.walked.leave_rest(&shown(root.as_os_str()), patience);
    }
    shorten(&mut walk.walked.warnings);
    Ok(walk.walked)
}

/// A folder to begin at: the root, or where a link leads.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    /// How deep it lies below the root. The least deep are walked first.
    depth: usize,
    /// How it is called from the root.
    called: PathBuf,
    folder: PathBuf,
}

struct Walk<'a> {
    rules: &'a Rules,
    reach: &'a Reach,
    walked: Walked,
    /// How deep each folder lies by the shortest way to it: below it was looked as far as that leaves room.
    depths: HashMap<PathBuf, usize>,
    /// The links that were met, by where they really are.
    links: HashSet<PathBuf>,
    /// How many of them lead to folders.
    followed: usize,
    starts: BTreeSet<Start>,
}

impl Walk<'_> {
    /// Walks from one start, unless a way as short led there.
    fn from(&mut self, start: &Start, patience: &Patience<'_>) {
        let Start { depth, called, folder: start } = start;
        if *depth > self.rules.depth || self.depths.get(start).is_some_and(|known| known <= depth) {
            return;
        }
        let ignored = Arc::new(Ignored::below(start, called, self.reach));
        let depth = self.rules.depth - depth;
        let part = below(start, self.rules, self.reach, ignored.clone(), depth, patience);
        self.walked.warnings.extend(ignored.warnings());
        for (path, about) in part.failures {
            let name = path.as_deref().map(|path| called.join(path.strip_prefix(start).unwrap_or(path)));
            let name = name.as_deref().and_then(Path::file_name).map(shown);
            self.walked.dark(&path.map_or(about, |path| path.display().to_string()), name);
        }
        self.walked.completely &= part.completely;
        if part.folders.len() > FOLDERS_MAX {
            self.walked.leave_folders(&shown(start.as_os_str()));
        }
        let name_of = |path: &Path| called.join(path.strip_prefix(start).unwrap_or(Path::new("")));
        for Met { folder, is_project } in part.folders {
            let name = name_of(&folder);
            let depth = name.components().count();
            let known = self.depths.entry(folder.clone()).or_insert(depth);
            *known = depth.min(*known);
            self.folder(folder, &name, is_project);
        }
        for link in part.links {
            let name = name_of(&link);
            self.link(&link, name);
        }
    }

    fn folder(&mut self, folder: PathBuf, name: &Path, is_project: Option<bool>) {
        if !self.walked.folders.insert(folder.clone()) {
            return;
        }
        match is_project {
            Some(true) => {
                self.walked.projects.entry(folder).or_insert_with(|| shown_path(name));
            }
            Some(false) => {}
            // It is called as what led to it, which is what `prune` goes by.
            None => self.walked.dark(&folder.display().to_string(), name.file_name().map(shown)),
        }
    }

    fn link(&mut self, link: &Path, name: PathBuf) {
        let is_left_out = |name: &OsStr| is_profile(name) || self.rules.prunes(name);
        if link.file_name().is_some_and(is_left_out) {
            return;
        }
        let is_new = self.links.insert(link.to_owned());
        let led = self.reach.follow(link, &shown_path(&name));
        self.walked.note(link, &led, self.reach);
        match led {
            Led::To(folder) if folder.is_dir() => {
                self.followed += usize::from(is_new);
                if self.followed <= LINKS_MAX {
                    self.starts.insert(Start { depth: name.components().count(), called: name, folder });
                } else if self.followed == LINKS_MAX + 1 && is_new {
                    self.walked.leave_links(&shown_path(&name));
                }
            }
            Led::Astray(warning) | Led::Round(warning) if is_new => {
                if warning.code != "link_outside" || leads_to_folder(link) {
                    self.walked.warnings.push(warning);
                }
            }
            Led::To(_) | Led::Nowhere | Led::Astray(_) | Led::Round(_) => {}
        }
    }
}

impl Walked {
    /// Remembers where a link leads: what becomes of either end concerns the root.
    fn note(&mut self, link: &Path, led: &Led, reach: &Reach) {
        let target = match led {
            Led::To(target) if !target.is_dir() => return,
            Led::To(target) => Some(target.clone()),
            Led::Nowhere => would_be(link).filter(|target| reach.has(target)),
            Led::Astray(_) | Led::Round(_) => None,
        };
        self.links.insert(link.to_owned(), target);
    }

    /// There is no time for the rest.
    fn leave_rest(&mut self, root: &str, patience: &Patience<'_>) {
        (self.completely, self.is_cut) = (false, true);
        let time = patience.in_words();
        let (code, what) = if patience.is_a_share {
            ("too_slow", "a smaller `[projects] depth`, or `prune`, leaves folders out")
        } else {
            ("unfinished", "the next look, without other roots that take long, comes at once")
        };
        let message = format!(
            "{root} has more folders than can be looked at within {time}, so projects may be missing, and those that \
             are gone are still listed; {what}"
        );
        self.warnings.push(warning(root, code, message));
    }

    /// There are too many folders.
    fn leave_folders(&mut self, about: &str) {
        self.completely = false;
        let message = format!(
            "{about} has more than {FOLDERS_MAX} folders, so projects may be missing, and those that are gone are \
             still listed; a smaller `[projects] depth`, or `prune`, leaves folders out"
        );
        self.warnings.push(warning(about, "too_many", message));
    }

    /// There are too many links.
    fn leave_links(&mut self, about: &str) {
        self.completely = false;
        let message = format!(
            "there are more than {LINKS_MAX} links to folders; `{about}` and those behind it are not followed, so \
             projects are missing, and those that are gone are still listed"
        );
        self.warnings.push(warning(about, "too_many", message));
    }

    /// There is another disk than the one on which projects were found, and none on this.
    pub(super) fn miss_disk(&mut self, root: &str, key: &Key) {
        self.completely = false;
        let message = format!(
            "{root} is on another disk than when its projects were found, and none is there now, so they are still \
             listed; if a disk belongs there, mount it, and if they are gone for good, `larder cache clear {key}` \
             forgets them"
        );
        self.warnings.push(warning(root, "other_disk", message));
    }

    /// Something could not be looked at; `name` is a folder's own.
    fn dark(&mut self, about: &str, name: Option<String>) {
        self.completely = false;
        if self.warnings.iter().any(|warning| warning.about == about) {
            return;
        }
        let left_out = match name {
            // Which would be refused as a pattern.
            Some(name) if name.contains(['*', '?']) => {
                "an ignore file, such as `.gitignore`, leaves it out".to_owned()
            }
            Some(name) => format!("`[projects] prune` that names `{name}` leaves it out"),
            None => "`[projects] prune` leaves it out".to_owned(),
        };
        let message = format!(
            "{about} cannot be read, so projects below its root that are gone are still listed; {left_out}"
        );
        self.warnings.push(warning(about, "unreadable", message));
    }
}

/// Whether a folder is a project: it has a profile's folder with records or artifacts in it.
pub(super) fn is_project(folder: &Path, reach: &Reach) -> std::io::Result<bool> {
    for (name, _) in PROFILES {
        if holds_artifacts(&folder.join(name), reach)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a name is that of a folder that holds artifacts, which are found by other rules.
pub(super) fn is_profile(name: &OsStr) -> bool {
    PROFILES.iter().any(|(profile, _)| name == *profile)
}

/// A folder that was met.
struct Met {
    folder: PathBuf,
    /// `None` = that cannot be told.
    is_project: Option<bool>,
}

/// What one start brought.
#[derive(Default)]
struct Part {
    folders: Vec<Met>,
    links: Vec<PathBuf>,
    failures: Vec<(Option<PathBuf>, String)>,
    completely: bool,
}

fn below(
    start: &Path,
    rules: &Rules,
    reach: &Reach,
    ignored: Arc<Ignored>,
    depth: usize,
    patience: &Patience<'_>,
) -> Part {
    let part = Mutex::new(Part { completely: true, ..Part::default() });
    let lock = || part.lock().unwrap_or_else(PoisonError::into_inner);
    let own = rules.clone();
    WalkBuilder::new(start)
        // The walker reads no ignore files by itself: it would open whatever goes by their names.
        .standard_filters(false)
        .follow_links(false)
        .max_depth(Some(depth))
        .filter_entry(move |entry| {
            let Some(kind) = entry.file_type().filter(|kind| kind.is_dir() || kind.is_symlink()) else {
                return true;
            };
            let is_left_out = |name: &OsStr| kind.is_dir() && (own.prunes(name) || is_profile(name));
            entry.depth() == 0
                || !(ignored.leaves_out(entry.path(), kind.is_dir()) || is_left_out(entry.file_name()))
        })
        .build_parallel()
        .run(|| {
            Box::new(|entry| {
                if patience.is_over() || patience.is_spent() {
                    lock().completely = false;
                    return WalkState::Quit;
                }
                match entry {
                    Ok(entry) => {
                        let kind = entry.file_type();
                        if kind.is_some_and(|kind| kind.is_dir()) {
                            // At once: of a walk that time does not last for something comes all the same.
                            let folder = entry.into_path();
                            let is_project = is_project(&folder, reach).ok();
                            lock().folders.push(Met { folder, is_project });
                        } else if kind.is_some_and(|kind| kind.is_symlink()) {
                            lock().links.push(entry.into_path());
                        }
                    }
                    Err(error) => fail(&mut lock(), &error),
                }
                if lock().folders.len() > FOLDERS_MAX {
                    lock().completely = false;
                    return WalkState::Quit;
                }
                WalkState::Continue
            })
        });
    let mut part = part.into_inner().unwrap_or_else(PoisonError::into_inner);
    part.folders.sort_by(|a, b| a.folder.cmp(&b.folder));
    part.links.sort();
    part
}

/// A folder that could not be looked at. One that went meanwhile hides nothing.
fn fail(part: &mut Part, error: &ignore::Error) {
    let Some(io) = error.io_error() else { return };
    if io.kind() == std::io::ErrorKind::NotFound {
        return;
    }
    part.failures.push((path_of(error), error.to_string()));
}

fn path_of(error: &ignore::Error) -> Option<PathBuf> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

fn leads_to_folder(link: &Path) -> bool {
    link.metadata().is_ok_and(|about| about.is_dir())
}

/// A root full of links has one warning too many for people to read.
fn shorten(warnings: &mut Vec<Warning>) {
    warnings.sort_by(|a, b| a.about.cmp(&b.about));
    if warnings.len() > WARNINGS_MAX {
        let more = warnings.len() - WARNINGS_MAX;
        warnings.truncate(WARNINGS_MAX);
        warnings.push(warning("…", "more", format!("there are {more} more warnings like these")));
    }
}
