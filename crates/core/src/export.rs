//! Entries on their way from one store to another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Entry, Item, MemberState, Time};

/// An entry with everything worth moving: what a reader sees, how fresh it is, and what failed.
///
/// Its lease stays behind, and so do the log and the feed. The numbers of the sequence that it names
/// are the old store's; of them only the order counts (whether it was invalidated).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// The row, without a lease.
    pub entry: Entry,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// Since when it is not configured any more.
    pub unconfigured_since: Option<Time>,
    /// Its members, in order.
    pub members: Vec<ExportedMember>,
}

/// A member with its item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedMember {
    /// The name under which the entry asks for it.
    pub asked: Arc<str>,
    /// Whether it is shown.
    pub state: MemberState,
    /// The item, hidden ones too.
    pub item: Item,
}
