//! A list of trackers as a store keeps it ready made (`larder_core::Sheet`): of each what a list shows
//! and filters by, a line each, so that ten thousand are read without ten thousand documents.

use larder_core::Time;

use super::{Tracker, TrackerState};

/// What a list shows of a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackerLine<'t> {
    /// What stands behind the title's prefix.
    pub name: &'t str,
    /// The codename, where there is one.
    pub codename: Option<&'t str>,
    /// The number.
    pub number: u64,
    /// Open or closed.
    pub state: TrackerState,
    opened: Opened<'t>,
}

/// When an issue was opened: few lists ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened<'t> {
    At(Option<Time>),
    /// In milliseconds, or nothing.
    Written(&'t str),
}

impl<'t> TrackerLine<'t> {
    /// What [`written`](TrackerLine::written) writes, in a word for the store.
    pub const FORM: &'static str = "trackers/1";

    /// Of a tracker.
    pub fn of(tracker: &'t Tracker) -> Self {
        TrackerLine {
            name: &tracker.name,
            codename: tracker.codename.as_deref(),
            number: tracker.number,
            state: tracker.state,
            opened: Opened::At(tracker.created_at),
        }
    }

    /// When the issue was opened, if that is known.
    pub fn created_at(&self) -> Option<Time> {
        match self.opened {
            Opened::At(at) => at,
            Opened::Written(ms) => ms.parse().ok().map(Time::from_ms),
        }
    }

    /// All of them, in their order. Control characters, which no list shows, become blanks.
    pub fn written(trackers: &[Tracker]) -> String {
        let mut text = String::with_capacity(trackers.len() * 48);
        for tracker in trackers {
            let line = TrackerLine::of(tracker);
            push_plain(line.name, &mut text);
            text.push('\t');
            push_plain(line.codename.unwrap_or_default(), &mut text);
            text.push('\t');
            text.push(match line.state {
                TrackerState::Open => 'o',
                TrackerState::Closed => 'c',
            });
            text.push_str(&line.number.to_string());
            text.push('\t');
            text.extend(line.created_at().map(|at| at.ms().to_string()));
            text.push('\n');
        }
        text
    }

    /// What was written, line by line; `None` where it cannot be read on.
    pub fn read(text: &'t str) -> impl Iterator<Item = Option<TrackerLine<'t>>> {
        let mut rest = text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let line = TrackerLine::parse(&mut rest);
            if line.is_none() {
                rest = "";
            }
            Some(line)
        })
    }

    fn parse(rest: &mut &'t str) -> Option<Self> {
        let name = cut(rest, b'\t')?;
        let codename = Some(cut(rest, b'\t')?).filter(|codename| !codename.is_empty());
        let number = cut(rest, b'\t')?;
        let state = match number.as_bytes().first()? {
            b'o' => TrackerState::Open,
            b'c' => TrackerState::Closed,
            _ => return None,
        };
        let number = number[1..].parse().ok()?;
        let opened = Opened::Written(cut(rest, b'\n')?);
        Some(TrackerLine { name, codename, number, state, opened })
    }
}

/// What stands before the next `end`; the rest is what stands behind it.
fn cut<'t>(rest: &mut &'t str, end: u8) -> Option<&'t str> {
    let place = memchr::memchr(end, rest.as_bytes())?;
    let before = &rest[..place];
    *rest = &rest[place + 1..];
    Some(before)
}

/// Without the characters that end fields and lines.
fn push_plain(field: &str, text: &mut String) {
    if field.contains(char::is_control) {
        text.extend(field.chars().map(|c| if c.is_control() { ' ' } else { c }));
    } else {
        text.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::*;

    fn said(line: &TrackerLine<'_>) -> String {
        let TrackerLine { name, codename, number, state, .. } = line;
        format!("{name} {codename:?} {number} {state:?} {:?}", line.created_at())
    }

    fn trackers() -> impl Strategy<Value = Vec<Tracker>> {
        let state = prop::bool::ANY
            .prop_map(|is_open| if is_open { TrackerState::Open } else { TrackerState::Closed });
        let at = prop::option::of(any::<i64>().prop_map(Time::from_ms));
        let one = ("\\PC*", prop::option::of("\\PC+"), any::<u64>(), state, at).prop_map(
            |(name, codename, number, state, created_at)| Tracker {
                number,
                name,
                codename,
                state,
                created_at,
                ..Tracker::default()
            },
        );
        prop::collection::vec(one, 0..8)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trackers in trackers()) {
            let text = TrackerLine::written(&trackers);
            let read: Vec<_> = TrackerLine::read(&text).map(Option::unwrap).map(|line| said(&line)).collect();
            let meant: Vec<_> = trackers.iter().map(|tracker| said(&TrackerLine::of(tracker))).collect();
            prop_assert_eq!(read, meant);
        }
    }

    #[test]
    fn a_title_with_tabs_and_newlines_stays_one_line() {
        let tracker = Tracker { name: "v1\n\tx".to_owned(), ..Tracker::default() };
        let text = TrackerLine::written(&[tracker]);
        let read: Vec<_> = TrackerLine::read(&text).flatten().map(|line| line.name).collect();
        assert_eq!(read, ["v1  x"]);
    }

    #[test]
    fn what_is_no_line_is_none() {
        for text in ["v1\t\tx1\t\n", "v1\t\to\t\n", "v1\t\to1\t", "v1", "\n"] {
            assert_eq!(TrackerLine::read(text).next(), Some(None), "{text:?}");
        }
    }
}
