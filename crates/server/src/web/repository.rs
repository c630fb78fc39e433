//! One repository as a line of a card.

use std::time::Duration;

use askama::Template;
use larder_core::{Member, MemberState, Time};
use larder_domain::{ClustersConfig, Language, Repository};

use super::words::{Stamp, counted, exact, short};

/// The colour of a language that has none of its own.
const NO_COLOR: &str = "#8a95a3";
const LANGUAGES_MAX: usize = 3;
const TOPICS_MAX: usize = 3;

/// A repository, as shown.
#[derive(Template)]
#[template(path = "repository.html")]
pub(crate) struct RepositoryLine {
    url: Option<String>,
    owner: Option<String>,
    name: String,
    marks: Vec<&'static str>,
    stars: String,
    stars_exact: String,
    about: Option<String>,
    languages: Vec<Dot>,
    topics: Vec<String>,
    release: Option<String>,
    pushed: Option<Stamp>,
}

/// A language and its colour.
struct Dot {
    name: String,
    color: String,
}

/// What lines are made with.
#[derive(Clone, Copy)]
pub(crate) struct LineStyle<'a> {
    /// What is said of single repositories, and whose bare names need no owner.
    pub(crate) config: &'a ClustersConfig,
    /// How long an update makes new.
    pub(crate) new_within: Duration,
    pub(crate) now: Time,
}

impl RepositoryLine {
    /// The line of a member that is shown.
    pub(crate) fn new(repository: &Repository, member: &Member, style: LineStyle<'_>) -> Self {
        RepositoryLine {
            url: is_web(&repository.url).then(|| repository.url.clone()),
            owner: owner(repository, style.config),
            name: style.config.name_of(repository, Some(&member.asked)),
            marks: marks(repository, member, style),
            stars: short(repository.stars),
            stars_exact: counted(repository.stars, "star", "stars"),
            about: repository.description.clone().filter(|text| !text.trim().is_empty()),
            languages: dots(repository),
            topics: repository.topics().iter().take(TOPICS_MAX).cloned().collect(),
            release: repository
                .latest_release
                .as_ref()
                .map(|release| release.tag.clone())
                .filter(|tag| !tag.is_empty()),
            pushed: repository.pushed_at.map(|at| Stamp::new(at, style.now)),
        }
    }

    fn has_facts(&self) -> bool {
        !self.languages.is_empty() || !self.topics.is_empty() || self.release.is_some()
    }
}

/// The owner, unless it is the one that bare names mean.
fn owner(repository: &Repository, config: &ClustersConfig) -> Option<String> {
    let is_usual = config.owner.as_ref().is_some_and(|owner| owner.eq_ignore_ascii_case(&repository.owner));
    (!is_usual && !repository.owner.is_empty()).then(|| repository.owner.clone())
}

fn marks(repository: &Repository, member: &Member, style: LineStyle<'_>) -> Vec<&'static str> {
    let is_new = repository.updated_at.is_some_and(|at| style.now.since(at) <= style.new_within);
    let all = [
        (is_new && !repository.is_archived, "new"),
        (repository.is_archived, "archived"),
        (repository.is_fork, "fork"),
        (repository.is_private, "private"),
        (member.state == MemberState::Absent, "gone"),
    ];
    all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect()
}

/// The largest languages; the main one alone where sizes are unknown.
fn dots(repository: &Repository) -> Vec<Dot> {
    let dot = |name: &str, color: Option<&String>| Dot {
        name: name.to_owned(),
        color: color.filter(|color| is_color(color)).cloned().unwrap_or_else(|| NO_COLOR.to_owned()),
    };
    let known = repository.languages().iter().take(LANGUAGES_MAX);
    let dots: Vec<Dot> = known.map(|Language { name, color, .. }| dot(name, color.as_ref())).collect();
    match (&repository.language, dots.is_empty()) {
        (Some(main), true) => vec![dot(main, repository.language_color.as_ref())],
        _ => dots,
    }
}

fn is_color(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether an address may be linked: what upstream sends is not trusted to be no script.
pub(crate) fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// `3 repositories, 1,234 stars`.
pub(crate) fn sum(repositories: &[(Repository, Member)]) -> String {
    let stars = repositories.iter().fold(0_u64, |sum, (repository, _)| sum.saturating_add(repository.stars));
    let count = counted(repositories.len() as u64, "repository", "repositories");
    if stars == 0 { count } else { format!("{count} · {} stars", exact(stars)) }
}
