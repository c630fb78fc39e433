//! `/projects`: the local projects and what wants a look in them, and a search over all that they
//! have and that marketplaces offer. `part=list` answers the part that changes, shows what is held and causes no look.

use std::cmp::Reverse;
use std::collections::HashMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::{Entry, Filter, Key, ListQuery, Order, Test, Time};
use larder_domain::{ARTIFACTS, Artifact, ArtifactType, LocalProject, PROJECTS};
use larder_engine::ReadOptions;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::demo::FilesPanel;
use super::folders::{ArtifactRow, FolderState, label};
use super::frame::{Frame, Here, Hidden, Visit};
use super::message::message;
use super::sign_in::no_permission;
use super::words::{Badge, Note, Prose, Stamp, counted, exact};
use crate::api::decoded;
use crate::app::App;
use crate::problem::Problem;
use crate::sight::Sight;

/// So many projects, or artifacts, are on a page.
const ROWS_MAX: usize = 100;
/// So many projects stand above the artifacts that a search found.
const PROJECTS_FOUND_MAX: usize = 5;
/// No list is longer.
const LIST_MAX: usize = 100_000;
/// So much of what is searched for is looked at, in bytes.
const SEARCH_BYTES_MAX: usize = 400;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    search: String,
    /// `artifacts`, or a type of them; else projects.
    show: String,
    /// `outdated`, `modified` or `missing`.
    status: String,
    /// `installed` or `available`; else both, as far as what else is asked for lets them.
    from: String,
    sort: String,
    /// How many rows to leave out.
    after: String,
    part: String,
}

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    frame: Frame,
    demo: Option<FilesPanel>,
    list: List,
    search: String,
    shows: Vec<Choice>,
    statuses: Vec<Choice>,
    /// None where there is no marketplace.
    froms: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "projects_first_run.html")]
struct FirstRun {
    frame: Frame,
}

/// A choice of a filter.
struct Choice {
    word: &'static str,
    label: String,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "projects_list.html")]
struct List {
    sum: String,
    hidden: Hidden,
    /// The key of a root that nobody has looked below yet.
    is_looking: Option<Key>,
    is_filtered: bool,
    has_markets: bool,
    search: Option<String>,
    roots: Vec<Root>,
    columns: Vec<Column>,
    projects: Vec<ProjectRow>,
    artifacts: Option<Vec<ArtifactRow>>,
    next: Option<String>,
}

/// A folder that projects are looked for below, or a marketplace.
struct Root {
    key: Key,
    what: &'static str,
    path: Option<String>,
    state: FolderState,
}

/// One project, as shown.
struct ProjectRow {
    key: Key,
    href: String,
    name: String,
    path: String,
    artifacts: String,
    outdated: u64,
    modified: u64,
    missing: u64,
    warnings: u64,
    updated: Option<Stamp>,
    badge: Badge,
    why: Option<Prose>,
}

impl List {
    fn has_artifacts(&self) -> bool {
        self.artifacts.as_ref().is_some_and(|all| !all.is_empty())
    }
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

/// The page.
pub(crate) async fn show(State(app): State<App>, visit: Visit, Query(asked): Query<Asked>) -> Response {
    let is_part = asked.part == "list";
    if !visit.viewer.may_read_private {
        return no_permission(&app, &visit);
    }
    let has_markets = !app.markets().is_empty();
    if app.roots(visit.viewer).is_empty() && !has_markets && !is_part {
        let frame = visit.frame(Here::Projects, "No folder to look for projects in");
        return visit.page(StatusCode::OK, &FirstRun { frame });
    }
    let list = match gather(&app, &visit, &asked).await {
        Ok(list) => list,
        Err(problem) => {
            let lines = [problem.detail];
            return message(&visit, StatusCode::SERVICE_UNAVAILABLE, "The store cannot be read", &lines);
        }
    };
    if is_part {
        return visit.page(StatusCode::OK, &list);
    }
    let mut frame = visit.frame(Here::Projects, "Projects");
    frame.settling =
        list.is_looking.is_some() || list.projects.iter().any(|row| row.badge.class == "updating");
    let page = ProjectsPage {
        frame,
        demo: FilesPanel::of(&app, &visit),
        list,
        shows: shows(&asked.show, has_markets),
        statuses: statuses(&asked.status),
        froms: if has_markets { froms(&asked.from) } else { Vec::new() },
        search: asked.search,
    };
    visit.page(StatusCode::OK, &page)
}

fn shows(here: &str, has_markets: bool) -> Vec<Choice> {
    let choice =
        |word: &'static str, label: &str| Choice { word, label: label.to_owned(), is_here: word == here };
    let mut all = vec![choice("", "projects"), choice("artifacts", "all artifacts")];
    all.extend(ArtifactType::ALL.map(|kind| choice(kind.word(), &format!("{}s", label(kind)))));
    all.extend(has_markets.then(|| choice(ArtifactType::Plugin.word(), "plugins")));
    all
}

fn froms(here: &str) -> Vec<Choice> {
    let choice =
        |(word, label): (&'static str, &str)| Choice { word, label: label.to_owned(), is_here: word == here };
    [("", "projects and marketplaces"), ("installed", "projects"), ("available", "marketplaces")]
        .map(choice)
        .into()
}

fn statuses(here: &str) -> Vec<Choice> {
    let choice =
        |(word, label): (&'static str, &str)| Choice { word, label: label.to_owned(), is_here: word == here };
    [("", "any state"), ("outdated", "outdated"), ("modified", "modified"), ("missing", "missing")]
        .map(choice)
        .into()
}

async fn gather(app: &App, visit: &Visit, asked: &Asked) -> Result<List, Problem> {
    let now = app.now();
    let looks = asked.part != "list";
    let roots = app.roots(visit.viewer);
    let keys = app.projects(visit.viewer);
    let all: Vec<Key> = roots.iter().chain(&keys).cloned().collect();
    let rows = app.folder_rows(&all, visit.viewer.into()).await?;
    let (markets, offering) = (app.markets(), app.seen_markets(visit.viewer).await?);
    let rows: HashMap<&Key, &Entry> = rows.iter().chain(&offering).map(|row| (&row.key, row)).collect();
    let state = |key: &Key| FolderState::new(app, key, rows.get(key).copied(), looks, now);
    if looks {
        let wanting = all.iter().chain(&markets).filter(|key| state(key).is_wanting);
        look_behind(app, wanting.cloned().collect());
    }
    let question = Question::of(asked);
    let entries = question.entries(&keys, &markets);
    let (artifacts, more) = match question.artifacts(&entries, ROWS_MAX + 1) {
        Some(query) => {
            let mut listed = app.store.list(&query).await?;
            let more = listed.len() > ROWS_MAX;
            listed.truncate(ROWS_MAX);
            let read: Vec<(Artifact, Key)> = listed
                .iter()
                .filter_map(|one| Some((one.item.doc.decode().ok()?, one.entries.first()?.clone())))
                .collect();
            (Some(read), more)
        }
        None => (None, false),
    };
    let mut projects: Vec<LocalProject> = match question.projects(&keys) {
        Some(query) => decoded(&app.store.list(&query).await?),
        None => Vec::new(),
    };
    let mut words = Vec::new();
    if let Some(artifacts) = &artifacts {
        let many = if more || question.start > 0 {
            app.store.count(&question.artifacts(&entries, 0).unwrap_or_else(|| question.all(&keys))).await?
        } else {
            larder_core::Met::exactly(artifacts.len() as u64)
        };
        let plus = if many.or_more { "more than " } else { "" };
        words.push(format!("{plus}{}", counted(many.count, "artifact", "artifacts")));
        projects.truncate(PROJECTS_FOUND_MAX);
    } else {
        words.push(counted(projects.len() as u64, "project", "projects"));
        words.push(counted(projects.iter().map(|one| one.artifacts).sum(), "artifact", "artifacts"));
        words.extend(wrong(&projects));
    }
    let updating = keys.iter().filter(|key| state(key).badge.class == "updating").count();
    if updating > 0 {
        words.push(format!("{} of {} being looked at", exact(updating as u64), exact(keys.len() as u64)));
    }
    let more = more || (artifacts.is_none() && projects.len() > question.start + ROWS_MAX);
    let is_whole = artifacts.is_none();
    if is_whole {
        question.order(&mut projects);
        projects = projects.into_iter().skip(question.start).take(ROWS_MAX).collect();
    }
    let sight = visit.viewer.into();
    let lines = projects.iter().filter_map(|project| {
        let key = Key::new(crate::folders::PROJECTS_SOURCE, &[&project.id]).ok()?;
        Some(ProjectRow::new(project, state(&key), key, sight, now))
    });
    let is_filtered = !asked.search.trim().is_empty() || !asked.status.is_empty() || !is_whole;
    let looked = roots.iter().map(|key| Root {
        what: "Looked for below",
        path: rows.get(key).and_then(|row| root_path(row)),
        state: state(key),
        key: key.clone(),
    });
    let offered = markets.iter().map(|key| Root {
        what: "To be had from",
        path: key.segments().pop(),
        state: state(key),
        key: key.clone(),
    });
    Ok(List {
        sum: words.join(" · "),
        hidden: visit.hidden(),
        is_looking: roots.iter().find(|key| !rows.get(key).is_some_and(|row| row.has_data())).cloned(),
        is_filtered,
        search: Some(asked.search.trim().to_owned()).filter(|words| !words.is_empty()),
        columns: columns(asked),
        projects: lines.collect(),
        artifacts: artifacts.map(|all| {
            all.iter().map(|(artifact, key)| ArtifactRow::among_others(artifact, key, now)).collect()
        }),
        next: more.then(|| asked.address(&[("after", &(question.start + ROWS_MAX).to_string())])),
        has_markets: !markets.is_empty(),
        roots: looked.chain(offered).collect(),
    })
}

/// `3 outdated`, of all.
fn wrong(projects: &[LocalProject]) -> impl Iterator<Item = String> {
    let sum = |count: fn(&LocalProject) -> u64| projects.iter().map(count).sum::<u64>();
    let counts = [
        (sum(|one| one.outdated), "outdated"),
        (sum(|one| one.modified), "modified"),
        (sum(|one| one.missing), "missing"),
    ];
    counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{} {word}", exact(count)))
}

/// Where a root lies, for those who are told.
fn root_path(row: &Entry) -> Option<String> {
    let body: serde_json::Value = row.body.as_ref()?.decode().ok()?;
    body["root"].as_str().map(str::to_owned)
}

/// What is stale or missing is looked at, and nobody is waited for.
pub(super) fn look_behind(app: &App, keys: Vec<Key>) {
    if !keys.is_empty() {
        let engine = app.engine.clone();
        // The engine decides what of it is due, and has one flight an entry.
        tokio::spawn(async move { engine.load_many(&keys, &ReadOptions::default()).await });
    }
}

/// What is asked for besides what a search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Projects,
    Artifacts,
    Type(ArtifactType),
}

/// Whose artifacts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Installed,
    Available,
    Both,
}

/// What is asked, checked.
struct Question {
    from: From,
    search: Option<String>,
    status: Option<&'static str>,
    wanted: Wanted,
    sort: (&'static str, bool),
    start: usize,
}

impl Question {
    fn of(asked: &Asked) -> Self {
        let words = asked.search.trim();
        let mut end = words.len().min(SEARCH_BYTES_MAX);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        let status = ["outdated", "modified", "missing"].into_iter().find(|word| *word == asked.status);
        let from = match asked.from.as_str() {
            "installed" => From::Installed,
            "available" => From::Available,
            _ => From::Both,
        };
        let wanted = match (asked.show.as_str(), from) {
            ("artifacts", _) => Wanted::Artifacts,
            (word, from) => match ArtifactType::offered(word) {
                Some(kind) => Wanted::Type(kind),
                // What is to be had is no project.
                None if from == From::Available => Wanted::Artifacts,
                None => Wanted::Projects,
            },
        };
        Question {
            from,
            search: Some(words[..end].to_owned()).filter(|words| !words.is_empty()),
            status,
            wanted,
            sort: sorting(&asked.sort),
            start: asked.after.parse().unwrap_or(0).min(LIST_MAX),
        }
    }

    /// Where artifacts are looked for. A search finds what is to be had as well, unless it is about what
    /// only projects know; and no project has a plugin.
    fn entries(&self, projects: &[Key], markets: &[Key]) -> Vec<Key> {
        let is_wide = self.search.is_some() || self.wanted == Wanted::Type(ArtifactType::Plugin);
        let offers = match self.from {
            From::Installed => false,
            From::Available => true,
            From::Both => is_wide && self.status.is_none(),
        };
        let installed = if self.from == From::Available { &[] } else { projects };
        installed.iter().chain(markets.iter().filter(|_| offers)).cloned().collect()
    }

    /// The artifacts that are asked for, if any are: a search looks for them too.
    fn artifacts(&self, keys: &[Key], limit: usize) -> Option<ListQuery> {
        if self.wanted == Wanted::Projects && self.search.is_none() {
            return None;
        }
        let mut filters = Vec::new();
        if let Wanted::Type(kind) = self.wanted {
            filters.push(Filter { column: "type", test: Test::Is(kind.word().to_owned()) });
        }
        filters.extend(self.status.map(|column| Filter { column, test: Test::Flag(true) }));
        let order = if self.search.is_some() { Order::Rank } else { Order::Ascending("name") };
        Some(ListQuery {
            view: &ARTIFACTS,
            entries: keys.to_vec(),
            search: self.search.clone(),
            filters,
            order: Some(order),
            offset: self.start,
            limit,
        })
    }

    fn all(&self, keys: &[Key]) -> ListQuery {
        ListQuery {
            view: &PROJECTS,
            entries: keys.to_vec(),
            search: self.search.clone(),
            filters: self
                .status
                .map(|column| Filter { column, test: Test::AtLeast("1".to_owned()) })
                .into_iter()
                .collect(),
            order: Some(if self.search.is_some() { Order::Rank } else { Order::Ascending("name") }),
            offset: 0,
            limit: LIST_MAX,
        }
    }

    /// The projects that are asked for, if any are.
    fn projects(&self, keys: &[Key]) -> Option<ListQuery> {
        let is_later = self.search.is_some() && self.start > 0;
        (self.wanted == Wanted::Projects && !is_later).then(|| self.all(keys))
    }

    fn order(&self, projects: &mut [LocalProject]) {
        let (word, is_turned) = self.sort;
        match word {
            "artifacts" => projects.sort_by_key(|one| Reverse(one.artifacts)),
            "outdated" => projects.sort_by_key(|one| Reverse(one.outdated)),
            "modified" => projects.sort_by_key(|one| Reverse(one.modified)),
            "missing" => projects.sort_by_key(|one| Reverse(one.missing)),
            "updated" => projects.sort_by_key(|one| Reverse(one.updated_at)),
            // They come so.
            _ => {}
        }
        if is_turned {
            projects.reverse();
        }
    }
}

/// The columns that projects can be ordered by, and whether the greatest comes first.
const COLUMNS: [(&str, &str, bool, bool); 7] = [
    ("name", "Project", false, false),
    ("artifacts", "Artifacts", true, true),
    ("outdated", "Outdated", true, true),
    ("modified", "Modified", true, true),
    ("missing", "Missing", true, true),
    ("updated", "Written", true, false),
    ("", "State", false, false),
];

/// The column of an order, and whether it is turned around: `-name`.
fn sorting(sort: &str) -> (&'static str, bool) {
    let (word, is_turned) = sort.strip_prefix('-').map_or((sort, false), |word| (word, true));
    let known = COLUMNS.iter().map(|(name, ..)| *name).find(|name| *name == word && !name.is_empty());
    known.map_or(("name", false), |known| (known, is_turned))
}

fn columns(asked: &Asked) -> Vec<Column> {
    let (word, is_turned) = sorting(&asked.sort);
    let column = |(name, label, greatest_first, is_number): &(&'static str, &'static str, bool, bool)| {
        let is_here = *name == word;
        let next = if is_here && !is_turned { format!("-{name}") } else { (*name).to_owned() };
        let is_sortable = !name.is_empty() && asked.search.trim().is_empty();
        Column {
            label,
            is_number: *is_number,
            href: is_sortable.then(|| asked.address(&[("sort", &next)])),
            sorted: (is_here && is_sortable).then_some(if *greatest_first == is_turned {
                "ascending"
            } else {
                "descending"
            }),
        }
    };
    COLUMNS.iter().map(column).collect()
}

impl Asked {
    /// The address of the same question but for some of it.
    fn address(&self, but: &[(&str, &str)]) -> String {
        let now = [
            ("search", self.search.trim()),
            ("show", &self.show),
            ("status", &self.status),
            ("from", &self.from),
            ("sort", &self.sort),
            ("after", ""),
        ];
        let changed = now.iter().map(|(name, value)| {
            let but = but.iter().find(|(changed, _)| changed == name);
            (*name, but.map_or(*value, |(_, value)| value))
        });
        let pairs: Vec<String> = changed
            .filter(|pair| !pair.1.is_empty() && *pair != ("sort", "name"))
            .map(|(name, value)| {
                let sign = if name == "sort" && value.starts_with('-') { "-" } else { "" };
                format!("{name}={sign}{}", utf8_percent_encode(&value[sign.len()..], NON_ALPHANUMERIC))
            })
            .collect();
        if pairs.is_empty() { "/projects".to_owned() } else { format!("/projects?{}", pairs.join("&")) }
    }
}

impl ProjectRow {
    fn new(project: &LocalProject, state: FolderState, key: Key, sight: Sight, now: Time) -> Self {
        let path = if sight == Sight::Local { &project.path } else { &project.relative_path };
        ProjectRow {
            href: format!("/projects/{}", key.name()),
            name: project.name.clone(),
            path: path.clone(),
            artifacts: exact(project.artifacts),
            outdated: project.outdated,
            modified: project.modified,
            missing: project.missing,
            warnings: project.warnings,
            updated: project.updated_at.map(|at| Stamp::new(at, now)),
            badge: state.badge,
            why: state.note.map(Note::why),
            key,
        }
    }
}
