//! What a flag lets through, noted before a search that asks for it: where few have it, a search would otherwise
//! look at each of its matches, to find that hardly any is wanted.

use std::collections::HashSet;

use larder_core::{ColumnType, Filter, ListQuery, Test};
use rusqlite::Connection;

use crate::errors::Fault;
use crate::list::column;
use crate::rows::limit;
use crate::views::is_set;

/// Up to so many items that a flag lets through are noted.
const FLAGGED_MAX: i64 = 20_000;

/// So few are looked at one by one.
const FEW: usize = 1_000;

/// They, in their order, if they are few.
pub(crate) fn few(flagged: &HashSet<i64>) -> Option<Vec<i64>> {
    let mut few: Vec<i64> = (flagged.len() <= FEW).then(|| flagged.iter().copied().collect())?;
    few.sort_unstable();
    Some(few)
}

/// The items that have a flag which is asked for, by the index that holds them alone; `None` = none is, or too many
/// have it.
pub(crate) fn of(conn: &Connection, query: &ListQuery) -> Result<Option<HashSet<i64>>, Fault> {
    let is_flag = |filter: &&Filter| {
        let column = query.view.column(filter.column);
        filter.test == Test::Flag(true)
            && column.is_some_and(|column| column.indexed && column.holds == ColumnType::Boolean)
    };
    let Some(flag) = query.filters.iter().find(is_flag) else { return Ok(None) };
    let is_set = is_set(column(query.view, flag.column)?, "");
    let sql = format!(
        "SELECT nr FROM items WHERE kind = '{}' AND {is_set} LIMIT {}",
        query.view.kind,
        FLAGGED_MAX + 1
    );
    let numbers: HashSet<i64> =
        conn.prepare_cached(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok((limit(numbers.len()) <= FLAGGED_MAX).then_some(numbers))
}
