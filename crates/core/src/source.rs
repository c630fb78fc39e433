//! The port of whatever can fetch an entry.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{
    Definition, Extent, FetchError, Fetched, Json, Key, Member, Priority, Spent, StoreError, Time, Trigger,
    Validators,
};

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
    pub held: Held,
    /// What asked for it.
    pub trigger: Trigger,
    /// How urgent it is when the budget runs short.
    pub priority: Priority,
    /// When the engine gives up waiting.
    pub deadline: Time,
}

/// The members of an entry as a store holds them: at hand, or looked up when they are first asked for.
#[derive(Clone, Default)]
pub struct Held {
    members: Arc<OnceLock<Vec<Member>>>,
    look_up: Option<Arc<LookUp>>,
}

type LookUp = dyn Fn() -> BoxFuture<'static, Result<Vec<Member>, StoreError>> + Send + Sync;

impl Held {
    /// Members that `look_up` answers, when they are asked for.
    pub fn later(
        look_up: impl Fn() -> BoxFuture<'static, Result<Vec<Member>, StoreError>> + Send + Sync + 'static,
    ) -> Self {
        Held { members: Arc::default(), look_up: Some(Arc::new(look_up)) }
    }

    /// The members, looked up where they are not at hand. The error is the store's.
    pub async fn members(&self) -> Result<&[Member], StoreError> {
        if let (None, Some(look_up)) = (self.members.get(), &self.look_up) {
            let found = look_up().await?;
            // Of two who looked at once the first is believed by both.
            let _ = self.members.set(found);
        }
        Ok(self.at_hand())
    }

    /// Those that are at hand: all of them for a source that is given [all](Source::extent) of an entry.
    pub fn at_hand(&self) -> &[Member] {
        self.members.get().map_or(&[], Vec::as_slice)
    }
}

impl From<Vec<Member>> for Held {
    fn from(members: Vec<Member>) -> Self {
        Held { members: Arc::new(OnceLock::from(members)), look_up: None }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.at_hand()).finish()
    }
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

    /// The configured entries but for its [`indexes`](Source::indexes). Empty where any name goes. What is
    /// held and not among them is kept and refreshed all the same while it is [defined](Source::define).
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Those of its entries whose documents say which others there are, as the folders that hold
    /// projects do. What they say is [learned](Source::learn) before the others are asked for.
    fn indexes(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Indexes that count only where something is held of them: folders that nobody named and that are not
    /// there. What they say is [learned](Source::learn) like the others', and makes those count that were there
    /// once: what they held is kept, as of any folder that is away, and its absence is told.
    fn awaited(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Whether what it does not know under that key is its own, and so gone. Not where others keep theirs under
    /// keys of the same source, as machines do with their folders: none could tell of another's what became of it.
    fn is_own(&self, _key: &Key) -> bool {
        true
    }

    /// How much of what is held its fetches are given. With [`Extent::Row`] the members are looked up when
    /// they are first [asked for](Held::members), which is for a source that tells by its cursor that
    /// nothing changed; it answers in [deltas](crate::Delta) alone, whose members are all shown.
    fn extent(&self) -> Extent {
        Extent::Whole
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

    /// How many of its entries are fetched at once, where many are wanted together. The engine hands it the
    /// next one, by urgency, as one is done; until then that one's time does not run, and nobody holds its lease.
    /// By default all of them: for a source that puts many into few calls, or makes none.
    fn at_once(&self) -> usize {
        usize::MAX
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
