//! What a server is made of, and what all its requests share.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_core::{Budgets, Clock, Key, Retention, Store, Time};
use larder_domain::{ClustersConfig, RegistryRules};
use larder_engine::Engine;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::access::Secrets;
use crate::entries::Counts;
use crate::events::Events;
use crate::faces::Faces;
use crate::metrics::Metrics;
use crate::tier::Tier;
use crate::trackers::TRACKERS_SOURCE;
use crate::web::Demo;

/// What a server is made of.
pub struct Site {
    /// Reads and refreshes; its store is what lists, logs and the feed are read from. Its sources and clock are
    /// the ones below.
    pub engine: Engine,
    /// What may still be spent upstream.
    pub budgets: Arc<dyn Budgets>,
    /// The clusters, and what is said of their repositories.
    pub clusters: ClustersConfig,
    /// How the registry looks.
    pub rules: RegistryRules,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How it serves.
    pub settings: Settings,
    /// More routes, such as the demo's panel. They pass the same checks of Host and Origin.
    pub extra: Option<axum::Router>,
}

/// How a server serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Lets its bearer see what is private.
    pub read_token: Option<SecretString>,
    /// Lets its bearer see what is private, and refresh and invalidate at will.
    pub admin_token: Option<SecretString>,
    /// Names, besides loopback's, that a request's `Host` may have; a port is not compared.
    pub allowed_hosts: Vec<String>,
    /// Addresses whose `X-Forwarded-For` is believed in logs. A forwarded request is never local.
    pub trusted_proxies: Vec<IpAddr>,
    /// The most connections at once; more wait to be accepted.
    pub connections_max: usize,
    /// The most open event streams.
    pub streams_max: usize,
    /// The most bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long a request may take, event streams apart.
    pub request_timeout: Duration,
    /// How long a connection may take for a request's head, stay idle, or take nothing of an answer.
    pub head_timeout: Duration,
    /// How many bytes of entries the engine keeps in memory, and how many of serialised answers the
    /// server does: each so many, unless the engine has memory already.
    pub memory_bytes_max: u64,
    /// How often the store is looked at for what other processes changed.
    pub watch_every: Duration,
    /// How long a store that is out of reach is waited for at the start.
    pub store_wait: Duration,
    /// How often what is due is looked for.
    pub due_every: Duration,
    /// How often what is past its retention is swept, by whichever process on the store.
    pub sweep_every: Duration,
    /// How long things are kept.
    pub retention: Retention,
    /// How long a stop waits for requests and fetches under way.
    pub drain: Duration,
    /// The demo's panel, on a demo's pages.
    pub demo: Option<Demo>,
}

impl Settings {
    /// The defaults, at this address.
    pub fn new(listen: SocketAddr) -> Self {
        Settings {
            listen,
            read_token: None,
            admin_token: None,
            allowed_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            connections_max: 1024,
            streams_max: 256,
            body_bytes_max: 64 * 1024,
            request_timeout: Duration::from_mins(1),
            head_timeout: Duration::from_secs(30),
            memory_bytes_max: 64 << 20,
            watch_every: Duration::from_millis(50),
            store_wait: Duration::from_secs(30),
            due_every: Duration::from_secs(1),
            sweep_every: Retention::EVERY,
            retention: Retention::default(),
            drain: Duration::from_secs(10),
            demo: None,
        }
    }
}

/// What all requests share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

/// The parts of an [`App`].
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) budgets: Arc<dyn Budgets>,
    pub(crate) clusters: ClustersConfig,
    pub(crate) rules: RegistryRules,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    /// Where it really listens.
    pub(crate) address: SocketAddr,
    pub(crate) secrets: Secrets,
    pub(crate) tier: Tier,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) counts: Counts,
    pub(crate) faces: Faces,
    pub(crate) forced: crate::api::Forced,
    /// The configured ones of the entries of which a source knows more.
    pub(crate) trackers: HashSet<Key>,
    /// Ends event streams and background tasks.
    pub(crate) stopping: CancellationToken,
}

impl App {
    pub(crate) fn new(
        site: Site,
        address: SocketAddr,
        secrets: Secrets,
        place: u64,
    ) -> (Self, Option<axum::Router>) {
        let tier = Tier::new(site.settings.memory_bytes_max);
        let events = Events::new(site.settings.streams_max, place);
        let trackers = site.engine.keys_of(TRACKERS_SOURCE).into_iter().collect();
        let shared = Shared {
            // Nobody who asks it for a request waits long for one that is out of reach.
            store: site.engine.within_reach(),
            engine: site.engine,
            budgets: site.budgets,
            clusters: site.clusters,
            rules: site.rules,
            clock: site.clock,
            settings: site.settings,
            address,
            secrets,
            tier,
            events,
            metrics: Metrics::default(),
            counts: Counts::default(),
            faces: Faces::default(),
            forced: crate::api::Forced::default(),
            trackers,
            stopping: CancellationToken::new(),
        };
        (App(Arc::new(shared)), site.extra)
    }

    /// What tells this one from all others, for as long as it is kept; it keeps nothing alive.
    pub(crate) fn mark(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    /// Whether a mark is its.
    pub(crate) fn is(&self, mark: &Weak<Shared>) -> bool {
        std::ptr::eq(mark.as_ptr(), Arc::as_ptr(&self.0))
    }

    /// The time.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
