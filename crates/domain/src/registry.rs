//! The registry: all clusters as one list of projects, each group merged into one line, the
//! repositories of no group standing for themselves. Pure.
//!
//! A group that shows no repository is left out of the list: it has no page to link to and nothing
//! to count. It is named in [`Registry::empty`], so that nobody wonders where it went; one that was not
//! fetched yet is not, since nobody knows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use larder_core::Time;
use serde::Serialize;

use crate::{ClusterConfig, ClustersConfig, Language, RepoOverride, Repository};

/// How the list looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRules {
    /// Singles that were last updated before are left out.
    pub updated_since: Option<Time>,
    /// With more stars than this, a project is `trending`.
    pub trending_stars: u64,
    /// A project that was updated within this span is `new`.
    pub new_within: Duration,
    /// Whether singles that are forks are listed.
    pub forks: bool,
}

impl Default for RegistryRules {
    fn default() -> Self {
        RegistryRules {
            updated_since: None,
            trending_stars: 100,
            new_within: Duration::from_hours(14 * 24),
            forks: false,
        }
    }
}

/// A cluster's repositories as the store holds them, in the order that configuration lists them.
#[derive(Debug, Clone, PartialEq)]
pub struct Holding {
    /// The cluster's id.
    pub cluster: String,
    /// Those of its repositories that are shown.
    pub repositories: Vec<HeldRepository>,
}

/// A repository as a cluster holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRepository {
    /// The name that the cluster asks for, which outlives a rename, and configuration may go on speaking of it by.
    pub asked: Arc<str>,
    /// The repository as it is now.
    pub repository: Repository,
}

/// The merged list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Registry {
    /// The projects: featured ones first, then the newest.
    pub projects: Vec<Project>,
    /// The ids of groups that are held, or need not be, and show no repository.
    pub empty: Vec<String>,
}

/// One line of the list: a group of repositories, or a single one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column that people read")]
pub struct Project {
    /// The group's id, or the single repository's `owner/name`.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// The cluster it comes from.
    pub cluster: String,
    /// One line about it: its first repository's.
    pub description: Option<String>,
    /// Its first repository's page.
    pub url: String,
    /// Stars of all its repositories together.
    pub stars: u64,
    /// Forks of all its repositories together.
    pub forks: u64,
    /// Its largest languages by size, three at most.
    pub languages: Vec<String>,
    /// Its topics, each once, five at most.
    pub topics: Vec<String>,
    /// When any of its repositories was last updated.
    pub updated_at: Option<Time>,
    /// Whether all its repositories are archived.
    pub is_archived: bool,
    /// Whether any of its repositories is private.
    pub is_private: bool,
    /// Whether it stands before the others.
    pub featured: bool,
    /// Whether it is the main work of its owner.
    pub flagship: bool,
    /// Whether it is an experiment.
    pub experimental: bool,
    /// Whether it was updated lately.
    pub new: bool,
    /// Whether it has many stars.
    pub trending: bool,
    /// Its repositories, the one updated last first.
    pub members: Vec<ProjectMember>,
}

/// A repository of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column that people read")]
pub struct ProjectMember {
    /// The name people see.
    pub name: String,
    /// `owner/name`.
    pub full_name: String,
    /// Its page.
    pub url: String,
    /// Its stars.
    pub stars: u64,
    /// The language most of it is written in.
    pub language: Option<String>,
    /// When it was last updated.
    pub updated_at: Option<Time>,
    /// Whether it is archived.
    pub is_archived: bool,
    /// Whether it stands before the others.
    pub featured: bool,
    /// Whether it is the main work of its owner.
    pub flagship: bool,
    /// Whether it is an experiment.
    pub experimental: bool,
}

const LANGUAGES_MAX: usize = 3;
const TOPICS_MAX: usize = 5;

/// Merges what is held of the clusters into one list.
pub fn registry(config: &ClustersConfig, held: &[Holding], rules: &RegistryRules, now: Time) -> Registry {
    let merge = Merge { config, rules, now };
    let mut projects = Vec::new();
    let mut empty = Vec::new();
    let mut grouped = BTreeSet::new();
    for cluster in &config.clusters {
        let repositories = held_of(held, &cluster.id);
        grouped.extend(repositories.iter().map(|held| held.repository.id()));
        match merge.group(cluster, &repositories) {
            Some(project) => projects.push(project),
            None if cluster.repos.is_empty() || held.iter().any(|held| held.cluster == cluster.id) => {
                empty.push(cluster.id.clone());
            }
            None => {}
        }
    }
    let singles = held_of(held, ClustersConfig::UNCLUSTERED);
    let singles = singles.into_iter().filter(|single| !grouped.contains(&single.repository.id()));
    projects
        .extend(singles.filter(|single| merge.lists(&single.repository)).map(|single| merge.single(single)));
    projects.sort_by_cached_key(|project| {
        let newest = Reverse(project.updated_at);
        (!project.featured, newest, project.name.to_lowercase(), project.id.clone())
    });
    Registry { projects, empty }
}

/// A cluster's repositories, each once: one that was renamed may be asked for under both names.
fn held_of<'a>(held: &'a [Holding], cluster: &str) -> Vec<&'a HeldRepository> {
    let holdings = held.iter().filter(|holding| holding.cluster == cluster);
    let mut seen = BTreeSet::new();
    let all = holdings.flat_map(|holding| &holding.repositories);
    all.filter(|held| seen.insert(held.repository.id())).collect()
}

/// What every merge needs to know.
struct Merge<'a> {
    config: &'a ClustersConfig,
    rules: &'a RegistryRules,
    now: Time,
}

impl Merge<'_> {
    fn group(&self, cluster: &ClusterConfig, repositories: &[&HeldRepository]) -> Option<Project> {
        let first = repositories.first()?;
        let mut project = self.merged(repositories, first);
        project.id.clone_from(&cluster.id);
        project.name.clone_from(&cluster.name);
        project.cluster.clone_from(&cluster.id);
        // What is said of the only repository of a group is said of the group.
        let said = if repositories.len() == 1 { self.said(first) } else { None };
        let flag = |own: Option<bool>, groups: bool| own.unwrap_or(groups);
        project.featured = flag(said.and_then(|said| said.featured), cluster.featured);
        project.flagship = flag(said.and_then(|said| said.flagship), cluster.flagship);
        project.experimental = flag(said.and_then(|said| said.experimental), cluster.experimental);
        Some(project)
    }

    fn single(&self, held: &HeldRepository) -> Project {
        let mut project = self.merged(&[held], held);
        let said = self.said(held);
        project.id.clone_from(&held.repository.full_name);
        project.name = self.name(held);
        ClustersConfig::UNCLUSTERED.clone_into(&mut project.cluster);
        project.featured = said.and_then(|said| said.featured).unwrap_or(false);
        project.flagship = said.and_then(|said| said.flagship).unwrap_or(false);
        project.experimental = said.and_then(|said| said.experimental).unwrap_or(false);
        project
    }

    /// All that follows from the repositories alone.
    fn merged(&self, held: &[&HeldRepository], first: &HeldRepository) -> Project {
        let mut held = held.to_vec();
        held.sort_by_cached_key(|held| (Reverse(held.repository.updated_at), held.repository.id()));
        let newest_first: Vec<&Repository> = held.iter().map(|held| &held.repository).collect();
        let stars = newest_first.iter().fold(0_u64, |sum, repository| sum.saturating_add(repository.stars));
        let forks = newest_first.iter().fold(0_u64, |sum, repository| sum.saturating_add(repository.forks));
        let updated_at = newest_first.iter().filter_map(|repository| repository.updated_at).max();
        Project {
            id: String::new(),
            name: String::new(),
            cluster: String::new(),
            description: first.repository.description.clone(),
            url: first.repository.url.clone(),
            stars,
            forks,
            languages: largest_languages(&newest_first),
            topics: distinct_topics(&newest_first),
            updated_at,
            is_archived: newest_first.iter().all(|repository| repository.is_archived),
            is_private: newest_first.iter().any(|repository| repository.is_private),
            featured: false,
            flagship: false,
            experimental: false,
            new: updated_at.is_some_and(|at| self.now.since(at) <= self.rules.new_within),
            trending: stars > self.rules.trending_stars,
            members: held.into_iter().map(|held| self.member(held)).collect(),
        }
    }

    fn member(&self, held: &HeldRepository) -> ProjectMember {
        let (said, repository) = (self.said(held), &held.repository);
        let flag = |own: fn(&RepoOverride) -> Option<bool>| said.and_then(own).unwrap_or(false);
        ProjectMember {
            name: self.name(held),
            full_name: repository.full_name.clone(),
            url: repository.url.clone(),
            stars: repository.stars,
            language: repository.language.clone(),
            updated_at: repository.updated_at,
            is_archived: repository.is_archived,
            featured: flag(|said| said.featured),
            flagship: flag(|said| said.flagship),
            experimental: flag(|said| said.experimental),
        }
    }

    fn name(&self, held: &HeldRepository) -> String {
        self.config.name_of(&held.repository, Some(&held.asked))
    }

    fn said(&self, held: &HeldRepository) -> Option<&RepoOverride> {
        self.config.said_of(&held.repository, Some(&held.asked))
    }

    /// Whether a repository of no group is listed.
    fn lists(&self, single: &Repository) -> bool {
        let since = self.rules.updated_since;
        let recent = since.is_none_or(|since| single.updated_at.is_some_and(|at| at >= since));
        recent && (self.rules.forks || !single.is_fork)
    }
}

/// The languages by the bytes that all repositories together have of them. One whose sizes are
/// unknown counts as its main language, with none.
fn largest_languages(repositories: &[&Repository]) -> Vec<String> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for repository in repositories {
        if repository.languages().is_empty() {
            sizes.entry(repository.language.as_deref().unwrap_or_default()).or_default();
        }
        for Language { name, size, .. } in repository.languages() {
            let sum = sizes.entry(name).or_default();
            *sum = sum.saturating_add(*size);
        }
    }
    let mut sizes: Vec<_> = sizes.into_iter().filter(|(name, _)| !name.is_empty()).collect();
    sizes.sort_by_key(|(name, size)| (Reverse(*size), *name));
    sizes.into_iter().take(LANGUAGES_MAX).map(|(name, _)| name.to_owned()).collect()
}

fn distinct_topics(repositories: &[&Repository]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let topics = repositories.iter().flat_map(|repository| repository.topics());
    topics.filter(|topic| seen.insert(topic.as_str())).take(TOPICS_MAX).cloned().collect()
}

#[cfg(test)]
mod tests;
