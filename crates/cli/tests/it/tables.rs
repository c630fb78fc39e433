//! The tables of local projects, as other programs read them: the same columns in either database, and in
//! each the rows that the command line lists.

use std::collections::BTreeMap;

use larder_core::{ColumnType, Time, ViewSpec};
use larder_domain::{ARTIFACTS, PROJECTS};
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
