//! Clusters without a token: REST, public repositories, sixty calls an hour for all processes
//! together. An owner's list is read where that takes fewer calls than one for each repository.

use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::{Answers, Ask, FetchError, Fetched, Validators};
use larder_domain::{RepoName, Repository};

use super::rest::OwnersList;
use super::tally::{Tally, needs_token};
use super::{ClustersSource, Unclustered, validators_of};
use crate::github::{Errand, Found, OwnerPath, PAGE_SIZE, Page, PageOrder, Shortfall, Single, is_about_all};

/// Calls under way at once.
const AT_ONCE_MAX: usize = 3;
/// Pages of one owner's list: more would use up the hour.
const PAGES_MAX: u32 = 50;

/// The names of one owner that are wanted.
struct Wanted {
    owner: String,
    names: Vec<Arc<str>>,
}

/// What came of reading an owner's whole list.
enum Whole<'a> {
    /// All of it, and what it can be revalidated with.
    Here(OwnersList<'a>, Validators),
    /// Something that answers the entry as it is.
    Otherwise(Fetched),
}

/// What came of reading an owner's list for configured names.
enum Turned {
    /// It is as it was, and so is the only entry that asked.
    NotModified,
    /// What stands on it was put; the rest must be asked for one by one.
    Read,
}

impl ClustersSource {
    /// All asks, by as few calls as bring them.
    pub(super) async fn fetch_by_rest(
        &self,
        asks: &[Ask],
        mut tally: Tally<'_>,
        rest: Option<&Ask>,
        answers: &Answers,
        errand: &Errand,
    ) {
        // Only an entry that travels alone is revalidated: what others need must come in full.
        let alone = match asks {
            [ask] if ask.subset.is_none() => Some(ask),
            _ => None,
        };
        let mut listed = None;
        if let Some((ask, unclustered)) = rest.zip(self.unclustered.as_ref()) {
            match self.whole_list(unclustered, alone, &mut tally, errand).await {
                Ok(Whole::Here(list, validators)) => listed = Some((ask, list, validators)),
                Ok(Whole::Otherwise(fetched)) => answers.send(&ask.key, Ok(fetched), errand.take_spent()),
                Err(error) => answers.send(&ask.key, Err(error), errand.take_spent()),
            }
        }
        let read = listed.as_ref().map(|(_, list, _)| list);
        let met = self.wanted(alone, read, &mut tally, answers, errand).await;
        if let Err(error) = &met {
            tally.give_up(error);
        }
        let Some((ask, list, validators)) = listed else { return };
        if met.is_ok() {
            let suspects = list.to_ask(&tally).into_iter().map(|name| (name.key().clone(), name));
            // Whatever keeps them from being answered is no fault of the list.
            let _ = self.one_by_one(suspects.collect(), None, &mut tally, answers, errand).await;
        }
        let mut rest = list.rest(self.coverage());
        // While it is not known what names lead to, an unchanged list would not say that all is right.
        rest.validators = if list.is_settled(&tally) { validators } else { Validators::default() };
        rest.warnings.push(needs_token(ask.key.as_str()));
        answers.send(&ask.key, Ok(Fetched::Items(rest)), errand.take_spent());
    }

    /// All that is waited for; the error if no further call can be made.
    async fn wanted(
        &self,
        alone: Option<&Ask>,
        read: Option<&OwnersList<'_>>,
        tally: &mut Tally<'_>,
        answers: &Answers,
        errand: &Errand,
    ) -> Result<(), FetchError> {
        self.wanted_by_lists(alone, read, tally, answers, errand).await?;
        let mut names = Vec::new();
        for name in tally.wanted() {
            match self.repo_name(&name) {
                Some(read) => names.push((name, read)),
                None => tally.put_odd(&name),
            }
        }
        self.one_by_one(names, alone, tally, answers, errand).await
    }

    /// The owner's whole list, for `unclustered` and for whoever else waits for some of it.
    async fn whole_list(
        &self,
        unclustered: &Unclustered,
        alone: Option<&Ask>,
        tally: &mut Tally<'_>,
        errand: &Errand,
    ) -> Result<Whole<'_>, FetchError> {
        let owner = unclustered.owner.as_str();
        // A list that is as it was proves nothing where it is known by now that a cluster has some of it.
        let is_right = |ask: &&Ask| !ask.held.at_hand().iter().any(|held| self.is_in_cluster(&held.asked));
        let held = alone.filter(is_right).and_then(|ask| ask.validators.etag.as_deref());
        let mut path = OwnerPath::Users;
        let mut all: Vec<Repository> = Vec::new();
        let mut number = 1;
        loop {
            let page = self.page_of(owner, &mut path, (number, PageOrder::Name), held, errand).await?;
            match page {
                Page::NotModified => {
                    return Ok(Whole::Otherwise(Fetched::NotModified { ttl: None, cursor: None }));
                }
                Page::NoSuchOwner => return Ok(Whole::Otherwise(Self::no_such_owner(owner))),
                Page::Here { repositories, last, etag } => {
                    put_wanted(tally, &repositories);
                    // The tag is of what stands on the page, and a full one may be followed by another.
                    let is_all = number == 1 && repositories.len() < PAGE_SIZE;
                    all.extend(repositories);
                    if number >= last {
                        let validators = validators_of(etag.filter(|_| is_all));
                        return Ok(Whole::Here(
                            OwnersList::new(self, owner, all, Shortfall::default()),
                            validators,
                        ));
                    }
                }
            }
            number += 1;
            if number > PAGES_MAX {
                return Err(FetchError::BadRequest {
                    host: self.github.host().to_owned(),
                    detail: format!("`{owner}` has too many repositories to list without a token"),
                });
            }
        }
    }

    /// Owners of whom several repositories are wanted: their lists, as far as that saves calls, but
    /// for the one that was read already.
    async fn wanted_by_lists(
        &self,
        alone: Option<&Ask>,
        read: Option<&OwnersList<'_>>,
        tally: &mut Tally<'_>,
        answers: &Answers,
        errand: &Errand,
    ) -> Result<(), FetchError> {
        let groups = by_owner(tally.wanted());
        let only_group = groups.len() == 1;
        let is_worth_it =
            |group: &Wanted| group.names.len() > 1 && read.is_none_or(|list| !list.is_of(&group.owner));
        for group in groups.into_iter().filter(is_worth_it) {
            let alone = alone.filter(|_| only_group);
            match self.turn_pages(&group, alone, tally, errand).await {
                Ok(Turned::Read) => {}
                Ok(Turned::NotModified) => {
                    if let Some(ask) = alone {
                        answers.send(
                            &ask.key,
                            Ok(Fetched::NotModified { ttl: None, cursor: None }),
                            errand.take_spent(),
                        );
                        tally.forget(&ask.key);
                    }
                }
                Err(error) if is_about_all(&error) => return Err(error),
                Err(error) => {
                    group.names.iter().for_each(|name| tally.put(name, Found::Unknown(error.clone())));
                }
            }
        }
        Ok(())
    }

    /// Turns the pages of an owner's list while that is cheaper than a call for each that is left.
    async fn turn_pages(
        &self,
        group: &Wanted,
        alone: Option<&Ask>,
        tally: &mut Tally<'_>,
        errand: &Errand,
    ) -> Result<Turned, FetchError> {
        let mut held = alone.and_then(|ask| ask.validators.etag.as_deref());
        let mut path = OwnerPath::Users;
        let mut left = group.names.clone();
        for number in 1..=PAGES_MAX {
            let at = (number, PageOrder::Pushed);
            let page = self.page_of(&group.owner, &mut path, at, held.take(), errand).await?;
            let (repositories, last, etag) = match page {
                Page::NotModified => return Ok(Turned::NotModified),
                // The owner may have been renamed, which only the repositories themselves tell.
                Page::NoSuchOwner => return Ok(Turned::Read),
                Page::Here { repositories, last, etag } => (repositories, last, etag),
            };
            let here: Vec<(Arc<str>, Repository)> = repositories
                .into_iter()
                .filter_map(|repository| Some((take(&mut left, &repository)?, repository)))
                .collect();
            if alone.is_some() && number == 1 && left.is_empty() {
                tally.validators = validators_of(etag);
            }
            for (name, repository) in here {
                tally.put(&name, Found::Here(Box::new(repository)));
            }
            let pages_left = last.saturating_sub(number) as usize;
            if left.is_empty() || pages_left == 0 || pages_left >= left.len() {
                return Ok(Turned::Read);
            }
        }
        Ok(Turned::Read)
    }

    /// A page, by whichever path the owner is found under.
    async fn page_of(
        &self,
        owner: &str,
        path: &mut OwnerPath,
        at: (u32, PageOrder),
        etag: Option<&str>,
        errand: &Errand,
    ) -> Result<Page, FetchError> {
        let page = self.github.page(owner, *path, at, etag, errand).await?;
        if page == Page::NoSuchOwner && *path == OwnerPath::Users {
            *path = OwnerPath::Orgs;
            return self.github.page(owner, *path, at, etag, errand).await;
        }
        Ok(page)
    }

    /// A call for each name; the error after which none is worth making.
    async fn one_by_one(
        &self,
        names: Vec<(Arc<str>, RepoName)>,
        alone: Option<&Ask>,
        tally: &mut Tally<'_>,
        answers: &Answers,
        errand: &Errand,
    ) -> Result<(), FetchError> {
        let alone = alone.filter(|ask| {
            names.len() == 1 && ask.definition.names.as_ref().is_some_and(|all| all.len() == 1)
        });
        let etag = alone.and_then(|ask| ask.validators.etag.as_deref());
        let mut names = names.into_iter();
        let mut under_way = FuturesUnordered::new();
        let mut stop = None;
        loop {
            while stop.is_none() && under_way.len() < AT_ONCE_MAX {
                let Some((name, read)) = names.next() else { break };
                under_way.push(self.single(name, read, etag, errand));
            }
            let Some((name, result)) = under_way.next().await else { break };
            match result {
                Ok(Single::Here(repository, etag)) => {
                    if alone.is_some() {
                        tally.validators = validators_of(etag);
                    }
                    tally.put(&name, Found::Here(repository));
                }
                Ok(Single::Absent(absence)) => tally.put(&name, Found::Absent(absence)),
                Ok(Single::NotModified) => {
                    if let Some(ask) = alone {
                        answers.send(
                            &ask.key,
                            Ok(Fetched::NotModified { ttl: None, cursor: None }),
                            errand.take_spent(),
                        );
                        tally.forget(&ask.key);
                    }
                }
                Err(error) => {
                    tally.put(&name, Found::Unknown(error.clone()));
                    if is_about_all(&error) {
                        stop.get_or_insert(error);
                    }
                }
            }
        }
        stop.map_or(Ok(()), Err)
    }

    async fn single(
        &self,
        name: Arc<str>,
        read: RepoName,
        etag: Option<&str>,
        errand: &Errand,
    ) -> (Arc<str>, Result<Single, FetchError>) {
        let result = self.github.repository(&read, etag, errand).await;
        (name, result)
    }
}

/// Hands over those of a page that others wait for.
fn put_wanted(tally: &mut Tally<'_>, repositories: &[Repository]) {
    let wanted = tally.wanted();
    for repository in repositories {
        if let Some(name) = wanted.iter().find(|name| name.eq_ignore_ascii_case(&repository.full_name)) {
            tally.put(name, Found::Here(Box::new(repository.clone())));
        }
    }
}

/// Sorts names by owner, in the order in which owners first appear.
fn by_owner(names: Vec<Arc<str>>) -> Vec<Wanted> {
    let mut groups: Vec<Wanted> = Vec::new();
    for name in names {
        let owner = name.split('/').next().unwrap_or_default();
        match groups.iter_mut().find(|group| group.owner == owner) {
            Some(group) => group.names.push(name),
            None => groups.push(Wanted { owner: owner.to_owned(), names: vec![name] }),
        }
    }
    groups
}

/// Takes a repository's name off the list of those wanted, if it stands there.
fn take(left: &mut Vec<Arc<str>>, repository: &Repository) -> Option<Arc<str>> {
    let place = left.iter().position(|name| name.eq_ignore_ascii_case(&repository.full_name))?;
    Some(left.remove(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_grouped_by_owner_in_the_order_asked() {
        let names = ["b/x", "a/y", "b/z"].map(Arc::from).to_vec();
        let groups = by_owner(names);
        let shape: Vec<(&str, usize)> =
            groups.iter().map(|group| (group.owner.as_str(), group.names.len())).collect();
        assert_eq!(shape, [("b", 2), ("a", 1)]);
    }
}
