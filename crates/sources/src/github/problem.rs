//! GitHub's errors in GraphQL answers: what each is, and what it is about. They are read leniently, field by
//! field, so that an odd one hides neither a limit nor what stands beside it.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::rights::Withheld;

/// GitHub's words for a limit that was met.
const RATE_LIMITS: [&str; 3] = ["RATE_LIMITED", "RATE_LIMIT", "graphql_rate_limit"];

/// One of GitHub's errors.
#[derive(Debug, Default)]
pub(super) struct Problem {
    /// GitHub's words for it, the most telling first.
    kinds: Vec<String>,
    message: String,
    path: Option<Vec<Value>>,
}

impl From<Value> for Problem {
    fn from(said: Value) -> Self {
        let word = |at: &str| said.pointer(at).and_then(Value::as_str).filter(|word| !word.is_empty());
        let kinds = ["/type", "/extensions/type", "/extensions/code", "/code"].into_iter().filter_map(word);
        Problem {
            kinds: kinds.map(str::to_owned).collect(),
            message: word("/message").or(said.as_str()).unwrap_or_default().to_owned(),
            path: said.get("path").and_then(Value::as_array).cloned(),
        }
    }
}

/// Reads all errors of an answer. What is no list of them is one.
pub(super) fn problems<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Problem>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::Array(errors) => errors.into_iter().map(Problem::from).collect(),
        error => vec![Problem::from(error)],
    })
}

impl Problem {
    /// GitHub's word for it, or nothing.
    pub(super) fn kind(&self) -> &str {
        self.kinds.first().map_or("", String::as_str)
    }

    /// What it says to people, or nothing.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Whether one of its words is that of a limit, however the others have it.
    pub(super) fn is_rate_limit(&self) -> bool {
        let is_limit = |kind: &String| RATE_LIMITS.iter().any(|limit| kind.eq_ignore_ascii_case(limit));
        self.kinds.iter().any(is_limit)
    }

    pub(super) fn is_resource_limit(&self) -> bool {
        let kind = self.kind();
        kind.starts_with("RESOURCE_LIMIT") || kind.starts_with("MAX_NODE_LIMIT")
    }

    /// Whether the token may not read what it is about.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.kind(), "FORBIDDEN" | "INSUFFICIENT_SCOPES")
    }

    /// The field that is refused of what stands `depth` steps down, unless that is refused itself.
    pub(super) fn withheld(&self, depth: usize) -> Option<Withheld> {
        let field = self.path.as_ref().filter(|_| self.is_refusal())?.get(depth)?;
        field.as_str().map(Withheld::new)
    }

    /// The place in a list of what is refused, `[…, "nodes", 3]`, and the field if it is not all of it.
    pub(super) fn refused_node(&self) -> Option<(usize, Option<Withheld>)> {
        let path = self.path.as_deref().filter(|_| self.is_refusal())?;
        let at = path.iter().position(|step| step == "nodes")?;
        let place = usize::try_from(path.get(at + 1)?.as_u64()?).ok()?;
        Some((place, self.withheld(at + 2)))
    }

    /// Whether it is about something within one alias or field, not about all of it.
    pub(super) fn is_within_something(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.len() > 1)
    }

    pub(super) fn is_within(&self, field: &str) -> bool {
        matches!(self.path.as_deref(), Some([Value::String(name), ..]) if name == field)
    }

    /// Whether it names no part of the answer, so that any part may be wrong.
    pub(super) fn is_about_everything(&self) -> bool {
        self.path.as_ref().is_none_or(Vec::is_empty)
    }

    pub(super) fn detail(&self) -> String {
        let message: String = self.message.chars().take(300).collect();
        match (message.as_str(), self.kind()) {
            ("", "") => "an error that says nothing".to_owned(),
            (_, "") => message,
            ("", kind) => kind.to_owned(),
            (_, kind) => format!("{message} ({kind})"),
        }
    }
}
