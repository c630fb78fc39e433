//! Errors as RFC 9457 problems: every refusal, in one shape.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use larder_core::{Failure, FetchError, Hint, Key, StoreError, Time};
use larder_engine::{ReadError, RefreshError};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::sight::Sight;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// A stable word for the kind.
    pub(crate) code: &'static str,
    /// What went wrong this time.
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) hints: Vec<Hint>,
    /// Seconds after which the same request may succeed.
    pub(crate) retry_after: Option<u64>,
}

/// A refusal, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemView<'a> {
    /// Where the kind of problem is explained.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// A stable word for the kind.
    code: &'a str,
    /// What went wrong this time.
    detail: &'a str,
    /// What to do about it.
    #[serde(skip_serializing_if = "<[Hint]>::is_empty")]
    #[schema(required = false)]
    hints: &'a [Hint],
    /// Seconds after which the same request may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = ProblemView {
            kind: format!("/docs#problem-{}", self.code),
            title: self.status().canonical_reason().unwrap_or("Error"),
            status: self.status,
            code: self.code,
            detail: &self.detail,
            hints: &self.hints,
            retry_after: self.retry_after,
        };
        view.serialize(serializer)
    }
}

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    /// A problem of this status and kind.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem { status: status.as_u16(), code, detail: detail.into(), hints: Vec::new(), retry_after: None }
    }

    /// Input that cannot be used.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "bad_input", detail)
    }

    /// A key that no source knows, or that this viewer may not know of.
    pub(crate) fn unknown(key: &str) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "unknown_key", format!("there is no entry `{key}`"))
    }

    /// Adds what can be done about it.
    pub(crate) fn hints(mut self, hints: impl IntoIterator<Item = Hint>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// May be tried again at `until`.
    pub(crate) fn retry_at(mut self, until: Time, now: Time) -> Self {
        let ms = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
        self.retry_after = Some(ms.div_ceil(1000).max(1));
        self
    }

    /// Why a read has no answer, as a viewer of that sight is told.
    pub(crate) fn of_read(error: &ReadError, sight: Sight, now: Time) -> Self {
        match error {
            ReadError::Unknown(key) => Problem::unknown(key.as_str()),
            ReadError::NotCached(key) | ReadError::TooOld(key) => {
                let detail = match error {
                    ReadError::TooOld(_) => format!("the copy of `{key}` is older than asked for"),
                    _ => format!("`{key}` is not in the cache"),
                };
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "not_cached", detail)
                    .hints(["ask without `Cache-Control: only-if-cached`".to_owned()])
            }
            ReadError::Absent { key, until } => {
                Problem::new(StatusCode::NOT_FOUND, "absent", format!("`{key}` does not exist upstream"))
                    .retry_at(*until, now)
            }
            ReadError::Backoff { key, until, failure } => match failure {
                Some(failure) => Problem::of_failure(key, failure, sight).retry_at(*until, now),
                None => Problem::failed(key, "it could not be fetched a moment ago").retry_at(*until, now),
            },
            ReadError::Failed { key, source } => Problem::of_refresh(key, source, sight, now),
            ReadError::Store(error) => Problem::of_store(error),
        }
    }

    /// Why a refresh brought nothing.
    pub(crate) fn of_refresh(key: &Key, error: &RefreshError, sight: Sight, now: Time) -> Self {
        match error {
            RefreshError::Fetch(error) => {
                let problem = Problem::of_failure(key, &error.at(now), sight);
                match error {
                    FetchError::Limited { until, .. } | FetchError::BreakerOpen { until, .. } => {
                        problem.retry_at(*until, now)
                    }
                    _ => problem,
                }
            }
            RefreshError::Held(failure) => Problem::of_failure(key, failure, sight),
            RefreshError::Store(error) => Problem::of_store(error),
            RefreshError::NotConfigured => Problem::unknown(key.as_str()),
            RefreshError::Superseded
            | RefreshError::LeaseEnded
            | RefreshError::Removed
            | RefreshError::Interrupted
            | RefreshError::Stuck => {
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "interrupted", error.to_string());
                problem.retry_at(now, now)
            }
        }
    }

    /// A failure of the upstream with nothing held: 503 where it is a limit, which ends by itself.
    fn of_failure(key: &Key, failure: &Failure, sight: Sight) -> Self {
        let failure = sight.failure(key, failure);
        if is_limit(&failure.code) {
            let detail = format!("`{key}` cannot be fetched now: {}", failure.message);
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "limited", detail).hints(failure.hint);
        }
        Problem::failed(key, &failure.message).hints(failure.hint)
    }

    fn failed(key: &Key, why: &str) -> Self {
        Problem::new(
            StatusCode::BAD_GATEWAY,
            "upstream_failed",
            format!("`{key}` could not be fetched: {why}"),
        )
    }

    /// The store is out of reach, and memory does not hold what was asked for.
    pub(crate) fn out_of_reach() -> Self {
        let detail = "the store cannot be reached, and memory does not hold this";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unreachable", detail);
        Problem { retry_after: Some(OUT_OF_REACH_SECONDS), ..problem }
    }

    /// The store could not be asked. Its path is nobody's business.
    pub(crate) fn of_store(error: &StoreError) -> Self {
        // The engine tells the log, once for all requests that meet it.
        tracing::debug!(%error, "the store could not be asked");
        match error {
            // Whatever is the matter, a person may mend it while the server runs.
            StoreError::Unreachable { .. }
            | StoreError::Denied { .. }
            | StoreError::Foreign { .. }
            | StoreError::TooNew { .. }
            | StoreError::Failed { .. } => Problem::out_of_reach(),
            StoreError::Busy { .. }
            | StoreError::Slow { .. }
            | StoreError::Stopped { .. }
            | StoreError::Crowded { .. }
            | StoreError::Held { .. }
            | StoreError::Full { .. } => Problem::busy("the store is busy or full", 1),
            StoreError::ReadOnly { .. } => {
                Problem::busy("the store cannot be written now", OUT_OF_REACH_SECONDS)
            }
            StoreError::Corrupt { .. } | StoreError::BadRow { .. } => {
                let detail = "the store could not be read or written";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store", detail)
            }
        }
    }

    fn busy(detail: &str, retry_after: u64) -> Self {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_busy", detail);
        Problem { retry_after: Some(retry_after), ..problem }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// When to come back to a store that is out of reach: it is looked for all the time.
pub(crate) const OUT_OF_REACH_SECONDS: u64 = 5;

/// Whether a failure's word means a limit.
pub(crate) fn is_limit(code: &str) -> bool {
    matches!(code, "primary_limit" | "secondary_limit" | "outage" | "budget")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Problem::of_store(&error)
    }
}

/// RFC 6750, section 3.
const UNKNOWN_TOKEN: &str = "Bearer realm=\"larder\", error=\"invalid_token\"";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            let challenge =
                if self.code == "unknown_token" { UNKNOWN_TOKEN } else { "Bearer realm=\"larder\"" };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_cannot_be_asked_now_is_503_and_one_that_is_damaged_is_500() {
        let (place, attempted, cause) = ("db".to_owned(), "read", "no".to_owned());
        let at = |error: &StoreError| {
            let problem = Problem::of_store(error);
            (problem.status, problem.code, problem.retry_after)
        };
        let gone = StoreError::Unreachable { place: place.clone(), attempted, cause: cause.clone() };
        let hint = "let it in".to_owned();
        let denied = StoreError::Denied { place: place.clone(), attempted, cause: cause.clone(), hint };
        let crowded = StoreError::Crowded { place: place.clone(), attempted, cause: cause.clone() };
        let read_only = StoreError::ReadOnly { place: place.clone(), cause: cause.clone(), hint: None };
        let damaged = StoreError::Corrupt { place: place.clone(), cause: cause.clone(), moved_to: None };
        let wrong = StoreError::Failed { place, attempted, cause };
        assert_eq!(at(&gone), (503, "store_unreachable", Some(OUT_OF_REACH_SECONDS)));
        assert_eq!(at(&crowded), (503, "store_busy", Some(1)));
        assert_eq!(at(&read_only), (503, "store_busy", Some(OUT_OF_REACH_SECONDS)));
        assert_eq!((at(&denied), at(&wrong)), (at(&gone), at(&gone)));
        assert_eq!(at(&damaged), (500, "store", None));
    }
}
