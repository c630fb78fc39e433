//! Words: what a text is found by, and what a search asks for. Cut here and not by PostgreSQL, so
//! that every store finds the same whatever its version and language: letters and digits make words,
//! case and accents do not matter, and whatever people type is text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The most words of a search that count.
const ASKED_MAX: usize = 32;

/// The most words of an item that are kept, and how often each: a `tsvector` has its limits.
const KEPT_MAX: usize = 5_000;
const PLACES_MAX: usize = 100;
const PLACE_MAX: usize = 16_000;
const GAP: usize = 10;

/// A longer word is known by its beginning.
const LETTERS_MAX: usize = 100;

/// The words of a text, in order: lower-cased, without accents.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_of_word = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    text.split(move |c: char| !is_of_word(c)).filter_map(|word| {
        let plain = word.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
        let plain: String = plain.filter(|c| c.is_alphanumeric()).take(LETTERS_MAX).collect();
        (!plain.is_empty()).then_some(plain)
    })
}

/// What an item is found by, as a `tsvector`: its title's words weigh more than the others.
pub(crate) fn vector(title: &str, search: &str) -> String {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    // The gap keeps a title's last word and the next text's first from standing in a row.
    let mut gap = 0;
    let titled = words(title).map(|word| (word, "A"));
    let others = words(search).map(|word| (word, ""));
    for (nth, (word, weight)) in (1..PLACE_MAX).zip(titled.chain(others)) {
        if weight.is_empty() {
            gap = GAP;
        }
        let place = nth + gap;
        if places.len() >= KEPT_MAX && !places.contains_key(&word) {
            continue;
        }
        let held = places.entry(word).or_default();
        if held.bytes().filter(|byte| *byte == b',').count() < PLACES_MAX {
            // Writing to a text cannot fail.
            let _ = write!(held, "{}{place}{weight}", if held.is_empty() { "" } else { "," });
        }
    }
    let mut vector = String::new();
    for (word, places) in places {
        let _ = write!(vector, "'{word}':{places} ");
    }
    vector
}

/// What a search asks for, as a `tsquery`: all of its words, each as the beginning of a word; one that
/// has marks within (`un-hyphenated`) as its parts in a row. `None` = there is no word in it, so
/// nothing can be found by it.
pub(crate) fn query(search: &str) -> Option<String> {
    asked(search, "", "*")
}

/// The same of titles alone, whose words weigh `A`.
pub(crate) fn query_of_titles(search: &str) -> Option<String> {
    asked(search, ":A", "*A")
}

/// What was typed as the beginning of a title, without regard to ASCII case.
pub(crate) fn beginning(search: &str) -> String {
    search.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

fn asked(search: &str, whole: &str, begun: &str) -> Option<String> {
    let asked = search.split(|c: char| c.is_whitespace() || c.is_control());
    let asked = asked.filter_map(|typed| {
        let mut parts: Vec<String> = words(typed).map(|part| format!("'{part}'")).collect();
        let last = parts.pop()?;
        let mut phrase: Vec<String> = parts.into_iter().map(|part| part + whole).collect();
        phrase.push(format!("{last}:{begun}"));
        Some(phrase.join(" <-> "))
    });
    let asked: Vec<String> = asked.take(ASKED_MAX).map(|part| format!("({part})")).collect();
    (!asked.is_empty()).then(|| asked.join(" & "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_make_words() {
        let cut = |text: &str| words(text).collect::<Vec<_>>().join(" ");
        assert_eq!(cut("Un-hyphenated C++ café, Ünïcode's 2nd"), "un hyphenated c cafe unicode s 2nd");
        assert_eq!(cut("e\u{301}tude \u{301} ß İ"), "etude ß i");
        assert_eq!(cut(" \0'\"\\:*&|!()<-> "), "");
    }

    #[test]
    fn a_title_weighs_more() {
        assert_eq!(vector("Rust cache", "a rust's cache"), "'a':13 'cache':2A,16 'rust':1A,14 's':15 ");
        assert_eq!(vector("", ""), "");
        let long = vector("", &"word ".repeat(20_000));
        assert!(long.len() < 1_000, "{}", long.len());
        assert_eq!(vector(&"x".repeat(9_000), "").len(), 100 + "'':1A ".len());
    }

    #[test]
    fn whatever_is_typed_is_words() {
        assert_eq!(query("rust cli").as_deref(), Some("('rust':*) & ('cli':*)"));
        assert_eq!(query("a\"b NEAR(x").as_deref(), Some("('a' <-> 'b':*) & ('near' <-> 'x':*)"));
        assert_eq!(query(" - * \" "), None);
        assert_eq!(query(&"word ".repeat(1_000)).unwrap().matches("word").count(), 32);
    }
}
