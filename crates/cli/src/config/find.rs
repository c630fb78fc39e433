//! Which `larder.toml` applies, and whether it may be trusted.

use std::path::{Path, PathBuf};

use super::env::Environment;

/// The file's name, wherever it lies.
pub const FILE_NAME: &str = "larder.toml";

/// How a file was found, which decides what it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `--config` named it.
    Flag,
    /// `LARDER_CONFIG` named it.
    Env,
    /// It lies in the working directory or above it: it came with whatever one stands in.
    Project,
    /// It lies in the user's configuration directory.
    User,
}

/// A file that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// How it was found.
    pub how: How,
}

/// Looks for the file: the option, the variable, the working directory and its parents, the user's
/// configuration directory. A file that was named is returned whether or not it is there.
pub fn find(flag: Option<&Path>, env: &Environment) -> Option<Found> {
    if let Some(path) = flag {
        return Some(Found { path: named(path, env), how: How::Flag });
    }
    if let Some(path) = env.path("LARDER_CONFIG") {
        return Some(Found { path: named(path, env), how: How::Env });
    }
    let user = env.dirs.config.join(FILE_NAME);
    let up = env.cwd.ancestors().map(|dir| dir.join(FILE_NAME)).find(|path| path.is_file());
    match up {
        Some(path) if !is_same(&path, &user) => Some(Found { path, how: How::Project }),
        _ => user.is_file().then_some(Found { path: user, how: How::User }),
    }
}

/// A path that a person wrote: no shell has expanded the `~` of a unit's file, or of `--config=~/larder.toml`.
fn named(path: &Path, env: &Environment) -> PathBuf {
    let at_home = path.to_str().and_then(|text| env.at_home(text).ok());
    env.cwd.join(at_home.as_deref().unwrap_or(path))
}

/// Whether two paths are one file's, through whatever links they lead: where one stands is known without links,
/// and the user's directory as `HOME` says.
pub fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The path as a person would write it from where they stand.
pub fn shown(path: &Path, env: &Environment) -> String {
    path.strip_prefix(&env.cwd).unwrap_or(path).display().to_string()
}

/// The database of a configuration that names none: a project's own, so that two projects'
/// `cluster/tools` never meet; the user's for the user's own file, or for none.
pub fn default_database(found: Option<&Found>, env: &Environment) -> PathBuf {
    let Some(found) = found.filter(|found| found.how != How::User) else {
        return env.dirs.data.join("larder.db");
    };
    let path = found.path.canonicalize().unwrap_or_else(|_| found.path.clone());
    let name = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let name = super::clusters::slug(name.as_deref().unwrap_or("project"));
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    env.dirs.data.join("projects").join(format!("{name}-{}.db", &hash[..12]))
}
