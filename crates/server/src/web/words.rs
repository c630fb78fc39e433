//! How pages say ages, counts and states: one vocabulary everywhere. Larder's terminal says the same.

use std::time::Duration;

use askama::Template;
use larder_core::{Entry, Failure, Key, Policy, RefreshState, Status, Time};

use crate::damage::is_of_damage;

const UNITS: [(u64, &str); 6] =
    [(365 * 86_400, "y"), (30 * 86_400, "mo"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];

/// A span in its largest unit: `2 h`, `3 d`.
pub(crate) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let unit = UNITS.iter().find(|(length, _)| secs >= *length);
    unit.map_or_else(|| "0 s".to_owned(), |(length, unit)| format!("{} {unit}", secs / length))
}

/// The same to the nearest: what is due in 5 h 59 min is due in 6 h.
fn nearly(due: Duration) -> String {
    let secs = due.as_secs();
    let unit = UNITS.iter().find(|(length, _)| secs >= *length).map_or(0, |(length, _)| *length);
    span(due + Duration::from_secs(unit / 2))
}

/// A number that people read at a glance: `842`, `8.2k`, `1.3M`.
pub(crate) fn short(number: u64) -> String {
    let tenths = |unit: u64, word: &str| {
        let tenths = number / (unit / 10);
        if tenths < 1000 {
            format!("{}.{}{word}", tenths / 10, tenths % 10)
        } else {
            format!("{}{word}", tenths / 10)
        }
    };
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => tenths(1_000, "k"),
        _ => tenths(1_000_000, "M"),
    }
}

/// A number with its thousands apart: `12,345`.
pub(crate) fn exact(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 entry`, `3 entries`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", exact(number), if number == 1 { one } else { many })
}

/// An instant as `<time>`: relative in the text, exact in the tooltip. The script keeps it true.
#[derive(Debug, Clone, Template)]
#[template(path = "time.html")]
pub(crate) struct Stamp {
    iso: String,
    /// `due`: once it is past, it is `now`. `past`: it is never ahead, whatever a clock says.
    way: &'static str,
    words: String,
}

impl Stamp {
    /// Of something that was, or that ends.
    pub(crate) fn new(at: Time, now: Time) -> Self {
        let (past, future) = (now.since(at), at.since(now));
        let second = Duration::from_secs(1);
        let way = if at <= now { "past" } else { "age" };
        let words = if past >= second {
            format!("{} ago", span(past))
        } else if future >= second {
            format!("in {}", nearly(future))
        } else {
            "just now".to_owned()
        };
        Stamp { iso: whole(at), way, words }
    }

    /// Of something that waits for its time.
    pub(crate) fn due(at: Time, now: Time) -> Self {
        let stamp = Stamp::new(at, now);
        let is_ahead = at.since(now) >= Duration::from_secs(1);
        let words = if is_ahead { stamp.words } else { "now".to_owned() };
        Stamp { way: "due", words, ..stamp }
    }
}

/// The instant without its milliseconds, which nobody reads.
fn whole(at: Time) -> String {
    Time::from_ms(at.ms().div_euclid(1000) * 1000).to_string()
}

/// What an entry's badge is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) refresh: RefreshState,
    pub(crate) complete: bool,
    pub(crate) fetched_at: Option<Time>,
}

impl State {
    /// Of a row.
    pub(crate) fn of(entry: &Entry, status: Status, policy: &Policy, now: Time) -> Self {
        let refresh = entry.refresh_state(policy, now);
        State { status, refresh, complete: entry.complete, fetched_at: entry.fetched_at }
    }
}

/// The one badge: the worse of an entry's two states.
#[derive(Debug, Clone, Template)]
#[template(path = "badge.html")]
pub(crate) struct Badge {
    pub(crate) class: &'static str,
    word: &'static str,
    at: Option<Stamp>,
}

impl Badge {
    /// The badge of a state.
    pub(crate) fn new(state: State, now: Time) -> Self {
        let (class, word) = match (state.refresh, state.status) {
            (RefreshState::Dead, _) => ("dead", "dead, updated"),
            (RefreshState::Retrying, _) => ("error", "error, updated"),
            (RefreshState::Running, _) => ("updating", "updating…"),
            (RefreshState::Idle, Status::Stale) => ("stale", "stale, updated"),
            (RefreshState::Idle, Status::Fresh) if !state.complete => ("incomplete", "incomplete, updated"),
            (RefreshState::Idle, Status::Fresh) => ("fresh", "updated"),
            (RefreshState::Idle, Status::Missing) => ("missing", "not fetched yet"),
        };
        let says_age = !matches!(class, "updating" | "missing");
        match state.fetched_at.filter(|_| says_age) {
            Some(at) => Badge { class, word, at: Some(Stamp::new(at, now)) },
            // With no copy there is no age to tell.
            None => Badge { class, word: word.split(',').next().unwrap_or(word), at: None },
        }
    }
}

impl Badge {
    /// The badge of what may be held or not: nobody can say.
    pub(crate) fn unknown() -> Self {
        Badge { class: "missing", word: "not known", at: None }
    }

    /// The word alone, where the age stands beside it.
    pub(crate) fn without_age(self) -> Self {
        let word =
            if self.class == "fresh" { "fresh" } else { self.word.split(',').next().unwrap_or(self.word) };
        Badge { word, at: None, ..self }
    }
}

/// Why an entry is not fresh, in a sentence or two below its name.
#[derive(Debug, Clone, Template)]
#[template(path = "note.html")]
pub(crate) struct Note {
    class: &'static str,
    why: Prose,
    held: &'static str,
    next: Option<Stamp>,
    hint: Option<Prose>,
}

/// A sentence as HTML: escaped, and what stands between backticks as code.
#[derive(Debug, Clone)]
pub(crate) struct Prose(String);

impl Prose {
    /// Of a sentence.
    pub(crate) fn new(text: &str) -> Self {
        let mut html = String::with_capacity(text.len() + 16);
        let is_paired = text.matches('`').count().is_multiple_of(2);
        for (place, part) in text.split('`').enumerate() {
            let is_code = is_paired && place % 2 == 1;
            html.push_str(match (place, is_paired, is_code) {
                (0, ..) => "",
                (_, false, _) => "`",
                (_, true, true) => "<code>",
                (_, true, false) => "</code>",
            });
            html.push_str(&super::frame::escaped(part));
        }
        Prose(html)
    }
}

impl std::fmt::Display for Prose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Note {
    /// Why, in a sentence.
    pub(crate) fn why(self) -> Prose {
        self.why
    }

    /// What is told of a failure: why, what is shown all the same, when the next try is.
    pub(crate) fn new(failure: &Failure, state: State, due_at: Time, key: &Key, now: Time) -> Option<Self> {
        let class = match (state.refresh, state.status) {
            (RefreshState::Dead, _) => "dead",
            (_, Status::Missing) | (RefreshState::Retrying, _) => "error",
            (_, Status::Stale) => "stale",
            (_, Status::Fresh) => return None,
        };
        let held = match (state.status, state.refresh) {
            _ if is_of_damage(failure) => "It is not tried again.",
            (Status::Missing, _) => "There is no copy to show yet.",
            (_, RefreshState::Dead) => "It failed too often and is set aside; the copy is shown.",
            _ => "The copy is shown meanwhile.",
        };
        Some(Note {
            class,
            why: Prose::new(&why(failure, key)),
            held,
            next: (!is_of_damage(failure)).then(|| Stamp::due(due_at, now)),
            hint: failure
                .hint
                .as_deref()
                .filter(|_| !says_when(failure))
                .map(|hint| Prose::new(&sentence(hint))),
        })
    }
}

/// In whose words the failure speaks.
pub(crate) fn why(failure: &Failure, key: &Key) -> String {
    // The page tells the time of the next try live.
    let said = failure.message.rsplit_once(" until ").filter(|_| says_when(failure));
    let message = said.map_or(failure.message.as_str(), |(message, _)| message);
    let upstream_spoke = matches!(
        failure.code.as_str(),
        "upstream" | "bad_request" | "refused" | "partial" | "primary_limit" | "secondary_limit"
    );
    let is_of_github = [crate::snapshot::CLUSTER, crate::trackers::TRACKERS_SOURCE].contains(&key.source());
    if upstream_spoke && is_of_github {
        format!("GitHub said: {}.", message.trim_end_matches('.'))
    } else {
        sentence(message)
    }
}

/// Whether the hint only repeats the time of the next try, which the page tells live.
fn says_when(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "primary_limit" | "secondary_limit" | "outage" | "budget" | "breaker_open"
    )
}

/// A text with a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    // A sentence that begins with a name in quotes or an address keeps it as it is written.
    let is_plain = text.split_whitespace().next().is_some_and(|word| word.chars().all(char::is_alphabetic));
    let text = if is_plain { first + letters.as_str() } else { text.to_owned() };
    if text.ends_with(['.', '!', '?', '…']) { text } else { text + "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    #[test]
    fn numbers_are_short_where_people_glance_and_exact_where_they_look() {
        let table =
            [(0, "0"), (999, "999"), (1_000, "1.0k"), (8_249, "8.2k"), (99_960, "99.9k"), (123_456, "123k")];
        for (number, says) in table {
            assert_eq!(short(number), says);
        }
        assert_eq!(
            (short(1_300_000).as_str(), exact(1_234_567).as_str(), exact(12).as_str()),
            ("1.3M", "1,234,567", "12")
        );
    }

    #[test]
    fn an_instant_says_its_age_and_names_itself_exactly() {
        let stamp = Stamp::new(NOW.minus(Duration::from_mins(125)), NOW).render().unwrap();
        assert_eq!(
            stamp,
            r#"<time datetime="2027-01-15T05:55:00Z" title="2027-01-15T05:55:00Z" data-way="past">2 h ago</time>"#
        );
        assert!(
            Stamp::due(NOW.plus(Duration::from_secs(6 * 3600 - 9)), NOW)
                .render()
                .unwrap()
                .contains(">in 6 h<")
        );
        assert!(Stamp::due(NOW.minus(Duration::from_secs(90)), NOW).render().unwrap().contains(">now<"));
    }

    #[test]
    fn what_stands_in_backticks_is_code_and_never_markup() {
        let html = |text| Prose::new(text).to_string();
        assert_eq!(html("see `larder doctor`."), "see <code>larder doctor</code>.");
        assert_eq!(html("`<b>` & \"more\""), "<code>&lt;b&gt;</code> &amp; &quot;more&quot;");
        assert_eq!(html("one ` alone <i>"), "one ` alone &lt;i&gt;");
    }

    #[test]
    fn a_badge_shows_the_worse_of_two_states() {
        let badge = |status, refresh, fetched_at| {
            Badge::new(State { status, refresh, complete: true, fetched_at }, NOW).render().unwrap()
        };
        let then = Some(NOW.minus(Duration::from_hours(2)));
        assert!(
            badge(Status::Fresh, RefreshState::Idle, then)
                .starts_with(r#"<span class="badge fresh">updated <time"#)
        );
        assert!(badge(Status::Stale, RefreshState::Running, then).contains(r#"updating">updating…<"#));
        assert!(badge(Status::Stale, RefreshState::Idle, then).contains(r#"stale">stale, updated <time"#));
        assert!(
            badge(Status::Fresh, RefreshState::Retrying, then).contains(r#"error">error, updated <time"#)
        );
        assert!(badge(Status::Missing, RefreshState::Retrying, None).contains(r#"error">error<"#));
        assert!(badge(Status::Missing, RefreshState::Dead, None).contains(r#"dead">dead<"#));
    }
}
