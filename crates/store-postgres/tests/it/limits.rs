//! What PostgreSQL itself cannot hold, or not as a whole.

use larder_core::{Coverage, ItemRef, Json, ListQuery, NewItem, Order, Scope, Store, StoreError, Write};
use larder_store_postgres::PostgresStore;
use larder_testkit::contract::build::{
    VIEW, at, book, book_with, commit_of, fetched, ids, key, lease, refresh, row,
};
use serde_json::json;

use crate::place::{Database, block_on};

fn query(search: Option<&str>, order: Option<Order>) -> ListQuery {
    ListQuery {
        view: &VIEW,
        entries: vec![key("shelf/cinder")],
        search: search.map(str::to_owned),
        filters: Vec::new(),
        order,
        offset: 0,
        limit: 10,
    }
}

/// Letters that no two texts have in the same order, so that nothing of them can be packed.
fn noise(letters: usize) -> String {
    let mut state: u64 = 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_u32(0x4e00 + (state >> 33) as u32 % 0x5000).unwrap()
    };
    (0..letters).map(|_| next()).collect()
}

/// A `tsvector` holds a mebibyte, and a letter takes up to four bytes.
#[test]
fn a_text_of_very_many_long_words_is_found_by_the_first_of_them() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let letters: Vec<char> = noise(4_500 * 100).chars().collect();
        let words: Vec<String> = letters.chunks(100).map(|word| word.iter().collect()).collect();
        let long = book_with("a", json!({"title": "a", "description": words.join(" ")}));
        refresh(&store, &key("shelf/cinder"), vec![long], at(0)).await;
        let found = store.list(&query(Some(&words[0]), None)).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(store.list(&query(Some(&words[4_499]), None)).await.unwrap().is_empty());
    });
}

/// Waiting does not mend it, so it is said what it is.
#[test]
fn what_cannot_be_kept_is_named() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        let name = noise(1_500);
        let huge = NewItem {
            of: ItemRef::new("book", "astronomy"),
            scope: Scope::Public,
            doc: Json::trusted(r#"{"title": "so many stars: 1e5", "stars": [1, -1.5E+200000]}"#),
            coverage: Coverage::Whole,
        };
        let named = || vec![book("a", 1), book(&name, 1), book("b", 1)];
        let tagged = |tag: &str| Write { tags: Some(vec![tag.to_owned()]), ..fetched(vec![], at(0)) };
        let cases = [
            (fetched(named(), at(0)), "book `", "4500 bytes"),
            (tagged(&name), "tag `", "4500 bytes"),
            (fetched(vec![book("a", 1), huge], at(0)), "book `astronomy`", "-1.5E+200000"),
        ];
        for (write, named, why) in cases {
            let (held, _) = lease(&store, &cinder, at(0)).await;
            let error = store.commit(commit_of(&held, write, at(0))).await.unwrap_err();
            assert!(matches!(&error, StoreError::Failed { .. }) && !error.is_retryable(), "{error}");
            let told = error.to_string();
            assert!(told.contains(named) && told.contains(why) && told.len() < 500, "{told}");
            let released =
                larder_core::Commit { write: None, ..commit_of(&held, fetched(vec![], at(0)), at(0)) };
            store.commit(released).await.unwrap();
        }
        refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
        assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
    });
}

/// An index holds a text's beginning; what is sorted by hand is sorted by all of it.
#[test]
fn long_texts_that_begin_alike_are_sorted_by_what_follows() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let titled = |id: &str, end: &str| book_with(id, json!({"title": "x".repeat(400) + end}));
        let books = vec![titled("a", "C"), titled("b", "b"), titled("c", "a")];
        refresh(&store, &key("shelf/cinder"), books, at(0)).await;
        let cases =
            [(Order::Ascending("title"), ["c", "b", "a"]), (Order::Descending("title"), ["a", "b", "c"])];
        for (order, sorted) in cases {
            for search in [None, Some("x")] {
                let listed = store.list(&query(search, Some(order))).await.unwrap();
                let listed: Vec<&str> = listed.iter().map(|listed| &*listed.item.of.id).collect();
                assert_eq!(listed, sorted, "{order:?} {search:?}");
            }
        }
    });
}
