//! What a kind's list looks like: a store turns it into a SQL view and indexes without knowing
//! what it means.

/// One kind of item as a table: its name, its columns, which of them lists filter and sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewSpec {
    /// The item kind (`repository`).
    pub kind: &'static str,
    /// The view's name, a plural word (`repositories`): lower-case ASCII letters and `_`.
    pub view: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
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
    /// True or false.
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
}
