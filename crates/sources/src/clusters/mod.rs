//! The source `cluster`: groups of GitHub repositories that configuration names, and as
//! `cluster/unclustered` what the owner has besides. Many clusters travel in few calls; a
//! repository that is missing, renamed or hidden is a warning on its cluster, never its failure.

mod anonymous;
mod missing;
mod rest;
mod tally;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use larder_core::{
    Answers, Ask, Coverage, Definition, FetchError, Fetched, Fingerprint, Key, KeyError, Policy, Priority,
    Source, Time, Validators,
};
use larder_domain::{ClusterConfig, ClustersConfig, RepoName};

use crate::github::{Errand, GitHub, Owned};
use rest::{OwnersList, Renames};
use tally::Tally;

/// Clusters of GitHub repositories.
pub struct ClustersSource {
    github: Arc<GitHub>,
    definitions: HashMap<Key, Arc<Definition>>,
    keys: Vec<Key>,
    /// All repositories that any cluster names.
    repos: Vec<RepoName>,
    /// The same by `owner/name` lower-cased: for fetches, which most runs do not come to.
    named: OnceLock<HashMap<Arc<str>, RepoName>>,
    unclustered: Option<Unclustered>,
    renames: Renames,
}

/// The cluster of what is in no other.
struct Unclustered {
    key: Key,
    owner: String,
}

/// Why clusters cannot be served as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClustersError {
    /// An id that cannot name an entry.
    #[error("the cluster id `{id}` cannot be used: {cause}")]
    Id {
        /// The id.
        id: String,
        /// What is wrong with it.
        cause: KeyError,
    },
    /// Two clusters of one id, or one that takes the id of what is in no cluster.
    #[error("the cluster id `{0}` is taken twice")]
    Taken(String),
}

impl ClustersSource {
    /// The name of the source.
    pub const NAME: &'static str = "cluster";

    /// The clusters of `config`, fetched through `github`. `base` gives all of the policy but the
    /// freshness lifetimes.
    pub fn new(config: &ClustersConfig, github: Arc<GitHub>, base: &Policy) -> Result<Self, ClustersError> {
        let mut source = ClustersSource {
            definitions: HashMap::new(),
            keys: Vec::new(),
            repos: config.clusters.iter().flat_map(|cluster| &cluster.repos).cloned().collect(),
            named: OnceLock::new(),
            unclustered: None,
            renames: Renames::default(),
            github,
        };
        for cluster in &config.clusters {
            let policy = Policy { ttl: config.ttl_of(cluster), ..base.clone() };
            let definition = source.definition_of(cluster, policy);
            source.add(&cluster.id, definition)?;
        }
        if let Some(owner) = config.owner.as_ref().filter(|_| config.has_unclustered()) {
            let definition = source.definition_of_rest(owner, Policy { ttl: config.ttl, ..base.clone() });
            let key = source.add(ClustersConfig::UNCLUSTERED, definition)?;
            source.unclustered = Some(Unclustered { key, owner: owner.clone() });
        }
        Ok(source)
    }

    /// The key of a cluster.
    pub fn key(id: &str) -> Result<Key, KeyError> {
        Key::new(Self::NAME, &[id])
    }

    fn add(&mut self, id: &str, definition: Definition) -> Result<Key, ClustersError> {
        let key = Self::key(id).map_err(|cause| ClustersError::Id { id: id.to_owned(), cause })?;
        if self.definitions.insert(key.clone(), Arc::new(definition)).is_some() {
            return Err(ClustersError::Taken(id.to_owned()));
        }
        self.keys.push(key.clone());
        Ok(key)
    }

    /// A cluster as an entry: it changes when its repositories do, in name or order, and when
    /// another credential may see other things; not when it is only shown otherwise.
    fn definition_of(&self, cluster: &ClusterConfig, policy: Policy) -> Definition {
        let mut seen = HashSet::with_capacity(cluster.repos.len());
        let keys = cluster.repos.iter().map(RepoName::key);
        let names: Vec<Arc<str>> = keys.filter(|key| seen.insert(Arc::clone(key))).cloned().collect();
        let owners: BTreeSet<&str> = names.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        let mut definition = self.definition("cluster", &names, policy);
        definition.tags = owners.iter().map(|owner| format!("owner:{owner}")).collect();
        definition.names = Some(names.into());
        definition
    }

    /// What is in no cluster changes with every name that a cluster asks for, also another owner's:
    /// what has that name may have come from there.
    fn definition_of_rest(&self, owner: &str, policy: Policy) -> Definition {
        let owner = owner.to_lowercase();
        let named: BTreeSet<&Arc<str>> = self.named().keys().collect();
        let parts: Vec<Arc<str>> =
            std::iter::once(owner.as_str().into()).chain(named.iter().map(|name| Arc::clone(name))).collect();
        let mut definition = self.definition("unclustered", &parts, policy);
        definition.except = Arc::new(named.into_iter().cloned().collect());
        definition.tags = vec![format!("owner:{owner}")];
        definition
    }

    /// A token sees more than nobody does: what was fetched without one is due when there is one,
    /// while what was fetched with one serves without. Which token it was makes no difference, since
    /// they are renewed all the time.
    fn definition(&self, kind: &str, parts: &[Arc<str>], policy: Policy) -> Definition {
        let ttl = policy.ttl.as_millis().to_string();
        let with = |access| {
            let frame = [kind, self.github.host(), access, ttl.as_str()];
            let all: Vec<&str> = frame.into_iter().chain(parts.iter().map(|part| &**part)).collect();
            Fingerprint::of(&all)
        };
        let (token, nobody) = (with("token"), with("nobody").lesser());
        if self.github.has_token() {
            return Definition::new(token, policy);
        }
        Definition { also: vec![token], ..Definition::new(nobody, policy) }
    }

    /// How much of a repository a fetch brings.
    fn coverage(&self) -> Coverage {
        if self.github.has_token() { Coverage::Whole } else { Coverage::Partial }
    }

    fn named(&self) -> &HashMap<Arc<str>, RepoName> {
        let entry = |repo: &RepoName| (repo.key().clone(), repo.clone());
        self.named.get_or_init(|| self.repos.iter().map(entry).collect())
    }

    fn repo_name(&self, name: &str) -> Option<RepoName> {
        self.named().get(name).cloned().or_else(|| RepoName::parse(name, None).ok())
    }

    /// Sorts asks into those for names and the one for the whole of the rest.
    fn tally<'a>(
        &'a self,
        asks: &'a [Ask],
        answers: &'a Answers,
        errand: &'a Errand,
    ) -> (Tally<'a>, Option<&'a Ask>) {
        let mut tally = Tally::new(self, answers, errand);
        let mut rest = None;
        for ask in asks {
            let unclustered = self.unclustered.as_ref().filter(|unclustered| unclustered.key == ask.key);
            match (names_of(ask), unclustered) {
                (None, Some(_)) => rest = Some(ask),
                (Some(names), _) => {
                    tally.wait(ask, names, unclustered.map(|unclustered| unclustered.owner.as_str()));
                }
                (None, None) => {
                    let detail = format!("`{}` is not a configured cluster", ask.key);
                    answers.send(&ask.key, Err(FetchError::Local(detail)), errand.take_spent());
                }
            }
        }
        (tally, rest)
    }

    /// With a token: all names of all asks in as few queries as carry them, the owner's list beside
    /// them, and the rest when it is known which of the list clusters hold.
    async fn fetch_by_graphql(
        &self,
        mut tally: Tally<'_>,
        rest: Option<&Ask>,
        answers: &Answers,
        errand: &Errand,
    ) {
        let mut wanted = Vec::new();
        for name in tally.wanted() {
            match self.repo_name(&name) {
                Some(read) => wanted.push(read),
                None => tally.put_odd(&name),
            }
        }
        let by_name = self.github.repositories(wanted, errand, |name, found| tally.put(name.key(), found));
        let by_owner = async {
            let (ask, Unclustered { owner, .. }) = rest.zip(self.unclustered.as_ref())?;
            let answer = match self.github.owned(owner, errand).await {
                Ok(Owned::All(repositories, shortfall)) => {
                    return Some((ask, OwnersList::new(self, owner, repositories, shortfall)));
                }
                Ok(Owned::NoSuchOwner) => Ok(Self::no_such_owner(owner)),
                Err(error) => Err(error),
            };
            answers.send(&ask.key, answer, errand.take_spent());
            None
        };
        let ((), listed) = futures::join!(by_name, by_owner);
        let Some((ask, list)) = listed else { return };
        let suspects = list.to_ask(&tally);
        if !suspects.is_empty() {
            let by_name =
                self.github.repositories(suspects, errand, |name, found| tally.put(name.key(), found));
            by_name.await;
        }
        let rest = list.rest(self.coverage());
        answers.send(&ask.key, Ok(Fetched::Items(rest)), errand.take_spent());
    }
}

#[async_trait]
impl Source for ClustersSource {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.definitions.get(key).map(|then| self.github.defined(then))
    }

    fn keys(&self) -> Vec<Key> {
        self.keys.clone()
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let got = Arc::new(Mutex::new(None));
        let put = got.clone();
        let answers = Answers::new(move |_, answer, _| {
            put.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(answer);
        });
        self.fetch_many(std::slice::from_ref(ask), &answers).await;
        let got = got.lock().unwrap_or_else(PoisonError::into_inner).take();
        got.unwrap_or_else(|| Err(FetchError::Local(format!("`{}` was left without an answer", ask.key))))
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        let Some(started) = asks.first().map(|_| self.github.now()) else { return };
        let errand = errand_of(asks, started);
        let (tally, rest) = self.tally(asks, answers, &errand);
        if self.github.has_token() {
            self.fetch_by_graphql(tally, rest, answers, &errand).await;
        } else {
            self.fetch_by_rest(asks, tally, rest, answers, &errand).await;
        }
    }
}

/// Entries that travel together are as urgent as the most urgent of them, and have as much time as
/// the one with the least.
fn errand_of(asks: &[Ask], started: Time) -> Errand {
    let priority = asks.iter().map(|ask| ask.priority).max().unwrap_or(Priority::Warming);
    let deadline = asks.iter().map(|ask| ask.deadline).min().unwrap_or(started);
    Errand::new(priority, started, deadline)
}

/// The names that an ask is about; `None` where the source decides who is a member.
fn names_of(ask: &Ask) -> Option<Vec<Arc<str>>> {
    let all = || ask.definition.names.as_ref().map(|names| names.to_vec());
    ask.subset.clone().or_else(all)
}

/// The entity tag of an answer, as validators.
fn validators_of(etag: Option<String>) -> Validators {
    Validators { etag, ..Validators::default() }
}
