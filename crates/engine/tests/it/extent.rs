//! A source that tells by its cursor whether anything changed: its entries' members are read where
//! somebody wants them, and nowhere else.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use larder_core::{
    Ask, Coverage, Definition, Delta, Extent, FetchError, Fetched, Fingerprint, ItemRef, Json, Key, NewItem,
    Others, Outcome, Policy, Scope, Source, Store, Trigger,
};
use larder_engine::{Engine, RefreshError};
use larder_testkit::{FaultyStore, Step};
use serde_json::json;

use crate::world::World;

/// What the ledger answers next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Pages a and b, from the beginning.
    All,
    /// That nothing changed, and where the next delta goes on.
    Same,
    /// A page c, beside those that it is told are held.
    More,
    /// A page c, without asking what is held.
    Blindly,
    /// Page a, and that there was no time for page b.
    Part,
    /// Page b, to whoever goes on from there.
    Rest,
}

#[derive(Clone)]
struct Ledger(Arc<Mutex<(Next, Vec<String>)>>);

impl Ledger {
    fn answers(&self, next: Next) {
        self.0.lock().unwrap().0 = next;
    }

    /// The pages that it was told are held, when it asked.
    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

fn page(name: &str) -> NewItem {
    NewItem {
        of: ItemRef::new("page", name),
        scope: Scope::Public,
        doc: Json::from(json!({"name": name})),
        coverage: Coverage::Whole,
    }
}

#[async_trait]
impl Source for Ledger {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "ledger"
    }

    fn define(&self, _key: &Key) -> Option<Arc<Definition>> {
        Some(Arc::new(Definition::new(Fingerprint::of(&["1"]), Policy::default())))
    }

    fn extent(&self) -> Extent {
        Extent::Row
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let next = self.0.lock().unwrap().0;
        assert!(ask.held.at_hand().is_empty(), "nobody read them for it");
        let cursor = Some(format!("{next:?}"));
        let delta = |upserts, others| {
            Fetched::Delta(Delta { upserts, others, cursor: cursor.clone(), ..Delta::default() })
        };
        Ok(match next {
            Next::All => delta(vec![page("a"), page("b")], Others::Go),
            Next::Same => Fetched::NotModified { ttl: None, cursor },
            Next::Blindly => delta(vec![page("c")], Others::Stay),
            Next::Part => Fetched::Delta(Delta {
                upserts: vec![page("a")],
                cursor,
                pending: vec!["b".into()],
                ..Delta::default()
            }),
            Next::Rest => {
                assert_eq!(ask.cursor.as_deref(), Some("Part"));
                delta(vec![page("b")], Others::Stay)
            }
            Next::More => {
                let held = ask.held.members().await.unwrap();
                self.0.lock().unwrap().1 = held.iter().map(|member| member.item.of.id.to_string()).collect();
                delta(vec![page("c")], Others::Stay)
            }
        })
    }
}

fn one() -> Key {
    "ledger/one".parse().unwrap()
}

fn ledger(world: &mut World) -> (Ledger, Engine, Arc<FaultyStore>) {
    let ledger = Ledger(Arc::new(Mutex::new((Next::All, Vec::new()))));
    let (engine, store) = world.another_process_with(Arc::new(ledger.clone()));
    (ledger, engine, store)
}

/// Refreshes, and answers what came of it and how many lookups that took.
async fn refresh(engine: &Engine, store: &FaultyStore) -> (Result<Outcome, String>, usize) {
    let before = store.lookups();
    let refreshed = engine.refresh_only(&[one()], Trigger::Manual, |_| {}).await.pop().unwrap();
    assert!(refreshed.stored.is_none(), "nobody wanted it");
    (refreshed.result.map_err(|error| error.to_string()), store.lookups() - before)
}

async fn pages(store: &FaultyStore) -> Vec<String> {
    let stored = store.lookup(&[one()]).await.unwrap().pop().unwrap().unwrap();
    stored.members.iter().map(|member| member.item.of.id.to_string()).collect()
}

#[tokio::test]
async fn members_are_read_where_something_changed_and_for_whoever_wants_them() {
    let mut world = World::new();
    let (ledger, engine, store) = ledger(&mut world);
    assert_eq!(refresh(&engine, &store).await, (Ok(Outcome::Updated), 0), "there is nothing to go on from");
    assert_eq!(pages(&store).await, ["a", "b"]);
    ledger.answers(Next::Same);
    assert_eq!(refresh(&engine, &store).await, (Ok(Outcome::NotModified), 0));
    let row = store.lookup(&[one()]).await.unwrap().pop().unwrap().unwrap();
    assert_eq!((row.entry.cursor.as_deref(), row.members.len()), (Some("Same"), 2));
    ledger.answers(Next::More);
    assert_eq!(
        refresh(&engine, &store).await,
        (Ok(Outcome::Updated), 1),
        "once for it and for what is written"
    );
    assert_eq!(ledger.told(), ["a", "b"]);
    assert_eq!(pages(&store).await, ["a", "b", "c"]);
    ledger.answers(Next::Same);
    let told = engine.refresh(&[one()], Trigger::Manual, |_| {}).await.pop().unwrap();
    assert_eq!(told.stored.unwrap().members.len(), 3, "who wants the row has it whole");
}

#[tokio::test]
async fn what_is_held_is_kept_also_by_a_source_that_does_not_ask_for_it() {
    let mut world = World::new();
    let (ledger, engine, store) = ledger(&mut world);
    refresh(&engine, &store).await.0.unwrap();
    ledger.answers(Next::Blindly);
    store.fail_at(&[Step::Lookup]);
    let failed = engine.refresh_only(&[one()], Trigger::Manual, |_| {}).await.pop().unwrap();
    assert!(matches!(failed.result, Err(RefreshError::Store(_))), "{:?}", failed.result);
    store.mend();
    assert_eq!(pages(&store).await, ["a", "b"], "nothing is written that could lose them");
    assert_eq!(refresh(&engine, &store).await, (Ok(Outcome::Updated), 1), "the lease was let go of");
    assert_eq!(pages(&store).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn an_entry_whose_items_cannot_be_read_waits_like_any_that_failed() {
    let mut world = World::new();
    let (ledger, engine, store) = ledger(&mut world);
    refresh(&engine, &store).await.0.unwrap();
    engine.mark_due(&[one()], Trigger::Webhook).await.unwrap();
    world.spoil("UPDATE items SET scope = 'oops' WHERE id = 'a'");
    ledger.answers(Next::Blindly);
    let failed = world.run(engine.refresh_due(10, |_| {})).await.unwrap().pop().unwrap();
    let error = failed.result.unwrap_err();
    assert!(error.hints()[0].contains("larder cache clear"), "{error:?}: {:?}", error.hints());
    let rows = store.rows(Some("ledger"), None, 10).await.unwrap();
    let entry = &rows[0].entry;
    let told = entry.last_error.as_ref().unwrap();
    assert_eq!((entry.attempts, entry.faults, told.code.as_str()), (1, 0, "local"));
    assert!(told.hint.as_ref().is_some_and(|hint| hint.contains("larder cache clear")), "{told:?}");
    assert!(!entry.marked && entry.lease.is_none());
    world.spoil("UPDATE items SET scope = 'public' WHERE id = 'a'");
    engine.refresh(&[one()], Trigger::Manual, |_| {}).await[0].result.as_ref().unwrap();
    assert_eq!(pages(&store).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_a_source_had_no_time_for_is_fetched_at_once_with_no_reader_waiting() {
    let mut world = World::new();
    let (ledger, engine, store) = ledger(&mut world);
    ledger.answers(Next::Part);
    assert_eq!(refresh(&engine, &store).await.0, Ok(Outcome::Partial));
    assert_eq!(pages(&store).await, ["a"]);
    ledger.answers(Next::Rest);
    let due = engine.refresh_due(10, |_| {}).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].result.as_ref().unwrap(), &Outcome::Updated);
    assert_eq!(pages(&store).await, ["a", "b"]);
    assert!(engine.refresh_due(10, |_| {}).await.unwrap().is_empty(), "there is nothing left");
}
