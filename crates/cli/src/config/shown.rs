//! The effective settings as `larder config show` lists them: name, value, where from. Secrets
//! are named, never shown.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use larder_sources::PullHow;
use larder_store_postgres::connect_timeout_of_address;
use serde::Serialize;

use super::{Config, Origin, Setting, StoreUrl, show_span};

/// One setting, or one table of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// `section.key`, or for a table of a list `cluster.ID`.
    pub key: Cow<'static, str>,
    /// The value as it is written; `None` = not set.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: String,
    /// Whether the value is held back.
    pub secret: bool,
}

impl Shown {
    /// What holds unless somebody says otherwise.
    pub fn usual(key: String, value: String) -> Self {
        let origin = Origin::Default.to_string();
        Shown { key: key.into(), value: Some(value), origin, secret: false }
    }
}

fn plain<T>(key: &'static str, setting: &Setting<T>, show: impl Fn(&T) -> String) -> Shown {
    let key = key.into();
    Shown { key, value: Some(show(&setting.value)), origin: setting.origin.to_string(), secret: false }
}

fn optional<T>(key: &'static str, setting: Option<&Setting<T>>, show: impl Fn(&T) -> String) -> Shown {
    match setting {
        Some(setting) => plain(key, setting, show),
        None => Shown { key: key.into(), value: None, origin: Origin::Default.to_string(), secret: false },
    }
}

fn list<T: ToString>(key: &'static str, setting: &Setting<Vec<T>>) -> Shown {
    let texts: Vec<String> = setting.value.iter().map(ToString::to_string).collect();
    let value = (!texts.is_empty()).then(|| texts.join(", "));
    Shown { key: key.into(), value, origin: setting.origin.to_string(), secret: false }
}

fn paths(key: &'static str, setting: &Setting<Vec<PathBuf>>) -> Shown {
    list(key, &setting.clone().map(|paths| paths.iter().map(|path| path.display().to_string()).collect()))
}

fn secret<T>(key: &'static str, setting: Option<&Setting<T>>) -> Shown {
    let origin = setting.map_or(Origin::Default, |setting| setting.origin.clone()).to_string();
    Shown { key: key.into(), value: None, origin, secret: setting.is_some() }
}

fn window(key: &'static str, setting: &Setting<Option<Duration>>) -> Shown {
    plain(key, setting, |window| window.map_or_else(|| "for ever".to_owned(), show_span))
}

impl Config {
    /// All settings with their origins, and behind them the tables of lists: clusters, trackers, marketplaces.
    pub fn shown(&self) -> Vec<Shown> {
        let of =
            |list: &'static str| self.tables.iter().filter(move |one| one.key.starts_with(list)).cloned();
        let lists = ["cluster.", "tracker.", "marketplace."].into_iter().flat_map(of);
        self.settings().into_iter().chain(lists).collect()
    }

    /// The address may say it too, where it is not set.
    fn connect_timeout(&self) -> Shown {
        const KEY: &str = "store.connect_timeout";
        let set = &self.store.server.connect_timeout;
        let said = match &self.store.url.value {
            StoreUrl::Postgres(url) if !set.is_set() => connect_timeout_of_address(url.address()),
            _ => None,
        };
        match said {
            Some(said) => Shown {
                key: KEY.into(),
                value: Some(show_span(said)),
                origin: "store.url".to_owned(),
                secret: false,
            },
            None => plain(KEY, set, |span| show_span(*span)),
        }
    }

    /// All settings with their origins, in the order that a file would have them.
    pub fn settings(&self) -> Vec<Shown> {
        let span = |span: &Duration| show_span(*span);
        let (engine, github, server) = (&self.engine, &self.github, &self.store.server);
        vec![
            plain("store.url", &self.store.url, ToString::to_string),
            plain("store.pool_size", &server.pool_size, ToString::to_string),
            plain("store.max_overflow", &server.max_overflow, ToString::to_string),
            plain("store.prepared", &server.prepared, ToString::to_string),
            optional("store.listen_url", server.listen_url.as_ref(), ToString::to_string),
            plain("store.pool_timeout", &server.pool_timeout, span),
            self.connect_timeout(),
            plain("store.statement_timeout", &server.statement_timeout, span),
            plain("github.api_url", &github.api_url, Clone::clone),
            optional("github.owner", github.owner.as_ref(), Clone::clone),
            secret("github.token", github.token.as_ref()),
            plain("engine.lease", &engine.lease, span),
            plain("engine.soft_timeout", &engine.soft_timeout, span),
            plain("engine.hard_timeout", &engine.hard_timeout, span),
            plain("engine.attempts", &engine.attempts, ToString::to_string),
            plain("engine.backoff_base", &engine.backoff_base, span),
            plain("engine.backoff_cap", &engine.backoff_cap, span),
            plain("engine.negative_ttl", &engine.negative_ttl, span),
            window("engine.stale_while_revalidate", &engine.stale_while_revalidate),
            window("engine.stale_if_error", &engine.stale_if_error),
            plain("engine.jitter_percent", &engine.jitter_percent, ToString::to_string),
            plain("clusters.ttl", &self.clusters.ttl, span),
            plain("clusters.active_ttl", &self.clusters.active_ttl, span),
            plain("clusters.unclustered", &self.clusters.unclustered, ToString::to_string),
            optional("registry.updated_since", self.registry.updated_since.as_ref(), ToString::to_string),
            plain("registry.trending_stars", &self.registry.trending_stars, ToString::to_string),
            plain("registry.new_within", &self.registry.new_within, span),
            plain("registry.forks", &self.registry.forks, ToString::to_string),
            paths("projects.roots", &self.projects.roots),
            plain("projects.depth", &self.projects.depth, ToString::to_string),
            list("projects.prune", &self.projects.prune),
            plain("projects.watch", &self.projects.watch, |watch| watch.word().to_owned()),
            plain("projects.debounce", &self.projects.debounce, span),
            plain("projects.poll", &self.projects.poll, span),
            paths("projects.allow_links", &self.projects.allow_links),
            paths("projects.collections", &self.projects.collections),
            plain("projects.ttl", &self.projects.ttl, span),
            optional("projects.machine", self.projects.machine.as_ref(), Clone::clone),
            plain("server.listen", &self.server.listen, ToString::to_string),
            secret("server.read_token", self.server.read_token.as_ref()),
            secret("server.admin_token", self.server.admin_token.as_ref()),
            list("server.allowed_hosts", &self.server.allowed_hosts),
            list("server.trusted_proxies", &self.server.trusted_proxies),
            plain("server.memory_mib", &self.server.memory_mib, ToString::to_string),
            list("trackers.repos", &self.trackers.repos),
            plain("trackers.ttl", &self.trackers.ttl, span),
            plain("trackers.enabled", &self.trackers.enabled, ToString::to_string),
            plain("trackers.auto_sync", &self.trackers.auto_sync, ToString::to_string),
            plain("trackers.auto_pull", &self.trackers.auto_pull, |how| {
                let word = match how {
                    None => "false",
                    Some(PullHow::Fetch) => "true",
                    Some(PullHow::Merge) => "merge",
                };
                word.to_owned()
            }),
            plain("trackers.auto_pull_interval", &self.trackers.auto_pull_interval, span),
        ]
    }
}
