//! What GitHub's refusals mean, of REST and GraphQL alike: a limit, a failure of its own, a wrong
//! credential, a wrong request.

use larder_core::FetchError;
use serde::Deserialize;

use super::GitHub;
use super::call::{Judged, Reply, Verdict};
use super::limits::RateHeaders;

impl GitHub {
    /// What any answer but a good one means.
    pub(super) fn judge_refusal<T>(&self, reply: &Reply, rate: RateHeaders, points: u32) -> Judged<T> {
        let said = message_of(&reply.body);
        let text = said.clone().unwrap_or_default();
        if let Some(limit) = rate.limit_of_status(reply.status, &text) {
            return Judged { verdict: Verdict::Limited(limit), spent: points, rate, login: None };
        }
        let host = self.host().to_owned();
        let detail = said.clone().unwrap_or_else(|| format!("HTTP {}", reply.status));
        // Who is not believed is counted as an address: these numbers are not of the token's allowance.
        let (rate, points) = match reply.status {
            401 => (RateHeaders { limit: None, remaining: None, reset_at: None, ..rate }, 0),
            _ => (rate, points),
        };
        let error = match reply.status {
            status @ 500..=599 => {
                FetchError::Upstream { host, status, detail: said, retry_at: rate.retry_at }
            }
            401 if detail.eq_ignore_ascii_case("bad credentials") => {
                FetchError::Refused { host, detail: "bad credentials".to_owned() }
            }
            401 => FetchError::Refused { host, detail: format!("bad credentials ({detail})") },
            403 | 407 | 451 => FetchError::Refused { host, detail },
            300..=399 => FetchError::Unusable { host, detail: format!("HTTP {}, a redirect", reply.status) },
            404 | 405 | 410 => FetchError::Unusable {
                host,
                detail: format!("HTTP {}: nothing there; is `[github] api_url` right?", reply.status),
            },
            400..=499 => FetchError::BadRequest { host, detail },
            status => FetchError::Unusable { host, detail: format!("HTTP {status}") },
        };
        Judged { verdict: Verdict::Failed(error), spent: points, rate, login: None }
    }
}

/// What GitHub says in the body of a refusal, shortened; `None` for HTML and the like.
fn message_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    Some(said.message.chars().take(300).collect())
}
