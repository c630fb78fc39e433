//! The port of whatever can fetch an entry.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Definition, FetchError, Fetched, Json, Key, Member, Priority, Spent, Time, Trigger, Validators};

/// One entry's fetch, as the engine asks a source for it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which entry.
    pub key: Key,
    /// Its definition.
    pub definition: Arc<Definition>,
    /// The names to ask for, where only some of an entry are still unknown; `None` = all.
    pub subset: Option<Vec<Arc<str>>>,
    /// What is held already, to revalidate with; empty for a first fetch or an edited definition.
    pub validators: Validators,
    /// Where the next delta goes on.
    pub cursor: Option<String>,
    /// The entry's own document as held.
    pub body: Option<Json>,
    /// The members as held, for a source that goes on from them.
    pub held: Vec<Member>,
    /// What asked for it.
    pub trigger: Trigger,
    /// How urgent it is when the budget runs short.
    pub priority: Priority,
    /// When the engine gives up waiting.
    pub deadline: Time,
}

/// Where a source puts its answers, each as soon as it has it: what was answered before a time-out
/// is kept.
pub struct Answers(Box<Deliver>);

type Deliver = dyn Fn(&Key, Result<Fetched, FetchError>, Spent) + Send + Sync;

impl Answers {
    /// Answers that go to `deliver`.
    pub fn new(deliver: impl Fn(&Key, Result<Fetched, FetchError>, Spent) + Send + Sync + 'static) -> Self {
        Answers(Box::new(deliver))
    }

    /// Answers one entry. Only the first answer to a key counts.
    pub fn send(&self, key: &Key, answer: Result<Fetched, FetchError>, spent: Spent) {
        (self.0)(key, answer, spent);
    }
}

/// What an index made a difference to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Learned {
    /// Entries that there were not before.
    pub came: Vec<Key>,
    /// Entries that there are no more, by no index.
    pub gone: Vec<Key>,
}

/// Something that can fetch entries: GitHub's clusters, a folder of projects, an API of your own.
///
/// A source says what an entry is meant to be ([`define`](Source::define), no I/O) and fetches it.
/// It never retries on a schedule, never stores, never decides about freshness: the engine does.
///
/// A source that calls an upstream asks [`Budgets`](crate::Budgets) before each call, and tells what the
/// upstream said. An event, a hand, an invalidation end an entry's backoff, as they must where a file
/// that changed heals what failed; they do not end a Retry-After, which means all that would be sent.
#[async_trait]
pub trait Source: Send + Sync {
    /// The first part of its keys: lower-case letters, digits, `-`, `_`.
    fn name(&self) -> &str;

    /// What the entry is meant to be; `None` = not configured, or no such thing.
    fn define(&self, key: &Key) -> Option<Arc<Definition>>;

    /// The configured entries but for its [`indexes`](Source::indexes). Empty where any name goes.
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Those of its entries whose documents say which others there are, as the folders that hold
    /// projects do. What they say is [learned](Source::learn) before the others are asked for.
    fn indexes(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Hears what one of its [`indexes`](Source::indexes) says now; `None` = it is not held. From
    /// then on [`keys`](Source::keys) and [`define`](Source::define) answer by it.
    fn learn(&self, _index: &Key, _body: Option<&Json>) -> Learned {
        Learned::default()
    }

    /// Whether a fetch that is under way when its process is asked to end is let come in first. Not where
    /// nobody else was asked: what was not looked at now is looked at another time, and nothing is lost.
    fn is_worth_waiting_for(&self) -> bool {
        true
    }

    /// Fetches one entry. It may be dropped at any await, when the hard time-out passes.
    async fn fetch(&self, ask: &Ask) -> Result<Fetched, FetchError>;

    /// Fetches many as one batch. By default each on its own, all at once, one call each.
    async fn fetch_many(&self, asks: &[Ask], answers: &Answers) {
        let each = asks.iter().map(async |ask| {
            let answer = self.fetch(ask).await;
            answers.send(&ask.key, answer, Spent { calls: 1, cost: 1 });
        });
        futures::future::join_all(each).await;
    }
}
