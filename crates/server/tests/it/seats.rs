//! More connections than seats: those on which nothing happens make room, whoever serves them, and
//! those that wait for something of ours do not.

use std::time::Duration;

use larder_github_sim::Switches;

use crate::raw::Raw;
use crate::unread::{LARGE, LONG, ODD, at_once, with_large};
use crate::world::{Served, World};

const ALIVE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

const BATCH: &str = "POST /api/v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"keys\":[\"cluster/tools\"]}";

/// As often others are asked for room.
const STEP: Duration = Duration::from_millis(250);

/// Whoever wants a seat.
struct Wanting(tokio::task::JoinHandle<()>);

impl Wanting {
    async fn one_of(served: &Served) -> Self {
        let mut next = Raw::connect(served.running.address()).await;
        next.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        Wanting(tokio::spawn(async move {
            assert_eq!(next.answer(false).await.unwrap().status(), "200");
        }))
    }

    /// How much time passes until it is had, if that is no more than `most`. One who has a seat goes on
    /// asking, and keeps it.
    async fn is_seated_after(&self, world: &World, busy: &mut Raw, most: Duration) -> Option<Duration> {
        let mut passed = Duration::ZERO;
        while !self.0.is_finished() {
            if passed >= most {
                return None;
            }
            world.clock.advance(STEP);
            passed += STEP;
            for _ in 0..10 {
                busy.write(ALIVE.as_bytes()).await;
                assert_eq!(busy.answer(false).await.expect("it keeps its seat").status(), "200");
            }
        }
        Some(passed)
    }
}

/// Time and seats are the story's own.
async fn served(seats: usize) -> (World, Served) {
    let mut world = with_large().await;
    world.clock.wait_by_hand(STEP);
    let mut settings = world.settings();
    settings.connections_max = seats;
    let served = world.serve_with(settings).await;
    (world, served)
}

#[tokio::test]
async fn connections_on_which_nothing_happens_make_room_whoever_serves_them() {
    let _alone = crate::lent::alone().await;
    let (world, served) = served(2).await;
    while at_once(&served).await == 0 {
        let mut warming = Raw::connect(served.running.address()).await;
        warming.write(LARGE.as_bytes()).await;
        warming.answer(false).await.unwrap();
        warming.finish().await;
    }
    let half_a_body = &BATCH[..BATCH.len() - 5];
    for (what, asked, answers) in [
        ("a form sent", BATCH.to_owned(), 1),
        ("a form sent, and half a head", format!("{BATCH}GET /hea"), 1),
        ("half a body", half_a_body.to_owned(), 0),
        ("no body", ALIVE.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"), 1),
        ("an old version", ALIVE.replace("1.1\r\n", "1.0\r\nConnection: keep-alive\r\n"), 1),
        ("hits that are not taken", LARGE.repeat(20), 1),
        ("answers that are not taken", LONG.repeat(20), 1),
        ("odd answers that are not taken", ODD.repeat(20), 1),
    ] {
        let mut quiet = Raw::connect_narrow(served.running.address()).await;
        quiet.write(asked.as_bytes()).await;
        for _ in 0..answers {
            assert_eq!(quiet.answer(false).await.unwrap().status(), "200", "{what}");
        }
        let mut busy = Raw::connect(served.running.address()).await;
        let next = Wanting::one_of(&served).await;
        let seated = next.is_seated_after(&world, &mut busy, Duration::from_secs(20)).await;
        let seated = seated.unwrap_or_else(|| panic!("{what}: no seat"));
        assert!(seated <= Duration::from_secs(5), "{what}: {seated:?}");
        busy.finish().await;
    }
}

#[tokio::test]
async fn who_waits_for_an_answer_or_for_events_keeps_his_seat() {
    let (world, served) = served(3).await;
    let mut events = served.events().await;
    world.switch(Switches { hold: true, ..Switches::default() });
    let mut reader = Raw::connect(served.running.address()).await;
    reader.write(b"GET /api/v1/clusters/mixed HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    world.sim.arrived(1).await;
    let mut busy = Raw::connect(served.running.address()).await;
    let next = Wanting::one_of(&served).await;
    let seated = next.is_seated_after(&world, &mut busy, Duration::from_secs(10)).await;
    assert_eq!(seated, None);
    world.switch(Switches::default());
    assert_eq!(reader.answer(false).await.expect("he keeps his seat").status(), "200");
    assert_eq!(events.about("cluster/mixed").await.data["what"], "updated");
    assert!(next.is_seated_after(&world, &mut busy, Duration::from_secs(5)).await.is_some());
}

#[tokio::test]
async fn who_left_has_no_stream_any_more_whatever_he_said_before() {
    let mut world = World::new().await;
    // No beat tells that nobody is there.
    world.clock.wait_by_hand(Duration::from_secs(1));
    let mut settings = world.settings();
    settings.streams_max = 1;
    let served = world.serve_with(settings).await;
    let mut reader = Raw::connect(served.running.address()).await;
    reader.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\nG").await;
    reader.until(b"event: ready").await;
    drop(reader);
    for _ in 0..1000 {
        if served.get("/api/v1/events").send().await.unwrap().status() == 200 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("he keeps his seat");
}
