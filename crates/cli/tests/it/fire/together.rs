//! A server and the command line on one file, both writing.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::{Carousel, Running, chance, numbers, rounds, until};
use crate::serving::Serving;
use crate::world::User;

/// Whether what was found, which must be whole, is no older than that.
fn reaches(floors: &[u64], repositories: &Value) -> bool {
    let found = numbers(repositories);
    assert_eq!(found.len(), floors.len());
    floors.iter().enumerate().all(|(cluster, floor)| found[&cluster] >= *floor)
}

/// What the server says now.
fn told(serving: &Serving) -> Value {
    let (head, body) = serving.get("/api/v1/repos?limit=100");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    answer["repositories"].take()
}

fn on_the_command_line(world: &Carousel, user: &User, mut chance: fastrand::Rng) {
    for _ in 0..rounds(15) {
        let cluster = chance.usize(0..world.len());
        let floors = world.floors();
        match chance.u8(0..4) {
            0..=1 => {
                let turned = world.turn(cluster);
                let ran = Running::start(user, &["refresh", &format!("k{cluster}")]).ran();
                assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
                world.committed(cluster, turned);
            }
            2 => drop(user.ok(&["cache", "invalidate", &format!("k{cluster}")])),
            _ => {
                let found = &user.json(&["repos"])["repositories"];
                assert!(reaches(&floors, found), "{floors:?} was committed, {found:?}");
            }
        }
    }
}

/// A server finds at once what it committed itself, and what the command line did when it has heard of it.
fn on_the_server(world: &Carousel, own: &[AtomicU64], serving: &Serving, mut chance: fastrand::Rng) {
    for _ in 0..rounds(15) * 4 {
        let cluster = chance.usize(0..world.len());
        if chance.bool() {
            let turned = world.turn(cluster);
            let (head, body) =
                serving.post(&format!("/api/v1/entries/cluster/k{cluster}/refresh?wait=1"), "");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
            world.committed(cluster, turned);
            own[cluster].fetch_max(turned, Ordering::SeqCst);
        } else {
            let floors = world.floors();
            let of_its_own: Vec<u64> = own.iter().map(|floor| floor.load(Ordering::SeqCst)).collect();
            let found = told(serving);
            assert!(reaches(&of_its_own, &found), "{of_its_own:?} was committed by the server, {found:?}");
            if !reaches(&floors, &found) {
                until("the server hears of a commit", || reaches(&floors, &told(serving)).then_some(()));
            }
        }
    }
}

#[test]
fn a_server_and_the_command_line_write_one_file_at_once_and_lose_nothing() {
    let world = Carousel::new(4);
    let user = world.user();
    user.ok(&["refresh", "--all"]);
    let serving = Serving::start(&user, &["serve"]);
    let mut chance = chance();
    let own: Vec<AtomicU64> = (0..world.len()).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (world, user, chance) = (&world, &user, chance.fork());
            scope.spawn(move || on_the_command_line(world, user, chance));
        }
        for _ in 0..3 {
            let (world, own, serving, chance) = (&world, &own, &serving, chance.fork());
            scope.spawn(move || on_the_server(world, own, serving, chance));
        }
    });
    user.ok(&["refresh", "--all"]);
    let last = numbers(&user.json(&["repos", "--offline"])["repositories"]);
    assert_eq!(last.into_values().collect::<Vec<u64>>(), world.now());
    until("the server hears of the last", || reaches(&world.now(), &told(&serving)).then_some(()));
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
    assert!(serving.stop().success());
}
