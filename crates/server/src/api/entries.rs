//! `/api/v1/entries`: the states of entries.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_core::{RefreshState, Status};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::entry_view::EntryView;
use super::input::Asked;
use super::page::{cursor_behind, key_of, limit_of};
use crate::access::Viewer;
use crate::answer::send_now;
use crate::app::App;
use crate::entries::Entries;
use crate::problem::Problem;

/// Which entries.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntriesQuery {
    /// Of this source alone.
    #[param(example = "cluster")]
    source: Option<String>,
    /// In this state alone.
    #[param(inline)]
    status: Option<StateAsked>,
    /// At most so many; 1000 unless told.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
    /// Where the answer before this one ended: its `next`.
    #[param(pattern = "^([0-9a-f]{2}){1,512}[.][0-9a-f]{12}$")]
    cursor: Option<String>,
}

/// One of both kinds of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateAsked {
    /// Nothing to serve.
    Missing,
    /// Young enough.
    Fresh,
    /// Past its lifetime.
    Stale,
    /// Nothing is being done about it.
    Idle,
    /// It is being refreshed.
    Running,
    /// The last attempt failed.
    Retrying,
    /// Set aside for a person.
    Dead,
}

/// A stretch of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntriesBody {
    /// By key.
    entries: Vec<EntryView>,
    /// The cursor of what follows; `null` at the end.
    #[schema(required = true)]
    next: Option<String>,
}

const LIMIT: u32 = 1_000;
const LIMIT_MAX: u32 = 10_000;

impl StateAsked {
    fn is_of(self, view: &EntryView) -> bool {
        match self {
            StateAsked::Missing => view.status == Status::Missing,
            StateAsked::Fresh => view.status == Status::Fresh,
            StateAsked::Stale => view.status == Status::Stale,
            StateAsked::Idle => view.refresh == RefreshState::Idle,
            StateAsked::Running => view.refresh == RefreshState::Running,
            StateAsked::Retrying => view.refresh == RefreshState::Retrying,
            StateAsked::Dead => view.refresh == RefreshState::Dead,
        }
    }
}

/// The states of entries, configured or held.
#[utoipa::path(
    get, operation_id = "listEntries", path = "/api/v1/entries", tag = "entries", params(EntriesQuery),
    responses(
        (status = 200, description = "A stretch of the list", body = EntriesBody, content_type = "application/json"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 404, response = crate::api::docs::Refusal),
        (status = 500, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<EntriesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let question = format!("{:?}&{:?}", query.source, query.status);
    let limit = limit_of(query.limit, LIMIT, LIMIT_MAX)?;
    let after = query.cursor.as_deref().map(|cursor| key_of(cursor, &question)).transpose()?;
    let mut found = Entries::behind(&app, viewer, query.source.as_deref(), after);
    let mut entries: Vec<EntryView> = Vec::new();
    let mut next = None;
    while let Some(view) = found.next().await? {
        if query.status.is_some_and(|status| !status.is_of(&view)) {
            continue;
        }
        if entries.len() == limit {
            next = entries.last().map(|last| cursor_behind(&last.key, &question));
            break;
        }
        entries.push(view);
    }
    Ok(send_now(StatusCode::OK, &EntriesBody { entries, next }, &headers))
}
