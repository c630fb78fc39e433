//! What the address of the projects' page asks for: the filters it offers, the orders it knows, and the
//! lists that answer it.

use std::cmp::Reverse;

use larder_core::{Filter, Key, ListQuery, Order, Test};
use larder_domain::{ARTIFACTS, ArtifactType, LocalProject, PROJECTS};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::folders::label;
use super::query::{Asks, order, start, word};

/// No list is longer.
const LIST_MAX: usize = 100_000;
/// What may be wrong with an artifact.
pub(super) const WRONG: [&str; 3] = ["outdated", "modified", "missing"];
/// So much of what is searched for is looked at, in bytes.
const SEARCH_BYTES_MAX: usize = 400;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(super) search: String,
    /// `artifacts`, or a type of them; else projects.
    pub(super) show: String,
    /// `outdated`, `modified` or `missing`.
    pub(super) status: String,
    /// `installed` or `available`; else both, as far as what else is asked for lets them.
    pub(super) from: String,
    pub(super) sort: String,
    /// How many rows to leave out.
    after: String,
    pub(super) part: String,
}

impl Asks for Asked {
    fn check(&self) -> Result<(), String> {
        let shows = shows("", true);
        let shows: Vec<&str> =
            shows.iter().map(|choice| choice.word).filter(|word| !word.is_empty()).collect();
        if ArtifactType::offered(&self.show).is_none() {
            word("show", &self.show, &shows)?;
        }
        word("status", &self.status, &WRONG)?;
        word("from", &self.from, &["installed", "available"])?;
        order(&self.sort, COLUMNS.iter().map(|(name, ..)| *name))?;
        start(&self.after)
    }
}

/// A choice of a filter.
pub(super) struct Choice {
    pub(super) word: &'static str,
    pub(super) label: String,
    pub(super) is_here: bool,
}

pub(super) fn shows(here: &str, has_markets: bool) -> Vec<Choice> {
    let choice =
        |word: &'static str, label: &str| Choice { word, label: label.to_owned(), is_here: word == here };
    let mut all = vec![choice("", "projects"), choice("artifacts", "all artifacts")];
    all.extend(ArtifactType::ALL.map(|kind| choice(kind.word(), &format!("{}s", label(kind)))));
    all.extend(has_markets.then(|| choice(ArtifactType::Plugin.word(), "plugins")));
    all
}

pub(super) fn froms(here: &str) -> Vec<Choice> {
    let choice =
        |(word, label): (&'static str, &str)| Choice { word, label: label.to_owned(), is_here: word == here };
    [("", "projects and marketplaces"), ("installed", "projects"), ("available", "marketplaces")]
        .map(choice)
        .into()
}

pub(super) fn statuses(here: &str) -> Vec<Choice> {
    let choice =
        |(word, label): (&'static str, &str)| Choice { word, label: label.to_owned(), is_here: word == here };
    [("", "any state"), ("outdated", "outdated"), ("modified", "modified"), ("missing", "missing")]
        .map(choice)
        .into()
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
pub(super) struct Question {
    from: From,
    search: Option<String>,
    status: Option<&'static str>,
    wanted: Wanted,
    sort: (&'static str, bool),
    pub(super) start: usize,
}

impl Question {
    pub(super) fn of(asked: &Asked) -> Self {
        let words = asked.search.trim();
        let mut end = words.len().min(SEARCH_BYTES_MAX);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        let status = WRONG.into_iter().find(|word| *word == asked.status);
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
    pub(super) fn entries(&self, projects: &[Key], markets: &[Key]) -> Vec<Key> {
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
    pub(super) fn artifacts(&self, keys: &[Key], limit: usize) -> Option<ListQuery> {
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

    pub(super) fn all(&self, keys: &[Key]) -> ListQuery {
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
    pub(super) fn projects(&self, keys: &[Key]) -> Option<ListQuery> {
        let is_later = self.search.is_some() && self.start > 0;
        (self.wanted == Wanted::Projects && !is_later).then(|| self.all(keys))
    }

    pub(super) fn order(&self, projects: &mut [LocalProject]) {
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

pub(super) fn columns(asked: &Asked) -> Vec<Column> {
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
    pub(super) fn address(&self, but: &[(&str, &str)]) -> String {
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

pub(super) struct Column {
    pub(super) label: &'static str,
    pub(super) is_number: bool,
    pub(super) href: Option<String>,
    pub(super) sorted: Option<&'static str>,
}

impl Column {
    pub(super) fn arrow(&self) -> Option<&'static str> {
        self.sorted.map(|way| if way == "ascending" { "↑" } else { "↓" })
    }
}
