//! Form tokens: a form posts back what only a page of ours, read by this very visitor, could name.
//!
//! The guard refuses foreign origins before any form is looked at; the token is for browsers that
//! send neither Origin nor Sec-Fetch-Site.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use subtle::ConstantTimeEq;

use crate::access::{cookie, cookie_header, random_name};
use crate::app::App;

/// The cookie that names a visit.
const VISIT_COOKIE: &str = "larder_visit";

/// How long it lasts behind the last page.
const VISIT_SECONDS: i64 = 30 * 24 * 3600;

/// The name of the hidden field.
pub(crate) const CSRF_FIELD: &str = "csrf";

/// A visitor's form token. As an extractor it is there for every page; what tells it to a visitor sets
/// [`set_cookie`](Csrf::set_cookie) as `Set-Cookie`, each time, so that a visit lasts as long as it is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Csrf {
    token: String,
    /// Whether this visitor sent no cookie of ours.
    is_new: bool,
    set_cookie: Option<HeaderValue>,
}

impl Csrf {
    /// What the hidden field `csrf` holds.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The cookie to set: the one that came, or a new one for a visitor that has none yet.
    pub(crate) fn set_cookie(&self) -> Option<&HeaderValue> {
        self.set_cookie.as_ref()
    }

    /// Whether a posted field is this visitor's token. One that has no cookie yet cannot have read it.
    pub(crate) fn accepts(&self, field: &str) -> bool {
        !self.is_new && bool::from(self.token.as_bytes().ct_eq(field.as_bytes()))
    }
}

impl FromRequestParts<App> for Csrf {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let is_ours = |visit: &&str| visit.len() == 32 && visit.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = cookie(&parts.headers, VISIT_COOKIE).filter(is_ours).map(str::to_owned);
        let is_new = known.is_none();
        // With no chance to be had there is no cookie, and so no form of this visitor's is accepted.
        let visit = known.or_else(random_name).unwrap_or_default();
        let set_cookie = cookie_header(VISIT_COOKIE, &visit, VISIT_SECONDS, &parts.headers);
        Ok(Csrf { token: app.secrets.forms.sign(&visit), is_new, set_cookie })
    }
}
