//! An item that no store can keep: the entry is whole without it, and says so.

use larder_core::{RefreshState, Status};
use larder_engine::Hit;

use crate::world::{World, shown};

fn names(all: &[(String, u64)]) -> Vec<(&str, u64)> {
    all.iter().map(|(name, rev)| (name.as_str(), *rev)).collect()
}

#[tokio::test]
async fn one_item_beyond_all_bounds_is_left_out_of_an_entry_that_is_fresh_all_the_same() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "deep", "b"]);
    world.source.unfit("deep");
    let first = world.read(&key).await.unwrap();
    assert_eq!(names(&shown(&first)), [("a", 1), ("b", 1)]);
    let [warning] = first.stored.entry.warnings.as_slice() else { panic!("{:?}", first.stored.entry) };
    assert_eq!((warning.about.as_str(), warning.code.as_str()), ("deep", "unfit"));
    assert_eq!(warning.message, "`deep` is left out: its document is nested deeper than 127 levels");
    assert_eq!((first.status, first.refresh), (Status::Fresh, RefreshState::Idle));
    assert_eq!(world.log().await[0].outcome, "updated");
    assert_eq!(world.read(&key).await.unwrap().hit, Hit::Hit);
    assert_eq!(world.source.call_count(), 1, "it is not asked for again and again");
}

#[tokio::test]
async fn an_item_that_outgrew_all_bounds_is_shown_as_it_was_until_it_fits_again() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "deep"]);
    world.read(&key).await.unwrap();
    world.source.present("a", 2);
    world.source.unfit("deep");
    world.refresh(&key).await.result.unwrap();
    let kept = world.peek(&key).await.unwrap();
    assert_eq!(names(&shown(&kept)), [("a", 2), ("deep", 1)]);
    assert!(kept.stored.entry.warnings[0].message.starts_with("`deep` is shown as it was: "));
    world.source.present("deep", 3);
    world.refresh(&key).await.result.unwrap();
    let mended = world.peek(&key).await.unwrap();
    assert_eq!(names(&shown(&mended)), [("a", 2), ("deep", 3)]);
    assert!(mended.stored.entry.warnings.is_empty());
}
