//! A network that breaks on demand: a TCP proxy between a program and what it talks to, a database or
//! any other server, which a test cuts, stalls, slows and counts.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_core::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of bytes on their way.
#[derive(Clone, Default)]
pub enum Way {
    /// They go through.
    #[default]
    Open,
    /// They stay: connections are accepted, nothing is forwarded, and nobody is told.
    Stalled,
    /// Each piece waits for so long before it goes through.
    Slow(Duration, Arc<dyn Clock>),
    /// As `Slow`, and a piece is of so few bytes that hardly a message comes whole.
    Trickling(Duration, Arc<dyn Clock>),
}

/// A piece of what trickles, in bytes.
const TRICKLE: usize = 32;

/// What went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Connections that were accepted.
    pub connections: u64,
    /// Those that are open now.
    pub open: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Bytes to the server.
    pub sent: u64,
    /// Bytes back.
    pub received: u64,
}

/// The proxy. It ends, and cuts all connections, when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    server: Mutex<String>,
    way: watch::Sender<Way>,
    /// Counts the cuts: a connection from before one ends.
    cuts: watch::Sender<u64>,
    /// Counts the times that all were forgotten.
    forgets: watch::Sender<u64>,
    refuses: watch::Sender<bool>,
    counted: Counted,
}

#[derive(Default)]
struct Counted {
    connections: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Proxy {
    /// Starts a proxy on a free port of the loopback, before `server` (`host:port`).
    pub async fn start(server: &str) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: Mutex::new(server.to_owned()),
            way: watch::Sender::new(Way::Open),
            cuts: watch::Sender::new(0),
            forgets: watch::Sender::new(0),
            refuses: watch::Sender::new(false),
            counted: Counted::default(),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Proxy { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections there are; new ones are served.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Forgets all connections there are, as a router does that has not seen them for long: they stay, nothing goes
    /// through them any more, and nobody is told. New ones are served.
    pub fn forget(&self) {
        self.shared.forgets.send_modify(|forgets| *forgets += 1);
    }

    /// Refuses new connections (they end as soon as they are made) until [`accept`](Proxy::accept).
    pub fn refuse(&self) {
        self.shared.refuses.send_replace(true);
    }

    /// Serves new connections again.
    pub fn accept(&self) {
        self.shared.refuses.send_replace(false);
    }

    /// Says what becomes of bytes from now on, on all connections.
    pub fn set(&self, way: Way) {
        self.shared.way.send_replace(way);
    }

    /// Leads new connections to another server.
    pub fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.shared.server.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What went through so far.
    pub fn traffic(&self) -> Traffic {
        let Counted { connections, open, refused, sent, received } = &self.shared.counted;
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        Traffic {
            connections: read(connections),
            open: read(open),
            refused: read(refused),
            sent: read(sent),
            received: read(received),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if *shared.refuses.borrow() {
            shared.counted.refused.fetch_add(1, Ordering::AcqRel);
            continue;
        }
        shared.counted.connections.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(serve(client, shared.clone()));
    }
}

/// One connection, until one of its ends closes it or it is cut.
async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let (mut cuts, mut forgets) = (shared.cuts.subscribe(), shared.forgets.subscribe());
    shared.counted.open.fetch_add(1, Ordering::AcqRel);
    // Holds both sockets, also while nothing goes through them.
    let mut forward = pin!(forward(client, &shared));
    tokio::select! {
        biased;
        // The senders live as long as `shared`, so that these complete for what they wait for alone.
        _ = cuts.changed() => {}
        _ = forgets.changed() => drop(cuts.changed().await),
        () = &mut forward => {}
    }
    shared.counted.open.fetch_sub(1, Ordering::AcqRel);
}

async fn forward(client: TcpStream, shared: &Shared) {
    let server = shared.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(server) = TcpStream::connect(server).await else { return };
    // What is small must not wait for more: a test counts round trips.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::join!(
        pump(client_read, server_write, shared, &shared.counted.sent),
        pump(server_read, client_write, shared, &shared.counted.received)
    );
}

/// One direction, until its reader ends; then the other end is told.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    shared: &Shared,
    counter: &AtomicU64,
) {
    let mut way = shared.way.subscribe();
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let mut rest = &piece[..length];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(pass(&mut way).await.min(rest.len()));
            if to.write_all(now).await.is_err() {
                return;
            }
            counter.fetch_add(now.len() as u64, Ordering::AcqRel);
            rest = later;
        }
    }
    // Whoever is gone already need not be told.
    let _ = to.shutdown().await;
}

/// Completes when a piece may go on, of so many bytes at most.
async fn pass(way: &mut watch::Receiver<Way>) -> usize {
    // The sender outlives all who wait for it.
    let open = way.wait_for(|way| !matches!(way, Way::Stalled)).await.map(|way| way.clone());
    match open {
        Ok(Way::Slow(span, clock)) => {
            clock.sleep(span).await;
            usize::MAX
        }
        Ok(Way::Trickling(span, clock)) => {
            clock.sleep(span).await;
            TRICKLE
        }
        Ok(Way::Open | Way::Stalled) | Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualClock;

    /// A server that says back what it hears.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
        stream.write_all(text.as_bytes()).await?;
        hear(stream, text.len()).await
    }

    async fn hear(stream: &mut TcpStream, length: usize) -> std::io::Result<String> {
        let mut heard = vec![0; length];
        stream.read_exact(&mut heard).await?;
        Ok(String::from_utf8(heard).unwrap())
    }

    #[tokio::test]
    async fn connections_are_forwarded_counted_cut_and_refused() {
        let server = echo().await;
        let proxy = Proxy::start(&server.to_string()).await.unwrap();
        let mut one = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut one, "hello").await.unwrap(), "hello");
        let expected = Traffic { connections: 1, open: 1, refused: 0, sent: 5, received: 5 };
        assert_eq!(proxy.traffic(), expected);
        proxy.cut();
        assert!(say(&mut one, "still there?").await.is_err());
        let mut two = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut two, "again").await.unwrap(), "again");
        proxy.refuse();
        let mut three = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(say(&mut three, "let me in").await.is_err());
        assert_eq!(say(&mut two, "old ones stay").await.unwrap(), "old ones stay");
        proxy.accept();
        let mut four = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut four, "in").await.unwrap(), "in");
        let traffic = proxy.traffic();
        assert_eq!((traffic.connections, traffic.refused), (3, 1));
    }

    #[tokio::test]
    async fn a_stalled_way_keeps_everything_and_loses_nothing() {
        let proxy = Proxy::start(&echo().await.to_string()).await.unwrap();
        proxy.set(Way::Stalled);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"patience").await.unwrap();
        while proxy.traffic().connections == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(proxy.traffic().sent, 0);
        proxy.set(Way::Open);
        assert_eq!(hear(&mut stream, 8).await.unwrap(), "patience");
    }

    #[tokio::test]
    async fn a_forgotten_connection_says_nothing_and_a_new_one_works() {
        let proxy = Proxy::start(&echo().await.to_string()).await.unwrap();
        let mut one = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut one, "hello").await.unwrap(), "hello");
        proxy.forget();
        one.write_all(b"anybody?").await.unwrap();
        let mut two = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut two, "hello").await.unwrap(), "hello");
        let silent = one.try_read(&mut [0; 1]).unwrap_err();
        assert_eq!(silent.kind(), std::io::ErrorKind::WouldBlock, "it is open, and nothing came");
        assert_eq!(proxy.traffic().open, 2);
        proxy.cut();
        assert!(hear(&mut one, 1).await.is_err());
    }

    #[tokio::test]
    async fn a_slow_way_takes_the_clocks_time() {
        let proxy = Proxy::start(&echo().await.to_string()).await.unwrap();
        let clock = VirtualClock::new();
        let before = clock.now();
        proxy.set(Way::Slow(Duration::from_secs(3), Arc::new(clock.clone())));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(clock.drive(say(&mut stream, "slow")).await.unwrap(), "slow");
        assert_eq!(clock.now().since(before), Duration::from_secs(6), "there and back");
    }

    #[tokio::test]
    async fn new_connections_can_be_led_elsewhere() {
        let proxy = Proxy::start("127.0.0.1:1").await.unwrap();
        let mut nowhere = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(say(&mut nowhere, "anybody?").await.is_err());
        proxy.lead_to(&echo().await.to_string());
        let mut somewhere = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut somewhere, "found").await.unwrap(), "found");
    }
}
