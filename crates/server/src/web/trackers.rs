//! `/trackers`: releases, microsprints and the like, a card a repository, open ones first, with what
//! was closed by month. The filters are in the address; a repository and a type together show a list
//! of all there are, page by page. `part=list` shows what is held and causes no refresh.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use larder_core::{Key, Time};
use larder_domain::{RepoName, plural};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::clusters::Sees;
use super::frame::{Frame, Here, Visit};
use super::message::message;
use super::query::{Asks, Wished, word};
use super::tracker_card::{Block, Filter, TrackerCard};
use super::words::counted;
use crate::api::Place;
use crate::app::App;
use crate::snapshot::Patience;
use crate::trackers::{repo_of, type_of};

/// So many cards are on a page.
const CARDS_MAX: usize = 24;
/// So many trackers of one list.
const LINES_MAX: usize = 100;
/// So many of each on a card.
const FEW: usize = 6;

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    repo: String,
    #[serde(rename = "type")]
    of: String,
    state: String,
    since: String,
    /// Where the page before this one ended.
    cursor: String,
    part: String,
}

impl Asks for Asked {
    fn check(&self) -> Result<(), String> {
        word("state", &self.state, &["open", "closed", "all"])
    }
}

#[derive(Template)]
#[template(path = "trackers.html")]
struct TrackersPage {
    frame: Frame,
    list: List,
    repos: Vec<Choice>,
    types: Vec<Choice>,
    states: Vec<Choice>,
    since: String,
}

/// One of a filter's values.
struct Choice {
    value: String,
    label: String,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "tracker_list.html")]
struct List {
    cards: Vec<TrackerCard>,
    count_words: String,
    /// What is wrong with some of them.
    states: String,
    next: Option<String>,
    /// Whether it is one list of one repository and type.
    is_one: bool,
    is_filtered: bool,
    sees: Sees,
}

#[derive(Template)]
#[template(path = "trackers_first_run.html")]
struct FirstRun {
    frame: Frame,
}

/// The page.
pub(crate) async fn show(State(app): State<App>, visit: Visit, Wished(asked): Wished<Asked>) -> Response {
    let configured = app.tracker_keys();
    if configured.is_empty() {
        let frame = visit.frame(Here::Trackers, "No trackers are kept yet");
        return visit.page(StatusCode::OK, &FirstRun { frame });
    }
    let filter = match asked.filter() {
        Ok(filter) => filter,
        Err(error) => {
            return message(&visit, StatusCode::BAD_REQUEST, "These trackers cannot be shown", &[error]);
        }
    };
    let is_part = asked.part == "list";
    let patience = if is_part { Patience::Look } else { Patience::Glance };
    let readings = app.readings(&configured, visit.viewer, patience).await;
    let seen: Vec<_> =
        configured.into_iter().zip(readings).filter_map(|(key, reading)| Some((key, reading?))).collect();
    let keys: Vec<Key> = seen.iter().map(|(key, _)| key.clone()).collect();
    let missing: Vec<Key> =
        seen.iter().filter(|(_, reading)| reading.is_err()).map(|(key, _)| key.clone()).collect();
    let mut rows = app.rows_at_hand(&missing).await;
    let now = app.now();
    let blocks = seen.into_iter().filter(|(key, _)| asked.wants(key)).map(|(key, reading)| {
        let row = rows.remove(&key);
        Block::new(&app, key, &reading, row.as_ref(), (now, patience == Patience::Glance))
    });
    let blocks: Vec<Block> = blocks.collect();
    let list = match asked.lay_out(blocks, &filter, &visit, Sees::of(&app, visit.viewer)) {
        Ok(list) => list,
        Err(error) => return message(&visit, StatusCode::NOT_FOUND, "There is no such page", &[error]),
    };
    if is_part {
        return visit.page(StatusCode::OK, &list);
    }
    let mut frame = visit.frame(Here::Trackers, "Trackers");
    frame.settling = list.cards.iter().any(TrackerCard::is_settling);
    let (repos, types) = (asked.repos(&keys), asked.types(&keys));
    let page = TrackersPage { frame, list, repos, types, states: asked.states(), since: asked.since };
    visit.page(StatusCode::OK, &page)
}

impl Asked {
    fn filter(&self) -> Result<Filter, String> {
        let since = match self.since.as_str() {
            "" => None,
            text => Some(Time::parse(text).map_err(|error| super::words::sentence(&error.to_string()))?),
        };
        let is_open = match self.state.as_str() {
            "open" => Some(true),
            "closed" => Some(false),
            _ => None,
        };
        Ok(Filter { is_open, since })
    }

    fn wants(&self, key: &Key) -> bool {
        let is_repo = || repo_of(key).is_some_and(|repo| **repo.key() == *self.repo.to_lowercase());
        (self.repo.is_empty() || is_repo())
            && (self.of.is_empty() || type_of(key).as_deref() == Some(&*self.of))
    }

    /// Whether one list of one repository is wanted, whole.
    fn is_one(&self) -> bool {
        !self.repo.is_empty() && !self.of.is_empty()
    }

    fn is_filtered(&self) -> bool {
        [&self.repo, &self.of, &self.state, &self.since].iter().any(|filter| !filter.is_empty())
    }

    fn lay_out(
        &self,
        blocks: Vec<Block>,
        filter: &Filter,
        visit: &Visit,
        sees: Sees,
    ) -> Result<List, String> {
        let offset = Place::of(Some(&*self.cursor).filter(|cursor| !cursor.is_empty()), &self.question())
            .map_err(|problem| super::words::sentence(&problem.detail))?
            .offset();
        let total: u64 = blocks.iter().map(|block| block.count(filter)).sum();
        let mut repos: Vec<(RepoName, Vec<Block>)> = Vec::new();
        for block in blocks {
            let Some(repo) = repo_of(&block.key) else { continue };
            match repos.iter_mut().find(|(known, _)| known.key() == repo.key()) {
                Some((_, blocks)) => blocks.push(block),
                None => repos.push((repo, vec![block])),
            }
        }
        // With a filter, the repositories that have what it lets through; else all that are kept.
        let has_any = |blocks: &[Block]| !filter.is_any() || blocks.iter().any(|one| one.count(filter) > 0);
        let count_words = format!(
            "{} in {}",
            counted(total, "tracker", "trackers"),
            counted(
                repos.iter().filter(|(_, blocks)| has_any(blocks)).count() as u64,
                "repository",
                "repositories"
            )
        );
        let is_one = self.is_one();
        let all = repos.len();
        let (skipped, lines_from) = if is_one { (0, offset) } else { (offset, 0) };
        let lines = if is_one { LINES_MAX } else { FEW };
        let mut more = false;
        let cards: Vec<TrackerCard> = repos
            .into_iter()
            .skip(skipped)
            .take(CARDS_MAX)
            .map(|(repo, blocks)| {
                let mut card = TrackerCard::new(&repo, visit);
                for block in blocks {
                    let whole = (!is_one).then(|| self.address(Some((&repo, &block.of)), None));
                    more |= card.add(block, filter, lines_from, lines, whole);
                }
                card
            })
            .collect();
        let next = if is_one {
            more.then_some(offset + LINES_MAX)
        } else {
            (skipped + cards.len() < all).then_some(skipped + CARDS_MAX)
        };
        let next = next.and_then(|offset| Place::behind(offset).cursor(&self.question()));
        Ok(List {
            states: states(&cards),
            cards,
            count_words,
            next: next.map(|cursor| self.address(None, Some(&cursor))),
            is_one,
            is_filtered: self.is_filtered(),
            sees,
        })
    }

    /// All that decides what the list holds, but for the place in it.
    fn question(&self) -> String {
        format!("page&{}&{}&{}&{}", self.repo, self.of, self.state, self.since)
    }

    /// The address of these filters, or of one repository's list of a type.
    fn address(&self, whole: Option<(&RepoName, &str)>, cursor: Option<&str>) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let named = whole.map(|(repo, of)| (repo.key().to_string(), of.to_owned()));
        let (repo, of) = named.unwrap_or_else(|| (self.repo.clone(), self.of.clone()));
        let pairs = [
            ("repo", repo.as_str()),
            ("type", of.as_str()),
            ("state", self.state.as_str()),
            ("since", self.since.as_str()),
            ("cursor", cursor.unwrap_or_default()),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect();
        if query.is_empty() { "/trackers".to_owned() } else { format!("/trackers?{}", query.join("&")) }
    }

    fn repos(&self, keys: &[Key]) -> Vec<Choice> {
        let mut names: Vec<String> = Vec::new();
        for repo in keys.iter().filter_map(repo_of).map(|repo| repo.key().to_string()) {
            if !names.contains(&repo) {
                names.push(repo);
            }
        }
        let here = self.repo.to_lowercase();
        let choices = names.into_iter().map(|name| (name.clone(), name));
        Choice::of(std::iter::once((String::new(), "all".to_owned())).chain(choices), &here)
    }

    fn types(&self, keys: &[Key]) -> Vec<Choice> {
        let mut types: Vec<String> = Vec::new();
        for of in keys.iter().filter_map(type_of) {
            if !types.contains(&of) {
                types.push(of);
            }
        }
        let choices = types.into_iter().map(|of| (of.clone(), plural(&of)));
        Choice::of(std::iter::once((String::new(), "all".to_owned())).chain(choices), &self.of)
    }

    fn states(&self) -> Vec<Choice> {
        let all = [("", "open and closed"), ("open", "open"), ("closed", "closed")];
        let here = if self.state == "all" { "" } else { &self.state };
        Choice::of(all.map(|(value, label)| (value.to_owned(), label.to_owned())), here)
    }
}

impl Choice {
    /// All there are, and what is asked for beside them: a filter that shows nothing must not look like none.
    fn of(all: impl IntoIterator<Item = (String, String)>, here: &str) -> Vec<Choice> {
        let choice = |(value, label): (String, String)| Choice { is_here: value == here, value, label };
        let mut all: Vec<Choice> = all.into_iter().map(choice).collect();
        if !all.iter().any(|choice| choice.is_here) {
            all.push(choice((here.to_owned(), here.to_owned())));
        }
        all
    }
}

/// ` · 2 stale · 1 failing`.
fn states(cards: &[TrackerCard]) -> String {
    let words = [("updating", "updating"), ("stale", "stale"), ("error", "failing"), ("dead", "dead")];
    let counts = words.map(|(class, says)| (cards.iter().filter(|card| card.class() == class).count(), says));
    let words =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, says)| format!(" · {count} {says}"));
    words.collect::<Vec<_>>().concat()
}
