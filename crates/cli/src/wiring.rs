//! The one place that knows every room: opens the store, makes the sources, sets the engine up.
//! Lazily: who only reads pays for no HTTP client, no certificates and no `gh`.

mod asked;
mod damage;
mod refused;
pub mod schema;
mod store;

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use larder_core::{Clock as _, Fingerprint, Key, Policy, Time};
use larder_engine::{Engine, SystemClock};
use larder_sources::{
    ClustersSource, Desk, GitHub, GitHubConfig, MarketplaceFrom, MarketplaceSource, ProjectsConfig,
    ProjectsSource, Pull, TrackersSource,
};

use crate::config::Config;
use crate::report::Complaint;
use crate::token::{self, NoToken};

use damage::Damage;

pub use asked::{Ending, LEFT_BEHIND, asked_to_stop, unless_asked_again, until_interrupted};
pub use store::{AnyStore, Stay};

/// Everything a command works with, open.
pub struct Rooms<'c> {
    config: &'c Config,
    stay: Stay,
    store: AnyStore,
    clock: Arc<SystemClock>,
    seed: u64,
    reader: Engine,
    /// Set up when something is to be fetched: the engine and GitHub's client with the token.
    fetcher: OnceLock<(Engine, Arc<GitHub>)>,
    /// Whether the reader's own client has the token already.
    github: Arc<GitHub>,
    desk: Option<Desk>,
    /// One for both engines: what one learns of projects the other knows.
    projects: Arc<ProjectsSource>,
    /// Whether the reader fetched something, which of local folders it may.
    read_folders: Cell<bool>,
    /// Entries whose rows cannot be understood.
    damage: Damage,
}

/// How long is waited, when all is done, for threads that still read files: a disk may be slow, or hang.
const LEFT: Duration = Duration::from_millis(500);

/// Runs a command's work on a runtime of this thread alone: it starts faster than one with many,
/// and waits as well.
pub fn block_on<F: Future>(work: F) -> Result<F::Output, Complaint> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Complaint::failed("the runtime could not be started").because(error))?;
    let done = runtime.block_on(async {
        outlive_full_files();
        work.await
    });
    runtime.shutdown_timeout(LEFT);
    Ok(done)
}

/// A file that reaches the size that the system lets this process write ends it, unless somebody listens; then
/// the write fails, which the store tells as any other.
fn outlive_full_files() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        if let Err(error) = signal(kind) {
            tracing::debug!(%error, "a file that grows too large will end this process");
        }
    }
}

/// The same on threads, for a server.
pub fn block_on_many<F: Future>(work: F) -> Result<F::Output, Complaint> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Complaint::failed("the runtime could not be started").because(error))?;
    let done = runtime.block_on(async {
        outlive_full_files();
        work.await
    });
    runtime.shutdown_timeout(LEFT);
    Ok(done)
}

impl<'c> Rooms<'c> {
    /// Opens the store and sets a reading engine up.
    pub async fn open(config: &'c Config, stay: Stay) -> Result<Self, Complaint> {
        let store = AnyStore::open(config, stay).await?;
        let clock = Arc::new(SystemClock);
        let seed = RandomState::new().hash_one(std::process::id());
        let mut rooms = GitHubConfig::new(&config.github.api_url.value);
        if let Some(token) = &config.github.token {
            rooms = rooms.with_token(token.value.clone());
        }
        let github = github(rooms, &store, &clock, seed)?;
        let desk = desk(config, &clock);
        let projects = projects(config)?;
        let reader = engine(config, stay, &store, &clock, &github, &projects, seed)?;
        Ok(Rooms {
            config,
            stay,
            store,
            clock,
            seed,
            reader,
            fetcher: OnceLock::new(),
            github,
            desk,
            projects,
            read_folders: Cell::new(false),
            damage: Damage::default(),
        })
    }

    /// The engine for all that fetches nothing; the fetching one, once there is one.
    pub fn reader(&self) -> &Engine {
        self.fetcher.get().map_or(&self.reader, |(engine, _)| engine)
    }

    /// The engine that fetches, with the token that is configured or that `gh` has.
    pub fn fetcher(&self) -> Result<&Engine, Complaint> {
        self.fetching().map(|(engine, _)| engine)
    }

    /// GitHub's client, with the token.
    pub fn github(&self) -> Result<&Arc<GitHub>, Complaint> {
        self.fetching().map(|(_, github)| github)
    }

    /// Whether anything may have been fetched.
    pub fn has_fetched(&self) -> bool {
        self.fetcher.get().is_some() || self.read_folders.get()
    }

    /// The engine that fetches these: what is not GitHub's wants no token, and nobody's `gh`.
    pub fn fetcher_of(&self, keys: &[Key]) -> Result<&Engine, Complaint> {
        if keys.iter().any(|key| self.is_github_s(key)) {
            return self.fetcher();
        }
        self.note_fetch();
        Ok(self.reader())
    }

    /// Whether GitHub is asked for an entry.
    pub fn is_github_s(&self, key: &Key) -> bool {
        let markets = &self.config.marketplaces;
        match key.source() {
            ProjectsSource::NAME => false,
            MarketplaceSource::NAME => markets.iter().any(|market| {
                market.name == key.name() && matches!(market.from, MarketplaceFrom::Repository(_))
            }),
            _ => true,
        }
    }

    /// Whether GitHub is asked with a token; `None` = `gh` may have one, and was not asked yet.
    pub fn has_token(&self) -> Option<bool> {
        if self.config.github.token.is_some() {
            return Some(true);
        }
        match self.fetcher.get() {
            Some((_, github)) => Some(github.has_token()),
            None if self.stay == Stay::Long || self.config.github.is_loopback() => Some(false),
            None => None,
        }
    }

    /// Notes that local folders were looked at by the reading engine.
    pub fn note_fetch(&self) {
        self.read_folders.set(true);
    }

    /// The source of local projects.
    pub fn projects(&self) -> &Arc<ProjectsSource> {
        &self.projects
    }

    /// The store, with its budgets.
    pub fn store(&self) -> &AnyStore {
        &self.store
    }

    /// Where the manifest of the clone one stands in is looked for, if one stands in one.
    pub fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Does some work for so long at the most; `None` = it did not come to its end.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.clock.sleep(limit) => None,
        }
    }

    fn fetching(&self) -> Result<&(Engine, Arc<GitHub>), Complaint> {
        if let Some(fetching) = self.fetcher.get() {
            return Ok(fetching);
        }
        let made = if self.config.github.token.is_some() {
            (self.reader.clone(), self.github.clone())
        } else {
            self.with_gh()?
        };
        Ok(self.fetcher.get_or_init(|| made))
    }

    /// Goes on asking `gh` for a token while one is wanted; `None` = it is no business of `gh`'s.
    pub fn keep_token(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let asks_gh = self.config.github.token.is_none() && !self.config.github.is_loopback();
        let (_, github) = self.fetcher.get().filter(|_| asks_gh)?;
        let host = self.config.github.web_host();
        Some(token::keep(github.clone(), self.clock.clone(), move || token::from_gh(&host)))
    }

    fn tell_of_no_token(&self, host: &str, why: NoToken) {
        // Who asks once sees what is missing in the answer.
        if self.stay == Stay::Long {
            let (var, again) = (self.config.github.token_var(), token::AGAIN.as_secs() / 60);
            tracing::warn!(
                "there is no token for {host}: {why}, and is asked again every {again} min; until then public \
                 repositories alone are refreshed, by 60 calls an hour: set {var}, or run `gh auth login`"
            );
        }
    }

    fn with_gh(&self) -> Result<(Engine, Arc<GitHub>), Complaint> {
        let host = self.config.github.web_host();
        let options = GitHubConfig::new(&self.config.github.api_url.value);
        let found = if self.config.github.is_loopback() { None } else { Some(token::from_gh(&host)) };
        let options = match found {
            Some(Ok(token)) => options.with_token(token),
            Some(Err(why)) => {
                self.tell_of_no_token(&host, why);
                options
            }
            None => options,
        };
        let github = github(options, &self.store, &self.clock, self.seed)?;
        let engine =
            engine(self.config, self.stay, &self.store, &self.clock, &github, &self.projects, self.seed)?;
        Ok((engine, github))
    }
}

/// With its rooms a command ends, and the process with it.
impl Drop for Rooms<'_> {
    fn drop(&mut self) {
        self.store.abandon();
    }
}

fn github(
    options: GitHubConfig,
    store: &AnyStore,
    clock: &Arc<SystemClock>,
    seed: u64,
) -> Result<Arc<GitHub>, Complaint> {
    let made = GitHub::new(options, store.budgets().clone(), clock.clone(), seed);
    let complaint = |error| Complaint::usage("GitHub cannot be asked").because(error);
    made.map(Arc::new).map_err(complaint)
}

fn projects(config: &Config) -> Result<Arc<ProjectsSource>, Complaint> {
    let projects = ProjectsConfig { machine: crate::machine::name_for(config), ..config.projects.config() };
    ProjectsSource::new(&projects, &config.engine.policy(), jiff::tz::TimeZone::system)
        .map(Arc::new)
        .map_err(|error| Complaint::usage(error.to_string()))
}

fn engine(
    config: &Config,
    stay: Stay,
    store: &AnyStore,
    clock: &Arc<SystemClock>,
    github: &Arc<GitHub>,
    projects: &Arc<ProjectsSource>,
    seed: u64,
) -> Result<Engine, Complaint> {
    // Not for local projects: what they are is learned while the process runs.
    let policy = Policy { configured_at: Some(clock.now()), ..config.engine.policy() };
    let clusters = ClustersSource::new(&config.listed, github.clone(), &policy)
        .map_err(|error| Complaint::usage(error.to_string()))?;
    let marketplaces = MarketplaceSource::new(&config.marketplaces, github.clone(), clock.clone(), &policy)
        .map_err(|error| Complaint::usage(error.to_string()))?;
    let engine = Engine::builder(store.entries().clone(), clock.clone())
        .source(Arc::new(clusters))
        .source(Arc::new(trackers(config, stay, clock, github, &policy)?))
        .source(projects.clone())
        .source(Arc::new(marketplaces))
        .owner(owner(config))
        .seed(seed);
    Ok(engine.build())
}

fn trackers(
    config: &Config,
    stay: Stay,
    clock: &Arc<SystemClock>,
    github: &Arc<GitHub>,
    base: &Policy,
) -> Result<TrackersSource, Complaint> {
    let trackers = &config.trackers;
    // That of the clone one stands in is to be had, and is no part of what is configured. A server has
    // nobody to name it, so it shows that one; nothing of it is fetched before somebody looks.
    let is_named = trackers.repos.is_set() || stay == Stay::Long;
    let repos = if is_named { trackers.repos.value.as_slice() } else { &[] };
    let policy = Policy { ttl: trackers.ttl.value, ..base.clone() };
    let source = TrackersSource::new(github.clone(), repos, trackers.types.clone(), policy)
        .map_err(|error| Complaint::usage(error.to_string()))?;
    Ok(match desk(config, clock) {
        Some(desk) => source.with_desk(desk),
        None => source,
    })
}

/// Where the manifest of the clone one stands in is looked for.
fn desk(config: &Config, clock: &Arc<SystemClock>) -> Option<Desk> {
    let trackers = &config.trackers;
    let (repo, root) = trackers.clone.clone()?;
    let desk = Desk::new(repo, &config.github.page_host(), root, clock.clone());
    let desk = if trackers.auto_sync.value { desk } else { desk.only_when_told() };
    Some(match trackers.auto_pull.value {
        Some(how) => desk.pulling(Pull { every: trackers.auto_pull_interval.value, how }),
        None => desk,
    })
}

/// Who this is, for people who look at leases: where a server keeps the store, they may be on any machine.
fn owner(config: &Config) -> String {
    let process = std::process::id();
    if config.store.url.value.file().is_some() {
        return format!("larder, process {process}");
    }
    let host = Some(config.host.name.as_str()).filter(|name| !name.is_empty());
    format!("larder on {}, process {process}", host.unwrap_or("this machine"))
}

/// What the store is known by where files are named after it.
pub fn store_digest(config: &Config) -> String {
    let digest = Fingerprint::of(&[config.store.url.value.to_string()]);
    digest.as_str()[..16].to_owned()
}
