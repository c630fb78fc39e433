//! A site to look at, for the browser test and for work on the pages: the server on a temporary
//! store, with the simulated GitHub behind it. `cargo run -p larder-server --example site -- [WAY…]`
//!
//! Ways: `empty` configures nothing; `cold` starts with GitHub switched off; `token` asks for the
//! tokens `reader` and `admin`, as off loopback; `many` has a hundred clusters more, `long` one of 130
//! repositories; `tracked` has 1,200 releases in one repository. `projects` adds a folder of three local projects, `hundred` one of
//! a hundred, `bare` one of none. `markets` adds two marketplaces, one of which is broken.
//! It prints one line of JSON with its address and the simulator's, and runs until its input ends.

use std::error::Error;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_core::{Clock as _, Policy, Time};
use larder_domain::{
    ARTIFACTS, ClusterConfig, ClustersConfig, PROJECTS, REPOSITORIES, RegistryRules, RepoName, RepoOverride,
    TRACKERS, TrackerType,
};
use larder_engine::{Engine, SystemClock};
use larder_github_sim::{
    Issue, Options, Outage, Repository, SecondaryLimit, Simulator, Switches, When, World,
};
use larder_server::{Demo, DemoControl, DemoMode, DemoRequest, Settings, Site};
use larder_sources::{
    ClustersSource, GitHub, GitHubConfig, MarketplaceConfig, MarketplaceFrom, MarketplaceSource,
    ProjectsConfig, ProjectsSource, TrackersSource,
};
use larder_store_sqlite::{OpenOptions, SqliteStore};

const OWNER: &str = "octo-org";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ways: Vec<String> = std::env::args().skip(1).collect();
    let is = |way: &str| ways.iter().any(|asked| asked == way);
    let dir = tempfile::tempdir()?;
    let clock = Arc::new(SystemClock);
    let now = clock.now();
    let mut world = World::demo_at(jiff::Timestamp::from_millisecond(now.ms())?);
    if is("tracked") {
        world.add_issues("octo-org/cinder", releases(now, 1200));
    }
    if is("long") {
        for name in modules() {
            let about = Some("One of many modules, each with its tests".to_owned());
            world.add(Repository { description: about, ..Repository::new(&format!("{OWNER}/{name}")) });
        }
    }
    if is("markets") {
        world.push("octo-org/atlas", OFFERED);
    }
    let simulator = Arc::new(Simulator::start(world, Options::default()).await?);
    let panel = Arc::new(Panel { simulator: simulator.clone(), mode: Mutex::new(DemoMode::On) });
    if is("cold") {
        panel.switch(DemoMode::Off);
    }
    let options = OpenOptions {
        views: vec![REPOSITORIES, PROJECTS, ARTIFACTS, TRACKERS],
        ..OpenOptions::new(dir.path().join("larder.db"), now)
    };
    let store = Arc::new(SqliteStore::open(options)?);
    let github = GitHubConfig::new(simulator.url()).with_token(World::DEMO_TOKEN.into());
    let github = Arc::new(GitHub::new(github, store.clone(), clock.clone(), 1)?);
    let clusters = if is("empty") { ClustersConfig::default() } else { clusters(is("many"), is("long"))? };
    let policy = Policy { attempts: 2, backoff_base: Duration::from_secs(2), ..Policy::default() };
    let source = ClustersSource::new(&clusters, github.clone(), &policy)?;
    let tracked = if is("empty") { [].as_slice() } else { &["harbor", "quill", "atlas", "cinder"] };
    let tracked = tracked.iter().map(|name| RepoName::parse(name, Some(OWNER)));
    let types = vec![TrackerType::release(), TrackerType::microsprint()];
    let markets = if is("markets") { markets(dir.path())? } else { Vec::new() };
    let markets = MarketplaceSource::new(&markets, github.clone(), clock.clone(), &policy)?;
    let trackers = TrackersSource::new(github, &tracked.collect::<Result<Vec<_>, _>>()?, types, policy)?;
    let projects = match ways.iter().find_map(|way| PROJECTS_BY_WAY.iter().find(|(known, _)| known == way)) {
        Some((_, count)) => plant(&dir.path().join("dev"), *count)?,
        None => ProjectsConfig::default(),
    };
    let projects = ProjectsSource::new(&projects, &Policy::default(), || jiff::tz::TimeZone::UTC)?;
    let engine = Engine::builder(store.clone(), clock.clone())
        .source(Arc::new(source))
        .source(Arc::new(projects))
        .source(Arc::new(trackers))
        .source(Arc::new(markets))
        .owner("site")
        .seed(1)
        .build();
    let mut settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    if is("token") {
        settings.read_token = Some("reader".into());
        settings.admin_token = Some("admin".into());
    } else {
        settings.demo = Some(Demo::new(panel));
    }
    let site = Site {
        engine,
        budgets: store,
        clusters,
        rules: RegistryRules::default(),
        clock,
        settings,
        extra: None,
    };
    let running = larder_server::start(site).await?;
    let addresses = serde_json::json!({
        "site": format!("http://{}", running.address()),
        "github": simulator.url(),
        "folder": dir.path().join("dev"),
    });
    write_line(&addresses.to_string())?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    running.stop().await;
    Ok(())
}

/// What a repository offers.
const OFFERED: [(&str, Option<&str>); 4] = [
    (
        "skills/pdf/SKILL.md",
        Some(
            "---\nname: pdf\ndescription: Fills forms, reads tables and takes PDF files apart\nversion: 2.1.0\ntags: [documents, forms]\n---\n",
        ),
    ),
    ("skills/diagrams/SKILL.md", Some("---\ndescription: Draws what was only told\ntags: [pictures]\n---\n")),
    ("agents/reviewer.md", Some("---\ndescription: Reads changes as a colleague would\n---\n")),
    (
        ".claude-plugin/marketplace.json",
        Some(
            r#"{"plugins": [{"name": "office", "description": "Documents of all kinds", "version": "1.2.0",
            "source": "./", "skills": ["./skills/pdf"]}]}"#,
        ),
    ),
];

/// The repository that offers something, and an index that cannot be read.
fn markets(folder: &Path) -> Result<Vec<MarketplaceConfig>, Box<dyn Error>> {
    let file = folder.join("index.json");
    std::fs::write(&file, "<html>")?;
    let repository = MarketplaceFrom::Repository(RepoName::parse("atlas", Some(OWNER))?);
    let market = |name: &str, from: MarketplaceFrom| MarketplaceConfig {
        name: name.to_owned(),
        ttl: from.usual_ttl(),
        from,
    };
    Ok(vec![market("atlas", repository), market("team", MarketplaceFrom::File(file))])
}

/// How many local projects there are, by the way that is asked for.
const PROJECTS_BY_WAY: [(&str, usize); 3] = [("bare", 0), ("projects", 3), ("hundred", 100)];

/// Local projects with artifacts, some of them in want of a look.
fn plant(root: &Path, count: usize) -> Result<ProjectsConfig, Box<dyn Error>> {
    const NAMES: [&str; 5] = ["kiln", "forge", "harbor tools", "lantern", "quill"];
    const SKILLS: [(&str, &str); 4] = [
        ("pdf", "Fills forms, reads tables and takes PDF files apart. Asks before it overwrites anything."),
        ("release-notes", "Writes release notes from merged pull requests"),
        ("sheets", "Reads and writes spreadsheets"),
        ("postgres", "Explains slow queries and proposes indexes"),
    ];
    std::fs::create_dir_all(root)?;
    for number in 0..count {
        let round = number / NAMES.len();
        let name = NAMES[number % NAMES.len()];
        let name = if round == 0 { name.to_owned() } else { format!("{name} {round}") };
        let claude = root.join(&name).join(".claude");
        for (skill, about) in &SKILLS[..=number % SKILLS.len()] {
            let folder = claude.join("skills").join(skill);
            std::fs::create_dir_all(&folder)?;
            let text = format!(
                "---\nname: {skill}\ndescription: {about}\nversion: 1.{number}\ntags: [work, {name}]\n---\n# {skill}\n"
            );
            std::fs::write(folder.join("SKILL.md"), text)?;
        }
        if number % 3 == 0 {
            std::fs::create_dir_all(claude.join("agents"))?;
            std::fs::write(
                claude.join("agents/reviewer.md"),
                "---\ndescription: Reads changes\n---\nRead.\n",
            )?;
            let record = |name: &str, kind: &str, path: &str| {
                let hash = "ab".repeat(32);
                format!(
                    "[[deployed]]\nartifact_name = \"{name}\"\nartifact_type = \"{kind}\"\nartifact_path = \"{path}\"\n\
                     from_collection = \"default\"\ncontent_hash = \"{hash}\"\nprofile_root_dir = \".claude\"\n\n"
                )
            };
            let records = record("reviewer", "agent", "agents/reviewer.md")
                + &record("ship", "command", "commands/ship.md");
            std::fs::write(claude.join(".skillmeat-deployed.toml"), records)?;
        }
        if number % 7 == 1 {
            std::fs::create_dir_all(claude.join("skills/broken"))?;
            std::fs::write(claude.join("skills/broken/SKILL.md"), "---\nname: [\n---\n")?;
        }
    }
    let collection = root.with_file_name("collections").join("default");
    std::fs::create_dir_all(&collection)?;
    std::fs::write(
        collection.join("collection.toml"),
        "[collection]\nname = \"default\"\n\n[[artifacts]]\nname = \"reviewer\"\ntype = \"agent\"\npath = \"agents/reviewer.md\"\n",
    )?;
    let hash = "cd".repeat(32);
    std::fs::write(
        collection.join("collection.lock"),
        format!(
            "[lock.entries.\"reviewer::agent\"]\ncontent_hash = \"{hash}\"\nresolved_version = \"2.1.0\"\n"
        ),
    )?;
    Ok(ProjectsConfig {
        roots: vec![root.to_owned()],
        collections: vec![collection],
        ..ProjectsConfig::default()
    })
}

fn write_line(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// The demo's clusters, one of them with a short life, one experimental.
fn clusters(many: bool, long: bool) -> Result<ClustersConfig, Box<dyn Error>> {
    let mut config = ClustersConfig {
        owner: Some(OWNER.to_owned()),
        ttl: Duration::from_hours(6),
        active_ttl: Duration::from_hours(2),
        unclustered: true,
        ..ClustersConfig::default()
    };
    for demo in World::demo_clusters() {
        let repos = demo.repos.iter().map(|name| RepoName::parse(name, Some(OWNER)));
        config.clusters.push(ClusterConfig {
            id: demo.id.to_owned(),
            name: demo.name.to_owned(),
            repos: repos.collect::<Result<_, _>>()?,
            featured: demo.id == "cinder",
            flagship: demo.id == "cinder",
            experimental: demo.id == "photon",
            ..ClusterConfig::default()
        });
    }
    for number in 0..if many { 100 } else { 0 } {
        let repos = vec![RepoName::parse("cinder", Some(OWNER))?];
        let id = format!("more-{number:03}");
        config.clusters.push(ClusterConfig {
            name: format!("More {number}"),
            id,
            repos,
            ..ClusterConfig::default()
        });
    }
    if long {
        let repos = modules().map(|name| RepoName::parse(&name, Some(OWNER)));
        config.clusters.push(ClusterConfig {
            id: "modules".to_owned(),
            name: "Modules".to_owned(),
            repos: repos.collect::<Result<_, _>>()?,
            ..ClusterConfig::default()
        });
    }
    let name = RepoName::parse("dotbench", Some(OWNER))?;
    let display_name = Some("Dotbench".to_owned());
    config.overrides.push(RepoOverride {
        name,
        display_name,
        featured: None,
        flagship: None,
        experimental: None,
    });
    Ok(config)
}

/// The repositories of a long cluster.
fn modules() -> impl Iterator<Item = String> {
    (0..130).map(|number| format!("module-{number:03}"))
}

/// So many releases over six years, one in forty still open.
fn releases(now: Time, count: u64) -> Vec<Issue> {
    let days_ago = |days: u64| {
        let at = now.minus(Duration::from_hours(24 * days));
        jiff::Timestamp::from_millisecond(at.ms()).unwrap_or_default()
    };
    let release = |n: u64| {
        let opened = (count - n) * 9 / 5 + 3;
        let codename = if n.is_multiple_of(4) { format!(" (Codename {n})") } else { String::new() };
        let mut issue = Issue {
            labels: vec!["release".to_owned()],
            created_at: days_ago(opened),
            updated_at: days_ago(opened),
            ..Issue::new(10_000 + n, &format!("Release: v{}.{}.{}{codename}", n / 100, n / 10 % 10, n % 10))
        };
        if !n.is_multiple_of(40) {
            issue.close(days_ago(opened.saturating_sub(n * 7 % 23)));
        }
        issue
    };
    (0..count).map(release).collect()
}

/// The simulator behind the demo's panel.
struct Panel {
    simulator: Arc<Simulator>,
    mode: Mutex<DemoMode>,
}

impl DemoControl for Panel {
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
                let limit = SecondaryLimit {
                    when: When::Always,
                    retry_after_s: Some(20),
                    ..SecondaryLimit::default()
                };
                Switches { secondary_limit: limit, ..all_well }
            }
            DemoMode::Flaky => Switches { flaky: 0.5, ..all_well },
        });
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    fn requests(&self, limit: usize) -> Vec<DemoRequest> {
        let all = self.simulator.requests();
        let last = all.into_iter().rev().take(limit);
        let mut requests: Vec<DemoRequest> = last
            .map(|request| DemoRequest {
                at: Time::from_ms(request.at_ms),
                method: request.method,
                path: request.path,
                status: request.status,
                repositories: request.repositories as u64,
                cost: request.cost,
            })
            .collect();
        requests.reverse();
        requests
    }
}
