//! Rows, definitions and answers to test with.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Absence, Answer, Coverage, Definition, Entry, FetchError, Finding, Fingerprint, Item, ItemRef, Json, Key,
    Member, MemberState, NewItem, Policy, Scope, Stored, Time,
};

pub const NOW: Time = Time::from_ms(1_767_225_600_000);

pub const fn mins(n: u64) -> Duration {
    Duration::from_mins(n)
}

pub const fn hours(n: u64) -> Duration {
    Duration::from_hours(n)
}

pub fn key() -> Key {
    "thing/a".parse().unwrap()
}

pub fn definition(edition: &str) -> Definition {
    Definition::new(Fingerprint::of(&[edition]), Policy { jitter: 0.0, ..Policy::with_ttl(hours(6)) })
}

/// A row fetched `age` ago under definition "1", with a lifetime of six hours.
pub fn fetched(age: Duration) -> Entry {
    let at = NOW.minus(age);
    let fingerprint = definition("1").fingerprint;
    Entry {
        definition: fingerprint.clone(),
        tried: fingerprint,
        complete: true,
        version: 3,
        began: 10,
        fetched_at: Some(at),
        fresh_until: Some(at.plus(hours(6))),
        due_at: at.plus(hours(6)),
        ..Entry::empty(key(), at)
    }
}

pub fn item(name: &str, rev: u64, scope: Scope) -> Item {
    Item {
        of: ItemRef::new("thing", name),
        scope,
        doc: doc(rev),
        derived: None,
        fetched_at: NOW.minus(hours(1)),
    }
}

pub fn doc(rev: u64) -> Json {
    Json::from(serde_json::json!({ "rev": rev }))
}

pub fn member(name: &str, state: MemberState, scope: Scope) -> Member {
    Member { asked: name.into(), state, item: item(name, 1, scope) }
}

/// A fresh entry that shows these public items.
pub fn holding(names: &[&str]) -> Stored {
    let members = names.iter().map(|name| member(name, MemberState::Shown, Scope::Public)).collect();
    Stored { entry: fetched(hours(1)), members }
}

pub fn present(name: &str, rev: u64) -> Answer {
    let item = NewItem {
        of: ItemRef::new("thing", name),
        scope: Scope::Public,
        doc: doc(rev),
        coverage: Coverage::Whole,
    };
    Answer { asked: name.into(), finding: Finding::Present(item) }
}

pub fn absent(name: &str) -> Answer {
    Answer { asked: name.into(), finding: Finding::Absent(Absence::new("not_found", "it does not exist")) }
}

pub fn unknown(name: &str) -> Answer {
    Answer { asked: name.into(), finding: Finding::Unknown(partial()) }
}

pub fn partial() -> FetchError {
    FetchError::Partial { host: "example.com".to_owned(), detail: "left out".to_owned() }
}

pub fn network() -> FetchError {
    FetchError::Network { host: "example.com".to_owned(), cause: "connection refused".to_owned() }
}

pub fn unusable() -> FetchError {
    FetchError::Unusable { host: "example.com".to_owned(), detail: "not JSON".to_owned() }
}

pub fn names(all: &[&str]) -> Option<Arc<[Arc<str>]>> {
    Some(all.iter().map(|name| Arc::from(*name)).collect())
}
