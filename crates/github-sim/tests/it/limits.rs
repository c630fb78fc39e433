//! Limits that are reached honestly, by asking too much.

use std::sync::atomic::Ordering;

use larder_github_sim::{Limits, RateLimitSpelling, RateLimited200, SecondaryLimit, Switches};
use serde_json::json;

use crate::github::{GitHub, START_MS, told, world};

const KILN: &str = "/repos/octo-org/kiln";

#[tokio::test]
async fn without_a_token_an_hour_has_sixty_requests() {
    let github = GitHub::start().await;
    for used in 1..=60 {
        let answer = github.get(KILN).await;
        assert_eq!(
            (answer.status, answer.header("x-ratelimit-used")),
            (200, Some(used.to_string().as_str()))
        );
    }
    let refused = github.get(KILN).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.json()["message"].as_str().unwrap().starts_with("API rate limit exceeded for 127.0.0.1.")
    );
    assert_eq!(refused.header("x-ratelimit-limit"), Some("60"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(refused.header("x-ratelimit-resource"), Some("core"));
    let reset: i64 = refused.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert_eq!(reset, START_MS / 1_000 + 3_600);

    assert_eq!(
        github.get_as_octocat(KILN).await.header("x-ratelimit-remaining"),
        Some("4999"),
        "another budget"
    );
    github.clock_ms.store(reset * 1_000 - 1, Ordering::SeqCst);
    assert_eq!(github.get(KILN).await.status, 403, "a millisecond early");
    github.clock_ms.store(reset * 1_000, Ordering::SeqCst);
    assert_eq!(github.get(KILN).await.header("x-ratelimit-remaining"), Some("59"));
}

#[tokio::test]
async fn a_304_is_free_with_a_token_and_costs_one_without() {
    let github = GitHub::start().await;
    let with = github.get_as_octocat(KILN).await.header("etag").unwrap().to_owned();
    let without = github.get(KILN).await.header("etag").unwrap().to_owned();
    let answer =
        told(github.request(KILN).bearer_auth("token-of-octocat").header("if-none-match", &with)).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-used")), (304, Some("1")));
    let answer = told(github.request(KILN).header("if-none-match", &without)).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-used")), (304, Some("2")));
    let costs: Vec<u64> = github.sim.requests().iter().map(|request| request.cost).collect();
    assert_eq!(costs, [1, 1, 0, 1]);
}

#[tokio::test]
async fn the_state_of_the_limits_is_told_for_nothing() {
    let github = GitHub::start().await;
    github.get_as_octocat(KILN).await;
    github.graphql("{ viewer { login } }").await;
    for _ in 0..3 {
        let answer = github.get_as_octocat("/rate_limit").await.json();
        assert_eq!(
            (&answer["rate"]["used"], &answer["resources"]["core"]["remaining"]),
            (&json!(1), &json!(4999))
        );
        assert_eq!(answer["resources"]["graphql"]["used"], 1);
    }
    let anonymous = github.get("/rate_limit").await.json();
    assert_eq!(
        (&anonymous["rate"]["limit"], &anonymous["resources"]["graphql"]["limit"]),
        (&json!(60), &json!(0))
    );
}

#[tokio::test]
async fn an_exhausted_graphql_budget_is_told_with_a_success() {
    let limits = Limits { graphql: 2, ..Limits::default() };
    let github = GitHub::with(world(), limits).await;
    github.graphql("{ viewer { login } }").await;
    assert_eq!(github.graphql("{ viewer { login } }").await.header("x-ratelimit-remaining"), Some("0"));
    let refused = github.graphql("{ viewer { login } }").await;
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (200, Some("0")));
    assert_eq!(refused.json()["errors"][0]["type"], "RATE_LIMIT");
    assert_eq!(refused.json()["errors"][0]["code"], "graphql_rate_limit");

    let spelling = RateLimitSpelling::RateLimited;
    let older = RateLimited200 { spelling, ..RateLimited200::default() };
    github.switch(Switches { graphql_rate_limited_200: older, ..Switches::default() });
    assert_eq!(github.graphql("{ viewer { login } }").await.json()["errors"][0]["type"], "RATE_LIMITED");
    github.pass_s(3_600);
    assert_eq!(github.graphql("{ viewer { login } }").await.json()["errors"], json!(null));
}

#[tokio::test]
async fn two_tokens_of_one_user_share_one_budget() {
    let mut world = world();
    world.add_token("second", larder_github_sim::Token::of("Octocat"));
    let github = GitHub::with(world, Limits::default()).await;
    github.get_as_octocat(KILN).await;
    let second = told(github.request(KILN).bearer_auth("second")).await;
    assert_eq!(second.header("x-ratelimit-used"), Some("2"));
}

#[tokio::test]
async fn too_many_points_in_a_minute_meet_the_secondary_limit() {
    let limits = Limits { rest_points_a_minute: 3, ..Limits::default() };
    let github = GitHub::with(world(), limits).await;
    for _ in 0..3 {
        assert_eq!(github.get_as_octocat(KILN).await.status, 200);
    }
    let refused = github.get_as_octocat(KILN).await;
    assert_eq!((refused.status, refused.header("retry-after")), (403, Some("60")));
    assert!(
        refused.json()["message"].as_str().unwrap().starts_with("You have exceeded a secondary rate limit")
    );
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("4997"), "the hour is far from used up");
    assert_eq!(github.graphql("{ viewer { login } }").await.status, 200, "GraphQL's minute is its own");
    github.pass_s(60);
    assert_eq!(github.get_as_octocat(KILN).await.status, 200);
}

#[tokio::test]
async fn too_many_requests_at_once_meet_the_secondary_limit() {
    let github = GitHub::with(world(), Limits { concurrent: 2, ..Limits::default() }).await;
    let shape = SecondaryLimit { status: 429, retry_after_s: None, ..SecondaryLimit::default() };
    github.switch(Switches { hold: true, secondary_limit: shape, ..Switches::default() });
    let flights: Vec<_> =
        (0..3).map(|_| tokio::spawn(told(github.request(KILN).bearer_auth("token-of-octocat")))).collect();
    github.sim.arrived(3).await;
    github.switch(Switches { secondary_limit: shape, ..Switches::default() });
    let mut statuses = Vec::new();
    for flight in flights {
        let answer = flight.await.unwrap();
        assert_eq!(answer.header("retry-after"), None);
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(github.get_as_octocat(KILN).await.status, 200, "those that ended are counted out");
}
