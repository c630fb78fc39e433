//! The source `projects`: folders on this machine that hold skills, commands, agents, hooks and MCP
//! servers. No upstream: what is on disk now is the truth.
//!
//! Two kinds of entries. `projects/roots/<id>`, one a root, says which projects there are below it;
//! `projects/<id>`, one a project, holds the project and its artifacts as items. What the roots say
//! is [learned](larder_core::Source::learn), so that a project is known to every process on the same store, and
//! dropped only when its root was walked completely and it was not there.

mod build;
mod catalogue;
mod content;
mod find;
mod ignored;
mod moved;
mod patience;
mod place;
mod reach;
mod said;
mod scan;
mod seen;
mod stamp;
mod upstreams;
mod walk;
mod watch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use larder_core::{
    Answers, Ask, Clock, Definition, Delta, Extent, FetchError, Fetched, Json, Key, KeyError, Learned,
    Policy, Source, Spent,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

use catalogue::{Catalogue, Index, Listed, Project, Root};
use patience::Patience;
pub use place::{Machines, machine_mark};
use reach::Reach;
use scan::Frame;
pub(crate) use stamp::{machine_time, tick};
use upstreams::Shelf;
use walk::Rules;
pub use watch::{Watch, WatchOptions};

/// The file that records what was deployed, in a profile's folder.
const RECORDS_FILE: &str = ".skillmeat-deployed.toml";
/// The file in which a project says what it is called.
const PROJECT_FILE: &str = ".skillmeat-project.toml";
const PROJECTS_SOURCE: &str = "projects";

/// Folders that hold no projects of one's own.
pub const PRUNED: [&str; 9] =
    ["node_modules", ".git", "venv", ".venv", "target", "dist", "build", "vendor", "__pycache__"];

/// Where projects are looked for. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectsConfig {
    /// Below these.
    pub roots: Vec<PathBuf>,
    /// Those of them that are not there and that nobody named: each counts from when a [`Watch`] sees it, or
    /// from when it is learned that projects of it are held, since then it was there.
    pub awaited: Vec<PathBuf>,
    /// And below the folder that the process was started in, where that is wanted. What is found
    /// there is known to this process alone.
    pub cwd: Option<PathBuf>,
    /// What this machine is called where several keep what they find in one store: folders are told apart by
    /// their paths, which may be the same on two of them. `None` = the store is this machine's alone.
    pub machine: Option<String>,
    /// The user's home: a root that leads to it, or to a folder that holds it, is not searched.
    pub home: Option<PathBuf>,
    /// So many folders deep.
    pub depth: usize,
    /// Not in folders of these names.
    pub prune: Vec<String>,
    /// Folders that links may lead to.
    pub allow_links: Vec<PathBuf>,
    /// Collections, or folders of them.
    pub collections: Vec<PathBuf>,
    /// How long what was found is taken for true without a look.
    pub ttl: Duration,
}

impl Default for ProjectsConfig {
    fn default() -> Self {
        ProjectsConfig {
            roots: Vec::new(),
            awaited: Vec::new(),
            cwd: None,
            machine: None,
            home: None,
            depth: 3,
            prune: PRUNED.map(str::to_owned).to_vec(),
            allow_links: Vec::new(),
            collections: Vec::new(),
            ttl: Duration::from_hours(6),
        }
    }
}

/// Local projects.
pub struct ProjectsSource {
    shared: Arc<Shared>,
}

/// What a fetch takes with it to the threads that read.
struct Shared {
    catalogue: Catalogue,
    shelf: Shelf,
    rules: Rules,
    /// The roots that were named, …
    roots: Vec<PathBuf>,
    /// … and what may be read besides.
    allowed: Vec<PathBuf>,
    home: Option<PathBuf>,
    collections: Vec<PathBuf>,
    /// Which it is takes longer to find out than most commands take, and few need it.
    zone: LazyLock<TimeZone>,
    /// The time that files carry.
    time: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

impl ProjectsSource {
    /// The name of the source.
    pub const NAME: &'static str = PROJECTS_SOURCE;

    /// The projects of `config`. `base` gives all of the policy but the freshness lifetime; times
    /// without an offset are meant in `zone`, which is asked for when there is one. Nothing is looked at yet.
    pub fn new(config: &ProjectsConfig, base: &Policy, zone: fn() -> TimeZone) -> Result<Self, KeyError> {
        Self::timed(config, base, zone, Box::new(stamp::machine_time))
    }

    /// The same, where a clock tells what files' times are compared with, to find out which of them are
    /// old enough to prove anything.
    pub fn with_clock(
        config: &ProjectsConfig,
        base: &Policy,
        zone: fn() -> TimeZone,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        let time = move || {
            let since = Duration::from_millis(u64::try_from(clock.now().ms()).unwrap_or_default());
            SystemTime::UNIX_EPOCH + since
        };
        Self::timed(config, base, zone, Box::new(time))
    }

    fn timed(
        config: &ProjectsConfig,
        base: &Policy,
        zone: fn() -> TimeZone,
        time: Box<dyn Fn() -> SystemTime + Send + Sync>,
    ) -> Result<Self, KeyError> {
        let allowed = config.allow_links.iter().chain(&config.collections);
        Ok(ProjectsSource {
            shared: Arc::new(Shared {
                catalogue: Catalogue::new(config, base)?,
                shelf: Shelf::of(config.collections.clone()),
                rules: Rules {
                    depth: config.depth,
                    prune: Arc::new(config.prune.iter().cloned().collect::<BTreeSet<String>>()),
                },
                roots: config.roots.clone(),
                allowed: allowed.cloned().collect(),
                home: config.home.clone(),
                collections: config.collections.clone(),
                zone: LazyLock::new(zone),
                time,
            }),
        })
    }

    /// The key of a project.
    pub fn key(id: &str) -> Result<Key, KeyError> {
        Key::new(Self::NAME, &[id])
    }
}

#[async_trait]
impl Source for ProjectsSource {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.shared.catalogue.define(key)
    }

    fn keys(&self) -> Vec<Key> {
        self.shared.catalogue.keys()
    }

    fn indexes(&self) -> Vec<Key> {
        self.shared.catalogue.indexes()
    }

    fn awaited(&self) -> Vec<Key> {
        self.shared.catalogue.awaited_indexes()
    }

    fn is_own(&self, key: &Key) -> bool {
        place::is_of(key.name(), self.shared.catalogue.machine())
    }

    fn extent(&self) -> Extent {
        Extent::Row
    }

    fn learn(&self, index: &Key, body: Option<&Json>) -> Learned {
        self.shared.catalogue.learn(index, body)
    }

    /// Folders are there tomorrow as well.
    fn is_worth_waiting_for(&self) -> bool {
        false
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let (sender, mut answered) = tokio::sync::mpsc::unbounded_channel();
        let _stop = self.start(vec![ask.clone()], sender);
        answered.recv().await.map_or_else(|| Err(left(&ask.key)), |(_, answer)| answer)
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        let (sender, mut answered) = tokio::sync::mpsc::unbounded_channel();
        let _stop = self.start(asks.to_vec(), sender);
        while let Some((key, answer)) = answered.recv().await {
            // Nothing is spent: nobody else is asked.
            answers.send(&key, answer, Spent::default());
        }
    }
}

/// The disk that a folder is on, by the system's number.
#[cfg(unix)]
fn disk_of(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    folder.metadata().ok().map(|about| about.dev())
}

#[cfg(not(unix))]
fn disk_of(_folder: &Path) -> Option<u64> {
    None
}

fn left(key: &Key) -> FetchError {
    FetchError::Local(format!("`{key}` was left without an answer"))
}

/// Behind the stamp of the collections in a root's cursor: nor was anything wrong below the root.
const NOTHING_WRONG: &str = " nothing";

type Answered = (Key, Result<Fetched, FetchError>);

/// Stops the threads that read when nobody waits for them any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl ProjectsSource {
    /// Starts looking, on threads that may block. Each answer is sent as soon as there is one, so
    /// there are at most as many as asks.
    fn start(&self, asks: Vec<Ask>, sender: UnboundedSender<Answered>) -> Stop {
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopping) = (self.shared.clone(), stop.clone());
        // It ends by itself: each answer's receiver is watched through `stopping`.
        let runtime = Handle::current();
        drop(tokio::task::spawn_blocking(move || shared.answer(&asks, &sender, &stopping, &runtime)));
        Stop(stop)
    }
}

/// No more threads read at once: disks do not get faster by more.
const THREADS_MAX: usize = 8;

impl Shared {
    /// What may be read, whatever root is looked at.
    fn reach(&self) -> Reach {
        let roots = self.roots.iter().filter(|root| !self.is_too_much(root));
        Reach::of(roots.chain(&self.allowed).map(PathBuf::as_path))
    }

    /// Whether a root leads to everything, or to the home folder, or one that holds it. What is found out before
    /// may be otherwise by now: links are pointed elsewhere.
    fn is_too_much(&self, root: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let root = real(root);
        self.home.as_ref().is_some_and(|home| root.parent().is_none() || real(home).starts_with(&root))
    }

    fn answer(&self, asks: &[Ask], sender: &UnboundedSender<Answered>, stop: &AtomicBool, runtime: &Handle) {
        let reach = self.reach();
        let hard_timeout =
            asks.iter().map(|ask| ask.definition.policy.hard_timeout).min().unwrap_or_default();
        let upstreams = self.shelf.upstreams(&reach);
        // From here on: whoever is looked at first has all of it.
        let patience = Patience::of(hard_timeout, &*self.time, stop);
        let frame = Frame { reach: &reach, upstreams, zone: &self.zone, runtime, patience };
        let (roots, others): (Vec<&Ask>, Vec<&Ask>) =
            asks.iter().partition(|ask| self.catalogue.root(&ask.key).is_some());
        // The receiver is gone when nobody waits any more.
        let send = |ask: &Ask, answer| drop(sender.send((ask.key.clone(), answer)));
        let is_alone = roots.len() == 1;
        for ask in roots {
            if let Some(root) = self.catalogue.root(&ask.key) {
                let patience = if is_alone { patience } else { patience.half() };
                let frame = Frame { upstreams: frame.upstreams.clone(), patience, ..frame };
                send(ask, self.find(root, ask, &frame));
            }
        }
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(ask) = others.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                send(ask, self.look(ask, &frame));
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(THREADS_MAX).min(others.len());
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
    }

    fn look(&self, ask: &Ask, frame: &Frame<'_>) -> Result<Fetched, FetchError> {
        let project: Arc<Project> = self.catalogue.project(&ask.key).ok_or_else(|| {
            FetchError::Local(format!("`{}` went from its root's list before it was looked at", ask.key))
        })?;
        let known = scan::known(ask);
        if known.as_ref().is_some_and(|known| scan::is_still_so(&project, ask, known, frame)) {
            return Ok(Fetched::NotModified { ttl: None, cursor: None });
        }
        let own_root = frame.reach.and(&project.root.canonicalize().unwrap_or_else(|_| project.root.clone()));
        let frame = Frame { reach: &own_root, upstreams: frame.upstreams.clone(), ..*frame };
        scan::scan(&project, ask, known.as_ref(), &frame)
    }

    /// Which projects there are below a root. Those known before stay unless all of it was seen.
    fn find(&self, root: &Root, ask: &Ask, frame: &Frame<'_>) -> Result<Fetched, FetchError> {
        if self.is_too_much(&root.path) {
            let path = root.path.display();
            let about =
                format!("the root {path} leads to what holds the home folder, which is never searched");
            return Err(FetchError::Local(about));
        }
        let real = root.path.canonicalize().unwrap_or_else(|_| root.path.clone());
        let reach = frame.reach.and(&real);
        // People are told of collections here. While their files are those that nothing was wrong with,
        // they need not be read.
        let stamp = &frame.upstreams.stamp;
        let nothing_wrong = format!("{stamp}{NOTHING_WRONG}");
        let is_well = !stamp.is_empty()
            && ask.cursor.as_ref().is_some_and(|cursor| cursor == stamp || *cursor == nothing_wrong);
        // Before and after: a disk may come while one looks.
        let disk_before = disk_of(&real);
        let walked = std::thread::scope(|scope| {
            if !is_well {
                let upstreams = &frame.upstreams;
                scope.spawn(|| upstreams.read());
            }
            walk::walk(&root.path, &self.rules, &reach, &frame.patience)
        });
        let mut walked = walked.map_err(|error| {
            let path = root.path.display();
            FetchError::Local(format!("the root {path} cannot be looked at: {error}"))
        })?;
        let before: Index = ask.body.as_ref().and_then(|body| body.decode().ok()).unwrap_or_default();
        let mut disk = disk_of(&real);
        if (disk != before.disk || disk_before != before.disk)
            && before.disk.is_some()
            && walked.projects.is_empty()
            && !before.projects.is_empty()
        {
            // An empty mount point says nothing of what is on the disk that belongs there.
            walked.miss_disk(&place::shown(root.path.as_os_str()), &ask.key);
            disk = before.disk;
        }
        let listed = |path: &Path, called| Listed::new(path, called, self.catalogue.machine());
        let mut projects: Vec<Listed> =
            walked.projects.into_iter().map(|(path, called)| listed(&path, called)).collect();
        if !walked.completely {
            let found: BTreeSet<String> = projects.iter().map(|listed| listed.id.clone()).collect();
            projects.extend(before.projects.iter().filter(|listed| !found.contains(&listed.id)).cloned());
        }
        projects.sort_by_cached_key(|listed| place::opened(&listed.path));
        let mut warnings = walked.warnings;
        let wrong = if is_well { Vec::new() } else { frame.upstreams.read().warnings.clone() };
        let cursor = if warnings.is_empty() { &nothing_wrong } else { stamp };
        let cursor = Some(cursor.clone()).filter(|_| !stamp.is_empty() && wrong.is_empty());
        warnings.extend(wrong);
        let index = Index { root: place::shown(root.path.as_os_str()), disk, projects };
        if cursor.as_ref() == Some(&nothing_wrong) && ask.cursor == cursor && index == before {
            return Ok(Fetched::NotModified { ttl: None, cursor: None });
        }
        let body = Json::encode(&index).map_err(|error| FetchError::Local(error.to_string()))?;
        // Whoever had less time than there is comes again at once, without those that had it.
        let is_unfinished = walked.is_cut && !frame.patience.is_a_share;
        let pending = is_unfinished.then(|| Arc::from(index.root.as_str())).into_iter().collect();
        Ok(Fetched::Delta(Delta { body: Some(body), warnings, cursor, pending, ..Delta::default() }))
    }
}
