//! A SQL view and indexes for every [`ViewSpec`]: disposable, made anew when the specs change, so
//! that a new kind or column needs no migration and people find tables that read like their domain.

use larder_core::{Column, ColumnType, Fingerprint, StoreError, ViewSpec};
use rusqlite::Connection;

use crate::errors::Fault;

/// What there must be for a set of specs.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    fingerprint: Fingerprint,
    made: Vec<Made>,
}

#[derive(Debug, Clone)]
struct Made {
    what: &'static str,
    name: String,
    sql: String,
}

impl Views {
    /// Checks the specs' names, which become part of SQL, and works out the statements.
    pub(crate) fn of(specs: &[ViewSpec], place: &str) -> Result<Views, StoreError> {
        for spec in specs {
            check(spec).map_err(|cause| StoreError::Failed {
                place: place.to_owned(),
                attempted: "make the views",
                cause,
            })?;
        }
        let made: Vec<Made> = specs.iter().flat_map(made_for).collect();
        let statements: Vec<&str> = made.iter().map(|made| made.sql.as_str()).collect();
        Ok(Views { fingerprint: Fingerprint::of(&statements), made })
    }

    /// What `meta.views` says when they are all there.
    pub(crate) fn fingerprint(&self) -> &str {
        self.fingerprint.as_str()
    }

    /// Drops what was made for other specs and makes these, within a transaction.
    pub(crate) fn rebuild(&self, conn: &Connection) -> Result<(), Fault> {
        let held: String = conn.query_row("SELECT views FROM meta", [], |row| row.get(0))?;
        if held == self.fingerprint() {
            return Ok(());
        }
        drop_all(conn)?;
        for made in &self.made {
            conn.execute_batch(&made.sql)?;
        }
        let names: Vec<(&str, &str)> = self.made.iter().map(|made| (made.what, made.name.as_str())).collect();
        let names = serde_json::to_string(&names).map_err(|error| Fault::Wrong(error.to_string()))?;
        conn.execute("UPDATE meta SET views = ?1, view_names = ?2", [self.fingerprint(), &names])?;
        Ok(())
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
    Ok(())
}

/// The SQL of a column, of items called `i` or of the table itself.
pub(crate) fn value(column: &Column, table: &str) -> String {
    format!("json_extract({table}doc, '$.{}')", column.name)
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
    // A search begins with the titles that begin with it.
    let name = format!("{}_titled", spec.view);
    let sql =
        format!("CREATE INDEX \"{name}\" ON items (title COLLATE NOCASE, id) WHERE kind = '{}'", spec.kind);
    made.push(Made { what: "index", name, sql });
    for column in spec.columns.iter().filter(|column| column.indexed) {
        let name = format!("{}_by_{}", spec.view, column.name);
        if column.holds == ColumnType::Boolean {
            // Who asks for a flag asks for the few that have it; all others would but fill the index.
            let is_set = is_set(column, "");
            let sql =
                format!("CREATE INDEX \"{name}\" ON items (id) WHERE kind = '{}' AND {is_set}", spec.kind);
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

fn view_sql(spec: &ViewSpec) -> String {
    let mut columns: Vec<String> = spec
        .columns
        .iter()
        .map(|column| format!("{} AS \"{}\"", value(column, "items."), column.name))
        .collect();
    if spec.column("fetched_at").is_none() {
        columns.push(
            "strftime('%Y-%m-%dT%H:%M:%SZ', items.fetched_at / 1000, 'unixepoch') AS fetched_at".to_owned(),
        );
    }
    format!(
        "CREATE VIEW \"{}\" AS SELECT {} FROM items WHERE items.kind = '{}' AND EXISTS \
         (SELECT 1 FROM members WHERE members.item = items.nr AND members.state <> 'hidden')",
        spec.view,
        columns.join(", "),
        spec.kind
    )
}

fn check(spec: &ViewSpec) -> Result<(), String> {
    let words = [spec.kind, spec.view];
    let columns = spec.columns.iter().map(|column| column.name);
    match words.into_iter().chain(columns).find(|word| !is_word(word)) {
        Some(word) => Err(format!("`{word}` cannot name a view or a column: a-z, 0-9 and `_` alone")),
        None => Ok(()),
    }
}

fn is_word(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    starts_well && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
