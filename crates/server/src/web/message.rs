//! Pages that only say something: not found, out of order, a form that came too late.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::frame::{Frame, Here, Visit};
use super::words::sentence;
use crate::problem::{OUT_OF_REACH_SECONDS, Problem};

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    title: &'a str,
    lines: &'a [String],
    /// The page to go back to.
    back: Option<&'a str>,
}

/// A page with a title and a few sentences. One that cannot be shown now says when to come again.
pub(crate) fn message(visit: &Visit, status: StatusCode, title: &str, lines: &[String]) -> Response {
    message_before(visit, status, title, lines, None)
}

/// The same, with a way back to the page that one came from.
pub(super) fn message_before(
    visit: &Visit,
    status: StatusCode,
    title: &str,
    lines: &[String],
    back: Option<&str>,
) -> Response {
    let frame = visit.frame(Here::Elsewhere, title);
    let mut page = visit.page(status, &Message { frame, title, lines, back });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(OUT_OF_REACH_SECONDS));
    }
    page
}

/// The answer for an address that is none: a page for browsers, a problem for programs.
pub(crate) async fn not_found(visit: Visit, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path().starts_with("/api/") || !wants_page(&headers) {
        return crate::api::not_found();
    }
    nothing_here(&visit)
}

/// The answer for an address that takes other methods. A browser comes there when what a form was
/// answered with is asked for once more.
pub(crate) async fn not_allowed(visit: Visit, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path().starts_with("/api/") || !wants_page(&headers) {
        return crate::api::not_allowed().await.into_response();
    }
    let lines = ["This is where a form is sent to. Nothing was changed.".to_owned()];
    message(&visit, StatusCode::METHOD_NOT_ALLOWED, "There is nothing to look at here", &lines)
}

/// Why a form could not be heard: a page for browsers, a problem for programs and the script.
pub(super) fn refusal(visit: &Visit, headers: &HeaderMap, problem: Problem) -> Response {
    if !wants_page(headers) {
        return problem.into_response();
    }
    let lines = [format!("{} Nothing was changed.", sentence(&problem.detail))];
    message(visit, problem.status(), "This could not be done", &lines)
}

/// Whether a browser asks, which shows a page.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The answer for an address at which something may be that nobody can see now: while the store is out of reach it
/// is not told whether there is such a page.
pub(super) fn nothing_known(visit: &Visit, is_out: bool) -> Response {
    if !is_out {
        return nothing_here(visit);
    }
    let lines = [sentence(&Problem::out_of_reach().detail)];
    message(visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &lines)
}

/// The page that says that there is none.
pub(crate) fn nothing_here(visit: &Visit) -> Response {
    let lines = ["The address may be mistyped, or what was here is no longer configured.".to_owned()];
    message(visit, StatusCode::NOT_FOUND, "There is no such page", &lines)
}
