//! Evicting, sweeping, reconciling: what goes, and when.

use std::sync::Arc;

use async_trait::async_trait;
use larder_core::{
    Ask, Clock, Definition, FetchError, Fetched, Key, Reconciled, Retention, Source, Status, Store, Target,
    Trigger,
};
use larder_engine::{Behind, ReadOptions};
use larder_testkit::{FakeSource, Fault, Step};

use crate::world::{HOUR, World, network};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

/// A store that cannot do one part of its sweep.
const REFUSE: &str =
    "CREATE TRIGGER refuse BEFORE DELETE ON refresh_log BEGIN SELECT RAISE(ABORT, 'not this'); END";

#[tokio::test]
async fn failed_entries_without_data_go_after_seven_days_and_data_stays() {
    let world = World::new();
    let good = world.source.entry("good", &["a"]);
    world.read(&good).await.unwrap();
    world.source.down(Some(network()));
    let bad = world.source.entry("bad", &["b"]);
    world.read(&bad).await.unwrap_err();
    world.pass(6 * DAY).await;
    assert_eq!(world.engine.sweep(&Retention::default()).await.unwrap().entries, 0);
    world.pass(2 * DAY).await;
    assert_eq!(world.engine.sweep(&Retention::default()).await.unwrap().entries, 1);
    assert!(world.row(&bad).await.is_none() && world.row(&good).await.is_some());
}

#[tokio::test]
async fn entries_that_are_no_longer_configured_go_after_thirty_days() {
    let world = World::new();
    let stays = world.source.entry("stays", &["a"]);
    let goes = world.source.entry("goes", &["a", "b"]);
    let returns = world.source.entry("returns", &["c"]);
    for key in [&stays, &goes, &returns] {
        world.read(key).await.unwrap();
    }
    assert_eq!(world.engine.reconcile().await.unwrap(), larder_core::Reconciled::default());
    world.source.forget(&goes);
    world.source.forget(&returns);
    assert_eq!(world.engine.reconcile().await.unwrap().unconfigured, 2);
    world.pass(20 * DAY).await;
    world.source.entry("returns", &["c"]);
    assert_eq!(world.engine.reconcile().await.unwrap().returned, 1);
    world.pass(11 * DAY).await;
    let swept = world.engine.sweep(&Retention::default()).await.unwrap();
    assert_eq!((swept.entries, swept.items), (1, 1), "b had nobody else");
    assert!(world.row(&returns).await.is_some());
}

#[tokio::test]
async fn an_evicted_entry_is_fetched_anew() {
    let world = World::new();
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    assert_eq!(world.engine.evict(&Target::Source("fake".to_owned())).await.unwrap(), 1);
    world.pass(HOUR).await;
    world.read(&key).await.unwrap();
    assert_eq!(world.source.call_count(), 2);
}

#[tokio::test]
async fn the_last_entry_that_leaves_the_configuration_is_remembered_too() {
    let world = World::new();
    let key = world.source.entry("last", &["a"]);
    world.read(&key).await.unwrap();
    world.source.forget(&key);
    assert_eq!(world.engine.reconcile_of(&["another"]).await.unwrap().unconfigured, 0);
    assert_eq!(world.engine.reconcile_of(&["fake"]).await.unwrap().unconfigured, 1);
    assert_eq!(world.engine.reconcile().await.unwrap().unconfigured, 0);
    world.pass(31 * DAY).await;
    assert_eq!(world.engine.sweep(&Retention::default()).await.unwrap().entries, 1);
}

#[tokio::test]
async fn what_a_source_knows_and_does_not_list_is_refreshed_behind_its_reader_and_stays() {
    let world = World::new();
    world.source.entry("listed", &["a"]);
    let key = world.source.entry("asked-for", &["b"]);
    world.source.unlist(&key);
    world.read(&key).await.unwrap();
    assert_eq!(world.engine.reconcile_of(&["fake"]).await.unwrap(), Reconciled::default());
    world.pass(7 * HOUR).await;
    let options = ReadOptions { behind: Behind::MarkDue, ..ReadOptions::default() };
    world.run(world.engine.read(&key, &options)).await.unwrap();
    assert_eq!(world.run(world.engine.refresh_due(10, |_| {})).await.unwrap().len(), 1);
    assert_eq!(world.status(&key).await, Status::Fresh);
    world.pass(31 * DAY).await;
    assert_eq!(world.engine.sweep(&Retention::default()).await.unwrap().entries, 0);
    world.store.reconcile("fake", &[], world.now()).await.unwrap();
    assert_eq!(world.engine.reconcile().await.unwrap().returned, 1, "what was noted otherwise is taken back");
}

#[tokio::test]
async fn a_process_with_another_configuration_makes_this_one_deaf_to_nothing() {
    let world = World::new();
    let key = world.source.entry("here", &["a"]);
    world.read(&key).await.unwrap();
    for trigger in [Trigger::Watch, Trigger::Webhook] {
        world.store.reconcile("fake", &[], world.now()).await.unwrap();
        world.engine.mark_due(std::slice::from_ref(&key), trigger).await.unwrap();
        assert_eq!(world.run(world.engine.refresh_due(10, |_| {})).await.unwrap().len(), 1);
    }
    world.pass(31 * DAY).await;
    assert_eq!(world.engine.sweep(&Retention::default()).await.unwrap().entries, 0);
}

#[tokio::test]
async fn whoever_vouches_takes_back_what_others_noted_and_tells_nothing_else() {
    let mut world = World::new();
    let both = world.source.entry("both", &["a"]);
    let (ours, theirs) = (world.source.entry("ours", &["b"]), world.source.entry("theirs", &["c"]));
    for key in [&both, &ours, &theirs] {
        world.read(key).await.unwrap();
    }
    world.source.forget(&theirs);
    let other = FakeSource::new(Arc::new(world.clock.clone()));
    other.entry("both", &["a", "new"]);
    other.entry("theirs", &["c"]);
    let (another, _) = world.another_process_with(Arc::new(other));
    let newer = world.run(another.refresh(std::slice::from_ref(&both), Trigger::Manual, |_| {})).await;
    assert_eq!(newer[0].stored.as_ref().unwrap().members.len(), 2);
    assert_eq!(another.reconcile().await.unwrap().unconfigured, 1);
    let pulse = world.store.pulse().await.unwrap();
    assert_eq!(another.vouch().await.unwrap(), 0);
    assert_eq!(world.store.pulse().await.unwrap(), pulse, "nobody wrote");
    assert_eq!(world.engine.vouch().await.unwrap(), 1);
    assert_eq!(world.stored(&both).await.unwrap().members.len(), 2);
    let rows = world.store.rows(None, None, 10).await.unwrap();
    assert!(rows.iter().all(|row| row.unconfigured_since.is_none()));

    world.source.forget(&ours);
    assert_eq!(world.engine.reconcile().await.unwrap().unconfigured, 2);
    assert_eq!((another.vouch().await.unwrap(), world.engine.vouch().await.unwrap()), (1, 0));
    world.pass(31 * DAY).await;
    assert_eq!(world.engine.sweep(&Retention::default()).await.unwrap().entries, 1);
    assert!(world.row(&ours).await.is_none() && world.row(&theirs).await.is_some());
}

#[tokio::test]
async fn what_cannot_be_read_and_is_configured_is_not_told_as_gone_by_who_vouches() {
    let world = World::new();
    let (damaged, noted) = (world.source.entry("damaged", &["a"]), world.source.entry("noted", &["b"]));
    for key in [&damaged, &noted] {
        world.read(key).await.unwrap();
    }
    world.spoil("UPDATE entries SET warnings = 'oops' WHERE key = 'fake/damaged'");
    world.spoil("UPDATE entries SET unconfigured_since = 0 WHERE key = 'fake/noted'");
    assert_eq!(world.engine.vouch().await.unwrap(), 1);
    world.spoil("UPDATE entries SET warnings = '[]' WHERE key = 'fake/damaged'");
    let rows = world.store.rows(None, None, 10).await.unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row.unconfigured_since.is_none()));
}

#[tokio::test]
async fn many_processes_sweep_once_a_day() {
    let world = World::new();
    let sweep = async || world.engine.sweep_in_turn(&Retention::default(), DAY).await.unwrap().is_some();
    assert!(sweep().await && !sweep().await);
    world.pass(DAY).await;
    assert!(sweep().await && !sweep().await);
}

#[tokio::test]
async fn a_sweep_that_failed_or_was_cut_off_is_done_again_within_minutes() {
    let world = World::new();
    let sweep = async || world.engine.sweep_in_turn(&Retention::default(), DAY).await;
    let key = world.source.entry("tools", &["a"]);
    world.read(&key).await.unwrap();
    world.pass(31 * DAY).await;
    world.spoil(REFUSE);
    sweep().await.unwrap_err();
    world.spoil("DROP TRIGGER refuse");
    assert!(sweep().await.unwrap().is_none());
    world.pass(HOUR / 6).await;
    assert_eq!(sweep().await.unwrap().unwrap().log, 1);
    world.pass(DAY).await;
    world.store.inflict(Fault::Hang, &[Step::List]);
    let engine = world.engine.clone();
    let cut_off = tokio::spawn(async move { engine.sweep_in_turn(&Retention::default(), DAY).await });
    while world.store.waiting() == 0 {
        world.settle().await;
    }
    cut_off.abort();
    cut_off.await.unwrap_err();
    world.store.mend();
    world.pass(HOUR / 6).await;
    assert!(sweep().await.unwrap().is_some());
    world.pass(HOUR / 6).await;
    assert!(sweep().await.unwrap().is_none());
}

#[tokio::test]
async fn a_sweep_that_takes_long_is_begun_by_nobody_else_meanwhile() {
    let world = World::new();
    world.store.inflict(Fault::Hang, &[Step::List]);
    let engine = world.engine.clone();
    let long = tokio::spawn(async move { engine.sweep_in_turn(&Retention::default(), DAY).await });
    while world.store.waiting() == 0 {
        world.settle().await;
    }
    for _ in 0..30 {
        world.pass(HOUR / 30).await;
        assert!(!world.store.begin_sweep(DAY, world.now()).await.unwrap());
    }
    world.store.mend();
    assert!(world.run(long).await.unwrap().unwrap().is_some());
    world.pass(23 * HOUR).await;
    assert!(!world.store.begin_sweep(DAY, world.now()).await.unwrap(), "its end is the last word");
    world.pass(HOUR).await;
    assert!(world.store.begin_sweep(DAY, world.now()).await.unwrap());
}

#[tokio::test]
async fn what_the_store_cannot_remove_keeps_nothing_that_nobody_reads() {
    let world = World::new();
    let unread = world.source.entry("unread", &["a"]);
    world.read(&unread).await.unwrap();
    world.source.unlist(&unread);
    world.spoil(REFUSE);
    world.pass(91 * DAY).await;
    let error = world.engine.sweep(&Retention::default()).await.unwrap_err();
    assert!(error.to_string().contains("not this"), "{error}");
    assert!(world.row(&unread).await.is_none());
}

#[tokio::test]
async fn what_nobody_lists_and_nobody_reads_goes_in_the_end() {
    let world = World::new();
    let listed = world.source.entry("listed", &["a"]);
    let read = world.source.entry("read", &["b"]);
    let unread = world.source.entry("unread", &["c"]);
    let failing = world.source.entry("failing", &["d"]);
    for key in [&listed, &read, &unread, &failing] {
        world.read(key).await.unwrap();
    }
    for key in [&read, &unread, &failing] {
        world.source.unlist(key);
    }
    world.pass(60 * DAY).await;
    world.read(&read).await.unwrap();
    world.source.down(Some(network()));
    world.read(&failing).await.unwrap();
    world.settle().await;
    world.pass(31 * DAY).await;
    assert_eq!(world.engine.sweep(&Retention::default()).await.unwrap().entries, 1);
    let rows = world.store.rows(Some("fake"), None, 10).await.unwrap();
    let left: Vec<_> = rows.into_iter().map(|row| row.entry.key).collect();
    assert_eq!(left, [failing, listed, read]);
    world.source.down(None);
    world.read(&unread).await.unwrap();
    assert_eq!(world.status(&unread).await, Status::Fresh, "whoever wants it again gets it again");
}

/// Whatever it is that nobody read for so long, from when it was restored on.
#[tokio::test]
async fn what_is_restored_from_an_old_archive_stays_as_long_as_what_was_read() {
    let world = World::new();
    let archived = world.source.entry("archived", &["a"]);
    world.read(&archived).await.unwrap();
    let archive = world.store.export(None, 10).await.unwrap();
    world.source.unlist(&archived);
    world.engine.evict(&Target::All).await.unwrap();
    world.pass(400 * DAY).await;
    let sweep = async || world.engine.sweep(&Retention::default()).await.unwrap().entries;
    assert_eq!(world.store.import(&archive, world.clock.now()).await.unwrap(), 1);
    assert_eq!(sweep().await, 0);
    world.pass(89 * DAY).await;
    assert_eq!(sweep().await, 0);
    world.pass(2 * DAY).await;
    assert_eq!(sweep().await, 1);
}

#[tokio::test]
async fn what_is_restored_while_a_sweep_looks_what_nobody_reads_stays() {
    let world = World::new();
    let key = world.source.entry("archived", &["a"]);
    world.read(&key).await.unwrap();
    let before = world.store.export(None, 10).await.unwrap();
    world.pass(DAY).await;
    world.read(&key).await.unwrap();
    world.settle().await;
    let archive = world.store.export(None, 10).await.unwrap();
    assert!(archive[0].entry.fetched_at > before[0].entry.fetched_at);
    world.engine.evict(&Target::All).await.unwrap();
    world.store.import(&before, world.clock.now()).await.unwrap();
    world.source.unlist(&key);
    world.pass(91 * DAY).await;
    world.store.inflict(Fault::Hang, &[Step::Lookup]);
    let engine = world.engine.clone();
    let sweeping = tokio::spawn(async move { engine.sweep(&Retention::default()).await });
    while world.store.waiting() == 0 {
        world.settle().await;
    }
    assert_eq!(world.store.import(&archive, world.clock.now()).await.unwrap(), 1);
    world.store.mend();
    assert_eq!(world.run(sweeping).await.unwrap().unwrap().entries, 0);
    assert!(world.row(&key).await.is_some());
}

#[tokio::test]
async fn what_comes_while_the_configuration_is_compared_is_not_taken_for_what_went() {
    let world = World::new();
    let goes = world.source.entry("goes", &["a"]);
    world.read(&goes).await.unwrap();
    world.source.forget(&goes);
    let comes = world.source.entry("comes", &["b"]);
    world.source.unlist(&comes);
    world.store.inflict(Fault::Hang, &[Step::Mark]);
    let engine = world.engine.clone();
    let comparing = tokio::spawn(async move { engine.reconcile().await });
    while world.store.waiting() == 0 {
        world.settle().await;
    }
    world.read(&comes).await.unwrap();
    world.store.mend();
    world.run(comparing).await.unwrap().unwrap();
    let rows = world.store.rows(Some("fake"), None, 10).await.unwrap();
    let gone: Vec<_> = rows.into_iter().filter(|row| row.unconfigured_since.is_some()).collect();
    assert_eq!(gone.into_iter().map(|row| row.entry.key).collect::<Vec<_>>(), [goes]);
}

/// One of several machines that keep theirs under one source's name: its own begin with its mark.
struct Machine(FakeSource, &'static str);

#[async_trait]
impl Source for Machine {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.0.define(key)
    }

    fn keys(&self) -> Vec<Key> {
        self.0.keys()
    }

    fn is_own(&self, key: &Key) -> bool {
        key.name().starts_with(self.1)
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.0.fetch(ask).await
    }
}

#[tokio::test]
async fn machines_that_share_a_store_tell_of_their_own_alone() {
    let mut world = World::new();
    let sources = [(); 2].map(|()| FakeSource::new(Arc::new(world.clock.clone())));
    let theirs = sources[0].entry("a-shed", &["x"]);
    let own = [("b-attic", "y"), ("b-cellar", "z")].map(|(name, item)| sources[1].entry(name, &[item]));
    let [(first, store), (second, _)] = [("a-", 0), ("b-", 1)]
        .map(|(mark, number)| world.another_process_with(Arc::new(Machine(sources[number].clone(), mark))));
    world.run(first.read(&theirs, &ReadOptions::default())).await.unwrap();
    for key in &own {
        world.run(second.read(key, &ReadOptions::default())).await.unwrap();
    }
    for engine in [&first, &second, &first] {
        assert_eq!(engine.reconcile().await.unwrap(), Reconciled::default(), "nothing is taken back either");
    }
    sources[1].forget(&own[0]);
    assert_eq!(first.reconcile().await.unwrap(), Reconciled::default());
    let done = second.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { unconfigured: 1, ..Reconciled::default() }, "its own is its to tell of");
    assert_eq!(first.reconcile().await.unwrap(), Reconciled::default(), "and nobody else's");

    world.pass(31 * DAY).await;
    let swept = async || second.sweep(&Retention::default()).await.unwrap().entries;
    assert_eq!(swept().await, 1, "the other machine may be off for a while");
    sources[0].down(Some(network()));
    world.run(first.read(&theirs, &ReadOptions::default())).await.unwrap();
    world.settle().await;
    world.pass(89 * DAY).await;
    assert_eq!(swept().await, 0, "it was there since, and failed");
    world.pass(2 * DAY).await;
    assert_eq!(swept().await, 1, "nobody knows of that machine any more");
    let left = store.rows(Some("fake"), None, 10).await.unwrap();
    assert_eq!(left.into_iter().map(|row| row.entry.key).collect::<Vec<_>>(), [own[1].clone()]);
}

#[tokio::test]
async fn the_log_says_who_marked_an_entry_due() {
    for trigger in [Trigger::Read, Trigger::Webhook, Trigger::Schedule] {
        let world = World::new();
        let key = world.source.entry("tools", &["a"]);
        world.read(&key).await.unwrap();
        world.pass(7 * HOUR).await;
        world.engine.mark_due(std::slice::from_ref(&key), trigger).await.unwrap();
        world.engine.mark_due(std::slice::from_ref(&key), Trigger::Read).await.unwrap();
        world.run(world.engine.refresh_due(10, |_| {})).await.unwrap();
        let line = world.log().await.remove(0);
        assert_eq!((line.trigger, line.outcome.as_str()), (trigger, "updated"));
    }
}
