//! Reaching the database: an address may name several hosts, and a host may have several addresses. Each is one way
//! in, and has its own time from the first packet until the database has let us in: one that is silent keeps nobody
//! from the next, wherever it fell silent. Nor does it anybody again: which way led in behind it is remembered, and
//! tried first, until it fails. An address that has the load spread has each connection take its own chance.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::Connect;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection before it is spoken on.
type Made = (Client, Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>);

/// A way in: a host of the address, by its place there, and which of its own addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    host: usize,
    ip: Option<IpAddr>,
}

/// The way that let in who came last, where one before it did not. Shared by all who connect to an address.
#[derive(Clone, Default)]
pub(crate) struct LetIn(Arc<Mutex<Option<Way>>>);

impl LetIn {
    /// The next who comes tries the ways as they are written. Answers whether that is another way.
    pub(crate) fn forget(&self) -> bool {
        self.way().take().is_some()
    }

    fn way(&self) -> MutexGuard<'_, Option<Way>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever connects to an address.
pub(crate) struct Reach {
    hosts: Vec<Config>,
    is_random: bool,
    tls: MakeRustlsConnect,
    patience: Duration,
    let_in: LetIn,
}

impl Reach {
    /// By way of each host in turn, and of each of its addresses; `patience` is that with one of them.
    pub(crate) fn new(config: &Config, tls: MakeRustlsConnect, patience: Duration, let_in: LetIn) -> Reach {
        let is_random = config.get_load_balance_hosts() == LoadBalanceHosts::Random;
        Reach { hosts: hosts(config), is_random, tls, patience, let_in }
    }

    /// The first connection that comes about, or what was in the way of the last.
    pub(crate) async fn connect(&self) -> Result<Made, Error> {
        let mut tried = match self.again().await {
            Some((_, Ok(made))) => return Ok(made),
            Some((way, Err(error))) => Some((way, error)),
            None => None,
        };
        let (mut last, mut is_first) = (silent(), true);
        for (host, config) in self.in_turn(self.hosts.iter().cloned().enumerate().collect()) {
            for (way, config) in self.in_turn(self.ways(host, config).await) {
                last = match tried.take_if(|(tried, _)| *tried == way) {
                    Some((_, error)) => error,
                    None => match self.by(&config).await {
                        Ok(made) => {
                            if !is_first && !self.is_random {
                                *self.let_in.way() = Some(way);
                            }
                            return Ok(made);
                        }
                        Err(error) => error,
                    },
                };
                is_first = false;
            }
        }
        Err(last)
    }

    /// The next connection tries the ways as they are written.
    pub(crate) fn forget(&self) {
        self.let_in.forget();
    }

    /// By the way that is remembered, if its host still has that address. One that fails is forgotten.
    async fn again(&self) -> Option<(Way, Result<Made, Error>)> {
        let known = (*self.let_in.way())?;
        let ways = self.ways(known.host, self.hosts.get(known.host)?.clone()).await;
        let made = match ways.into_iter().find(|(way, _)| *way == known) {
            Some((_, config)) => Some((known, self.by(&config).await)),
            None => None,
        };
        if !matches!(made, Some((_, Ok(_)))) {
            // Another may have found one meanwhile.
            self.let_in.way().take_if(|way| *way == known);
        }
        made
    }

    async fn by(&self, way: &Config) -> Result<Made, Error> {
        self.in_time(way.connect(self.tls.clone())).await.unwrap_or_else(|| Err(silent()))
    }

    /// To each address of a host. Where none is found, the host itself, which then says why.
    async fn ways(&self, nth: usize, host: Config) -> Vec<(Way, Config)> {
        let itself = |host: Config| vec![(Way { host: nth, ip: None }, host)];
        let ([Host::Tcp(name)], []) = (host.get_hosts(), host.get_hostaddrs()) else { return itself(host) };
        let port = host.get_ports().first().copied().unwrap_or(5432);
        let Some(Ok(found)) = self.in_time(tokio::net::lookup_host((name.as_str(), port))).await else {
            return itself(host);
        };
        let at = |ip: IpAddr| {
            let mut way = host.clone();
            way.hostaddr(ip);
            (Way { host: nth, ip: Some(ip) }, way)
        };
        let ways: Vec<(Way, Config)> = found.map(|address| at(address.ip())).collect();
        if ways.is_empty() { itself(host) } else { ways }
    }

    /// As they are written, unless the address says that the load is to be spread.
    fn in_turn<T>(&self, mut ways: Vec<T>) -> Vec<T> {
        if self.is_random {
            let dice = RandomState::new();
            let mut nth = 0_u32;
            ways.sort_by_cached_key(|_| {
                nth += 1;
                dice.hash_one(nth)
            });
        }
        ways
    }

    #[expect(clippy::disallowed_methods, reason = "a network that is silent is silent in real time")]
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.patience, work).await.ok()
    }
}

impl Connect for Reach {
    fn connect(&self, _config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(async move {
            let (client, connection) = Reach::connect(self).await?;
            let task = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %crate::errors::chain(&error), "a connection broke");
                }
            });
            Ok((client, task))
        })
    }
}

/// The client's own word for it, which it makes for its relatives alone.
fn silent() -> Error {
    Error::__private_api_timeout()
}

/// The same for each host alone.
fn hosts(config: &Config) -> Vec<Config> {
    let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let many = names.len().max(addresses.len());
    let fits = |of: usize| of == many || of == 0;
    if many < 2 || !fits(names.len()) || !fits(addresses.len()) || !(ports.len() < 2 || ports.len() == many) {
        // One that does not add up says so as it is used.
        return vec![config.clone()];
    }
    let alone = |nth: usize| {
        let mut host = hostless(config);
        match names.get(nth) {
            Some(Host::Tcp(name)) => drop(host.host(name)),
            #[cfg(unix)]
            Some(Host::Unix(path)) => drop(host.host_path(path)),
            None => {}
        }
        if let Some(ip) = addresses.get(nth) {
            host.hostaddr(*ip);
        }
        host.port(ports.get(nth).or(ports.first()).copied().unwrap_or(5432));
        host
    };
    (0..many).map(alone).collect()
}

/// All else that an address says.
fn hostless(config: &Config) -> Config {
    let mut all = Config::new();
    all.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    config.get_user().map(|user| all.user(user));
    config.get_password().map(|password| all.password(password));
    config.get_dbname().map(|name| all.dbname(name));
    config.get_options().map(|options| all.options(options));
    config.get_application_name().map(|name| all.application_name(name));
    config.get_connect_timeout().map(|timeout| all.connect_timeout(*timeout));
    config.get_tcp_user_timeout().map(|timeout| all.tcp_user_timeout(*timeout));
    config.get_keepalives_interval().map(|interval| all.keepalives_interval(interval));
    config.get_keepalives_retries().map(|retries| all.keepalives_retries(retries));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_alone_is_what_the_address_says_of_it() {
        let rest = "me:secret@{}/d?options=-c%20a.b%3Dc&application_name=x&connect_timeout=7&keepalives=0\
            &keepalives_idle=8&keepalives_interval=9&keepalives_retries=4&tcp_user_timeout=6\
            &target_session_attrs=read-write&channel_binding=require&load_balance_hosts=random\
            &sslmode=require&sslnegotiation=direct";
        let of =
            |host: &str| -> Config { format!("postgres://{}", rest.replace("{}", host)).parse().unwrap() };
        assert_eq!(hosts(&of("one,two:5433")), [of("one"), of("two:5433")]);
        assert_eq!(hosts(&of("one")), [of("one")]);
        let apart: Config = "postgres://me@/d?host=a,b&port=1,2".parse().unwrap();
        assert_eq!(hosts(&apart).len(), apart.get_hosts().len());
        let odd: Config = "postgres://one,two/d?hostaddr=127.0.0.1".parse().unwrap();
        assert_eq!(hosts(&odd), [odd]);
    }
}
