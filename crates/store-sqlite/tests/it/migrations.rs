//! Migrations up and down, on a database that is full, and views that follow their specs.

use std::process::Command;

use larder_core::{
    Acquired, Column, ColumnType, Committed, Retention, Status, Store, Subject, Target, ViewSpec, Write,
};
use larder_store_sqlite::{APPLICATION_ID, OpenOptions, SCHEMA, SqliteStore, migrate_down};
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{
    NOW, VIEW, acquire, at, book, book_with, commit_of, fail, fetched, find, heads, ids, key, lease, refresh,
    row, write,
};
use rusqlite::Connection;
use serde_json::json;

use crate::place::{TempPlace, block_on};

fn names(conn: &Connection, what: &str) -> Vec<String> {
    let mut statement = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = ?1 AND name NOT LIKE 'sqlite_%' ORDER BY name")
        .unwrap();
    statement.query_map([what], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_full_database_goes_down_and_up_again() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        let books = (0..500).map(|n| book(&format!("{n:05}"), n)).collect();
        refresh(&store, &key("shelf/big"), books, at(0)).await;
        fail(&store, &key("shelf/none"), at(0)).await;
        drop(store);
        migrate_down(&place.path(), 0).unwrap();
        let conn = Connection::open(place.path()).unwrap();
        assert_eq!(names(&conn, "table"), ["migrations"]);
        assert!(names(&conn, "view").is_empty() && names(&conn, "index").is_empty());
        let mark: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).unwrap();
        assert_eq!(mark, APPLICATION_ID, "it is still ours");
        drop(conn);
        let store = place.open().await;
        assert_eq!(store.info().await.unwrap().schema, SCHEMA);
        assert!(find(&store, &key("shelf/big")).await.is_none());
        refresh(&store, &key("shelf/big"), vec![book("a", 1)], at(1)).await;
        assert_eq!(ids(&row(&store, &key("shelf/big")).await), ["a"]);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn what_finds_an_item_is_written_beside_its_document_where_an_older_schema_wants_it() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        let one = book_with("a", json!({"title": "Larder", "description": "a durable copy"}));
        refresh(&store, &key("shelf/a"), vec![one, book("b", 1)], at(0)).await;
        drop(store);
        migrate_down(&place.path(), 4).unwrap();
        let conn = Connection::open(place.path()).unwrap();
        let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(String, String, String)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        };
        let sql = "SELECT title, search, asked FROM items JOIN members ON item = nr ORDER BY id";
        let mut statement = conn.prepare(sql).unwrap();
        let rows: Vec<_> = statement.query_map([], read).unwrap().map(Result::unwrap).collect();
        let text = |title: &str, search: &str, asked: &str| (title.into(), search.into(), asked.into());
        assert_eq!(rows, [text("Larder", "a durable copy", "a"), text("b", "", "b")]);
        let found = "SELECT count(*) FROM items_fts WHERE items_fts MATCH 'durable'";
        assert_eq!(conn.query_row(found, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        drop(statement);
        drop(conn);
        let store = place.open().await;
        assert_eq!(ids(&row(&store, &key("shelf/a")).await), ["a", "b"]);
        assert_eq!(store.verify().await.unwrap(), []);
    });
    let conn = Connection::open(place.path()).unwrap();
    assert_eq!(names(&conn, "view"), ["books", "cache", "noises", "shown_items"], "they are there again");
}

#[test]
fn one_step_down_keeps_the_cache_and_what_markers_said_of_it() {
    let place = TempPlace::fresh();
    let (big, red) = (key("shelf/big"), key("shelf/red"));
    block_on(async {
        let store = place.open().await;
        let books = (0..500).map(|n| book(&format!("{n:05}"), n)).collect();
        refresh(&store, &big, books, at(0)).await;
        let tagged = Write { tags: Some(vec!["red".to_owned()]), ..fetched(vec![book("r", 1)], at(0)) };
        write(&store, &red, tagged, at(0)).await;
        fail(&store, &red, at(1)).await;
        store.invalidate(&Target::Tag("red".to_owned()), at(2)).await.unwrap();
        refresh(&store, &big, vec![book("last", 1)], at(3)).await;
        let before = heads(&store, None).await;
        drop(store);
        migrate_down(&place.path(), 1).unwrap();
        let conn = Connection::open(place.path()).unwrap();
        let old: (i64, i64, String) = conn
            .query_row(
                "SELECT invalidated > began, due_at, (SELECT search FROM items WHERE id = 'r') \
                 FROM entries WHERE key = 'shelf/red'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!(old, (1, at(2).ms(), "r".to_owned()), "the rows say what the marker said");
        let found: i64 = conn
            .query_row("SELECT count(*) FROM items_fts WHERE items_fts MATCH 'last'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, 1, "its full text is made anew");
        let keys: Vec<String> = conn
            .prepare("SELECT key FROM changes ORDER BY seq")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(keys, ["shelf/big"], "what came before a line that it cannot say is swept");
        drop(conn);
        let store = place.open().await;
        assert_eq!(heads(&store, None).await, before);
        assert!(store.changes(1, 10).await.unwrap().reset, "whoever had read further back starts over");
        assert_eq!(store.changes(1, 10).await.unwrap().lines[0].on, Subject::Entry(big.clone()));
        refresh(&store, &red, vec![book("r", 2)], at(5)).await;
        assert_eq!(row(&store, &red).await.entry.status(None, at(5)), Status::Fresh);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn a_lease_is_held_through_a_step_down_and_up() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        refresh(&store, &key("shelf/free"), vec![book("f", 1)], at(0)).await;
        let (held, _) = lease(&store, &key("shelf/held"), at(1)).await;
        drop(store);
        migrate_down(&place.path(), 7).unwrap();
        let conn = Connection::open(place.path()).unwrap();
        let old: (String, i64, i64) = conn
            .query_row(
                "SELECT lease_owner, lease_until, lease_seq FROM entries WHERE lease_owner NOT NULL",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        let seq = i64::try_from(held.token.seq).unwrap();
        assert_eq!(old, (held.owner.to_string(), held.until.ms(), seq), "and nobody else's");
        drop(conn);
        let store = place.open().await;
        let met = acquire(&store, &held.key, "another", at(2)).await;
        assert!(matches!(met, Acquired::Held(by) if by == held));
        let done = store.commit(commit_of(&held, fetched(vec![book("h", 1)], at(2)), at(2))).await.unwrap();
        assert!(matches!(done, Committed::Done { .. }));
        lease(&store, &held.key, at(3)).await;
        lease(&store, &key("shelf/free"), at(3)).await;
    });
}

#[test]
fn people_see_in_the_cache_view_what_a_marker_means() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        for name in ["shelf/a", "shelf/b"] {
            let tagged = Write { tags: Some(vec![name.to_owned()]), ..fetched(vec![], at(0)) };
            write(&store, &key(name), tagged, at(0)).await;
        }
        let conn = Connection::open(place.path()).unwrap();
        let seen = || -> Vec<(String, bool, String)> {
            let mut statement =
                conn.prepare("SELECT key, invalidated, due_at FROM cache ORDER BY key").unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let row = |key: &str, invalidated, due: &str| (key.to_owned(), invalidated, due.to_owned());
        let later = "2026-01-01T01:00:00Z";
        assert_eq!(seen(), [row("shelf/a", false, later), row("shelf/b", false, later)]);
        store.invalidate(&Target::Tag("shelf/a".to_owned()), at(60)).await.unwrap();
        let expected = [row("shelf/a", true, "2026-01-01T00:01:00Z"), row("shelf/b", false, later)];
        assert_eq!(seen(), expected);
        store.sweep(&Retention::default(), at(61)).await.unwrap();
        assert_eq!(seen(), expected, "written through, it is the same");
    });
}

#[test]
fn an_edited_migration_is_an_error() {
    let place = TempPlace::fresh();
    drop(SqliteStore::open(place.options()).unwrap());
    let conn = Connection::open(place.path()).unwrap();
    conn.execute_batch("UPDATE migrations SET checksum = 'x'; UPDATE meta SET views = 'other'").unwrap();
    let error = SqliteStore::open(place.options()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("initial") && error.hints()[0].contains("export"), "{error}");
}

#[test]
fn views_follow_their_specs_and_leave_other_peoples_alone() {
    static NARROW: ViewSpec = ViewSpec {
        kind: "book",
        view: "titles",
        columns: &[Column { name: "title", holds: ColumnType::Text, indexed: true }],
        title: "title",
        words: &[],
    };
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        refresh(&store, &key("shelf/a"), vec![book("a", 1)], at(0)).await;
    });
    let conn = Connection::open(place.path()).unwrap();
    conn.execute_batch("CREATE VIEW mine AS SELECT 1; CREATE INDEX my_index ON items (scope)").unwrap();
    assert_eq!(names(&conn, "view"), ["books", "cache", "mine", "noises", "shown_items"]);
    let options = OpenOptions { views: vec![NARROW], ..OpenOptions::new(place.path(), NOW) };
    drop(SqliteStore::open(options).unwrap());
    assert_eq!(names(&conn, "view"), ["cache", "mine", "shown_items", "titles"]);
    let indexes = names(&conn, "index");
    assert!(indexes.contains(&"titles_titled".to_owned()) && indexes.contains(&"my_index".to_owned()));
    assert!(!indexes.iter().any(|name| name.starts_with("books_")));
    drop(SqliteStore::open(place.options()).unwrap());
    assert_eq!(names(&conn, "view"), ["books", "cache", "mine", "noises", "shown_items"]);
}

#[test]
fn a_name_that_cannot_be_a_column_is_refused() {
    static HOSTILE: ViewSpec = ViewSpec {
        kind: "book",
        view: "books",
        columns: &[Column { name: "a'); DROP TABLE items; --", holds: ColumnType::Text, indexed: true }],
        title: "title",
        words: &[],
    };
    let place = TempPlace::fresh();
    let options = OpenOptions { views: vec![VIEW, HOSTILE], ..OpenOptions::new(place.path(), NOW) };
    assert!(SqliteStore::open(options).is_err());
    assert!(place.files().is_empty());
}

#[test]
fn people_find_tables_that_read_like_their_domain() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        let book = book_with(
            "a",
            json!({"title": "A", "stars": 3, "printed": true, "topics": ["x", "y"],
                "published_at": "2025-01-01T00:00:00Z", "publisher": {"name": "p"}}),
        );
        refresh(&store, &key("shelf/a"), vec![book], at(0)).await;
    });
    let expected = "A||3|1|2025-01-01T00:00:00Z|[\"x\",\"y\"]|{\"name\":\"p\"}|2026-01-01T00:00:00Z";
    let conn = Connection::open(place.path()).unwrap();
    let line: String = conn
        .query_row(
            "SELECT concat_ws('|', title, coalesce(language, ''), stars, printed, published_at, topics, \
             publisher, fetched_at) FROM books",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(line, expected);
    drop(conn);
    // The shell of a distribution, older than the SQLite that wrote the file, where there is one.
    let shell =
        Command::new("sqlite3").arg("-readonly").arg(place.path()).arg("SELECT * FROM books").output();
    if let Ok(output) = shell {
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}
