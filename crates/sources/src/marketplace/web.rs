//! A document of the web, by its address: asked for conditionally, of bounded size, within a bounded
//! time, and only where an address of the public network leads to, unless the configuration says that
//! it may be a private one: the host that it names, and none that this leads on to. That is checked where the name is looked up, of every redirect too, so
//! that no name can lead elsewhere between the look and the call.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use larder_core::{Absence, Clock, FetchError, LimitKind, Time};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use url::{Host, Url};

use super::address::is_public;
use crate::github::{RateHeaders, bounded, innermost};
use crate::waits::Waits;

/// A document of more bytes is not read to its end.
pub(super) const BODY_BYTES_MAX: usize = 8 << 20;
const REDIRECTS_MAX: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Room that is left before a deadline, to hand over what came.
const MARGIN: Duration = Duration::from_millis(250);
/// The wait after a limit that named no time.
const LIMIT_WAIT: Duration = Duration::from_mins(1);

/// Reads documents.
pub(super) struct Web {
    clock: Arc<dyn Clock>,
    /// Which hosts want to be left alone.
    waits: Waits,
    /// Whose addresses are checked: those that a document was asked of. A proxy's own is not.
    asked: Arc<Mutex<HashSet<String>>>,
    /// Made for the first call, as GitHub's is.
    public: OnceLock<reqwest::Client>,
    private: OnceLock<reqwest::Client>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) url: &'a Url,
    /// Whether its host may be a private one.
    pub(super) allow_private: bool,
    /// The entity tag of what is held, and when that was last modified.
    pub(super) etag: Option<&'a str>,
    pub(super) last_modified: Option<&'a str>,
    pub(super) deadline: Time,
}

impl Wanted<'_> {
    /// Whether an address on the way may be a private one: who leads on from one of them names no other.
    fn may_be_private(&self, url: &Url) -> bool {
        self.allow_private && url.host() == self.url.host()
    }

    /// The host that alone may be private, if there is one.
    fn private(&self) -> Option<&str> {
        self.url.host_str().filter(|_| self.allow_private)
    }
}

/// What came.
pub(super) enum Got {
    Here { body: Vec<u8>, etag: Option<String>, last_modified: Option<String> },
    NotModified,
    Absent(Absence),
}

/// One answer as it came.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    /// Until when the host wants to be left alone, by our clock.
    fn wait(&self, now: Time) -> Option<Time> {
        let rate = RateHeaders::read(&self.headers, now);
        let is_limit = match self.status {
            429 => true,
            403 => rate.retry_at.is_some(),
            500..=599 => false,
            _ => return None,
        };
        let unsaid = is_limit.then(|| now.plus(LIMIT_WAIT));
        rate.retry_to_come().or(unsaid).map(|until| bounded(until, now))
    }
}

impl Web {
    pub(super) fn new(clock: Arc<dyn Clock>, waits: Waits) -> Self {
        Web { clock, waits, asked: Arc::default(), public: OnceLock::new(), private: OnceLock::new() }
    }

    /// Reads a document, following redirects.
    pub(super) async fn get(&self, wanted: Wanted<'_>) -> Result<Got, FetchError> {
        let started = self.clock.now();
        let left = wanted.deadline.since(started.plus(MARGIN)).min(CALL_TIMEOUT);
        if left.is_zero() {
            return Err(FetchError::TimedOut { after: left });
        }
        tokio::select! {
            biased;
            got = self.follow(wanted) => got,
            () = self.clock.sleep(left) => Err(FetchError::TimedOut { after: left }),
        }
    }

    async fn follow(&self, wanted: Wanted<'_>) -> Result<Got, FetchError> {
        let mut url = wanted.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            check_of(&url, wanted.may_be_private(&url), wanted.private()).map_err(FetchError::Local)?;
            let leave = self.waits.admit(&host(&url), self.clock.now()).await?;
            let reply = self.call(&url, wanted).await;
            let now = self.clock.now();
            self.waits.settle(leave, reply.as_ref().ok().and_then(|reply| reply.wait(now)), now).await;
            let reply = reply?;
            if !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
                return self.judge(reply, &url, wanted);
            }
            let target = text(&reply.headers, &LOCATION).and_then(|target| url.join(&target).ok());
            url = target.ok_or_else(|| unusable(&url, "a redirect that says not where".to_owned()))?;
        }
        Err(unusable(&url, format!("more than {REDIRECTS_MAX} redirects")))
    }

    async fn call(&self, url: &Url, wanted: Wanted<'_>) -> Result<Reply, FetchError> {
        let http =
            self.http(wanted.may_be_private(url)).map_err(|error| FetchError::Local(error.to_string()))?;
        if let Some(Host::Domain(name)) = url.host() {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_ascii_lowercase());
        }
        let mut request =
            http.get(url.clone()).header(ACCEPT, "application/json, text/plain;q=0.9, */*;q=0.1");
        for (name, value) in [(IF_NONE_MATCH, wanted.etag), (IF_MODIFIED_SINCE, wanted.last_modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let failure = |error: &reqwest::Error| failure(url, error, wanted.private());
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while status == 200
            && let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))?
        {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(unusable(url, format!("more than {BODY_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body })
    }

    fn judge(&self, reply: Reply, url: &Url, wanted: Wanted<'_>) -> Result<Got, FetchError> {
        let host = host(url);
        let now = self.clock.now();
        let wait = reply.wait(now);
        if let (403 | 429, Some(until)) = (reply.status, wait) {
            let message = format!("{host}'s rate limit");
            return Err(FetchError::Limited { kind: LimitKind::Primary, until, message });
        }
        match reply.status {
            200 => Ok(Got::Here {
                etag: text(&reply.headers, &ETAG),
                last_modified: text(&reply.headers, &LAST_MODIFIED),
                body: reply.body,
            }),
            304 if wanted.etag.is_some() || wanted.last_modified.is_some() => Ok(Got::NotModified),
            status @ (404 | 410) => {
                let message = format!("{host} has nothing there (HTTP {status})");
                // Who is being deployed anew has nothing for a moment: only the second time is believed.
                Ok(Got::Absent(Absence::new("not_found", message).of_no_credential()))
            }
            status @ 500..=599 => Err(FetchError::Upstream { host, status, detail: None, retry_at: wait }),
            status @ (401 | 403 | 407 | 451) => {
                Err(FetchError::Closed { host, detail: format!("HTTP {status}") })
            }
            status @ 400..=499 => Err(FetchError::BadRequest { host, detail: format!("HTTP {status}") }),
            status => Err(unusable(url, format!("HTTP {status}"))),
        }
    }

    fn http(&self, allow_private: bool) -> Result<&reqwest::Client, reqwest::Error> {
        let kept = if allow_private { &self.private } else { &self.public };
        if let Some(http) = kept.get() {
            return Ok(http);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        // A proxy would be handed what is meant for one's own network.
        let builder = if allow_private {
            builder.no_proxy()
        } else {
            builder.dns_resolver(Arc::new(Checked { asked: self.asked.clone() }))
        };
        let http = builder.build()?;
        Ok(kept.get_or_init(|| http))
    }
}

/// Whether an address may be asked at all, as far as it says itself; the error is a sentence.
pub(super) fn check(url: &Url, allow_private: bool) -> Result<(), String> {
    check_of(url, allow_private, None)
}

/// [`check`], where `private` is the host that alone may be private.
fn check_of(url: &Url, allow_private: bool, private: Option<&str>) -> Result<(), String> {
    let is_fit = url.scheme() == "https" || (allow_private && url.scheme() == "http");
    if !is_fit {
        return Err(format!("{} is not asked: marketplaces are read by https://", shown(url)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{} is not asked: it has a name or password in it", host(url)));
    }
    let address = match url.host() {
        None => return Err("an address without a host".to_owned()),
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
    };
    match address {
        Some(address) if !allow_private && !is_public(address) => {
            Err(Astray::of(&host(url), address).told(private))
        }
        _ => Ok(()),
    }
}

/// Looks names up, and leaves out where nothing may be asked.
struct Checked {
    asked: Arc<Mutex<HashSet<String>>>,
}

/// A name that leads to nothing but private addresses.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` leads to {address}, which is not the public network's")]
struct Astray {
    name: String,
    address: IpAddr,
}

impl Astray {
    fn of(name: &str, address: IpAddr) -> Self {
        Astray { name: name.to_owned(), address }
    }

    /// In a sentence, with what allows it.
    fn told(&self, private: Option<&str>) -> String {
        match private {
            None => format!("{self}; `allow_private = true` allows it"),
            Some(host) => format!("{self}; `allow_private` is of {host} alone"),
        }
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let asked = self.asked.clone();
        Box::pin(async move {
            let name = name.as_str().to_ascii_lowercase();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let is_checked = asked.lock().unwrap_or_else(PoisonError::into_inner).contains(&name);
            let (public, others): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.into_iter().partition(|found| !is_checked || is_public(found.ip()));
            match others.first().filter(|_| public.is_empty()) {
                Some(other) => Err(Astray::of(&name, other.ip()).into()),
                None => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

fn failure(url: &Url, error: &reqwest::Error, private: Option<&str>) -> FetchError {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(here) = cause {
        if let Some(astray) = here.downcast_ref::<Astray>() {
            return FetchError::Local(astray.told(private));
        }
        cause = here.source();
    }
    FetchError::Network { host: host(url), cause: innermost(error) }
}

fn unusable(url: &Url, detail: String) -> FetchError {
    FetchError::Unusable { host: host(url), detail }
}

/// The host of an address, with its port if that is unusual.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// An address without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), host(url), url.path())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
