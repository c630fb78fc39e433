//! `/clusters/{id}`: one cluster with all its repositories, page by page. `part=list` answers the part
//! that changes, shows what is held and causes no refresh.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::Key;
use serde::Deserialize;

use super::card::{Card, Extent, Picked, ROWS_MAX, Table};
use super::clusters::{Sees, count, find, not_searched, out_of_order, rows_of_missing};
use super::frame::{Frame, Here, Visit};
use super::message::{message, nothing_known};
use super::query::{Asks, Wished, address, start};
use super::sort::{SORTS, Sort};
use crate::app::App;
use crate::snapshot::{CLUSTER, Patience};

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    search: String,
    sort: String,
    /// How many rows to leave out.
    after: String,
    part: String,
}

impl Asks for Asked {
    fn check(&self) -> Result<(), String> {
        Sort::check(&self.sort)?;
        start(&self.after)
    }
}

#[derive(Template)]
#[template(path = "cluster.html")]
struct ClusterPage {
    frame: Frame,
    name: String,
    href: String,
    list: List,
    search: String,
    sort: Sort,
    sorts: &'static [Sort],
}

#[derive(Template)]
#[template(path = "cluster_list.html")]
struct List {
    name: String,
    card: Card,
    /// The cluster's page, without a search.
    href: String,
    /// What was searched for, where nothing was found.
    search: Option<String>,
    /// Where the list begins, where this is not its beginning.
    first: Option<String>,
    next: Option<String>,
    /// Whether it begins behind its end.
    is_behind: bool,
}

/// The page.
pub(crate) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: Result<Path<String>, PathRejection>,
    Wished(asked): Wished<Asked>,
) -> Response {
    let key = path.ok().and_then(|Path(id)| Key::new(CLUSTER, &[id]).ok());
    // Whoever may see all knows without the store which clusters there are.
    let is_out = Sees::of(&app, visit.viewer) == Sees::PublicInMemory;
    let Some(key) = key.filter(|key| app.cluster_keys().contains(key)) else {
        return nothing_known(&visit, is_out);
    };
    let is_part = asked.part == "list";
    let patience = if is_part { Patience::Look } else { Patience::Glance };
    let mut snapshot = app.snapshot(vec![key.clone()], visit.viewer, patience).await;
    if let Some(error) = out_of_order(&snapshot.clusters) {
        return message(&visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &[error]);
    }
    let rows = rows_of_missing(&app, &snapshot.clusters).await;
    if !is_part {
        count(&app, &snapshot.clusters, &rows);
    }
    // Of what a viewer may not see it is not told that it is configured.
    let Some(cluster) = snapshot.clusters.pop() else { return nothing_known(&visit, is_out) };
    let search = asked.search.trim();
    let found = match find(&app, vec![key.clone()], search).await {
        Ok(found) => found,
        Err(error) => return not_searched(&visit, &error),
    };
    let table = Table {
        app: &app,
        hidden: visit.hidden(),
        viewer: visit.viewer,
        now: snapshot.now,
        found,
        search: search.to_owned(),
        sort: Sort::parse(&asked.sort),
        refreshes: !is_part,
    };
    let picked = Picked::new(cluster, rows.get(&key).cloned(), &table);
    let list = lay_out(picked, &asked, &table);
    if is_part {
        return visit.page(StatusCode::OK, &list);
    }
    let mut frame = visit.frame(Here::Clusters, &list.name);
    frame.settling = list.card.is_settling();
    let (name, href) = (list.name.clone(), list.href.clone());
    let page = ClusterPage { frame, name, href, list, sort: table.sort, search: asked.search, sorts: &SORTS };
    visit.page(StatusCode::OK, &page)
}

/// One page of the repositories, with what leads to the others.
fn lay_out(picked: Picked, asked: &Asked, table: &Table<'_>) -> List {
    let href = format!("/clusters/{}", picked.cluster.key.name());
    let all = picked.shown.len();
    let start: usize = asked.after.parse().unwrap_or(0);
    let goes_on = all > start.saturating_add(ROWS_MAX);
    let after = |start: usize| {
        let after = if start == 0 { String::new() } else { start.to_string() };
        address(&href, &[("search", &table.search), ("sort", table.sort.asked()), ("after", &after)])
    };
    List {
        name: picked.cluster.name(),
        search: (all == 0 && table.found.is_some()).then(|| table.search.clone()),
        first: (start > 0 && all > 0).then(|| after(0)),
        next: goes_on.then(|| after(start + ROWS_MAX)),
        is_behind: start > 0 && all > 0 && start >= all,
        card: Card::new(picked, Extent::Behind(start), table),
        href,
    }
}
