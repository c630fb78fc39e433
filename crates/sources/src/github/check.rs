//! What `larder doctor` wants to know of GitHub: whom the token belongs to, what it may, what is
//! left of the limits, and what time it is there.

use larder_core::{FetchError, Time};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::GitHub;
use super::call::{Errand, Judged, Reply, Request, Verdict};
use super::limits::RateHeaders;
use super::query;

/// How long a check may take as a whole.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whom the token belongs to; `None` without a token.
    pub login: Option<String>,
    /// The scopes of a classic token; `None` where there are none to name (no token, a
    /// fine-grained one, an app's).
    pub scopes: Option<Vec<String>>,
    /// What is left, by resource; empty where the server has no limits.
    pub limits: Vec<RateLimit>,
    /// The server's clock, to a second.
    pub server_time: Option<Time>,
    /// Our clock when it said so.
    pub our_time: Time,
}

/// What is left of one resource's allowance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Which: `core`, `graphql`, `search`, …
    pub resource: String,
    /// Points a window.
    pub limit: u32,
    /// Points left.
    pub remaining: u32,
    /// When the window ends, by GitHub's clock.
    pub reset_at: Option<Time>,
}

/// `GET /rate_limit`.
#[derive(Debug, Deserialize)]
struct Limits {
    resources: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct LimitsOf {
    limit: u32,
    remaining: u32,
    #[serde(default)]
    reset: i64,
}

/// What `GET /rate_limit` said, with its headers.
struct Said {
    limits: Vec<RateLimit>,
    scopes: Option<Vec<String>>,
    server_time: Option<Time>,
}

impl GitHub {
    /// Asks GitHub about the credential and its limits: one call that costs nothing, and with a
    /// token one more that costs a point. Inside a Retry-After nothing is sent, and the error says
    /// until when.
    pub async fn check(&self) -> Result<Checked, FetchError> {
        let started = self.clock.now();
        let errand = Errand::of_check(started, PATIENCE);
        let url = self.address.rest("/rate_limit").map_err(|error| FetchError::Local(error.to_string()))?;
        let request = Request { resource: "core", points: 0, url, body: None, etag: None };
        let said = self.call(&errand, request, |reply, rate, _| self.judge_limits(&reply, rate)).await?;
        let our_time = self.clock.now();
        let login = if self.has_token() {
            self.graphql(&query::viewer(), &errand).await?.login().map(str::to_owned)
        } else {
            None
        };
        let Said { limits, scopes, server_time } = said;
        Ok(Checked { login, scopes, limits, server_time, our_time })
    }

    fn judge_limits(&self, reply: &Reply, rate: RateHeaders) -> Judged<Said> {
        // An Enterprise server without limits answers 404 here.
        if reply.status != 200 && reply.status != 404 {
            return self.judge_refusal(reply, rate, 0);
        }
        let limits = serde_json::from_slice::<Limits>(&reply.body).map(|said| said.resources);
        let scopes = reply.headers.get("x-oauth-scopes").and_then(|value| value.to_str().ok());
        let said = Said {
            limits: limits.unwrap_or_default().into_iter().filter_map(limit_of).collect(),
            scopes: scopes.map(|list| {
                list.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
            }),
            server_time: rate.date,
        };
        Judged { verdict: Verdict::Good(said), spent: 0, rate, login: None }
    }
}

fn limit_of((resource, value): (String, Value)) -> Option<RateLimit> {
    let LimitsOf { limit, remaining, reset } = serde_json::from_value(value).ok()?;
    let reset_at = (reset > 0).then(|| Time::from_ms(reset.saturating_mul(1000)));
    Some(RateLimit { resource, limit, remaining, reset_at })
}
