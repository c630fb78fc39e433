//! `[clusters]`, `[[cluster]]` and `[[repo]]`: which repositories belong together.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use larder_domain::{ClusterConfig, ClustersConfig, RepoName, RepoOverride};

use super::layers::{Key, Layers, Raw, Section};
use super::setting::Setting;
use super::span;

/// What `[clusters]` says.
#[derive(Debug, Clone, PartialEq)]
pub struct ClustersSection {
    /// How long a cluster is fresh.
    pub ttl: Setting<Duration>,
    /// How long one under active work is fresh.
    pub active_ttl: Setting<Duration>,
    /// Whether the owner's other repositories make a cluster of their own.
    pub unclustered: Setting<bool>,
}

/// The shortest lifetime: below it, a cache only adds work.
const TTL_MIN: Duration = Duration::from_secs(1);
/// The longest: who wants more wants no refresh at all.
const TTL_MAX: Duration = Duration::from_hours(24 * 366);
/// The most clusters, and the most repositories of one.
const LIST_MAX: usize = 10_000;
/// The longest id: it is part of a key, a URL and a column.
const ID_CHARS_MAX: usize = 100;

impl ClustersSection {
    /// Reads the section.
    pub fn read(layers: &mut Layers<'_>, owner: Option<&Setting<String>>) -> Self {
        let usual = ClustersConfig::default();
        let mut section = layers.section("clusters");
        let ttl = section.read(Key::open("ttl").or_vars(&["REPO_CACHE_TTL"]), read_ttl);
        let active = Key::open("active_ttl").or_vars(&["REPO_CACHE_ACTIVE_TTL"]);
        let active_ttl = section.read(active, read_ttl);
        let unclustered = section.flag("unclustered").unwrap_or(Setting::default(usual.unclustered));
        section.finish();
        if unclustered.value && owner.is_none() {
            let message = "`unclustered` lists an owner's repositories, and there is no owner".to_owned();
            layers.problem_of(&unclustered.origin, message, Some("set `[github] owner`".to_owned()));
        }
        ClustersSection {
            ttl: ttl.unwrap_or(Setting::default(usual.ttl)),
            active_ttl: active_ttl.unwrap_or(Setting::default(usual.active_ttl)),
            unclustered,
        }
    }
}

/// Larder writes `6h`; the variables that came before it hold hours as a bare number.
fn read_ttl(raw: Raw<'_>) -> Result<Duration, String> {
    match raw {
        Raw::Shared(text) if text.trim().parse::<f64>().is_ok() => {
            let hours: f64 = text.trim().parse().unwrap_or_default();
            let span = Duration::try_from_secs_f64(hours * 3600.0).unwrap_or_default();
            let fits = (TTL_MIN..=TTL_MAX).contains(&span);
            fits.then_some(span).ok_or_else(|| format!("`{text}` hours is no sensible lifetime"))
        }
        raw => span::parse(raw.text("a duration such as \"6h\"")?, TTL_MIN, TTL_MAX),
    }
}

/// Reads `[[cluster]]`.
pub fn read_clusters(layers: &mut Layers<'_>, owner: Option<&str>) -> Vec<ClusterConfig> {
    let tables = layers.tables("cluster");
    if let Some((_, place)) = tables.get(LIST_MAX) {
        layers.problem_at(place, format!("too many clusters: {LIST_MAX} is the most"), None);
    }
    let mut first_lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut clusters = Vec::new();
    for (table, place) in tables.into_iter().take(LIST_MAX) {
        let mut section = layers.table("cluster", table);
        let cluster = read_cluster(&mut section, owner, &place);
        let id_place = section.span_of("id").unwrap_or(place);
        section.finish();
        let Some(cluster) = cluster else { continue };
        if let Some(line) = first_lines.get(&cluster.id) {
            let message = format!("cluster `{}` is there twice, first on line {line}", cluster.id);
            layers.problem_at(&id_place, message, None);
            continue;
        }
        first_lines.insert(cluster.id.clone(), layers.line(id_place.start));
        let repos = crate::ui::counted(cluster.repos.len(), "repository", "repositories");
        layers.list(format!("cluster.{}", cluster.id), repos, &id_place);
        clusters.push(cluster);
    }
    clusters
}

fn read_cluster(
    section: &mut Section<'_, '_>,
    owner: Option<&str>,
    place: &Range<usize>,
) -> Option<ClusterConfig> {
    let id = section.read(Key::open("id"), |raw| read_id(raw.text("a text in quotes")?));
    let name = section.text("name").map(|name| name.value);
    let repos = section.texts("repos");
    let mut flag = |key| section.flag(key).is_some_and(|flag| flag.value);
    let (featured, flagship) = (flag("featured"), flag("flagship"));
    let (experimental, active) = (flag("experimental"), flag("active"));
    let ttl = section.span("ttl", TTL_MIN, TTL_MAX).map(|ttl| ttl.value);
    if id.is_none() && section.span_of("id").is_none() {
        let hint = Some("such as `id = \"tools\"`".to_owned());
        section.layers().problem_at(place, "this `[[cluster]]` has no `id`".to_owned(), hint);
    }
    let id = id.map(|id| id.value).unwrap_or_default();
    let repos = read_repos(section.layers(), &id, repos, owner);
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| id.clone());
    let cluster = ClusterConfig { name, repos, featured, flagship, experimental, active, ttl, id };
    (!cluster.id.is_empty()).then_some(cluster)
}

fn read_repos(
    layers: &mut Layers<'_>,
    cluster: &str,
    texts: Vec<(&str, Range<usize>)>,
    owner: Option<&str>,
) -> Vec<RepoName> {
    if let Some((_, place)) = texts.get(LIST_MAX) {
        layers.problem_at(place, format!("too many repositories: {LIST_MAX} is the most"), None);
    }
    let mut first_places: HashMap<Arc<str>, usize> = HashMap::with_capacity(texts.len());
    let mut repos = Vec::with_capacity(texts.len());
    for (text, place) in texts.into_iter().take(LIST_MAX) {
        match RepoName::parse(text, owner) {
            Err(error) => layers.problem_at(&place, error.to_string(), None),
            Ok(name) => {
                if let Some(first) = first_places.insert(name.key().clone(), place.start) {
                    let line = layers.line(first);
                    let message = format!("`{name}` is in cluster `{cluster}` twice, first on line {line}");
                    layers.problem_at(&place, message, None);
                    continue;
                }
                repos.push(name);
            }
        }
    }
    repos
}

/// Reads `[[repo]]`. One that names a repository of no cluster does nothing, which is said.
pub fn read_overrides(layers: &mut Layers<'_>, config: &ClustersConfig) -> Vec<RepoOverride> {
    let mut overrides: Vec<RepoOverride> = Vec::new();
    for (table, place) in layers.tables("repo").into_iter().take(LIST_MAX) {
        let mut section = layers.table("repo", table);
        let name = section.read(Key::open("name"), |raw| {
            let text = raw.text("a text in quotes")?;
            RepoName::parse(text, config.owner.as_deref()).map_err(|error| error.to_string())
        });
        let display_name = section.text("display_name").map(|name| name.value);
        let mut flag = |key| section.flag(key).map(|flag| flag.value);
        let (featured, flagship, experimental) = (flag("featured"), flag("flagship"), flag("experimental"));
        let name_place = section.span_of("name");
        section.finish();
        let (Some(name), Some(name_place)) = (name.map(|name| name.value), name_place.clone()) else {
            if name_place.is_none() {
                layers.problem_at(&place, "this `[[repo]]` has no `name`".to_owned(), None);
            }
            continue;
        };
        if overrides.iter().any(|other| other.name.key() == name.key()) {
            layers.problem_at(&name_place, format!("`{name}` is overridden twice"), None);
            continue;
        }
        let known = config.clusters.iter().flat_map(|cluster| &cluster.repos);
        if !config.has_unclustered() && !known.clone().any(|repo| repo.key() == name.key()) {
            let note = format!("{}: `{name}` is in no cluster", layers.place(&name_place));
            layers.notes.push(note);
        }
        overrides.push(RepoOverride { name, display_name, featured, flagship, experimental });
    }
    overrides
}

fn read_id(text: &str) -> Result<String, String> {
    if text == ClustersConfig::UNCLUSTERED {
        return Err(format!("`{text}` is the name of the owner's other repositories: choose another"));
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| fits(c) || matches!(c, '.' | '_' | '-');
    if text.starts_with(fits) && text.chars().all(inner) && text.len() <= ID_CHARS_MAX {
        return Ok(text.to_owned());
    }
    let slug = slug(text);
    let way_out = if slug.is_empty() { String::new() } else { format!(", such as `{slug}`") };
    Err(format!("`{text}` cannot be an id: a-z, 0-9, `.`, `_` and `-`, at most {ID_CHARS_MAX}{way_out}"))
}

/// The id nearest to a text.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        let fits = c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        if fits {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(ID_CHARS_MAX);
    slug.trim_matches(['-', '.', '_']).to_owned()
}
