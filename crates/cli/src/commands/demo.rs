//! `larder demo`: a simulated GitHub, a folder of projects, and a server on both, with a panel that
//! breaks things.

mod folder;
mod market;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_core::{Clock as _, Policy, Time};
use larder_domain::{
    ARTIFACTS, ClusterConfig, ClustersConfig, PROJECTS, REPOSITORIES, RegistryRules, RepoName, TRACKERS,
    TrackerType,
};
use larder_engine::{Engine, ReadOptions, SystemClock};
use larder_github_sim::{
    Options, Outage, Repository, SecondaryLimit, Simulator, Switches, Token, When, World,
};
use larder_server::{Demo, DemoControl, DemoMode, DemoRequest, Settings, Site};
use larder_sources::{ClustersSource, GitHub, GitHubConfig, ProjectsSource, TrackersSource, WatchOptions};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use serde_json::json;

use self::folder::Folder;
use super::{Context, Ended};
use crate::config::{SERVER_LISTEN, read_listen};
use crate::report::{Complaint, Exit};

/// Show what Larder does: pages on a simulated GitHub, and switches to break it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing of it is kept, and nothing leaves this machine.\n\n\
                  Example:\n  larder demo\n  larder demo --data ranking.csv --listen 127.0.0.1:0")]
pub struct Args {
    /// With the repositories of this ranking (rank, item, `repo_name`, stars, …), by language
    #[arg(long, value_name = "FILE.csv")]
    data: Option<PathBuf>,
    /// Listen there; port 0 takes a free one
    #[arg(long, value_parser = read_listen, value_name = "ADDR", default_value_t = SERVER_LISTEN)]
    listen: SocketAddr,
}

/// Serves until it is interrupted.
pub fn run(args: &Args, context: &Context) -> Ended {
    context.takes_no_settings("larder demo")?;
    let scene = match &args.data {
        None => Scene::own()?,
        Some(path) => Scene::of_ranking(path)?,
    };
    crate::wiring::block_on_many(async { serve(scene, args, context).await })?
}

/// Whose the demo's repositories are.
const OWNER: &str = "octo-org";
/// Whatever the simulator takes.
const TOKEN: &str = "demo";

/// What is there upstream, and what is kept of it.
struct Scene {
    world: World,
    clusters: ClustersConfig,
}

impl Scene {
    /// The imaginary owner's repositories.
    fn own() -> Result<Self, Complaint> {
        let mut world =
            World::demo_at(jiff::Timestamp::from_millisecond(SystemClock.now().ms()).unwrap_or_default());
        market::push(&mut world);
        let mut clusters = ClustersConfig { owner: Some(OWNER.to_owned()), unclustered: true, ..base() };
        for demo in World::demo_clusters() {
            let repos = demo.repos.iter().map(|name| RepoName::parse(name, Some(OWNER)));
            let repos =
                repos.collect::<Result<_, _>>().map_err(|error| Complaint::failed(error.to_string()))?;
            clusters.clusters.push(ClusterConfig {
                id: demo.id.to_owned(),
                name: demo.name.to_owned(),
                repos,
                featured: demo.id == "cinder",
                experimental: demo.id == "photon",
                ..ClusterConfig::default()
            });
        }
        Ok(Scene { world, clusters })
    }

    /// A ranking's repositories: its largest languages, and the best of each.
    fn of_ranking(path: &PathBuf) -> Result<Self, Complaint> {
        const CLUSTERS: usize = 12;
        const EACH: usize = 12;
        let failed = || Complaint::failed(format!("{} could not be read", path.display()));
        let file = File::open(path).map_err(|error| failed().because(error))?;
        let world = World::load_ranking_csv(BufReader::new(file)).map_err(|error| failed().because(error))?;
        let mut by_language: BTreeMap<String, Vec<&Arc<Repository>>> = BTreeMap::new();
        for repository in world.repositories() {
            if let Some(language) = &repository.language {
                by_language.entry(language.clone()).or_default().push(repository);
            }
        }
        let mut languages: Vec<_> = by_language.into_iter().collect();
        languages.sort_by_key(|(_, all)| std::cmp::Reverse(all.iter().map(|one| one.stars).sum::<u64>()));
        let mut clusters = base();
        for (language, mut all) in languages.into_iter().take(CLUSTERS) {
            all.sort_by_key(|one| std::cmp::Reverse(one.stars));
            let repos = all.iter().take(EACH).filter_map(|one| RepoName::parse(&one.full_name, None).ok());
            let id = language.to_lowercase().replace('+', "p").replace('#', "sharp");
            let id = id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            let repos = repos.collect();
            clusters.clusters.push(ClusterConfig { id, name: language, repos, ..ClusterConfig::default() });
        }
        Ok(Scene { world, clusters })
    }
}

/// Short lives, so that copies can be watched getting old.
fn base() -> ClustersConfig {
    let ttl = Duration::from_mins(2);
    ClustersConfig { ttl, active_ttl: Duration::from_secs(40), ..ClustersConfig::default() }
}

async fn serve(scene: Scene, args: &Args, context: &Context) -> Ended {
    let Scene { mut world, clusters } = scene;
    world.accept_any_token(Token::of("octocat").seeing_everything());
    let repositories = world.repositories().count();
    let no_simulator = |error| Complaint::failed("the simulated GitHub could not be started").because(error);
    let simulator = Arc::new(Simulator::start(world, Options::default()).await.map_err(no_simulator)?);
    let no_dir = |error| Complaint::failed("no temporary directory could be made").because(error);
    let dir = tempfile::tempdir().map_err(no_dir)?;
    let no_folder = |error| Complaint::failed("the demo's projects could not be written").because(error);
    let folder = Arc::new(Folder::grow(&dir.path().join("demo")).map_err(no_folder)?);
    let (site, projects) = site(&simulator, dir.path(), clusters, &folder, args.listen)?;
    // Whoever opens it and switches GitHub off at once should see copies, not empty cards. What
    // fails here shows on the page.
    drop(site.engine.load_many(&site.engine.keys(), &ReadOptions::default()).await);
    // By now it is known which projects there are.
    site.engine.learn().await.map_err(Complaint::from)?;
    drop(site.engine.load_many(&site.engine.keys(), &ReadOptions::default()).await);
    let watching = crate::watching::watch_once_asked(site.engine.clone(), projects, watch_options());
    let watching = tokio::spawn(watching);
    let stop = crate::wiring::asked_to_stop();
    let running = super::server::start(site).await?;
    let url = format!("http://{}", running.address());
    if context.json() {
        context.screen.json(&json!({"url": url, "github": simulator.url(), "repositories": repositories, "folder": folder.root()}))?;
    } else {
        context.screen.answer(&format!(
            "Open {url}/ and switch GitHub off on its panel. Ctrl-C ends the demo.\n\
             {repositories} repositories are simulated; nothing leaves this machine. Edit the projects in\n\
             {} and see it at {url}/projects.\n",
            folder.root().display()
        ))?;
    }
    stop.await;
    watching.abort();
    super::server::end(running, &context.screen).await;
    Ok(Exit::Answered)
}

fn site(
    simulator: &Arc<Simulator>,
    dir: &std::path::Path,
    clusters: ClustersConfig,
    folder: &Arc<Folder>,
    listen: SocketAddr,
) -> Result<(Site, Arc<ProjectsSource>), Complaint> {
    let clock = Arc::new(SystemClock);
    let options = OpenOptions {
        views: vec![REPOSITORIES, TRACKERS, PROJECTS, ARTIFACTS],
        ..OpenOptions::new(dir.join("larder.db"), clock.now())
    };
    let store = Arc::new(SqliteStore::open(options)?);
    let wrong =
        |error: &dyn std::error::Error| Complaint::failed("the demo could not be set up").because(error);
    let github = GitHubConfig::new(simulator.url()).with_token(TOKEN.into());
    let github = GitHub::new(github, store.clone(), clock.clone(), 1).map_err(|error| wrong(&error))?;
    // Nobody who watches wants to wait a quarter of an hour for the next try.
    let policy = Policy { backoff_cap: Duration::from_secs(20), ..Policy::default() };
    let github = Arc::new(github);
    let source = ClustersSource::new(&clusters, github.clone(), &policy).map_err(|error| wrong(&error))?;
    let markets = market::source(clusters.owner.is_some(), github.clone(), clock.clone(), clusters.ttl);
    let markets = markets.map_err(|error| wrong(&error))?;
    let trackers = trackers(&clusters, github, Policy { ttl: clusters.ttl, ..policy })?;
    let projects = ProjectsSource::new(&folder.config(), &Policy::default(), || jiff::tz::TimeZone::UTC);
    let projects = Arc::new(projects.map_err(|error| wrong(&error))?);
    let engine = Engine::builder(store.clone(), clock.clone())
        .source(Arc::new(source))
        .source(Arc::new(trackers))
        .source(projects.clone())
        .source(Arc::new(markets))
        .owner("larder demo");
    let panel =
        Panel { simulator: simulator.clone(), mode: Mutex::new(DemoMode::On), folder: folder.clone() };
    let site = Site {
        engine: engine.build(),
        budgets: store,
        clusters,
        rules: RegistryRules::default(),
        clock,
        settings: Settings { demo: Some(Demo::new(Arc::new(panel))), ..Settings::new(listen) },
        extra: None,
    };
    Ok((site, projects))
}

/// As `serve` watches unless told.
fn watch_options() -> WatchOptions {
    WatchOptions {
        debounce: Duration::from_millis(100),
        poll: Duration::from_secs(2),
        by_events: true,
        sweep: Duration::from_hours(6),
    }
}

/// Those of the imaginary owner's repositories that have some, and of one that has none.
fn trackers(
    clusters: &ClustersConfig,
    github: Arc<GitHub>,
    policy: Policy,
) -> Result<TrackersSource, Complaint> {
    let wrong =
        |error: &dyn std::error::Error| Complaint::failed("the demo could not be set up").because(error);
    let tracked = if clusters.owner.is_some() { ["harbor", "quill", "atlas"].as_slice() } else { &[] };
    let repos: Result<Vec<RepoName>, _> =
        tracked.iter().map(|name| RepoName::parse(name, clusters.owner.as_deref())).collect();
    let types = vec![TrackerType::release(), TrackerType::microsprint()];
    TrackersSource::new(github, &repos.map_err(|error| wrong(&error))?, types, policy)
        .map_err(|error| wrong(&error))
}

/// The simulator behind the panel.
struct Panel {
    simulator: Arc<Simulator>,
    mode: Mutex<DemoMode>,
    folder: Arc<Folder>,
}

impl DemoControl for Panel {
    fn folder(&self) -> Option<PathBuf> {
        Some(self.folder.root())
    }

    fn change_file(&self) -> std::io::Result<String> {
        self.folder.change()
    }

    fn mode(&self) -> DemoMode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch(&self, mode: DemoMode) {
        let all_well = Switches::default();
        self.simulator.switch(match mode {
            DemoMode::On => all_well,
            DemoMode::Off => Switches { outage: Outage::Dropped, ..all_well },
            DemoMode::Slow => Switches { latency_ms: 4_000, ..all_well },
            DemoMode::RateLimited => {
                let met = SecondaryLimit {
                    when: When::Always,
                    retry_after_s: Some(20),
                    ..SecondaryLimit::default()
                };
                Switches { secondary_limit: met, ..all_well }
            }
            DemoMode::Flaky => Switches { flaky: 0.5, ..all_well },
        });
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    fn requests(&self, limit: usize) -> Vec<DemoRequest> {
        let all = self.simulator.requests();
        let skipped = all.len().saturating_sub(limit);
        let line = |request: larder_github_sim::LoggedRequest| DemoRequest {
            at: Time::from_ms(request.at_ms),
            method: request.method,
            path: request.path,
            status: request.status,
            repositories: request.repositories as u64,
            cost: request.cost,
        };
        all.into_iter().skip(skipped).map(line).collect()
    }
}
