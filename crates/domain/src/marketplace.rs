//! What marketplaces offer: artifacts that are to be had, whether or not a project has them, and the
//! JSON indexes that list them. One entry that cannot be understood hides no other.

mod fields;

use larder_core::{FetchError, Scope};
use serde_json::{Map, Value};

use self::fields::{common, is_something, joined, local, named_parts, part_name, shown, text, where_from};
use crate::artifact::Artifact;
use crate::artifact_type::ArtifactType;

/// The most that one index may list: entries, parts that its plugins name, and offers that come of both.
pub const OFFERS_MAX: usize = 50_000;
const NAME_CHARS_MAX: usize = 200;

/// An artifact that a marketplace offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ArtifactType,
    /// The plugin that it is part of.
    pub plugin: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its version, as written.
    pub version: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its licence, as written.
    pub license: Option<String>,
    /// Other names that it goes by.
    pub aliases: Vec<String>,
    /// A page about it: http or https.
    pub url: Option<String>,
    /// Where it is to be had: `github:owner/repo`, an address, `npm:package`.
    pub source: Option<String>,
    /// Where it lies in the repository that holds the index, without `./`; the repository itself is empty.
    pub path: Option<String>,
}

/// A plugin's place in the repository that holds the index, and which parts of that are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginPlace {
    /// Its name.
    pub name: String,
    /// Its folder; empty = the repository's own.
    pub root: String,
    /// Files and folders that it names as its own, by type.
    pub parts: Vec<(ArtifactType, String)>,
}

/// What an index lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarketIndex {
    /// What it calls itself.
    pub name: Option<String>,
    /// What is on offer.
    pub offers: Vec<Offer>,
    /// The plugins that lie in the same repository.
    pub places: Vec<PluginPlace>,
    /// What is wrong with single entries: what each is about, and a sentence.
    pub problems: Vec<(String, String)>,
}

/// Lists that hold one type alone.
const TYPED: [(&str, ArtifactType); 6] = [
    ("skills", ArtifactType::Skill),
    ("commands", ArtifactType::Command),
    ("agents", ArtifactType::Agent),
    ("hooks", ArtifactType::Hook),
    ("mcp", ArtifactType::Mcp),
    ("mcp_servers", ArtifactType::Mcp),
];

impl MarketIndex {
    /// Reads an index: a `.claude-plugin/marketplace.json` with its `plugins`; a list of `artifacts`
    /// as `larder artifacts --json` writes it, lists of one type each (`skills`, `agents`, …), also beside
    /// each other; or such a list and nothing around it. The error says why nothing of it can be used.
    pub fn read(json: &[u8]) -> Result<MarketIndex, String> {
        let value = value(json)?;
        let mut reading = Reading::default();
        let has_lists = match &value {
            Value::Array(all) => {
                reading.artifacts(all, None);
                true
            }
            Value::Object(fields) => reading.object(fields)?,
            _ => false,
        };
        if !has_lists {
            return Err("it lists neither `plugins` nor `artifacts`".to_owned());
        }
        let Reading { index, entries, .. } = reading;
        if index.offers.is_empty() && entries > 0 {
            let first = index.problems.first().map(|(_, why)| format!(": {why}")).unwrap_or_default();
            return Err(format!("none of its {entries} entries can be understood{first}"));
        }
        Ok(index)
    }

    /// [`read`](MarketIndex::read), where it came from `host`.
    pub fn of(json: &[u8], host: &str) -> Result<MarketIndex, FetchError> {
        let unusable = |detail| FetchError::Unusable { host: host.to_owned(), detail };
        MarketIndex::read(json).map_err(unusable)
    }
}

impl Offer {
    /// What a plugin's own manifest (`.claude-plugin/plugin.json`) says of it. The error is a sentence.
    pub fn of_manifest(json: &[u8]) -> Result<Offer, String> {
        let value = value(json)?;
        let fields = value.as_object().ok_or("it is not an object")?;
        let name = fields.get("name").and_then(text).unwrap_or_default();
        Ok(Offer { name, kind: ArtifactType::Plugin, ..common(fields) })
    }
}

/// What a file says, without the mark that some editors put before it.
fn value(json: &[u8]) -> Result<Value, String> {
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    serde_json::from_slice(json).map_err(|error| format!("it is not JSON: {error}"))
}

#[derive(Default)]
struct Reading {
    index: MarketIndex,
    /// How many entries there were, understood or not.
    entries: usize,
    /// How many parts plugins named.
    parts: usize,
    /// Whether more was listed than is read.
    is_full: bool,
}

impl Reading {
    /// Whether it has any list that is known.
    fn object(&mut self, fields: &Map<String, Value>) -> Result<bool, String> {
        self.index.name = fields.get("name").and_then(text);
        let list = |name: &str| fields.get(name).filter(|list| !list.is_null());
        let mut found = false;
        if let Some(plugins) = list("plugins") {
            let plugins = plugins.as_array().ok_or("its `plugins` are not a list")?;
            let root = fields.get("metadata").and_then(|metadata| metadata.get("pluginRoot")).and_then(text);
            let root = root.as_deref().and_then(local).unwrap_or_default();
            for value in plugins {
                self.entry(value, |reading, fields, name| reading.plugin(fields, name, &root));
            }
            found = true;
        }
        if let Some(all) = list("artifacts") {
            self.artifacts(all.as_array().ok_or("its `artifacts` are not a list")?, None);
            found = true;
        }
        for (word, kind) in TYPED {
            if let Some(all) = fields.get(word).and_then(Value::as_array) {
                self.artifacts(all, Some(kind));
                found = true;
            }
        }
        Ok(found)
    }

    fn artifacts(&mut self, all: &[Value], kind: Option<ArtifactType>) {
        for value in all {
            self.entry(value, |reading, fields, name| reading.artifact(fields, name, kind));
        }
    }

    /// Reads one entry, which must be an object with a name.
    fn entry(
        &mut self,
        value: &Value,
        read: impl FnOnce(&mut Reading, &Map<String, Value>, String) -> Result<(), String>,
    ) {
        self.entries += 1;
        let number = self.entries;
        if number > OFFERS_MAX || self.is_full {
            return self.leave();
        }
        let named = value.as_object().ok_or("it is not an object").and_then(|fields| {
            let name = fields.get("name").and_then(Value::as_str).map(str::trim).unwrap_or_default();
            match name.chars().count() {
                0 => Err("it has no name"),
                1..=NAME_CHARS_MAX if !name.chars().any(char::is_control) => Ok((fields, name.to_owned())),
                _ => Err("its name is too long, or holds control characters"),
            }
        });
        let (about, result) = match named {
            Ok((fields, name)) => (name.clone(), read(self, fields, name)),
            Err(why) => (format!("entry {number}"), Err(why.to_owned())),
        };
        if let Err(why) = result {
            self.index.problems.push((about.clone(), format!("`{about}` is left out: {why}")));
        }
    }

    /// Reads no more: what a few megabytes can list is no one's marketplace.
    fn leave(&mut self) {
        if !self.is_full {
            let why = format!("it lists more than {OFFERS_MAX} entries or parts; the others are left out");
            self.index.problems.push(("…".to_owned(), why));
        }
        self.is_full = true;
    }

    fn offer(&mut self, offer: Offer) {
        if self.index.offers.len() >= OFFERS_MAX {
            return self.leave();
        }
        self.index.offers.push(offer);
    }

    /// What a plugin names, as far as there is room.
    fn parts_of<T>(&mut self, mut named: impl Iterator<Item = T>) -> Vec<T> {
        let room = OFFERS_MAX - self.parts;
        let read: Vec<T> = named.by_ref().take(room).collect();
        self.parts += read.len();
        if named.next().is_some() {
            self.leave();
        }
        read
    }

    fn artifact(
        &mut self,
        fields: &Map<String, Value>,
        name: String,
        kind: Option<ArtifactType>,
    ) -> Result<(), String> {
        let kind = match fields.get("type") {
            None | Some(Value::Null) => kind.ok_or("it has no `type`")?,
            Some(said) => {
                let word = said.as_str().unwrap_or_default().to_ascii_lowercase();
                ArtifactType::offered(&word)
                    .ok_or_else(|| format!("its type {} is not known", shown(said)))?
            }
        };
        let plugin = fields.get("plugin").and_then(text);
        self.offer(Offer { name, kind, plugin, ..common(fields) });
        Ok(())
    }

    fn plugin(&mut self, fields: &Map<String, Value>, name: String, root: &str) -> Result<(), String> {
        let (source, url, place) = where_from(fields.get("source"), root)?;
        let said = common(fields);
        let url = said.url.clone().or(url);
        let mut parts = Vec::new();
        let bare = Offer {
            plugin: Some(name.clone()),
            url: url.clone(),
            source: source.clone(),
            ..Offer::default()
        };
        let bare = Offer { version: said.version.clone(), license: said.license.clone(), ..bare };
        for (field, kind) in [
            ("skills", ArtifactType::Skill),
            ("commands", ArtifactType::Command),
            ("agents", ArtifactType::Agent),
        ] {
            for (called, path) in self.parts_of(named_parts(fields.get(field))) {
                let path = path.as_deref().and_then(|path| joined(place.as_deref(), path));
                parts.extend(path.clone().map(|path| (kind, path)));
                let Some(name) = called.or_else(|| part_name(kind, path.as_deref()?)) else { continue };
                self.offer(Offer { name, kind, path, ..bare.clone() });
            }
        }
        if fields.get("hooks").is_some_and(is_something) {
            self.offer(Offer { name: name.clone(), kind: ArtifactType::Hook, ..bare.clone() });
        }
        match fields.get("mcpServers") {
            Some(Value::Object(servers)) => {
                let servers = servers.keys().filter_map(|key| text(&Value::from(key.as_str())));
                for name in self.parts_of(servers) {
                    self.offer(Offer { name, kind: ArtifactType::Mcp, ..bare.clone() });
                }
            }
            Some(other) if is_something(other) => {
                self.offer(Offer { name: name.clone(), kind: ArtifactType::Mcp, ..bare.clone() });
            }
            _ => {}
        }
        self.index.places.extend(place.clone().map(|root| PluginPlace { name: name.clone(), root, parts }));
        let kind = ArtifactType::Plugin;
        self.offer(Offer { name, kind, source, url, path: place, ..said });
        Ok(())
    }
}

impl Artifact {
    /// What a marketplace offers, as an artifact that no project has.
    pub fn offered(marketplace: &str, offer: Offer) -> Artifact {
        Artifact {
            name: offer.name,
            kind: offer.kind,
            path: offer.path.unwrap_or_default(),
            description: offer.description,
            version: offer.version,
            tags: offer.tags,
            license: offer.license,
            aliases: offer.aliases,
            source: offer.source,
            marketplace: Some(marketplace.to_owned()),
            plugin: offer.plugin,
            url: offer.url,
            ..Artifact::default()
        }
    }

    /// Whether it is to be had, and no project's.
    pub fn is_offered(&self) -> bool {
        self.marketplace.is_some()
    }

    /// The permission to see what a marketplace of this machine, or of its own network, offers.
    pub fn offer_scope(marketplace: &str) -> Scope {
        Scope::Repo(format!("localhost/marketplace/{marketplace}").into())
    }
}

#[cfg(test)]
mod tests;
