//! `/cache`: what is held and in which state, what may still be asked upstream, how often readers
//! waited, and the last refreshes. `part=list` answers the part that changes.

use std::cmp::Reverse;
use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::{Key, RefreshState, Status, StoreError, Time};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::demo::Panel;
use super::figures::{BudgetFigure, Pause, RateFigure, StoreFigure, budgets};
use super::frame::{Frame, Here, Hidden, Visit};
use super::log::LogRow;
use super::message::message;
use super::words::{Badge, Prose, Stamp, State, counted, exact, why};
use crate::api::EntryView;
use crate::app::App;

/// So many entries are on a page.
const ROWS_MAX: usize = 100;
/// So many of the last refreshes are shown.
const LOG_MAX: usize = 20;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    show: String,
    sort: String,
    /// The key behind which the page begins.
    after: String,
    part: String,
}

#[derive(Template)]
#[template(path = "cache.html")]
struct CachePage {
    frame: Frame,
    demo: Option<Panel>,
    body: Body,
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
    log: Vec<LogRow>,
}

struct Tab {
    label: &'static str,
    count: usize,
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
pub(crate) async fn show(Extract(app): Extract<App>, visit: Visit, Query(asked): Query<Asked>) -> Response {
    let body = match gather(&app, &visit, &asked).await {
        Ok(body) => body,
        Err(error) => {
            tracing::warn!(%error, "the cache's page could not be made");
            let lines = ["What is held is safe; try again in a moment.".to_owned()];
            return message(&visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &lines);
        }
    };
    if asked.part == "list" {
        return visit.page(StatusCode::OK, &body);
    }
    let mut frame = visit.frame(Here::Cache, "Cache");
    frame.settling = body.entries.iter().any(|row| row.badge.class == "updating");
    visit.page(StatusCode::OK, &CachePage { frame, demo: Panel::of(&app, &visit), body })
}

async fn gather(app: &App, visit: &Visit, asked: &Asked) -> Result<Body, StoreError> {
    let now = app.now();
    let views = app.entries(visit.viewer).await?;
    let items = items(app, visit).await?;
    let (budgets, pauses) = budgets(&app.allowances(visit.viewer).await?, now);
    let info = app.store.info().await?;
    let store = StoreFigure::new(&info, views.len() as u64, visit.viewer);
    let log = app.recent(visit.viewer, LOG_MAX).await?;
    let tabs = TABS.iter().map(|(word, label)| Tab {
        label,
        count: views.iter().filter(|view| is_shown(view, word)).count(),
        href: href(word, &asked.sort, ""),
        is_here: *word == asked.show || (asked.show.is_empty() && *word == "all"),
    });
    let tabs: Vec<Tab> = tabs.collect();
    let mut shown: Vec<&EntryView> = views.iter().filter(|view| is_shown(view, &asked.show)).collect();
    order(&mut shown, &asked.sort, &items, now);
    let start = match asked.after.as_str() {
        "" => 0,
        after => shown.iter().position(|view| view.key.as_str() == after).map_or(0, |place| place + 1),
    };
    let on_page: Vec<&EntryView> = shown.iter().skip(start).take(ROWS_MAX).copied().collect();
    let last = on_page.last().filter(|_| start + on_page.len() < shown.len());
    Ok(Body {
        sum: sum(&tabs),
        hidden: visit.hidden(),
        may_act: visit.viewer.may_admin,
        hits: RateFigure::new(&app.metrics.reads()),
        budgets,
        pauses,
        store,
        tabs,
        is_filtered: !matches!(asked.show.as_str(), "" | "all"),
        columns: columns(asked),
        next: last.map(|last| href(&asked.show, &asked.sort, last.key.as_str())),
        entries: on_page.into_iter().map(|view| Row::new(app, view, items.get(&view.key), now)).collect(),
        log: log.iter().map(|line| LogRow::new(line, now)).collect(),
    })
}

/// `12 entries · 11 fresh · 1 stale`.
fn sum(tabs: &[Tab]) -> String {
    let words = tabs.iter().filter(|tab| tab.count > 0).map(|tab| match tab.label {
        "All" => counted(tab.count as u64, "entry", "entries"),
        label => format!("{} {}", tab.count, label.to_lowercase()),
    });
    words.collect::<Vec<_>>().join(" · ")
}

/// How many items each entry shows. Told only to those who may see all of them.
async fn items(app: &App, visit: &Visit) -> Result<HashMap<Key, u64>, StoreError> {
    if !visit.viewer.may_read_private {
        return Ok(HashMap::new());
    }
    let heads = app.store.heads(None).await?;
    Ok(heads.into_iter().map(|head| (head.entry.key, head.shown)).collect())
}

impl Row {
    fn new(app: &App, view: &EntryView, items: Option<&u64>, now: Time) -> Self {
        let waits = matches!(view.refresh, RefreshState::Retrying | RefreshState::Dead);
        Row {
            badge: Badge::new(state(view), now).without_age(),
            is_configured: app.engine.define(&view.key).is_some(),
            why: view.last_error.as_ref().map(|failure| Prose::new(&why(failure, &view.key))),
            items: items.map_or_else(|| "–".to_owned(), |items| exact(*items)),
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

/// What may be shown alone: the words of the badges, the worst together.
const TABS: [(&str, &str); 5] =
    [("all", "All"), ("fresh", "Fresh"), ("stale", "Stale"), ("failing", "Failing"), ("missing", "Missing")];

fn is_shown(view: &EntryView, word: &str) -> bool {
    match word {
        "fresh" => view.status == Status::Fresh,
        "stale" => view.status == Status::Stale,
        "failing" => matches!(view.refresh, RefreshState::Retrying | RefreshState::Dead),
        "missing" => view.status == Status::Missing,
        _ => true,
    }
}

/// The columns that a list can be ordered by, and whether the greatest comes first.
const COLUMNS: [(&str, &str, bool, bool); 7] = [
    ("key", "Key", false, false),
    ("state", "State", true, false),
    ("items", "Items", true, true),
    ("age", "Age", true, false),
    ("until", "Fresh until", false, false),
    ("attempts", "Attempts", true, true),
    ("", "Next try", false, false),
];

fn columns(asked: &Asked) -> Vec<Column> {
    let (word, is_turned) = sorting(&asked.sort);
    let column = |(name, label, greatest_first, is_number): &(&'static str, &'static str, bool, bool)| {
        let is_here = *name == word && !name.is_empty();
        let descends = *greatest_first != is_turned;
        let next = if is_here && !is_turned { format!("-{name}") } else { (*name).to_owned() };
        Column {
            label,
            is_number: *is_number,
            href: (!name.is_empty()).then(|| href(&asked.show, &next, "")),
            sorted: is_here.then_some(if descends { "descending" } else { "ascending" }),
        }
    };
    COLUMNS.iter().map(column).collect()
}

/// The column of an order, and whether it is turned around: `-age`.
fn sorting(sort: &str) -> (&str, bool) {
    let (word, is_turned) = sort.strip_prefix('-').map_or((sort, false), |word| (word, true));
    let is_known = COLUMNS.iter().any(|(name, ..)| *name == word && !name.is_empty());
    if is_known { (word, is_turned) } else { ("key", false) }
}

fn order(views: &mut [&EntryView], sort: &str, items: &HashMap<Key, u64>, now: Time) {
    let (word, is_turned) = sorting(sort);
    let age = |view: &EntryView| view.fetched_at.map(|at| now.since(at));
    match word {
        "state" => views.sort_by_key(|view| Reverse(badness(view))),
        "items" => views.sort_by_key(|view| Reverse(items.get(&view.key).copied())),
        "age" => views.sort_by_key(|view| Reverse(age(view))),
        "until" => views.sort_by_key(|view| view.fresh_until),
        "attempts" => views.sort_by_key(|view| Reverse(view.attempts)),
        _ => views.sort_by(|a, b| a.key.cmp(&b.key)),
    }
    if is_turned {
        views.reverse();
    }
}

fn badness(view: &EntryView) -> u8 {
    match (view.refresh, view.status) {
        (RefreshState::Dead, _) => 5,
        (RefreshState::Retrying, _) => 4,
        (_, Status::Missing) => 3,
        (_, Status::Stale) => 2,
        (RefreshState::Running, Status::Fresh) => 1,
        (RefreshState::Idle, Status::Fresh) => 0,
    }
}

fn href(show: &str, sort: &str, after: &str) -> String {
    let mut pairs = Vec::new();
    for (name, value, usual) in [("show", show, "all"), ("sort", sort, "key"), ("after", after, "")] {
        if !value.is_empty() && value != usual {
            let sign = if value.starts_with('-') { "-" } else { "" };
            let rest = utf8_percent_encode(&value[sign.len()..], NON_ALPHANUMERIC);
            pairs.push(format!("{name}={sign}{rest}"));
        }
    }
    if pairs.is_empty() { "/cache".to_owned() } else { format!("/cache?{}", pairs.join("&")) }
}
