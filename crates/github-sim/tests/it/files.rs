//! Files: listed as a tree, read one at a time by REST and many at a time by GraphQL.

use larder_github_sim::{Limits, Repository, World};
use serde_json::{Value, json};

use crate::github::{GitHub, TOKEN, told, world};

const SKILL: &str = "---\nname: pdf\n---\n# Grüße\n";

fn with_files() -> World {
    let mut world = world();
    assert!(
        world.push(
            "octo-org/cinder",
            [("skills/pdf/SKILL.md", Some(SKILL)), ("README.md", Some("# Cinder\n"))]
        )
    );
    world
}

async fn tree(github: &GitHub) -> Value {
    let path = "/repos/octo-org/cinder/git/trees/HEAD?recursive=1";
    told(github.request(path).bearer_auth(TOKEN)).await.json()
}

#[tokio::test]
async fn a_tree_lists_folders_and_files_and_changes_its_tag_with_them() {
    let github = GitHub::with(with_files(), Limits::default()).await;
    let listed = tree(&github).await;
    let paths: Vec<&str> =
        listed["tree"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["README.md", "skills", "skills/pdf", "skills/pdf/SKILL.md"]);
    assert_eq!(listed["truncated"], false);
    let path = "/repos/octo-org/cinder/git/trees/HEAD?recursive=1";
    let first = told(github.request(path).bearer_auth(TOKEN)).await;
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    let again = || told(github.request(path).bearer_auth(TOKEN).header("if-none-match", &etag));
    assert_eq!(again().await.status, 304);
    github.sim.world(|world| world.push("octo-org/cinder", [("README.md", None)]));
    assert_eq!(again().await.status, 200);
    github.sim.world(|world| world.cut_trees("octo-org/cinder", 2));
    let cut = tree(&github).await;
    assert_eq!((cut["truncated"].as_bool(), cut["tree"].as_array().unwrap().len()), (Some(true), 2));
}

#[tokio::test]
async fn a_content_is_read_by_its_name_alike_by_both_interfaces() {
    let github = GitHub::with(with_files(), Limits::default()).await;
    let sha = tree(&github).await["tree"][3]["sha"].as_str().unwrap().to_owned();
    let blob = told(github.request(&format!("/repos/octo-org/cinder/git/blobs/{sha}"))).await.json();
    assert_eq!(
        (blob["encoding"].as_str(), blob["size"].as_u64()),
        (Some("base64"), Some(SKILL.len() as u64))
    );
    assert_eq!(blob["content"], "LS0tCm5hbWU6IHBkZgotLS0KIyBHcsO8w59lCg==\n");
    let query = "query($oid: GitObjectID) { repository(owner: \"octo-org\", name: \"cinder\") {
        a: object(oid: $oid) { ... on Blob { oid text isTruncated } }
        b: object(expression: \"HEAD:README.md\") { ... on Blob { text } }
        c: object(expression: \"HEAD:none\") { ... on Blob { text } } } }";
    let answer = told(github.query(query, &json!({"oid": sha})).bearer_auth(TOKEN)).await.json();
    let repository = &answer["data"]["repository"];
    assert_eq!(repository["a"], json!({"oid": sha, "text": SKILL, "isTruncated": false}));
    assert_eq!((repository["b"]["text"].as_str(), repository["c"].is_null()), (Some("# Cinder\n"), true));
}

#[tokio::test]
async fn a_repository_that_nobody_pushed_to_is_empty_and_a_push_is_seen_on_it() {
    let mut world = world();
    world.add(Repository::new("octo-org/skills"));
    let github = GitHub::with(world, Limits::default()).await;
    let empty = told(github.request("/repos/octo-org/skills/git/trees/HEAD")).await;
    assert_eq!((empty.status, empty.json()["message"].as_str()), (409, Some("Git Repository is empty.")));
    let pushed = async || {
        let repository = told(github.request("/repos/octo-org/skills")).await.json();
        repository["pushed_at"].as_str().unwrap().to_owned()
    };
    let before = pushed().await;
    github.sim.world(|world| assert!(world.push("octo-org/skills", [("a.md", Some("a"))])));
    assert!(pushed().await > before);
}
