//! The long way of a request: through hyper, the guard and the router.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use larder_core::Time;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use crate::access::Peer;
use crate::alarm::Alarm;
use crate::app::App;
use crate::connection::Connection;
use crate::crowd::{Crowd, HALF_WAY, IDLE};
use crate::inbox::{HEAD_BYTES_MAX, Inbox};
use crate::problem::Problem;
use crate::refused::refusal;
use crate::relay::Relay;
use crate::turn::{At, Told, Turn};

/// An answer on its way to hyper.
type Answering = Pin<Box<dyn Future<Output = Result<hyper::Response<Told>, Infallible>> + Send>>;

/// What of a connection hyper serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// The next request, which has so many bytes and no body.
    One(usize),
    /// All there is and will be.
    All,
}

impl Connection {
    /// Lets hyper serve its share. Gives the connection back if it goes on without hyper.
    pub(crate) async fn by_hyper(
        &self,
        stream: TcpStream,
        inbox: Inbox,
        share: Share,
    ) -> Option<(TcpStream, Inbox)> {
        let turn = Arc::new(Turn::default());
        let is_head = inbox.held().starts_with(b"HEAD ");
        let mut is_closing = self.stop.is_closing();
        let mut builder = http1::Builder::new();
        // Who has begun a request is let finish it, also where the server stops already.
        builder.max_buf_size(HEAD_BYTES_MAX).keep_alive(!is_closing);
        let relay = match share {
            Share::One(len) => {
                builder.header_read_timeout(None);
                Relay::lone(stream, inbox, len, turn.clone())
            }
            Share::All => {
                builder.timer(TokioTimer::new()).header_read_timeout(self.app.settings.head_timeout);
                Relay::all(stream, inbox, turn.clone())
            }
        };
        let (app, router, peer, said) = (self.app.clone(), self.router.clone(), self.peer, turn.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| -> Answering {
            let request = request.map(|body| said.begin(body));
            let answer = answer(app.clone(), router.clone(), request, peer);
            let said = said.clone();
            Box::pin(async move { Ok(answer.await.map(|body| Told::new(body, said))) })
        });
        let mut connection = builder.serve_connection(relay, service);
        let mut is_nudged = false;
        let mut cut = pin!(self.stop.cutting.cancelled());
        let mut closing = pin!(self.stop.closing.cancelled());
        let crowded = pin!(self.stop.crowded.notified());
        let mut patience = Patience {
            app: &self.app,
            turn: turn.clone(),
            crowd: Crowd::new(&self.stop, crowded),
            at: At::Rest,
            moved_at: self.app.now(),
            alarm: None,
        };
        let served = std::future::poll_fn(|cx| {
            loop {
                if cut.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(false);
                }
                if connection.poll_without_shutdown(cx).is_ready() {
                    return Poll::Ready(true);
                }
                // hyper would end at once what is but half a head.
                if !is_closing && closing.as_mut().poll(cx).is_ready() && turn.at() != At::Head {
                    is_closing = true;
                    Pin::new(&mut connection).graceful_shutdown();
                } else if turn.is_out() && !is_nudged {
                    // hyper shall ask once more, and hear that this was all.
                    is_nudged = true;
                } else {
                    return patience.poll(cx).map(|()| false);
                }
            }
        });
        if !served.await {
            return None;
        }
        let parts = connection.into_parts();
        let refused = parts.io.refused();
        let (mut stream, inbox) = parts.io.into_parts();
        if turn.is_over() && parts.read_buf.is_empty() && !is_closing {
            return Some((stream, inbox));
        }
        if let Some(status) = refused {
            // Behind an answer nobody knows what was asked for.
            self.refuse(&mut stream, status, is_head && !turn.is_out()).await;
        }
        // A reader that went away is not an error of ours.
        let _ = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await;
        None
    }

    /// Says that a head could not be read. Who does not take so little at once is not waited for.
    async fn refuse(&self, stream: &mut TcpStream, status: StatusCode, is_head: bool) {
        self.app.metrics.answered(status, Duration::ZERO);
        tracing::debug!(peer = %self.peer, status = status.as_u16(), "refused");
        let answer = refusal(status, is_head, self.app.now());
        std::future::poll_fn(|cx| {
            let _ = Pin::new(&mut *stream).poll_write(cx, &answer);
            Poll::Ready(())
        })
        .await;
    }
}

/// How long one is waited for of whom nothing comes, or who takes nothing of his answer. An event
/// stream on which nothing happens has nothing to be taken, and stays.
struct Patience<'a, 's> {
    app: &'a App,
    turn: Arc<Turn>,
    crowd: Crowd<'a, 's>,
    /// What hyper was at when this was looked at last, and since when it was at that and nothing came
    /// or went.
    at: At,
    moved_at: Time,
    /// Set while the answer waits to be taken.
    alarm: Option<Alarm<'a>>,
}

impl Patience<'_, '_> {
    /// Completes when it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (has_moved, at) = (self.turn.has_moved(), self.turn.at());
        if has_moved || at != self.at {
            (self.at, self.moved_at) = (at, self.app.now());
        }
        let longest = match at {
            At::Rest => Some(IDLE),
            At::Head | At::Body | At::Stuck => Some(HALF_WAY),
            At::Answer => None,
        };
        let quiet_for = self.app.now().since(self.moved_at);
        if self.crowd.asks(cx) && longest.is_some_and(|longest| quiet_for >= longest) {
            return Poll::Ready(());
        }
        if at != At::Stuck {
            self.alarm = None;
            return Poll::Pending;
        }
        let app = self.app;
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(&*app.clock, app.settings.head_timeout));
        if has_moved {
            alarm.heard_now();
        }
        alarm.poll(cx)
    }
}

/// Answers one request, in its time, whatever becomes of the handler.
async fn answer(app: App, router: Router, mut request: Request, peer: SocketAddr) -> Response {
    let started = app.now();
    let client = client(&app.settings.trusted_proxies, request.headers(), peer.ip());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(Peer(peer));
    let work = AssertUnwindSafe(router.oneshot(request)).catch_unwind();
    let mut work = pin!(work);
    // What is answered at once needs no alarm.
    let done = match futures::poll!(work.as_mut()) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => tokio::select! {
            biased;
            done = work => Some(done),
            () = app.clock.sleep(app.settings.request_timeout) => None,
        },
    };
    let mut response = match done {
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
    if response.status() == StatusCode::NOT_MODIFIED {
        // The router takes the body that is left out for one of no bytes.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
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
