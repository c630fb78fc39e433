//! Limits of the server itself, and its end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Ask, Clock, Definition, FetchError, Fetched, Fingerprint, Key, Policy, Source, Store, Trigger,
};
use larder_github_sim::{Outage, Switches};
use larder_server::start;
use larder_testkit::{Fault, FaultyStore, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::world::{HOUR, MINUTE, World, problem};

#[tokio::test]
async fn streams_have_a_limit_and_give_their_seats_back() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.streams_max = 1;
    let served = world.serve_with(settings).await;
    let stream = served.events().await;
    problem(served.get("/api/v1/events").send().await.unwrap(), 503, "streams").await;
    drop(stream);
    // The seat is free as soon as the server has seen that the reader left.
    while served.get("/api/v1/events").send().await.unwrap().status() == 503 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn those_whom_nobody_knows_leave_streams_to_those_who_signed_in() {
    let world = World::new().await;
    let mut settings = world.open_settings();
    (settings.streams_max, settings.read_token) = (4, Some("reader".into()));
    let served = world.serve_with(settings).await;
    let mut open = Vec::new();
    while open.len() < 3 {
        open.push(served.events().await);
    }
    problem(served.get("/api/v1/events").send().await.unwrap(), 503, "streams").await;
    let known = || served.get("/api/v1/events").bearer_auth("reader").send();
    assert_eq!(known().await.unwrap().status(), 200);
    drop(open);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_says_so() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.request_timeout = Duration::from_millis(50);
    let served = world.serve_with(settings).await;
    world.switch(Switches { hold: true, ..Switches::default() });
    problem(served.get("/api/v1/clusters/tools").send().await.unwrap(), 503, "too_slow").await;
    world.switch(Switches::default());
}

#[tokio::test]
async fn who_never_finishes_a_request_is_let_go_of() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.head_timeout = Duration::from_millis(50);
    let served = world.serve_with(settings).await;
    let mut slow = tokio::net::TcpStream::connect(served.running.address()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_come_in() {
    let world = World::new().await;
    let served = world.serve().await;
    world.switch(Switches { hold: true, ..Switches::default() });
    let request = served.get("/api/v1/clusters/tools");
    let reader = tokio::spawn(async move { request.send().await.unwrap().status().as_u16() });
    world.sim.arrived(1).await;
    let mut stream = served.events().await;
    let url = served.url.clone();
    let stop = tokio::spawn(served.running.stop());
    // The stream ends at once, the answer when it is there.
    let ended = async { while stream.raw().await.is_some() {} };
    ended.await;
    world.switch(Switches::default());
    assert_eq!(reader.await.unwrap(), 200);
    stop.await.unwrap();
    assert!(world.http.get(format!("{url}/healthz")).send().await.is_err());
}

/// A look at something near that never ends, as a scan of a folder on a disk that hangs.
#[derive(Default)]
struct Endless(Notify);

#[async_trait]
impl Source for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }

    fn define(&self, _: &Key) -> Option<Arc<Definition>> {
        Some(Arc::new(Definition::new(Fingerprint::of(&["endless"]), Policy::default())))
    }

    fn is_worth_waiting_for(&self) -> bool {
        false
    }

    async fn fetch(&self, _: &Ask) -> Result<Fetched, FetchError> {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_what_is_looked_at_nearby_though_readers_do() {
    let endless = Arc::new(Endless::default());
    let mut world = World::new().await;
    world.besides.push(endless.clone());
    // Whoever waits for the end of the drain waits for ever: this story moves no time.
    world.clock.wait_by_hand(Duration::from_secs(5));
    let served = world.serve().await;
    let request = served.get("/api/v1/entries/endless/look");
    let reader = tokio::spawn(async move { request.send().await.unwrap().status().as_u16() });
    endless.0.notified().await;
    served.running.stop().await;
    assert_eq!(reader.await.unwrap(), 503);
}

#[tokio::test]
async fn a_stop_waits_for_no_sweep() {
    let mut world = World::new().await;
    world.clock.wait_by_hand(5 * MINUTE);
    let (served, store) = world.serve_faulty(world.settings()).await;
    let soon = world.clock.until_next().await;
    store.inflict(Fault::Hang, &[Step::Mark]);
    world.clock.advance(soon);
    hangs(&store).await;
    served.running.stop().await;
}

#[tokio::test]
async fn nor_for_what_is_configured_to_be_noted() {
    let world = World::new().await;
    let (site, store) = world.faulty_site(world.settings());
    store.inflict(Fault::Hang, &[Step::List]);
    let running = start(site).await.unwrap();
    hangs(&store).await;
    running.stop().await;
}

/// Until somebody waits for the store.
async fn hangs(store: &FaultyStore) {
    while store.waiting() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_command_line_marked_due_is_refreshed_by_the_server() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.due_every = Duration::from_millis(20);
    let served = world.serve_with(settings).await;
    let mut events = served.events().await;
    let (_, other) = world.process();
    let key: Key = "cluster/tools".parse().unwrap();
    other.mark_due(&[key], Trigger::Manual).await.unwrap();
    assert_eq!(events.about("cluster/tools").await.data["what"], "updated");
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_server_that_is_started_anew_every_night_sweeps_all_the_same() {
    let mut world = World::new().await;
    world.clock.wait_by_hand(5 * MINUTE);
    world.switch(Switches { outage: Outage::Unavailable, ..Switches::default() });
    let served = world.serve().await;
    problem(served.get("/api/v1/clusters/tools").send().await.unwrap(), 502, "upstream_failed").await;
    served.running.stop().await;
    let (store, _) = world.process();
    store.end_sweep(world.clock.now()).await.unwrap();
    for night in 0..7 {
        world.clock.advance(24 * HOUR);
        let served = world.serve().await;
        let mut events = served.events().await;
        let soon = world.clock.until_next().await;
        assert!(soon <= HOUR);
        world.clock.advance(soon);
        if night < 6 {
            served.running.stop().await;
            continue;
        }
        while events.about("cluster/tools").await.data["what"] != "evicted" {}
        return;
    }
    unreachable!("it went with the seventh night");
}

/// As where another larder.toml is used on the same store, and nobody asks this server anew for what it holds.
#[tokio::test]
async fn what_a_server_has_configured_outlasts_what_others_note_of_it() {
    let mut world = World::new().await;
    world.clock.wait_by_hand(5 * MINUTE);
    let served = world.serve().await;
    assert_eq!(served.get("/api/v1/clusters/tools").send().await.unwrap().status(), 200);
    let (store, _) = world.process();
    let keys: [Key; 2] = ["cluster/tools", "cluster/gone"].map(|key| key.parse().unwrap());
    let held = async || store.lookup(&keys).await.unwrap().iter().map(Option::is_some).collect::<Vec<_>>();
    store.mark_due(&keys[1..], Trigger::Read, world.clock.now()).await.unwrap();
    assert!(store.reconcile("cluster", &[], world.clock.now()).await.unwrap().unconfigured > 0);
    assert_eq!(held().await, [true, true]);
    let soon = world.clock.until_next().await;
    world.clock.advance(soon + 31 * 24 * HOUR);
    while held().await[1] {
        tokio::task::yield_now().await;
    }
    assert_eq!(held().await, [true, false]);
}
