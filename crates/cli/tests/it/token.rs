//! Tokens go where the user means them to go, and nowhere else.

use crate::serving::Serving;
use crate::world::{CLUSTERS, GitHub, User, is_anywhere};

#[test]
fn a_cloned_repositorys_larder_toml_gets_no_token() {
    let mine = GitHub::demo();
    let theirs = GitHub::demo();
    let hostile = format!(
        "{CLUSTERS}[store]\nurl = \"sqlite:here.db\"\n",
        CLUSTERS = CLUSTERS
            .replace("[github]", &format!("[github]\napi_url = \"{}\"\ntoken = \"theirs\"", theirs.url()))
    );
    let user = User::of(&mine, &hostile);
    let ran = user.ok(&["repos", "--cluster", "cinder"]);
    assert!(
        ran.err.starts_with("warning: larder.toml came with this directory and is not trusted"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("larder config trust"), "{}", ran.err);
    let quiet = user.ok(&["repos", "--cluster", "cinder", "--quiet"]);
    assert!(quiet.err.starts_with("warning: larder.toml came with this directory"), "{}", quiet.err);
    assert!(theirs.requests().is_empty());
    assert_eq!(mine.take_requests()[0].actor.as_deref(), Some("octocat"));
    assert!(!user.project().join("here.db").exists());

    // Nor does the child that refreshes behind, nor `doctor`, follow it.
    user.ok(&["cache", "invalidate", "--all"]);
    user.ok(&["repos", "--cluster", "cinder"]);
    user.wait_for_child();
    user.run(&["doctor"]);
    assert!(theirs.requests().is_empty());

    // Once trusted, it is followed.
    let user = user.without("LARDER_GITHUB__API_URL");
    user.ok(&["config", "trust"]);
    user.ok(&["repos", "--cluster", "cinder"]);
    assert!(!theirs.take_requests().is_empty());
    assert!(user.project().join("here.db").exists());

    // Until it changes.
    user.write("larder.toml", &format!("{hostile}# one more line\n"));
    let user = user.var("LARDER_GITHUB__API_URL", mine.url());
    user.ok(&["refresh", "cinder"]);
    assert!(theirs.requests().is_empty());
}

#[cfg(unix)]
#[test]
fn without_a_token_of_its_own_larder_asks_gh_for_the_host_and_only_when_it_fetches() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).without("GITHUB_TOKEN").without("LARDER_GITHUB__API_URL");
    user.program("gh", "#!/bin/sh\necho \"$@\" >> \"$HOME/gh.log\"\necho gh-t0ken\n");
    let user = user.var("LARDER_GITHUB__API_URL", "https://github.example.invalid/api/v3");
    let asked = || std::fs::read_to_string(user.home().join("gh.log")).unwrap_or_default();
    user.run(&["repos", "--offline"]);
    user.run(&["cache", "status"]);
    assert_eq!(asked(), "");
    // The host does not exist: what matters is whom `gh` was asked about.
    assert_eq!(user.run(&["repos"]).code, 1);
    assert_eq!(asked(), "auth token --hostname github.example.invalid\n");
    assert!(!is_anywhere(&user.home(), "gh-t0ken"));
}

#[cfg(unix)]
#[test]
fn a_server_to_which_gh_gives_no_token_says_so_and_that_it_asks_again() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).without("GITHUB_TOKEN");
    let user = user.var("LARDER_GITHUB__API_URL", "https://github.example.invalid/api/v3");
    user.program("gh", "#!/bin/sh\nexit 1\n");
    let path = user.home().join("server.log");
    let log = std::fs::File::create(&path).unwrap();
    let serving = Serving::start_to(&user, &["serve"], log.into());
    let said = std::fs::read_to_string(&path).unwrap();
    assert!(said.contains("there is no token for github.example.invalid: `gh` has none"), "{said}");
    assert!(said.contains("asked again every 2 min") && said.contains("GH_ENTERPRISE_TOKEN"), "{said}");
    drop(serving);
}

#[test]
fn without_any_token_public_repositories_are_had_all_the_same() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).without("GITHUB_TOKEN");
    let answer = user.json(&["repos", "--cluster", "cinder"]);
    assert_eq!(answer["repositories"].as_array().unwrap().len(), 3);
    assert!(github.requests().iter().all(|request| request.actor.is_none()));
}

#[test]
fn no_token_is_written_anywhere_or_shown() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).var("GITHUB_TOKEN", "s3cret-t0ken").var("LARDER_LOG", "trace");
    for args in [
        &["repos"][..],
        &["doctor"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["cache", "status"],
    ] {
        let ran = user.ok(args);
        assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{args:?}");
    }
    user.ok(&["cache", "invalidate", "--all"]);
    user.ok(&["repos"]);
    user.wait_for_child();
    assert!(!is_anywhere(&user.home(), "s3cret"));
}
