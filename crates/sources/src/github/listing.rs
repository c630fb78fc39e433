//! Many repositories by GraphQL: in batches as large as go well, halved when they do not.

use std::collections::VecDeque;

use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::{Absence, FetchError};
use larder_domain::{RepoName, Repository};

use super::answer::Said;
use super::call::Errand;
use super::query::{self, Breadth, Query, Viewer};
use super::rights::Withheld;
use super::{GitHub, answer, call};

/// Queries that are under way at once. GitHub asks for few.
const AT_ONCE_MAX: usize = 3;

/// What was found under one name.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The repository, perhaps under its new name.
    Here(Box<Repository>),
    /// The same, but for what the token may not read of it.
    InPart(Box<Repository>, Vec<Withheld>),
    /// It is not there, or not for us.
    Absent(Absence),
    /// No answer.
    Unknown(FetchError),
}

impl Found {
    /// The repository, as far as the token may read it.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Found::Here(repository) | Found::InPart(repository, _) => Some(repository),
            Found::Absent(_) | Found::Unknown(_) => None,
        }
    }

    /// Whether it is known what the name leads to, if to anything.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Found::Unknown(_))
    }

    /// A repository of which this is withheld.
    pub(super) fn here(repository: Repository, withheld: Vec<Withheld>) -> Self {
        if withheld.is_empty() {
            Found::Here(Box::new(repository))
        } else {
            Found::InPart(Box::new(repository), withheld)
        }
    }
}

/// Names still to be asked for.
struct Queue {
    /// Halves of batches that were too much, to be sent as they are.
    halves: Vec<Vec<RepoName>>,
    rest: VecDeque<RepoName>,
    /// How much is asked of those.
    breadth: Breadth,
    /// Names whose issues are not for this token.
    without_issues: Vec<RepoName>,
}

impl Queue {
    fn of(names: Vec<RepoName>) -> Self {
        let rest = names.into();
        Queue { halves: Vec::new(), rest, breadth: Breadth::Whole, without_issues: Vec::new() }
    }

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

    /// Goes on with those that must be asked for without their issues, all together, once all others
    /// are known. Answers whether there are any.
    fn narrow(&mut self) -> bool {
        self.breadth = Breadth::WithoutIssues;
        self.rest.extend(self.without_issues.drain(..));
        !self.rest.is_empty()
    }

    fn into_rest(self) -> impl Iterator<Item = RepoName> {
        self.halves.into_iter().flatten().chain(self.rest).chain(self.without_issues)
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
        let mut queue = Queue::of(names);
        let mut under_way = FuturesUnordered::new();
        let mut stop = None;
        // The store may know the login; if it cannot say, the first query asks or fails for that.
        let _ = self.actor().await;
        loop {
            while stop.is_none() && under_way.len() < self.at_once() {
                let size = self.state().sizing.size();
                let Some(batch) = queue.next(size) else { break };
                under_way.push(self.batch(batch, queue.breadth, errand));
            }
            let Some((batch, result)) = under_way.next().await else {
                if stop.is_none() && queue.narrow() {
                    continue;
                }
                break;
            };
            match result {
                Ok(said) => {
                    for (name, said) in batch.into_iter().zip(said) {
                        match said {
                            Said::Found(found) => each(&name, found),
                            Said::WithoutIssues => queue.without_issues.push(name),
                        }
                    }
                }
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
        breadth: Breadth,
        errand: &Errand,
    ) -> (Vec<RepoName>, Result<Vec<Said>, FetchError>) {
        let result = self.ask_batch(&names, breadth, errand).await;
        (names, result)
    }

    async fn ask_batch(
        &self,
        names: &[RepoName],
        breadth: Breadth,
        errand: &Errand,
    ) -> Result<Vec<Said>, FetchError> {
        let query = query::repositories(names, breadth, self.viewer().await?);
        let started = self.clock.now();
        let envelope = self.graphql(&query, errand).await?;
        let took = self.clock.now().since(started);
        if envelope.has_resource_limit() {
            self.state().sizing.failed(names.len());
        } else {
            self.state().sizing.answered(names.len(), took);
        }
        self.found(envelope, names, breadth)
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
        let mut queue = Queue::of(names(0..10));
        let batch = queue.next(5).unwrap();
        queue.halve(batch);
        assert_eq!(queue.next(2), Some(names(0..3)));
        assert_eq!(queue.next(2), Some(names(3..5)));
        assert_eq!(queue.next(2), Some(names(5..7)));
        assert_eq!(queue.into_rest().collect::<Vec<_>>(), names(7..10));
    }

    #[test]
    fn there_is_no_batch_of_nothing() {
        let mut queue = Queue::of(Vec::new());
        assert_eq!(queue.next(5), None);
    }
}
