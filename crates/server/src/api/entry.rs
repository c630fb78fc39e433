//! `/api/v1/entries/{key}`: one entry, and what can be done to it. Keys have slashes, so that an
//! action's word is read from the path's right end.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use larder_core::Time;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::bodies::EntryBody;
use super::input::{KeyText, asked_in, key_in_path};
use super::read::{Got, Reader};
use super::refresh::{RefreshAnswer, refresh};
use crate::access::Viewer;
use crate::app::App;
use crate::problem::Problem;
use crate::tier::Shape;

const PREFIX: &str = "/api/v1/entries/";

/// What a read may ask for.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadQuery {
    /// Fetch anew and wait for it. At will for admins, for all others once in half a minute.
    #[serde(default)]
    refresh: bool,
}

impl ReadQuery {
    /// The reader with this wish.
    pub(crate) fn reader(self, viewer: Viewer, headers: &HeaderMap) -> Result<Reader, Problem> {
        Reader::asking(viewer, headers, self.refresh)
    }

    /// Sends what was got. An address that asks for a refresh is to reach us each time: no cache on the way
    /// may answer it.
    pub(crate) fn send(self, got: &Got, headers: &HeaderMap, now: Time) -> Response {
        let mut response = got.send(headers, now);
        if self.refresh {
            let kept = if got.held.document.is_public { "public, no-cache" } else { "private, no-cache" };
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
        }
        response
    }
}

/// What a refresh may ask for.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RefreshQuery {
    /// `1` or `true`: answer when it is done.
    #[param(inline)]
    wait: Option<Wait>,
}

/// Whether to answer when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum Wait {
    /// It is.
    #[serde(rename = "1")]
    One,
    /// It is.
    #[serde(rename = "true")]
    True,
    /// It is not.
    #[serde(rename = "0")]
    Zero,
    /// It is not.
    #[serde(rename = "false")]
    False,
}

/// One entry with its items.
#[utoipa::path(
    get, operation_id = "readEntry", path = "/api/v1/entries/{key}", tag = "entries",
    params(
        ("key" = inline(KeyText), Path, description = "The key; its slashes may stand as they are or encoded"),
        ReadQuery,
    ),
    responses(
        (status = 200, description = "The entry", body = EntryBody, content_type = "application/json"),
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
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let key = key_in_path(path);
    // A configured key that ends in the action's word can be read; any other such path is the action's.
    let is_configured = key.as_ref().is_ok_and(|key| app.engine.define(key).is_some());
    if path.ends_with("/refresh") && !is_configured {
        return Ok(other_method(uri).await);
    }
    let query: ReadQuery = asked_in(&uri)?;
    let key = key?;
    let reader = query.reader(viewer, &headers)?;
    let got = app.document(&key, Shape::Entry, reader).await?;
    Ok(query.send(&got, &headers, app.now()))
}

/// Refreshes an entry.
#[utoipa::path(
    post, operation_id = "refreshEntry", path = "/api/v1/entries/{key}/refresh", tag = "entries",
    params(
        ("key" = inline(KeyText), Path, description = "The key; its slashes may stand as they are or encoded"),
        RefreshQuery,
    ),
    responses(
        (status = 200, description = "It is done", body = RefreshAnswer, content_type = "application/json"),
        (status = 202, description = "It is under way", body = RefreshAnswer, content_type = "application/json"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 404, response = crate::api::docs::Refusal),
        (status = 500, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn act(
    State(app): State<App>,
    viewer: Viewer,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let Some((key, "refresh")) = path.rsplit_once('/') else {
        return Ok(other_method(uri).await);
    };
    let key = key_in_path(key)?;
    let query: RefreshQuery = asked_in(&uri)?;
    let wait = matches!(query.wait, Some(Wait::One | Wait::True));
    refresh(&app, viewer, key, wait, &headers).await
}

/// A method that the path does not take. Actions are posted; all else is read.
pub(crate) async fn other_method(uri: Uri) -> Response {
    let methods = if uri.path().ends_with("/refresh") { "POST" } else { "GET,HEAD" };
    let mut response = super::not_allowed().await;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}
