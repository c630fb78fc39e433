//! GraphQL: GitHub's names, errors that leave the others good, cost.

use larder_github_sim::{Limits, Repository, graphql_sdl};
use serde_json::{Value, json};

use crate::github::{GitHub, told, world};

const WHOLE: &str = "
query Whole($owner: String!, $name: String!, $order: LanguageOrder) {
  found: repository(owner: $owner, name: $name) { ...whole }
  rateLimit { limit cost remaining used resetAt nodeCount }
  viewer { login }
}
fragment whole on Repository {
  id databaseId name nameWithOwner owner { __typename login } description url homepageUrl
  isFork isArchived isPrivate isDisabled stargazerCount stargazers { totalCount } forkCount
  issues(states: OPEN) { totalCount } pushedAt updatedAt createdAt primaryLanguage { name color }
  languages(first: 2, orderBy: $order) { totalCount totalSize edges { size node { name color } } }
  repositoryTopics(first: 100) { nodes { topic { name } } }
  licenseInfo { spdxId name key }
  latestRelease { tagName name publishedAt url isPrerelease }
}";

#[tokio::test]
async fn a_repository_is_told_in_githubs_own_words() {
    let github = GitHub::start().await;
    let variables =
        json!({"owner": "octo-org", "name": "cinder", "order": {"field": "SIZE", "direction": "DESC"}});
    let answer = told(github.query(WHOLE, &variables).bearer_auth("token-of-octocat")).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-resource")), (200, Some("graphql")));
    let body = answer.json();
    assert_eq!(body["errors"], Value::Null);
    let mut found = body["data"]["found"].clone();
    let id = found["id"].take();
    assert!(id.as_str().unwrap().starts_with("R_kgDO"), "{id}");
    assert!(found["databaseId"].take().is_u64());
    assert_eq!(
        found,
        json!({
            "id": null, "databaseId": null, "name": "Cinder", "nameWithOwner": "octo-org/Cinder",
            "owner": {"__typename": "Organization", "login": "octo-org"},
            "description": "An embedded event store", "url": "https://github.com/octo-org/Cinder",
            "homepageUrl": "https://cinder.example", "isFork": false, "isArchived": false, "isPrivate": false,
            "isDisabled": false, "stargazerCount": 4821, "stargazers": {"totalCount": 4821}, "forkCount": 312,
            "issues": {"totalCount": 47}, "pushedAt": "2026-08-30T00:00:00Z", "updatedAt": "2026-08-31T12:34:56Z",
            "createdAt": "2024-01-01T00:00:00Z", "primaryLanguage": {"name": "Rust", "color": "#dea584"},
            "languages": {"totalCount": 3, "totalSize": 1000, "edges": [
                {"size": 900, "node": {"name": "Rust", "color": "#dea584"}},
                {"size": 90, "node": {"name": "Svelte", "color": "#ff3e00"}}]},
            "repositoryTopics": {"nodes": [{"topic": {"name": "database"}}, {"topic": {"name": "rust"}},
                {"topic": {"name": "embedded"}}]},
            "licenseInfo": {"spdxId": "Apache-2.0", "name": "Apache License 2.0", "key": "apache-2.0"},
            "latestRelease": {"tagName": "v2.4.0", "name": "2.4", "publishedAt": "2026-08-20T10:00:00Z",
                "url": "https://github.com/octo-org/Cinder/releases/tag/v2.4.0", "isPrerelease": false},
        })
    );
    assert_eq!(
        body["data"]["rateLimit"],
        json!({"limit": 5000, "cost": 1, "remaining": 4999, "used": 1, "resetAt": "2026-09-01T01:00:00Z",
            "nodeCount": 102})
    );
    assert_eq!(body["data"]["viewer"]["login"], "octocat");
}

#[tokio::test]
async fn one_missing_repository_leaves_the_others_good() {
    let github = GitHub::start().await;
    let answer = github
        .graphql(
            r#"{ a: repository(owner: "octo-org", name: "cinder") { name }
                 b: repository(owner: "octo-org", name: "never") { name }
                 c: repository(owner: "octo-org", name: "handbook") { name }
                 d: repository(owner: "octo-org", name: "copied") { name } }"#,
        )
        .await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["data"], json!({"a": {"name": "Cinder"}, "b": null, "c": null, "d": null}));
    let told: Vec<(&str, &str, &Value)> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["type"].as_str().unwrap(), error["message"].as_str().unwrap(), &error["path"]))
        .collect();
    assert_eq!(
        told,
        [
            ("NOT_FOUND", "Could not resolve to a Repository with the name 'octo-org/never'.", &json!(["b"])),
            (
                "NOT_FOUND",
                "Could not resolve to a Repository with the name 'octo-org/handbook'.",
                &json!(["c"])
            ),
            ("FORBIDDEN", "Repository access blocked", &json!(["d"])),
        ]
    );
    assert!(body["errors"][0].get("extensions").is_none(), "the type stands beside the message");
    let logged = github.sim.requests();
    assert_eq!(logged[0].repositories, 4);
    assert_eq!(logged[0].names[1], "octo-org/never");
}

#[tokio::test]
async fn a_private_repository_shows_itself_to_the_tokens_that_may_see_it() {
    let github = GitHub::start().await;
    let query = r#"{ repository(owner: "octo-org", name: "handbook") { isPrivate }
        organization(login: "octo-org") { repositories(first: 9, privacy: PRIVATE) { nodes { name } } } }"#;
    let insider = told(github.query(query, &json!({})).bearer_auth("token-of-insider")).await.json();
    assert_eq!(insider["data"]["repository"]["isPrivate"], true);
    assert_eq!(insider["data"]["organization"]["repositories"]["nodes"], json!([{"name": "handbook"}]));
    let octocat = github.graphql(query).await.json();
    assert_eq!(octocat["data"]["repository"], Value::Null);
    assert_eq!(octocat["data"]["organization"]["repositories"]["nodes"], json!([]));
}

#[tokio::test]
async fn a_renamed_repository_is_found_by_its_former_name_unless_renames_are_not_followed() {
    let github = GitHub::start().await;
    let body = github
        .graphql(
            r#"{ followed: repository(owner: "octo-org", name: "forge") { nameWithOwner }
                 not: repository(owner: "octo-org", name: "forge", followRenames: false) { nameWithOwner } }"#,
        )
        .await
        .json();
    assert_eq!(body["data"], json!({"followed": {"nameWithOwner": "octo-org/kiln"}, "not": null}));
    assert_eq!(body["errors"][0]["type"], "NOT_FOUND");
}

#[tokio::test]
async fn an_owners_repositories_come_in_pages_that_neither_repeat_nor_skip() {
    let mut big = world();
    for number in 0..250 {
        big.add(Repository { stars: number, ..Repository::new(&format!("hubber/r{number}")) });
    }
    let github = GitHub::with(big, Limits::default()).await;
    let query = "query($after: String) { repositoryOwner(login: \"HUBBER\") { login
        repositories(first: 100, after: $after, ownerAffiliations: [OWNER], orderBy: {field: STARGAZERS, direction: DESC}) {
            totalCount pageInfo { hasNextPage endCursor } nodes { name stargazerCount } } } }";
    let (mut after, mut seen, mut pages) = (Value::Null, Vec::new(), 0);
    loop {
        let answer =
            told(github.query(query, &json!({"after": after})).bearer_auth("token-of-octocat")).await.json();
        let owner = &answer["data"]["repositoryOwner"];
        assert_eq!(owner["login"], "hubber");
        assert_eq!(owner["repositories"]["totalCount"], if pages == 0 { 251 } else { 252 });
        let nodes = owner["repositories"]["nodes"].as_array().unwrap().clone();
        seen.extend(nodes.into_iter().map(|node| node["name"].as_str().unwrap().to_owned()));
        pages += 1;
        let page = &owner["repositories"]["pageInfo"];
        after = page["endCursor"].clone();
        if page["hasNextPage"] == false {
            break;
        }
        // One that appears on a page already read moves all the others down, and none of them is read twice.
        github.sim.world(|world| {
            world.add(Repository { stars: 9_000, ..Repository::new("hubber/late") });
        });
    }
    assert_eq!((pages, seen.len(), seen[0].as_str()), (3, 251, "r249"));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 251);

    let wrong =
        told(github.query(query, &json!({"after": "nonsense"})).bearer_auth("token-of-octocat")).await.json();
    assert_eq!(wrong["errors"][0]["message"], "`nonsense` does not appear to be a valid cursor.");
}

#[tokio::test]
async fn a_user_is_not_an_organization() {
    let github = GitHub::start().await;
    let body = github
        .graphql(
            r#"{ user(login: "octo-org") { login } organization(login: "hubber") { login }
                 right: organization(login: "octo-org") { login }
                 repositoryOwner(login: "nobody") { login } }"#,
        )
        .await
        .json();
    let data =
        json!({"user": null, "organization": null, "right": {"login": "octo-org"}, "repositoryOwner": null});
    assert_eq!(body["data"], data);
    let messages: Vec<&Value> =
        body["errors"].as_array().unwrap().iter().map(|error| &error["message"]).collect();
    assert_eq!(
        messages,
        [
            "Could not resolve to a User with the login of 'octo-org'.",
            "Could not resolve to an Organization with the login of 'hubber'."
        ],
        "a `repositoryOwner` that nobody is makes no error"
    );
}

#[tokio::test]
async fn a_node_id_leads_back_to_its_repository() {
    let github = GitHub::start().await;
    let body = github.graphql(r#"{ repository(owner: "octo-org", name: "kiln") { id } }"#).await.json();
    let id = body["data"]["repository"]["id"].as_str().unwrap();
    let query = format!(
        r#"{{ node(id: "{id}") {{ __typename ... on Repository {{ name }} }} wrong: node(id: "R_x") {{ id }} }}"#
    );
    let body = github.graphql(&query).await.json();
    assert_eq!(body["data"], json!({"node": {"__typename": "Repository", "name": "kiln"}, "wrong": null}));
    assert_eq!(body["errors"][0]["message"], "Could not resolve to a node with the global id of 'R_x'");
}

#[tokio::test]
async fn cost_is_a_point_for_every_hundred_connections_asked() {
    let github = GitHub::start().await;
    let alias = |number| {
        format!(
            "r{number}: repository(owner: \"octo-org\", name: \"cinder\") {{ stargazers {{ totalCount }}
             issues(states: OPEN) {{ totalCount }} languages(first: 10) {{ totalSize }}
             repositoryTopics(first: 10) {{ totalCount }} }} "
        )
    };
    let aliases: String = (0..90).map(alias).collect();
    let body =
        github.graphql(&format!("{{ {aliases} rateLimit {{ cost nodeCount remaining }} }}")).await.json();
    assert_eq!(body["data"]["rateLimit"], json!({"cost": 4, "nodeCount": 1800, "remaining": 4996}));

    let nested = r#"{ user(login: "hubber") { repositories(first: 100) { nodes { languages(first: 20) { nodes { name } }
        repositoryTopics(first: 20) { nodes { topic { name } } } } } } rateLimit { cost nodeCount } }"#;
    let body = github.graphql(nested).await.json();
    assert_eq!(body["data"]["rateLimit"], json!({"cost": 2, "nodeCount": 4100}), "{body}");
    let costs: Vec<u64> = github.sim.requests().iter().map(|request| request.cost).collect();
    assert_eq!(costs, [4, 2]);
}

#[tokio::test]
async fn pages_and_queries_that_are_too_large_are_refused() {
    let github = GitHub::start().await;
    let first = |first: &str| {
        format!("{{ user(login: \"hubber\") {{ repositories{first} {{ nodes {{ name }} }} }} }}")
    };
    let refused = async |query: String| github.graphql(&query).await.json()["errors"][0].clone();

    let error = refused(first("(first: 101)")).await;
    assert_eq!(error["type"], "EXCESSIVE_PAGINATION");
    assert_eq!(error["path"], json!(["user", "repositories"]));
    assert_eq!(
        error["message"],
        "Requesting 101 records on the `repositories` connection exceeds the `first` limit of 100 records."
    );
    let error = refused(first("")).await;
    assert_eq!(error["type"], "MISSING_PAGINATION_BOUNDARIES");

    let page = "repositories(first: 100) { nodes { languages(first: 100) { nodes { name } } } }";
    let alias = |number| format!("u{number}: user(login: \"hubber\") {{ {page} }} ");
    let aliases: String = (0..50).map(alias).collect();
    let error = refused(format!("{{ {aliases} }}")).await;
    assert_eq!(error["type"], "MAX_NODE_LIMIT_EXCEEDED");
    let message =
        "This query requests up to 505,000 possible nodes which exceeds the maximum limit of 500,000.";
    assert_eq!(error["message"], message);
}

#[tokio::test]
async fn a_query_that_github_would_not_understand_is_refused_whole() {
    let github = GitHub::start().await;
    let answer = github.graphql("{ repository(owner: \"octo-org\", name: \"cinder\") { stars } }").await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert!(body.get("data").is_none());
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("stars"), "{body}");
    assert_eq!(github.graphql("{ repository(").await.json().get("data"), None);
    let nonsense =
        github.client.post(format!("{}/graphql", github.sim.url())).bearer_auth("token-of-octocat").body("{");
    assert_eq!(told(nonsense).await.status, 400);
}

#[tokio::test]
async fn graphql_wants_a_token() {
    let github = GitHub::start().await;
    let answer = told(github.query("{ viewer { login } }", &json!({}))).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["message"], "This endpoint requires you to be authenticated.");
    assert_eq!(answer.header("x-ratelimit-limit"), Some("0"));
    let wrong = told(github.query("{ viewer { login } }", &json!({})).bearer_auth("wrong")).await;
    assert_eq!((wrong.status, wrong.json()["message"].as_str()), (401, Some("Bad credentials")));
}

#[test]
fn the_schema_is_told_as_text() {
    let sdl = graphql_sdl();
    assert!(
        sdl.contains("repository(followRenames: Boolean = true, name: String!, owner: String!): Repository"),
        "{sdl}"
    );
    assert!(sdl.contains("scalar URI"));
}
