//! A server that runs with another configuration than its readers: what it does not refresh as they mean it,
//! they have refreshed by a child of their own, and are told why.

use crate::serving::Serving;
use crate::world::{CLUSTERS, GitHub, Ran, User};

/// What is told of a server that refreshes by other words.
const NOTE: &str = " runs with another configuration";

/// Reads a stale cluster, and waits until whoever refreshes it behind has done so.
fn read(user: &User, cluster: &str, is_done: impl Fn() -> bool) -> Ran {
    let ran = user.ok(&["repos", "--cluster", cluster]);
    assert!(ran.err.contains("; refreshing behind"), "{}", ran.err);
    assert!((0..500).any(|_| is_done()), "it is refreshed behind");
    ran
}

fn has(user: &User, cluster: &str, repository: &str) -> bool {
    user.ok(&["repos", "--cluster", cluster, "--offline"]).out.contains(repository)
}

/// What `larder doctor` says of the server.
fn doctors_word(user: &User) -> serde_json::Value {
    let answer = user.json(&["doctor", "--offline"]);
    let mut checks = answer["checks"].as_array().unwrap().iter();
    checks.find(|check| check["on"] == "server").unwrap().clone()
}

#[test]
fn what_was_edited_since_the_server_began_is_refreshed_by_who_reads_it() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let serving = Serving::start(&user, &["serve"]);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.write("larder.toml", &CLUSTERS.replace("\"cinder-mcp\"", "\"cinder-mcp\", \"harbor\""));
    let ran = read(&user, "cinder", || has(&user, "cinder", "octo-org/harbor"));
    let note = format!("note: the `larder serve` at http://{}{NOTE}", serving.address);
    assert_eq!(ran.err.matches(&note).count(), 1, "{}", ran.err);
    assert!(
        !user.ok(&["repos", "--cluster", "cinder"]).err.contains("note:"),
        "it is fresh as this one means it"
    );
    let found = doctors_word(&user);
    assert_eq!(found["verdict"], "warn");
    assert!(found["found"].as_str().unwrap().contains(NOTE), "{found}");
}

#[test]
fn what_was_edited_since_the_server_began_is_not_fetched_at_every_read_of_either() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let serving = Serving::start(&user, &["serve"]);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.write("larder.toml", &CLUSTERS.replace("\"cinder-mcp\"", "\"harbor\""));
    read(&user, "cinder", || has(&user, "cinder", "octo-org/harbor"));
    github.take_requests();
    for _ in 0..3 {
        let (head, body) = serving.get("/api/v1/clusters/cinder");
        assert!(head.contains("x-cache-status: fresh"), "{head}");
        assert!(!body.contains("octo-org/harbor"), "the server does not know it yet: {body}");
        let ran = user.ok(&["repos", "--cluster", "cinder"]);
        assert!(
            ran.out.contains("octo-org/harbor") && !ran.err.contains("refreshing behind"),
            "{}",
            ran.all()
        );
    }
    assert_eq!(github.take_requests().len(), 0);
}

#[test]
fn what_was_added_since_the_server_began_is_refreshed_by_who_reads_it() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let _serving = Serving::start(&user, &["serve"]);
    user.write("larder.toml", &format!("{CLUSTERS}[[cluster]]\nid = \"quay\"\nrepos = [\"harbor\"]\n"));
    user.ok(&["repos", "--cluster", "quay"]);
    user.ok(&["cache", "invalidate", "quay"]);
    let ran = read(&user, "quay", || user.status("cluster/quay")["status"] == "fresh");
    assert!(ran.err.contains(NOTE), "{}", ran.err);
}

#[test]
fn a_reader_with_a_token_leaves_nothing_to_a_server_without_one() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let user = user.without("GITHUB_TOKEN");
    let serving = Serving::start(&user, &["serve"]);
    let user = user.var("GITHUB_TOKEN", "t0ken");
    github.take_requests();
    user.ok(&["cache", "invalidate", "cinder"]);
    let ran = read(&user, "cinder", || user.status("cluster/cinder")["status"] == "fresh");
    let note = format!("note: the `larder serve` at http://{} has no token", serving.address);
    assert_eq!(ran.err.matches(&note).count(), 1, "{}", ran.err);
    assert!(
        github.take_requests().iter().any(|request| request.actor.is_some()),
        "nobody asked with the token"
    );
    // The other way round the server has all that is wanted.
    drop(serving);
    let _serving = Serving::start(&user, &["serve"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    let user = user.without("GITHUB_TOKEN");
    let ran = read(&user, "cinder", || user.status("cluster/cinder")["status"] == "fresh");
    assert!(!ran.err.contains("larder serve"), "{}", ran.err);
}

#[test]
fn a_server_in_another_folder_is_no_other_for_what_both_refresh_alike() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let serving = Serving::start(&user, &["serve"]);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.ok(&["release", "list", "--repo", "octo-org/harbor"]);
    user.ok(&["cache", "invalidate", "--all"]);
    // The order and the looks of clusters decide nothing, and what one lists of trackers any other knows.
    let (head, clusters) = CLUSTERS.split_once("[[cluster]]").unwrap();
    let (cinder, kiln) = clusters.split_once("[[cluster]]").unwrap();
    let cinder = cinder.replace("name = \"Cinder\"", "name = \"Ash\"");
    let trackers = "[trackers]\nrepos = [\"octo-org/quill\"]\n";
    user.write("larder.toml", &format!("{head}[[cluster]]{kiln}[[cluster]]{cinder}{trackers}"));
    for command in [&["repos", "--cluster", "cinder"][..], &["release", "list", "--repo", "octo-org/harbor"]]
    {
        let ran = user.ok(command);
        assert!(ran.err.ends_with(" old; refreshing behind\n"), "{}", ran.err);
        assert!(!ran.err.contains("larder serve"), "{}", ran.err);
    }
    user.write("larder.toml", CLUSTERS);
    let found = doctors_word(&user);
    assert_eq!(found["verdict"], "ok");
    assert!(found["found"].as_str().unwrap().contains(&serving.address), "{found}");
    assert!(serving.stop().success());
}
