//! A simulator with a small world, and a client that is short to use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use larder_github_sim::{
    Block, License, Limits, Options, Owner, Release, Repository, Simulator, Switches, Token, World,
};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// 2026-09-01T00:00:00Z.
pub(crate) const START_MS: i64 = 1_788_220_800_000;
pub(crate) const TOKEN: &str = "token-of-octocat";

/// A simulator, its clock and a client.
pub(crate) struct GitHub {
    pub(crate) sim: Simulator,
    pub(crate) clock_ms: Arc<AtomicI64>,
    pub(crate) client: Client,
}

/// An answer, read.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl GitHub {
    pub(crate) async fn start() -> Self {
        Self::with(world(), Limits::default()).await
    }

    pub(crate) async fn with(world: World, limits: Limits) -> Self {
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        let clock = Arc::clone(&clock_ms);
        let options = Options { seed: 7, ..Options::default() }.with_limits(limits);
        let options = options.with_now(move || clock.load(Ordering::SeqCst));
        let sim = Simulator::start(world, options).await.unwrap();
        Self { sim, clock_ms, client: Client::builder().user_agent("a test").build().unwrap() }
    }

    pub(crate) fn pass_s(&self, seconds: i64) {
        self.clock_ms.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    pub(crate) fn switch(&self, switches: Switches) {
        self.sim.switch(switches);
    }

    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.sim.url()))
    }

    /// GET without a token.
    pub(crate) async fn get(&self, path: &str) -> Told {
        told(self.request(path)).await
    }

    /// GET with octocat's token.
    pub(crate) async fn get_as_octocat(&self, path: &str) -> Told {
        told(self.request(path).bearer_auth(TOKEN)).await
    }

    pub(crate) fn query(&self, query: &str, variables: &Value) -> RequestBuilder {
        let body = json!({"query": query, "variables": variables});
        self.client.post(format!("{}/graphql", self.sim.url())).json(&body)
    }

    /// A GraphQL query with octocat's token.
    pub(crate) async fn graphql(&self, query: &str) -> Told {
        told(self.query(query, &json!({})).bearer_auth(TOKEN)).await
    }
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) async fn told(request: RequestBuilder) -> Told {
    let response: Response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Told { status, headers, text: response.text().await.unwrap() }
}

/// `octo-org` with a public, a private, a blocked and a renamed repository; `hubber` with one.
pub(crate) fn world() -> World {
    let mut world = World::new();
    world.add_owner(Owner::organization("octo-org")).add_owner(Owner::user("hubber"));
    let cinder = Repository {
        description: Some("An embedded event store".to_owned()),
        homepage: Some("https://cinder.example".to_owned()),
        stars: 4_821,
        forks: 312,
        open_issues: 47,
        open_pull_requests: 5,
        topics: vec!["database".to_owned(), "rust".to_owned(), "embedded".to_owned()],
        license: Some(License::spdx("Apache-2.0")),
        latest_release: Some(Release {
            tag_name: "v2.4.0".to_owned(),
            name: Some("2.4".to_owned()),
            published_at: Some("2026-08-20T10:00:00Z".parse().unwrap()),
            is_prerelease: false,
        }),
        updated_at: "2026-08-31T12:34:56.789Z".parse().unwrap(),
        pushed_at: Some("2026-08-30T00:00:00Z".parse().unwrap()),
        ..Repository::new("octo-org/Cinder").with_languages(&[("Shell", 10), ("Rust", 900), ("Svelte", 90)])
    };
    world.add(cinder);
    world.add(Repository { is_private: true, ..Repository::new("octo-org/handbook") });
    world.add(Repository { blocked: Some(Block::Dmca), ..Repository::new("octo-org/copied") });
    world.add(Repository { blocked: Some(Block::Tos), ..Repository::new("octo-org/spam") });
    world.add(Repository {
        is_fork: true,
        is_archived: true,
        pushed_at: None,
        ..Repository::new("octo-org/fork")
    });
    world.add(Repository::new("octo-org/forge"));
    world.rename("octo-org/forge", "octo-org/kiln");
    world.add(Repository::new("hubber/dotfiles"));
    world.add_token(TOKEN, Token::of("octocat"));
    world.add_token("token-of-insider", Token::of("insider").seeing(&["octo-org/Handbook"]));
    world
}
