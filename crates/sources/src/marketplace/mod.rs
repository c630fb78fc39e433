//! The source `marketplace`: artifacts that are to be had, an entry for each marketplace,
//! `marketplace/<name>`: a JSON index by its address or in a file, or a GitHub repository that holds
//! skills.
//!
//! What an index or a repository lists is all that there is, so each fetch says what came, changed
//! and went. What an entry remembers for the next fetch (entity tags, which contents were read) is
//! its cursor; an unchanged marketplace costs one conditional request.

mod address;
mod index;
mod memory;
mod plan;
mod repository;
mod watch;
mod web;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Answers, Ask, Clock, Definition, FetchError, Fetched, Fingerprint, Key, KeyError, Policy, Source,
};
use larder_domain::RepoName;
use url::Url;

use crate::github::{Errand, GitHub};
pub use watch::FilesWatch;
use web::Web;

/// Marketplaces that are asked at once.
const AT_ONCE_MAX: usize = 4;

/// A marketplace as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketplaceConfig {
    /// Its name: a-z, 0-9, `-`, `_` and `.`.
    pub name: String,
    /// Where it is.
    pub from: MarketplaceFrom,
    /// How long what it offered is taken for true without asking.
    pub ttl: Duration,
}

/// Where a marketplace is.
#[derive(Debug, Clone, PartialEq)]
pub enum MarketplaceFrom {
    /// A JSON index, by its address.
    Url {
        /// The address, without a name or password.
        url: Url,
        /// Whether it may lie on this machine or in a private network.
        allow_private: bool,
    },
    /// A JSON index in a file, by its absolute path.
    File(PathBuf),
    /// A repository on GitHub.
    Repository(RepoName),
}

/// As its setting says it, without what may be secret in an address.
impl fmt::Display for MarketplaceFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MarketplaceFrom::Url { url, .. } => write!(f, "url {}", web::shown(url)),
            MarketplaceFrom::File(path) => write!(f, "file {}", path.display()),
            MarketplaceFrom::Repository(repo) => write!(f, "github {repo}"),
        }
    }
}

impl MarketplaceFrom {
    /// The freshness lifetime where none is configured: a file costs nothing to look at.
    pub fn usual_ttl(&self) -> Duration {
        match self {
            MarketplaceFrom::File(_) => Duration::from_mins(5),
            MarketplaceFrom::Url { .. } | MarketplaceFrom::Repository(_) => Duration::from_hours(24),
        }
    }

    /// Whether it may be asked at all, as far as it says itself; the error is a sentence.
    pub fn check(&self) -> Result<(), String> {
        match self {
            MarketplaceFrom::Url { url, allow_private } => web::check(url, *allow_private),
            MarketplaceFrom::File(_) | MarketplaceFrom::Repository(_) => Ok(()),
        }
    }
}

/// Marketplaces.
pub struct MarketplaceSource {
    markets: Vec<Market>,
    github: Arc<GitHub>,
    web: Web,
}

struct Market {
    key: Key,
    config: MarketplaceConfig,
    definition: Arc<Definition>,
}

impl MarketplaceSource {
    /// The name of the source.
    pub const NAME: &'static str = "marketplace";

    /// These marketplaces. `base` gives all of the policy but the freshness lifetime.
    pub fn new(
        configs: &[MarketplaceConfig],
        github: Arc<GitHub>,
        clock: Arc<dyn Clock>,
        base: &Policy,
    ) -> Result<Self, KeyError> {
        let market = |config: &MarketplaceConfig| {
            let key = Self::key(&config.name)?;
            let definition = Arc::new(definition(config, &github, base));
            Ok(Market { key, config: config.clone(), definition })
        };
        let markets = configs.iter().map(market).collect::<Result<_, _>>()?;
        let web = Web::new(clock, github.waits());
        Ok(MarketplaceSource { markets, github, web })
    }

    /// The key of a marketplace.
    pub fn key(name: &str) -> Result<Key, KeyError> {
        Key::new(Self::NAME, &[name])
    }

    fn market(&self, key: &Key) -> Option<&Market> {
        self.markets.iter().find(|market| market.key == *key)
    }

    async fn fetch_one(&self, ask: &Ask, errand: &Errand) -> Result<Fetched, FetchError> {
        let unknown = || FetchError::Local(format!("`{}` is no marketplace that is configured", ask.key));
        let Market { config, .. } = self.market(&ask.key).ok_or_else(unknown)?;
        match &config.from {
            MarketplaceFrom::Url { url, allow_private } => {
                index::by_address(&self.web, &config.name, url, *allow_private, ask).await
            }
            MarketplaceFrom::File(path) => index::by_file(&config.name, path, ask).await,
            MarketplaceFrom::Repository(repo) => {
                repository::fetch(&self.github, &config.name, repo, ask, errand).await
            }
        }
    }
}

/// What decides what a fetch brings. A token sees more than nobody does; which it was makes no
/// difference. What lies on this machine, or may, is this machine's.
fn definition(config: &MarketplaceConfig, github: &GitHub, base: &Policy) -> Definition {
    let policy = Policy { ttl: config.ttl, ..base.clone() };
    let ttl = config.ttl.as_millis().to_string();
    let with =
        |kind: &str, parts: &[&str]| Fingerprint::of(&[&["marketplace", kind, ttl.as_str()], parts].concat());
    let definition = match &config.from {
        MarketplaceFrom::Url { url, allow_private } => {
            let reach = if *allow_private { "private" } else { "public" };
            let definition = Definition::new(with("url", &[url.as_str(), reach]), policy);
            Definition { private: *allow_private, ..definition }
        }
        MarketplaceFrom::File(path) => {
            let definition = Definition::new(with("file", &[&path.to_string_lossy()]), policy);
            Definition { private: true, ..definition }
        }
        MarketplaceFrom::Repository(repo) => {
            let by = |access: &str| with("github", &[github.host(), access, repo.key()]);
            let (token, nobody) = (by("token"), by("nobody").lesser());
            if github.has_token() {
                Definition::new(token, policy)
            } else {
                Definition { also: vec![token], ..Definition::new(nobody, policy) }
            }
        }
    };
    let tags = match &config.from {
        MarketplaceFrom::Repository(repo) => vec![format!("repo:{}", repo.key())],
        MarketplaceFrom::Url { .. } | MarketplaceFrom::File(_) => Vec::new(),
    };
    Definition { tags, ..definition }
}

#[async_trait]
impl Source for MarketplaceSource {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.market(key).map(|market| self.github.defined(&market.definition))
    }

    fn keys(&self) -> Vec<Key> {
        self.markets.iter().map(|market| market.key.clone()).collect()
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
