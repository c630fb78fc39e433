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

use crate::fields::Fields;
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

impl Told<'_> {
    /// For how many seconds it will be fresh; below zero, for how many it has not been.
    pub(crate) fn ttl(&self) -> i64 {
        let ttl = self.entry.fresh_until.map_or(0, |until| (until.ms() - self.now.ms()).div_euclid(1000));
        // An invalidated copy is stale whatever its time says.
        if self.status == Status::Fresh { ttl } else { ttl.min(0) }
    }

    /// Seconds since it was fetched; `None` = it never was.
    pub(crate) fn age(&self) -> Option<u64> {
        self.entry.fetched_at.map(|at| self.now.since(at).as_secs())
    }
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
pub(crate) fn send(document: &Document, told: &Told<'_>, form: Form) -> Response {
    let mut response = document.send(form);
    let headers = response.headers_mut();
    let (cache_status, hit) = cache_status(told);
    insert(headers, "cache-status", &cache_status);
    headers.insert("x-cache-hit", HeaderValue::from_static(hit));
    insert(headers, "x-cache-status", &told.status.to_string());
    if let (Some(at), Some(age)) = (told.entry.fetched_at, told.age()) {
        insert(headers, "age", &age.to_string());
        insert(headers, "x-cache-last-fetched", &at.to_string());
    }
    if document.is_public {
        insert(headers, "cache-control", &shared_control(told));
    }
    response
}

/// What of a document is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Its bytes.
    Plain,
    /// Its compressed bytes.
    Gzip,
    /// Nothing: the reader has it already.
    Unchanged,
}

/// What a reader says of the forms that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    gzip: bool,
    /// The tags of what it has, as it lists them.
    has: Option<String>,
}

impl Taken {
    /// What a request's fields say.
    pub(crate) fn of(asked: &(impl Fields + ?Sized)) -> Self {
        let mut lists = asked.texts(&header::IF_NONE_MATCH);
        let has = lists.next().map(|first| lists.fold(first.to_owned(), |all, list| all + "," + list));
        Taken { gzip: accepts_gzip(asked), has }
    }
}

impl Document {
    /// What of it a reader gets.
    pub(crate) fn form(&self, taken: &Taken) -> Form {
        if taken.has.as_ref().is_some_and(|tags| is_among(&self.etag, tags)) {
            Form::Unchanged
        } else if taken.gzip && self.plain.len() >= GZIP_BYTES_MIN {
            Form::Gzip
        } else {
            Form::Plain
        }
    }

    /// The bytes of a form of it.
    pub(crate) fn bytes(&self, form: Form) -> Bytes {
        match form {
            Form::Plain => self.plain.clone(),
            Form::Gzip => self.gzip(),
            Form::Unchanged => Bytes::new(),
        }
    }

    fn send(&self, form: Form) -> Response {
        let mut response = Response::new(Body::from(self.bytes(form)));
        let headers = response.headers_mut();
        if form != Form::Unchanged {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if form == Form::Gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let control = if self.is_public { "public, no-cache" } else { "private, no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization, Cookie"));
        insert(headers, "etag", &self.etag);
        if form == Form::Unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }
}

/// What a reader is told about the copies that a list was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copies {
    /// Where they came from, the worst of all.
    pub(crate) came: CopiesCame,
    /// When the oldest was fetched; `None` = nothing is held.
    pub(crate) fetched_at: Option<Time>,
}

/// Where a list's copies came from, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CopiesCame {
    /// All were held and young enough.
    Fresh,
    /// All were held, not all of them young enough.
    Stale,
    /// Some were fetched while the reader waited.
    Fetched,
}

impl Copies {
    /// Of both.
    pub(crate) fn and(self, other: Copies) -> Copies {
        let fetched_at = self.fetched_at.into_iter().chain(other.fetched_at).min();
        Copies { came: self.came.max(other.came), fetched_at }
    }

    /// The same, told once more: what was fetched is held by now.
    pub(crate) fn held(self) -> Copies {
        let came = if self.came == CopiesCame::Fetched { CopiesCame::Fresh } else { self.came };
        Copies { came, ..self }
    }
}

/// Sends a document of no single entry.
pub(crate) fn send_list(document: &Document, copies: Copies, asked: &HeaderMap) -> Response {
    let mut response = document.send(document.form(&Taken::of(asked)));
    let headers = response.headers_mut();
    headers.insert(
        "x-cache-hit",
        HeaderValue::from_static(match copies.came {
            CopiesCame::Fresh => "hit",
            CopiesCame::Stale => "stale",
            CopiesCame::Fetched => "miss",
        }),
    );
    if let Some(at) = copies.fetched_at {
        insert(headers, "x-cache-last-fetched", &at.to_string());
    }
    response
}

/// Sends a list as it was made last, since the store is out of reach.
pub(crate) fn send_last_list(document: &Document, copies: Copies, asked: &HeaderMap) -> Response {
    let mut response = send_list(document, copies, asked);
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
    let ttl = told.ttl();
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

/// Whether an `If-None-Match` names this data (weakly, as RFC 9110 has it for reads).
fn is_among(etag: &str, tags: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || opaque(tag) == opaque(etag))
}

fn opaque(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

/// Whether the reader takes gzip. `*` means the codings that are not named (RFC 9110, 12.5.3).
pub(crate) fn accepts_gzip(asked: &(impl Fields + ?Sized)) -> bool {
    let (mut named, mut others) = (None, None);
    for coding in asked.texts(&header::ACCEPT_ENCODING).flat_map(|value| value.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let is_taken = !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        match name.trim() {
            "*" => others = Some(is_taken),
            name if name.eq_ignore_ascii_case("gzip") => named = Some(is_taken),
            _ => {}
        }
    }
    named.or(others).unwrap_or(false)
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
