//! Readers who do not read: their seats are others' after a while, and those who take their time keep
//! theirs.

use std::time::Duration;

use larder_github_sim::Issue;

use crate::raw::Raw;
use crate::world::{Served, World};

/// Some 300 KB.
pub(crate) const LARGE: &str =
    "GET /api/v1/entries/trackers/octo-org/cinder/release HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The same, by hyper, which is given but this one request.
pub(crate) const LONG: &str = "GET /api/v1/entries/trackers/octo-org/cinder/release HTTP/1.1\r\nHost: localhost\r\nCache-Control: max-age=9999\r\n\r\n";

/// The same, by hyper, which is given the whole connection.
pub(crate) const ODD: &str = "GET /api/v1/entries/trackers/octo-org/cinder/release HTTP/1.1\r\nHost: localhost\r\nX-Odd: \u{e9}\r\n\r\n";

/// More answers than the buffers between two ends take.
const MANY: usize = 20;

/// A connection may take nothing for thrice as long: sooner than one has to make room for others.
const STEP: Duration = Duration::from_millis(900);

/// A world that has something large to be read.
pub(crate) async fn with_large() -> World {
    let world = World::with_trackers().await;
    world.sim.world(|github| {
        let issue = |number: u64| Issue {
            labels: vec!["release".to_owned()],
            ..Issue::new(number, &format!("Release: release/v{number}.0.0"))
        };
        assert!(github.add_issues("octo-org/cinder", (1000..1800).map(issue)));
    });
    world
}

/// An event stream, and two more seats.
async fn served() -> (World, Served) {
    let mut world = with_large().await;
    world.clock.wait_by_hand(STEP);
    let mut settings = world.settings();
    (settings.connections_max, settings.head_timeout) = (3, 3 * STEP);
    let served = world.serve_with(settings).await;
    (world, served)
}

/// One who asks for more than he can be sent before he reads, and has read the first of it.
async fn asker(served: &Served, request: &str) -> Raw {
    let mut asker = Raw::connect_narrow(served.running.address()).await;
    asker.write(request.repeat(MANY).as_bytes()).await;
    let answer = asker.answer(false).await.unwrap();
    assert!((200_000..500_000).contains(&answer.body.len()), "{}", answer.body.len());
    asker
}

/// How many answers took the short way; asked for on a connection that ends.
pub(crate) async fn at_once(served: &Served) -> u64 {
    let mut asker = Raw::connect(served.running.address()).await;
    asker.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let figures = String::from_utf8(asker.answer(false).await.unwrap().body).unwrap();
    let count = figures.lines().find_map(|line| line.strip_prefix("larder_http_responses_at_once_total "));
    count.unwrap().parse().unwrap()
}

/// How much time passes until another gets the seat of the one who does not read.
async fn seat_is_had_after(world: &World, served: &Served, request: &str) -> Duration {
    let mut slow = asker(served, request).await;
    let _unread = asker(served, request).await;
    let mut next = Raw::connect(served.running.address()).await;
    next.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let next = tokio::spawn(async move { next.answer(false).await });
    let mut passed = Duration::ZERO;
    while !next.is_finished() {
        assert!(passed < 20 * STEP, "all seats are taken for ever");
        world.clock.advance(STEP);
        passed += STEP;
        // More than was under way: something was sent anew.
        for _ in 0..MANY {
            slow.write(request.as_bytes()).await;
            assert_eq!(slow.answer(false).await.expect("he reads").status(), "200");
        }
    }
    assert_eq!(next.await.unwrap().unwrap().status(), "200");
    passed
}

#[tokio::test]
async fn who_reads_nothing_loses_his_seat_and_who_reads_slowly_keeps_his() {
    let _alone = crate::lent::alone().await;
    let (world, served) = served().await;
    while at_once(&served).await == 0 {
        let mut warming = Raw::connect(served.running.address()).await;
        warming.write(LARGE.as_bytes()).await;
        warming.answer(false).await.unwrap();
        warming.finish().await;
    }
    let mut events = served.events().await;
    for request in [LARGE, LONG, ODD] {
        let passed = seat_is_had_after(&world, &served, request).await;
        assert!(passed >= 3 * STEP, "{passed:?} is soon");
    }
    let (_, other) = world.process();
    let key = "cluster/tools".parse().unwrap();
    other.refresh(&[key], larder_core::Trigger::Manual, |_| {}).await;
    assert_eq!(events.about("cluster/tools").await.data["what"], "updated");
}
