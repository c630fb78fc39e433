//! A PostgreSQL that takes nothing any more, and instances on it whose clocks are wrong.

use std::fs::File;

use serde_json::Value;

use super::clock::{AHEAD, with_clock, with_right_clock};
use super::instances::{number, on, refresh};
use super::{Carousel, Held, Running, numbers, until};
use crate::postgres::Database;
use crate::serving::{Serving, try_get};
use crate::world::User;

/// While the database takes nothing, by `forbid` and until `allow`, readers are served, nothing is
/// fetched that cannot be kept, whoever looks after it is told once, and all goes on by itself afterwards.
fn reads_go_on_while_nothing_can_be_written(forbid: &str, allow: &str, said: &str) {
    let database = Database::new();
    reads_go_on_of(&database, &database.url(), forbid, allow, said);
}

/// The same where the database is used by that address.
fn reads_go_on_of(database: &Database, url: &str, forbid: &str, allow: &str, said: &str) {
    let world = Carousel::new(2);
    let user = world.user().var("LARDER_STORE__URL", url);
    user.ok(&["refresh", "--all"]);
    let log = user.home().join("server.log");
    let told = File::create(&log).unwrap().into();
    let instances = [Serving::start_to(&user, &["serve"], told), Serving::start(&user, &["serve"])];
    database.ask(forbid);
    world.turn(0);
    let calls = world.calls();
    for instance in &instances {
        assert!(!refresh(&instance.address, 0), "nothing can be refreshed");
        for cluster in 0..world.len() {
            assert_eq!(number(&instance.address, cluster), Some(1), "it is served");
        }
        let (head, body) = try_get(&instance.address, "/readyz").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(body.starts_with("degraded: the store cannot be written since "), "{body}");
        let cold = "/api/v1/entries/trackers/octo-org/k0-0/release";
        let (head, body) = try_get(&instance.address, cold).unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && body.contains("\"store_busy\""), "{head}\n{body}");
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
        assert_eq!(try_get(&instance.address, "/readyz").unwrap().1, "ready\n");
    }
    let log = std::fs::read_to_string(log).unwrap();
    for once in ["the store cannot be written: nothing is refreshed", "the store can be written again"] {
        assert_eq!(log.matches(once).count(), 1, "{log}");
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

/// A user of the database who may do in the schema what Larder does, and its address.
fn app_of(database: &Database) -> (String, String) {
    let app = database.url().split_once("it_").map(|(_, name)| format!("app_{name}")).unwrap();
    User::new().var("LARDER_STORE__URL", &database.url()).ok(&["migrate", "up"]);
    database.ask(&format!(
        "CREATE ROLE {app} LOGIN PASSWORD 'app'; GRANT USAGE ON SCHEMA larder TO {app}; \
         GRANT ALL ON ALL TABLES IN SCHEMA larder TO {app}; GRANT ALL ON ALL SEQUENCES IN SCHEMA larder TO {app}"
    ));
    let url = database.url().replace(&database.password(), "app");
    let url = url.replace("//larder:", &format!("//{app}:"));
    (app, url)
}

#[test]
fn a_database_whose_user_may_only_read_any_more_is_read_on() {
    let database = Database::new();
    let (app, url) = app_of(&database);
    let all = "INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA larder";
    let (forbid, allow) = (format!("REVOKE {all} FROM {app}"), format!("GRANT {all} TO {app}"));
    reads_go_on_of(&database, &url, &forbid, &allow, "cannot be written: permission denied for table");
    database.ask(&format!("DROP OWNED BY {app}; DROP ROLE {app}"));
}

#[test]
fn a_database_that_fails_at_what_is_written_says_so_once_and_is_read_on() {
    let (world, database) = (Carousel::new(1), Database::new());
    let user = on(&database, &world);
    user.ok(&["refresh", "--all"]);
    let log = user.home().join("server.log");
    let serving = Serving::start_to(&user, &["serve"], File::create(&log).unwrap().into());
    database.ask(
        "CREATE FUNCTION public.rule() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'a rule of theirs'; END $$; \
         CREATE TRIGGER rule BEFORE INSERT OR UPDATE ON larder.entries \
         FOR EACH STATEMENT EXECUTE FUNCTION public.rule()",
    );
    for _ in 0..3 {
        assert!(!refresh(&serving.address, 0));
        assert_eq!(number(&serving.address, 0), Some(1), "it is served");
    }
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(said.matches("a rule of theirs").count(), 1, "{said}");
    database.ask("DROP TRIGGER rule ON larder.entries");
    until("it goes on by itself", || refresh(&serving.address, 0).then_some(()));
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
