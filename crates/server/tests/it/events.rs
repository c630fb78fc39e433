//! What open streams hear.

use larder_core::{Clock, Key, Retention, Store, Trigger};

use crate::world::{World, header};

fn tools() -> [Key; 1] {
    ["cluster/tools".parse().unwrap()]
}

#[tokio::test]
async fn what_another_process_commits_is_heard_and_then_read() {
    let world = World::new().await;
    let served = world.serve().await;
    let before = served.json("/api/v1/clusters/tools").await;
    assert_eq!(before["repositories"][0]["stars"], 4821);
    let lists = served.json("/api/v1/repos?search=cinder").await;
    assert_eq!(lists["repositories"][0]["stars"], 4821);
    let mut events = served.events().await;
    world.sim.world(|world| world.edit("octo-org/cinder", |cinder| cinder.stars = 5000));
    let (_, other) = world.process();
    other.refresh(&tools(), Trigger::Manual, |_| {}).await;
    let mut heard = events.about("cluster/tools").await;
    // What was committed just before the stream began may be told yet.
    while heard.data["version"] == 1 {
        heard = events.about("cluster/tools").await;
    }
    assert_eq!((heard.name.as_str(), &heard.data["what"]), ("change", &serde_json::json!("updated")));
    assert_eq!(heard.data["seq"], heard.id.unwrap());
    assert_eq!(served.json("/api/v1/clusters/tools").await["repositories"][0]["stars"], 5000);
    let lists = served.json("/api/v1/repos?search=cinder").await;
    assert_eq!(lists["repositories"][0]["stars"], 5000);
}

#[tokio::test]
async fn a_refresh_that_changed_nothing_but_the_age_is_heard_too() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    // The first refresh's own line is told before the stream begins, or as its first.
    let mut events = served.events().await;
    world.clock.advance(crate::world::MINUTE);
    let (_, other) = world.process();
    other.refresh(&tools(), Trigger::Manual, |_| {}).await;
    loop {
        let heard = events.next().await;
        if heard.name == "refreshed" && heard.data["at"] == "2026-01-01T00:01:00Z" {
            assert_eq!(heard.id, None, "it has no place in the feed");
            break;
        }
    }
    let answer = served.get("/api/v1/clusters/tools").send().await.unwrap();
    assert_eq!(header(&answer, "x-cache-last-fetched"), "2026-01-01T00:01:00Z");
}

#[tokio::test]
async fn a_reader_goes_on_where_it_left_off() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    let mut events = served.events_from(served.get("/api/v1/events").header("last-event-id", "0")).await;
    let first = events.next().await;
    assert_eq!(first.name, "change");
    drop(events);
    for _ in 0..2 {
        served.post_json("/api/v1/invalidate", &serde_json::json!({"keys": ["cluster/tools"]})).await;
    }
    let id = first.id.unwrap().to_string();
    for resumed in [
        served.get("/api/v1/events").header("last-event-id", &id),
        served.get(&format!("/api/v1/events?last_event_id={id}")),
    ] {
        let mut events = served.events_from(resumed).await;
        let (one, two) = (events.next().await, events.next().await);
        assert_eq!((&one.data["what"], &two.data["what"]), (&"invalidated".into(), &"invalidated".into()));
        assert!(first.id < one.id && one.id < two.id, "each line once, in order");
    }
}

#[tokio::test]
async fn past_the_retention_a_reader_starts_over() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    for _ in 0..3 {
        served.post_json("/api/v1/invalidate", &serde_json::json!({"all": true})).await;
    }
    let (store, _) = world.process();
    let retention = Retention { feed_lines_max: 1, ..Retention::default() };
    store.sweep(&retention, world.clock.now()).await.unwrap();
    let asked = served.get("/api/v1/events").header("last-event-id", "1");
    let mut events = served.events_from(asked).await;
    let heard = events.next().await;
    assert_eq!((heard.name.as_str(), heard.id), ("reset", heard.data["seq"].as_u64()));
}

#[tokio::test]
async fn a_place_that_is_not_there_any_more_means_to_start_over() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters/tools").await;
    for unknown in ["999999", "not-a-place"] {
        let asked = served.get("/api/v1/events").header("last-event-id", unknown);
        let mut events = served.events_from(asked).await;
        let heard = events.next().await;
        assert_eq!(heard.name, "reset");
        assert_eq!(heard.id, heard.data["seq"].as_u64());
        // From there on it is told of everything.
        served.post_json("/api/v1/invalidate", &serde_json::json!({"all": true})).await;
        let heard = events.next().await;
        assert_eq!((&heard.data["all"], &heard.data["what"]), (&true.into(), &"invalidated".into()));
    }
}
