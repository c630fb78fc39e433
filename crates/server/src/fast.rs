//! The short way of a hit: what is fresh in memory is answered before any route is looked for.
//!
//! It decides nothing of its own: host, viewer, freshness and headers are asked of the same
//! functions as on the long way, and whatever is not plainly a hit takes that one.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use larder_core::{Key, Time};

use crate::access::Peer;
use crate::api::{Got, Reader};
use crate::app::App;
use crate::snapshot::CLUSTER;
use crate::tier::{Head, Shape};

const CLUSTERS: &str = "/api/v1/clusters/";
const ENTRIES: &str = "/api/v1/entries/";

/// The answer, if the request is a plain read of what is fresh in memory.
pub(crate) fn hit<B>(app: &App, request: &Request<B>, peer: SocketAddr) -> Option<Response> {
    let uri = request.uri();
    let wishes_something =
        [header::CACHE_CONTROL, header::PRAGMA].iter().any(|name| request.headers().contains_key(name));
    if *request.method() != Method::GET || uri.query().is_some() || wishes_something {
        return None;
    }
    let (key, shape) = asked(uri.path())?;
    crate::guard::check_host(app, uri, request.headers()).ok()?;
    let viewer = app.viewer_from(request.headers(), Some(Peer(peer)));
    let now = app.now();
    let got = app.hit_in_memory(&key, shape, Reader::plain(viewer), now)?;
    Some(answered(&got, request.headers(), now))
}

/// The answer, with the head that was made for the one before it where its age is still the same.
fn answered(got: &Got, asked: &HeaderMap, now: Time) -> Response {
    let held = &got.held;
    let gzip = held.document.is_sent_as_gzip(asked);
    let age = held.entry.fetched_at.map_or(0, |at| now.since(at).as_secs());
    let is_conditional = asked.contains_key(header::IF_NONE_MATCH);
    if !is_conditional {
        let made = held.head.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(made) = made.filter(|made| (made.age, made.gzip, made.status) == (age, gzip, got.status))
        {
            let bytes = if gzip { held.document.gzip() } else { held.document.plain.clone() };
            let mut response = Response::new(Body::from(bytes));
            *response.headers_mut() = made.headers.clone();
            return response;
        }
    }
    let mut response = got.send(asked, now);
    crate::guard::secure(response.headers_mut());
    if !is_conditional {
        let made = Head { age, gzip, status: got.status, headers: response.headers().clone() };
        *held.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(made));
    }
    response
}

/// The entry that a path names, where its name needs no decoding.
fn asked(path: &str) -> Option<(Key, Shape)> {
    let is_plain = |name: &str| !name.contains('%');
    let (text, shape) = match path.strip_prefix(CLUSTERS) {
        Some(id) if is_plain(id) && !id.contains('/') => {
            (Cow::Owned([CLUSTER, "/", id].concat()), Shape::Cluster)
        }
        Some(_) => return None,
        None => (Cow::Borrowed(path.strip_prefix(ENTRIES).filter(|name| is_plain(name))?), Shape::Entry),
    };
    Some((text.parse().ok()?, shape))
}
