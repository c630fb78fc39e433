//! The source `trackers`: issues that stand for releases, microsprints and the like, an entry for
//! each repository and type, `trackers/owner/repo/type`.
//!
//! Three ways in, best first, all ending in the same commit: the manifest that the repository
//! carries, GitHub, and nothing, which leaves what is held. The pure rules (what a title says, what
//! a manifest is good for) are `larder_domain`'s; here is what fetches.

mod api;
mod desk;
mod git;
mod memory;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use larder_core::{
    Answers, Ask, Definition, FetchError, Fetched, Fingerprint, Json, Key, KeyError, Policy, Source, Trigger,
};
use larder_domain::{RepoName, TrackerType};

use crate::github::{Errand, GitHub};
use desk::Looked;
pub use desk::{Desk, MANIFEST, News, Pull, PullHow};
pub use git::root_of;
use memory::Memory;
pub use memory::{Seen, Way, WayIn};

/// Entries that are fetched at once. GitHub asks for few.
const AT_ONCE_MAX: usize = 4;

/// Trackers of GitHub repositories.
pub struct TrackersSource {
    github: Arc<GitHub>,
    types: Vec<TrackerType>,
    keys: Vec<Key>,
    base: Policy,
    /// By repository, lower-cased: where its manifest is found.
    desks: HashMap<Arc<str>, Desk>,
}

impl TrackersSource {
    /// The name of the source.
    pub const NAME: &'static str = "trackers";

    /// Trackers of these types, configured for `repos`, but to be had of any repository.
    pub fn new(
        github: Arc<GitHub>,
        repos: &[RepoName],
        types: Vec<TrackerType>,
        base: Policy,
    ) -> Result<Self, KeyError> {
        let mut keys = Vec::with_capacity(repos.len() * types.len());
        for repo in repos {
            for of in &types {
                keys.push(Self::key(repo, &of.name)?);
            }
        }
        Ok(TrackersSource { github, types, keys, base, desks: HashMap::new() })
    }

    /// The same, with a manifest that is looked at first.
    #[must_use]
    pub fn with_desk(mut self, desk: Desk) -> Self {
        self.desks.insert(desk.repo().key().clone(), desk);
        self
    }

    /// The key of a repository's trackers of a type.
    pub fn key(repo: &RepoName, of: &str) -> Result<Key, KeyError> {
        let repo = repo.key();
        let (owner, name) = repo.split_once('/').unwrap_or((repo, ""));
        Key::new(Self::NAME, &[owner, name, of])
    }

    /// Whose trackers an entry holds; `None` = it is no such entry.
    pub fn repo_of(key: &Key) -> Option<RepoName> {
        let segments = key.segments();
        match segments.as_slice() {
            [owner, name, _] if key.source() == Self::NAME => RepoName::new(owner, name).ok(),
            _ => None,
        }
    }

    /// The types, in the order of configuration.
    pub fn types(&self) -> &[TrackerType] {
        &self.types
    }

    /// Where a repository's manifest is found, if it is known.
    pub fn desk(&self, repo: &RepoName) -> Option<&Desk> {
        self.desks.get(repo.key())
    }

    fn named(&self, key: &Key) -> Option<(RepoName, &TrackerType)> {
        let segments = key.segments();
        let [owner, name, of] = segments.as_slice() else { return None };
        let of = self.types.iter().find(|known| known.name == *of)?;
        let repo = RepoName::new(owner, name).ok()?;
        // One repository has one key, whatever the case it is written in.
        let is_canonical = &**repo.key() == format!("{owner}/{name}").as_str();
        is_canonical.then_some((repo, of))
    }

    /// A token sees more than nobody does; which token it was makes no difference.
    fn definition(&self, repo: &RepoName, of: &TrackerType) -> Definition {
        let ttl = self.base.ttl.as_millis().to_string();
        let reads = format!("{:?}", of.reads);
        let with = |access: &str| {
            let frame = ["trackers", self.github.host(), access, &ttl, repo.key(), &of.name, &reads];
            let rest = of.labels.iter().chain(&of.prefixes).map(String::as_str);
            Fingerprint::of(&frame.into_iter().chain(rest).collect::<Vec<_>>())
        };
        let (token, nobody) = (with("token"), with("nobody").lesser());
        let mut definition = if self.github.has_token() {
            Definition::new(token, self.base.clone())
        } else {
            Definition { also: vec![token], ..Definition::new(nobody, self.base.clone()) }
        };
        definition.tags = vec![format!("repo:{}", repo.key()), format!("tracker:{}", of.name)];
        definition
    }
}

#[async_trait]
impl Source for TrackersSource {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        let (repo, of) = self.named(key)?;
        Some(Arc::new(self.definition(&repo, of)))
    }

    fn keys(&self) -> Vec<Key> {
        self.keys.clone()
    }

    fn at_once(&self) -> usize {
        AT_ONCE_MAX
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.fetch_one(ask, &Errand::new(ask.priority, self.github.now(), ask.deadline)).await
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        let each = asks.iter().map(async |ask| {
            let errand = Errand::new(ask.priority, self.github.now(), ask.deadline);
            let answer = self.fetch_one(ask, &errand).await;
            answers.send(&ask.key, answer, errand.take_spent());
        });
        futures::future::join_all(each).await;
    }
}

impl TrackersSource {
    async fn fetch_one(&self, ask: &Ask, errand: &Errand) -> Result<Fetched, FetchError> {
        let unknown = || FetchError::Local(format!("`{}` names no repository's trackers", ask.key));
        let (repo, of) = self.named(&ask.key).ok_or_else(unknown)?;
        let memory = Memory::of(ask);
        let looked = match self.desk(&repo) {
            Some(desk) => match desk.consulted(ask.trigger) {
                Some(reach) => desk.consult(of, reach, &memory, self.github.now()).await,
                None => desk.glance(),
            },
            None => Looked::nothing(),
        };
        match looked.says {
            Some(manifested) => Ok(manifested.fetched(self.github.host(), &memory)),
            // The file was all that changed.
            None if ask.trigger == Trigger::Watch => memory.as_it_was(),
            None => api::fetch(&self.github, &repo, of, (ask, errand), &memory, looked.noted).await,
        }
    }
}

/// A small document as an entry's body.
fn body(of: &impl serde::Serialize) -> Option<Json> {
    serde_json::to_value(of).ok().map(Json::from)
}
