//! The listener: binds, serves connections within limits, keeps the background tasks, and stops
//! without cutting anybody off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use larder_core::StoreError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::access::Secrets;
use crate::app::{App, Site};
use crate::connection::Connection;
use crate::stop::Stop;
use crate::{api, guard, pack, watch, web};

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("could not listen on {address}: {cause}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// In the system's words.
        cause: std::io::Error,
    },
    /// The system gives no chance to make keys of.
    #[error("the system has no randomness to give: {0}")]
    Chance(std::io::Error),
    /// The store could not be asked.
    #[error("the feed could not be read")]
    Store(#[from] StoreError),
}

/// A server that listens. Dropping it cuts everything off; [`stop`](Running::stop) does not.
pub struct Running {
    app: App,
    address: SocketAddr,
    stop: Arc<Stop>,
    connections: TaskTracker,
    tasks: Vec<JoinHandle<()>>,
}

/// Serves until `shutdown` completes, then stops as [`Running::stop`] does.
pub async fn serve(
    site: Site,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let running = start(site).await?;
    shutdown.await;
    running.stop().await;
    Ok(())
}

/// Binds and starts serving, on the runtime this is called from.
pub async fn start(site: Site) -> Result<Running, ServeError> {
    let listen = site.settings.listen;
    let bind_error = |cause| ServeError::Bind { address: listen, cause };
    let listener = TcpListener::bind(listen).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    let secrets = Secrets::of(&site.settings, address).map_err(ServeError::Chance)?;
    let place = watch::first_place(&site).await?;
    let (app, extra) = App::new(site, address, secrets, place);
    // The first reader is shown what is held below a folder that went away since, too.
    if let Err(error) = app.engine.bounded("look up what there is", app.engine.learn()).await {
        tracing::debug!(%error, "what is held is learned later");
    }
    let running = Running {
        app: app.clone(),
        address,
        stop: Arc::default(),
        connections: TaskTracker::new(),
        tasks: Vec::new(),
    };
    Ok(running.begin(listener, router(&app, extra)))
}

/// All routes, behind the guard.
fn router(app: &App, extra: Option<Router>) -> Router {
    let own = api::routes()
        .merge(web::routes())
        .fallback(web::not_found)
        .method_not_allowed_fallback(web::not_allowed)
        .with_state(app.clone());
    let all = match extra {
        Some(extra) => own.merge(extra),
        None => own,
    };
    all.method_not_allowed_fallback(api::not_allowed)
        .layer(axum::extract::DefaultBodyLimit::max(app.settings.body_bytes_max))
        .layer(axum::middleware::from_fn(pack::pack))
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::check))
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: accepts nobody any more, lets answers and fetches under way come in for as long as
    /// the settings say, then lets go of them.
    pub async fn stop(mut self) {
        let drain = self.app.settings.drain;
        self.stop.close();
        self.app.stopping.cancel();
        self.app.engine.let_go_of_near();
        self.connections.close();
        tokio::select! {
            biased;
            () = self.connections.wait() => {}
            () = self.app.clock.sleep(drain) => {}
        }
        self.stop.cut();
        if !self.app.engine.shutdown(drain).await {
            tracing::info!("fetches that were under way were let go of");
        }
        for task in std::mem::take(&mut self.tasks) {
            // A task that panicked has said so already.
            let _ = task.await;
        }
    }

    fn begin(mut self, listener: TcpListener, router: Router) -> Self {
        let door = Door {
            app: self.app.clone(),
            router,
            stop: self.stop.clone(),
            connections: self.connections.clone(),
        };
        self.tasks.push(tokio::spawn(door.accept(listener)));
        self.tasks.push(tokio::spawn(watch::watch(self.app.clone())));
        self.tasks.push(tokio::spawn(until_stopped(self.app.clone(), keep_due)));
        self.tasks.push(tokio::spawn(until_stopped(self.app.clone(), sweep)));
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cut();
        self.app.stopping.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A stop waits for none of it: what is over is over, each transaction for itself, and the rest is due again.
async fn until_stopped<F: Future<Output = ()>>(app: App, work: impl FnOnce(App) -> F) {
    let stopping = app.stopping.clone();
    tokio::select! {
        biased;
        () = stopping.cancelled() => {}
        () = work(app) => {}
    }
}

/// Refreshes what is due until the engine stops.
async fn keep_due(app: App) {
    if let Err(error) = app.engine.reconcile().await {
        tracing::warn!(%error, "what is configured could not be noted");
    }
    app.engine.run(app.settings.due_every).await;
}

/// How often it is looked whether a sweep is due, and how soon after the start: where a server is started
/// anew every night, the store's own note says when one last was.
const SWEEP_LOOK: Duration = Duration::from_mins(10);

/// Sweeps once a day, whichever process it is that does. Each says as often what it has configured: one that sweeps
/// may have another configuration.
async fn sweep(app: App) {
    let every = app.settings.sweep_every;
    let mut vouched_at = app.clock.now();
    loop {
        app.clock.sleep(SWEEP_LOOK).await;
        let now = app.clock.now();
        // A clock that was ahead at the start is set back.
        if now < vouched_at || now.since(vouched_at) >= every {
            match app.engine.vouch().await {
                Ok(_) => vouched_at = now,
                Err(error) => tracing::warn!(%error, "what is configured could not be noted"),
            }
        }
        match app.engine.sweep_in_turn(&app.settings.retention, every).await {
            Ok(Some(swept)) => tracing::info!(?swept, "swept"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "what is past its retention could not be swept"),
        }
    }
}

/// What takes connections.
struct Door {
    app: App,
    router: Router,
    stop: Arc<Stop>,
    connections: TaskTracker,
}

/// How long to wait when the system has no more to give, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often those on which nothing happens are asked to make room.
const CROWDED_PAUSE: Duration = Duration::from_millis(250);

impl Door {
    async fn accept(self, listener: TcpListener) {
        let seats = Arc::new(Semaphore::new(self.app.settings.connections_max));
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.closing.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let taken = tokio::select! {
                        biased;
                        () = self.stop.closing.cancelled() => return,
                        taken = self.seat(&seats) => taken,
                    };
                    let Ok(seat) = taken else { return };
                    let connection = self.connection(stream, peer);
                    self.connections.spawn(async move {
                        connection.await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.app.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A place for a connection. Where there is none, those on which nothing happens make room: a thousand that
    /// say nothing would keep out whoever looks after the server's health.
    async fn seat(&self, seats: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(seat) = seats.clone().try_acquire_owned() {
            return Ok(seat);
        }
        let mut freed = std::pin::pin!(seats.clone().acquire_owned());
        loop {
            self.stop.crowded.notify_waiters();
            tokio::select! {
                biased;
                seat = &mut freed => return seat,
                () = self.app.clock.sleep(CROWDED_PAUSE) => {}
            }
        }
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + use<> {
        let connection =
            Connection { app: self.app.clone(), router: self.router.clone(), peer, stop: self.stop.clone() };
        connection.serve(stream)
    }
}
