//! The demo's panel, on the demo's pages alone: switches that break the simulated GitHub, and what
//! it was asked. Who runs the demo knows the simulator and implements [`DemoControl`]; without one
//! there is no panel, and its addresses do not exist.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use larder_core::Time;
use serde::{Deserialize, Serialize};

use super::actions::{Said, back_to, expired, json, wants_json};
use super::form::Sent;
use super::frame::{Hidden, Visit};
use super::message::nothing_here;
use super::words::counted;
use crate::app::App;
use crate::problem::Problem;

/// So many of the last requests are shown.
const LINES_MAX: usize = 60;

/// What the demo's GitHub does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoMode {
    /// It answers.
    On,
    /// It is down.
    Off,
    /// It answers after seconds.
    Slow,
    /// It refuses for its rate limit.
    RateLimited,
    /// It fails now and then.
    Flaky,
}

/// A request that the demo's GitHub was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoRequest {
    /// When it arrived.
    pub at: Time,
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// What it was answered with; `None` = not (yet).
    pub status: Option<u16>,
    /// How many repositories it asked for by name.
    pub repositories: u64,
    /// Points it cost.
    pub cost: u64,
}

/// The demo's GitHub, as its panel turns and reads it.
pub trait DemoControl: Send + Sync {
    /// How it is switched.
    fn mode(&self) -> DemoMode;

    /// Switches it.
    fn switch(&self, mode: DemoMode);

    /// The last requests, oldest first, at most `limit`.
    fn requests(&self, limit: usize) -> Vec<DemoRequest>;

    /// Where the demo's local projects lie, if it has any.
    fn folder(&self) -> Option<PathBuf> {
        None
    }

    /// Changes a file of a local project; says in a sentence which, and how.
    fn change_file(&self) -> std::io::Result<String> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// A [`DemoControl`] as part of the settings.
#[derive(Clone)]
pub struct Demo(Arc<dyn DemoControl>);

impl Demo {
    /// A panel for this GitHub.
    pub fn new(control: Arc<dyn DemoControl>) -> Self {
        Demo(control)
    }
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Demo").field(&self.0.mode()).finish()
    }
}

const MODES: [(DemoMode, &str, &str); 5] = [
    (DemoMode::On, "on", "On"),
    (DemoMode::Off, "off", "Off"),
    (DemoMode::Slow, "slow", "Slow"),
    (DemoMode::RateLimited, "limited", "Rate-limited"),
    (DemoMode::Flaky, "flaky", "Flaky"),
];

impl DemoMode {
    fn word(self) -> &'static str {
        MODES.iter().find(|(mode, ..)| *mode == self).map_or("", |(_, word, _)| word)
    }

    fn label(self) -> &'static str {
        MODES.iter().find(|(mode, ..)| *mode == self).map_or("", |(.., label)| label)
    }

    fn is_fault(self) -> bool {
        self != DemoMode::On
    }

    fn says(self) -> &'static str {
        match self {
            DemoMode::On => "GitHub answers. What failed before is tried again when its wait is over.",
            DemoMode::Off => "GitHub is down: every connection closes without an answer.",
            DemoMode::Slow => "GitHub takes seconds for each answer; readers do not wait for it.",
            DemoMode::RateLimited => {
                "GitHub refuses for its rate limit; nothing is sent until the limit ends."
            }
            DemoMode::Flaky => "GitHub fails every now and then; what fails is tried again later.",
        }
    }
}

/// The panel, as part of a page.
#[derive(Template)]
#[template(path = "demo.html")]
pub(crate) struct Panel {
    hidden: Hidden,
    modes: Vec<(DemoMode, bool)>,
    says: &'static str,
    lines: Vec<Line>,
}

/// One request, as shown.
#[derive(Debug, Serialize)]
struct Line {
    when: String,
    status: String,
    what: String,
    cost: String,
    is_bad: bool,
}

/// The panel as the script asks for it.
#[derive(Debug, Serialize)]
struct Live {
    mode: &'static str,
    says: &'static str,
    /// Differs when the lines do.
    mark: String,
    lines: Vec<Line>,
}

impl Panel {
    /// The panel of a demo's page, for those who may turn it.
    pub(crate) fn of(app: &App, visit: &Visit) -> Option<Self> {
        let Demo(control) = app.settings.demo.as_ref().filter(|_| visit.viewer.may_admin)?;
        let now = control.mode();
        Some(Panel {
            hidden: visit.hidden(),
            modes: MODES.iter().map(|(mode, ..)| (*mode, *mode == now)).collect(),
            says: now.says(),
            lines: lines(&**control),
        })
    }
}

fn lines(control: &dyn DemoControl) -> Vec<Line> {
    control.requests(LINES_MAX).iter().rev().map(Line::new).collect()
}

impl Line {
    fn new(request: &DemoRequest) -> Self {
        let at = request.at.to_string();
        let about = match request.repositories {
            0 => String::new(),
            many => format!(", {}", counted(many, "repository", "repositories")),
        };
        Line {
            when: at.get(11..19).unwrap_or_default().to_owned(),
            status: request.status.map_or_else(|| "–".to_owned(), |status| status.to_string()),
            what: format!("{} {}{about}", request.method, request.path),
            cost: counted(request.cost, "point", "points"),
            is_bad: request.status.is_none_or(|status| status >= 400),
        }
    }
}

/// The panel of the demo's projects, as part of their page.
#[derive(Template)]
#[template(path = "demo_files.html")]
pub(crate) struct FilesPanel {
    hidden: Hidden,
    folder: String,
}

impl FilesPanel {
    /// The panel of a demo that has projects, for those who may change them.
    pub(crate) fn of(app: &App, visit: &Visit) -> Option<Self> {
        let Demo(control) = app.settings.demo.as_ref().filter(|_| visit.viewer.may_admin)?;
        Some(FilesPanel { hidden: visit.hidden(), folder: control.folder()?.display().to_string() })
    }
}

/// What the form of the demo's projects holds.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    back: String,
}

/// `POST /demo/change`.
pub(crate) async fn change(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Sent(form): Sent<Change>,
) -> Response {
    let demo = app.settings.demo.clone().filter(|_| visit.viewer.may_admin);
    let Some(Demo(control)) = demo.filter(|Demo(control)| control.folder().is_some()) else {
        return nothing_here(&visit);
    };
    if !visit.csrf.accepts(&form.csrf) {
        return expired(&visit, &headers, &form.back);
    }
    let changed = tokio::task::spawn_blocking(move || control.change_file()).await;
    if !wants_json(&headers) {
        return Redirect::to(&back_to(&form.back)).into_response();
    }
    match changed.map_err(std::io::Error::other).flatten() {
        Ok(message) => json(StatusCode::OK, &Said::new(message, false)),
        Err(error) => {
            tracing::warn!(%error, "the demo's projects could not be changed");
            json(
                StatusCode::OK,
                &Said::new("The file could not be changed: is the folder still there?", true),
            )
        }
    }
}

/// What the panel's form holds.
#[derive(Debug, Deserialize)]
pub(crate) struct Switch {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    back: String,
    mode: String,
}

/// `POST /demo/switch`.
pub(crate) async fn switch(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Sent(form): Sent<Switch>,
) -> Response {
    let Some(Demo(control)) = app.settings.demo.as_ref().filter(|_| visit.viewer.may_admin) else {
        return nothing_here(&visit);
    };
    if !visit.csrf.accepts(&form.csrf) {
        return expired(&visit, &headers, &form.back);
    }
    let Some((mode, ..)) = MODES.iter().find(|(_, word, _)| *word == form.mode) else {
        return Problem::bad(format!("`{}` is no switch of the demo", form.mode)).into_response();
    };
    control.switch(*mode);
    if wants_json(&headers) {
        return live(&**control);
    }
    Redirect::to(&back_to(&form.back)).into_response()
}

/// `GET /demo/requests`.
pub(crate) async fn requests(State(app): State<App>, visit: Visit) -> Response {
    match app.settings.demo.as_ref().filter(|_| visit.viewer.may_admin) {
        Some(Demo(control)) => live(&**control),
        None => nothing_here(&visit),
    }
}

fn live(control: &dyn DemoControl) -> Response {
    let mode = control.mode();
    let lines = lines(control);
    let mark = blake3::hash(format!("{lines:?}").as_bytes()).to_hex()[..16].to_owned();
    let text = serde_json::to_string(&Live { mode: mode.word(), says: mode.says(), mark, lines });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, no-store")];
    (StatusCode::OK, headers, text.unwrap_or_default()).into_response()
}
