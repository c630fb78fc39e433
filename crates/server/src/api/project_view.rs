//! How local projects and their artifacts look as JSON: here, and in the command line's `--json`. The
//! names are an interface.

use larder_core::Time;
use larder_domain::{Artifact, ArtifactType, LocalProject};
use serde::Serialize;
use utoipa::ToSchema;

use crate::folders::is_here;
use crate::sight::Sight;

/// A local project, and how many of its artifacts want a look.
#[derive(Debug, Serialize, ToSchema)]
pub struct LocalProjectView<'a> {
    /// Its id: stable as long as its folder stays where it is, and fit for an address.
    #[schema(example = "kiln-3f9c0a17b2de")]
    id: &'a str,
    /// What it calls itself, else its folder's name.
    name: &'a str,
    /// Its folder: for the local user the whole path, for all others from the root that it was found
    /// below.
    path: &'a str,
    /// Its folder from that root, `.` for the root itself.
    relative_path: &'a str,
    /// For which tools it has artifacts: `claude_code`, `codex`, `gemini`, `cursor`.
    profiles: &'a [String],
    /// How many artifacts it has, missing ones too.
    artifacts: u64,
    /// How many of them are outdated …
    outdated: u64,
    /// … modified …
    modified: u64,
    /// … and missing.
    missing: u64,
    /// How many warnings there are about it.
    warnings: u64,
    /// When it was made a project.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    created_at: Option<Time>,
    /// When any of its artifacts was last written.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    updated_at: Option<Time>,
}

impl<'a> LocalProjectView<'a> {
    /// Of a project, as a viewer of that sight is told.
    pub(crate) fn new(project: &'a LocalProject, sight: Sight) -> Self {
        let whole = LocalProjectView::whole(project);
        if sight == Sight::Local { whole } else { LocalProjectView { path: &project.relative_path, ..whole } }
    }

    /// Of a project, as the local user is told: with its whole path.
    pub fn whole(project: &'a LocalProject) -> Self {
        LocalProjectView {
            id: &project.id,
            name: &project.name,
            path: &project.path,
            relative_path: &project.relative_path,
            profiles: &project.profiles,
            artifacts: project.artifacts,
            outdated: project.outdated,
            modified: project.modified,
            missing: project.missing,
            warnings: project.warnings,
            created_at: project.created_at,
            updated_at: project.updated_at,
        }
    }
}

/// A skill, command, agent, hook or MCP server of a local project, or one that is to be had.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArtifactView<'a> {
    /// Its name.
    name: &'a str,
    /// What it is.
    #[serde(rename = "type")]
    #[schema(value_type = ArtifactTypeWord)]
    kind: ArtifactType,
    /// The id of the project that has it; `null` of one that is only to be had.
    #[schema(required = true)]
    project: Option<&'a str>,
    /// That project's name.
    #[schema(required = true)]
    project_name: Option<&'a str>,
    /// For which tool: `claude_code`, `codex`, `gemini`, `cursor`.
    #[schema(required = true)]
    profile: Option<&'a str>,
    /// Where it is, from the project's folder, or from that of the repository that offers it.
    #[schema(required = true)]
    path: Option<&'a str>,
    /// What it says of itself.
    #[schema(required = true)]
    description: Option<&'a str>,
    /// The version that it says it has.
    #[schema(required = true)]
    version: Option<&'a str>,
    /// Its tags.
    tags: &'a [String],
    /// Other names that it goes by.
    aliases: &'a [String],
    /// Its licence, as written.
    #[schema(required = true)]
    license: Option<&'a str>,
    /// Where it is from: by its own word, else its collection's, else the collection that its record names.
    #[schema(required = true)]
    source: Option<&'a str>,
    /// The version that was deployed.
    #[schema(required = true)]
    deployed_version: Option<&'a str>,
    /// The version that its collection has now.
    #[schema(required = true)]
    upstream_version: Option<&'a str>,
    /// Whether its collection has another version than was deployed.
    outdated: bool,
    /// Whether it is not what was deployed any more.
    modified: bool,
    /// Whether it was deployed and is not there.
    missing: bool,
    /// When it was deployed.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    deployed_at: Option<Time>,
    /// When any of its files was last written.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    updated_at: Option<Time>,
    /// The marketplace that offers it; `null` of one that a project has.
    #[schema(required = true)]
    marketplace: Option<&'a str>,
    /// The plugin that brings it, where it is offered as part of one.
    #[schema(required = true)]
    plugin: Option<&'a str>,
    /// A page about it.
    #[schema(required = true)]
    url: Option<&'a str>,
}

impl<'a> ArtifactView<'a> {
    /// Of an artifact, as a viewer of that sight is told.
    pub(crate) fn new(artifact: &'a Artifact, sight: Sight) -> Self {
        let whole = ArtifactView::whole(artifact);
        let source = whole.source.filter(|source| sight == Sight::Local || !is_here(source));
        ArtifactView { source, ..whole }
    }

    /// Of an artifact, as the local user is told: with the folder that it is from.
    pub fn whole(artifact: &'a Artifact) -> Self {
        let said = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        ArtifactView {
            name: &artifact.name,
            kind: artifact.kind,
            project: said(&artifact.project),
            project_name: said(&artifact.project_name),
            profile: said(&artifact.profile),
            path: said(&artifact.path),
            description: artifact.description.as_deref(),
            version: artifact.version.as_deref(),
            tags: &artifact.tags,
            aliases: &artifact.aliases,
            license: artifact.license.as_deref(),
            source: artifact.source.as_deref(),
            deployed_version: artifact.deployed_version.as_deref(),
            upstream_version: artifact.upstream_version.as_deref(),
            outdated: artifact.outdated,
            modified: artifact.modified,
            missing: artifact.missing,
            deployed_at: artifact.deployed_at,
            updated_at: artifact.updated_at,
            marketplace: artifact.marketplace.as_deref(),
            plugin: artifact.plugin.as_deref(),
            url: artifact.url.as_deref(),
        }
    }
}

/// What an artifact is, for the document alone.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what domain serialises")]
pub(crate) enum ArtifactTypeWord {
    Skill,
    Command,
    Agent,
    Hook,
    Mcp,
    Plugin,
}
