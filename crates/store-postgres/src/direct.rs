//! Whether anybody stands between us and the database. `COPY` is the quickest way in, and goes by a prepared
//! statement, which a transaction pooler may lose count of; so it is used where nobody pools, and nobody has
//! to say so: a connection whose two ends say the same of it has no third.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, SimpleQueryMessage, SimpleQueryRow};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;

/// What the database says of the connection that asks: its own end, and the other.
const ENDS: &str =
    "SELECT host(inet_server_addr()), inet_server_port(), host(inet_client_addr()), inet_client_port()";

/// Looks at the way once, when it is first asked for.
pub(crate) struct Direct {
    config: Config,
    tls: MakeRustlsConnect,
    patience: Duration,
    known: OnceCell<bool>,
}

impl Direct {
    /// Of that address; a look takes no longer than `patience`.
    pub(crate) fn of(address: &Address, tls: MakeRustlsConnect, patience: Duration) -> Direct {
        let known = OnceCell::new_with(address.is_pooler.then_some(false));
        Direct { config: address.config.clone(), tls, patience, known }
    }

    /// Whether nobody stands between, looked at if it is not known yet: before a transaction begins, since a
    /// pooler that is full would keep the look waiting for what the transaction holds. Where it cannot be
    /// told (a socket of the file system, several hosts, an address that is translated on the way), somebody
    /// might.
    pub(crate) async fn is_direct(&self) -> bool {
        self.told().await.unwrap_or(false)
    }

    /// The same; `None` = it cannot be told now.
    pub(crate) async fn told(&self) -> Option<bool> {
        let look = || async { self.look().await.ok_or(()) };
        // A look that failed is tried again by whoever asks next.
        self.known.get_or_try_init(look).await.ok().copied()
    }

    /// Whether it is known that nobody does.
    pub(crate) fn is_known_to_be(&self) -> bool {
        self.known.get() == Some(&true)
    }

    /// `None` = there is no connection to be had now. One that is given and says nothing waits for others,
    /// which is a pooler's way.
    #[expect(clippy::disallowed_methods, reason = "a network that is silent is silent in real time")]
    async fn look(&self) -> Option<bool> {
        let [Host::Tcp(host)] = self.config.get_hosts() else { return Some(false) };
        tokio::time::timeout(self.patience, self.look_at(host)).await.unwrap_or(Some(false))
    }

    async fn look_at(&self, host: &str) -> Option<bool> {
        let port = *self.config.get_ports().first().unwrap_or(&5432);
        let stream = match self.config.get_hostaddrs().first() {
            Some(ip) => TcpStream::connect((*ip, port)).await.ok()?,
            None => TcpStream::connect((host, port)).await.ok()?,
        };
        let ours = Ends { database: stream.peer_addr().ok()?, client: stream.local_addr().ok()? };
        let mut tls = self.tls.clone();
        let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls, host).ok()?;
        let (client, connection) = self.config.connect_raw(stream, tls).await.ok()?;
        let told = tokio::select! {
            told = client.simple_query(ENDS) => told.ok()?,
            _ = connection => return None,
        };
        let theirs = told.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Ends::told(row),
            _ => None,
        });
        Some(theirs.is_some_and(|theirs| theirs.plain() == ours.plain()))
    }
}

/// Both ends of a connection. No two connections of a machine have the same.
#[derive(Debug, PartialEq, Eq)]
struct Ends {
    database: SocketAddr,
    client: SocketAddr,
}

impl Ends {
    /// `None` = they are no addresses.
    fn told(row: &SimpleQueryRow) -> Option<Ends> {
        let end = |place: usize| {
            let ip: IpAddr = row.get(place)?.parse().ok()?;
            Some(SocketAddr::new(ip, row.get(place + 1)?.parse().ok()?))
        };
        Some(Ends { database: end(0)?, client: end(2)? })
    }

    /// An IPv4 address written as IPv6 is itself, and a scope is a matter of one end.
    fn plain(self) -> Ends {
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Ends { database: plain(self.database), client: plain(self.client) }
    }
}
