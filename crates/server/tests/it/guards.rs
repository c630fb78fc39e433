//! Whom the server answers, and which pages may make it do something.

use serde_json::json;

use crate::world::{World, header, problem};

#[tokio::test]
async fn a_name_that_is_not_ours_is_not_answered() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.allowed_hosts = vec!["larder.example".to_owned()];
    let served = world.serve_with(settings).await;
    for host in
        ["evil.example", "evil.example:7070", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example"]
    {
        for path in ["/", "/api/v1/clusters", "/metrics", "/healthz", "/nothing"] {
            problem(served.get(path).header("host", host).send().await.unwrap(), 421, "foreign_host").await;
        }
    }
    for host in
        ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:7070", "larder.localhost", "Larder.Example:443"]
    {
        let answer = served.get("/healthz").header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{host}");
    }
    assert_eq!(world.calls(), 0);
}

#[tokio::test]
async fn another_sites_page_makes_nothing_happen() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    let host = served.url.trim_start_matches("http://").to_owned();
    // <img src="…?refresh=true">
    for path in [
        "/api/v1/clusters/tools?refresh=true",
        "/api/v1/entries/cluster/tools?refresh=true",
        "/api/v1/repos?refresh=true",
    ] {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
        ] {
            let image = served.get(path).header(name, value).send().await.unwrap();
            problem(image, 403, "foreign_origin").await;
        }
    }
    // fetch(…, {mode: "no-cors", cache: "reload"})
    let reload = served.get("/api/v1/clusters/tools").header("sec-fetch-site", "cross-site");
    for control in ["no-cache", "max-age=0"] {
        let answer = reload.try_clone().unwrap().header("cache-control", control).send().await.unwrap();
        assert_eq!(header(&answer, "x-cache-hit"), "hit", "{control}");
        assert_eq!(header(&answer, "cross-origin-resource-policy"), "same-origin");
    }
    // <form method="post" …>
    let post = served.post("/api/v1/entries/cluster/tools/refresh");
    for origin in
        ["https://evil.example", "null", &format!("http://{host}.evil.example"), "http://127.0.0.1:1"]
    {
        let form = post.try_clone().unwrap().header("origin", origin).send().await.unwrap();
        problem(form, 403, "foreign_origin").await;
    }
    let body = json!({"all": true});
    let json =
        served.post("/api/v1/invalidate").header("content-type", "application/json").body(body.to_string());
    let foreign = json.try_clone().unwrap().header("sec-fetch-site", "cross-site");
    problem(foreign.send().await.unwrap(), 403, "foreign_origin").await;
    assert_eq!(world.calls(), 1);

    let own =
        json.header("origin", &served.url).header("sec-fetch-site", "same-origin").send().await.unwrap();
    assert_eq!(own.status(), 200);
}

/// Ways to write `refresh=true`.
const SPELLINGS: [&str; 5] =
    ["refresh=true", "%72efresh=true", "refres%68=tru%65", "&refresh=true&", "%72%65%66%72%65%73%68=%74rue"];

#[tokio::test]
async fn however_another_sites_page_writes_refresh_no_route_fetches_for_it() {
    let mut world = World::with_markets().await;
    world.tracked = vec!["cinder"];
    world.skill("kiln", "pdf", "Fills forms");
    let served = world.serve().await;
    let document = served.json("/openapi.json").await;
    let project = served.json("/api/v1/projects").await["projects"][0]["id"].as_str().unwrap().to_owned();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let takes = methods["get"]["parameters"].as_array();
        if takes.is_some_and(|takes| takes.iter().any(|one| one["name"] == "refresh")) {
            let id = if path.contains("projects") { &project } else { "tools" };
            routes.push(path.replace("{key}", "cluster/tools").replace("{id}", id));
        }
    }
    assert_eq!(routes.len(), 11, "{routes:?}");
    let before = world.calls();
    for route in &routes {
        for spelling in SPELLINGS {
            for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
                let image = served.get(&format!("{route}?{spelling}")).header(name, value);
                problem(image.send().await.unwrap(), 403, "foreign_origin").await;
            }
        }
    }
    assert_eq!(world.calls(), before);
    for route in &routes {
        let own = served.get(&format!("{route}?{}", SPELLINGS[1])).header("sec-fetch-site", "same-origin");
        assert_eq!(own.send().await.unwrap().status(), 200, "{route}");
    }
    assert!(world.calls() > before);
}

#[tokio::test]
async fn a_forwarded_request_is_not_the_local_users() {
    let world = World::new().await;
    let served = world.serve().await;
    assert_eq!(served.get("/api/v1/clusters/bunker").send().await.unwrap().status(), 200);
    let with = async |name: &str| {
        served.get("/api/v1/clusters/bunker").header(name, "for=203.0.113.9").send().await.unwrap()
    };
    for name in [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded",
        "x-original-forwarded-for",
        "x-original-host",
        "x-envoy-external-address",
        "x-amzn-trace-id",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-ray",
        "fly-client-ip",
        "cdn-loop",
        "forwarded",
        "via",
    ] {
        problem(with(name).await, 404, "unknown_key").await;
    }
    for name in ["x-forward", "x-real", "vial", "x-request-id", "traceparent"] {
        assert_eq!(with(name).await.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_strict_headers() {
    let world = World::new().await;
    let served = world.serve().await;
    for path in ["/api/v1/clusters", "/nothing", "/docs", "/metrics"] {
        let answer = served.get(path).send().await.unwrap();
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&answer, "x-frame-options"), "DENY");
        assert!(header(&answer, "content-security-policy").contains("default-src 'none'"));
    }
}
