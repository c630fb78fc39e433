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

/// How well an item answers a search: the lesser comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Its title begins with what was typed.
    Begins,
    /// Its title has all of the words.
    Named,
    /// It has all of them somewhere.
    Somewhere,
}

/// How well a title and a text answer what is wanted; `None` = they lack one of the words.
pub(super) fn rank(title: &str, text: &str, wanted: &[Vec<String>]) -> Option<Rank> {
    let (title, text) = (words_of(title), words_of(text));
    let has = |words: &[String], parts: &[String]| words.windows(parts.len()).any(|run| begins(run, parts));
    let mut typed = title.iter();
    if wanted.iter().flatten().all(|part| typed.next().is_some_and(|word| word.starts_with(part.as_str()))) {
        Some(Rank::Begins)
    } else if wanted.iter().all(|parts| has(&title, parts)) {
        Some(Rank::Named)
    } else {
        wanted.iter().all(|parts| has(&title, parts) || has(&text, parts)).then_some(Rank::Somewhere)
    }
}

/// Whether a run of words is these parts, the last one as a beginning.
fn begins(run: &[String], parts: &[String]) -> bool {
    let Some((last, first)) = parts.split_last() else { return false };
    run[..first.len()] == *first && run[first.len()].starts_with(last.as_str())
}

fn words_of(text: &str) -> Vec<String> {
    let folded = larder_core::fold(text);
    folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
