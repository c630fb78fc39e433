//! Words: what a text is found by, and what a search asks for. Cut here and not by PostgreSQL, so
//! that every store finds the same whatever its version and language: letters and digits make words,
//! case and accents do not matter, and whatever people type is text.

use std::collections::HashSet;
use std::error::Error;

use bytes::BytesMut;
use larder_core::fold;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The most words of a search that count.
const ASKED_MAX: usize = 32;

/// The most words of an item that are kept, and how often each: a `tsvector` has its limits.
const KEPT_MAX: usize = 5_000;
const PLACES_MAX: usize = 100;
/// Words and places together must stay below a mebibyte; this is for the words.
const BYTES_MAX: usize = 960 << 10;
const PLACE_MAX: u16 = 16_000;
const GAP: u16 = 10;

/// A longer word is known by its beginning.
const LETTERS_MAX: usize = 100;

/// The words of a text, in order: lower-cased, without accents.
fn words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().take(LETTERS_MAX).collect()).collect()
}

/// What an item is found by: a `tsvector` as PostgreSQL takes it without reading a text, words in the
/// order of their bytes, each with its places; its title's words weigh `A`.
#[derive(Debug)]
pub(crate) struct Vector(Vec<u8>);

/// The weight `A`, as it stands in the upper bits of a place.
const TITLED: u16 = 3 << 14;

/// The words of a title and of all else, as a vector.
pub(crate) fn vector(title: &str, search: &str) -> Vector {
    let mut found: Vec<(String, u16)> = Vec::new();
    let titled = words(title).into_iter().map(|word| (word, true));
    let others = words(search).into_iter().map(|word| (word, false));
    for (nth, (word, is_titled)) in (1..PLACE_MAX).zip(titled.chain(others)) {
        // The gap keeps a title's last word and the next text's first from standing in a row.
        found.push((word, if is_titled { nth | TITLED } else { nth + GAP }));
    }
    keep_most(&mut found);
    // Places of one word stay in their order.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut vector = vec![0; 4];
    let mut count: u32 = 0;
    for same in found.chunk_by(|(one, _), (other, _)| one == other) {
        let places = &same[..same.len().min(PLACES_MAX)];
        vector.extend_from_slice(same[0].0.as_bytes());
        vector.push(0);
        vector.extend_from_slice(&(places.len() as u16).to_be_bytes());
        for (_, place) in places {
            vector.extend_from_slice(&place.to_be_bytes());
        }
        count += 1;
    }
    vector[..4].copy_from_slice(&count.to_be_bytes());
    Vector(vector)
}

/// The first of different words, if there are more than are kept.
fn keep_most(found: &mut Vec<(String, u16)>) {
    let bytes: usize = found.iter().map(|(word, _)| word.len()).sum();
    if found.len() <= KEPT_MAX && bytes <= BYTES_MAX {
        return;
    }
    let mut kept: HashSet<String> = HashSet::new();
    let mut room = BYTES_MAX;
    found.retain(|(word, _)| {
        if kept.contains(word) {
            return true;
        }
        let fits = kept.len() < KEPT_MAX && word.len() <= room;
        if fits {
            room -= word.len();
            kept.insert(word.clone());
        }
        fits
    });
}

impl ToSql for Vector {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(holds: &Type) -> bool {
        *holds == Type::TS_VECTOR
    }

    to_sql_checked!();
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

fn asked(search: &str, whole: &str, begun: &str) -> Option<String> {
    let asked = search.split(|c: char| c.is_whitespace() || c.is_control());
    let asked = asked.filter_map(|typed| {
        let mut parts: Vec<String> = words(typed).iter().map(|part| format!("'{part}'")).collect();
        // What ends in a character that is a word by itself cannot go on.
        let last = parts.pop_if(|_| !fold(typed).ends_with(' '));
        let mut phrase: Vec<String> = parts.into_iter().map(|part| part + whole).collect();
        phrase.extend(last.map(|last| format!("{last}:{begun}")));
        if phrase.is_empty() {
            return None;
        }
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
        let cut = |text: &str| words(text).join(" ");
        assert_eq!(cut("Un-hyphenated C++ café, Ünïcode's 2nd"), "un hyphenated c cafe unicode s 2nd");
        assert_eq!(cut("e\u{301}tude \u{301} ß İ"), "etude ss i");
        assert_eq!(cut(" \0'\"\\:*&|!()<-> "), "");
    }

    #[test]
    fn a_title_weighs_more() {
        assert_eq!(told("Rust cache", "a rust's cache"), "'a':13 'cache':2A,16 'rust':1A,14 's':15 ");
        assert_eq!(told("", ""), "");
        let long = told("", &"word ".repeat(20_000));
        assert!(long.len() < 1_000, "{}", long.len());
        assert_eq!(told(&"x".repeat(9_000), "").len(), 100 + "'':1A ".len());
        let many: Vec<String> = (0..9_000).map(|n| format!("w{n} w0")).collect();
        let many = told("", &many.join(" "));
        assert_eq!(many.split(' ').count(), KEPT_MAX + 1);
        assert!(many.contains("'w4999':") && !many.contains("'w5000':"));
    }

    /// A vector as PostgreSQL writes it.
    fn told(title: &str, search: &str) -> String {
        let vector = vector(title, search).0;
        let (count, mut rest) = vector.split_first_chunk().unwrap();
        let mut told = Vec::new();
        for _ in 0..u32::from_be_bytes(*count) {
            let end = rest.iter().position(|byte| *byte == 0).unwrap();
            let (word, behind) = rest.split_at(end);
            let (places, mut behind) = behind[1..].split_first_chunk().unwrap();
            let mut written = Vec::new();
            for _ in 0..u16::from_be_bytes(*places) {
                let (place, next) = behind.split_first_chunk().unwrap();
                let place = u16::from_be_bytes(*place);
                let weight = if place & TITLED == TITLED { "A" } else { "" };
                written.push(format!("{}{weight}", place & !TITLED));
                behind = next;
            }
            told.push(format!("'{}':{} ", std::str::from_utf8(word).unwrap(), written.join(",")));
            rest = behind;
        }
        assert!(rest.is_empty());
        told.concat()
    }

    #[test]
    fn whatever_is_typed_is_words() {
        assert_eq!(query("rust cli").as_deref(), Some("('rust':*) & ('cli':*)"));
        assert_eq!(query("a\"b NEAR(x").as_deref(), Some("('a' <-> 'b':*) & ('near' <-> 'x':*)"));
        assert_eq!(query(" - * \" "), None);
        assert_eq!(query(&"word ".repeat(1_000)).unwrap().matches("word").count(), 32);
    }
}
