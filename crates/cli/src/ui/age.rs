//! Ages as people say them: `2h ago`.

use std::time::Duration;

use larder_core::Time;

const UNITS: [(u64, &str); 6] =
    [(365 * 86_400, "y"), (30 * 86_400, "mo"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];

/// A span in its largest unit: `2h`, `3d`, `5mo`.
pub fn age(span: Duration) -> String {
    let secs = span.as_secs();
    let unit = UNITS.iter().find(|(length, _)| secs >= *length);
    unit.map_or_else(|| "0s".to_owned(), |(length, unit)| format!("{}{unit}", secs / length))
}

/// How long ago an instant was.
pub fn ago(at: Time, now: Time) -> String {
    match now.since(at) {
        span if span < Duration::from_secs(1) => "just now".to_owned(),
        span => format!("{} ago", age(span)),
    }
}

/// How long until an instant.
pub fn in_a_while(at: Time, now: Time) -> String {
    match at.since(now) {
        span if span.is_zero() => "now".to_owned(),
        span if span < Duration::from_secs(1) => "in a moment".to_owned(),
        span => format!("in {}", age(span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_its_largest_unit() {
        let table = [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (86_400, "1d"), (40 * 86_400, "1mo")];
        for (secs, says) in table {
            assert_eq!(age(Duration::from_secs(secs)), says);
        }
        let now = Time::from_ms(1_000_000_000);
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now.minus(Duration::from_hours(2)), now), "2h ago");
        assert_eq!(in_a_while(now.plus(Duration::from_mins(3)), now), "in 3m");
        assert_eq!(in_a_while(now.plus(Duration::from_millis(300)), now), "in a moment");
        assert_eq!(in_a_while(now.minus(Duration::from_mins(3)), now), "now");
    }
}
