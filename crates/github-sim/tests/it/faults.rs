//! Every switch, turned in code.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_github_sim::{
    Face, Options, Outage, Partial, PartialError, PrimaryLimit, RateLimitSpelling, RateLimited200,
    RequestKind, SecondaryLimit, Simulator, SlowQuery, Switches, When,
};
use serde_json::{Value, json};

use crate::github::{GitHub, TOKEN, told, world};

const KILN: &str = "/repos/octo-org/kiln";
const TWO: &str = r#"{ a: repository(owner: "octo-org", name: "cinder") { name }
    b: repository(owner: "octo-org", name: "kiln") { name } }"#;

#[tokio::test]
async fn an_outage_answers_503_or_not_at_all_and_then_ends() {
    let github = GitHub::start().await;
    github.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    let answer = github.get(KILN).await;
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert_eq!(answer.header("x-ratelimit-remaining"), None);
    github.switch(Switches { outage: Outage::Dropped, ..Switches::default() });
    assert!(github.request(KILN).send().await.is_err());
    github.switch(Switches::default());
    assert_eq!(github.get(KILN).await.status, 200);
    let statuses: Vec<Option<u16>> = github.sim.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(503), None, Some(200)]);
}

#[tokio::test]
async fn a_repository_is_taken_down_while_rest_reads_it() {
    let github = GitHub::start().await;
    github.switch(Switches { taken_down: When::Every(2), ..Switches::default() });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(github.get_as_octocat(KILN).await.status);
        assert_eq!(github.graphql(TWO).await.status, 200);
    }
    assert_eq!(statuses, [200, 451, 200, 451]);
}

#[tokio::test]
async fn a_bad_gateway_strikes_the_next_few_or_every_so_manieth() {
    let github = GitHub::start().await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(github.get(KILN).await.status);
        }
        statuses
    };
    github.switch(Switches { bad_gateway: When::Next(2), ..Switches::default() });
    assert_eq!(statuses().await, [502, 502, 200, 200, 200, 200]);
    assert_eq!(github.sim.switches().bad_gateway, When::Never, "it has counted down");
    github.switch(Switches { bad_gateway: When::Every(3), ..Switches::default() });
    assert_eq!(statuses().await, [200, 200, 502, 200, 200, 502]);
    github.switch(Switches { bad_gateway: When::Always, ..Switches::default() });
    let answer = github.get(KILN).await;
    assert!(answer.text.starts_with("<html>") && answer.header("content-type") == Some("text/html"));
}

#[tokio::test]
async fn a_fault_can_be_kept_to_one_interface() {
    let github = GitHub::start().await;
    github.switch(Switches { only: Face::Graphql, outage: Outage::Unavailable, ..Switches::default() });
    assert_eq!(github.graphql(TWO).await.status, 503);
    assert_eq!(github.get(KILN).await.status, 200);
    let kinds: Vec<RequestKind> = github.sim.take_requests().iter().map(|request| request.kind).collect();
    assert_eq!(kinds, [RequestKind::Graphql, RequestKind::Rest]);
    assert!(github.sim.requests().is_empty(), "the log was taken");
}

#[tokio::test]
async fn a_silent_request_ends_when_its_client_gives_up() {
    let github = GitHub::start().await;
    github.switch(Switches { time_out: When::Next(1), ..Switches::default() });
    let silent = tokio::spawn(told(github.request(KILN)));
    github.sim.arrived(1).await;
    assert_eq!(github.get(KILN).await.status, 200, "the next one is answered while it hangs");
    silent.abort();
    assert!(silent.await.is_err());
    assert_eq!(github.sim.requests()[0].status, None);
}

#[tokio::test]
async fn a_query_for_too_many_repositories_runs_out_of_githubs_time() {
    let slept_ms = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&slept_ms);
    let options = Options {
        sleep: Arc::new(move |span: Duration| {
            noted.fetch_add(span.as_millis() as u64, Ordering::SeqCst);
            Box::pin(std::future::ready(()))
        }),
        ..Options::default()
    };
    let sim = Simulator::start(world(), options).await.unwrap();
    let ask = async |query: &str| {
        let client = reqwest::Client::builder().user_agent("a test").build().unwrap();
        let request =
            client.post(format!("{}/graphql", sim.url())).bearer_auth(TOKEN).json(&json!({"query": query}));
        told(request).await
    };
    let slow = SlowQuery { above_repositories: 1, after_ms: 10_000 };
    sim.switch(Switches { slow_query: Some(slow), latency_ms: 250, ..Switches::default() });
    let answer = ask(TWO).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer.json()["errors"][0]["message"].as_str().unwrap().contains("may be the result of a timeout")
    );
    assert_eq!(slept_ms.load(Ordering::SeqCst), 10_250);
    let half = ask(r#"{ a: repository(owner: "octo-org", name: "cinder") { name } }"#).await;
    assert_eq!((half.status, &half.json()["data"]["a"]["name"]), (200, &json!("Cinder")));
    sim.stop().await;
}

#[tokio::test]
async fn a_held_request_stays_in_the_air_until_it_is_let_go() {
    let github = GitHub::start().await;
    github.switch(Switches { hold: true, ..Switches::default() });
    let held = tokio::spawn(told(github.request(KILN)));
    github.sim.arrived(1).await;
    github.sim.world(|world| world.edit("octo-org/kiln", |kiln| kiln.stars = 5));
    assert_eq!(github.sim.requests()[0].status, None);
    github.switch(Switches::default());
    assert_eq!(held.await.unwrap().json()["stargazers_count"], 5);
}

#[tokio::test]
async fn flakiness_is_drawn_from_the_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let github = GitHub::start().await;
        github.switch(Switches { flaky: 0.5, ..Switches::default() });
        let mut outcomes = Vec::new();
        for _ in 0..40 {
            outcomes.push(github.request(KILN).send().await.map(|answer| answer.status().as_u16()).ok());
        }
        runs.push(outcomes);
    }
    assert_eq!(runs[0], runs[1]);
    let good = runs[0].iter().filter(|outcome| **outcome == Some(200)).count();
    assert!((10..30).contains(&good), "{good} of 40 went well");
    assert!(runs[0].contains(&None) && runs[0].contains(&Some(502)), "more than one way to fail");
}

#[tokio::test]
async fn a_primary_limit_can_be_forced() {
    let github = GitHub::start().await;
    let limit = PrimaryLimit { remaining: Some(0), status: 429 };
    github.switch(Switches { primary_limit: limit, ..Switches::default() });
    let refused = github.get_as_octocat(KILN).await;
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (429, Some("0")));
    assert!(refused.json()["message"].as_str().unwrap().starts_with("API rate limit exceeded for user ID"));
    assert_eq!(github.graphql(TWO).await.json()["errors"][0]["type"], "RATE_LIMIT");
    let limit = PrimaryLimit { remaining: Some(10), ..limit };
    github.switch(Switches { primary_limit: limit, ..Switches::default() });
    assert_eq!(github.get_as_octocat(KILN).await.header("x-ratelimit-remaining"), Some("9"));
}

#[tokio::test]
async fn a_secondary_limit_can_be_forced_with_and_without_a_time_to_wait() {
    let github = GitHub::start().await;
    let limit = SecondaryLimit { when: When::Next(1), status: 429, retry_after_s: Some(17) };
    github.switch(Switches { secondary_limit: limit, ..Switches::default() });
    let refused = github.get_as_octocat(KILN).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("17")));
    assert_eq!(github.get_as_octocat(KILN).await.status, 200);
    let limit = SecondaryLimit { when: When::Always, retry_after_s: None, ..SecondaryLimit::default() };
    github.switch(Switches { secondary_limit: limit, ..Switches::default() });
    let refused = github.graphql(TWO).await;
    assert_eq!((refused.status, refused.header("retry-after")), (403, None));
}

#[tokio::test]
async fn a_limit_can_come_as_a_success_in_both_spellings() {
    let github = GitHub::start().await;
    for (spelling, word) in
        [(RateLimitSpelling::RateLimit, "RATE_LIMIT"), (RateLimitSpelling::RateLimited, "RATE_LIMITED")]
    {
        let limited = RateLimited200 { when: When::Next(1), spelling };
        github.switch(Switches { graphql_rate_limited_200: limited, ..Switches::default() });
        let refused = github.graphql(TWO).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["type"]), (200, &json!(word)));
        assert_eq!(refused.json().get("data"), None);
        assert_ne!(refused.header("x-ratelimit-remaining"), Some("0"), "the headers do not give it away");
        assert_eq!(github.graphql(TWO).await.json()["errors"], Value::Null);
    }
}

#[tokio::test]
async fn an_answer_can_be_partial_by_name_or_by_count() {
    let github = GitHub::start().await;
    let partial = Partial { names: vec!["Octo-Org/cinder".to_owned()], ..Partial::default() };
    github.switch(Switches { partial, ..Switches::default() });
    let answer = github.graphql(TWO).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["data"], json!({"a": null, "b": {"name": "kiln"}}));
    assert_eq!(
        (&body["errors"][0]["type"], &body["errors"][0]["path"]),
        (&json!("RESOURCE_LIMITS_EXCEEDED"), &json!(["a"]))
    );

    let partial = Partial { every: Some(2), error: PartialError::Internal, ..Partial::default() };
    github.switch(Switches { partial, ..Switches::default() });
    let body = github.graphql(TWO).await.json();
    assert_eq!(body["data"], json!({"a": {"name": "Cinder"}, "b": null}));
    assert!(body["errors"][0].get("type").is_none());
    assert!(
        body["errors"][0]["message"].as_str().unwrap().starts_with("Something went wrong while executing")
    );
}

#[tokio::test]
async fn a_body_can_break_off_in_the_middle() {
    let github = GitHub::start().await;
    github.switch(Switches { broken_json: When::Next(1), ..Switches::default() });
    let answer = github.graphql(TWO).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json; charset=utf-8"))
    );
    assert!(serde_json::from_str::<Value>(&answer.text).is_err());
    assert_eq!(github.graphql(TWO).await.json()["errors"], Value::Null);
}

#[tokio::test]
async fn a_connection_can_be_cut_amid_a_body_of_any_status() {
    let github = GitHub::start().await;
    let limit = SecondaryLimit { when: When::Always, status: 429, retry_after_s: Some(17) };
    let down = Switches { outage: Outage::Unavailable, outage_retry_after_s: Some(9), ..Switches::default() };
    let cases = [
        (Switches::default(), 200, None),
        (Switches { secondary_limit: limit, ..Switches::default() }, 429, Some("17")),
        (down, 503, Some("9")),
    ];
    for (switches, status, retry_after) in cases {
        github.switch(Switches { cut_body: When::Next(1), ..switches });
        let cut = github.request(KILN).send().await.unwrap();
        let header = |name: &str| cut.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!((cut.status().as_u16(), header("retry-after").as_deref()), (status, retry_after));
        let length: usize = header("content-length").unwrap().parse().unwrap();
        assert!(length > 0 && cut.bytes().await.is_err(), "{status}");
        assert_eq!(github.get(KILN).await.text.len(), length, "{status}: the next one comes whole");
    }
}

#[tokio::test]
async fn credentials_can_go_bad_and_tokens_be_taken_back() {
    let github = GitHub::start().await;
    github.switch(Switches { bad_credentials: true, ..Switches::default() });
    let refused = github.get_as_octocat(KILN).await;
    assert_eq!((refused.status, &refused.json()["message"]), (401, &json!("Bad credentials")));
    assert_eq!(github.sim.requests()[0].actor, None);
    assert_eq!(github.get(KILN).await.status, 200, "no token, no bad token");
    github.switch(Switches::default());
    assert_eq!(github.get_as_octocat(KILN).await.status, 200);
    github.sim.world(|world| world.revoke_token(TOKEN));
    assert_eq!(github.graphql(TWO).await.status, 401);
}

#[tokio::test]
async fn a_stopped_simulator_cuts_what_is_open_and_hanging() {
    let GitHub { sim, client, .. } = GitHub::start().await;
    let url = format!("{}{KILN}", sim.url());
    assert_eq!(told(client.get(&url)).await.status, 200);
    sim.switch(Switches { time_out: When::Next(1), ..Switches::default() });
    let hanging = tokio::spawn(client.get(&url).send());
    sim.arrived(2).await;
    sim.stop().await;
    assert!(hanging.await.unwrap().is_err());
    assert!(client.get(&url).send().await.is_err());
}
