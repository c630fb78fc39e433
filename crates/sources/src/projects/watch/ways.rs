//! The way to a folder by the name that a person gave it: when a folder above it, or a link on the way, becomes
//! another, the name leads elsewhere.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use larder_core::Key;

/// No more links lead from one to the next.
const LINKS_MAX: usize = 40;

/// A way, as it was.
#[derive(Debug)]
pub(super) struct Way {
    to: PathBuf,
    /// Whom it concerns when it is another.
    pub(super) whose: Whose,
    /// All that it goes through, where that really is; the last of them need not be there.
    pub(super) names: Vec<PathBuf>,
}

/// Who is found by a way.
#[derive(Debug)]
pub(super) enum Whose {
    /// A root, or something that a project recorded, by its entry.
    Entry(Key),
    /// Collections, which concern every project.
    Collections,
}

impl Way {
    pub(super) fn to(path: &Path, whose: Whose) -> Self {
        Way { to: path.to_owned(), whose, names: names(path) }
    }

    /// Whether it is another by now.
    pub(super) fn is_outrun(&self) -> bool {
        names(&self.to) != self.names
    }

    /// The folders that tell when it becomes another. The file system's own root does not: what is in it stays.
    /// One that may not be listed cannot tell.
    pub(super) fn lookouts(&self) -> impl Iterator<Item = &Path> {
        let above = self.names.iter().filter_map(|name| name.parent());
        above.filter(|above| above.parent().is_some() && fs::read_dir(above).is_ok())
    }
}

fn names(path: &Path) -> Vec<PathBuf> {
    let parts = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
    };
    let (mut at, mut rest) = (PathBuf::new(), parts(path));
    let (mut names, mut links) = (Vec::new(), 0);
    while let Some(part) = rest.pop() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(_)) => {}
            Some(Component::ParentDir) => {
                at.pop();
                continue;
            }
            Some(Component::CurDir) | None => continue,
            Some(Component::Prefix(_) | Component::RootDir) => {
                at.push(&part);
                continue;
            }
        }
        let name = at.join(&part);
        names.push(name.clone());
        match fs::symlink_metadata(&name) {
            Ok(about) if about.is_symlink() => {
                links += 1;
                let target = fs::read_link(&name).ok().filter(|_| links <= LINKS_MAX);
                let Some(target) = target else { break };
                rest.extend(parts(&target));
            }
            Ok(_) => at = name,
            Err(_) => break,
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_way_goes_through_every_link_and_the_folders_above_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        fs::create_dir_all(home.join("real/v1/dev")).unwrap();
        symlink("real/../real/v1", home.join("cur")).unwrap();
        symlink(home.join("cur"), home.join("code")).unwrap();
        let names = names(&home.join("code/dev/gone/further"));
        let own: Vec<&Path> = names.iter().filter_map(|name| name.strip_prefix(&home).ok()).collect();
        let own: Vec<&Path> = own.into_iter().filter(|name| !name.as_os_str().is_empty()).collect();
        let expected =
            ["code", "cur", "real", "real", "real/v1", "real/v1/dev", "real/v1/dev/gone"].map(Path::new);
        assert_eq!(own, expected);
        symlink("loop", home.join("loop")).unwrap();
        assert!(self::names(&home.join("loop")).len() < 100);
    }
}
