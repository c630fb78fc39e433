//! Versions as a text that sorts as they do: by number, pre-releases before their release
//! (<https://semver.org>, section 11), without a leading path part and `v`.

/// How many parts a version is filled up to, so that `v1` and `1.0.0` are one.
const PARTS: usize = 4;
/// Digits a number is filled up to.
const DIGITS: usize = 12;

/// The text that a version sorts by, among others of its kind. What is no version at all sorts
/// below all that are, by its letters.
pub fn sort_key(version: &str) -> String {
    let last = version.trim().rsplit('/').next().unwrap_or_default();
    let bare = last.strip_prefix(['v', 'V']).unwrap_or(last);
    let bare = bare.split_once('+').map_or(bare, |(bare, _build)| bare);
    let (numbers, suffix) =
        bare.split_once('-').map_or((bare, None), |(numbers, rest)| (numbers, Some(rest)));
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !parts.iter().all(is_number) {
        return format!("-{}", last.to_lowercase());
    }
    let mut key = String::new();
    for place in 0..parts.len().max(PARTS) {
        key.push_str(&filled(parts.get(place).copied().unwrap_or("0")));
        key.push('.');
    }
    match suffix {
        None => key.push('~'),
        Some(suffix) => {
            for part in suffix.split(['.', '-']) {
                // Numbers sort below words.
                if is_number(&part) {
                    key.push_str(&filled(part));
                } else {
                    key.push('a');
                    key.push_str(&part.to_lowercase());
                }
                key.push('.');
            }
        }
    }
    key
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
    fn one_version_written_in_two_ways_is_one() {
        assert_eq!(sort_key("v1"), sort_key("release/1.0.0"));
        assert_eq!(sort_key("v01.2+build.7"), sort_key("1.2.0"));
        assert!(sort_key("99999999999999999999") > sort_key("999999999"));
    }
}
