//! UTC instants of a type of their own, so that a local time or a bare number never passes for one.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in UTC, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Arithmetic saturates: a lifetime of "for ever" never wraps into the past.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// A text that is not an RFC 3339 instant.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a time such as `2026-01-31T12:00:00Z` or a date such as `2026-01-31`")]
pub struct TimeError {
    text: String,
}

impl Time {
    /// The furthest instant that can be written as RFC 3339 (9999-12-30T22:00:00Z).
    pub const MAX: Time = Time(253_402_207_200_000);

    /// From milliseconds since the Unix epoch.
    pub const fn from_ms(ms: i64) -> Self {
        Time(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with any offset, or a plain date as its midnight in UTC.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Time(instant.as_millisecond()));
        }
        text.parse::<jiff::civil::Date>()
            .ok()
            .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .map(|zoned| Time(zoned.timestamp().as_millisecond()))
            .ok_or_else(|| TimeError { text: text.to_owned() })
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// This instant plus a span, at most [`Time::MAX`].
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Time(self.0.saturating_add(ms).min(Time::MAX.0))
    }

    /// This instant, rounded up to a whole second: for people, who do not wait for milliseconds.
    #[must_use]
    pub fn whole_second(self) -> Self {
        Time(
            self.0
                .div_euclid(1000)
                .saturating_add(i64::from(self.0.rem_euclid(1000) > 0))
                .saturating_mul(1000),
        )
    }

    /// This instant less a span.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Time(self.0.saturating_sub(ms))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Time::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_dates_and_writes_utc() {
        assert_eq!(Time::parse("2026-01-01T02:00:00+02:00").unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(Time::parse("2026-01-01").unwrap(), Time::parse("2026-01-01T00:00:00Z").unwrap());
        assert!(Time::parse("yesterday").is_err());
    }

    #[test]
    fn a_whole_second_is_never_earlier() {
        assert_eq!(Time::from_ms(1001).whole_second(), Time::from_ms(2000));
        assert_eq!(Time::from_ms(2000).whole_second(), Time::from_ms(2000));
        assert_eq!(Time::from_ms(-1).whole_second(), Time::from_ms(0));
    }

    #[test]
    fn for_ever_does_not_wrap() {
        assert_eq!(Time::from_ms(5).plus(Duration::MAX), Time::MAX);
        assert_eq!(Time::from_ms(5).since(Time::from_ms(9)), Duration::ZERO);
    }
}
