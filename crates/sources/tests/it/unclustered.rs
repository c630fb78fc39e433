//! The cluster of what is in no other: the owner's whole list, or no list at all.

use larder_core::{FetchError, Fetched, Source};
use larder_domain::ClustersConfig;
use larder_github_sim::{Face, Repository as SimRepository, SlowQuery, Switches, When};

use crate::scene::{SEEING, Scene, TOKEN, absence, cluster, items, many, present};

fn rest_of(owner: &str) -> ClustersConfig {
    ClustersConfig {
        owner: Some(owner.to_owned()),
        unclustered: true,
        clusters: vec![cluster("tools", &["octo-org/r0", "Octo-Org/R7"])],
        ..ClustersConfig::default()
    }
}

#[tokio::test]
async fn all_pages_of_the_owner_less_what_is_in_a_cluster() {
    let mut repositories = many("octo-org", 230);
    repositories.push(SimRepository { is_fork: true, ..SimRepository::new("octo-org/forked") });
    repositories.extend(many("octocat", 3));
    let scene = Scene::with(repositories).await;
    for (token, calls) in [(Some(TOKEN), 3), (None, 4)] {
        let source = scene.source(&rest_of("octo-org"), token);
        let listing = scene.listing(&source, "unclustered").await;
        let found = present(&listing);
        assert!(listing.whole);
        assert_eq!(found.len(), 229);
        assert!(!found.contains_key("octo-org/r0") && !found.contains_key("octo-org/r7"));
        assert!(found["octo-org/forked"].is_fork);
        let requests = scene.requests();
        assert!(requests <= calls, "{requests} calls");
    }
}

#[tokio::test]
async fn it_travels_beside_the_clusters_and_without_a_token_serves_them_too() {
    let scene = Scene::with(many("octo-org", 30)).await;
    let with = scene.source(&rest_of("octo-org"), Some(TOKEN));
    let mut got = scene.fetch_many(&with, &["tools", "unclustered"]).await;
    assert_eq!(present(&items(got.remove("tools").unwrap().0)).len(), 2);
    assert_eq!(present(&items(got.remove("unclustered").unwrap().0)).len(), 28);
    scene.requests();

    let without = scene.source(&rest_of("octo-org"), None);
    let mut got = scene.fetch_many(&without, &["tools", "unclustered"]).await;
    assert_eq!(present(&items(got.remove("tools").unwrap().0)).len(), 2);
    assert_eq!(present(&items(got.remove("unclustered").unwrap().0)).len(), 28);
    let paths: Vec<String> = scene.sim.take_requests().into_iter().map(|request| request.path).collect();
    assert!(paths.len() <= 2 && paths.iter().all(|path| path.contains("/octo-org/repos")), "{paths:?}");
}

#[tokio::test]
async fn a_page_that_fails_fails_the_list_and_never_shortens_it() {
    let scene = Scene::with(many("octo-org", 230)).await;
    for (token, only) in [(Some(TOKEN), Face::Graphql), (None, Face::Rest)] {
        let source = scene.source(&rest_of("octo-org"), token);
        scene.listing(&source, "unclustered").await;
        scene.sim.switch(Switches { broken_json: When::Every(3), only, ..Switches::default() });
        let answer = scene.fetch(&source, "unclustered").await;
        assert!(matches!(answer, Err(FetchError::Unusable { .. })), "{answer:?}");
        scene.sim.switch(Switches::default());
    }
}

#[tokio::test]
async fn what_joins_a_list_of_one_full_page_is_found_without_a_token() {
    for (count, calls) in [(99, 1), (100, 2), (101, 2)] {
        let scene = Scene::with(many("octo-org", count)).await;
        let source = scene.source(&rest_of("octo-org"), None);
        let mut ask = scene.ask(&source, "unclustered");
        ask.validators = items(source.fetch(&ask).await).validators;
        scene.sim.world(|world| {
            world.add(SimRepository::new("octo-org/zz-new"));
        });
        scene.requests();
        let found = present(&items(source.fetch(&ask).await));
        assert!(found.contains_key("octo-org/zz-new"), "beside {count}");
        assert_eq!(scene.requests(), calls, "beside {count}");
    }
}

#[tokio::test]
async fn a_page_that_is_too_much_is_asked_for_in_smaller_ones() {
    let scene = Scene::with(many("octo-org", 60)).await;
    scene.sim.switch(Switches { bad_gateway: When::Next(2), ..Switches::default() });
    let source = scene.source(&rest_of("octo-org"), Some(TOKEN));
    assert_eq!(present(&scene.listing(&source, "unclustered").await).len(), 58);
    assert_eq!(scene.requests(), 5, "two that failed, then pages of twenty-five");
    let slow_query = Some(SlowQuery { above_repositories: 100, after_ms: 0 });
    scene.sim.switch(Switches { slow_query, ..Switches::default() });
    assert_eq!(present(&scene.listing(&source, "unclustered").await).len(), 58);
}

#[tokio::test]
async fn an_owner_that_does_not_exist_makes_the_whole_entry_absent() {
    let scene = Scene::with(many("octo-org", 3)).await;
    for token in [Some(TOKEN), None] {
        let source = scene.source(&rest_of("nobody-at-all"), token);
        let answer = scene.fetch(&source, "unclustered").await.unwrap();
        let Fetched::Absent(absence) = answer else { panic!("{answer:?}") };
        assert_eq!(absence.code, "not_found");
        assert!(absence.message.contains("nobody-at-all"), "{}", absence.message);
    }
}

#[tokio::test]
async fn an_owner_without_repositories_is_a_true_empty_list() {
    let scene = Scene::with(many("octo-org", 3)).await;
    for token in [Some(TOKEN), None] {
        let listing = scene.listing(&scene.source(&rest_of("octocat"), token), "unclustered").await;
        assert!(listing.whole && listing.answers.is_empty());
    }
}

#[tokio::test]
async fn names_still_unknown_are_asked_for_by_name_and_what_moved_away_is_gone() {
    let scene = Scene::with(many("octo-org", 5)).await;
    scene.sim.world(|world| assert!(world.rename("octo-org/r3", "octocat/r3")));
    let source = scene.source(&rest_of("octo-org"), Some(SEEING));
    let mut ask = scene.ask(&source, "unclustered");
    ask.subset = Some(vec!["octo-org/r2".into(), "octo-org/r3".into(), "octo-org/r9".into()]);
    let listing = items(source.fetch(&ask).await);
    assert!(!listing.whole);
    assert_eq!(present(&listing).len(), 1);
    assert_eq!(absence(&listing, "octo-org/r3"), Some("moved"));
    assert_eq!(absence(&listing, "octo-org/r9"), Some("not_found"));
}

#[tokio::test]
async fn a_definition_changes_with_what_it_brings_and_not_with_how_it_is_shown() {
    let scene = Scene::with(Vec::new()).await;
    let fingerprint = |config: &ClustersConfig, token, id| {
        let source = scene.source(config, token);
        source.define(&format!("cluster/{id}").parse().unwrap()).unwrap().fingerprint.clone()
    };
    let base = rest_of("octo-org");
    let mut shown = base.clone();
    shown.clusters[0].featured = true;
    shown.clusters[0].name = "Other".to_owned();
    let mut more = base.clone();
    more.clusters[0].repos.push(larder_domain::RepoName::new("octo-org", "r9").unwrap());
    for id in ["tools", "unclustered"] {
        let of = |config| fingerprint(config, Some(TOKEN), id);
        assert_eq!(of(&base), of(&shown), "{id}");
        assert_ne!(of(&base), of(&more), "{id}");
        assert_ne!(of(&base), fingerprint(&base, None, id), "{id}");
    }
    let mut shorter = base.clone();
    shorter.clusters[0].active = true;
    let of = |config| fingerprint(config, Some(TOKEN), "tools");
    assert_ne!(of(&base), of(&shorter), "a lifetime that is shortened holds at once");
    let keys: Vec<String> = scene.source(&base, None).keys().iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["cluster/tools", "cluster/unclustered"]);
}
