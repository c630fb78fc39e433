//! `cluster/unclustered`: what an owner has and no cluster holds, by whatever name it is asked for there.
//!
//! A repository that was renamed, or came from another owner, stands on its owner's list under its
//! present name alone, while GitHub leads to it from the former one. So once the list is there, configured
//! names that are not on it are asked for, few enough to be afforded, and what they lead to is left
//! out. Where names lead is remembered for as long as the process lives; a process that knows nothing
//! finds it out in the same way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use larder_core::{Absence, Answer, Coverage, Fetched, Listing};
use larder_domain::{RepoName, Repository};

use super::ClustersSource;
use super::missing;
use super::tally::{Tally, present};
use crate::github::{Found, Shortfall};

/// Names that are asked for to know what is left: with a token, two queries.
const ASKED_MAX: usize = 100;
/// Without one, when each is one of sixty calls an hour, or two.
const ASKED_WITHOUT_TOKEN_MAX: usize = 10;

/// Where names lead that are no repository's own any more, as far as this process was told.
#[derive(Default)]
pub(super) struct Renames(Mutex<HashMap<Arc<str>, Arc<str>>>);

impl Renames {
    fn learn(&self, asked: &Arc<str>, found: &Found) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match found.repository() {
            Some(repository) if !repository.full_name.eq_ignore_ascii_case(asked) => {
                known.insert(asked.clone(), repository.full_name.to_lowercase().into());
            }
            Some(_) | None if found.is_answered() => {
                known.remove(asked);
            }
            Some(_) | None => {}
        }
    }

    fn lead_to(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().any(|now| **now == *name)
    }

    fn all(&self) -> HashMap<Arc<str>, Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClustersSource {
    /// Remembers where a configured name leads.
    pub(super) fn learn_of(&self, asked: &str, found: &Found) {
        if let Some(name) = self.named().get(asked) {
            self.renames.learn(name.key(), found);
        }
    }

    /// Whether a cluster asks for the repository, by this name or, as far as is known, by a former one.
    pub(super) fn is_in_cluster(&self, full_name: &str) -> bool {
        let name = full_name.to_lowercase();
        self.named().contains_key(name.as_str()) || self.renames.lead_to(&name)
    }

    /// The answer for the rest of what nobody has.
    pub(super) fn no_such_owner(owner: &str) -> Fetched {
        let message = format!("GitHub knows no owner `{owner}`; check `[github] owner`");
        Fetched::Absent(Absence::new("not_found", message))
    }
}

/// All that an owner has, to be held against what clusters ask for.
pub(super) struct OwnersList<'a> {
    source: &'a ClustersSource,
    /// What the owner's names begin with, lower-cased.
    prefix: String,
    /// By lower-cased name, each once, in the order of the list.
    repositories: Vec<(Arc<str>, Repository)>,
    names: HashSet<Arc<str>>,
    /// What of it the token may not read.
    shortfall: Shortfall,
}

/// Why a name may lead to something on the list: the likeliest reason first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Suspicion {
    /// It is the owner's, and not on his list.
    Missing,
    /// It is another owner's, and a repository of that name is on this one's list.
    Namesake,
    /// It is another owner's, who may have renamed what he gave away.
    Foreign,
}

impl<'a> OwnersList<'a> {
    pub(super) fn new(
        source: &'a ClustersSource,
        owner: &str,
        all: Vec<Repository>,
        shortfall: Shortfall,
    ) -> Self {
        let mut names = HashSet::with_capacity(all.len());
        let mut repositories = Vec::with_capacity(all.len());
        for repository in all {
            let name: Arc<str> = repository.full_name.to_lowercase().into();
            if names.insert(name.clone()) {
                repositories.push((name, repository));
            }
        }
        let prefix = format!("{}/", owner.to_lowercase());
        OwnersList { source, prefix, repositories, names, shortfall }
    }

    /// Whether it is this owner's, by his lower-cased name.
    pub(super) fn is_of(&self, owner: &str) -> bool {
        self.prefix.strip_suffix('/') == Some(owner)
    }

    /// The names to ask for before it is said what is left, but for those that were asked for anyway.
    pub(super) fn to_ask(&self, tally: &Tally<'_>) -> Vec<RepoName> {
        let most = if self.source.github.has_token() { ASKED_MAX } else { ASKED_WITHOUT_TOKEN_MAX };
        let suspects = self.suspects(tally).into_iter();
        suspects.filter(|name| tally.found(name.key()).is_none()).take(most).cloned().collect()
    }

    /// Whether it is known of all names that are worth a question where they lead.
    pub(super) fn is_settled(&self, tally: &Tally<'_>) -> bool {
        self.suspects(tally).is_empty()
    }

    /// What is in no cluster.
    pub(super) fn rest(&self, coverage: Coverage) -> Listing {
        let claimed = self.claimed();
        let (mut answers, mut withheld) = (Vec::new(), Vec::new());
        for (name, repository) in self.left(&claimed) {
            let missing = self.shortfall.withheld.get(&repository.full_name);
            // What was known before of a part that is withheld stays.
            let coverage = if missing.is_some() { Coverage::Partial } else { coverage };
            withheld.extend(missing.into_iter().flatten());
            let finding = present(repository, coverage, self.source.github.host());
            answers.push(Answer { asked: name.clone(), finding });
        }
        let about = self.source.unclustered.as_ref().map_or("", |unclustered| unclustered.key.as_str());
        Listing {
            answers,
            whole: true,
            public_only: coverage == Coverage::Partial,
            elsewhere: claimed.into_iter().collect(),
            warnings: missing::of_list(about, withheld.into_iter(), self.shortfall.hidden),
            ..Listing::default()
        }
    }

    /// Names that may yet claim some of what is left: the likeliest first.
    fn suspects(&self, tally: &Tally<'_>) -> Vec<&'a RepoName> {
        let claimed = self.claimed();
        let bare_name = |(_, repository): &(Arc<str>, Repository)| repository.name.to_lowercase();
        let left: HashSet<String> = self.left(&claimed).map(bare_name).collect();
        if left.is_empty() {
            return Vec::new();
        }
        let known = self.source.renames.all();
        let is_open = |name: &&RepoName| {
            let is_answered = tally.found(name.key()).is_some_and(Found::is_answered);
            let leads_here = known.get(name.key()).is_some_and(|now| self.names.contains(now));
            !is_answered && !leads_here && !self.names.contains(name.key())
        };
        let open = self.source.named().values().filter(is_open);
        let mut suspects: Vec<(Suspicion, &RepoName)> =
            open.filter_map(|name| Some((self.suspicion(name, &left)?, name))).collect();
        suspects.sort_unstable_by(|(one, name), (other, second)| {
            one.cmp(other).then_with(|| name.key().cmp(second.key()))
        });
        suspects.into_iter().map(|(_, name)| name).collect()
    }

    /// What speaks for asking, if that is enough for what a question costs.
    fn suspicion(&self, name: &RepoName, left: &HashSet<String>) -> Option<Suspicion> {
        if name.key().starts_with(&self.prefix) {
            return Some(Suspicion::Missing);
        }
        if left.contains(&name.name().to_lowercase()) {
            return Some(Suspicion::Namesake);
        }
        self.source.github.has_token().then_some(Suspicion::Foreign)
    }

    /// The names that repositories of clusters have now, where they are asked for by others. A name
    /// that is on the list leads nowhere else, whatever was known of it.
    fn claimed(&self) -> BTreeSet<Arc<str>> {
        let known = self.source.renames.all().into_iter();
        known.filter(|(asked, _)| !self.names.contains(asked)).map(|(_, now)| now).collect()
    }

    fn left(&self, claimed: &BTreeSet<Arc<str>>) -> impl Iterator<Item = &(Arc<str>, Repository)> {
        let named = self.source.named();
        self.repositories.iter().filter(move |(name, _)| !named.contains_key(name) && !claimed.contains(name))
    }
}
