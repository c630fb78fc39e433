//! Every status that the API has, and what it says.

use larder_github_sim::{Outage, SecondaryLimit, Switches, When};
use serde_json::json;

use crate::world::{World, header, problem};

#[tokio::test]
async fn a_cluster_comes_with_its_repositories_and_what_its_row_says() {
    let world = World::new().await;
    let served = world.serve().await;
    let body = served.json("/api/v1/clusters/tools").await;
    assert_eq!(body["cluster"]["id"], "tools");
    assert_eq!(body["repositories"][0]["full_name"], "octo-org/cinder");
    assert_eq!(body["repositories"][0]["stars"], 4821);
    let cache = body["cache"].as_object().unwrap();
    let fields: Vec<&str> = cache.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["key", "fetched_at", "fresh_until", "complete", "attempts", "last_error", "warnings"]
    );
    let entry = served.json("/api/v1/entries/cluster/tools").await;
    assert_eq!(entry["items"][1]["id"].as_str().unwrap().rsplit_once('/').unwrap().1, "ember");
    assert_eq!(entry["cache"], body["cache"]);
}

#[tokio::test]
async fn a_key_may_stand_in_the_path_as_it_is_or_encoded_and_actions_are_read_from_the_right() {
    let world = World::new().await;
    let served = world.serve().await;
    let plain = served.json("/api/v1/entries/cluster/tools").await;
    assert_eq!(served.json("/api/v1/entries/cluster%2Ftools").await, plain);
    for path in
        ["/api/v1/entries/cluster/tools/refresh?wait=1", "/api/v1/entries/cluster%2Ftools/refresh?wait=1"]
    {
        let done = served.post(path).send().await.unwrap();
        assert_eq!(done.status(), 200, "{path}");
    }
    let unknown = served.post("/api/v1/entries/cluster/refresh/refresh").send().await.unwrap();
    assert!(
        problem(unknown, 404, "unknown_key").await["detail"].as_str().unwrap().contains("`cluster/refresh`")
    );
    let action = served.get("/api/v1/entries/cluster/tools/refresh").send().await.unwrap();
    assert_eq!(header(&action, "allow"), "POST");
    problem(action, 405, "method").await;
}

#[tokio::test]
async fn input_that_cannot_be_used_is_refused() {
    let world = World::new().await;
    let served = world.serve().await;
    let bad = [
        "/api/v1/entries/cluster",
        "/api/v1/entries/Cluster/x",
        "/api/v1/repos?limit=0",
        "/api/v1/repos?limit=many",
        "/api/v1/repos?sort=size",
        "/api/v1/repos?cursor=x",
        "/api/v1/repos?colour=red",
        "/api/v1/entries?status=odd",
        "/api/v1/clusters/tools?refresh=perhaps",
    ];
    for path in bad {
        problem(served.get(path).send().await.unwrap(), 400, "bad_input").await;
    }
    for body in [json!({}), json!({"all": false}), json!({"all": true, "tag": "x"}), json!({"keys": ["x"]})] {
        problem(served.post_json("/api/v1/invalidate", &body).await, 400, "bad_input").await;
    }
    problem(served.post_json("/api/v1/batch", &json!({"keys": vec!["a/b"; 101]})).await, 400, "bad_input")
        .await;
    problem(served.post_json("/api/v1/batch", &json!("x")).await, 400, "bad_input").await;
    let text = served.post("/api/v1/batch").body("{\"keys\":[]}").send().await.unwrap();
    problem(text, 415, "media_type").await;
    let large = json!({"keys": ["x".repeat(100_000)]});
    problem(served.post_json("/api/v1/batch", &large).await, 413, "too_large").await;
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let world = World::new().await;
    let served = world.serve().await;
    problem(served.get("/api/v1/entries/cluster/none").send().await.unwrap(), 404, "unknown_key").await;
    problem(served.get("/api/v1/clusters/none").send().await.unwrap(), 404, "unknown_key").await;
    problem(served.get("/api/v1/nothing").send().await.unwrap(), 404, "no_such_path").await;
    let method = served.post("/api/v1/clusters").send().await.unwrap();
    assert_eq!(header(&method, "allow"), "GET,HEAD");
    problem(method, 405, "method").await;
    let method = served.post("/api/v1/entries/cluster/tools").send().await.unwrap();
    assert_eq!(header(&method, "allow"), "GET,HEAD");
    problem(method, 405, "method").await;
}

#[tokio::test]
async fn with_nothing_held_an_outage_is_502_and_a_limit_is_503_with_the_time_to_come_again() {
    let world = World::new().await;
    let served = world.serve().await;
    world.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    let down = served.get("/api/v1/clusters/tools").send().await.unwrap();
    problem(down, 502, "upstream_failed").await;
    let again = served.get("/api/v1/entries/cluster/tools").send().await.unwrap();
    problem(again, 502, "upstream_failed").await;
    problem(served.get("/api/v1/repos").send().await.unwrap(), 502, "upstream_failed").await;

    let secondary_limit = SecondaryLimit { when: When::Always, ..SecondaryLimit::default() };
    world.switch(Switches { secondary_limit, ..Switches::default() });
    let world = World::new().await;
    world.switch(Switches { secondary_limit, ..Switches::default() });
    let served = world.serve().await;
    for _ in 0..2 {
        let limited = served.get("/api/v1/clusters/tools").send().await.unwrap();
        let seconds: u64 = header(&limited, "retry-after").parse().unwrap();
        assert!((50..=61).contains(&seconds), "{seconds}");
        let body = problem(limited, 503, "limited").await;
        assert_eq!(body["retry_after"], seconds);
    }
}

#[tokio::test]
async fn only_if_cached_with_nothing_held_is_504_and_asks_nobody() {
    let world = World::new().await;
    let served = world.serve().await;
    for path in
        ["/api/v1/clusters/tools", "/api/v1/entries/cluster/tools", "/api/v1/repos", "/api/v1/registry"]
    {
        let asked = served.get(path).header("cache-control", "only-if-cached");
        problem(asked.send().await.unwrap(), 504, "not_cached").await;
    }
    assert_eq!(world.calls(), 0);
    served.json("/api/v1/clusters/tools").await;
    let held = served.get("/api/v1/clusters/tools").header("cache-control", "only-if-cached");
    assert_eq!(held.send().await.unwrap().status(), 200);
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_batch_answers_each_key_in_the_order_asked() {
    let world = World::new().await;
    let served = world.serve().await;
    let keys = json!({"keys": ["cluster/mixed", "no key", "cluster/none", "cluster/tools", "cluster/mixed"]});
    for _ in 0..2 {
        let answer = served.post_json("/api/v1/batch", &keys).await;
        assert_eq!(answer.status(), 200);
        let body: serde_json::Value = answer.json().await.unwrap();
        let results = body["results"].as_array().unwrap();
        let asked: Vec<&str> = results.iter().map(|result| result["key"].as_str().unwrap()).collect();
        assert_eq!(asked, ["cluster/mixed", "no key", "cluster/none", "cluster/tools", "cluster/mixed"]);
        let code = |place: usize| results[place]["error"]["code"].as_str();
        assert_eq!((code(1), code(2)), (Some("bad_input"), Some("unknown_key")));
        assert_eq!(results[3]["entry"], served.json("/api/v1/entries/cluster/tools").await);
        assert_eq!(results[0]["entry"]["items"].as_array().unwrap().len(), 2);
        assert_eq!(results[0], results[4]);
        assert!(results[0].get("error").is_none() && results[1].get("entry").is_none());
    }
    assert_eq!(world.calls(), 1, "all that was missing travelled together");
}

#[tokio::test]
async fn tokens_open_what_they_are_for_and_nothing_else() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.read_token = Some("reading-is-allowed".into());
    settings.admin_token = Some("all-is-allowed".into());
    let served = world.serve_with(settings).await;
    let all = json!({"all": true});
    problem(served.post_json("/api/v1/invalidate", &all).await, 401, "credential").await;
    let post = |token: &str| {
        let request = served.post("/api/v1/invalidate").bearer_auth(token);
        request.header("content-type", "application/json").body(all.to_string())
    };
    problem(post("reading-is-allowed").send().await.unwrap(), 403, "admin_only").await;
    problem(post("all-is-allowed-not").send().await.unwrap(), 401, "unknown_token").await;
    assert_eq!(post("all-is-allowed").send().await.unwrap().status(), 200);

    let private = served.get("/api/v1/clusters/bunker");
    problem(private.send().await.unwrap(), 404, "unknown_key").await;
    let reading =
        served.get("/api/v1/clusters/bunker").bearer_auth("reading-is-allowed").send().await.unwrap();
    assert_eq!(header(&reading, "cache-control"), "private, no-cache");
    assert!(reading.text().await.unwrap().contains("octo-org/vault"));
}

#[tokio::test]
async fn a_refresh_by_hand_says_what_it_did() {
    let world = World::new().await;
    let served = world.serve().await;
    let path = "/api/v1/entries/cluster/tools/refresh";
    let done: serde_json::Value =
        served.post(&format!("{path}?wait=1")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&done["refresh"], &done["outcome"]), (&json!("done"), &json!("updated")));
    assert_eq!(done["entry"]["status"], "fresh");
    let started = served.post(path).send().await.unwrap();
    assert_eq!(started.status(), 202);
    assert_eq!(started.json::<serde_json::Value>().await.unwrap()["refresh"], "started");
    world.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    let failed = served.post(&format!("{path}?wait=true")).send().await.unwrap();
    problem(failed, 502, "upstream_failed").await;
    problem(served.post(&format!("{path}?wait=soon")).send().await.unwrap(), 400, "bad_input").await;
    problem(served.post("/api/v1/entries/cluster/none/refresh").send().await.unwrap(), 404, "unknown_key")
        .await;
}

#[tokio::test]
async fn an_invalidation_that_does_not_name_one_thing_is_told_what_it_may_name() {
    let world = World::new().await;
    let served = world.serve().await;
    let whole = "the body cannot be used: name one thing to mark stale, by `keys`, `source`, `tag` or `all`";
    for body in [json!({}), json!({"key": "cluster/tools"}), json!({"all": true, "tag": "owner:octo-org"})] {
        let told = problem(served.post_json("/api/v1/invalidate", &body).await, 400, "bad_input").await;
        assert_eq!(told["detail"], whole, "{body}");
    }
    for (body, says) in [
        (json!({"all": false}), "`all` is `true`"),
        (json!({"keys": ["Cluster"]}), "Cluster"),
        (json!({"tag": null}), "null"),
        (json!(["cluster/tools"]), "invalid type: sequence"),
        (json!("all"), "invalid type: string"),
    ] {
        let told = problem(served.post_json("/api/v1/invalidate", &body).await, 400, "bad_input").await;
        assert!(told["detail"].as_str().unwrap().contains(says), "{body}: {told}");
    }
}

#[tokio::test]
async fn an_invalidation_is_seen_by_the_next_reader() {
    let world = World::new().await;
    let served = world.serve().await;
    for body in
        [json!({"keys": ["cluster/tools"]}), json!({"source": "cluster"}), json!({"tag": "owner:octo-org"})]
    {
        served.json("/api/v1/entries/cluster/tools").await;
        let asked = served.get("/api/v1/entries/cluster/tools").header("cache-control", "only-if-cached");
        assert_eq!(header(&asked.try_clone().unwrap().send().await.unwrap(), "x-cache-hit"), "hit");
        let answer = served.post_json("/api/v1/invalidate", &body).await;
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["invalidated"], 1, "{body}");
        let stale = asked.send().await.unwrap();
        assert_eq!((stale.status().as_u16(), header(&stale, "x-cache-hit")), (200, "stale".to_owned()));
        let done = served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
        assert_eq!(done.status(), 200);
    }
}
