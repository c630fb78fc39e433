//! A server and the command line on one file, both writing.

use serde_json::Value;

use super::{Carousel, Running, chance, numbers, rounds};
use crate::serving::Serving;
use crate::world::User;

/// What both find must be whole, and no older than what either committed before.
fn check(world: &Carousel, floors: &[u64], repositories: &Value) {
    let found = numbers(repositories);
    for (cluster, floor) in floors.iter().enumerate() {
        assert!(found[&cluster] >= *floor, "k{cluster}: {floor} was committed, {found:?}");
    }
    assert_eq!(found.len(), world.len());
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
            _ => check(world, &floors, &user.json(&["repos"])["repositories"]),
        }
    }
}

fn on_the_server(world: &Carousel, serving: &Serving, mut chance: fastrand::Rng) {
    for _ in 0..rounds(15) * 4 {
        let cluster = chance.usize(0..world.len());
        let floors = world.floors();
        if chance.bool() {
            let turned = world.turn(cluster);
            let (head, body) =
                serving.post(&format!("/api/v1/entries/cluster/k{cluster}/refresh?wait=1"), "");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
            world.committed(cluster, turned);
        } else {
            let (head, body) = serving.get("/api/v1/repos?limit=100");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
            let answer: Value = serde_json::from_str(&body).unwrap();
            check(world, &floors, &answer["repositories"]);
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
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (world, user, chance) = (&world, &user, chance.fork());
            scope.spawn(move || on_the_command_line(world, user, chance));
        }
        for _ in 0..3 {
            let (world, serving, chance) = (&world, &serving, chance.fork());
            scope.spawn(move || on_the_server(world, serving, chance));
        }
    });
    user.ok(&["refresh", "--all"]);
    let last = numbers(&user.json(&["repos", "--offline"])["repositories"]);
    assert_eq!(last.into_values().collect::<Vec<u64>>(), world.now());
    let (_, body) = serving.get("/api/v1/repos?limit=100");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(numbers(&answer["repositories"]).into_values().collect::<Vec<u64>>(), world.now());
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
    assert!(serving.stop().success());
}
