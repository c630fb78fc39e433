//! Columns of a [`ViewSpec`], read from the text of a document, and how their values compare: as
//! SQLite compares what `json_extract` answers, so that a list is the same on every store.

use std::cmp::Ordering;
use std::fmt;

use larder_core::{Column, ColumnType, Time, ViewSpec};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::errors::Fault;

/// The columns that a list asks about, each once.
pub(crate) struct Columns {
    view: &'static ViewSpec,
    asked: Vec<&'static Column>,
}

impl Columns {
    pub(crate) fn of(view: &'static ViewSpec) -> Self {
        Columns { view, asked: Vec::new() }
    }

    /// Where the column's value will be among those read.
    pub(crate) fn place(&mut self, name: &str) -> Result<usize, Fault> {
        if let Some(place) = self.asked.iter().position(|column| column.name == name) {
            return Ok(place);
        }
        let column = self.view.column(name);
        let none = || Fault::Wrong(format!("`{}` has no column `{name}`", self.view.view));
        self.asked.push(column.ok_or_else(none)?);
        Ok(self.asked.len() - 1)
    }

    pub(crate) fn view(&self) -> &'static ViewSpec {
        self.view
    }

    pub(crate) fn column(&self, place: usize) -> &'static Column {
        self.asked[place]
    }

    /// The values of a document, without reading what is not asked.
    pub(crate) fn read<'d>(&self, doc: &'d str) -> Result<Vec<Held<'d>>, serde_json::Error> {
        let mut held: Vec<Held<'d>> = self.asked.iter().map(|column| Held { column, raw: None }).collect();
        if !held.is_empty() {
            Fields(&mut held).deserialize(&mut serde_json::Deserializer::from_str(doc))?;
        }
        Ok(held)
    }
}

/// A document's value of a column, as it is written there.
pub(crate) struct Held<'d> {
    pub(crate) column: &'static Column,
    raw: Option<&'d RawValue>,
}

/// A value as it is compared: missing ones before numbers, numbers before texts.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Missing,
    Whole(i64),
    Real(f64),
    Text(String),
}

impl Held<'_> {
    pub(crate) fn value(&self) -> Value {
        let Some(raw) = self.raw.map(RawValue::get) else { return Value::Missing };
        match raw.as_bytes().first() {
            Some(b'n') | None => Value::Missing,
            Some(b't') => Value::Whole(1),
            Some(b'f') => Value::Whole(0),
            Some(b'"') => serde_json::from_str(raw).map_or(Value::Missing, Value::Text),
            Some(b'{' | b'[') => Value::Text(raw.to_owned()),
            Some(_) => match (raw.parse(), raw.parse()) {
                (Ok(whole), _) => Value::Whole(whole),
                (_, Ok(real)) => Value::Real(real),
                _ => Value::Missing,
            },
        }
    }

    /// Text without regard to ASCII case, where the column says so.
    pub(crate) fn compared(&self) -> Value {
        match self.value() {
            Value::Text(text) if self.column.holds == ColumnType::Text => {
                Value::Text(text.to_ascii_lowercase())
            }
            value => value,
        }
    }

    /// Whatever it is, as text.
    pub(crate) fn text(&self) -> Option<String> {
        match self.value() {
            Value::Missing => None,
            Value::Whole(whole) => Some(whole.to_string()),
            Value::Real(real) => Some(real.to_string()),
            Value::Text(text) => Some(text),
        }
    }

    /// The texts of a list; a text alone is a list of one.
    pub(crate) fn parts(&self) -> Vec<String> {
        let Some(raw) = self.raw.map(RawValue::get) else { return Vec::new() };
        let texts = serde_json::from_str::<Vec<serde_json::Value>>(raw)
            .map(|parts| parts.into_iter().filter_map(|part| part.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|_| serde_json::from_str::<String>(raw).into_iter().collect())
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        let class = |value: &Value| match value {
            Value::Missing => 0,
            Value::Whole(_) | Value::Real(_) => 1,
            Value::Text(_) => 2,
        };
        match (self, other) {
            (Value::Whole(one), Value::Whole(other)) => one.cmp(other),
            (Value::Whole(one), Value::Real(other)) => (*one as f64).total_cmp(other),
            (Value::Real(one), Value::Whole(other)) => one.total_cmp(&(*other as f64)),
            (Value::Real(one), Value::Real(other)) => one.total_cmp(other),
            (Value::Text(one), Value::Text(other)) => one.cmp(other),
            _ => class(self).cmp(&class(other)),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

/// The least that a filter lets through.
pub(crate) fn least_value(column: &Column, least: &str) -> Result<Value, Fault> {
    let wrong =
        |what: &str| Fault::Wrong(format!("`{}` is compared with {what}, not with `{least}`", column.name));
    match column.holds {
        ColumnType::Time => match Time::parse(least) {
            Ok(time) => Ok(Value::Text(time.to_string())),
            Err(_) => Err(wrong("a time")),
        },
        ColumnType::Integer | ColumnType::Boolean => match (least.parse(), least.parse()) {
            (Ok(whole), _) => Ok(Value::Whole(whole)),
            (_, Ok(real)) => Ok(Value::Real(real)),
            _ => Err(wrong("a number")),
        },
        ColumnType::Text => Ok(Value::Text(least.to_ascii_lowercase())),
        ColumnType::List | ColumnType::Json => Ok(Value::Text(least.to_owned())),
    }
}

/// Reads the fields that are asked and passes over all others.
struct Fields<'h, 'd>(&'h mut Vec<Held<'d>>);

impl<'d> DeserializeSeed<'d> for Fields<'_, 'd> {
    type Value = ();

    fn deserialize<D: Deserializer<'d>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'d> Visitor<'d> for Fields<'_, 'd> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Name(self.0))? {
            match place {
                Some(place) => self.0[place].raw = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    // What is no object has no columns.
    fn visit_seq<A: serde::de::SeqAccess<'d>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Looks for a field's name among those asked.
struct Name<'h, 'd>(&'h [Held<'d>]);

impl<'d> DeserializeSeed<'d> for Name<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'d>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|held| held.column.name == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static VIEW: ViewSpec = ViewSpec {
        kind: "thing",
        view: "things",
        columns: &[
            Column { name: "name", holds: ColumnType::Text, indexed: false },
            Column { name: "size", holds: ColumnType::Integer, indexed: false },
            Column { name: "tags", holds: ColumnType::List, indexed: false },
        ],
        title: "name",
        words: &[],
    };

    fn values(doc: &str) -> Vec<Value> {
        let mut columns = Columns::of(&VIEW);
        for name in ["name", "size", "tags"] {
            columns.place(name).unwrap();
        }
        columns.read(doc).unwrap().iter().map(Held::compared).collect()
    }

    #[test]
    fn values_are_what_json_extract_answers() {
        let text = |text: &str| Value::Text(text.to_owned());
        let doc = r#"{"x":{"name":1},"name":"A\nB","size":2.5,"tags":["a"],"y":[{}]}"#;
        assert_eq!(values(doc), [text("a\nb"), Value::Real(2.5), text(r#"["a"]"#)]);
        assert_eq!(values(r#"{"name":null,"size":true}"#), [Value::Missing, Value::Whole(1), Value::Missing]);
        for doc in ["[1,{}]", "null", "3", "-3", "2.5", "\"x\"", "true"] {
            assert_eq!(values(doc), [Value::Missing, Value::Missing, Value::Missing], "{doc}");
        }
        assert!(Columns::of(&VIEW).place("nothing").is_err());
    }

    #[test]
    fn missing_comes_before_numbers_and_numbers_before_texts() {
        let sorted = [
            Value::Missing,
            Value::Real(-1.5),
            Value::Whole(-1),
            Value::Real(0.5),
            Value::Whole(7),
            Value::Text("0".to_owned()),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(Value::Whole(2), Value::Real(2.0));
    }
}
