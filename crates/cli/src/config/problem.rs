//! What is wrong with a configuration: all of it at once, each with its place and a way out.

use std::fmt;
use std::ops::Range;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `file:line:column`, or the variable's name.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where to list it: by line and column, what is not in the file behind.
    pub order: (usize, usize),
}

/// Every mistake of a configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "{only}"),
            many => write!(f, "the configuration has {} mistakes", many.len()),
        }
    }
}

/// Finds lines and columns in a file's text.
#[derive(Debug, Clone)]
pub struct Places<'a> {
    file: &'a str,
    text: &'a str,
    /// Where each line begins: every setting is asked for its line, and a file may have thousands.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    /// Of one file.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Places { file, text, lines: std::iter::once(0).chain(breaks).collect() }
    }

    /// The file's name.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// The line of a byte, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begins| *begins <= at)
    }

    /// The line and the column of a place; columns are counted in characters from 1.
    pub fn position(&self, span: &Range<usize>) -> (usize, usize) {
        let line = self.line(span.start);
        let begins = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.text.get(begins..span.start).map_or(0, |before| before.chars().count()) + 1;
        (line, column)
    }

    /// `file:line:column`.
    pub fn place(&self, span: &Range<usize>) -> String {
        let (line, column) = self.position(span);
        format!("{}:{line}:{column}", self.file)
    }

    /// A mistake at a place.
    pub fn problem(&self, span: &Range<usize>, message: String, hint: Option<String>) -> Problem {
        Problem { place: self.place(span), message, hint, order: self.position(span) }
    }
}

/// The word of `known` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Below this, a suggestion is more likely to mislead than to help.
const LIKENESS_MIN: f64 = 0.75;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["owner", "api_url", "token"];
        assert_eq!(nearest("onwer", known), Some("owner"));
        assert_eq!(nearest("api-url", known), Some("api_url"));
        assert_eq!(nearest("zzz", known), None);
    }

    #[test]
    fn places_count_characters_and_lines_from_one() {
        let places = Places::new("larder.toml", "é = 1\nonwer = 2\n");
        assert_eq!(places.place(&(0..2)), "larder.toml:1:1");
        assert_eq!(places.place(&(3..4)), "larder.toml:1:3");
        assert_eq!(places.place(&(7..12)), "larder.toml:2:1");
    }
}
