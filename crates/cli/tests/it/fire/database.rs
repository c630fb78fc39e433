//! A PostgreSQL that takes nothing any more, and instances on it whose clocks are wrong.

use serde_json::Value;

use super::clock::{AHEAD, with_clock, with_right_clock};
use super::instances::{number, on, refresh, start};
use super::{Carousel, Held, Running, numbers, until};
use crate::postgres::Database;
use crate::serving::{Serving, try_get};
use crate::world::User;

/// While the database takes nothing, by `forbid` and until `allow`, readers are served, nothing is
/// fetched that cannot be kept, and all goes on by itself afterwards.
fn reads_go_on_while_nothing_can_be_written(forbid: &str, allow: &str, said: &str) {
    let (world, database) = (Carousel::new(2), Database::new());
    let user = on(&database, &world);
    user.ok(&["refresh", "--all"]);
    let instances = start(&user);
    database.ask(forbid);
    world.turn(0);
    let calls = world.calls();
    for instance in &instances {
        assert!(!refresh(&instance.address, 0), "nothing can be refreshed");
        for cluster in 0..world.len() {
            assert_eq!(number(&instance.address, cluster), Some(1), "it is served");
        }
        let (head, _) = try_get(&instance.address, "/readyz").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    let ran = user.run(&["refresh", "k0"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.err.contains(said), "{}", ran.err);
    assert_eq!(numbers(&user.json(&["repos", "--offline"])["repositories"]), [(0, 1), (1, 1)].into());
    assert_eq!(world.calls(), calls, "nothing is fetched that cannot be kept");
    database.ask(allow);
    for instance in &instances {
        let turned = world.turn(0);
        until("it goes on by itself", || refresh(&instance.address, 0).then_some(()));
        for reader in &instances {
            let is_seen = || number(&reader.address, 0).filter(|found| *found >= turned);
            until("all show what is new", is_seen);
        }
    }
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
}

#[test]
fn a_database_that_may_only_be_read_is_read_on() {
    // What is set for a database is heard by new sessions: those that are open are ended.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let set = |to: &str| {
        format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {to}', \
             current_database()); END $$; {end}"
        )
    };
    // A transaction may still say otherwise for itself; Larder's do not.
    let off = format!("BEGIN READ WRITE; {}; COMMIT", set("off"));
    reads_go_on_while_nothing_can_be_written(&set("on"), &off, "cannot be written");
}

#[test]
fn a_database_without_room_is_read_on() {
    // In its own words, since nobody's disk is to be filled for it.
    let full = "CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' \
                USING ERRCODE = 'disk_full'; END $$; \
                CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON larder.entries \
                FOR EACH STATEMENT EXECUTE FUNCTION public.no_room()";
    let room = "DROP TRIGGER no_room ON larder.entries; DROP FUNCTION public.no_room()";
    reads_go_on_while_nothing_can_be_written(full, room, "no room left on the disk of postgres://");
}

#[test]
fn a_lease_taken_by_a_clock_that_was_ahead_ends_by_the_databases() {
    let (world, database) = (Carousel::new(1), Database::new());
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), AHEAD).unwrap();
    let user = with_clock(on(&database, &world), clock.path());
    world.hold(Held::Back);
    let mut ahead = Running::start(&user, &["refresh", "k0"]);
    until("it asks", || (world.calls() == 1).then_some(()));
    assert!(ahead.kill());
    let (_, ends) = database.holder("cluster/k0").unwrap();
    let asked = world.github.requests()[0].at_ms;
    assert!(ends < asked + 3_000_000, "it went by its own clock: the lease ends {} ms later", ends - asked);
    world.hold(Held::Not);
    let user = with_right_clock(user);
    assert_eq!(numbers(&user.json(&["repos"])["repositories"]), [(0, 1)].into());
    assert_eq!(world.calls(), 2);
}

#[test]
fn an_instance_whose_clock_is_ahead_takes_no_lease_that_another_renews() {
    let (world, database) = (Carousel::new(1), Database::new());
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), AHEAD).unwrap();
    // Long enough that a machine with other things to do renews it in time.
    let user = || on(&database, &world).var("LARDER_ENGINE__LEASE", "10s");
    let holder = Serving::start(&user(), &["serve"]);
    let ahead = Serving::start(&with_clock(user(), clock.path()), &["serve"]);
    world.hold(Held::Back);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| number(&holder.address, 0));
        until("it asks", || (world.calls() == 1).then_some(()));
        let held = || database.holder("cluster/k0");
        let (pid, first_end) = until("it holds the lease", held);
        assert_eq!(pid, holder.pid());
        let second = scope.spawn(|| number(&ahead.address, 0));
        // By then a clock that is an hour ahead has seen the lease end many times.
        let is_renewed = || held().filter(|(_, ends)| *ends > first_end + 4_000);
        let (pid, _) = until("it is renewed", is_renewed);
        assert_eq!(pid, holder.pid(), "it was taken from its holder");
        assert_eq!(world.calls(), 1);
        world.hold(Held::Not);
        assert_eq!(first.join().unwrap(), Some(1));
        assert_eq!(second.join().unwrap(), Some(1), "it is given what the other fetched");
    });
    assert_eq!(world.calls(), 1);
}

#[test]
fn an_instance_whose_clock_is_set_back_serves_and_refreshes_on_beside_another() {
    let (world, database) = (Carousel::new(1), Database::new());
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), AHEAD).unwrap();
    let user: User = with_clock(on(&database, &world), clock.path());
    let moved = Serving::start(&user, &["serve"]);
    let user = with_right_clock(user);
    let right = Serving::start(&user, &["serve"]);
    for instance in [&moved, &right] {
        assert_eq!(number(&instance.address, 0), Some(1));
    }
    std::fs::write(clock.path(), "+0s").unwrap();
    for (by, other) in [(&moved, &right), (&right, &moved)] {
        assert!(number(&by.address, 0).is_some(), "it serves what it has");
        let turned = world.turn(0);
        assert!(refresh(&by.address, 0), "and refreshes when it is asked to");
        assert_eq!(number(&by.address, 0), Some(turned));
        until("the other shows it", || (number(&other.address, 0) == Some(turned)).then_some(()));
    }
    let turned = world.turn(0);
    user.ok(&["cache", "invalidate", "k0"]);
    for instance in [&moved, &right] {
        until("what was marked stale is refreshed", || {
            (number(&instance.address, 0) == Some(turned)).then_some(())
        });
    }
    let status = user.status("cluster/k0");
    assert_eq!(status["status"], "fresh", "{status}");
    assert_eq!(user.json(&["cache", "verify"])["problems"], Value::Array(Vec::new()));
}
