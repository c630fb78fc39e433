//! What stands above a list is about that list: what a search or a filter left of it.

use crate::visitor::{Visitor, between};
use crate::world::World;

async fn headline(visitor: &mut Visitor<'_>, path: &str) -> String {
    between(&visitor.page(path).await, r#"<p id="count">"#, "</p>").to_owned()
}

#[tokio::test]
async fn trackers_are_counted_as_filtered() {
    let world = World::with_trackers().await;
    let served = world.serve().await;
    served.json("/api/v1/trackers").await;
    let mut visitor = Visitor::new(&served);
    for (path, words) in [
        ("/trackers", "6 trackers in 3 repositories"),
        ("/trackers?state=closed", "1 tracker in 1 repository"),
        ("/trackers?state=open&type=release", "4 trackers in 2 repositories"),
        ("/trackers?since=2030-01-01", "0 trackers in 0 repositories"),
        ("/trackers?repo=octo-org/ember", "0 trackers in 1 repository"),
    ] {
        let page = headline(&mut visitor, path).await;
        assert!(page.starts_with(words), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_search_of_projects_counts_the_projects_too_and_keeps_their_order() {
    let world = World::with_folder().await;
    world.skill("kiln", "glaze", "Mixes colours");
    world.skill("forge", "pdf", "Fills forms");
    let served = world.serve().await;
    served.json("/api/v1/projects?refresh=true").await;
    let mut visitor = Visitor::new(&served);
    assert!(headline(&mut visitor, "/projects?search=kiln").await.starts_with("1 project · "));
    let nothing = visitor.page("/projects?search=zzz").await;
    assert!(nothing.contains("Nothing has words that begin with “zzz”.</p>"), "{nothing}");
    let narrowed = visitor.page("/projects?search=zzz&status=missing").await;
    assert!(narrowed.contains("“zzz” and is as asked.</p>"));
    let sorted = visitor.page("/projects?sort=-updated").await;
    assert!(sorted.contains(r#"<input type="hidden" name="sort" value="-updated">"#), "{sorted}");
}

#[tokio::test]
async fn entries_that_are_not_there_are_none() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters").await;
    let mut visitor = Visitor::new(&served);
    assert_eq!(headline(&mut visitor, "/cache?search=zzzz").await, "0 entries");
    let part = visitor.page("/cache?search=zzzz&part=list").await;
    assert!(part.contains(r#"data-count="0 entries""#), "{part}");
}

#[tokio::test]
async fn entries_are_found_however_their_keys_are_written() {
    let world = World::new().await;
    let served = world.serve().await;
    served.json("/api/v1/clusters").await;
    let mut visitor = Visitor::new(&served);
    assert!(headline(&mut visitor, "/cache?search=Cluster/TOOLS").await.starts_with("1 entry"));
}
