//! Collections, from which artifacts are deployed, and their locks: what there is upstream by now.

use std::collections::{BTreeMap, HashMap};

use crate::artifact_type::ArtifactType;
use crate::content_hash::{is_sha256, short};
use crate::deployed::{bare_name, one_line, plain_hash};
use crate::front_matter::FrontMatter;
use crate::told;

/// What a collection has of one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upstream {
    /// The hash of its content.
    pub content_hash: Option<String>,
    /// The commit it is at.
    pub resolved_sha: Option<String>,
    /// The version's name.
    pub resolved_version: Option<String>,
    /// Where it is from.
    pub source: Option<String>,
    /// What the collection says of it; its title as its name.
    pub said: FrontMatter,
}

impl Upstream {
    /// How the version is shown: its name, else the commit's first seven, else the hash's.
    pub fn shown(&self) -> Option<String> {
        let by_sha = || self.resolved_sha.as_deref().map(short);
        let by_hash = || self.content_hash.as_deref().map(short);
        self.resolved_version.clone().or_else(by_sha).or_else(by_hash)
    }

    /// What a deployed hash can be compared with: a content's with a content's, a commit's with a
    /// commit's.
    pub(crate) fn comparable(&self, deployed: &str) -> Option<&str> {
        if is_sha256(deployed) {
            return self.content_hash.as_deref().filter(|hash| is_sha256(hash));
        }
        self.resolved_sha.as_deref().filter(|sha| sha.len() == deployed.len())
    }
}

/// A collection with its lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// What it has, by name (without a file's ending) and type.
    pub artifacts: HashMap<(String, ArtifactType), Upstream>,
    /// What is wrong with single artifacts and entries of the lock, a sentence each.
    pub problems: Vec<String>,
}

impl Collection {
    /// Reads `collection.toml` or `manifest.toml`; `folder` names it if it does not itself. The
    /// error is a sentence.
    pub fn read(manifest: &[u8], folder: &str) -> Result<Collection, String> {
        let mut table = table(manifest)?;
        let all = table.remove("artifacts");
        let said = table.get("collection").and_then(|of| of.get("name")).and_then(toml::Value::as_str);
        let said = said.map(str::trim).filter(|name| !name.is_empty());
        let mut collection = Collection { name: said.unwrap_or(folder).to_owned(), ..Collection::default() };
        let all = if let Some(toml::Value::Array(all)) = all { all } else { Vec::new() };
        for (number, value) in all.into_iter().enumerate() {
            if let Err(why) = collection.artifact(value) {
                collection.problems.push(format!("artifact {} is left out: {why}", number + 1));
            }
        }
        Ok(collection)
    }

    fn artifact(&mut self, value: toml::Value) -> Result<(), String> {
        let toml::Value::Table(mut fields) = value else { return Err("it is not a table".to_owned()) };
        let name = fields.get("name").and_then(toml::Value::as_str).map(str::trim).unwrap_or_default();
        let name = bare_name(name).to_owned();
        if name.is_empty() {
            return Err("it has no name".to_owned());
        }
        let kind = fields.get("type").and_then(toml::Value::as_str).ok_or("it has no type")?;
        // It may hold what no project has.
        let Ok(kind) = kind.trim().parse::<ArtifactType>() else { return Ok(()) };
        let mut text = |field: &str| self.text(&mut fields, field, &name);
        let upstream = Upstream {
            content_hash: None,
            resolved_sha: text("resolved_sha"),
            resolved_version: text("resolved_version"),
            source: text("upstream").or_else(|| text("origin")),
            said: told::read(fields.get("metadata"), fields.get("tags")),
        };
        self.artifacts.insert((name, kind), upstream);
        Ok(())
    }

    /// Lays a lock (`collection.lock`, `lockfile.toml`) over it: what is locked is what there is.
    /// The error is a sentence.
    pub fn lock(&mut self, lock: &[u8]) -> Result<(), String> {
        let entries = taken(&mut table(lock)?, "lock").and_then(|mut lock| taken(&mut lock, "entries"));
        for (key, value) in entries.unwrap_or_default() {
            let Some((name, kind)) = key.rsplit_once("::") else { continue };
            let Ok(kind) = kind.trim().parse::<ArtifactType>() else { continue };
            let toml::Value::Table(mut fields) = value else {
                self.problems.push(format!("`{key}` is left out: it is not a table"));
                continue;
            };
            let mut text = |field: &str| self.text(&mut fields, field, &key);
            let (hash, source) = (text("content_hash"), text("upstream"));
            let (sha, version) = (text("resolved_sha"), text("resolved_version"));
            let held = self.artifacts.entry((bare_name(name.trim()).to_owned(), kind)).or_default();
            held.content_hash = hash.map(|hash| plain_hash(&hash).to_owned());
            held.resolved_sha = sha.or(held.resolved_sha.take());
            held.resolved_version = version.or(held.resolved_version.take());
            held.source = held.source.take().or(source);
        }
        Ok(())
    }

    /// A field's text, which people also write as a number or a date without quotes. What is none of these is
    /// told of, and hides nothing beside it.
    fn text(&mut self, fields: &mut toml::Table, field: &str, about: &str) -> Option<String> {
        let text = match fields.remove(field)? {
            toml::Value::String(text) => text.trim().to_owned(),
            number @ (toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Datetime(_)) => {
                number.to_string()
            }
            toml::Value::Boolean(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                self.problems.push(format!("`{field}` of `{about}` is left out: it is not a text"));
                return None;
            }
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

/// All collections, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collections(BTreeMap<String, Collection>);

impl Collections {
    /// Adds one; of two by the same name, the first stands. Answers whether it was added.
    pub fn add(&mut self, collection: Collection) -> bool {
        let is_new = !self.0.contains_key(&collection.name);
        if is_new {
            self.0.insert(collection.name.clone(), collection);
        }
        is_new
    }

    /// What there is of an artifact: in the collection that its record names, or, where it names
    /// none that is there, in the only one that has it.
    pub fn upstream(&self, collection: Option<&str>, name: &str, kind: ArtifactType) -> Option<&Upstream> {
        let identity = (name.to_owned(), kind);
        if let Some(named) = collection.and_then(|name| self.0.get(name.trim())) {
            return named.artifacts.get(&identity);
        }
        let mut having = self.0.values().filter_map(|one| one.artifacts.get(&identity));
        having.next().filter(|_| having.next().is_none())
    }
}

fn table(file: &[u8]) -> Result<toml::Table, String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is not UTF-8".to_owned())?;
    text.parse().map_err(|error: toml::de::Error| format!("it is not TOML: {}", one_line(&error)))
}

/// The table of that name, taken out of another: ten thousand entries are not copied to be read.
fn taken(table: &mut toml::Table, name: &str) -> Option<toml::Table> {
    if let toml::Value::Table(taken) = table.remove(name)? { Some(taken) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
[collection]
name = "default"
version = "1.0.0"

[[artifacts]]
name = "pdf"
type = "skill"
path = "skills/pdf"
origin = "github"
upstream = "https://github.com/octo-org/skills/tree/main/pdf"
resolved_sha = "0123456789abcdef0123456789abcdef01234567"
tags = ["docs"]

[[artifacts]]
name = "odd"
type = "spell"
"#;

    fn skill<'a>(collections: &'a Collections, collection: Option<&str>, name: &str) -> Option<&'a Upstream> {
        collections.upstream(collection, name, ArtifactType::Skill)
    }

    #[test]
    fn a_lock_says_what_there_is_and_how_it_is_called() {
        let mut collection = Collection::read(MANIFEST.as_bytes(), "folder").unwrap();
        assert_eq!((collection.name.as_str(), collection.artifacts.len()), ("default", 1));
        let pdf = ("pdf".to_owned(), ArtifactType::Skill);
        assert_eq!(collection.artifacts[&pdf].shown().as_deref(), Some("0123456"), "a commit's first seven");
        let hash = "ab".repeat(32);
        let lock = format!(
            "[lock.entries.\"pdf::skill\"]\ncontent_hash = \"{hash}\"\nresolved_version = \"v2\"\n[lock.entries.\"x::agent\"]\ncontent_hash = \"{hash}\"\n"
        );
        collection.lock(lock.as_bytes()).unwrap();
        assert_eq!(collection.artifacts[&pdf].shown().as_deref(), Some("v2"));
        assert!(collection.artifacts[&pdf].source.as_deref().unwrap().ends_with("/pdf"));
        let locked_alone = &collection.artifacts[&("x".to_owned(), ArtifactType::Agent)];
        assert_eq!(locked_alone.shown().as_deref(), Some("ababab"[..6].to_owned() + "a").as_deref());
    }

    #[test]
    fn a_field_of_another_type_hides_nothing_else() {
        let hash = "ab".repeat(32);
        let manifest = "[[artifacts]]\nname = \"pdf\"\ntype = \"skill\"\nupstream = \"https://octo.example/pdf\"\n\
            resolved_version = 1.5\nresolved_sha = [\"x\"]\n[[artifacts]]\nname = 7\ntype = \"skill\"\n";
        let mut collection = Collection::read(manifest.as_bytes(), "folder").unwrap();
        let pdf = ("pdf".to_owned(), ArtifactType::Skill);
        let held = &collection.artifacts[&pdf];
        assert_eq!(held.source.as_deref(), Some("https://octo.example/pdf"));
        assert_eq!(held.resolved_version.as_deref(), Some("1.5"));
        let lock = format!(
            "[lock.entries.\"pdf::skill\"]\ncontent_hash = \"{hash}\"\nresolved_version = 2.1\nupstream = true\n\
             [lock.entries]\n\"x::skill\" = 7\n"
        );
        collection.lock(lock.as_bytes()).unwrap();
        let held = &collection.artifacts[&pdf];
        assert_eq!(held.content_hash.as_deref(), Some(&*hash));
        assert_eq!(held.resolved_version.as_deref(), Some("2.1"));
        let problems = collection.problems.join("\n");
        for part in
            ["`resolved_sha` of `pdf`", "artifact 2 is left out", "`upstream` of `pdf::skill`", "`x::skill`"]
        {
            assert!(problems.contains(part), "{part} in {problems}");
        }
        assert_eq!(
            collection.problems.len(),
            4,
            "a number is a text that somebody did not quote: {problems}"
        );
    }

    #[test]
    fn blanks_around_a_name_are_nobody_s_intention() {
        let manifest =
            "[collection]\nname = \" work \"\n[[artifacts]]\nname = \" spc \"\ntype = \" skill \"\n";
        let mut collection = Collection::read(manifest.as_bytes(), "folder").unwrap();
        assert_eq!(collection.name, "work");
        collection.lock(b"[lock.entries.\"spc :: skill\"]\nresolved_version = \" v2 \"\n").unwrap();
        assert_eq!(collection.artifacts.len(), 1, "{:?}", collection.artifacts);
        let held = &collection.artifacts[&("spc".to_owned(), ArtifactType::Skill)];
        assert_eq!(held.resolved_version.as_deref(), Some("v2"));
    }

    #[test]
    fn an_artifact_is_looked_for_where_its_record_says() {
        let with = |name: &str, version: &str| {
            let upstream = Upstream { resolved_version: Some(version.to_owned()), ..Upstream::default() };
            let pdf = ("pdf".to_owned(), ArtifactType::Skill);
            Collection {
                name: name.to_owned(),
                artifacts: HashMap::from([(pdf, upstream)]),
                problems: Vec::new(),
            }
        };
        let mut collections = Collections::default();
        assert!(collections.add(with("default", "1")));
        assert!(!collections.add(with("default", "9")), "the first of a name stands");
        assert_eq!(skill(&collections, None, "pdf").unwrap().resolved_version.as_deref(), Some("1"));
        collections.add(with("work", "2"));
        assert_eq!(skill(&collections, Some("work"), "pdf").unwrap().resolved_version.as_deref(), Some("2"));
        assert_eq!(skill(&collections, None, "pdf"), None, "two have it: nobody knows which is meant");
        assert_eq!(skill(&collections, Some("default"), "none"), None);
    }
}
