//! Issues: listed by label, state and time, in pages, by both interfaces.

use larder_github_sim::{Issue, Limits, World};
use serde_json::{Value, json};

use crate::github::{GitHub, TOKEN, told, world};

const QUERY: &str = "
query Trackers($owner: String!, $name: String!, $after: String, $since: DateTime) {
  repository(owner: $owner, name: $name) {
    issues(labels: [\"release\"], first: 100, after: $after, filterBy: {since: $since},
           orderBy: {field: CREATED_AT, direction: ASC}) {
      totalCount pageInfo { hasNextPage endCursor }
      nodes { number title state createdAt updatedAt closedAt url labels(first: 10) { nodes { name } } }
    }
  }
}";

fn with_issues() -> World {
    let mut world = world();
    let release = |number: u64| Issue {
        labels: vec!["Release".to_owned()],
        updated_at: format!("2026-02-01T00:{:02}:{:02}Z", number / 60, number % 60).parse().unwrap(),
        ..Issue::new(number, &format!("Release: v0.{number}.0"))
    };
    assert!(world.add_issues("octo-org/cinder", (1..=120).map(release)));
    let pull = Issue { is_pull_request: true, ..release(121) };
    assert!(world.add_issues("octo-org/cinder", [pull, Issue::new(122, "Something else")]));
    assert!(
        world.edit_issue("octo-org/cinder", 7, |issue| issue.close("2026-03-01T00:00:00Z".parse().unwrap()))
    );
    world
}

async fn asked(github: &GitHub, variables: Value) -> Value {
    let mut all = json!({"owner": "octo-org", "name": "cinder"});
    all.as_object_mut().unwrap().extend(variables.as_object().unwrap().clone());
    let answer = told(github.query(QUERY, &all).bearer_auth(TOKEN)).await.json();
    assert_eq!(answer["errors"], Value::Null);
    answer["data"]["repository"]["issues"].clone()
}

#[tokio::test]
async fn graphql_lists_the_issues_of_a_label_in_pages() {
    let github = GitHub::with(with_issues(), Limits::default()).await;
    let first = asked(&github, json!({})).await;
    assert_eq!((&first["totalCount"], first["nodes"].as_array().unwrap().len()), (&json!(120), 100));
    let second = asked(&github, json!({"after": first["pageInfo"]["endCursor"]})).await;
    assert_eq!(second["nodes"].as_array().unwrap().len(), 20);
    assert_eq!(second["pageInfo"]["hasNextPage"], false);
    let closed = &first["nodes"][6];
    assert_eq!(
        closed,
        &json!({"number": 7, "title": "Release: v0.7.0", "state": "CLOSED", "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-03-01T00:00:00Z", "closedAt": "2026-03-01T00:00:00Z",
            "url": "https://github.com/octo-org/Cinder/issues/7", "labels": {"nodes": [{"name": "Release"}]}})
    );
    let since = asked(&github, json!({"since": "2026-02-01T00:02:00Z"})).await;
    assert_eq!(since["totalCount"], 2, "the one that was updated last, and the one that was closed");
}

#[tokio::test]
async fn rest_lists_pull_requests_among_them() {
    let github = GitHub::with(with_issues(), Limits::default()).await;
    let list = github.get("/repos/octo-org/cinder/issues?labels=release&state=all&per_page=100&page=2").await;
    let found = list.json();
    assert_eq!(found.as_array().unwrap().len(), 21);
    assert!(list.header("link").unwrap().contains("rel=\"prev\""));
    let pulls = found.as_array().unwrap().iter().filter(|one| one.get("pull_request").is_some()).count();
    let newest =
        github.get("/repos/octo-org/cinder/issues?sort=updated&since=2026-02-01T00:02:00Z").await.json();
    assert_eq!(newest.as_array().unwrap().len() + pulls, 2, "open ones alone, unless all are asked for");
    assert_eq!(github.get("/repos/octo-org/cinder/issues?since=yesterday").await.status, 422);
    assert_eq!(github.get("/repos/octo-org/cinder/issues?state=closed").await.json()[0]["number"], 7);
}

/// Where a `Link` leads, without the simulator's own address.
fn linked(github: &GitHub, link: Option<&str>, relation: &str) -> Option<String> {
    let relation = format!("rel=\"{relation}\"");
    let link = link?.split(", ").find(|link| link.ends_with(&relation))?;
    Some(link.trim_start_matches('<').split('>').next()?.replace(github.sim.url(), ""))
}

#[tokio::test]
async fn rest_turns_pages_by_cursors_and_takes_no_number_behind_the_tenth() {
    let github = GitHub::with(with_issues(), Limits::default()).await;
    for direction in ["asc", "desc"] {
        let first = format!(
            "/repos/octo-org/cinder/issues?labels=release&state=all&per_page=10&direction={direction}"
        );
        let (mut at, mut numbers, mut pages) = (Some(first.clone()), Vec::new(), 0);
        while let Some(path) = at {
            let page = github.get(&path).await;
            let link = page.header("link");
            assert!(
                link.is_some_and(|link| !link.contains("rel=\"last\"") && !link.contains("rel=\"first\""))
            );
            at = linked(&github, link, "next");
            assert_eq!(linked(&github, link, "prev").is_some(), pages > 0);
            numbers.extend(page.json().as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()));
            pages += 1;
            // What goes from a page that was read moves nothing of the next one.
            github.sim.world(|world| world.remove_issue("octo-org/cinder", numbers[numbers.len() - 1]));
        }
        numbers.sort_unstable();
        let all: Vec<u64> = (1..=121).filter(|number| numbers.contains(number)).collect();
        assert_eq!(numbers, all, "each once");
        assert_eq!((numbers.len(), pages), if direction == "asc" { (121, 13) } else { (108, 11) });

        let tenth = github.get(&format!("{first}&page=10")).await;
        assert_eq!(tenth.status, 200);
        let eleventh = github.get(&format!("{first}&page=11")).await;
        assert_eq!(eleventh.status, 422);
        assert!(eleventh.json()["message"].as_str().unwrap().contains("use cursor based pagination"));
    }
    let second = github.get("/repos/octo-org/cinder/issues?state=all&per_page=2&page=2").await;
    let back = github.get(&linked(&github, second.header("link"), "prev").unwrap()).await.json();
    let first = github.get("/repos/octo-org/cinder/issues?state=all&per_page=2").await.json();
    assert_eq!(back, first);
    assert_eq!(github.get("/repos/octo-org/cinder/issues?after=yesterday").await.status, 422);
}

#[tokio::test]
async fn an_enterprise_server_numbers_the_pages_of_issues() {
    let github = GitHub::with(with_issues(), Limits::default()).await;
    let page = github.get("/api/v3/repos/octo-org/cinder/issues?state=all&per_page=5&page=20").await;
    assert_eq!(page.json().as_array().unwrap().len(), 5);
    assert!(page.header("link").unwrap().contains("page=25>; rel=\"last\""));
}

#[tokio::test]
async fn issues_that_are_switched_off_are_gone_by_rest_and_none_by_graphql() {
    let github = GitHub::with(with_issues(), Limits::default()).await;
    github.sim.world(|world| world.edit("octo-org/cinder", |cinder| cinder.has_issues = false));
    let off = github.get("/repos/octo-org/cinder/issues").await;
    assert_eq!(
        (off.status, &off.json()["message"]),
        (410, &json!("Issues has been disabled in this repository."))
    );
    assert_eq!(github.get("/repos/octo-org/cinder").await.json()["has_issues"], false);
    assert_eq!(asked(&github, json!({})).await["totalCount"], 0);
}

#[tokio::test]
async fn an_issue_can_be_changed_and_deleted_from_outside() {
    let github = GitHub::with(with_issues(), Limits::default()).await;
    let url = |number: u64| format!("{}/_sim/issues/octo-org/cinder/{number}", github.sim.url());
    let made =
        told(github.client.post(url(500)).body(r#"{"title": "Release: v9", "labels": ["release"]}"#)).await;
    assert_eq!((made.status, &made.json()["number"]), (201, &json!(500)));
    assert_eq!(asked(&github, json!({})).await["totalCount"], 121);
    assert_eq!(told(github.client.delete(url(500))).await.status, 204);
    assert_eq!(told(github.client.delete(url(500))).await.status, 404);
    assert_eq!(asked(&github, json!({})).await["totalCount"], 120);
}

#[tokio::test]
async fn a_repository_that_keeps_a_count_alone_has_no_issue_of_any_label() {
    let github = GitHub::with(world(), Limits::default()).await;
    assert_eq!(asked(&github, json!({})).await["totalCount"], 0);
    let uncounted = "query { repository(owner: \"octo-org\", name: \"cinder\") { issues(states: [OPEN]) { totalCount } } }";
    let answer = told(github.query(uncounted, &json!({})).bearer_auth(TOKEN)).await.json();
    assert!(answer["data"]["repository"]["issues"]["totalCount"].as_i64().unwrap() > 0, "{answer}");
}

#[tokio::test]
async fn the_demo_has_trackers_among_as_many_issues_as_it_counts() {
    let github = GitHub::with(World::demo(), Limits::default()).await;
    let harbor = json!({"owner": "octo-org", "name": "harbor"});
    let answer = told(github.query(QUERY, &harbor).bearer_auth(World::DEMO_TOKEN)).await.json();
    let issues = &answer["data"]["repository"]["issues"];
    assert_eq!(issues["totalCount"], 7);
    let world = World::demo();
    let harbor = world.repository("octo-org/harbor").unwrap();
    let open = world.issues(harbor).unwrap().values().filter(|issue| issue.is_open()).count() as u64;
    assert_eq!(open, harbor.open_issues);
}
