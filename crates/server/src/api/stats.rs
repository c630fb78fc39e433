//! `/api/v1/stats` and `/metrics`: how the cache does, with nobody's name in it.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_core::{Budget, RefreshState, Status, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::entry_view::EntryView;
use super::shapes::BudgetView;
use super::text;
use crate::access::Viewer;
use crate::answer::send_now;
use crate::app::App;
use crate::metrics::{Reads, head, line};
use crate::problem::Problem;

/// How the cache does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// The version of the program.
    pub(crate) version: &'static str,
    /// Entries by their states.
    pub(crate) entries: EntryCounts,
    /// What reads came to since the start.
    pub(crate) reads: Reads,
    /// What may still be spent upstream.
    #[schema(value_type = Vec<BudgetView>)]
    pub(crate) budgets: Vec<Budget>,
    /// Open event streams.
    pub(crate) streams: usize,
    /// The newest place of the feed.
    pub(crate) seq: u64,
    /// What is kept in memory. Private entries are, too, so everybody is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) memory: Option<MemoryCounts>,
}

/// What is kept in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct MemoryCounts {
    /// Entries.
    pub(crate) entries: u64,
    /// About how many bytes they take.
    pub(crate) bytes: u64,
}

/// Entries by their states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct EntryCounts {
    /// All.
    pub(crate) total: u64,
    /// With nothing to serve.
    pub(crate) missing: u64,
    /// Young enough.
    pub(crate) fresh: u64,
    /// Past their lifetime.
    pub(crate) stale: u64,
    /// Being refreshed.
    pub(crate) running: u64,
    /// Waiting for another try.
    pub(crate) retrying: u64,
    /// Set aside for a person.
    pub(crate) dead: u64,
}

impl EntryCounts {
    pub(crate) fn add(&mut self, entry: &EntryView) {
        self.total += 1;
        match entry.status {
            Status::Missing => self.missing += 1,
            Status::Fresh => self.fresh += 1,
            Status::Stale => self.stale += 1,
        }
        match entry.refresh {
            RefreshState::Idle => {}
            RefreshState::Running => self.running += 1,
            RefreshState::Retrying => self.retrying += 1,
            RefreshState::Dead => self.dead += 1,
        }
    }
}

impl App {
    /// How the cache does, as far as a viewer may know.
    pub(crate) async fn stats(&self, viewer: Viewer) -> Result<Stats, StoreError> {
        Ok(Stats {
            version: env!("CARGO_PKG_VERSION"),
            entries: self.counts(viewer).await?,
            reads: self.metrics.reads(),
            budgets: self.allowances(viewer).await?,
            streams: self.events.open(),
            seq: self.events.place(),
            memory: self.memory_counts(viewer),
        })
    }

    fn memory_counts(&self, viewer: Viewer) -> Option<MemoryCounts> {
        viewer.may_read_private.then(|| {
            let held = self.engine.memory();
            held.map_or_else(MemoryCounts::default, |held| MemoryCounts {
                entries: held.entries,
                bytes: held.bytes,
            })
        })
    }
}

/// How the cache does.
#[utoipa::path(
    get, operation_id = "readStats", path = "/api/v1/stats", tag = "service",
    responses(
        (status = 200, description = "Figures", body = Stats, content_type = "application/json"),
        (status = 500, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn stats(
    State(app): State<App>,
    viewer: Viewer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(send_now(StatusCode::OK, &app.stats(viewer).await?, &headers))
}

/// The same for Prometheus.
#[utoipa::path(
    get, operation_id = "readMetrics", path = "/metrics", tag = "service",
    responses(
        (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"),
        (status = 500, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn metrics(State(app): State<App>, viewer: Viewer) -> Result<Response, Problem> {
    let mut out = app.metrics.text();
    let since = app.engine.out_of_reach().map(|out| out.since);
    head(&mut out, "larder_store_reachable", "gauge", "Whether the store answers.");
    line(&mut out, "larder_store_reachable", "", u64::from(since.is_none()));
    head(&mut out, "larder_store_unreachable_seconds", "gauge", "For how long it has not.");
    let seconds = since.map_or(0, |since| app.now().since(since).as_secs());
    line(&mut out, "larder_store_unreachable_seconds", "", seconds);
    if let Some(memory) = app.memory_counts(viewer) {
        head(&mut out, "larder_memory_entries", "gauge", "Entries in memory.");
        line(&mut out, "larder_memory_entries", "", memory.entries);
        head(&mut out, "larder_memory_bytes", "gauge", "About how many bytes they take.");
        line(&mut out, "larder_memory_bytes", "", memory.bytes);
    }
    if since.is_none() {
        figures_of_store(&mut out, &app.stats(viewer).await?);
    }
    Ok(text("text/plain; version=0.0.4; charset=utf-8", out))
}

/// What only the store knows.
fn figures_of_store(out: &mut String, stats: &Stats) {
    head(out, "larder_entries", "gauge", "Entries by status.");
    let EntryCounts { missing, fresh, stale, running, retrying, dead, .. } = stats.entries;
    for (status, count) in [("missing", missing), ("fresh", fresh), ("stale", stale)] {
        line(out, "larder_entries", &format!("status=\"{status}\""), count);
    }
    head(out, "larder_entries_refresh", "gauge", "Entries by what is being done about them.");
    for (state, count) in [("running", running), ("retrying", retrying), ("dead", dead)] {
        line(out, "larder_entries_refresh", &format!("state=\"{state}\""), count);
    }
    head(out, "larder_event_streams", "gauge", "Open event streams.");
    line(out, "larder_event_streams", "", stats.streams as u64);
    head(out, "larder_budget_remaining", "gauge", "Points left upstream, the least of all actors.");
    let mut left: std::collections::BTreeMap<(&str, &str), u32> = std::collections::BTreeMap::new();
    for budget in &stats.budgets {
        if let Some(remaining) = budget.remaining {
            let least = left.entry((&budget.host, &budget.resource)).or_insert(remaining);
            *least = remaining.min(*least);
        }
    }
    for ((host, resource), remaining) in left {
        let labels = format!("host=\"{host}\",resource=\"{resource}\"");
        line(out, "larder_budget_remaining", &labels, u64::from(remaining));
    }
}
