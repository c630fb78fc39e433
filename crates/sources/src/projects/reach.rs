//! What may be read: the roots, the collections and the links that are allowed, and nothing else.

use std::io;
use std::path::{Component, Path, PathBuf};

use larder_core::Warning;

/// The folders below which everything may be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    folders: Vec<PathBuf>,
}

/// No more links lead from one to the next.
const LINKS_MAX: usize = 40;

/// Where a path leads, links followed.
#[derive(Debug)]
pub(super) enum Led {
    /// There, and it may be read.
    To(PathBuf),
    /// Nowhere: nothing is there.
    Nowhere,
    /// In circles: nothing is there, and nobody meant that.
    Round(Warning),
    /// Out of reach: nobody can say what is there.
    Astray(Warning),
}

impl Reach {
    /// Of folders, which need not exist.
    pub(super) fn of<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        // A folder that is a link itself was named by a person: it is what it leads to.
        let real = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Reach { folders: folders.into_iter().map(real).collect() }
    }

    /// The same and one more folder.
    pub(super) fn and(&self, folder: &Path) -> Self {
        let mut folders = self.folders.clone();
        folders.push(folder.to_owned());
        Reach { folders }
    }

    /// Whether a path with no links in it may be read.
    pub(super) fn has(&self, real: &Path) -> bool {
        self.folders.iter().any(|folder| real.starts_with(folder))
    }

    /// Follows a path. `about` names it to people.
    pub(super) fn follow(&self, path: &Path, about: &str) -> Led {
        let warning =
            |code: &str, message: String| Warning { about: about.to_owned(), code: code.to_owned(), message };
        let warn = |code: &str, message: String| Led::Astray(warning(code, message));
        match path.canonicalize() {
            Ok(real) if self.has(&real) => Led::To(real),
            Ok(real) => warn(
                "link_outside",
                format!(
                    "`{about}` leads to {}, outside of all roots, and is not read; `[projects] allow_links` allows it",
                    real.display()
                ),
            ),
            Err(error) if is_absence(&error) => Led::Nowhere,
            Err(error) if is_loop(&error) => {
                Led::Round(warning("link_loop", format!("`{about}` leads back to itself")))
            }
            Err(error) => warn("unreadable", format!("`{about}` cannot be read: {error}")),
        }
    }
}

/// Where a path really is, or would be if there were something: links are followed as far as there is anything.
/// `None` = that cannot be said.
pub(super) fn would_be(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Ok(real) = path.canonicalize() {
            return Some(real);
        }
        let Ok(target) = path.read_link() else {
            let (above, real) =
                path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)))?;
            let rest = path.strip_prefix(above).ok()?;
            let is_plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
            return is_plain.then(|| real.join(rest));
        };
        path = path.parent()?.join(target);
    }
    None
}

/// Whether there is nothing by that name, not even a link: one question, where following asks one a
/// folder. Nor is there anything below a link that leads back to itself.
pub(super) fn is_nothing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| is_absence(&error) || is_loop(&error))
}

/// Whether an error says that there is nothing: below a file there is as little as where nobody put anything.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(unix)]
fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_loop(_error: &io::Error) -> bool {
    false
}
