//! Hashes of contents: SHA-256 in hexadecimal, as deployments record them, and their beginnings, as they are
//! kept.

/// How many hexadecimal digits of a content's hash are kept: 128 bits tell any two contents apart, and the
/// rest would be a twelfth of all that is kept of ten thousand artifacts.
pub const HASH_DIGITS: usize = 32;

/// Whether the first digits of a content's hash are those of a whole one.
pub(crate) fn is_of(content: &str, hash: &str) -> bool {
    let beginning = hash.get(..content.len()).filter(|_| is_sha256(hash) && content.len() >= HASH_DIGITS);
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(content))
}

/// The first seven characters of a hash.
pub(crate) fn short(hash: &str) -> String {
    hash.chars().take(7).collect()
}

/// Whether a text is a SHA-256 in hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
