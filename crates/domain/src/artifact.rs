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
    /// Where its collection has it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
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
        let mut aliases = front.aliases;
        aliases.extend(front.name.filter(|name| *name != placed.name));
        aliases.dedup();
        Artifact {
            deployed_version: deployed.map(|deployed| shown_version(deployed, upstream)),
            upstream_version: upstream.and_then(Upstream::shown),
            source: upstream.and_then(|upstream| upstream.source.clone()),
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
            outdated,
            modified,
            missing,
            updated_at,
            content_hash,
            marketplace: None,
            plugin: None,
            url: None,
        }
    }

    /// What was on disk when this was written down, as [`Artifact::of`] takes it.
    pub fn on_disk(&self) -> OnDisk {
        OnDisk {
            content_hash: self.content_hash.clone(),
            updated_at: self.updated_at,
            front: FrontMatter {
                name: None,
                description: self.description.clone(),
                version: self.version.clone(),
                tags: self.tags.clone(),
                license: self.license.clone(),
                aliases: self.aliases.clone(),
            },
        }
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
        self.source.clone_from(&held.source);
        self.outdated = held.outdated;
    }

    /// Takes over what it said of itself, where it is not there any more.
    pub fn keep_description(&mut self, held: &Artifact) {
        self.description.clone_from(&held.description);
        self.version.clone_from(&held.version);
        self.tags.clone_from(&held.tags);
        self.license.clone_from(&held.license);
        self.aliases.clone_from(&held.aliases);
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
mod tests {
    use serde_json::Value;

    use super::*;

    fn hash(digit: char) -> String {
        std::iter::repeat_n(digit, 64).collect()
    }

    fn placed() -> Placed {
        Placed {
            project: "kiln-1".to_owned(),
            project_name: "Kiln".to_owned(),
            profile: "claude_code".to_owned(),
            kind: ArtifactType::Skill,
            name: "pdf".to_owned(),
            path: ".claude/skills/pdf".to_owned(),
        }
    }

    fn record(content: Option<&str>, collection: Option<&str>) -> Record {
        Record {
            name: "pdf".to_owned(),
            kind: ArtifactType::Skill,
            profile: "claude_code".to_owned(),
            profile_root: ".claude".to_owned(),
            path: None,
            collection: Some("default".to_owned()),
            deployed_at: None,
            content_hash: content.map(str::to_owned),
            collection_sha: collection.map(str::to_owned),
        }
    }

    fn locked(hash: &str) -> Upstream {
        Upstream { content_hash: Some(hash.to_owned()), ..Upstream::default() }
    }

    /// `(outdated, modified, missing)` of what is on disk, was recorded and is upstream.
    fn states(disk: Option<&str>, recorded: Option<&str>, upstream: Option<&str>) -> (bool, bool, bool) {
        let disk = disk.map(|hash| OnDisk { content_hash: Some(hash.to_owned()), ..OnDisk::default() });
        let record = recorded.map(|hash| record(Some(hash), None));
        let upstream = upstream.map(locked);
        let artifact = Artifact::of(placed(), disk, record.as_ref(), upstream.as_ref());
        (artifact.outdated, artifact.modified, artifact.missing)
    }

    #[test]
    fn states_follow_from_what_is_there_now() {
        let (a, b, c) = (hash('a'), hash('b'), hash('c'));
        let (a, b, c) = (Some(a.as_str()), Some(b.as_str()), Some(c.as_str()));
        let upper = hash('A');
        assert_eq!(states(a, a, a), (false, false, false));
        assert_eq!(states(a, a, b), (true, false, false), "outdated: deployed and locked differ");
        assert_eq!(states(b, a, a), (false, true, false), "modified, whatever the record claims");
        assert_eq!(states(c, a, b), (true, true, false));
        assert_eq!(states(b, a, b), (false, true, false), "the newest is there, though not as recorded");
        assert_eq!(states(None, a, b), (true, false, true));
        assert_eq!(states(a, None, b), (false, false, false), "never recorded: nothing to compare");
        assert_eq!(states(a, a, None), (false, false, false), "unknown upstream is not outdated");
        assert_eq!(states(a, Some(&upper), a), (false, false, false), "hexadecimal has no case");
    }

    #[test]
    fn a_record_with_the_collection_s_hash_alone_is_compared_by_it() {
        let old = record(None, Some(&hash('a')));
        let disk = OnDisk { content_hash: Some(hash('b')), ..OnDisk::default() };
        let artifact = Artifact::of(placed(), Some(disk.clone()), Some(&old), Some(&locked(&hash('c'))));
        assert!(artifact.modified && artifact.outdated);
        let commit = record(None, Some("0123456789abcdef0123456789abcdef01234567"));
        let upstream = Upstream { resolved_sha: Some("f".repeat(40)), ..locked(&hash('b')) };
        let artifact = Artifact::of(placed(), Some(disk), Some(&commit), Some(&upstream));
        assert!(
            artifact.outdated && !artifact.modified,
            "a commit is compared with a commit, never a content"
        );
    }

    #[test]
    fn a_version_is_shown_by_its_name_where_it_has_one() {
        let recorded = record(Some(&hash('a')), None);
        let named = Upstream { resolved_version: Some("v2".to_owned()), ..locked(&hash('a')) };
        let artifact = Artifact::of(placed(), Some(OnDisk::default()), Some(&recorded), Some(&named));
        assert_eq!(artifact.deployed_version.as_deref(), Some("v2"), "what is deployed is what v2 is");
        let newer = Upstream { resolved_version: Some("v3".to_owned()), ..locked(&hash('b')) };
        let artifact = Artifact::of(placed(), Some(OnDisk::default()), Some(&recorded), Some(&newer));
        assert_eq!(artifact.deployed_version.as_deref(), Some("aaaaaaa"));
        assert_eq!(artifact.upstream_version.as_deref(), Some("v3"));
    }

    #[test]
    fn what_is_written_down_is_what_was_on_disk() {
        let front = FrontMatter {
            name: Some("pdf-tools".to_owned()),
            description: Some("Fills forms".to_owned()),
            tags: vec!["docs".to_owned()],
            ..FrontMatter::default()
        };
        let disk = OnDisk { content_hash: Some(hash('a')), updated_at: Some(Time::from_ms(5)), front };
        let first = Artifact::of(placed(), Some(disk), None, None);
        assert_eq!(first.aliases, ["pdf-tools"]);
        let doc = serde_json::to_string(&first).unwrap();
        assert_eq!(ARTIFACTS.found_by(&doc).words, "pdf-tools Fills forms docs");
        let again = Artifact::of(placed(), Some(first.on_disk()), None, None);
        assert_eq!(again, first);
    }

    #[test]
    fn every_column_of_the_view_is_a_field_and_any_object_can_be_read() {
        let recorded = Record { deployed_at: Some(Time::from_ms(1)), ..record(Some(&hash('a')), None) };
        let upstream = Upstream { source: Some("github".to_owned()), ..locked(&hash('b')) };
        let front = FrontMatter {
            name: Some("other".to_owned()),
            description: Some("d".to_owned()),
            version: Some("1".to_owned()),
            tags: vec!["t".to_owned()],
            license: Some("MIT".to_owned()),
            aliases: Vec::new(),
        };
        let disk = OnDisk { content_hash: Some(hash('c')), updated_at: Some(Time::from_ms(2)), front };
        let artifact = Artifact {
            marketplace: Some("m".to_owned()),
            plugin: Some("p".to_owned()),
            url: Some("https://x.example".to_owned()),
            outdated: true,
            modified: true,
            missing: true,
            ..Artifact::of(placed(), Some(disk), Some(&recorded), Some(&upstream))
        };
        let Value::Object(fields) = serde_json::to_value(&artifact).unwrap() else { panic!("an object") };
        for column in ARTIFACTS.columns {
            assert!(fields.contains_key(column.name), "{}", column.name);
        }
        let nulls = serde_json::json!({"name": null, "type": null, "tags": null, "outdated": null, "new": 1});
        assert_eq!(serde_json::from_value::<Artifact>(nulls).unwrap(), Artifact::default());
    }
}
