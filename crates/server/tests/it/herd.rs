//! Many readers at once.

use std::time::Duration;

use larder_github_sim::Switches;
use larder_testkit::{Fault, Step};
use serde_json::Value;

use crate::raw::Raw;
use crate::world::{World, header};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_a_cold_key_are_one_call_upstream() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.connections_max = 2000;
    let served = std::sync::Arc::new(world.serve_with(settings).await);
    world.switch(Switches { hold: true, ..Switches::default() });
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let served = served.clone();
        readers.spawn(async move {
            let answer = served.get("/api/v1/clusters/tools").send().await.unwrap();
            (answer.status().as_u16(), header(&answer, "x-cache-hit"))
        });
    }
    world.sim.arrived(1).await;
    world.switch(Switches::default());
    let answers = readers.join_all().await;
    assert_eq!(answers.len(), 1000);
    assert!(answers.iter().all(|(status, _)| *status == 200));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn two_servers_on_one_store_share_a_flight() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    let readers = (0..20).map(async |place: usize| {
        let served = if place.is_multiple_of(2) { &one } else { &two };
        served.json("/api/v1/clusters/tools").await
    });
    let answers = futures::future::join_all(readers).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(world.calls(), 1);
}

/// By the clock that the story moves, however long all of it takes.
#[tokio::test]
async fn what_another_server_replaced_is_served_no_longer_than_a_second_by_one_that_hears_nothing_of_it() {
    let world = World::new().await;
    let ((one, store), other) = (world.serve_faulty(world.settings()).await, world.serve().await);
    let stars = |body: &Value| {
        let all = body["repositories"].as_array().unwrap().clone();
        all.iter().find(|one| one["name"] == "cinder").unwrap()["stars"].clone()
    };
    let paths = ["/api/v1/clusters/tools", "/api/v1/repos?sort=stars"];
    let old = stars(&one.json(paths[0]).await);
    for path in paths {
        // Whoever made an entry drops its first copy a moment later.
        for _ in 0..40 {
            assert_eq!(stars(&one.json(path).await), old);
        }
    }
    store.lose_word(true);
    store.inflict(Fault::Hang, &[Step::Pulse, Step::Feed]);
    world.sim.world(|github| assert!(github.edit("octo-org/cinder", |cinder| cinder.stars = 4321)));
    let refresh = other.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    assert_eq!(refresh.status(), 200);
    world.clock.advance(SECOND);
    for path in paths {
        assert_eq!(stars(&one.json(path).await), 4321, "{path}");
    }
}

#[tokio::test]
async fn who_keeps_all_places_and_says_nothing_makes_room_and_who_is_served_does_not() {
    let mut world = World::new().await;
    // The door's pause as well as anybody's silence.
    world.clock.wait_by_hand(SECOND / 4);
    let mut settings = world.settings();
    settings.connections_max = 4;
    let served = world.serve_with(settings).await;
    let mut events = served.events().await;
    let mut silent = Vec::new();
    for began in ["", "", "GET /healthz HTT"] {
        let mut one = Raw::connect(served.running.address()).await;
        one.write(began.as_bytes()).await;
        silent.push(one);
    }
    let mut next = Raw::connect(served.running.address()).await;
    next.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let next = tokio::spawn(async move { next.answer(false).await });
    for _ in 0..400 {
        assert!(!next.is_finished(), "nobody has been silent for long");
        tokio::task::yield_now().await;
    }
    let mut passed = 0;
    while !next.is_finished() {
        assert!(passed < 5, "they keep their places");
        world.clock.advance(SECOND);
        passed += 1;
        for _ in 0..20_000 {
            if next.is_finished() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(next.await.unwrap().unwrap().status(), "200");
    served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    assert_eq!(events.next().await.data["key"], "cluster/tools");
}
