//! Who waits and has nothing goes first: before the budget, and before the others of a batch.

use std::sync::Arc;

use async_trait::async_trait;
use larder_core::{
    Ask, Definition, FetchError, Fetched, Key, LimitKind, Mode, Priority, Source, Target, Trigger,
};
use larder_engine::{Engine, ReadError, ReadOptions};
use larder_testkit::FakeSource;

use crate::world::{HOUR, MINUTE, SECOND, World, network, shown, with_mode};

/// The fake source behind a budget that runs short: calls that are less urgent are refused, and noted as
/// calls all the same.
#[derive(Clone)]
struct Short {
    inner: FakeSource,
    least: Priority,
}

#[async_trait]
impl Source for Short {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.inner.define(key)
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let answer = self.inner.fetch(ask).await?;
        if ask.priority >= self.least {
            return Ok(answer);
        }
        let kind = if ask.priority == Priority::Waiting { LimitKind::Primary } else { LimitKind::Budget };
        let message = "the rest is kept for more urgent calls".to_owned();
        Err(FetchError::Limited { kind, until: larder_core::Time::from_ms(4_000_000_000_000), message })
    }
}

/// An engine whose source lets only calls of this urgency through.
fn short(world: &mut World, least: Priority) -> Engine {
    world.another_process_with(Arc::new(Short { inner: world.source.clone(), least })).0
}

async fn until_called(world: &World, calls: usize) {
    while world.source.call_count() < calls {
        world.settle().await;
    }
}

#[tokio::test]
async fn a_retry_that_the_budget_keeps_back_does_not_lock_out_a_reader_who_has_nothing() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    let engine = short(&mut world, Priority::Waiting);
    world.source.down(Some(network()));
    let options = ReadOptions::default();
    world.run(engine.read(&key, &options)).await.unwrap_err();
    world.source.down(None);
    world.pass(MINUTE).await;
    let retried = world.run(engine.refresh_due(10, |_| {})).await.unwrap();
    assert!(retried[0].result.as_ref().unwrap_err().to_string().contains("more urgent"), "{retried:?}");
    let reading = world.run(engine.read(&key, &options)).await.unwrap();
    assert_eq!(shown(&reading)[0].1, 1);
}

#[tokio::test]
async fn who_boards_a_flight_that_the_budget_keeps_back_flies_once_more() {
    for mode in [Mode::Normal, Mode::Forced] {
        let mut world = World::new();
        let key = world.source.entry("tools", &["a"]);
        let engine = short(&mut world, Priority::Waiting);
        world.source.close_gate();
        let keys = [key.clone()];
        // Of a forced read's flights the one that waits behind is boarded, which a hand leads.
        for calls in 0..if mode == Mode::Forced { 2 } else { 1 } {
            engine.mark_due(&keys, Trigger::Schedule).await.unwrap();
            let (engine, keys) = (engine.clone(), keys.clone());
            tokio::spawn(async move {
                match calls {
                    0 => drop(engine.refresh_due(1, |_| {}).await.unwrap()),
                    _ => drop(engine.refresh(&keys, Trigger::Manual, |_| {}).await),
                }
            });
            until_called(&world, 1).await;
            world.settle().await;
        }
        let reading = tokio::spawn({
            let engine = engine.clone();
            async move { engine.read(&key, &with_mode(mode)).await }
        });
        world.settle().await;
        world.source.open_gate();
        let reading = world.run(reading).await.unwrap().unwrap();
        assert_eq!(shown(&reading)[0].1, 1, "{mode:?}");
    }
}

#[tokio::test]
async fn a_reader_who_is_refused_as_one_who_waits_makes_the_next_one_wait() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    let source = Short { inner: world.source.clone(), least: Priority::Waiting };
    let engine = world.another_process_with(Arc::new(Refusing(source))).0;
    let options = ReadOptions::default();
    let first = world.run(engine.read(&key, &options)).await.unwrap_err();
    assert!(matches!(first, ReadError::Failed { .. }), "{first:?}");
    for _ in 0..3 {
        world.pass(SECOND).await;
        let next = world.run(engine.read(&key, &options)).await.unwrap_err();
        assert!(matches!(next, ReadError::Backoff { .. }), "{next:?}");
    }
    assert_eq!(world.source.call_count(), 1);
}

/// Everything is used up, for whomever.
struct Refusing(Short);

#[async_trait]
impl Source for Refusing {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.0.define(key)
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.0.inner.fetch(ask).await?;
        let until = larder_core::Time::from_ms(4_000_000_000_000);
        Err(FetchError::Limited { kind: LimitKind::Primary, until, message: "used up".to_owned() })
    }
}

#[tokio::test]
async fn what_one_process_was_refused_no_other_asks_for_in_vain() {
    let mut world = World::new();
    let key = world.source.entry("tools", &["a"]);
    let engines = [short(&mut world, Priority::Waiting), short(&mut world, Priority::Waiting)];
    engines[0].mark_due(std::slice::from_ref(&key), Trigger::Schedule).await.unwrap();
    world.source.latency(SECOND);
    let [one, two] =
        engines.clone().map(|engine| async move { engine.refresh_due(1, |_| {}).await.unwrap() });
    let (one, two) = world.run(futures::future::join(one, two)).await;
    for refreshed in one.iter().chain(&two) {
        assert!(refreshed.result.is_err(), "{refreshed:?}");
    }
    assert_eq!(world.source.call_count(), 1);
    world.pass(HOUR).await;
    engines[0].invalidate(&Target::Keys(vec![key.clone()])).await.unwrap();
    let reading = world.run(engines[1].read(&key, &ReadOptions::default())).await.unwrap();
    assert_eq!(shown(&reading)[0].1, 1, "whoever has nothing is let through in either");
}
