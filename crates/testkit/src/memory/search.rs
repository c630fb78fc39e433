//! Full-text search by looking at every word: all of the asked ones, each as a beginning, whatever
//! case and accents.

/// The most words of a search that count.
const WORDS_MAX: usize = 32;

/// What is looked for: the parts of each typed word. `None` = there is no word in it.
pub(super) fn wanted(typed: &str) -> Option<Vec<Vec<String>>> {
    let words: Vec<Vec<String>> = typed
        .split(|c: char| c.is_whitespace() || c.is_control())
        .map(words_of)
        .filter(|parts| !parts.is_empty())
        .take(WORDS_MAX)
        .collect();
    (!words.is_empty()).then_some(words)
}

/// How well a title and a text answer what is wanted, a word of the title better than any of the
/// text; 0 = they lack one of the words.
pub(super) fn matches(title: &str, text: &str, wanted: &[Vec<String>]) -> usize {
    let (title, text) = (words_of(title), words_of(text));
    let found = |words: &[String], parts: &[String]| {
        words.windows(parts.len()).filter(|run| begins(run, parts)).count()
    };
    let each = wanted.iter().map(|parts| found(&title, parts) * 1_000 + found(&text, parts));
    let counts: Vec<usize> = each.collect();
    if counts.contains(&0) { 0 } else { counts.into_iter().sum() }
}

/// Whether a run of words is these parts, the last one as a beginning.
fn begins(run: &[String], parts: &[String]) -> bool {
    let Some((last, first)) = parts.split_last() else { return false };
    run[..first.len()] == *first && run[first.len()].starts_with(last.as_str())
}

fn words_of(text: &str) -> Vec<String> {
    let plain: String = text.chars().flat_map(char::to_lowercase).map(without_accent).collect();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The letters of western Europe without their accents; all others as they are.
fn without_accent(c: char) -> char {
    match c {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        c => c,
    }
}
