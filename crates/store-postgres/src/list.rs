//! Lists: one kind's items, filtered, searched and sorted, each with the entries that show it.
//!
//! Three ways lead to a list. A long one walks the index of its order and stops at the limit; a list
//! of few members (one cluster of ten thousand repositories) starts at those and sorts them, and so
//! does a search at what it finds. Which way is taken is said here and not left to statistics, which a
//! store that was just filled does not have yet.

use std::collections::HashMap;

use larder_core::{
    Column, ColumnType, Filter, Key, ListQuery, Listed, Order, Test, Time, ViewSpec, beginnings,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::entries::texts;
use crate::errors::Fault;
use crate::json::clean;
use crate::rows::{ITEM_COLUMNS, item, limit};
use crate::search::{CANDIDATES_MAX, Found, Looks, Rank};
use crate::transaction::Tx;
use crate::views::{SORTED_MAX, compared, compared_whole};
use crate::words;

/// Up to so many members it is cheaper to sort them than to walk an index past all others.
const FEW: i64 = 2_000;

/// Answers a list. `None` = more than that must be looked at.
pub(crate) async fn list(tx: &Tx, query: &ListQuery, looks: Looks) -> Result<Option<Vec<Listed>>, Fault> {
    let asked = Asked::of(tx, query).await?;
    if asked.numbers.is_empty() || query.limit == 0 {
        return Ok(Some(Vec::new()));
    }
    let Some(sql) = Sql::of(query, &asked, looks)? else { return Ok(Some(Vec::new())) };
    let params = sql.params();
    let rows = tx
        .conclude(async {
            let (by_index, told, rows) =
                together!(tx.by_index(), tell_way(tx, &sql), tx.query(&sql.text, &params));
            by_index?;
            told?;
            rows
        })
        .await?;
    let places = Places::of(query, &asked);
    if !sql.counts {
        return rows.iter().map(|row| listed(row, &places)).collect::<Result<_, _>>().map(Some);
    }
    // A row is there in any case, to tell of how many the page is.
    let is_item = |row: &&Row| row.try_get::<_, Option<i64>>(8).is_ok_and(|place| place.is_some());
    let page = rows.iter().filter(is_item).map(|row| listed(row, &places));
    let page = page.collect::<Result<Vec<_>, _>>()?;
    let seen: i64 = rows.first().map_or(Ok(0), |row| row.try_get(7))?;
    // Where there are more, the best may be among those: and one question has one order on all its pages.
    Ok((seen <= limit(CANDIDATES_MAX)).then_some(page))
}

/// The steps by which the database goes about it.
pub(crate) async fn plan(tx: &Tx, query: &ListQuery) -> Result<Vec<String>, Fault> {
    let asked = Asked::of(tx, query).await?;
    let Some(sql) = Sql::of(query, &asked, Looks::AtAll)? else { return Ok(Vec::new()) };
    tx.by_index().await?;
    tell_way(tx, &sql).await?;
    let rows = tx.query(&format!("EXPLAIN {}", sql.text), &sql.params()).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Of a list that nothing but its order narrows down, the index of that order is always the way; for
/// this one transaction the planner is told so.
async fn tell_way(tx: &Tx, sql: &Sql) -> Result<(), Fault> {
    if sql.walks {
        tx.execute("SET LOCAL enable_sort = off", &[]).await?;
    }
    Ok(())
}

/// The entries that were asked for and are there.
struct Asked {
    numbers: Vec<i64>,
    keys: HashMap<i64, String>,
    are_few: bool,
}

impl Asked {
    async fn of(tx: &Tx, query: &ListQuery) -> Result<Asked, Fault> {
        let rows = tx
            .query(
                "SELECT e.nr, e.key, \
                 (SELECT count(*) FROM (SELECT 1 FROM larder.members m WHERE m.entry = e.nr LIMIT $2) counted) \
                 FROM larder.entries e WHERE e.key = ANY($1)",
                &[(&texts(&query.entries), Type::TEXT_ARRAY), (&(FEW + 1), Type::INT8)],
            )
            .await?;
        let mut asked = Asked { numbers: Vec::new(), keys: HashMap::new(), are_few: true };
        let mut members = 0;
        for row in &rows {
            let nr: i64 = row.try_get(0)?;
            asked.numbers.push(nr);
            asked.keys.insert(nr, row.try_get(1)?);
            members += row.try_get::<_, i64>(2)?;
        }
        asked.are_few = members <= FEW;
        Ok(asked)
    }
}

/// Where each entry stands among the asked.
struct Places<'a> {
    keys: &'a [Key],
    by_number: HashMap<i64, usize>,
}

impl<'a> Places<'a> {
    fn of(query: &'a ListQuery, asked: &Asked) -> Places<'a> {
        let places: HashMap<&str, usize> =
            query.entries.iter().enumerate().rev().map(|(place, key)| (key.as_str(), place)).collect();
        let by_number =
            asked.keys.iter().filter_map(|(nr, key)| Some((*nr, *places.get(key.as_str())?))).collect();
        Places { keys: &query.entries, by_number }
    }
}

fn listed(row: &Row, places: &Places<'_>) -> Result<Listed, Fault> {
    let holders: Vec<i64> = row.try_get(6)?;
    let mut shown: Vec<usize> = holders.iter().filter_map(|nr| places.by_number.get(nr).copied()).collect();
    shown.sort_unstable();
    shown.dedup();
    let entries = shown.into_iter().map(|place| places.keys[place].clone()).collect();
    Ok(Listed { item: item(row, 0)?, entries })
}

struct Sql {
    text: String,
    walks: bool,
    /// Whether each row says how many were looked at, and one is there though there be none of the page.
    counts: bool,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Sql {
    /// `None` = nothing can match.
    fn of(query: &ListQuery, asked: &Asked, looks: Looks) -> Result<Option<Sql>, Fault> {
        let mut sql = Sql { text: String::new(), walks: false, counts: false, values: Vec::new() };
        let numbers = sql.bind(asked.numbers.clone(), Type::INT8_ARRAY);
        let held = format!("m.state <> 'hidden' AND m.entry = ANY({numbers})");
        // In brackets of its own it is looked at item by item, in the order that the index has.
        let by_item = format!("(SELECT true FROM larder.members m WHERE m.item = d.nr AND {held} LIMIT 1)");
        let mut conditions = vec![format!("d.kind = '{}'", query.view.kind)];
        for filter in &query.filters {
            let condition = sql.condition(query.view, filter)?;
            conditions.push(condition);
        }
        let (most, offset) = (limit(query.limit), limit(query.offset));
        let page = Page {
            limit: sql.bind(most, Type::INT8),
            offset: sql.bind(offset, Type::INT8),
            both: sql.bind(most.saturating_add(offset), Type::INT8),
        };
        let order = Ordered::of(query.view, query.order)?;
        let holders = format!("ARRAY(SELECT m.entry FROM larder.members m WHERE m.item = i.nr AND {held})");
        let inner = match query.search.as_deref().filter(|search| !search.trim().is_empty()) {
            Some(search) => {
                let Some(words) = words::query(search) else { return Ok(None) };
                let words = sql.bind(words, Type::TEXT);
                conditions.push(if asked.are_few {
                    format!("d.nr IN (SELECT m.item FROM larder.members m WHERE {held})")
                } else {
                    by_item
                });
                let found = Found { view: query.view, words: &words, conditions: &conditions, page: &page };
                match order {
                    Ordered::Rank => {
                        let (typed, bare) = beginnings(&search.to_ascii_lowercase());
                        let mut bind = |typed: &String| sql.bind(clean(typed).into_owned(), Type::TEXT);
                        let rank = Rank {
                            typed: bind(&typed),
                            bare: bare.as_ref().map(bind),
                            titles: sql.bind(words::query_of_titles(search).unwrap_or_default(), Type::TEXT),
                        };
                        if looks == Looks::AtAll && !asked.are_few {
                            sql.counts = true;
                            sql.text = found.best_down(&rank, &holders);
                            return Ok(Some(sql));
                        }
                        found.ranked(&rank)
                    }
                    other => found.sorted(&other.sorted()),
                }
            }
            None if asked.are_few => {
                conditions.push(format!("d.nr IN (SELECT m.item FROM larder.members m WHERE {held})"));
                plain(&conditions, &order.sorted(), &page)
            }
            None => {
                conditions.push(by_item);
                sql.walks = query.filters.is_empty();
                match order {
                    Ordered::Identity | Ordered::Rank if sql.walks => {
                        by_identity(query.view, &conditions, &page)
                    }
                    _ => walked(&conditions, &order, &page),
                }
            }
        };
        sql.text = format!(
            "SELECT {ITEM_COLUMNS}, {holders} \
             FROM (SELECT o.nr, row_number() OVER () AS place FROM ({inner}) o) l \
             JOIN larder.items i ON i.nr = l.nr JOIN larder.docs d ON d.nr = l.nr ORDER BY l.place"
        );
        Ok(Some(sql))
    }

    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static, holds: Type) -> String {
        self.values.push((Box::new(value), holds));
        format!("${}", self.values.len())
    }

    fn params(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.values.iter().map(|(value, holds)| (&**value as &(dyn ToSql + Sync), holds.clone())).collect()
    }

    fn condition(&mut self, view: &ViewSpec, filter: &Filter) -> Result<String, Fault> {
        let column = column(view, filter.column)?;
        let value = compared(column, "d.");
        let text = |text: &str| clean(text).into_owned();
        let whole = format!("lower((d.doc ->> '{}') COLLATE \"C\")", column.name);
        Ok(match (&filter.test, column.holds) {
            (Test::Is(wanted), ColumnType::Text) => {
                let wanted = self.bind(text(wanted), Type::TEXT);
                format!(
                    "({value} = lower(left({wanted}, {SORTED_MAX}) COLLATE \"C\") \
                     AND {whole} = lower({wanted} COLLATE \"C\"))"
                )
            }
            // As a number, as every store has it.
            (Test::Is(wanted), ColumnType::Boolean) => {
                format!("{value}::integer::text = {}", self.bind(text(wanted), Type::TEXT))
            }
            (Test::Is(wanted), _) => {
                format!("{whole} = lower({} COLLATE \"C\")", self.bind(text(wanted), Type::TEXT))
            }
            (Test::Has(wanted), _) => format!(
                "EXISTS (SELECT 1 FROM unnest(larder.texts(d.doc -> '{}')) AS part \
                 WHERE lower(part COLLATE \"C\") = lower({} COLLATE \"C\"))",
                column.name,
                self.bind(text(wanted), Type::TEXT)
            ),
            // What does not say is false.
            (Test::Flag(true), ColumnType::Boolean) => value,
            (Test::Flag(false), ColumnType::Boolean) => format!("{value} IS NOT TRUE"),
            (Test::Flag(wanted), ColumnType::Integer) => {
                format!("{value} = {}", self.bind(i64::from(*wanted), Type::INT8))
            }
            (Test::Flag(_), _) => "false".to_owned(),
            (Test::AtLeast(least), _) => self.at_least(column, &value, least)?,
        })
    }

    fn at_least(&mut self, column: &Column, value: &str, least: &str) -> Result<String, Fault> {
        let wrong = |what: &str| {
            Fault::Wrong(format!("`{}` is compared with {what}, not with `{least}`", column.name))
        };
        Ok(match column.holds {
            ColumnType::Time => {
                let time = Time::parse(least).map_err(|_| wrong("a time"))?;
                format!("{value} >= {}", self.bind(time.to_string(), Type::TEXT))
            }
            ColumnType::Integer | ColumnType::Boolean => {
                let value = if column.holds == ColumnType::Boolean {
                    format!("{value}::integer")
                } else {
                    value.to_owned()
                };
                match (least.parse::<i64>(), least.parse::<f64>()) {
                    (Ok(whole), _) => format!("{value} >= {}", self.bind(whole, Type::INT8)),
                    (_, Ok(number)) if number.is_finite() => {
                        format!("{value} >= {}::numeric", self.bind(number, Type::FLOAT8))
                    }
                    _ => return Err(wrong("a number")),
                }
            }
            ColumnType::Text => {
                let least = self.bind(clean(least).into_owned(), Type::TEXT);
                format!("{value} >= lower(left({least}, {SORTED_MAX}) COLLATE \"C\")")
            }
            ColumnType::List | ColumnType::Json => {
                format!("{value} >= {}", self.bind(clean(least).into_owned(), Type::TEXT))
            }
        })
    }
}

/// The part of a list that is answered, as the names of its values.
pub(crate) struct Page {
    pub(crate) limit: String,
    pub(crate) offset: String,
    both: String,
}

/// An order, as a store has it.
enum Ordered {
    Identity,
    Rank,
    /// The value as the index has it, and all of it where that is more; whether the greatest come first;
    /// and whether that is the way of its index.
    Column {
        value: String,
        whole: Option<String>,
        descending: bool,
        along: bool,
    },
}

impl Ordered {
    fn of(view: &ViewSpec, order: Option<Order>) -> Result<Ordered, Fault> {
        let (name, descending) = match order {
            None => return Ok(Ordered::Identity),
            Some(Order::Rank) => return Ok(Ordered::Rank),
            Some(Order::Descending(name)) => (name, true),
            Some(Order::Ascending(name)) => (name, false),
        };
        let column = column(view, name)?;
        let goes_down = matches!(column.holds, ColumnType::Integer | ColumnType::Time | ColumnType::Boolean);
        let along = !column.indexed || goes_down == descending;
        let (value, whole) = (compared(column, "d."), compared_whole(column, "d."));
        Ok(Ordered::Column { value, whole, descending, along })
    }

    fn sql(&self) -> String {
        match self {
            Ordered::Identity | Ordered::Rank => "d.id".to_owned(),
            Ordered::Column { value, descending: true, .. } => format!("{value} DESC NULLS LAST, d.id"),
            Ordered::Column { value, .. } => format!("{value} ASC NULLS LAST, d.id"),
        }
    }

    /// For what is sorted anyway: by all of a text, of which an index holds the beginning.
    fn sorted(&self) -> String {
        let Ordered::Column { whole: Some(whole), descending, .. } = self else { return self.sql() };
        let way = if *descending { "DESC" } else { "ASC" };
        format!("{whole} {way} NULLS LAST, d.id")
    }
}

fn column(view: &ViewSpec, name: &str) -> Result<&'static Column, Fault> {
    view.column(name).ok_or_else(|| Fault::Wrong(format!("`{}` has no column `{name}`", view.view)))
}

fn plain(conditions: &[String], order: &str, page: &Page) -> String {
    format!(
        "SELECT d.nr FROM larder.docs d WHERE {} ORDER BY {order} LIMIT {} OFFSET {}",
        conditions.join(" AND "),
        page.limit,
        page.offset
    )
}

/// Along the index of identities, which is that of `items`.
fn by_identity(view: &ViewSpec, conditions: &[String], page: &Page) -> String {
    format!(
        "SELECT i.nr FROM larder.items i WHERE i.kind = '{}' \
         AND (SELECT true FROM larder.docs d WHERE d.nr = i.nr AND {} LIMIT 1) \
         ORDER BY i.id LIMIT {} OFFSET {}",
        view.kind,
        conditions.join(" AND "),
        page.limit,
        page.offset
    )
}

/// Along the index of its order. Against its way, missing values would come first: those that have
/// one are walked backwards, and only where they are too few the others follow.
fn walked(conditions: &[String], order: &Ordered, page: &Page) -> String {
    let Ordered::Column { value, descending, along: false, .. } = order else {
        return plain(conditions, &order.sql(), page);
    };
    let conditions = conditions.join(" AND ");
    let way = if *descending { "DESC NULLS FIRST" } else { "ASC NULLS FIRST" };
    let Page { limit, offset, both } = page;
    format!(
        "WITH has AS MATERIALIZED ( \
           SELECT h.nr, row_number() OVER () AS place FROM (SELECT d.nr FROM larder.docs d \
             WHERE {conditions} AND {value} IS NOT NULL ORDER BY {value} {way}, d.id LIMIT {both}) h \
         ), lacks AS ( \
           SELECT l.nr, row_number() OVER () AS place FROM (SELECT d.nr FROM larder.docs d \
             WHERE {conditions} AND {value} IS NULL AND (SELECT count(*) FROM has) < {both} \
             ORDER BY d.id LIMIT {both}) l \
         ) SELECT nr FROM (SELECT 0 AS part, place, nr FROM has UNION ALL SELECT 1, place, nr FROM lacks) u \
         ORDER BY part, place LIMIT {limit} OFFSET {offset}"
    )
}
