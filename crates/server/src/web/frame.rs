//! What every page has in common: head, navigation, colours, form tokens, a message, its headers.

use std::fmt;

use askama::Template;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use larder_core::Time;

use super::assets::{ASSETS, Assets};
use super::told::Told;
use super::words::Stamp;
use crate::access::{Viewer, cookie};
use crate::answer::{accepts_gzip, gzipped};
use crate::app::App;
use crate::csrf::{CSRF_FIELD, Csrf};
use crate::folders::PROJECTS_SOURCE;

/// The cookie that remembers the colours. The script writes it too, so it is not `HttpOnly`.
pub(crate) const THEME_COOKIE: &str = "larder_theme";

/// Smaller pages gain nothing from being compressed.
const GZIP_BYTES_MIN: usize = 1024;

/// Where forms are sent to: no pages to come back to.
const FORMS_AT: [&str; 4] = ["/actions", "/sign-out", "/theme", "/demo"];

/// Which colours a visitor wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the system has it.
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// Reads its word; any other is as good as none.
    pub(crate) fn parse(word: &str) -> Self {
        match word {
            "light" => Theme::Light,
            "dark" => Theme::Dark,
            _ => Theme::Auto,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Theme::Auto => "auto",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Theme::Auto => "Auto",
            Theme::Light => "Light",
            Theme::Dark => "Dark",
        }
    }

    pub(crate) fn next(self) -> Self {
        match self {
            Theme::Auto => Theme::Light,
            Theme::Light => Theme::Dark,
            Theme::Dark => Theme::Auto,
        }
    }

    pub(crate) fn attribute(self) -> Option<&'static str> {
        (self != Theme::Auto).then(|| self.word())
    }
}

/// Which page this is, for the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Clusters,
    Projects,
    Trackers,
    Cache,
    Elsewhere,
}

/// A page that the navigation names where there is anything to show on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) here: Here,
    pub(crate) href: &'static str,
    pub(crate) label: &'static str,
}

fn pages(app: &App) -> Vec<Page> {
    let projects = Page { here: Here::Projects, href: "/projects", label: "Projects" };
    let has_projects = !app.engine.indexes_of(PROJECTS_SOURCE).is_empty() || !app.markets().is_empty();
    let trackers = Page { here: Here::Trackers, href: "/trackers", label: "Trackers" };
    let has_trackers = !app.tracker_keys().is_empty();
    [(has_projects, projects), (has_trackers, trackers)]
        .into_iter()
        .filter_map(|(has, page)| has.then_some(page))
        .collect()
}

/// One visit of a page: who asks, from where, with which form token. An extractor.
pub(crate) struct Visit {
    pub(crate) viewer: Viewer,
    pub(crate) csrf: Csrf,
    now: Time,
    theme: Theme,
    told: Option<Told>,
    /// The address that a form comes back to.
    back: String,
    /// The page of ours that led here; the first one where none did.
    pub(super) came_from: String,
    can_leave: bool,
    can_enter: bool,
    takes_gzip: bool,
    /// Since when the store is out of reach.
    out_since: Option<Stamp>,
    pages: Vec<Page>,
}

impl FromRequestParts<App> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let viewer = app.viewer(&parts.headers, &parts.extensions);
        let csrf = match Csrf::from_request_parts(parts, app).await {
            Ok(csrf) => csrf,
            Err(never) => match never {},
        };
        let came_from = came_from(&parts.headers);
        // Where a form is sent to there is nothing to come back to.
        let is_read = parts.method.is_safe();
        Ok(Visit {
            viewer,
            csrf,
            now: app.now(),
            theme: theme(&parts.headers),
            told: Told::of(parts.uri.query().unwrap_or_default()),
            back: if is_read { back(&parts.uri) } else { came_from.clone() },
            came_from,
            can_leave: app.has_session(&parts.headers),
            can_enter: app.may_gain(viewer),
            takes_gzip: accepts_gzip(&parts.headers),
            pages: pages(app),
            out_since: app.engine.out_of_reach().map(|out| Stamp::new(out.since, app.now())),
        })
    }
}

/// The colours that a visitor wants.
pub(crate) fn theme(headers: &HeaderMap) -> Theme {
    cookie(headers, THEME_COOKIE).map_or(Theme::Auto, Theme::parse)
}

/// The page of ours that a request comes from, as a browser tells it.
fn came_from(headers: &HeaderMap) -> String {
    let said = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let page = said(header::REFERER).and_then(|page| page.parse::<Uri>().ok());
    let is_ours = |page: &Uri| page.authority().map(axum::http::uri::Authority::as_str) == said(header::HOST);
    let takes_forms = |page: &Uri| {
        FORMS_AT.iter().any(|start| page.path().starts_with(start)) || page.path().starts_with("//")
    };
    page.filter(|page| is_ours(page) && !takes_forms(page)).map_or_else(|| "/".to_owned(), |page| back(&page))
}

/// The page's own address, without what is said once or asked by the script alone.
fn back(uri: &Uri) -> String {
    let is_kept =
        |pair: &&str| !["told=", "count=", "part=", "key="].iter().any(|name| pair.starts_with(name));
    let query: Vec<&str> =
        uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).filter(is_kept).collect();
    if query.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), query.join("&")) }
}

impl Visit {
    /// The hidden fields of a form.
    pub(crate) fn hidden(&self) -> Hidden {
        Hidden { csrf: self.csrf.token().to_owned(), back: self.back.clone() }
    }

    /// The hidden fields of a form that comes back to another page.
    pub(super) fn hidden_for(&self, back: &str) -> Hidden {
        Hidden { back: back.to_owned(), ..self.hidden() }
    }

    /// What the layout needs to know.
    pub(crate) fn frame(&self, here: Here, title: &str) -> Frame {
        Frame {
            title: title.to_owned(),
            now: self.now,
            here,
            theme: self.theme,
            assets: &ASSETS,
            told: self.told,
            settling: false,
            out_since: self.out_since.clone(),
            pages: self.pages.clone(),
            can_leave: self.can_leave,
            can_enter: self.can_enter,
            version: env!("CARGO_PKG_VERSION"),
            hidden: self.hidden(),
        }
    }

    /// A page, with its headers.
    pub(crate) fn page(&self, status: StatusCode, page: &impl Template) -> Response {
        let text = match page.render() {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, "a page could not be made");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        let gzip = self.takes_gzip && text.len() >= GZIP_BYTES_MIN;
        let body = if gzip { Body::from(gzipped(text.as_bytes())) } else { Body::from(text) };
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, "text/html; charset=utf-8");
        set(header::CACHE_CONTROL, "private, no-cache");
        set(header::VARY, "Accept-Encoding, Authorization, Cookie");
        // With `no-referrer`, browsers send `Origin: null` with our own forms, and they are refused.
        set(header::REFERRER_POLICY, "same-origin");
        if gzip {
            set(header::CONTENT_ENCODING, "gzip");
        }
        if let Some(cookie) = self.csrf.set_cookie() {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        response
    }
}

/// What the layout shows around a page.
pub(crate) struct Frame {
    pub(crate) title: String,
    /// The server's time, by which the script tells ages.
    pub(crate) now: Time,
    pub(crate) here: Here,
    pub(crate) theme: Theme,
    pub(crate) assets: &'static Assets,
    pub(crate) told: Option<Told>,
    /// Whether something is under way, so that a page without JavaScript offers to look again.
    pub(crate) settling: bool,
    /// Since when the store is out of reach, so that what is shown is what memory holds.
    pub(crate) out_since: Option<Stamp>,
    /// The pages of what is configured besides the clusters.
    pub(crate) pages: Vec<Page>,
    pub(crate) can_leave: bool,
    pub(crate) can_enter: bool,
    pub(crate) version: &'static str,
    hidden: Hidden,
}

impl Frame {
    pub(crate) fn hidden(&self) -> &Hidden {
        &self.hidden
    }
}

/// A form's hidden fields, as HTML.
#[derive(Debug, Clone)]
pub(crate) struct Hidden {
    csrf: String,
    back: String,
}

impl Hidden {
    /// The address that the form comes back to.
    pub(crate) fn back(&self) -> &str {
        &self.back
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let back = escaped(&self.back);
        write!(
            f,
            r#"<input type="hidden" name="{CSRF_FIELD}" value="{}"><input type="hidden" name="back" value="{back}">"#,
            self.csrf
        )
    }
}

/// The text as HTML, in an attribute's value too.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
