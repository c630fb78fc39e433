//! Listing: the main thing people do.

use serde_json::Value;

use crate::world::{CLUSTERS, GitHub, User};

fn names(answer: &Value) -> Vec<&str> {
    let list = answer["repositories"].as_array().unwrap();
    list.iter().map(|repository| repository["full_name"].as_str().unwrap()).collect()
}

#[test]
fn the_first_read_fetches_all_clusters_in_one_query_and_the_second_asks_nobody() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let first = user.ok(&["repos"]);
    insta::assert_snapshot!(first.all(), @r"
    exit 0
    --- out
    NAME	STARS	LANGUAGE	UPDATED	CLUSTER	DESCRIPTION
    octo-org/cinder	4821	Rust	2026-08-31T00:00:00Z	cinder,kiln	An embedded event store that starts in a millisecond
    octo-org/cinder-sv	640	Svelte	2026-08-29T00:00:00Z	cinder	Browse and edit a Cinder file in the browser
    octo-org/kiln	1930	Go	2026-08-27T00:00:00Z	kiln	A build runner that remembers everything it has ever built
    octo-org/cinder-mcp	288	TypeScript	2026-08-23T00:00:00Z	cinder	Let an assistant ask questions of a Cinder file 🔥
    --- err
    warning: `cluster/kiln`: `octo-org/forge` is now `octo-org/kiln`; update larder.toml
    warning: `cluster/kiln`: `octo-org/nothere` was not found: deleted, or private and not for this token
    ");
    let fetches = github.take_requests();
    assert_eq!(fetches.iter().filter(|request| request.repositories > 0).count(), 1, "{fetches:#?}");
    let second = user.ok(&["repos"]);
    assert_eq!(second.out, first.out);
    assert!(github.requests().is_empty());
}

#[test]
fn json_has_every_field_and_each_repository_once() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let answer = user.json(&["repos", "--sort", "name"]);
    assert_eq!(
        names(&answer),
        ["octo-org/cinder", "octo-org/cinder-mcp", "octo-org/cinder-sv", "octo-org/kiln"]
    );
    let cinder = &answer["repositories"][0];
    assert_eq!(cinder["cluster"], "cinder");
    assert_eq!(cinder["clusters"], serde_json::json!(["cinder", "kiln"]));
    let mut steady = cinder.clone();
    steady["host"] = "HOST".into();
    steady["fetched_at"] = "THEN".into();
    insta::assert_json_snapshot!(steady, @r##"
    {
      "name": "cinder",
      "owner": "octo-org",
      "full_name": "octo-org/cinder",
      "display_name": "cinder",
      "host": "HOST",
      "cluster": "cinder",
      "clusters": [
        "cinder",
        "kiln"
      ],
      "description": "An embedded event store that starts in a millisecond",
      "url": "https://github.com/octo-org/cinder",
      "homepage_url": "https://cinder.example",
      "stars": 4821,
      "forks": 312,
      "open_issues": 47,
      "language": "Rust",
      "language_color": "#dea584",
      "languages": [
        {
          "name": "Rust",
          "size": 812340,
          "color": "#dea584"
        },
        {
          "name": "TypeScript",
          "size": 91200,
          "color": "#3178c6"
        },
        {
          "name": "Shell",
          "size": 4310,
          "color": "#89e051"
        }
      ],
      "topics": [
        "database",
        "embedded",
        "rust"
      ],
      "license": "Apache-2.0",
      "is_fork": false,
      "is_archived": false,
      "is_private": false,
      "pushed_at": "2026-08-31T00:00:00Z",
      "updated_at": "2026-08-31T00:00:00Z",
      "created_at": "2025-03-28T00:00:00Z",
      "latest_release": {
        "tag": "v2.4.0",
        "name": "2.4.0",
        "url": "https://github.com/octo-org/cinder/releases/tag/v2.4.0",
        "published_at": "2026-08-20T00:00:00Z"
      },
      "fetched_at": "THEN"
    }
    "##);
    let cache = answer["cache"].as_array().unwrap();
    assert_eq!(cache.len(), 2);
    let mut keys: Vec<&String> = cache[0].as_object().unwrap().keys().collect();
    keys.sort();
    insta::assert_snapshot!(keys.into_iter().cloned().collect::<Vec<_>>().join(" "), @"age_seconds attempts complete fetched_at fresh_until key last_error refresh status warnings");
    assert_eq!(cache[0]["key"], "cluster/cinder");
    assert_eq!((&cache[0]["status"], &cache[0]["refresh"]), (&"fresh".into(), &"idle".into()));
}

#[test]
fn lists_are_filtered_sorted_and_cut() {
    let github = GitHub::demo();
    let user = User::of(&github, &format!("{CLUSTERS}[clusters]\nunclustered = true\n"));
    let list = |args: &[&str]| names(&user.json(&[&["repos"], args].concat())).join(" ");
    insta::assert_snapshot!(list(&["--sort", "stars", "--limit", "3"]), @"octo-org/harbor octo-org/quill octo-org/learn-systems");
    insta::assert_snapshot!(list(&["--language", "typescript", "--sort", "name"]), @"octo-org/cinder-mcp octo-org/harbor-ui octo-org/quill octo-org/quill-vscode");
    insta::assert_snapshot!(list(&["--topic", "gpu"]), @"octo-org/photon");
    insta::assert_snapshot!(list(&["--search", "embed event"]), @"octo-org/cinder");
    insta::assert_snapshot!(list(&["--cluster", "kiln", "--sort", "name"]), @"octo-org/cinder octo-org/kiln");
    assert_eq!(list(&["--search", "no such thing at all"]), "");
}

#[test]
fn a_repository_of_two_clusters_names_both_also_when_one_is_asked_for() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let answer = user.json(&["repos", "--cluster", "kiln", "--sort", "name"]);
    assert_eq!(answer["repositories"][0]["clusters"], serde_json::json!(["cinder", "kiln"]));
    assert_eq!(answer["cache"].as_array().unwrap().len(), 1);
}

#[test]
fn an_edited_cluster_is_due_at_once_and_loses_what_left_it() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    user.ok(&["repos"]);
    user.write("larder.toml", &CLUSTERS.replace(r#""cinder-mcp""#, r#""harbor""#));
    let edited = user.json(&["repos", "--sort", "name"]);
    let cinder = &edited["cache"][0];
    assert_eq!(cinder["status"], "stale");
    assert!(!names(&edited).contains(&"octo-org/cinder-mcp"));
    user.wait_for_child();
    let refreshed = user.json(&["repos", "--sort", "name"]);
    assert_eq!(refreshed["cache"][0]["status"], "fresh");
    assert!(names(&refreshed).contains(&"octo-org/harbor"));
}

#[test]
fn the_registry_merges_clusters_and_leaves_empty_ones_out() {
    let github = GitHub::demo();
    let user = User::of(
        &github,
        &format!("{CLUSTERS}[[cluster]]\nid = \"empty\"\nrepos = []\n[clusters]\nunclustered = true\n"),
    );
    let ran = user.ok(&["registry", "--updated-since", "2026-08-29"]);
    insta::assert_snapshot!(ran.all(), @r"
    exit 0
    --- out
    PROJECT	REPOS	STARS	LANGUAGES	UPDATED	SIGNS	DESCRIPTION
    Cinder	3	5749	Rust,TypeScript,Svelte	2026-08-31T00:00:00Z	featured,trending	An embedded event store that starts in a millisecond
    harbor	1	12750	Go,TypeScript,Shell	2026-09-01T00:00:00Z	trending	Container registry for teams that read their logs
    photon	1	1102	Rust,C	2026-09-01T00:00:00Z	trending	A renderer that draws text first
    photon-wasm	1	87	Rust,TypeScript	2026-09-01T00:00:00Z		Photon in a tab
    kiln	2	6751	Rust,Go,TypeScript	2026-08-31T00:00:00Z	trending	A build runner that remembers everything it has ever built
    vault-infra	1	0	HCL,Shell	2026-08-31T00:00:00Z	private	Where everything runs
    harbor-ui	1	412	TypeScript,SCSS,HTML	2026-08-30T00:00:00Z	trending	The web face of Harbor
    quill	1	7210	TypeScript,Rust,CSS	2026-08-30T00:00:00Z	trending	A writing desk for long documents
    handbook	1	0	Markdown	2026-08-29T00:00:00Z	private	How we work
    --- err
    note: without repositories: empty
    warning: `cluster/kiln`: `octo-org/forge` is now `octo-org/kiln`; update larder.toml
    warning: `cluster/kiln`: `octo-org/nothere` was not found: deleted, or private and not for this token
    ");
    let answer = user.json(&["registry"]);
    assert_eq!(answer["empty"], serde_json::json!(["empty"]));
    assert_eq!(answer["projects"][0]["id"], "cinder");
    assert_eq!(answer["projects"][0]["members"].as_array().unwrap().len(), 3);
    let first = user.json(&["registry", "--limit", "2"]);
    assert_eq!(first["projects"].as_array().unwrap()[..], answer["projects"].as_array().unwrap()[..2]);
}

#[test]
fn eight_processes_that_want_a_cold_cluster_make_one_call() {
    let github = GitHub::demo();
    let user = User::of(&github, CLUSTERS);
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = user.command(&["repos", "--cluster", "cinder", "--json"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["repositories"].as_array().unwrap().len(), 3);
    }
    let fetches = github.requests();
    assert_eq!(fetches.iter().filter(|request| request.repositories > 0).count(), 1, "{fetches:#?}");
}
