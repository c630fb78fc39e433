//! Configuration as people meet it.

use crate::world::{CLUSTERS, GitHub, User};

#[test]
fn a_stranger_is_led_from_nothing_to_a_list() {
    let github = GitHub::demo();
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    let ran = user.run(&["repos"]);
    insta::assert_snapshot!(ran.all(), @"");
    assert!(!user.home().join(".local/share").exists(), "nothing is made for nothing");
    user.ok(&["init", "--owner", "octo-org"]);
    let again = user.run(&["init"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("larder init FILE"), "{}", again.err);
    let list = user.ok(&["repos", "--limit", "2"]);
    assert_eq!(list.out.lines().count(), 3);
    assert_eq!(list.err, "");
}

#[test]
fn every_mistake_is_an_error_with_its_place_and_a_hint() {
    let user = User::new();
    user.write("larder.toml", "[github]\nonwer = \"o\"\n[clusters]\nttl = \"soon\"\n");
    let ran = user.run(&["repos"]);
    insta::assert_snapshot!(ran.all(), @"");
}

#[test]
fn show_tells_where_each_value_came_from_and_hides_the_token() {
    let github = GitHub::demo();
    let user =
        User::of(&github, CLUSTERS).var("REPO_CACHE_TTL", "12").var("DATABASE_URL", "postgres://app/db");
    let ran = user.ok(&["config", "show", "--store", "sqlite:mine.db"]);
    insta::assert_snapshot!(ran.all(), @"");
    let shown = user.json(&["config", "show"]);
    let token = shown["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == "github.token");
    assert_eq!(token.unwrap()["secret"], true);
    assert_eq!(token.unwrap()["value"], serde_json::Value::Null);
}

#[test]
fn a_mistyped_cluster_gets_the_nearest_one() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let ran = user.run(&["repos", "--cluster", "cindre"]);
    insta::assert_snapshot!(ran.all(), @"");
}

#[test]
fn trust_can_be_given_for_a_file_and_taken_back() {
    let user = User::new();
    user.write("larder.toml", "[github]\ntoken = \"x\"\n");
    let shown = |user: &User| user.json(&["config", "show"])["file"]["trusted"].clone();
    assert_eq!(shown(&user), false);
    user.ok(&["config", "trust"]);
    assert_eq!(shown(&user), true);
    user.ok(&["config", "trust", "--revoke"]);
    assert_eq!(shown(&user), false);
}
