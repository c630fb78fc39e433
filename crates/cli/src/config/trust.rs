//! Which projects' files the user trusts: path and content, since a pull may change the content.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::env::Environment;

/// The trusted files, kept as JSON in the state directory: path → digest of the content.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    files: BTreeMap<String, String>,
}

impl Trust {
    /// Reads what is trusted. Nothing is, where the list cannot be read: doubt means no.
    pub fn load(env: &Environment) -> Self {
        let path = env.dirs.state.join("trusted.json");
        let files = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Trust { path, files: files.unwrap_or_default() }
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
    pub fn add(&mut self, file: &Path, content: &str) -> io::Result<()> {
        let name = name(file).ok_or_else(|| io::Error::other("its path is not UTF-8"))?;
        self.files.insert(name, digest(content));
        self.save()
    }

    /// Trusts the file no more. `false` = it was not trusted.
    pub fn remove(&mut self, file: &Path) -> io::Result<bool> {
        let known = name(file).and_then(|name| self.files.remove(&name)).is_some();
        if known {
            self.save()?;
        }
        Ok(known)
    }

    fn save(&self) -> io::Result<()> {
        if let Some(dir) = self.path.parent() {
            make_private_dir(dir)?;
        }
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
