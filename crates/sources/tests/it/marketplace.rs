//! Marketplaces: indexes by address and in files, and repositories that hold skills.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use larder_core::{
    Ask, Delta, FetchError, Fetched, Item, Key, Member, MemberState, Others, Policy, Priority, Scope, Source,
    Time, Trigger, Validators,
};
use larder_domain::{Artifact, ArtifactType, RepoName};
use larder_github_sim::{Limits, Outage, Repository as SimRepository, Switches, When};
use larder_sources::{MarketplaceConfig, MarketplaceFrom, MarketplaceSource};

use crate::scene::{SEEING, Scene, TOKEN};

const DAY: Duration = Duration::from_hours(24);
const REPO: &str = "octo-org/skills";

/// What an engine keeps of one entry between its fetches.
struct Held {
    key: Key,
    cursor: Option<String>,
    members: Vec<Member>,
}

impl Held {
    fn nothing() -> Self {
        Held { key: MarketplaceSource::key("kit").unwrap(), cursor: None, members: Vec::new() }
    }

    async fn fetch(&self, scene: &Scene, source: &MarketplaceSource) -> Result<Fetched, FetchError> {
        let ask = Ask {
            key: self.key.clone(),
            definition: source.define(&self.key).unwrap(),
            subset: None,
            validators: Validators::default(),
            cursor: self.cursor.clone(),
            body: None,
            held: self.members.clone().into(),
            trigger: Trigger::Read,
            priority: Priority::StaleRead,
            deadline: larder_core::Clock::now(&scene.clock).plus(Duration::from_secs(30)),
        };
        source.fetch(&ask).await
    }

    /// Fetches and takes what came in, as the engine would.
    async fn refresh(&mut self, scene: &Scene, source: &MarketplaceSource) -> Delta {
        let answer = self.fetch(scene, source).await;
        let Ok(Fetched::Delta(delta)) = answer else { panic!("changes were expected, not {answer:?}") };
        let named = |member: &Member| delta.upserts.iter().any(|item| item.of == member.item.of);
        self.members.retain(|member| match delta.others {
            Others::Stay => !delta.removals.contains(&member.item.of),
            Others::Go => named(member),
        });
        for new in delta.upserts.clone() {
            let (scope, doc) = (new.scope, new.doc);
            let item = Item { of: new.of.clone(), scope, doc, derived: None, fetched_at: Time::default() };
            match self.members.iter_mut().find(|member| member.item.of == new.of) {
                Some(member) => member.item = item,
                None => self.members.push(Member { asked: "x".into(), state: MemberState::Shown, item }),
            }
        }
        self.cursor.clone_from(&delta.cursor);
        delta
    }

    fn offered(&self) -> BTreeMap<String, Artifact> {
        let each = self.members.iter().map(|member| member.item.doc.decode::<Artifact>().unwrap());
        each.map(|artifact| (format!("{} {}", artifact.kind, artifact.name), artifact)).collect()
    }

    fn names(&self) -> Vec<String> {
        self.offered().into_keys().collect()
    }
}

fn source(scene: &Scene, from: MarketplaceFrom, token: Option<&str>) -> MarketplaceSource {
    let config = MarketplaceConfig { name: "kit".to_owned(), from, ttl: DAY };
    let clock = Arc::new(scene.clock.clone());
    MarketplaceSource::new(&[config], scene.github(token, 1), clock, &Policy::default()).unwrap()
}

fn repository() -> MarketplaceFrom {
    MarketplaceFrom::Repository(RepoName::parse(REPO, None).unwrap())
}

fn skill(name: &str, description: &str) -> String {
    format!("---\nname: {name}\ndescription: {description}\nversion: 1.0\ntags: [docs]\n---\n# {name}\n")
}

async fn scene(count: usize) -> Scene {
    let scene = Scene::with(vec![SimRepository::new("octo-org/Skills")]).await;
    let files: Vec<(String, String)> = (0..count)
        .map(|number| {
            (format!("skills/s{number:03}/SKILL.md"), skill(&format!("s{number:03}"), "Does a thing"))
        })
        .collect();
    let pushed = files.iter().map(|(path, content)| (path.as_str(), Some(content.as_str())));
    scene.sim.world(|world| assert!(world.push(REPO, pushed)));
    scene
}

fn push(scene: &Scene, path: &str, content: Option<&str>) {
    scene.sim.world(|world| assert!(world.push(REPO, [(path, content)])));
}

/// The ways of the requests since this was last asked, by method and path without the numbers.
fn asked(scene: &Scene) -> Vec<String> {
    let short = |path: &str| {
        path.split(['?']).next().unwrap_or_default().replace("/repos/octo-org", "").to_lowercase()
    };
    let requests = scene.sim.take_requests();
    requests
        .iter()
        .map(|one| format!("{}{}", if one.conditional { "if " } else { "" }, short(&one.path)))
        .collect()
}

#[tokio::test]
async fn an_unchanged_repository_costs_one_conditional_request_and_with_a_token_no_point() {
    let scene = scene(100).await;
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    assert_eq!(held.offered().len(), 100);
    assert_eq!(
        asked(&scene),
        ["/skills", "/skills/git/trees/head", "/graphql", "/graphql", "/graphql"],
        "a hundred contents in three queries"
    );
    assert_eq!(held.fetch(&scene, &source).await, Ok(Fetched::NotModified { ttl: None, cursor: None }));
    let requests = scene.sim.take_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].status, requests[0].conditional, requests[0].cost), (Some(304), true, 0));
}

#[tokio::test]
async fn what_changed_is_read_alone_and_what_went_goes() {
    let scene = scene(60).await;
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    asked(&scene);
    push(&scene, "skills/s007/SKILL.md", Some(&skill("s007", "Does another thing")));
    push(&scene, "skills/s008/SKILL.md", None);
    push(&scene, "skills/new/SKILL.md", Some(&skill("new", "Is new")));
    let delta = held.refresh(&scene, &source).await;
    assert_eq!((delta.upserts.len(), delta.removals.len(), delta.others), (2, 1, Others::Stay));
    assert_eq!(asked(&scene), ["if /skills", "if /skills/git/trees/head", "/graphql"]);
    let offered = held.offered();
    assert_eq!(offered["skill s007"].description.as_deref(), Some("Does another thing"));
    assert_eq!(offered["skill s006"].description.as_deref(), Some("Does a thing"), "known from before");
    assert!(!offered.contains_key("skill s008") && offered.contains_key("skill new"));
}

#[tokio::test]
async fn a_star_makes_no_file_be_read_again() {
    let scene = scene(3).await;
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    asked(&scene);
    scene.sim.world(|world| world.edit(REPO, |repository| repository.stars += 1));
    let delta = held.refresh(&scene, &source).await;
    assert_eq!((delta.upserts, delta.others), (Vec::new(), Others::Stay));
    assert_eq!(asked(&scene), ["if /skills", "if /skills/git/trees/head"]);
    assert_eq!(held.fetch(&scene, &source).await, Ok(Fetched::NotModified { ttl: None, cursor: None }));
    assert_eq!(held.names().len(), 3);
}

#[tokio::test]
async fn what_is_offered_says_what_it_is_and_where_it_lies() {
    let scene = scene(0).await;
    push(&scene, "skills/pdf tools/SKILL.md", Some(&skill("pdf", "Fills forms")));
    push(&scene, ".claude/commands/ship.md", Some("No front matter"));
    push(&scene, "skills/odd/SKILL.md", Some("---\nname: odd\ndescription: Use when: odd\ntags: [a\n---\n"));
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    let delta = held.refresh(&scene, &source).await;
    assert_eq!(delta.warnings.len(), 1, "{:?}", delta.warnings);
    assert_eq!(
        (delta.warnings[0].code.as_str(), delta.warnings[0].about.as_str()),
        ("malformed", "skills/odd/SKILL.md")
    );
    let offered = held.offered();
    let pdf = &offered["skill pdf tools"];
    assert_eq!((pdf.aliases.as_slice(), pdf.version.as_deref()), (&["pdf".to_owned()][..], Some("1.0")));
    assert_eq!((pdf.marketplace.as_deref(), pdf.project.as_str()), (Some("kit"), ""));
    assert_eq!(pdf.url.as_deref(), Some("https://github.com/octo-org/Skills/tree/HEAD/skills/pdf%20tools"));
    assert_eq!(pdf.source.as_deref(), Some("github:octo-org/Skills"));
    assert_eq!(pdf.upstream_version, None, "what is to be had is nobody's upstream");
    let ship = &offered["command ship"];
    assert_eq!(
        ship.url.as_deref(),
        Some("https://github.com/octo-org/Skills/blob/HEAD/.claude/commands/ship.md")
    );
    assert_eq!(offered["skill odd"].description.as_deref(), Some("Use when: odd"), "as far as it goes");
    assert!(held.members.iter().all(|member| member.item.scope.is_public()));
}

#[tokio::test]
async fn a_repositorys_index_names_its_plugins_and_a_malformed_one_takes_nothing_away() {
    let scene = scene(2).await;
    let index = r#"{"plugins": [{"name": "both", "source": "./", "skills": ["./skills/s000", "./skills/gone"]},
        {"name": "far", "description": "Lies elsewhere", "source": {"source": "github", "repo": "a/b"}},
        {"name": "own", "source": "./plugins/own"}]}"#;
    push(&scene, ".claude-plugin/marketplace.json", Some(index));
    push(&scene, "plugins/own/.claude-plugin/plugin.json", Some(r#"{"name": "own", "version": "3.1"}"#));
    push(&scene, "plugins/own/agents/critic.md", Some("---\ndescription: Criticises\n---\n"));
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    let delta = held.refresh(&scene, &source).await;
    assert_eq!(
        delta.warnings[0].message,
        "`skills/gone` is named in `.claude-plugin/marketplace.json` and is not there"
    );
    let names = ["agent critic", "plugin both", "plugin far", "plugin own", "skill s000", "skill s001"];
    assert_eq!(held.names(), names);
    let offered = held.offered();
    assert_eq!(offered["skill s000"].plugin.as_deref(), Some("both"));
    assert_eq!(offered["agent critic"].plugin.as_deref(), Some("own"));
    assert_eq!(offered["plugin own"].version.as_deref(), Some("3.1"), "by its manifest");
    push(&scene, ".claude-plugin/marketplace.json", Some("{"));
    let delta = held.refresh(&scene, &source).await;
    assert_eq!((delta.warnings[0].code.as_str(), delta.removals.len()), ("malformed", 0));
    assert_eq!(held.names(), names);
    assert_eq!(held.offered()["skill s000"].plugin.as_deref(), Some("both"));
    push(&scene, ".claude-plugin/marketplace.json", Some(r#"{"plugins": []}"#));
    held.refresh(&scene, &source).await;
    assert_eq!(
        held.names(),
        ["agent critic", "plugin own", "skill s000", "skill s001"],
        "by what lies there alone"
    );
}

#[tokio::test]
async fn without_a_token_names_come_at_once_and_contents_a_few_an_hour() {
    let scene = scene(25).await;
    let source = source(&scene, repository(), None);
    let mut held = Held::nothing();
    let delta = held.refresh(&scene, &source).await;
    assert_eq!(asked(&scene).len(), 22, "the repository, its files, and twenty contents");
    assert_eq!((delta.ttl, delta.warnings[0].code.as_str()), (Some(Duration::from_hours(1)), "needs_token"));
    let known = |held: &Held| held.offered().values().filter(|one| one.description.is_some()).count();
    assert_eq!((held.offered().len(), known(&held)), (25, 20));
    let delta = held.refresh(&scene, &source).await;
    assert_eq!((asked(&scene).len(), known(&held)), (7, 25), "the five that were left");
    assert_eq!((delta.ttl, delta.warnings.len(), delta.upserts.len()), (None, 0, 5));
    assert_eq!(held.fetch(&scene, &source).await, Ok(Fetched::NotModified { ttl: None, cursor: None }));
}

#[tokio::test]
async fn limits_and_failures_take_nothing_away() {
    let scene = scene(3).await;
    scene.sim.set_limits(Limits::default());
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    push(&scene, "skills/s001/SKILL.md", Some(&skill("s001", "Changed")));
    scene.sim.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    let failed = held.fetch(&scene, &source).await;
    assert!(matches!(failed, Err(FetchError::Upstream { status: 503, .. })), "{failed:?}");
    scene.sim.switch(Switches::default());
    scene.clock.advance(Duration::from_mins(20));
    let delta = held.refresh(&scene, &source).await;
    assert_eq!((delta.upserts.len(), held.names().len()), (1, 3));
}

#[tokio::test]
async fn one_that_turns_private_is_hidden_at_once_and_shows_again() {
    let scene = scene(2).await;
    let source = source(&scene, repository(), Some(SEEING));
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    let scopes =
        |held: &Held| held.members.iter().map(|member| member.item.scope.clone()).collect::<Vec<_>>();
    assert_eq!(scopes(&held), [Scope::Public, Scope::Public]);
    scene.sim.world(|world| world.edit(REPO, |repository| repository.is_private = true));
    held.refresh(&scene, &source).await;
    let host = scene.github(None, 2).host().to_owned();
    let private = Scope::Repo(format!("{host}/octo-org/skills").into());
    assert_eq!(scopes(&held), [private.clone(), private]);
    scene.sim.world(|world| world.edit(REPO, |repository| repository.is_private = false));
    held.refresh(&scene, &source).await;
    assert_eq!(scopes(&held), [Scope::Public, Scope::Public]);
}

#[tokio::test]
async fn a_repository_may_be_empty_renamed_cut_off_or_gone() {
    let scene = Scene::with(vec![SimRepository::new("octo-org/Skills")]).await;
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    assert_eq!(held.names(), Vec::<String>::new(), "nobody pushed to it yet");
    for name in ["a", "b", "c"] {
        push(&scene, &format!("skills/{name}/SKILL.md"), Some(&skill(name, "x")));
    }
    scene.sim.world(|world| assert!(world.rename(REPO, "octo-org/kit")));
    held.refresh(&scene, &source).await;
    assert_eq!(held.names(), ["skill a", "skill b", "skill c"]);
    scene.sim.world(|world| {
        assert!(
            world.push("octo-org/kit", [("skills/d/SKILL.md", Some("x"))])
                && world.cut_trees("octo-org/kit", 3)
        );
    });
    let delta = held.refresh(&scene, &source).await;
    assert_eq!((delta.removals.len(), delta.warnings[0].code.as_str()), (0, "too_many"));
    assert_eq!(held.names().len(), 3, "what is not listed is not gone");
    scene.sim.world(|world| assert!(world.remove("octo-org/kit")));
    let gone = held.fetch(&scene, &source).await;
    assert!(matches!(&gone, Ok(Fetched::Absent(absence)) if absence.code == "not_found"), "{gone:?}");
}

/// A server of documents that notes what it was asked.
struct Web {
    base: String,
    said: Arc<Mutex<Said>>,
}

#[derive(Default)]
struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    asked: Vec<(String, Option<String>)>,
}

impl Web {
    async fn start() -> Web {
        let said = Arc::new(Mutex::new(Said { status: 200, ..Said::default() }));
        let app = Router::new().fallback(answer).with_state(said.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Web { base, said }
    }

    fn say(&self, status: u16, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) {
        let mut said = self.said.lock().unwrap();
        said.status = status;
        said.headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        said.body = body.into();
    }

    fn index(&self, allow_private: bool) -> MarketplaceFrom {
        MarketplaceFrom::Url {
            url: format!("{}/index.json?key=secret", self.base).parse().unwrap(),
            allow_private,
        }
    }

    fn asked(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.said.lock().unwrap().asked)
    }
}

async fn answer(State(said): State<Arc<Mutex<Said>>>, request: Request) -> Response {
    let mut said = said.lock().unwrap();
    let etag = request.headers().get("if-none-match").map(|value| value.to_str().unwrap().to_owned());
    said.asked.push((request.uri().path().to_owned(), etag.clone()));
    let holds = etag.is_some_and(|etag| said.headers.contains(&("etag", etag)));
    let status = StatusCode::from_u16(if holds { 304 } else { said.status }).unwrap();
    let mut response = (status, if holds { Vec::new() } else { said.body.clone() }).into_response();
    for (name, value) in &said.headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

const INDEX: &str = r#"{"artifacts": [{"name": "pdf", "type": "skill", "version": "2"}, {"name": "critic", "type": "agent"}]}"#;

#[tokio::test]
async fn an_index_is_asked_for_conditionally_and_read_anew_when_it_changed() {
    let (scene, web) = (Scene::with(Vec::new()).await, Web::start().await);
    let source = source(&scene, web.index(true), None);
    let mut held = Held::nothing();
    web.say(200, &[("etag", "\"one\"")], INDEX);
    let delta = held.refresh(&scene, &source).await;
    assert_eq!(
        (delta.others, held.names()),
        (Others::Go, vec!["agent critic".to_owned(), "skill pdf".to_owned()])
    );
    assert_eq!(held.fetch(&scene, &source).await, Ok(Fetched::NotModified { ttl: None, cursor: None }));
    assert_eq!(web.asked()[1], ("/index.json".to_owned(), Some("\"one\"".to_owned())));
    web.say(200, &[("etag", "\"two\"")], r#"[{"name": "pdf", "type": "skill", "version": "3"}]"#);
    let delta = held.refresh(&scene, &source).await;
    assert_eq!(
        (delta.upserts.len(), delta.removals.len(), held.names()),
        (1, 1, vec!["skill pdf".to_owned()])
    );
    web.say(200, &[], r#"[{"name": "pdf", "type": "skill", "version": "3"}]"#);
    let delta = held.refresh(&scene, &source).await;
    assert_eq!(
        (delta.upserts, delta.removals),
        (Vec::new(), Vec::new()),
        "the same once more changes nothing"
    );
    assert!(scene.sim.take_requests().is_empty(), "GitHub has nothing to do with it");
}

#[tokio::test]
async fn what_is_no_index_takes_nothing_away_and_says_why() {
    let (scene, web) = (Scene::with(Vec::new()).await, Web::start().await);
    let source = source(&scene, web.index(true), None);
    let mut held = Held::nothing();
    web.say(200, &[], INDEX);
    held.refresh(&scene, &source).await;
    let host = web.base.trim_start_matches("http://").to_owned();
    let told = async |status, headers: &[(&'static str, &str)], body: Vec<u8>| {
        web.say(status, headers, body);
        match held.fetch(&scene, &source).await {
            Err(error) => error,
            Ok(other) => panic!("an error was expected, not {other:?}"),
        }
    };
    let page = told(200, &[], b"<html>".to_vec()).await;
    assert!(page.to_string().contains("it is not JSON"), "{page}");
    assert!(matches!(told(200, &[], b"{}".to_vec()).await, FetchError::Unusable { .. }));
    let large = told(200, &[], vec![b' '; (8 << 20) + 1]).await;
    assert_eq!(
        large,
        FetchError::Unusable { host: host.clone(), detail: "more than 8388608 bytes".to_owned() }
    );
    let limited = told(429, &[("retry-after", "120")], Vec::new()).await;
    assert_eq!(
        limited.retry(),
        larder_core::Retry::At(larder_core::Clock::now(&scene.clock).plus(Duration::from_mins(2)))
    );
    scene.clock.advance(Duration::from_mins(2));
    assert!(matches!(told(503, &[], Vec::new()).await, FetchError::Upstream { status: 503, .. }));
    for status in [401, 403, 451] {
        let refused = told(status, &[], Vec::new()).await;
        assert_eq!(refused.code(), "refused");
        assert!(refused.counts() && refused.to_string().ends_with(&format!("refused access: HTTP {status}")));
        let hint = refused.hints().concat();
        assert!(hint.contains("is asked without a token") && !hint.contains("rights"), "{hint}");
    }
    let round = told(302, &[("location", "/index.json")], Vec::new()).await;
    assert!(round.to_string().contains("more than 5 redirects"), "{round}");
    for error in [page, large, limited, round] {
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    web.say(404, &[], Vec::new());
    assert!(matches!(held.fetch(&scene, &source).await, Ok(Fetched::Absent(_))));
    web.say(200, &[], r#"[{"name": "pdf", "type": "spell"}, {"name": "new", "type": "skill"}]"#);
    let delta = held.refresh(&scene, &source).await;
    assert_eq!(delta.warnings[0].message, "`pdf` is left out: its type `\"spell\"` is not known");
    assert_eq!(
        held.names(),
        ["skill new", "skill pdf"],
        "what was known of one that cannot be understood stays"
    );
}

#[tokio::test]
async fn a_repository_that_is_taken_down_while_it_is_read_is_blocked_and_no_riddle() {
    let scene = scene(3).await;
    // The repository, its files, the first of their contents.
    scene.sim.switch(Switches { taken_down: When::Every(3), ..Switches::default() });
    let answer = Held::nothing().fetch(&scene, &source(&scene, repository(), None)).await;
    assert!(matches!(&answer, Ok(Fetched::Absent(absence)) if absence.code == "blocked"), "{answer:?}");
    assert!(scene.sim.requests()[2].path.contains("/git/blobs/"));
}

#[tokio::test]
async fn nothing_is_asked_of_a_private_address_unless_it_is_allowed() {
    let (scene, web) = (Scene::with(Vec::new()).await, Web::start().await);
    web.say(200, &[], INDEX);
    let port = web.base.rsplit(':').next().unwrap().to_owned();
    let told = async |url: String| {
        let from = MarketplaceFrom::Url { url: url.parse().unwrap(), allow_private: false };
        match Held::nothing().fetch(&scene, &source(&scene, from, None)).await {
            Err(FetchError::Local(why)) => why,
            other => panic!("{url}: a refusal was expected, not {other:?}"),
        }
    };
    let plain = told(format!("http://127.0.0.1:{port}/index.json")).await;
    assert!(plain.contains("read by https://"), "{plain}");
    for host in
        ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "2130706433", "localhost"]
    {
        let why = told(format!("https://{host}:{port}/index.json")).await;
        assert!(why.contains("not the public network's") && why.contains("allow_private"), "{host}: {why}");
    }
    assert_eq!(web.asked(), [], "it never heard of it");
    let away = source(&scene, web.index(true), None);
    web.say(302, &[("location", "ftp://127.0.0.1/index.json")], Vec::new());
    let refused = Held::nothing().fetch(&scene, &away).await;
    assert!(matches!(&refused, Err(FetchError::Local(why)) if why.contains("https://")), "{refused:?}");
}

#[tokio::test]
async fn of_one_s_own_network_the_host_that_is_named_may_be_asked_and_no_other() {
    let (scene, web) = (Scene::with(Vec::new()).await, Web::start().await);
    let source = source(&scene, web.index(true), None);
    let port = web.base.rsplit(':').next().unwrap().to_owned();
    for (away, why) in [
        (format!("http://localhost:{port}/index.json"), "read by https://"),
        ("http://169.254.169.254/latest".to_owned(), "read by https://"),
        (format!("https://localhost:{port}/index.json"), "`allow_private` is of 127.0.0.1 alone"),
        ("https://10.0.0.1/index.json".to_owned(), "`allow_private` is of 127.0.0.1 alone"),
    ] {
        web.say(302, &[("location", &away)], Vec::new());
        let refused = Held::nothing().fetch(&scene, &source).await;
        assert!(
            matches!(&refused, Err(FetchError::Local(told)) if told.contains(why)),
            "{away}: {refused:?}"
        );
    }
    assert_eq!(web.asked().len(), 4, "each once, and nobody else");
    web.say(302, &[("location", "/other.json")], Vec::new());
    let round = Held::nothing().fetch(&scene, &source).await.unwrap_err().to_string();
    assert!(round.contains("more than 5 redirects"), "its own are followed: {round}");
    assert_eq!(web.asked().last().unwrap().0, "/other.json");
}

#[tokio::test]
async fn what_one_s_own_network_offers_is_for_those_alone_who_may_see_what_is_private() {
    let (scene, web) = (Scene::with(Vec::new()).await, Web::start().await);
    web.say(200, &[], INDEX);
    let source = source(&scene, web.index(true), None);
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    assert!(source.define(&held.key).unwrap().private);
    assert!(held.members.iter().all(|member| !member.item.scope.is_public()));
}

fn file_source(scene: &Scene, path: &Path) -> MarketplaceSource {
    source(scene, MarketplaceFrom::File(path.to_owned()), None)
}

#[tokio::test]
async fn an_index_in_a_file_is_read_when_its_content_changed() {
    let scene = Scene::with(Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("our index.json");
    let source = file_source(&scene, &path);
    let mut held = Held::nothing();
    let none = held.fetch(&scene, &source).await;
    assert!(
        matches!(&none, Ok(Fetched::Absent(absence)) if absence.message.contains("our index.json")),
        "{none:?}"
    );
    std::fs::write(&path, INDEX).unwrap();
    held.refresh(&scene, &source).await;
    assert_eq!(held.names(), ["agent critic", "skill pdf"]);
    assert!(
        source.define(&held.key).unwrap().private
            && held.members.iter().all(|one| !one.item.scope.is_public())
    );
    assert_eq!(held.fetch(&scene, &source).await, Ok(Fetched::NotModified { ttl: None, cursor: None }));
    std::fs::write(&path, "{\"plugins\": [").unwrap();
    let broken = held.fetch(&scene, &source).await;
    assert!(
        matches!(&broken, Err(FetchError::BadFile { path, .. }) if path.ends_with("our index.json")),
        "{broken:?}"
    );
    std::fs::write(&path, r#"{"plugins": [{"name": "p", "source": "./p"}]}"#).unwrap();
    held.refresh(&scene, &source).await;
    assert_eq!(held.offered()["plugin p"].kind, ArtifactType::Plugin);
    std::fs::remove_file(&path).unwrap();
    let gone = held.fetch(&scene, &source).await;
    assert!(
        matches!(&gone, Err(FetchError::BadFile { detail, .. }) if detail.contains("not there any more")),
        "what it offered is not taken for gone: {gone:?}"
    );
    std::fs::create_dir(&path).unwrap();
    let folder = held.fetch(&scene, &source).await;
    assert!(matches!(&folder, Err(FetchError::Local(why)) if why.contains("not a file")), "{folder:?}");
}

#[tokio::test]
async fn an_edited_definition_is_another_and_the_name_of_a_token_is_no_part_of_it() {
    let scene = Scene::with(Vec::new()).await;
    let key = MarketplaceSource::key("kit").unwrap();
    let with = source(&scene, repository(), Some(TOKEN)).define(&key).unwrap();
    let other = source(&scene, repository(), Some(SEEING)).define(&key).unwrap();
    let without = source(&scene, repository(), None).define(&key).unwrap();
    assert_eq!(with.fingerprint, other.fingerprint);
    assert!(without.answers_to(&with.fingerprint) && !with.answers_to(&without.fingerprint));
    let file = file_source(&scene, Path::new("/a.json")).define(&key).unwrap();
    assert!(!file.answers_to(&with.fingerprint));
    assert!(
        file_source(&scene, Path::new("/a.json")).define(&MarketplaceSource::key("none").unwrap()).is_none()
    );
}

#[tokio::test]
async fn a_repository_without_its_default_branch_is_not_gone() {
    let scene = scene(2).await;
    let source = source(&scene, repository(), Some(TOKEN));
    let mut held = Held::nothing();
    held.refresh(&scene, &source).await;
    scene.sim.world(|world| world.edit(REPO, |repository| repository.default_branch.clear()));
    let answer = held.fetch(&scene, &source).await;
    let Err(error) = answer else { panic!("a failure was expected, not {answer:?}") };
    assert!(error.to_string().ends_with("`octo-org/Skills` has no files where its default branch should be"));
    scene.sim.world(|world| world.remove(REPO));
    let answer = held.fetch(&scene, &source).await;
    assert!(matches!(answer, Ok(Fetched::Absent(_))), "{answer:?}");
}
