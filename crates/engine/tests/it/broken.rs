//! A source that breaks off over one entry: the others do not suffer, and that one waits as for any failure.

use std::sync::Arc;

use async_trait::async_trait;
use larder_core::{
    Answers, Ask, Definition, FetchError, Fetched, Key, RefreshState, Source, Status, Trigger,
};
use larder_engine::{ReadError, ReadOptions};
use larder_testkit::FakeSource;

use crate::world::{HOUR, MINUTE, World};

/// The fake source; whatever is asked together with the poisoned entry breaks off.
#[derive(Clone)]
struct Poisoned {
    inner: FakeSource,
    by: Key,
}

impl Poisoned {
    fn taste(&self, asks: &[Ask]) {
        assert!(asks.iter().all(|ask| ask.key != self.by), "index out of bounds");
    }
}

#[async_trait]
impl Source for Poisoned {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.inner.define(key)
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.inner.fetch(ask).await
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        // What came before it is kept.
        if let Some((first, others)) = asks.split_first().filter(|(_, others)| others.len() > 3) {
            self.inner.fetch_many(std::slice::from_ref(first), answers).await;
            self.taste(others);
        }
        self.taste(asks);
        self.inner.fetch_many(asks, answers).await;
    }
}

#[tokio::test]
async fn one_entry_that_a_source_breaks_off_over_takes_none_of_its_batch_along() {
    let mut world = World::new();
    let names = ["a", "b", "c", "d", "poison"];
    let keys: Vec<Key> = names.iter().map(|name| world.source.entry(name, &[name])).collect();
    let source = Poisoned { inner: world.source.clone(), by: keys[4].clone() };
    let (engine, _) = world.another_process_with(Arc::new(source));
    let refreshed = world.run(engine.refresh(&keys, Trigger::Manual, |_| {})).await;
    for one in &refreshed[..4] {
        assert!(one.result.is_ok(), "{one:?}");
    }
    let error = refreshed[4].result.as_ref().unwrap_err().to_string();
    assert!(error.contains("the source broke off: index out of bounds"), "{error}");
    let row = world.row(&keys[4]).await.unwrap();
    assert_eq!((row.attempts, row.faults, row.lease.is_none()), (1, 1, true));
    assert_eq!(world.source.call_count(), 4, "what was answered before is not asked for again");
}

#[tokio::test]
async fn who_reads_what_a_source_breaks_off_over_is_told_so_and_the_next_one_waits() {
    let mut world = World::new();
    let key = world.source.entry("poison", &["a"]);
    let source = Poisoned { inner: world.source.clone(), by: key.clone() };
    let (engine, _) = world.another_process_with(Arc::new(source));
    let told = world.run(engine.read(&key, &ReadOptions::default())).await.unwrap_err();
    assert!(
        matches!(&told, ReadError::Failed { source, .. } if source.to_string().contains("broke off")),
        "{told:?}"
    );
    let next = world.run(engine.read(&key, &ReadOptions::default())).await.unwrap_err();
    assert!(matches!(next, ReadError::Backoff { .. }), "{next:?}");
}

#[tokio::test]
async fn what_a_source_breaks_off_over_again_and_again_is_set_aside() {
    let mut world = World::new();
    let keys: Vec<Key> = ["a", "b", "poison"].iter().map(|name| world.source.entry(name, &[name])).collect();
    let source = Poisoned { inner: world.source.clone(), by: keys[2].clone() };
    let (engine, _) = world.another_process_with(Arc::new(source));
    engine.mark_due(&keys, Trigger::Schedule).await.unwrap();
    let running = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run(MINUTE).await }
    });
    world.pass(3 * HOUR).await;
    assert_eq!((world.status(&keys[0]).await, world.status(&keys[1]).await), (Status::Fresh, Status::Fresh));
    let row = world.row(&keys[2]).await.unwrap();
    let policy = &world.source.define(&keys[2]).unwrap().policy;
    assert_eq!((row.refresh_state(policy, world.now()), row.faults), (RefreshState::Dead, 8));
    assert_eq!(world.log().await.iter().filter(|line| line.key == keys[2]).count(), 8);
    engine.interrupt().await;
    running.await.unwrap();
}
