//! `/api/v1/marketplace`: artifacts that are to be had, by all marketplaces, searched and filtered.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use larder_core::{Entry, Filter, Key, ListQuery, Order, Test};
use larder_domain::{ARTIFACTS, Artifact, ArtifactType};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::entry_view::CacheView;
use super::input::Asked;
use super::page::{Listing, limit_of};
use super::place::{Place, Stretch};
use super::project_view::{ArtifactTypeWord, ArtifactView};
use super::projects::{decoded, words};
use super::read::Reader;
use crate::access::Viewer;
use crate::app::App;
use crate::folders::{self, MARKETPLACE_SOURCE};
use crate::problem::Problem;
use crate::sight::Sight;

/// Which artifacts.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MarketplaceQuery {
    /// Words that must all be found in name, description, tags or plugin, each as the beginning of a
    /// word; best first.
    search: Option<String>,
    /// Of this type alone.
    #[serde(rename = "type")]
    #[param(value_type = Option<ArtifactTypeWord>, inline)]
    kind: Option<ArtifactType>,
    /// By the marketplace of this name alone.
    #[param(max_length = 64)]
    marketplace: Option<String>,
    /// At most so many; 50 unless told.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
    /// Where the answer before this one ended: its `next`.
    #[param(pattern = "^[0-9a-f]{1,5}[.]([0-9a-f]{8}){0,4}[.][0-9a-f]{12}$")]
    cursor: Option<String>,
    /// Ask all marketplaces anew and wait for it. At will for admins, for all others once in half a
    /// minute.
    #[serde(default)]
    refresh: bool,
}

/// A stretch of the list.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarketplaceBody<'a> {
    /// The artifacts, by name; those that answer a search best first. None has a project.
    artifacts: Vec<ArtifactView<'a>>,
    /// What the rows of the marketplaces say.
    cache: Vec<CacheView<'a>>,
    /// The cursor of what follows; `null` at the end.
    #[schema(required = true)]
    next: Option<String>,
}

const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 1_000;
const NAME_CHARS_MAX: usize = 64;

/// What is to be had.
#[utoipa::path(
    get, operation_id = "listMarketplace", path = "/api/v1/marketplace", tag = "projects", params(MarketplaceQuery),
    responses(
        (status = 200, description = "A stretch of the list", body = MarketplaceBody, content_type = "application/json"),
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
    Asked(query): Asked<MarketplaceQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.marketplace.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARS_MAX) {
        return Err(Problem::bad(format!("`marketplace` may have {NAME_CHARS_MAX} characters")));
    }
    let reader = Reader::asking(viewer, &headers, query.refresh)?;
    let question = format!("{:?}&{:?}&{:?}", query.search, query.kind, query.marketplace);
    let limit = limit_of(query.limit, LIMIT, LIMIT_MAX)?;
    let place = Place::of(query.cursor.as_deref(), &question)?;
    let name = format!("marketplace?{question}&{place:?}&{limit}");
    let markets = app.markets();
    app.listed(Listing { name: &name, keys: &markets, reader }, &headers, async |app: &App| {
        let mut seen = app.seen_markets(viewer).await?;
        if let Some(name) = query.marketplace.as_ref().filter(|name| !name.is_empty()) {
            seen.retain(|entry| entry.key.segments().first() == Some(name));
        }
        let entries = seen.iter().map(|entry| entry.key.clone()).collect();
        let asked = query.asked(entries);
        let Stretch { listed, next } = app.stretch(&asked, &place, limit, &question, reader.sight()).await?;
        let artifacts: Vec<Artifact> = decoded(&listed);
        let body = MarketplaceBody {
            artifacts: artifacts.iter().map(|one| ArtifactView::new(one, reader.sight())).collect(),
            cache: seen.iter().map(CacheView::new).collect(),
            next,
        };
        Ok((serde_json::to_vec(&body).unwrap_or_default(), reader.sight() == Sight::Public))
    })
    .await
}

impl MarketplaceQuery {
    fn asked(&self, entries: Vec<Key>) -> ListQuery {
        let search = words(self.search.as_ref());
        let of_type = |kind: ArtifactType| Filter { column: "type", test: Test::Is(kind.word().to_owned()) };
        ListQuery {
            view: &ARTIFACTS,
            entries,
            order: Some(if search.is_some() { Order::Rank } else { Order::Ascending("name") }),
            search,
            filters: self.kind.map(of_type).into_iter().collect(),
            offset: 0,
            limit: 0,
        }
    }
}

impl App {
    /// The marketplaces, in the order of configuration.
    pub(crate) fn markets(&self) -> Vec<Key> {
        self.engine.keys_of(MARKETPLACE_SOURCE)
    }

    /// The rows of the marketplaces that a viewer may know of, in the order of configuration. One is
    /// public or not as a whole; while it changes, doubt means no.
    pub(crate) async fn seen_markets(&self, viewer: Viewer) -> Result<Vec<Entry>, Problem> {
        let keys = self.markets();
        if viewer.may_read_private {
            return self.folder_rows(&keys, viewer.into()).await;
        }
        let mut rows = self.rows_of(&keys).await?;
        let rows = keys.iter().filter_map(|key| rows.remove(key)).collect();
        let mut seen = self.wholly_public(rows).await?;
        seen.iter_mut().for_each(folders::row);
        Ok(seen)
    }
}
