//! A row that cannot be read is the concern of its own entry, and of no other.

use std::sync::Arc;

use async_trait::async_trait;
use larder_core::{Ask, Definition, FetchError, Fetched, Key, Retention, Source, Store, Trigger};
use larder_engine::{Engine, ReadError, ReadOptions, RefreshError};
use larder_testkit::FakeSource;

use crate::world::{HOUR, World, network};

#[tokio::test]
async fn an_entry_whose_row_cannot_be_read_keeps_no_other_from_its_refresh() {
    let world = World::new();
    let keys: Vec<Key> = (0..9).map(|n| world.source.entry(&format!("c{n}"), &["a"])).collect();
    for key in &keys {
        world.read(key).await.unwrap();
    }
    world.pass(7 * HOUR).await;
    world.engine.mark_due(&keys, Trigger::Schedule).await.unwrap();
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/c4'");
    let turn = world.run(world.engine.refresh_due(100, |_| {})).await.unwrap();
    let failed: Vec<_> = turn.iter().filter(|one| one.result.is_err()).collect();
    assert_eq!(failed.iter().map(|one| &one.key).collect::<Vec<_>>(), [&keys[4]], "of {}", turn.len());
    let error = failed[0].result.as_ref().unwrap_err();
    assert!(matches!(error, RefreshError::Store(_)), "{error:?}");
    assert!(error.hints()[0].contains("larder cache clear"), "{:?}", error.hints());
    assert_eq!(world.store.due(world.now(), 100).await.unwrap(), [keys[4].clone()]);
}

#[tokio::test]
async fn nor_from_its_readers() {
    let world = World::new();
    let keys: Vec<Key> = (0..9).map(|n| world.source.entry(&format!("c{n}"), &["a"])).collect();
    for key in &keys {
        world.read(key).await.unwrap();
    }
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/c4'");
    let readings = world.run(world.engine.load_many(&keys, &ReadOptions::default())).await;
    let failed: Vec<_> = keys.iter().zip(&readings).filter(|(_, reading)| reading.is_err()).collect();
    assert_eq!(failed.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [&keys[4]]);
    assert!(matches!(failed[0].1, Err(ReadError::Store(_))), "{:?}", failed[0].1);
}

#[tokio::test]
async fn nor_the_store_from_its_sweep() {
    let world = World::new();
    world.source.down(Some(network()));
    let failed = world.source.entry("failed", &["a"]);
    world.read(&failed).await.unwrap_err();
    world.source.down(None);
    let spoilt = world.source.entry("spoilt", &["a"]);
    world.read(&spoilt).await.unwrap();
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/spoilt'");
    world.pass(8 * 24 * HOUR).await;
    let swept = world.engine.sweep(&Retention::default()).await;
    assert!(swept.unwrap_err().to_string().contains("fake/spoilt"));
    assert!(world.row(&failed).await.is_none());
}

#[tokio::test]
async fn nor_what_nobody_reads_from_going() {
    let world = World::new();
    let [spoilt, other] = ["spoilt", "other"].map(|name| world.source.entry(name, &[name]));
    for key in [&spoilt, &other] {
        world.read(key).await.unwrap();
        world.source.unlist(key);
    }
    world.spoil("UPDATE items SET scope = 'oops' WHERE id = 'spoilt'");
    world.pass(91 * 24 * HOUR).await;
    let swept = world.engine.sweep(&Retention::default()).await;
    assert!(swept.unwrap_err().to_string().contains("spoilt"));
    assert!(world.row(&other).await.is_none());
}

#[tokio::test]
async fn nor_is_all_swept_again_within_minutes_for_it() {
    let world = World::new();
    let spoilt = world.source.entry("spoilt", &["a"]);
    world.read(&spoilt).await.unwrap();
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/spoilt'");
    let sweep = async || world.engine.sweep_in_turn(&Retention::default(), 24 * HOUR).await;
    assert!(sweep().await.unwrap_err().to_string().contains("fake/spoilt"));
    world.pass(12 * HOUR).await;
    assert!(sweep().await.unwrap().is_none());
    world.pass(12 * HOUR).await;
    assert!(sweep().await.unwrap_err().to_string().contains("fake/spoilt"), "it is told once a day");
}

#[tokio::test]
async fn nor_others_of_its_source_from_being_compared_with_what_is_configured() {
    let world = World::new();
    let [broken, told] = ["broken", "told"].map(|name| world.source.entry(name, &["a"]));
    for key in [&broken, &told] {
        world.read(key).await.unwrap();
    }
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/broken'");
    world.source.entry("told", &["a", "b"]);
    let due = world.row(&told).await.unwrap().due_at;
    let told_of = world.run(world.engine.reconcile()).await.unwrap_err();
    assert!(told_of.to_string().contains("fake/broken"), "{told_of}");
    assert!(world.row(&told).await.unwrap().due_at < due, "it is looked for what was added");
}

/// The same upstream under a name of its own.
struct Later(FakeSource);

#[async_trait]
impl Source for Later {
    fn name(&self) -> &'static str {
        "later"
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.0.define(&Key::new("fake", &["told"]).ok()?).filter(|_| key.as_str() == "later/told")
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let key = "fake/told".parse().unwrap();
        self.0.fetch(&Ask { key, ..ask.clone() }).await
    }
}

#[tokio::test]
async fn nor_other_sources_from_being_compared_with_what_is_configured() {
    let world = World::new();
    let broken = world.source.entry("broken", &["a"]);
    world.source.entry("told", &["a"]);
    let engine = Engine::builder(world.store.clone(), Arc::new(world.clock.clone()))
        .source(Arc::new(world.source.clone()))
        .source(Arc::new(Later(world.source.clone())))
        .build();
    let later: Key = "later/told".parse().unwrap();
    for key in [&broken, &later] {
        world.run(engine.read(key, &ReadOptions::default())).await.unwrap();
    }
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/broken'");
    world.source.entry("told", &["a", "b"]);
    let due = world.row(&later).await.unwrap().due_at;
    world.run(engine.reconcile()).await.unwrap_err();
    assert!(world.row(&later).await.unwrap().due_at < due, "it is looked for what was added");
}
