//! The manifest `.github/pmu-cache.json`, which a repository carries so that a whole team reads its
//! trackers without a call (seed 003): read, judged against what is held, and written so that an
//! equal payload keeps its bytes.

use std::collections::BTreeMap;
use std::fmt;

use larder_core::{Fingerprint, Time};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{Tracker, TrackerState, TrackerType};

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// A manifest as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// When its data were fetched; manifests made by hand may lack it.
    pub updated_at: Option<Time>,
    /// `owner/name`.
    pub repo: String,
    /// By field: `releases`, `microsprints`, …
    lists: BTreeMap<String, Vec<ManifestTracker>>,
    /// Lists that cannot be read, by field, and why.
    malformed: BTreeMap<String, String>,
}

/// One issue of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct ManifestTracker {
    /// The number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Open or closed, in either case.
    pub state: TrackerState,
    /// When it was opened.
    pub created_at: Option<Time>,
    /// When it was closed.
    pub closed_at: Option<Time>,
}

/// The same as writers have it: with either spelling of a time, or both.
#[derive(Deserialize)]
struct Written {
    number: u64,
    title: String,
    #[serde(default, deserialize_with = "state")]
    state: TrackerState,
    #[serde(default, rename = "createdAt", deserialize_with = "time_or_none")]
    created: Option<Time>,
    #[serde(default, deserialize_with = "time_or_none")]
    created_at: Option<Time>,
    #[serde(default, rename = "closedAt", deserialize_with = "time_or_none")]
    closed: Option<Time>,
    #[serde(default, deserialize_with = "time_or_none")]
    closed_at: Option<Time>,
}

impl From<Written> for ManifestTracker {
    fn from(written: Written) -> Self {
        ManifestTracker {
            number: written.number,
            title: written.title,
            state: written.state,
            created_at: written.created.or(written.created_at),
            closed_at: written.closed.or(written.closed_at),
        }
    }
}

/// Why a manifest is passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// From a newer writer.
    #[error("it has version {0}, and only version {VERSION} is known")]
    Version(String),
    /// Of another repository.
    #[error("it is of `{found}`, not of `{wanted}`")]
    Repo {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
}

/// What is held of one repository's type, as far as a manifest is judged against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// When the fetch that brought it began, or the `updated_at` of the manifest that did.
    pub as_of: Time,
    /// The payload's digest.
    pub payload: &'a Fingerprint,
}

/// What a manifest is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is newer: it takes the held data's place, and was true then.
    Apply {
        /// When.
        as_of: Time,
    },
    /// It says the same, later: what is held was still true then.
    Confirm {
        /// When.
        as_of: Time,
    },
    /// It is no newer than what is held.
    Older,
}

impl Manifest {
    /// Reads a manifest, which must be of `repo` (in any case) and have no list that cannot be read.
    pub fn read(bytes: &[u8], repo: &str) -> Result<Self, ManifestError> {
        let manifest = Manifest::read_leniently(bytes, repo)?;
        let first = manifest.problems().next();
        match first {
            Some(problem) => Err(problem),
            None => Ok(manifest),
        }
    }

    /// Reads a manifest, which must be of `repo` (in any case). A list that cannot be read is among its
    /// [`problems`](Manifest::problems), and hides no other.
    pub fn read_leniently(bytes: &[u8], repo: &str) -> Result<Self, ManifestError> {
        let malformed = |error: &dyn fmt::Display| ManifestError::Malformed(error.to_string());
        let whole: Value = serde_json::from_slice(unmarked(bytes)).map_err(|error| malformed(&error))?;
        let Value::Object(fields) = whole else { return Err(malformed(&"it is not an object")) };
        match fields.get("version") {
            None | Some(Value::Null) => {}
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(version) => return Err(ManifestError::Version(version.to_string())),
        }
        let found = fields.get("repo").and_then(Value::as_str).unwrap_or_default();
        if !found.eq_ignore_ascii_case(repo) {
            return Err(ManifestError::Repo { found: found.to_owned(), wanted: repo.to_owned() });
        }
        let time = |name: &str| match fields.get(name) {
            None => Ok(None),
            Some(at) => time_or_none(at).map_err(|error| malformed(&error)),
        };
        let updated_at = time("updated_at")?.or(time("updatedAt")?);
        let mut manifest = Manifest {
            updated_at,
            repo: found.to_owned(),
            lists: BTreeMap::new(),
            malformed: BTreeMap::new(),
        };
        for (name, list) in &fields {
            let list = match list {
                // So Go writes a list that has nothing in it.
                Value::Null => Ok(Vec::new()),
                Value::Array(_) => Vec::deserialize(list),
                _ => continue,
            };
            match list {
                Ok(list) => drop(manifest.lists.insert(name.clone(), list)),
                Err(error) => drop(manifest.malformed.insert(name.clone(), error.to_string())),
            }
        }
        Ok(manifest)
    }

    /// What is wrong with single lists.
    pub fn problems(&self) -> impl Iterator<Item = ManifestError> {
        self.malformed.iter().map(|(name, why)| ManifestError::Malformed(format!("`{name}`: {why}")))
    }

    /// What is wrong with its list of such trackers; `None` = nothing, or there is none.
    pub fn problem(&self, of: &TrackerType) -> Option<ManifestError> {
        let name = of.plural();
        let why = self.malformed.get(&name)?;
        Some(ManifestError::Malformed(format!("`{name}`: {why}")))
    }

    /// Whether it speaks of such trackers at all, in words that can be read. A manifest that does not says
    /// nothing of them.
    pub fn lists(&self, of: &TrackerType) -> bool {
        self.lists.contains_key(&of.plural())
    }

    /// Its trackers of a type. `page` makes an issue's address of its number.
    pub fn trackers(&self, of: &TrackerType, page: impl Fn(u64) -> String) -> Vec<Tracker> {
        let list = self.lists.get(&of.plural()).map(Vec::as_slice).unwrap_or_default();
        let each = |found: &ManifestTracker| {
            let titled = of.read(&found.title)?;
            Some(Tracker {
                repo: self.repo.clone(),
                number: found.number,
                kind: of.name.clone(),
                title: found.title.clone(),
                name: titled.name,
                version: titled.version,
                codename: titled.codename,
                state: found.state,
                created_at: found.created_at,
                // Some writers have a time for "never".
                closed_at: found.closed_at.filter(|_| found.state == TrackerState::Closed),
                url: page(found.number),
            })
        };
        let mut trackers: Vec<Tracker> = list.iter().filter_map(each).collect();
        trackers.sort_by_key(|tracker| std::cmp::Reverse(tracker.number));
        trackers.dedup_by_key(|tracker| tracker.number);
        trackers
    }

    /// What it is good for, beside what is held. One from the future is as old as now.
    pub fn judge(&self, payload: &Fingerprint, held: Option<Held<'_>>, now: Time) -> Verdict {
        let updated_at = self.updated_at.map(|at| at.min(now));
        match (updated_at, held) {
            (None, None) => Verdict::Apply { as_of: now },
            (Some(as_of), None) => Verdict::Apply { as_of },
            (Some(as_of), Some(held)) if as_of > held.as_of => {
                if payload == held.payload {
                    Verdict::Confirm { as_of }
                } else {
                    Verdict::Apply { as_of }
                }
            }
            (_, Some(_)) => Verdict::Older,
        }
    }
}

/// The digest of trackers of one type, whatever their order: what is equal says nothing new.
pub fn payload(trackers: &[Tracker]) -> Fingerprint {
    let mut lines: Vec<(u64, String)> =
        trackers.iter().map(|tracker| (tracker.number, line(tracker))).collect();
    lines.sort();
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    Fingerprint::of(&lines)
}

fn line(tracker: &Tracker) -> String {
    written(tracker).to_string()
}

fn written(tracker: &Tracker) -> Value {
    json!({
        "number": tracker.number,
        "title": tracker.title,
        "state": match tracker.state { TrackerState::Open => "OPEN", TrackerState::Closed => "CLOSED" },
        "createdAt": tracker.created_at,
        "closedAt": tracker.closed_at,
    })
}

/// What a generator came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Generated {
    /// The old file says the same: it stays, byte for byte.
    Unchanged,
    /// The new file.
    Changed(String),
}

/// Writes a manifest of `trackers` (of any types), true as of `now`. Sorted, so that the same
/// trackers give the same file; where the old one says the same, it stays with its `updated_at`.
pub fn generate(
    old: Option<&[u8]>,
    repo: &str,
    types: &[TrackerType],
    trackers: &[Tracker],
    now: Time,
) -> Generated {
    let of_type = |of: &TrackerType| -> Vec<&Tracker> {
        let mut list: Vec<&Tracker> = trackers.iter().filter(|tracker| tracker.kind == of.name).collect();
        list.sort_by_key(|tracker| std::cmp::Reverse(tracker.number));
        list
    };
    let mut fields = serde_json::Map::new();
    for of in types {
        fields.insert(of.plural(), of_type(of).into_iter().map(written).collect());
    }
    let says_the_same = |old: &[u8]| {
        let Ok(Value::Object(mut old)) = serde_json::from_slice(unmarked(old)) else { return false };
        let head = old.remove("version") == Some(VERSION.into())
            && old.remove("repo").is_some_and(|named| named == repo)
            && old.remove("updated_at").is_some_and(|at| Time::deserialize(at).is_ok());
        head && old == fields
    };
    if old.is_some_and(says_the_same) {
        return Generated::Unchanged;
    }
    let mut whole = serde_json::Map::new();
    whole.insert("version".to_owned(), VERSION.into());
    whole.insert("updated_at".to_owned(), json!(whole_second(now)));
    whole.insert("repo".to_owned(), repo.into());
    whole.extend(fields);
    let text = serde_json::to_string_pretty(&Value::Object(whole)).unwrap_or_default();
    Generated::Changed(text + "\n")
}

/// The second that `now` is in: never later than the fetch it stands for.
fn whole_second(now: Time) -> Time {
    Time::from_ms(now.ms().div_euclid(1000) * 1000)
}

/// A JSON text without the mark that some editors put before it.
fn unmarked(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

/// A time; `null` and an empty text are none.
fn time_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if !text.trim().is_empty() => {
            Time::parse(&text).map(Some).map_err(serde::de::Error::custom)
        }
        _ => Ok(None),
    }
}

fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrackerState, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.to_ascii_lowercase().as_str() {
        "open" => Ok(TrackerState::Open),
        "closed" => Ok(TrackerState::Closed),
        _ => Err(serde::de::Error::custom(format!("a state is open or closed, not `{text}`"))),
    }
}

#[cfg(test)]
mod tests;
