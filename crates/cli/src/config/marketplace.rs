//! `[[marketplace]]`: where one hears of artifacts that are to be had.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_domain::RepoName;
use larder_sources::{MarketplaceConfig, MarketplaceFrom};
use url::Url;

use super::layers::{Key, Layers, Raw, Section};
use super::projects::{is_below, read_path};
use super::setting::{Origin, Setting};

/// The most marketplaces.
const LIST_MAX: usize = 1_000;
/// The longest name: it is part of a key, a URL and a column.
const NAME_CHARS_MAX: usize = 64;

/// What one table says, before it is known whether that goes together.
struct Said {
    url: Option<Setting<Url>>,
    file: Option<Setting<PathBuf>>,
    github: Option<Setting<RepoName>>,
    allow_private: bool,
}

/// Reads the tables. `base` is the configuration file's folder; a bare repository is `owner`'s.
pub fn read_marketplaces(
    layers: &mut Layers<'_>,
    base: &Path,
    owner: Option<&str>,
) -> Vec<MarketplaceConfig> {
    let tables = layers.tables("marketplace");
    if let Some((_, place)) = tables.get(LIST_MAX) {
        layers.problem_at(place, format!("too many marketplaces: {LIST_MAX} is the most"), None);
    }
    let mut first_lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = Vec::new();
    for (table, place) in tables.into_iter().take(LIST_MAX) {
        let mut section = layers.table("marketplace", table);
        let one = read_one(&mut section, base, owner, &place);
        let name_place = section.span_of("name").unwrap_or(place);
        section.finish();
        let Some(one) = one else { continue };
        if let Some(line) = first_lines.get(&one.name) {
            let message = format!("marketplace `{}` is there twice, first on line {line}", one.name);
            layers.problem_at(&name_place, message, None);
            continue;
        }
        first_lines.insert(one.name.clone(), layers.line(name_place.start));
        layers.list(format!("marketplace.{}", one.name), one.from.to_string(), &name_place);
        all.push(one);
    }
    all
}

fn read_one(
    section: &mut Section<'_, '_>,
    base: &Path,
    owner: Option<&str>,
    place: &Range<usize>,
) -> Option<MarketplaceConfig> {
    let env = section.layers().env();
    let name = section.read(Key::open("name"), |raw| read_name(raw.text("a text in quotes")?));
    let url = section.read(Key::guarded("url"), |raw| read_url(raw.text("an address in quotes")?));
    let file = section.read(Key::open("file"), |raw| read_path(raw.text("a path in quotes")?, base, env));
    let github = section.read(Key::open("github"), |raw| read_repo(raw, owner));
    let allow_private = section.flag(Key::guarded("allow_private"));
    let ttl = section.span("ttl", Duration::from_secs(1), Duration::from_hours(24 * 366));
    if name.is_none() && section.span_of("name").is_none() {
        let hint = Some("such as `name = \"team\"`".to_owned());
        section.layers().problem_at(place, "this `[[marketplace]]` has no `name`".to_owned(), hint);
    }
    let given = ["url", "file", "github"].map(|key| section.span_of(key).map(|span| (key, span)));
    let given: Vec<(&str, Range<usize>)> = given.into_iter().flatten().collect();
    check_given(section, &given, place);
    let is_private = allow_private.is_some_and(|allowed| allowed.value);
    let private_place = section.span_of("allow_private").filter(|_| is_private);
    if let (Some(place), [("file" | "github", _)]) = (private_place, given.as_slice()) {
        let message = "`allow_private` is about a `url` alone".to_owned();
        section.layers().problem_at(&place, message, None);
    }
    let said = Said { url, file, github, allow_private: is_private };
    let from = from(section, said, base)?;
    let ttl = ttl.map_or_else(|| from.usual_ttl(), |ttl| ttl.value);
    Some(MarketplaceConfig { name: name?.value, from, ttl })
}

/// One marketplace is one place.
fn check_given(section: &mut Section<'_, '_>, given: &[(&str, Range<usize>)], place: &Range<usize>) {
    match given {
        [] => {
            let hint = "give it a `url` or a `file` of a JSON index, or `github = \"owner/repo\"`".to_owned();
            let message = "this `[[marketplace]]` says not where it is".to_owned();
            section.layers().problem_at(place, message, Some(hint));
        }
        [_] => {}
        [(first, _), (second, place), ..] => {
            let hint = "one is one place: write a `[[marketplace]]` for each".to_owned();
            let message = format!("this `[[marketplace]]` has both `{first}` and `{second}`");
            section.layers().problem_at(place, message, Some(hint));
        }
    }
}

/// Where it is, if the file may say so.
fn from(section: &mut Section<'_, '_>, said: Said, base: &Path) -> Option<MarketplaceFrom> {
    let Said { url, file, github, allow_private } = said;
    if let Some(url) = url {
        let at = |allow_private| MarketplaceFrom::Url { url: url.value.clone(), allow_private };
        if let Err(why) = at(allow_private).check() {
            let hint = "one of this machine or of a private network wants `allow_private = true`";
            let hint = at(true).check().is_ok().then(|| hint.to_owned());
            let place = section.span_of("url").unwrap_or_default();
            section.layers().problem_at(&place, format!("`url`: {why}"), hint);
            return None;
        }
        return Some(at(allow_private));
    }
    if let Some(file) = file {
        // A file that nobody trusts may name nothing outside of the folder that it came with.
        let is_ours = section.is_trusted() || !matches!(file.origin, Origin::File { .. });
        if !is_ours && !is_below(&file.value, base) {
            section.layers().ignored.push("`[[marketplace]] file`".to_owned());
            return None;
        }
        return Some(MarketplaceFrom::File(file.value));
    }
    github.map(|repo| MarketplaceFrom::Repository(repo.value))
}

fn read_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let is_name = text.chars().all(fits) && text.chars().any(|c| c.is_ascii_alphanumeric());
    if is_name && text.len() <= NAME_CHARS_MAX {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no name: up to {NAME_CHARS_MAX} of a-z, 0-9, `-`, `_` and `.`"))
}

fn read_url(text: &str) -> Result<Url, String> {
    Url::parse(text.trim()).map_err(|error| format!("it is no address: {error}"))
}

fn read_repo(raw: Raw<'_>, owner: Option<&str>) -> Result<RepoName, String> {
    RepoName::parse(raw.text("\"owner/repo\"")?, owner).map_err(|error| error.to_string())
}
