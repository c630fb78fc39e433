//! `/api/v1/projects` and `/api/v1/projects/{id}`: local folders with artifacts of their own.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use larder_core::{Entry, Filter, Key, ListQuery, Listed, Order, Test};
use larder_domain::{ARTIFACT, Artifact, LocalProject, PROJECT, PROJECTS};
use larder_engine::Reading;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::bodies::{etag, said};
use super::entry::ReadQuery;
use super::entry_view::CacheView;
use super::input::Asked;
use super::page::{HeldRows, Listing, limit_of};
use super::place::{Place, Stretch};
use super::project_view::{ArtifactView, LocalProjectView};
use super::read::Reader;
use crate::access::Viewer;
use crate::app::App;
use crate::folders::{self, PROJECTS_SOURCE};
use crate::problem::Problem;
use crate::sight::Sight;
use crate::tier::{Document, Shape};

/// Which projects.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProjectsQuery {
    /// Words that must all be found in name or folder, each as the beginning of a word; best first.
    search: Option<String>,
    /// With artifacts that are so.
    #[param(inline)]
    status: Option<StatusAsked>,
    /// At most so many; 200 unless told.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
    /// Where the answer before this one ended: its `next`.
    #[param(pattern = "^[0-9a-f]{1,5}[.]([0-9a-f]{8}){0,4}[.][0-9a-f]{12}$")]
    cursor: Option<String>,
    /// Look at all folders anew and wait for it. At will for admins, for all others once in half a
    /// minute.
    #[serde(default)]
    refresh: bool,
}

/// What wants a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatusAsked {
    /// The collection has another version than was deployed.
    Outdated,
    /// It is not what was deployed any more.
    Modified,
    /// It was deployed and is not there.
    Missing,
}

impl StatusAsked {
    /// The column that says so, of projects and of artifacts.
    pub(crate) fn column(self) -> &'static str {
        match self {
            StatusAsked::Outdated => "outdated",
            StatusAsked::Modified => "modified",
            StatusAsked::Missing => "missing",
        }
    }
}

/// A stretch of the list.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectsBody<'a> {
    /// The projects, by name.
    projects: Vec<LocalProjectView<'a>>,
    /// What the rows of the roots and of these projects say.
    cache: Vec<CacheView<'a>>,
    /// The cursor of what follows; `null` at the end.
    #[schema(required = true)]
    next: Option<String>,
}

/// A project with its artifacts.
#[derive(Serialize, ToSchema)]
pub(crate) struct LocalProjectBody<'a> {
    /// The project.
    project: LocalProjectView<'a>,
    /// Its artifacts, by name.
    artifacts: Vec<ArtifactView<'a>>,
    /// What its row says.
    cache: Vec<CacheView<'a>>,
}

const LIMIT: u32 = 200;
const LIMIT_MAX: u32 = 1_000;

/// The local projects, and how many of their artifacts want a look.
#[utoipa::path(
    get, operation_id = "listProjects", path = "/api/v1/projects", tag = "projects", params(ProjectsQuery),
    responses(
        (status = 200, description = "A stretch of the list", body = ProjectsBody, content_type = "application/json"),
        (status = 304, description = "The reader has it already"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 404, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
        (status = 504, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<ProjectsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let reader = Reader::asking(viewer, &headers, query.refresh)?;
    let question = format!("{:?}&{:?}", query.search, query.status);
    let limit = limit_of(query.limit, LIMIT, LIMIT_MAX)?;
    let place = Place::of(query.cursor.as_deref(), &question)?;
    let name = format!("projects?{question}&{place:?}&{limit}");
    let roots = app.roots(viewer);
    let listing = Listing { name: &name, keys: &roots, reader };
    app.listed_with_rows(listing, &headers, async |app: &App, rows: &HeldRows| {
        let asked = query.asked(app.projects(viewer));
        let Stretch { listed, next } = app.stretch(&asked, &place, limit, &question, reader.sight()).await?;
        let projects: Vec<LocalProject> = decoded(&listed);
        let keys: Vec<Key> = roots.iter().chain(listed.iter().filter_map(shown_by)).cloned().collect();
        let rows = told(rows, &keys, reader.sight());
        let body = ProjectsBody {
            projects: projects.iter().map(|project| LocalProjectView::new(project, reader.sight())).collect(),
            cache: rows.iter().map(CacheView::new).collect(),
            next,
        };
        Ok((serde_json::to_vec(&body).unwrap_or_default(), false))
    })
    .await
}

/// One local project with its artifacts.
#[utoipa::path(
    get, operation_id = "readProject", path = "/api/v1/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "The project's id", example = "kiln-3f9c0a17b2de"), ReadQuery),
    responses(
        (status = 200, description = "The project", body = LocalProjectBody, content_type = "application/json"),
        (status = 304, description = "The reader has it already"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 404, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
        (status = 504, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn one(
    State(app): State<App>,
    viewer: Viewer,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    Asked(query): Asked<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|rejection| Problem::bad(rejection.body_text()))?;
    let key = project_key(&id)?;
    let reader = query.reader(viewer, &headers)?;
    if !viewer.may_read_private {
        return Err(Problem::unknown(key.as_str()));
    }
    if app.engine.define(&key).is_none() {
        // Nobody has looked for projects yet, or not since it came.
        app.settled(&app.roots(viewer), Reader::of(viewer, &headers)).await?;
        app.engine.learn().await?;
    }
    let got = app.document(&key, Shape::Project, reader).await?;
    Ok(query.send(&got, &headers, app.now()))
}

/// The key of a project.
pub(crate) fn project_key(id: &str) -> Result<Key, Problem> {
    let bad = |_| Problem::unknown(&format!("{PROJECTS_SOURCE}/{id}"));
    Key::new(PROJECTS_SOURCE, &[id]).map_err(bad)
}

impl ProjectsQuery {
    fn asked(&self, entries: Vec<Key>) -> ListQuery {
        let search = words(self.search.as_ref());
        ListQuery {
            view: &PROJECTS,
            entries,
            order: Some(if search.is_some() { Order::Rank } else { Order::Ascending("name") }),
            search,
            filters: self
                .status
                .map(|status| Filter { column: status.column(), test: Test::AtLeast("1".to_owned()) })
                .into_iter()
                .collect(),
            offset: 0,
            limit: 0,
        }
    }
}

/// What is searched for, where anything is.
pub(crate) fn words(search: Option<&String>) -> Option<String> {
    search.filter(|words| !words.trim().is_empty()).cloned()
}

/// The entry that shows an item.
pub(crate) fn shown_by(listed: &Listed) -> Option<&Key> {
    listed.entries.first()
}

/// What can be read of a list; a copy that cannot is left out and told of.
pub(crate) fn decoded<T: DeserializeOwned>(listed: &[Listed]) -> Vec<T> {
    let read = |listed: &Listed| match listed.item.doc.decode() {
        Ok(read) => Some(read),
        Err(error) => {
            tracing::warn!(item = %listed.item.of.id, %error, "a copy cannot be read");
            None
        }
    };
    listed.iter().filter_map(read).collect()
}

/// The document of a project; `None` = there is no project in it.
pub(super) fn document(reading: &Reading, sight: Sight) -> Option<Document> {
    let (project, artifacts) = parts(reading)?;
    let body = LocalProjectBody {
        project: LocalProjectView::new(&project, sight),
        artifacts: artifacts.iter().map(|one| ArtifactView::new(one, sight)).collect(),
        cache: vec![CacheView::new(&reading.stored.entry)],
    };
    let etag = etag(&reading.stored.entry, &said(reading).collect::<Vec<_>>(), "p");
    Some(Document::new(serde_json::to_vec(&body).unwrap_or_default(), etag, false))
}

/// A project and its artifacts, by name.
pub(crate) fn parts(reading: &Reading) -> Option<(LocalProject, Vec<Artifact>)> {
    let mut project = None;
    let mut artifacts = Vec::with_capacity(reading.stored.members.len());
    for member in &reading.stored.members {
        let item = &member.item;
        let read = match &*item.of.kind {
            PROJECT => item.doc.decode().map(|read| project = Some(read)),
            ARTIFACT => item.doc.decode().map(|read| artifacts.push(read)),
            _ => Ok(()),
        };
        if let Err(error) = read {
            tracing::warn!(item = %item.of.id, %error, "a copy cannot be read");
        }
    }
    artifacts.sort_by_cached_key(|artifact: &Artifact| (artifact.name.to_lowercase(), artifact.path.clone()));
    Some((project?, artifacts))
}

impl App {
    /// The entries that say which projects there are, for one who may know of any.
    pub(crate) fn roots(&self, viewer: Viewer) -> Vec<Key> {
        if viewer.may_read_private { self.engine.indexes_of(PROJECTS_SOURCE) } else { Vec::new() }
    }

    /// The projects that are known, for one who may know of any.
    pub(crate) fn projects(&self, viewer: Viewer) -> Vec<Key> {
        if viewer.may_read_private { self.engine.keys_of(PROJECTS_SOURCE) } else { Vec::new() }
    }

    /// The rows of roots and projects, as a viewer of that sight may see them, in the order asked.
    pub(crate) async fn folder_rows(&self, keys: &[Key], sight: Sight) -> Result<Vec<Entry>, Problem> {
        Ok(told(&self.rows_of(keys).await?, keys, sight))
    }
}

/// Those rows that are held, as a viewer of that sight may see them, in the order asked.
pub(crate) fn told(rows: &HeldRows, keys: &[Key], sight: Sight) -> Vec<Entry> {
    let mut shown: Vec<Entry> = keys.iter().filter_map(|key| rows.get(key).cloned()).collect();
    if sight != Sight::Local {
        shown.iter_mut().for_each(folders::row);
    }
    shown
}
