//! How a letter is compared where neither case nor accents matter, and what is a word by itself. Every store
//! finds by the same, whatever its database thinks of letters.
//!
//! Chinese and Japanese put no blanks between words, and Korean joins some: there each character is a word, and
//! several that are typed together are words in a row. So they are found wherever they stand. A picture (an emoji)
//! is a word as well. Most databases take it for a mark, which no index of words keeps; so it is folded to a
//! character that all take for a letter: an ideograph that next to nobody writes.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::decompose_canonical;

/// Which folding this is: to be raised when a letter is folded otherwise, so that stores write anew what they
/// keep of it. 0 = none of Larder's own.
pub const FOLDING: u32 = 3;

/// A text as its letters are [folded](fold_char), the rest as it stands.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    composed(text).chars().for_each(|c| fold_char(c, &mut folded));
    folded
}

/// What was typed into a search, as titles may begin with it: first as it was typed, with one blank between words;
/// then, where that is something else, its words without the marks around them. People put commas, quotation marks
/// and stars there, and other titles begin with `.` or have a `++` behind them.
pub fn beginnings(typed: &str) -> (String, Option<String>) {
    let each = typed.split(|c: char| c.is_whitespace() || c.is_control());
    let whole = each.clone().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let bare = each.map(|word| word.trim_matches(|c| !is_of_word(c))).filter(|word| !word.is_empty());
    let bare = bare.collect::<Vec<_>>().join(" ");
    let is_another = !bare.is_empty() && bare != whole;
    (whole, is_another.then_some(bare))
}

/// Whether a word may begin or end with it: a letter, a digit, a picture, or an accent on one.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_accent(c) || lone(c).is_some()
}

/// A text whose Korean syllables are one character each: some systems (macOS, in the names of files) write each as
/// its two or three parts, which by themselves are letters that nobody types.
pub fn composed(text: &str) -> Cow<'_, str> {
    let is_part = |c: char| ('\u{1100}'..='\u{11ff}').contains(&c);
    if text.contains(is_part) { text.nfc().collect() } else { Cow::Borrowed(text) }
}

/// Adds a letter without case and accents; an accent by itself adds nothing. What is a word by itself has a blank
/// on either side. What is no letter is added as it stands.
pub fn fold_char(c: char, folded: &mut String) {
    if c.is_ascii() {
        folded.push(c.to_ascii_lowercase());
    } else if let Some(word) = lone(c) {
        folded.extend([' ', word, ' ']);
    } else if !is_accent(c) {
        plain(c).to_lowercase().for_each(|c| usual(c, folded));
    }
}

/// A character that is a word by itself, as it is compared.
fn lone(c: char) -> Option<char> {
    match c {
        // Ideographs, and what stands for one.
        '\u{3005}'..='\u{3007}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{20000}'..='\u{3ffff}' => Some(c),
        // Others that have the form of one, kana of whatever width, and Korean syllables.
        '\u{f900}'..='\u{faff}'
        | '\u{3041}'..='\u{3096}'
        | '\u{309d}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{ff66}'..='\u{ff9d}'
        | '\u{ac00}'..='\u{d7a3}' => Some(plain(c)),
        c => pictured(c),
    }
}

/// The ideograph that stands for a picture. The colours of skins are taken for accents.
fn pictured(c: char) -> Option<char> {
    let place = match c {
        '\u{1f3fb}'..='\u{1f3ff}' => return None,
        '\u{2300}'..='\u{23ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' => u32::from(c),
        '\u{1f000}'..='\u{1faff}' => u32::from(c) - 0x1_f000,
        _ => return None,
    };
    char::from_u32(0x2_0000 + place)
}

/// Combining accents, the points of Hebrew and Arabic, which most texts leave out, and what chooses between forms
/// of a picture. Marks that are letters of their scripts are not among them.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// The letter without its accents. Korean syllables stay whole: their parts are letters.
fn plain(c: char) -> char {
    if ('\u{ac00}'..='\u{d7a3}').contains(&c) {
        return c;
    }
    let mut base = None;
    decompose_canonical(c, |part| {
        if base.is_none() && !is_accent(part) {
            base = Some(part);
        }
    });
    base.unwrap_or(c)
}

/// Adds a letter that has another form in some places of a word, or in some places of the world, in the usual one.
fn usual(c: char, folded: &mut String) {
    match c {
        'ς' => folded.push('σ'),
        'ſ' => folded.push('s'),
        // The sign of a millionth is the letter that it is written as.
        'µ' => folded.push('μ'),
        'ß' => folded.push_str("ss"),
        c => folded.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_compared_without_case_and_accents_in_every_script() {
        for (text, folded) in [
            ("A Café, un-cut", "a cafe, un-cut"),
            ("cafe\u{301} Ǖber ÅNGSTRÖM naïve", "cafe uber angstrom naive"),
            ("Йод и Ёлка", "иод и елка"),
            ("Σίσυφος ΣΙΣΥΦΟΣ", "σισυφοσ σισυφοσ"),
            ("ſtraſſe İ", "strasse i"),
            ("Straße GROẞ", "strasse gross"),
            ("5 µs", "5 μs"),
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("हिन्दी", "हिन्दी"),
        ] {
            assert_eq!(fold(text), folded);
            assert_eq!(fold(&fold(text)), fold(text), "once is enough");
        }
    }

    #[test]
    fn what_is_typed_is_how_a_title_may_begin_with_its_marks_and_without() {
        for (typed, whole, bare) in [
            (" pdf  form ", "pdf form", None),
            ("pdf,", "pdf,", Some("pdf")),
            ("\"a\" - 'b'*", "\"a\" - 'b'*", Some("a b")),
            (".net c++", ".net c++", Some("net c")),
            ("un-cut\0x", "un-cut x", None),
            ("«cafe\u{301}», 🚀!", "«cafe\u{301}», 🚀!", Some("cafe\u{301} 🚀")),
            (" - ", "-", None),
            ("", "", None),
        ] {
            assert_eq!(beginnings(typed), (whole.to_owned(), bare.map(str::to_owned)), "{typed}");
        }
    }

    #[test]
    fn where_no_blanks_part_words_each_character_is_one_and_so_is_a_picture() {
        let words = |text: &str| fold(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (text, cut) in [
            ("東京都v2", &["東", "京", "都", "v2"][..]),
            ("プロジェクト", &["フ", "ロ", "シ", "ェ", "ク", "ト"]),
            ("한국어 가", &["한", "국", "어", "가"]),
            ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}", &["한", "국"]),
        ] {
            assert_eq!(words(text), cut);
            assert_eq!(words(&fold(text)), cut, "once is enough");
        }
        let pictures = words("🚀⭐️ go 👍🏽");
        assert!(pictures.iter().all(|word| word.chars().all(char::is_alphanumeric)), "{pictures:?}");
        assert_eq!(pictures.len(), 4, "{pictures:?}");
        assert_eq!(words("⭐ 👍"), [pictures[1].clone(), pictures[3].clone()], "of whatever form and colour");
    }
}
