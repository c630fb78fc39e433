//! What is wrong, and what to do about it.

use larder_github_sim::{Outage, SecondaryLimit, Switches, When};
use serde_json::Value;

use crate::world::{CLUSTERS, GitHub, User};

fn check<'v>(answer: &'v Value, on: &str) -> &'v Value {
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|check| check["on"] == on).unwrap_or_else(|| panic!("no check of {on}: {answer}"))
}

#[test]
fn all_is_well_and_it_is_said_line_by_line() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let answer = user.json(&["doctor"]);
    for on in ["config", "data", "state", "database", "github", "token", "limits", "clock", "entries"] {
        assert_eq!(check(&answer, on)["verdict"], "ok", "{on}");
    }
    assert!(check(&answer, "token")["found"].as_str().unwrap().starts_with("of octocat, from GITHUB_TOKEN"));
}

#[test]
fn a_bad_token_fails_and_says_what_to_do() {
    let github = GitHub::demo();
    github.switch(Switches { bad_credentials: true, ..Switches::default() });
    let ran = User::of(&github, CLUSTERS).run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(check(&ran.json(), "token")["verdict"], "fail");
    assert!(check(&ran.json(), "token")["hint"].as_str().unwrap().contains("gh auth login"));
}

#[test]
fn an_outage_fails_and_the_rest_is_looked_at_all_the_same() {
    let github = GitHub::demo();
    github.switch(Switches { outage: Outage::Dropped, ..Switches::default() });
    let ran = User::of(&github, CLUSTERS).run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(check(&ran.json(), "github")["verdict"], "fail");
    assert_eq!(check(&ran.json(), "database")["verdict"], "ok");
}

#[test]
fn a_limit_is_a_warning_since_nothing_is_broken() {
    let github = GitHub::demo();
    let limit = SecondaryLimit { when: When::Always, ..SecondaryLimit::default() };
    github.switch(Switches { secondary_limit: limit, ..Switches::default() });
    let user = User::of(&github, CLUSTERS);
    assert_eq!(user.run(&["repos"]).code, 1);
    assert_eq!(check(&user.json(&["doctor"]), "limits")["verdict"], "warn");
}

#[test]
fn no_token_is_a_warning_that_says_what_one_would_add() {
    let github = GitHub::demo();
    let answer = User::of(&github, CLUSTERS).without("GITHUB_TOKEN").json(&["doctor"]);
    assert_eq!(check(&answer, "token")["verdict"], "warn");
    assert!(check(&answer, "token")["hint"].as_str().unwrap().contains("5,000"));
}

#[test]
fn a_foreign_database_fails_and_is_left_as_it_is() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let path = user.project().join("app.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let ran = user.run(&["doctor", "--json", "--offline", "--store", "sqlite:app.db"]);
    assert_eq!(ran.code, 1);
    assert_eq!(check(&ran.json(), "database")["verdict"], "fail");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_broken_configuration_is_told_line_by_line() {
    let user = User::new();
    user.write("larder.toml", "[githb]\n");
    let ran = user.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("FAIL  config     larder.toml:1:2: unknown section `githb`"), "{}", ran.out);
}
