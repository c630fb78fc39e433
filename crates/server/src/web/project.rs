//! `/projects/{id}`: one local project with its artifacts, and what is wrong with it. `part=list`
//! answers the part that changes, shows what is held and causes no look; of a project that is no more it says that.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::Key;
use larder_domain::{ARTIFACT, Artifact, LocalProject, PROJECT};
use serde::Deserialize;

use super::folders::{ArtifactRow, FolderState};
use super::frame::{Frame, Here, Visit};
use super::message::{message, nothing_known};
use super::projects::look_behind;
use super::projects_asked::WRONG;
use super::query::{Asks, Wished, start, word};
use super::sign_in::not_shown;
use super::words::{Stamp, counted, exact};
use crate::app::App;
use crate::folders::PROJECTS_SOURCE;
use crate::problem::Problem;
use crate::sight::Sight;

/// So many artifacts are on a page.
const ROWS_MAX: usize = 200;

/// More warnings than these are shown when they are wanted: the artifacts must not begin a screen further down.
const WARNINGS_MAX: usize = 5;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// `outdated`, `modified` or `missing`.
    show: String,
    /// How many rows to leave out.
    after: String,
    part: String,
}

impl Asks for Asked {
    fn check(&self) -> Result<(), String> {
        word("show", &self.show, &WRONG)?;
        start(&self.after)
    }
}

#[derive(Template)]
#[template(path = "project.html")]
struct ProjectPage {
    frame: Frame,
    name: String,
    body: Body,
}

#[derive(Template)]
#[template(path = "project_body.html")]
struct Body {
    key: Key,
    sum: String,
    name: String,
    path: String,
    tools: String,
    created: Option<Stamp>,
    state: FolderState,
    warned: Warned,
    /// Whether there is nothing yet because nobody has looked.
    is_loading: bool,
    tabs: Vec<Tab>,
    artifacts: Vec<ArtifactRow>,
    is_filtered: bool,
    next: Option<String>,
    /// Where the list begins, where this is behind its end.
    first: Option<String>,
}

/// What an open page of a project shows when that is no more.
#[derive(Template)]
#[template(path = "project_gone.html")]
struct Gone;

/// How the warnings stand there.
struct Warned {
    /// How many there are, also of those that are not told.
    sum: String,
    /// The elements around them and their number.
    tag: &'static str,
    head: &'static str,
}

impl Warned {
    fn new(told: usize, project: &LocalProject) -> Self {
        let sum = counted(project.warnings.max(told as u64), "warning", "warnings");
        let (tag, head) = if told > WARNINGS_MAX { ("details", "summary") } else { ("div", "p") };
        Warned { sum, tag, head }
    }
}

struct Tab {
    label: &'static str,
    count: String,
    href: String,
    is_here: bool,
}

/// The page.
pub(crate) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    Wished(asked): Wished<Asked>,
) -> Response {
    if !visit.viewer.may_read_private {
        return not_shown(&app, &visit);
    }
    let key = path.ok().and_then(|Path(id)| Key::new(PROJECTS_SOURCE, &[id]).ok());
    let Some(key) = key.filter(|key| app.projects(visit.viewer).contains(key)) else {
        // Which projects there are is what the store holds.
        let is_out = app.engine.out_of_reach().is_some();
        return if asked.part == "list" && !is_out {
            // The page that asks is there, and browsers complain of a part that is not found.
            visit.page(StatusCode::OK, &Gone)
        } else {
            nothing_known(&visit, is_out)
        };
    };
    let (project, body) = match gather(&app, &visit, &asked, key).await {
        Ok(gathered) => gathered,
        Err(problem) => {
            let lines = [problem.detail];
            return message(&visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &lines);
        }
    };
    if asked.part == "list" {
        return visit.page(StatusCode::OK, &body);
    }
    let mut frame = visit.frame(Here::Projects, &project.name);
    frame.settling = body.state.badge.class == "updating";
    visit.page(StatusCode::OK, &ProjectPage { frame, name: project.name, body })
}

async fn gather(app: &App, visit: &Visit, asked: &Asked, key: Key) -> Result<(LocalProject, Body), Problem> {
    let now = app.now();
    let looks = asked.part != "list";
    let sight = Sight::from(visit.viewer);
    let definition = app.engine.define(&key);
    let held = app.store.lookup(std::slice::from_ref(&key)).await?.pop().flatten();
    let stored = held.and_then(|held| sight.stored(held, definition.as_deref()));
    let state = FolderState::new(app, &key, stored.as_ref().map(|stored| &stored.entry), looks, now);
    if looks && state.is_wanting {
        look_behind(app, vec![key.clone()]);
    }
    let mut project: Option<LocalProject> = None;
    let mut artifacts: Vec<Artifact> = Vec::new();
    for member in stored.iter().flat_map(|stored| &stored.members) {
        match &*member.item.of.kind {
            PROJECT => project = member.item.doc.decode().ok(),
            ARTIFACT => artifacts.extend(member.item.doc.decode::<Artifact>().ok()),
            _ => {}
        }
    }
    let is_loading = project.is_none() && state.note.is_none();
    let project =
        project.unwrap_or_else(|| LocalProject { name: key.name().to_owned(), ..LocalProject::default() });
    artifacts.sort_by_cached_key(|artifact| {
        let is_well = !(artifact.outdated || artifact.modified || artifact.missing);
        (is_well, artifact.name.to_lowercase(), artifact.path.clone())
    });
    let base = format!("/projects/{}", key.name());
    let tabs = tabs(&project, &asked.show, &base);
    let is_filtered = tabs.iter().skip(1).any(|tab| tab.is_here);
    artifacts.retain(|artifact| match asked.show.as_str() {
        "outdated" => artifact.outdated,
        "modified" => artifact.modified,
        "missing" => artifact.missing,
        _ => true,
    });
    let start: usize = asked.after.parse().unwrap_or(0);
    let next = (artifacts.len() > start.saturating_add(ROWS_MAX)).then(|| {
        let show = if is_filtered { format!("show={}&", asked.show) } else { String::new() };
        format!("{base}?{show}after={}", start + ROWS_MAX)
    });
    let here = if is_filtered { format!("{base}?show={}", asked.show) } else { base };
    let body = Body {
        sum: sum(&project),
        name: project.name.clone(),
        path: if sight == Sight::Local { project.path.clone() } else { project.relative_path.clone() },
        tools: project.profiles.iter().map(|tool| tool_name(tool)).collect::<Vec<_>>().join(", "),
        created: project.created_at.map(|at| Stamp::new(at, now)),
        warned: Warned::new(state.warnings.len(), &project),
        state,
        is_loading,
        tabs,
        artifacts: artifacts
            .iter()
            .skip(start)
            .take(ROWS_MAX)
            .map(|artifact| ArtifactRow::own(artifact, now))
            .collect(),
        is_filtered,
        next,
        first: (start > 0 && artifacts.len() <= start).then_some(here),
        key,
    };
    Ok((project, body))
}

fn tabs(project: &LocalProject, here: &str, base: &str) -> Vec<Tab> {
    let all = [
        ("", "All", project.artifacts),
        ("outdated", "Outdated", project.outdated),
        ("modified", "Modified", project.modified),
        ("missing", "Missing", project.missing),
    ];
    let is_known = all.iter().any(|(word, ..)| *word == here);
    let tab = |(word, label, count): (&'static str, &'static str, u64)| Tab {
        label,
        count: exact(count),
        href: if word.is_empty() { base.to_owned() } else { format!("{base}?show={word}") },
        is_here: word == here || (word.is_empty() && !is_known),
    };
    all.map(tab).into()
}

/// `12 artifacts · 1 outdated`.
fn sum(project: &LocalProject) -> String {
    let mut words = vec![counted(project.artifacts, "artifact", "artifacts")];
    let counts =
        [(project.outdated, "outdated"), (project.modified, "modified"), (project.missing, "missing")];
    let wrong = counts.into_iter().filter(|(count, _)| *count > 0);
    words.extend(wrong.map(|(count, word)| format!("{} {word}", exact(count))));
    words.join(" · ")
}

/// A tool, as people call it.
fn tool_name(profile: &str) -> &str {
    match profile {
        "claude_code" => "Claude Code",
        "codex" => "Codex",
        "gemini" => "Gemini",
        "cursor" => "Cursor",
        other => other,
    }
}
