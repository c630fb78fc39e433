//! The client of GitHub, of github.com and of GitHub Enterprise alike: the only place that knows
//! its words. It asks a budget before each call and reports to it afterwards, obeys every limit
//! that GitHub names, and never sends a token anywhere but where it belongs.

mod address;
mod allowance;
mod answer;
mod breaker;
mod call;
mod check;
mod gate;
mod issues;
mod limits;
mod links;
mod listing;
mod owned;
mod problem;
mod query;
mod refusal;
mod repository;
mod rest;
mod rights;
mod sizing;
mod state;
mod tree;
#[cfg(test)]
mod years;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use larder_core::{Budgets, Clock, Definition, Fingerprint, Time};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::waits::Waits;
use address::Address;
pub use call::Errand;
pub(crate) use call::innermost;
pub use check::{Checked, RateLimit};
use gate::Gate;
pub use issues::{Issue, LabelAsked, Labelled, LabelledIssues};
pub(crate) use limits::{RateHeaders, bounded};
pub use listing::{Found, is_about_all};
pub use owned::{Owned, Shortfall};
pub use rest::{OwnerPath, PAGE_SIZE, Page, PageOrder, Single};
pub use rights::Withheld;
use state::State;
pub use tree::{Blob, Tree, TreeFile};

/// How to reach a GitHub.
#[derive(Debug, Clone)]
pub struct GitHubConfig {
    /// The address of its REST interface: `https://api.github.com`, or `https://HOST/api/v3`.
    pub api_url: String,
    /// The token, if there is one.
    pub token: Option<SecretString>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a call may take; GitHub itself gives up after ten seconds.
    pub call_timeout: Duration,
}

impl GitHubConfig {
    /// github.com without a token.
    pub fn new(api_url: impl Into<String>) -> Self {
        GitHubConfig {
            api_url: api_url.into(),
            token: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(12),
        }
    }

    /// The same with a token.
    #[must_use]
    pub fn with_token(self, token: SecretString) -> Self {
        GitHubConfig { token: Some(token), ..self }
    }
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// Not an address.
    #[error("`{url}` cannot be GitHub's api_url: {cause}")]
    ApiUrl {
        /// What was given, without secrets.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A token would travel in the clear.
    #[error("a token is not sent to `{url}`: plain http is for loopback alone")]
    PlainHttp {
        /// The address.
        url: String,
    },
    /// A token that no header can carry.
    #[error("the token holds characters that no token has")]
    Token,
    /// TLS or the like could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Client(String),
}

/// A client of one GitHub, for one credential at a time. Cheap to share: put it in an [`Arc`].
pub struct GitHub {
    /// Made for the first call: reading the machine's root certificates costs more than a whole
    /// run that sends nothing.
    http: OnceLock<reqwest::Client>,
    connect_timeout: Duration,
    address: Address,
    identity: RwLock<Identity>,
    call_timeout: Duration,
    budgets: Arc<dyn Budgets>,
    clock: Arc<dyn Clock>,
    /// Under whose name budget is reserved.
    reserver: Arc<str>,
    gate: Gate,
    state: Mutex<State>,
}

/// Who asks.
#[derive(Clone)]
struct Identity {
    token: Option<SecretString>,
    credential: Fingerprint,
}

impl Identity {
    /// Of a token, if a header can carry it.
    fn of(host: &str, token: Option<SecretString>) -> Result<Self, GitHubError> {
        let token = token.filter(|token| !token.expose_secret().is_empty());
        if let Some(token) = &token {
            authorization(token)?;
        }
        Ok(Identity { credential: credential(host, token.as_ref()), token })
    }
}

impl GitHub {
    /// A client that spends from `budgets`. `seed` is its only randomness; give each process
    /// another. Nothing is sent yet.
    pub fn new(
        config: GitHubConfig,
        budgets: Arc<dyn Budgets>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, GitHubError> {
        let GitHubConfig { api_url, token, connect_timeout, call_timeout } = config;
        let is_token = |token: &SecretString| !token.expose_secret().is_empty();
        let address = Address::of(&api_url, token.as_ref().is_some_and(is_token))?;
        Ok(GitHub {
            http: OnceLock::new(),
            connect_timeout,
            identity: RwLock::new(Identity::of(&address.host, token)?),
            address,
            call_timeout,
            budgets,
            clock,
            reserver: format!("larder-{seed:016x}").into(),
            gate: Gate::new(gate::AT_ONCE_MAX),
            state: Mutex::new(State::new(seed)),
        })
    }

    /// The HTTP client, made when it is first wanted.
    fn http(&self) -> Result<&reqwest::Client, GitHubError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        // A proxy from the environment would be handed what is meant for this machine alone.
        let builder = if self.address.is_loopback { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| GitHubError::Client(error.to_string()))?;
        Ok(self.http.get_or_init(|| http))
    }

    /// How items and budgets name it: `github.com`, or the Enterprise host, with its port if that
    /// is unusual.
    pub fn host(&self) -> &str {
        &self.address.host
    }

    /// Whether it has a token.
    pub fn has_token(&self) -> bool {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).token.is_some()
    }

    /// Whether another token would help: there is none, or the last answer was that it is none any more.
    pub fn wants_token(&self) -> bool {
        !self.has_token() || self.state().is_refused
    }

    /// Asks with this token from now on. Answers whether it is another than before.
    pub fn renew_token(&self, token: SecretString) -> Result<bool, GitHubError> {
        self.address.takes_tokens()?;
        let identity = Identity::of(self.host(), Some(token))?;
        let is_other = identity.credential != self.credential();
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
        if is_other {
            let mut state = self.state();
            state.is_refused = false;
            state.actor = None;
        }
        Ok(is_other)
    }

    /// Tells one credential from another without giving it away: a digest of host and token, or
    /// the word `anonymous`.
    pub fn credential(&self) -> Fingerprint {
        self.identity().credential
    }

    /// What was defined when there was no token, by which of the two it is now: a token may have come since.
    pub(crate) fn defined(&self, then: &Arc<Definition>) -> Arc<Definition> {
        match then.also.first().filter(|_| self.has_token()) {
            Some(token) => {
                Arc::new(Definition { fingerprint: token.clone(), also: Vec::new(), ..(**then).clone() })
            }
            None => then.clone(),
        }
    }

    fn identity(&self) -> Identity {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time, by the clock that it was given.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// An instant of our clock by the upstream's, as far as its last answer told: to a second, and the time that
    /// the answer took.
    pub fn theirs(&self, ours: Time) -> Time {
        Time::from_ms(ours.ms().saturating_add(self.state().ahead_ms))
    }

    /// The waits of hosts other than this one, in the same store.
    pub(crate) fn waits(&self) -> Waits {
        Waits::new(self.budgets.clone(), self.reserver.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.has_token().then_some("hidden");
        f.debug_struct("GitHub")
            .field("host", &self.address.host)
            .field("token", &token)
            .finish_non_exhaustive()
    }
}

/// The header that carries the token, marked so that nothing prints it.
fn authorization(token: &SecretString) -> Result<HeaderValue, GitHubError> {
    let text = format!("Bearer {}", token.expose_secret());
    let mut value = HeaderValue::from_str(&text).map_err(|_| GitHubError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A digest that no other use of BLAKE3 in Larder can repeat.
fn credential(host: &str, token: Option<&SecretString>) -> Fingerprint {
    let Some(token) = token else { return Fingerprint::trusted("anonymous") };
    let mut hasher = blake3::Hasher::new_derive_key("larder: which GitHub credential is this");
    hasher.update(&(host.len() as u64).to_le_bytes());
    hasher.update(host.as_bytes());
    hasher.update(token.expose_secret().as_bytes());
    Fingerprint::trusted(&hasher.finalize().to_hex().as_str()[..32])
}
