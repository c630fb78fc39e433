//! What decides what a process's refreshes bring, in so few words that one process can compare another's with
//! its own: a server's lock file has them.

use std::collections::BTreeMap;

use larder_core::{Fingerprint, Key};
use larder_domain::RepoName;
use larder_sources::{ClustersSource, MarketplaceSource, ProjectsConfig, ProjectsSource, TrackersSource};

use crate::config::Config;
use crate::wiring::Rooms;

/// What decides what a process's refreshes bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// How each source's entries are defined, whoever asks with or without a token.
    sources: BTreeMap<String, String>,
    /// Which GitHub is asked.
    github: String,
    /// Whether with a token; `None` = `gh` was not asked whether it has one.
    has_token: Option<bool>,
}

/// Why a server does not refresh what a reader wants as the reader would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    /// It knows other definitions, or another GitHub.
    Configured,
    /// It has no token, and the reader has one.
    Tokenless,
    /// It may be well, but nobody can tell without more ado: it has no token and the reader may have one, or the
    /// reader stands in a folder that is no root of the server's.
    Perhaps,
}

impl Apart {
    /// What is the matter with the server at that address, and what people can do; `None` = nothing.
    pub fn told(self, url: &str) -> Option<(String, &'static str)> {
        match self {
            Apart::Configured => {
                Some((format!("the `larder serve` at {url} runs with another configuration"), "restart it"))
            }
            Apart::Tokenless => {
                Some((format!("the `larder serve` at {url} has no token"), "restart it where there is one"))
            }
            Apart::Perhaps => None,
        }
    }
}

const GITHUB: &str = "github";
const TOKEN: &str = "token";
const YES: &str = "yes";

impl Setup {
    /// This process's own.
    pub fn of(rooms: &Rooms<'_>, config: &Config) -> Setup {
        let mut sources = BTreeMap::new();
        for source in [ClustersSource::NAME, MarketplaceSource::NAME] {
            sources.insert(source.to_owned(), defined(rooms, rooms.reader().keys_of(source)));
        }
        // Any repository may be asked for by name: of trackers only the types are anybody's choice.
        let named = |repo: RepoName| {
            let types = config.trackers.types.iter();
            types.filter_map(|of| TrackersSource::key(&repo, &of.name).ok()).collect()
        };
        let any = RepoName::new("any", "any").map(named).unwrap_or_default();
        sources.insert(TrackersSource::NAME.to_owned(), defined(rooms, any));
        sources.insert(ProjectsSource::NAME.to_owned(), folders(config.projects.config()));
        let github = Fingerprint::of(&[&config.github.api_url.value]).to_string();
        Setup { sources, github, has_token: rooms.has_token() }
    }

    /// As a server tells it, in lines; the last one says that it is whole.
    pub fn told(&self) -> String {
        let sources = self.sources.iter().map(|(name, digest)| format!("{name} {digest}\n"));
        let token = if self.has_token == Some(true) { YES } else { "no" };
        format!("{}{GITHUB} {}\n{TOKEN} {token}\n", sources.collect::<String>(), self.github)
    }

    /// What was told so; `None` = not all of it, or by a larder that said something else.
    pub fn heard(text: &str) -> Option<Setup> {
        let mut sources: BTreeMap<String, String> = BTreeMap::new();
        for line in text.lines() {
            let (name, said) = line.split_once(' ')?;
            sources.insert(name.to_owned(), said.to_owned());
        }
        let has_token = Some(sources.remove(TOKEN)? == YES);
        Some(Setup { github: sources.remove(GITHUB)?, sources, has_token })
    }

    /// Why a server that was set up so does not refresh these as this process would; `None` = it does.
    pub fn differs_from(
        &self,
        server: &Setup,
        keys: &[Key],
        rooms: &Rooms<'_>,
        config: &Config,
    ) -> Option<Apart> {
        let is_other = |key: &Key| self.sources.get(key.source()) != server.sources.get(key.source());
        let asks_github = keys.iter().any(|key| rooms.is_github_s(key));
        if keys.iter().any(is_other) || asks_github && self.github != server.github {
            return Some(Apart::Configured);
        }
        let lacks_token = asks_github && server.has_token == Some(false);
        match self.has_token {
            Some(true) if lacks_token => Some(Apart::Tokenless),
            None if lacks_token => Some(Apart::Perhaps),
            _ => is_elsewhere(keys, config).then_some(Apart::Perhaps),
        }
    }

    /// What tells it from others, whatever is asked for.
    pub fn digest(&self, config: &Config) -> Fingerprint {
        let cwd = config.projects.cwd.as_ref().map(|cwd| cwd.to_string_lossy());
        Fingerprint::of(&[self.told().as_str(), cwd.as_deref().unwrap_or_default()])
    }
}

/// Whether that is of a folder which is a root for this process alone.
fn is_elsewhere(keys: &[Key], config: &Config) -> bool {
    let is_own_root = config.projects.cwd.as_ref().is_some_and(|cwd| {
        let roots = &config.projects.roots.value;
        !roots.contains(cwd)
    });
    is_own_root && keys.iter().any(|key| key.source() == ProjectsSource::NAME)
}

/// What these entries are defined as; with a token, so that its coming makes no other.
fn defined(rooms: &Rooms<'_>, mut keys: Vec<Key>) -> String {
    keys.sort();
    let mut parts = Vec::with_capacity(2 * keys.len());
    for key in &keys {
        let Some(definition) = rooms.reader().define(key) else { continue };
        let fingerprint = definition.also.first().unwrap_or(&definition.fingerprint);
        parts.extend([key.to_string(), fingerprint.to_string()]);
    }
    Fingerprint::of(&parts).to_string()
}

/// Where projects are looked for, apart from the folder that one stands in and from what is there by now.
fn folders(config: ProjectsConfig) -> String {
    let everywhere = ProjectsConfig { awaited: Vec::new(), cwd: None, ..config };
    Fingerprint::of(&[format!("{everywhere:?}")]).to_string()
}
