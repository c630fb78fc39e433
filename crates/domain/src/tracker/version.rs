//! Versions as a text that sorts as they do: by number, pre-releases before their release
//! (<https://semver.org>, section 11), without a leading path part and `v`. What people write behind the numbers
//! is a pre-release where it says so, and else makes no difference.

/// How many parts a version is filled up to, so that `v1` and `1.0.0` are one.
const PARTS: usize = 4;
/// Digits a number is filled up to.
const DIGITS: usize = 12;

/// What stands behind the numbers: a pre-release sorts below the end, and the end below a further number.
const PRE_RELEASE: char = '!';
const END: char = '#';

/// What makes a pre-release of a version also without the dash that Semantic Versioning has.
const PRE_RELEASES: [&str; 11] = [
    "alpha",
    "beta",
    "canary",
    "dev",
    "milestone",
    "nightly",
    "pre",
    "prerelease",
    "preview",
    "rc",
    "snapshot",
];
/// The same where a number follows at once: `1.0b2`, and not `1.0.2b`.
const PRE_RELEASE_LETTERS: [&str; 4] = ["a", "b", "c", "m"];

/// The text that a version sorts by, among others of its kind. What is no version at all sorts
/// below all that are, by its letters.
pub fn sort_key(version: &str) -> String {
    let parts = || version.split('/').map(str::trim).filter(|part| !part.is_empty());
    let Some((numbers, rest)) = parts().rev().find_map(numbers) else {
        return format!("-{}", parts().next_back().unwrap_or_default().to_lowercase());
    };
    let further = numbers.iter().rposition(|number| number.bytes().any(|digit| digit != b'0'));
    let count = further.map_or(0, |last| last + 1).max(PARTS);
    let mut key = String::new();
    for place in 0..count {
        key.push_str(&filled(numbers.get(place).copied().unwrap_or("0")));
        key.push('.');
    }
    let Some(words) = pre_release(rest) else {
        key.push(END);
        return key;
    };
    key.push(PRE_RELEASE);
    for word in words {
        // Numbers sort below words.
        if is_number(word) {
            key.push_str(&filled(word));
        } else {
            key.push('a');
            key.push_str(&word.to_lowercase());
        }
        key.push('.');
    }
    key
}

/// The numbers that a version begins with, and what stands behind them; `None` = it begins with none.
fn numbers(part: &str) -> Option<(Vec<&str>, &str)> {
    let bare = part.strip_prefix(['v', 'V']).unwrap_or(part);
    let mut numbers = Vec::new();
    let mut rest = bare;
    loop {
        let end = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        numbers.push(&rest[..end]);
        rest = &rest[end..];
        match rest.strip_prefix('.') {
            Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
            _ => break,
        }
    }
    (!numbers.is_empty()).then_some((numbers, rest))
}

/// The words and numbers of a pre-release; `None` = what stands behind a version's numbers is none.
fn pre_release(rest: &str) -> Option<Vec<&str>> {
    let joined = rest.split(char::is_whitespace).next().unwrap_or_default();
    let joined = joined.split_once('+').map_or(joined, |(joined, _build)| joined);
    let at_once = words(joined);
    if !at_once.is_empty() {
        return (joined.starts_with('-') || says_pre_release(&at_once)).then_some(at_once);
    }
    // Apart from its number a word may be prose, which has others beside it.
    let apart = if rest.contains('+') { Vec::new() } else { words(rest) };
    let is_known = |word: &&str| is_number(word) || PRE_RELEASES.contains(&&*word.to_lowercase());
    (says_pre_release(&apart) && apart.iter().skip(1).all(is_known)).then_some(apart)
}

/// Whether words that are joined to a version's numbers begin with one that makes it a pre-release.
fn says_pre_release(words: &[&str]) -> bool {
    let Some(first) = words.first().map(|first| first.to_lowercase()) else { return false };
    let is_numbered = words.get(1).is_some_and(|second| is_number(second));
    PRE_RELEASES.contains(&&*first) || (is_numbered && PRE_RELEASE_LETTERS.contains(&&*first))
}

/// A text's runs of letters and of digits: `rc1` and `rc.1` are one.
fn words(text: &str) -> Vec<&str> {
    let of_one_sort = |a: char, b: char| a.is_ascii_digit() == b.is_ascii_digit();
    let mut words = Vec::new();
    for joined in text.split(|c: char| !c.is_alphanumeric()) {
        let mut rest = joined;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| !of_one_sort(first, c)).unwrap_or(rest.len());
            words.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
    words
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number with zeros before it; one of more digits than fit sorts above all that do.
fn filled(number: &str) -> String {
    let digits = number.trim_start_matches('0');
    if digits.len() > DIGITS { "9".repeat(DIGITS) } else { format!("{digits:0>DIGITS$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_number() {
        let rising = [
            "next",
            "v0.9.0",
            "release/v0.9.3",
            "v0.10.0",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "release/v1.0.0",
            "v1.0.0.1",
            "patch/v1.0.1",
            "V2",
            "v10",
        ];
        let keys: Vec<String> = rising.iter().map(|version| sort_key(version)).collect();
        assert!(keys.is_sorted_by(|one, next| one < next), "{keys:#?}");
    }

    #[test]
    fn a_further_part_counts_after_all_that_are_before_it() {
        let rising =
            ["2025.12.20.1-rc.1", "2025.12.20.1", "2025.12.20.1.1", "2025.12.20.1.2", "2025.12.20.2"];
        let keys: Vec<String> = rising.iter().map(|version| sort_key(version)).collect();
        assert!(keys.is_sorted_by(|one, next| one < next), "{keys:#?}");
        assert_eq!(sort_key("1.2.3.4.0"), sort_key("1.2.3.4"));
    }

    #[test]
    fn what_people_write_behind_a_version_makes_it_no_less_of_one() {
        for (written, plain) in [
            ("v3.0.0 \u{1f389}", "3.0.0"),
            ("v2.1.x", "2.1"),
            ("v0.9.0 - Hotfix", "0.9.0"),
            ("v0.9.0 - input/output", "0.9.0"),
            ("v1.0.0 Alpha Centauri", "1.0.0"),
            ("v1.0.0.Final", "1.0.0"),
            ("1.0.2b", "1.0.2"),
            ("release/v0.9.0/", "0.9.0"),
            ("1.0.0.post1", "1.0.0"),
        ] {
            assert_eq!(sort_key(written), sort_key(plain), "{written}");
        }
        let rising = ["latest", "next", "v0.9.9", "1.0.0b2", "2.0.0"];
        let keys: Vec<String> = rising.iter().map(|version| sort_key(version)).collect();
        assert!(keys.is_sorted_by(|one, next| one < next), "{keys:#?}");
    }

    #[test]
    fn a_pre_release_is_one_however_it_is_joined_to_its_number() {
        for written in [
            "v1.0.0rc1",
            "1.0.0.dev1",
            "1.0.0a1",
            "1.0.0_beta",
            "1.0.0~rc1",
            "1.0 beta 2",
            "1.0.0 - RC 1",
            "1.0.0rc1 Hotfix",
            "1.0.0-anything",
        ] {
            let key = sort_key(written);
            assert!(key < sort_key("1.0.0") && key > sort_key("0.9.9.9"), "{written}: {key}");
        }
        assert_eq!(sort_key("1.0.0rc1"), sort_key("v1.0.0-RC.1"));
        assert!(sort_key("1.0.0rc10") > sort_key("1.0.0rc9"));
    }

    #[test]
    fn one_version_written_in_two_ways_is_one() {
        assert_eq!(sort_key("v1"), sort_key("release/1.0.0"));
        assert_eq!(sort_key("v01.2+build.7"), sort_key("1.2.0"));
        assert!(sort_key("99999999999999999999") > sort_key("999999999"));
    }
}
