//! Eight processes on one SQLite file.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use super::{Carousel, Held, Running, chance, numbers, rounds, until};
use crate::world::User;

const PROCESSES: usize = 8;

/// The user's database, opened beside larder to look at what no command tells.
pub(crate) struct Beside(rusqlite::Connection);

impl Beside {
    pub(crate) fn of(user: &User) -> Self {
        let info = user.json(&["cache", "status"]);
        let place = info["store"]["place"].as_str().unwrap().to_owned();
        let root = user.home().parent().unwrap().canonicalize().unwrap();
        let place = place.replace("/root", root.to_str().unwrap());
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        Beside(rusqlite::Connection::open_with_flags(place, flags).unwrap())
    }

    /// The process that holds an entry's lease, and until when.
    pub(crate) fn holder(&self, key: &str) -> Option<(u32, i64)> {
        let sql = "SELECT owner, until FROM leases JOIN entries ON nr = entry WHERE key = ?1";
        let row = self.0.query_row(sql, [key], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
        row.ok().map(|(owner, until)| (owner.rsplit_once(' ').unwrap().1.parse().unwrap(), until))
    }

    /// How the attempts on an entry ended, oldest first.
    pub(crate) fn outcomes(&self, key: &str) -> Vec<String> {
        let mut all = self.0.prepare("SELECT outcome FROM refresh_log WHERE key = ?1 ORDER BY nr").unwrap();
        all.query_map([key], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// One process of the eight: refreshes, reads and marks, and is killed in half of its rounds.
fn play(world: &Carousel, user: &User, mut chance: fastrand::Rng, kills: &AtomicUsize) {
    for _ in 0..rounds(10) {
        let cluster = chance.usize(0..world.len());
        let key = format!("cluster/k{cluster}");
        let floors = world.floors();
        // Beside each, about how many system calls it takes.
        let (args, calls): (&[&str], u64) = match chance.u8(0..10) {
            0..=4 => (&["refresh", &key, "--json"], 450),
            5..=7 => (&["repos", "--json"], 30),
            8 => (&["show", &key, "--json"], 50),
            _ => (&["cache", "invalidate", &key, "--json"], 70),
        };
        let turned = if args[0] == "refresh" { world.turn(cluster) } else { 0 };
        let mut process = Running::start(user, args);
        if chance.bool() && process.kill_after_calls(chance.u64(1..calls)) {
            kills.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let ran = process.ran();
        assert_eq!(ran.code, 0, "{args:?}\n{}{}", ran.out, ran.err);
        let answer = ran.json();
        match args[0] {
            "refresh" => world.committed(cluster, turned),
            "repos" => {
                let found = numbers(&answer["repositories"]);
                for (cluster, floor) in floors.iter().enumerate().filter(|(_, floor)| **floor > 0) {
                    assert!(
                        found[&cluster] >= *floor,
                        "k{cluster} is lost: {floor} was committed, {found:?}"
                    );
                }
            }
            "show" => check_shown(&answer, floors[cluster]),
            _ => {}
        }
    }
}

fn check_shown(answer: &Value, floor: u64) {
    let docs: Vec<Value> =
        answer["items"].as_array().unwrap().iter().map(|item| item["doc"].clone()).collect();
    let found = numbers(&Value::Array(docs));
    assert!(found.values().all(|number| *number >= floor), "{floor} was committed, {found:?}");
}

#[test]
fn eight_processes_killed_anywhere_lose_nothing_and_tear_nothing() {
    let world = Carousel::new(5);
    let user = world.user();
    user.ok(&["refresh", "--all"]);
    let mut chance = chance();
    let kills = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PROCESSES {
            let (chance, kills, world, user) = (chance.fork(), &kills, &world, &user);
            scope.spawn(move || play(world, user, chance, kills));
        }
    });
    user.wait_for_child();
    assert!(kills.load(Ordering::SeqCst) > 0, "nobody was killed: nothing was tried");
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
    // Whoever was killed left nothing that keeps the next one from its work.
    user.ok(&["refresh", "--all"]);
    let last = numbers(&user.json(&["repos", "--offline"])["repositories"]);
    assert_eq!(last.into_values().collect::<Vec<u64>>(), world.now());
}

#[test]
fn a_cold_key_costs_one_call_and_one_more_for_each_process_that_is_killed_over_it() {
    let world = Carousel::new(1);
    let user = world.user();
    let beside = Beside::of(&user);
    world.hold(Held::Back);
    let mut all: Vec<Running> = (0..PROCESSES).map(|_| Running::start(&user, &["repos", "--json"])).collect();
    let mut lease_ends = 0;
    for killed in 1..=2 {
        // All wait for the one who asks; who asks dies.
        let (holder, _) =
            until("one of them asks", || beside.holder("cluster/k0").filter(|_| world.calls() == killed));
        let place = all.iter().position(|process| process.pid() == holder).unwrap();
        assert!(all.remove(place).kill());
        lease_ends = beside.holder("cluster/k0").unwrap().1;
    }
    let asked = until("another takes over", || {
        world.github.requests().into_iter().filter(|request| request.repositories > 0).nth(2)
    });
    // The lease was 2 s long and could be taken from its end on. A waiter looks every 50 ms; a machine
    // with more to do than processors is given two seconds more.
    assert!(asked.at_ms <= lease_ends + 2_000, "taken over {} ms after the end", asked.at_ms - lease_ends);
    assert!(asked.at_ms >= lease_ends, "taken over {} ms before the end", lease_ends - asked.at_ms);
    world.hold(Held::Not);
    for process in all {
        let ran = process.ran();
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(numbers(&ran.json()["repositories"]), [(0, 1)].into());
    }
    assert_eq!(world.calls(), 3, "one, and one more for each of two that were killed");
}

#[test]
fn one_that_was_stopped_past_its_lease_cannot_undo_what_another_did_meanwhile() {
    let world = Carousel::new(1);
    let user = world.user();
    let beside = Beside::of(&user);
    world.hold(Held::Back);
    let sleeper = Running::start(&user, &["refresh", "k0"]);
    until("it asks", || (world.calls() == 1).then_some(()));
    // Its answer is of this world, and waits for it at its door.
    sleeper.signal(Signal::STOP);
    world.hold(Held::Not);
    until("GitHub has answered", || {
        world.github.requests().iter().all(|one| one.status.is_some()).then_some(())
    });
    world.turn(0);
    user.ok(&["refresh", "k0"]);
    sleeper.signal(Signal::CONT);
    let woken = sleeper.ran();
    assert_ne!(woken.code, -1, "{}", woken.err);
    assert_eq!(numbers(&user.json(&["repos", "--offline"])["repositories"]), [(0, 2)].into());
    assert_eq!(
        beside.outcomes("cluster/k0").last().map(String::as_str),
        Some("superseded"),
        "{:?}",
        beside.outcomes("cluster/k0")
    );
}
