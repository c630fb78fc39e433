//! Searching by looking at every item: words that must all be found, each as the beginning of a word,
//! whatever the case and the accents. It means what SQLite's full-text index means (words quoted and with
//! a star), for lists short enough to be looked at.

use larder_core::{beginnings, composed, fold_char};

/// The most words of a search that count.
const WORDS_MAX: usize = 32;

/// What is searched for.
#[derive(Debug)]
pub(crate) struct Search {
    /// Each a folded text of its own, ` un hyphen`: a word is the beginning of one, and what people
    /// type as one word may be two that must stand side by side.
    words: Vec<String>,
    /// As titles may begin with it whatever the case, the better way first.
    beginnings: Vec<String>,
}

impl Search {
    /// `None` = there is no word in it, so nothing can be found by it.
    pub(crate) fn of(typed: &str) -> Option<Search> {
        let words: Vec<String> = typed
            .split(|c: char| c.is_whitespace() || c.is_control())
            .map(|word| {
                let mut folded = String::new();
                fold(word, &mut folded);
                folded
            })
            .filter(|folded| !folded.is_empty())
            .take(WORDS_MAX)
            .collect();
        let (whole, bare) = beginnings(&typed.to_ascii_lowercase());
        let beginnings = [whole].into_iter().chain(bare).collect();
        (!words.is_empty()).then_some(Search { words, beginnings })
    }
}

/// How often each word was found in an item, and how long the item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// In which way the title begins with what was typed, and the title: such come first, by the alphabet.
    pub(crate) begins: Option<(usize, String)>,
    in_title: Vec<u32>,
    in_text: Vec<u32>,
    length: u32,
}

/// Looks at items one after the other, with room that is used again.
#[derive(Default)]
pub(crate) struct Looking {
    title: String,
    text: String,
}

impl Looking {
    /// Whether all words are found, in the title or in the other words.
    pub(crate) fn find(&mut self, search: &Search, title: &str, text: &str) -> Option<Found> {
        fold(title, &mut self.title);
        fold(text, &mut self.text);
        let is_in = |folded: &str, word: &String| folded.contains(word.as_str());
        if !search.words.iter().all(|word| is_in(&self.title, word) || is_in(&self.text, word)) {
            return None;
        }
        let count = |folded: &str| {
            search.words.iter().map(|word| folded.matches(word.as_str()).count() as u32).collect()
        };
        let words = |folded: &str| folded.bytes().filter(|byte| *byte == b' ').count() as u32;
        let lower = title.to_ascii_lowercase();
        let mut ways = search.beginnings.iter();
        Some(Found {
            begins: ways.position(|typed| lower.starts_with(typed)).map(|way| (way, lower)),
            in_title: count(&self.title),
            in_text: count(&self.text),
            length: words(&self.title) + words(&self.text),
        })
    }
}

/// Scores what was found: BM25, but above all by how many of the words are in the title.
pub(crate) fn ranks(all: &[Found], looked_at: usize) -> Vec<(usize, f64)> {
    /// How much a further occurrence of a word adds, and how much length takes away: the usual ones.
    const MORE: f64 = 1.2;
    const LONGER: f64 = 0.75;
    let lengths: f64 = all.iter().map(|found| f64::from(found.length)).sum();
    let average = lengths / (all.len().max(1) as f64);
    // All were found by all words, so that no word tells more than another.
    let rarity = (1.0 + (looked_at.saturating_sub(all.len()) as f64 + 0.5) / (all.len() as f64 + 0.5)).ln();
    let score = |found: &Found| {
        let length = MORE * (1.0 - LONGER + LONGER * f64::from(found.length) / average.max(1.0));
        let often = found.in_title.iter().zip(&found.in_text).map(|(title, text)| f64::from(title + text));
        often.map(|often| rarity * often * (MORE + 1.0) / (often + length)).sum()
    };
    let titled = |found: &Found| found.in_title.iter().filter(|often| **often > 0).count();
    all.iter().map(|found| (titled(found), score(found))).collect()
}

/// Writes a text as its words, folded, each behind one space: ` a durable cafe`.
fn fold(text: &str, folded: &mut String) {
    folded.clear();
    let (mut in_word, mut letter) = (false, String::new());
    for c in composed(text).chars() {
        if c.is_ascii() {
            if c.is_ascii_alphanumeric() {
                begin(folded, &mut in_word);
                folded.push(c.to_ascii_lowercase());
            } else {
                in_word = false;
            }
            continue;
        }
        letter.clear();
        // An accent belongs to the letter before it, and adds nothing.
        fold_char(c, &mut letter);
        for c in letter.chars() {
            if c.is_alphanumeric() {
                begin(folded, &mut in_word);
                folded.push(c);
            } else {
                in_word = false;
            }
        }
    }
}

fn begin(folded: &mut String, in_word: &mut bool) {
    if !*in_word {
        folded.push(' ');
        *in_word = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut folded = String::new();
        fold(text, &mut folded);
        folded
    }

    fn finds(search: &str, title: &str, text: &str) -> bool {
        let Some(search) = Search::of(search) else { return false };
        Looking::default().find(&search, title, text).is_some()
    }

    #[test]
    fn words_are_folded_alike_however_they_are_written() {
        assert_eq!(folded("  A durable, Café of_slow-things!"), " a durable cafe of slow things");
        assert_eq!(folded("cafe\u{301} CAFÉ Ǖber ÅNGSTRÖM naïve"), " cafe cafe uber angstrom naive");
        assert_eq!(folded("Привет ЙОД 東京 한국어"), " привет иод 東 京 한 국 어");
        assert_eq!(folded("--- !"), "");
    }

    #[test]
    fn whatever_is_typed_is_words() {
        assert_eq!(Search::of("rust cli").unwrap().words, [" rust", " cli"]);
        assert_eq!(Search::of("un-hyph NEAR(x").unwrap().words, [" un hyph", " near x"]);
        assert!(Search::of(" - * \" \u{301}").is_none());
    }

    #[test]
    fn a_word_is_found_by_its_beginning_and_never_by_its_middle() {
        assert!(finds("cach", "", "a cache") && !finds("ache", "", "a cache"));
        assert!(finds("un-hyph", "", "un-hyphenated") && !finds("un-hyph", "", "un or hyphenated"));
        assert!(finds("one two", "One", "two"), "each in the title or in the text");
        assert!(!finds("one-two", "one", "two"), "side by side means in one of them");
    }

    #[test]
    fn names_rank_above_words_and_much_above_little() {
        let search = Search::of("cache").unwrap();
        let mut looking = Looking::default();
        let mut found = |title: &str, text: &str| looking.find(&search, title, text).unwrap();
        let all = [
            found("other", "a cache among very many other words that say nothing of the kind"),
            found("other", "cache cache cache"),
            found("cache", "something with so many other words that it weighs nearly nothing at all"),
        ];
        let ranks = ranks(&all, 10);
        assert!(ranks[2] > ranks[1] && ranks[1] > ranks[0], "{ranks:?}");
    }
}
