//! The simulator as a thing that runs: started, turned, read and stopped from code.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::control;
use crate::faults::Faults;
use crate::graphql::Schema;
use crate::handle::handle;
use crate::limits::{Ledger, Limits};
use crate::log::{Log, LoggedRequest};
use crate::shared::{Now, Shared, Sleep, State};
use crate::switches::Switches;
use crate::wire::{Connection, Wire};
use crate::world::World;

/// How a simulator runs. The default listens on a free port of 127.0.0.1, by the wall clock, under GitHub's limits.
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What time it is.
    pub now: Now,
    /// How `latency_ms` and slow queries wait.
    pub sleep: Sleep,
    /// What `flaky` is drawn from.
    pub seed: u64,
    /// The limits at the start.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            now: wall_clock(),
            sleep: real_sleep(),
            seed: 0,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// Runs by this clock, in milliseconds since 1970.
    #[must_use]
    pub fn with_now(mut self, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Starts with these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Listens here.
    #[must_use]
    pub fn with_listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the default clock of a program run by hand; tests pass their own"
)]
fn wall_clock() -> Now {
    Arc::new(|| jiff::Timestamp::now().as_millisecond())
}

#[expect(clippy::disallowed_methods, reason = "latency is real unless a test passes its own sleep")]
fn real_sleep() -> Sleep {
    Arc::new(|span: Duration| Box::pin(tokio::time::sleep(span)))
}

/// A running simulator. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: Option<JoinHandle<io::Result<()>>>,
}

impl Simulator {
    /// Binds and serves, on the runtime this is called from. Errors when the address cannot be bound.
    pub async fn start(world: World, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let ledger = Ledger::new(options.limits);
        let state = State { world: Arc::new(world), faults: Faults::default(), ledger, log: Log::default() };
        let origin = format!("http://{address}");
        let shared = Arc::new(Shared::new(state, options.now, options.sleep, options.seed, origin));
        let app = Router::new().merge(control::routes()).fallback(handle).with_state(Arc::clone(&shared));
        let ends = Arc::clone(&shared);
        let service = app.into_make_service_with_connect_info::<Connection>();
        let serve =
            axum::serve(Wire(listener), service).with_graceful_shutdown(async move { ends.stopped().await });
        let serving = tokio::spawn(async move { serve.await });
        Ok(Self { shared, address, serving: Some(serving) })
    }

    /// The base of its API: `{url}/graphql`, `{url}/repos/…`; also `{url}/api/v3` and `{url}/api/graphql`.
    pub fn url(&self) -> &str {
        &self.shared.origin
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The log, oldest first; the last 100,000 requests.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.state().log.all()
    }

    /// The log, emptied.
    pub fn take_requests(&self) -> Vec<LoggedRequest> {
        self.shared.state().log.take()
    }

    /// Completes once `total` requests have arrived since the start, answered or not: the marker for "the flight is
    /// in the air". Never completes if they do not.
    pub async fn arrived(&self, total: u64) {
        let mut arrived = self.shared.arrived.subscribe();
        // The sender lives in `self`, so this ends by the count alone.
        let _ = arrived.wait_for(|count| *count >= total).await;
    }

    /// Sets all switches at once; counters start anew, and held requests go on unless `hold` is set again.
    pub fn switch(&self, switches: Switches) {
        self.shared.switch(switches);
    }

    /// The switches as they stand: `Next` has counted down.
    pub fn switches(&self) -> Switches {
        self.shared.state().faults.switches().clone()
    }

    /// Changes the limits; what was spent stays spent.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.state().ledger.limits = limits;
    }

    /// Forgets what was spent of every limit.
    pub fn forget_spending(&self) {
        self.shared.state().ledger.forget();
    }

    /// Reads or changes the world; requests under way see it as it was when they were answered.
    pub fn world<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        change(Arc::make_mut(&mut self.shared.state().world))
    }

    /// Stops: nothing is accepted any more, and connections that are open are cut.
    pub async fn stop(mut self) {
        self.shared.stop();
        if let Some(serving) = self.serving.take()
            && let Err(error) = serving.await
        {
            tracing::warn!(%error, "the simulator's listener ended badly");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// The GraphQL schema the simulator serves, as text: a part of GitHub's own, which a test may check it against.
pub fn graphql_sdl() -> String {
    Schema::new().sdl()
}
