//! A page of a search that is being filled, from the best match down: what is offered is looked at once, and taken
//! where an asked entry shows it and the filters let it through.

use std::collections::HashSet;

use larder_core::{Key, ListQuery, Listed};
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, params_from_iter};

use crate::errors::Fault;
use crate::flagged;
use crate::list::{Asked, HOLDERS, Sql};
use crate::rows::{ITEM_COLUMNS, ItemRow};

/// A page that is being filled, from the best match down.
pub(crate) struct Page<'c, 'q> {
    pub(crate) query: &'q ListQuery,
    pub(crate) asked: &'q Asked<'q>,
    holders: CachedStatement<'c>,
    item: CachedStatement<'c>,
    values: Vec<Value>,
    pub(crate) seen: HashSet<i64>,
    /// Those that have a flag which is asked for, if that is known.
    pub(crate) flagged: Option<HashSet<i64>>,
    /// Whether the filters let it through is asked before who shows it.
    is_filtered: bool,
    /// How many are still left out before the first.
    skip: usize,
    /// How many were offered that no asked entry shows.
    pub(crate) vain: usize,
    pub(crate) listed: Vec<Listed>,
}

impl<'c, 'q> Page<'c, 'q> {
    /// An empty one.
    pub(crate) fn of(
        conn: &'c Connection,
        query: &'q ListQuery,
        asked: &'q Asked<'q>,
    ) -> Result<Self, Fault> {
        let mut sql = Sql::default();
        let nr = sql.bind(Value::Null);
        let mut conditions = vec![format!("i.nr = {nr} AND i.kind = '{}'", query.view.kind)];
        for filter in &query.filters {
            conditions.push(sql.condition(query.view, filter)?);
        }
        let item = format!("SELECT {ITEM_COLUMNS} FROM items i WHERE {}", conditions.join(" AND "));
        Ok(Page {
            query,
            asked,
            holders: conn.prepare_cached(HOLDERS)?,
            item: conn.prepare_cached(&item)?,
            values: sql.values,
            seen: HashSet::new(),
            flagged: flagged::of(conn, query)?,
            is_filtered: !query.filters.is_empty(),
            skip: query.offset,
            vain: 0,
            listed: Vec::new(),
        })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.listed.len() >= self.query.limit
    }

    /// Whether it is not full, and not too many were offered in vain.
    pub(crate) fn wants_more(&self, vain: usize) -> bool {
        !self.is_full() && self.vain <= vain
    }

    /// Takes an item, if it was not offered before, an asked entry shows it, and the filters let it
    /// through.
    pub(crate) fn offer(&mut self, nr: i64) -> Result<(), Fault> {
        let has_flag = self.flagged.as_ref().is_none_or(|flagged| flagged.contains(&nr));
        if self.is_full() || !has_flag || !self.seen.insert(nr) {
            return Ok(());
        }
        self.values[0] = Value::Integer(nr);
        if self.is_filtered && !self.item.exists(params_from_iter(&self.values))? {
            return Ok(());
        }
        let entries = self.shown_by(nr)?;
        if entries.is_empty() {
            self.vain += 1;
            return Ok(());
        }
        let mut rows = self.item.query(params_from_iter(&self.values))?;
        let Some(row) = rows.next()? else { return Ok(()) };
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        self.listed.push(Listed { item: ItemRow::read(row, 0)?.model()?, entries });
        Ok(())
    }

    fn shown_by(&mut self, nr: i64) -> Result<Vec<Key>, Fault> {
        let holders = self.holders.query_map([nr], |row| row.get::<_, i64>(0))?;
        let mut places = Vec::new();
        for holder in holders {
            places.extend(self.asked.place(holder?));
        }
        Ok(self.asked.keys(places))
    }
}
