//! The engine itself: its ports, its settings, its life.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use larder_core::{Clock, Definition, Key, Source, Store};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::announce::{Announcement, Announcer, Broadcast};
use crate::flights::Flights;
use crate::follow::{self, News};
use crate::gather::Gathered;
use crate::indexes::{Learning, Untold};
use crate::reach::Reach;
use crate::tier::Tier;
use crate::watched::Watched;

/// How long an engine that stops waits for the store: leases last no longer than that, unless they are
/// configured to.
const LETTING_GO_MAX: Duration = Duration::from_secs(15);

/// Reads, refreshes and keeps entries. Cheap to clone; clones are one engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sources: BTreeMap<String, Arc<dyn Source>>,
    pub(crate) owner: Arc<str>,
    pub(crate) flights: Flights,
    pub(crate) announcer: Announcer,
    tier: OnceLock<Tier>,
    pub(crate) gathered: Gathered,
    pub(crate) reach: Arc<Reach>,
    pub(crate) untold: Untold,
    pub(crate) learning: Learning,
    /// The store as [`within_reach`](Engine::within_reach) and the follower ask it.
    pub(crate) watched: Watched,
    pub(crate) news: Broadcast<News>,
    /// The place of the feed up to which it was followed.
    pub(crate) place: AtomicU64,
    pub(crate) is_followed: AtomicBool,
    /// Wakes the follower: this engine committed something.
    pub(crate) committed: Notify,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// The same for what is not worth waiting for: it ends when the stop begins.
    pub(crate) closing: CancellationToken,
    /// Something was marked due by this very engine: [`run`](Engine::run) need not wait its turn.
    pub(crate) marked: Arc<Notify>,
    chance: Mutex<fastrand::Rng>,
}

/// Sets an engine up.
pub struct Builder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sources: BTreeMap<String, Arc<dyn Source>>,
    owner: String,
    seed: u64,
    memory_bytes_max: u64,
}

impl Builder {
    /// Adds a source. Two of one name: the later one stands.
    #[must_use]
    pub fn source(mut self, source: Arc<dyn Source>) -> Self {
        self.sources.insert(source.name().to_owned(), source);
        self
    }

    /// Names this engine among all that share the store: host, process and a number. People read
    /// it where a lease is shown.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// Seeds the chance that spreads lifetimes and waits.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keeps copies in memory, of at most so many bytes, for a process that lives long enough to
    /// [`follow`](Engine::follow) the store: a copy is believed only while it does. 0 = none.
    #[must_use]
    pub fn memory(mut self, bytes_max: u64) -> Self {
        self.memory_bytes_max = bytes_max;
        self
    }

    /// The engine. Nothing is looked up, fetched or started before it is asked.
    pub fn build(self) -> Engine {
        let stopping = CancellationToken::new();
        let marked = Arc::new(Notify::new());
        let reach = Arc::new(Reach::new());
        let watched = Watched::new(self.store, self.clock.clone(), reach.clone());
        let engine = Engine {
            inner: Arc::new(Inner {
                store: Arc::new(watched.clone()),
                watched,
                clock: self.clock,
                sources: self.sources,
                owner: self.owner.into(),
                flights: Flights::new(marked.clone()),
                announcer: Announcer::new(),
                tier: OnceLock::new(),
                gathered: Gathered::default(),
                reach,
                untold: Untold::default(),
                learning: Learning::default(),
                news: Broadcast::new(follow::BACKLOG_MAX),
                place: AtomicU64::new(0),
                is_followed: AtomicBool::new(false),
                committed: Notify::new(),
                tasks: TaskTracker::new(),
                closing: stopping.child_token(),
                stopping,
                marked,
                chance: Mutex::new(fastrand::Rng::with_seed(self.seed)),
            }),
        };
        engine.remember(self.memory_bytes_max);
        engine
    }
}

impl Engine {
    /// Starts setting an engine up.
    pub fn builder(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Builder {
        Builder {
            store,
            clock,
            sources: BTreeMap::new(),
            owner: "larder".to_owned(),
            seed: 0,
            memory_bytes_max: 0,
        }
    }

    /// The store, for lists, logs and the feed.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// As [`Builder::memory`], for a process that learns only later that it lives long. Answers
    /// whether there is memory now; the first size stands.
    pub fn remember(&self, bytes_max: u64) -> bool {
        if bytes_max > 0 {
            self.inner.tier.get_or_init(|| Tier::new(bytes_max));
        }
        self.inner.tier().is_some()
    }

    /// The configured entries of all sources, by source and in their own order, a source's indexes
    /// first.
    pub fn keys(&self) -> Vec<Key> {
        let all = self.inner.sources.values();
        all.flat_map(|source| source.indexes().into_iter().chain(source.keys())).collect()
    }

    /// Whether this process is refreshing an entry, or will as soon as those before it are done: only then does the
    /// entry's row tell of a lease.
    pub fn is_under_way(&self, key: &Key) -> bool {
        self.inner.flights.has(key)
    }

    /// What an entry is meant to be; `None` = no source knows it.
    pub fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        self.inner.sources.get(key.source())?.define(key)
    }

    /// Hears of every commit of this engine from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Announcement> {
        self.inner.announcer.subscribe()
    }

    /// Ends at once the fetches that are not [worth waiting for](larder_core::Source::is_worth_waiting_for),
    /// as [`shutdown`](Engine::shutdown) does first: for whoever waits for readers before that, since
    /// readers wait for such fetches.
    pub fn let_go_of_near(&self) {
        self.inner.closing.cancel();
    }

    /// Stops: nothing new is started, fetches under way that are
    /// [worth it](larder_core::Source::is_worth_waiting_for) get `grace` to come in, then they are let go
    /// of without counting as attempts. Answers whether all came in.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.inner.tasks.close();
        self.inner.closing.cancel();
        let drained = tokio::select! {
            biased;
            () = self.inner.tasks.wait() => true,
            () = self.inner.clock.sleep(grace) => false,
        };
        self.inner.stopping.cancel();
        self.let_go().await;
        drained
    }

    /// Lets go of everything under way at once, as [`shutdown`](Engine::shutdown) without grace.
    pub async fn interrupt(&self) {
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.let_go().await;
    }

    /// Waits for what is let go of. A store that hangs is not waited for longer than leases last.
    async fn let_go(&self) {
        tokio::select! {
            biased;
            () = self.inner.tasks.wait() => {}
            () = self.inner.clock.sleep(LETTING_GO_MAX) => {
                tracing::warn!("the store did not answer: leases that are held end by themselves");
            }
        }
    }
}

impl Inner {
    /// The copies in memory, where any are kept.
    pub(crate) fn tier(&self) -> Option<&Tier> {
        self.tier.get()
    }

    /// What ends a source's fetches that are under way.
    pub(crate) fn end_of(&self, source: &dyn Source) -> &CancellationToken {
        if source.is_worth_waiting_for() { &self.stopping } else { &self.closing }
    }

    /// A number in 0 ≤ x < 1.
    pub(crate) fn chance(&self) -> f64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}
