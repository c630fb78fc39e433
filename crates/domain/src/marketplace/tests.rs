use super::*;

fn read(json: &str) -> MarketIndex {
    MarketIndex::read(json.as_bytes()).unwrap()
}

fn names(index: &MarketIndex) -> Vec<(ArtifactType, &str)> {
    index.offers.iter().map(|offer| (offer.kind, offer.name.as_str())).collect()
}

/// As repositories with skills publish it: one that lists its parts, one that lies elsewhere.
const MARKETPLACE: &str = r#"{
  "name": "example-skills", "owner": {"name": "Octo", "email": "octo@octo.example"},
  "metadata": {"description": "Skills", "version": "1.0.0", "pluginRoot": "./plugins"},
  "plugins": [
    {"name": "document-skills", "description": "Reads and writes documents", "source": "./", "strict": false,
     "version": "1.2", "keywords": ["office"], "category": "productivity", "license": "MIT",
     "skills": ["./skills/xlsx", "./skills/pdf", "./more/skills/"]},
    {"name": "reviewer", "source": {"source": "github", "repo": "octo-org/reviewer", "ref": "v2"},
     "commands": ["./commands/core/", "./commands/review.md"], "agents": "./agents/critic.md",
     "hooks": {"PostToolUse": []}, "mcpServers": {"tickets": {"command": "run"}}},
    {"name": "elsewhere", "source": {"source": "url", "url": "https://git.example/p.git"}, "author": {"name": "A"}},
    {"name": "packaged", "source": {"source": "npm", "package": "@octo/p"}, "homepage": "https://octo.example/p"}
  ]
}"#;

#[test]
fn a_marketplace_offers_its_plugins_and_the_parts_that_it_names() {
    let index = read(MARKETPLACE);
    assert_eq!(index.name.as_deref(), Some("example-skills"));
    assert_eq!(index.problems, []);
    assert_eq!(
        names(&index),
        [
            (ArtifactType::Skill, "xlsx"),
            (ArtifactType::Skill, "pdf"),
            (ArtifactType::Plugin, "document-skills"),
            (ArtifactType::Command, "review"),
            (ArtifactType::Agent, "critic"),
            (ArtifactType::Hook, "reviewer"),
            (ArtifactType::Mcp, "tickets"),
            (ArtifactType::Plugin, "reviewer"),
            (ArtifactType::Plugin, "elsewhere"),
            (ArtifactType::Plugin, "packaged"),
        ]
    );
    let documents = &index.offers[2];
    assert_eq!(documents.tags, ["office", "productivity"]);
    assert_eq!((documents.version.as_deref(), documents.license.as_deref()), (Some("1.2"), Some("MIT")));
    let review = &index.offers[3];
    assert_eq!(review.plugin.as_deref(), Some("reviewer"));
    assert_eq!(review.source.as_deref(), Some("github:octo-org/reviewer"));
    assert_eq!(review.url.as_deref(), Some("https://github.com/octo-org/reviewer"));
    assert_eq!(index.offers[9].source.as_deref(), Some("npm:@octo/p"));
}

#[test]
fn a_plugin_beside_the_index_says_which_parts_of_the_repository_are_its_own() {
    let index = read(MARKETPLACE);
    let [documents] = index.places.as_slice() else {
        panic!("one lies beside the index: {:?}", index.places)
    };
    assert_eq!(documents.root, "plugins", "its source counts from `pluginRoot`");
    let parts: Vec<&str> = documents.parts.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(parts, ["plugins/skills/xlsx", "plugins/skills/pdf", "plugins/more/skills"]);
    let plain =
        read(r#"{"plugins": [{"name": "a", "source": "./plugins/a"}, {"name": "b", "source": "b"}]}"#);
    let roots: Vec<&str> = plain.places.iter().map(|place| place.root.as_str()).collect();
    assert_eq!(roots, ["plugins/a", "b"]);
    let rooted =
        r#"{"metadata": {"pluginRoot": "./plugins"}, "plugins": [{"name": "a", "source": "./plugins/a"}]}"#;
    assert_eq!(read(rooted).places[0].root, "plugins/a", "a source that has the root already keeps it");
}

#[test]
fn lists_of_artifacts_are_read_in_any_frame() {
    let artifact = r#"{"name": "pdf", "type": "skill", "description": "Fills\nforms", "version": 2, "tags": "a, b",
        "url": "https://octo.example/pdf", "project": null, "outdated": false}"#;
    for frame in [format!(r#"{{"artifacts": [{artifact}], "cache": []}}"#), format!("[{artifact}]")] {
        let index = read(&frame);
        let [offer] = index.offers.as_slice() else { panic!("one offer: {frame}") };
        assert_eq!((offer.name.as_str(), offer.version.as_deref()), ("pdf", Some("2")));
        assert_eq!(offer.description.as_deref(), Some("Fills forms"), "no control characters");
        assert_eq!(offer.tags, ["a", "b"]);
    }
    let typed = read(r#"{"skills": [{"name": "pdf"}], "mcp_servers": [{"name": "tickets"}]}"#);
    assert_eq!(names(&typed), [(ArtifactType::Skill, "pdf"), (ArtifactType::Mcp, "tickets")]);
    assert_eq!(names(&read(r#"{"plugins": []}"#)), [], "an index that lists nothing is one");
}

#[test]
fn an_entry_that_cannot_be_understood_is_told_of_and_hides_no_other() {
    let index = read(
        r#"[{"name": "good", "type": "skill"}, 7, {"type": "skill"}, {"name": "odd", "type": "spell"},
            {"name": "untyped"}, {"name": "a\u001bb", "type": "skill"}, {"name": "mcp", "type": "mcp_server"}]"#,
    );
    assert_eq!(names(&index), [(ArtifactType::Skill, "good"), (ArtifactType::Mcp, "mcp")]);
    let told: Vec<&str> = index.problems.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(
        told,
        [
            "`entry 2` is left out: it is not an object",
            "`entry 3` is left out: it has no name",
            "`odd` is left out: its type `\"spell\"` is not known",
            "`untyped` is left out: it has no `type`",
            "`entry 6` is left out: its name is too long, or holds control characters",
        ]
    );
    let plugins = read(
        r#"{"plugins": [{"name": "ok", "source": "./ok"}, {"name": "out", "source": "../out"}, {"name": "none"},
            {"name": "vague", "source": {"source": "github"}}]}"#,
    );
    assert_eq!(names(&plugins), [(ArtifactType::Plugin, "ok")]);
    assert_eq!(plugins.problems.len(), 3, "{:?}", plugins.problems);
}

#[test]
fn what_an_index_lists_is_bounded_in_all() {
    let listed = |count: usize| vec![r#""./skills/a""#; count].join(",");
    let keyed = |count: usize| (0..count).map(|n| format!(r#""s{n}": {{}}"#)).collect::<Vec<_>>().join(",");
    let plugin = |fields: &str| format!(r#"{{"name": "p", "source": "./p", {fields}}}"#);
    let arrays = plugin(&format!(r#""skills": [{0}], "commands": [{0}], "agents": [{0}]"#, listed(30_000)));
    let objects = plugin(&format!(r#""skills": {{{}}}"#, keyed(60_000)));
    let servers = plugin(&format!(r#""mcpServers": {{{}}}"#, keyed(60_000)));
    let twice = format!("{0}, {0}", plugin(&format!(r#""skills": [{}]"#, listed(30_000))));
    for plugins in [arrays, objects, servers, twice] {
        let index = read(&format!(r#"{{"plugins": [{plugins}]}}"#));
        let parts: usize = index.places.iter().map(|place| place.parts.len()).sum();
        assert!(
            index.offers.len() <= OFFERS_MAX && parts <= OFFERS_MAX,
            "{} and {parts}",
            index.offers.len()
        );
        let [(_, why)] = index.problems.as_slice() else { panic!("{:?}", index.problems) };
        assert!(why.contains("more than 50000"), "{why}");
    }
    let fitting = plugin(&format!(r#""skills": [{}]"#, listed(OFFERS_MAX - 1)));
    assert_eq!(read(&format!(r#"{{"plugins": [{fitting}]}}"#)).problems, []);
}

#[test]
fn what_is_no_index_is_refused_with_its_reason() {
    for (json, why) in [
        ("", "it is not JSON"),
        ("<html>", "it is not JSON"),
        ("7", "it lists neither"),
        ("{}", "it lists neither"),
        (r#"{"plugins": {}}"#, "not a list"),
        (
            r#"[{"nom": "a"}]"#,
            "none of its 1 entries can be understood: `entry 1` is left out: it has no name",
        ),
    ] {
        let error = MarketIndex::read(json.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{json}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(MarketIndex::read(deep.as_bytes()).is_err());
}

#[test]
fn a_page_is_an_address_that_a_browser_may_be_sent_to() {
    let index = read(
        r#"[{"name": "a", "type": "skill", "url": "javascript:alert(1)"},
            {"name": "b", "type": "skill", "repository": {"type": "git", "url": "https://octo.example/b"}}]"#,
    );
    assert_eq!(index.offers[0].url, None);
    assert_eq!(index.offers[1].url.as_deref(), Some("https://octo.example/b"));
}

#[test]
fn a_list_that_is_null_is_not_there() {
    let index = read(r#"{"plugins": null, "artifacts": null, "agents": null, "skills": [{"name": "pdf"}]}"#);
    assert_eq!(names(&index), [(ArtifactType::Skill, "pdf")]);
    let none = MarketIndex::read(br#"{"plugins": null, "skills": null}"#).unwrap_err();
    assert_eq!(none, "it lists neither `plugins` nor `artifacts`");
    let marked = "\u{feff}{\"name\": \"tools\"}";
    assert_eq!(Offer::of_manifest(marked.as_bytes()).unwrap().name, "tools");
}

#[test]
fn what_an_index_lists_beside_its_plugins_is_read_as_well() {
    let index = read(
        r#"{"plugins": [{"name": "forms", "source": "./forms"}],
            "artifacts": [{"name": "pdf", "type": "skill"}, {"name": "odd", "type": "spell"}],
            "agents": [{"name": "critic"}]}"#,
    );
    assert_eq!(
        names(&index),
        [(ArtifactType::Plugin, "forms"), (ArtifactType::Skill, "pdf"), (ArtifactType::Agent, "critic")]
    );
    assert_eq!(index.problems.len(), 1, "{:?}", index.problems);
    for odd in [r#"{"plugins": [], "artifacts": {}}"#, r#"{"plugins": "none", "artifacts": []}"#] {
        let why = MarketIndex::read(odd.as_bytes()).unwrap_err();
        assert!(why.ends_with("are not a list"), "what was known of them is not taken for gone: {why}");
    }
}
