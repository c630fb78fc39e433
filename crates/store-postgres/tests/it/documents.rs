//! Documents by what they mean: whatever upstreams write can be kept, compared, listed and read as
//! plain tables.

use larder_core::{Coverage, Filter, Json, ListQuery, NewItem, Order, Scope, Store, Test, Write};
use larder_store_postgres::PostgresStore;
use larder_testkit::contract::build::{
    VIEW, at, book, book_with, done, fetched, field, key, refresh, row, write,
};
use larder_testkit::contract::damage;
use serde_json::{Value, json};

use crate::place::{Database, block_on};

fn written(id: &str, text: &str) -> NewItem {
    NewItem { doc: Json::parse(text).unwrap(), ..book(id, 0) }
}

#[test]
fn an_order_of_keys_is_no_change() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        let body = |text: &str, now| Write {
            body: Some(Json::parse(text).unwrap()),
            ..fetched(vec![written("a", r#"{"title": "a", "stars": 1, "n": [1, 2]}"#)], now)
        };
        write(&store, &cinder, body(r#"{"b": 1, "aa": {"y": 1, "x": 2}}"#, at(0)), at(0)).await;
        let same = Write {
            items: vec![written("a", r#"{ "n":[1,2],"stars":1.0,"title":"\u0061"}"#)],
            ..body(r#"{"aa": {"x": 2, "y": 1},   "b": 1}"#, at(1))
        };
        let (version, counts, _) = done(write(&store, &cinder, same, at(1)).await);
        assert_eq!((version, counts.changed), (1, 0));
        let held = row(&store, &cinder).await;
        let read: Value = held.entry.body.as_ref().unwrap().decode().unwrap();
        assert_eq!(read, json!({"aa": {"x": 2, "y": 1}, "b": 1}));
        assert!(!held.entry.body.unwrap().as_str().contains(' '), "no spaces between");
        let order = Write {
            items: vec![written("a", r#"{"title": "a", "stars": 1, "n": [2, 1]}"#)],
            ..body(r#"{"b": 1, "aa": {"y": 1, "x": 2}}"#, at(2))
        };
        let (version, counts, _) = done(write(&store, &cinder, order, at(2)).await);
        assert_eq!((version, counts.changed), (2, 1), "the order of a list is");
    });
}

#[test]
fn whatever_upstreams_write_can_be_kept() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        let long = "x".repeat(5_000);
        let items = vec![
            written("nul", r#"{"title": "a\u0000b", "stars": 1}"#),
            written("half", r#"{"title": "\ud83e", "whole": "\ud83e\udd80"}"#),
            written(
                "types",
                r#"{"title": 7, "stars": "many", "printed": "yes", "published_at": "soon", "topics": "x"}"#,
            ),
            written("numbers", r#"{"title": "n", "stars": 123456789012345678901234567890, "tiny": 1e-30}"#),
            written("list", "[1, 2, 3]"),
            book_with("words", json!({"title": "nul\0nul", "description": "a\0b", "stars": 1})),
            book_with("long", json!({"title": long, "stars": 5, "published_at": long, "description": long})),
        ];
        let write_all = Write {
            cursor: Some("a\0b".to_owned()),
            tags: Some(vec!["a\0b".to_owned()]),
            ..fetched(items, at(0))
        };
        write(&store, &cinder, write_all.clone(), at(0)).await;
        let (version, counts, _) = done(write(&store, &cinder, write_all, at(1)).await);
        assert_eq!(
            (version, counts.changed),
            (1, 0),
            "what was replaced to be kept is no change the next time"
        );
        let held = row(&store, &cinder).await;
        assert_eq!(field(&held, "nul", "title"), "a\u{fffd}b");
        assert_eq!(
            (field(&held, "half", "title"), field(&held, "half", "whole")),
            (json!("\u{fffd}"), json!("🦀"))
        );
        assert_eq!(field(&held, "types", "stars"), "many");
        assert_eq!(held.entry.cursor.as_deref(), Some("a\u{fffd}b"));
        for order in ["title", "language", "stars", "printed", "published_at", "topics", "publisher"] {
            for order in [Order::Ascending(order), Order::Descending(order)] {
                let query = ListQuery {
                    view: &VIEW,
                    entries: vec![cinder.clone()],
                    search: None,
                    filters: Vec::new(),
                    order: Some(order),
                    offset: 0,
                    limit: 100,
                };
                assert_eq!(store.list(&query).await.unwrap().len(), 7, "{order:?}");
            }
        }
        let client = database.client().await;
        let sql = "SELECT count(*) FROM larder.books WHERE title IS NOT NULL";
        assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 6);
        let whole = "SELECT stars FROM larder.books WHERE title = 'n'";
        assert_eq!(
            client.query_one(whole, &[]).await.unwrap().get::<_, Option<i64>>(0),
            None,
            "too large to be a bigint"
        );
        let found = ListQuery {
            view: &VIEW,
            entries: vec![cinder.clone()],
            search: None,
            filters: vec![Filter { column: "title", test: Test::Is(long.to_uppercase()) }],
            order: None,
            offset: 0,
            limit: 10,
        };
        assert_eq!(store.list(&found).await.unwrap().len(), 1);
        let other = Filter { column: "title", test: Test::Is(format!("{long}y")) };
        assert_eq!(store.list(&ListQuery { filters: vec![other], ..found }).await.unwrap().len(), 0);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn the_same_item_twice_in_one_answer_is_one_item() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        let half = |text: &str| NewItem { coverage: Coverage::Partial, ..written("a", text) };
        let twice = vec![
            written("a", r#"{"title": "a", "stars": 1}"#),
            half(r#"{"stars": 2}"#),
            NewItem { scope: Scope::Repo("h/o/r".into()), ..half(r#"{"language": "en"}"#) },
        ];
        let write_twice = Write { members: Some(vec![]), ..fetched(twice, at(0)) };
        let members = Some(larder_testkit::contract::build::shown(&write_twice.items[..1]));
        let (_, counts, _) = done(write(&store, &cinder, Write { members, ..write_twice }, at(0)).await);
        assert_eq!((counts.seen, counts.added), (3, 1));
        let held = row(&store, &cinder).await;
        let doc: Value = held.members[0].item.doc.decode().unwrap();
        assert_eq!(doc, json!({"title": "a", "stars": 2, "language": "en"}));
        assert_eq!(held.members[0].item.scope, Scope::Repo("h/o/r".into()));
    });
}

#[test]
fn people_find_tables_that_read_like_their_domain() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let book = book_with(
            "a",
            json!({"title": "A", "stars": 3, "printed": true, "topics": ["x", "y"],
                "published_at": "2025-01-01T01:00:00+01:00", "publisher": {"name": "p"}}),
        );
        refresh(&store, &key("shelf/a"), vec![book], at(0)).await;
        store.invalidate(&larder_core::Target::Source("shelf".to_owned()), at(9)).await.unwrap();
        let client = database.client().await;
        client.batch_execute("SET TimeZone = 'UTC'").await.unwrap();
        let line = "SELECT concat_ws('|', title, coalesce(language, ''), stars + 1, NOT printed, \
            published_at - interval '1 second', topics[2], publisher ->> 'name', fetched_at) FROM larder.books";
        let line: String = client.query_one(line, &[]).await.unwrap().get(0);
        assert_eq!(line, "A||4|f|2024-12-31 23:59:59+00|y|p|2026-01-01 00:00:00+00");
        let entry = "SELECT concat_ws('|', key, source, version, complete, attempts, invalidated, fetched_at, \
            fresh_until, due_at, coalesce(last_error, ''), warnings, coalesce(body::text, '')) FROM larder.cache";
        let entry: String = client.query_one(entry, &[]).await.unwrap().get(0);
        assert_eq!(
            entry,
            "shelf/a|shelf|1|t|0|t|2026-01-01 00:00:00+00|2026-01-01 01:00:00+00|2026-01-01 00:00:09+00||[]|"
        );
    });
}

#[test]
fn a_long_list_walks_the_index_of_its_order_both_ways_and_a_short_one_its_members() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let books = (0..3_000).map(|n| book(&format!("{n:05}"), n)).collect();
        refresh(&store, &key("shelf/big"), books, at(0)).await;
        refresh(&store, &key("shelf/small"), vec![book("a", 1)], at(0)).await;
        let query = |order| ListQuery {
            view: &VIEW,
            entries: vec![key("shelf/big"), key("shelf/small")],
            search: None,
            filters: Vec::new(),
            order: Some(order),
            offset: 0,
            limit: 100,
        };
        // Whether anybody has looked at the tables yet or not.
        for statistics in ["", "ANALYZE"] {
            database.client().await.batch_execute(statistics).await.unwrap();
            let cases = [
                (Order::Descending("stars"), "books_by_stars"),
                (Order::Ascending("stars"), "books_by_stars"),
                (Order::Ascending("title"), "books_by_title"),
                (Order::Descending("title"), "books_by_title"),
                (Order::Descending("published_at"), "books_by_published_at"),
            ];
            for (order, index) in cases {
                let plan = store.list_plan(&query(order)).await.unwrap();
                let walks = plan.iter().any(|step| step.contains("Index Scan") && step.contains(index));
                assert!(walks, "{order:?} {statistics}: {plan:#?}");
            }
            let short = ListQuery { entries: vec![key("shelf/small")], ..query(Order::Descending("stars")) };
            let plan = store.list_plan(&short).await.unwrap();
            assert!(!plan.iter().any(|step| step.contains("Seq Scan on items")), "{statistics}: {plan:#?}");
        }
    });
}

#[test]
fn one_damaged_row_keeps_nobody_from_the_others() {
    let database = Database::fresh();
    let open = async || PostgresStore::open(database.options()).await.unwrap();
    let damage = async |name: &str| {
        let sql = "UPDATE larder.entries SET warnings = '\"oops\"' WHERE key = $1";
        database.client().await.execute(sql, &[&name]).await.unwrap();
    };
    block_on(damage::one_damaged_row_keeps_nobody_from_the_others(open, damage));
}
