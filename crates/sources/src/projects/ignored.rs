//! What ignore files leave out of the walk. They are read here and not by the walker: whoever brings a project
//! writes them, and one that is a pipe, a link to somewhere else, or endless must not keep anybody waiting, nor
//! hide anything.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use larder_core::Warning;

use super::content::warning;
use super::place::shown_path;
use super::reach::{Led, Reach};
use crate::files::read_plain;

/// The files that are read, the one that has the last word last.
const NAMES: [&str; 2] = [".gitignore", ".ignore"];
/// No ignore file is longer.
const BYTES_MAX: u64 = 1 << 20;

/// Whether a name is that of a file that leaves folders out.
pub(super) fn is_ignore_file(name: &OsStr) -> bool {
    NAMES.iter().any(|own| name == *own)
}

/// The ignore files below one start, read when something in their folder is asked about.
pub(super) struct Ignored {
    start: PathBuf,
    /// How the start is called from the root.
    called: PathBuf,
    reach: Reach,
    folders: RwLock<HashMap<PathBuf, Option<Arc<Chain>>>>,
    warnings: Mutex<Vec<Warning>>,
}

/// What a folder's ignore files say, and those above it.
struct Chain {
    own: Gitignore,
    above: Option<Arc<Chain>>,
}

impl Ignored {
    /// Those above the start are outside of what may be read.
    pub(super) fn below(start: &Path, called: &Path, reach: &Reach) -> Self {
        Ignored {
            start: start.to_owned(),
            called: called.to_owned(),
            reach: reach.clone(),
            folders: RwLock::default(),
            warnings: Mutex::default(),
        }
    }

    /// Whether something below the start is left out. The innermost word counts.
    pub(super) fn leaves_out(&self, path: &Path, is_folder: bool) -> bool {
        let mut chain = path.parent().and_then(|folder| self.chain(folder));
        while let Some(of) = chain.take() {
            match of.own.matched(path, is_folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => chain.clone_from(&of.above),
            }
        }
        false
    }

    /// What was wrong with those that were passed over.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn chain(&self, folder: &Path) -> Option<Arc<Chain>> {
        if let Some(known) = self.folders.read().unwrap_or_else(PoisonError::into_inner).get(folder) {
            return known.clone();
        }
        let is_below = folder != self.start && folder.starts_with(&self.start);
        let above = folder.parent().filter(|_| is_below).and_then(|above| self.chain(above));
        let chain = match self.own(folder) {
            Some(own) => Some(Arc::new(Chain { own, above })),
            None => above,
        };
        let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        folders.entry(folder.to_owned()).or_insert(chain).clone()
    }

    /// What a folder's own files say; `None` = nothing.
    fn own(&self, folder: &Path) -> Option<Gitignore> {
        let mut rules = GitignoreBuilder::new(folder);
        for name in NAMES {
            let file = folder.join(name);
            let about = self.called.join(file.strip_prefix(&self.start).unwrap_or(&file));
            let Some(text) = self.text(&file, &shown_path(&about)) else { continue };
            for line in text.trim_start_matches('\u{feff}').lines() {
                // A line that is no pattern hides nothing.
                let _ = rules.add_line(Some(file.clone()), line);
            }
        }
        match rules.build() {
            Ok(rules) => Some(rules).filter(|rules| !rules.is_empty()),
            Err(error) => {
                let about = self.called.join(folder.strip_prefix(&self.start).unwrap_or(folder));
                let about = shown_path(&about);
                let message = format!("the ignore files of `{about}` are passed over: {error}");
                self.warn(warning(&about, "malformed", message));
                None
            }
        }
    }

    fn text(&self, file: &Path, about: &str) -> Option<String> {
        // A folder whose files cannot even be asked about is told of as such.
        let is_link = fs::symlink_metadata(file).ok()?.is_symlink();
        let real = if is_link {
            match self.reach.follow(file, about) {
                Led::To(real) => real,
                Led::Nowhere => return None,
                Led::Astray(warning) | Led::Round(warning) => {
                    self.warn(warning);
                    return None;
                }
            }
        } else {
            file.to_owned()
        };
        match read_plain(&real, BYTES_MAX) {
            Ok((bytes, _)) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.warn(warning(about, "unreadable", format!("`{about}` is passed over: {error}")));
                None
            }
        }
    }

    fn warn(&self, warning: Warning) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}
