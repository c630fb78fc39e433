//! `.gh-pmu.yml`, the configuration of the `gh pmu` extension, which works here as it is: its
//! repositories and its `cache` section. It lies in the repository, so what it may say is what an
//! untrusted `larder.toml` may, until `larder config trust`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::env::Environment;
use super::find;
use super::setting::{Origin, Setting};
use super::trust::Trust;

/// The file's name, in the working directory or above it.
pub const PMU_FILE: &str = ".gh-pmu.yml";

/// A file that is written by hand is small.
const BYTES_MAX: u64 = 1 << 20;

/// What is used of it.
#[derive(Debug, Clone, Default)]
pub struct Pmu {
    /// Its path as a person would write it.
    pub shown: String,
    /// Whether it may say where data go, and make git run.
    pub trusted: bool,
    /// The directory it lies in, from which its paths count.
    folder: PathBuf,
    /// Its text, to tell lines by.
    text: String,
    said: Said,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Said {
    repositories: Vec<String>,
    cache: Cache,
}

/// The section `cache`. Keys that it does not know are the other program's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// `false` = always fetch.
    pub enabled: Option<bool>,
    /// `sqlite` or `bolt`.
    pub backend: Option<String>,
    /// Where the other program keeps its file: its directory serves for ours.
    pub path: Option<String>,
    /// Whether lists read the manifest.
    pub auto_sync: Option<bool>,
    /// Whether the remote is asked for a newer one.
    pub auto_pull: Option<bool>,
    /// At most every so many seconds.
    pub auto_pull_interval: Option<u64>,
}

fn read(text: &str) -> Result<Said, String> {
    if text.trim().is_empty() {
        return Ok(Said::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().next().unwrap_or_default();
        why.strip_prefix("error: ").unwrap_or(why).to_owned()
    })
}

/// Whether a text can be read as such a file; the error says why not.
pub fn check(text: &str) -> Result<(), String> {
    read(text).map(drop)
}

impl Pmu {
    /// Finds and reads the file; `None` = there is none. The error says what is wrong with it.
    pub fn find(env: &Environment) -> Result<Option<Pmu>, String> {
        let Some(path) = env.cwd.ancestors().map(|dir| dir.join(PMU_FILE)).find(|path| path.is_file()) else {
            return Ok(None);
        };
        let shown = find::shown(&path, env);
        let failed = |cause: &dyn std::fmt::Display| format!("{shown} is left alone: {cause}");
        let bytes = std::fs::metadata(&path).map_err(|error| failed(&error))?.len();
        if bytes > BYTES_MAX {
            return Err(failed(&format!("it has {bytes} bytes")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
        let said = read(&text).map_err(|why| failed(&why))?;
        let trusted = Trust::load(env).holds(&path, &text);
        let folder = path.parent().unwrap_or(&env.cwd).to_owned();
        Ok(Some(Pmu { shown, trusted, folder, text, said }))
    }

    /// Its repositories, as written.
    pub fn repositories(&self) -> &[String] {
        &self.said.repositories
    }

    /// The directory it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its section `cache`.
    pub fn cache(&self) -> &Cache {
        &self.said.cache
    }

    /// A value of it, with the line that says so.
    pub fn setting<T>(&self, key: &str, value: T) -> Setting<T> {
        let says = |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let line = self.text.lines().position(says).map_or(1, |at| at + 1);
        Setting { value, origin: Origin::File { file: self.shown.clone(), line } }
    }
}
