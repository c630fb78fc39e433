//! One repository's trackers as a card: a block a type, each with its state, what was closed by month,
//! and its trackers, open ones first.

use askama::Template;
use larder_core::{Entry, Key, RefreshState, Status, Time};
use larder_domain::{RepoName, Tracker, TrackerState, TrackerStats, plural};
use larder_engine::{ReadError, Reading};

use super::card::{UNTOLD, failure_of, state_of, untold, warning_of};
use super::frame::{Hidden, Visit};
use super::repository::is_web;
use super::timeline::Timeline;
use super::words::{Badge, Note, Prose, Stamp, State, exact, sentence};
use crate::access::Viewer;
use crate::app::App;
use crate::damage::is_damaged;
use crate::trackers::{decoded, type_of};

/// A repository's trackers, as shown.
#[derive(Template)]
#[template(path = "tracker_card.html")]
pub(crate) struct TrackerCard {
    slug: String,
    name: String,
    blocks: Vec<ShownBlock>,
    hidden: Hidden,
    viewer: Viewer,
}

/// Which trackers are listed.
pub(crate) struct Filter {
    /// Open ones, closed ones; `None` = both.
    pub(crate) is_open: Option<bool>,
    /// Those opened at or after this instant.
    pub(crate) since: Option<Time>,
}

/// One entry: a repository's trackers of a type, read and ordered.
pub(crate) struct Block {
    pub(crate) key: Key,
    /// The type.
    pub(crate) of: String,
    trackers: Vec<Tracker>,
    state: State,
    /// What stands in place of a copy of which nobody can say whether it is held.
    untold: Option<&'static str>,
    is_damaged: bool,
    note: Option<Note>,
    warnings: Vec<Prose>,
    fresh_until: Option<Time>,
    now: Time,
}

/// A block laid out.
struct ShownBlock {
    key: Key,
    slug: String,
    title: String,
    one: String,
    badge: Badge,
    sum: String,
    note: Option<Note>,
    warnings: Vec<Prose>,
    fresh_until: Option<Time>,
    timeline: Option<Timeline>,
    is_loading: bool,
    empty_words: Option<String>,
    lines: Vec<Line>,
    /// Where the whole list is, and how it is called.
    whole: Option<(String, String)>,
    may_replay: bool,
}

/// One tracker.
struct Line {
    name: String,
    codename: Option<String>,
    number: u64,
    url: Option<String>,
    is_open: bool,
    word: &'static str,
    at: Option<Stamp>,
    title: String,
}

impl Block {
    /// Reads what is held of an entry: open ones first, then by version.
    pub(crate) fn new(
        app: &App,
        key: Key,
        reading: &Result<Reading, ReadError>,
        row: Option<&Entry>,
        (now, refreshes): (Time, bool),
    ) -> Self {
        let state = state_of(app, &key, reading, row, (now, refreshes));
        let note = failure_of(reading, row)
            .and_then(|(failure, due_at)| Note::new(&failure, state, due_at, &key, now));
        let members = reading.iter().flat_map(|reading| &reading.stored.members);
        let mut trackers: Vec<Tracker> = members.filter_map(|member| decoded(&member.item)).collect();
        trackers.sort_by_cached_key(|tracker| {
            (tracker.state, std::cmp::Reverse((tracker.sort_key(), tracker.number)))
        });
        let held = reading.iter().flat_map(|reading| &reading.stored.entry.warnings);
        let mut warnings: Vec<Prose> = held.map(|warning| Prose::new(&sentence(&warning.message))).collect();
        warnings.splice(..0, warning_of(app, reading, row));
        let untold = untold(app, reading, row);
        let fresh_until = reading.as_ref().ok().and_then(|reading| reading.stored.entry.fresh_until);
        let of = type_of(&key).unwrap_or_default();
        let is_damaged = row.is_some_and(is_damaged);
        Block { key, of, trackers, state, untold, is_damaged, note, warnings, fresh_until, now }
    }

    /// How many of its trackers are as asked.
    pub(crate) fn count(&self, filter: &Filter) -> u64 {
        self.trackers.iter().filter(|tracker| filter.takes(tracker)).count() as u64
    }

    /// Lays it out from a line on; says whether lines follow.
    fn shown(
        self,
        filter: &Filter,
        from: usize,
        most: usize,
        whole: Option<String>,
        viewer: Viewer,
    ) -> (ShownBlock, bool) {
        let stats = TrackerStats::count(&self.of, &self.trackers);
        let is_wanted = |tracker: &&Tracker| filter.takes(tracker);
        let found = self.trackers.iter().filter(is_wanted).count();
        let lines: Vec<Line> = self
            .trackers
            .iter()
            .filter(is_wanted)
            .skip(from)
            .take(most)
            .map(|tracker| Line::new(tracker, self.now))
            .collect();
        let more = from + lines.len() < found;
        let is_missing = self.state.status == Status::Missing;
        let is_running = self.state.refresh == RefreshState::Running;
        let is_loading = is_missing && is_running && self.note.is_none();
        let many = plural(&self.of);
        let empty_words = if !lines.is_empty() || is_loading || (is_missing && self.note.is_some()) {
            None
        } else if is_missing {
            Some(self.untold.unwrap_or("Nothing was fetched yet.").to_owned())
        } else if self.trackers.is_empty() {
            Some(format!("There are no {many}."))
        } else {
            Some(format!("None of the {} {many} matches the filters.", exact(self.trackers.len() as u64)))
        };
        let block = ShownBlock {
            slug: self.key.name().replace('/', "-"),
            title: capital(&many),
            one: self.of.clone(),
            badge: if self.untold.is_some() { Badge::unknown() } else { Badge::new(self.state, self.now) },
            sum: match () {
                () if self.untold.is_some() || self.is_damaged => UNTOLD.to_owned(),
                () if is_missing => "no copy yet".to_owned(),
                () if self.trackers.is_empty() => String::new(),
                () => format!("{} open · {} closed", exact(stats.open), exact(stats.closed)),
            },
            note: self.note,
            warnings: self.warnings,
            fresh_until: self.fresh_until,
            timeline: Timeline::new(&stats, self.now),
            is_loading,
            empty_words,
            whole: whole.filter(|_| more).map(|href| (href, format!("All {} {many}", exact(found as u64)))),
            lines,
            may_replay: viewer.may_admin && self.state.refresh == RefreshState::Dead && !self.is_damaged,
            key: self.key,
        };
        (block, more)
    }
}

impl Filter {
    /// Whether it leaves anything out.
    pub(crate) fn is_any(&self) -> bool {
        self.is_open.is_some() || self.since.is_some()
    }

    fn takes(&self, tracker: &Tracker) -> bool {
        let is_open = tracker.state == TrackerState::Open;
        self.is_open.is_none_or(|wanted| wanted == is_open)
            && self.since.is_none_or(|since| tracker.created_at.is_some_and(|at| at >= since))
    }
}

impl Line {
    fn new(tracker: &Tracker, now: Time) -> Self {
        let is_open = tracker.state == TrackerState::Open;
        let word = match (is_open, tracker.kind.as_str()) {
            (true, _) => "Active",
            (false, "release") => "Released",
            (false, _) => "Closed",
        };
        let at = if is_open { tracker.created_at } else { tracker.closed_at };
        Line {
            name: tracker.name.clone(),
            codename: tracker.codename.clone(),
            number: tracker.number,
            url: is_web(&tracker.url).then(|| tracker.url.clone()),
            is_open,
            word,
            at: at.map(|at| Stamp::new(at, now)),
            title: tracker.title.clone(),
        }
    }
}

impl TrackerCard {
    /// A card without blocks.
    pub(crate) fn new(repo: &RepoName, visit: &Visit) -> Self {
        let slug = repo.key().replace(['/', '.'], "-");
        TrackerCard {
            slug,
            name: repo.to_string(),
            blocks: Vec::new(),
            hidden: visit.hidden(),
            viewer: visit.viewer,
        }
    }

    /// Puts a block on it, from a line on; says whether lines follow.
    pub(crate) fn add(
        &mut self,
        block: Block,
        filter: &Filter,
        from: usize,
        most: usize,
        whole: Option<String>,
    ) -> bool {
        if let Some(tracker) = block.trackers.first() {
            // As upstream writes it.
            self.name.clone_from(&tracker.repo);
        }
        let (mut block, more) = block.shown(filter, from, most, whole, self.viewer);
        // What is wrong with one type is mostly wrong with all: it is said once a card.
        let says = |note: &Option<Note>| note.as_ref().map(ToString::to_string);
        if self.blocks.iter().any(|known| says(&known.note) == says(&block.note)) {
            block.note = None;
        }
        self.blocks.push(block);
        more
    }

    /// Whether it will look different soon.
    pub(crate) fn is_settling(&self) -> bool {
        self.class() == "updating"
    }

    /// The worst of its blocks' states.
    pub(crate) fn class(&self) -> &'static str {
        const WORST_FIRST: [&str; 7] =
            ["updating", "dead", "error", "stale", "incomplete", "missing", "fresh"];
        let has = |class: &&&'static str| self.blocks.iter().any(|block| block.badge.class == **class);
        WORST_FIRST.iter().find(has).copied().unwrap_or("fresh")
    }

    fn key(&self) -> String {
        let (owner, name) = self.name.split_once('/').unwrap_or((&self.name, ""));
        format!("trackers/{}/{}", owner.to_lowercase(), name.to_lowercase())
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
