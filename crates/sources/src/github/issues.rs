//! The issues of a label: all of them, or those that changed since, in as many pages as there are.
//! With a token by GraphQL, without one by REST, which lists pull requests among them. REST's pages are turned by
//! the links that they name: behind the tenth GitHub takes no number of a page any more, and it names no last one,
//! so that how many there are is known of what was listed to its end alone.

use std::collections::HashSet;

use larder_core::{Absence, FetchError, Time};
use larder_domain::RepoName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Envelope, Nodes, not_found};
use super::call::Errand;
use super::rest::Nothing;
use super::sizing::Pages;
use super::{GitHub, query, rights};

/// Issues on one page of REST, which is GitHub's limit too.
const PAGE_SIZE: usize = 100;
/// More issues of one label are not listed.
const ISSUES_MAX: usize = 20_000;
/// As many as these pages have.
const PAGES_MAX: u32 = (ISSUES_MAX / PAGE_SIZE) as u32;

/// Which issues.
#[derive(Debug, Clone, Copy)]
pub struct LabelAsked<'a> {
    /// Of which repository.
    pub repo: &'a RepoName,
    /// With which labels: all of them, at least one.
    pub labels: &'a [String],
    /// That changed at or after this instant alone.
    pub since: Option<Time>,
}

/// What was found of a label.
#[derive(Debug, Clone, PartialEq)]
pub enum Labelled {
    /// The repository is there.
    Here(Box<LabelledIssues>),
    /// It is not there, or not for us.
    Absent(Absence),
}

/// The issues of a label.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelledIssues {
    /// The repository's name as it is now written.
    pub repo: String,
    /// Whether the repository is not for everybody.
    pub is_private: bool,
    /// Those that were asked for, each once. Of several labels they carry the first at least.
    pub issues: Vec<Issue>,
    /// How many carry the first label in all, counted as `issues` are; `None` = it is not told.
    pub total: Option<u64>,
}

/// An issue, as far as a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its number within the repository.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its labels, where several were asked for.
    pub labels: Vec<String>,
    /// Whether it is open.
    pub is_open: bool,
    /// When it was opened.
    pub created_at: Option<Time>,
    /// When it was closed.
    pub closed_at: Option<Time>,
    /// Its page.
    pub url: String,
    /// Whether it is a pull request, which only REST lists.
    pub is_pull_request: bool,
}

impl GitHub {
    /// The issues of a label. A list with a gap is an error, never a short list.
    pub async fn issues(&self, asked: LabelAsked<'_>, errand: &Errand) -> Result<Labelled, FetchError> {
        if self.has_token() {
            self.issues_by_graphql(asked, errand).await
        } else {
            self.issues_by_rest(asked, errand).await
        }
    }

    async fn issues_by_graphql(
        &self,
        asked: LabelAsked<'_>,
        errand: &Errand,
    ) -> Result<Labelled, FetchError> {
        let mut found = LabelledIssues::default();
        let mut after: Option<String> = None;
        let mut pages = Pages::of(ISSUES_MAX);
        while let Some(first) = pages.next() {
            let viewer = self.viewer().await?;
            let query = query::issues(asked, after.as_deref(), first, viewer);
            let page = match self.graphql(&query, errand).await.and_then(|page| self.issues_page(page)) {
                Err(error) if self.may_halve(&error, errand) && pages.halve() => continue,
                result => result?,
            };
            pages.turned();
            let Some((page, next)) = page else { return Ok(Labelled::Absent(not_found(asked.repo))) };
            let issues = std::mem::take(&mut found.issues).into_iter().chain(page.issues).collect();
            found = LabelledIssues { issues, ..page };
            match next {
                Some(next) => after = Some(next),
                None => return self.whole(asked, found),
            }
        }
        Err(self.too_many(asked))
    }

    /// One page and where the next begins; `None` = there is no such repository.
    fn issues_page(
        &self,
        mut envelope: Envelope,
    ) -> Result<Option<(LabelledIssues, Option<String>)>, FetchError> {
        let field = envelope.data.as_mut().and_then(|data| data.remove("repository")).unwrap_or_default();
        let is_telling = |kind: &str| !(field.is_null() && kind == "NOT_FOUND");
        if let Some(problem) = envelope.problems().iter().find(|problem| is_telling(problem.kind())) {
            return Err(self.part_left_out(problem, rights::ISSUES));
        }
        if field.is_null() {
            return Ok(None);
        }
        let field = RepositoryField::deserialize(field)
            .map_err(|error| self.unusable(format!("a list of issues: {error}")))?;
        let (nodes, next) = self.nodes(field.page, "issues")?;
        let page = LabelledIssues {
            repo: field.name_with_owner,
            is_private: field.is_private,
            issues: nodes.into_iter().map(Node::keep).collect(),
            total: Some(field.all.total_count),
        };
        Ok(Some((page, next)))
    }

    /// How many calls all of so many issues take, of which what changed takes one; `None` = it is told with what
    /// changed how many there are, so that all of them are wanted only where that differs.
    pub fn calls_for_all(&self, count: usize) -> Option<u32> {
        let pages = u32::try_from(count / PAGE_SIZE + 1).unwrap_or(u32::MAX);
        (!self.has_token()).then_some(pages)
    }

    async fn issues_by_rest(&self, asked: LabelAsked<'_>, errand: &Errand) -> Result<Labelled, FetchError> {
        let mut found = LabelledIssues { repo: asked.repo.to_string(), ..LabelledIssues::default() };
        let path = rest_path(asked);
        let mut at = self.rest_url(&path)?;
        let mut turned = HashSet::new();
        for _ in 0..PAGES_MAX {
            let page = match self.get_whole(at.clone(), errand).await? {
                Ok(page) => page,
                // The list was there a moment ago. If it really went, its first page says so the next time.
                Err(Nothing::NotThere | Nothing::Gone) if !turned.is_empty() => {
                    return Err(self.unusable(format!("{path}: a page further on is not there")));
                }
                // It has no issues at all: they were switched off. GraphQL has an empty list then.
                Err(Nothing::Gone) => {
                    let none = LabelledIssues { issues: Vec::new(), total: Some(0), ..found };
                    return Ok(Labelled::Here(Box::new(none)));
                }
                Err(Nothing::Empty) => return Err(self.refused(&path, Nothing::Empty)),
                Err(nothing) => return Ok(Labelled::Absent(self.absence(asked.repo, nothing))),
            };
            let nodes: Vec<RestNode> = self.read(&page.body, &path)?;
            if let Some(repo) = nodes.first().and_then(RestNode::repo) {
                found.repo = repo;
            }
            found.issues.extend(nodes.into_iter().map(RestNode::keep));
            turned.insert(at);
            match self.next_of(&page)? {
                None => {
                    found.total = asked.since.is_none().then_some(found.issues.len() as u64);
                    return self.whole(asked, found);
                }
                Some(next) if turned.contains(&next) => {
                    return Err(self.unusable(format!("{path}: pages that lead back to one another")));
                }
                Some(next) => at = next,
            }
        }
        Err(self.too_many(asked))
    }

    /// Each issue once; a whole list has as many as were counted, unless it changed while its pages
    /// were turned.
    fn whole(&self, asked: LabelAsked<'_>, found: LabelledIssues) -> Result<Labelled, FetchError> {
        let mut seen = HashSet::new();
        let LabelledIssues { issues, total, .. } = found;
        let issues: Vec<Issue> = issues.into_iter().filter(|issue| seen.insert(issue.number)).collect();
        if let Some(total) = total.filter(|total| asked.since.is_none() && (issues.len() as u64) < *total) {
            let detail = format!("{} of {total} issues of `{}`", issues.len(), asked.repo);
            return Err(FetchError::Partial { host: self.host().to_owned(), detail });
        }
        Ok(Labelled::Here(Box::new(LabelledIssues { issues, ..found })))
    }

    fn too_many(&self, asked: LabelAsked<'_>) -> FetchError {
        self.unusable(format!("`{}` has more than {ISSUES_MAX} issues of that label", asked.repo))
    }
}

/// Where the list begins.
fn rest_path(asked: LabelAsked<'_>) -> String {
    let LabelAsked { repo, labels, since } = asked;
    let labels: Vec<String> =
        labels.iter().take(1).map(|label| utf8_percent_encode(label, NON_ALPHANUMERIC).to_string()).collect();
    let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
    format!(
        "/repos/{}/{}/issues?state=all&labels={}&per_page={PAGE_SIZE}&sort=created&direction=asc{since}",
        repo.owner(),
        repo.name(),
        labels.join(",")
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepositoryField {
    name_with_owner: String,
    is_private: bool,
    all: Count,
    page: Nodes<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    total_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    number: u64,
    title: String,
    state: String,
    created_at: Option<Time>,
    closed_at: Option<Time>,
    url: String,
    labels: Option<Labels>,
}

#[derive(Deserialize)]
struct Labels {
    nodes: Option<Vec<Option<Label>>>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

impl Node {
    fn keep(self) -> Issue {
        let labels = self.labels.and_then(|labels| labels.nodes).unwrap_or_default();
        Issue {
            number: self.number,
            title: self.title,
            labels: labels.into_iter().flatten().map(|label| label.name).collect(),
            is_open: self.state.eq_ignore_ascii_case("open"),
            created_at: self.created_at,
            closed_at: self.closed_at,
            url: self.url,
            is_pull_request: false,
        }
    }
}

#[derive(Deserialize)]
struct RestNode {
    number: u64,
    title: String,
    state: String,
    labels: Vec<Label>,
    created_at: Option<Time>,
    closed_at: Option<Time>,
    html_url: String,
    repository_url: Option<String>,
    pull_request: Option<Value>,
}

impl RestNode {
    /// The name that the repository has now.
    fn repo(&self) -> Option<String> {
        Some(self.repository_url.as_ref()?.split_once("/repos/")?.1.to_owned())
    }

    fn keep(self) -> Issue {
        Issue {
            number: self.number,
            title: self.title,
            labels: self.labels.into_iter().map(|label| label.name).collect(),
            is_open: self.state.eq_ignore_ascii_case("open"),
            created_at: self.created_at,
            closed_at: self.closed_at,
            url: self.html_url,
            is_pull_request: self.pull_request.is_some(),
        }
    }
}
