//! The listener: binds, serves connections within limits, keeps the background tasks, and stops
//! without cutting anybody off.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use larder_core::StoreError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{ServiceExt as _, service_fn};

use crate::access::{Peer, Secret};
use crate::app::{App, Site};
use crate::problem::Problem;
use crate::{api, fast, guard, pack, watch, web};

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
    /// Ends the listener, and tells connections to end with the answer under way.
    closing: CancellationToken,
    /// Ends connections at once.
    cutting: CancellationToken,
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
    let secret = Secret::random().map_err(ServeError::Chance)?;
    let place = watch::first_place(&site).await?;
    let (app, extra) = App::new(site, address, secret, place);
    let running = Running {
        app: app.clone(),
        address,
        closing: CancellationToken::new(),
        cutting: CancellationToken::new(),
        connections: TaskTracker::new(),
        tasks: Vec::new(),
    };
    Ok(running.begin(listener, router(&app, extra)))
}

/// All routes, behind the guard.
fn router(app: &App, extra: Option<Router>) -> Router {
    let own = api::routes().merge(web::routes()).fallback(web::not_found).with_state(app.clone());
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
        self.closing.cancel();
        self.app.stopping.cancel();
        self.connections.close();
        tokio::select! {
            biased;
            () = self.connections.wait() => {}
            () = self.app.clock.sleep(drain) => {}
        }
        self.cutting.cancel();
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
            closing: self.closing.clone(),
            cutting: self.cutting.clone(),
            connections: self.connections.clone(),
        };
        self.tasks.push(tokio::spawn(door.accept(listener)));
        self.tasks.push(tokio::spawn(watch::watch(self.app.clone())));
        self.tasks.push(tokio::spawn(keep_due(self.app.clone())));
        self.tasks.push(tokio::spawn(sweep(self.app.clone())));
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.closing.cancel();
        self.cutting.cancel();
        self.app.stopping.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Refreshes what is due until the engine stops.
async fn keep_due(app: App) {
    if let Err(error) = app.engine.reconcile().await {
        tracing::warn!(%error, "what is configured could not be noted");
    }
    tokio::select! {
        biased;
        () = app.stopping.cancelled() => {}
        () = app.engine.run(app.settings.due_every) => {}
    }
}

/// Sweeps once a day.
async fn sweep(app: App) {
    loop {
        tokio::select! {
            biased;
            () = app.stopping.cancelled() => return,
            () = app.clock.sleep(app.settings.sweep_every) => {}
        }
        match app.engine.sweep(&app.settings.retention).await {
            Ok(swept) => tracing::info!(?swept, "swept"),
            Err(error) => tracing::warn!(%error, "what is past its retention could not be swept"),
        }
    }
}

/// What takes connections.
struct Door {
    app: App,
    router: Router,
    closing: CancellationToken,
    cutting: CancellationToken,
    connections: TaskTracker,
}

/// How long to wait when the system has no more to give, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Door {
    async fn accept(self, listener: TcpListener) {
        let seats = Arc::new(Semaphore::new(self.app.settings.connections_max));
        loop {
            let taken = tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                taken = seats.clone().acquire_owned() => taken,
            };
            let Ok(seat) = taken else { return };
            let accepted = tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
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

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + use<> {
        let (app, router) = (self.app.clone(), self.router.clone());
        let (closing, cutting) = (self.closing.clone(), self.cutting.clone());
        async move {
            // Small answers must not wait for each other.
            let _ = stream.set_nodelay(true);
            let head_timeout = app.settings.head_timeout;
            let service = service_fn(move |request: Request<Incoming>| {
                let (app, router) = (app.clone(), router.clone());
                async move { Ok::<_, std::convert::Infallible>(answer(app, router, request, peer).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head_timeout)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            let mut connection = std::pin::pin!(connection);
            let mut is_closing = false;
            loop {
                tokio::select! {
                    biased;
                    () = cutting.cancelled() => return,
                    // A reader that went away is not an error of ours.
                    _ = connection.as_mut() => return,
                    () = closing.cancelled(), if !is_closing => {
                        is_closing = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Answers one request, in its time, whatever becomes of the handler.
async fn answer(app: App, router: Router, request: Request<Incoming>, peer: SocketAddr) -> Response {
    let started = app.now();
    if let Some(response) = fast::hit(&app, &request, peer) {
        app.metrics.answered(response.status(), Duration::ZERO);
        return response;
    }
    let client = client(&app.settings.trusted_proxies, request.headers(), peer.ip());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    let work = AssertUnwindSafe(router.oneshot(request)).catch_unwind();
    let mut work = std::pin::pin!(work);
    // What is answered at once needs no alarm.
    let done = match futures::poll!(work.as_mut()) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => tokio::select! {
            biased;
            done = work => Some(done),
            () = app.clock.sleep(app.settings.request_timeout) => None,
        },
    };
    let response = match done {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(never))) => match never {},
        Some(Err(_)) => {
            let detail = "the request met a fault of the server's own";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", detail).into_response()
        }
        None => {
            let detail = "the answer took too long";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", detail).into_response()
        }
    };
    let took = app.now().since(started);
    app.metrics.answered(response.status(), took);
    let status = response.status().as_u16();
    tracing::debug!(%client, %method, path, status, took_ms = took.as_millis() as u64, "answered");
    response
}

/// Who asks, for the log: what a trusted proxy says of it, read from the right, since the left is
/// whatever the client wrote.
fn client(trusted: &[IpAddr], headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let named = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = named.flat_map(|value| value.split(',')).collect();
    let mut client = peer.to_canonical();
    for name in named.into_iter().rev() {
        if !trusted.contains(&client) {
            break;
        }
        let Ok(address) = name.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_trusted_proxy_says_is_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "192.0.2.1, 203.0.113.9".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(client(&trusted, &headers, ip("10.0.0.1")), ip("203.0.113.9"));
        assert_eq!(client(&trusted[..1], &headers, ip("10.0.0.1")), ip("10.0.0.2"));
        assert_eq!(client(&trusted, &headers, ip("198.51.100.7")), ip("198.51.100.7"));
    }
}
