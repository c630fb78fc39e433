//! The merge rules as tables, and their independence of order as a property.

use proptest::prelude::*;

use super::*;
use crate::RepoName;

fn day(days_ago: u64) -> Time {
    now().minus(Duration::from_hours(24 * days_ago))
}

fn now() -> Time {
    Time::parse("2026-06-01T12:00:00Z").unwrap()
}

fn repo(name: &str, stars: u64, days_ago: u64) -> Repository {
    Repository {
        name: name.to_owned(),
        owner: "octo".to_owned(),
        full_name: format!("octo/{name}"),
        host: "github.com".to_owned(),
        url: format!("https://github.com/octo/{name}"),
        description: Some(format!("About {name}")),
        stars,
        updated_at: Some(day(days_ago)),
        ..Repository::default()
    }
}

fn cluster(id: &str) -> ClusterConfig {
    ClusterConfig { id: id.to_owned(), name: id.to_uppercase(), ..ClusterConfig::default() }
}

fn config(clusters: Vec<ClusterConfig>) -> ClustersConfig {
    ClustersConfig {
        clusters,
        owner: Some("octo".to_owned()),
        unclustered: true,
        ..ClustersConfig::default()
    }
}

fn holding(cluster: &str, repositories: Vec<Repository>) -> Holding {
    let held = |repository: Repository| HeldRepository {
        asked: repository.full_name.to_lowercase().into(),
        repository,
    };
    Holding { cluster: cluster.to_owned(), repositories: repositories.into_iter().map(held).collect() }
}

fn names(registry: &Registry) -> Vec<&str> {
    registry.projects.iter().map(|project| project.name.as_str()).collect()
}

fn said(name: &str) -> RepoOverride {
    let name = RepoName::new("octo", name).unwrap();
    RepoOverride { name, display_name: None, featured: None, flagship: None, experimental: None }
}

#[test]
fn a_group_is_one_project_that_sums_up_its_repositories() {
    let language = |name: &str, size| Language { name: name.to_owned(), size, color: None };
    let core = Repository {
        languages: Some(vec![language("Rust", 50), language("Shell", 10)]),
        topics: Some(["a", "b", "c"].map(str::to_owned).to_vec()),
        is_archived: true,
        forks: 1,
        ..repo("core", 10, 20)
    };
    let web = Repository {
        languages: Some(vec![language("CSS", 20), language("Rust", 1), language("HTML", 30)]),
        topics: Some(["b", "d", "e", "f"].map(str::to_owned).to_vec()),
        is_private: true,
        forks: 2,
        ..repo("web", 5, 3)
    };
    let list = registry(
        &config(vec![cluster("tools")]),
        &[holding("tools", vec![core, web])],
        &RegistryRules { trending_stars: 14, ..RegistryRules::default() },
        now(),
    );
    let [project] = list.projects.as_slice() else { panic!("one project") };
    assert_eq!((project.stars, project.forks, project.updated_at), (15, 3, Some(day(3))));
    assert_eq!(project.url, "https://github.com/octo/core");
    assert_eq!(project.languages, ["Rust", "HTML", "CSS"]);
    assert_eq!(project.topics, ["b", "d", "e", "f", "a"]);
    assert_eq!((project.is_archived, project.is_private), (false, true));
    assert_eq!((project.new, project.trending), (true, true));
    let members: Vec<_> = project.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(members, ["web", "core"]);
}

#[test]
fn featured_projects_stand_first_and_then_the_newest() {
    let featured = ClusterConfig { featured: true, ..cluster("old") };
    let list = registry(
        &config(vec![cluster("tools"), featured]),
        &[
            holding("tools", vec![repo("t", 0, 5)]),
            holding("old", vec![repo("o", 0, 500)]),
            holding("unclustered", vec![repo("fresh", 0, 1), repo("stale", 0, 50)]),
        ],
        &RegistryRules::default(),
        now(),
    );
    assert_eq!(names(&list), ["OLD", "fresh", "TOOLS", "stale"]);
}

#[test]
fn new_and_trending_have_sharp_edges() {
    for (stars, days_ago, new, trending) in
        [(100, 14, true, false), (101, 15, false, true), (0, 0, true, false)]
    {
        let held = [holding("unclustered", vec![repo("x", stars, days_ago)])];
        let list = registry(&config(vec![]), &held, &RegistryRules::default(), now());
        let project = &list.projects[0];
        assert_eq!((project.new, project.trending), (new, trending), "{stars} stars, {days_ago} days");
    }
}

#[test]
fn single_forks_and_singles_from_before_the_cut_off_are_left_out_and_groups_keep_theirs() {
    let fork = Repository { is_fork: true, ..repo("fork", 0, 1) };
    let held = [
        holding("unclustered", vec![fork.clone(), repo("old", 0, 900), repo("kept", 0, 1)]),
        holding("tools", vec![Repository { name: "mine".to_owned(), updated_at: Some(day(900)), ..fork }]),
    ];
    let rules = RegistryRules { updated_since: Some(day(100)), ..RegistryRules::default() };
    let config = config(vec![cluster("tools")]);
    assert_eq!(names(&registry(&config, &held, &rules, now())), ["kept", "TOOLS"]);
    let rules = RegistryRules { forks: true, ..RegistryRules::default() };
    assert_eq!(names(&registry(&config, &held, &rules, now())), ["fork", "kept", "old", "TOOLS"]);
}

#[test]
fn an_empty_group_is_named_and_not_listed() {
    let unread = ClusterConfig { repos: vec![RepoName::parse("o/r", None).unwrap()], ..cluster("unread") };
    let list = registry(
        &config(vec![cluster("empty"), cluster("of_none"), unread]),
        &[holding("empty", vec![])],
        &RegistryRules::default(),
        now(),
    );
    assert!(list.projects.is_empty());
    assert_eq!(list.empty, ["empty", "of_none"], "of the third nobody knows yet");
}

#[test]
fn a_group_of_one_has_the_groups_name_and_what_is_said_of_its_repository() {
    let mut config = config(vec![cluster("solo")]);
    config.overrides =
        vec![RepoOverride { featured: Some(true), display_name: Some("Display".to_owned()), ..said("Only") }];
    let list =
        registry(&config, &[holding("solo", vec![repo("only", 0, 1)])], &RegistryRules::default(), now());
    let project = &list.projects[0];
    assert_eq!((project.name.as_str(), project.id.as_str(), project.featured), ("SOLO", "solo", true));
    assert_eq!(project.members[0].name, "Display");
}

#[test]
fn what_is_said_of_a_single_repository_is_shown() {
    let mut config = config(vec![]);
    config.overrides = vec![RepoOverride {
        display_name: Some("Cinder".to_owned()),
        flagship: Some(true),
        experimental: Some(true),
        ..said("cinder")
    }];
    let held = [holding("unclustered", vec![repo("cinder", 0, 1)])];
    let project = registry(&config, &held, &RegistryRules::default(), now()).projects.remove(0);
    assert_eq!((project.name.as_str(), project.id.as_str()), ("Cinder", "octo/cinder"));
    assert_eq!((project.featured, project.flagship, project.experimental), (false, true, true));
}

#[test]
fn what_is_said_of_a_repository_counts_under_the_name_it_was_asked_for_too() {
    let mut config = config(vec![cluster("solo")]);
    config.overrides =
        vec![RepoOverride { featured: Some(true), display_name: Some("Display".to_owned()), ..said("Old") }];
    let renamed = HeldRepository { asked: "octo/old".into(), repository: repo("new", 0, 1) };
    let held = |renamed| [Holding { cluster: "solo".to_owned(), repositories: vec![renamed] }];
    let list = registry(&config, &held(renamed.clone()), &RegistryRules::default(), now());
    assert!(list.projects[0].featured);
    assert_eq!(list.projects[0].members[0].name, "Display");
    config.overrides.push(RepoOverride { display_name: Some("Newer".to_owned()), ..said("new") });
    let list = registry(&config, &held(renamed), &RegistryRules::default(), now());
    assert_eq!(list.projects[0].members[0].name, "Newer", "what is said of its own name comes first");
}

#[test]
fn a_repository_of_a_group_does_not_stand_among_the_singles_too() {
    let held = [
        holding("tools", vec![repo("a", 1, 1), repo("a", 1, 1)]),
        holding("unclustered", vec![repo("a", 1, 1), repo("b", 0, 2)]),
    ];
    let list = registry(&config(vec![cluster("tools")]), &held, &RegistryRules::default(), now());
    assert_eq!(names(&list), ["TOOLS", "b"]);
    assert_eq!(list.projects[0].stars, 1);
}

#[test]
fn a_repository_whose_sizes_are_unknown_counts_as_its_main_language() {
    let poor = Repository { language: Some("Go".to_owned()), ..repo("poor", 0, 1) };
    let rust = Language { name: "Rust".to_owned(), size: 1, color: None };
    let rich = Repository { languages: Some(vec![rust]), ..repo("rich", 0, 1) };
    let held = [holding("tools", vec![poor, rich, repo("none", 0, 1)])];
    let list = registry(&config(vec![cluster("tools")]), &held, &RegistryRules::default(), now());
    assert_eq!(list.projects[0].languages, ["Rust", "Go"]);
}

fn any_repo() -> impl Strategy<Value = Repository> {
    let topics = prop::collection::vec("[a-d]", 0..4);
    let languages = prop::collection::vec(("[A-C]", 0_u64..9), 0..4);
    (0_u64..40, topics, languages, any::<bool>()).prop_map(|(id, topics, languages, is_archived)| {
        Repository {
            topics: Some(topics),
            languages: Some(
                languages.into_iter().map(|(name, size)| Language { name, size, color: None }).collect(),
            ),
            is_archived,
            ..repo(&format!("r{id}"), id * 7, id % 7)
        }
    })
}

/// A cluster's repositories, each identity once, and the same ones in another order.
fn shuffled() -> impl Strategy<Value = (Vec<Repository>, Vec<Repository>)> {
    prop::collection::vec(any_repo(), 1..12).prop_flat_map(|mut repositories| {
        repositories.sort_by_key(Repository::id);
        repositories.dedup_by_key(|repository| repository.id());
        (Just(repositories.clone()), Just(repositories).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn only_the_page_and_its_line_depend_on_the_order_of_repositories((one, other) in shuffled()) {
        let config = config(vec![cluster("g")]);
        let list = |held: Vec<Repository>| {
            let held = [holding("g", held.clone()), holding("unclustered", held)];
            let mut list = registry(&config, &held, &RegistryRules::default(), now());
            for project in &mut list.projects {
                project.url.clear();
                project.description = None;
            }
            list
        };
        prop_assert_eq!(list(one), list(other));
    }

    #[test]
    fn the_order_in_which_clusters_are_held_does_not_matter((a, b) in shuffled(), (c, _) in shuffled()) {
        let config = config(vec![cluster("x"), cluster("y")]);
        let held = [holding("x", a), holding("y", b), holding("unclustered", c)];
        let reversed: Vec<_> = held.iter().rev().cloned().collect();
        let rules = RegistryRules::default();
        prop_assert_eq!(registry(&config, &held, &rules, now()), registry(&config, &reversed, &rules, now()));
    }
}
