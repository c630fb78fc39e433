//! Which projects' files the user trusts: path and content, since a pull may change the content.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::env::Environment;

/// The trusted files, kept as JSON in the state directory: path → digest of the content.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    files: BTreeMap<String, String>,
}

/// Why the list of trusted files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// There is one, and nobody can read it.
    #[error("{} could not be read: {cause}", list.display())]
    Unread {
        /// The list.
        list: PathBuf,
        /// In the system's words.
        cause: io::Error,
    },
    /// It is not to be changed.
    #[error("{} could not be written: {cause}", list.display())]
    Unwritten {
        /// The list.
        list: PathBuf,
        /// In the system's words.
        cause: io::Error,
    },
    /// The file has a path that the list has no room for.
    #[error("its path is not UTF-8")]
    Nameless,
}

impl TrustError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            TrustError::Unread { .. } => "remove it or restore it, then trust your files again",
            TrustError::Unwritten { .. } => {
                "make its folder writable, or set the variable XDG_STATE_HOME to one that is"
            }
            TrustError::Nameless => "name it each time: `larder --config FILE`",
        }
    }
}

/// What is trusted, by path; an error where there is a list and nobody can read it.
fn listed(list: &Path) -> Result<BTreeMap<String, String>, TrustError> {
    let unread = |cause| TrustError::Unread { list: list.to_owned(), cause };
    let text = match std::fs::read(list) {
        // A file where a folder of its path should be holds no list.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        read => read.map_err(unread)?,
    };
    serde_json::from_slice(&text).map_err(|error| {
        unread(io::Error::new(ErrorKind::InvalidData, format!("it cannot be understood: {error}")))
    })
}

fn list_of(env: &Environment) -> PathBuf {
    env.dirs.state.join("trusted.json")
}

impl Trust {
    /// Reads what is trusted. Nothing is, where the list cannot be read: doubt means no.
    pub fn load(env: &Environment) -> Self {
        let path = list_of(env);
        let files = listed(&path).unwrap_or_default();
        Trust { path, files }
    }

    /// Whether the list can be read, if there is one.
    pub fn check(env: &Environment) -> Result<(), TrustError> {
        listed(&list_of(env)).map(drop)
    }

    /// Whether this very content of this file is trusted.
    pub fn holds(&self, file: &Path, content: &str) -> bool {
        name(file).and_then(|name| self.files.get(&name)).is_some_and(|known| *known == digest(content))
    }

    /// Whether some content of this file is or was trusted.
    pub fn knows(&self, file: &Path) -> bool {
        name(file).is_some_and(|name| self.files.contains_key(&name))
    }

    /// Trusts this content of this file from now on.
    pub fn add(&mut self, file: &Path, content: &str) -> Result<(), TrustError> {
        let name = name(file).ok_or(TrustError::Nameless)?;
        self.change(|files| files.insert(name, digest(content))).map(drop)
    }

    /// Trusts the file no more. `false` = it was not trusted.
    pub fn remove(&mut self, file: &Path) -> Result<bool, TrustError> {
        let Some(name) = name(file) else { return Ok(false) };
        self.change(|files| files.remove(&name)).map(|known| known.is_some())
    }

    /// Changes the list as it stands now: another process may have changed it since it was read. One that cannot
    /// be read is left as it is, since what it says would be lost.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> T,
    ) -> Result<T, TrustError> {
        let list = self.path.clone();
        let unwritten = |cause| TrustError::Unwritten { list, cause };
        let _lock = match self.lock() {
            Ok(lock) => lock,
            Err(cause) => return Err(unwritten(cause)),
        };
        let mut files = listed(&self.path)?;
        let changed = change(&mut files);
        self.files = files;
        self.save().map_err(unwritten)?;
        Ok(changed)
    }

    fn lock(&self) -> io::Result<std::fs::File> {
        if let Some(dir) = self.path.parent() {
            make_private_dir(dir)?;
        }
        let lock = std::fs::File::create(self.path.with_extension("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    fn save(&self) -> io::Result<()> {
        // Written beside and moved, so that a crash leaves the old list and not half of one.
        let beside = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(&self.files)?)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)
    }
}

/// Makes a directory that is the user's alone: what is kept there may name private repositories.
pub fn make_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn name(file: &Path) -> Option<String> {
    let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    path.into_os_string().into_string().ok()
}

fn digest(content: &str) -> String {
    blake3::hash(content.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(dir: &Path) -> Trust {
        let path = dir.join("trusted.json");
        Trust { files: listed(&path).unwrap_or_default(), path }
    }

    #[test]
    fn two_who_trust_at_once_are_both_heard() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one.toml"), dir.path().join("two.toml"));
        let (mut mine, mut other) = (list(dir.path()), list(dir.path()));
        mine.add(&one, "a").unwrap();
        other.add(&two, "b").unwrap();
        let now = list(dir.path());
        assert!(now.holds(&one, "a") && now.holds(&two, "b"));
        assert!(mine.remove(&two).unwrap());
        assert!(!list(dir.path()).knows(&two));
    }

    #[test]
    fn a_list_that_nobody_can_read_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trusted.json");
        std::fs::write(&path, "{\"version\": 2, \"files\": [").unwrap();
        let mut trust = list(dir.path());
        assert!(!trust.knows(&path), "doubt means no");
        let error = trust.add(&dir.path().join("larder.toml"), "a").unwrap_err();
        assert!(
            error.to_string().contains("trusted.json could not be read: it cannot be understood"),
            "{error}"
        );
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("{\"version\": 2"));
    }
}
