//! Where the database is: a URL as libpq and its many relatives write it, read into what the client
//! needs, and a name for it that may be shown.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::StoreError;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Host, SslMode};

/// What is told of an address that cannot be read: not even a part of it, which may be a password.
const UNREADABLE: &str = "the address in `[store] url`";
const UNREADABLE_TO_LISTEN: &str = "the address in `[store] listen_url`";

/// What is attempted where an address cannot be read, in the error that says so.
pub const READING: &str = "read it";

/// A silent connection is asked for a sign of life after this long, unless the address says otherwise: before
/// whoever stands between forgets it, or whoever waits for it loses patience.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long one way in may take, unless somebody says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// Parameters that other clients understand and that change nothing here.
const NOT_OURS: &[&str] = &[
    "client_encoding",
    "connection_limit",
    "fallback_application_name",
    "gssencmode",
    "krbsrvname",
    "pool_timeout",
    "prepared_statements",
    "prepare_threshold",
    "schema",
    "sslcompression",
    "sslsni",
    "statement_cache_size",
];

/// What may stand behind the `?` of an address and means something here.
pub const PARAMETERS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "pgbouncer",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// A database's address.
#[derive(Clone)]
pub(crate) struct Address {
    /// All that the client needs, the password too.
    pub(crate) config: tokio_postgres::Config,
    /// How the connection is secured.
    pub(crate) security: Security,
    /// Whether the address itself says that a transaction pooler stands there.
    pub(crate) is_pooler: bool,
    /// Without secrets.
    pub(crate) place: String,
}

/// How a connection is secured, beyond what [`SslMode`] tells the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Security {
    /// Encrypted if at all: who answers is not checked (`disable`, `prefer`, `require`).
    Unchecked,
    /// The certificate must be signed by a trusted root (`verify-ca`).
    Signed(Roots),
    /// It must be, and name the host (`verify-full`).
    Named(Roots),
}

/// Whom certificates are trusted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The system's.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

/// Whether an address means PostgreSQL: `postgres://…`, `postgresql://…`, also with the driver that
/// other programs put there (`postgresql+asyncpg://…`).
pub fn is_postgres(url: &str) -> bool {
    scheme_and_rest(url).is_some()
}

fn scheme_and_rest(url: &str) -> Option<&str> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let base = scheme.split_once('+').map_or(scheme, |(base, _)| base);
    matches!(base, "postgres" | "postgresql").then_some(rest)
}

/// Whether an address can be read; otherwise why not, without any of it. Nobody is asked.
pub fn check(url: &SecretString) -> Result<(), String> {
    Address::read(url).map(drop)
}

/// How long each of its ways in may take by an address's own word (`connect_timeout`), if it can be read and says so.
pub fn connect_timeout(url: &SecretString) -> Option<Duration> {
    Address::read(url).ok()?.config.get_connect_timeout().copied()
}

fn unreadable(place: &str, cause: String) -> StoreError {
    StoreError::Failed { place: place.to_owned(), attempted: READING, cause }
}

impl Address {
    /// Reads the store's URL. Errors never repeat any of it.
    pub(crate) fn parse(url: &SecretString) -> Result<Address, StoreError> {
        Address::read(url).map_err(|cause| unreadable(UNREADABLE, cause))
    }

    /// Reads the URL of `[store] listen_url`.
    pub(crate) fn parse_to_listen(url: &SecretString) -> Result<Address, StoreError> {
        Address::read(url).map_err(|cause| unreadable(UNREADABLE_TO_LISTEN, cause))
    }

    fn read(url: &SecretString) -> Result<Address, String> {
        let rest = scheme_and_rest(url.expose_secret())
            .ok_or_else(|| "it does not begin with `postgres://`".to_owned())?;
        let (credentials, rest) = split_credentials(rest);
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameters = Parameters::read(query)?;
        // Whoever wrote an `@` into a password without encoding it meant the password.
        let credentials = credentials.map(|text| text.replace('@', "%40") + "@").unwrap_or_default();
        // The client takes all before any `@` for credentials.
        let left = parameters.left.join("&").replace('@', "%40");
        let text = format!("postgres://{credentials}{target}?{left}");
        let mut config: tokio_postgres::Config =
            text.parse().map_err(|error| crate::errors::chain(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if config.get_application_name().is_none() {
            config.application_name("larder");
        }
        parameters.keep_alive(&mut config);
        if let Some(silence) = parameters.silence()? {
            config.tcp_user_timeout(silence);
        }
        let (mode, security) = parameters.security()?;
        config.ssl_mode(mode);
        let place = place(&config);
        Ok(Address { config, security, is_pooler: parameters.is_pooler, place })
    }

    /// How long each of its ways in may take: as is `set` apart from it, or as it says itself.
    pub(crate) fn patience(&self, set: Option<Duration>) -> Duration {
        set.or(self.config.get_connect_timeout().copied()).unwrap_or(PATIENCE)
    }
}

/// Up to the last `@` before the path; a password may hold a `/` too, where no `@` comes before it.
fn split_credentials(rest: &str) -> (Option<&str>, &str) {
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let end = authority.rfind('@').or_else(|| {
        let before_query = &rest[..rest.find('?').unwrap_or(rest.len())];
        before_query.find('@')
    });
    match end {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    }
}

/// The part behind the `?`, sorted by who understands it.
#[derive(Default)]
struct Parameters<'a> {
    left: Vec<&'a str>,
    mode: Option<String>,
    roots: Option<String>,
    silence: Option<String>,
    is_pooler: bool,
}

impl<'a> Parameters<'a> {
    fn read(query: &'a str) -> Result<Self, String> {
        let mut parameters = Parameters::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" | "ssl-mode" => parameters.mode = Some(decode(value)),
                "sslrootcert" => parameters.roots = Some(decode(value)),
                "tcp_user_timeout" => parameters.silence = Some(decode(value)),
                "pgbouncer" => parameters.is_pooler = value == "true",
                "sslcert" | "sslkey" | "sslpassword" | "sslcrl" => {
                    return Err(format!("`{name}` (certificates of the client's own) is not supported"));
                }
                _ if NOT_OURS.contains(&name) => {}
                _ if PARAMETERS.contains(&name) => parameters.left.push(pair),
                // What it is called is not told: in a broken address it may be a piece of a password.
                _ => {
                    return Err(format!(
                        "it has a parameter that is not known; known are {}",
                        PARAMETERS.join(", ")
                    ));
                }
            }
        }
        Ok(parameters)
    }

    /// Whether the address says it itself.
    fn says(&self, name: &str) -> bool {
        self.left.iter().any(|pair| pair.split_once('=').is_some_and(|(said, _)| said == name))
    }

    fn keep_alive(&self, config: &mut tokio_postgres::Config) {
        if !self.says("keepalives_idle") {
            config.keepalives_idle(KEEPALIVE);
        }
        if !self.says("keepalives_interval") {
            config.keepalives_interval(KEEPALIVE / 3);
        }
        if !self.says("keepalives_retries") {
            config.keepalives_retries(3);
        }
    }

    /// How long what was sent may stay unheard. As libpq has it: in milliseconds, and none of them is the default.
    fn silence(&self) -> Result<Option<Duration>, String> {
        let Some(text) = &self.silence else { return Ok(None) };
        let wrong = |_| "its tcp_user_timeout is no number of milliseconds".to_owned();
        let millis: i64 = text.trim().parse().map_err(wrong)?;
        Ok(u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis))
    }

    /// As libpq has it: with a root at hand, `require` checks who signed.
    fn security(&self) -> Result<(SslMode, Security), String> {
        let named = self.roots.as_ref().filter(|roots| *roots != "system");
        let roots = || named.map_or(Roots::System, |path| Roots::File(PathBuf::from(path)));
        let default = if self.roots.is_some() { "verify-full" } else { "prefer" };
        Ok(match self.mode.as_deref().unwrap_or(default) {
            "disable" => (SslMode::Disable, Security::Unchecked),
            "allow" | "prefer" => (SslMode::Prefer, Security::Unchecked),
            "require" if named.is_none() => (SslMode::Require, Security::Unchecked),
            "require" | "verify-ca" => (SslMode::Require, Security::Signed(roots())),
            "verify-full" => (SslMode::Require, Security::Named(roots())),
            _ => {
                return Err(
                    "its sslmode is none of disable, prefer, require, verify-ca, verify-full".to_owned()
                );
            }
        })
    }
}

/// Undoes percent-encoding; what is no encoding stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn place(config: &tokio_postgres::Config) -> String {
    let ports = config.get_ports();
    let port = |nth: usize| ports.get(nth).or(ports.first()).copied().unwrap_or(5432);
    let host = |(nth, host): (usize, &Host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(nth)),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<String> = config.get_hosts().iter().enumerate().map(host).collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{}/{database}", hosts.join(","))
}

#[cfg(test)]
mod tests;
