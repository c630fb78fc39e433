//! A token that sees a repository and may not read all of it: what is left is shown, with a word on what is
//! missing and who can give it, and nobody else is the worse for it.

use larder_core::{Coverage, FetchError, Finding, Listing, Priority, Source, Trigger, Warning};
use larder_domain::{ClustersConfig, RepoName, TrackerType};
use larder_github_sim::{Issue, Permission, Release, Repository as SimRepository, Switches, Token, When};
use larder_sources::TrackersSource;

use crate::scene::{
    Scene, absence, cluster, clusters, finding, items, many, present, tools, tools_of, unknown,
};

/// A fine-grained token to which nobody gave `Issues: read`.
const POOR: &str = "github_pat_thatMayNotReadIssues01234567";

fn secret(name: &str) -> SimRepository {
    let release =
        Release { tag_name: "v1.0".to_owned(), name: None, published_at: None, is_prerelease: false };
    SimRepository {
        is_private: true,
        stars: 9,
        open_issues: 3,
        latest_release: Some(release),
        ..SimRepository::new(name)
    }
}

/// Two public repositories `r0` and `r1`, a private one `secret`, and a token that lacks these.
async fn scene(lacking: &[Permission]) -> Scene {
    let mut repositories = many("octo-org", 2);
    for one in &mut repositories {
        one.open_issues = 7;
    }
    repositories.push(secret("octo-org/secret"));
    let scene = Scene::with(repositories).await;
    give(&scene, lacking);
    scene
}

fn give(scene: &Scene, lacking: &[Permission]) {
    let sees = Token::of("octocat").seeing_everything();
    let token = lacking.iter().fold(sees, |token, permission| token.lacking(*permission));
    scene.sim.world(|world| {
        world.add_token(POOR, token);
    });
}

fn rest() -> ClustersConfig {
    ClustersConfig {
        owner: Some("octo-org".to_owned()),
        unclustered: true,
        ..clusters(vec![cluster("tools", &[])])
    }
}

fn warned<'a>(listing: &'a Listing, about: &str) -> Vec<&'a Warning> {
    listing.warnings.iter().filter(|warning| warning.about == about).collect()
}

#[tokio::test]
async fn a_repository_is_shown_without_the_count_of_issues_that_the_token_may_not_read() {
    let scene = scene(&[Permission::Issues]).await;
    let source = scene.source(&tools(&["secret"]), Some(POOR));
    for _ in 0..2 {
        let listing = scene.listing(&source, "tools").await;
        let secret = &present(&listing)["octo-org/secret"];
        assert_eq!((secret.stars, secret.open_issues, secret.is_private), (9, None, true));
        assert_eq!(secret.latest_release.as_ref().map(|release| release.tag.as_str()), Some("v1.0"));
        let warnings = warned(&listing, "octo-org/secret");
        assert_eq!((warnings.len(), warnings[0].code.as_str()), (1, "needs_permission"));
        for said in ["`octo-org/secret`", "open issues", "`Issues: read`"] {
            assert!(warnings[0].message.contains(said), "{}", warnings[0].message);
        }
        assert_eq!(scene.requests(), 2, "once as always, and once without them");
    }
    give(&scene, &[]);
    let listing = scene.listing(&source, "tools").await;
    assert_eq!(present(&listing)["octo-org/secret"].open_issues, Some(3), "the permission was given");
    assert_eq!((listing.warnings.len(), scene.requests()), (0, 1));
}

#[tokio::test]
async fn the_others_of_its_cluster_keep_their_count_and_a_count_once_known_is_not_forgotten() {
    let scene = scene(&[Permission::Issues]).await;
    let source = scene.source(&tools(&["r0", "secret", "gone", "r1"]), Some(POOR));
    let listing = scene.listing(&source, "tools").await;
    let found = present(&listing);
    assert_eq!((found["octo-org/r0"].open_issues, found["octo-org/r1"].open_issues), (Some(7), Some(7)));
    assert_eq!(absence(&listing, "octo-org/gone"), Some("not_found"));
    let coverage = |name| match finding(&listing, name) {
        Finding::Present(item) => item.coverage,
        other => panic!("{other:?}"),
    };
    assert_eq!(coverage("octo-org/r0"), Coverage::Whole);
    assert_eq!(coverage("octo-org/secret"), Coverage::Partial);
    let asked: Vec<Vec<String>> =
        scene.sim.take_requests().into_iter().map(|request| request.names).collect();
    assert_eq!(asked[1..], [["octo-org/secret"]], "nobody else is asked for again");
}

#[tokio::test]
async fn those_of_many_queries_share_one_more() {
    let mut repositories = many("octo-org", 300);
    for place in [1, 60, 120, 180, 299] {
        repositories[place].is_private = true;
    }
    let scene = Scene::with(repositories).await;
    let source = scene.source(&tools_of(300), Some(POOR));
    give(&scene, &[]);
    scene.listing(&source, "tools").await;
    scene.requests();
    scene.listing(&source, "tools").await;
    let usual = scene.requests();

    give(&scene, &[Permission::Issues]);
    let listing = scene.listing(&source, "tools").await;
    assert_eq!((present(&listing).len(), listing.warnings.len()), (300, 5));
    let requests = scene.sim.take_requests();
    assert_eq!(requests.len(), usual + 1);
    assert_eq!(requests[usual].repositories, 5);
}

#[tokio::test]
async fn if_asking_again_fails_only_those_are_unknown() {
    let scene = scene(&[Permission::Issues]).await;
    let source = scene.source(&tools(&["r0", "secret"]), Some(POOR));
    scene.sim.switch(Switches { broken_json: When::Every(2), ..Switches::default() });
    let listing = scene.listing(&source, "tools").await;
    assert_eq!(present(&listing).len(), 1);
    assert_eq!(unknown(&listing, "octo-org/secret"), Some("unusable"));
    assert_eq!(scene.requests(), 2);
}

#[tokio::test]
async fn the_owners_list_goes_on_and_has_it_without_the_count() {
    let scene = scene(&[Permission::Issues]).await;
    let source = scene.source(&rest(), Some(POOR));
    let listing = scene.listing(&source, "unclustered").await;
    let found = present(&listing);
    assert!(listing.whole);
    let counts = ["r0", "r1", "secret"].map(|name| found[&format!("octo-org/{name}")].open_issues);
    assert_eq!(counts, [Some(7), Some(7), None]);
    let warnings = warned(&listing, "cluster/unclustered");
    assert_eq!((warnings.len(), warnings[0].code.as_str()), (1, "needs_permission"));
    let message = &warnings[0].message;
    assert!(message.contains("open issues") && message.contains("`Issues: read`"), "{message}");
    assert!(!message.contains("secret"), "a warning about all is no place for a private name: {message}");
    assert_eq!(scene.requests(), 2, "its page once more, and no halving");
}

#[tokio::test]
async fn only_the_pages_that_have_such_a_repository_are_asked_for_twice() {
    let mut repositories = many("octo-org", 230);
    // The second of three pages by name begins with `r189`.
    repositories[200].is_private = true;
    repositories[210].is_private = true;
    let scene = Scene::with(repositories).await;
    give(&scene, &[Permission::Issues]);
    let listing = scene.listing(&scene.source(&rest(), Some(POOR)), "unclustered").await;
    assert_eq!((present(&listing).len(), listing.warnings.len()), (230, 1));
    assert!(listing.warnings[0].message.contains("2 repositories"), "{}", listing.warnings[0].message);
    assert_eq!(scene.requests(), 4);
}

#[tokio::test]
async fn a_refused_part_that_may_be_null_costs_no_query_and_spoils_nothing() {
    let scene = scene(&[Permission::Contents]).await;
    let source = scene.source(&rest(), Some(POOR));
    let named = scene.source(&tools(&["r0", "secret"]), Some(POOR));
    for (source, id, about) in
        [(&named, "tools", "octo-org/secret"), (&source, "unclustered", "cluster/unclustered")]
    {
        let listing = scene.listing(source, id).await;
        let secret = &present(&listing)["octo-org/secret"];
        assert_eq!((secret.open_issues, &secret.latest_release), (Some(3), &None), "{id}");
        let Finding::Present(item) = finding(&listing, "octo-org/secret") else { panic!() };
        assert_eq!(item.coverage, Coverage::Partial, "a release once known stays");
        let warnings = warned(&listing, about);
        assert_eq!(warnings.len(), 1, "{id}");
        let message = &warnings[0].message;
        assert!(message.contains("latest release") && message.contains("`Contents: read`"), "{message}");
        assert_eq!(scene.requests(), 1, "{id}");
    }
}

#[tokio::test]
async fn all_that_is_missing_is_told_in_one_warning() {
    let scene = scene(&[Permission::Contents, Permission::Issues]).await;
    let listing = scene.listing(&scene.source(&tools(&["secret"]), Some(POOR)), "tools").await;
    let warnings = warned(&listing, "octo-org/secret");
    assert_eq!(warnings.len(), 1);
    for said in ["open issues", "latest release", "`Issues: read`", "`Contents: read`"] {
        assert!(warnings[0].message.contains(said), "{}", warnings[0].message);
    }
    assert_eq!(scene.requests(), 2);
}

#[tokio::test]
async fn trackers_that_the_token_may_not_read_are_refused_at_once_and_the_reason_named() {
    let scene = scene(&[Permission::Issues]).await;
    let name = RepoName::parse("octo-org/secret", None).unwrap();
    scene.sim.world(|world| world.add_issues("octo-org/secret", [Issue::new(1, "Release: v1.0")]));
    let policy = larder_core::Policy::default();
    let github = scene.github(Some(POOR), 1);
    let source =
        TrackersSource::new(github, std::slice::from_ref(&name), vec![TrackerType::release()], policy)
            .unwrap();
    let key = TrackersSource::key(&name, "release").unwrap();
    let ask = larder_core::Ask {
        definition: source.define(&key).unwrap(),
        key,
        trigger: Trigger::Read,
        priority: Priority::Waiting,
        ..scene.ask(&scene.source(&tools(&[]), Some(POOR)), "tools")
    };
    let error = source.fetch(&ask).await.unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("`Issues: read`"), "{error}");
    assert_eq!(scene.requests(), 1, "less at once would be refused as well");
}

#[tokio::test]
async fn names_of_the_rest_are_asked_for_again_like_others() {
    let scene = scene(&[Permission::Issues]).await;
    let source = scene.source(&rest(), Some(POOR));
    let mut ask = scene.ask(&source, "unclustered");
    ask.subset = Some(vec!["octo-org/secret".into()]);
    let listing = items(source.fetch(&ask).await);
    assert_eq!(present(&listing)["octo-org/secret"].open_issues, None);
    assert_eq!((warned(&listing, "octo-org/secret").len(), scene.requests()), (1, 2));
}
