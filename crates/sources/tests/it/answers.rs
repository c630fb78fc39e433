//! Answers of GraphQL as GitHub words them on its worse days, put by hand: what cannot be trusted
//! is unknown, whatever the HTTP status says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use larder_core::{Ask, FetchError, Fetched, Finding, Held, Listing, Policy, Priority, Source, Validators};
use larder_domain::{ClustersConfig, RepoName};
use larder_sources::github::{Errand, Found};
use larder_sources::{ClustersSource, GitHub, GitHubConfig};
use larder_testkit::VirtualClock;
use serde_json::{Value, json};

use crate::budgets::MemoryBudgets;
use crate::scene::{
    Scene, TOKEN, absence, cluster, clusters, finding, items, many, present, tools, tools_of, unknown,
};

fn node(name: &str) -> Value {
    json!({
        "name": name, "nameWithOwner": format!("octo-org/{name}"), "owner": {"login": "octo-org"},
        "description": null, "url": "https://github.com/octo-org/x", "homepageUrl": null,
        "stargazerCount": 1, "forkCount": 0, "issues": {"totalCount": 0}, "primaryLanguage": null,
        "languages": null, "repositoryTopics": {"nodes": []}, "licenseInfo": null, "isFork": false,
        "isArchived": false, "isPrivate": false, "pushedAt": null, "updatedAt": "2026-01-01T00:00:00Z",
        "createdAt": "2026-01-01T00:00:00Z", "latestRelease": null,
    })
}

/// A client of a server that makes each answer from the query it gets.
async fn github(answer: impl Fn(&str) -> Value + Clone + Send + Sync + 'static) -> Arc<GitHub> {
    let app = Router::new().fallback(move |body: Bytes| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let said = answer(body["query"].as_str().unwrap()).to_string();
        async move { said }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let options = GitHubConfig::new(api_url).with_token(TOKEN.into());
    let clock = Arc::new(VirtualClock::new());
    Arc::new(GitHub::new(options, Arc::new(MemoryBudgets::default()), clock, 1).unwrap())
}

/// Fetches one entry from such a server.
async fn fetch(
    config: &ClustersConfig,
    id: &str,
    answer: impl Fn(&str) -> Value + Clone + Send + Sync + 'static,
) -> Result<Fetched, FetchError> {
    let github = github(answer).await;
    let deadline = github.now().plus(Duration::from_secs(30));
    let source = ClustersSource::new(config, github, &Policy::default()).unwrap();
    let key = ClustersSource::key(id).unwrap();
    let definition = source.define(&key).unwrap();
    let validators = Validators::default();
    let priority = Priority::Waiting;
    source
        .fetch(&Ask {
            key,
            definition,
            subset: None,
            validators,
            cursor: None,
            body: None,
            held: Held::default(),
            trigger: larder_core::Trigger::Read,
            priority,
            deadline,
        })
        .await
}

async fn listing(repos: &[&str], answer: impl Fn(&str) -> Value + Clone + Send + Sync + 'static) -> Listing {
    items(fetch(&tools(repos), "tools", answer).await)
}

#[tokio::test]
async fn nothing_said_of_a_repository_is_not_absence() {
    let listing = listing(&["a", "b", "c"], |_| json!({"data": {"r0": node("a"), "r1": null}})).await;
    assert_eq!(present(&listing).len(), 1);
    assert_eq!(unknown(&listing, "octo-org/b"), Some("partial"), "null without a reason");
    assert_eq!(unknown(&listing, "octo-org/c"), Some("partial"), "not even null");
}

#[tokio::test]
async fn an_error_inside_a_repository_makes_it_unknown_even_if_the_rest_of_it_is_there() {
    let errors =
        json!([{"type": "RESOURCE_LIMITS_EXCEEDED", "path": ["r0", "languages"], "message": "too much"}]);
    let listing =
        listing(&["a", "b"], move |_| json!({"data": {"r0": node("a"), "r1": node("b")}, "errors": errors}))
            .await;
    assert_eq!(unknown(&listing, "octo-org/a"), Some("partial"));
    assert_eq!(present(&listing).len(), 1);
}

#[tokio::test]
async fn a_resource_limit_that_names_no_part_spoils_the_whole_query_and_less_is_asked() {
    let answer = |query: &str| {
        let aliases = query.matches("repository(").count();
        let data: serde_json::Map<String, Value> =
            (0..aliases).map(|index| (format!("r{index}"), node(&format!("x{index}")))).collect();
        match aliases {
            0..=2 => json!({"data": data}),
            _ => {
                json!({"data": data, "errors": [{"type": "RESOURCE_LIMITS_EXCEEDED", "message": "too much"}]})
            }
        }
    };
    let names: Vec<String> = (0..8).map(|index| format!("n{index}")).collect();
    let listing = listing(&names.iter().map(String::as_str).collect::<Vec<_>>(), answer).await;
    assert_eq!(present(&listing).len(), 8, "by twos");
}

#[tokio::test]
async fn each_of_githubs_reasons_has_its_meaning() {
    let listing = listing(&["a", "b", "c", "d", "e"], |_| {
        let about = |alias: &str, kind: &str, message: &str| json!({"type": kind, "path": [alias], "message": message});
        json!({"data": {"r4": {"name": 7}}, "errors": [
            about("r0", "NOT_FOUND", "Could not resolve to a Repository"),
            about("r1", "FORBIDDEN", "Resource protected by organization SAML enforcement."),
            about("r2", "FORBIDDEN", "Repository access blocked"),
            about("r3", "INSUFFICIENT_SCOPES", "Your token has not been granted the required scopes"),
        ]})
    })
    .await;
    assert_eq!(absence(&listing, "octo-org/a"), Some("not_found"));
    assert_eq!(absence(&listing, "octo-org/b"), Some("private"));
    assert_eq!(absence(&listing, "octo-org/c"), Some("blocked"));
    assert_eq!(unknown(&listing, "octo-org/d"), Some("refused"));
    assert_eq!(unknown(&listing, "octo-org/e"), Some("unusable"));
}

#[tokio::test]
async fn an_odd_field_of_an_error_takes_nothing_from_what_stands_beside_it() {
    let odd = [
        json!({"extensions": {"code": "undefinedField", "type": "NOT_FOUND"}}),
        json!({"type": "NOT_FOUND", "extensions": {"code": 17}}),
        json!({"type": "NOT_FOUND", "extensions": "none", "message": null}),
        json!({"type": "NOT_FOUND", "code": ["x"], "message": {"text": "x"}}),
    ];
    for mut error in odd {
        error["path"] = json!(["r1"]);
        let errors = json!([error]);
        let listing =
            listing(&["a", "b"], move |_| json!({"data": {"r0": node("a"), "r1": null}, "errors": errors}))
                .await;
        assert_eq!(present(&listing).len(), 1, "{error}");
        assert_eq!(absence(&listing, "octo-org/b"), Some("not_found"), "{error}");
    }
}

#[tokio::test]
async fn what_an_organisation_is_called_blocks_nothing() {
    let said = [
        ("`blockstream` has an IP allow list enabled, and your address is not permitted", "private"),
        ("Resource protected by organization SAML enforcement. `legal-ops` must grant access", "private"),
        ("`dmca` does not let this token in", "private"),
        ("Repository Access Blocked", "blocked"),
        ("Repository unavailable due to DMCA takedown.", "blocked"),
    ];
    for (message, code) in said {
        let errors = json!([{"type": "FORBIDDEN", "path": ["r0"], "message": message}]);
        let listing = listing(&["a"], move |_| json!({"data": {"r0": null}, "errors": errors})).await;
        assert_eq!(absence(&listing, "octo-org/a"), Some(code), "{message}");
    }
}

#[tokio::test]
async fn an_answer_without_data_is_an_error_by_its_reason() {
    let cases = [
        (json!({"errors": [{"message": "Parse error on \"x\""}]}), "bad_request"),
        (json!({"errors": [{"message": "Something went wrong while executing your query."}]}), "upstream"),
        (json!({"data": null, "errors": [{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": "x"}]}), "partial"),
        (json!({"data": null, "errors": [{"type": "FORBIDDEN", "message": "x"}]}), "refused"),
        (
            json!({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}),
            "primary_limit",
        ),
        (
            json!({"errors": [{"extensions": {"code": "RATE_LIMIT"}, "message": "secondary rate limit"}]}),
            "secondary_limit",
        ),
        (
            json!({"errors": [{"code": "graphql_rate_limit", "message": "API rate limit already exceeded"}]}),
            "primary_limit",
        ),
        (
            json!({"errors": [{"type": "RATE_LIMIT", "extensions": {"code": 429, "type": "x"}, "message": null}]}),
            "primary_limit",
        ),
        (json!({"errors": {"type": "FORBIDDEN", "message": 7}}), "refused"),
        (json!({"errors": ["Something went wrong"]}), "upstream"),
        (json!({"errors": [null]}), "bad_request"),
        (json!({}), "unusable"),
        (json!([1, 2]), "unusable"),
    ];
    for (answer, code) in cases {
        let said = answer.clone();
        let error = fetch(&tools(&["a"]), "tools", move |_| said.clone()).await.unwrap_err();
        assert_eq!(error.code(), code, "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_list_with_a_gap_is_no_list_unless_the_gap_is_not_for_us() {
    let of = |errors: Value| page(&json!([node("a"), null]), None, &errors);
    let path = json!(["repositoryOwner", "repositories", "nodes", 1]);
    let gap = of(json!([{"message": "Something went wrong", "path": path}]));
    let silent = of(Value::Null);
    for answer in [gap, silent] {
        let error = fetch(&rest(), "unclustered", move |_| answer.clone()).await.unwrap_err();
        assert_eq!(error.code(), "partial");
    }
    let hidden = of(json!([{"type": "FORBIDDEN", "message": "SAML", "path": path}]));
    let listing = items(fetch(&rest(), "unclustered", move |_| hidden.clone()).await);
    assert!(listing.whole);
    assert_eq!(present(&listing).len(), 1);
}

/// An answer of [`fetch`], with how often it was asked for.
fn counted(answer: Value) -> (Arc<AtomicUsize>, impl Fn(&str) -> Value + Clone + Send + Sync + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let say = move |_: &str| {
        counter.fetch_add(1, Ordering::SeqCst);
        answer.clone()
    };
    (count, say)
}

fn forbidden(path: &Value) -> Value {
    json!({"type": "FORBIDDEN", "path": path, "extensions": {"saml_failure": false},
        "message": "Resource not accessible by personal access token"})
}

#[tokio::test]
async fn a_repository_that_cannot_come_without_what_is_refused_is_told_of_and_not_asked_for_again() {
    let (count, say) = counted(json!({
        "data": {"r0": node("a"), "r1": null},
        "errors": [
            forbidden(&json!(["r1", "repositoryTopics", "nodes", 0])),
            forbidden(&json!(["r1", "repositoryTopics", "nodes", 1])),
        ],
    }));
    let listing = listing(&["a", "b"], say).await;
    assert_eq!(present(&listing).len(), 1);
    let Finding::Absent(absence) = finding(&listing, "octo-org/b") else { panic!("{listing:?}") };
    assert_eq!(absence.code, "private");
    assert!(absence.message.contains("without its `repositoryTopics`, which the token may"), "{absence:?}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn another_error_beside_a_refusal_is_not_forgotten_over_it() {
    let limit = json!({"type": "RESOURCE_LIMITS_EXCEEDED", "path": ["r0", "languages"], "message": "x"});
    let errors = json!([forbidden(&json!(["r0", "latestRelease"])), limit]);
    let listing =
        listing(&["a", "b"], move |_| json!({"data": {"r0": node("a"), "r1": node("b")}, "errors": errors}))
            .await;
    assert_eq!(unknown(&listing, "octo-org/a"), Some("partial"));
    assert_eq!(present(&listing).len(), 1);
}

#[tokio::test]
async fn a_refusal_that_names_no_part_is_one_of_all_and_is_not_halved() {
    let mut refusal = forbidden(&Value::Null);
    refusal["path"] = Value::Null;
    let (count, say) = counted(json!({"data": {"r0": node("a")}, "errors": [refusal]}));
    let error = fetch(&tools(&["a", "b", "c", "d"]), "tools", say).await.unwrap_err();
    assert_eq!((error.code(), count.load(Ordering::SeqCst)), ("refused", 1), "{error}");
}

fn rest() -> ClustersConfig {
    ClustersConfig {
        owner: Some("octo-org".to_owned()),
        unclustered: true,
        ..clusters(vec![cluster("tools", &[])])
    }
}

fn page(nodes: &Value, end: Option<&str>, errors: &Value) -> Value {
    json!({"data": {"repositoryOwner": {"login": "octo-org", "repositories": {
        "pageInfo": {"hasNextPage": end.is_some(), "endCursor": end}, "nodes": nodes,
    }}}, "errors": errors})
}

#[tokio::test]
async fn a_list_goes_on_over_what_is_refused_and_says_how_many_were_left_out() {
    let path = json!(["repositoryOwner", "repositories", "nodes", 1, "repositoryTopics"]);
    let (count, say) = counted(page(&json!([node("a"), null]), None, &json!([forbidden(&path)])));
    let listing = items(fetch(&rest(), "unclustered", say).await);
    assert!(listing.whole);
    assert_eq!((present(&listing).len(), count.load(Ordering::SeqCst)), (1, 1));
    let messages: Vec<&str> = listing.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(messages, ["1 repository is not for this token, and left out"]);
}

#[tokio::test]
async fn a_page_that_moved_between_its_two_queries_is_no_list() {
    let refused = json!([forbidden(&json!(["repositoryOwner", "repositories", "nodes", 1, "issues"]))]);
    let answer = move |query: &str| {
        let nodes = [node("a"), Value::Null, node("c")];
        if query.contains("issues") {
            return page(&json!(nodes), Some("c"), &refused);
        }
        page(&json!([node("a"), node("aa"), node("b")]), Some("b"), &Value::Null)
    };
    let error = fetch(&rest(), "unclustered", answer).await.unwrap_err();
    assert!(error.to_string().contains("changed while it was read"), "{error}");
}

#[tokio::test]
async fn a_cost_that_no_query_can_have_is_not_believed() {
    let rate = json!({"limit": 5_000, "cost": u32::MAX, "remaining": 4_999, "resetAt": null});
    let github = github(move |_| json!({"data": {"rateLimit": rate, "r0": node("a")}})).await;
    let errand = Errand::new(Priority::Waiting, github.now(), github.now().plus(Duration::from_secs(30)));
    let name = RepoName::parse("octo-org/a", None).unwrap();
    github.repositories(vec![name], &errand, |_, found| assert!(matches!(found, Found::Here(_)))).await;
    assert_eq!(errand.take_spent().cost, 5_000);
}

#[tokio::test]
async fn an_enterprise_address_serves_as_well() {
    let scene = Scene::with(many("octo-org", 3)).await;
    scene.sim.world(|world| assert!(world.rename("octo-org/r1", "octo-org/fresh")));
    for token in [Some(TOKEN), None] {
        let api_url = format!("{}/api/v3", scene.sim.url());
        let options = GitHubConfig { token: token.map(Into::into), ..GitHubConfig::new(api_url) };
        let clock = Arc::new(scene.clock.clone());
        let github = Arc::new(GitHub::new(options, scene.budgets.clone(), clock, 3).unwrap());
        let source = ClustersSource::new(&tools_of(3), github, &Policy::default()).unwrap();
        assert_eq!(present(&scene.listing(&source, "tools").await).len(), 3);
    }
    let paths: Vec<String> = scene.sim.take_requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths[0], "/api/graphql");
    assert!(paths[1..].iter().all(|path| path.starts_with("/api/v3/")), "{paths:?}");
}
