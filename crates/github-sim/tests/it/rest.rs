//! REST: addresses, pages, redirects, refusals, validators.

use larder_github_sim::{Limits, Repository};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::github::{GitHub, told, world};

#[tokio::test]
async fn a_repository_has_rests_own_shape() {
    let github = GitHub::start().await;
    let answer = github.get("/repos/octo-org/cinder").await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["full_name"], "octo-org/Cinder");
    assert_eq!(body["owner"]["type"], "Organization");
    assert_eq!(body["stargazers_count"], 4821);
    assert_eq!(body["open_issues_count"], 52, "REST counts pull requests among the issues");
    assert_eq!(body["license"]["spdx_id"], "Apache-2.0");
    assert_eq!(body["topics"], json!(["database", "rust", "embedded"]));
    assert_eq!(
        (&body["archived"], &body["private"], &body["fork"]),
        (&json!(false), &json!(false), &json!(false))
    );
    assert_eq!(body["pushed_at"], "2026-08-30T00:00:00Z");
    assert_eq!(body["html_url"], "https://github.com/octo-org/Cinder");
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60, s-maxage=60"));
    assert_eq!(answer.header("last-modified"), Some("Mon, 31 Aug 2026 12:34:56 GMT"));
    assert_eq!(answer.header("date"), Some("Tue, 01 Sep 2026 00:00:00 GMT"), "the simulator's own clock");

    let id = body["id"].as_u64().unwrap();
    assert_eq!(github.get(&format!("/repositories/{id}")).await.json()["full_name"], "octo-org/Cinder");
    let languages = github.get("/repos/octo-org/cinder/languages").await;
    assert_eq!(languages.text, r#"{"Rust":900,"Svelte":90,"Shell":10}"#);
    assert_eq!(github.get("/repos/octo-org/cinder/topics").await.json()["names"][1], "rust");
    assert_eq!(github.get("/repos/octo-org/cinder/releases/latest").await.json()["tag_name"], "v2.4.0");
    assert_eq!(github.get("/repos/octo-org/kiln/releases/latest").await.status, 404);
}

#[tokio::test]
async fn what_is_missing_private_or_blocked_is_refused_as_github_does() {
    let github = GitHub::start().await;
    for path in
        ["/repos/octo-org/never", "/repos/octo-org/handbook", "/users/nobody", "/orgs/hubber", "/nothing"]
    {
        let answer = github.get_as_octocat(path).await;
        assert_eq!((answer.status, answer.json()["message"].as_str()), (404, Some("Not Found")), "{path}");
    }
    let seen = told(github.request("/repos/octo-org/handbook").bearer_auth("token-of-insider")).await;
    assert_eq!((seen.status, seen.header("cache-control")), (200, Some("private, max-age=60, s-maxage=60")));
    let dmca = github.get("/repos/octo-org/copied").await;
    assert_eq!((dmca.status, &dmca.json()["block"]["reason"]), (451, &json!("dmca")));
    let terms = github.get("/repos/octo-org/spam").await;
    assert_eq!((terms.status, &terms.json()["message"]), (403, &json!("Repository access blocked")));
}

#[tokio::test]
async fn a_renamed_repository_redirects_to_its_number() {
    let github = GitHub::start().await;
    let plain = reqwest::Client::builder().user_agent("a test").redirect(Policy::none()).build().unwrap();
    let moved = told(plain.get(format!("{}/repos/octo-org/forge/languages", github.sim.url()))).await;
    assert_eq!((moved.status, &moved.json()["message"]), (301, &json!("Moved Permanently")));
    let location = moved.header("location").unwrap();
    assert_eq!(moved.json()["url"], location);
    assert!(
        location.starts_with(&format!("{}/repositories/", github.sim.url()))
            && location.ends_with("/languages")
    );
    assert_eq!(github.get("/repos/octo-org/forge").await.json()["full_name"], "octo-org/kiln");

    github.sim.world(|world| world.add(Repository::new("octo-org/forge")).to_owned());
    let taken = github.get("/repos/octo-org/forge").await;
    assert_eq!(taken.json()["full_name"], "octo-org/forge", "whoever takes a former name owns it");
}

#[tokio::test]
async fn lists_come_in_pages_with_links_to_follow() {
    let mut big = world();
    for number in 0..230 {
        big.add(Repository::new(&format!("octo-org/r{number:03}")));
    }
    let github = GitHub::with(big, Limits::default()).await;
    let mut path = "/orgs/octo-org/repos?per_page=100&sort=full_name".to_owned();
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let answer = github.get_as_octocat(&path).await;
        pages += 1;
        let page = answer.json();
        names.extend(page.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        let link = answer.header("link").unwrap();
        let Some(next) = link.split(", ").find(|part| part.ends_with("rel=\"next\"")) else {
            assert!(
                link.contains("rel=\"prev\"")
                    && link.contains("rel=\"first\"")
                    && !link.contains("rel=\"last\"")
            );
            break;
        };
        assert!(link.contains("page=3>; rel=\"last\"") && next.contains("/organizations/"), "{link}");
        path = next.trim_start_matches('<').split('>').next().unwrap().replace(github.sim.url(), "");
    }
    assert_eq!((pages, names.len(), names[0].as_str()), (3, 235, "Cinder"), "the private one is not listed");
    assert!(names.contains(&"copied".to_owned()), "a blocked repository is listed, though it cannot be had");

    let default = github.get("/users/octo-org/repos").await;
    assert_eq!(default.json().as_array().unwrap().len(), 30);
    assert!(default.header("link").unwrap().contains("/user/"));
    assert_eq!(github.get("/users/octo-org/repos?per_page=1000").await.json().as_array().unwrap().len(), 100);
    assert_eq!(
        github.get("/users/hubber/repos?per_page=100").await.header("link"),
        None,
        "one page needs no links"
    );
    assert_eq!(github.get("/orgs/hubber/repos").await.status, 404, "a user is no organisation");
}

#[tokio::test]
async fn an_organizations_list_shows_private_ones_to_those_who_may_see_them() {
    let github = GitHub::start().await;
    let names = async |path: &str, token: &str| {
        let body: Value = told(github.request(path).bearer_auth(token)).await.json();
        body.as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let handbook = "handbook".to_owned();
    assert!(names("/orgs/octo-org/repos", "token-of-insider").await.contains(&handbook));
    assert!(!names("/users/octo-org/repos", "token-of-insider").await.contains(&handbook));
    assert!(!names("/orgs/octo-org/repos", "token-of-octocat").await.contains(&handbook));
    assert_eq!(names("/orgs/octo-org/repos?type=forks", "token-of-octocat").await, ["fork"]);
    let newest = names("/users/octo-org/repos?sort=updated", "token-of-octocat").await;
    assert_eq!(newest[0], "Cinder", "newest first");
}

#[tokio::test]
async fn a_held_copy_is_confirmed_by_its_etag_until_something_changes() {
    let github = GitHub::start().await;
    let path = "/repos/octo-org/kiln";
    let etag = github.get_as_octocat(path).await.header("etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");
    let ask = async || {
        told(github.request(path).bearer_auth("token-of-octocat").header("if-none-match", &etag)).await
    };
    let same = ask().await;
    assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", Some(etag.as_str())));
    github.sim.world(|world| world.edit("octo-org/kiln", |kiln| kiln.stars += 1));
    let changed = ask().await;
    assert_eq!((changed.status, &changed.json()["stargazers_count"]), (200, &json!(1)));
    assert_ne!(changed.header("etag"), Some(etag.as_str()));

    let dated = github.request(path).header("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(told(dated).await.status, 304);
    let conditional: Vec<bool> = github.sim.requests().iter().map(|request| request.conditional).collect();
    assert_eq!(conditional, [false, true, true, true]);
}

#[tokio::test]
async fn who_one_is_and_what_one_may_do_is_told() {
    let github = GitHub::start().await;
    let user = github.get_as_octocat("/user").await;
    assert_eq!(
        (&user.json()["login"], user.header("x-oauth-scopes")),
        (&json!("octocat"), Some("public_repo"))
    );
    let fine_grained = told(github.request("/user").bearer_auth("token-of-insider")).await;
    assert_eq!(fine_grained.header("x-oauth-scopes"), None);
    assert_eq!(github.get("/user").await.json()["message"], "Requires authentication");
    assert_eq!(github.get("/users/octo-org").await.json()["type"], "Organization");
    assert_eq!(github.get("/users/hubber").await.json()["type"], "User");
    assert_eq!(github.get("/orgs/octo-org").await.json()["login"], "octo-org");
}

#[tokio::test]
async fn a_client_without_a_name_is_turned_away() {
    let github = GitHub::start().await;
    let nameless = reqwest::Client::new();
    let answer = told(nameless.get(format!("{}/repos/octo-org/cinder", github.sim.url()))).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text.contains("User-Agent"), "{}", answer.text);
}

#[tokio::test]
async fn an_enterprise_servers_layout_is_served_too() {
    let github = GitHub::start().await;
    let answer = github.get("/api/v3/repos/octo-org/cinder").await;
    assert_eq!(answer.json()["url"], format!("{}/api/v3/repos/octo-org/Cinder", github.sim.url()));
    assert!(answer.header("x-github-enterprise-version").is_some());
    let moved = reqwest::Client::builder().user_agent("a test").redirect(Policy::none()).build().unwrap();
    let moved = told(moved.get(format!("{}/api/v3/repos/octo-org/forge", github.sim.url()))).await;
    assert!(moved.header("location").unwrap().contains("/api/v3/repositories/"));
    let graphql = github.client.post(format!("{}/api/graphql", github.sim.url()));
    let graphql = graphql.bearer_auth("token-of-octocat").json(&json!({"query": "{ viewer { login } }"}));
    assert_eq!(told(graphql).await.json()["data"]["viewer"]["login"], "octocat");
}
