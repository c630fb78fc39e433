//! Lines for programs: tabs between, nothing cut.

use super::screen::harmless;
use super::table::Column;

/// Rows for programs, written as they come: what a [`Table`](super::Table) is in a pipe, where no line
/// waits for the next one's width.
#[derive(Debug)]
pub struct Tabs {
    text: String,
    columns: usize,
    /// How many cells the last line has so far.
    cells: usize,
}

impl Tabs {
    /// A line of titles.
    pub fn new(columns: &[Column]) -> Self {
        let mut tabs = Tabs::bare(columns.len());
        for column in columns {
            tabs.word(column.title());
        }
        tabs
    }

    /// No line yet.
    pub(super) fn bare(columns: usize) -> Self {
        Tabs { text: String::new(), columns, cells: 0 }
    }

    /// Writes the next cell: to the end of the columns, then on the next line.
    pub fn cell(&mut self, text: &str) {
        self.push(&harmless(text));
    }

    /// The same of a word of Larder's own.
    pub fn word(&mut self, word: &'static str) {
        self.push(word);
    }

    /// Writes a number, and what stands before it.
    pub fn number(&mut self, before: char, number: u64) {
        self.text.push(before);
        self.push(itoa::Buffer::new().format(number));
    }

    /// Writes a text that can do no harm, or whose escapes are Larder's own.
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.cells = (self.cells + 1) % self.columns;
        self.text.push(if self.cells == 0 { '\n' } else { '\t' });
    }

    /// All lines.
    pub fn into_text(self) -> String {
        self.text
    }
}
