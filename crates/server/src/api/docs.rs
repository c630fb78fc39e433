//! `/openapi.json`, made from the handlers themselves, and `/docs`, a page made from it that loads
//! nothing from elsewhere.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr};

use crate::guard::wants_known_tokens;
use utoipa::{OpenApi, ToResponse};

use super::shapes::{
    BudgetView, FailureView, LanguageView, ProjectMemberView, ProjectView, RefreshWord, ReleaseView,
    StatusWord, TrackerMonthView, TrackerStateWord, TrackerStatsView, TrackerView, WarningView,
};
use super::{
    artifacts, batch, bodies, clusters, entries, entry, events, health, invalidate, marketplace, projects,
    refresh, repos, stats, text, trackers,
};
use crate::problem::ProblemView;
use crate::web::{ASSETS, theme};

/// Why there is no answer (RFC 9457).
#[derive(ToResponse)]
#[response(description = "Why not (RFC 9457)", content_type = "application/problem+json")]
#[expect(dead_code, reason = "describes what problems become")]
pub(crate) struct Refusal(ProblemView<'static>);

/// The document's parts.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Larder",
        description = "A fast, durable, self-refreshing copy of slow things. Every answer says how old it is \
            (`Age`, `Cache-Status`, `X-Cache-Hit`, `X-Cache-Last-Fetched`, `ETag`); a request says how old it may \
            be (`Cache-Control: no-cache`, `only-if-cached`, `max-age`, `max-stale`, `stale-if-error`).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        clusters::list, clusters::one, clusters::registry, repos::list, trackers::list, trackers::stats,
        projects::list, projects::one, artifacts::list, marketplace::list, batch::load, entries::list, entry::one,
        entry::act, invalidate::invalidate, events::stream, stats::stats, health::alive, health::ready,
        stats::metrics, document, page,
    ),
    components(
        schemas(
            ProblemView<'static>, StatusWord, RefreshWord, FailureView, WarningView, LanguageView, ReleaseView, ProjectView,
            ProjectMemberView, TrackerView, TrackerStateWord, TrackerStatsView, TrackerMonthView, BudgetView, bodies::ItemView, refresh::RefreshStarted,
        ),
        responses(Refusal),
    ),
    tags(
        (name = "clusters", description = "Groups of repositories"),
        (name = "repositories", description = "Repositories of all groups"),
        (name = "trackers", description = "Releases, microsprints and the like"),
        (name = "projects", description = "Local projects, and the skills, commands, agents, hooks and MCP servers that they have, or could have from marketplaces"),
        (name = "entries", description = "What is cached, by key"),
        (name = "events", description = "What changes, as it does"),
        (name = "service", description = "The server itself"),
    ),
    modifiers(&Finish),
)]
struct Api;

/// What the attributes of types and handlers cannot say.
struct Finish;

impl utoipa::Modify for Finish {
    fn modify(&self, document: &mut Document) {
        secure(document);
        let schemas = document.components.as_mut().map(|components| &mut components.schemas);
        if let Some(RefOr::T(Schema::OneOf(asked))) =
            schemas.and_then(|schemas| schemas.get_mut("InvalidateAsked"))
        {
            asked.items.iter_mut().for_each(close);
        }
    }
}

/// Nothing may stand beside the field of a choice.
fn close(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(choice)) = schema {
        choice.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
}

/// Bearer tokens, which loopback does without unless some are configured, and what any operation may be refused for.
fn secure(document: &mut Document) {
    use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
    let components = document.components.get_or_insert_default();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("bearer", scheme);
    document.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new("bearer", Vec::<String>::new())]);
    let guarded = document.paths.paths.iter_mut().filter(|(path, _)| wants_known_tokens(path));
    for operation in guarded.flat_map(|(_, path)| [&mut path.get, &mut path.post].into_iter().flatten()) {
        // Each may meet a store that cannot be asked, or take too long.
        for status in ["401", "503"] {
            let refusal = RefOr::Ref(Ref::from_response_name("Refusal"));
            operation.responses.responses.entry(status.to_owned()).or_insert(refusal);
        }
    }
}

/// The API's document, in `OpenAPI` 3.1.
pub fn openapi() -> Document {
    Api::openapi()
}

static JSON: LazyLock<String> = LazyLock::new(|| openapi().to_pretty_json().unwrap_or_default());
static PAGE: LazyLock<String> = LazyLock::new(|| render(&serde_json::from_str(&JSON).unwrap_or(Value::Null)));

/// This document.
#[utoipa::path(
    get, operation_id = "readDocument", path = "/openapi.json", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
pub(crate) async fn document() -> Response {
    text("application/json", JSON.as_str())
}

/// The same for people.
#[utoipa::path(
    get, operation_id = "readDocs", path = "/docs", tag = "service",
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
pub(crate) async fn page(headers: HeaderMap) -> Response {
    let colours =
        theme(&headers).attribute().map(|word| format!(" data-theme=\"{word}\"")).unwrap_or_default();
    let mut response =
        text("text/html; charset=utf-8", format!("<!doctype html><html lang=\"en\"{colours}>{}", *PAGE));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Cookie"));
    response
}

/// The page's looks.
pub(crate) async fn style() -> Response {
    text("text/css; charset=utf-8", STYLE)
}

const STYLE: &str = include_str!("docs.css");

/// The kinds of problems, as their addresses in `type` name them.
const PROBLEMS: &[(&str, &str)] = &[
    ("bad_input", "400: the request cannot be used as it is."),
    ("credential", "401: a bearer token is wanted."),
    ("unknown_token", "401: the bearer token is none of this server's."),
    ("admin_only", "403: only an admin may do this."),
    ("foreign_origin", "403: a page of another site sent this."),
    ("no_such_path", "404: there is nothing at this path."),
    ("unknown_key", "404: no source knows the key."),
    ("unknown_repository", "404: nothing of that repository is kept here."),
    ("unknown_type", "404: no such type of tracker is configured."),
    ("unknown_cursor", "404: the cursor belongs to another list."),
    ("absent", "404: the source says that there is no such thing."),
    ("method", "405: the path does not take that method."),
    ("too_large", "413, 431: the body, the head, or what is asked for, is too large."),
    ("media_type", "415: the body is not of the type that is wanted."),
    ("foreign_host", "421: the server does not answer to that host name."),
    ("fault", "500: a fault of the server's own."),
    ("store", "500: the store could not be read or written."),
    ("upstream_failed", "502: the source failed, and nothing is held."),
    (
        "limited",
        "503: the source's limit is reached, and nothing is held; Retry-After says when to come again.",
    ),
    ("interrupted", "503: the refresh was interrupted."),
    ("store_busy", "503: the store is busy or full, or cannot be written now."),
    ("store_unreachable", "503: the store cannot be asked, and memory does not hold this."),
    ("streams", "503: too many event streams are open."),
    ("stopping", "503: the server is stopping."),
    ("too_slow", "503: the answer took too long."),
    ("not_cached", "504: nothing that would do is held, and the request wants no fetch."),
];

/// The page from the document, behind the tag that names its colours.
fn render(document: &Value) -> String {
    let mut out = String::with_capacity(32 * 1024);
    let word = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let info = &document["info"];
    let _ = write!(
        out,
        "<head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{0} API</title><link rel=\"icon\" \
         href=\"{3}\" type=\"image/svg+xml\"><link rel=\"stylesheet\" href=\"{4}\"><link rel=\"stylesheet\" \
         href=\"/docs/style.css\"></head><body><a class=\"skip\" href=\"#main\">Skip to the content</a><header \
         class=\"top\"><div class=\"wide\"><a class=\"brand\" href=\"/\">Larder</a><nav aria-label=\"Pages\"><ul>\
         <li><a href=\"/\">Clusters</a></li><li><a href=\"/cache\">Cache</a></li><li><a href=\"/docs\" \
         aria-current=\"page\">API</a></li></ul></nav></div></header><main id=\"main\" class=\"wide docs\" \
         tabindex=\"-1\"><h1>{0} API {1}</h1><p>{2}</p><p>The same for programs: \
         <a href=\"/openapi.json\">/openapi.json</a></p>",
        word(&info["title"]),
        word(&info["version"]),
        prose(info["description"].as_str().unwrap_or_default()),
        ASSETS.icon,
        ASSETS.css,
    );
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            render_operation(&mut out, path, method, operation);
        }
    }
    out.push_str("<h2 id=\"problems\">Problems</h2><dl>");
    for (code, what) in PROBLEMS {
        let _ = write!(out, "<dt id=\"problem-{code}\"><code>{code}</code></dt><dd>{}</dd>", escaped(what));
    }
    out.push_str("</dl><h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        render_schema(&mut out, name, schema);
    }
    out.push_str("</main></body></html>");
    out
}

fn render_operation(out: &mut String, path: &str, method: &str, operation: &Value) {
    let summary = operation["summary"].as_str().or(operation["description"].as_str()).unwrap_or_default();
    let _ = write!(
        out,
        "<section><h2><span class=\"method\">{}</span> <code>{}</code></h2><p>{}</p>",
        escaped(&method.to_uppercase()),
        escaped(path),
        prose(summary)
    );
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        out.push_str("<table><thead><tr><th>Parameter</th><th>In</th><th>Meaning</th></tr></thead><tbody>");
        for parameter in parameters {
            let _ = write!(
                out,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escaped(parameter["name"].as_str().unwrap_or_default()),
                escaped(parameter["in"].as_str().unwrap_or_default()),
                prose(parameter["description"].as_str().unwrap_or_default())
            );
        }
        out.push_str("</tbody></table>");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ = write!(out, "<p>Body: {}</p>", type_of(body));
    }
    out.push_str("<table><thead><tr><th>Status</th><th>Meaning</th><th>Body</th></tr></thead><tbody>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let content = response["content"].as_object().and_then(|content| content.values().next());
        let refused = response["$ref"].is_string();
        let meaning = if refused { "why not" } else { response["description"].as_str().unwrap_or_default() };
        let body = if refused {
            "<a href=\"#schema-Problem\">Problem</a>".to_owned()
        } else {
            content.map(|content| type_of(&content["schema"])).unwrap_or_default()
        };
        let _ =
            write!(out, "<tr><td>{}</td><td>{}</td><td>{body}</td></tr>", escaped(status), prose(meaning));
    }
    out.push_str("</tbody></table></section>");
}

fn render_schema(out: &mut String, name: &str, schema: &Value) {
    let name = escaped(name);
    let described = prose(schema["description"].as_str().unwrap_or_default());
    let _ = write!(out, "<section><h3 id=\"schema-{name}\"><code>{name}</code></h3><p>{described}</p>");
    if let Some(properties) = schema["properties"].as_object() {
        out.push_str("<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>");
        for (field, property) in properties {
            let _ = write!(
                out,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escaped(field),
                type_of(property),
                prose(property["description"].as_str().unwrap_or_default())
            );
        }
        out.push_str("</tbody></table>");
    }
    out.push_str("</section>");
}

/// A schema's type in a few words, with links to what it refers to.
fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escaped(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(all) = schema[several].as_array() {
            return all.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(&schema["items"])),
        Value::String(name) => escaped(name),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            if names.contains(&"array") {
                format!("list of {}, or null", type_of(&schema["items"]))
            } else {
                escaped(&names.join(" or "))
            }
        }
        _ => "any".to_owned(),
    }
}

/// Escaped text with `code` marked as such.
fn prose(text: &str) -> String {
    let parts = escaped(text);
    let mut out = String::with_capacity(parts.len());
    for (place, part) in parts.split('`').enumerate() {
        if place % 2 == 1 {
            let _ = write!(out, "<code>{part}</code>");
        } else {
            out.push_str(part);
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
