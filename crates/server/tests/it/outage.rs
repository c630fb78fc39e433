//! The database is out of reach: what readers, programs and people are told, and how it ends.

use std::time::Duration;

use larder_server::{ServeError, start};
use larder_testkit::{Fault, FaultyStore, Step};
use reqwest::Response;
use serde_json::Value;

use crate::world::{MINUTE, Served, World, header, problem};

/// Longer than memory is believed without a look at the store.
const LONGER: Duration = Duration::from_secs(2);

/// Out of reach, for long enough that memory is not believed any more.
pub(crate) async fn cut(world: &World, store: &FaultyStore, served: &Served) {
    let mut events = served.events().await;
    store.cut();
    world.clock.advance(LONGER);
    let lost = events.named("store").await;
    assert_eq!(lost.data["reachable"], false);
}

/// In reach again, as far as the server knows.
async fn mend(store: &FaultyStore, served: &Served) {
    let mut events = served.events().await;
    store.mend();
    assert_eq!(events.named("store").await.data["reachable"], true);
}

async fn get(served: &Served, path: &str) -> Response {
    served.get(path).send().await.unwrap()
}

fn names(body: &Value) -> Vec<&str> {
    body["repositories"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_in_memory_is_served_and_says_that_it_is_old_and_why() {
    let world = World::new().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    served.json("/api/v1/clusters/tools").await;
    served.json("/api/v1/entries/cluster/tools").await;
    let etag = header(&get(&served, "/api/v1/clusters/tools").await, "etag");
    cut(&world, &store, &served).await;
    let calls = world.calls();
    for path in ["/api/v1/clusters/tools", "/api/v1/entries/cluster/tools"] {
        let response = get(&served, path).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-cache-hit").as_str()), (200, "stale"));
        assert_eq!(header(&response, "x-cache-status"), "stale");
        let detail = header(&response, "cache-status");
        assert!(detail.ends_with("detail=\"store_unreachable\""), "{detail}");
        assert_eq!(header(&response, "cache-control"), "public, no-cache");
        assert_ne!(header(&response, "etag"), etag, "it says more than before");
        let again = header(&get(&served, path).await, "etag");
        assert_eq!(header(&response, "etag"), again, "and the same each time");
        let body: Value = response.json().await.unwrap();
        let warning = &body["cache"]["warnings"][0];
        assert_eq!(
            (&warning["code"], &warning["about"]),
            (&"store_unreachable".into(), &"cluster/tools".into())
        );
        assert!(warning["message"].as_str().unwrap().contains("cannot be reached since 2026-01-01T"));
    }
    // What memory does not hold, and what must be written, is refused, with the time to come back.
    for answer in [
        get(&served, "/api/v1/clusters/mixed").await,
        get(&served, "/api/v1/stats").await,
        served.post("/api/v1/entries/cluster/tools/refresh").send().await.unwrap(),
        served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap(),
        served.post_json("/api/v1/invalidate", &serde_json::json!({"all": true})).await,
    ] {
        assert_eq!(header(&answer, "retry-after"), "5");
        problem(answer, 503, "store_unreachable").await;
    }
    assert_eq!(world.calls(), calls, "nothing is fetched that could not be stored");
}

#[tokio::test]
async fn a_batch_answers_for_each_on_its_own() {
    let world = World::new().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    served.json("/api/v1/clusters/tools").await;
    cut(&world, &store, &served).await;
    let asked = serde_json::json!({"keys": ["cluster/tools", "cluster/mixed"]});
    let body: Value = served.post_json("/api/v1/batch", &asked).await.json().await.unwrap();
    assert_eq!(body["results"][0]["entry"]["cache"]["warnings"][0]["code"], "store_unreachable");
    assert_eq!(body["results"][1]["error"]["code"], "store_unreachable");
}

#[tokio::test]
async fn a_few_words_do_not_make_a_batch_of_gigabytes() {
    let world = World::new().await;
    world.sim.world(|github| {
        github.edit("octo-org/cinder", |cinder| cinder.description = Some("x".repeat(600_000)));
    });
    let served = world.serve().await;
    let large =
        served.get("/api/v1/entries/cluster/tools").send().await.unwrap().bytes().await.unwrap().len();
    assert!(large > 500_000, "{large}");
    let mut keys = vec!["cluster/tools"; 99];
    keys.push("cluster/unknown");
    let answer = served.post_json("/api/v1/batch", &serde_json::json!({"keys": keys})).await;
    let body = answer.bytes().await.unwrap();
    assert!(body.len() < 34 << 20, "{}", body.len());
    let body: Value = serde_json::from_slice(&body).unwrap();
    let results = body["results"].as_array().unwrap();
    assert_eq!(results[0]["entry"]["cache"]["key"], "cluster/tools");
    assert_eq!(results[98]["error"]["code"], "too_large");
    assert!(results[98]["error"]["hints"][0].as_str().unwrap().contains("by itself"));
    assert_eq!(results[99]["error"]["code"], "unknown_key", "each is answered for at its place");
}

#[tokio::test]
async fn the_last_list_is_served_while_no_other_can_be_made() {
    let world = World::new().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    let before = served.json("/api/v1/repos?sort=name").await;
    let before = served.json("/api/v1/repos?sort=name").await.to_string().max(before.to_string());
    cut(&world, &store, &served).await;
    let response = get(&served, "/api/v1/repos?sort=name").await;
    assert_eq!(header(&response, "x-cache-hit"), "stale");
    assert_eq!(header(&response, "cache-status"), "larder; hit; detail=\"store_unreachable\"");
    assert_eq!(response.json::<Value>().await.unwrap().to_string(), before);
    problem(get(&served, "/api/v1/repos?sort=stars").await, 503, "store_unreachable").await;
    // It names what is private, and the proof of who may see that has grown old.
    world.clock.advance(6 * MINUTE);
    problem(get(&served, "/api/v1/repos?sort=name").await, 503, "store_unreachable").await;
}

#[tokio::test]
async fn a_list_that_was_made_once_stands_in_also_where_something_was_fetched_for_it() {
    let world = World::with_trackers().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    let paths = ["/api/v1/clusters", "/api/v1/trackers", "/api/v1/registry"];
    for path in paths {
        served.json(path).await;
    }
    cut(&world, &store, &served).await;
    for path in paths {
        let response = get(&served, path).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-cache-hit").as_str()), (200, "stale"));
    }
}

#[tokio::test]
async fn once_the_proof_is_old_those_who_may_see_more_are_shown_what_everybody_is() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.read_token = Some("let-me-read".into());
    let (served, store) = world.serve_faulty(settings).await;
    let path = "/api/v1/repos?sort=name";
    let as_reader = async || served.get(path).bearer_auth("let-me-read").send().await.unwrap();
    for _ in 0..2 {
        assert_eq!(as_reader().await.status(), 200);
        assert_eq!(get(&served, path).await.status(), 200);
    }
    cut(&world, &store, &served).await;
    assert!(as_reader().await.text().await.unwrap().contains("vault"));
    world.clock.advance(6 * MINUTE);
    let response = as_reader().await;
    assert_eq!((response.status().as_u16(), header(&response, "x-cache-hit").as_str()), (200, "stale"));
    let said = response.text().await.unwrap();
    assert!(said.contains("cinder") && !said.contains("vault"), "{said}");
}

#[tokio::test]
async fn nobody_asks_a_store_that_hangs_once_that_is_known() {
    let world = World::new().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    store.inflict(Fault::Hang, &Step::ALL);
    problem(get(&served, "/api/v1/repos").await, 503, "store_unreachable").await;
    let asked = store.stretches();
    for path in ["repos", "registry", "clusters", "trackers", "entries", "stats", "log"] {
        let status = get(&served, &format!("/api/v1/{path}")).await.status().as_u16();
        assert!(matches!(status, 200 | 503 | 404), "{path}: {status}");
    }
    for page in ["/", "/cache"] {
        assert!(matches!(get(&served, page).await.status().as_u16(), 200 | 503), "{page}");
    }
    assert_eq!(store.stretches(), asked);
    store.mend();
}

#[tokio::test]
async fn a_store_that_cannot_be_written_serves_readers_and_says_so_to_whoever_wants_a_refresh() {
    let world = World::new().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    served.json("/api/v1/clusters/tools").await;
    store.fail_at(&[Step::Acquire, Step::Commit, Step::Mark]);
    for wait in ["?wait=1", ""] {
        let refused =
            served.post(&format!("/api/v1/entries/cluster/tools/refresh{wait}")).send().await.unwrap();
        assert!(!header(&refused, "retry-after").is_empty());
        problem(refused, 503, "store_busy").await;
    }
    let ready = get(&served, "/readyz").await;
    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.unwrap().starts_with("degraded: the store cannot be written since 2026-"));
    assert_eq!(get(&served, "/api/v1/clusters/tools").await.status(), 200);
    store.mend();
    let done = served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    assert_eq!(done.status(), 200);
    assert_eq!(get(&served, "/readyz").await.text().await.unwrap(), "ready\n");
}

#[tokio::test]
async fn health_and_metrics_say_how_it_is_and_an_instance_with_nothing_to_serve_is_not_ready() {
    let world = World::new().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    let metrics = async || get(&served, "/metrics").await.text().await.unwrap();
    assert!(metrics().await.contains("larder_store_reachable 1\n"));
    cut(&world, &store, &served).await;
    problem(get(&served, "/readyz").await, 503, "store_unreachable").await;
    mend(&store, &served).await;
    served.json("/api/v1/clusters/tools").await;
    cut(&world, &store, &served).await;
    world.clock.advance(MINUTE);
    let ready = get(&served, "/readyz").await;
    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.unwrap().starts_with("degraded: the store cannot be reached since 2026-"));
    assert_eq!(get(&served, "/healthz").await.status(), 200);
    let said = metrics().await;
    for line in
        ["larder_store_reachable 0\n", "larder_store_unreachable_seconds 6", "larder_memory_entries 1\n"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[tokio::test]
async fn pages_show_what_is_held_with_a_banner_and_it_goes_when_the_store_is_back() {
    let world = World::new().await;
    let (served, store) = world.serve_faulty(world.settings()).await;
    served.json("/api/v1/clusters/tools").await;
    let page = async || get(&served, "/").await.text().await.unwrap();
    assert!(page().await.contains("id=\"outage\" role=\"status\" hidden"));
    let mut events = served.events().await;
    cut(&world, &store, &served).await;
    let out = page().await;
    assert!(out.contains("<span>The store cannot be reached: it went away <time"), "{out}");
    assert!(out.contains("cinder"));
    assert!(!out.contains("data-state=\"updating\""));
    let cache = get(&served, "/cache").await;
    assert_eq!((cache.status().as_u16(), &*header(&cache, "retry-after")), (503, "5"));
    assert!(cache.text().await.unwrap().contains("The store cannot be read"));
    store.mend();
    assert_eq!(events.named("store").await.data["reachable"], false);
    assert_eq!(events.named("store").await.data["reachable"], true);
    assert!(page().await.contains("id=\"outage\" role=\"status\" hidden"));
    let response = get(&served, "/api/v1/clusters/tools").await;
    assert_eq!(header(&response, "x-cache-hit"), "hit");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["cache"]["warnings"], serde_json::json!([]));
}

#[tokio::test]
async fn no_page_says_of_what_it_cannot_know_that_it_is_not_there() {
    let world = World::with_trackers().await;
    let mut settings = world.settings();
    settings.read_token = Some("let-me-read".into());
    let (served, store) = world.serve_faulty(settings).await;
    let as_reader = async |path: &str| served.get(path).bearer_auth("let-me-read").send().await.unwrap();
    served.json("/api/v1/clusters/tools").await;
    as_reader("/api/v1/entries/trackers/octo-org/ember/release").await;
    cut(&world, &store, &served).await;
    assert_eq!(get(&served, "/clusters/tools").await.status(), 200);
    let mut told = Vec::new();
    for id in ["mixed", "bunker", "nothing-at-all"] {
        for path in [format!("/clusters/{id}"), format!("/clusters/{id}?part=list")] {
            let page = get(&served, &path).await;
            assert_eq!((page.status().as_u16(), &*header(&page, "retry-after")), (503, "5"), "{path}");
            let text = page.text().await.unwrap();
            told.push(text[text.find("<main").unwrap()..text.find("</main>").unwrap()].to_owned());
        }
        let card = get(&served, &format!("/?part=card&key=cluster/{id}")).await;
        assert_eq!(card.status(), 503);
    }
    assert!(told[0].contains("memory does not hold this"), "{}", told[0]);
    assert!(told.iter().all(|one| *one == told[0]), "nobody learns which of them are configured: {told:?}");
    for path in ["/trackers", "/trackers?repo=octo-org/cinder", "/trackers?part=list"] {
        let page = get(&served, path).await.text().await.unwrap();
        assert!(page.contains("<h2>Nothing can be shown now</h2>"), "{path}: {page}");
    }
    // Whoever may see all knows which clusters there are; projects only the store knows.
    assert_eq!(as_reader("/clusters/nothing-at-all").await.status(), 404);
    for path in ["/clusters/mixed", "/projects/kiln-3f9c0a17b2de", "/projects/kiln-3f9c0a17b2de?part=list"] {
        assert_eq!(as_reader(path).await.status(), 503, "{path}");
    }
    for path in ["/", "/trackers"] {
        let page = as_reader(path).await.text().await.unwrap();
        assert!(page.contains("cannot be told while the store is out of reach"), "{path}: {page}");
        for wrong in
            ["no copy yet", "not fetched yet", "Nothing was fetched yet", "<details class=\"warnings\">"]
        {
            assert!(!page.contains(wrong), "{path} says `{wrong}`: {page}");
        }
    }
}

#[tokio::test]
async fn private_things_are_shown_while_their_proof_is_recent_and_to_those_alone_who_may_see_them() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.read_token = Some("let-me-read".into());
    let (served, store) = world.serve_faulty(settings).await;
    let as_reader = async |path: &str| served.get(path).bearer_auth("let-me-read").send().await.unwrap();
    for id in ["mixed", "bunker"] {
        assert_eq!(as_reader(&format!("/api/v1/clusters/{id}")).await.status(), 200);
    }
    get(&served, "/api/v1/clusters/mixed").await;
    cut(&world, &store, &served).await;
    let all: Value = as_reader("/api/v1/clusters/mixed").await.json().await.unwrap();
    assert_eq!(names(&all), ["cinder", "vault"]);
    assert_eq!(as_reader("/api/v1/clusters/bunker").await.status(), 200);
    let public: Value = get(&served, "/api/v1/clusters/mixed").await.json().await.unwrap();
    assert_eq!(names(&public), ["cinder"]);
    // Nobody can tell a secret by its refusal from what is not there, or not in memory.
    for id in ["bunker", "tools", "nothing-at-all"] {
        problem(get(&served, &format!("/api/v1/clusters/{id}")).await, 503, "store_unreachable").await;
    }
    world.clock.advance(6 * MINUTE);
    let late: Value = as_reader("/api/v1/clusters/mixed").await.json().await.unwrap();
    assert_eq!(names(&late), ["cinder"]);
    assert!(!late.to_string().contains("vault"), "{late}");
    problem(as_reader("/api/v1/clusters/bunker").await, 503, "store_unreachable").await;
}

#[tokio::test]
async fn a_server_that_starts_waits_for_its_store_for_a_while() {
    let world = World::new().await;
    let (site, store) = world.faulty_site(world.settings());
    store.cut();
    let starting = tokio::spawn(start(site));
    tokio::task::yield_now().await;
    assert!(!starting.is_finished());
    store.mend();
    starting.await.unwrap().unwrap().stop().await;
    let mut settings = world.settings();
    settings.store_wait = Duration::ZERO;
    let (site, store) = world.faulty_site(settings);
    store.cut();
    let Err(error) = start(site).await else { panic!("it serves nothing") };
    assert!(matches!(error, ServeError::Store(_)));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("cannot be reached"));
}
