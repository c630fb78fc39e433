//! Words and rules of Larder: what an entry is, when it is fresh, what a failure may change.
//!
//! Nothing here does I/O, reads a clock or knows an async runtime: time and randomness come in as
//! arguments, so that every rule can be tested as a table. The ports ([`Store`], [`Budgets`],
//! [`Source`], [`Clock`]) are the edges that other rooms implement.

mod absorb;
mod bounds;
mod budget;
mod clock;
mod decide;
mod definition;
mod delta;
mod entry;
mod export;
mod failure;
mod fetched;
mod fold;
mod follow;
mod item;
mod json;
mod key;
mod list;
mod log;
mod rows;
mod sheet;
mod sorting;
mod source;
mod store;
mod store_error;
mod time;
mod view;

pub use absorb::{Attempt, MemberWrite, Outcome, Write, absorb, backoff};
pub use bounds::{Unfit, storable};
pub use budget::{
    Admission, Budget, EVERYBODY, Priority, Reservation, Reserved, Resource, SECONDARY, Settlement, Waits,
    admit,
};
pub use clock::{CLOCK_SLACK, Clock};
pub use decide::{Decision, Mode, Refusal, Request, StaleReason, decide, may_serve_on_error};
pub use definition::{Definition, Fingerprint, Policy, Roster};
pub use entry::{
    Entry, Lease, Member, MemberState, RefreshState, Status, Stored, TOUCHED, TOUCHED_BEFORE, Token,
    Validators, Warning,
};
pub use export::{Exported, ExportedMember, Exports};
pub use failure::{Failure, FetchError, Hint, LimitKind, Retry};
pub use fetched::{Absence, Answer, Delta, Fetched, Finding, Listing, Others};
pub use fold::{FOLDING, beginnings, composed, fold, fold_char};
pub use follow::{Following, NextStep, follow};
pub use item::{Coverage, Item, ItemRef, NewItem, Scope, merge_docs};
pub use json::Json;
pub use key::{Key, KeyError};
pub use list::{Filter, ListQuery, Listed, Order, Test};
pub use log::{Change, Changes, ItemCounts, LogLine, Spent, Subject, Trigger};
pub use rows::{Damaged, Head, Heads, Rows, list_past_damage, lookup_past_damage};
pub use sheet::{Sheet, SheetText};
pub use source::{Answers, Ask, Held, Learned, Source};
pub use store::{
    Acquired, Budgets, Commit, Committed, Configured, Extent, LeaseAsk, LogFilter, Met, Migration, Problem,
    Reconciled, Retention, Row, Store, StoreInfo, Swept, Target,
};
pub use store_error::StoreError;
pub use time::{Time, TimeError};
pub use view::{Column, ColumnType, FoundBy, ViewSpec};
