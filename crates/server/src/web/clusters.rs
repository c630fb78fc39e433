//! `/`: the clusters as cards. The same address answers parts of itself to the script: `part=list`
//! and `part=card&key=…`, which show what is held and cause no refresh.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::{Entry, Key, ListQuery, Status, StoreError};
use larder_domain::REPOSITORIES;
use larder_engine::ReadError;
use serde::Deserialize;

use super::card::{Card, Extent, Picked, Table};
use super::demo::Panel;
use super::frame::{Frame, Here, Visit};
use super::message::{message, nothing_known};
use super::query::{Asks, Wished, address};
use super::sort::{SORTS, Sort};
use super::words::{counted, sentence};
use crate::access::Viewer;
use crate::answer::Came;
use crate::app::App;
use crate::snapshot::{ClusterReading, Patience};

/// So many cards are on a page.
const CARDS_MAX: usize = 24;
/// So many repositories a search finds at the most.
const FOUND_MAX: usize = 5_000;
/// So long a search may be, in bytes.
const SEARCH_BYTES_MAX: usize = 400;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    search: String,
    sort: String,
    /// The id of the cluster behind which the page begins.
    after: String,
    part: String,
    key: String,
}

impl Asks for Asked {
    fn check(&self) -> Result<(), String> {
        Sort::check(&self.sort)
    }
}

#[derive(Template)]
#[template(path = "clusters.html")]
struct ClustersPage {
    frame: Frame,
    demo: Option<Panel>,
    list: List,
    search: String,
    sort: Sort,
    sorts: &'static [Sort],
}

#[derive(Template)]
#[template(path = "cards.html")]
struct List {
    cards: Vec<Card>,
    search: Option<String>,
    /// How many there are, on all pages.
    count_words: String,
    /// What is wrong with those on this one.
    states: String,
    next: Option<String>,
    /// Where the list begins, where this is behind its end, or behind a cluster that is not in it any more.
    first: Option<String>,
    sees: Sees,
}

/// How much of what is held a viewer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sees {
    All,
    /// What is public.
    Public,
    /// What of that is in memory: the store is out of reach, and only what is held says whether it is public.
    PublicInMemory,
}

#[derive(Template)]
#[template(path = "first_run.html")]
struct FirstRun {
    frame: Frame,
    demo: Option<Panel>,
}

/// The page.
pub(crate) async fn show(State(app): State<App>, visit: Visit, Wished(asked): Wished<Asked>) -> Response {
    let is_part = matches!(asked.part.as_str(), "list" | "card");
    if app.engine.keys_of("cluster").is_empty() && !is_part {
        let mut frame = visit.frame(Here::Clusters, "Nothing is configured yet");
        if !frame.pages.is_empty() {
            "No clusters are configured".clone_into(&mut frame.title);
        }
        return visit.page(StatusCode::OK, &FirstRun { frame, demo: Panel::of(&app, &visit) });
    }
    let patience = if is_part { Patience::Look } else { Patience::Glance };
    let is_wanted = |key: &Key| asked.part != "card" || key.as_str() == asked.key;
    let keys: Vec<Key> = app.cluster_keys().into_iter().filter(is_wanted).collect();
    let snapshot = app.snapshot(keys.clone(), visit.viewer, patience).await;
    // The only one may be damaged, which its card says.
    if let Some(error) = out_of_order(&snapshot.clusters).filter(|_| !is_any_damaged(&snapshot.clusters)) {
        return message(&visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &[error]);
    }
    let found = match find(&app, keys, asked.search.trim()).await {
        Ok(found) => found,
        Err(error) => return not_searched(&visit, &error),
    };
    let rows = rows_of_missing(&app, &snapshot.clusters).await;
    if patience == Patience::Glance {
        count(&app, &snapshot.clusters, &rows);
    }
    let sort = Sort::parse(&asked.sort);
    let table = Table {
        app: &app,
        hidden: visit.hidden(),
        viewer: visit.viewer,
        now: snapshot.now,
        found,
        search: asked.search.trim().to_owned(),
        sort,
        refreshes: patience == Patience::Glance,
    };
    let mut picked: Vec<Picked> = snapshot
        .clusters
        .into_iter()
        .map(|cluster| {
            let row = rows.get(&cluster.key).cloned();
            Picked::new(cluster, row, &table)
        })
        .filter(|picked| picked.is_found(&table))
        .collect();
    if asked.part == "card" {
        return match picked.pop() {
            Some(picked) => visit.page(StatusCode::OK, &Card::new(picked, Extent::Few, &table)),
            None if Sees::of(&app, visit.viewer) == Sees::PublicInMemory => nothing_known(&visit, true),
            None => message(&visit, StatusCode::NOT_FOUND, "No such card", &[]),
        };
    }
    sort.order_cards(&mut picked);
    let list = lay_out(picked, &asked, &table);
    if asked.part == "list" {
        return visit.page(StatusCode::OK, &list);
    }
    let mut frame = visit.frame(Here::Clusters, "Clusters");
    frame.settling = list.cards.iter().any(Card::is_settling);
    let page = ClustersPage {
        frame,
        demo: Panel::of(&app, &visit),
        list,
        search: asked.search,
        sort,
        sorts: &SORTS,
    };
    visit.page(StatusCode::OK, &page)
}

/// Counts what the page's reader was given: what is fetched behind it has to be waited for, and what
/// failed is no answer.
pub(super) fn count(app: &App, clusters: &[ClusterReading], rows: &HashMap<Key, Entry>) {
    for cluster in clusters {
        match &cluster.reading {
            Ok(reading) => app.metrics.read(Came::Held, reading.status == Status::Fresh),
            Err(_) if rows.get(&cluster.key).is_some_and(|row| row.last_error.is_some()) => {
                app.metrics.read_failed();
            }
            Err(_) => app.metrics.read(Came::Fetched, true),
        }
    }
}

/// Why nothing at all can be read, where the store is to blame.
pub(super) fn out_of_order(clusters: &[ClusterReading]) -> Option<String> {
    if clusters.iter().any(|cluster| !matches!(cluster.reading, Err(ReadError::Store(_)))) {
        return None;
    }
    match &clusters.first()?.reading {
        // Its path is nobody's business; the log has it, said by the engine once.
        Err(error @ ReadError::Store(cause)) => {
            tracing::debug!(error = %cause, "the clusters could not be read");
            Some(sentence(&error.to_string()))
        }
        _ => None,
    }
}

fn is_any_damaged(clusters: &[ClusterReading]) -> bool {
    let is_damaged = |error: &ReadError| matches!(error, ReadError::Store(cause) if matches!(**cause, StoreError::BadRow { .. }));
    clusters.iter().any(|cluster| cluster.reading.as_ref().is_err_and(is_damaged))
}

/// The page that says that a search failed.
pub(super) fn not_searched(visit: &Visit, error: &StoreError) -> Response {
    // The engine says it of the store, once.
    tracing::debug!(%error, "the repositories could not be searched");
    message(visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be searched", &[])
}

/// The identities of the repositories that a search finds in these clusters; `None` = nothing is
/// searched for.
pub(super) async fn find(
    app: &App,
    entries: Vec<Key>,
    search: &str,
) -> Result<Option<HashSet<String>>, StoreError> {
    if search.is_empty() {
        return Ok(None);
    }
    let mut end = search.len().min(SEARCH_BYTES_MAX);
    while !search.is_char_boundary(end) {
        end -= 1;
    }
    let query = ListQuery {
        view: &REPOSITORIES,
        entries,
        search: Some(search[..end].to_owned()),
        filters: Vec::new(),
        order: None,
        offset: 0,
        limit: FOUND_MAX + 1,
    };
    let listed = app.list_readable(&query).await?;
    Ok(Some(listed.into_iter().map(|listed| listed.item.of.id.to_string()).collect()))
}

/// The rows of clusters that have nothing to serve: they know what went wrong. Only those who may
/// read what is private are given such clusters at all.
pub(super) async fn rows_of_missing(app: &App, clusters: &[ClusterReading]) -> HashMap<Key, Entry> {
    let missing = clusters.iter().filter(|cluster| cluster.reading.is_err());
    let missing: Vec<Key> = missing.map(|cluster| cluster.key.clone()).collect();
    app.rows_at_hand(&missing).await
}

/// One page of the cards, with what stands above and below them.
fn lay_out(picked: Vec<Picked>, asked: &Asked, table: &Table<'_>) -> List {
    let clusters = picked.len();
    // One that stands in several clusters is one repository all the same.
    let repositories: HashSet<&str> =
        picked.iter().flat_map(|picked| &picked.shown).map(|(_, member)| &*member.item.of.id).collect();
    let repositories = counted(repositories.len() as u64, "repository", "repositories");
    let or_more = table.found.as_ref().is_some_and(|found| found.len() > FOUND_MAX);
    let start = match asked.after.as_str() {
        "" => 0,
        after => picked.iter().position(|one| one.cluster.id == after).map_or(clusters, |place| place + 1),
    };
    let mut on_page: Vec<Picked> = picked.into_iter().skip(start).take(CARDS_MAX).collect();
    let last = on_page.last().map(|picked| picked.cluster.id.clone());
    let behind = |last: &str| {
        address("/", &[("after", last), ("search", &table.search), ("sort", table.sort.asked())])
    };
    let next = last.filter(|_| start + on_page.len() < clusters).map(|last| behind(&last));
    let first = (on_page.is_empty() && clusters > 0).then(|| behind(""));
    let cards: Vec<Card> = on_page.drain(..).map(|picked| Card::new(picked, Extent::Few, table)).collect();
    List {
        count_words: format!(
            "{}{repositories} in {}",
            if or_more { "more than " } else { "" },
            counted(clusters as u64, "cluster", "clusters")
        ),
        states: states(&cards),
        search: table.found.is_some().then(|| table.search.clone()),
        cards,
        next,
        first,
        sees: Sees::of(table.app, table.viewer),
    }
}

impl Sees {
    /// What this viewer is shown now.
    pub(super) fn of(app: &App, viewer: Viewer) -> Self {
        match app.engine.out_of_reach() {
            _ if viewer.may_read_private => Sees::All,
            Some(_) => Sees::PublicInMemory,
            None => Sees::Public,
        }
    }
}

/// ` · 2 stale · 1 failing`.
fn states(cards: &[Card]) -> String {
    let words = [("updating", "updating"), ("stale", "stale"), ("error", "failing"), ("dead", "dead")];
    let counts = words.map(|(class, says)| (cards.iter().filter(|card| card.class() == class).count(), says));
    let words =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, says)| format!(" · {count} {says}"));
    words.collect::<Vec<_>>().concat()
}
