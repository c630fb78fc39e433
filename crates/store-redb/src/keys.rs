//! Keys of tables: parts in a row, so that bytes sort as the parts do.
//!
//! Keys and values are bytes throughout. redb's own text keys are checked by panicking, and a
//! damaged page must be an error.

use std::borrow::Cow;
use std::ops::Bound;

/// A key in the making.
#[derive(Default)]
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    /// Text that other parts follow. It ends with `0 0`, and a zero within is written as `0 1`.
    pub(crate) fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(1);
            }
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// A number that sorts as such.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A number that may be negative.
    pub(crate) fn signed(self, number: i64) -> Self {
        self.number((number as u64) ^ (1 << 63))
    }

    /// Text that nothing follows, as it is.
    pub(crate) fn rest(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// The key.
    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A key being read; each part is `None` where the bytes are not what was written.
pub(crate) struct Parts<'a>(pub(crate) &'a [u8]);

impl<'a> Parts<'a> {
    pub(crate) fn text(&mut self) -> Option<Cow<'a, str>> {
        let mut end = 0;
        let mut escaped = false;
        loop {
            end += self.0.get(end..)?.iter().position(|byte| *byte == 0)?;
            match self.0.get(end + 1)? {
                0 => break,
                _ => escaped = true,
            }
            end += 2;
        }
        let part = &self.0[..end];
        self.0 = &self.0[end + 2..];
        let text = std::str::from_utf8(part).ok()?;
        Some(if escaped { Cow::Owned(text.replace("\0\u{1}", "\0")) } else { Cow::Borrowed(text) })
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(crate) fn rest(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

/// A stretch of keys.
pub(crate) type Stretch<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// All keys.
pub(crate) const EVERYTHING: Stretch<'static> = (Bound::Unbounded, Bound::Unbounded);

/// All keys that begin with a prefix.
pub(crate) struct Prefix {
    start: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl Prefix {
    pub(crate) fn new(start: Vec<u8>) -> Self {
        let mut end = start.clone();
        while end.last() == Some(&255) {
            end.pop();
        }
        let end = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Some(end)
            }
            None => None,
        };
        Prefix { start, end }
    }

    pub(crate) fn stretch(&self) -> Stretch<'_> {
        let end = self.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(&self.start), end)
    }

    /// How long it is.
    pub(crate) fn len(&self) -> usize {
        self.start.len()
    }

    /// What stands behind the prefix.
    pub(crate) fn behind<'a>(&self, key: &'a [u8]) -> &'a [u8] {
        key.get(self.start.len()..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_they_were_written_and_sort_as_parts() {
        let texts = ["", "\0", "\0\0", "\0a", "a", "a\0", "a\0b", "a\u{ff}", "ab", "b", "é"];
        for text in texts {
            for (number, signed) in [(0, i64::MIN), (7, -1), (u64::MAX, i64::MAX)] {
                let key =
                    Bytes::default().text(text).number(number).text(text).signed(signed).rest("x/y").done();
                let mut parts = Parts(&key);
                assert_eq!(parts.text().as_deref(), Some(text));
                assert_eq!(parts.number(), Some(number));
                assert_eq!(parts.text().as_deref(), Some(text));
                parts.number().unwrap();
                assert_eq!(parts.rest(), Some("x/y"));
            }
        }
        let key = |one: &str, two: &str| Bytes::default().text(one).text(two).done();
        for one in texts {
            for two in texts {
                for other in texts {
                    assert_eq!(
                        key(one, "x").cmp(&key(two, other)),
                        (one, "x").cmp(&(two, other)),
                        "{one:?} {two:?}"
                    );
                }
            }
        }
        let number = |number: i64| Bytes::default().signed(number).done();
        assert!(number(-5) < number(-1) && number(-1) < number(0) && number(0) < number(9));
    }

    #[test]
    fn what_was_not_written_is_not_read() {
        for bytes in [&b""[..], b"abc", b"a\0", b"a\0\x01", b"\xc3\0\0"] {
            assert_eq!(Parts(bytes).text(), None, "{bytes:?}");
        }
        assert_eq!(Parts(b"1234567").number(), None);
    }

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        let holds = |prefix: &[u8], key: &[u8]| {
            let prefix = Prefix::new(prefix.to_vec());
            std::ops::RangeBounds::<[u8]>::contains(&prefix.stretch(), key)
        };
        assert!(
            holds(b"a/", b"a/") && holds(b"a/", b"a/\xff") && !holds(b"a/", b"a0") && !holds(b"a/", b"a")
        );
        assert!(holds(b"\xff\xff", b"\xff\xff\xff") && !holds(b"\xff\xff", b"\xff\xfe"));
    }
}
