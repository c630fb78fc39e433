//! `/projects`: the local projects and what wants a look in them, and a search over all that they
//! have and that marketplaces offer. `part=list` answers the part that changes, shows what is held and
//! causes no look.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::{Entry, Key, Listed, Met, Time};
use larder_domain::{Artifact, LocalProject};
use larder_engine::ReadOptions;

use super::demo::FilesPanel;
use super::folders::{ArtifactRow, FolderState};
use super::frame::{Frame, Here, Hidden, Visit};
use super::message::message;
use super::projects_asked::{Asked, Choice, Column, Question, columns, froms, shows, statuses};
use super::query::Wished;
use super::sign_in::not_shown;
use super::words::{Badge, Note, Prose, Stamp, counted, exact};
use crate::api::decoded;
use crate::app::App;
use crate::damage::is_damaged;
use crate::folders::PROJECTS_SOURCE;
use crate::problem::Problem;
use crate::sight::Sight;

/// So many projects, or artifacts, are on a page.
const ROWS_MAX: usize = 100;
/// So many projects stand above the artifacts that a search found.
const PROJECTS_FOUND_MAX: usize = 5;

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    frame: Frame,
    demo: Option<FilesPanel>,
    list: List,
    search: String,
    sort: String,
    shows: Vec<Choice>,
    statuses: Vec<Choice>,
    /// None where there is no marketplace.
    froms: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "projects_first_run.html")]
struct FirstRun {
    frame: Frame,
    body: Nowhere,
}

/// What stands in place of the list while there is no folder to look in. An open page asks for it as for any list,
/// and is loaded anew when there is one.
#[derive(Template)]
#[template(path = "projects_nowhere.html")]
struct Nowhere;

#[derive(Template)]
#[template(path = "projects_list.html")]
struct List {
    sum: String,
    hidden: Hidden,
    /// The key of a root that nobody has looked below yet.
    is_looking: Option<Key>,
    /// Whether less is asked for than a search alone asks for.
    is_narrowed: bool,
    is_filtered: bool,
    has_markets: bool,
    search: Option<String>,
    roots: Vec<Root>,
    columns: Vec<Column>,
    projects: Vec<ProjectRow>,
    artifacts: Option<Vec<ArtifactRow>>,
    next: Option<String>,
    /// Where the list begins, where this is behind its end.
    first: Option<String>,
}

/// A folder that projects are looked for below, or a marketplace.
struct Root {
    key: Key,
    what: &'static str,
    path: Option<String>,
    state: FolderState,
}

/// One project, as shown.
struct ProjectRow {
    key: Key,
    href: String,
    name: String,
    path: String,
    artifacts: String,
    outdated: u64,
    modified: u64,
    missing: u64,
    warnings: u64,
    updated: Option<Stamp>,
    badge: Badge,
    why: Option<Prose>,
}

impl List {
    fn has_artifacts(&self) -> bool {
        self.artifacts.as_ref().is_some_and(|all| !all.is_empty())
    }
}

/// The page.
pub(crate) async fn show(State(app): State<App>, visit: Visit, Wished(asked): Wished<Asked>) -> Response {
    let is_part = asked.part == "list";
    if !visit.viewer.may_read_private {
        return not_shown(&app, &visit);
    }
    let has_markets = !app.markets().is_empty();
    if app.roots(visit.viewer).is_empty() && !has_markets {
        if is_part {
            return visit.page(StatusCode::OK, &Nowhere);
        }
        let frame = visit.frame(Here::Projects, "No folder to look for projects in");
        return visit.page(StatusCode::OK, &FirstRun { frame, body: Nowhere });
    }
    let list = match gather(&app, &visit, &asked).await {
        Ok(list) => list,
        Err(problem) => {
            let lines = [problem.detail];
            return message(&visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &lines);
        }
    };
    if is_part {
        return visit.page(StatusCode::OK, &list);
    }
    let mut frame = visit.frame(Here::Projects, "Projects");
    frame.settling =
        list.is_looking.is_some() || list.projects.iter().any(|row| row.badge.class == "updating");
    let page = ProjectsPage {
        frame,
        demo: FilesPanel::of(&app, &visit),
        list,
        shows: shows(&asked.show, has_markets),
        statuses: statuses(&asked.status),
        froms: if has_markets { froms(&asked.from) } else { Vec::new() },
        search: asked.search,
        sort: asked.sort,
    };
    visit.page(StatusCode::OK, &page)
}

/// What is held of folders and marketplaces, and how each is doing.
struct Held<'a> {
    app: &'a App,
    now: Time,
    /// Whether what is wanting is looked at behind this very answer.
    looks: bool,
    roots: Vec<Key>,
    projects: Vec<Key>,
    markets: Vec<Key>,
    rows: HashMap<Key, Entry>,
}

impl<'a> Held<'a> {
    async fn of(app: &'a App, visit: &Visit, looks: bool) -> Result<Self, Problem> {
        let (roots, projects) = (app.roots(visit.viewer), app.projects(visit.viewer));
        let all: Vec<Key> = roots.iter().chain(&projects).cloned().collect();
        let rows = app.folder_rows(&all, visit.viewer.into()).await?;
        let offering = app.seen_markets(visit.viewer).await?;
        let rows = rows.into_iter().chain(offering).map(|row| (row.key.clone(), row)).collect();
        Ok(Held { app, now: app.now(), looks, roots, projects, markets: app.markets(), rows })
    }

    fn state(&self, key: &Key) -> FolderState {
        FolderState::new(self.app, key, self.rows.get(key), self.looks, self.now)
    }

    fn look_behind(&self) {
        let all = self.roots.iter().chain(&self.projects).chain(&self.markets);
        look_behind(self.app, all.filter(|key| self.state(key).is_wanting).cloned().collect());
    }

    /// `2 of 9 being looked at`.
    fn being_looked_at(&self) -> Option<String> {
        let updating = self.projects.iter().filter(|key| self.state(key).badge.class == "updating").count();
        let all = exact(self.projects.len() as u64);
        (updating > 0).then(|| format!("{} of {all} being looked at", exact(updating as u64)))
    }

    /// Where projects are looked for, and what there is to be had from.
    fn roots(&self) -> Vec<Root> {
        let looked = self.roots.iter().map(|key| {
            let path = self.rows.get(key).and_then(root_path);
            Root { what: "Looked for below", path, state: self.state(key), key: key.clone() }
        });
        let offered = self.markets.iter().map(|key| {
            let path = key.segments().pop();
            Root { what: "To be had from", path, state: self.state(key), key: key.clone() }
        });
        looked.chain(offered).collect()
    }

    /// A root that nobody has looked below yet.
    fn is_looking(&self) -> Option<Key> {
        let is_looked_at = |row: &Entry| row.has_data() || is_damaged(row);
        self.roots.iter().find(|key| !self.rows.get(*key).is_some_and(is_looked_at)).cloned()
    }
}

/// Artifacts that were found: those of a page, and how many there are.
struct Found {
    rows: Vec<ArtifactRow>,
    many: Met,
    has_more: bool,
}

impl Found {
    /// `None` = no artifacts are asked for.
    async fn of(held: &Held<'_>, question: &Question) -> Result<Option<Self>, Problem> {
        let entries = question.entries(&held.projects, &held.markets);
        let Some(query) = question.artifacts(&entries, ROWS_MAX + 1) else { return Ok(None) };
        let listed = held.app.list(&query).await?;
        let has_more = listed.len() > ROWS_MAX;
        let row = |one: &Listed| {
            let artifact: Artifact = one.item.doc.decode().ok()?;
            Some(ArtifactRow::among_others(&artifact, one.entries.first()?, held.now))
        };
        let rows: Vec<ArtifactRow> = listed.iter().take(ROWS_MAX).flatten().filter_map(row).collect();
        let is_all = !has_more && question.start == 0;
        let many =
            if is_all { Met::exactly(rows.len() as u64) } else { held.app.store.count(&query).await? };
        Ok(Some(Found { rows, many, has_more }))
    }
}

async fn gather(app: &App, visit: &Visit, asked: &Asked) -> Result<List, Problem> {
    let held = Held::of(app, visit, asked.part != "list").await?;
    if held.looks {
        held.look_behind();
    }
    let question = Question::of(asked);
    let found = Found::of(&held, &question).await?;
    let mut projects: Vec<LocalProject> = match question.projects(&held.projects) {
        Some(query) => decoded(&app.list_readable(&query).await?),
        None => Vec::new(),
    };
    let mut words = match &found {
        Some(found) => {
            let many = projects.len() as u64;
            let projects = (many > 0).then(|| counted(many, "project", "projects"));
            projects.into_iter().chain([artifacts_in_words(found.many)]).collect()
        }
        None => sum(&projects),
    };
    words.extend(held.being_looked_at());
    let has_more = if let Some(found) = &found {
        projects.truncate(PROJECTS_FOUND_MAX);
        found.has_more
    } else {
        question.order(&mut projects);
        projects.drain(..question.start.min(projects.len()));
        let has_more = projects.len() > ROWS_MAX;
        projects.truncate(ROWS_MAX);
        has_more
    };
    let sight = visit.viewer.into();
    let row = |project: &LocalProject| {
        let key = Key::new(PROJECTS_SOURCE, &[&project.id]).ok()?;
        Some(ProjectRow::new(project, held.state(&key), key, sight, held.now))
    };
    let search = Some(asked.search.trim().to_owned()).filter(|words| !words.is_empty());
    let shown = projects.len() + found.as_ref().map_or(0, |found| found.rows.len());
    Ok(List {
        sum: words.join(" · "),
        hidden: visit.hidden(),
        is_looking: held.is_looking(),
        is_narrowed: [&asked.status, &asked.show, &asked.from].iter().any(|filter| !filter.is_empty()),
        is_filtered: search.is_some() || !asked.status.is_empty() || found.is_some(),
        search,
        columns: columns(asked),
        projects: projects.iter().filter_map(row).collect(),
        artifacts: found.map(|found| found.rows),
        next: has_more.then(|| asked.address(&[("after", &(question.start + ROWS_MAX).to_string())])),
        first: (question.start > 0 && shown == 0).then(|| asked.address(&[])),
        has_markets: !held.markets.is_empty(),
        roots: held.roots(),
    })
}

/// `more than 1,000 artifacts`.
fn artifacts_in_words(many: Met) -> String {
    let plus = if many.or_more { "more than " } else { "" };
    format!("{plus}{}", counted(many.count, "artifact", "artifacts"))
}

/// `3 projects`, `9 artifacts`, `1 outdated`, of all.
fn sum(projects: &[LocalProject]) -> Vec<String> {
    let mut words = vec![
        counted(projects.len() as u64, "project", "projects"),
        counted(projects.iter().map(|one| one.artifacts).sum(), "artifact", "artifacts"),
    ];
    words.extend(wrong(projects));
    words
}

/// `3 outdated`, of all.
fn wrong(projects: &[LocalProject]) -> impl Iterator<Item = String> {
    let sum = |count: fn(&LocalProject) -> u64| projects.iter().map(count).sum::<u64>();
    let counts = [
        (sum(|one| one.outdated), "outdated"),
        (sum(|one| one.modified), "modified"),
        (sum(|one| one.missing), "missing"),
    ];
    counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{} {word}", exact(count)))
}

/// Where a root lies, for those who are told.
fn root_path(row: &Entry) -> Option<String> {
    let body: serde_json::Value = row.body.as_ref()?.decode().ok()?;
    body["root"].as_str().map(str::to_owned)
}

/// What is stale or missing is looked at, and nobody is waited for.
pub(super) fn look_behind(app: &App, keys: Vec<Key>) {
    if !keys.is_empty() {
        let engine = app.engine.clone();
        // The engine decides what of it is due, and has one flight an entry.
        tokio::spawn(async move { engine.load_many(&keys, &ReadOptions::default()).await });
    }
}

impl ProjectRow {
    fn new(project: &LocalProject, state: FolderState, key: Key, sight: Sight, now: Time) -> Self {
        let path = if sight == Sight::Local { &project.path } else { &project.relative_path };
        ProjectRow {
            href: format!("/projects/{}", key.name()),
            name: project.name.clone(),
            path: path.clone(),
            artifacts: exact(project.artifacts),
            outdated: project.outdated,
            modified: project.modified,
            missing: project.missing,
            warnings: project.warnings,
            updated: project.updated_at.map(|at| Stamp::new(at, now)),
            badge: state.badge,
            why: state.note.map(Note::why),
            key,
        }
    }
}
