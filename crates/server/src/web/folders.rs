//! What both pages about local projects show: a folder's state, an artifact as a row.

use askama::Template;
use larder_core::{Entry, Failure, Key, RefreshState, Status, Time};
use larder_domain::{Artifact, ArtifactType};

use super::words::{Badge, Note, Prose, Stamp, State, sentence};
use crate::app::App;
use crate::snapshot::policy_or_default;

/// A folder's entry as people see it.
pub(crate) struct FolderState {
    pub(crate) badge: Badge,
    pub(crate) note: Option<Note>,
    pub(crate) warnings: Vec<Prose>,
    /// Whether a look is wanted.
    pub(crate) is_wanting: bool,
}

impl FolderState {
    /// Of a row, or of none. `looks` = what is wanting is looked at behind this very answer.
    pub(crate) fn new(app: &App, key: &Key, row: Option<&Entry>, looks: bool, now: Time) -> Self {
        let definition = app.engine.define(key);
        let policy = policy_or_default(definition.as_deref());
        let Some(row) = row else {
            let refresh = if looks { RefreshState::Running } else { RefreshState::Idle };
            let state = State { status: Status::Missing, refresh, complete: true, fetched_at: None };
            let badge = Badge::new(state, now);
            return FolderState { badge, note: None, warnings: Vec::new(), is_wanting: true };
        };
        let status = row.status(definition.as_deref(), now);
        let is_due = definition.is_none_or(|definition| row.is_due(&definition, now));
        let is_wanting = status != Status::Fresh && is_due;
        let mut state = State::of(row, status, &policy, now);
        if looks && is_wanting && state.refresh == RefreshState::Idle {
            state.refresh = RefreshState::Running;
        }
        let told = |failure: &Failure| Note::new(failure, state, row.due_at, key, now);
        FolderState {
            badge: Badge::new(state, now),
            note: row.last_error.as_ref().and_then(told),
            warnings: row.warnings.iter().map(|warning| Prose::new(&sentence(&warning.message))).collect(),
            is_wanting,
        }
    }
}

/// One artifact, as shown.
#[derive(Template)]
#[template(path = "artifact.html")]
pub(crate) struct ArtifactRow {
    name: String,
    aliases: String,
    about: Option<String>,
    tags: Vec<String>,
    path: String,
    kind: &'static str,
    marks: Vec<&'static str>,
    /// Its project's name and address, where it stands among those of others.
    project: Option<(String, String)>,
    /// The marketplace that offers it, and a page about it.
    offered: Option<(String, Option<String>)>,
    version: Option<String>,
    newer: Option<String>,
    updated: Option<Stamp>,
}

/// No more tags are shown of one.
const TAGS_MAX: usize = 4;

impl ArtifactRow {
    /// Of an artifact among those of its own project.
    pub(crate) fn own(artifact: &Artifact, now: Time) -> Self {
        // What it says of itself, or else what was put there, which may be known by its hash alone.
        let version = artifact.version.clone().or_else(|| artifact.deployed_version.clone());
        ArtifactRow {
            name: artifact.name.clone(),
            aliases: artifact.aliases.join(", "),
            about: artifact.description.clone().filter(|text| !text.trim().is_empty()),
            tags: artifact.tags.iter().take(TAGS_MAX).cloned().collect(),
            path: artifact.path.clone(),
            kind: label(artifact.kind),
            marks: marks(artifact),
            project: None,
            offered: artifact.marketplace.clone().map(|market| (market, artifact.url.clone())),
            version,
            newer: artifact.upstream_version.clone().filter(|_| artifact.outdated),
            updated: artifact.updated_at.map(|at| Stamp::new(at, now)),
        }
    }

    /// Of an artifact among those of other projects.
    pub(crate) fn among_others(artifact: &Artifact, key: &Key, now: Time) -> Self {
        if artifact.is_offered() {
            return ArtifactRow::own(artifact, now);
        }
        let name = if artifact.project_name.is_empty() { &artifact.project } else { &artifact.project_name };
        let project = Some((name.clone(), format!("/projects/{}", key.name())));
        ArtifactRow { project, ..ArtifactRow::own(artifact, now) }
    }
}

/// What is wrong with an artifact, the worst first; of one that no project has, that it is to be had.
fn marks(artifact: &Artifact) -> Vec<&'static str> {
    let all = [
        (artifact.is_offered(), "available"),
        (artifact.missing, "missing"),
        (artifact.modified, "modified"),
        (artifact.outdated, "outdated"),
    ];
    all.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect()
}

/// A type, as people write it.
pub(crate) fn label(kind: ArtifactType) -> &'static str {
    match kind {
        ArtifactType::Skill => "skill",
        ArtifactType::Command => "command",
        ArtifactType::Agent => "agent",
        ArtifactType::Hook => "hook",
        ArtifactType::Mcp => "MCP server",
        ArtifactType::Plugin => "plugin",
    }
}
