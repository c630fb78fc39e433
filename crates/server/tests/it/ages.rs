//! What a reader is told about age, and what it may ask of it.

use std::time::Duration;

use larder_github_sim::{Outage, Switches};
use reqwest::Response;

use crate::world::{HOUR, MINUTE, Served, World, header, problem};

const TOOLS: &str = "/api/v1/clusters/tools";

async fn ask(served: &Served, control: &str) -> Response {
    served.get(TOOLS).header("cache-control", control).send().await.unwrap()
}

#[tokio::test]
async fn headers_say_where_an_answer_came_from_and_how_old_it_is() {
    let world = World::new().await;
    let served = world.serve().await;
    let miss = served.get(TOOLS).send().await.unwrap();
    assert_eq!(header(&miss, "cache-status"), "larder; fwd=miss; stored; ttl=3600; key=\"cluster/tools\"");
    assert_eq!((header(&miss, "x-cache-hit"), header(&miss, "age")), ("miss".to_owned(), "0".to_owned()));
    assert_eq!(header(&miss, "x-cache-last-fetched"), "2026-01-01T00:00:00Z");
    assert_eq!(header(&miss, "cache-control"), "public, max-age=3600");
    let body = miss.text().await.unwrap();

    world.clock.advance(10 * MINUTE);
    let hit = served.get(TOOLS).send().await.unwrap();
    assert_eq!(header(&hit, "cache-status"), "larder; hit; ttl=3000; key=\"cluster/tools\"");
    assert_eq!((header(&hit, "x-cache-hit"), header(&hit, "age")), ("hit".to_owned(), "600".to_owned()));
    assert_eq!(hit.text().await.unwrap(), body, "nothing in a body passes with time");

    let mixed = served.get("/api/v1/clusters/mixed").send().await.unwrap();
    assert_eq!(header(&mixed, "cache-control"), "private, no-cache");
    let mixed = served.get("/api/v1/clusters/mixed").send().await.unwrap();
    assert_eq!(header(&mixed, "cache-control"), "private, no-cache");
}

#[tokio::test]
async fn an_address_that_asks_for_a_refresh_is_answered_by_no_cache_on_the_way() {
    let world = World::new().await;
    let served = world.serve().await;
    for (path, came) in [(TOOLS, "miss"), ("/api/v1/entries/cluster/tools", "miss")] {
        let answer = served.get(&format!("{path}?refresh=true")).send().await.unwrap();
        let told = (header(&answer, "x-cache-hit"), header(&answer, "cache-control"));
        assert_eq!(told, (came.to_owned(), "public, no-cache".to_owned()), "{path}");
    }
    // Nobody in particular is not let through again within half a minute, and is told so as freshly.
    let open = world.serve_with(world.open_settings()).await;
    let held = open.get(&format!("{TOOLS}?refresh=true")).send().await.unwrap();
    assert_eq!(header(&held, "cache-control"), "public, no-cache");
}

#[tokio::test]
async fn who_has_the_data_already_gets_its_new_age_alone() {
    let world = World::new().await;
    let served = world.serve().await;
    let first = served.get(TOOLS).send().await.unwrap();
    let etag = header(&first, "etag");
    world.clock.advance(MINUTE);
    let ask =
        async |path: &str, tag: &str| served.get(path).header("if-none-match", tag).send().await.unwrap();
    let same = ask(TOOLS, &etag).await;
    assert_eq!(same.status(), 304);
    assert_eq!((header(&same, "age"), header(&same, "etag")), ("60".to_owned(), etag.clone()));
    assert!(header(&same, "cache-status").starts_with("larder; hit"));
    assert_eq!(same.bytes().await.unwrap().len(), 0);

    // The same data fetched again has the same name; other data, another representation have not.
    served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    let renewed = ask(TOOLS, &format!("\"x\", {etag}")).await;
    assert_eq!((renewed.status().as_u16(), header(&renewed, "age")), (304, "0".to_owned()));
    assert_eq!(ask("/api/v1/entries/cluster/tools", &etag).await.status(), 200);
    world.sim.world(|world| world.edit("octo-org/cinder", |cinder| cinder.stars = 5000));
    served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    let changed = ask(TOOLS, &etag).await;
    assert_eq!(changed.status(), 200);
    assert!(changed.text().await.unwrap().contains("\"stars\":5000"));
    for list in ["/api/v1/clusters", "/api/v1/registry", "/api/v1/repos"] {
        let etag = header(&served.get(list).send().await.unwrap(), "etag");
        assert_eq!(ask(list, &etag).await.status(), 304, "{list}");
    }
}

#[tokio::test]
async fn a_reader_says_how_old_a_copy_may_be() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json(TOOLS).await;
    world.clock.advance(10 * MINUTE);
    assert_eq!(header(&ask(&served, "max-age=900").await, "x-cache-hit"), "hit");
    assert_eq!(world.calls(), 1);
    assert_eq!(header(&ask(&served, "max-age=60").await, "x-cache-hit"), "miss");
    assert_eq!(world.calls(), 2);
    let forced = ask(&served, "no-cache").await;
    assert!(header(&forced, "cache-status").starts_with("larder; fwd=request"));
    assert_eq!(world.calls(), 3);
    assert_eq!(served.get("/api/v1/clusters/tools?refresh=true").send().await.unwrap().status(), 200);
    assert_eq!(world.calls(), 4);
    world.clock.advance(2 * HOUR);
    assert_eq!(header(&ask(&served, "only-if-cached").await, "x-cache-hit"), "stale");
    problem(ask(&served, "only-if-cached, max-age=60").await, 504, "not_cached").await;
    problem(ask(&served, "only-if-cached, max-stale=60").await, 504, "not_cached").await;
    assert_eq!(world.calls(), 4);
    assert_eq!(header(&ask(&served, "max-stale=60").await, "x-cache-hit"), "miss");
    assert_eq!(world.calls(), 5);
}

#[tokio::test]
async fn while_github_is_down_the_old_copy_is_served_as_far_as_the_reader_takes_it() {
    let world = World::new().await;
    let served = world.serve().await;
    let body = served.json(TOOLS).await;
    world.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    world.clock.advance(2 * HOUR);
    let forced = ask(&served, "no-cache").await;
    assert_eq!((forced.status().as_u16(), header(&forced, "x-cache-hit")), (200, "stale".to_owned()));
    assert_eq!(header(&forced, "age"), "7200");
    let stale = served.get(TOOLS).send().await.unwrap();
    assert_eq!(
        header(&stale, "cache-status"),
        "larder; hit; ttl=-3600; key=\"cluster/tools\"; detail=\"upstream\""
    );
    assert_eq!(header(&stale, "cache-control"), "public, no-cache");
    let told: serde_json::Value = stale.json().await.unwrap();
    assert_eq!(told["repositories"], body["repositories"]);
    assert_eq!(told["cache"]["last_error"]["code"], "upstream");

    assert_eq!(ask(&served, "stale-if-error=4000").await.status(), 200);
    problem(ask(&served, "stale-if-error=60").await, 502, "upstream_failed").await;
    problem(ask(&served, "max-stale=0").await, 502, "upstream_failed").await;
    assert_eq!(ask(&served, "max-stale=0, stale-if-error=4000").await.status(), 200);
    assert_eq!(served.json("/api/v1/repos").await["repositories"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn who_is_no_admin_may_insist_once_in_half_a_minute() {
    let world = World::new().await;
    let served = world.serve_with(world.open_settings()).await;
    served.json(TOOLS).await;
    for path in ["/api/v1/clusters/tools?refresh=true", "/api/v1/entries/cluster/tools?refresh=true"] {
        assert_eq!(served.get(path).send().await.unwrap().status(), 200);
    }
    for control in ["no-cache", "max-age=0"] {
        assert_eq!(ask(&served, control).await.status(), 200);
    }
    let recent = served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    assert_eq!(recent.json::<serde_json::Value>().await.unwrap()["refresh"], "recent");
    assert_eq!(world.calls(), 2);
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(ask(&served, "no-cache").await.status(), 200);
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn larger_answers_come_compressed_to_those_who_take_it() {
    let world = World::new().await;
    let served = world.serve().await;
    let plain = served.get(TOOLS).send().await.unwrap();
    assert_eq!(header(&plain, "content-encoding"), "");
    let plain = plain.bytes().await.unwrap();
    for _ in 0..2 {
        let packed = served.get(TOOLS).header("accept-encoding", "br, gzip").send().await.unwrap();
        assert_eq!(header(&packed, "vary"), "Accept-Encoding, Authorization, Cookie");
        let packed = packed.bytes().await.unwrap();
        assert!(packed.len() < plain.len() && packed.starts_with(&[0x1f, 0x8b]));
    }
    for encodings in ["gzip;q=0", "gzip;q=0, *", "*, gzip;q=0", "*;q=0"] {
        let refused = served.get(TOOLS).header("accept-encoding", encodings).send().await.unwrap();
        assert_eq!(refused.bytes().await.unwrap(), plain, "{encodings}");
    }
}
