//! The item kind `artifact`: a skill, command, agent, hook or MCP server that a project has, and
//! what is wrong with it. States follow from facts alone: what is on disk, what the deployment was
//! recorded as, what the collection has by now.

use larder_core::{ColumnType, Coverage, ItemRef, Json, NewItem, Scope, Time, ViewSpec};
use serde::{Deserialize, Serialize};

use crate::artifact_type::ArtifactType;
use crate::collection::Upstream;
use crate::content_hash::{is_of, is_sha256, short};
use crate::deployed::Record;
use crate::front_matter::FrontMatter;
use crate::lenient::{column, indexed, lenient};

/// The kind's name.
pub const ARTIFACT: &str = "artifact";

/// One artifact, as an item's document holds it. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[serde(default)]
pub struct Artifact {
    /// Its name, without a file's ending.
    #[serde(deserialize_with = "lenient")]
    pub name: String,
    /// What it is.
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: ArtifactType,
    /// The id of the project that has it; empty for one that is only to be had.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// That project's name.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub project_name: String,
    /// For which tool: `claude_code`, `codex`, `gemini`, `cursor`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// Where it is, from the project's folder, or the repository's that offers it, with `/` between.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version that it says it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its tags.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its licence, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Other names that it goes by.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Which of these its collection says, since it does not itself.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub by_collection: Vec<String>,
    /// Where it is from, by its own word; else where its collection has it from, else the collection that its record
    /// names. Of one that is offered: where it is to be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether that is its own word, as it seldom is.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "is_not")]
    pub source_is_own: bool,
    /// The version that was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed_version: Option<String>,
    /// The version that its collection has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_version: Option<String>,
    /// Whether its collection has another version than was deployed.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "is_not")]
    pub outdated: bool,
    /// Whether it is not what was deployed any more.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "is_not")]
    pub modified: bool,
    /// Whether it was deployed and is not there.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "is_not")]
    pub missing: bool,
    /// When it was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<Time>,
    /// When any of its files was last written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// The first [`HASH_DIGITS`](crate::HASH_DIGITS) digits of the SHA-256 of its content, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// The marketplace that offers it, where no project has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marketplace: Option<String>,
    /// The plugin that brings it, where it is offered as part of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// A page about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A flag that is not set is left out, as most are not.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is how serde asks")]
fn is_not(flag: &bool) -> bool {
    !flag
}

/// Artifacts as a table.
pub const ARTIFACTS: ViewSpec = ViewSpec {
    kind: ARTIFACT,
    view: "artifacts",
    columns: &[
        indexed("name", ColumnType::Text),
        column("type", ColumnType::Text),
        column("project", ColumnType::Text),
        column("project_name", ColumnType::Text),
        column("profile", ColumnType::Text),
        column("path", ColumnType::Text),
        column("description", ColumnType::Text),
        column("version", ColumnType::Text),
        column("tags", ColumnType::List),
        column("license", ColumnType::Text),
        column("source", ColumnType::Text),
        column("deployed_version", ColumnType::Text),
        column("upstream_version", ColumnType::Text),
        indexed("outdated", ColumnType::Boolean),
        indexed("modified", ColumnType::Boolean),
        indexed("missing", ColumnType::Boolean),
        column("deployed_at", ColumnType::Time),
        column("updated_at", ColumnType::Time),
        column("marketplace", ColumnType::Text),
        column("plugin", ColumnType::Text),
        column("url", ColumnType::Text),
    ],
    title: "name",
    words: &["aliases", "description", "tags", "plugin"],
};

/// Where an artifact is and what it is called: what its identity is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The project's id.
    pub project: String,
    /// The project's name.
    pub project_name: String,
    /// For which tool.
    pub profile: String,
    /// What it is.
    pub kind: ArtifactType,
    /// Its name, without a file's ending.
    pub name: String,
    /// Where it is, from the project's folder.
    pub path: String,
}

/// What is on disk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OnDisk {
    /// The first [`HASH_DIGITS`](crate::HASH_DIGITS) digits of the SHA-256 of its content, in hexadecimal; `None` = it could
    /// not be read.
    pub content_hash: Option<String>,
    /// When any of its files was last written.
    pub updated_at: Option<Time>,
    /// What it says of itself.
    pub front: FrontMatter,
}

impl Artifact {
    /// What follows from the facts. `disk: None` = nothing is there.
    pub fn of(
        placed: Placed,
        disk: Option<OnDisk>,
        record: Option<&Record>,
        upstream: Option<&Upstream>,
    ) -> Self {
        let missing = disk.is_none();
        let OnDisk { content_hash, updated_at, front } = disk.unwrap_or_default();
        let deployed = record.and_then(Record::deployed_hash);
        let modified = is_modified(content_hash.as_deref(), deployed);
        let outdated = is_outdated(content_hash.as_deref(), deployed, upstream);
        let aliases = other_names(&placed.name, front.aliases.into_iter().chain(front.name));
        let mut artifact = Artifact {
            deployed_version: deployed.map(|deployed| shown_version(deployed, upstream)),
            upstream_version: upstream.and_then(Upstream::shown),
            source_is_own: front.source.is_some(),
            source: front.source,
            deployed_at: record.and_then(|record| record.deployed_at),
            name: placed.name,
            kind: placed.kind,
            project: placed.project,
            project_name: placed.project_name,
            profile: placed.profile,
            path: placed.path,
            description: front.description,
            version: front.version,
            tags: front.tags,
            license: front.license,
            aliases,
            by_collection: Vec::new(),
            outdated,
            modified,
            missing,
            updated_at,
            content_hash,
            marketplace: None,
            plugin: None,
            url: None,
        };
        let mut told = upstream.map(|upstream| upstream.said.clone()).unwrap_or_default();
        told.source = upstream
            .and_then(|upstream| upstream.source.clone())
            .or_else(|| record.and_then(|record| record.collection.clone()));
        artifact.fill(&told);
        artifact
    }

    /// What was on disk when this was written down, as [`Artifact::of`] takes it.
    pub fn on_disk(&self) -> OnDisk {
        OnDisk { content_hash: self.content_hash.clone(), updated_at: self.updated_at, front: self.said() }
    }

    /// Takes over what was known of its deployment, where that cannot be read now.
    pub fn keep_deployment(&mut self, held: &Artifact) {
        let was_deployed = held.deployed_version.is_some() || held.deployed_at.is_some();
        let is_another = self.content_hash.is_some() && self.content_hash != held.content_hash;
        self.modified = held.modified || (was_deployed && is_another);
        self.deployed_version.clone_from(&held.deployed_version);
        self.deployed_at = held.deployed_at;
        self.keep_upstream(held);
    }

    /// Takes over what was known of its collection, where that cannot be read now.
    pub fn keep_upstream(&mut self, held: &Artifact) {
        self.upstream_version.clone_from(&held.upstream_version);
        self.outdated = held.outdated;
        let told = held.told();
        if told.source.is_some() {
            self.let_go_of_source();
        }
        self.fill(&told);
    }

    /// Takes over what it said of itself, where it is not there any more.
    pub fn keep_description(&mut self, held: &Artifact) {
        let (own, told) = (held.said(), self.told());
        self.description = own.description;
        self.version = own.version;
        self.tags = own.tags;
        self.license = own.license;
        self.aliases = own.aliases;
        self.source_is_own = own.source.is_some();
        self.source = own.source;
        self.by_collection.clear();
        self.fill(&told);
    }

    /// The artifact as a fetch brings it. Fails only if it cannot be written as JSON.
    pub fn item(&self, id: &str, scope: Scope) -> Result<NewItem, serde_json::Error> {
        Ok(NewItem {
            of: ItemRef::new(ARTIFACT, id),
            scope,
            doc: Json::encode(self)?,
            coverage: Coverage::Whole,
        })
    }
}

/// Names that are not its own, each once.
pub(crate) fn other_names(own: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut others: Vec<String> = Vec::new();
    for name in names {
        if name != own && !others.contains(&name) {
            others.push(name);
        }
    }
    others
}

/// What is on disk is not what was deployed. Only hashes of the same kind can be compared.
fn is_modified(content: Option<&str>, deployed: Option<&str>) -> bool {
    let (Some(content), Some(deployed)) = (content, deployed.filter(|hash| is_sha256(hash))) else {
        return false;
    };
    !is_of(content, deployed)
}

/// The collection has another version than was deployed, and that is not on disk yet.
fn is_outdated(content: Option<&str>, deployed: Option<&str>, upstream: Option<&Upstream>) -> bool {
    let (Some(deployed), Some(upstream)) = (deployed, upstream) else { return false };
    let Some(newest) = upstream.comparable(deployed) else { return false };
    !deployed.eq_ignore_ascii_case(newest) && !content.is_some_and(|content| is_of(content, newest))
}

fn shown_version(deployed: &str, upstream: Option<&Upstream>) -> String {
    let is_same = |upstream: &&Upstream| {
        upstream.comparable(deployed).is_some_and(|newest| newest.eq_ignore_ascii_case(deployed))
    };
    let named = upstream.filter(is_same).and_then(Upstream::shown);
    named.unwrap_or_else(|| short(deployed))
}

#[cfg(test)]
mod tests;
