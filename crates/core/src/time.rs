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

    /// Reads RFC 3339 with any offset; a time without one is meant in UTC, and a plain date is its midnight
    /// there. A zone by its name alone is refused: what it means stands in tables that change.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Time(instant.as_millisecond()));
        }
        Some(text)
            .filter(|text| !text.contains('['))
            .and_then(|text| text.parse::<jiff::civil::DateTime>().ok())
            .and_then(|naive| naive.to_zoned(jiff::tz::TimeZone::UTC).ok())
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
    fn a_time_without_an_offset_keeps_its_time_of_day() {
        for text in ["2026-11-20T10:00:00", "2026-11-20 10:00", "20261120T100000", "2026-11-20t10"] {
            assert_eq!(Time::parse(text).unwrap().to_string(), "2026-11-20T10:00:00Z", "{text}");
        }
        let berlin = Time::parse("2026-11-20T10:00:00+01:00[Europe/Berlin]").unwrap();
        assert_eq!(berlin.to_string(), "2026-11-20T09:00:00Z");
        assert_eq!(Time::parse("20261120").unwrap().to_string(), "2026-11-20T00:00:00Z");
        for text in
            ["2026-11-20T10:00:00[Europe/Berlin]", "2026-11-20[Europe/Berlin]", "2026-11-20T25:00", "10:00"]
        {
            let error = Time::parse(text).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
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
