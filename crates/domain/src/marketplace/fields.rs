//! The fields of an index's entries, read leniently: what cannot be understood of one is as if it were not
//! there, and nothing that leads outside the repository is followed.

use serde_json::{Map, Value};

use super::Offer;
use crate::artifact_type::ArtifactType;
use crate::deployed::bare_name;

/// What is kept of a description.
const DESCRIPTION_CHARS_MAX: usize = 4_000;
/// The longest tag, version, licence or name that is kept.
const WORD_CHARS_MAX: usize = 200;
const URL_CHARS_MAX: usize = 2_000;
const LIST_MAX: usize = 100;

/// What plugins and artifacts say alike.
pub(super) fn common(fields: &Map<String, Value>) -> Offer {
    let get = |name: &str| fields.get(name).and_then(text);
    let list = |name: &str| fields.get(name).map(words).unwrap_or_default();
    let mut tags = list("tags");
    for word in list("keywords").into_iter().chain(get("category")) {
        if !tags.iter().any(|tag| tag.eq_ignore_ascii_case(&word)) {
            tags.push(word);
        }
    }
    tags.truncate(LIST_MAX);
    let description = fields.get("description").and_then(Value::as_str).map(plain);
    let description = description.filter(|text| !text.is_empty());
    let url = ["url", "homepage", "repository"].iter().find_map(|name| fields.get(*name).and_then(page));
    Offer {
        description: description.map(|text| text.chars().take(DESCRIPTION_CHARS_MAX).collect()),
        version: get("version"),
        tags,
        license: get("license").or_else(|| get("licence")),
        aliases: list("aliases"),
        url,
        source: fields.get("source").and_then(text),
        path: get("path"),
        ..Offer::default()
    }
}

pub(super) type Place = (Option<String>, Option<String>, Option<String>);

/// Where a plugin is to be had: in words, its page, and its folder where it lies beside the index.
pub(super) fn where_from(source: Option<&Value>, root: &str) -> Result<Place, String> {
    let source = source.filter(|source| is_something(source)).ok_or("it has no `source`")?;
    if let Some(path) = source.as_str() {
        if let Some(url) = page(source) {
            return Ok((Some(url.clone()), Some(url), None));
        }
        let path = local(path).ok_or_else(|| format!("its source {} leads outside", shown(source)))?;
        // A path that begins with the root already has it.
        let is_below = root.is_empty() || path == root || path.starts_with(&format!("{root}/"));
        let path = if is_below { path } else { joined(Some(root), &path).unwrap_or_default() };
        return Ok((None, None, Some(path)));
    }
    let get = |name: &str| source.get(name).and_then(text);
    let kind = get("source").ok_or("its source does not say what it is")?;
    match (kind.as_str(), get("repo"), get("url"), get("package")) {
        ("github", Some(repo), ..) => {
            Ok((Some(format!("github:{repo}")), Some(format!("https://github.com/{repo}")), None))
        }
        (_, _, Some(url), _) => Ok((Some(url.clone()), page(&Value::from(url)), None)),
        (_, _, _, Some(package)) => Ok((Some(format!("{kind}:{package}")), None, None)),
        _ => Err(format!("its source {} does not say where", shown(source))),
    }
}

/// The parts that a plugin names: by name, by path, or by both.
pub(super) fn named_parts(value: Option<&Value>) -> impl Iterator<Item = (Option<String>, Option<String>)> {
    let path = |value: &Value| value.as_str().map(str::to_owned);
    let one = value.filter(|value| value.is_string()).into_iter();
    let all = value.and_then(Value::as_array).into_iter().flatten();
    let by_path = one.chain(all).filter_map(path).map(|path| (None, Some(path)));
    let by_name = value.and_then(Value::as_object).into_iter().flatten().filter_map(move |(name, of)| {
        Some((Some(text(&Value::from(name.as_str()))?), of.get("source").and_then(path)))
    });
    by_path.chain(by_name)
}

/// What a part is called by its path, where that names one part and not a folder of many.
pub(super) fn part_name(kind: ArtifactType, path: &str) -> Option<String> {
    let last = path.rsplit('/').next().filter(|last| !last.is_empty())?;
    match kind {
        ArtifactType::Command | ArtifactType::Agent => {
            last.to_ascii_lowercase().ends_with(".md").then(|| bare_name(last).to_owned())
        }
        _ => (last != kind.folder()).then(|| last.to_owned()),
    }
}

/// A path below a folder, `./` left out; `None` = it leads outside.
pub(super) fn local(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\\', ':']) || path.chars().any(char::is_control) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

pub(super) fn joined(root: Option<&str>, path: &str) -> Option<String> {
    let path = local(path)?;
    Some(match root {
        None | Some("") => path,
        Some(root) if path.is_empty() => root.to_owned(),
        Some(root) => format!("{root}/{path}"),
    })
}

/// A short text, or a number as one.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => plain(text),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then(|| text.chars().take(WORD_CHARS_MAX).collect())
}

/// A text without control characters, which terminals would obey.
fn plain(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// A list of words, or one text with commas between.
fn words(value: &Value) -> Vec<String> {
    let all: Vec<String> = match value {
        Value::Array(all) => all.iter().filter_map(text).collect(),
        Value::String(all) => all.split(',').map(plain).collect(),
        _ => Vec::new(),
    };
    let fits = |word: &String| !word.is_empty() && word.chars().count() <= WORD_CHARS_MAX;
    all.into_iter().filter(fits).take(LIST_MAX).collect()
}

/// An address of a page, which a browser may be sent to.
fn page(value: &Value) -> Option<String> {
    let url = value.as_str().or_else(|| value.get("url").and_then(Value::as_str))?.trim();
    let lower = url.to_ascii_lowercase();
    let is_page = lower.starts_with("https://") || lower.starts_with("http://");
    let is_plain = !url.chars().any(|c| c.is_control() || c.is_whitespace());
    (is_page && is_plain && url.len() <= URL_CHARS_MAX).then(|| url.to_owned())
}

pub(super) fn is_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// A value as a message shows it.
pub(super) fn shown(value: &Value) -> String {
    let text: String = value.to_string().chars().take(80).collect();
    format!("`{text}`")
}
