//! The name of an entry: `source/name…`, ASCII, percent-encoded, at most 512 bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything but RFC 3986's unreserved characters is encoded in a segment.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A cache key such as `cluster/tools` or `trackers/owner/repo/release`.
///
/// Two keys are equal when their bytes are: build them with [`Key::new`], which encodes, and
/// lower-case owners and repositories before, since GitHub does not tell their cases apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No `/`, or nothing on one side of it.
    #[error("`{0}` is not a key: a key is `source/name`, such as `cluster/tools`")]
    Shape(String),
    /// A source that is not lower-case letters, digits, `-` or `_`.
    #[error("`{0}` is not a key: its source may hold a-z, 0-9, `-` and `_` alone")]
    Source(String),
    /// A character that must be percent-encoded, or a broken encoding.
    #[error("`{0}` is not a key: `{1}` must be percent-encoded")]
    Character(String, char),
    /// Longer than [`Key::BYTES_MAX`].
    #[error("a key of {0} bytes is too long: 512 is the limit")]
    Long(usize),
}

impl Key {
    /// The most bytes a key may have.
    pub const BYTES_MAX: usize = 512;

    /// Builds `source/segment/…`, percent-encoding each segment.
    pub fn new<S: AsRef<str>>(source: &str, segments: &[S]) -> Result<Self, KeyError> {
        let mut text = source.to_owned();
        for segment in segments {
            text.push('/');
            text.extend(utf8_percent_encode(segment.as_ref(), ENCODED));
        }
        text.parse()
    }

    /// The source that can fetch it: what stands before the first `/`.
    pub fn source(&self) -> &str {
        self.0.split_once('/').map_or("", |(source, _)| source)
    }

    /// What stands behind the source, still encoded.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// The segments behind the source, decoded.
    pub fn segments(&self) -> Vec<String> {
        let decoded = |segment| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        self.name().split('/').map(decoded).collect()
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > Key::BYTES_MAX {
            return Err(KeyError::Long(text.len()));
        }
        let shape = || KeyError::Shape(text.to_owned());
        let (source, name) = text.split_once('/').ok_or_else(shape)?;
        if source.is_empty() || name.split('/').any(str::is_empty) {
            return Err(shape());
        }
        let in_source = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !source.chars().all(in_source) {
            return Err(KeyError::Source(text.to_owned()));
        }
        check_name(text, name)?;
        Ok(Key(text.into()))
    }
}

fn check_name(text: &str, name: &str) -> Result<(), KeyError> {
    let bad = |c| KeyError::Character(text.to_owned(), c);
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => {
                let hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
                if !hex(chars.next()) || !hex(chars.next()) {
                    return Err(bad('%'));
                }
            }
            '/' | '-' | '.' | '_' | '~' => {}
            c if c.is_ascii_alphanumeric() => {}
            c => return Err(bad(c)),
        }
    }
    Ok(())
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn says_what_is_wrong() {
        assert!(matches!("tools".parse::<Key>(), Err(KeyError::Shape(_))));
        assert!(matches!("cluster/".parse::<Key>(), Err(KeyError::Shape(_))));
        assert!(matches!("Cluster/x".parse::<Key>(), Err(KeyError::Source(_))));
        assert!(matches!("cluster/a b".parse::<Key>(), Err(KeyError::Character(_, ' '))));
        assert!(matches!("cluster/a%2".parse::<Key>(), Err(KeyError::Character(_, '%'))));
        assert!(matches!(format!("c/{}", "x".repeat(600)).parse::<Key>(), Err(KeyError::Long(602))));
    }

    proptest! {
        #[test]
        fn any_segments_survive_the_way_there_and_back(segments in prop::collection::vec("\\PC{1,12}", 1..4)) {
            let key = Key::new("source", &segments).unwrap();
            prop_assert!(key.as_str().is_ascii());
            prop_assert_eq!(key.segments(), segments);
            prop_assert_eq!(key.as_str().parse::<Key>().unwrap(), key);
        }
    }
}
