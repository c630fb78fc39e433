//! Trackers over HTTP: the list and the counts, for those who may see all and for everybody.

use serde_json::{Value, json};

use crate::world::{HOUR, World, header, problem};

fn numbers(list: &Value) -> Vec<u64> {
    list["trackers"].as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn trackers_are_listed_as_the_command_line_lists_them() {
    let world = World::with_trackers().await;
    let served = world.serve().await;
    let releases = served.json("/api/v1/trackers?repo=octo-org/cinder&type=release").await;
    assert_eq!(numbers(&releases), [460, 440, 441, 430], "by number, and of one title the later issue first");
    assert_eq!(
        releases["trackers"][0],
        json!({
            "repo": "octo-org/cinder", "number": 460, "type": "release", "title": "Release: v2.0.0 (Phoenix)",
            "name": "v2.0.0", "version": "v2.0.0", "codename": "Phoenix", "state": "open",
            "created_at": "2019-01-01T00:00:00Z", "closed_at": null,
            "url": releases["trackers"][0]["url"],
        })
    );
    assert_eq!(releases["cache"][0]["key"], "trackers/octo-org/cinder/release");
    assert_eq!(releases["next"], Value::Null);
    for (query, found) in [
        ("type=release&state=closed", vec![430]),
        ("type=release&state=open&repo=Octo-Org/Cinder", vec![460, 440, 441]),
        ("type=microsprint", vec![425]),
        ("repo=octo-org/ember", vec![]),
        ("since=2019-01-02", vec![]),
        ("since=2019-01-01&type=microsprint&state=all", vec![425]),
    ] {
        assert_eq!(numbers(&served.json(&format!("/api/v1/trackers?{query}")).await), found, "{query}");
    }
    let calls = world.calls();
    let mut walked = Vec::new();
    let mut path = "/api/v1/trackers?repo=octo-org/cinder&type=release&limit=1".to_owned();
    loop {
        let page = served.json(&path).await;
        walked.extend(numbers(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/trackers?repo=octo-org/cinder&type=release&limit=1&cursor={next}");
    }
    assert_eq!(walked, [460, 440, 441, 430], "page by page it is the same list");
    assert_eq!(world.calls(), calls, "what is fresh is listed without a call");
}

#[tokio::test]
async fn trackers_are_counted_by_state_and_month() {
    let world = World::with_trackers().await;
    let served = world.serve().await;
    let counts = served.json("/api/v1/trackers/stats?repo=octo-org/cinder").await;
    assert_eq!(
        counts["stats"],
        json!([
            {"type": "release", "open": 3, "closed": 1, "months": {
                "2019-01": {"opened": 4, "closed": 0}, "2026-02": {"opened": 0, "closed": 1}}},
            {"type": "microsprint", "open": 1, "closed": 0, "months": {"2019-01": {"opened": 1, "closed": 0}}},
        ])
    );
    let none = served.json("/api/v1/trackers/stats?repo=octo-org/ember&type=release").await;
    assert_eq!(none["stats"], json!([{"type": "release", "open": 0, "closed": 0, "months": {}}]));
}

#[tokio::test]
async fn an_unchanged_list_is_not_sent_twice_and_a_changed_one_is() {
    let world = World::with_trackers().await;
    let served = world.serve().await;
    let path = "/api/v1/trackers?type=release";
    let first = served.get(path).send().await.unwrap();
    let etag = header(&first, "etag");
    assert!(header(&first, "cache-control").starts_with("private"), "a private repository is among them");
    let again = served.get(path).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    world.clock.advance(HOUR);
    world.sim.world(|github| {
        let now = "2026-03-01T00:00:00Z".parse().unwrap();
        assert!(github.edit_issue("octo-org/cinder", 460, |issue| issue.close(now)));
    });
    let changed =
        served.get(&format!("{path}&refresh=true")).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    let changed: Value = changed.json().await.unwrap();
    assert_eq!(
        changed["trackers"].as_array().unwrap().iter().filter(|one| one["state"] == "closed").count(),
        2
    );
}

#[tokio::test]
async fn what_is_not_configured_or_mistyped_is_refused_by_name() {
    let world = World::with_trackers().await;
    let served = world.serve().await;
    for (query, status, code) in [
        ("repo=octo-org/absent", 404, "unknown_repository"),
        ("repo=kiln", 400, "bad_input"),
        ("type=relaese", 404, "unknown_type"),
        ("state=done", 400, "bad_input"),
        ("since=yesterday", 400, "bad_input"),
        ("limit=0", 400, "bad_input"),
        ("cursor=5..0123456789ab", 404, "unknown_cursor"),
        ("sort=name", 400, "bad_input"),
    ] {
        let response = served.get(&format!("/api/v1/trackers?{query}")).send().await.unwrap();
        problem(response, status, code).await;
    }
    assert_eq!(world.calls(), 0, "nothing was asked of GitHub for it");
}

#[tokio::test]
async fn a_bare_name_is_the_configured_owners() {
    let mut world = World::with_trackers().await;
    let served = world.serve().await;
    let told =
        problem(served.get("/api/v1/trackers?repo=cinder").send().await.unwrap(), 400, "bad_input").await;
    assert_eq!(told["detail"], "`repo`: `cinder` has no owner: write `owner/cinder`");
    world.owner = Some("octo-org");
    let served = world.serve().await;
    for path in ["/api/v1/trackers?type=release", "/api/v1/trackers/stats?type=release"] {
        let whole = served.json(&format!("{path}&repo=octo-org/cinder")).await;
        assert_eq!(served.json(&format!("{path}&repo=Cinder")).await, whole);
        let none = served.get(&format!("{path}&repo=harbor")).send().await.unwrap();
        let told = problem(none, 404, "unknown_repository").await;
        assert_eq!(told["detail"], "no trackers of `harbor` are kept here");
    }
}

#[tokio::test]
async fn everybody_sees_the_trackers_of_public_repositories_alone() {
    let world = World::with_trackers().await;
    let local = world.serve().await;
    local.json("/api/v1/trackers").await;
    let open = world.serve_with(world.open_settings()).await;
    for path in [
        "/api/v1/trackers",
        "/api/v1/trackers?type=release",
        "/api/v1/trackers/stats",
        "/api/v1/entries",
        "/api/v1/entries?source=trackers",
        "/trackers",
        "/cache",
    ] {
        let text = open.get(path).send().await.unwrap().text().await.unwrap();
        assert!(
            !text.contains("vault") && !text.contains("Bunker"),
            "{path} tells of what is private: {text}"
        );
    }
    let list = open.get("/api/v1/trackers").send().await.unwrap();
    assert!(header(&list, "cache-control").starts_with("public"));
    assert_eq!(numbers(&list.json().await.unwrap()).len(), 5);
    let secret = open.get("/api/v1/trackers?repo=octo-org/vault").send().await.unwrap();
    let secret = problem(secret, 404, "unknown_repository").await;
    let absent = open.get("/api/v1/trackers?repo=octo-org/absent").send().await.unwrap();
    let absent = problem(absent, 404, "unknown_repository").await;
    assert_eq!(
        secret.to_string().replace("vault", "absent"),
        absent.to_string(),
        "the two cannot be told apart"
    );
    let key = "trackers/octo-org/vault/release";
    problem(open.get(&format!("/api/v1/entries/{key}")).send().await.unwrap(), 404, "unknown_key").await;
}

#[tokio::test]
async fn nobody_makes_the_server_fetch_what_is_not_configured() {
    let world = World::with_trackers().await;
    let open = world.serve_with(world.open_settings()).await;
    let path = "/api/v1/entries/trackers/octo-org/smoke/release";
    problem(open.get(path).send().await.unwrap(), 404, "unknown_key").await;
    let keys = json!({"keys": ["trackers/octo-org/smoke/release"]});
    let batch: Value = open.post_json("/api/v1/batch", &keys).await.json().await.unwrap();
    assert_eq!(batch["results"][0]["error"]["code"], "unknown_key");
    assert_eq!(world.calls(), 0);
}
