//! What stories are told with: keys, items, writes, and the steps of a refresh.

use std::time::Duration;

use larder_core::{
    Acquired, Column, ColumnType, Commit, Committed, Coverage, Entry, Exported, Extent, Failure, Fingerprint,
    Head, Heads, ItemCounts, ItemRef, Json, Key, Lease, LeaseAsk, LogLine, MemberState, MemberWrite, NewItem,
    Outcome, Scope, Spent, Store, Stored, Time, Trigger, Validators, ViewSpec, Write,
};
use serde_json::{Value, json};

/// When every story begins.
pub const NOW: Time = Time::from_ms(1_767_225_600_000);

/// How long a story's leases are.
pub const LEASE: Duration = Duration::from_secs(15);

/// The kind that stories tell of.
pub static VIEW: ViewSpec = ViewSpec {
    kind: "book",
    view: "books",
    columns: &[
        Column { name: "title", holds: ColumnType::Text, indexed: true },
        Column { name: "language", holds: ColumnType::Text, indexed: true },
        Column { name: "stars", holds: ColumnType::Integer, indexed: true },
        Column { name: "printed", holds: ColumnType::Boolean, indexed: true },
        Column { name: "published_at", holds: ColumnType::Time, indexed: true },
        Column { name: "topics", holds: ColumnType::List, indexed: false },
        Column { name: "publisher", holds: ColumnType::Json, indexed: false },
    ],
    title: "title",
    words: &["description"],
};

/// Another, that is not asked for.
pub static NOISE: ViewSpec = ViewSpec {
    // It begins as `book` does.
    kind: "buzz",
    view: "noises",
    columns: &[Column { name: "title", holds: ColumnType::Text, indexed: false }],
    title: "title",
    words: &["description"],
};

/// So many seconds after the beginning.
pub fn at(seconds: u64) -> Time {
    NOW.plus(Duration::from_secs(seconds))
}

/// The key of that text.
pub fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// All entries (of one source), by key, with their counts.
pub async fn heads(store: &impl Store, source: Option<&str>) -> Vec<Head> {
    let (mut all, mut heads) = (Heads::of(store, source), Vec::new());
    while let Some(head) = all.next().await.unwrap() {
        heads.push(head);
    }
    heads
}

/// What a store that knows of `key` exports of it: fetched at `now`, with these tags and no members.
pub fn exported(key: &Key, tags: &[&str], now: Time) -> Exported {
    let fresh_until = now.plus(Duration::from_hours(1));
    let one = Fingerprint::trusted("one");
    let entry = Entry {
        definition: one.clone(),
        tried: one,
        complete: true,
        version: 1,
        began: 1,
        fetched_at: Some(now),
        fresh_until: Some(fresh_until),
        due_at: fresh_until,
        ..Entry::empty(key.clone(), now)
    };
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Exported { entry, tags, unconfigured_since: None, members: Vec::new() }
}

/// A book with a title, stars and whatever else.
pub fn book(id: &str, stars: i64) -> NewItem {
    book_with(id, json!({"title": id, "stars": stars}))
}

/// A book with these fields; what is searched is its title, and its description.
pub fn book_with(id: &str, doc: Value) -> NewItem {
    NewItem {
        of: ItemRef::new("book", id),
        scope: Scope::Public,
        doc: Json::from(doc),
        coverage: Coverage::Whole,
    }
}

/// The members that show these items, in order.
pub fn shown(items: &[NewItem]) -> Vec<MemberWrite> {
    let member = |item: &NewItem| member(&item.of.id, MemberState::Shown);
    items.iter().map(member).collect()
}

/// A member asked for by its item's own name.
pub fn member(id: &str, state: MemberState) -> MemberWrite {
    MemberWrite { asked: id.into(), state, item: ItemRef::new("book", id) }
}

/// What a complete fetch of these items writes at `now`: fresh for an hour.
pub fn fetched(items: Vec<NewItem>, now: Time) -> Write {
    let fresh_until = now.plus(Duration::from_hours(1));
    Write {
        outcome: Outcome::Updated,
        definition: Fingerprint::trusted("one"),
        tried: Fingerprint::trusted("one"),
        body: None,
        validators: Validators::default(),
        cursor: None,
        complete: true,
        pending: Vec::new(),
        warnings: Vec::new(),
        answers_invalidation: true,
        fetched_at: Some(now),
        absent_at: None,
        fresh_until: Some(fresh_until),
        due_at: fresh_until,
        attempts: 0,
        faults: 0,
        last_error: None,
        members: Some(shown(&items)),
        items,
        tags: Some(Vec::new()),
    }
}

/// What a failed attempt writes over the row it met: it waits a minute for the next one.
pub fn failed(before: &Stored, now: Time) -> Write {
    let entry = &before.entry;
    Write {
        outcome: Outcome::Failed,
        definition: entry.definition.clone(),
        tried: Fingerprint::trusted("one"),
        body: entry.body.clone(),
        validators: entry.validators.clone(),
        cursor: entry.cursor.clone(),
        complete: entry.complete,
        pending: entry.pending.clone(),
        warnings: entry.warnings.clone(),
        answers_invalidation: false,
        fetched_at: entry.fetched_at,
        absent_at: entry.absent_at,
        fresh_until: entry.fresh_until,
        due_at: now.plus(Duration::from_mins(1)),
        attempts: entry.attempts + 1,
        faults: entry.faults,
        last_error: Some(Failure {
            code: "network".to_owned(),
            message: "no connection".to_owned(),
            hint: None,
            at: now,
        }),
        members: None,
        items: Vec::new(),
        tags: None,
    }
}

/// A log line for an attempt that began at `now`.
pub fn line(key: &Key, outcome: &str, now: Time) -> LogLine {
    LogLine {
        key: key.clone(),
        trigger: Trigger::Manual,
        started_at: now,
        duration_ms: 12,
        outcome: outcome.to_owned(),
        items: ItemCounts::default(),
        spent: Spent { calls: 1, cost: 2 },
        error: None,
    }
}

/// A commit of `write` under `lease`.
pub fn commit_of(lease: &Lease, write: Write, now: Time) -> Commit {
    let log = line(&lease.key, write.outcome.word(), now);
    Commit { lease: lease.clone(), write: Some(write), log, now }
}

/// A wish for a lease on `key`, by `owner`.
pub fn ask(key: &Key, owner: &str) -> LeaseAsk {
    LeaseAsk {
        key: key.clone(),
        owner: owner.into(),
        length: LEASE,
        unless_newer_than: None,
        extent: Extent::Whole,
    }
}

/// What came of one wish.
pub async fn acquire(store: &impl Store, key: &Key, owner: &str, now: Time) -> Acquired {
    store.acquire(&[ask(key, owner)], now).await.unwrap().pop().expect("one answer to one wish")
}

/// A lease that must be free, and the row under it.
pub async fn lease(store: &impl Store, key: &Key, now: Time) -> (Lease, Stored) {
    match acquire(store, key, "me", now).await {
        Acquired::Granted(lease, row) => (lease, *row),
        other => panic!("the lease on {key} should be free: {other:?}"),
    }
}

/// A whole refresh that brings these items.
pub async fn refresh(store: &impl Store, key: &Key, items: Vec<NewItem>, now: Time) -> Committed {
    write(store, key, fetched(items, now), now).await
}

/// A whole refresh that writes this.
pub async fn write(store: &impl Store, key: &Key, write: Write, now: Time) -> Committed {
    let (lease, _) = lease(store, key, now).await;
    store.commit(commit_of(&lease, write, now)).await.unwrap()
}

/// A whole refresh that fails.
pub async fn fail(store: &impl Store, key: &Key, now: Time) -> Committed {
    let (lease, before) = lease(store, key, now).await;
    store.commit(commit_of(&lease, failed(&before, now), now)).await.unwrap()
}

/// One row, if there is one.
pub async fn find(store: &impl Store, key: &Key) -> Option<Stored> {
    store.lookup(std::slice::from_ref(key)).await.unwrap().pop().expect("one answer to one key")
}

/// One row that must be there.
pub async fn row(store: &impl Store, key: &Key) -> Stored {
    find(store, key).await.unwrap_or_else(|| panic!("{key} should have a row"))
}

/// The identities of a row's members, in order.
pub fn ids(row: &Stored) -> Vec<&str> {
    row.members.iter().map(|member| &*member.item.of.id).collect()
}

/// A field of a row's item.
pub fn field(row: &Stored, id: &str, name: &str) -> Value {
    let member = row.members.iter().find(|member| &*member.item.of.id == id).expect("a member of that name");
    let doc: Value = member.item.doc.decode().unwrap();
    doc.get(name).cloned().unwrap_or(Value::Null)
}

/// What a commit must have done.
pub fn done(committed: Committed) -> (u64, ItemCounts, bool) {
    match committed {
        Committed::Done { version, items, invalidated } => (version, items, invalidated),
        Committed::Superseded => panic!("the lease was lost"),
    }
}

/// The feed's words about an entry, oldest first.
pub async fn words(store: &impl Store, key: &Key) -> Vec<String> {
    let changes = store.changes(0, 1_000).await.unwrap();
    changes.lines.into_iter().filter(|line| line.on.key() == Some(key)).map(|line| line.what).collect()
}
