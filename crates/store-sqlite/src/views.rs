//! A SQL view and indexes for every [`ViewSpec`]: disposable, made anew when the specs change, so
//! that a new kind or column needs no migration and people find tables that read like their domain.

use std::collections::HashMap;

use larder_core::{Column, ColumnType, Fingerprint, StoreError, ViewSpec};
use rusqlite::Connection;

use crate::errors::Fault;
use crate::words::{self, sign};

/// Another one makes every store's views anew: raised with any change of what is made for a spec, to
/// which a test holds it.
const EDITION: &str = "5";

/// What there must be for a set of specs. Its SQL is worked out where it is missing: nearly every opening
/// finds it there.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    fingerprint: Fingerprint,
    specs: Vec<ViewSpec>,
}

#[derive(Debug, Clone)]
struct Made {
    what: &'static str,
    name: String,
    sql: String,
}

impl Views {
    /// What a set of specs wants.
    pub(crate) fn of(specs: &[ViewSpec]) -> Views {
        let mut parts = vec![EDITION];
        for spec in specs {
            parts.extend([spec.kind, spec.view, spec.title]);
            parts.extend(spec.words);
            // No word and no kind is empty: so it is told where words end, and columns.
            parts.push("");
            for column in spec.columns {
                let index = if column.indexed { "indexed" } else { "" };
                parts.extend([column.name, holds(column.holds), index]);
            }
            parts.push("");
        }
        Views { fingerprint: Fingerprint::of(&parts), specs: specs.to_vec() }
    }

    /// What `meta.views` says when they are all there.
    pub(crate) fn fingerprint(&self) -> &str {
        self.fingerprint.as_str()
    }

    /// Checks the specs' names, which become part of SQL: before anything is made for them.
    pub(crate) fn check(&self, place: &str) -> Result<(), StoreError> {
        let refused =
            |cause| StoreError::Failed { place: place.to_owned(), attempted: "make the views", cause };
        self.specs.iter().try_for_each(check).and_then(|()| check_signs(&self.specs)).map_err(refused)
    }

    /// Drops what was made for other specs and makes these, within a transaction.
    pub(crate) fn rebuild(&self, conn: &Connection) -> Result<(), Fault> {
        let held: String = conn.query_row("SELECT views FROM meta", [], |row| row.get(0))?;
        if held == self.fingerprint() {
            return Ok(());
        }
        drop_all(conn)?;
        words::find_by(conn, &self.specs)?;
        let made: Vec<Made> = self.specs.iter().flat_map(made_for).collect();
        for made in &made {
            conn.execute_batch(&made.sql)?;
        }
        let names: Vec<(&str, &str)> = made.iter().map(|made| (made.what, made.name.as_str())).collect();
        let names = serde_json::to_string(&names).map_err(|error| Fault::Wrong(error.to_string()))?;
        conn.execute("UPDATE meta SET views = ?1, view_names = ?2", [self.fingerprint(), &names])?;
        Ok(())
    }
}

fn holds(holds: ColumnType) -> &'static str {
    match holds {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::Boolean => "boolean",
        ColumnType::Time => "time",
        ColumnType::List => "list",
        ColumnType::Json => "json",
    }
}

/// Drops what [`Views::rebuild`] made, and nothing that people made beside it.
pub(crate) fn drop_all(conn: &Connection) -> Result<(), Fault> {
    let names: String = conn.query_row("SELECT view_names FROM meta", [], |row| row.get(0))?;
    let names: Vec<(String, String)> = serde_json::from_str(&names).unwrap_or_default();
    for (what, name) in names {
        if matches!(what.as_str(), "view" | "index") && is_word(&name) {
            conn.execute_batch(&format!("DROP {what} IF EXISTS \"{name}\""))?;
        }
    }
    conn.execute("UPDATE meta SET views = '', view_names = '[]'", [])?;
    Ok(())
}

/// The SQL of a column, of items called `i` or of the table itself. An operator, which every connection
/// reads faster than a function's call, of which the views would have a hundred.
pub(crate) fn value(column: &Column, table: &str) -> String {
    format!("({table}doc ->> '$.{}')", column.name)
}

/// The value as people see it.
fn shown(column: &Column) -> String {
    let name = column.name;
    match column.holds {
        ColumnType::Boolean => format!("coalesce(doc ->> '$.{name}', 0)"),
        ColumnType::Text | ColumnType::Integer | ColumnType::Time | ColumnType::List | ColumnType::Json => {
            format!("doc ->> '$.{name}'")
        }
    }
}

/// What is so for the items whose flag is set. The number is spelt out, since that is how the planner knows
/// the index of a flag, which holds those items alone.
pub(crate) fn is_set(column: &Column, table: &str) -> String {
    format!("{} = 1", value(column, table))
}

/// The value as it is compared: text without regard to case.
pub(crate) fn compared(column: &Column, table: &str) -> String {
    let value = value(column, table);
    match column.holds {
        ColumnType::Text => format!("{value} COLLATE NOCASE"),
        ColumnType::Integer
        | ColumnType::Boolean
        | ColumnType::Time
        | ColumnType::List
        | ColumnType::Json => value,
    }
}

fn made_for(spec: &ViewSpec) -> Vec<Made> {
    let mut made = vec![Made { what: "view", name: spec.view.to_owned(), sql: view_sql(spec) }];
    // A search begins with the titles that begin with it. Few have one title, so that their identities
    // need not be in order.
    if let Some(title) = spec.column(spec.title) {
        let name = format!("{}_titled", spec.view);
        let sql = format!(
            "CREATE INDEX \"{name}\" ON items ({}) WHERE kind = '{}'",
            compared(title, ""),
            spec.kind
        );
        made.push(Made { what: "index", name, sql });
    }
    for column in spec.columns.iter().filter(|column| column.indexed && column.name != spec.title) {
        let name = format!("{}_by_{}", spec.view, column.name);
        if column.holds == ColumnType::Boolean {
            // Who asks for a flag asks for the few that have it, in whatever order; all others would but
            // fill the index.
            let is_set = is_set(column, "");
            let sql =
                format!("CREATE INDEX \"{name}\" ON items (nr) WHERE kind = '{}' AND {is_set}", spec.kind);
            made.push(Made { what: "index", name, sql });
            continue;
        }
        // Lists mostly go this way; the other way a tie costs a small sort.
        let direction = match column.holds {
            ColumnType::Integer | ColumnType::Time => "DESC",
            ColumnType::Text | ColumnType::Boolean | ColumnType::List | ColumnType::Json => "ASC",
        };
        let sql = format!(
            "CREATE INDEX \"{name}\" ON items ({} {direction}, id) WHERE kind = '{}'",
            compared(column, ""),
            spec.kind
        );
        made.push(Made { what: "index", name, sql });
    }
    made
}

/// Every connection reads the text of all views before anything else, so it says no more than it must.
fn view_sql(spec: &ViewSpec) -> String {
    let mut columns: Vec<String> =
        spec.columns.iter().map(|column| format!("{} AS \"{}\"", shown(column), column.name)).collect();
    if spec.column("fetched_at").is_none() {
        columns.push("fetched_at".to_owned());
    }
    format!(
        "CREATE VIEW \"{}\" AS SELECT {} FROM shown_items WHERE kind = '{}'",
        spec.view,
        columns.join(", "),
        spec.kind
    )
}

fn check(spec: &ViewSpec) -> Result<(), String> {
    let words = [spec.kind, spec.view].into_iter().chain(spec.words.iter().copied());
    let columns = spec.columns.iter().map(|column| column.name);
    if !spec.column(spec.title).is_some_and(|title| title.holds == ColumnType::Text) {
        return Err(format!("`{}`, the title of `{}`, is no column of text", spec.title, spec.view));
    }
    match words.chain(columns).find(|word| !is_word(word)) {
        Some(word) => Err(format!("`{word}` cannot name a view or a column: a-z, 0-9 and `_` alone")),
        None => Ok(()),
    }
}

/// Two kinds of one sign would fill each other's searches.
fn check_signs(specs: &[ViewSpec]) -> Result<(), String> {
    let mut signs: HashMap<char, &str> = HashMap::new();
    for spec in specs {
        if let Some(other) = signs.insert(sign(spec.kind), spec.kind).filter(|other| *other != spec.kind) {
            return Err(format!(
                "`{}` and `{other}` cannot be told apart in the index: rename one",
                spec.kind
            ));
        }
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    starts_well && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 6] = [
        Column { name: "name", holds: ColumnType::Text, indexed: true },
        Column { name: "stars", holds: ColumnType::Integer, indexed: true },
        Column { name: "is_old", holds: ColumnType::Boolean, indexed: true },
        Column { name: "seen_at", holds: ColumnType::Time, indexed: false },
        Column { name: "tags", holds: ColumnType::List, indexed: false },
        Column { name: "more", holds: ColumnType::Json, indexed: false },
    ];
    const SPEC: ViewSpec =
        ViewSpec { kind: "book", view: "books", columns: &COLUMNS, title: "name", words: &["tags", "more"] };

    #[test]
    fn other_sql_is_another_edition() {
        let made = made_for(&SPEC);
        let sql: Vec<&str> = made.iter().map(|made| made.sql.as_str()).collect();
        let made = Fingerprint::of(&sql);
        assert_eq!(
            (EDITION, made.as_str()),
            ("5", "f8429c359620c504530e1fa392391bb8"),
            "raise EDITION with what is made"
        );
    }

    #[test]
    fn other_specs_are_other_views() {
        let one = Views::of(&[SPEC]);
        let columns: &'static [Column] = &COLUMNS[..5];
        for other in [
            ViewSpec { kind: "tome", ..SPEC },
            ViewSpec { view: "tomes", ..SPEC },
            ViewSpec { title: "tags", ..SPEC },
            ViewSpec { words: &["tags"], ..SPEC },
            ViewSpec { columns, ..SPEC },
        ] {
            assert_ne!(Views::of(&[other]).fingerprint(), one.fingerprint());
        }
        // What a column says, said as words.
        let words: &'static [&'static str] = &["tags", "more", "name", "text", "indexed"];
        let columns: &'static [Column] = &COLUMNS[1..];
        assert_ne!(Views::of(&[ViewSpec { words, columns, ..SPEC }]).fingerprint(), one.fingerprint());
    }
}
