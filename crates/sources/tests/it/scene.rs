//! The frame of all stories: a simulator, a clock that both sides share, one store's budgets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_core::{
    Answers, Ask, Clock, FetchError, Fetched, Finding, Held, Key, Listing, Policy, Priority, Source, Spent,
    Validators,
};
use larder_domain::{ClusterConfig, ClustersConfig, RepoName, Repository};
use larder_github_sim::{Options, Owner, Repository as SimRepository, Simulator, Token, World};
use larder_sources::{ClustersSource, GitHub, GitHubConfig};
use larder_testkit::VirtualClock;

use crate::budgets::MemoryBudgets;

/// The token that the simulator knows; it sees public repositories.
pub(crate) const TOKEN: &str = "ghp_thisIsTheTokenOfTheOctocat0123456789";
/// One that sees private ones too.
pub(crate) const SEEING: &str = "ghp_thisTokenSeesEverythingThereIs9876543";

pub(crate) struct Scene {
    pub(crate) clock: VirtualClock,
    pub(crate) sim: Simulator,
    pub(crate) budgets: Arc<MemoryBudgets>,
}

/// What one entry was answered, and what that cost.
pub(crate) type Got = (Result<Fetched, FetchError>, Spent);

impl Scene {
    /// A simulator with these repositories; `octo-org` is an organisation, all others are people.
    pub(crate) async fn with(repositories: Vec<SimRepository>) -> Self {
        let mut world = World::new();
        world.add_owner(Owner::organization("octo-org")).add_owner(Owner::user("octocat"));
        world.add_token(TOKEN, Token::of("octocat"));
        world.add_token(SEEING, Token::of("octocat").seeing_everything());
        for repository in repositories {
            world.add(repository);
        }
        let clock = VirtualClock::new();
        let shared = clock.clone();
        let options = Options::default().with_now(move || shared.now().ms());
        let sim = Simulator::start(world, options).await.unwrap();
        Scene { clock, sim, budgets: Arc::default() }
    }

    /// A client: with another `seed`, another process.
    pub(crate) fn github(&self, token: Option<&str>, seed: u64) -> Arc<GitHub> {
        self.github_by(&self.clock, token, seed)
    }

    /// The same on a machine with another clock than GitHub's.
    pub(crate) fn github_by(&self, clock: &VirtualClock, token: Option<&str>, seed: u64) -> Arc<GitHub> {
        let config = GitHubConfig { token: token.map(Into::into), ..GitHubConfig::new(self.sim.url()) };
        Arc::new(GitHub::new(config, self.budgets.clone(), Arc::new(clock.clone()), seed).unwrap())
    }

    /// A source of its own client.
    pub(crate) fn source(&self, config: &ClustersConfig, token: Option<&str>) -> ClustersSource {
        ClustersSource::new(config, self.github(token, 1), &Policy::default()).unwrap()
    }

    /// An ask for all of an entry, with thirty seconds of time.
    pub(crate) fn ask(&self, source: &ClustersSource, id: &str) -> Ask {
        let key = ClustersSource::key(id).unwrap();
        Ask {
            definition: source.define(&key).unwrap(),
            key,
            subset: None,
            validators: Validators::default(),
            cursor: None,
            body: None,
            held: Held::default(),
            trigger: larder_core::Trigger::Read,
            priority: Priority::Waiting,
            deadline: self.clock.now().plus(Duration::from_secs(30)),
        }
    }

    /// Fetches entries as one batch; their answers in the order they came.
    pub(crate) async fn fetch_in_order(&self, source: &ClustersSource, asks: &[Ask]) -> Vec<(Key, Got)> {
        let got = Arc::new(Mutex::new(Vec::new()));
        let put = got.clone();
        let answers = Answers::new(move |key, answer, spent| {
            put.lock().unwrap().push((key.clone(), (answer, spent)));
        });
        source.fetch_many(asks, &answers).await;
        std::mem::take(&mut *got.lock().unwrap())
    }

    /// Fetches entries as one batch, by their ids.
    pub(crate) async fn fetch_many(&self, source: &ClustersSource, ids: &[&str]) -> BTreeMap<String, Got> {
        let asks: Vec<Ask> = ids.iter().map(|id| self.ask(source, id)).collect();
        let got = self.fetch_in_order(source, &asks).await;
        assert_eq!(got.len(), ids.len(), "each entry is answered once");
        got.into_iter().map(|(key, got)| (key.name().to_owned(), got)).collect()
    }

    /// Fetches one entry.
    pub(crate) async fn fetch(&self, source: &ClustersSource, id: &str) -> Result<Fetched, FetchError> {
        source.fetch(&self.ask(source, id)).await
    }

    /// Fetches one entry that must be answered with items.
    pub(crate) async fn listing(&self, source: &ClustersSource, id: &str) -> Listing {
        items(self.fetch(source, id).await)
    }

    /// How many requests arrived since this was last asked.
    pub(crate) fn requests(&self) -> usize {
        self.sim.take_requests().len()
    }
}

/// The listing of an answer that must have one.
pub(crate) fn items(answer: Result<Fetched, FetchError>) -> Listing {
    match answer {
        Ok(Fetched::Items(listing)) => listing,
        other => panic!("items were expected, not {other:?}"),
    }
}

/// The repositories that a listing has, by the names asked.
pub(crate) fn present(listing: &Listing) -> BTreeMap<String, Repository> {
    let of = |answer: &larder_core::Answer| match &answer.finding {
        Finding::Present(item) => Some((answer.asked.to_string(), item.doc.decode().unwrap())),
        Finding::Absent(_) | Finding::Unknown(_) => None,
    };
    listing.answers.iter().filter_map(of).collect()
}

/// What was said of one name.
pub(crate) fn finding<'a>(listing: &'a Listing, name: &str) -> &'a Finding {
    &listing.answers.iter().find(|answer| &*answer.asked == name).unwrap().finding
}

/// The word for why a name is absent, if it is.
pub(crate) fn absence<'a>(listing: &'a Listing, name: &str) -> Option<&'a str> {
    match finding(listing, name) {
        Finding::Absent(absence) => Some(&absence.code),
        Finding::Present(_) | Finding::Unknown(_) => None,
    }
}

/// The word for why nothing is known of a name, if so.
pub(crate) fn unknown(listing: &Listing, name: &str) -> Option<&'static str> {
    match finding(listing, name) {
        Finding::Unknown(error) => Some(error.code()),
        Finding::Present(_) | Finding::Absent(_) => None,
    }
}

/// Repositories `{owner}/r0` and so on.
pub(crate) fn many(owner: &str, count: usize) -> Vec<SimRepository> {
    (0..count).map(|index| SimRepository::new(&format!("{owner}/r{index}"))).collect()
}

/// A cluster of these repositories.
pub(crate) fn cluster(id: &str, repos: &[&str]) -> ClusterConfig {
    let repos = repos.iter().map(|name| RepoName::parse(name, Some("octo-org")).unwrap());
    ClusterConfig {
        id: id.to_owned(),
        name: id.to_owned(),
        repos: repos.collect(),
        ..ClusterConfig::default()
    }
}

/// Only these clusters.
pub(crate) fn clusters(clusters: Vec<ClusterConfig>) -> ClustersConfig {
    ClustersConfig { clusters, ..ClustersConfig::default() }
}

/// One cluster `tools` of these repositories.
pub(crate) fn tools(repos: &[&str]) -> ClustersConfig {
    clusters(vec![cluster("tools", repos)])
}

/// One cluster `tools` of `octo-org/r0` and so on.
pub(crate) fn tools_of(count: usize) -> ClustersConfig {
    let names: Vec<String> = (0..count).map(|index| format!("r{index}")).collect();
    tools(&names.iter().map(String::as_str).collect::<Vec<_>>())
}
