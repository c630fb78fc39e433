//! A request as it arrives: read once, understood once, before anything is decided about it.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::graphql::cost::{Plan, plan};
use crate::log::{LoggedRequest, RequestKind};

/// GitHub takes no larger body; neither does this.
const BODY_BYTES_MAX: usize = 2 << 20;

/// A request, read.
pub(crate) struct Arrival {
    pub(crate) method: Method,
    /// Path and query as sent.
    pub(crate) target: String,
    pub(crate) kind: RequestKind,
    /// `/api/v3` when the request came by GitHub Enterprise Server's layout.
    pub(crate) prefix: &'static str,
    /// The path's parts below the prefix, decoded.
    pub(crate) segments: Vec<String>,
    /// The query's pairs, decoded.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) token: Option<String>,
    pub(crate) graphql: Option<GraphqlCall>,
}

/// A GraphQL call and what it will cost; none of the parts when the body made no sense.
pub(crate) struct GraphqlCall {
    pub(crate) query: String,
    pub(crate) variables: Value,
    pub(crate) operation: Option<String>,
    pub(crate) plan: Plan,
}

impl Arrival {
    /// Reads a request to its end. A body that is too large or breaks off counts as empty.
    pub(crate) async fn read(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let path = parts.uri.path();
        let (prefix, kind, rest) = place(path, &parts.method);
        let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
        let graphql = (kind == RequestKind::Graphql).then(|| GraphqlCall::read(&body)).flatten();
        Self {
            target,
            kind,
            prefix,
            segments: rest.split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
            query: pairs(parts.uri.query().unwrap_or_default()),
            token: token(&parts.headers),
            method: parts.method,
            headers: parts.headers,
            graphql,
        }
    }

    /// The header's text, when it is there and is text.
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the log keeps of it.
    pub(crate) fn logged(&self, at_ms: i64) -> LoggedRequest {
        let names = match (&self.graphql, self.segments.as_slice()) {
            (Some(call), _) => call.plan.names.clone(),
            (None, [repos, owner, name, ..]) if repos == "repos" => vec![format!("{owner}/{name}")],
            _ => Vec::new(),
        };
        LoggedRequest {
            number: 0,
            at_ms,
            method: self.method.to_string(),
            path: self.target.clone(),
            kind: self.kind,
            status: None,
            repositories: names.len(),
            names,
            cost: 0,
            actor: None,
            conditional: [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE]
                .iter()
                .any(|name| self.headers.contains_key(name)),
        }
    }
}

impl GraphqlCall {
    fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let query = body.get("query")?.as_str()?.to_owned();
        let variables = body.get("variables").cloned().unwrap_or(Value::Null);
        let operation = body.get("operationName").and_then(Value::as_str).map(str::to_owned);
        let plan = plan(&query, &variables, operation.as_deref());
        Some(Self { query, variables, operation, plan })
    }
}

/// Tells the layout and the interface by the path: github.com's or an Enterprise Server's.
fn place<'a>(path: &'a str, method: &Method) -> (&'static str, RequestKind, &'a str) {
    let post = method == Method::POST;
    if post && (path == "/graphql" || path == "/api/graphql") {
        let prefix = if path == "/graphql" { "" } else { "/api/v3" };
        return (prefix, RequestKind::Graphql, "");
    }
    match path.strip_prefix("/api/v3") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => ("/api/v3", RequestKind::Rest, rest),
        _ => ("", RequestKind::Rest, path),
    }
}

fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ').unwrap_or(("", value));
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    Some(if known { token.trim().to_owned() } else { String::new() })
}

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(&value.replace('+', " "))))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
