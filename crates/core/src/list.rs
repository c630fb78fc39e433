//! Questions that lists ask of a store, in terms of a [`ViewSpec`](crate::ViewSpec).

use crate::{Item, Key, ViewSpec};

/// A list of one kind's items.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The kind.
    pub view: &'static ViewSpec,
    /// The entries whose members are asked for: the configured ones. An item that none of them
    /// shows is not listed.
    pub entries: Vec<Key>,
    /// Words that must all be found, each as the beginning of a word.
    pub search: Option<String>,
    /// Conditions that must all hold.
    pub filters: Vec<Filter>,
    /// The order; items that tie stand by identity.
    pub order: Option<Order>,
    /// How many items to leave out before the first.
    pub offset: usize,
    /// The most items to answer.
    pub limit: usize,
}

/// A condition on a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The column's name in the [`ViewSpec`](crate::ViewSpec).
    pub column: &'static str,
    /// What must hold of it.
    pub test: Test,
}

/// What must hold of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The text is this one, whatever the case.
    Is(String),
    /// The list has this text, whatever the case.
    Has(String),
    /// The boolean is this one.
    Flag(bool),
    /// The time or number is this or more.
    AtLeast(String),
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By a column, smallest first; missing values last.
    Ascending(&'static str),
    /// By a column, greatest first; missing values last.
    Descending(&'static str),
    /// By how well an item answers the search, best first; without a search, by identity. Titles that
    /// begin with what was typed come first, by the alphabet (so the exact one before all others), then those
    /// that begin with [its words without the marks around them](crate::beginnings), then
    /// those that have its words, then what has them elsewhere. Of more matches than a store looks at
    /// (10,000 of a sort), the best of those looked at come first, and few enough of them are ranked.
    Rank,
}

/// An item of a list, and which of the asked entries show it, in the order they were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The item.
    pub item: Item,
    /// The entries that show it.
    pub entries: Vec<Key>,
}
