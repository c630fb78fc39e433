//! A stale copy is printed at once, and refreshed by one child behind the reader.

use larder_github_sim::Switches;

use crate::world::{CLUSTERS, GitHub, User};

#[test]
fn a_stale_read_prints_at_once_says_so_and_is_fresh_the_next_time() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    github.world(|world| world.edit("octo-org/cinder", |cinder| cinder.stars = 9999));

    let stale = user.json(&["repos", "--cluster", "cinder", "--sort", "stars"]);
    assert_eq!(stale["cache"][0]["status"], "stale");
    assert_eq!(stale["repositories"][0]["stars"], 4821);
    user.wait_for_child();

    let fresh = user.ok(&["repos", "--cluster", "cinder", "--sort", "stars", "--json"]);
    assert!(!fresh.err.contains("old"), "{}", fresh.err);
    assert_eq!(fresh.json()["repositories"][0]["stars"], 9999);
    assert_eq!(fresh.json()["cache"][0]["status"], "fresh");
}

#[test]
fn the_reader_is_told_of_the_age_on_standard_error_alone() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let before = user.ok(&["repos", "--cluster", "cinder"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    let stale = user.ok(&["repos", "--cluster", "cinder"]);
    assert_eq!(stale.out, before.out);
    assert!(stale.err.starts_with("note: `cluster/cinder` is "), "{}", stale.err);
    assert!(stale.err.ends_with(" old; refreshing behind\n"), "{}", stale.err);
    user.wait_for_child();
    user.ok(&["cache", "invalidate", "cinder"]);
    let quiet = user.ok(&["repos", "--cluster", "cinder", "--quiet"]);
    assert_eq!(quiet.err, "");
    user.wait_for_child();
}

#[test]
fn readers_of_a_stale_copy_start_one_child_and_wait_for_nobody() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    github.take_requests();
    // GitHub takes the question and does not answer: whoever waited for it would hang here.
    github.switch(Switches { hold: true, ..Switches::default() });
    for _ in 0..5 {
        let stale = user.json(&["repos", "--cluster", "cinder"]);
        assert_eq!(stale["repositories"].as_array().unwrap().len(), 3);
    }
    github.switch(Switches::default());
    user.wait_for_child();
    let fetches = github.requests();
    assert_eq!(fetches.iter().filter(|request| request.repositories > 0).count(), 1, "{fetches:#?}");
    assert_eq!(user.status("cluster/cinder")["status"], "fresh");
}

#[test]
fn an_entry_that_cannot_be_read_keeps_a_child_from_no_other() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let store = user.project().join("shelf.db");
    let at = ["--store", "sqlite:shelf.db"];
    let run = |args: &[&str]| user.ok(&[args, &at].concat());
    run(&["repos"]);
    run(&["cache", "invalidate", "cinder"]);
    let damaged = "CREATE TEMP TABLE damaged AS SELECT * FROM entries WHERE key = 'cluster/kiln'; \
         UPDATE damaged SET nr = 9999, key = 'trackers/o/r/release', source = 'trackers', warnings = 'no JSON'; \
         INSERT INTO entries SELECT * FROM damaged;";
    rusqlite::Connection::open(&store).unwrap().execute_batch(damaged).unwrap();
    run(&["repos", "--cluster", "cinder"]);
    user.wait_for_child();
    let fresh = run(&["repos", "--cluster", "cinder", "--json"]).json();
    assert_eq!(fresh["cache"][0]["status"], "fresh");
}

#[test]
fn a_child_that_fails_leaves_a_copy_that_says_why_and_is_tried_again() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    github.switch(Switches { bad_credentials: true, ..Switches::default() });
    user.ok(&["repos", "--cluster", "cinder"]);
    user.wait_for_child();
    let status = user.status("cluster/cinder");
    assert_eq!(status["attempts"], 1);
    assert_eq!(status["last_error"]["code"], "refused");
    assert_eq!(status["status"], "stale");
    let read = user.ok(&["repos", "--cluster", "cinder", "--offline"]);
    assert!(read.err.contains("warning: `cluster/cinder` is "), "{}", read.err);
    github.switch(Switches::default());
    user.ok(&["cache", "replay", "cinder"]);
    user.ok(&["repos", "--cluster", "cinder", "--refresh"]);
    assert_eq!(user.status("cluster/cinder")["attempts"], 0);
}

#[test]
fn a_child_that_gets_no_answer_ends_with_the_hard_time_out() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    // The first copy has all the time that a busy machine may need.
    user.ok(&["repos", "--cluster", "cinder"]);
    let short = format!("{CLUSTERS}[engine]\nhard_timeout = \"300ms\"\nsoft_timeout = \"100ms\"\n");
    user.write("larder.toml", &short);
    user.ok(&["cache", "invalidate", "cinder"]);
    github.switch(Switches { hold: true, ..Switches::default() });
    user.ok(&["repos", "--cluster", "cinder"]);
    // GitHub never answers: this ends because the child does.
    user.wait_for_child();
    assert_eq!(user.status("cluster/cinder")["last_error"]["code"], "timed_out");
    assert_eq!(user.ok(&["repos", "--cluster", "cinder", "--offline"]).out.lines().count(), 4);
}

/// As where the state directory is somebody else's, or its disk is full.
#[test]
fn where_nobody_can_be_started_to_refresh_behind_the_reader_is_told_so() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    user.write("state", "a file, where a folder is wanted");
    let file = user.project().join("state");
    let user = user.var("XDG_STATE_HOME", file.to_str().unwrap());
    let stale = user.ok(&["repos", "--cluster", "cinder"]);
    assert_eq!(stale.out.lines().count(), 4, "{}", stale.out);
    assert!(!stale.err.contains("refreshing behind"), "{}", stale.err);
    assert!(stale.err.contains("warning: what is stale cannot be refreshed behind: "), "{}", stale.err);
    assert!(stale.err.contains("`larder refresh` does it at once"), "{}", stale.err);
}
