//! Many repositories by GraphQL: in batches as large as go well, halved when they do not.

use std::collections::VecDeque;

use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::{Absence, FetchError};
use larder_domain::{RepoName, Repository};

use super::call::Errand;
use super::query::{self, Query, Viewer};
use super::{GitHub, answer, call};

/// Queries that are under way at once. GitHub asks for few.
const AT_ONCE_MAX: usize = 3;
/// Repositories on one page of an owner's list, which is GitHub's limit too.
const PAGE_SIZE: usize = 100;
/// Pages of one list that are turned: ten thousand repositories.
const PAGES_MAX: usize = 100;

/// What was found under one name.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The repository, perhaps under its new name.
    Here(Box<Repository>),
    /// It is not there, or not for us.
    Absent(Absence),
    /// No answer.
    Unknown(FetchError),
}

/// What an owner owns.
#[derive(Debug, Clone, PartialEq)]
pub enum Owned {
    /// All of it.
    All(Vec<Repository>),
    /// There is no such owner.
    NoSuchOwner,
}

/// Names still to be asked for.
struct Queue {
    /// Halves of batches that were too much, to be sent as they are.
    halves: Vec<Vec<RepoName>>,
    rest: VecDeque<RepoName>,
}

impl Queue {
    fn next(&mut self, size: usize) -> Option<Vec<RepoName>> {
        if let Some(half) = self.halves.pop() {
            return Some(half);
        }
        let size = size.min(self.rest.len());
        (size > 0).then(|| self.rest.drain(..size).collect())
    }

    fn halve(&mut self, mut batch: Vec<RepoName>) {
        let second = batch.split_off(batch.len().div_ceil(2));
        self.halves.push(second);
        self.halves.push(batch);
    }

    fn into_rest(self) -> impl Iterator<Item = RepoName> {
        self.halves.into_iter().flatten().chain(self.rest)
    }
}

impl GitHub {
    /// Asks for many repositories, each name answered once through `each`, as soon as it is known.
    /// Needs a token.
    pub async fn repositories(
        &self,
        names: Vec<RepoName>,
        errand: &Errand,
        mut each: impl FnMut(&RepoName, Found) + Send,
    ) {
        let mut queue = Queue { halves: Vec::new(), rest: names.into() };
        let mut under_way = FuturesUnordered::new();
        let mut stop = None;
        // The store may know the login; if it cannot say, the first query asks or fails for that.
        let _ = self.actor().await;
        loop {
            while stop.is_none() && under_way.len() < self.at_once() {
                let size = self.state().sizing.size();
                let Some(batch) = queue.next(size) else { break };
                under_way.push(self.batch(batch, errand));
            }
            let Some((batch, result)) = under_way.next().await else { break };
            match result {
                Ok(found) => batch.iter().zip(found).for_each(|(name, found)| each(name, found)),
                Err(error) if stop.is_none() && batch.len() > 1 && self.may_halve(&error, errand) => {
                    self.state().sizing.failed(batch.len());
                    queue.halve(batch);
                }
                Err(error) => {
                    for name in &batch {
                        each(name, Found::Unknown(error.clone()));
                    }
                    if is_about_all(&error) || errand.is_over(self.clock.now()) {
                        stop.get_or_insert(error);
                    }
                }
            }
        }
        if let Some(error) = stop {
            queue.into_rest().for_each(|name| each(&name, Found::Unknown(error.clone())));
        }
    }

    /// Everything an owner owns, page by page. A list with a gap is an error, never a short list.
    /// Needs a token.
    pub async fn owned(&self, login: &str, errand: &Errand) -> Result<Owned, FetchError> {
        let mut all: Vec<Repository> = Vec::new();
        let mut after: Option<String> = None;
        let mut first = PAGE_SIZE;
        for _ in 0..PAGES_MAX {
            let page = loop {
                let viewer = self.viewer().await?;
                let query = query::owned(login, after.as_deref(), first, viewer);
                match self.graphql(&query, errand).await.and_then(|envelope| self.owned_page(envelope)) {
                    Err(error) if first > 1 && self.may_halve(&error, errand) => first = first.div_ceil(2),
                    result => break result?,
                }
            };
            let Some(page) = page else { return Ok(Owned::NoSuchOwner) };
            all.extend(page.repositories);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Owned::All(all)),
            }
        }
        Err(self.unusable(format!("`{login}` owns more repositories than the {} that are listed", all.len())))
    }

    /// One query and its answer.
    pub(super) async fn graphql(
        &self,
        query: &Query,
        errand: &Errand,
    ) -> Result<answer::Envelope, FetchError> {
        let request = self.graphql_request(query);
        let judge = |reply: call::Reply, rate, now| self.judge_graphql(&reply, rate, query.points, now);
        self.call(errand, request, judge).await
    }

    /// Whether a query should ask whom the token belongs to.
    pub(super) async fn viewer(&self) -> Result<Viewer, FetchError> {
        Ok(if self.actor().await?.is_known { Viewer::Known } else { Viewer::Asked })
    }

    async fn batch(
        &self,
        names: Vec<RepoName>,
        errand: &Errand,
    ) -> (Vec<RepoName>, Result<Vec<Found>, FetchError>) {
        let result = self.ask_batch(&names, errand).await;
        (names, result)
    }

    async fn ask_batch(&self, names: &[RepoName], errand: &Errand) -> Result<Vec<Found>, FetchError> {
        let query = query::repositories(names, self.viewer().await?);
        let started = self.clock.now();
        let envelope = self.graphql(&query, errand).await?;
        let took = self.clock.now().since(started);
        if envelope.has_resource_limit() {
            self.state().sizing.failed(names.len());
        } else {
            self.state().sizing.answered(names.len(), took);
        }
        self.found(envelope, names)
    }

    /// The first query goes alone: it tells whose budget the others draw from.
    fn at_once(&self) -> usize {
        if self.state().actor.is_some() { AT_ONCE_MAX } else { 1 }
    }

    /// Whether less at once may go better: GitHub took too long, or left something out.
    pub(super) fn may_halve(&self, error: &FetchError, errand: &Errand) -> bool {
        let is_too_much = match error {
            FetchError::TimedOut { .. } | FetchError::Partial { .. } => true,
            FetchError::Upstream { status, .. } => matches!(status, 200 | 502 | 504),
            _ => false,
        };
        is_too_much && !errand.is_over(self.clock.now())
    }
}

/// Whether the next call would meet the same error.
pub fn is_about_all(error: &FetchError) -> bool {
    !matches!(
        error,
        FetchError::TimedOut { .. }
            | FetchError::Partial { .. }
            | FetchError::Unusable { .. }
            | FetchError::Upstream { status: 200 | 502 | 504, .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(range: std::ops::Range<usize>) -> Vec<RepoName> {
        range.map(|index| RepoName::new("o", &format!("r{index}")).unwrap()).collect()
    }

    #[test]
    fn halves_go_before_the_rest_and_nothing_is_lost() {
        let mut queue = Queue { halves: Vec::new(), rest: names(0..10).into() };
        let batch = queue.next(5).unwrap();
        queue.halve(batch);
        assert_eq!(queue.next(2), Some(names(0..3)));
        assert_eq!(queue.next(2), Some(names(3..5)));
        assert_eq!(queue.next(2), Some(names(5..7)));
        assert_eq!(queue.into_rest().collect::<Vec<_>>(), names(7..10));
    }

    #[test]
    fn there_is_no_batch_of_nothing() {
        let mut queue = Queue { halves: Vec::new(), rest: VecDeque::new() };
        assert_eq!(queue.next(5), None);
    }
}
