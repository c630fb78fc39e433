//! Items: things with an identity upstream, stored once however many entries hold them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Json, Time};

/// What names an item: its kind (`repository`) and its identity within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemRef {
    /// The kind, as its [`ViewSpec`](crate::ViewSpec) names it.
    pub kind: Arc<str>,
    /// The identity, unique within the kind; for GitHub's things `host/owner/name`, lower-cased.
    pub id: Arc<str>,
}

impl ItemRef {
    /// A reference from its two parts.
    pub fn new(kind: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        ItemRef { kind: kind.into(), id: id.into() }
    }
}

/// The permission a reader must have to see an item. In JSON it is its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Scope {
    /// Everybody.
    Public,
    /// Readers of one repository, named `host/owner/name`, lower-cased.
    Repo(Arc<str>),
}

impl Scope {
    /// Whether everybody may see it.
    pub fn is_public(&self) -> bool {
        matches!(self, Scope::Public)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Public => f.write_str("public"),
            Scope::Repo(name) => write!(f, "repo:{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    /// Reads what `Display` wrote; the error is the text that was not a scope.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "public" => Ok(Scope::Public),
            Some(("repo", name)) if !name.is_empty() => Ok(Scope::Repo(name.into())),
            _ => Err(text.to_owned()),
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// An item as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub of: ItemRef,
    /// Who may see it.
    pub scope: Scope,
    /// What the source owns.
    pub doc: Json,
    /// What Larder or an enrichment adds; no source's commit touches it.
    pub derived: Option<Json>,
    /// When a source was last asked for this very item, and answered.
    pub fetched_at: Time,
}

/// How much of an item's `doc` a fetch could know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All its fields: the new `doc` takes the old one's place.
    Whole,
    /// Some: fields that the new `doc` does not name keep their old values.
    Partial,
}

/// An item as a fetch brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// Its name.
    pub of: ItemRef,
    /// Who may see it.
    pub scope: Scope,
    /// What the source says.
    pub doc: Json,
    /// How much of it.
    pub coverage: Coverage,
}

/// Lays a partial document over the one held: top-level fields that `new` names win, all others
/// stay. A document that is not an object replaces the old one as a whole.
pub fn merge_docs(old: &Json, new: &Json) -> Json {
    let (Ok(Value::Object(mut merged)), Ok(Value::Object(fields))) =
        (old.decode::<Value>(), new.decode::<Value>())
    else {
        return new.clone();
    };
    merged.extend(fields);
    Json::from(Value::Object(merged))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_partial_answer_does_not_know_stays() {
        let old = Json::from(json!({"stars": 1, "languages": ["Rust"], "license": "MIT"}));
        let new = Json::from(json!({"stars": 2, "license": null}));
        let merged: Value = merge_docs(&old, &new).decode().unwrap();
        assert_eq!(merged, json!({"stars": 2, "languages": ["Rust"], "license": null}));
    }

    #[test]
    fn scopes_are_read_as_written() {
        for scope in [Scope::Public, Scope::Repo("github.com/o/r".into())] {
            assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
        }
        assert!("repo:".parse::<Scope>().is_err());
        assert!("everyone".parse::<Scope>().is_err());
    }
}
