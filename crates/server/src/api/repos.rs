//! `/api/v1/repos`: the repositories of all clusters, each once, searched, filtered and sorted.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use larder_core::{Filter, Key, ListQuery, Listed, Order, Test};
use larder_domain::{ClustersConfig, REPOSITORIES, Repository};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::asked::asked_names;
use super::entry_view::RepositoryView;
use super::input::Asked;
use super::page::{Listing, limit_of};
use super::place::{Place, Stretch};
use super::read::Reader;
use crate::access::Viewer;
use crate::app::App;
use crate::problem::Problem;
use crate::sight::Sight;

/// Which repositories, and in which order.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReposQuery {
    /// Words that must all be found in name, description or topics, each as the beginning of a word.
    #[param(max_length = 256)]
    search: Option<String>,
    /// Written mostly in this language.
    #[param(max_length = 100)]
    language: Option<String>,
    /// With this topic.
    #[param(max_length = 100)]
    topic: Option<String>,
    /// The order; `updated` unless told.
    #[param(inline)]
    sort: Option<Sort>,
    /// At most so many; 50 unless told.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Where the answer before this one ended: its `next`.
    #[param(pattern = "^[0-9a-f]{1,5}[.]([0-9a-f]{8}){0,4}[.][0-9a-f]{12}$")]
    cursor: Option<String>,
    /// Fetch anew and wait for it. At will for admins, for all others once in half a minute.
    #[serde(default)]
    refresh: bool,
}

/// The order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sort {
    /// Most stars first.
    Stars,
    /// Updated last first.
    Updated,
    /// By name.
    Name,
}

/// A stretch of the list.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReposBody<'a> {
    /// The repositories.
    repositories: Vec<RepositoryView<'a>>,
    /// The cursor of what follows; `null` at the end.
    #[schema(required = true)]
    next: Option<String>,
}

const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// The repositories of all clusters, each once.
#[utoipa::path(
    get, operation_id = "listRepositories", path = "/api/v1/repos", tag = "repositories", params(ReposQuery),
    responses(
        (status = 200, description = "A stretch of the list", body = ReposBody, content_type = "application/json"),
        (status = 304, description = "The reader has it already"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 404, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
        (status = 504, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<ReposQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.check()?;
    let reader = Reader::asking(viewer, &headers, query.refresh)?;
    let question = query.question();
    let limit = limit_of(query.limit, LIMIT, LIMIT_MAX)?;
    let place = Place::of(query.cursor.as_deref(), &question)?;
    let name = format!("repos?{question}&{place:?}&{limit}");
    let keys = app.cluster_keys();
    app.listed(Listing { name: &name, keys: &keys, reader }, &headers, async |app: &App| {
        let visible = app.visible_clusters(viewer).await?;
        let asked = query.asked(visible, reader.sight());
        let Stretch { listed, next } = app.stretch(&asked, &place, limit, &question, reader.sight()).await?;
        let is_public = listed.iter().all(|listed| listed.item.scope.is_public())
            && (reader.sight() == Sight::Public || app.held_all_public(viewer).await?);
        let read = read(&listed);
        let rows: Vec<(&Repository, &[Key])> =
            read.iter().map(|(listed, repository)| (repository, &*listed.entries)).collect();
        let asked = asked_names(&*app.store, &app.clusters, &rows).await?;
        let views = read.iter().zip(asked);
        let repositories =
            views.map(|((listed, repository), asked)| app.view(listed, repository, asked)).collect();
        Ok((serde_json::to_vec(&ReposBody { repositories, next }).unwrap_or_default(), is_public))
    })
    .await
}

impl ReposQuery {
    fn check(&self) -> Result<(), Problem> {
        let long = |text: &Option<String>, most: usize| {
            text.as_ref().is_some_and(|text| text.chars().count() > most)
        };
        if long(&self.search, 256) || long(&self.language, 100) || long(&self.topic, 100) {
            return Err(Problem::bad("`search` may have 256 characters, `language` and `topic` 100"));
        }
        Ok(())
    }

    /// All that decides what the list holds, but for the place in it.
    fn question(&self) -> String {
        format!("{:?}&{:?}&{:?}&{:?}", self.search, self.language, self.topic, self.sort)
    }

    fn asked(&self, entries: Vec<Key>, sight: Sight) -> ListQuery {
        let mut filters = Vec::new();
        if let Some(language) = &self.language {
            filters.push(Filter { column: "language", test: Test::Is(language.clone()) });
        }
        if let Some(topic) = &self.topic {
            filters.push(Filter { column: "topics", test: Test::Has(topic.clone()) });
        }
        if sight == Sight::Public {
            filters.push(Filter { column: "is_private", test: Test::Flag(false) });
        }
        ListQuery {
            view: &REPOSITORIES,
            entries,
            search: self.search.clone().filter(|words| !words.trim().is_empty()),
            filters,
            order: Some(match self.sort.unwrap_or(Sort::Updated) {
                Sort::Stars => Order::Descending("stars"),
                Sort::Updated => Order::Descending("updated_at"),
                Sort::Name => Order::Ascending("name"),
            }),
            offset: 0,
            limit: 0,
        }
    }
}

/// What can be read of a list; a copy that cannot is left out and told of.
fn read(listed: &[Listed]) -> Vec<(&Listed, Repository)> {
    let read = |listed: &Listed| match listed.item.doc.decode() {
        Ok(repository) => Some(repository),
        Err(error) => {
            tracing::warn!(item = %listed.item.of.id, %error, "a copy cannot be read");
            None
        }
    };
    listed.iter().filter_map(|listed| Some((listed, read(listed)?))).collect()
}

impl App {
    /// Whether every cluster's name may be told to everybody: lines name the clusters that show them.
    async fn held_all_public(&self, viewer: Viewer) -> Result<bool, Problem> {
        let held = self.held_clusters(viewer.into()).await?;
        Ok(super::clusters::are_public(&held))
    }

    fn view<'a>(
        &self,
        listed: &Listed,
        repository: &'a Repository,
        asked: Option<Arc<str>>,
    ) -> RepositoryView<'a> {
        let mut clusters: Vec<String> =
            listed.entries.iter().filter_map(|key| key.segments().pop()).collect();
        // A repository that was renamed may be listed as in no cluster though one asks for it.
        if clusters.len() > 1 {
            clusters.retain(|id| id != ClustersConfig::UNCLUSTERED);
        }
        let name = self.clusters.name_of(repository, asked.as_deref());
        RepositoryView::new(repository, asked, name, clusters, listed.item.fetched_at)
    }
}
