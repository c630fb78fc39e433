//! What a fine-grained token may not read: GitHub refuses the part, and with it as much as the schema wants.

use larder_github_sim::{Issue, Limits, Permission, Repository, Token, World};
use serde_json::{Value, json};

use crate::github::{GitHub, told, world};

const MESSAGE: &str = "Resource not accessible by personal access token";

/// `octo-org/handbook` is private; `token-of-reader` sees it and may read neither issues nor contents.
fn with_a_poor_token() -> World {
    let mut world = world();
    assert!(world.add_issues("octo-org/handbook", [Issue::new(1, "A question")]));
    let token = Token::of("reader").seeing(&["octo-org/handbook"]);
    world.add_token("token-of-reader", token.lacking(Permission::Issues).lacking(Permission::Contents));
    world
}

async fn asked(github: &GitHub, query: &str) -> Value {
    told(github.query(query, &json!({})).bearer_auth("token-of-reader")).await.json()
}

#[tokio::test]
async fn a_field_that_cannot_be_null_takes_its_repository_with_it_and_no_other() {
    let github = GitHub::with(with_a_poor_token(), Limits::default()).await;
    let query = r#"{
        r0: repository(owner: "octo-org", name: "cinder") { name issues(states: [OPEN]) { totalCount } }
        r1: repository(owner: "octo-org", name: "handbook") { name issues(states: [OPEN]) { totalCount } } }"#;
    let body = asked(&github, query).await;
    let cinder = json!({"name": "Cinder", "issues": {"totalCount": 47}});
    assert_eq!(body["data"], json!({"r0": cinder, "r1": null}), "of public ones everybody reads all");
    let error = &body["errors"][0];
    assert_eq!((&error["type"], &error["path"]), (&json!("FORBIDDEN"), &json!(["r1", "issues"])));
    assert_eq!((&error["message"], &error["extensions"]), (&json!(MESSAGE), &json!({"saml_failure": false})));
    assert_eq!(body["errors"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_field_that_can_be_null_is_null_and_the_rest_of_the_repository_is_there() {
    let github = GitHub::with(with_a_poor_token(), Limits::default()).await;
    let query = r#"{ r0: repository(owner: "octo-org", name: "handbook") { name latestRelease { tagName }
        object(expression: "HEAD:README.md") { oid } } }"#;
    let body = asked(&github, query).await;
    assert_eq!(body["data"]["r0"], json!({"name": "handbook", "latestRelease": null, "object": null}));
    let paths: Vec<&Value> = body["errors"].as_array().unwrap().iter().map(|error| &error["path"]).collect();
    assert_eq!(paths, [&json!(["r0", "latestRelease"]), &json!(["r0", "object"])]);
}

#[tokio::test]
async fn in_a_list_the_node_alone_is_lost() {
    let mut world = with_a_poor_token();
    world.add(Repository { is_private: true, ..Repository::new("octo-org/unseen") });
    let github = GitHub::with(world, Limits::default()).await;
    let query = r#"{ repositoryOwner(login: "octo-org") { repositories(first: 9, orderBy: {field: NAME, direction: ASC}) {
        totalCount pageInfo { hasNextPage } nodes { name issues { totalCount } } } } }"#;
    let body = asked(&github, query).await;
    let nodes = body["data"]["repositoryOwner"]["repositories"]["nodes"].as_array().unwrap();
    let lost: Vec<usize> = (0..nodes.len()).filter(|place| nodes[*place].is_null()).collect();
    let path = json!(["repositoryOwner", "repositories", "nodes", lost[0], "issues"]);
    assert_eq!((lost.len(), &body["errors"][0]["path"]), (1, &path), "{body}");
}

#[tokio::test]
async fn rest_refuses_the_same_parts() {
    let github = GitHub::with(with_a_poor_token(), Limits::default()).await;
    for (path, status) in [("", 200), ("/issues", 403), ("/git/trees/HEAD", 403), ("/releases/latest", 403)] {
        let request = github.request(&format!("/repos/octo-org/handbook{path}"));
        let answer = told(request.bearer_auth("token-of-reader")).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(status == 200 || answer.json()["message"] == MESSAGE, "{}", answer.text);
        assert_eq!(answer.header("x-oauth-scopes"), None, "a fine-grained token names no scopes");
    }
}
