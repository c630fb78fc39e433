//! The API for programs: a file a resource. Its paths, fields and statuses are an interface.

mod artifacts;
mod asked;
mod batch;
mod bodies;
mod clusters;
mod docs;
mod entries;
mod entry;
mod entry_view;
mod events;
mod health;
mod heard;
mod input;
mod invalidate;
mod marketplace;
mod page;
mod place;
mod project_view;
mod projects;
mod read;
mod refresh;
mod repos;
mod shapes;
mod stats;
mod trackers;
mod wishes;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::app::App;
use crate::problem::Problem;

pub use asked::asked_names;
pub use docs::openapi;
pub(crate) use entry_view::EntryView;
pub use entry_view::RepositoryView;
pub(crate) use input::said_of;
pub(crate) use place::Place;
pub use project_view::{ArtifactView, LocalProjectView};
pub(crate) use projects::decoded;
pub(crate) use read::{Got, Reader};
pub(crate) use refresh::Forced;
pub(crate) use stats::EntryCounts;

/// The routes of the API and of what stands beside it.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/clusters", get(clusters::list))
        .route("/api/v1/clusters/{id}", get(clusters::one))
        .route("/api/v1/registry", get(clusters::registry))
        .route("/api/v1/repos", get(repos::list))
        .route("/api/v1/trackers", get(trackers::list))
        .route("/api/v1/trackers/stats", get(trackers::stats))
        .route("/api/v1/projects", get(projects::list))
        .route("/api/v1/projects/{id}", get(projects::one))
        .route("/api/v1/artifacts", get(artifacts::list))
        .route("/api/v1/marketplace", get(marketplace::list))
        .route("/api/v1/batch", post(batch::load))
        .route("/api/v1/entries", get(entries::list))
        .route("/api/v1/entries/{*key}", get(entry::one).post(entry::act).fallback(entry::other_method))
        .route("/api/v1/invalidate", post(invalidate::invalidate))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/stats", get(stats::stats))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(stats::metrics))
        .route("/openapi.json", get(docs::document))
        .route("/docs", get(docs::page))
        .route("/docs/style.css", get(docs::style))
}

/// No such path.
pub(crate) fn not_found() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path; see /docs")
        .into_response()
}

/// A path that knows other methods; the router adds which.
pub(crate) async fn not_allowed() -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this path does not take that method")
        .into_response()
}

/// A text answer of a fixed type, kept by nobody.
fn text(content_type: &'static str, body: impl Into<axum::body::Body>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    (headers, body.into()).into_response()
}
