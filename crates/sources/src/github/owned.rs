//! All that an owner owns, page by page. A list with a gap is an error, never a short list; what is
//! not for this token is no gap.

use std::collections::BTreeMap;

use larder_core::FetchError;
use larder_domain::Repository;
use serde::Deserialize;

use super::GitHub;
use super::answer::{Envelope, Nodes};
use super::call::Errand;
use super::query::{self, Breadth, PageAsked};
use super::repository::Node;
use super::rights::Withheld;
use super::sizing::Pages;

/// More repositories of one owner are not listed.
const OWNED_MAX: usize = 10_000;

/// What an owner owns.
#[derive(Debug, Clone, PartialEq)]
pub enum Owned {
    /// All of it, but for what is not for this token.
    All(Vec<Repository>, Shortfall),
    /// There is no such owner.
    NoSuchOwner,
}

/// What a token may not read of an owner's repositories.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shortfall {
    /// What is missing of those that are listed, by `owner/name` as it is written upstream.
    pub withheld: BTreeMap<String, Vec<Withheld>>,
    /// How many are not listed at all.
    pub hidden: usize,
}

/// A page of what an owner owns.
#[derive(Default)]
struct OwnedPage {
    repositories: Vec<Repository>,
    shortfall: Shortfall,
    /// How many were left out for the sake of their issues alone.
    without_issues: usize,
    /// Where the next page begins, if there is one.
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OwnerField {
    repositories: Nodes<Node>,
}

impl GitHub {
    /// Everything an owner owns. Needs a token.
    pub async fn owned(&self, login: &str, errand: &Errand) -> Result<Owned, FetchError> {
        let mut all: Vec<Repository> = Vec::new();
        let mut shortfall = Shortfall::default();
        let mut after: Option<String> = None;
        let mut pages = Pages::of(OWNED_MAX);
        while let Some(first) = pages.next() {
            let asked = PageAsked { login, after: after.as_deref(), first };
            let page = match self.owned_page(asked, errand).await {
                Err(error) if self.may_halve(&error, errand) && pages.halve() => continue,
                result => result?,
            };
            pages.turned();
            let Some(page) = page else { return Ok(Owned::NoSuchOwner) };
            all.extend(page.repositories);
            shortfall.withheld.extend(page.shortfall.withheld);
            shortfall.hidden += page.shortfall.hidden;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Owned::All(all, shortfall)),
            }
        }
        Err(self.unusable(format!("`{login}` owns more repositories than the {OWNED_MAX} that are listed")))
    }

    /// One page; `None` = there is no such owner. Of a repository whose issues are not for this token
    /// GitHub does not tell so much as the name, so the page is asked for once more without them.
    async fn owned_page(
        &self,
        asked: PageAsked<'_>,
        errand: &Errand,
    ) -> Result<Option<OwnedPage>, FetchError> {
        let Some(page) = self.ask_page(asked, Breadth::Whole, errand).await? else { return Ok(None) };
        if page.without_issues == 0 {
            return Ok(Some(page));
        }
        let Some(again) = self.ask_page(asked, Breadth::WithoutIssues, errand).await? else {
            return Ok(None);
        };
        if again.next != page.next {
            let detail = "a list that changed while it was read".to_owned();
            return Err(FetchError::Partial { host: self.host().to_owned(), detail });
        }
        Ok(Some(page.filled_from(again)))
    }

    async fn ask_page(
        &self,
        asked: PageAsked<'_>,
        breadth: Breadth,
        errand: &Errand,
    ) -> Result<Option<OwnedPage>, FetchError> {
        let query = query::owned(asked, breadth, self.viewer().await?);
        let envelope = self.graphql(&query, errand).await?;
        self.read_page(envelope, breadth)
    }

    fn read_page(&self, mut envelope: Envelope, breadth: Breadth) -> Result<Option<OwnedPage>, FetchError> {
        let owner =
            envelope.data.as_mut().and_then(|data| data.remove("repositoryOwner")).unwrap_or_default();
        let problems = envelope.problems();
        if owner.is_null() {
            return match problems.iter().find(|problem| problem.kind() != "NOT_FOUND") {
                Some(problem) => Err(self.left_out(problem)),
                None => Ok(None),
            };
        }
        let mut refused: BTreeMap<usize, Vec<Withheld>> = BTreeMap::new();
        for problem in problems {
            let (place, field) = problem.refused_node().ok_or_else(|| self.left_out(problem))?;
            refused.entry(place).or_default().extend(field);
        }
        let owner = serde_json::from_value::<OwnerField>(owner)
            .map_err(|error| self.unusable(format!("a list of repositories: {error}")))?;
        let (nodes, next) = self.nodes_with_gaps(owner.repositories)?;
        let mut page = OwnedPage { next, ..OwnedPage::default() };
        for (place, node) in nodes.into_iter().enumerate() {
            match (node, refused.remove(&place)) {
                (Some(node), refused) => {
                    let repository = self.keep(node, breadth)?;
                    page.add(repository, breadth.and(refused.unwrap_or_default()));
                }
                (None, Some(fields)) if breadth.may_spare(&fields) => page.without_issues += 1,
                (None, Some(_)) => page.shortfall.hidden += 1,
                (None, None) => return Err(self.gaps(1, "repositories")),
            }
        }
        Ok(Some(page))
    }
}

impl OwnedPage {
    fn add(&mut self, repository: Repository, withheld: Vec<Withheld>) {
        if !withheld.is_empty() {
            self.shortfall.withheld.insert(repository.full_name.clone(), withheld);
        }
        self.repositories.push(repository);
    }

    /// Those that only the same page of a narrower query has are taken from there.
    fn filled_from(self, mut again: OwnedPage) -> OwnedPage {
        let OwnedPage { repositories, mut shortfall, next, .. } = self;
        let mut whole: BTreeMap<String, Repository> =
            repositories.into_iter().map(|repository| (repository.full_name.clone(), repository)).collect();
        let mut filled = OwnedPage { next, ..OwnedPage::default() };
        for narrow in again.repositories {
            let name = narrow.full_name.clone();
            let (repository, from) = match whole.remove(&name) {
                Some(whole) => (whole, &mut shortfall),
                None => (narrow, &mut again.shortfall),
            };
            filled.add(repository, from.withheld.remove(&name).unwrap_or_default());
        }
        filled.repositories.extend(whole.into_values());
        filled.shortfall.hidden = again.shortfall.hidden;
        filled
    }
}
