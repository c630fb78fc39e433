//! What a reader gets when GitHub does not play along.

use larder_github_sim::{Outage, PrimaryLimit, Switches};

use serde_json::Value;

use crate::serving::Serving;
use crate::world::{CLUSTERS, GitHub, User};

fn down() -> Switches {
    Switches { outage: Outage::Unavailable, ..Switches::default() }
}

#[test]
fn offline_with_an_empty_cache_exits_4_and_sends_nothing() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let ran = user.run(&["repos", "--offline"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 4
    --- out
    --- err
    error: `cluster/cinder` and `cluster/kiln` are not in the cache
    hint: read it without --offline once
    ");
    assert!(github.requests().is_empty());
}

#[test]
fn offline_prints_what_is_held_however_old() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let online = user.ok(&["repos"]);
    user.ok(&["cache", "invalidate", "--all"]);
    github.take_requests();
    let offline = user.ok(&["repos", "--offline"]);
    assert_eq!(offline.out, online.out);
    user.wait_for_child();
    assert!(github.requests().is_empty());
}

#[test]
fn offline_with_part_of_it_in_the_cache_prints_that_and_exits_3() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "cinder"]);
    let ran = user.run(&["repos", "--offline"]);
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("octo-org/cinder-sv"));
    assert!(ran.err.contains("`cluster/kiln` is not in the cache"), "{}", ran.err);
}

#[test]
fn a_refresh_that_fails_prints_the_old_copy_says_why_and_exits_3() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let before = user.ok(&["repos", "--cluster", "cinder"]);
    github.switch(down());
    let ran = user.run(&["repos", "--cluster", "cinder", "--refresh"]);
    assert_eq!(ran.out, before.out);
    insta::assert_snapshot!(ran.all(), @r"
    exit 3
    --- out
    NAME	STARS	LANGUAGE	UPDATED	CLUSTER	DESCRIPTION
    octo-org/cinder	4821	Rust	2026-08-31T00:00:00Z	cinder,kiln	An embedded event store that starts in a millisecond
    octo-org/cinder-sv	640	Svelte	2026-08-29T00:00:00Z	cinder	Browse and edit a Cinder file in the browser
    octo-org/cinder-mcp	288	TypeScript	2026-08-23T00:00:00Z	cinder	Let an assistant ask questions of a Cinder file 🔥
    --- err
    error: `cluster/cinder` could not be refreshed
    cause: 127.0.0.1:PORT answered 503
    hint: try again in a while; `larder doctor` asks GitHub how it is
    hint: the copy from THENw was served
    ");
    github.switch(Switches::default());
    user.ok(&["repos", "--cluster", "cinder", "--refresh"]);
    assert_eq!(user.status("cluster/cinder")["attempts"], 0);
}

#[test]
fn a_first_fetch_that_fails_exits_1_and_leaves_no_copy_that_could_pass_for_one() {
    let github = GitHub::demo();
    github.switch(down());
    let user = User::of(&github, CLUSTERS);
    let ran = user.run(&["repos", "--cluster", "cinder"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.starts_with("error: `cluster/cinder` could not be fetched\ncause: "), "{}", ran.err);
    assert_eq!(user.status("cluster/cinder")["status"], "missing");
    let json = user.run(&["repos", "--cluster", "cinder", "--json"]);
    assert_eq!(json.code, 1);
    assert_eq!(json.json()["repositories"], serde_json::json!([]));
}

#[test]
fn a_refresh_of_two_where_one_is_limited_away_says_which() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["refresh", "--all"]);
    let limit = PrimaryLimit { remaining: Some(0), ..PrimaryLimit::default() };
    github.switch(Switches { primary_limit: limit, ..Switches::default() });
    let ran = user.run(&["refresh", "--all"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("cluster/cinder\tfailed"), "{}", ran.out);
    assert!(ran.err.contains("limit"), "{}", ran.err);
    let read = user.ok(&["repos"]);
    assert!(read.out.contains("octo-org/cinder"));
}

#[test]
fn what_is_gone_or_renamed_is_a_warning_on_its_cluster() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let kiln = user.json(&["show", "kiln"]);
    let codes: Vec<_> = kiln["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert_eq!(codes, ["renamed", "not_found"]);
    assert_eq!(kiln["complete"], true);
    assert_eq!(kiln["items"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_said_of_a_repository_is_shown_after_it_was_renamed() {
    let github = GitHub::demo();
    let said = "[[repo]]\nname = \"forge\"\ndisplay_name = \"The Forge\"\nflagship = true\n";
    let user = User::of(&github, &format!("{CLUSTERS}\n{said}"));
    let registry = user.json(&["registry"]);
    let members =
        registry["projects"].as_array().unwrap().iter().flat_map(|one| one["members"].as_array().unwrap());
    let forge = members.into_iter().find(|member| member["name"] == "The Forge").unwrap();
    assert_ne!(forge["full_name"], "octo-org/forge");
    assert_eq!(forge["flagship"], true);
    let listed = user.json(&["repos", "--sort", "name"]);
    let rows = listed["repositories"].as_array().unwrap();
    let kiln = rows.iter().find(|row| row["full_name"] == "octo-org/kiln").unwrap();
    assert_eq!((&kiln["asked"], &kiln["display_name"]), (&"octo-org/forge".into(), &"The Forge".into()));
    assert_eq!(rows.iter().filter(|row| row.get("asked").is_some()).count(), 1, "no other has two names");
    let serving = Serving::start(&user, &["serve"]);
    let (_, served) = serving.get("/api/v1/repos?sort=name");
    let served: Value = serde_json::from_str(&served).unwrap();
    assert_eq!(served["repositories"].to_string(), listed["repositories"].to_string(), "byte by byte");
    let (_, cluster) = serving.get("/api/v1/clusters/kiln");
    let cluster: Value = serde_json::from_str(&cluster).unwrap();
    let own = cluster["repositories"].as_array().unwrap().iter().find(|row| row["name"] == "kiln").unwrap();
    assert_eq!((&own["asked"], &own["display_name"]), (&kiln["asked"], &kiln["display_name"]));
}

#[test]
fn a_store_in_a_directory_that_cannot_be_written_is_told_with_what_to_do() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let ran = user.run(&["repos", "--store", "sqlite:/proc/nowhere/larder.db"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error: ") && ran.err.contains("/proc/nowhere"), "{}", ran.err);
}

#[test]
fn a_repository_that_is_not_there_is_a_failure_whether_or_not_a_refresh_is_asked() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let list = ["release", "list", "--repo", "octo-org/not-there"];
    let first = user.run(&list).all();
    insta::assert_snapshot!(first, @r"
    exit 1
    --- out
    --- err
    warning: `trackers/octo-org/not-there/release`: `octo-org/not-there` was not found: deleted, or private and not for this token
    error: `trackers/octo-org/not-there/release` does not exist
    hint: check its name; what is private wants a token that may see it
    ");
    for refresh in [&["--refresh"][..], &[], &["--refresh"]] {
        assert_eq!(user.run(&[&list, refresh].concat()).all(), first, "{refresh:?}");
    }
    let refreshed = user.run(&["refresh", "--repo", "octo-org/not-there"]);
    assert_eq!(refreshed.code, 1, "{}", refreshed.all());
    let both =
        "`trackers/octo-org/not-there/release` and `trackers/octo-org/not-there/microsprint` do not exist";
    assert!(refreshed.err.contains(&format!("error: {both}\n")), "{}", refreshed.err);
    assert_eq!(refreshed.err.matches("hint: check its name").count(), 1, "{}", refreshed.err);
}
