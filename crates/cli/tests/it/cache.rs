//! Looking at the cache, and changing what it holds.

use crate::world::{CLUSTERS, GitHub, User};

#[test]
fn clear_wants_a_yes_where_nobody_can_be_asked() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let ran = user.run(&["cache", "clear", "--all"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 2
    --- out
    --- err
    error: 2 entries would be removed, and nobody can be asked
    hint: add `--yes` if that is meant
    ");
    user.ok(&["cache", "clear", "cinder", "--yes"]);
    assert_eq!(user.status("cluster/cinder")["status"], "missing");
    assert_eq!(user.status("cluster/kiln")["status"], "fresh");
}

#[test]
fn a_change_names_what_it_is_about_or_is_refused() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    for command in ["invalidate", "clear", "replay"] {
        let ran = user.run(&["cache", command]);
        assert_eq!(ran.code, 2, "{command}");
        assert!(ran.err.contains("nothing was named"), "{}", ran.err);
    }
    let ran = user.run(&["cache", "invalidate", "cluster/cindre"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean `cluster/cinder`?"), "{}", ran.err);
}

#[test]
fn status_lists_every_configured_entry_with_its_budget() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos", "--cluster", "cinder"]);
    let status = user.json(&["cache", "status"]);
    let entries = status["entries"].as_array().unwrap();
    let seen: Vec<_> =
        entries.iter().map(|entry| (&entry["key"], &entry["status"], &entry["items"])).collect();
    assert_eq!(
        seen,
        [
            (&"cluster/cinder".into(), &"fresh".into(), &3.into()),
            (&"cluster/kiln".into(), &"missing".into(), &0.into())
        ]
    );
    let budgets = status["budgets"].as_array().unwrap();
    assert!(budgets.iter().any(|budget| budget["actor"] == "octocat" && budget["resource"] == "graphql"));
}

#[test]
fn a_source_of_which_nothing_is_held_is_not_said_to_want_a_cluster() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    for (source, fetches) in [
        ("projects", "`larder projects`"),
        ("trackers", "`larder release list --repo OWNER/NAME`"),
        ("marketplace", "`[[marketplace]]`"),
    ] {
        let ran = user.run(&["cache", "status", "--source", source]);
        assert_eq!(ran.code, 0);
        assert!(ran.err.contains(&format!("nothing of `{source}` is cached or configured")), "{}", ran.err);
        assert!(ran.err.contains(fetches) && !ran.err.contains("no cluster"), "{}", ran.err);
    }
}

#[test]
fn a_cluster_that_is_no_longer_configured_is_told_so_and_not_listed() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let (first, _) = CLUSTERS.split_once("[[cluster]]\nid = \"kiln\"").unwrap();
    user.write("larder.toml", first);
    assert_eq!(user.json(&["repos"])["cache"].as_array().unwrap().len(), 1);
    assert!(user.status("cluster/kiln")["unconfigured_since"].is_string());
    let shown = user.ok(&["show", "kiln"]);
    assert!(shown.out.contains("not configured any more"), "{}", shown.out);
}

/// As where two folders with a file each share a store.
#[cfg(unix)]
#[test]
fn what_a_larder_toml_names_is_configured_whatever_another_one_names() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    let (others, _) = CLUSTERS.split_once("[[cluster]]\nid = \"kiln\"").unwrap();
    user.write("larder.toml", others);
    user.ok(&["repos"]);
    let is_told = || user.on_terminal(120, &["cache", "status"]).contains("(not configured)");
    assert!(is_told() && user.status("cluster/kiln")["unconfigured_since"].is_string());
    user.write("larder.toml", CLUSTERS);
    assert!(!is_told());
    assert!(user.status("cluster/kiln")["unconfigured_since"].is_null());
}

#[test]
fn verify_finds_no_damage_where_there_is_none() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    assert_eq!(user.ok(&["cache", "verify"]).out, "no damage found\n");
    assert_eq!(user.json(&["cache", "verify"])["problems"], serde_json::json!([]));
}
