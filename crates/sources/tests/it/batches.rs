//! Many repositories in few queries: what travels together, what is said of each, what is halved.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_core::{Clock, FetchError, Fetched, Finding, Source, Spent};
use larder_domain::Repository;
use larder_github_sim::{
    Block, Language, License, Outage, Partial, PartialError, Release, Repository as SimRepository, SlowQuery,
    Switches, When,
};

use crate::scene::{
    SEEING, Scene, TOKEN, absence, cluster, clusters, finding, items, many, present, tools, tools_of, unknown,
};

/// Twelve clusters of twenty-five.
fn dozen() -> larder_domain::ClustersConfig {
    let each = (0..12).map(|index| {
        let names: Vec<String> = (0..25).map(|place| format!("r{}", index * 25 + place)).collect();
        cluster(&format!("c{index}"), &names.iter().map(String::as_str).collect::<Vec<_>>())
    });
    clusters(each.collect())
}

#[tokio::test]
async fn three_hundred_repositories_of_twelve_clusters_travel_in_few_queries() {
    let scene = Scene::with(many("octo-org", 300)).await;
    let source = scene.source(&dozen(), Some(TOKEN));
    let asks: Vec<_> = (0..12).map(|index| scene.ask(&source, &format!("c{index}"))).collect();

    let got = scene.fetch_in_order(&source, &asks).await;

    let requests = scene.sim.take_requests();
    assert!(requests.len() <= 6, "{} queries", requests.len());
    let asked: Vec<&String> = requests.iter().flat_map(|request| &request.names).collect();
    assert_eq!(asked.len(), 300, "each repository is asked for once");
    let spent = got.iter().fold(Spent::default(), |sum, (_, (_, spent))| Spent {
        calls: sum.calls + spent.calls,
        cost: sum.cost + spent.cost,
    });
    assert_eq!(spent.calls as usize, requests.len(), "the calls are counted once in all answers together");
    assert_eq!(u64::from(spent.cost), requests.iter().map(|request| request.cost).sum::<u64>());
    for (key, (answer, _)) in got {
        assert_eq!(present(&items(answer)).len(), 25, "{key}");
    }
    assert_eq!(scene.budgets.in_flight(), 0, "every reservation was given back");
}

#[tokio::test]
async fn a_repository_of_two_clusters_is_asked_for_once_and_answers_both() {
    let scene = Scene::with(many("octo-org", 2)).await;
    let config = clusters(vec![cluster("a", &["r0", "r1"]), cluster("b", &["octo-org/R1", "r0", "r0"])]);
    let source = scene.source(&config, Some(TOKEN));
    let mut got = scene.fetch_many(&source, &["a", "b"]).await;
    let requests = scene.sim.take_requests();
    assert_eq!((requests.len(), requests[0].repositories), (1, 2));
    let b = items(got.remove("b").unwrap().0);
    let order: Vec<&str> = b.answers.iter().map(|answer| &*answer.asked).collect();
    assert_eq!(order, ["octo-org/r1", "octo-org/r0"], "in the order of the cluster, each once");
}

#[tokio::test]
async fn an_entry_is_answered_as_soon_as_its_own_repositories_are() {
    let scene = Scene::with(many("octo-org", 60)).await;
    let late: Vec<String> = (0..60).map(|index| format!("r{index}")).collect();
    let late: Vec<&str> = late.iter().map(String::as_str).collect();
    let config = clusters(vec![cluster("late", &late), cluster("soon", &["r0"])]);
    let source = scene.source(&config, Some(TOKEN));
    let asks = [scene.ask(&source, "late"), scene.ask(&source, "soon")];
    let got = scene.fetch_in_order(&source, &asks).await;
    let order: Vec<&str> = got.iter().map(|(key, _)| key.name()).collect();
    assert_eq!(order, ["soon", "late"]);
}

#[tokio::test]
async fn everything_that_a_page_shows_of_a_repository_comes_and_singly_as_in_a_batch() {
    let full = SimRepository {
        description: Some("Parses \"things\"".to_owned()),
        homepage: Some("https://cinder.example".to_owned()),
        stars: 7,
        forks: 2,
        open_issues: 3,
        open_pull_requests: 4,
        topics: vec!["parser".to_owned(), "rust".to_owned()],
        license: Some(License::spdx("MIT")),
        is_archived: true,
        latest_release: Some(Release {
            tag_name: "v1.0".to_owned(),
            name: Some("One".to_owned()),
            published_at: None,
            is_prerelease: false,
        }),
        ..SimRepository::new("octo-org/Cinder").with_languages(&[("Shell", 10), ("Rust", 90)])
    };
    let scene = Scene::with(vec![full, SimRepository::new("octo-org/plain")]).await;
    let config = clusters(vec![cluster("one", &["cinder"]), cluster("two", &["cinder", "plain"])]);
    let source = scene.source(&config, Some(TOKEN));

    let one = scene.listing(&source, "one").await;
    let mut both = scene.fetch_many(&source, &["one", "two"]).await;

    let two = items(both.remove("two").unwrap().0);
    assert_eq!(finding(&one, "octo-org/cinder"), finding(&two, "octo-org/cinder"));
    let cinder = present(&one).remove("octo-org/cinder").unwrap();
    assert_eq!((cinder.full_name.as_str(), cinder.owner.as_str()), ("octo-org/Cinder", "octo-org"));
    assert_eq!((cinder.stars, cinder.forks, cinder.open_issues), (7, 2, Some(3)));
    assert_eq!(cinder.language.as_deref(), Some("Rust"));
    let languages: Vec<&str> = cinder.languages().iter().map(|language| language.name.as_str()).collect();
    assert_eq!(languages, ["Rust", "Shell"], "largest first");
    assert_eq!(cinder.language_color, Language::new("Rust", 0).color);
    assert_eq!((cinder.topics().len(), cinder.license.as_deref()), (2, Some("MIT")));
    assert!(cinder.is_archived && !cinder.is_fork && !cinder.is_private);
    assert_eq!(cinder.latest_release.map(|release| release.tag).as_deref(), Some("v1.0"));
    assert_eq!(cinder.host, scene.github(None, 1).host());
}

#[tokio::test]
async fn a_missing_repository_is_a_warning_and_never_fails_its_cluster() {
    let scene = Scene::with(many("octo-org", 2)).await;
    let source = scene.source(&tools(&["r0", "gone", "r1", "nobody/nothing"]), Some(TOKEN));
    let listing = scene.listing(&source, "tools").await;
    assert_eq!(present(&listing).len(), 2);
    assert_eq!(absence(&listing, "octo-org/gone"), Some("not_found"));
    assert_eq!(absence(&listing, "nobody/nothing"), Some("not_found"));
    assert!(!listing.whole, "whoever is not asked for stays as it is");
}

#[tokio::test]
async fn a_renamed_repository_answers_under_its_old_name_with_a_warning() {
    let scene = Scene::with(many("octo-org", 1)).await;
    scene.sim.world(|world| assert!(world.rename("octo-org/r0", "octo-org/Fresh")));
    for token in [Some(TOKEN), None] {
        let source = scene.source(&tools(&["r0"]), token);
        let listing = scene.listing(&source, "tools").await;
        assert_eq!(present(&listing)["octo-org/r0"].full_name, "octo-org/Fresh");
        let warning = listing.warnings.iter().find(|warning| warning.code == "renamed").unwrap();
        assert_eq!(warning.about, "octo-org/r0");
        assert!(warning.message.contains("`octo-org/r0` is now `octo-org/Fresh`"), "{}", warning.message);
    }
}

#[tokio::test]
async fn a_private_repository_is_shown_to_its_readers_alone() {
    let secret = SimRepository { is_private: true, ..SimRepository::new("octo-org/secret") };
    let scene = Scene::with(vec![secret]).await;
    let config = tools(&["secret"]);
    for (token, expected) in
        [(Some(TOKEN), Some("not_found")), (None, Some("not_found")), (Some(SEEING), None)]
    {
        let listing = scene.listing(&scene.source(&config, token), "tools").await;
        assert_eq!(absence(&listing, "octo-org/secret"), expected);
        if let Finding::Present(item) = finding(&listing, "octo-org/secret") {
            assert_eq!(item.scope.to_string(), format!("repo:{}", item.of.id));
        }
    }
}

#[tokio::test]
async fn a_blocked_repository_says_so() {
    let taken = |name, block| SimRepository { blocked: Some(block), ..SimRepository::new(name) };
    let scene = Scene::with(vec![taken("octo-org/a", Block::Dmca), taken("octocat/b", Block::Tos)]).await;
    for token in [Some(TOKEN), None] {
        let source = scene.source(&tools(&["a", "octocat/b"]), token);
        let listing = scene.listing(&source, "tools").await;
        assert_eq!(absence(&listing, "octo-org/a"), Some("blocked"));
        assert_eq!(absence(&listing, "octocat/b"), Some("blocked"));
    }
}

#[tokio::test]
async fn an_empty_cluster_is_a_true_answer_without_a_call() {
    let scene = Scene::with(Vec::new()).await;
    let source = scene.source(&tools(&[]), Some(TOKEN));
    let listing = scene.listing(&source, "tools").await;
    assert_eq!((listing.answers.len(), listing.warnings.len()), (0, 0));
    assert_eq!(scene.requests(), 0);
}

#[tokio::test]
async fn only_the_names_that_are_still_unknown_are_asked_for() {
    let scene = Scene::with(many("octo-org", 9)).await;
    let source = scene.source(&tools_of(9), Some(TOKEN));
    let mut ask = scene.ask(&source, "tools");
    ask.subset = Some(vec!["octo-org/r3".into(), "octo-org/r5".into()]);
    let listing = items(source.fetch(&ask).await);
    assert_eq!(present(&listing).len(), 2);
    assert_eq!(scene.sim.take_requests()[0].names, ["octo-org/r3", "octo-org/r5"]);
}

#[tokio::test]
async fn a_batch_that_is_too_much_is_halved_and_the_size_remembered() {
    let scene = Scene::with(many("octo-org", 60)).await;
    let slow_query = Some(SlowQuery { above_repositories: 20, after_ms: 0 });
    scene.sim.switch(Switches { slow_query, ..Switches::default() });
    let source = scene.source(&tools_of(60), Some(TOKEN));

    let listing = scene.listing(&source, "tools").await;
    assert_eq!(present(&listing).len(), 60, "nothing is lost");
    let failed = |scene: &Scene| {
        scene.sim.take_requests().iter().filter(|request| request.status == Some(502)).count()
    };
    assert_eq!(failed(&scene), 3, "fifty, then its two halves");

    let again = scene.listing(&source, "tools").await;
    assert_eq!((present(&again).len(), failed(&scene)), (60, 0), "the next fetch begins with what went well");
}

#[tokio::test]
async fn a_query_without_an_answer_is_halved_too() {
    let scene = Scene::with(many("octo-org", 10)).await;
    scene.sim.switch(Switches { time_out: When::Next(1), ..Switches::default() });
    let source = scene.source(&tools_of(10), Some(TOKEN));
    let patience = async {
        scene.sim.arrived(1).await;
        while scene.clock.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
        scene.clock.advance(Duration::from_secs(12));
    };
    let (listing, ()) = tokio::join!(scene.listing(&source, "tools"), patience);
    assert_eq!(present(&listing).len(), 10);
    let sizes: Vec<usize> = scene.sim.take_requests().iter().map(|request| request.repositories).collect();
    assert_eq!(sizes, [10, 5, 5]);
}

#[tokio::test]
async fn what_came_before_the_deadline_is_kept_and_the_rest_is_unknown() {
    let scene = Scene::with(many("octo-org", 60)).await;
    let source = scene.source(&tools_of(60), Some(TOKEN));
    scene.sim.switch(Switches { time_out: When::Every(2), ..Switches::default() });
    let mut ask = scene.ask(&source, "tools");
    ask.deadline = scene.clock.now().plus(Duration::from_secs(5));
    let patience = async {
        scene.sim.arrived(2).await;
        while scene.clock.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
        scene.clock.advance(Duration::from_secs(5));
    };
    let (answer, ()) = tokio::join!(source.fetch(&ask), patience);
    let listing = items(answer);
    assert_eq!(present(&listing).len(), 50);
    assert_eq!(unknown(&listing, "octo-org/r59"), Some("timed_out"));
}

#[tokio::test]
async fn what_a_resource_limit_left_out_is_unknown_and_never_taken_for_complete() {
    let scene = Scene::with(many("octo-org", 12)).await;
    for error in [PartialError::ResourceLimits, PartialError::Internal] {
        let partial = Partial { every: Some(4), error, ..Partial::default() };
        scene.sim.switch(Switches { partial, ..Switches::default() });
        let source = scene.source(&tools_of(12), Some(TOKEN));
        let listing = scene.listing(&source, "tools").await;
        assert_eq!(present(&listing).len(), 9);
        for name in ["octo-org/r3", "octo-org/r7", "octo-org/r11"] {
            assert_eq!(unknown(&listing, name), Some("partial"), "{name} {error:?}");
        }
    }
}

#[tokio::test]
async fn one_bad_cluster_does_not_spoil_the_others_of_its_batch() {
    let scene = Scene::with(many("octo-org", 4)).await;
    let partial = Partial { names: vec!["octo-org/r3".to_owned()], ..Partial::default() };
    scene.sim.switch(Switches { partial, ..Switches::default() });
    let config = clusters(vec![cluster("good", &["r0", "r1"]), cluster("bad", &["r3"])]);
    let source = scene.source(&config, Some(TOKEN));
    let mut got = scene.fetch_many(&source, &["good", "bad"]).await;
    assert_eq!(present(&items(got.remove("good").unwrap().0)).len(), 2);
    assert!(matches!(got.remove("bad").unwrap().0, Err(FetchError::Partial { .. })));
}

#[tokio::test]
async fn an_outage_fails_each_entry_and_then_the_host_is_left_alone_for_a_while() {
    let scene = Scene::with(many("octo-org", 60)).await;
    let source = scene.source(&tools_of(60), Some(TOKEN));
    for outage in [Outage::Unavailable, Outage::Dropped] {
        scene.sim.switch(Switches { outage, ..Switches::default() });
        let error = scene.fetch(&source, "tools").await.unwrap_err();
        assert!(matches!(error.code(), "upstream" | "network"), "{error}");
        assert!(!error.counts(), "an outage is never the entry's fault");
        assert_eq!(scene.requests(), 1, "the other batches are not tried into an outage");
    }
    for _ in 0..20 {
        scene.fetch(&source, "tools").await.unwrap_err();
    }
    assert_eq!(scene.requests(), 8, "ten failures in a row open the breaker");
    let error = scene.fetch(&source, "tools").await.unwrap_err();
    let FetchError::BreakerOpen { until, .. } = error else { panic!("{error}") };

    scene.sim.switch(Switches::default());
    scene.clock.set(until);
    assert_eq!(present(&scene.listing(&source, "tools").await).len(), 60);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_unusable() {
    let scene = Scene::with(many("octo-org", 1)).await;
    let source = scene.source(&tools_of(1), Some(TOKEN));
    scene.sim.switch(Switches { broken_json: When::Always, ..Switches::default() });
    let error = scene.fetch(&source, "tools").await.unwrap_err();
    assert!(matches!(error, FetchError::Unusable { .. }), "{error}");
    scene.sim.switch(Switches { bad_credentials: true, ..Switches::default() });
    let error = scene.fetch(&source, "tools").await.unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("bad credentials"), "{error}");
}

#[tokio::test]
async fn a_fetch_brings_the_same_as_the_world_holds_for_every_repository() {
    let scene = Scene::with(Vec::new()).await;
    scene.sim.world(|world| {
        for repository in larder_github_sim::World::demo().repositories() {
            world.add(repository.as_ref().clone());
        }
    });
    let names: Vec<String> = scene.sim.world(|world| {
        let readable = world.repositories().filter(|one| one.blocked.is_none());
        readable.map(|one| one.full_name.clone()).collect()
    });
    let config = tools(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let listing = scene.listing(&scene.source(&config, Some(SEEING)), "tools").await;
    let found: BTreeMap<String, Repository> = present(&listing);
    assert_eq!(found.len(), names.len());
    scene.sim.world(|world| {
        for name in &names {
            let (found, held) = (&found[&name.to_lowercase()], world.repository(name).unwrap());
            assert_eq!(
                (found.stars, found.is_private, found.is_fork),
                (held.stars, held.is_private, held.is_fork)
            );
            assert_eq!((&found.description, &found.url), (&held.description, &held.url), "{name}");
        }
    });
}

#[tokio::test]
async fn an_entry_that_is_not_configured_is_an_error_and_no_call() {
    let scene = Scene::with(Vec::new()).await;
    let source = scene.source(&tools(&["r0"]), Some(TOKEN));
    assert!(source.define(&"cluster/other".parse().unwrap()).is_none());
    let mut ask = scene.ask(&source, "tools");
    ask.key = "cluster/unclustered".parse().unwrap();
    ask.definition = std::sync::Arc::new(larder_core::Definition::new(
        larder_core::Fingerprint::trusted("other"),
        larder_core::Policy::default(),
    ));
    let answer: Result<Fetched, FetchError> = source.fetch(&ask).await;
    assert!(matches!(answer, Err(FetchError::Local(_))), "{answer:?}");
    assert_eq!(scene.requests(), 0);
}
