//! Compresses pages and other texts on their way out. Documents of entries do not come by here:
//! they are compressed once and kept so.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use crate::answer::{GZIP_BYTES_MIN, accepts_gzip, gzipped};

/// Larger texts are sent as they are: nobody shall hold them in memory twice.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Compresses what is a text, whole, not compressed yet, and worth it.
pub(crate) async fn pack(request: Request, next: Next) -> Response {
    let is_wanted = accepts_gzip(request.headers());
    let response = next.run(request).await;
    if !is_wanted || !is_worth_it(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(plain) = body.collect().await else { return Response::from_parts(parts, Body::empty()) };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(header::CONTENT_LENGTH);
    // Other bytes than the strong tag names.
    let tag = parts.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let weak = tag.filter(|tag| !tag.starts_with("W/")).map(|tag| format!("W/{tag}"));
    if let Some(weak) = weak.and_then(|weak| HeaderValue::from_str(&weak).ok()) {
        parts.headers.insert(header::ETAG, weak);
    }
    Response::from_parts(parts, Body::from(gzipped(&plain.to_bytes())))
}

fn is_worth_it(response: &Response) -> bool {
    let headers = response.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_text = (kind.starts_with("text/") && !kind.starts_with("text/event-stream"))
        || ["application/json", "application/javascript", "image/svg+xml"]
            .iter()
            .any(|one| kind.starts_with(one));
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    is_text
        && !headers.contains_key(header::CONTENT_ENCODING)
        && (GZIP_BYTES_MIN as u64..=BYTES_MAX).contains(&bytes)
}
