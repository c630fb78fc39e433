//! `/api/v1/trackers` and `/api/v1/trackers/stats`: releases, microsprints and the like of the
//! configured repositories, as the command line's `--json` has them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use larder_core::{Entry, Filter, Key, ListQuery, Listed, Order, Test, Time};
use larder_domain::{RepoName, RepoNameError, TRACKERS, Tracker, TrackerStats};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::entry_view::CacheView;
use super::input::Asked;
use super::page::{Listing, limit_of};
use super::place::{Place, Stretch};
use super::read::Reader;
use super::shapes::{TrackerStatsView, TrackerView};
use crate::access::Viewer;
use crate::app::App;
use crate::problem::Problem;
use crate::sight::Sight;
use crate::trackers::{TRACKERS_MAX, decoded, type_of};

/// Which trackers.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TrackersQuery {
    /// Of this repository; of all configured ones unless told. A bare name is the configured owner's.
    #[param(
        pattern = "^([A-Za-z0-9_-]{1,39}/)?[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$",
        example = "octo-org/kiln"
    )]
    repo: Option<String>,
    /// Of this type.
    #[serde(rename = "type")]
    #[param(rename = "type", pattern = "^[a-z0-9-]{1,64}$", example = "release")]
    of: Option<String>,
    /// In this state; `all` unless told.
    #[param(inline)]
    state: Option<TrackerStateAsked>,
    /// Opened on or after this day, or at or after this instant.
    #[param(format = Date, example = "2026-01-31")]
    since: Option<String>,
    /// At most so many; 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where the answer before this one ended: its `next`.
    #[param(pattern = "^[0-9a-f]{1,5}[.]([0-9a-f]{8}){0,4}[.][0-9a-f]{12}$")]
    cursor: Option<String>,
    /// Fetch anew and wait for it. At will for admins, for all others once in half a minute.
    #[serde(default)]
    refresh: bool,
}

/// Which trackers are counted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TrackerStatsQuery {
    /// Of this repository; of all configured ones unless told. A bare name is the configured owner's.
    #[param(
        pattern = "^([A-Za-z0-9_-]{1,39}/)?[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$",
        example = "octo-org/kiln"
    )]
    repo: Option<String>,
    /// Of this type.
    #[serde(rename = "type")]
    #[param(rename = "type", pattern = "^[a-z0-9-]{1,64}$", example = "release")]
    of: Option<String>,
    /// Fetch anew and wait for it. At will for admins, for all others once in half a minute.
    #[serde(default)]
    refresh: bool,
}

/// Which states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TrackerStateAsked {
    /// Active ones.
    Open,
    /// Released ones, or over.
    Closed,
    /// Both.
    #[default]
    All,
}

/// A stretch of the list.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrackersBody<'a> {
    /// The trackers: the newest version, or the last name, first.
    #[schema(value_type = Vec<TrackerView>)]
    trackers: Vec<Tracker>,
    /// The cursor of what follows; `null` at the end.
    #[schema(required = true)]
    next: Option<String>,
    /// What the rows say.
    cache: Vec<CacheView<'a>>,
}

/// How many there are.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrackerStatsBody<'a> {
    /// A count a type.
    #[schema(value_type = Vec<TrackerStatsView>)]
    stats: Vec<TrackerStats>,
    /// What the rows say.
    cache: Vec<CacheView<'a>>,
}

const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// The trackers of the configured repositories.
#[utoipa::path(
    get, operation_id = "listTrackers", path = "/api/v1/trackers", tag = "trackers", params(TrackersQuery),
    responses(
        (status = 200, description = "A stretch of the list", body = TrackersBody, content_type = "application/json"),
        (status = 304, description = "The reader has it already"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 404, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
        (status = 504, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<TrackersQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let since = query.since.as_deref().map(Time::parse).transpose();
    let since = since.map_err(|error| Problem::bad(format!("`since`: {error}")))?;
    let keys = app.asked_trackers(query.repo.as_deref(), query.of.as_deref())?;
    let reader = Reader::asking(viewer, &headers, query.refresh)?;
    let question = format!("{:?}&{:?}&{:?}&{since:?}", query.repo, query.of, query.state);
    let limit = limit_of(query.limit, LIMIT, LIMIT_MAX)?;
    let place = Place::of(query.cursor.as_deref(), &question)?;
    let name = format!("trackers?{question}&{place:?}&{limit}");
    app.listed(Listing { name: &name, keys: &keys, reader }, &headers, async |app: &App| {
        let entries = app.seen_trackers(&keys, viewer).await?;
        check_seen(&entries, query.repo.as_deref())?;
        let asked = list_of(&entries, query.state.unwrap_or_default(), since);
        let Stretch { listed, next } = app.stretch(&asked, &place, limit, &question, reader.sight()).await?;
        let trackers = read(listed, reader.sight());
        let cache = entries.iter().map(CacheView::new).collect();
        let body = TrackersBody { trackers, next, cache };
        Ok((serde_json::to_vec(&body).unwrap_or_default(), reader.sight() == Sight::Public))
    })
    .await
    .map_err(|problem| as_seen(problem, viewer, query.repo.as_deref()))
}

/// How many trackers there are, by state and month.
#[utoipa::path(
    get, operation_id = "countTrackers", path = "/api/v1/trackers/stats", tag = "trackers", params(TrackerStatsQuery),
    responses(
        (status = 200, description = "The counts", body = TrackerStatsBody, content_type = "application/json"),
        (status = 304, description = "The reader has it already"),
        (status = 400, response = crate::api::docs::Refusal),
        (status = 403, response = crate::api::docs::Refusal),
        (status = 404, response = crate::api::docs::Refusal),
        (status = 502, response = crate::api::docs::Refusal),
        (status = 503, response = crate::api::docs::Refusal),
        (status = 504, response = crate::api::docs::Refusal),
    )
)]
pub(crate) async fn stats(
    State(app): State<App>,
    viewer: Viewer,
    Asked(query): Asked<TrackerStatsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let keys = app.asked_trackers(query.repo.as_deref(), query.of.as_deref())?;
    let reader = Reader::asking(viewer, &headers, query.refresh)?;
    let name = format!("tracker-stats?{:?}&{:?}", query.repo, query.of);
    app.listed(Listing { name: &name, keys: &keys, reader }, &headers, async |app: &App| {
        let entries = app.seen_trackers(&keys, viewer).await?;
        check_seen(&entries, query.repo.as_deref())?;
        let all = ListQuery { limit: TRACKERS_MAX, ..list_of(&entries, TrackerStateAsked::All, None) };
        let trackers = read(app.list_readable(&all).await?, reader.sight());
        let mut types: Vec<String> = Vec::new();
        for of in entries.iter().filter_map(|entry| type_of(&entry.key)) {
            if !types.contains(&of) {
                types.push(of);
            }
        }
        let stats = types.iter().map(|of| TrackerStats::count(of, &trackers)).collect();
        let cache = entries.iter().map(CacheView::new).collect();
        let body = TrackerStatsBody { stats, cache };
        Ok((serde_json::to_vec(&body).unwrap_or_default(), reader.sight() == Sight::Public))
    })
    .await
    .map_err(|problem| as_seen(problem, viewer, query.repo.as_deref()))
}

/// The repository that is meant; a bare name is the owner's.
fn named_repo(text: &str, owner: Option<&str>) -> Result<RepoName, Problem> {
    RepoName::parse(text, owner).map_err(|error| match error {
        // Who asks a server does not write its configuration.
        RepoNameError::NoOwner(name) => {
            Problem::bad(format!("`repo`: `{name}` has no owner: write `owner/{name}`"))
        }
        error => Problem::bad(format!("`repo`: {error}")),
    })
}

/// The same of one whose first fetch failed: nobody knows yet who may know of it.
fn as_seen(problem: Problem, viewer: Viewer, repo: Option<&str>) -> Problem {
    let names_nothing = matches!(problem.code, "limited" | "not_cached" | "upstream_failed" | "interrupted");
    match repo {
        Some(repo) if names_nothing && !viewer.may_read_private => unknown_repo(repo),
        _ => problem,
    }
}

/// A repository of which this viewer may know nothing is as unknown as one that is not configured.
fn check_seen(entries: &[Entry], repo: Option<&str>) -> Result<(), Problem> {
    match repo {
        Some(repo) if entries.is_empty() => Err(unknown_repo(repo)),
        _ => Ok(()),
    }
}

fn unknown_repo(repo: &str) -> Problem {
    let detail = format!("no trackers of `{repo}` are kept here");
    Problem::new(StatusCode::NOT_FOUND, "unknown_repository", detail)
}

/// What a viewer may see of a list, read.
fn read(mut listed: Vec<Listed>, sight: Sight) -> Vec<Tracker> {
    sight.keep_seen(&mut listed);
    listed.iter().filter_map(|listed| decoded(&listed.item)).collect()
}

/// The list of the entries' trackers, as far as it is asked for.
fn list_of(entries: &[Entry], state: TrackerStateAsked, since: Option<Time>) -> ListQuery {
    let mut filters = Vec::new();
    let is = |state: &str| Filter { column: "state", test: Test::Is(state.to_owned()) };
    match state {
        TrackerStateAsked::All => {}
        TrackerStateAsked::Open => filters.push(is("open")),
        TrackerStateAsked::Closed => filters.push(is("closed")),
    }
    if let Some(since) = since {
        filters.push(Filter { column: "created_at", test: Test::AtLeast(since.to_string()) });
    }
    ListQuery {
        view: &TRACKERS,
        entries: entries.iter().map(|entry| entry.key.clone()).collect(),
        search: None,
        filters,
        order: Some(Order::Descending("sort_key")),
        offset: 0,
        limit: 0,
    }
}

impl App {
    /// The entries of the configured repositories that are asked for.
    fn asked_trackers(&self, repo: Option<&str>, of: Option<&str>) -> Result<Vec<Key>, Problem> {
        let named = repo.map(|text| named_repo(text, self.clusters.owner.as_deref())).transpose()?;
        let configured = self.tracker_keys();
        if let (Some(named), Some(repo)) = (&named, repo)
            && !configured.iter().any(|key| crate::trackers::is_of(key, named))
        {
            return Err(unknown_repo(repo));
        }
        let is_type = |key: &Key| of.is_none_or(|of| type_of(key).as_deref() == Some(of));
        if let Some(of) = of.filter(|_| !configured.iter().any(is_type)) {
            let detail = format!("there is no tracker type `{of}` here");
            return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_type", detail));
        }
        let is_named = |key: &Key| named.as_ref().is_none_or(|named| crate::trackers::is_of(key, named));
        Ok(configured.into_iter().filter(|key| is_named(key) && is_type(key)).collect())
    }

    /// The rows of those entries that a viewer may know of, in the order asked. A repository is
    /// public or not as a whole; while it changes, doubt means no.
    async fn seen_trackers(&self, keys: &[Key], viewer: Viewer) -> Result<Vec<Entry>, Problem> {
        let mut rows = self.rows_of(keys).await?;
        if viewer.may_read_private {
            let row =
                |key: &Key| rows.remove(key).unwrap_or_else(|| Entry::empty(key.clone(), Time::default()));
            return Ok(keys.iter().map(row).collect());
        }
        let rows = keys.iter().filter_map(|key| rows.remove(key)).collect();
        Ok(self.wholly_public(rows).await?)
    }
}
