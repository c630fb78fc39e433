//! The addresses under `/_sim`, as another process uses them.

use larder_github_sim::{Outage, Switches, When};
use reqwest::Method;
use serde_json::{Value, json};

use crate::github::{GitHub, Told, told};

async fn ask(github: &GitHub, method: Method, path: &str, body: Value) -> Told {
    let request = github.client.request(method, format!("{}/_sim{path}", github.sim.url()));
    told(if body.is_null() { request } else { request.json(&body) }).await
}

#[tokio::test]
async fn switches_are_read_replaced_and_merged() {
    let github = GitHub::start().await;
    let all_off = ask(&github, Method::GET, "/switches", Value::Null).await.json();
    assert_eq!(
        all_off,
        json!({
            "only": "all", "outage": "off", "outage_retry_after_s": null, "bad_gateway": "never", "time_out": "never", "hold": false,
            "slow_query": null, "latency_ms": 0, "flaky": 0.0,
            "primary_limit": {"remaining": null, "status": 403},
            "secondary_limit": {"when": "never", "status": 403, "retry_after_s": 60},
            "graphql_rate_limited_200": {"when": "never", "type": "RATE_LIMIT"},
            "partial": {"names": [], "every": null, "error": "resource_limits"},
            "taken_down": "never", "broken_json": "never", "cut_body": "never", "bad_credentials": false,
        })
    );
    let put =
        ask(&github, Method::PUT, "/switches", json!({"outage": "dropped", "bad_gateway": {"every": 3}}))
            .await;
    assert_eq!(put.status, 200);
    let wanted = Switches { outage: Outage::Dropped, bad_gateway: When::Every(3), ..Switches::default() };
    assert_eq!(github.sim.switches(), wanted);
    ask(&github, Method::PATCH, "/switches", json!({"outage": "unavailable"})).await;
    assert_eq!(github.sim.switches(), Switches { outage: Outage::Unavailable, ..wanted });
    assert_eq!(github.get("/user").await.status, 503);
    ask(&github, Method::PUT, "/switches", json!({})).await;
    assert_eq!(github.sim.switches(), Switches::default());

    let typo = ask(&github, Method::PUT, "/switches", json!({"outrage": "dropped"})).await;
    assert_eq!(typo.status, 422);
    assert!(typo.json()["message"].as_str().unwrap().contains("unknown field `outrage`"), "{}", typo.text);
    let word = ask(&github, Method::PATCH, "/switches", json!({"outage": "maybe"})).await;
    assert!(word.status == 422 && word.text.contains("maybe"), "{}", word.text);
}

#[tokio::test]
async fn the_log_is_read_and_taken() {
    let github = GitHub::start().await;
    github.get_as_octocat("/repos/octo-org/kiln?x=1").await;
    github.graphql(r#"{ repository(owner: "octo-org", name: "kiln") { name } }"#).await;
    let log = ask(&github, Method::GET, "/requests", Value::Null).await.json();
    assert_eq!(
        log["requests"][0],
        json!({"number": 1, "at_ms": 1_788_220_800_000_i64, "method": "GET", "path": "/repos/octo-org/kiln?x=1",
            "kind": "rest", "status": 200, "repositories": 1, "names": ["octo-org/kiln"], "cost": 1,
            "actor": "octocat", "conditional": false})
    );
    assert_eq!(
        (&log["requests"][1]["kind"], &log["requests"][1]["method"]),
        (&json!("graphql"), &json!("POST"))
    );
    let taken = ask(&github, Method::DELETE, "/requests", Value::Null).await.json();
    assert_eq!(taken, log, "control requests are not logged");
    assert!(github.sim.requests().is_empty());
}

#[tokio::test]
async fn repositories_are_changed_made_renamed_and_removed() {
    let github = GitHub::start().await;
    let id = github.get("/repos/octo-org/kiln").await.json()["id"].clone();
    let patch = json!({"stars": 77, "topics": ["fire"], "id": 5, "full_name": "x/y"});
    let patched = ask(&github, Method::POST, "/repos/octo-org/kiln", patch).await;
    assert_eq!((patched.status, &patched.json()["stars"]), (200, &json!(77)));
    let kiln = github.get("/repos/octo-org/kiln").await.json();
    assert_eq!(
        (&kiln["stargazers_count"], &kiln["topics"], &kiln["id"]),
        (&json!(77), &json!(["fire"]), &id)
    );

    let made = ask(&github, Method::POST, "/repos/octo-org/new", json!({"is_private": true})).await;
    assert_eq!((made.status, &made.json()["full_name"]), (201, &json!("octo-org/new")));
    assert_eq!(github.get("/repos/octo-org/new").await.status, 404, "it is private");
    let typo = ask(&github, Method::POST, "/repos/octo-org/new", json!({"starz": 1})).await;
    assert!(typo.status == 422 && typo.text.contains("starz"), "{}", typo.text);

    let rename = json!({"from": "octo-org/kiln", "to": "hubber/kiln"});
    assert_eq!(ask(&github, Method::POST, "/rename", rename.clone()).await.status, 204);
    assert_eq!(github.get("/repos/octo-org/kiln").await.json()["full_name"], "hubber/kiln", "by redirect");
    assert_eq!(ask(&github, Method::POST, "/rename", rename).await.status, 409);

    assert_eq!(ask(&github, Method::DELETE, "/repos/hubber/kiln", Value::Null).await.status, 204);
    assert_eq!(github.get("/repos/hubber/kiln").await.status, 404);
    assert_eq!(ask(&github, Method::DELETE, "/repos/hubber/kiln", Value::Null).await.status, 404);
    assert_eq!(ask(&github, Method::GET, "/repos/hubber/dotfiles", Value::Null).await.json()["stars"], 0);
}

#[tokio::test]
async fn limits_are_set_and_spending_forgotten() {
    let github = GitHub::start().await;
    let set = ask(&github, Method::PUT, "/limits", json!({"anonymous": 1})).await;
    assert_eq!((set.status, &set.json()["core"]), (200, &json!(5000)));
    assert_eq!(github.get("/users/hubber").await.status, 200);
    assert_eq!(github.get("/users/hubber").await.status, 403);
    assert_eq!(ask(&github, Method::DELETE, "/limits", Value::Null).await.status, 204);
    assert_eq!(github.get("/users/hubber").await.status, 200);
    assert_eq!(ask(&github, Method::GET, "/limits", Value::Null).await.json()["anonymous"], 1);
}
