//! How SQLite goes about a list: by the index of its order, stopping at the limit.

use larder_core::{Filter, ListQuery, Order, Store, Test};
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{VIEW, at, book, key, refresh};

use crate::place::{TempPlace, block_on};

fn query(order: Order) -> ListQuery {
    ListQuery {
        view: &VIEW,
        entries: vec![key("shelf/big"), key("shelf/small")],
        search: None,
        filters: Vec::new(),
        order: Some(order),
        offset: 0,
        limit: 100,
    }
}

#[test]
fn a_long_list_walks_the_index_of_its_order_and_a_short_one_its_members() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        let books = (0..2_000).map(|n| book(&format!("{n:05}"), n)).collect();
        refresh(&store, &key("shelf/big"), books, at(0)).await;
        refresh(&store, &key("shelf/small"), vec![book("a", 1)], at(0)).await;
        let cases = [
            (Order::Descending("stars"), "books_by_stars"),
            (Order::Ascending("stars"), "books_by_stars"),
            (Order::Ascending("title"), "books_titled"),
            (Order::Descending("published_at"), "books_by_published_at"),
        ];
        for (order, index) in cases {
            let plan = store.list_plan(&query(order)).unwrap();
            assert!(plan[0].contains(&format!("USING INDEX {index}")), "{order:?}: {plan:#?}");
            assert!(!plan.iter().any(|step| step.contains("B-TREE FOR ORDER BY")), "{order:?}: {plan:#?}");
        }
        let exact = store.list_plan(&query(Order::Descending("stars"))).unwrap();
        assert!(!exact.iter().any(|step| step.contains("TEMP B-TREE")), "{exact:#?}");
        let short = ListQuery { entries: vec![key("shelf/small")], ..query(Order::Descending("stars")) };
        let plan = store.list_plan(&short).unwrap();
        assert!(plan[0].contains("INTEGER PRIMARY KEY"), "{plan:#?}");
        let filtered = ListQuery {
            filters: vec![Filter { column: "language", test: Test::Is("Rust".to_owned()) }],
            ..query(Order::Descending("stars"))
        };
        let plan = store.list_plan(&filtered).unwrap();
        assert!(plan[0].contains("USING INDEX books_by_"), "{plan:#?}");
        assert!(store.list(&filtered).await.unwrap().is_empty());
    });
}
