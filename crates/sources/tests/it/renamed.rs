//! Repositories that a cluster names otherwise than GitHub does by now: they stand in their cluster,
//! and `unclustered` leaves them out, whichever of the two was asked for first, and by whom.

use std::time::Duration;

use larder_core::{Answer, Clock, Fetched, Finding, Item, Listing, Member, MemberState, Source, Validators};
use larder_domain::ClustersConfig;
use larder_github_sim::{Limits, Partial, Switches};
use larder_sources::ClustersSource;

use crate::scene::{Scene, TOKEN, cluster, items, many, present};

/// The cluster `tools` of these, and as `unclustered` whatever else `octo-org` has.
fn rest_but(repos: &[&str]) -> ClustersConfig {
    ClustersConfig {
        owner: Some("octo-org".to_owned()),
        unclustered: true,
        clusters: vec![cluster("tools", repos)],
        ..ClustersConfig::default()
    }
}

fn names(listing: &Listing) -> Vec<String> {
    present(listing).into_keys().collect()
}

/// What `unclustered` and `tools` hold where both are fetched as one batch.
async fn together(scene: &Scene, source: &ClustersSource) -> (Listing, Listing) {
    let mut got = scene.fetch_many(source, &["tools", "unclustered"]).await;
    let mut take = |id| items(got.remove(id).unwrap().0);
    (take("unclustered"), take("tools"))
}

/// A listing's members as a store would hold them.
fn held(scene: &Scene, listing: &Listing) -> Vec<Member> {
    let member = |answer: &Answer| {
        let Finding::Present(new) = &answer.finding else { panic!("{answer:?}") };
        let (of, scope, doc) = (new.of.clone(), new.scope.clone(), new.doc.clone());
        let item = Item { of, scope, doc, derived: None, fetched_at: scene.clock.now() };
        Member { asked: answer.asked.clone(), state: MemberState::Shown, item }
    };
    listing.answers.iter().map(member).collect()
}

fn move_to(scene: &Scene, from: &str, to: &str) {
    scene.sim.world(|world| assert!(world.rename(from, to), "{from}"));
}

#[tokio::test]
async fn a_renamed_repository_stands_in_its_cluster_and_not_in_the_rest() {
    let scene = Scene::with(many("octo-org", 4)).await;
    move_to(&scene, "octo-org/r0", "octo-org/Fresh");
    for token in [Some(TOKEN), None] {
        let source = scene.source(&rest_but(&["Octo-Org/R0", "r1"]), token);
        let (rest, tools) = together(&scene, &source).await;
        assert_eq!(names(&rest), ["octo-org/r2", "octo-org/r3"]);
        assert_eq!(present(&tools)["octo-org/r0"].full_name, "octo-org/Fresh");
        assert!(tools.warnings.iter().any(|warning| warning.code == "renamed"));
        assert!(rest.warnings.iter().all(|warning| warning.code == "needs_token"));
        assert_eq!(rest.elsewhere, ["octo-org/fresh".into()], "it leaves the rest without a word");
        let requests = scene.requests();
        assert!(requests <= 3, "{requests} calls: names, list, and by REST a redirect");
    }
}

#[tokio::test]
async fn a_process_that_fetches_nothing_but_the_rest_looks_up_the_names_that_are_not_listed() {
    let scene = Scene::with(many("octo-org", 4)).await;
    move_to(&scene, "octo-org/r0", "octo-org/fresh");
    for token in [Some(TOKEN), None] {
        let source = scene.source(&rest_but(&["r0", "r1"]), token);
        assert_eq!(names(&scene.listing(&source, "unclustered").await), ["octo-org/r2", "octo-org/r3"]);
        let requests = scene.sim.take_requests();
        assert_eq!(requests.len(), if token.is_some() { 2 } else { 3 }, "{requests:?}");
        assert_eq!(requests[1].names, ["octo-org/r0"]);

        assert_eq!(names(&scene.listing(&source, "unclustered").await), ["octo-org/r2", "octo-org/r3"]);
        assert_eq!(scene.requests(), 1, "where a name leads is not asked twice");
    }
}

#[tokio::test]
async fn what_leads_away_from_the_owner_or_nowhere_takes_nothing_from_the_rest() {
    let scene = Scene::with(many("octo-org", 4)).await;
    move_to(&scene, "octo-org/r0", "octocat/r2");
    scene.sim.world(|world| assert!(world.remove("octo-org/r1")));
    for token in [Some(TOKEN), None] {
        let source = scene.source(&rest_but(&["r0", "r1"]), token);
        let alone = scene.listing(&source, "unclustered").await;
        let (rest, _) = together(&scene, &source).await;
        for listing in [alone, rest] {
            assert_eq!(names(&listing), ["octo-org/r2", "octo-org/r3"]);
        }
    }
}

#[tokio::test]
async fn a_repository_that_came_from_another_owner_is_known_by_the_name_it_had_there() {
    let scene = Scene::with([many("octo-org", 2), many("octocat", 3)].concat()).await;
    move_to(&scene, "octocat/r2", "octo-org/R2");
    move_to(&scene, "octocat/r0", "octo-org/other");
    for token in [Some(TOKEN), None] {
        let source = scene.source(&rest_but(&["r0", "octocat/r0", "octocat/r1", "octocat/r2"]), token);
        scene.requests();
        let alone = names(&scene.listing(&source, "unclustered").await);
        match token {
            Some(_) => assert_eq!(alone, ["octo-org/r1"]),
            // Sixty calls an hour are not spent on names that nothing speaks for.
            None => assert_eq!(alone, ["octo-org/other", "octo-org/r1"]),
        }
        let requests = scene.requests();
        assert!(requests <= 3 + 2 * usize::from(token.is_none()), "{requests} calls");
        assert_eq!(names(&together(&scene, &source).await.0), ["octo-org/r1"]);
        assert_eq!(names(&scene.listing(&source, "unclustered").await), ["octo-org/r1"], "it is remembered");
    }
}

#[tokio::test]
async fn nobody_is_asked_where_no_repository_is_left_to_be_claimed() {
    let scene = Scene::with(many("octo-org", 2)).await;
    for token in [Some(TOKEN), None] {
        let source = scene.source(&rest_but(&["r0", "r1", "gone", "octocat/r1"]), token);
        assert_eq!(scene.listing(&source, "unclustered").await.answers.len(), 0);
        assert_eq!(scene.requests(), 1);
    }
}

#[tokio::test]
async fn a_name_that_is_not_answered_fails_nothing_and_keeps_what_is_known_of_it() {
    let scene = Scene::with(many("octo-org", 3)).await;
    move_to(&scene, "octo-org/r0", "octo-org/fresh");
    let config = rest_but(&["r0", "gone"]);
    let knowing = [Some(TOKEN), None].map(|token| (token, scene.source(&config, token)));
    for (_, source) in &knowing {
        scene.listing(source, "tools").await;
    }
    let left_out =
        Partial { names: vec!["octo-org/r0".into(), "octo-org/gone".into()], ..Partial::default() };
    scene.sim.switch(Switches { partial: left_out, ..Switches::default() });
    scene.clock.advance(Duration::from_hours(1));
    for (token, knowing) in &knowing {
        let listing = scene.listing(knowing, "unclustered").await;
        assert_eq!(names(&listing), ["octo-org/r1", "octo-org/r2"]);
        if token.is_none() {
            let used = scene.requests() as u64;
            scene.sim.set_limits(Limits { anonymous: used + 1, ..Limits::default() });
        }
        let fresh = scene.source(&config, *token);
        let listing = scene.listing(&fresh, "unclustered").await;
        assert!(listing.whole);
        assert_eq!(names(&listing), ["octo-org/fresh", "octo-org/r1", "octo-org/r2"]);
        assert_eq!(listing.validators, Validators::default(), "the next look is at all of it");
        scene.requests();
    }
}

#[tokio::test]
async fn many_names_that_lead_nowhere_cost_little_however_many_they_are() {
    let scene = Scene::with(many("octo-org", 3)).await;
    let gone: Vec<String> = (0..250).map(|index| format!("gone-{index}")).collect();
    let config = rest_but(&gone.iter().map(String::as_str).collect::<Vec<_>>());
    for (token, calls) in [(Some(TOKEN), 3), (None, 11)] {
        let source = scene.source(&config, token);
        let listing = scene.listing(&source, "unclustered").await;
        assert_eq!(listing.answers.len(), 3);
        assert_eq!(listing.validators, Validators::default());
        let requests = scene.requests();
        assert!(requests <= calls, "{requests} calls");
    }
}

#[tokio::test]
async fn without_a_token_the_names_of_a_list_that_was_read_are_not_looked_for_on_it_again() {
    let scene = Scene::with(many("octo-org", 9)).await;
    for index in 0..4 {
        move_to(&scene, &format!("octo-org/r{index}"), &format!("octo-org/fresh-{index}"));
    }
    let source = scene.source(&rest_but(&["r0", "r1", "r2", "r3", "r4"]), None);
    let (rest, tools) = together(&scene, &source).await;
    assert_eq!((rest.answers.len(), present(&tools).len()), (4, 5));
    assert_eq!(scene.requests(), 1 + 4 * 2, "the list, and two for each that was renamed");
}

#[tokio::test]
async fn a_list_is_revalidated_once_it_is_known_where_all_names_lead() {
    let scene = Scene::with(many("octo-org", 3)).await;
    move_to(&scene, "octo-org/r0", "octo-org/fresh");
    let source = scene.source(&rest_but(&["r0", "gone", "octocat/elsewhere"]), None);
    let listing = scene.listing(&source, "unclustered").await;
    let mut ask = scene.ask(&source, "unclustered");
    ask.validators = listing.validators;
    scene.requests();
    let again = source.fetch(&ask).await;
    assert!(matches!(again, Ok(Fetched::NotModified { .. })), "{again:?}");
    assert_eq!(scene.requests(), 1);
    assert_ne!(
        ask.definition.fingerprint,
        scene.source(&rest_but(&["r0", "gone"]), None).define(&ask.key).unwrap().fingerprint,
        "a name of another owner that is configured no more may have led here"
    );
}

#[tokio::test]
async fn an_unchanged_list_does_not_confirm_what_is_known_by_now_to_be_a_clusters() {
    let scene = Scene::with([many("octo-org", 2), many("octocat", 1)].concat()).await;
    move_to(&scene, "octocat/r0", "octo-org/other");
    let source = scene.source(&rest_but(&["octo-org/r0", "octocat/r0"]), None);
    let unaware = scene.listing(&source, "unclustered").await;
    let mut ask = scene.ask(&source, "unclustered");
    (ask.held, ask.validators) = (held(&scene, &unaware).into(), unaware.validators);
    assert!(ask.validators.etag.is_some());
    scene.listing(&source, "tools").await;
    let listing = items(source.fetch(&ask).await);
    assert_eq!(
        (names(&listing), listing.elsewhere),
        (vec!["octo-org/r1".into()], vec!["octo-org/other".into()])
    );
}

#[tokio::test]
async fn one_of_the_rest_that_took_a_clusters_name_is_not_of_the_rest_any_more() {
    let scene = Scene::with(many("octo-org", 4)).await;
    move_to(&scene, "octo-org/r3", "octo-org/planned");
    for token in [Some(TOKEN), None] {
        let source = scene.source(&rest_but(&["planned"]), token);
        let mut ask = scene.ask(&source, "unclustered");
        ask.subset = Some(vec!["octo-org/r2".into(), "octo-org/r3".into()]);
        let listing = items(source.fetch(&ask).await);
        assert_eq!(names(&listing), ["octo-org/r2"]);
        assert_eq!(listing.answers.len(), 1, "nothing is said of the other");
        assert_eq!(listing.elsewhere, ["octo-org/r3".into()]);
    }
}
