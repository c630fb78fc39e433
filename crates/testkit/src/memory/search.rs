//! Full-text search by looking at every word: all of the asked ones, each as a beginning, whatever
//! case and accents.

/// The most words of a search that count.
const WORDS_MAX: usize = 32;

/// What is looked for.
pub(super) struct Wanted {
    /// The parts of each typed word.
    words: Vec<Vec<String>>,
    /// As a title may begin with it: as it was typed, and without the marks around its words.
    begun: (String, Option<String>),
}

/// What is looked for. `None` = there is no word in it.
pub(super) fn wanted(typed: &str) -> Option<Wanted> {
    let words: Vec<Vec<String>> = typed
        .split(|c: char| c.is_whitespace() || c.is_control())
        .map(words_of)
        .filter(|parts| !parts.is_empty())
        .take(WORDS_MAX)
        .collect();
    let begun = larder_core::beginnings(&typed.to_ascii_lowercase());
    (!words.is_empty()).then_some(Wanted { words, begun })
}

/// How well an item answers a search: the lesser comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Its title begins with what was typed.
    Begins,
    /// Its title begins with the words of that.
    BeginsBarely,
    /// Its title has all of the words.
    Named,
    /// It has all of them somewhere.
    Somewhere,
}

/// How well a title and a text answer what is wanted; `None` = they lack one of the words.
pub(super) fn rank(title: &str, text: &str, wanted: &Wanted) -> Option<Rank> {
    let Wanted { words: wanted, begun: (typed, bare) } = wanted;
    let lower = title.to_ascii_lowercase();
    let (title, text) = (words_of(title), words_of(text));
    let has = |words: &[String], parts: &[String]| words.windows(parts.len()).any(|run| begins(run, parts));
    let is_found = wanted.iter().all(|parts| has(&title, parts) || has(&text, parts));
    if !is_found {
        None
    } else if lower.starts_with(typed) {
        Some(Rank::Begins)
    } else if bare.as_ref().is_some_and(|bare| lower.starts_with(bare)) {
        Some(Rank::BeginsBarely)
    } else if wanted.iter().all(|parts| has(&title, parts)) {
        Some(Rank::Named)
    } else {
        Some(Rank::Somewhere)
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
