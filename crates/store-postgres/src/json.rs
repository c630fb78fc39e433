//! JSON on its way to `jsonb` columns and back. PostgreSQL keeps what a document means, not its
//! text: keys come back in an order of its own, and spaces where it likes them.

use std::borrow::Cow;

use bytes::BytesMut;
use larder_core::{Json, storable};
use serde::Serialize;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::errors::Fault;

type Wrong = Box<dyn std::error::Error + Sync + Send>;

/// A document as text.
#[derive(Debug)]
pub(crate) struct JsonText<'a>(pub(crate) Cow<'a, str>);

impl<'a> JsonText<'a> {
    /// A document that is kept as it is, but for what PostgreSQL cannot keep.
    pub(crate) fn of(doc: &'a Json) -> Self {
        JsonText(storable(doc.as_str()))
    }

    /// A value as a `jsonb` column holds it.
    pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<JsonText<'static>, Fault> {
        let text = serde_json::to_string(value).map_err(|error| Fault::Wrong(error.to_string()))?;
        Ok(JsonText(Cow::Owned(storable(&text).into_owned())))
    }

    /// The document, without the spaces.
    pub(crate) fn model(self) -> Json {
        Json::trusted(self.0)
    }
}

impl<'a> FromSql<'a> for JsonText<'static> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Wrong> {
        match raw {
            [1, text @ ..] => Ok(JsonText(Cow::Owned(compact(std::str::from_utf8(text)?)))),
            _ => Err("an unknown version of jsonb".into()),
        }
    }

    fn accepts(holds: &Type) -> bool {
        *holds == Type::JSONB
    }
}

impl ToSql for JsonText<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Wrong> {
        out.extend_from_slice(&[1]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(holds: &Type) -> bool {
        *holds == Type::JSONB
    }

    to_sql_checked!();
}

/// Takes out the spaces that PostgreSQL puts behind `:` and `,`.
fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let (mut from, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b' ' if !in_string => {
                compact.push_str(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    compact.push_str(&text[from..]);
    compact
}

/// A text without the character 0, which PostgreSQL's cannot hold.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn spaces_between_go_and_spaces_within_stay() {
        let text = r#"{"a": 1, "b c": ["d, e", "f\": \\", {"g": null}], "h": "\\"}"#;
        let expected = r#"{"a":1,"b c":["d, e","f\": \\",{"g":null}],"h":"\\"}"#;
        assert_eq!(compact(text), expected);
        assert_eq!(
            serde_json::from_str::<Value>(text).unwrap(),
            serde_json::from_str::<Value>(expected).unwrap()
        );
        assert_eq!(compact("\"a b\""), "\"a b\"");
    }

    #[test]
    fn what_cannot_be_stored_is_replaced() {
        let encoded = JsonText::encode(&json!({"a": "x\u{0}y"})).unwrap();
        assert_eq!(encoded.0, "{\"a\":\"x\u{fffd}y\"}");
        assert_eq!(clean("a\0b"), "a\u{fffd}b");
    }
}
