//! Lists by looking at every item.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use larder_core::{
    Column, ColumnType, Filter, Item, ItemRef, Key, ListQuery, Listed, MemberState, Order, StoreError, Test,
    Time,
};
use serde_json::Value;

use super::failed;
use super::search::{Rank, rank, wanted};
use super::state::{ItemRow, State};

impl State {
    /// The items that some entry holds.
    pub(super) fn held(&self) -> BTreeSet<ItemRef> {
        let members = self.entries.values().flat_map(|row| &row.members);
        members.map(|member| member.item.clone()).collect()
    }

    pub(super) fn list(&self, query: &ListQuery) -> Result<Vec<Listed>, StoreError> {
        let searched = query.search.as_deref().filter(|typed| !typed.trim().is_empty());
        let words = match searched.map(wanted) {
            Some(None) => return Ok(Vec::new()),
            Some(words) => words,
            None => None,
        };
        let mut found: Vec<Found<'_>> = Vec::new();
        for row in self.items.values().filter(|row| &*row.item.of.kind == query.view.kind) {
            let entries = self.shown_by(&row.item.of, query);
            let ranked = match &words {
                None => None,
                Some(words) => {
                    let found_by = query.view.found_by(row.item.doc.as_str());
                    match rank(&found_by.title, &found_by.words, words) {
                        None => continue,
                        Some(rank) => Some((rank, found_by.title.to_lowercase())),
                    }
                }
            };
            if entries.is_empty() || !all_hold(row, query)? {
                continue;
            }
            found.push((ranked, sorted_by(row, query)?, &row.item, entries));
        }
        found.sort_by(|a, b| in_order(query.order, a, b));
        let listed = found.into_iter().map(|(_, _, item, entries)| Listed { item: item.clone(), entries });
        Ok(listed.skip(query.offset).take(query.limit).collect())
    }

    /// Which of the asked entries show an item, in the order asked.
    fn shown_by(&self, of: &ItemRef, query: &ListQuery) -> Vec<Key> {
        let mut keys = Vec::new();
        for key in &query.entries {
            let Some(row) = self.entries.get(key) else { continue };
            let shows =
                row.members.iter().any(|member| member.item == *of && member.state != MemberState::Hidden);
            if shows && !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }
}

/// How well it answers a search, and by the alphabet; what it is sorted by; the item and who shows it.
type Found<'a> = (Option<(Rank, String)>, Option<Value>, &'a Item, Vec<Key>);

fn in_order(order: Option<Order>, a: &Found<'_>, b: &Found<'_>) -> Ordering {
    let by_value = match order {
        None => Ordering::Equal,
        Some(Order::Rank) => a.0.cmp(&b.0),
        // Missing values come last either way.
        Some(Order::Ascending(_)) => match (&a.1, &b.1) {
            (Some(a), Some(b)) => compared(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        },
        Some(Order::Descending(_)) => match (&a.1, &b.1) {
            (Some(a), Some(b)) => compared(b, a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        },
    };
    by_value.then_with(|| a.2.of.id.cmp(&b.2.of.id))
}

fn compared(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text(a).to_ascii_lowercase().cmp(&text(b).to_ascii_lowercase()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn sorted_by(row: &ItemRow, query: &ListQuery) -> Result<Option<Value>, StoreError> {
    match query.order {
        None | Some(Order::Rank) => Ok(None),
        Some(Order::Ascending(name) | Order::Descending(name)) => Ok(field(row, column(query, name)?)),
    }
}

fn column(query: &ListQuery, name: &str) -> Result<&'static Column, StoreError> {
    let unknown = || wrong(format!("`{}` has no column `{name}`", query.view.view));
    query.view.column(name).ok_or_else(unknown)
}

fn field(row: &ItemRow, column: &Column) -> Option<Value> {
    let doc: Value = row.item.doc.decode().ok()?;
    doc.get(column.name).filter(|value| !value.is_null()).cloned()
}

fn all_hold(row: &ItemRow, query: &ListQuery) -> Result<bool, StoreError> {
    for filter in &query.filters {
        if !holds(row, column(query, filter.column)?, filter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(row: &ItemRow, column: &Column, filter: &Filter) -> Result<bool, StoreError> {
    let held = field(row, column);
    let is = |value: &Value, wanted: &str| text(value).eq_ignore_ascii_case(wanted);
    Ok(match &filter.test {
        Test::Is(wanted) => held.is_some_and(|value| is(&value, wanted)),
        Test::Has(wanted) => {
            let parts = held.as_ref().and_then(Value::as_array);
            parts.is_some_and(|parts| parts.iter().any(|part| is(part, wanted)))
        }
        Test::Flag(wanted) => (held == Some(Value::Bool(true))) == *wanted,
        Test::AtLeast(least) => {
            let least = least_value(column, least)?;
            held.is_some_and(|value| compared(&value, &least) != Ordering::Less)
        }
    })
}

fn least_value(column: &Column, least: &str) -> Result<Value, StoreError> {
    let no = |what: &str| wrong(format!("`{}` is compared with {what}, not with `{least}`", column.name));
    match column.holds {
        ColumnType::Time => Time::parse(least).map(|time| time.to_string().into()).map_err(|_| no("a time")),
        ColumnType::Integer | ColumnType::Boolean => {
            least.parse::<f64>().map(Value::from).map_err(|_| no("a number"))
        }
        ColumnType::Text | ColumnType::List | ColumnType::Json => Ok(least.into()),
    }
}

fn wrong(cause: String) -> StoreError {
    failed("list items", cause)
}
