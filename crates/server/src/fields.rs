//! A request's header fields, as `http` holds them or as they came over the wire: who decides
//! something by them is written once, and both ways of a hit ask it.

use axum::http::{HeaderMap, HeaderName};

/// Header fields by name.
pub(crate) trait Fields {
    /// The values of all fields of that name, in the order they came.
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]>;

    /// Those of them that are plain text: visible ASCII, spaces and tabs.
    fn texts<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a str> {
        self.all(name).filter_map(text)
    }

    /// Whether the name of any is such a one; it may be in capitals.
    fn any_name(&self, is_such: impl Fn(&str) -> bool) -> bool;

    /// Whether there is one.
    fn has(&self, name: &HeaderName) -> bool {
        self.all(name).next().is_some()
    }
}

/// A value as text, by the same rule as `HeaderValue::to_str`.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let is_text = |byte: &u8| (b' '..=b'~').contains(byte) || *byte == b'\t';
    value.iter().all(is_text).then(|| std::str::from_utf8(value).ok()).flatten()
}

impl Fields for HeaderMap {
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(axum::http::HeaderValue::as_bytes)
    }

    fn any_name(&self, is_such: impl Fn(&str) -> bool) -> bool {
        self.keys().any(|name| is_such(name.as_str()))
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.contains_key(name)
    }
}

impl Fields for [httparse::Header<'_>] {
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str();
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    fn any_name(&self, is_such: impl Fn(&str) -> bool) -> bool {
        self.iter().any(|field| is_such(field.name))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_what_http_takes_for_text(value in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(known) = HeaderValue::from_bytes(&value) {
                prop_assert_eq!(text(&value), known.to_str().ok());
            }
        }
    }
}
