//! Entries that say which others there are: what they name comes, is fetched and goes with them,
//! whichever process looked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use larder_core::{
    Ask, Definition, Delta, FetchError, Fetched, Fingerprint, Json, Key, Learned, Policy, Source, Store,
    Target, Trigger,
};
use larder_testkit::Step;
use serde_json::json;

use crate::world::{MINUTE, SECOND, World, follow};

/// A shelf whose index `shelf/index/all` lists the names of its books.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    books: Vec<String>,
    learned: Vec<Key>,
    fetched: BTreeMap<Key, u32>,
}

impl Shelf {
    fn put(&self, books: &[&str]) {
        self.state().books = books.iter().map(|&book| book.to_owned()).collect();
    }

    /// The same shelf as another process sees it, which has learned nothing yet.
    fn elsewhere(&self) -> Shelf {
        let books = self.state().books.clone();
        Shelf(Arc::new(Mutex::new(State { books, ..State::default() })))
    }

    fn fetches(&self, key: &Key) -> u32 {
        self.state().fetched.get(key).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn index() -> Key {
    "shelf/index/all".parse().unwrap()
}

fn book(name: &str) -> Key {
    Key::new("shelf", &[name]).unwrap()
}

#[async_trait]
impl Source for Shelf {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "shelf"
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        let is_known = *key == index() || self.state().learned.contains(key);
        is_known.then(|| Arc::new(Definition::new(Fingerprint::of(&["1"]), Policy::default())))
    }

    fn keys(&self) -> Vec<Key> {
        self.state().learned.clone()
    }

    fn indexes(&self) -> Vec<Key> {
        vec![index()]
    }

    fn learn(&self, _index: &Key, body: Option<&Json>) -> Learned {
        let names: Vec<String> = body.and_then(|body| body.decode().ok()).unwrap_or_default();
        let keys: Vec<Key> = names.iter().map(|name| book(name)).collect();
        let before = std::mem::replace(&mut self.state().learned, keys.clone());
        let without = |all: &[Key], others: &[Key]| {
            all.iter().filter(|key| !others.contains(key)).cloned().collect::<Vec<Key>>()
        };
        Learned { came: without(&keys, &before), gone: without(&before, &keys) }
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        *self.state().fetched.entry(ask.key.clone()).or_default() += 1;
        if ask.key == index() {
            let body = Json::from(json!(self.state().books));
            return Ok(Fetched::Delta(Delta { body: Some(body), ..Delta::default() }));
        }
        Ok(Fetched::body(Json::from(json!({"title": ask.key.name()}))))
    }
}

#[tokio::test]
async fn what_an_index_names_comes_with_it_and_goes_with_it() {
    let mut world = World::new();
    let shelf = Shelf::default();
    let (engine, store) = world.another_process_with(Arc::new(shelf.clone()));
    shelf.put(&["dune", "emma"]);
    assert_eq!(engine.keys(), [index()], "nothing is known before it was looked at");
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    assert_eq!(engine.keys(), [index(), book("dune"), book("emma")]);
    let due = store.due(world.now(), 10).await.unwrap();
    assert_eq!(due, [book("dune"), book("emma")], "what came is wanted");
    world.run(engine.refresh_due(10, |_| {})).await.unwrap();

    shelf.put(&["emma"]);
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    assert_eq!(engine.keys_of("shelf"), [book("emma")]);
    let rows = store.lookup(&[book("dune"), book("emma")]).await.unwrap();
    assert!(rows[0].is_none() && rows[1].is_some(), "what went is removed, and nothing else");
}

#[tokio::test]
async fn a_process_learns_from_the_store_what_another_found() {
    let mut world = World::new();
    let shelf = Shelf::default();
    shelf.put(&["dune"]);
    let (engine, _store) = world.another_process_with(Arc::new(shelf.clone()));
    let theirs = shelf.elsewhere();
    let (other, _store) = world.another_process_with(Arc::new(theirs));
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    assert_eq!(other.keys_of("shelf"), []);
    other.reconcile().await.unwrap();
    assert_eq!(other.keys_of("shelf"), [book("dune")]);
    shelf.put(&["dune", "emma"]);
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    other.heard_of(&index()).await.unwrap();
    assert_eq!(other.keys_of("shelf"), [book("dune"), book("emma")]);
}

/// Whoever follows the store may see what a fetch committed before the fetch itself goes on: then it is
/// the only one to whom what came is new.
#[tokio::test]
async fn what_came_is_wanted_whoever_hears_of_it_first() {
    let mut world = World::new();
    let shelf = Shelf::default();
    shelf.put(&["dune", "emma"]);
    let (engine, store) = world.another_process_with(Arc::new(shelf.clone()));
    let (other, _store) = world.another_process_with(Arc::new(shelf.elsewhere()));
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    store.evict(&Target::Keys(vec![book("dune")]), world.now()).await.unwrap();
    assert_eq!(store.due(world.now(), 10).await.unwrap(), [book("emma")]);
    other.heard_of(&index()).await.unwrap();
    assert_eq!(store.due(world.now(), 10).await.unwrap().len(), 2, "and once is enough for the other");
    store.evict(&Target::Keys(vec![index()]), world.now()).await.unwrap();
    other.heard_of(&index()).await.unwrap();
    let rows = store.lookup(&[book("dune"), book("emma")]).await.unwrap();
    assert!(rows.iter().all(Option::is_some), "an index that was cleared takes nothing with it");
}

/// They meet where a process compares, or looks for itself, while another tells it of a change.
#[tokio::test]
async fn what_was_looked_up_earlier_is_not_learned_after_what_is_newer() {
    for compares in [true, false] {
        let mut world = World::new();
        let shelf = Shelf::default();
        shelf.put(&["dune"]);
        let (engine, _store) = world.another_process_with(Arc::new(shelf.clone()));
        let (other, theirs) = world.another_process_with(Arc::new(shelf.elsewhere()));
        world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
        theirs.hold_back_one();
        let earlier = other.clone();
        let earlier = tokio::spawn(async move {
            if compares {
                earlier.learn().await.unwrap();
            } else {
                earlier.refresh(&[index()], Trigger::Manual, |_| {}).await;
            }
        });
        world.settle().await;
        shelf.put(&["dune", "emma"]);
        let done = world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
        assert!(done[0].result.is_ok(), "nobody else is at it any more: {done:?}");
        let newer = other.clone();
        let newer = tokio::spawn(async move { newer.heard_of(&index()).await.unwrap() });
        world.settle().await;
        theirs.let_go();
        let (earlier, newer) = world.run(async { tokio::join!(earlier, newer) }).await;
        earlier.unwrap();
        newer.unwrap();
        assert_eq!(other.keys_of("shelf"), [book("dune"), book("emma")], "{compares}");
    }
}

#[tokio::test]
async fn what_could_not_be_looked_up_when_it_was_told_of_is_learned_as_soon_as_it_can() {
    let mut world = World::new();
    let shelf = Shelf::default();
    let (engine, _store) = world.another_process_with(Arc::new(shelf.clone()));
    let (other, theirs) = world.another_process_with(Arc::new(shelf.elsewhere()));
    follow(&other);
    world.pass(SECOND).await;
    theirs.fail_at(&[Step::Lookup]);
    shelf.put(&["dune"]);
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    world.pass(SECOND).await;
    assert_eq!(other.keys_of("shelf"), []);
    theirs.mend();
    world.pass(SECOND).await;
    assert_eq!(other.keys_of("shelf"), [book("dune")]);
}

#[tokio::test]
async fn what_came_and_went_while_the_store_failed_is_noted_when_it_works_again() {
    let mut world = World::new();
    let shelf = Shelf::default();
    let (engine, store) = world.another_process_with(Arc::new(shelf.clone()));
    shelf.put(&["dune"]);
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    world.run(engine.refresh_due(10, |_| {})).await.unwrap();
    let (other, theirs) = world.another_process_with(Arc::new(shelf.elsewhere()));
    other.learn().await.unwrap();
    shelf.put(&["emma"]);
    for store in [&store, &theirs] {
        store.fail_at(&[Step::Mark]);
    }
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    other.heard_of(&index()).await.unwrap_err();
    assert_eq!(engine.refresh_due(10, |_| {}).await.unwrap().len(), 0);
    for (engine, store) in [(&other, &theirs), (&engine, &store)] {
        store.mend();
        let turn = world.run(engine.refresh_due(10, |_| {})).await.unwrap();
        assert_eq!(turn.into_iter().map(|one| one.key).collect::<Vec<_>>(), [book("emma")]);
        let rows = store.lookup(&[book("dune"), book("emma")]).await.unwrap();
        assert!(rows[0].is_none() && rows[1].is_some(), "what went is removed");
    }
}

#[tokio::test]
async fn what_is_marked_is_fetched_at_once_and_not_at_the_next_turn() {
    let mut world = World::new();
    let shelf = Shelf::default();
    shelf.put(&["dune"]);
    let (engine, _store) = world.another_process_with(Arc::new(shelf.clone()));
    world.run(engine.refresh(&[index()], Trigger::Manual, |_| {})).await;
    let running = engine.clone();
    let turns = tokio::spawn(async move { running.run(60 * MINUTE).await });
    world.pass(SECOND).await;
    assert_eq!(shelf.fetches(&book("dune")), 1, "the first turn takes what came");
    engine.mark_due(&[book("dune")], Trigger::Watch).await.unwrap();
    world.pass(SECOND).await;
    assert_eq!(shelf.fetches(&book("dune")), 2, "an hour before the next turn");
    engine.interrupt().await;
    turns.await.unwrap();
}
