//! Without a token: sixty calls an hour, and the most that can be had of them.

use larder_core::{Coverage, FetchError, Fetched, Finding, LimitKind, Source, Validators};
use larder_github_sim::{Limits, Repository as SimRepository};

use crate::scene::{
    Scene, absence, cluster, clusters, finding, items, many, present, tools, tools_of, unknown,
};

#[tokio::test]
async fn several_repositories_of_one_owner_come_by_one_list() {
    let mut repositories = many("octo-org", 40);
    repositories.push(SimRepository::new("octocat/hello"));
    let scene = Scene::with(repositories).await;
    let source = scene.source(&tools(&["r0", "r1", "r2", "r39", "octocat/hello"]), None);
    let listing = scene.listing(&source, "tools").await;
    assert_eq!(present(&listing).len(), 5);
    let requests = scene.sim.take_requests();
    assert!(requests.len() <= 3, "{requests:?}");
    assert!(requests.iter().any(|request| request.path == "/repos/octocat/hello"));
}

#[tokio::test]
async fn two_of_an_owner_with_hundreds_do_not_turn_every_page() {
    let scene = Scene::with(many("octo-org", 900)).await;
    let source = scene.source(&tools(&["r0", "r899"]), None);
    assert_eq!(present(&scene.listing(&source, "tools").await).len(), 2);
    assert!(scene.requests() <= 4);
}

#[tokio::test]
async fn what_rest_cannot_know_is_left_out_and_the_answer_says_what_a_token_would_add() {
    let cinder = SimRepository { stars: 7, open_issues: 3, ..SimRepository::new("octo-org/cinder") }
        .with_languages(&[("Rust", 90)]);
    let scene = Scene::with(vec![cinder]).await;
    let listing = scene.listing(&scene.source(&tools(&["cinder"]), None), "tools").await;
    let Finding::Present(item) = finding(&listing, "octo-org/cinder") else { panic!("{listing:?}") };
    assert_eq!(item.coverage, Coverage::Partial);
    let doc: serde_json::Value = item.doc.decode().unwrap();
    assert_eq!((&doc["stars"], &doc["language"]), (&7.into(), &"Rust".into()));
    for field in ["languages", "language_color", "open_issues", "latest_release"] {
        assert!(doc.get(field).is_none(), "{field}");
    }
    let warning = listing.warnings.iter().find(|warning| warning.code == "needs_token").unwrap();
    assert!(warning.message.contains("GITHUB_TOKEN") && warning.message.contains("5,000"));
}

#[tokio::test]
async fn what_the_hour_does_not_reach_for_is_unknown_until_it_is_over() {
    let owners: Vec<String> = (0..20).map(|index| format!("someone-{index}/thing")).collect();
    let scene = Scene::with(owners.iter().map(|name| SimRepository::new(name)).collect()).await;
    scene.sim.set_limits(Limits { anonymous: 12, ..Limits::default() });
    let names: Vec<&str> = owners.iter().map(String::as_str).collect();
    let source = scene.source(&tools(&names), None);

    let listing = scene.listing(&source, "tools").await;
    let found = present(&listing).len();
    assert!((10..=12).contains(&found), "{found}");
    assert_eq!(unknown(&listing, "someone-19/thing"), Some("primary_limit"));
    assert!(listing.warnings.iter().any(|warning| warning.code == "needs_token"));
    let sent = scene.requests();
    assert!(sent <= 14, "{sent} calls into a limit of twelve");

    let error = scene.fetch(&source, "tools").await.unwrap_err();
    let FetchError::Limited { kind: LimitKind::Primary, until, .. } = error else { panic!("{error}") };
    assert_eq!(scene.requests(), 0);
    scene.clock.set(until);
    let mut ask = scene.ask(&source, "tools");
    ask.subset = Some(vec!["someone-19/thing".into()]);
    assert_eq!(present(&items(source.fetch(&ask).await)).len(), 1);
}

#[tokio::test]
async fn an_unchanged_answer_is_not_modified_where_one_call_brings_the_whole_entry() {
    let mut repositories = many("octo-org", 5);
    repositories.push(SimRepository::new("octocat/hello"));
    let scene = Scene::with(repositories).await;
    let config = clusters(vec![cluster("one", &["octocat/hello"]), cluster("list", &["r0", "r4"])]);
    let config =
        larder_domain::ClustersConfig { owner: Some("octo-org".to_owned()), unclustered: true, ..config };
    let source = scene.source(&config, None);
    for (id, changed) in [("one", "octocat/hello"), ("list", "octo-org/r4"), ("unclustered", "octo-org/r2")] {
        let listing = scene.listing(&source, id).await;
        assert!(listing.validators.etag.is_some(), "{id}");
        let mut ask = scene.ask(&source, id);
        ask.validators = listing.validators;

        scene.requests();
        let again = source.fetch(&ask).await;
        assert_eq!(again, Ok(Fetched::NotModified { ttl: None, cursor: None }), "{id}");
        let requests = scene.sim.take_requests();
        assert!(requests.iter().all(|request| request.conditional), "{id}");
        assert_eq!(requests.last().unwrap().status, Some(304), "{id}");

        scene.sim.world(|world| assert!(world.edit(changed, |one| one.stars += 1)));
        assert_eq!(present(&items(source.fetch(&ask).await))[changed].stars, 1, "{id}");
    }
}

#[tokio::test]
async fn an_answer_of_several_calls_is_never_revalidated_by_one() {
    let mut repositories = many("octo-org", 2);
    repositories.push(SimRepository::new("octocat/hello"));
    let scene = Scene::with(repositories).await;
    let source = scene.source(&tools(&["r0", "r1", "octocat/hello"]), None);
    assert_eq!(scene.listing(&source, "tools").await.validators, Validators::default());
    let partly = scene.source(&tools(&["r0", "r1", "gone"]), None);
    assert_eq!(scene.listing(&partly, "tools").await.validators, Validators::default());
}

#[tokio::test]
async fn a_missing_repository_may_be_private_and_says_so() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let source = scene.source(&tools(&["r0", "r1", "gone", "nobody/a", "nobody/b"]), None);
    let listing = scene.listing(&source, "tools").await;
    assert_eq!(present(&listing).len(), 2);
    for name in ["octo-org/gone", "nobody/a", "nobody/b"] {
        assert_eq!(absence(&listing, name), Some("not_found"));
        let Finding::Absent(absence) = finding(&listing, name) else { panic!("{name}") };
        assert!(absence.message.contains("needs a token"), "{}", absence.message);
    }
}

#[tokio::test]
async fn processes_without_a_token_share_the_sixty_calls() {
    let scene = Scene::with(many("octo-org", 1)).await;
    let (first, second) = (scene.source(&tools_of(1), None), scene.source(&tools_of(1), None));
    for _ in 0..30 {
        scene.listing(&first, "tools").await;
        scene.listing(&second, "tools").await;
    }
    assert_eq!(scene.requests(), 60);
    for source in [first, second] {
        let error = scene.fetch(&source, "tools").await.unwrap_err();
        assert!(error.to_string().contains("60 calls an hour without a token"), "{error}");
    }
    assert_eq!(scene.requests(), 0, "the sixty-first is not sent");
}
