//! Pages that only say something: not found, out of order, a form that came too late.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;

use super::frame::{Frame, Here, Visit};

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    title: &'a str,
    lines: &'a [String],
}

/// A page with a title and a few sentences.
pub(crate) fn message(visit: &Visit, status: StatusCode, title: &str, lines: &[String]) -> Response {
    visit.page(status, &Message { frame: visit.frame(Here::Elsewhere, title), title, lines })
}

/// The answer for an address that is none: a page for browsers, a problem for programs.
pub(crate) async fn not_found(visit: Visit, uri: Uri, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_browser = accept.is_some_and(|accept| accept.contains("text/html"));
    if uri.path().starts_with("/api/") || !is_browser {
        return crate::api::not_found();
    }
    nothing_here(&visit)
}

/// The page that says that there is none.
pub(crate) fn nothing_here(visit: &Visit) -> Response {
    let lines = ["The address may be mistyped, or what was here is no longer configured.".to_owned()];
    message(visit, StatusCode::NOT_FOUND, "There is no such page", &lines)
}
