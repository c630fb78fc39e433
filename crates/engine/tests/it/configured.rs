//! Processes of two configurations on one store: the one that read its own later has the word, and neither
//! undoes at every read what the other did.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Key, Policy, Status, Time, Trigger};
use larder_engine::{Engine, ReadOptions};
use larder_testkit::FakeSource;

use crate::world::{HOUR, MINUTE, SECOND, World, network, shown};

/// A server from before the edit, which has taken `a` and `b` in, …
struct Two {
    world: World,
    tools: Key,
    /// … and a process that was configured since, whose `tools` are `a` and `c`.
    edited: FakeSource,
    other: Engine,
}

fn policy(configured_at: Time) -> Policy {
    let wait = 8 * HOUR;
    let configured_at = Some(configured_at);
    Policy { jitter: 0.0, backoff_base: wait, backoff_cap: wait, configured_at, ..Policy::default() }
}

async fn two(mut world: World) -> Two {
    world.source.policy(policy(world.now()));
    let tools = world.source.entry("tools", &["a", "b"]);
    world.pass(MINUTE).await;
    world.read(&tools).await.unwrap();
    world.pass(MINUTE).await;
    let edited = FakeSource::new(Arc::new(world.clock.clone()));
    edited.policy(policy(world.now()));
    edited.entry("tools", &["a", "b"]);
    edited.entry("tools", &["a", "c"]);
    let (other, _) = world.another_process_with(Arc::new(edited.clone()));
    Two { world, tools, edited, other }
}

impl Two {
    /// Both read it a few times, and whatever that starts comes to its end; what each sees in the end.
    async fn read(&self, span: Duration) -> [Vec<String>; 2] {
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..4 {
            for (engine, seen) in [&self.world.engine, &self.other].into_iter().zip(&mut seen) {
                let options = ReadOptions::default();
                let reading = self.world.run(engine.read(&self.tools, &options)).await.unwrap();
                *seen = shown(&reading).into_iter().map(|(name, _)| name).collect();
                self.world.pass(span).await;
            }
        }
        seen
    }

    fn calls(&self) -> [usize; 2] {
        [&self.world.source, &self.edited].map(FakeSource::call_count)
    }
}

#[tokio::test]
async fn what_the_newer_configuration_brought_is_left_until_it_expires() {
    let two = two(World::new()).await;
    two.read(MINUTE).await;
    assert_eq!(two.calls(), [1, 1], "the edit counts at once, and that is all");
    assert_eq!(two.world.status(&two.tools).await, Status::Fresh);
    two.world.pass(7 * HOUR).await;
    two.read(MINUTE).await;
    assert_eq!(two.calls(), [2, 2], "expired, it is either's to fetch, and the newer one has the word");
}

#[tokio::test]
async fn nobody_sees_what_is_not_its_own() {
    let two = two(World::remembering()).await;
    assert_eq!(two.read(SECOND).await, [vec!["a"], vec!["a", "c"]]);
}

#[tokio::test]
async fn a_wait_that_one_was_given_is_kept_by_the_other() {
    let two = two(World::new()).await;
    two.world.pass(7 * HOUR).await;
    for source in [&two.world.source, &two.edited] {
        source.down(Some(network()));
    }
    two.world.read(&two.tools).await.unwrap();
    two.world.pass(SECOND).await;
    let calls = two.calls();
    assert!(calls[0] > 1, "{calls:?}");
    two.read(SECOND).await;
    assert_eq!(two.calls(), calls);
}

#[tokio::test]
async fn what_the_other_could_not_say_of_its_own_is_asked_for_by_its_own_names() {
    let two = two(World::new()).await;
    two.edited.unknown("c");
    two.edited.policy(Policy { backoff_base: MINUTE, ..policy(two.world.now()) });
    let tools = std::slice::from_ref(&two.tools);
    two.world.run(two.other.refresh(tools, Trigger::Manual, |_| {})).await;
    let row = two.world.row(&two.tools).await.unwrap();
    assert_eq!(row.pending, ["c".into()]);
    two.world.pass(row.due_at.since(two.world.now())).await;
    assert_eq!(two.world.status(&two.tools).await, Status::Fresh);
    two.world.read(&two.tools).await.unwrap();
    two.world.pass(SECOND).await;
    let calls = two.world.source.calls();
    assert!(calls.len() > 1 && calls.iter().all(|call| call.subsets == [None]), "{calls:?}");
}
