//! Clocks that are wrong, and set right while larder runs. The system's answers are changed under the
//! process by libfaketime.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::file::Beside;
use super::{Carousel, Held, Running, numbers, until};
use crate::serving::Serving;
use crate::world::User;

/// An hour ahead.
pub(super) const AHEAD: &str = "+3600s";

fn libfaketime() -> PathBuf {
    let dirs = std::fs::read_dir("/usr/lib").unwrap().map(|dir| dir.unwrap().path());
    let found = dirs.map(|dir| dir.join("faketime/libfaketime.so.1")).find(|path| path.exists());
    found.expect("libfaketime is missing: `apt install libfaketime`")
}

/// The same user with a clock of their own: how far off it is stands in a file, so that it can be set
/// while larder runs. The clock that waits are told by goes on as it does.
pub(super) fn with_clock(user: User, file: &Path) -> User {
    user.var("LD_PRELOAD", libfaketime().to_str().unwrap())
        .var("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
        .var("FAKETIME_NO_CACHE", "1")
        .var("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

pub(super) fn with_right_clock(user: User) -> User {
    user.without("LD_PRELOAD")
}

#[test]
fn a_lease_taken_by_a_clock_that_was_ahead_keeps_nobody_waiting() {
    let world = Carousel::new(1);
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), AHEAD).unwrap();
    let user = with_clock(world.user(), clock.path());
    world.hold(Held::Back);
    let mut ahead = Running::start(&user, &["refresh", "k0"]);
    until("it asks", || (world.calls() == 1).then_some(()));
    assert!(ahead.kill());
    let user = with_right_clock(user);
    let (_, ends) = Beside::of(&user).holder("cluster/k0").unwrap();
    let asked = world.github.requests()[0].at_ms;
    assert!(ends > asked + 3_000_000, "the clock was not ahead: the lease ends {} ms later", ends - asked);
    // Whoever believed that end would wait for an hour, and this test with it.
    world.hold(Held::Not);
    let ran = user.ok(&["repos", "--json"]);
    assert_eq!(numbers(&ran.json()["repositories"]), [(0, 1)].into());
    assert_eq!(world.calls(), 2);
}

#[test]
fn a_copy_from_the_future_is_replaced_by_the_next_refresh_and_never_comes_back() {
    let world = Carousel::new(2);
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), AHEAD).unwrap();
    let user = with_clock(world.user(), clock.path());
    user.ok(&["refresh", "--all"]);
    let user = with_right_clock(user);
    let read = |user: &User| numbers(&user.json(&["repos", "--offline"])["repositories"]);
    assert_eq!(read(&user), [(0, 1), (1, 1)].into());
    world.turn(0);
    user.ok(&["refresh", "k0"]);
    assert_eq!(
        read(&user),
        [(0, 2), (1, 1)].into(),
        "what was asked for later stands, whatever the clocks said"
    );
    let status = user.status("cluster/k0");
    assert_eq!(status["status"], "fresh", "{status}");
    let checks = user.json(&["cache", "verify"]);
    assert_eq!(checks["problems"], Value::Array(Vec::new()));
}

#[test]
fn a_server_whose_clock_is_set_back_serves_and_refreshes_on() {
    let world = Carousel::new(1);
    let clock = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(clock.path(), AHEAD).unwrap();
    let user = with_clock(world.user(), clock.path());
    let serving = Serving::start(&user, &["serve"]);
    // An answer may be refused where the store takes longer than a second, as on a machine that is busy:
    // the clock is no part of that, so it is asked again.
    let found = || super::instances::number(&serving.address, 0);
    assert_eq!(until("it answers", found), 1);
    std::fs::write(clock.path(), "+0s").unwrap();
    assert_eq!(until("it answers with its clock set back", found), 1, "it serves what it has");
    world.turn(0);
    until("it refreshes when it is asked to", || {
        super::instances::refresh(&serving.address, 0).then_some(())
    });
    assert_eq!(until("it answers with what it fetched", found), 2);
    world.turn(0);
    with_right_clock(user).ok(&["cache", "invalidate", "k0"]);
    until("it refreshes what was marked stale", || (found() == Some(3)).then_some(()));
}
