//! What a person reads beside the answer: is it said once, is it true, does it say what to do?

use larder_github_sim::{Outage, Partial, Switches};

use crate::world::{CLUSTERS, GitHub, User};

fn down() -> Switches {
    Switches { outage: Outage::Unavailable, ..Switches::default() }
}

/// Four clusters of one each.
const FOUR: &str = r#"
[github]
owner = "octo-org"
[[cluster]]
id = "a"
repos = ["cinder"]
[[cluster]]
id = "b"
repos = ["harbor"]
[[cluster]]
id = "c"
repos = ["quill"]
[[cluster]]
id = "d"
repos = ["atlas"]
"#;

#[test]
fn without_a_config_the_lines_to_paste_are_shown_and_they_work() {
    let github = GitHub::demo();
    let user = User::new().var("LARDER_GITHUB__API_URL", github.url()).var("GITHUB_TOKEN", "t0ken");
    for config in [None, Some("# nothing yet\n")] {
        if let Some(text) = config {
            user.write("larder.toml", text);
        }
        let ran = user.run(&["repos"]);
        assert_eq!(ran.code, 2);
        let pasted: Vec<&str> = ran.err.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        assert_eq!(pasted.len(), 3, "{}", ran.err);
        user.write("larder.toml", &pasted.join("\n").replace("owner/name", "octo-org/cinder"));
        assert!(user.ok(&["repos"]).out.contains("octo-org/cinder"));
        std::fs::remove_file(user.project().join("larder.toml")).unwrap();
    }
}

#[test]
fn a_token_that_was_refused_for_a_while_costs_no_allowance() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["refresh", "--all"]);
    github.switch(Switches { bad_credentials: true, ..Switches::default() });
    for _ in 0..3 {
        assert_eq!(user.run(&["refresh", "--all"]).code, 1);
    }
    github.switch(Switches::default());
    user.ok(&["refresh", "--all"]);
    let budgets = user.json(&["cache", "status"])["budgets"].clone();
    let graphql = budgets.as_array().unwrap().iter().find(|budget| budget["resource"] == "graphql").cloned();
    let left = graphql.unwrap()["remaining"].as_u64().unwrap();
    assert!(left > 4900, "{left}");
}

#[test]
fn the_same_warning_about_many_entries_is_said_once() {
    let github = GitHub::demo();
    let user = User::of(&github, FOUR).without("GITHUB_TOKEN");
    let ran = user.ok(&["repos"]);
    assert_eq!(ran.err.matches("without a token").count(), 1, "{}", ran.err);
    assert!(
        ran.err.starts_with("warning: `cluster/a`, `cluster/b`, `cluster/c` and 1 more: without a token")
    );
    let ran = user.ok(&["refresh", "--all"]);
    assert_eq!(ran.err.matches("without a token").count(), 1, "{}", ran.err);
}

#[test]
fn many_repositories_that_fail_alike_are_counted_and_show_names_them() {
    let github = GitHub::demo();
    let list = "\"cinder\", \"harbor\", \"quill\", \"atlas\", \"photon\", \"prism\"";
    let config = format!("[github]\nowner = \"octo-org\"\n[[cluster]]\nid = \"a\"\nrepos = [{list}]\n");
    let user = User::of(&github, &config);
    user.ok(&["repos"]);
    let names = ["cinder", "harbor", "quill", "atlas", "photon"].map(|name| format!("octo-org/{name}"));
    github.switch(Switches {
        partial: Partial { names: names.to_vec(), ..Partial::default() },
        ..Switches::default()
    });
    let ran = user.run(&["refresh", "a"]);
    assert_eq!(ran.err.lines().filter(|line| line.starts_with("warning: ")).count(), 1, "{}", ran.err);
    assert!(ran.err.contains("; 4 more alike"), "{}", ran.err);
    let shown = user.run(&["show", "a"]);
    assert!(shown.err.contains("`octo-org/photon`"), "{}", shown.err);
}

#[test]
fn entries_that_wait_after_the_same_failure_are_told_together_with_what_to_do() {
    let github = GitHub::demo();
    github.switch(down());
    let user = User::of(&github, FOUR);
    // Waits are drawn by chance: of long ones, none is over by the second read.
    let user = user.var("LARDER_ENGINE__BACKOFF_BASE", "1h").var("LARDER_ENGINE__BACKOFF_CAP", "24h");
    let first = user.run(&["repos"]);
    let second = user.run(&["repos"]);
    for ran in [&first, &second] {
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert_eq!(ran.err.matches("error: ").count(), 1, "{}", ran.err);
        assert!(ran.err.contains("hint: "), "{}", ran.err);
        assert!(!ran.err.contains("no repository matches"), "{}", ran.err);
    }
}

#[test]
fn what_failed_is_not_called_a_search_that_found_nothing() {
    let github = GitHub::demo();
    github.switch(down());
    let user = User::of(&github, &format!("{CLUSTERS}\n[[cluster]]\nid = \"empty\"\n"));
    let ran = user.run(&["repos"]);
    assert_eq!(ran.code, 3);
    assert!(!ran.err.contains("no repository matches"), "{}", ran.err);
}

#[test]
fn a_wait_that_is_over_ends_with_the_next_read() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS).var("LARDER_ENGINE__BACKOFF_BASE", "100ms");
    let user = user.var("LARDER_ENGINE__BACKOFF_CAP", "100ms");
    user.ok(&["repos"]);
    github.switch(down());
    assert_eq!(user.run(&["refresh", "cinder"]).code, 1);
    // Reads until the wait of a tenth of a second is over.
    let shown = std::iter::repeat_with(|| user.run(&["show", "cinder", "--offline"]).out)
        .take(1000)
        .find(|out| !out.contains("next try   in "));
    let shown = shown.unwrap();
    assert!(shown.contains("next try   at the next read\n"), "{shown}");
    assert!(shown.contains(", 1 attempt)"), "{shown}");
}

#[test]
fn an_entry_that_is_stale_before_its_time_says_why() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    user.ok(&["cache", "invalidate", "cinder"]);
    let shown = user.ok(&["show", "cinder", "--offline"]);
    assert!(shown.out.contains("expires    invalidated\n"), "{}", shown.out);
    user.write("larder.toml", &CLUSTERS.replace("\"forge\", ", ""));
    let edited = user.ok(&["show", "kiln", "--offline"]);
    assert!(edited.out.contains("expires    edited since\n"), "{}", edited.out);
    assert!(edited.err.contains("`cluster/kiln` was edited"), "{}", edited.err);
}

#[test]
fn a_key_is_likened_by_its_name_alone() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let far = user.run(&["show", "zebra"]);
    assert!(far.err.contains("`larder cache status` lists all entries"), "{}", far.err);
    let near = user.run(&["show", "cluster/kilm"]);
    assert!(near.err.contains("did you mean `cluster/kiln`?"), "{}", near.err);
}

#[test]
fn nothing_to_replay_or_to_clear_is_said_and_needs_no_yes() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    assert_eq!(user.ok(&["cache", "replay", "cinder"]).out, "nothing to replay: none of these failed\n");
    assert_eq!(User::new().ok(&["cache", "clear", "--all"]).out, "0 entries removed\n");
}

#[test]
fn budgets_that_know_nothing_are_not_shown() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let status = user.ok(&["cache", "status"]);
    assert!(!status.out.contains("token:"), "{}", status.out);
    assert!(status.out.contains("graphql\toctocat"), "{}", status.out);
}

#[test]
fn an_empty_cache_says_what_to_do() {
    let ran = User::new().ok(&["cache", "status"]);
    assert!(ran.err.contains("`larder init` writes a larder.toml"), "{}", ran.err);
}

#[test]
fn one_is_not_many() {
    let github = GitHub::demo();
    let user = User::of(&github, "[[cluster]]\nid = \"a\"\nrepos = [\"octo-org/cinder\"]\n");
    user.ok(&["repos"]);
    let said = user.ok(&["doctor"]).out + &user.ok(&["cache", "status"]).err;
    for wrong in [" 1 clusters", " 1 entries", " 1 items"] {
        assert!(!said.contains(wrong), "{said}");
    }
}

#[test]
fn a_refused_token_is_said_once() {
    let github = GitHub::demo();
    github.switch(Switches { bad_credentials: true, ..Switches::default() });
    let ran = User::of(&github, CLUSTERS).run(&["repos"]);
    assert!(ran.err.to_lowercase().matches("bad credentials").count() == 1, "{}", ran.err);
    assert!(ran.err.contains("hint: check the token and its rights"), "{}", ran.err);
}

#[test]
fn a_working_directory_that_is_gone_is_said_to_be_and_who_needs_none_goes_on() {
    let user = User::new();
    let gone = |command: &str| {
        let script = format!("mkdir gone; cd gone; rmdir ../gone; exec larder {command}");
        crate::world::Ran::of(&user.bash(&script).output().unwrap(), &user)
    };
    insta::assert_snapshot!(gone("repos").all(), @r"
    exit 1
    --- out
    --- err
    error: the working directory is gone
    hint: go to one that is there: `cd ~`
    ");
    for command in ["completions bash", "repos --help", "--version", "github-sim --data nowhere.csv"] {
        let ran = gone(command);
        assert!(!ran.err.contains("working directory"), "{command}: {}", ran.all());
    }
    assert_eq!(gone("completions bash").code, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_refresh_whose_answer_could_not_be_written_says_so_when_it_is_done() {
    let github = GitHub::demo();
    let user = User::of(&github, FOUR);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for args in [&["refresh", "a", "b"][..], &["refresh", "a", "b", "--json"]] {
        let ran = crate::world::Ran::of(&user.command(args).stdout(full()).output().unwrap(), &user);
        assert_eq!(ran.code, 1, "{}", ran.all());
        assert!(ran.err.contains("error: the answer could not be written"), "{}", ran.err);
        assert_eq!(ran.err.matches("error: ").count(), 1, "{}", ran.err);
    }
    assert_eq!(user.status("cluster/b")["status"], "fresh");
    let script = "larder refresh a b 2>err | true; echo ${PIPESTATUS[0]}; cat err";
    assert_eq!(String::from_utf8(user.bash(script).output().unwrap().stdout).unwrap(), "0\n");
}

#[test]
fn who_is_named_twice_is_refreshed_once() {
    let github = GitHub::demo();
    let user = User::of(&github, FOUR);
    let all = user.json(&["refresh", "b", "a", "cluster/b", "B"])["refreshed"].clone();
    let keys: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["cluster/b", "cluster/a"]);
    assert_eq!(user.ok(&["cache", "clear", "a", "a", "--yes"]).out, "1 entry removed\n");
}

#[test]
fn an_export_to_a_folder_that_is_not_there_names_the_folder() {
    let user = User::new();
    let ran = user.run(&["export", "/nope/x"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 1
    --- out
    --- err
    error: /nope/x could not be written
    cause: there is no folder /nope
    ");
    user.write("file", "");
    let ran = user.run(&["export", "file/x"]);
    assert!(ran.err.contains("cause: /root/project/file is no folder\n"), "{}", ran.err);
}

#[test]
fn a_mistyped_source_is_told_where_nothing_is_configured() {
    let ran = User::new().run(&["refresh", "--source", "project"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: there is no source `project`
    hint: did you mean `projects`?
    ");
}
