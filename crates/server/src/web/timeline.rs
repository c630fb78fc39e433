//! What was closed by month, drawn as bars, with the same in words.

use std::fmt::Write as _;

use askama::Template;
use larder_core::Time;
use larder_domain::{TrackerStats, month_of};

/// So many months are drawn.
const MONTHS: usize = 24;
/// The height of the drawing.
const HEIGHT: u64 = 40;
/// From one bar to the next.
const STEP: u64 = 10;

/// Bars, one a month, the current month last.
#[derive(Template)]
#[template(path = "timeline.html")]
pub(crate) struct Timeline {
    bars: Vec<Bar>,
    width: u64,
    /// The drawing in words.
    says: String,
    first: String,
    last: String,
    caption: String,
}

struct Bar {
    x: u64,
    y: u64,
    height: u64,
    says: String,
}

impl Timeline {
    /// Of what was counted; `None` = none was ever closed.
    pub(crate) fn new(stats: &TrackerStats, now: Time) -> Option<Self> {
        let closed = |month: &String| stats.months.get(month).map_or(0, |month| month.closed);
        let total: u64 = stats.months.values().map(|month| month.closed).sum();
        if total == 0 {
            return None;
        }
        let months = months_until(&month_of(now));
        let most = months.iter().map(closed).max().unwrap_or(0);
        let shown: u64 = months.iter().map(closed).sum();
        let bar = |(place, month): (usize, &String)| {
            let count = closed(month);
            // What there is of is never too small to be seen.
            let height = if count == 0 { 0 } else { (count * HEIGHT / most.max(1)).max(2) };
            Bar {
                x: place as u64 * STEP + 1,
                y: HEIGHT - height,
                height,
                says: format!("{month}: {count} closed"),
            }
        };
        let mut says = "Closed by month: ".to_owned();
        let each = months.iter().filter(|month| closed(month) > 0);
        let words: Vec<String> = each.map(|month| format!("{} in {month}", closed(month))).collect();
        says.push_str(&if words.is_empty() { "none in two years".to_owned() } else { words.join(", ") });
        let before = total - shown;
        let mut caption = format!("{shown} closed in two years");
        if before > 0 {
            let _ = write!(says, "; {before} before");
            let _ = write!(caption, "; {before} before");
        }
        let named = |month: Option<&String>| month.cloned().unwrap_or_default();
        Some(Timeline {
            bars: months.iter().enumerate().map(bar).collect(),
            width: MONTHS as u64 * STEP,
            says,
            first: named(months.first()),
            last: named(months.last()),
            caption,
        })
    }
}

/// The months up to one, the earliest first.
fn months_until(last: &str) -> Vec<String> {
    let (year, month) = last.split_once('-').unwrap_or((last, "1"));
    let (year, month): (usize, usize) = (year.parse().unwrap_or(1970), month.parse().unwrap_or(1));
    let end = year * 12 + month - 1;
    (0..MONTHS)
        .rev()
        .map(|back| end.saturating_sub(back))
        .map(|month| format!("{:04}-{:02}", month / 12, month % 12 + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use larder_domain::TrackerMonth;

    use super::*;

    #[test]
    fn months_are_drawn_up_to_the_current_one_and_older_ones_counted() {
        let now = Time::parse("2026-02-10").unwrap();
        let closed = |closed| TrackerMonth { opened: 0, closed };
        let months = [("2023-01", closed(5)), ("2025-12", closed(8)), ("2026-02", closed(1))];
        let months = months.map(|(month, counts)| (month.to_owned(), counts)).into();
        let stats = TrackerStats { kind: "release".to_owned(), open: 0, closed: 14, months };
        let timeline = Timeline::new(&stats, now).unwrap();
        assert_eq!((timeline.first.as_str(), timeline.last.as_str()), ("2024-03", "2026-02"));
        assert_eq!(timeline.says, "Closed by month: 8 in 2025-12, 1 in 2026-02; 5 before");
        let heights: Vec<u64> =
            timeline.bars.iter().map(|bar| bar.height).filter(|height| *height > 0).collect();
        assert_eq!(heights, [HEIGHT, HEIGHT / 8]);
        assert!(Timeline::new(&TrackerStats::default(), now).is_none(), "nothing closed is nothing to draw");
    }
}
