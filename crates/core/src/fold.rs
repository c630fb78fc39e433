//! How a letter is compared where neither case nor accents matter. Every store finds by the same, whatever
//! its database thinks of letters.

use unicode_normalization::char::decompose_canonical;

/// Which folding this is: to be raised when a letter is folded otherwise, so that stores write anew what they
/// keep of it. 0 = none of Larder's own.
pub const FOLDING: u32 = 1;

/// A text as its letters are [folded](fold_char), the rest as it stands.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    text.chars().for_each(|c| fold_char(c, &mut folded));
    folded
}

/// Adds a letter without case and accents; an accent by itself adds nothing. What is no letter is added as
/// it stands.
pub fn fold_char(c: char, folded: &mut String) {
    if c.is_ascii() {
        folded.push(c.to_ascii_lowercase());
    } else if !is_accent(c) {
        folded.extend(plain(c).to_lowercase().map(usual));
    }
}

/// Combining accents, and the points of Hebrew and Arabic, which most texts leave out. Marks that are
/// letters of their scripts are not among them.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}')
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

/// Letters that have another form in some places of a word.
fn usual(c: char) -> char {
    match c {
        'ς' => 'σ',
        'ſ' => 's',
        c => c,
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
            ("שָׁלוֹם", "שלום"),
            ("مُحَمَّد", "محمد"),
            ("東京 한국어 हिन्दी", "東京 한국어 हिन्दी"),
        ] {
            assert_eq!(fold(text), folded);
            assert_eq!(fold(&fold(text)), fold(text), "once is enough");
        }
    }
}
