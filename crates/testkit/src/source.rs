//! A source whose world a test holds in its hand: what is there, what fails, how long it takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use larder_core::{
    Absence, Answer, Answers, Ask, Clock, Coverage, Definition, FetchError, Fetched, Finding, Fingerprint,
    ItemRef, Json, Key, Listing, NewItem, Policy, Scope, Source, Spent,
};
use tokio::sync::Semaphore;

/// A call that the source received: the keys it was asked for, and the subset of names where not
/// all were wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The keys, in the order asked.
    pub keys: Vec<Key>,
    /// The names asked of each, where only some were.
    pub subsets: Vec<Option<Vec<Arc<str>>>>,
}

/// The scripted source, named `fake`. Cheap to clone; clones are one source.
#[derive(Clone)]
pub struct FakeSource {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    gate: Arc<Semaphore>,
}

struct State {
    policy: Policy,
    entries: BTreeMap<Key, Vec<Arc<str>>>,
    unlisted: Vec<Key>,
    findings: HashMap<Arc<str>, Finding>,
    edition: HashMap<Key, u32>,
    down: Option<FetchError>,
    absent: Vec<Key>,
    latency: Duration,
    gated: bool,
    calls: Vec<Call>,
}

/// Plenty: nobody waits at an open gate.
const OPEN: usize = Semaphore::MAX_PERMITS >> 1;

impl FakeSource {
    /// A source that answers at once, with nothing configured.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            policy: Policy { jitter: 0.0, ..Policy::default() },
            entries: BTreeMap::new(),
            unlisted: Vec::new(),
            findings: HashMap::new(),
            edition: HashMap::new(),
            down: None,
            absent: Vec::new(),
            latency: Duration::ZERO,
            gated: false,
            calls: Vec::new(),
        };
        FakeSource { clock, state: Arc::new(Mutex::new(state)), gate: Arc::new(Semaphore::new(0)) }
    }

    /// Configures (or edits) an entry and the names it asks for, and answers its key.
    pub fn entry(&self, name: &str, names: &[&str]) -> Key {
        let Ok(key) = Key::new("fake", &[name]) else { unreachable!("a test's name fits a key") };
        let mut state = self.state();
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        for name in &names {
            state
                .findings
                .entry(name.clone())
                .or_insert_with(|| Finding::Present(item(name, 1, Scope::Public)));
        }
        let edited = state.entries.insert(key.clone(), names.clone()).is_some_and(|before| before != names);
        *state.edition.entry(key.clone()).or_default() += u32::from(edited);
        key
    }

    /// Takes an entry out of the configuration.
    pub fn forget(&self, key: &Key) {
        self.state().entries.remove(key);
    }

    /// Leaves an entry out of the list of all: it is known to whoever names it.
    pub fn unlist(&self, key: &Key) {
        self.state().unlisted.push(key.clone());
    }

    /// Sets every entry's policy.
    pub fn policy(&self, policy: Policy) {
        self.state().policy = policy;
    }

    /// What is there under a name: revision `rev` of a public item.
    pub fn present(&self, name: &str, rev: u64) {
        self.find(name, Finding::Present(item(name, rev, Scope::Public)));
    }

    /// The same, of an item that only readers of its repository may see.
    pub fn private(&self, name: &str, rev: u64) {
        let scope = Scope::Repo(format!("example.com/{name}").into());
        self.find(name, Finding::Present(item(name, rev, scope)));
    }

    /// What is there under a name says more than any store can keep.
    pub fn unfit(&self, name: &str) {
        let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
        self.find(
            name,
            Finding::Present(NewItem { doc: Json::trusted(deep), ..item(name, 1, Scope::Public) }),
        );
    }

    /// Nothing is there under a name.
    pub fn absent(&self, name: &str) {
        self.find(name, Finding::Absent(Absence::new("not_found", "it does not exist")));
    }

    /// A name cannot be answered for.
    pub fn unknown(&self, name: &str) {
        let error = FetchError::Partial { host: "fake".to_owned(), detail: "left out".to_owned() };
        self.find(name, Finding::Unknown(error));
    }

    /// Fails every call with `error` from now on; `None` = works again.
    pub fn down(&self, error: Option<FetchError>) {
        self.state().down = error;
    }

    /// The whole entry does not exist upstream.
    pub fn no_such_entry(&self, key: &Key) {
        self.state().absent.push(key.clone());
    }

    /// How long each call takes, on the clock.
    pub fn latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// From now on each call waits, once it has been noted, until [`open_gate`](Self::open_gate).
    pub fn close_gate(&self) {
        self.state().gated = true;
    }

    /// Lets everybody through again.
    pub fn open_gate(&self) {
        self.state().gated = false;
        self.gate.add_permits(OPEN);
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many calls so far.
    pub fn call_count(&self) -> usize {
        self.state().calls.len()
    }

    fn find(&self, name: &str, finding: Finding) {
        self.state().findings.insert(name.into(), finding);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the call, then takes as long as it should.
    async fn arrive(&self, asks: &[Ask]) {
        let (latency, gated) = {
            let mut state = self.state();
            state.calls.push(Call {
                keys: asks.iter().map(|ask| ask.key.clone()).collect(),
                subsets: asks.iter().map(|ask| ask.subset.clone()).collect(),
            });
            (state.latency, state.gated)
        };
        if !latency.is_zero() {
            self.clock.sleep(latency).await;
        }
        if gated {
            // The gate is never closed for good, so there is a permit some time.
            let _permit = self.gate.acquire().await;
        }
    }

    fn answer(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        let state = self.state();
        if let Some(error) = &state.down {
            return Err(error.clone());
        }
        if state.absent.contains(&ask.key) {
            return Ok(Fetched::Absent(Absence::new("not_found", "there is no such entry")));
        }
        let names = ask.subset.clone().or_else(|| state.entries.get(&ask.key).cloned()).unwrap_or_default();
        let answer = |asked: Arc<str>| {
            let nothing = || Finding::Absent(Absence::new("not_found", "it does not exist"));
            let finding = state.findings.get(&asked).cloned().unwrap_or_else(nothing);
            Answer { asked, finding }
        };
        Ok(Fetched::Items(Listing { answers: names.into_iter().map(answer).collect(), ..Listing::default() }))
    }
}

fn item(name: &str, rev: u64, scope: Scope) -> NewItem {
    NewItem {
        of: ItemRef::new("thing", name),
        scope,
        doc: Json::from(serde_json::json!({"name": name, "rev": rev})),
        coverage: Coverage::Whole,
    }
}

#[async_trait]
impl Source for FakeSource {
    #[expect(clippy::unnecessary_literal_bound, reason = "the trait's signature")]
    fn name(&self) -> &str {
        "fake"
    }

    fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        let state = self.state();
        let names: Arc<[Arc<str>]> = state.entries.get(key)?.clone().into();
        let edition = state.edition.get(key).copied().unwrap_or_default();
        let fingerprint = Fingerprint::of(&[key.as_str(), &edition.to_string()]);
        let definition = Definition::new(fingerprint, state.policy.clone());
        Some(Arc::new(Definition { names: Some(names), tags: vec!["fake".to_owned()], ..definition }))
    }

    fn keys(&self) -> Vec<Key> {
        let state = self.state();
        state.entries.keys().filter(|key| !state.unlisted.contains(key)).cloned().collect()
    }

    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError> {
        self.arrive(std::slice::from_ref(ask)).await;
        self.answer(ask)
    }

    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        self.arrive(asks).await;
        for (index, ask) in asks.iter().enumerate() {
            let spent = if index == 0 { Spent { calls: 1, cost: 1 } } else { Spent::default() };
            answers.send(&ask.key, self.answer(ask), spent);
        }
    }
}
