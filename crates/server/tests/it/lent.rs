//! A large hit that many ask for is sent as the system's own pages: byte for byte what one reader gets
//! by the long way, however slowly he takes it, and also when the next second's has been made.

use std::time::Duration;

use larder_github_sim::Issue;
use tokio::sync::{Mutex, MutexGuard};

use crate::raw::{Answer, Raw};
use crate::world::{Served, World};

/// About 30 KB.
const LARGE: &str =
    "GET /api/v1/entries/trackers/octo-org/cinder/release HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The same, by hyper.
const LONG: &str = "GET /api/v1/entries/trackers/octo-org/cinder/release HTTP/1.1\r\nHost: localhost\r\nX-Odd: \u{e9}\r\n\r\n";

const TOOLS: &str = "GET /api/v1/clusters/tools HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// More answers than a connection's buffers take.
const MANY: usize = 600;

async fn served() -> (World, Served) {
    let world = World::with_trackers().await;
    world.sim.world(|github| {
        let issue = |number: u64| Issue {
            labels: vec!["release".to_owned()],
            ..Issue::new(number, &format!("Release: release/v{number}.0.0"))
        };
        assert!(github.add_issues("octo-org/cinder", (1000..1080).map(issue)));
    });
    let served = world.serve().await;
    (world, served)
}

async fn asked(served: &Served, request: &str, times: usize) -> Answer {
    let mut raw = Raw::connect(served.running.address()).await;
    let mut last: Option<Answer> = None;
    for _ in 0..times {
        raw.write(request.as_bytes()).await;
        let answer = raw.answer(false).await.unwrap().undated();
        assert!(last.is_none_or(|last| last == answer));
        last = Some(answer);
    }
    last.unwrap()
}

/// For stories that make such files, which are counted in the whole process: one at a time, where they do not
/// have a process each.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// How many files of answers this process has.
fn lent() -> usize {
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let names = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    names.filter(|name| name.to_string_lossy().contains("larder-answer")).count()
}

/// Reads until it is held in memory: whoever made an entry drops its first copy a moment later.
async fn warm(served: &Served) -> Answer {
    for _ in 0..100 {
        asked(served, LONG, 1).await;
    }
    let answer = asked(served, LONG, 1).await;
    assert!((17_000..60_000).contains(&answer.body.len()), "{}", answer.body.len());
    answer
}

#[tokio::test]
#[cfg_attr(not(target_os = "linux"), ignore = "other systems are written to")]
async fn what_many_ask_for_is_sent_from_a_file_that_lasts_as_long_as_what_it_says() {
    let _alone = alone().await;
    let (world, served) = served().await;
    let long = warm(&served).await;
    assert_eq!(asked(&served, LARGE, 10).await, long);
    assert_eq!(lent(), 0, "few ask for it");
    assert_eq!(asked(&served, LARGE, 100).await, long);
    assert_eq!(lent(), 1);
    world.clock.advance(Duration::from_secs(1));
    let older = asked(&served, LONG, 1).await;
    // Memory is believed again once the feed has been looked at since.
    for _ in 0..1000 {
        assert_eq!(asked(&served, LARGE, 1).await, older);
        if lent() == 0 {
            break;
        }
    }
    assert_eq!(lent(), 0, "it would say too young an age");
    assert_ne!(older.head, long.head);
    assert_eq!(asked(&served, LARGE, 100).await, older);
    assert_eq!(lent(), 1);
}

#[tokio::test]
#[cfg_attr(not(target_os = "linux"), ignore = "other systems are written to")]
async fn a_reader_who_takes_his_time_gets_each_answer_as_it_was_when_it_was_sent() {
    let _alone = alone().await;
    let (world, served) = served().await;
    let young = warm(&served).await;
    let mut slow = Raw::connect(served.running.address()).await;
    slow.write(LARGE.repeat(MANY).as_bytes()).await;
    asked(&served, LARGE, 100).await;
    assert_eq!(lent(), 1);
    world.clock.advance(Duration::from_secs(1));
    let old = asked(&served, LARGE, 100).await;
    assert_ne!(old.head, young.head);
    let mut came = Vec::new();
    for _ in 0..MANY {
        came.push(slow.answer(false).await.unwrap().undated());
    }
    let turn = came.iter().position(|answer| *answer == old).unwrap();
    assert!(turn > 32, "{turn} were sent before");
    assert!(came[..turn].iter().all(|answer| *answer == young));
    assert!(came[turn..].iter().all(|answer| *answer == old));
    assert_eq!(slow.finish().await, b"");
}

#[tokio::test]
async fn readers_who_leave_in_the_middle_of_an_answer_leave_nothing_behind() {
    let _alone = alone().await;
    let (_world, served) = served().await;
    let long = warm(&served).await;
    for _ in 0..10 {
        let mut leaving = Raw::connect(served.running.address()).await;
        leaving.write(LARGE.repeat(MANY).as_bytes()).await;
        assert_eq!(leaving.answer(false).await.unwrap().undated(), long);
    }
    assert_eq!(asked(&served, LARGE, 100).await, long);
    assert!(lent() <= 1);
}

#[tokio::test]
async fn at_one_instant_each_server_gives_its_own_and_what_changed_is_given_to_nobody() {
    let worlds = [World::new().await, World::new().await];
    let served = [worlds[0].serve().await, worlds[1].serve().await];
    for round in 0..6 {
        for (place, world) in worlds.iter().enumerate() {
            let stars = round * 2 + place as u64;
            world.sim.world(|github| assert!(github.edit("octo-org/cinder", |cinder| cinder.stars = stars)));
            let refresh = served[place].post("/api/v1/entries/cluster/tools/refresh?wait=1");
            assert_eq!(refresh.send().await.unwrap().status(), 200);
        }
        for asked_before in 0..40 {
            for (place, served) in served.iter().enumerate() {
                let body = asked(served, TOOLS, 1).await.body;
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let stars = round * 2 + place as u64;
                assert_eq!(body["repositories"][0]["stars"], stars, "asked {asked_before} times before");
            }
        }
    }
}
