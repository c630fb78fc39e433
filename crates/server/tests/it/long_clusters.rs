//! Clusters of many repositories: the page of all clusters shows the first ones of each and stays small;
//! all of them are on the cluster's own page, found by a search, in the same order.

use std::time::Duration;

use larder_core::{
    Clock, Exported, ExportedMember, Item, ItemRef, Json, MemberState, Scope, Store, Time, Warning,
};
use larder_domain::{ClusterConfig, Language, REPOSITORY, RepoName, Repository};
use larder_testkit::contract::build::exported;

use crate::visitor::Visitor;
use crate::world::{HOUR, Served, World, header};

/// So many clusters of so many repositories are held.
const CLUSTERS: usize = 18;
const OF_EACH: usize = 200;
/// The page of all clusters is never larger than this, uncompressed.
const PAGE_BYTES_MAX: usize = 300_000;
/// So many of a cluster's repositories stand on its card.
const ON_CARD: usize = 12;
/// So many on a page of its own.
const ON_PAGE: usize = 100;

fn name(cluster: usize, place: usize) -> String {
    format!("part-{cluster:02}-{place:03}")
}

/// Described as people describe theirs.
fn repository(host: &str, cluster: usize, place: usize, now: Time) -> Repository {
    let name = name(cluster, place);
    let language = |name: &str| Language {
        name: name.to_owned(),
        color: Some("#dea584".to_owned()),
        ..Language::default()
    };
    let about = format!("Number {place} of the many parts of division {cluster}, with tests and a handbook");
    Repository {
        owner: "octo-org".to_owned(),
        full_name: format!("octo-org/{name}"),
        host: host.to_owned(),
        description: Some(about),
        url: format!("https://github.com/octo-org/{name}"),
        stars: (place * 7 % OF_EACH) as u64,
        languages: Some(vec![language("Rust"), language("TypeScript"), language("Shell")]),
        topics: Some(vec!["events".to_owned(), "storage".to_owned(), format!("topic{}", place % 4)]),
        pushed_at: Some(now.minus(Duration::from_hours(place as u64))),
        updated_at: Some(now),
        name,
        ..Repository::default()
    }
}

/// A world that holds large clusters alone, fresh for an hour: `part00`, `part01`, …, with so many
/// warnings each.
async fn world(clusters: usize, warnings: usize) -> World {
    let mut world = World::new().await;
    for cluster in 0..clusters {
        let repos =
            (0..OF_EACH).map(|place| RepoName::parse(&name(cluster, place), Some("octo-org")).unwrap());
        world.large.push(ClusterConfig {
            id: format!("part{cluster:02}"),
            name: format!("Division {cluster}"),
            repos: repos.collect(),
            ..ClusterConfig::default()
        });
    }
    let (store, engine) = world.process();
    let now = world.clock.now();
    let host = world.sim.address().to_string();
    let member = |repository: Repository| ExportedMember {
        asked: repository.full_name.as_str().into(),
        state: MemberState::Shown,
        item: Item {
            of: ItemRef::new(REPOSITORY, repository.id()),
            scope: Scope::Public,
            doc: Json::encode(&repository).unwrap(),
            derived: None,
            fetched_at: now,
        },
    };
    let entries = (0..clusters).map(|cluster| {
        let key = format!("cluster/part{cluster:02}").parse().unwrap();
        let fingerprint = engine.define(&key).unwrap().fingerprint.clone();
        let mut exported: Exported = exported(&key, &[], now);
        let warning = |number: usize| Warning {
            about: key.to_string(),
            code: "absent".to_owned(),
            message: format!("warning number {number:03}"),
        };
        exported.entry.warnings = (0..warnings).map(warning).collect();
        (exported.entry.definition, exported.entry.tried) = (fingerprint.clone(), fingerprint);
        exported.members = (0..OF_EACH).map(|place| member(repository(&host, cluster, place, now))).collect();
        exported
    });
    let entries: Vec<Exported> = entries.collect();
    assert_eq!(store.import(&entries, now).await.unwrap(), clusters as u64);
    world
}

/// The repositories of a page or a card, in order.
fn rows(page: &str) -> Vec<&str> {
    let names = page.split(r#"<li class="repo">"#).skip(1);
    names.map(|row| row.split("</a>").next().unwrap().rsplit('>').next().unwrap()).collect()
}

/// The address of what follows.
fn more(page: &str) -> Option<String> {
    let (before, _) = page.split_once("\">More repositories</a>")?;
    Some(before.rsplit('"').next().unwrap().replace("&#38;", "&"))
}

/// The address of all of a card's repositories.
fn whole(card: &str) -> Option<String> {
    let (_, rest) = card.split_once(r#"<p class="rest"><a href=""#)?;
    Some(rest.split('"').next().unwrap().replace("&#38;", "&"))
}

/// All that a page and those behind it show.
async fn walk(visitor: &mut Visitor<'_>, address: &str) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), Some(address.to_owned()));
    while let Some(address) = next {
        let page = visitor.page(&address).await;
        let here = rows(&page);
        next = more(&page);
        assert!(here.len() == ON_PAGE || (here.len() < ON_PAGE && next.is_none()), "{address}");
        all.extend(here.into_iter().map(str::to_owned));
    }
    all
}

#[tokio::test]
async fn the_page_of_many_large_clusters_stays_small_and_leads_to_all_there_are() {
    let world = world(CLUSTERS, 0).await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    let page = visitor.page("/").await;
    assert!(page.contains("3,600 repositories in 18 clusters"), "what is not shown is counted");
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    let cards: Vec<&str> = page.split("<article").skip(1).collect();
    assert_eq!(cards.len(), CLUSTERS);
    for (cluster, card) in cards.iter().enumerate() {
        assert_eq!(rows(card).len(), ON_CARD, "{cluster}");
        assert!(card.contains("200 repositories · ") && card.contains(">All 200 repositories<"), "{card}");
        assert!(card.contains("188 more"), "{card}");
        assert_eq!(whole(card), Some(format!("/clusters/part{cluster:02}")));
    }
    let walked = walk(&mut visitor, "/clusters/part07").await;
    let expected: Vec<String> = (0..OF_EACH).map(|place| name(7, place)).collect();
    assert_eq!(walked, expected);
    let own = visitor.page("/clusters/part07").await;
    assert!(own.len() < PAGE_BYTES_MAX / 2, "{} bytes", own.len());
    assert!(own.contains("<title>Division 7 · Larder</title>") && own.contains("<h1>Division 7</h1>"));
    assert!(own.contains("1 to 100 of 200"), "{own}");
}

#[tokio::test]
async fn orders_and_searches_reach_what_a_card_does_not_show() {
    let world = world(2, 0).await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    let late = name(1, 177);
    assert!(!visitor.page("/").await.contains(&late));
    assert!(visitor.page(&format!("/?search={late}")).await.contains(&late));

    let page = visitor.page("/?search=handbook&sort=stars").await;
    assert!(page.contains("400 repositories in 2 clusters"), "{page}");
    let whole = whole(&page).unwrap();
    assert_eq!(whole, "/clusters/part00?search=handbook&sort=stars");
    let walked = walk(&mut visitor, &whole).await;
    assert_eq!(walked.len(), OF_EACH);
    assert_eq!(walked[..ON_CARD], rows(&page)[..ON_CARD], "the same order");
    let stars: Vec<u64> =
        walked.iter().map(|one| one.rsplit('-').next().unwrap().parse::<u64>().unwrap() * 7 % 200).collect();
    assert!(stars.is_sorted_by(|a, b| a >= b));

    let own = visitor.page("/clusters/part00?search=topic2&sort=name").await;
    assert_eq!(rows(&own).len(), 50);
    assert!(own.contains(r#"value="topic2""#) && own.contains(r#"<option value="name" selected>"#));
    let other = visitor.page(&format!("/clusters/part00?search={late}")).await;
    assert!(other.contains("Nothing found"), "only what is in the cluster is looked for");
    assert!(other.contains(r#"<a href="/clusters/part00">"#), "{other}");
    let behind = visitor.page("/clusters/part00?after=5000").await;
    assert!(rows(&behind).is_empty() && behind.contains("Back to the first ones"), "{behind}");
    let odd = "search=%22%3E%3Ci%3E";
    assert!(!visitor.page(&format!("/clusters/part00?{odd}")).await.contains("\"><i>"), "{odd}");
}

#[tokio::test]
async fn a_card_shows_few_warnings_and_the_clusters_own_page_all() {
    let world = world(1, 40).await;
    let served = world.serve().await;
    let mut visitor = Visitor::new(&served);
    let (page, own) = (visitor.page("/").await, visitor.page("/clusters/part00").await);
    for text in [&page, &own] {
        assert!(text.contains("<summary>40 warnings</summary>"), "{text}");
    }
    assert!(page.contains("Warning number 011") && !page.contains("Warning number 012"));
    assert!(page.contains(r#"<li><a href="/clusters/part00">28 more</a></li>"#), "{page}");
    assert!(own.contains("Warning number 039"));
}

/// The usual small clusters, fetched.
async fn fetched(world: &World) -> Served {
    let served = world.serve().await;
    served.json("/api/v1/clusters").await;
    served
}

#[tokio::test]
async fn a_clusters_own_page_says_how_old_it_is_and_refreshes_like_its_card() {
    let world = World::new().await;
    let served = fetched(&world).await;
    let mut visitor = Visitor::new(&served);
    let list = "/clusters/tools?sort=name&part=list";
    let fresh = visitor.page(list).await;
    assert!(fresh.contains(r#"data-state="fresh""#) && !fresh.contains("<html"), "{fresh}");
    assert!(fresh.contains(r#"name="back" value="/clusters/tools?sort=name""#), "a form comes back here");
    world.clock.advance(2 * HOUR);
    let calls = world.calls();
    assert!(visitor.page(list).await.contains(r#"data-state="stale""#));
    assert_eq!(world.calls(), calls, "looking causes no refresh");
    world.sim.world(|github| github.remove("octo-org/ember"));
    assert!(visitor.page("/clusters/tools").await.contains("badge updating"), "reading it refreshes behind");
    let form = [("key", "cluster/tools"), ("back", "/clusters/tools?sort=name")];
    let done = visitor.post("/actions/refresh", &form).await;
    assert!(header(&done, "location").starts_with("/clusters/tools?sort=name&told="));
    let refresh = served.post("/api/v1/entries/cluster/tools/refresh?wait=1").send().await.unwrap();
    assert_eq!(refresh.status(), 200);
    let page = visitor.page("/clusters/tools").await;
    assert!(page.contains("1 repository") && page.contains("fresh"), "{page}");
    assert!(page.contains("<summary>1 warning</summary>"), "{page}");
}

#[tokio::test]
async fn a_small_cluster_has_a_page_of_its_own_too() {
    let world = World::new().await;
    let served = fetched(&world).await;
    let mut visitor = Visitor::new(&served);
    let page = visitor.page("/").await;
    assert!(page.contains(r#"<a href="/clusters/tools">Tools</a>"#) && whole(&page).is_none());
    let own = visitor.page("/clusters/tools").await;
    assert_eq!(rows(&own), ["cinder", "ember"]);
    assert!(own.contains(r#"<a href="/">Clusters</a>"#));
    for none in ["/clusters/nothing", "/clusters/%FF", "/clusters/tools/more", "/clusters/tools%2Fmore"] {
        assert_eq!(served.get(none).send().await.unwrap().status(), 404, "{none}");
    }
}

#[tokio::test]
async fn without_a_token_the_page_of_a_private_cluster_is_none() {
    let world = World::new().await;
    fetched(&world).await;
    let served = world.serve_with(world.open_settings()).await;
    let mut visitor = Visitor::new(&served);
    let mixed = visitor.page("/clusters/mixed").await;
    assert!(mixed.contains("cinder") && !mixed.contains("vault"), "{mixed}");
    assert!(visitor.page("/clusters/mixed?search=plans").await.contains("Nothing found"));
    for path in ["/clusters/bunker", "/clusters/bunker?part=list", "/clusters/nothing"] {
        let none = served.get(path).header("accept", "text/html").send().await.unwrap();
        assert_eq!(none.status(), 404, "{path}");
        let text = none.text().await.unwrap();
        assert!(!text.contains("Bunker") && !text.contains("vault"), "{path}: {text}");
    }
}
