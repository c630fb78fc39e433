//! One cluster as a card: its state, why it is not fresh, its repositories.

use std::collections::HashSet;
use std::ops::Range;

use askama::Template;
use larder_core::{Entry, Failure, Key, Member, RefreshState, Status, Time};
use larder_domain::{ClusterConfig, Repository};
use larder_engine::{ReadError, Reading};

use super::frame::Hidden;
use super::query::address;
use super::repository::{LineStyle, RepositoryLine, sum};
use super::words::{Badge, Note, Prose, State, counted, exact, sentence};
use crate::access::Viewer;
use crate::app::App;
use crate::damage::is_damaged;
use crate::snapshot::ClusterReading;

/// So many repositories stand on a card; all of them are on the cluster's own page.
const FEW: usize = 12;
/// So many are on a page of one cluster.
pub(super) const ROWS_MAX: usize = 100;
/// So many warnings stand on a card, and on a page of one cluster.
const WARNINGS_MAX: (usize, usize) = (12, 200);

/// A cluster, as shown.
#[derive(Template)]
#[template(path = "card.html")]
pub(crate) struct Card {
    pub(crate) key: Key,
    slug: String,
    name: String,
    marks: Vec<&'static str>,
    sum: String,
    badge: Badge,
    note: Option<Note>,
    fresh_until: Option<Time>,
    is_loading: bool,
    is_empty: bool,
    empty_words: &'static str,
    repositories: Vec<RepositoryLine>,
    /// Which of all they are, on a page of them.
    stretch: Option<String>,
    /// What the card leaves out: where all of it is, how that is called, how much more it is.
    rest: Option<Rest>,
    /// The address of the cluster's own page; none on that page.
    own: Option<String>,
    warnings: Vec<Prose>,
    /// How many there are.
    warnings_words: String,
    /// `5 more`, where they are too many.
    more_warnings: Option<String>,
    hidden: Hidden,
    may_replay: bool,
}

/// Where the repositories are that a card does not show.
struct Rest {
    href: String,
    label: String,
    more: String,
}

/// Which of a cluster's repositories are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The first ones, on a card among others.
    Few,
    /// Those behind so many, on the cluster's own page.
    Behind(usize),
}

/// What a list of cards is made with.
pub(crate) struct Table<'a> {
    pub(crate) app: &'a App,
    pub(crate) hidden: Hidden,
    pub(crate) viewer: Viewer,
    pub(crate) now: Time,
    /// The repositories that a search found, by their identity; `None` = all are shown.
    pub(crate) found: Option<HashSet<String>>,
    /// What was searched for.
    pub(crate) search: String,
    pub(crate) sort: super::sort::Sort,
    /// Whether what is due is being refreshed behind this very answer.
    pub(crate) refreshes: bool,
}

/// A cluster with its repositories picked and ordered, before it is laid out.
pub(crate) struct Picked {
    pub(crate) cluster: ClusterReading,
    pub(crate) shown: Vec<(Repository, Member)>,
    /// The row, where there is nothing to serve.
    pub(crate) row: Option<Entry>,
}

impl Picked {
    /// Whether it belongs on a page that shows what a search found.
    pub(crate) fn is_found(&self, table: &Table<'_>) -> bool {
        table.found.is_none() || !self.shown.is_empty()
    }

    /// Decodes and picks; a copy that cannot be read is left out.
    pub(crate) fn new(cluster: ClusterReading, row: Option<Entry>, table: &Table<'_>) -> Self {
        let members = cluster.reading.iter().flat_map(|reading| &reading.stored.members);
        let is_found =
            |member: &&Member| table.found.as_ref().is_none_or(|found| found.contains(&*member.item.of.id));
        let decoded = |member: &Member| Some((member.item.doc.decode().ok()?, member.clone()));
        let mut shown: Vec<(Repository, Member)> = members.filter(is_found).filter_map(decoded).collect();
        table.sort.order(&mut shown, &table.app.clusters);
        Picked { cluster, shown, row }
    }

    fn state(&self, table: &Table<'_>) -> State {
        let ClusterReading { key, reading, .. } = &self.cluster;
        state_of(table.app, key, reading, self.row.as_ref(), (table.now, table.refreshes))
    }
}

/// The state of an entry that a page shows, by its reading, or by its row where there is nothing to
/// serve; and whether what is due is being refreshed behind this very answer, or waits for its turn.
pub(crate) fn state_of(
    app: &App,
    key: &Key,
    reading: &Result<Reading, ReadError>,
    row: Option<&Entry>,
    (now, refreshes): (Time, bool),
) -> State {
    let held = match reading {
        Ok(reading) => Some((&reading.stored.entry, reading.status)),
        Err(_) => row.map(|row| (row, Status::Missing)),
    };
    let is_under_way = app.engine.is_under_way(key);
    let Some((entry, status)) = held else {
        // There is nothing yet because nobody has fetched it yet.
        let is_awaited = matches!(reading, Err(ReadError::NotCached(_)));
        let refresh = if is_awaited && (refreshes || is_under_way) {
            RefreshState::Running
        } else {
            RefreshState::Idle
        };
        return State { status: Status::Missing, refresh, complete: true, fetched_at: None };
    };
    let definition = app.engine.define(key);
    let policy = crate::snapshot::policy_or_default(definition.as_deref());
    let mut state = State::of(entry, status, &policy, now);
    let is_due = definition.is_none_or(|definition| entry.is_due(&definition, now));
    let is_out = reading.as_ref().is_ok_and(|reading| reading.out_of_reach.is_some());
    let is_idle = state.refresh == RefreshState::Idle;
    let is_awaited = is_under_way || (refreshes && is_due);
    if is_awaited && !is_out && is_idle && status != Status::Fresh {
        state.refresh = RefreshState::Running;
    }
    state
}

/// Why an entry that a page shows is not as it should be, and when the next try is.
pub(crate) fn failure_of(
    reading: &Result<Reading, ReadError>,
    row: Option<&Entry>,
) -> Option<(Failure, Time)> {
    match reading {
        // In an outage of the store the page says it once, for all.
        Ok(reading) if reading.out_of_reach.is_some() => None,
        Ok(reading) => Some((reading.error.clone()?, reading.stored.entry.due_at)),
        Err(_) => row.and_then(|row| Some((row.last_error.clone()?, row.due_at))),
    }
}

/// What stands in place of a copy of which nobody can say now whether it is held: the store could not be asked.
pub(crate) fn untold(
    app: &App,
    reading: &Result<Reading, ReadError>,
    row: Option<&Entry>,
) -> Option<&'static str> {
    // Of one that is damaged it is told what is wrong.
    let is_known = row.is_some_and(is_damaged);
    (matches!(reading, Err(ReadError::Store(_))) && !is_known).then(|| {
        if app.engine.out_of_reach().is_some() {
            "Whether a copy is held cannot be told while the store is out of reach."
        } else {
            "Whether a copy is held cannot be told: the store could not be read."
        }
    })
}

/// What is to be warned of where there is nothing to show. An outage of the store the page tells once, for all.
pub(crate) fn warning_of(
    app: &App,
    reading: &Result<Reading, ReadError>,
    row: Option<&Entry>,
) -> Option<Prose> {
    match reading {
        Err(ReadError::Store(_)) if row.is_some_and(is_damaged) => None,
        Err(ReadError::Store(_)) if app.engine.out_of_reach().is_some() => None,
        Err(error @ (ReadError::Absent { .. } | ReadError::Store(_))) => {
            Some(Prose::new(&sentence(&error.to_string())))
        }
        Ok(_) | Err(_) => None,
    }
}

/// How many there are of what nobody can say.
pub(crate) const UNTOLD: &str = "no copy at hand";

impl Card {
    /// Lays a cluster out.
    pub(crate) fn new(picked: Picked, extent: Extent, table: &Table<'_>) -> Self {
        let state = picked.state(table);
        let failure = failure_of(&picked.cluster.reading, picked.row.as_ref());
        let Picked { cluster, shown, row } = picked;
        let is_damaged = row.as_ref().is_some_and(is_damaged);
        let note =
            failure.and_then(|(failure, due_at)| Note::new(&failure, state, due_at, &cluster.key, table.now));
        let mut warnings = warnings(&cluster);
        warnings.splice(..0, warning_of(table.app, &cluster.reading, row.as_ref()));
        let untold = untold(table.app, &cluster.reading, row.as_ref());
        let (all, is_own) = (warnings.len(), extent != Extent::Few);
        warnings.truncate(if is_own { WARNINGS_MAX.1 } else { WARNINGS_MAX.0 });
        let clusters = &table.app.clusters;
        let style = LineStyle { config: clusters, new_within: table.app.rules.new_within, now: table.now };
        let on_it = extent.of(shown.len());
        let lines = shown[on_it.clone()].iter();
        let own = format!("/clusters/{}", cluster.key.name());
        let is_running = state.refresh == RefreshState::Running;
        let is_missing = state.status == Status::Missing;
        Card {
            slug: cluster.key.name().to_owned(),
            name: cluster.name(),
            marks: marks(&cluster.config),
            sum: match untold {
                Some(_) => UNTOLD.to_owned(),
                None if is_damaged => UNTOLD.to_owned(),
                None if is_missing => "no copy yet".to_owned(),
                None => sum(&shown),
            },
            badge: if untold.is_some() { Badge::unknown() } else { Badge::new(state, table.now) },
            fresh_until: cluster.reading.as_ref().ok().and_then(|reading| reading.stored.entry.fresh_until),
            is_loading: is_missing && is_running && note.is_none(),
            is_empty: shown.is_empty()
                && table.found.is_none()
                && note.is_none()
                && !(is_missing && is_running),
            empty_words: match untold {
                Some(words) => words,
                None if is_missing => "Nothing was fetched yet.",
                None => "This cluster has no repositories.",
            },
            note,
            repositories: lines.map(|(one, member)| RepositoryLine::new(one, member, style)).collect(),
            stretch: (is_own && on_it.len() < shown.len() && !on_it.is_empty())
                .then(|| format!("{} to {} of {}", on_it.start + 1, on_it.end, exact(shown.len() as u64))),
            rest: (!is_own && on_it.len() < shown.len())
                .then(|| Rest::new(&own, shown.len(), on_it.len(), table)),
            own: (!is_own).then_some(own),
            warnings_words: counted(all as u64, "warning", "warnings"),
            more_warnings: (warnings.len() < all)
                .then(|| format!("{} more", exact((all - warnings.len()) as u64))),
            warnings,
            hidden: table.hidden.clone(),
            may_replay: table.viewer.may_admin && state.refresh == RefreshState::Dead && !is_damaged,
            key: cluster.key,
        }
    }

    /// Whether it will look different soon.
    pub(crate) fn is_settling(&self) -> bool {
        self.badge.class == "updating"
    }

    /// The word of its badge.
    pub(crate) fn class(&self) -> &'static str {
        self.badge.class
    }
}

impl Extent {
    /// The places of those that are shown, of so many.
    fn of(self, all: usize) -> Range<usize> {
        match self {
            // One that would be left out alone is shown too.
            Extent::Few => 0..if all <= FEW + 1 { all } else { FEW },
            Extent::Behind(start) => start.min(all)..start.saturating_add(ROWS_MAX).min(all),
        }
    }
}

impl Rest {
    /// The cluster's own page, which shows what is searched for here in the same order.
    fn new(own: &str, all: usize, shown: usize, table: &Table<'_>) -> Self {
        let pairs = [("search", table.search.as_str()), ("sort", table.sort.asked())];
        let label = match table.found {
            Some(_) => format!("All {} found", exact(all as u64)),
            None => format!("All {}", counted(all as u64, "repository", "repositories")),
        };
        Rest { href: address(own, &pairs), label, more: format!("{} more", exact((all - shown) as u64)) }
    }
}

fn marks(config: &ClusterConfig) -> Vec<&'static str> {
    let all =
        [(config.featured, "featured"), (config.flagship, "flagship"), (config.experimental, "experimental")];
    all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect()
}

fn warnings(cluster: &ClusterReading) -> Vec<Prose> {
    let held = cluster.reading.iter().flat_map(|reading| &reading.stored.entry.warnings);
    held.map(|warning| Prose::new(&sentence(&warning.message))).collect()
}
