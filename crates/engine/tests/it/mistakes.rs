//! The eight mistakes that the public implementation of this design made, each of which must not
//! happen here. (The seventh and eighth of a source's own are tested with the source.)

use larder_core::{Acquired, Extent, LeaseAsk, Mode, Policy, RefreshState, Status, Store, Target};
use larder_engine::{Hit, ReadError, ReadOptions};

use crate::world::{HOUR, MINUTE, SECOND, World, network, shown, unusable, with_mode};

#[tokio::test]
async fn mistake_1_an_entry_stuck_in_refreshing_unsticks_itself_and_by_invalidation() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    let ask = LeaseAsk {
        key: key.clone(),
        owner: "killed".into(),
        length: 15 * SECOND,
        unless_newer_than: None,
        extent: Extent::Whole,
    };
    assert!(matches!(world.store.acquire(&[ask], world.now()).await.unwrap()[0], Acquired::Granted(..)));
    assert_eq!(world.peek(&key).await.unwrap().refresh, RefreshState::Running);
    world.pass(16 * SECOND).await;
    assert_eq!(world.peek(&key).await.unwrap().refresh, RefreshState::Idle);
    world.source.down(Some(unusable()));
    world.refresh(&key).await.result.unwrap_err();
    world.source.down(None);
    world.source.present("a", 2);
    world.engine.invalidate(&Target::Keys(vec![key.clone()])).await.unwrap();
    world.read(&key).await.unwrap();
    world.pass(SECOND).await;
    let reading = world.peek(&key).await.unwrap();
    assert_eq!(
        (reading.status, reading.refresh, shown(&reading)[0].1),
        (Status::Fresh, RefreshState::Idle, 2)
    );
}

#[tokio::test]
async fn mistake_2_an_entry_in_error_is_tried_again() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.down(Some(network()));
    world.read(&key).await.unwrap_err();
    world.source.down(None);
    world.pass(MINUTE).await;
    assert_eq!(world.read(&key).await.unwrap().hit, Hit::Miss);
}

#[tokio::test]
async fn mistake_3_a_failed_fetch_never_overwrites_the_good_copy() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "b", "c"]);
    world.read(&key).await.unwrap();
    world.source.down(Some(network()));
    world.refresh(&key).await.result.unwrap_err();
    world.source.down(None);
    for name in ["a", "b", "c"] {
        world.source.absent(name);
    }
    world.refresh(&key).await.result.unwrap_err();
    assert_eq!(shown(&world.peek(&key).await.unwrap()).len(), 3);
}

#[tokio::test]
async fn mistake_4_a_row_inserted_to_take_the_lock_is_no_hit() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.close_gate();
    let reader = tokio::spawn({
        let (engine, key) = (world.engine.clone(), key.clone());
        async move { engine.read(&key, &ReadOptions::default()).await }
    });
    while world.source.call_count() == 0 {
        world.settle().await;
    }
    assert!(world.row(&key).await.is_some(), "the row is there");
    let (other, _) = world.another_process();
    let offline = world.run(other.read(&key, &with_mode(Mode::Offline))).await;
    assert!(matches!(offline, Err(ReadError::NotCached(_))));
    world.source.open_gate();
    assert_eq!(world.run(reader).await.unwrap().unwrap().stored.members.len(), 1);
}

#[tokio::test]
async fn mistake_5_the_background_path_takes_the_lock_too() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.pass(7 * HOUR).await;
    world.source.latency(5 * SECOND);
    let (other, _) = world.another_process();
    for _ in 0..200 {
        let stale = world.read(&key).await.unwrap();
        assert_eq!(stale.hit, Hit::Stale);
        world.run(other.read(&key, &ReadOptions::default())).await.unwrap();
    }
    world.pass(10 * SECOND).await;
    assert_eq!(world.source.call_count(), 2, "one cold, one behind four hundred readers");
}

#[tokio::test]
async fn mistake_6_one_missing_repository_does_not_fail_its_cluster() {
    let world = World::new();
    let key = world.source.entry("tools", &["a", "gone", "b"]);
    world.source.absent("gone");
    let reading = world.read(&key).await.unwrap();
    assert_eq!(shown(&reading).len(), 2);
    assert_eq!(reading.stored.entry.warnings[0].about, "gone");
    assert_eq!((reading.status, reading.refresh), (Status::Fresh, RefreshState::Idle));
}

#[tokio::test]
async fn mistake_7_invalidation_works_for_a_ttl_of_a_month() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.source.policy(Policy { jitter: 0.0, ..Policy::with_ttl(24 * 30 * HOUR) });
    world.read(&key).await.unwrap();
    world.source.present("a", 2);
    world.pass(25 * HOUR).await;
    assert_eq!(world.read(&key).await.unwrap().hit, Hit::Hit);
    world.engine.invalidate(&Target::All).await.unwrap();
    let stale = world.read(&key).await.unwrap();
    assert_eq!((stale.hit, shown(&stale)[0].1), (Hit::Stale, 1), "kept and served");
    world.pass(SECOND).await;
    assert_eq!(shown(&world.peek(&key).await.unwrap())[0].1, 2);
}

#[tokio::test]
async fn mistake_8_the_batch_and_the_single_path_store_the_same() {
    let world = World::new();
    let one = world.source.entry("one", &["a", "b"]);
    let two = world.source.entry("two", &["a", "b"]);
    let three = world.source.entry("three", &["c"]);
    world.read(&one).await.unwrap();
    for reading in world.run(world.engine.load_many(&[two.clone(), three], &ReadOptions::default())).await {
        reading.unwrap();
    }
    let (one, two) = (world.stored(&one).await.unwrap(), world.stored(&two).await.unwrap());
    assert_eq!(one.members, two.members);
    let strip = |entry: larder_core::Entry| larder_core::Entry {
        key: "fake/same".parse().unwrap(),
        definition: larder_core::Fingerprint::trusted(""),
        tried: larder_core::Fingerprint::trusted(""),
        began: 0,
        ..entry
    };
    assert_eq!(strip(one.entry), strip(two.entry));
}
