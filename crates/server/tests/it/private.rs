//! Off loopback, without a credential: public items only, on every route, event and metric.

use std::time::Duration;

use larder_core::{Key, Trigger};
use larder_domain::{ClusterConfig, RepoName};
use larder_github_sim::{Issue, Outage, Switches};
use larder_server::Settings;
use larder_testkit::{Fault, Step};
use serde_json::{Value, json};

use crate::world::{HOUR, MINUTE, Served, World, header, problem};

const SECRETS: [&str; 4] = ["vault", "bunker", "Bunker plans", "Plans of"];

fn tells_nothing(text: &str, from: &str) {
    for secret in SECRETS {
        let around =
            text.find(secret).map(|at| text[..at + secret.len()].chars().rev().take(160).collect::<String>());
        let around = around.map(|around| around.chars().rev().collect::<String>());
        assert_eq!(around, None, "{from} tells `{secret}`");
    }
}

async fn text(served: &Served, path: &str) -> String {
    served.get(path).send().await.unwrap().text().await.unwrap()
}

const ROUTES: [&str; 18] = [
    "/",
    "/cache",
    "/api/v1/clusters",
    "/api/v1/clusters/tools",
    "/api/v1/clusters/mixed",
    "/api/v1/registry",
    "/api/v1/repos",
    "/api/v1/repos?search=plans",
    "/api/v1/repos?topic=vaulting",
    "/api/v1/repos?sort=stars&limit=1",
    "/api/v1/entries",
    "/api/v1/entries?status=fresh",
    "/api/v1/entries/cluster/mixed",
    "/api/v1/stats",
    "/metrics",
    "/readyz",
    "/docs",
    "/openapi.json",
];

#[tokio::test]
async fn no_answer_names_what_is_private() {
    let world = World::new().await;
    let local = world.serve().await;
    for id in ["tools", "mixed", "bunker"] {
        local.json(&format!("/api/v1/clusters/{id}")).await;
    }
    assert!(text(&local, "/api/v1/repos").await.contains("vault"));
    let open = world.serve_with(world.open_settings()).await;
    for path in ROUTES {
        tells_nothing(&text(&open, path).await, path);
    }
    let mixed = open.json("/api/v1/clusters/mixed").await;
    assert_eq!(mixed["repositories"].as_array().unwrap().len(), 1);
    let entries = open.json("/api/v1/entries").await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 2);
    // What shows nothing public is as unknown as what is not there.
    let secret =
        problem(open.get("/api/v1/entries/cluster/bunker").send().await.unwrap(), 404, "unknown_key").await;
    let absent =
        problem(open.get("/api/v1/entries/cluster/absent").send().await.unwrap(), 404, "unknown_key").await;
    assert_eq!(
        secret.to_string().replace("bunker", "absent"),
        absent.to_string(),
        "the two cannot be told apart"
    );
    for control in ["only-if-cached", "no-cache", "only-if-cached, max-age=0"] {
        let asked = open.get("/api/v1/clusters/bunker").header("cache-control", control);
        problem(asked.send().await.unwrap(), 404, "unknown_key").await;
    }
    problem(open.post("/api/v1/entries/cluster/bunker/refresh").send().await.unwrap(), 404, "unknown_key")
        .await;
    let batch = open.post_json("/api/v1/batch", &json!({"keys": ["cluster/mixed", "cluster/bunker"]})).await;
    let batch: serde_json::Value = batch.json().await.unwrap();
    tells_nothing(&batch["results"][0].to_string(), "a batch");
    assert_eq!(batch["results"][1]["error"]["code"], "unknown_key");
    problem(open.post_json("/api/v1/invalidate", &json!({"all": true})).await, 403, "admin_only").await;
    let mixed = open.get("/api/v1/clusters/mixed").send().await.unwrap();
    assert!(header(&mixed, "cache-control").starts_with("public"), "what is left is for everybody");
}

#[tokio::test]
async fn nor_does_an_answer_that_went_wrong() {
    let world = World::new().await;
    let local = world.serve().await;
    let open = world.serve_with(world.open_settings()).await;
    local.json("/api/v1/clusters").await;
    world.sim.world(|world| world.remove("octo-org/vault"));
    local.post("/api/v1/entries/cluster/mixed/refresh?wait=1").send().await.unwrap();
    local.post("/api/v1/entries/cluster/bunker/refresh?wait=1").send().await.unwrap();
    assert!(text(&local, "/api/v1/entries").await.contains("octo-org/vault"), "its end is a warning");
    for path in ROUTES {
        tells_nothing(&text(&open, path).await, path);
    }
    world.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    world.clock.advance(2 * HOUR);
    for id in ["mixed", "bunker"] {
        local.post(&format!("/api/v1/entries/cluster/{id}/refresh?wait=1")).send().await.unwrap();
    }
    for path in ROUTES {
        tells_nothing(&text(&open, path).await, path);
    }
}

#[tokio::test]
async fn a_cold_server_tells_no_more_than_a_warm_one() {
    let world = World::new().await;
    let open = world.serve_with(world.open_settings()).await;
    world.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    for path in ROUTES {
        tells_nothing(&text(&open, path).await, path);
    }
    world.switch(Switches::default());
    world.clock.advance(HOUR);
    for path in ROUTES {
        tells_nothing(&text(&open, path).await, path);
    }
    problem(open.get("/api/v1/clusters/bunker").send().await.unwrap(), 404, "unknown_key").await;
}

#[tokio::test]
async fn a_list_of_which_nothing_is_held_names_nothing() {
    let mut world = World::with_markets().await;
    world.tracked = vec!["ember", "vault"];
    world.say_index("{");
    world.markets.retain(|market| market.name == "mine");
    world.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    let open = world.serve_with(world.open_settings()).await;
    let lists = ["clusters", "registry", "repos", "trackers", "trackers/stats", "marketplace"];
    for list in lists {
        let told = text(&open, &format!("/api/v1/{list}")).await;
        tells_nothing(&told, list);
        for name in ["tools", "ember", "mine"] {
            assert!(!told.contains(name), "{list} tells `{name}`: {told}");
        }
    }
    let local = world.serve().await;
    assert!(text(&local, "/api/v1/trackers").await.contains("`trackers/octo-org/ember/release`"));
}

#[tokio::test]
async fn trackers_that_nobody_has_seen_yet_are_unknown_until_they_show_something_public() {
    let mut world = World::with_trackers().await;
    world.tracked = vec!["vault"];
    world.sim.world(|github| github.remove("octo-org/vault"));
    let open = world.serve_with(world.open_settings()).await;
    for outage in [Outage::Unavailable, Outage::Off] {
        world.switch(Switches { outage, ..Switches::default() });
        world.clock.advance(HOUR);
        for path in [
            "/api/v1/entries/trackers/octo-org/NAME/release",
            "/api/v1/entries/trackers/octo-org/NAME/release/items",
            "/api/v1/trackers?repo=octo-org/NAME",
            "/api/v1/trackers/stats?repo=octo-org/NAME",
        ] {
            let path = |name: &str| path.replace("NAME", name);
            let of = async |name: &str| {
                let answer = open.get(&path(name)).send().await.unwrap();
                (answer.status(), answer.text().await.unwrap().replace(name, "NAME"))
            };
            assert_eq!(of("vault").await, of("nothing").await, "{} {outage:?}", path("vault"));
        }
        for query in ["", "?wait=1"] {
            let path = format!("/api/v1/entries/trackers/octo-org/vault/release/refresh{query}");
            problem(open.post(&path).send().await.unwrap(), 404, "unknown_key").await;
        }
    }
    let list = open.json("/api/v1/trackers").await;
    assert_eq!((&list["trackers"], &list["cache"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_is_refused_and_not_taken_for_nobodys() {
    let world = World::new().await;
    let settings = Settings { read_token: Some("reader".into()), ..world.open_settings() };
    let open = world.serve_with(settings).await;
    for path in ["/api/v1/clusters", "/api/v1/clusters/mixed", "/api/v1/events", "/metrics"] {
        for _ in 0..2 {
            let refused = open.get(path).bearer_auth("worn-out").send().await.unwrap();
            let challenge = header(&refused, "www-authenticate");
            problem(refused, 401, "unknown_token").await;
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
            assert_eq!(open.get(path).bearer_auth("reader").send().await.unwrap().status(), 200, "{path}");
        }
    }
    assert_eq!(open.get("/healthz").bearer_auth("worn-out").send().await.unwrap().status(), 200);
    let all = world.serve_with(world.open_settings()).await;
    let proxys = all.get("/api/v1/clusters").bearer_auth("a proxy's own").send().await.unwrap();
    assert_eq!(proxys.status(), 200, "where no token is configured none is looked at");
}

#[tokio::test]
async fn figures_do_not_tell_of_private_entries() {
    let world = World::new().await;
    let local = world.serve().await;
    local.json("/api/v1/clusters/tools").await;
    let open = world.serve_with(world.open_settings()).await;
    open.json("/api/v1/clusters/tools").await;
    let figures = async || {
        let stats = open.json("/api/v1/stats").await;
        let metrics = text(&open, "/metrics").await;
        let is_of_cache =
            |line: &&str| line.starts_with("larder_entries") || line.starts_with("larder_memory");
        let gauges = metrics.lines().filter(is_of_cache);
        (stats["entries"].clone(), stats["memory"].clone(), gauges.collect::<Vec<_>>().join("\n"))
    };
    let before = figures().await;
    problem(open.get("/api/v1/clusters/bunker").send().await.unwrap(), 404, "unknown_key").await;
    assert_eq!(figures().await, before);
}

#[tokio::test]
async fn nobody_in_particular_has_trackers_fetched_that_are_not_configured() {
    let mut world = World::with_trackers().await;
    world.tracked = vec!["cinder"];
    let open = world.serve_with(world.open_settings()).await;
    for query in ["", "?wait=1"] {
        for name in ["vault", "nothing-of-this-name", "ember"] {
            let path = format!("/api/v1/entries/trackers/octo-org/{name}/release");
            problem(open.get(&path).send().await.unwrap(), 404, "unknown_key").await;
            let refresh = format!("{path}/refresh{query}");
            problem(open.post(&refresh).send().await.unwrap(), 404, "unknown_key").await;
        }
    }
    assert_eq!(world.calls(), 0);
    let configured = open.post("/api/v1/entries/trackers/octo-org/cinder/release/refresh?wait=1");
    assert_eq!(configured.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn nobodys_question_reads_members_that_did_not_change() {
    let mut world = World::with_trackers().await;
    world.tracked = vec!["cinder"];
    let local = world.serve().await;
    local.json("/api/v1/clusters").await;
    local.json("/api/v1/trackers").await;
    let (open, store) = world.serve_faulty(world.open_settings()).await;
    let known = open.json("/api/v1/entries").await;
    let trackers = open.json("/api/v1/trackers").await;
    let read = store.lookups();
    // Other questions about the same: none of the answers is one that was kept.
    let fresh = open.json("/api/v1/entries?status=fresh").await;
    assert_eq!(fresh["entries"].as_array().unwrap().len(), known["entries"].as_array().unwrap().len());
    let few = open.json("/api/v1/trackers?limit=1").await;
    assert_eq!(few["cache"], trackers["cache"]);
    open.json("/api/v1/entries?limit=1").await;
    open.json("/api/v1/repos?search=event").await;
    assert_eq!(store.lookups(), read);
    // What became private is unknown at once, and what was known of it does not hold any more.
    world.sim.world(|github| github.edit("octo-org/cinder", |cinder| cinder.is_private = true));
    world.sim.world(|github| github.edit("octo-org/ember", |ember| ember.is_private = true));
    world.clock.advance(HOUR);
    local.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    let entries = text(&open, "/api/v1/entries").await;
    assert!(known.to_string().contains("cluster/tools") && !entries.contains("cluster/tools"), "{entries}");
}

#[tokio::test]
async fn how_many_items_a_refresh_met_is_not_told_to_everybody() {
    let world = World::new().await;
    let local = world.serve().await;
    local.json("/api/v1/clusters/mixed").await;
    let open = world.serve_with(world.open_settings()).await;
    assert!(text(&local, "/cache").await.contains("2 seen"));
    let told = text(&open, "/cache").await;
    assert!(told.contains("cluster/mixed") && !told.contains(" seen"), "one of the two is private");
}

#[tokio::test]
async fn no_event_names_what_is_private() {
    let world = World::new().await;
    let mut settings = world.open_settings();
    settings.watch_every = Duration::from_millis(5);
    let open = world.serve_with(settings).await;
    let mut events = open.events().await;
    let (_, other) = world.process();
    let keys: Vec<Key> =
        ["bunker", "mixed", "tools"].map(|id| format!("cluster/{id}").parse().unwrap()).to_vec();
    let mut heard = Vec::new();
    for _ in 0..2 {
        for key in &keys {
            other.refresh(std::slice::from_ref(key), Trigger::Manual, |_| {}).await;
        }
        world.sim.world(|world| world.edit("octo-org/vault", |vault| vault.stars += 1));
    }
    other.evict(&larder_core::Target::Keys(keys[..1].to_vec())).await.unwrap();
    other.invalidate(&larder_core::Target::All).await.unwrap();
    loop {
        let event = events.next().await;
        let last = event.data["all"] == true && event.data["what"] == "invalidated";
        heard.push(event);
        if last {
            break;
        }
    }
    tells_nothing(&format!("{heard:?}"), "the stream");
    assert!(heard.iter().any(|event| event.data["key"] == "cluster/mixed"));
    let mut again = open.events_from(open.get("/api/v1/events").header("last-event-id", "0")).await;
    loop {
        let event = again.next().await;
        tells_nothing(&format!("{event:?}"), "the stream from its beginning");
        if event.data["all"] == true && event.data["what"] == "invalidated" {
            break;
        }
    }
}

#[tokio::test]
async fn what_became_private_while_a_list_was_made_is_not_on_it() {
    let mut world = World::with_markets().await;
    world.tracked = vec!["cinder"];
    let release = Issue { labels: vec!["release".to_owned()], ..Issue::new(430, "Release: v0.9.0") };
    world.sim.world(|github| assert!(github.add_issues("octo-org/cinder", [release])));
    let local = world.serve().await;
    // Nothing is answered from memory, before the store is asked.
    let mut settings = world.open_settings();
    settings.memory_bytes_max = 0;
    let (open, store) = world.serve_faulty(settings).await;
    for (path, list) in [
        ("/api/v1/repos?topic=events", "repositories"),
        ("/api/v1/trackers?type=release", "trackers"),
        ("/api/v1/trackers/stats?type=release", "stats"),
        ("/api/v1/marketplace?marketplace=public", "artifacts"),
    ] {
        let refresh = format!("{path}&refresh=true");
        let mut tries = 0;
        let (public, asking) = loop {
            set_private(&world, false);
            let public = local.json(&refresh).await[list].to_string();
            // Whose items are shown is known now, and the items are not read yet.
            store.inflict(Fault::Late, &[Step::Lookup]);
            let asking = tokio::spawn(open.get(path).send());
            while store.waiting() == 0 && !asking.is_finished() {
                tokio::task::yield_now().await;
            }
            if store.waiting() > 0 {
                break (public, asking);
            }
            // It was answered before word of the change had come: there must be another.
            store.mend();
            set_private(&world, true);
            local.json(&refresh).await;
            tries += 1;
            assert!(tries < 50, "{path} is never looked up");
        };
        set_private(&world, true);
        local.json(&refresh).await;
        store.mend();
        let answer = asking.await.unwrap().unwrap();
        assert!(header(&answer, "cache-control").starts_with("public"), "{path}");
        let told = answer.json::<Value>().await.unwrap()[list].to_string();
        let nothing = ["[]", r#"[{"type":"release","open":0,"closed":0,"months":{}}]"#];
        assert!(nothing.contains(&&*told) && !nothing.contains(&&*public), "{path}: {told} of {public}");
    }
}

fn set_private(world: &World, is_private: bool) {
    world
        .sim
        .world(|github| assert!(github.edit("octo-org/cinder", |cinder| cinder.is_private = is_private)));
}

/// A world in which everybody may see nothing: a cluster, trackers and a marketplace of the private vault.
async fn secretive() -> World {
    let mut world = World::with_markets().await;
    world.markets.retain(|market| market.name == "secret");
    world.tracked = vec!["vault"];
    let repos = vec![RepoName::parse("octo-org/vault", None).unwrap()];
    world.large = vec![ClusterConfig { id: "bunker".to_owned(), repos, ..ClusterConfig::default() }];
    let release = Issue { labels: vec!["release".to_owned()], ..Issue::new(1, "Release: v1.0.0") };
    world.sim.world(|github| assert!(github.add_issues("octo-org/vault", [release])));
    world
}

#[tokio::test]
async fn nobody_has_anything_fetched_that_they_may_not_see_whatever_they_wish() {
    let world = secretive().await;
    let entries = [
        "/api/v1/clusters/bunker",
        "/api/v1/entries/cluster/bunker",
        "/api/v1/entries/trackers/octo-org/vault/release",
        "/api/v1/entries/trackers/octo-org/vault/microsprint",
        "/api/v1/entries/marketplace/secret",
    ];
    let local = world.serve().await;
    for path in entries {
        local.json(path).await;
    }
    let open = world.serve_with(world.open_settings()).await;
    world.clock.advance(MINUTE);
    let calls = world.calls();
    let wishes = ["no-cache", "max-age=0", "max-age=40", "max-age=40, stale-if-error=0", "max-stale=0"];
    for path in entries {
        for wish in wishes {
            let asked = open.get(path).header("cache-control", wish);
            problem(asked.send().await.unwrap(), 404, "unknown_key").await;
        }
        problem(open.get(path).header("pragma", "no-cache").send().await.unwrap(), 404, "unknown_key").await;
        problem(open.get(&format!("{path}?refresh=true")).send().await.unwrap(), 404, "unknown_key").await;
        let head = open.head(&format!("{path}?refresh=true")).send().await.unwrap();
        assert_eq!(head.status(), 404);
        if path.contains("/entries/") {
            for wait in ["", "?wait=1"] {
                let refresh = open.post(&format!("{path}/refresh{wait}")).send().await.unwrap();
                problem(refresh, 404, "unknown_key").await;
            }
        }
    }
    let keys = json!({"keys": ["cluster/bunker", "trackers/octo-org/vault/release"]});
    let batch = open.post("/api/v1/batch").header("content-type", "application/json");
    let batch = batch.header("cache-control", "no-cache").body(keys.to_string()).send().await.unwrap();
    let batch: Value = batch.json().await.unwrap();
    assert!(batch["results"].as_array().unwrap().iter().all(|one| one["error"]["code"] == "unknown_key"));
    for list in [
        "clusters",
        "registry",
        "repos",
        "repos?search=plans",
        "trackers",
        "trackers?repo=octo-org/vault",
        "trackers/stats",
        "projects",
        "projects/kiln",
        "artifacts",
        "marketplace",
        "marketplace?marketplace=secret",
    ] {
        let sign = if list.contains('?') { '&' } else { '?' };
        let forced = open.get(&format!("/api/v1/{list}{sign}refresh=true")).send().await.unwrap();
        let fresh = header(&forced, "x-cache-hit");
        assert!(fresh.is_empty() || fresh == "hit", "{list}: {fresh}");
        tells_nothing(&forced.text().await.unwrap().replace("octo-org/vault", ""), list);
        for wish in wishes {
            let path = format!("/api/v1/{list}");
            open.get(&path).header("cache-control", wish).send().await.unwrap();
        }
    }
    for page in
        ["/", "/?part=card&key=cluster/bunker", "/clusters/bunker", "/trackers", "/projects", "/cache"]
    {
        // Forms come back to the address that was asked for.
        tells_nothing(&text(&open, page).await.replace(&format!("value=\"{page}\""), ""), page);
    }
    assert_eq!(world.calls(), calls);
}

#[tokio::test]
async fn nobody_waits_for_what_they_may_not_see_and_that_it_became_public_is_found_out_all_the_same() {
    let mut world = World::new().await;
    world.policy.stale_while_revalidate = Some(Duration::ZERO);
    world.clock.wait_by_hand(Duration::from_millis(500));
    let local = world.serve().await;
    local.json("/api/v1/clusters/bunker").await;
    world.sim.world(|github| github.edit("octo-org/vault", |vault| vault.is_private = false));
    world.clock.advance(2 * HOUR);
    let open = world.serve_with(world.open_settings()).await;
    world.switch(Switches { hold: true, ..Switches::default() });
    let calls = world.calls() as u64;
    for wish in ["x", "no-cache", "max-age=40", "max-stale=1", "only-if-cached"] {
        let asked = open.get("/api/v1/clusters/bunker").header("cache-control", wish);
        problem(asked.send().await.unwrap(), 404, "unknown_key").await;
    }
    world.sim.arrived(calls + 1).await;
    world.switch(Switches::default());
    for _ in 0..10_000 {
        if open.get("/api/v1/clusters/bunker").send().await.unwrap().status() == 200 {
            assert_eq!(world.calls() as u64, calls + 1);
            return;
        }
    }
    panic!("it stays what it was");
}

#[tokio::test]
async fn a_first_refresh_by_hand_finds_out_who_may_know_of_it_before_it_says_anything() {
    let world = World::new().await;
    let open = world.serve_with(world.open_settings()).await;
    for wait in ["", "?wait=1"] {
        let path = format!("/api/v1/entries/cluster/bunker/refresh{wait}");
        problem(open.post(&path).send().await.unwrap(), 404, "unknown_key").await;
    }
    let calls = world.calls();
    for refresh in ["done", "recent"] {
        let answer = open.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["refresh"], &body["entry"]["key"]), (&refresh.into(), &"cluster/tools".into()));
    }
    assert_eq!(world.calls(), calls + 1, "it is fetched once");
}

#[tokio::test]
async fn what_a_signed_in_reader_had_looked_at_is_nobody_elses_business() {
    let mut world = World::with_trackers().await;
    world.tracked = vec!["cinder"];
    let release = Issue { labels: vec!["release".to_owned()], ..Issue::new(1, "Release: v1.0.0") };
    world.sim.world(|github| assert!(github.add_issues("octo-org/ember", [release])));
    let settings = Settings {
        admin_token: Some("all-is-allowed".into()),
        watch_every: Duration::from_millis(5),
        ..world.open_settings()
    };
    let open = world.serve_with(settings).await;
    let path = "/api/v1/entries/trackers/octo-org/ember/release";
    let counts = async || open.json("/api/v1/stats").await["entries"].clone();
    let before = counts().await;
    let mut events = open.events().await;
    for _ in 0..3 {
        let read = open.get(path).bearer_auth("all-is-allowed").send().await.unwrap();
        assert!(read.text().await.unwrap().contains("v1.0.0"));
    }
    assert_eq!(counts().await, before);
    for _ in 0..3 {
        problem(open.get(path).send().await.unwrap(), 404, "unknown_key").await;
    }
    for list in
        ["/api/v1/entries", "/api/v1/entries?source=trackers", "/cache", "/trackers", "/api/v1/trackers"]
    {
        let told = text(&open, list).await;
        assert!(!told.contains("ember/release"), "{list}: {told}");
    }
    open.json("/api/v1/clusters/tools").await;
    loop {
        let event = events.next().await;
        assert_ne!(event.data["key"], "trackers/octo-org/ember/release");
        if event.data["key"] == "cluster/tools" {
            break;
        }
    }
    let all = open.get("/api/v1/entries").bearer_auth("all-is-allowed").send().await.unwrap();
    assert!(all.text().await.unwrap().contains("trackers/octo-org/ember/release"), "who may see it does");
}
