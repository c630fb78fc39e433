//! A Retry-After keeps everything back that would ask that host: events, hands, other entries, other
//! processes. What they wished for is not forgotten.

use std::time::Duration;

use larder_core::{Clock, FetchError, Key, Status, Store, Trigger};
use larder_engine::{ReadOptions, RefreshError};
use larder_github_sim::{Outage, Switches};

use crate::world::{MINUTE, World};

#[tokio::test]
async fn events_and_hands_inside_a_retry_after_send_nothing_and_are_answered_when_it_is_over() {
    let world = World::new().await;
    let ((store, one), (_, other)) = (world.process(), world.process());
    let keys = ["tools", "mixed"].map(|name| Key::new("cluster", &[name]).unwrap());
    for key in &keys {
        one.read(key, &ReadOptions::default()).await.unwrap();
    }

    // Events come while a fetch is under way that will fail.
    let before = world.calls();
    world.switch(Switches { hold: true, ..Switches::default() });
    let (refreshing, tools) = (one.clone(), keys[0].clone());
    let refreshing = tokio::spawn(async move { refreshing.refresh(&[tools], Trigger::Manual, |_| {}).await });
    world.sim.arrived(before as u64 + 1).await;
    assert_eq!(other.mark_due(&keys, Trigger::Webhook).await.unwrap(), 2);
    let outage = Outage::Unavailable;
    world.switch(Switches { outage, outage_retry_after_s: Some(90), ..Switches::default() });
    let refused = refreshing.await.unwrap().remove(0).result.unwrap_err();
    let RefreshError::Fetch(FetchError::Upstream { retry_at: Some(until), .. }) = refused else {
        panic!("{refused}")
    };
    world.switch(Switches::default());

    let now = world.clock.now();
    assert_eq!(until.since(now), Duration::from_secs(90));
    for second in [0, 45, 89] {
        world.clock.set(now.plus(Duration::from_secs(second)));
        for engine in [&one, &other] {
            engine.mark_due(&keys[..1], Trigger::Watch).await.unwrap();
            engine.refresh_due(10, |_| {}).await.unwrap();
            for refreshed in engine.refresh(&keys, Trigger::Manual, |_| {}).await {
                let why = refreshed.result.unwrap_err();
                assert!(matches!(&why, RefreshError::Fetch(FetchError::Limited { .. })), "{why}");
            }
        }
    }
    assert_eq!(world.calls(), before + 1, "nothing is sent inside a Retry-After");

    // Behind it comes each one's own backoff, a quarter of an hour at the most.
    world.clock.set(until.plus(16 * MINUTE));
    other.refresh_due(10, |_| {}).await.unwrap();
    assert_eq!(world.calls(), before + 2, "both travel together");
    for row in store.lookup(&keys).await.unwrap() {
        let entry = row.unwrap().entry;
        let status = entry.status(one.define(&entry.key).as_deref(), world.clock.now());
        assert_eq!((status, entry.attempts, entry.marked), (Status::Fresh, 0, false), "{}", entry.key);
    }
}
