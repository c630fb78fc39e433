//! What GitHub says about its limits: in headers, in statuses, and in GraphQL errors that come
//! with HTTP 200. Pure: headers in, a verdict out.

use std::time::Duration;

use larder_core::{Budget, LimitKind, Time};
use reqwest::header::HeaderMap;

/// The shortest wait after a limit that named no time.
const WAIT_MIN: Duration = Duration::from_mins(1);
/// The longest such wait.
const WAIT_MAX: Duration = Duration::from_mins(32);
/// A limit that ends in the past or at once is still one.
const LEAST: Duration = Duration::from_secs(1);
/// Clocks that differ by less than this may be equal, and the answer have been under way as long.
const SKEW_SLACK: Duration = Duration::from_secs(5);

/// What the headers of one answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RateHeaders {
    /// Points an hour.
    pub(super) limit: Option<u32>,
    /// Points left.
    pub(super) remaining: Option<u32>,
    /// When the window ends, by our clock.
    pub(super) reset_at: Option<Time>,
    /// Nothing may be sent before, by our clock.
    pub(crate) retry_at: Option<Time>,
    /// The server's clock.
    pub(super) date: Option<Time>,
    /// When they were read, by our clock.
    pub(super) read_at: Time,
}

/// A limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// Which.
    pub(super) kind: LimitKind,
    /// Until when, where GitHub said so.
    pub(super) until: Option<Time>,
}

impl RateHeaders {
    /// Reads them. Times are moved by as much as the server's clock differs from ours, so that a
    /// wait is as long as GitHub meant it.
    pub(crate) fn read(headers: &HeaderMap, now: Time) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let number = |name: &str| text(name).and_then(|value| value.parse::<u32>().ok());
        let date = text("date").and_then(http_date);
        let ours = |theirs| by_our_clock(theirs, date, now);
        let reset = text("x-ratelimit-reset").and_then(|value| value.parse::<i64>().ok());
        let retry_at = text("retry-after").and_then(|value| match value.parse::<u64>() {
            Ok(seconds) => Some(now.plus(Duration::from_secs(seconds))),
            Err(_) => http_date(value).map(ours),
        });
        RateHeaders {
            limit: number("x-ratelimit-limit"),
            remaining: number("x-ratelimit-remaining"),
            reset_at: reset.map(|seconds| ours(Time::from_ms(seconds.saturating_mul(1000)))),
            retry_at,
            date,
            read_at: now,
        }
    }

    /// An instant of the server's clock by ours.
    pub(super) fn ours(&self, theirs: Time, now: Time) -> Time {
        by_our_clock(theirs, self.date, now)
    }

    /// Whether a refusal with HTTP 403 or 429 is a limit, and which.
    pub(super) fn limit_of_status(&self, status: u16, message: &str) -> Option<Limit> {
        let says_secondary = says_secondary(message);
        let used_up = self.remaining == Some(0);
        let is_limit = match status {
            429 => true,
            403 => says_secondary || used_up || self.retry_at.is_some() || says_limit(message),
            _ => false,
        };
        let says_primary = used_up || (self.retry_at.is_none() && says_limit(message));
        is_limit.then(|| self.verdict(says_primary && !says_secondary))
    }

    /// The limit that headers alone tell of, whatever the status: one that asks to be left alone for a while.
    pub(super) fn limit_said(&self) -> Option<Limit> {
        self.retry_at.map(|_| self.verdict(self.remaining == Some(0)))
    }

    /// The limit behind a GraphQL error of type `RATE_LIMITED` or `RATE_LIMIT`.
    pub(super) fn limit_of_graphql(&self, message: &str) -> Limit {
        let points_left = self.remaining.is_some_and(|left| left > 0);
        self.verdict(!says_secondary(message) && !points_left)
    }

    /// Until when nothing may be sent, by Retry-After.
    pub(crate) fn retry_to_come(&self) -> Option<Time> {
        self.retry_at.filter(|end| self.is_to_come(*end))
    }

    /// Whether an end is a word on when to come back: not if it was past before the answer set out.
    fn is_to_come(&self, end: Time) -> bool {
        self.read_at.since(end) <= SKEW_SLACK
    }

    /// Retry-After first, then the window's end if the window is used up, else nothing.
    fn verdict(&self, is_primary: bool) -> Limit {
        let kind = if is_primary { LimitKind::Primary } else { LimitKind::Secondary };
        let reset = self.reset_at.filter(|_| is_primary && self.remaining == Some(0));
        let until = self.retry_to_come().or(reset.filter(|end| self.is_to_come(*end)));
        Limit { kind, until }
    }
}

/// Until when a limit keeps calls back that is said to end then: a second at the least, and a day at the most.
pub(crate) fn bounded(said: Time, now: Time) -> Time {
    said.clamp(now.plus(LEAST), now.plus(Budget::WAIT_MAX))
}

/// How long to wait after the `streak`th limit in a row that named no time: a minute, doubled each
/// time, and up to a tenth more by chance.
pub(super) fn wait_unsaid(streak: u32, chance: f64) -> Duration {
    let doubled = WAIT_MIN.saturating_mul(2_u32.saturating_pow(streak.saturating_sub(1))).min(WAIT_MAX);
    doubled.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 10.0)
}

/// Of clocks that may be equal the later reading counts, so that nothing is sent too early.
fn by_our_clock(theirs: Time, date: Option<Time>, now: Time) -> Time {
    let Some(date) = date else { return theirs };
    let moved = if theirs < date { now.minus(date.since(theirs)) } else { now.plus(theirs.since(date)) };
    if date.since(now).max(now.since(date)) > SKEW_SLACK { moved } else { moved.max(theirs) }
}

fn says_secondary(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("secondary rate limit") || message.contains("abuse detection")
}

fn says_limit(message: &str) -> bool {
    message.to_ascii_lowercase().contains("rate limit exceeded")
}

/// RFC 9110's date.
fn http_date(text: &str) -> Option<Time> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Time::from_ms(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use larder_core::LimitKind::{Primary, Secondary};
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    /// 2026-01-01T00:00:00Z.
    const NOW: Time = Time::from_ms(1_767_225_600_000);

    fn headers(pairs: &[(&str, &str)]) -> RateHeaders {
        let pairs = pairs.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        });
        RateHeaders::read(&pairs.collect(), NOW)
    }

    /// Status, headers and message of a refusal, and the limit that it is.
    type Case<'a> = (u16, &'a [(&'a str, &'a str)], &'a str, Option<Limit>);

    fn in_seconds(seconds: u64) -> Time {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn refusals_are_limits_or_not() {
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767226200")];
        let left = [("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "1767226200")];
        let retry = [("retry-after", "30")];
        let both =
            [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767226200"), ("retry-after", "30")];
        let secondary = "You have exceeded a secondary rate limit. Please wait a few minutes.";
        let cases: [Case<'_>; 12] = [
            (
                403,
                &spent,
                "API rate limit exceeded",
                Some(Limit { kind: Primary, until: Some(in_seconds(600)) }),
            ),
            (429, &spent, "", Some(Limit { kind: Primary, until: Some(in_seconds(600)) })),
            (403, &both, "", Some(Limit { kind: Primary, until: Some(in_seconds(30)) })),
            (403, &both, secondary, Some(Limit { kind: Secondary, until: Some(in_seconds(30)) })),
            (403, &spent, secondary, Some(Limit { kind: Secondary, until: None })),
            (403, &retry, "", Some(Limit { kind: Secondary, until: Some(in_seconds(30)) })),
            (429, &retry, "", Some(Limit { kind: Secondary, until: Some(in_seconds(30)) })),
            (429, &[], "", Some(Limit { kind: Secondary, until: None })),
            (403, &left, secondary, Some(Limit { kind: Secondary, until: None })),
            (403, &[], "API rate limit exceeded for 192.0.2.1", Some(Limit { kind: Primary, until: None })),
            (403, &left, "Resource not accessible by integration", None),
            (404, &spent, "Not Found", None),
        ];
        for (status, pairs, message, expected) in cases {
            let found = headers(pairs).limit_of_status(status, message);
            assert_eq!(found, expected, "{status} {pairs:?} {message}");
        }
    }

    #[test]
    fn graphql_limits_that_come_with_http_200() {
        let spent = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767226200")]);
        let primary = "API rate limit exceeded for user ID 1.";
        assert_eq!(spent.limit_of_graphql(primary), Limit { kind: Primary, until: Some(in_seconds(600)) });
        let silent = headers(&[]);
        assert_eq!(silent.limit_of_graphql(primary), Limit { kind: Primary, until: None });
        let secondary = "You have exceeded a secondary rate limit.";
        assert_eq!(silent.limit_of_graphql(secondary), Limit { kind: Secondary, until: None });
        let left = headers(&[("x-ratelimit-remaining", "9"), ("retry-after", "30")]);
        let found = left.limit_of_graphql("too much");
        assert_eq!(found, Limit { kind: Secondary, until: Some(in_seconds(30)) }, "points are left");
    }

    #[test]
    fn retry_after_may_be_a_date_and_a_wrong_clock_changes_no_wait() {
        let dated = headers(&[("retry-after", "Thu, 01 Jan 2026 00:02:00 GMT")]);
        assert_eq!(dated.retry_at, Some(in_seconds(120)));
        let skewed = headers(&[
            ("date", "Thu, 01 Jan 2026 05:00:00 GMT"),
            ("retry-after", "Thu, 01 Jan 2026 05:02:00 GMT"),
            ("x-ratelimit-reset", "1767244200"),
        ]);
        assert_eq!((skewed.retry_at, skewed.reset_at), (Some(in_seconds(120)), Some(in_seconds(600))));
        for date in ["Wed, 31 Dec 2025 23:59:57 GMT", "Thu, 01 Jan 2026 00:00:03 GMT"] {
            let nearly = headers(&[("date", date), ("x-ratelimit-reset", "1767226200")]);
            let reset = nearly.reset_at.unwrap();
            assert!(
                reset >= in_seconds(600),
                "{date}: by a clock that is a little behind it is later: {reset}"
            );
        }
    }

    #[test]
    fn an_end_that_is_long_past_says_nothing() {
        let limit = |kind, until| Some(Limit { kind, until });
        for date in ["Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 05:00:00 GMT"] {
            let spent =
                headers(&[("date", date), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")]);
            assert_eq!(spent.limit_of_status(403, ""), limit(Primary, None), "{date}");
            assert_eq!(Some(spent.limit_of_graphql("")), limit(Primary, None), "{date}");
            let retry = headers(&[("date", date), ("retry-after", "Thu, 01 Jan 1970 00:00:01 GMT")]);
            assert_eq!(retry.limit_of_status(403, ""), limit(Secondary, None), "{date}");
        }
        let over = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225597")];
        let just_over = headers(&over).limit_of_status(403, "");
        assert_eq!(just_over, limit(Primary, Some(NOW.minus(Duration::from_secs(3)))), "it was under way");
    }

    #[test]
    fn nonsense_says_nothing() {
        let nonsense = [("retry-after", "soon"), ("x-ratelimit-remaining", "-1"), ("date", "today")];
        assert_eq!(headers(&nonsense), RateHeaders { read_at: NOW, ..RateHeaders::default() });
    }

    #[test]
    fn an_unsaid_wait_is_a_minute_then_doubles_up_to_its_limit() {
        let seconds: Vec<u64> = (1..=8).map(|streak| wait_unsaid(streak, 0.0).as_secs()).collect();
        assert_eq!(seconds, [60, 120, 240, 480, 960, 1920, 1920, 1920]);
        assert!(wait_unsaid(1, 0.999) <= Duration::from_secs(66));
    }
}
