//! Rows as the tables hold them (postcard: small, and read without copying), and the fallible way
//! from there to the model.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Entry, Failure, Fingerprint, Item, ItemRef, Json, Key, Lease, MemberState, MemberWrite, Time, Token,
    Validators, Warning,
};
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::keys::{Bytes, Parts};
use crate::tables::Table;

/// A value as its bytes.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Fault> {
    postcard::to_stdvec(value).map_err(|error| Fault::Wrong(error.to_string()))
}

/// A value of its bytes.
pub(crate) fn decode<'a, T: Deserialize<'a>>(table: Table, key: &[u8], bytes: &'a [u8]) -> Result<T, Fault> {
    postcard::from_bytes(bytes).map_err(|error| bad_row(table, key, &error.to_string()))
}

/// A row that cannot be understood.
pub(crate) fn bad_row(table: Table, key: &[u8], found: &str) -> Fault {
    /// Enough to recognise it by, not a page of it.
    const SHOWN_MAX: usize = 80;
    let row = String::from_utf8_lossy(key).replace('\0', " ");
    let shown = |text: &str| text.trim().chars().take(SHOWN_MAX).collect();
    Fault::Row { table: table.name(), row: shown(&row), found: shown(found) }
}

/// An entry's row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EntryRow {
    /// What the port knows of it.
    pub(crate) entry: Entry,
    /// The sequence number at which a trigger asked for a refresh; 0 = none did.
    pub(crate) marked: u64,
    /// When anything was last asked of it.
    pub(crate) touched_at: Time,
    /// Since when it is not configured any more.
    pub(crate) unconfigured_since: Option<Time>,
    /// How many members are shown.
    pub(crate) shown: u64,
    /// What it is invalidated by, sorted.
    pub(crate) tags: Vec<String>,
    /// Where it stands in [`Table::Wanted`], as it was found.
    pub(crate) indexed: Option<Vec<u8>>,
    /// The last invalidation that its own row knew of, as it was found.
    pub(crate) stamped: u64,
}

#[derive(Serialize, Deserialize)]
struct EntryValue<'a> {
    version: u64,
    #[serde(borrow)]
    definition: &'a str,
    tried: &'a str,
    body: Option<&'a str>,
    etag: Option<&'a str>,
    last_modified: Option<&'a str>,
    content_hash: Option<&'a str>,
    cursor: Option<&'a str>,
    complete: bool,
    pending: Vec<&'a str>,
    warnings: Vec<[&'a str; 3]>,
    began: u64,
    invalidated: u64,
    fetched_at: Option<i64>,
    absent_at: Option<i64>,
    fresh_until: Option<i64>,
    due_at: i64,
    marked: u64,
    marked_by: Option<&'a str>,
    attempts: u32,
    faults: u32,
    last_error: Option<FailureValue<'a>>,
    lease: Option<LeaseValue<'a>>,
    touched_at: i64,
    unconfigured_since: Option<i64>,
    shown: u64,
    tags: Vec<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct FailureValue<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    at: i64,
}

#[derive(Serialize, Deserialize)]
struct LeaseValue<'a> {
    owner: &'a str,
    until: i64,
    length: u64,
    epoch: i64,
    seq: u64,
}

impl EntryRow {
    /// The row of an entry that has no data yet.
    pub(crate) fn empty(key: &Key, version: u64, now: Time) -> Self {
        EntryRow {
            entry: Entry { version, ..Entry::empty(key.clone(), now) },
            marked: 0,
            touched_at: now,
            unconfigured_since: None,
            shown: 0,
            tags: Vec::new(),
            indexed: None,
            stamped: 0,
        }
    }

    /// Its place among the entries that want a refresh without a reader, if it does.
    pub(crate) fn wanted(&self) -> Option<Vec<u8>> {
        let entry = &self.entry;
        let wants = self.marked > 0 || entry.attempts > 0 || !entry.pending.is_empty();
        wants.then(|| wanted_key(self.marked > 0, entry.due_at, &entry.key))
    }

    pub(crate) fn write(&self) -> Result<Vec<u8>, Fault> {
        let entry = &self.entry;
        let marked_by = entry.marked_by.map(|trigger| trigger.to_string());
        encode(&EntryValue {
            version: entry.version,
            definition: entry.definition.as_str(),
            tried: entry.tried.as_str(),
            body: entry.body.as_ref().map(Json::as_str),
            etag: entry.validators.etag.as_deref(),
            last_modified: entry.validators.last_modified.as_deref(),
            content_hash: entry.validators.content_hash.as_deref(),
            cursor: entry.cursor.as_deref(),
            complete: entry.complete,
            pending: entry.pending.iter().map(|name| &**name).collect(),
            warnings: entry.warnings.iter().map(|said| [&*said.about, &*said.code, &*said.message]).collect(),
            began: entry.began,
            invalidated: entry.invalidated,
            fetched_at: entry.fetched_at.map(Time::ms),
            absent_at: entry.absent_at.map(Time::ms),
            fresh_until: entry.fresh_until.map(Time::ms),
            due_at: entry.due_at.ms(),
            marked: self.marked,
            marked_by: marked_by.as_deref().filter(|_| self.marked > 0),
            attempts: entry.attempts,
            faults: entry.faults,
            last_error: entry.last_error.as_ref().map(|failure| FailureValue {
                code: &failure.code,
                message: &failure.message,
                hint: failure.hint.as_deref(),
                at: failure.at.ms(),
            }),
            lease: entry.lease.as_ref().map(|lease| LeaseValue {
                owner: &lease.owner,
                until: lease.until.ms(),
                length: lease.length.as_millis() as u64,
                epoch: lease.token.epoch,
                seq: lease.token.seq,
            }),
            touched_at: self.touched_at.ms(),
            unconfigured_since: self.unconfigured_since.map(Time::ms),
            shown: self.shown,
            tags: self.tags.iter().map(String::as_str).collect(),
        })
    }

    pub(crate) fn read(bytes: &[u8], name: &[u8]) -> Result<Self, Fault> {
        let value: EntryValue<'_> = decode(Table::Entries, name, bytes)?;
        let key = key_of(Table::Entries, name)?;
        let lease = value.lease.map(|lease| Lease {
            key: key.clone(),
            owner: lease.owner.into(),
            until: Time::from_ms(lease.until),
            length: Duration::from_millis(lease.length),
            token: Token { epoch: lease.epoch, seq: lease.seq },
        });
        let bad = |found: String| bad_row(Table::Entries, name, &found);
        let warning = |[about, code, message]: [&str; 3]| Warning {
            about: about.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
        };
        let entry = Entry {
            definition: Fingerprint::trusted(value.definition),
            tried: Fingerprint::trusted(value.tried),
            body: value.body.map(Json::trusted),
            validators: Validators {
                etag: value.etag.map(str::to_owned),
                last_modified: value.last_modified.map(str::to_owned),
                content_hash: value.content_hash.map(str::to_owned),
            },
            cursor: value.cursor.map(str::to_owned),
            complete: value.complete,
            pending: value.pending.into_iter().map(Arc::from).collect(),
            warnings: value.warnings.into_iter().map(warning).collect(),
            version: value.version,
            began: value.began,
            invalidated: value.invalidated,
            fetched_at: value.fetched_at.map(Time::from_ms),
            absent_at: value.absent_at.map(Time::from_ms),
            fresh_until: value.fresh_until.map(Time::from_ms),
            due_at: Time::from_ms(value.due_at),
            marked: value.marked > 0,
            marked_by: value.marked_by.map(str::parse).transpose().map_err(bad)?,
            attempts: value.attempts,
            faults: value.faults,
            last_error: value.last_error.map(|failure| Failure {
                code: failure.code.to_owned(),
                message: failure.message.to_owned(),
                hint: failure.hint.map(str::to_owned),
                at: Time::from_ms(failure.at),
            }),
            lease,
            key,
        };
        let mut row = EntryRow {
            entry,
            marked: value.marked,
            touched_at: Time::from_ms(value.touched_at),
            unconfigured_since: value.unconfigured_since.map(Time::from_ms),
            shown: value.shown,
            tags: value.tags.into_iter().map(str::to_owned).collect(),
            indexed: None,
            stamped: value.invalidated,
        };
        row.indexed = row.wanted();
        Ok(row)
    }
}

/// A key of [`Table::Wanted`].
fn wanted_key(is_marked: bool, due_at: Time, key: &Key) -> Vec<u8> {
    Bytes::default().number(u64::from(is_marked)).signed(due_at.ms()).rest(key.as_str()).done()
}

/// The key that a row is named by.
pub(crate) fn key_of(table: Table, name: &[u8]) -> Result<Key, Fault> {
    let parsed = std::str::from_utf8(name).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| bad_row(table, name, "no key"))
}

/// The number that a row is named by.
pub(crate) fn number_of(table: Table, key: &[u8]) -> Result<u64, Fault> {
    Parts(key).number().ok_or_else(|| bad_row(table, key, "no number"))
}

/// An item's row. Its name is the row's key.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ItemValue<'a> {
    pub(crate) fetched_at: i64,
    /// The number at which the fetch that brought it began; 0 = before any.
    pub(crate) began: u64,
    pub(crate) scope: &'a str,
    pub(crate) doc: &'a str,
    pub(crate) derived: Option<&'a str>,
}

impl ItemValue<'_> {
    pub(crate) fn model(&self, of: ItemRef) -> Result<Item, Fault> {
        let scope =
            self.scope.parse().map_err(|found: String| bad_row(Table::Items, &item_key(&of), &found))?;
        Ok(Item {
            of,
            scope,
            doc: Json::trusted(self.doc),
            derived: self.derived.map(Json::trusted),
            fetched_at: Time::from_ms(self.fetched_at),
        })
    }
}

/// The key of an item's row.
pub(crate) fn item_key(of: &ItemRef) -> Vec<u8> {
    Bytes::default().text(&of.kind).text(&of.id).done()
}

/// A member, as an entry's row of members holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberValue<'a> {
    pub(crate) asked: &'a str,
    pub(crate) state: StateValue,
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
}

/// A member's state as the file has it: new ones go behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StateValue {
    Shown,
    Absent,
    Hidden,
}

impl From<MemberState> for StateValue {
    fn from(state: MemberState) -> Self {
        match state {
            MemberState::Shown => StateValue::Shown,
            MemberState::Absent => StateValue::Absent,
            MemberState::Hidden => StateValue::Hidden,
        }
    }
}

impl From<StateValue> for MemberState {
    fn from(state: StateValue) -> Self {
        match state {
            StateValue::Shown => MemberState::Shown,
            StateValue::Absent => MemberState::Absent,
            StateValue::Hidden => MemberState::Hidden,
        }
    }
}

impl StateValue {
    /// The one byte of a row of [`Table::Holders`].
    pub(crate) fn byte(self) -> u8 {
        self as u8
    }

    /// Whether a row of [`Table::Holders`] says that the member is shown.
    pub(crate) fn shows(value: &[u8]) -> bool {
        value.first() != Some(&StateValue::Hidden.byte())
    }
}

/// The members of an entry, one row for all.
pub(crate) fn write_members(members: &[MemberWrite]) -> Result<Vec<u8>, Fault> {
    let values: Vec<MemberValue<'_>> = members
        .iter()
        .map(|member| MemberValue {
            asked: &member.asked,
            state: member.state.into(),
            kind: &member.item.kind,
            id: &member.item.id,
        })
        .collect();
    encode(&values)
}

/// The members of an entry as they lie in its row.
pub(crate) fn read_members<'a>(key: &[u8], bytes: &'a [u8]) -> Result<Vec<MemberValue<'a>>, Fault> {
    decode(Table::Members, key, bytes)
}

/// Names of kinds, so that ten thousand members share one.
#[derive(Default)]
pub(crate) struct Kinds(Vec<Arc<str>>);

impl Kinds {
    pub(crate) fn get(&mut self, kind: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == kind) {
            return known.clone();
        }
        let new: Arc<str> = kind.into();
        self.0.push(new.clone());
        new
    }

    pub(crate) fn item(&mut self, kind: &str, id: &str) -> ItemRef {
        ItemRef { kind: self.get(kind), id: id.into() }
    }
}
