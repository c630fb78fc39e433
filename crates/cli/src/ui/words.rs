//! Words that go with numbers, and lines that end between words.

use unicode_width::UnicodeWidthStr as _;

/// `1 entry`, `2 entries`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// A text in lines of at most `width` columns, broken between words. `indent` columns are taken on
/// the first line, and left blank on the others. A longer word has a line of its own.
pub fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::with_capacity(text.len());
    let mut used = indent;
    for (place, word) in text.split(' ').enumerate() {
        let wide = word.width();
        if place > 0 && used + 1 + wide > width {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else if place > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += wide;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_between_words_and_go_on_where_the_text_began() {
        assert_eq!(wrapped("one two three", 3, 11), "one two\n   three");
        assert_eq!(wrapped("a-word-too-long for it", 2, 8), "a-word-too-long\n  for it");
        assert_eq!(wrapped("all of it", 3, usize::MAX), "all of it");
        assert_eq!(wrapped("漢字 漢字", 0, 8), "漢字\n漢字");
    }
}
