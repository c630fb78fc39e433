//! Clusters of repositories as configuration lists them: pure data, with the names checked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Repository;

/// All that configuration says about clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClustersConfig {
    /// The owner whose repositories the cluster `unclustered` lists.
    pub owner: Option<String>,
    /// How long a cluster is fresh.
    pub ttl: Duration,
    /// How long one under active work is fresh.
    pub active_ttl: Duration,
    /// Whether the owner's repositories that are in no cluster make the cluster `unclustered`.
    pub unclustered: bool,
    /// The clusters, in the order that people shall see.
    pub clusters: Vec<ClusterConfig>,
    /// What is said of single repositories.
    pub overrides: Vec<RepoOverride>,
}

impl Default for ClustersConfig {
    fn default() -> Self {
        ClustersConfig {
            owner: None,
            ttl: Duration::from_hours(6),
            active_ttl: Duration::from_hours(2),
            unclustered: false,
            clusters: Vec::new(),
            overrides: Vec::new(),
        }
    }
}

impl ClustersConfig {
    /// The id of the cluster that catches what is in no other.
    pub const UNCLUSTERED: &'static str = "unclustered";

    /// The cluster of that id.
    pub fn cluster(&self, id: &str) -> Option<&ClusterConfig> {
        self.clusters.iter().find(|cluster| cluster.id == id)
    }

    /// What is said of a repository: by the name that it has now, or by that under which a cluster asks for it,
    /// which it may have had before.
    pub fn said_of(&self, repository: &Repository, asked: Option<&str>) -> Option<&RepoOverride> {
        if self.overrides.is_empty() {
            return None;
        }
        let now = RepoName::new(&repository.owner, &repository.name).ok();
        let names = [now.as_ref().map(|now| &**now.key()), asked];
        names
            .into_iter()
            .flatten()
            .find_map(|name| self.overrides.iter().find(|said| **said.name.key() == *name))
    }

    /// The name people see of a repository, which a cluster may ask for by another.
    pub fn name_of(&self, repository: &Repository, asked: Option<&str>) -> String {
        let said = self.said_of(repository, asked).and_then(|said| said.display_name.clone());
        said.unwrap_or_else(|| repository.name.clone())
    }

    /// How long a cluster is fresh: its own word, else by whether it is under active work.
    pub fn ttl_of(&self, cluster: &ClusterConfig) -> Duration {
        let usual = if cluster.is_active() { self.active_ttl } else { self.ttl };
        cluster.ttl.unwrap_or(usual)
    }

    /// Whether `unclustered` is a cluster: it is wanted, and there is an owner to list.
    pub fn has_unclustered(&self) -> bool {
        self.unclustered && self.owner.is_some()
    }
}

/// One cluster: repositories that belong together.
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the configuration")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterConfig {
    /// Its id, which names its entry: `cluster/<id>`.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// Its repositories, in order.
    pub repos: Vec<RepoName>,
    /// Whether it stands before the others.
    pub featured: bool,
    /// Whether it is the main work of its owner.
    pub flagship: bool,
    /// Whether it is an experiment; that implies active.
    pub experimental: bool,
    /// Whether it is under active work, and so refreshed more often.
    pub active: bool,
    /// A freshness lifetime of its own.
    pub ttl: Option<Duration>,
}

impl ClusterConfig {
    /// Whether it lists a repository by the name that this has now.
    pub fn names(&self, repository: &Repository) -> bool {
        let now = repository.full_name.to_lowercase();
        self.repos.iter().any(|name| **name.key() == *now)
    }

    /// Whether it is under active work.
    pub fn is_active(&self) -> bool {
        self.active || self.experimental
    }
}

/// What configuration says of one repository; `None` = as its cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoOverride {
    /// Which.
    pub name: RepoName,
    /// The name people see.
    pub display_name: Option<String>,
    /// Whether it stands before the others.
    pub featured: Option<bool>,
    /// Whether it is the main work of its owner.
    pub flagship: Option<bool>,
    /// Whether it is an experiment.
    pub experimental: Option<bool>,
}

/// A repository's owner and name, as configuration writes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoName {
    /// `Owner/Name`, as written.
    written: Arc<str>,
    /// How many bytes of it are the owner.
    owner_bytes: usize,
    /// The same lower-cased; the same allocation where it is so already, since a configuration may
    /// name thousands and every run reads it.
    key: Arc<str>,
}

/// Why a text does not name a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepoNameError {
    /// A bare name, and no owner to complete it with.
    #[error("`{0}` has no owner: write `owner/{0}`, or set `[github] owner`")]
    NoOwner(String),
    /// Neither `name`, `owner/name` nor a repository's address.
    #[error("`{0}` is not a repository: write `name`, `owner/name` or `https://github.com/owner/name`")]
    Shape(String),
    /// The address of something on another site.
    #[error("`{0}` is not on GitHub: write `owner/name`")]
    OtherSite(String),
    /// An owner that cannot exist.
    #[error("`{text}`: `{owner}` cannot be an owner: letters, digits, `-` and `_`, at most 39")]
    Owner {
        /// The whole text.
        text: String,
        /// The part that is wrong.
        owner: String,
    },
    /// A name that cannot exist.
    #[error(
        "`{text}`: `{name}` cannot be a repository's name: letters, digits, `-`, `_` and `.`, at most 100"
    )]
    Name {
        /// The whole text.
        text: String,
        /// The part that is wrong.
        name: String,
    },
}

impl RepoName {
    /// Reads `name` (the default owner's), `owner/name`, or a repository's address on github.com.
    pub fn parse(text: &str, default_owner: Option<&str>) -> Result<Self, RepoNameError> {
        let text = text.trim();
        let path = without_site(text)?;
        let (owner, name) = match path.split_once('/') {
            None if path.is_empty() || path.len() != text.len() => {
                return Err(RepoNameError::Shape(text.to_owned()));
            }
            None => (default_owner.ok_or_else(|| RepoNameError::NoOwner(text.to_owned()))?, path),
            Some((_, name)) if name.contains('/') => return Err(RepoNameError::Shape(text.to_owned())),
            Some(parts) => parts,
        };
        RepoName::new(owner, name).map_err(|error| error.within(text))
    }

    /// From its two parts, checked.
    pub fn new(owner: &str, name: &str) -> Result<Self, RepoNameError> {
        let text = || format!("{owner}/{name}");
        let in_owner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if owner.is_empty() || owner.len() > 39 || !owner.bytes().all(in_owner) {
            return Err(RepoNameError::Owner { text: text(), owner: owner.to_owned() });
        }
        let in_name = |byte: u8| in_owner(byte) || byte == b'.';
        let is_dots = name == "." || name == "..";
        if name.is_empty() || name.len() > 100 || is_dots || !name.bytes().all(in_name) {
            return Err(RepoNameError::Name { text: text(), name: name.to_owned() });
        }
        let written: Arc<str> = [owner, "/", name].concat().into();
        let is_lower = !written.bytes().any(|byte| byte.is_ascii_uppercase());
        let key = if is_lower { written.clone() } else { written.to_ascii_lowercase().into() };
        Ok(RepoName { written, owner_bytes: owner.len(), key })
    }

    /// The owner, as written.
    pub fn owner(&self) -> &str {
        &self.written[..self.owner_bytes]
    }

    /// The name without the owner, as written.
    pub fn name(&self) -> &str {
        &self.written[self.owner_bytes + 1..]
    }

    /// `owner/name`, lower-cased: the name under which a cluster asks for it.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl RepoNameError {
    /// The same error about the text that a person wrote.
    fn within(self, written: &str) -> Self {
        match self {
            RepoNameError::Owner { owner, .. } => RepoNameError::Owner { text: written.to_owned(), owner },
            RepoNameError::Name { name, .. } => RepoNameError::Name { text: written.to_owned(), name },
            other => other,
        }
    }
}

/// What stands behind `https://github.com/` in a pasted address; any other text as it is.
fn without_site(text: &str) -> Result<&str, RepoNameError> {
    // Most have none, which is told at a glance.
    if !text.contains(':') {
        return Ok(text);
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text) };
    let (site, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let is_github = site.eq_ignore_ascii_case("github.com") || site.eq_ignore_ascii_case("www.github.com");
    if !is_web || !is_github {
        return Err(RepoNameError::OtherSite(text.to_owned()));
    }
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    Ok(path.strip_suffix(".git").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("cinder", "octo-org/cinder"),
            ("Other-Org/Thing.rs", "other-org/thing.rs"),
            ("  a/b ", "a/b"),
            ("https://github.com/a/b", "a/b"),
            ("https://GitHub.com/a/b.git", "a/b"),
            ("http://www.github.com/a/b/?tab=readme#top", "a/b"),
        ];
        for (text, key) in cases {
            assert_eq!(RepoName::parse(text, Some("octo-org")).unwrap().key().as_ref(), key, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_rest() {
        let wrong = |text: &str, owner| RepoName::parse(text, owner).unwrap_err();
        assert_eq!(
            wrong("cinder", None).to_string(),
            "`cinder` has no owner: write `owner/cinder`, or set `[github] owner`"
        );
        assert!(matches!(wrong("", Some("o")), RepoNameError::Shape(_)));
        assert!(matches!(wrong("a/b/c", None), RepoNameError::Shape(_)));
        assert!(matches!(wrong("https://github.com/only", Some("o")), RepoNameError::Shape(_)));
        assert!(matches!(wrong("https://gitlab.com/a/b", None), RepoNameError::OtherSite(_)));
        assert!(matches!(wrong("a b/c", None), RepoNameError::Owner { .. }));
        assert!(matches!(wrong("a/..", None), RepoNameError::Name { .. }));
        assert!(matches!(wrong("a/b\"){x", None), RepoNameError::Name { .. }));
        assert!(matches!(wrong("/b", None), RepoNameError::Owner { .. }));
    }

    #[test]
    fn a_cluster_is_fresh_for_its_own_time_or_by_its_activity() {
        let config = ClustersConfig::default();
        let quiet = ClusterConfig::default();
        let experiment = ClusterConfig { experimental: true, ..ClusterConfig::default() };
        let own = ClusterConfig { ttl: Some(Duration::from_mins(5)), ..experiment.clone() };
        assert_eq!(config.ttl_of(&quiet), config.ttl);
        assert_eq!(config.ttl_of(&experiment), config.active_ttl);
        assert_eq!(config.ttl_of(&own), Duration::from_mins(5));
    }
}
