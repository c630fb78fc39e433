//! What a page says after a form was sent: a word of a fixed list in the address, so that a link
//! cannot make a page say anything else.

use larder_core::Met;

use super::words::counted;

/// What became of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) text: Text,
    pub(crate) is_wrong: bool,
}

/// The sentence itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    word: Word,
    met: Met,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Refreshes ended well.
    Refreshed,
    /// Refreshes are under way.
    Started,
    /// Refreshes failed.
    Failed,
    /// It was refreshed a moment ago.
    Recent,
    /// Entries were marked stale.
    Invalidated,
    /// Failed entries got a new start.
    Replayed,
    /// A token was accepted.
    Entered,
    /// The session was ended.
    Left,
}

const WORDS: [(Word, &str); 8] = [
    (Word::Refreshed, "refreshed"),
    (Word::Started, "started"),
    (Word::Failed, "failed"),
    (Word::Recent, "recent"),
    (Word::Invalidated, "invalidated"),
    (Word::Replayed, "replayed"),
    (Word::Entered, "entered"),
    (Word::Left, "left"),
];

impl Told {
    /// A message about so many entries.
    pub(crate) fn new(word: Word, count: u64) -> Self {
        Told::met(word, Met::exactly(count))
    }

    /// A message about so many entries, or more.
    pub(crate) fn met(word: Word, met: Met) -> Self {
        Told { text: Text { word, met }, is_wrong: word == Word::Failed }
    }

    /// Reads it from a query.
    pub(crate) fn of(query: &str) -> Option<Self> {
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let said = value("told")?;
        let (word, _) = WORDS.iter().find(|(_, text)| *text == said)?;
        let count = value("count").unwrap_or_default();
        let (count, or_more) = count.strip_prefix(OVER).map_or((count, false), |count| (count, true));
        let count = count.parse().unwrap_or(0).min(1_000_000);
        Some(Told::met(*word, Met { count, or_more }))
    }

    /// The address to go back to, with it.
    pub(crate) fn on(self, back: &str) -> String {
        let word = WORDS.iter().find(|(word, _)| *word == self.text.word).map_or("", |(_, text)| text);
        let joint = if back.contains('?') { '&' } else { '?' };
        let Met { count, or_more } = self.text.met;
        format!("{back}{joint}told={word}&count={}{count}", if or_more { OVER } else { "" })
    }
}

/// Stands before a count that is not all there are.
const OVER: &str = "over-";

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Met { count, or_more } = self.met;
        let more = if or_more { "more than " } else { "" };
        let entries = format!("{more}{}", counted(count, "entry", "entries"));
        let is = if count == 1 { "is" } else { "are" };
        match self.word {
            Word::Refreshed => write!(f, "{entries} refreshed."),
            Word::Started => write!(f, "{entries} {is} being refreshed; the page shows them as they come."),
            Word::Failed => {
                write!(f, "{entries} could not be refreshed; what was held before is shown, with the reason.")
            }
            Word::Recent => {
                write!(f, "{entries} {is} not refreshed again: that was done within the last half minute.")
            }
            Word::Invalidated => write!(f, "{entries} marked stale; the next read refreshes behind it."),
            Word::Replayed => write!(f, "{entries} given a new start."),
            Word::Entered => f.write_str("You are signed in."),
            Word::Left => f.write_str("You are signed out."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_to_its_end_is_told_as_more() {
        let told = Told::met(Word::Invalidated, Met::counted(5000));
        assert_eq!(told.on("/"), "/?told=invalidated&count=over-1000");
        assert_eq!(Told::of("told=invalidated&count=over-1000"), Some(told));
        let text = "more than 1,000 entries marked stale; the next read refreshes behind it.";
        assert_eq!(told.text.to_string(), text);
    }

    #[test]
    fn a_link_can_only_say_what_is_on_the_list() {
        assert_eq!(Told::of("told=<script>&count=1"), None);
        assert_eq!(Told::of("search=x"), None);
        let told = Told::new(Word::Invalidated, 3);
        assert_eq!(told.on("/cache?sort=age"), "/cache?sort=age&told=invalidated&count=3");
        assert_eq!(Told::of("sort=age&told=invalidated&count=3"), Some(told));
        assert_eq!(told.text.to_string(), "3 entries marked stale; the next read refreshes behind it.");
    }
}
