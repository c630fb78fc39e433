//! Lists: one kind's items, filtered, searched and sorted, each with the entries that show it.
//!
//! Two ways lead to a list. A long one walks the index of its order and stops at the limit; a list
//! of few members (one cluster of ten thousand repositories) or few matches of a search starts at
//! those and sorts them. A search by rank has a way of its own (`search.rs`).

use std::collections::{HashMap, HashSet};

use larder_core::{Column, ColumnType, Filter, Key, ListQuery, Listed, Met, Order, Test, Time, ViewSpec};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::entries::json;
use crate::errors::Fault;
use crate::rows::{ITEM_COLUMNS, ItemRow, int, limit};
use crate::search::{self, Words};
use crate::views::{compared, is_set};

/// Up to so many members or matches it is cheaper to sort them than to walk an index past all others.
const FEW: i64 = 500;

/// Answers a list.
pub(crate) fn list(conn: &Connection, query: &ListQuery) -> Result<Vec<Listed>, Fault> {
    let asked = Asked::of(conn, query)?;
    if asked.places.is_empty() || query.limit == 0 {
        return Ok(Vec::new());
    }
    if let (Some(search), Some(Order::Rank)) = (searched(query), query.order) {
        let Some(words) = Words::of(conn, search)? else { return Ok(Vec::new()) };
        return search::ranked(conn, query, &words, &asked);
    }
    let Some(sql) = Sql::of_list(conn, query, &asked)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(&sql.text)?;
    let mut holders = conn.prepare_cached(HOLDERS)?;
    let mut rows = statement.query(params_from_iter(&sql.values))?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        let row = ItemRow::read(row, 0)?;
        let mut places = Vec::new();
        for holder in holders.query_map([row.nr], |row| row.get(0))? {
            places.extend(asked.place(holder?));
        }
        listed.push(Listed { item: row.model()?, entries: asked.keys(places) });
    }
    Ok(listed)
}

/// How many items a list has, whatever its offset and limit.
pub(crate) fn count(conn: &Connection, query: &ListQuery) -> Result<Met, Fault> {
    let asked = Asked::of(conn, query)?;
    let Some(mut sql) = Sql::matching(conn, query, &asked, From::Matches)? else { return Ok(Met::default()) };
    let most = sql.bind(Value::Integer(int(Met::COUNTED_MAX + 1)));
    let text = format!("SELECT count(*) FROM (SELECT 1 FROM items i WHERE {} LIMIT {most})", sql.text);
    let mut statement = conn.prepare_cached(&text)?;
    let count: i64 = statement.query_row(params_from_iter(&sql.values), |row| row.get(0))?;
    Ok(Met::counted(count as u64))
}

/// The statement that a query becomes, for its plan to be looked at.
pub(crate) fn plan(conn: &Connection, query: &ListQuery) -> Result<Vec<String>, Fault> {
    let Some(sql) = Sql::of_list(conn, query, &Asked::of(conn, query)?)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text))?;
    let steps = statement.query_map(params_from_iter(&sql.values), |row| row.get(3))?;
    Ok(steps.collect::<rusqlite::Result<_>>()?)
}

fn searched(query: &ListQuery) -> Option<&str> {
    query.search.as_deref().filter(|search| !search.trim().is_empty())
}

/// The entries that show an item, by their numbers.
pub(crate) const HOLDERS: &str = "SELECT entry FROM members WHERE item = ?1 AND state IS NOT 'hidden'";

/// The entries that a list asks for, as far as there are such.
pub(crate) struct Asked<'q> {
    keys: &'q [Key],
    /// Where each stands among the asked, by its number.
    places: HashMap<i64, usize>,
}

impl<'q> Asked<'q> {
    fn of(conn: &Connection, query: &'q ListQuery) -> Result<Self, Fault> {
        let mut number = conn.prepare_cached("SELECT nr FROM entries WHERE key = ?1")?;
        let mut places = HashMap::with_capacity(query.entries.len());
        for (place, key) in query.entries.iter().enumerate() {
            let found = number.query_row([key.as_str()], |row| row.get::<_, i64>(0)).optional()?;
            if let Some(nr) = found {
                // Of an entry that is asked for twice, the first place counts.
                places.entry(nr).or_insert(place);
            }
        }
        Ok(Asked { keys: &query.entries, places })
    }

    /// Where an entry stands among the asked.
    pub(crate) fn place(&self, nr: i64) -> Option<usize> {
        self.places.get(&nr).copied()
    }

    /// The keys at these places, in the order asked, each once.
    pub(crate) fn keys(&self, mut places: Vec<usize>) -> Vec<Key> {
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| self.keys[place].clone()).collect()
    }

    /// The items that they show, by their numbers.
    pub(crate) fn shown(&self, conn: &Connection) -> rusqlite::Result<HashSet<i64>> {
        let mut members =
            conn.prepare_cached("SELECT item FROM members WHERE entry = ?1 AND state IS NOT 'hidden'")?;
        let mut shown = HashSet::new();
        for entry in self.numbers() {
            for item in members.query_map([entry], |row| row.get(0))? {
                shown.insert(item?);
            }
        }
        Ok(shown)
    }

    fn numbers(&self) -> Vec<i64> {
        let mut numbers: Vec<i64> = self.places.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Where a statement starts that may find many matches of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// At the matches: it does not matter which come first.
    Matches,
    /// At the index of the order, in which the first that match end it.
    Order,
}

impl From {
    /// What keeps SQLite from starting at the matches, before the column's name.
    fn but_for_many(self) -> &'static str {
        match self {
            From::Matches => "",
            From::Order => "+",
        }
    }
}

/// A statement, or a part of one, and the values that it names.
#[derive(Default)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Sql {
    /// The statement of a list; `None` = nothing can match.
    fn of_list(conn: &Connection, query: &ListQuery, asked: &Asked<'_>) -> Result<Option<Sql>, Fault> {
        let Some(mut sql) = Sql::matching(conn, query, asked, From::Order)? else { return Ok(None) };
        let most = sql.bind(Value::Integer(limit(query.limit)));
        let offset = sql.bind(Value::Integer(limit(query.offset)));
        sql.text = format!(
            "SELECT {ITEM_COLUMNS} FROM items i WHERE {} ORDER BY {} LIMIT {most} OFFSET {offset}",
            sql.text,
            order(query.view, query.order)?
        );
        Ok(Some(sql))
    }

    /// What must hold of an item called `i` to be in a list; `None` = nothing can match.
    fn matching(
        conn: &Connection,
        query: &ListQuery,
        asked: &Asked<'_>,
        from: From,
    ) -> Result<Option<Sql>, Fault> {
        let view = query.view;
        let numbers = asked.numbers();
        let mut sql = Sql::default();
        let among = sql.bind(Value::Text(json(&numbers)?));
        // `+` keeps an index from being searched by that column: an item has few holders, and the
        // asked entries may be hundreds.
        let held = format!("m.state IS NOT 'hidden' AND +m.entry IN (SELECT value FROM json_each({among}))");
        let by_item =
            |item: &str| format!("EXISTS (SELECT 1 FROM members m WHERE m.item = {item} AND {held})");
        let mut conditions = vec![format!("i.kind = '{}'", view.kind)];
        match searched(query) {
            Some(search) => {
                let Some(words) = Words::of(conn, search)? else { return Ok(None) };
                let expression = words.anywhere();
                let (start, expression) = if search::has_at_most(conn, &expression, FEW)? {
                    ("", expression)
                } else {
                    (from.but_for_many(), search::of_kind(&expression, view.kind))
                };
                let expression = sql.bind(Value::Text(expression));
                conditions.push(format!(
                    "{start}i.nr IN (SELECT rowid FROM items_fts WHERE items_fts MATCH {expression})"
                ));
                conditions.push(by_item("+i.nr"));
            }
            None if has_few_members(conn, &numbers)? => conditions.push(format!(
                "i.nr IN (SELECT m.item FROM members m WHERE m.state IS NOT 'hidden' \
                 AND m.entry IN (SELECT value FROM json_each({among})))"
            )),
            None => conditions.push(by_item("+i.nr")),
        }
        for filter in &query.filters {
            let condition = sql.condition(view, filter)?;
            conditions.push(condition);
        }
        sql.text = conditions.join(" AND ");
        Ok(Some(sql))
    }

    /// Takes a value; answers its name in the statement.
    pub(crate) fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    /// What a filter asks of an item called `i`.
    pub(crate) fn condition(&mut self, view: &ViewSpec, filter: &Filter) -> Result<String, Fault> {
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
            (Test::Flag(true), ColumnType::Boolean) => is_set(column, "i."),
            // What does not say is false.
            (Test::Flag(wanted), _) => {
                format!("coalesce({compared}, 0) = {}", self.bind(Value::Integer(i64::from(*wanted))))
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

pub(crate) fn column(view: &ViewSpec, name: &str) -> Result<&'static Column, Fault> {
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
