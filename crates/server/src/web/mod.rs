//! The pages: a file a page. Each is whole without JavaScript; the one script asks the same
//! addresses for parts of themselves.

mod actions;
mod assets;
mod cache;
mod cache_list;
mod card;
mod cluster;
mod clusters;
mod demo;
mod figures;
mod folders;
mod form;
mod frame;
mod log;
mod message;
mod project;
mod projects;
mod projects_asked;
mod query;
mod repository;
mod sign_in;
mod sort;
mod timeline;
mod told;
mod tracker_card;
mod trackers;
mod words;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

pub(crate) use assets::ASSETS;
pub use demo::{Demo, DemoControl, DemoMode, DemoRequest};
pub(crate) use frame::theme;
pub(crate) use message::{not_allowed, not_found};

/// The routes of all pages and of what they load.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(clusters::show))
        .route("/clusters/{id}", get(cluster::show))
        .route("/projects", get(projects::show))
        .route("/projects/{id}", get(project::show))
        .route("/trackers", get(trackers::show))
        .route("/cache", get(cache::show))
        .route("/actions/refresh", post(actions::refresh))
        .route("/actions/invalidate", post(actions::invalidate))
        .route("/actions/replay", post(actions::replay))
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/theme", post(sign_in::colours))
        .route("/demo/switch", post(demo::switch))
        .route("/demo/requests", get(demo::requests))
        .route("/demo/change", post(demo::change))
        .merge(assets::routes())
}
