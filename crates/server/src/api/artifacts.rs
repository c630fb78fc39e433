//! `/api/v1/artifacts`: what all local projects have, searched and filtered.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use larder_core::{Filter, Key, ListQuery, Order, Test};
use larder_domain::{ARTIFACTS, Artifact, ArtifactType};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::entry_view::CacheView;
use super::input::Asked;
use super::page::{HeldRows, Listing, limit_of};
use super::place::{Place, Stretch};
use super::project_view::{ArtifactTypeWord, ArtifactView};
use super::projects::{StatusAsked, decoded, project_key, shown_by, told, words};
use super::read::Reader;
use crate::access::Viewer;
use crate::app::App;
use crate::problem::Problem;

/// Which artifacts.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ArtifactsQuery {
    /// Words that must all be found in name, description or tags, each as the beginning of a word;
    /// best first.
    search: Option<String>,
    /// Of this type alone.
    #[serde(rename = "type")]
    #[param(value_type = Option<ArtifactTypeWord>, inline)]
    kind: Option<ArtifactType>,
    /// That are so.
    #[param(inline)]
    status: Option<StatusAsked>,
    /// Of the project with this id alone.
    #[param(max_length = 200)]
    project: Option<String>,
    /// At most so many; 50 unless told.
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

/// A stretch of the list.
#[derive(Serialize, ToSchema)]
pub(crate) struct ArtifactsBody<'a> {
    /// The artifacts, by name; those that answer a search best first.
    artifacts: Vec<ArtifactView<'a>>,
    /// What the rows of their projects say.
    cache: Vec<CacheView<'a>>,
    /// The cursor of what follows; `null` at the end.
    #[schema(required = true)]
    next: Option<String>,
}

const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 1_000;

/// What all local projects have.
#[utoipa::path(
    get, operation_id = "listArtifacts", path = "/api/v1/artifacts", tag = "projects", params(ArtifactsQuery),
    responses(
        (status = 200, description = "A stretch of the list", body = ArtifactsBody, content_type = "application/json"),
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
    Asked(query): Asked<ArtifactsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.project.as_ref().is_some_and(|id| id.chars().count() > 200) {
        return Err(Problem::bad("`project` may have 200 characters"));
    }
    let reader = Reader::asking(viewer, &headers, query.refresh)?;
    let question = query.question();
    let limit = limit_of(query.limit, LIMIT, LIMIT_MAX)?;
    let place = Place::of(query.cursor.as_deref(), &question)?;
    let name = format!("artifacts?{question}&{place:?}&{limit}");
    let roots = app.roots(viewer);
    let listing = Listing { name: &name, keys: &roots, reader };
    app.listed_with_rows(listing, &headers, async |app: &App, rows: &HeldRows| {
        let asked = query.asked(app.projects(viewer));
        let Stretch { listed, next } = app.stretch(&asked, &place, limit, &question, reader.sight()).await?;
        let artifacts: Vec<Artifact> = decoded(&listed);
        let mut keys: Vec<Key> = listed.iter().filter_map(shown_by).cloned().collect();
        keys.sort();
        keys.dedup();
        let rows = told(rows, &keys, reader.sight());
        let body = ArtifactsBody {
            artifacts: artifacts.iter().map(|one| ArtifactView::new(one, reader.sight())).collect(),
            cache: rows.iter().map(CacheView::new).collect(),
            next,
        };
        Ok((serde_json::to_vec(&body).unwrap_or_default(), false))
    })
    .await
}

impl ArtifactsQuery {
    /// All that decides what the list holds, but for the place in it.
    fn question(&self) -> String {
        format!("{:?}&{:?}&{:?}&{:?}", self.search, self.kind, self.status, self.project)
    }

    fn asked(&self, mut entries: Vec<Key>) -> ListQuery {
        let mut filters = Vec::new();
        if let Some(kind) = self.kind {
            filters.push(Filter { column: "type", test: Test::Is(kind.word().to_owned()) });
        }
        if let Some(status) = self.status {
            filters.push(Filter { column: status.column(), test: Test::Flag(true) });
        }
        if let Some(id) = self.project.as_ref().filter(|id| !id.is_empty()) {
            let wanted = project_key(id).ok();
            entries.retain(|key| Some(key) == wanted.as_ref());
        }
        let search = words(self.search.as_ref());
        ListQuery {
            view: &ARTIFACTS,
            entries,
            order: Some(if search.is_some() { Order::Rank } else { Order::Ascending("name") }),
            search,
            filters,
            offset: 0,
            limit: 0,
        }
    }
}
