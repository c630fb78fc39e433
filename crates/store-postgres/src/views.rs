//! A SQL view and indexes for every [`ViewSpec`]: disposable, made anew when the specs change, so
//! that a new kind or column needs no migration and people find tables that read like their domain.
//!
//! In a view a Text is `text`, an Integer `bigint`, a Boolean `boolean`, a Time `timestamptz`, a List
//! `text[]` and a Json `jsonb`. What lists filter and sort by is another expression, that of the
//! indexes: it must take whatever a document holds without an error, and compare as every other store
//! does (text without regard to ASCII case, times as the text they are).

use larder_core::{Column, ColumnType, Fingerprint, StoreError, ViewSpec};
use tokio_postgres::types::Type;

use crate::errors::Fault;
use crate::json::JsonText;
use crate::transaction::Tx;

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

    /// Drops what was made for other specs and makes these.
    pub(crate) async fn rebuild(&self, tx: &Tx) -> Result<(), Fault> {
        drop_all(tx).await?;
        for made in &self.made {
            tx.batch(&made.sql).await?;
        }
        let names: Vec<(&str, &str)> = self.made.iter().map(|made| (made.what, made.name.as_str())).collect();
        let names = JsonText::encode(&names)?;
        tx.execute(
            "UPDATE larder.meta SET views = $1, view_names = $2",
            &[(&self.fingerprint(), Type::TEXT), (&names, Type::JSONB)],
        )
        .await?;
        Ok(())
    }
}

/// Drops what [`Views::rebuild`] made, and nothing that people made beside it.
pub(crate) async fn drop_all(tx: &Tx) -> Result<(), Fault> {
    let row = tx.query_one("SELECT view_names FROM larder.meta", &[]).await?;
    let JsonText(names) = row.try_get(0)?;
    let names: Vec<(String, String)> = serde_json::from_str(&names).unwrap_or_default();
    for (what, name) in names {
        if matches!(what.as_str(), "view" | "index") && is_word(&name) {
            tx.batch(&format!("DROP {what} IF EXISTS larder.\"{name}\"")).await?;
        }
    }
    Ok(())
}

/// How many characters of a text are sorted by: an entry of an index must stay below 2,704 bytes.
pub(crate) const SORTED_MAX: usize = 300;

/// The value as it is compared, of a table's `doc` (`table` ends in a point or is empty).
pub(crate) fn compared(column: &Column, table: &str) -> String {
    let name = column.name;
    match column.holds {
        // In collation "C" only ASCII letters have a lower case.
        ColumnType::Text => format!("lower(left({table}doc ->> '{name}', {SORTED_MAX}) COLLATE \"C\")"),
        // By a path and a text: a value that is taken out as `jsonb` costs three times as much.
        ColumnType::Integer => format!(
            "(CASE WHEN {table}doc @@ '$.\"{name}\".type() == \"number\"' \
             THEN ({table}doc ->> '{name}')::numeric END)"
        ),
        ColumnType::Boolean => format!(
            "(CASE WHEN {table}doc @@ '$.\"{name}\".type() == \"boolean\"' \
             THEN ({table}doc ->> '{name}')::boolean END)"
        ),
        ColumnType::Time | ColumnType::List | ColumnType::Json => {
            format!("(left({table}doc ->> '{name}', {SORTED_MAX}) COLLATE \"C\")")
        }
    }
}

/// The value as people read it.
fn shown(column: &Column) -> String {
    let name = column.name;
    match column.holds {
        ColumnType::Text => format!("d.doc ->> '{name}'"),
        ColumnType::Integer => format!("larder.whole(d.doc -> '{name}')"),
        ColumnType::Boolean => format!("coalesce({}, false)", compared(column, "d.")),
        ColumnType::Time => format!("larder.instant(d.doc ->> '{name}')"),
        ColumnType::List => format!("larder.texts(d.doc -> '{name}')"),
        ColumnType::Json => format!("nullif(d.doc -> '{name}', 'null'::jsonb)"),
    }
}

fn made_for(spec: &ViewSpec) -> Vec<Made> {
    let mut made = vec![Made { what: "view", name: spec.view.to_owned(), sql: view_sql(spec) }];
    for column in spec.columns.iter().filter(|column| column.indexed) {
        let name = format!("{}_by_{}", spec.view, column.name);
        // Lists mostly go this way. The other way, and where values are missing, see list.rs.
        let direction = match column.holds {
            ColumnType::Integer | ColumnType::Time | ColumnType::Boolean => "DESC NULLS LAST",
            ColumnType::Text | ColumnType::List | ColumnType::Json => "ASC NULLS LAST",
        };
        // No two entries are alike, which PostgreSQL would look for all the same.
        let sql = format!(
            "CREATE INDEX \"{name}\" ON larder.docs ({} {direction}, id) \
             WITH (deduplicate_items = off) WHERE kind = '{}'",
            compared(column, ""),
            spec.kind
        );
        made.push(Made { what: "index", name, sql });
    }
    made
}

fn view_sql(spec: &ViewSpec) -> String {
    let mut columns: Vec<String> =
        spec.columns.iter().map(|column| format!("{} AS \"{}\"", shown(column), column.name)).collect();
    if spec.column("fetched_at").is_none() {
        columns.push("date_trunc('second', i.fetched_at) AS fetched_at".to_owned());
    }
    format!(
        "CREATE VIEW larder.\"{}\" AS SELECT {} FROM larder.items i \
         JOIN larder.docs d ON d.nr = i.nr WHERE i.kind = '{}' AND EXISTS \
         (SELECT 1 FROM larder.members m WHERE m.item = i.nr AND m.state <> 'hidden')",
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
