//! How an answer is sent: the headers that say how old it is and who may keep it, 304 for what the
//! reader has already, compressed where it may be.

use std::io::Write as _;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use larder_core::{Entry, Status, Time};

use crate::tier::Document;

/// What a reader is told about an entry's copy besides its data. Design, section 7.
pub(crate) struct Told<'a> {
    /// The row.
    pub(crate) entry: &'a Entry,
    /// Its status now.
    pub(crate) status: Status,
    /// Where the answer came from.
    pub(crate) came: Came,
    /// Now.
    pub(crate) now: Time,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// The copy that was held.
    Held,
    /// The source, since nothing that would do was held.
    Fetched,
    /// The source, since the reader insisted.
    Forced,
}

/// Smaller bodies gain nothing from being compressed.
pub(crate) const GZIP_BYTES_MIN: usize = 1024;

/// Sends a document with what is to be told of its entry.
pub(crate) fn send(document: &Document, told: &Told<'_>, asked: &HeaderMap) -> Response {
    let mut response = send_list(document, asked);
    let headers = response.headers_mut();
    let (cache_status, hit) = cache_status(told);
    insert(headers, "cache-status", &cache_status);
    headers.insert("x-cache-hit", HeaderValue::from_static(hit));
    insert(headers, "x-cache-status", &told.status.to_string());
    if let Some(at) = told.entry.fetched_at {
        insert(headers, "age", &told.now.since(at).as_secs().to_string());
        insert(headers, "x-cache-last-fetched", &at.to_string());
    }
    if document.is_public {
        insert(headers, "cache-control", &shared_control(told));
    }
    response
}

impl Document {
    /// Whether a reader gets the compressed bytes.
    pub(crate) fn is_sent_as_gzip(&self, asked: &HeaderMap) -> bool {
        self.plain.len() >= GZIP_BYTES_MIN && accepts_gzip(asked)
    }
}

/// Sends a document of no single entry.
pub(crate) fn send_list(document: &Document, asked: &HeaderMap) -> Response {
    let gzip = document.is_sent_as_gzip(asked);
    let unchanged = has_already(asked, &document.etag);
    let mut response = Response::new(match (unchanged, gzip) {
        (true, _) => Body::empty(),
        (false, true) => Body::from(document.gzip()),
        (false, false) => Body::from(document.plain.clone()),
    });
    let headers = response.headers_mut();
    if !unchanged {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    let control = if document.is_public { "public, no-cache" } else { "private, no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization, Cookie"));
    insert(headers, "etag", &document.etag);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response
}

/// Sends a list as it was made last, since the store is out of reach.
pub(crate) fn send_last_list(document: &Document, asked: &HeaderMap) -> Response {
    let mut response = send_list(document, asked);
    let headers = response.headers_mut();
    insert(headers, "cache-status", "larder; hit; detail=\"store_unreachable\"");
    headers.insert("x-cache-hit", HeaderValue::from_static("stale"));
    response
}

/// An answer that is made anew each time and kept by nobody.
pub(crate) fn send_now<T: serde::Serialize>(status: StatusCode, value: &T, asked: &HeaderMap) -> Response {
    let plain = serde_json::to_vec(value).unwrap_or_default();
    let gzip = accepts_gzip(asked) && plain.len() >= GZIP_BYTES_MIN;
    let mut response = Response::new(Body::from(if gzip { gzipped(&plain) } else { plain.into() }));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization, Cookie"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The gzip of some bytes.
pub(crate) fn gzipped(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), Compression::new(5));
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    // Writing into memory does not fail.
    written.map(Bytes::from).unwrap_or_default()
}

/// RFC 9211, and the seeds' word for the same.
fn cache_status(told: &Told<'_>) -> (String, &'static str) {
    let ttl = told.entry.fresh_until.map_or(0, |until| (until.ms() - told.now.ms()).div_euclid(1000));
    // An invalidated copy is stale whatever its time says.
    let ttl = if told.status == Status::Fresh { ttl } else { ttl.min(0) };
    let key = told.entry.key.as_str();
    match (told.came, told.status) {
        (Came::Held, Status::Fresh) => (format!("larder; hit; ttl={ttl}; key=\"{key}\""), "hit"),
        (Came::Held, Status::Stale | Status::Missing) => {
            let why = told.entry.last_error.as_ref().map_or("stale", |failure| failure.code.as_str());
            (format!("larder; hit; ttl={ttl}; key=\"{key}\"; detail=\"{why}\""), "stale")
        }
        (Came::Fetched, _) => (format!("larder; fwd=miss; stored; ttl={ttl}; key=\"{key}\""), "miss"),
        (Came::Forced, _) => (format!("larder; fwd=request; stored; ttl={ttl}; key=\"{key}\""), "miss"),
    }
}

/// For how long a shared cache may keep a public answer: as long as it is fresh here.
fn shared_control(told: &Told<'_>) -> String {
    let lifetime = match (told.status, told.entry.fetched_at, told.entry.fresh_until) {
        (Status::Fresh, Some(at), Some(until)) => until.since(at).as_secs(),
        _ => 0,
    };
    if lifetime == 0 { "public, no-cache".to_owned() } else { format!("public, max-age={lifetime}") }
}

/// Whether the reader's `If-None-Match` names this data (weakly, as RFC 9110 has it for reads).
pub(crate) fn has_already(asked: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let own = opaque(etag);
    let named = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == own)
}

/// Whether the reader takes gzip.
pub(crate) fn accepts_gzip(asked: &HeaderMap) -> bool {
    let named = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        (name.trim().eq_ignore_ascii_case("gzip") || name.trim() == "*") && !refused
    })
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
