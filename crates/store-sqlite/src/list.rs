//! Lists: one kind's items, filtered, searched and sorted, each with the entries that show it.
//!
//! Two ways lead to a list. A long one walks the index of its order and stops at the limit; a list
//! of few members (one cluster of ten thousand repositories) or few matches of a search starts at
//! those and sorts them.

use std::collections::HashMap;

use larder_core::{Column, ColumnType, Filter, Key, ListQuery, Listed, Order, Test, Time, ViewSpec};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::entries::json;
use crate::errors::Fault;
use crate::rows::{ITEM_COLUMNS, ItemRow, limit, parse};
use crate::views::compared;

/// Up to so many members or matches it is cheaper to sort them than to walk an index past all others.
const FEW: i64 = 500;

/// The most items that a search looks at further.
const CANDIDATES_MAX: usize = 10_000;

/// The most words of a search that count.
const WORDS_MAX: usize = 32;

/// Answers a list.
pub(crate) fn list(conn: &Connection, query: &ListQuery) -> Result<Vec<Listed>, Fault> {
    let mut asked = Vec::with_capacity(query.entries.len());
    let mut number = conn.prepare_cached("SELECT nr FROM entries WHERE key = ?1")?;
    for key in &query.entries {
        asked.extend(number.query_row([key.as_str()], |row| row.get::<_, i64>(0)).optional()?);
    }
    if asked.is_empty() || query.limit == 0 {
        return Ok(Vec::new());
    }
    let Some(sql) = Sql::of(conn, query, &asked)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(&sql.text)?;
    let mut rows = statement.query(params_from_iter(&sql.values))?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        let row = ItemRow::read(row, 0)?;
        let nr = row.nr;
        listed.push(Listed { item: row.model()?, entries: shown_by(conn, nr, query)? });
    }
    Ok(listed)
}

/// The statement that a query becomes, for its plan to be looked at.
pub(crate) fn plan(conn: &Connection, query: &ListQuery) -> Result<Vec<String>, Fault> {
    let mut asked = Vec::new();
    for key in &query.entries {
        let number: Option<i64> = conn
            .query_row("SELECT nr FROM entries WHERE key = ?1", [key.as_str()], |row| row.get(0))
            .optional()?;
        asked.extend(number);
    }
    let Some(sql) = Sql::of(conn, query, &asked)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text))?;
    let steps = statement.query_map(params_from_iter(&sql.values), |row| row.get(3))?;
    Ok(steps.collect::<rusqlite::Result<_>>()?)
}

/// Which of the asked entries show an item, in the order asked.
fn shown_by(conn: &Connection, item: i64, query: &ListQuery) -> Result<Vec<Key>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT e.key FROM members m JOIN entries e ON e.nr = m.entry \
         WHERE m.item = ?1 AND m.state <> 'hidden'",
    )?;
    let keys: Vec<String> =
        statement.query_map([item], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut shown = Vec::with_capacity(keys.len());
    if let [one] = keys.as_slice() {
        // The usual case, which the statement has already answered: some asked entry shows it.
        return Ok(vec![parse("entries", one, "key", one)?]);
    }
    let places: HashMap<&str, usize> =
        query.entries.iter().enumerate().rev().map(|(place, key)| (key.as_str(), place)).collect();
    for key in &keys {
        if let Some(place) = places.get(key.as_str()).filter(|place| !shown.contains(*place)) {
            shown.push(*place);
        }
    }
    shown.sort_unstable();
    Ok(shown.into_iter().map(|place| query.entries[place].clone()).collect())
}

struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// `None` = nothing can match.
    fn of(conn: &Connection, query: &ListQuery, asked: &[i64]) -> Result<Option<Sql>, Fault> {
        let view = query.view;
        let few = has_few_members(conn, asked)?;
        let mut sql = Sql { text: String::new(), values: Vec::new() };
        let asked = sql.bind(Value::Text(json(asked)?));
        // `+` keeps an index from being searched by that column: an item has few holders, and the
        // asked entries may be hundreds.
        let held = format!("m.state <> 'hidden' AND +m.entry IN (SELECT value FROM json_each({asked}))");
        let by_item =
            |item: &str| format!("EXISTS (SELECT 1 FROM members m WHERE m.item = {item} AND {held})");
        let mut conditions = vec![format!("i.kind = '{}'", view.kind)];
        match query.search.as_deref().filter(|search| !search.trim().is_empty()) {
            Some(search) => {
                let Some(words) = match_expression(search) else { return Ok(None) };
                let start = if has_few_matches(conn, &words)? { "" } else { "+" };
                let words = sql.bind(Value::Text(words));
                conditions.push(format!(
                    "{start}i.nr IN (SELECT rowid FROM items_fts WHERE items_fts MATCH {words} \
                     LIMIT {CANDIDATES_MAX})"
                ));
                conditions.push(by_item("+i.nr"));
            }
            None if few => conditions.push(format!(
                "i.nr IN (SELECT m.item FROM members m WHERE m.state <> 'hidden' \
                 AND m.entry IN (SELECT value FROM json_each({asked})))"
            )),
            None => conditions.push(by_item("+i.nr")),
        }
        for filter in &query.filters {
            let condition = sql.condition(view, filter)?;
            conditions.push(condition);
        }
        let most = sql.bind(Value::Integer(limit(query.limit)));
        let offset = sql.bind(Value::Integer(limit(query.offset)));
        sql.text = format!(
            "SELECT {ITEM_COLUMNS} FROM items i WHERE {} ORDER BY {} LIMIT {most} OFFSET {offset}",
            conditions.join(" AND "),
            order(view, query.order)?
        );
        Ok(Some(sql))
    }

    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    fn condition(&mut self, view: &ViewSpec, filter: &Filter) -> Result<String, Fault> {
        let column = column(view, filter.column)?;
        let compared = compared(column, "i.");
        let text = |text: &str| Value::Text(text.to_owned());
        Ok(match (&filter.test, column.holds) {
            (Test::Is(wanted), ColumnType::Text) => format!("{compared} = {}", self.bind(text(wanted))),
            (Test::Is(wanted), _) => {
                format!("CAST({compared} AS TEXT) = {} COLLATE NOCASE", self.bind(text(wanted)))
            }
            (Test::Has(wanted), _) => format!(
                "EXISTS (SELECT 1 FROM json_each(i.doc, '$.{}') AS part WHERE part.value = {} COLLATE NOCASE)",
                column.name,
                self.bind(text(wanted))
            ),
            (Test::Flag(wanted), _) => {
                format!("{compared} = {}", self.bind(Value::Integer(i64::from(*wanted))))
            }
            (Test::AtLeast(least), _) => {
                let least = least_value(column, least)?;
                format!("{compared} >= {}", self.bind(least))
            }
        })
    }
}

fn least_value(column: &Column, least: &str) -> Result<Value, Fault> {
    let wrong =
        |what: &str| Fault::Wrong(format!("`{}` is compared with {what}, not with `{least}`", column.name));
    match column.holds {
        ColumnType::Time => match Time::parse(least) {
            Ok(time) => Ok(Value::Text(time.to_string())),
            Err(_) => Err(wrong("a time")),
        },
        ColumnType::Integer | ColumnType::Boolean => match (least.parse(), least.parse()) {
            (Ok(whole), _) => Ok(Value::Integer(whole)),
            (_, Ok(number)) => Ok(Value::Real(number)),
            _ => Err(wrong("a number")),
        },
        ColumnType::Text | ColumnType::List | ColumnType::Json => Ok(Value::Text(least.to_owned())),
    }
}

fn column(view: &ViewSpec, name: &str) -> Result<&'static Column, Fault> {
    view.column(name).ok_or_else(|| Fault::Wrong(format!("`{}` has no column `{name}`", view.view)))
}

fn order(view: &ViewSpec, order: Option<Order>) -> Result<String, Fault> {
    Ok(match order {
        None | Some(Order::Rank) => "i.id".to_owned(),
        // Missing values are the smallest to SQLite, so that going down they come last by themselves.
        Some(Order::Descending(name)) => format!("{} DESC, i.id", compared(column(view, name)?, "i.")),
        Some(Order::Ascending(name)) => {
            let column = column(view, name)?;
            format!("{} ASC NULLS LAST, i.id", compared(column, "i."))
        }
    })
}

fn has_few_members(conn: &Connection, asked: &[i64]) -> rusqlite::Result<bool> {
    let mut count =
        conn.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM members WHERE entry = ?1 LIMIT ?2)")?;
    let mut members = 0;
    for entry in asked {
        members += count.query_row([*entry, FEW + 1], |row| row.get::<_, i64>(0))?;
        if members > FEW {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_few_matches(conn: &Connection, words: &str) -> rusqlite::Result<bool> {
    let matches: i64 = conn
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM items_fts WHERE items_fts MATCH ?1 LIMIT ?2)")?
        .query_row(rusqlite::params![words, FEW + 1], |row| row.get(0))?;
    Ok(matches <= FEW)
}

/// The words as an FTS5 expression: each quoted, so that whatever people type is a word, and a
/// prefix. `None` = there is no word in it, so nothing can be found by it.
fn match_expression(search: &str) -> Option<String> {
    let words: Vec<String> = search
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(WORDS_MAX)
        .map(|word| format!("\"{}\"*", word.replace('"', "\"\"")))
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_typed_is_words() {
        assert_eq!(match_expression("rust cli").as_deref(), Some("\"rust\"* \"cli\"*"));
        assert_eq!(match_expression("a\"b NEAR(x").as_deref(), Some("\"a\"\"b\"* \"NEAR(x\"*"));
        assert_eq!(match_expression(" - * \" "), None);
    }
}
