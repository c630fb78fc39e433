//! The tables and views as other programs read them: the same views with the same columns in either database, in
//! those of local projects the rows that the command line lists, and in PostgreSQL every document and every time
//! as what it is.

use std::collections::{BTreeMap, BTreeSet};

use larder_core::{ColumnType, Time, ViewSpec};
use larder_domain::{ARTIFACTS, PROJECTS, REPOSITORIES, TRACKERS};
use larder_testkit::{Grown, Lot, Tree};
use rusqlite::types::Value as Cell;
use serde_json::{Map, Value};

use crate::postgres::Database;
use crate::world::User;

const VIEWS: [(&ViewSpec, &str); 2] = [(&PROJECTS, "projects"), (&ARTIFACTS, "artifacts")];

/// A user whose projects were looked at, and are kept in that store.
fn scanned(store: &str) -> (User, Grown) {
    let user = User::new().var("LARDER_STORE__URL", store);
    let grown = Tree { projects: 6, artifacts: 120, seed: 7 }.grow(&user.home()).unwrap();
    let (roots, collections) = (grown.root.display(), grown.collections.display());
    user.write(
        "larder.toml",
        &format!("[projects]\nroots = [\"{roots}\"]\ncollections = [\"{collections}\"]\n"),
    );
    user.ok(&["config", "trust"]);
    user.ok(&["artifacts"]);
    (user, grown)
}

type Row = BTreeMap<String, Value>;

/// A value as every store has it: an instant to the millisecond, a list as one.
fn plain(spec: &ViewSpec, column: &str, value: Value) -> Value {
    let holds = spec.columns.iter().find(|known| known.name == column).map(|known| known.holds);
    match (holds, value) {
        (Some(ColumnType::Time), Value::String(text)) => Time::parse(&text).unwrap().ms().into(),
        (Some(ColumnType::List), Value::String(text)) => serde_json::from_str(&text).unwrap(),
        (Some(ColumnType::List), Value::Array(empty)) if empty.is_empty() => Value::Null,
        (Some(ColumnType::Boolean), Value::Number(flag)) => (flag.as_i64() == Some(1)).into(),
        (_, value) => value,
    }
}

fn in_sqlite(file: &std::path::Path, spec: &ViewSpec) -> (Vec<String>, Vec<Row>) {
    let file = rusqlite::Connection::open(file).unwrap();
    let mut all = file.prepare(&format!("SELECT * FROM {}", spec.view)).unwrap();
    let names: Vec<String> = all.column_names().map(str::to_owned).collect();
    let mut rows = all.query([]).unwrap();
    let mut read = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cell = |place: usize| match row.get(place).unwrap() {
            Cell::Null => Value::Null,
            Cell::Integer(number) => number.into(),
            Cell::Real(number) => number.into(),
            Cell::Text(text) => text.into(),
            Cell::Blob(_) => panic!("no column holds bytes"),
        };
        let cells = names.iter().enumerate();
        read.push(cells.map(|(place, name)| (name.clone(), plain(spec, name, cell(place)))).collect());
    }
    (names, read)
}

fn in_postgres(database: &Database, spec: &ViewSpec) -> (Vec<String>, Vec<Row>) {
    let view = spec.view;
    let names = database.ask(&format!(
        "SELECT column_name FROM information_schema.columns \
         WHERE table_schema = 'larder' AND table_name = '{view}' ORDER BY ordinal_position"
    ));
    let rows = database.ask(&format!("SELECT json_agg(to_jsonb(one)) FROM larder.{view} one"));
    let rows: Vec<Map<String, Value>> = serde_json::from_str(&rows).unwrap();
    let plain = |(name, value): (String, Value)| (name.clone(), plain(spec, &name, value));
    let rows = rows.into_iter().map(|row| row.into_iter().map(plain).collect()).collect();
    (names.lines().map(str::to_owned).collect(), rows)
}

/// The rows as the command line lists them, with the columns that the view has of them.
fn listed(user: &User, spec: &ViewSpec) -> Vec<Row> {
    let list = user.json(&[spec.view, "--offline"]);
    let column = |one: &Value, name: &str| {
        let value = plain(spec, name, one[name].clone());
        (name.to_owned(), value)
    };
    let row = |one: &Value| spec.columns.iter().map(|known| column(one, known.name)).collect();
    list[spec.view].as_array().unwrap().iter().map(row).collect()
}

fn by_text(mut rows: Vec<Row>, user: &User) -> Vec<Row> {
    let home = user.home().canonicalize().unwrap();
    for row in &mut rows {
        // In what is printed, a test's own folder is called so.
        if let Some(Value::String(path)) = row.get_mut("path") {
            *path = path.replace(home.to_str().unwrap(), "/root/home");
        }
        // Everything was fetched at some time; a list says when of its entries.
        row.remove("fetched_at");
    }
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

#[test]
fn the_tables_of_projects_and_artifacts_hold_what_is_listed_and_are_alike_in_both_databases() {
    let (database, dir) = (Database::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("larder.db");
    let (in_file, grown) = scanned(&format!("sqlite:{}", file.display()));
    let (in_database, _) = scanned(&database.url());
    for (spec, view) in VIEWS {
        let (columns, rows) = in_sqlite(&file, spec);
        let own: Vec<&str> = spec.columns.iter().map(|column| column.name).chain(["fetched_at"]).collect();
        assert_eq!(columns, own, "{view}");
        let (theirs, other_rows) = in_postgres(&database, spec);
        assert_eq!(theirs, columns, "{view}");
        assert!(rows.iter().chain(&other_rows).all(|row| row["fetched_at"] != Value::Null));
        if view == "projects" {
            assert_eq!(rows.len(), grown.projects.len());
        } else {
            assert_eq!(rows.len(), 120);
            for (lot, word) in
                [(Lot::Outdated, "outdated"), (Lot::Modified, "modified"), (Lot::Missing, "missing")]
            {
                let of_lot = rows.iter().filter(|row| row[word] == Value::Bool(true)).count();
                assert_eq!(of_lot, grown.of_lot(lot), "{word}");
            }
        }
        assert_eq!(by_text(rows, &in_file), by_text(listed(&in_file, spec), &in_file), "{view} in SQLite");
        assert_eq!(
            by_text(other_rows, &in_database),
            by_text(listed(&in_database, spec), &in_database),
            "{view} in PostgreSQL"
        );
    }
    let (site, artifacts) = (&grown.projects[0], "SELECT count(*) FROM artifacts WHERE project =");
    let file = rusqlite::Connection::open(&file).unwrap();
    let by_path = format!("{artifacts} (SELECT id FROM projects WHERE path = '{}')", site.path.display());
    let count: i64 = file.query_row(&by_path, [], |row| row.get(0)).unwrap();
    assert_eq!(count, site.artifacts.len() as i64, "one table leads to the other");
}

/// Views with the names of their columns in their order.
type Views = BTreeMap<String, Vec<String>>;

/// What SQLite's other views are made of: nobody's to read.
const OF_SQLITE_ALONE: &str = "shown_items";

fn views_in_sqlite(file: &std::path::Path) -> Views {
    let file = rusqlite::Connection::open(file).unwrap();
    let mut all = file
        .prepare(
            "SELECT v.name, c.name FROM sqlite_schema v JOIN pragma_table_info(v.name) c \
             WHERE v.type = 'view' AND v.name <> ?1 ORDER BY v.name, c.cid",
        )
        .unwrap();
    let mut views = Views::new();
    let columns = all.query_map([OF_SQLITE_ALONE], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for (view, column) in columns.map(Result::<(String, String), _>::unwrap) {
        views.entry(view).or_default().push(column);
    }
    views
}

/// The columns of all tables, or of all views, with their types, in their order.
fn columns_in_postgres(database: &Database, of: &str) -> Vec<(String, String, String)> {
    let columns = database.ask(&format!(
        "SELECT table_name, column_name, data_type FROM information_schema.columns \
         JOIN information_schema.tables USING (table_catalog, table_schema, table_name) \
         WHERE table_schema = 'larder' AND table_type = '{of}' ORDER BY table_name, ordinal_position"
    ));
    let column = |line: &str| {
        let mut words = line.splitn(3, '|').map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap(), words.next().unwrap())
    };
    columns.lines().map(column).collect()
}

/// A database that was brought up to date, and a file.
fn both() -> (Database, tempfile::TempDir, std::path::PathBuf) {
    let (database, dir) = (Database::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("larder.db");
    for store in [database.url(), format!("sqlite:{}", file.display())] {
        User::new().var("LARDER_STORE__URL", &store).ok(&["migrate", "up"]);
    }
    (database, dir, file)
}

#[test]
fn every_view_is_in_both_databases_with_the_same_columns_in_the_same_order() {
    let (database, _dir, file) = both();
    let mut theirs = Views::new();
    for (view, column, _) in columns_in_postgres(&database, "VIEW") {
        theirs.entry(view).or_default().push(column);
    }
    let ours = views_in_sqlite(&file);
    assert_eq!(ours, theirs);
    let names: Vec<&str> = ours.keys().map(String::as_str).collect();
    assert_eq!(names, ["artifacts", "cache", "projects", "repositories", "trackers"]);
}

/// All columns of PostgreSQL's tables that hold a document.
const DOCUMENTS: &[&str] = &[
    "docs: doc",
    "entries: body validators pending warnings last_error",
    "items: derived",
    "meta: view_names",
];

/// All that hold a time.
const TIMES: &[&str] = &[
    "budgets: reset_at blocked_until minute_start",
    "changes: at",
    "entries: fetched_at absent_at fresh_until due_at lease_until touched_at unconfigured_since",
    "items: fetched_at",
    "markers: at",
    "meta: swept_at",
    "migrations: applied_at",
    "refresh_log: started_at",
    "reservations: taken_at until",
];

/// All that hold neither.
const OTHERS: &[&str] = &[
    "actors: host credential actor",
    "budgets: host actor resource points_limit remaining minute_points",
    "changes: seq about name what version",
    "docs: nr kind id",
    "entries: nr key source definition tried cursor complete version began invalidated marked marked_by \
     attempts faults lease_owner lease_length lease_epoch lease_seq members_digest",
    "items: nr kind id scope began doc_digest words_digest",
    "mark: one magic",
    "markers: about name seq",
    "members: entry position asked state item",
    "meta: one epoch feed_swept version_floor views",
    "migrations: version name checksum",
    "refresh_log: nr key triggered_by duration_ms outcome items_seen items_added items_changed \
     items_removed calls cost error",
    "reservations: nr host actor resource points owner",
    "tags: entry tag",
    "words: nr kind title search words",
    "written: one by in_table",
];

fn listed_as(lists: &[&str]) -> BTreeSet<(String, String)> {
    let of_table = |list: &&str| {
        let (table, columns) = list.split_once(": ").unwrap();
        let named = |column: &str| (table.to_owned(), column.to_owned());
        columns.split_whitespace().map(named).collect::<Vec<_>>()
    };
    lists.iter().flat_map(of_table).collect()
}

/// A column that is new is to be put in one of the three lists: none is left out.
#[test]
fn every_document_is_jsonb_and_every_time_a_timestamptz_in_all_of_postgresqls_tables() {
    let (database, _dir, _) = both();
    let columns = columns_in_postgres(&database, "BASE TABLE");
    let held_as = |is: &dyn Fn(&str) -> bool| -> BTreeSet<(String, String)> {
        let of_type = columns.iter().filter(|(_, _, holds)| is(holds));
        of_type.map(|(table, column, _)| (table.clone(), column.clone())).collect()
    };
    let (jsonb, timestamptz) = ("jsonb", "timestamp with time zone");
    assert_eq!(held_as(&|holds| holds == jsonb), listed_as(DOCUMENTS));
    assert_eq!(held_as(&|holds| holds == timestamptz), listed_as(TIMES));
    assert_eq!(held_as(&|holds| holds != jsonb && holds != timestamptz), listed_as(OTHERS));
}

#[test]
fn a_columns_type_in_postgresqls_views_is_that_of_what_it_holds() {
    let (database, _dir, _) = both();
    let mut expected: Vec<(&str, &str, &str)> = Vec::new();
    for spec in [&ARTIFACTS, &PROJECTS, &REPOSITORIES, &TRACKERS] {
        let column = |known: &larder_core::Column| {
            let holds = match known.holds {
                ColumnType::Text => "text",
                ColumnType::Integer => "bigint",
                ColumnType::Boolean => "boolean",
                ColumnType::Time => "timestamp with time zone",
                ColumnType::List => "ARRAY",
                ColumnType::Json => "jsonb",
            };
            (spec.view, known.name, holds)
        };
        expected.extend(spec.columns.iter().map(column));
        expected.push((spec.view, "fetched_at", "timestamp with time zone"));
    }
    let cache = [
        ("key", "text"),
        ("source", "text"),
        ("version", "bigint"),
        ("complete", "boolean"),
        ("attempts", "bigint"),
        ("invalidated", "boolean"),
        ("fetched_at", "timestamp with time zone"),
        ("fresh_until", "timestamp with time zone"),
        ("due_at", "timestamp with time zone"),
        ("last_error", "text"),
        ("warnings", "jsonb"),
        ("body", "jsonb"),
    ];
    expected.extend(cache.map(|(column, holds)| ("cache", column, holds)));
    // In the order of the views' names, with each view's columns as they are.
    expected.sort_by_key(|(view, ..)| *view);
    let columns = columns_in_postgres(&database, "VIEW");
    let columns: Vec<(&str, &str, &str)> =
        columns.iter().map(|(view, column, holds)| (&**view, &**column, &**holds)).collect();
    assert_eq!(columns, expected);
}
