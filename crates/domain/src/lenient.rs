//! What the kinds share: reading documents leniently, and naming columns.

use larder_core::{Column, ColumnType};
use serde::{Deserialize, Deserializer};

/// Reads `null` as the default: a document is old, or its source knew less.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A column that lists show.
pub(crate) const fn column(name: &'static str, holds: ColumnType) -> Column {
    Column { name, holds, indexed: false }
}

/// A column that lists sort or filter by.
pub(crate) const fn indexed(name: &'static str, holds: ColumnType) -> Column {
    Column { name, holds, indexed: true }
}
