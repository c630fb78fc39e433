//! What a kind's list looks like: a store turns it into a SQL view and indexes without knowing
//! what it means.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// One kind of item as a table: its name, its columns, which of them lists filter and sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewSpec {
    /// The item kind (`repository`).
    pub kind: &'static str,
    /// The view's name, a plural word (`repositories`): lower-case ASCII letters and `_`.
    pub view: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// The column of text that says what people call an item. A search looks here as well, and what it
    /// finds here ranks above what it finds in `words` alone.
    pub title: &'static str,
    /// The other fields of text, or of lists of text, by whose words a search finds an item.
    pub words: &'static [&'static str],
}

/// What a search finds an item by, as its document says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundBy {
    /// What people call it.
    pub title: String,
    /// All the other words, field by field in the view's order, with a space between.
    pub words: String,
}

/// One plain column, taken from a top-level field of an item's `doc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The column's name and the field's: lower-case ASCII letters, digits and `_`.
    pub name: &'static str,
    /// What it holds.
    pub holds: ColumnType,
    /// Whether lists sort or filter by it often enough for an index.
    pub indexed: bool,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text, compared without regard to ASCII case.
    Text,
    /// A whole number.
    Integer,
    /// True or false; what does not say is false.
    Boolean,
    /// An RFC 3339 instant in UTC, which sorts as text.
    Time,
    /// A JSON array of texts; a filter asks whether it has one.
    List,
    /// Any other JSON, shown as text.
    Json,
}

impl ViewSpec {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// What a search finds an item of this kind by.
    pub fn found_by(&self, doc: &str) -> FoundBy {
        FoundBy::of(doc, self.title, self.words)
    }
}

impl FoundBy {
    /// What a document (a JSON text) says in the field `title`, and in the fields `words`. Nothing, if it is
    /// no object.
    pub fn of<S: AsRef<str>>(doc: &str, title: &str, words: &[S]) -> FoundBy {
        let mut fields = Fields { title, words, found_title: String::new(), found: vec![None; words.len()] };
        let mut text = serde_json::Deserializer::from_str(doc);
        // What is no object has no fields.
        if text.deserialize_map(&mut fields).is_err() {
            return FoundBy::default();
        }
        let found: Vec<String> = fields.found.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        FoundBy { title: fields.found_title, words: found.join(" ") }
    }
}

/// Reads what is looked for out of a document, and skips all else.
struct Fields<'v, S> {
    title: &'v str,
    words: &'v [S],
    found_title: String,
    found: Vec<Option<String>>,
}

impl<'de, S: AsRef<str>> Visitor<'de> for &mut Fields<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = fields.next_key()? {
            let is_title = self.title == name;
            let place = self.words.iter().position(|word| word.as_ref() == name);
            if !is_title && place.is_none() {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let text = texts(&fields.next_value()?);
            if let Some(place) = place {
                self.found[place] = Some(text.clone());
            }
            if is_title {
                self.found_title = text;
            }
        }
        Ok(())
    }
}

/// The name of a field, without a copy where it needs none.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

/// A text, or the texts of a list with a space between; anything else has no words.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts = parts.iter().filter_map(Value::as_str).filter(|part| !part.is_empty());
            parts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BOOKS: ViewSpec = ViewSpec {
        kind: "book",
        view: "books",
        columns: &[],
        title: "name",
        words: &["also", "about", "topics"],
    };

    #[test]
    fn what_finds_an_item_is_what_its_document_says_in_the_views_order() {
        let doc = json!({
            "topics": ["sea", "", "whales", 7], "stars": 3, "name": "Moby \"Dick\"", "about": "a\nwhale",
            "shelf": {"name": "deep"}, "also": null,
        });
        let found_by = BOOKS.found_by(&doc.to_string());
        assert_eq!(found_by.title, "Moby \"Dick\"");
        assert_eq!(found_by.words, "a\nwhale sea whales");
    }

    #[test]
    fn nothing_finds_what_says_nothing() {
        for doc in [json!(null), json!(["name"]), json!({"name": 7, "about": {"name": "x"}}), json!({})] {
            assert_eq!(BOOKS.found_by(&doc.to_string()), FoundBy::default());
        }
    }
}
