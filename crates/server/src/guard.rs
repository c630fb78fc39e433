//! What every request is looked at for before a route sees it: whom it was meant for, which page
//! sent it; and the headers that every answer carries. Design, section 8.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::fields::{Fields, text};
use crate::problem::Problem;

/// Refuses what was meant for another host or sent by another site's page.
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let refusal = check_host(&app, request.uri(), request.headers())
        .and_then(|()| check_origin(&request))
        .and_then(|()| check_token(&app, request.uri(), request.headers()));
    let mut response = match refusal {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    secure(response.headers_mut());
    response
}

/// Refuses what was meant for another host.
fn check_host(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let named = uri.host().or_else(|| host(headers));
    let Some(named) = named else { return Err(Problem::bad("the request names no host")) };
    if app.answers_to(named) {
        return Ok(());
    }
    let problem = Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "foreign_host",
        "this server does not answer to that host name",
    );
    Err(problem.hints(["add the name to `[server] allowed_hosts`".to_owned()]))
}

/// Refuses a token that is none of ours (RFC 6750, section 3.1). Whoever sends one wants what it is good for: a
/// program whose token was replaced would otherwise take what everybody sees for all there is.
fn check_token(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if !(wants_known_tokens(uri.path()) && app.is_unknown_token(headers)) {
        return Ok(());
    }
    let detail = "the bearer token is none of this server's";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "unknown_token", detail)
        .hints(["leave it out to see what is public".to_owned()]))
}

/// Whether programs ask there, and not pages nor what looks after the server's health.
pub(crate) fn wants_known_tokens(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

fn check_origin(request: &Request) -> Result<(), Problem> {
    // What a read may not be made to do is refused where its query is read.
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_read { Ok(()) } else { check_own_page(request.headers()) }
}

/// Refuses what another site's page sent.
pub(crate) fn check_own_page(headers: &HeaderMap) -> Result<(), Problem> {
    if is_own_page(headers) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "a page of another site may not ask for this"))
}

/// Whether nothing says that another site's page sent the request. Programs say nothing at all.
pub(crate) fn is_own_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let theirs = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    match (own, theirs) {
        (Some(own), Some(theirs)) => without_usual_port(own).eq_ignore_ascii_case(without_usual_port(theirs)),
        _ => false,
    }
}

impl App {
    /// Whether a name is one of ours: loopback's, one that is configured, or an address that we
    /// listen on. An address cannot be made to point elsewhere as a name can.
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        let listens = self.address.ip();
        let literal = || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        is_loopback_name(name)
            || self
                .settings
                .allowed_hosts
                .iter()
                .any(|allowed| without_port(allowed).eq_ignore_ascii_case(name))
            || literal().is_some_and(|ip| ip == listens || (listens.is_unspecified() && !ip.is_loopback()))
    }
}

/// The name in the `Host` header, without its port.
pub(crate) fn host(headers: &(impl Fields + ?Sized)) -> Option<&str> {
    let mut all = headers.all(&header::HOST);
    let host = text(all.next()?)?;
    // Two of them are somebody's attempt to be two.
    (all.next().is_none() && !host.is_empty()).then(|| without_port(host))
}

/// Whether a name can only mean this very machine.
pub(crate) fn is_loopback_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_below = |end: &str| {
        name.len() > end.len() && name.is_char_boundary(name.len() - end.len()) && {
            name[name.len() - end.len()..].eq_ignore_ascii_case(end)
        }
    };
    let address = || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || is_below(".localhost")
        || address().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn without_port(authority: &str) -> &str {
    let end = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[end..].find(':') {
        Some(colon) => &authority[..end + colon],
        None => authority,
    }
}

fn without_usual_port(authority: &str) -> &str {
    authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443")).unwrap_or(authority)
}

const SECURITY: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Sets what every answer carries, unless it has its own.
pub(crate) fn secure(headers: &mut HeaderMap) {
    for (name, value) in &SECURITY {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
}
