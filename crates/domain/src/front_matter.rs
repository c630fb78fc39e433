//! What a Markdown artifact says of itself: YAML between two lines of `---`.

use crate::yaml::{self, Map, Written};

/// What an artifact says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrontMatter {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its version, as written.
    pub version: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its licence, as written.
    pub license: Option<String>,
    /// Other names that it goes by.
    pub aliases: Vec<String>,
    /// Where it is from: an address, or a word.
    pub source: Option<String>,
}

/// A longer description is cut: it is shown in lists and searched, not read.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 4_000;
/// No front matter is longer.
const YAML_BYTES_MAX: usize = 64 * 1024;
/// Only the first line of `---` stands above it.
const LINES_ABOVE: usize = 1;
/// A list of tags or aliases ends here.
pub(crate) const LIST_MAX: usize = 100;
/// No word of one is longer; a name, a version and a licence are cut here.
pub(crate) const WORD_CHARS_MAX: usize = 200;
/// No longer source is taken: an address that is cut leads elsewhere.
const SOURCE_CHARS_MAX: usize = 2_000;

impl FrontMatter {
    /// Reads the front matter of a file, as far as it can be understood, and says what is wrong
    /// with it. A file without any says nothing, which is not wrong.
    pub fn read(file: &[u8]) -> (FrontMatter, Option<String>) {
        let yaml = match front(file) {
            Front::Between(yaml) => yaml,
            Front::Nothing => return (FrontMatter::default(), None),
            Front::Endless => {
                let why = if file.len() < YAML_BYTES_MAX {
                    "its front matter does not end: there is no second line of `---`".to_owned()
                } else {
                    format!("its front matter does not end within {} KiB", YAML_BYTES_MAX / 1024)
                };
                return (FrontMatter::default(), Some(why));
            }
        };
        let Ok(text) = std::str::from_utf8(yaml) else {
            let plain = by_lines(&String::from_utf8_lossy(yaml));
            return (plain, Some("its front matter is not UTF-8".to_owned()));
        };
        match yaml::read(text, LINES_ABOVE) {
            Ok(fields) => (of(fields), None),
            Err(error) => {
                // People write `description: Use when: …`, which YAML forbids and tools forgive.
                (by_lines(text), Some(format!("its front matter cannot be read as YAML: {error}")))
            }
        }
    }
}

/// What a file begins with.
enum Front<'a> {
    /// What stands between the first line `---` and the next.
    Between(&'a [u8]),
    /// A line `---` with a name behind it, and no other.
    Endless,
    Nothing,
}

fn front(file: &[u8]) -> Front<'_> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let first = file.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    if !first.ends_with(b"\n") || first.trim_ascii_end() != b"---" {
        return Front::Nothing;
    }
    let rest = &file[first.len()..];
    let rest = &rest[..rest.len().min(YAML_BYTES_MAX)];
    let mut start = 0;
    for line in rest.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii_end() == b"---" {
            return Front::Between(&rest[..start]);
        }
        start += line.len();
    }
    // A line of dashes may also just part a text from what is above it.
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let named = rest.iter().take_while(|byte| is_name(byte)).count();
    if named > 0 && rest.get(named) == Some(&b':') { Front::Endless } else { Front::Nothing }
}

fn of(mut fields: Map<'_>) -> FrontMatter {
    let mut text = |name: &str, most| take(&mut fields, name).and_then(as_text).map(|text| cut(text, most));
    let (name, description) = (text("name", WORD_CHARS_MAX), text("description", DESCRIPTION_CHARS_MAX));
    let license = text("license", WORD_CHARS_MAX).or_else(|| text("licence", WORD_CHARS_MAX));
    let version = text("version", WORD_CHARS_MAX).or_else(|| match take(&mut fields, "metadata") {
        Some(Written::Map(mut map)) => {
            take(&mut map, "version").and_then(as_text).map(|text| cut(text, WORD_CHARS_MAX))
        }
        _ => None,
    });
    let source = take(&mut fields, "source").and_then(as_text);
    let source = source.filter(|source| source.chars().count() <= SOURCE_CHARS_MAX);
    let mut list = |name: &str| take(&mut fields, name).map(as_list).unwrap_or_default();
    let (tags, aliases) = (list("tags"), list("aliases"));
    FrontMatter { name, description, version, tags, license, aliases, source }
}

fn take<'a>(fields: &mut Map<'a>, name: &str) -> Option<Written<'a>> {
    let place = fields.iter().position(|(known, _)| known == name)?;
    Some(fields.swap_remove(place).1)
}

/// The plain `key: value` lines of what is not YAML.
fn by_lines(text: &str) -> FrontMatter {
    /// All that [`of`] asks for in lines.
    const NAMES: [&str; 8] =
        ["name", "description", "version", "license", "licence", "tags", "aliases", "source"];
    let mut fields = Map::new();
    for line in text.lines().filter(|line| !line.starts_with([' ', '\t', '-', '#'])) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
        // Broken brackets hold no name; a list is read without them, and prose may begin with one.
        let value = match key {
            "tags" | "aliases" => value.trim_matches(['[', ']']),
            "name" | "version" | "source" if value.starts_with(['[', '{']) => "",
            _ => value,
        };
        if !value.is_empty() && NAMES.contains(&key) {
            // Of a name that stands there twice, the last counts.
            take(&mut fields, key);
            fields.push((key.into(), Written::Text(value.into())));
        }
    }
    of(fields)
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    }
}

fn as_text(value: Written<'_>) -> Option<String> {
    match value {
        Written::Text(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Written::List(_) | Written::Map(_) | Written::Nothing => None,
    }
}

/// A list, or words with commas between.
fn as_list(value: Written<'_>) -> Vec<String> {
    let words: Vec<String> = match value {
        Written::List(all) => all.into_iter().filter_map(as_text).collect(),
        Written::Text(text) => text.split(',').map(|word| word.trim().to_owned()).collect(),
        Written::Map(_) | Written::Nothing => Vec::new(),
    };
    let fits = |word: &String| !word.is_empty() && word.chars().count() <= WORD_CHARS_MAX;
    words.into_iter().filter(fits).take(LIST_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> FrontMatter {
        let (front, problem) = FrontMatter::read(text.as_bytes());
        assert_eq!(problem, None, "{text}");
        front
    }

    #[test]
    fn a_skill_says_what_it_is() {
        let front = read(
            "---\nname: pdf\ndescription: >\n  Fills forms,\n  reads tables\nversion: 1.10\ntags: [docs, forms]\n\
             license: Apache-2.0\nallowed-tools:\n  - Bash(pdftk:*)\n---\n# PDF\n---\nname: no\n",
        );
        assert_eq!(front.name.as_deref(), Some("pdf"));
        assert_eq!(front.description.as_deref(), Some("Fills forms, reads tables"));
        assert_eq!(front.version.as_deref(), Some("1.10"));
        assert_eq!(
            (front.tags, front.license.as_deref()),
            (vec!["docs".to_owned(), "forms".to_owned()], Some("Apache-2.0"))
        );
    }

    #[test]
    fn where_it_is_from_is_an_address_or_a_word_and_no_half_of_either() {
        assert_eq!(
            read("---\nsource: https://example.org/x\n---\n").source.as_deref(),
            Some("https://example.org/x")
        );
        for none in ["source:\n", "source: {url: x}\n", "name: a\n"] {
            assert_eq!(read(&format!("---\n{none}---\n")).source, None, "{none}");
        }
        let long = "x".repeat(SOURCE_CHARS_MAX + 1);
        assert_eq!(
            read(&format!("---\nsource: {long}\n---\n")).source,
            None,
            "half of an address leads elsewhere"
        );
        let (front, _) = FrontMatter::read(b"---\nsource: https://example.org/x\ndescription: a: b\n---\n");
        assert_eq!(front.source.as_deref(), Some("https://example.org/x"));
    }

    #[test]
    fn numbers_commas_and_nested_versions_are_read_as_people_mean_them() {
        let front = read("---\nname: 007\nversion: 2\ntags: a, b\naliases:\n- x\n- 7\n- 1.10\n- yes\n---\n");
        assert_eq!((front.name.as_deref(), front.version.as_deref()), (Some("007"), Some("2")));
        assert_eq!(front.tags, ["a", "b"]);
        assert_eq!(front.aliases, ["x", "7", "1.10", "yes"], "as they were written");
        let front = read("\u{feff}---\r\nname: a\r\nmetadata:\r\n  version: 1.0\r\n---\r\n");
        assert_eq!((front.name.as_deref(), front.version.as_deref()), (Some("a"), Some("1.0")));
    }

    #[test]
    fn no_front_matter_says_nothing_and_is_not_wrong() {
        for text in ["", "# Title\n", "---\n\n# Title\n", "--- x\nname: a\n---\n", "---\n---\n"] {
            assert_eq!(FrontMatter::read(text.as_bytes()), (FrontMatter::default(), None), "{text}");
        }
    }

    #[test]
    fn blanks_behind_a_line_of_dashes_are_nobody_s_intention() {
        for text in ["--- \nname: a\n---\n", "---\t \r\nname: a\n--- \t\r\n# A\n"] {
            assert_eq!(read(text).name.as_deref(), Some("a"), "{text:?}");
        }
    }

    #[test]
    fn front_matter_that_is_too_long_is_not_told_of_as_endless() {
        let text = format!("---\nname: a\nnotes: {}\n---\n", "x".repeat(YAML_BYTES_MAX));
        for file in [text.as_bytes(), &text.as_bytes()[..YAML_BYTES_MAX]] {
            let (_, problem) = FrontMatter::read(file);
            assert_eq!(problem.as_deref(), Some("its front matter does not end within 64 KiB"));
        }
    }

    #[test]
    fn front_matter_that_does_not_end_is_told_of() {
        for text in ["---\nname: never closed\n", "---\r\nallowed-tools: [a]\r\n# Title\r\n"] {
            let (front, problem) = FrontMatter::read(text.as_bytes());
            assert_eq!(front, FrontMatter::default());
            assert!(problem.unwrap().contains("does not end"), "{text}");
        }
    }

    #[test]
    fn a_name_a_version_and_a_licence_are_no_longer_than_a_word_may_be() {
        let long = "\u{e9}".repeat(WORD_CHARS_MAX + 1);
        let front = read(&format!("---\nname: {long}\nversion: {long}\nlicense: {long}\n---\n"));
        for text in [front.name, front.version, front.license] {
            assert_eq!(text.map(|text| text.chars().count()), Some(WORD_CHARS_MAX));
        }
    }

    #[test]
    fn what_is_not_yaml_is_told_of_and_read_as_far_as_it_goes() {
        let text = "---\nname: review\ndescription: Use when: reviewing: code\ntags: [a\n---\n";
        let (front, problem) = FrontMatter::read(text.as_bytes());
        assert_eq!(front.name.as_deref(), Some("review"));
        assert_eq!(front.description.as_deref(), Some("Use when: reviewing: code"));
        let problem = problem.unwrap();
        assert!(problem.starts_with("its front matter cannot be read as YAML: "), "{problem}");
        assert!(problem.ends_with(", in line 3"), "as an editor counts: {problem}");
        assert_eq!(front.tags, ["a"], "without what is left of its brackets");
        for broken in ["[a: b", "{a", "[pdf] forms"] {
            let text = format!(
                "---\nname: {broken}\nversion: {broken}\nsource: {broken}\ndescription: {broken}\n---\n"
            );
            let (front, problem) = FrontMatter::read(text.as_bytes());
            assert_eq!((front.name, front.version, front.source), (None, None, None), "{broken} is no name");
            assert!(front.description.is_some() && problem.is_some(), "{broken}");
        }
        let (front, problem) = FrontMatter::read(b"---\nname: caf\xe9\n---\n");
        assert!(front.name.is_some() && problem.is_some());
    }

    #[test]
    fn a_bomb_of_aliases_is_refused_and_not_unfolded() {
        let mut text = "---\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(",");
            text = format!("{text}a{level}: &a{level} [{inner}]\n");
        }
        text.push_str("---\n");
        let (_, problem) = FrontMatter::read(text.as_bytes());
        assert!(problem.is_some(), "ten to the twelfth is too many");
    }
}
