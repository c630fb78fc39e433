//! Who asks, and what that lets them see and do. Design, section 8: on loopback with no token
//! configured the local user may do all; anywhere else, nothing but public items without a
//! credential.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use larder_core::Time;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::app::{App, Settings};
use crate::fields::{Fields, text};

/// What the one who asks may see and do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Viewer {
    /// Whether items that are not public are shown.
    pub(crate) may_read_private: bool,
    /// Whether anything may be refreshed, invalidated and replayed at will.
    pub(crate) may_admin: bool,
    /// Whether it is the local user, whose folders are told by their whole paths.
    pub(crate) is_local: bool,
}

impl Viewer {
    /// Nobody in particular.
    pub(crate) const PUBLIC: Viewer = Viewer { may_read_private: false, may_admin: false, is_local: false };
    /// A bearer of the read token.
    pub(crate) const READER: Viewer = Viewer { may_read_private: true, ..Viewer::PUBLIC };
    /// A bearer of the admin token.
    pub(crate) const ADMIN: Viewer = Viewer { may_admin: true, ..Viewer::READER };
    /// The local user.
    pub(crate) const LOCAL: Viewer = Viewer { is_local: true, ..Viewer::ADMIN };
}

/// The other end of a connection, put into each request by the listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What a proxy says of whom it asks for, and of the way there.
const FORWARDED: [&str; 8] = [
    "forwarded",
    "via",
    "cdn-loop",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "x-amzn-trace-id",
];

/// How names of such fields begin that are too many to be known.
const FORWARDED_BEGINS: [&str; 5] = ["x-forwarded", "x-original-", "x-envoy-", "cf-", "fly-"];

/// By which scheme a proxy was asked.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The cookie of one who entered a token on a page.
const SESSION_COOKIE: &str = "larder_session";

/// How long such a cookie lasts.
pub(crate) const SESSION_DAYS: i64 = 30;
const SESSION_SECONDS: i64 = SESSION_DAYS * 24 * 3600;

/// What sessions and forms are signed with. Keys are made of the configured tokens, so that all instances
/// of a service agree and a restart signs nobody out; another token ends what the old one signed.
pub(crate) struct Secrets {
    read: Option<Secret>,
    admin: Option<Secret>,
    /// For the tokens of forms.
    pub(crate) forms: Secret,
}

impl Secrets {
    /// The keys of a server with these settings that listens there.
    pub(crate) fn of(settings: &Settings, address: SocketAddr) -> Result<Self, std::io::Error> {
        let token = |known: &Option<SecretString>| {
            known.as_ref().map(|known| known.expose_secret().to_owned()).filter(|known| !known.is_empty())
        };
        let (read, admin) = (token(&settings.read_token), token(&settings.admin_token));
        let forms = match admin.as_deref().or(read.as_deref()) {
            Some(token) => Secret::derived("larder 2026-11 tokens of forms", token),
            None if address.ip().is_loopback() => Secret::random()?,
            // Nobody may do here what others may not, and several instances have nothing in common.
            None => Secret::derived("larder 2026-11 tokens of everybody's forms", ""),
        };
        Ok(Secrets {
            read: read.map(|token| Secret::derived("larder 2026-11 sessions of readers", &token)),
            admin: admin.map(|token| Secret::derived("larder 2026-11 sessions of admins", &token)),
            forms,
        })
    }

    /// A session is signed with what its token makes: who knows the read token makes no admin's.
    fn of_role(&self, role: &str) -> Option<(&Secret, Viewer)> {
        match role {
            "admin" => Some((self.admin.as_ref()?, Viewer::ADMIN)),
            "read" => Some((self.read.as_ref()?, Viewer::READER)),
            _ => None,
        }
    }
}

/// A key for one purpose.
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// A new one from the system's chance.
    fn random() -> Result<Self, std::io::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Secret(bytes))
    }

    /// What BLAKE3's key derivation makes of a token, for one purpose.
    fn derived(purpose: &str, token: &str) -> Self {
        Secret(blake3::derive_key(purpose, token.as_bytes()))
    }

    /// What nobody without the key can make of `text`.
    pub(crate) fn sign(&self, text: &str) -> String {
        blake3::keyed_hash(&self.0, text.as_bytes()).to_hex().as_str()[..40].to_owned()
    }

    /// Whether `signature` is what [`sign`](Secret::sign) makes, in constant time.
    fn verifies(&self, text: &str, signature: &str) -> bool {
        self.sign(text).as_bytes().ct_eq(signature.as_bytes()).into()
    }
}

/// A random name for a visit, 128 bits.
pub(crate) fn random_name() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

impl App {
    /// Who asks, by the connection and the request's head.
    pub(crate) fn viewer(&self, headers: &HeaderMap, extensions: &Extensions) -> Viewer {
        self.viewer_from(headers, extensions.get().copied())
    }

    /// The same, where the connection's other end is at hand.
    pub(crate) fn viewer_from(&self, headers: &(impl Fields + ?Sized), peer: Option<Peer>) -> Viewer {
        if let Some(viewer) = bearer(headers).and_then(|token| self.viewer_by_token(token)) {
            return viewer;
        }
        let session = cookie(headers, SESSION_COOKIE).and_then(|value| self.viewer_by_session(value));
        session.unwrap_or_else(|| {
            if self.is_local(headers, peer.map(|peer| peer.0.ip())) { Viewer::LOCAL } else { Viewer::PUBLIC }
        })
    }

    /// Whether any credential is configured, so that a person may be asked for one.
    pub(crate) fn has_tokens(&self) -> bool {
        self.settings.read_token.is_some() || self.settings.admin_token.is_some()
    }

    /// Whether a token could let this viewer do more.
    pub(crate) fn may_gain(&self, viewer: Viewer) -> bool {
        let has = |token: &Option<SecretString>| token.is_some();
        (has(&self.settings.admin_token) && !viewer.may_admin)
            || (has(&self.settings.read_token) && !viewer.may_read_private)
    }

    /// Whether one who entered a token asks, and it still holds.
    pub(crate) fn has_session(&self, headers: &HeaderMap) -> bool {
        cookie(headers, SESSION_COOKIE).is_some_and(|value| self.viewer_by_session(value).is_some())
    }

    /// Whether a bearer token was sent that is none of ours. Where none is configured, none is looked at.
    pub(crate) fn is_unknown_token(&self, headers: &(impl Fields + ?Sized)) -> bool {
        self.has_tokens() && bearer(headers).is_some_and(|token| self.viewer_by_token(token).is_none())
    }

    /// What a token lets its bearer do; `None` = it is none of ours.
    pub(crate) fn viewer_by_token(&self, token: &str) -> Option<Viewer> {
        let is = |known: &Option<SecretString>| {
            known.as_ref().is_some_and(|known| {
                let known = known.expose_secret();
                // Digests have one length, so that the comparison does not tell the token's.
                let (a, b) = (blake3::hash(known.as_bytes()), blake3::hash(token.as_bytes()));
                !known.is_empty() && bool::from(a.as_bytes().ct_eq(b.as_bytes()))
            })
        };
        let (admin, read) = (is(&self.settings.admin_token), is(&self.settings.read_token));
        if admin { Some(Viewer::ADMIN) } else { read.then_some(Viewer::READER) }
    }

    /// The cookie for one who entered a token on a page; `None` = the token is none of ours.
    pub(crate) fn session_cookie(&self, token: &str, headers: &HeaderMap) -> Option<HeaderValue> {
        let viewer = self.viewer_by_token(token)?;
        let role = if viewer.may_admin { "admin" } else { "read" };
        let until = self.now().ms() / 1000 + SESSION_SECONDS;
        let text = format!("{role}.{until}");
        let (secret, _) = self.secrets.of_role(role)?;
        let value = format!("{text}.{}", secret.sign(&text));
        cookie_header(SESSION_COOKIE, &value, SESSION_SECONDS, headers)
    }

    /// The cookie that ends a session.
    pub(crate) fn no_session_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
        cookie_header(SESSION_COOKIE, "", 0, headers)
    }

    fn viewer_by_session(&self, value: &str) -> Option<Viewer> {
        let (text, signature) = value.rsplit_once('.')?;
        let (role, until) = text.split_once('.')?;
        let (secret, viewer) = self.secrets.of_role(role)?;
        if !secret.verifies(text, signature) {
            return None;
        }
        let until = Time::from_ms(until.parse::<i64>().ok()?.saturating_mul(1000));
        (self.now() < until).then_some(viewer)
    }

    /// Whether the local user asks: the server listens on loopback, the connection comes from there
    /// under a name of loopback's, nobody forwarded it, and no token is configured. Doubt means no.
    fn is_local(&self, headers: &(impl Fields + ?Sized), peer: Option<IpAddr>) -> bool {
        let is_forwarded = || headers.any_name(is_of_a_proxy);
        let is_named = || crate::guard::host(headers).is_some_and(crate::guard::is_loopback_name);
        !self.has_tokens()
            && self.address.ip().is_loopback()
            && peer.is_some_and(|peer| peer.to_canonical().is_loopback())
            && !is_forwarded()
            && is_named()
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(app.viewer(&parts.headers, &parts.extensions))
    }
}

/// Whether none but a proxy writes a field of this name, which may be in capitals.
fn is_of_a_proxy(name: &str) -> bool {
    let begins = |with: &&str| name.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    FORWARDED_BEGINS.iter().any(begins) || FORWARDED.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The bearer token of a request.
fn bearer(headers: &(impl Fields + ?Sized)) -> Option<&str> {
    let value = text(headers.all(&header::AUTHORIZATION).next()?)?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A cookie's value.
pub(crate) fn cookie<'h>(headers: &'h (impl Fields + ?Sized), name: &str) -> Option<&'h str> {
    let mut pairs = headers
        .texts(&header::COOKIE)
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// A cookie that scripts cannot read and other sites cannot send. One that is given over TLS stays there: the
/// same name may answer without it, and then all on the way could read it.
pub(crate) fn cookie_header(name: &str, value: &str, seconds: i64, asked: &HeaderMap) -> Option<HeaderValue> {
    let secure = if came_by_tls(asked) { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).ok()
}

/// Whether a proxy says that it was asked over TLS. Who says so untruly gets a cookie that its own browser
/// does not keep, and nothing else.
fn came_by_tls(headers: &HeaderMap) -> bool {
    let is_https = |value: &str| value.trim().trim_matches('"').eq_ignore_ascii_case("https");
    let first = |value: &str| value.split(',').next().unwrap_or_default().to_owned();
    let by_proto = headers.texts(&FORWARDED_PROTO).next().is_some_and(|value| is_https(&first(value)));
    let by_forwarded = || {
        let pairs = headers.texts(&header::FORWARDED).next().map(first).unwrap_or_default();
        pairs
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .any(|(name, value)| name.trim().eq_ignore_ascii_case("proto") && is_https(value))
    };
    by_proto || by_forwarded()
}
