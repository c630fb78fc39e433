//! A SQL view and indexes for every [`ViewSpec`]: disposable, made anew where the specs change, so
//! that a new kind or column needs no migration and people find tables that read like their domain.
//!
//! In a view a Text is `text`, an Integer `bigint`, a Boolean `boolean`, a Time `timestamptz`, a List
//! `text[]` and a Json `jsonb`. What lists filter and sort by is another expression, that of the
//! indexes: it must take whatever a document holds without an error, and compare as every other store
//! does (text without regard to ASCII case, times as the text they are).

mod anew;

use larder_core::{Column, ColumnType, FOLDING, Fingerprint, StoreError, ViewSpec};

pub(crate) use anew::{behind, drop_all, note_words};

/// What there must be for a set of specs.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    fingerprint: Fingerprint,
    all: Vec<View>,
    indexes: Vec<Index>,
    /// What items are found by, kind by kind.
    words: Vec<String>,
}

#[derive(Debug, Clone)]
struct View {
    name: &'static str,
    columns: Vec<Shown>,
    from: String,
}

/// A column of a view.
#[derive(Debug, Clone)]
struct Shown {
    name: &'static str,
    /// Its type, as PostgreSQL calls it.
    holds: &'static str,
    sql: String,
}

#[derive(Debug, Clone)]
struct Index {
    name: String,
    sql: String,
}

impl Views {
    /// Checks the specs' names, which become part of SQL, and works out the statements.
    pub(crate) fn of(specs: &[ViewSpec], place: &str) -> Result<Views, StoreError> {
        let (mut all, mut indexes, mut statements) = (Vec::new(), Vec::new(), Vec::new());
        for spec in specs {
            check(spec).map_err(|cause| StoreError::Failed {
                place: place.to_owned(),
                attempted: "make the views",
                cause,
            })?;
            let view = view(spec);
            let of_spec = indexes_of(spec);
            statements.push(view.sql("CREATE VIEW", &[]));
            statements.extend(of_spec.iter().map(|index| index.sql.clone()));
            all.push(view);
            indexes.extend(of_spec);
        }
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        let fingerprint = Fingerprint::of(&statements);
        Ok(Views { fingerprint, all, indexes, words: specs.iter().map(found_by).collect() })
    }

    /// What `meta.views` says when they are all there.
    pub(crate) fn fingerprint(&self) -> &str {
        self.fingerprint.as_str()
    }
}

/// What items of a kind are found by: the kind, and of the rest so much that it can be told from another's.
pub(crate) fn found_by(spec: &ViewSpec) -> String {
    let folding = FOLDING.to_string();
    let fields: Vec<&str> = [&folding, spec.title].into_iter().chain(spec.words.iter().copied()).collect();
    format!("{} {}", spec.kind, Fingerprint::of(&fields).as_str())
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

/// The same from end to end, where that is more.
pub(crate) fn compared_whole(column: &Column, table: &str) -> Option<String> {
    let name = column.name;
    match column.holds {
        ColumnType::Text => Some(format!("lower(({table}doc ->> '{name}') COLLATE \"C\")")),
        ColumnType::List | ColumnType::Json => Some(format!("(({table}doc ->> '{name}') COLLATE \"C\")")),
        ColumnType::Integer | ColumnType::Boolean | ColumnType::Time => None,
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

/// As PostgreSQL calls what a view has in such a column.
fn type_of(column: &Column) -> &'static str {
    match column.holds {
        ColumnType::Text => "text",
        ColumnType::Integer => "bigint",
        ColumnType::Boolean => "boolean",
        ColumnType::Time => "timestamp with time zone",
        ColumnType::List => "text[]",
        ColumnType::Json => "jsonb",
    }
}

fn indexes_of(spec: &ViewSpec) -> Vec<Index> {
    let index = |column: &Column| {
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
        Index { name, sql }
    };
    spec.columns.iter().filter(|column| column.indexed).map(index).collect()
}

fn view(spec: &ViewSpec) -> View {
    let column = |column: &Column| Shown { name: column.name, holds: type_of(column), sql: shown(column) };
    let mut columns: Vec<Shown> = spec.columns.iter().map(column).collect();
    if spec.column("fetched_at").is_none() {
        columns.push(Shown {
            name: "fetched_at",
            holds: "timestamp with time zone",
            sql: "date_trunc('second', i.fetched_at)".to_owned(),
        });
    }
    let from = format!(
        "larder.items i JOIN larder.docs d ON d.nr = i.nr WHERE i.kind = '{}' AND EXISTS \
         (SELECT 1 FROM larder.members m WHERE m.item = i.nr AND m.state <> 'hidden')",
        spec.kind
    );
    View { name: spec.view, columns, from }
}

impl View {
    /// The statement that makes it, with the columns of those names before all others.
    fn sql(&self, make: &str, first: &[String]) -> String {
        let mut columns: Vec<&Shown> = self.columns.iter().collect();
        columns
            .sort_by_key(|column| first.iter().position(|name| name == column.name).unwrap_or(first.len()));
        let named = |column: &&Shown| format!("{} AS \"{}\"", column.sql, column.name);
        let columns: Vec<String> = columns.iter().map(named).collect();
        format!("{make} larder.\"{}\" AS SELECT {} FROM {}", self.name, columns.join(", "), self.from)
    }
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
