//! `[trackers]` and `[[tracker]]`: whose trackers, of which types, and how their manifest is used.
//! What they leave open, `.gh-pmu.yml` says; what that leaves open too, the clone one stands in.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use larder_domain::{Reads, RepoName, TrackerType};
use larder_sources::{PullHow, root_of};

use super::env::Environment;
use super::layers::{Key, Layers, Raw};
use super::origin::repo_of_origin;
use super::pmu::Pmu;
use super::setting::{Origin, Setting};
use super::shown::Shown;

/// Whose trackers, of which types, and how their manifest is used.
#[derive(Debug, Clone)]
pub struct TrackersConfig {
    /// Whose.
    pub repos: Setting<Vec<RepoName>>,
    /// Of which types.
    pub types: Vec<TrackerType>,
    /// Their freshness lifetime.
    pub ttl: Setting<Duration>,
    /// `false` = always fetch.
    pub enabled: Setting<bool>,
    /// Whether lists read the manifest; `cache sync` does in any case.
    pub auto_sync: Setting<bool>,
    /// Whether, and how, the remote is asked for a newer manifest.
    pub auto_pull: Setting<Option<PullHow>>,
    /// At most so often.
    pub auto_pull_interval: Setting<Duration>,
    /// The clone that one stands in: its repository, and its root.
    pub clone: Option<(RepoName, PathBuf)>,
}

impl TrackersConfig {
    /// Reads the sections. Clones of repositories on `host` are known.
    pub fn read(layers: &mut Layers<'_>, pmu: Option<&Pmu>, host: &str) -> Self {
        let env = layers.env();
        let types = read_types(layers);
        let clone = clone_of(env, host);
        let mut section = layers.section("trackers");
        let named = read_repos(&mut section);
        let minute = Duration::from_mins(1);
        let ttl = section.span("ttl", minute, Duration::from_hours(24 * 366));
        let enabled = section.flag("enabled");
        let auto_sync = section.flag("auto_sync");
        let auto_pull = section.read(Key::guarded("auto_pull"), read_pull);
        let interval =
            section.span("auto_pull_interval", Duration::from_secs(1), Duration::from_hours(24 * 366));
        section.finish();
        let notes = &mut layers.notes;
        let repos = named.unwrap_or_else(|| repos_of(pmu, clone.as_ref().map(|(repo, _)| repo), notes));
        let cache = pmu.map(Pmu::cache);
        let of_pmu = |key: &str, value: Option<bool>| Some(pmu?.setting(key, value?));
        TrackersConfig {
            repos,
            types,
            ttl: ttl.unwrap_or(Setting::default(Duration::from_hours(1))),
            enabled: enabled.or_else(|| of_pmu("enabled", cache?.enabled)).unwrap_or(Setting::default(true)),
            auto_sync: auto_sync
                .or_else(|| of_pmu("auto_sync", cache?.auto_sync))
                .unwrap_or(Setting::default(true)),
            auto_pull: auto_pull
                .or_else(|| trusted_pull(pmu?, &mut layers.pmu_ignored))
                .unwrap_or(Setting::default(None)),
            auto_pull_interval: interval
                .or_else(|| {
                    Some(pmu?.setting("auto_pull_interval", Duration::from_secs(cache?.auto_pull_interval?)))
                })
                .unwrap_or(Setting::default(5 * minute)),
            clone,
        }
    }
}

/// Git runs what the clone's own configuration says, so a file that came with it may not start it.
fn trusted_pull(pmu: &Pmu, ignored: &mut Vec<&'static str>) -> Option<Setting<Option<PullHow>>> {
    let wanted = pmu.cache().auto_pull?;
    if wanted && !pmu.trusted {
        ignored.push("`cache: auto_pull`");
        return None;
    }
    Some(pmu.setting("auto_pull", wanted.then_some(PullHow::Fetch)))
}

fn repos_of(pmu: Option<&Pmu>, clone: Option<&RepoName>, notes: &mut Vec<String>) -> Setting<Vec<RepoName>> {
    let Some(pmu) = pmu.filter(|pmu| !pmu.repositories().is_empty()) else {
        return Setting::default(clone.into_iter().cloned().collect());
    };
    let mut repos = Vec::new();
    for text in pmu.repositories() {
        match RepoName::parse(text, None) {
            Ok(repo) => repos.push(repo),
            Err(error) => notes.push(format!("{}: `{text}` is left out: {error}", pmu.shown)),
        }
    }
    pmu.setting("repositories", repos)
}

fn read_repos(section: &mut super::layers::Section<'_, '_>) -> Option<Setting<Vec<RepoName>>> {
    let texts = section.texts("repos");
    if let Some((origin, Raw::Text(text))) = section.var(Key::open("repos")) {
        let repos = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let repos: Result<_, _> = repos.map(|name| RepoName::parse(name, None)).collect();
        return match repos {
            Ok(value) => Some(Setting { value, origin }),
            Err(error) => {
                section.layers().problem_of(&origin, format!("`repos`: {error}"), None);
                None
            }
        };
    }
    let line = texts.first().map(|(_, span)| section.layers().line(span.start))?;
    let mut repos = Vec::with_capacity(texts.len());
    for (text, span) in texts {
        match RepoName::parse(text, None) {
            Ok(repo) => repos.push(repo),
            Err(error) => section.layers().problem_at(&span, format!("`repos`: {error}"), None),
        }
    }
    let file = section.layers().file_name();
    Some(Setting { value: repos, origin: Origin::File { file, line } })
}

fn read_pull(raw: Raw<'_>) -> Result<Option<PullHow>, String> {
    let text = match raw {
        Raw::Value(value) if value.as_bool().is_some() => {
            return Ok(value.as_bool().unwrap_or_default().then_some(PullHow::Fetch));
        }
        raw => raw.text("`true`, `false` or \"merge\"")?,
    };
    match text {
        "true" | "1" | "fetch" => Ok(Some(PullHow::Fetch)),
        "false" | "0" => Ok(None),
        "merge" => Ok(Some(PullHow::Merge)),
        _ => Err(format!("`{text}` is not `true`, `false` or `merge`")),
    }
}

/// The two types that everybody knows, and those of one's own; one of a known name takes its place.
fn read_types(layers: &mut Layers<'_>) -> Vec<TrackerType> {
    let mut types = vec![TrackerType::release(), TrackerType::microsprint()];
    let mut places: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for (table, span) in layers.tables("tracker") {
        let mut section = layers.table("tracker", table);
        let name = section.text("type").map(|name| name.value);
        let labels: Vec<String> =
            section.texts("labels").into_iter().map(|(text, _)| text.to_owned()).collect();
        let prefixes: Vec<String> =
            section.texts("prefixes").into_iter().map(|(text, _)| text.to_owned()).collect();
        let reads = section.read(Key::open("reads"), |raw| match raw.text("\"version\" or \"name\"")? {
            "version" => Ok(Reads::Version),
            "name" => Ok(Reads::Name),
            other => Err(format!("`{other}` is neither `version` nor `name`")),
        });
        let type_place = section.span_of("type");
        section.finish();
        let is_word = |name: &String| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        let Some(name) = name.filter(is_word) else {
            layers.problem_at(&span, "a `[[tracker]]` needs a `type` of a-z, 0-9 and `-`".to_owned(), None);
            continue;
        };
        let fill = |given: Vec<String>, usual: String| if given.is_empty() { vec![usual] } else { given };
        let mut capital = name.clone();
        capital[..1].make_ascii_uppercase();
        let own = TrackerType {
            labels: fill(labels, name.clone()),
            prefixes: fill(prefixes, format!("{capital}:")),
            reads: reads.map_or(Reads::Name, |reads| reads.value),
            name,
        };
        places.insert(own.name.clone(), type_place.unwrap_or(span));
        match types.iter_mut().find(|known| known.name == own.name) {
            Some(known) => *known = own,
            None => types.push(own),
        }
    }
    for of in &types {
        let (key, value) = (format!("tracker.{}", of.name), format!("labels {}", of.labels.join(", ")));
        match places.get(&of.name) {
            Some(place) => layers.list(key, value, place),
            None => layers.listed.push(Shown::usual(key, value)),
        }
    }
    types
}

fn clone_of(env: &Environment, host: &str) -> Option<(RepoName, PathBuf)> {
    Some((repo_of_origin(&env.cwd, host)?, root_of(&env.cwd)?))
}
