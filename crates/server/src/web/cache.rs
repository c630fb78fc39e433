//! `/cache`: what is held and in which state, what may still be asked upstream, how often readers
//! waited, and the last refreshes. `part=list` answers the part that changes.

use askama::Template;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::{Key, RefreshState, StoreError, Time};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::cache_list::{COLUMNS, Order, Stretch, is_place};
use super::demo::Panel;
use super::figures::{BudgetFigure, Pause, RateFigure, StoreFigure, budgets};
use super::frame::{Frame, Here, Hidden, Visit};
use super::log::LogRow;
use super::message::message;
use super::query::{Asks, Wished, order, word};
use super::words::{Badge, Prose, Stamp, State, counted, exact, why};
use crate::api::{EntryCounts, EntryView};
use crate::app::App;
use crate::damage::is_of_damage;

/// So many of the last refreshes are shown.
const LOG_MAX: usize = 20;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    /// A part of the key.
    search: String,
    pub(super) show: String,
    pub(super) sort: String,
    /// The place behind which the page begins.
    pub(super) after: String,
    part: String,
}

impl Asks for Asked {
    fn check(&self) -> Result<(), String> {
        word("show", &self.show, &["all", "fresh", "stale", "failing", "missing"])?;
        order(&self.sort, COLUMNS.iter().map(|(name, ..)| *name))?;
        if self.after.is_empty() || is_place(&self.after) {
            return Ok(());
        }
        Err(format!("`after` is the key of an entry, not `{}`.", self.after))
    }
}

impl Asked {
    /// What keys must have in them.
    pub(super) fn find(&self) -> &str {
        self.search.trim()
    }
}

#[derive(Template)]
#[template(path = "cache.html")]
struct CachePage {
    frame: Frame,
    demo: Option<Panel>,
    body: Body,
    search: String,
    show: String,
    sort: String,
}

#[derive(Template)]
#[template(path = "cache_body.html")]
struct Body {
    sum: String,
    hidden: Hidden,
    may_act: bool,
    hits: Option<RateFigure>,
    budgets: Vec<BudgetFigure>,
    pauses: Vec<Pause>,
    store: StoreFigure,
    tabs: Vec<Tab>,
    is_filtered: bool,
    columns: Vec<Column>,
    entries: Vec<Row>,
    next: Option<String>,
    /// Where the list begins, where this is behind its end.
    first: Option<String>,
    log: Vec<LogRow>,
}

struct Tab {
    label: &'static str,
    count: u64,
    href: String,
    is_here: bool,
}

struct Column {
    label: &'static str,
    is_number: bool,
    href: Option<String>,
    sorted: Option<&'static str>,
}

impl Column {
    fn arrow(&self) -> Option<&'static str> {
        self.sorted.map(|way| if way == "ascending" { "↑" } else { "↓" })
    }
}

/// One entry, as shown.
struct Row {
    key: Key,
    badge: Badge,
    is_configured: bool,
    why: Option<Prose>,
    items: String,
    fetched: Option<Stamp>,
    fresh_until: Option<Stamp>,
    attempts: u32,
    next: Option<Stamp>,
    can_replay: bool,
}

/// The page.
pub(crate) async fn show(Extract(app): Extract<App>, visit: Visit, Wished(asked): Wished<Asked>) -> Response {
    let body = match gather(&app, &visit, &asked).await {
        Ok(body) => body,
        Err(error) => {
            tracing::debug!(%error, "the cache's page could not be made");
            let lines = ["What is held is safe; try again in a moment.".to_owned()];
            return message(&visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &lines);
        }
    };
    if asked.part == "list" {
        return visit.page(StatusCode::OK, &body);
    }
    let mut frame = visit.frame(Here::Cache, "Cache");
    frame.settling = body.entries.iter().any(|row| row.badge.class == "updating");
    visit.page(
        StatusCode::OK,
        &CachePage {
            frame,
            demo: Panel::of(&app, &visit),
            body,
            search: asked.search,
            show: asked.show,
            sort: asked.sort,
        },
    )
}

async fn gather(app: &App, visit: &Visit, asked: &Asked) -> Result<Body, StoreError> {
    let now = app.now();
    let Stretch { entries, next, counts } = Stretch::of(app, visit.viewer, asked).await?;
    let (budgets, pauses) = budgets(&app.allowances(visit.viewer).await?, visit.viewer, now);
    let info = app.store.info().await?;
    let store = StoreFigure::new(&info, counts.total, visit.viewer);
    let log = app.recent(visit.viewer, LOG_MAX).await?;
    let tabs = tabs(asked, &counts);
    Ok(Body {
        sum: sum(&tabs),
        hidden: visit.hidden(),
        may_act: visit.viewer.may_admin,
        hits: RateFigure::new(&app.metrics.reads()),
        budgets,
        pauses,
        store,
        tabs,
        is_filtered: !matches!(asked.show.as_str(), "" | "all") || !asked.find().is_empty(),
        columns: columns(asked),
        next: next.map(|after| href(asked, &asked.show, &asked.sort, &after)),
        first: (entries.is_empty() && !asked.after.is_empty())
            .then(|| href(asked, &asked.show, &asked.sort, "")),
        entries: entries.iter().map(|(view, items)| Row::new(app, view, *items, now)).collect(),
        log: log.iter().map(|line| LogRow::new(line, now)).collect(),
    })
}

/// What may be shown alone: the words of the badges, the worst together.
fn tabs(asked: &Asked, counts: &EntryCounts) -> Vec<Tab> {
    let EntryCounts { total, fresh, stale, missing, retrying, dead, .. } = *counts;
    let all = [
        ("all", "All", total),
        ("fresh", "Fresh", fresh),
        ("stale", "Stale", stale),
        ("failing", "Failing", retrying + dead),
        ("missing", "Missing", missing),
    ];
    let tab = |(word, label, count)| Tab {
        label,
        count,
        href: href(asked, word, &asked.sort, ""),
        is_here: word == asked.show || (asked.show.is_empty() && word == "all"),
    };
    all.map(tab).into()
}

/// `12 entries · 11 fresh · 1 stale`.
fn sum(tabs: &[Tab]) -> String {
    let words = tabs.iter().filter(|tab| tab.count > 0 || tab.label == "All").map(|tab| match tab.label {
        "All" => counted(tab.count, "entry", "entries"),
        label => format!("{} {}", exact(tab.count), label.to_lowercase()),
    });
    words.collect::<Vec<_>>().join(" · ")
}

impl Row {
    fn new(app: &App, view: &EntryView, items: Option<u64>, now: Time) -> Self {
        let is_damaged = view.last_error.as_ref().is_some_and(is_of_damage);
        let waits = !is_damaged && matches!(view.refresh, RefreshState::Retrying | RefreshState::Dead);
        Row {
            badge: Badge::new(state(view), now).without_age(),
            is_configured: app.engine.define(&view.key).is_some(),
            why: view.last_error.as_ref().map(|failure| Prose::new(&why(failure, &view.key))),
            items: items.map_or_else(|| "–".to_owned(), exact),
            fetched: view.fetched_at.map(|at| Stamp::new(at, now)),
            fresh_until: view.fresh_until.map(|at| Stamp::new(at, now)),
            attempts: view.attempts,
            next: waits.then(|| Stamp::due(view.due_at, now)),
            can_replay: waits,
            key: view.key.clone(),
        }
    }
}

fn state(view: &EntryView) -> State {
    State { status: view.status, refresh: view.refresh, complete: view.complete, fetched_at: view.fetched_at }
}

fn columns(asked: &Asked) -> Vec<Column> {
    let here = Order::parse(&asked.sort);
    let column = |(name, label, greatest_first, is_number): &(&'static str, &'static str, bool, bool)| {
        let is_here = *name == here.column;
        let descends = *greatest_first != here.is_turned;
        let next = if is_here && !here.is_turned { format!("-{name}") } else { (*name).to_owned() };
        Column {
            label,
            is_number: *is_number,
            href: (!name.is_empty()).then(|| href(asked, &asked.show, &next, "")),
            sorted: is_here.then_some(if descends { "descending" } else { "ascending" }),
        }
    };
    COLUMNS.iter().map(column).collect()
}

fn href(asked: &Asked, show: &str, sort: &str, after: &str) -> String {
    let mut pairs = Vec::new();
    let find = ("search", asked.find(), "");
    for (name, value, usual) in [find, ("show", show, "all"), ("sort", sort, "key"), ("after", after, "")] {
        if !value.is_empty() && value != usual {
            let sign = if value.starts_with('-') { "-" } else { "" };
            let rest = utf8_percent_encode(&value[sign.len()..], NON_ALPHANUMERIC);
            pairs.push(format!("{name}={sign}{rest}"));
        }
    }
    if pairs.is_empty() { "/cache".to_owned() } else { format!("/cache?{}", pairs.join("&")) }
}
