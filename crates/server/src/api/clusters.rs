//! `/api/v1/clusters`, `/api/v1/clusters/{id}` and `/api/v1/registry`.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use larder_core::{Entry, Key};
use larder_domain::{ClusterConfig, Holding, Registry};
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::ClusterBody;
use super::entry::ReadQuery;
use super::entry_view::CacheView;
use super::input::Asked;
use super::page::{HeldCluster, Listing};
use super::shapes::ProjectView;
use crate::access::Viewer;
use crate::app::App;
use crate::problem::Problem;
use crate::snapshot::{CLUSTER, repositories_of};
use crate::tier::Shape;

/// A cluster as configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the configuration")]
pub(crate) struct ClusterView {
    /// Its id.
    #[schema(example = "tools")]
    id: String,
    /// The name people see.
    name: String,
    /// Whether it stands before the others.
    featured: bool,
    /// Whether it is the main work of its owner.
    flagship: bool,
    /// Whether it is an experiment.
    experimental: bool,
    /// Whether it is under active work.
    active: bool,
}

impl ClusterView {
    pub(crate) fn new(config: &ClusterConfig) -> Self {
        ClusterView {
            id: config.id.clone(),
            name: config.name.clone(),
            featured: config.featured,
            flagship: config.flagship,
            experimental: config.experimental,
            active: config.is_active(),
        }
    }
}

/// A cluster in the list of all.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterLine<'a> {
    #[serde(flatten)]
    cluster: ClusterView,
    /// How many repositories it shows.
    repositories: usize,
    /// What its row says.
    cache: CacheView<'a>,
}

/// All clusters.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClustersBody<'a> {
    /// In the order of configuration.
    clusters: Vec<ClusterLine<'a>>,
}

/// The registry.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistryBody<'a> {
    /// The projects: featured ones first, then the newest.
    #[schema(value_type = Vec<ProjectView>)]
    projects: &'a [larder_domain::Project],
    /// The ids of clusters that show no repository.
    empty: &'a [String],
    /// What the rows say.
    cache: Vec<CacheView<'a>>,
}

/// All clusters, with how old their copies are.
#[utoipa::path(
    get, operation_id = "listClusters", path = "/api/v1/clusters", tag = "clusters", params(ReadQuery),
    responses(
        (status = 200, description = "The clusters", body = ClustersBody, content_type = "application/json"),
        (status = 304, description = "The reader has it already"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
        (status = 504, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let reader = query.reader(viewer, &headers)?;
    let keys = app.cluster_keys();
    app.listed(Listing { name: "clusters", keys: &keys, reader }, &headers, async |app: &App| {
        let held = app.held_clusters(reader.sight()).await?;
        let lines = held.iter().map(|cluster| ClusterLine {
            cluster: ClusterView::new(&cluster.config),
            repositories: cluster.stored.members.len(),
            cache: CacheView::new(&cluster.stored.entry),
        });
        Ok((
            serde_json::to_vec(&ClustersBody { clusters: lines.collect() }).unwrap_or_default(),
            are_public(&held),
        ))
    })
    .await
}

/// One cluster with its repositories.
#[utoipa::path(
    get, operation_id = "readCluster", path = "/api/v1/clusters/{id}", tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id", example = "tools"), ReadQuery),
    responses(
        (status = 200, description = "The cluster", body = ClusterBody, content_type = "application/json"),
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
    let key = Key::new(CLUSTER, &[&id]).map_err(|_| Problem::unknown(&format!("{CLUSTER}/{id}")))?;
    let reader = query.reader(viewer, &headers)?;
    let got = app.document(&key, Shape::Cluster, reader).await?;
    Ok(query.send(&got, &headers, app.now()))
}

/// All clusters as one list of projects.
#[utoipa::path(
    get, operation_id = "readRegistry", path = "/api/v1/registry", tag = "clusters", params(ReadQuery),
    responses(
        (status = 200, description = "The registry", body = RegistryBody, content_type = "application/json"),
        (status = 304, description = "The reader has it already"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
        (status = 504, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn registry(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let reader = query.reader(viewer, &headers)?;
    let keys = app.cluster_keys();
    app.listed(Listing { name: "registry", keys: &keys, reader }, &headers, async |app: &App| {
        let held = app.held_clusters(reader.sight()).await?;
        let holding = |cluster: &HeldCluster| Holding {
            cluster: cluster.config.id.clone(),
            repositories: repositories_of(&cluster.stored),
        };
        let is_held = |cluster: &&HeldCluster| cluster.stored.entry.has_data();
        let holdings: Vec<Holding> = held.iter().filter(is_held).map(holding).collect();
        let known: Vec<&str> = held.iter().map(|cluster| cluster.config.id.as_str()).collect();
        let Registry { projects, empty } = app.registry_of(&holdings, &known, viewer);
        let entries: Vec<&Entry> = held.iter().map(|cluster| &cluster.stored.entry).collect();
        let cache = entries.into_iter().map(CacheView::new).collect();
        let body = RegistryBody { projects: &projects, empty: &empty, cache };
        Ok((serde_json::to_vec(&body).unwrap_or_default(), are_public(&held)))
    })
    .await
}

/// Whether all that is held may be seen by everybody.
pub(crate) fn are_public(held: &[HeldCluster]) -> bool {
    // A cluster without data tells its name, which may be private.
    let is_public =
        |one: &HeldCluster| one.stored.entry.has_data() && crate::sight::is_all_public(&one.stored);
    held.iter().all(is_public)
}
