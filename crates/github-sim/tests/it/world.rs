//! Worlds: from a ranking file, and the demo's own.

use larder_github_sim::{Limits, Owner, Repository, Token, World};
use serde_json::json;

use crate::github::GitHub;

const HEADER: &str =
    "rank,item,repo_name,stars,forks,language,repo_url,username,issues,last_commit,description";

#[test]
fn a_ranking_file_gives_each_repository_once_with_the_most_stars_of_its_rows() {
    let world = World::load_ranking_csv(include_bytes!("ranking.csv").as_slice()).unwrap();
    let names: Vec<&str> = world.repositories().map(|one| one.full_name.as_str()).collect();
    assert_eq!(
        names,
        ["hubber/dot.files", "lighthouse-labs/geocoder", "octo-org/awesome-octo", "octo-org/cinder"]
    );

    let cinder = world.repository("octo-org/cinder").unwrap();
    assert_eq!((cinder.stars, cinder.forks, cinder.open_issues), (4_823, 312, 48));
    assert_eq!(cinder.pushed_at, Some("2026-08-20T10:00:02Z".parse().unwrap()));
    assert_eq!(cinder.pushed_at, Some(cinder.updated_at));
    assert!(cinder.created_at < cinder.updated_at);
    assert_eq!(cinder.languages.len(), 1);
    assert_eq!(cinder.languages[0].color.as_deref(), Some("#dea584"));

    let awesome = world.repository("octo-org/awesome-octo").unwrap();
    assert_eq!((awesome.language.as_deref(), awesome.languages.len()), (None, 0));
    assert_eq!(awesome.description.as_deref(), Some("😎 Good things made by friends"));
    let geocoder = world.repository("lighthouse-labs/geocoder").unwrap();
    assert_eq!(geocoder.description.as_deref(), Some("Addresses in, places out; \"offline\" means offline"));
    assert_eq!(world.repository("hubber/dot.files").unwrap().description, None);

    let again = World::load_ranking_csv(include_bytes!("ranking.csv").as_slice()).unwrap();
    assert_eq!(
        again.repository("octo-org/cinder"),
        world.repository("octo-org/cinder"),
        "the same in every run"
    );
}

#[test]
fn a_bad_row_of_a_ranking_file_is_named_by_its_line() {
    let error = |rows: &str| {
        World::load_ranking_csv(format!("{HEADER}\n{rows}\n").as_bytes()).unwrap_err().to_string()
    };
    let good = "1,Rust,cinder,1,1,Rust,https://x,octo-org,1,2026-08-20T10:00:00Z,\"two\nlines\"";
    assert_eq!(
        error(&format!("{good}\n2,Rust,kiln,many,1,Rust,https://x,octo-org,1,2026-08-20T10:00:00Z,x")),
        "line 4 of the ranking file: `stars` is `many`, not a whole number from 0 to 4294967295"
    );
    assert_eq!(
        error("2,Rust,kiln,1,1,Rust,https://x,octo-org,1,yesterday,x"),
        "line 2 of the ranking file: `last_commit` is `yesterday`, not a time like 2026-08-22T04:00:00Z"
    );
    assert!(
        error("2,Rust,a/b,1,1,Rust,https://x,octo-org,1,2026-08-20T10:00:00Z,x")
            .contains("`repo_name` is `a/b`")
    );
    assert_eq!(error("2,Rust,kiln"), "line 2 of the ranking file is not a row like the header");
    let headless = World::load_ranking_csv("a,b\n1,2\n".as_bytes()).unwrap_err();
    assert_eq!(headless.to_string(), "the ranking file has no column `repo_name`");
}

#[tokio::test]
async fn a_world_from_a_file_takes_any_token_when_asked_to() {
    let mut world = World::load_ranking_csv(include_bytes!("ranking.csv").as_slice()).unwrap();
    world.accept_any_token(Token::of("hubber"));
    let github = GitHub::with(world, Limits::default()).await;
    let query = r#"{ repository(owner: "octo-org", name: "cinder") { stargazerCount pushedAt issues(states: OPEN) { totalCount } } }"#;
    let found = github.graphql(query).await.json();
    let wanted =
        json!({"stargazerCount": 4823, "pushedAt": "2026-08-20T10:00:02Z", "issues": {"totalCount": 48}});
    assert_eq!(found["data"]["repository"], wanted);
}

#[test]
fn the_demo_is_the_same_in_every_run_and_its_clusters_exist_but_for_the_one_that_is_gone() {
    let world = World::demo();
    let all: Vec<_> = world.repositories().cloned().collect();
    assert_eq!(all, World::demo().repositories().cloned().collect::<Vec<_>>());
    assert_eq!(all.len(), 42);
    let mut missing = Vec::new();
    for name in World::demo_clusters().iter().flat_map(|cluster| cluster.repos) {
        let full_name = if name.contains('/') { (*name).to_owned() } else { format!("octo-org/{name}") };
        if world.repository(&full_name).is_none() {
            missing.push(full_name);
        }
    }
    assert_eq!(missing, ["octo-org/gone-missing"]);
    assert_eq!(world.repository("octo-org/forge").unwrap().full_name, "octo-org/kiln");
    assert_eq!(world.repository("octo-org/quill").unwrap().language.as_deref(), Some("TypeScript"));
    assert!(
        all.iter().all(|one| one.name() == "sandbox" || one.description.is_some()),
        "the table is read right"
    );
    assert!(all.iter().filter(|one| one.name() != "sandbox").all(|one| one.pushed_at.is_some()));
    assert!(all.iter().any(|one| one.is_private) && all.iter().any(|one| one.blocked.is_some()));
    assert!(all.iter().any(|one| one.is_fork) && all.iter().any(|one| one.is_archived));
}

#[test]
fn names_are_compared_without_case_and_identities_are_kept() {
    let mut world = World::new();
    world.add_owner(Owner::organization("Octo-Org")).add(Repository::new("Octo-Org/Kiln"));
    let id = world.repository("octo-org/KILN").unwrap().id;
    assert!(world.rename("OCTO-ORG/kiln", "octo-org/Furnace"));
    assert!(world.edit("octo-org/furnace", |furnace| furnace.stars = 9));
    assert!(!world.edit("octo-org/kiln", |kiln| kiln.stars = 8), "a former name reads, it does not write");
    let furnace = world.repository("octo-org/kiln").unwrap();
    assert_eq!((furnace.id, furnace.stars, furnace.full_name.as_str()), (id, 9, "octo-org/Furnace"));
    world.add(Repository::new("octo-org/other"));
    assert!(!world.rename("octo-org/other", "octo-org/furnace"), "the name is taken");
    assert!(world.remove("octo-org/furnace") && world.repository("octo-org/kiln").is_none());
    assert!(!format!("{:?}", world.add_token("hush", Token::of("octocat"))).contains("hush"));
}
