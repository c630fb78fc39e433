//! One server or several on one SQLite file, in front of a GitHub simulator; time stands still
//! until a story moves it, while waits are real.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{Clock, Policy, Source, Store, Time};
use larder_domain::{
    ARTIFACTS, ClusterConfig, ClustersConfig, PROJECTS, REPOSITORIES, RegistryRules, RepoName, TRACKERS,
    TrackerType,
};
use larder_engine::Engine;
use larder_github_sim::{Issue, Options, Owner, Repository, Simulator, Switches, Token};
use larder_server::{Running, Settings, Site, start};
use larder_sources::{
    ClustersSource, GitHub, GitHubConfig, MarketplaceConfig, MarketplaceFrom, MarketplaceSource,
    ProjectsConfig, ProjectsSource, TrackersSource,
};
use larder_store_sqlite::{OpenOptions, SqliteStore};
use larder_testkit::{FaultyStore, VirtualClock};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;

/// A token that sees private repositories too.
const SEEING: &str = "ghp_thisTokenSeesEverythingThereIs9876543";

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// Time that a test moves; waits take as long as they say, but for long ones of a story that says so.
#[derive(Clone)]
pub(crate) struct TestClock {
    time: VirtualClock,
    by_hand: Duration,
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Time {
        self.time.now()
    }

    #[expect(clippy::disallowed_methods, reason = "the server waits beside a client that is no part of it")]
    async fn sleep(&self, span: Duration) {
        if span < self.by_hand {
            tokio::time::sleep(span).await;
        } else {
            self.time.sleep(span).await;
        }
    }
}

impl TestClock {
    /// Waits of this length and longer end when the story has moved time on by as much.
    pub(crate) fn wait_by_hand(&mut self, from: Duration) {
        self.by_hand = from;
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.time.advance(span);
    }

    /// Until the next of those waits is over, once there is one.
    pub(crate) async fn until_next(&self) -> Duration {
        loop {
            if let Some(wake) = self.time.next_wake() {
                return wake.since(self.time.now());
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn set(&self, now: Time) {
        self.time.set(now);
    }
}

pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) sim: Simulator,
    pub(crate) http: Client,
    pub(crate) policy: Policy,
    /// Whose repositories bare names mean.
    pub(crate) owner: Option<&'static str>,
    /// Clusters instead of the usual three; none unless a story adds some.
    pub(crate) large: Vec<ClusterConfig>,
    /// Whose trackers are kept.
    pub(crate) tracked: Vec<&'static str>,
    /// Folders that hold local projects; none unless a story adds some.
    pub(crate) roots: Vec<PathBuf>,
    /// Marketplaces; none unless a story adds some.
    pub(crate) markets: Vec<MarketplaceConfig>,
    /// Sources besides; none unless a story brings some.
    pub(crate) besides: Vec<Arc<dyn Source>>,
    dir: TempDir,
}

/// A server of a world's, with its own store handle as another process has.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) url: String,
    http: Client,
}

#[expect(clippy::unused_self, reason = "a story asks its world for all that it needs")]
impl World {
    /// `tools` (cinder, ember), `mixed` (cinder and the private vault), `bunker` (the vault alone).
    pub(crate) async fn new() -> Self {
        let mut world = larder_github_sim::World::new();
        world.add_owner(Owner::organization("octo-org")).add_owner(Owner::user("octocat"));
        world.add_token(SEEING, Token::of("octocat").seeing_everything());
        let cinder = Repository::new("octo-org/cinder").with_languages(&[("Rust", 9000), ("Shell", 100)]);
        world.add(Repository {
            stars: 4821,
            description: Some("An embedded event store".to_owned()),
            topics: vec!["events".to_owned(), "storage".to_owned()],
            ..cinder
        });
        world.add(Repository { stars: 980, ..Repository::new("octo-org/ember") });
        world.add(Repository {
            is_private: true,
            stars: 7,
            description: Some("Plans of the vault".to_owned()),
            topics: vec!["vaulting".to_owned()],
            ..Repository::new("octo-org/vault")
        });
        let clock = TestClock { time: VirtualClock::new(), by_hand: Duration::MAX };
        let shared = clock.clone();
        let options = Options::default().with_now(move || shared.now().ms());
        let sim = Simulator::start(world, options).await.unwrap();
        let http = Client::builder().no_gzip().build().unwrap();
        let policy = Policy { jitter: 0.0, ..Policy::default() };
        World {
            clock,
            sim,
            http,
            policy,
            owner: None,
            large: Vec::new(),
            tracked: Vec::new(),
            roots: Vec::new(),
            markets: Vec::new(),
            besides: Vec::new(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// The same, keeping the trackers of `cinder` (which has some), `ember` (none) and the private vault.
    pub(crate) async fn with_trackers() -> Self {
        let world = World { tracked: vec!["cinder", "ember", "vault"], ..World::new().await };
        world.sim.world(|github| {
            let titles = [
                (430, "Release: release/v0.9.0", "release"),
                (440, "Release: release/v0.10.0", "release"),
                (441, "Release: release/v0.9.0", "release"),
                (460, "Release: v2.0.0 (Phoenix)", "release"),
                (461, "Plan the release", "release"),
                (425, "Microsprint: 2025-12-20-a-name [release/v2.0.0]", "microsprint"),
            ];
            assert!(github.add_issues("octo-org/cinder", titles.map(issue)));
            assert!(github.edit_issue("octo-org/cinder", 430, |issue| {
                issue.close("2026-02-01T00:00:00Z".parse().unwrap());
            }));
            assert!(
                github.add_issues(
                    "octo-org/vault",
                    [(1, "Release: v1.0 (Bunker plans)", "release")].map(issue)
                )
            );
        });
        world
    }

    /// A world with a folder for local projects.
    pub(crate) async fn with_folder() -> Self {
        let mut world = World::new().await;
        let root = world.dir.path().canonicalize().unwrap().join("dev");
        std::fs::create_dir(&root).unwrap();
        world.roots.push(root);
        world
    }

    /// A world with a folder for local projects and three marketplaces: `public` (the repository `cinder`),
    /// `secret` (the private vault), and `mine` (an index in a file, `index.json` beside that folder).
    pub(crate) async fn with_markets() -> Self {
        let mut world = World::with_folder().await;
        let repo = |name: &str| MarketplaceFrom::Repository(RepoName::parse(name, Some("octo-org")).unwrap());
        let file = MarketplaceFrom::File(world.index());
        for (name, from) in [("public", repo("cinder")), ("secret", repo("vault")), ("mine", file)] {
            world.markets.push(MarketplaceConfig { name: name.to_owned(), from, ttl: HOUR });
        }
        let skill = |name: &str| {
            format!("---\nname: {name}\ndescription: Fills forms\nversion: 1.0\ntags: [docs]\n---\n")
        };
        world.push("octo-org/cinder", "skills/pdf/SKILL.md", &skill("pdf"));
        world.push("octo-org/cinder", "agents/formulist.md", "---\ndescription: Knows tables\n---\n");
        world.push("octo-org/vault", "skills/bunker/SKILL.md", &skill("bunker"));
        world.say_index(
            r#"{"artifacts": [{"name": "tickets", "type": "mcp", "description": "Opens forms"}]}"#,
        );
        world
    }

    /// The index in a file.
    pub(crate) fn index(&self) -> PathBuf {
        self.roots[0].with_file_name("index.json")
    }

    /// Writes the index in a file.
    pub(crate) fn say_index(&self, text: &str) {
        std::fs::write(self.index(), text).unwrap();
    }

    /// Pushes a file to a repository.
    pub(crate) fn push(&self, repo: &str, path: &str, text: &str) {
        self.sim.world(|github| assert!(github.push(repo, [(path, Some(text))])));
    }

    /// Changes the database behind everybody's back.
    pub(crate) fn spoil(&self, sql: &str) {
        let file = rusqlite::Connection::open(self.dir.path().join("larder.db")).unwrap();
        assert!(file.execute(sql, []).unwrap() > 0, "{sql}");
    }

    /// Writes a file below the folder of local projects.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.roots[0].join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a skill of a local project's.
    pub(crate) fn skill(&self, project: &str, name: &str, description: &str) {
        let text = format!("---\nname: {name}\ndescription: {description}\n---\n# {name}\n");
        self.write(&format!("{project}/.claude/skills/{name}/SKILL.md"), &text);
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Off loopback, as far as the server knows.
    pub(crate) fn open_settings(&self) -> Settings {
        Settings::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
    }

    pub(crate) fn config(&self) -> ClustersConfig {
        let cluster = |id: &str, name: &str, repos: &[&str]| ClusterConfig {
            id: id.to_owned(),
            name: name.to_owned(),
            repos: repos.iter().map(|name| RepoName::parse(name, Some("octo-org")).unwrap()).collect(),
            ..ClusterConfig::default()
        };
        let clusters = vec![
            cluster("tools", "Tools", &["cinder", "ember"]),
            cluster("mixed", "Mixed", &["cinder", "vault"]),
            cluster("bunker", "Bunker plans", &["vault"]),
        ];
        let clusters = if self.large.is_empty() { clusters } else { self.large.clone() };
        let owner = self.owner.map(str::to_owned);
        ClustersConfig { owner, ttl: HOUR, clusters, ..ClustersConfig::default() }
    }

    /// A server on loopback.
    pub(crate) async fn serve(&self) -> Served {
        self.serve_with(self.settings()).await
    }

    pub(crate) async fn serve_with(&self, settings: Settings) -> Served {
        let (store, engine) = self.process();
        self.serve_site(self.site(store, engine, settings)).await
    }

    /// A server whose store goes wrong as a story says.
    pub(crate) async fn serve_faulty(&self, settings: Settings) -> (Served, Arc<FaultyStore>) {
        let (site, store) = self.faulty_site(settings);
        (self.serve_site(site).await, store)
    }

    pub(crate) fn faulty_site(&self, settings: Settings) -> (Site, Arc<FaultyStore>) {
        let inner = self.open();
        let store = Arc::new(FaultyStore::new(inner.clone(), self.clock.time.clone()));
        let engine = self.engine(store.clone(), &inner);
        (self.site(inner, engine, settings), store)
    }

    fn site(&self, budgets: Arc<SqliteStore>, engine: Engine, settings: Settings) -> Site {
        Site {
            engine,
            budgets,
            clusters: self.config(),
            rules: RegistryRules::default(),
            clock: Arc::new(self.clock.clone()),
            settings,
            extra: None,
        }
    }

    async fn serve_site(&self, site: Site) -> Served {
        let running = start(site).await.unwrap();
        let url = format!("http://127.0.0.1:{}", running.address().port());
        Served { running, url, http: self.http.clone() }
    }

    /// What another process on the same file has: its own store handle and engine.
    pub(crate) fn process(&self) -> (Arc<SqliteStore>, Engine) {
        let store = self.open();
        let engine = self.engine(store.clone(), &store);
        (store, engine)
    }

    fn open(&self) -> Arc<SqliteStore> {
        let options = OpenOptions {
            views: vec![REPOSITORIES, TRACKERS, PROJECTS, ARTIFACTS],
            ..OpenOptions::new(self.dir.path().join("larder.db"), self.clock.now())
        };
        Arc::new(SqliteStore::open(options).unwrap())
    }

    fn engine(&self, store: Arc<dyn Store>, budgets: &Arc<SqliteStore>) -> Engine {
        let config = GitHubConfig { token: Some(SEEING.into()), ..GitHubConfig::new(self.sim.url()) };
        let github = GitHub::new(config, budgets.clone(), Arc::new(self.clock.clone()), 1).unwrap();
        let github = Arc::new(github);
        let source = ClustersSource::new(&self.config(), github.clone(), &self.policy).unwrap();
        let tracked: Vec<RepoName> =
            self.tracked.iter().map(|name| RepoName::parse(name, Some("octo-org")).unwrap()).collect();
        let types = vec![TrackerType::release(), TrackerType::microsprint()];
        let trackers = TrackersSource::new(github.clone(), &tracked, types, self.policy.clone()).unwrap();
        let clock = Arc::new(self.clock.clone());
        let markets = MarketplaceSource::new(&self.markets, github, clock, &self.policy).unwrap();
        let projects = ProjectsConfig { roots: self.roots.clone(), ttl: HOUR, ..ProjectsConfig::default() };
        let projects = ProjectsSource::new(&projects, &self.policy, || jiff::tz::TimeZone::UTC).unwrap();
        let builder = Engine::builder(store, Arc::new(self.clock.clone()))
            .source(Arc::new(source))
            .source(Arc::new(trackers))
            .source(Arc::new(projects))
            .source(Arc::new(markets));
        self.besides.iter().fold(builder, |builder, source| builder.source(source.clone())).seed(1).build()
    }

    pub(crate) fn switch(&self, switches: Switches) {
        self.sim.switch(switches);
    }

    pub(crate) fn calls(&self) -> usize {
        self.sim.requests().len()
    }
}

impl Served {
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    pub(crate) fn head(&self, path: &str) -> RequestBuilder {
        self.http.head(format!("{}{path}", self.url))
    }

    /// A read that must succeed.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Response {
        self.post(path)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap()
    }

    /// Opens the event stream and waits until it is.
    pub(crate) async fn events(&self) -> Stream {
        let mut stream = self.events_from(self.get("/api/v1/events")).await;
        assert_eq!(stream.next().await.name, "ready");
        stream
    }

    pub(crate) async fn events_from(&self, request: RequestBuilder) -> Stream {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "text/event-stream");
        Stream { response, read: String::new() }
    }
}

/// An issue of long ago.
fn issue((number, title, label): (u64, &str, &str)) -> Issue {
    let long_ago = "2019-01-01T00:00:00Z".parse().unwrap();
    Issue {
        labels: vec![label.to_owned()],
        created_at: long_ago,
        updated_at: long_ago,
        ..Issue::new(number, title)
    }
}

/// A header's text; empty if there is none.
pub(crate) fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Checks that an answer is a problem of this status and kind, and gives its body.
pub(crate) async fn problem(response: Response, status: u16, code: &str) -> Value {
    let content_type = header(&response, "content-type");
    let got = response.status().as_u16();
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!((got, body["code"].as_str().unwrap()), (status, code), "{body}");
    assert_eq!(content_type, "application/problem+json");
    assert_eq!(body["status"], status);
    body
}

/// An open event stream.
pub(crate) struct Stream {
    response: Response,
    read: String,
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Stream {
    /// The next event; comments and bare hints are passed over.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            while let Some((block, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.map(str::to_owned)
                };
                let heard = field("event").map(|name| Heard {
                    id: field("id").map(|id| id.parse().unwrap()),
                    name,
                    data: serde_json::from_str(&field("data").unwrap()).unwrap(),
                });
                let rest = rest.to_owned();
                self.read = rest;
                if let Some(heard) = heard {
                    return heard;
                }
            }
            let chunk = self.response.chunk().await.unwrap().expect("the stream ended");
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next bytes; `None` = the stream ended.
    pub(crate) async fn raw(&mut self) -> Option<Vec<u8>> {
        self.response.chunk().await.ok().flatten().map(|chunk| chunk.to_vec())
    }

    /// The next event of a name.
    pub(crate) async fn named(&mut self, name: &str) -> Heard {
        loop {
            let heard = self.next().await;
            if heard.name == name {
                return heard;
            }
        }
    }

    /// The next event about an entry.
    pub(crate) async fn about(&mut self, key: &str) -> Heard {
        loop {
            let heard = self.next().await;
            if heard.data["key"] == key {
                return heard;
            }
        }
    }
}
