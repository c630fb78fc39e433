//! Durations as people write them: `6h`, `30s`, `1h 30m`, `2 days`.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Unit};

/// Reads a duration of at least `least` and at most `most`. The error is a sentence for the person
/// who wrote it.
pub fn parse(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let read = text.parse::<Span>().ok().and_then(|span| {
        // A day of a cache's lifetime is 24 hours, whatever a time zone does that day.
        let ms = span.total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours())).ok()?;
        SignedDuration::try_from_secs_f64(ms / 1000.0).ok()
    });
    let Some(read) = read else {
        return Err(format!("`{text}` is not a duration such as `6h`, `30s` or `1h 30m`"));
    };
    let Ok(span) = Duration::try_from(read) else {
        return Err(format!("`{text}` is negative"));
    };
    if span < least {
        return Err(format!("`{text}` is too short: {} is the least", show(least)));
    }
    if span > most {
        return Err(format!("`{text}` is too long: {} is the most", show(most)));
    }
    Ok(span)
}

/// Writes a duration the way it is read.
pub fn show(span: Duration) -> String {
    let ms = span.as_millis();
    let parts = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut left = ms;
    let mut words = Vec::new();
    for (unit, length) in parts {
        if left >= length {
            words.push(format!("{}{unit}", left / length));
            left %= length;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_hours(24 * 366);

    #[test]
    fn people_write_durations_in_many_ways() {
        let hour = Duration::from_hours(1);
        for (text, means) in [
            ("6h", hour * 6),
            ("90m", hour * 3 / 2),
            ("1h 30m", hour * 3 / 2),
            ("1h30m", hour * 3 / 2),
            ("2 days", hour * 48),
            ("1w", hour * 24 * 7),
            ("500ms", Duration::from_millis(500)),
        ] {
            assert_eq!(parse(text, Duration::ZERO, YEAR), Ok(means), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_duration_is_said() {
        let second = Duration::from_secs(1);
        for (text, says) in [
            ("6", "is not a duration"),
            ("soon", "is not a duration"),
            ("-1h", "is negative"),
            ("0s", "too short: 1s is the least"),
            ("2 months", "is not a duration"),
            ("3000 days", "too long: 366d is the most"),
        ] {
            let error = parse(text, second, YEAR).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_can_be_read() {
        for text in ["6h", "1h 30m", "2d", "15s", "500ms", "1m 0s"] {
            let span = parse(text, Duration::ZERO, YEAR).unwrap();
            assert_eq!(parse(&show(span), Duration::ZERO, YEAR), Ok(span));
        }
    }
}
