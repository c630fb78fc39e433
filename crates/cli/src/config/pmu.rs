//! `.gh-pmu.yml`, the configuration of the `gh pmu` extension, which works here as it is: its
//! repositories and its `cache` section. It lies in the repository, so what it may say is what an
//! untrusted `larder.toml` may, until `larder config trust`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::DuplicateKeyPolicy;

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

/// What it says, as far as that is understood.
#[derive(Debug, Clone, Default)]
struct Said {
    repositories: Vec<String>,
    cache: Cache,
    /// What is not understood, each in a sentence.
    notes: Vec<String>,
}

/// The two parts of it that are read. All else is the other program's, and may be anything.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Parts {
    repositories: Value,
    cache: Value,
}

/// The section `cache`. Keys that it does not know are the other program's.
#[derive(Debug, Clone, Default)]
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
    let parts = parts(text, DuplicateKeyPolicy::FirstWins)?;
    let mut said = Said::default();
    if parts != self::parts(text, DuplicateKeyPolicy::LastWins)? {
        said.notes.push("a key stands there twice with two values: the first counts".to_owned());
    }
    said.repositories = said.repositories_of(parts.repositories);
    said.cache = match parts.cache {
        Value::Object(cache) => said.cache_of(&cache),
        Value::Null => Cache::default(),
        _ => {
            said.notes.push("`cache` is passed over: it is no section".to_owned());
            Cache::default()
        }
    };
    Ok(said)
}

fn parts(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Parts, String> {
    let options = serde_saphyr::options! { duplicate_keys: duplicate_keys };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().next().unwrap_or_default();
        why.strip_prefix("error: ").unwrap_or(why).to_owned()
    })
}

impl Said {
    fn repositories_of(&mut self, value: Value) -> Vec<String> {
        let list = match value {
            Value::Array(list) => list,
            Value::Null => Vec::new(),
            _ => {
                self.notes.push("`repositories` is passed over: it is no list".to_owned());
                Vec::new()
            }
        };
        let text = |value| match value {
            Value::String(text) => Some(text),
            other => {
                self.notes.push(format!("{} of `repositories` is left out: it is no name", shown(&other)));
                None
            }
        };
        list.into_iter().filter_map(text).collect()
    }

    fn cache_of(&mut self, cache: &Map<String, Value>) -> Cache {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let seconds = |value: &Value| {
            let whole = |number: &f64| number.fract() == 0.0 && (0.0..SECONDS_MAX).contains(number);
            // 300.0 is three hundred too.
            value.as_u64().or_else(|| value.as_f64().filter(whole).map(|number| number as u64))
        };
        let yes_or_no = "neither `true` nor `false`";
        Cache {
            enabled: self.one(cache, "enabled", yes_or_no, Value::as_bool),
            backend: self.one(cache, "backend", "no text", text),
            path: self.one(cache, "path", "no text", text),
            auto_sync: self.one(cache, "auto_sync", yes_or_no, Value::as_bool),
            auto_pull: self.one(cache, "auto_pull", yes_or_no, Value::as_bool),
            auto_pull_interval: self.one(cache, "auto_pull_interval", "no whole number of seconds", seconds),
        }
    }

    /// A key of the section; what is `wrong` with one that cannot be read is noted.
    fn one<T>(
        &mut self,
        cache: &Map<String, Value>,
        key: &str,
        wrong: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = cache.get(key).filter(|value| !value.is_null())?;
        let understood = read(value);
        if understood.is_none() {
            self.notes.push(format!("`cache: {key}` is passed over: {} is {wrong}", shown(value)));
        }
        understood
    }
}

/// No interval is longer.
const SECONDS_MAX: f64 = 1e12;

/// A value as a note may repeat it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() <= 40 => format!("`{text}`"),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        _ => "what it says".to_owned(),
    }
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

    /// What of it is not understood, each in a sentence.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.said.notes.iter().map(|note| format!("{}: {note}", self.shown))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_understood_takes_nothing_else_with_it() {
        let text = "project:\n  fields: {a: 1, a: 2}\nrepositories:\n  - octo-org/kiln\n  - [x]\n\
                    cache:\n  enabled: maybe\n  backend: sqlite\n  auto_pull_interval: 5m\n  auto_sync:\n";
        let said = read(text).unwrap();
        assert_eq!((said.repositories.len(), said.cache.backend.as_deref()), (1, Some("sqlite")));
        assert_eq!(
            said.notes,
            [
                "what it says of `repositories` is left out: it is no name",
                "`cache: enabled` is passed over: `maybe` is neither `true` nor `false`",
                "`cache: auto_pull_interval` is passed over: `5m` is no whole number of seconds",
            ]
        );
        assert_eq!(read("cache: {auto_pull_interval: 300.0}\n").unwrap().cache.auto_pull_interval, Some(300));
        assert_eq!(read("cache: [1]\nrepositories: a/b\n").unwrap().notes.len(), 2);
    }

    #[test]
    fn a_key_of_ours_that_stands_there_twice_is_told_of_and_the_first_counts() {
        let said = read("cache:\n  enabled: false\n  enabled: true\n").unwrap();
        assert_eq!(said.cache.enabled, Some(false));
        assert_eq!(said.notes, ["a key stands there twice with two values: the first counts"]);
    }
}
