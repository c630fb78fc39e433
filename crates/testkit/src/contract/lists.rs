//! Stories of lists: what they show, in which order, and whatever people type.

use std::collections::HashSet;

use larder_core::{
    Filter, Head, Key, ListQuery, Listed, MemberState, NewItem, Order, Rows, Scope, Store, Test, Write,
};
use serde_json::json;

use super::Place;
use super::build::{NOW, VIEW, at, book, book_with, fail, fetched, heads, key, member, refresh, write};

fn query(entries: &[&str]) -> ListQuery {
    ListQuery {
        view: &VIEW,
        entries: entries.iter().map(|text| key(text)).collect(),
        search: None,
        filters: Vec::new(),
        order: None,
        offset: 0,
        limit: 100,
    }
}

async fn names(store: &impl Store, query: &ListQuery) -> Vec<String> {
    store.list(query).await.unwrap().iter().map(|listed| listed.item.of.id.to_string()).collect()
}

/// An item that no asked entry shows is not listed; one that several show stands once.
pub async fn only_members_of_the_asked_entries_are_listed<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    refresh(&store, &key("shelf/one"), vec![book("b", 1), book("a", 1)], at(0)).await;
    refresh(&store, &key("shelf/two"), vec![book("b", 1), book("c", 1)], at(0)).await;
    refresh(&store, &key("shelf/gone"), vec![book("d", 1)], at(0)).await;
    let both = query(&["shelf/two", "shelf/unknown", "shelf/one"]);
    assert_eq!(names(&store, &both).await, ["a", "b", "c"]);
    let listed: Vec<Listed> = store.list(&both).await.unwrap();
    let of_b: Vec<String> = listed[1].entries.iter().map(Key::to_string).collect();
    assert_eq!(of_b, ["shelf/two", "shelf/one"], "in the order asked");
    assert_eq!(listed[0].entries, [key("shelf/one")]);
    assert_eq!(listed[2].item.fetched_at, NOW);
    assert_eq!(names(&store, &query(&["shelf/one"])).await, ["a", "b"]);
    let of_one = store.list(&query(&["shelf/one"])).await.unwrap();
    assert_eq!(of_one[1].entries, [key("shelf/one")], "of the asked ones alone");
    assert!(names(&store, &query(&[])).await.is_empty());
    assert!(names(&store, &query(&["shelf/unknown"])).await.is_empty());
    assert_eq!(names(&store, &ListQuery { limit: 2, ..both }).await, ["a", "b"]);
}

/// Gone and private: hidden at once. Gone and public: shown until that is confirmed.
pub async fn hidden_members_are_not_listed<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let private = NewItem { scope: Scope::Repo("h/o/r".into()), ..book("private", 1) };
    let items = vec![book("public", 1), private, book("here", 1)];
    let members = vec![
        member("public", MemberState::Absent),
        member("private", MemberState::Hidden),
        member("here", MemberState::Shown),
    ];
    let half = Write { members: Some(members), ..fetched(items, at(0)) };
    write(&store, &key("shelf/one"), half, at(0)).await;
    assert_eq!(names(&store, &query(&["shelf/one"])).await, ["here", "public"]);
    let searched = ListQuery { search: Some("private".to_owned()), ..query(&["shelf/one"]) };
    assert!(names(&store, &searched).await.is_empty());
    let heads = heads(&store, None).await;
    assert_eq!(heads[0].shown, 2);
}

fn library() -> Vec<NewItem> {
    vec![
        book_with(
            "1",
            json!({"title": "zebra", "stars": 10, "language": "Rust", "printed": true,
                "published_at": "2025-01-01T00:00:00Z", "topics": ["Cache", "cli"],
                "description": "A durable café of slow things"}),
        ),
        book_with(
            "2",
            json!({"title": "Apple", "stars": 30, "language": "rust", "printed": false,
                "published_at": "2026-01-01T00:00:00Z", "topics": ["web"],
                "description": "C++ and NEAR misses, \"quoted\" un-hyphenated"}),
        ),
        book_with("3", json!({"title": "mango", "stars": null, "language": "Go", "topics": []})),
        book_with(
            "4",
            json!({"title": "banana", "stars": 30, "published_at": "2024-06-01T12:00:00Z",
                "description": "a cache for caches"}),
        ),
        book_with("5", json!({"stars": -5, "language": "Go", "printed": true})),
    ]
}

/// Missing values last in both directions, text whatever its case, ties by identity.
pub async fn lists_sort_both_ways_with_missing_values_last<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    refresh(&store, &key("shelf/all"), library(), at(0)).await;
    let cases = [
        (Order::Descending("stars"), "24153"),
        (Order::Ascending("stars"), "51243"),
        (Order::Ascending("title"), "24315"),
        (Order::Descending("title"), "13425"),
        (Order::Descending("published_at"), "21435"),
        (Order::Ascending("published_at"), "41235"),
        (Order::Ascending("language"), "35124"),
    ];
    for (order, expected) in cases {
        let asked = ListQuery { order: Some(order), ..query(&["shelf/all"]) };
        assert_eq!(names(&store, &asked).await.concat(), expected, "{order:?}");
        let first = ListQuery { limit: 2, ..asked };
        assert_eq!(names(&store, &first).await.concat(), expected[..2], "{order:?}, two of them");
    }
    let unknown = ListQuery { order: Some(Order::Ascending("nothing")), ..query(&["shelf/all"]) };
    assert!(store.list(&unknown).await.is_err());
}

/// All conditions hold together.
pub async fn lists_filter_by_text_list_flag_number_and_time<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    refresh(&store, &key("shelf/all"), library(), at(0)).await;
    let filter = |column: &'static str, test: Test| Filter { column, test };
    let text = str::to_owned;
    let cases = [
        (vec![filter("language", Test::Is(text("RUST")))], "12"),
        (vec![filter("language", Test::Is(text("ru")))], ""),
        (vec![filter("topics", Test::Has(text("cache")))], "1"),
        (vec![filter("topics", Test::Has(text("ca")))], ""),
        (vec![filter("printed", Test::Flag(true))], "15"),
        (vec![filter("printed", Test::Flag(false))], "234"),
        (vec![filter("stars", Test::AtLeast(text("10")))], "124"),
        (vec![filter("published_at", Test::AtLeast(text("2025-01-01")))], "12"),
        (vec![filter("published_at", Test::AtLeast(text("2024-06-01T14:00:00+02:00")))], "124"),
        (
            vec![
                filter("stars", Test::AtLeast(text("20"))),
                filter("language", Test::Is(text("rust"))),
                filter("printed", Test::Flag(false)),
            ],
            "2",
        ),
        (vec![filter("language", Test::Is(text("' OR 1=1 --")))], ""),
    ];
    for (filters, expected) in cases {
        let asked = ListQuery { filters: filters.clone(), ..query(&["shelf/all"]) };
        assert_eq!(names(&store, &asked).await.concat(), expected, "{filters:?}");
    }
    for wrong in [filter("nothing", Test::Flag(true)), filter("stars", Test::AtLeast(text("many")))] {
        let asked = ListQuery { filters: vec![wrong.clone()], ..query(&["shelf/all"]) };
        assert!(store.list(&asked).await.is_err(), "{wrong:?}");
    }
}

/// All words, each as a beginning, whatever case and accents; the index follows what changes.
pub async fn lists_search_by_the_beginnings_of_words<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let all = key("shelf/all");
    refresh(&store, &all, library(), at(0)).await;
    let cases = [
        ("cache", "4"),
        ("CAC", "4"),
        ("cafe", "1"),
        ("durable ca", "1"),
        ("durable banana", ""),
        ("ache", ""),
        ("un-hyphenated", "2"),
        ("c++", "124"),
        ("", "12345"),
        ("  ", "12345"),
    ];
    for (search, expected) in cases {
        let asked = ListQuery { search: Some(search.to_owned()), ..query(&["shelf/all"]) };
        assert_eq!(names(&store, &asked).await.concat(), expected, "{search:?}");
    }
    let mut changed = library();
    changed[3] = book_with("4", json!({"title": "banana", "description": "something else"}));
    refresh(&store, &all, changed, at(1)).await;
    let asked = |search: &str| ListQuery { search: Some(search.to_owned()), ..query(&["shelf/all"]) };
    assert!(names(&store, &asked("cache")).await.is_empty());
    assert_eq!(names(&store, &asked("someth")).await, ["4"]);
    let sorted = ListQuery { order: Some(Order::Descending("stars")), limit: 1, ..asked("a") };
    assert_eq!(names(&store, &sorted).await, ["2"], "a search is sorted, filtered and cut like any list");
    store.evict(&larder_core::Target::All, at(2)).await.unwrap();
    assert!(names(&store, &asked("someth")).await.is_empty());
}

/// A search is words, never a language.
pub async fn nothing_that_is_typed_breaks_a_search<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    refresh(&store, &key("shelf/all"), library(), at(0)).await;
    let typed = [
        "\"",
        "\"\"",
        "\"quoted",
        "quoted\"",
        "*",
        "ca*",
        "-",
        "-cache",
        "NEAR",
        "NEAR(a b)",
        "a AND",
        "OR",
        "NOT x",
        "title:zebra",
        "^zebra",
        "(",
        ")",
        "{a b}",
        "'",
        "';--",
        "a\0b",
        "\u{1f980}",
        "%",
        "_",
        "\\",
        "+",
        "cache + cache",
        "\u{301}",
    ];
    for search in typed {
        let asked = ListQuery { search: Some(search.to_owned()), ..query(&["shelf/all"]) };
        assert!(store.list(&asked).await.is_ok(), "{search:?}");
    }
    let long = ListQuery { search: Some("word ".repeat(10_000)), ..query(&["shelf/all"]) };
    assert!(store.list(&long).await.is_ok());
    let found = async |search: &str| {
        let asked = ListQuery { search: Some(search.to_owned()), ..query(&["shelf/all"]) };
        names(&store, &asked).await.concat()
    };
    assert_eq!(found("\"quoted\"").await, "2");
    assert_eq!(found("NEAR").await, "2");
    assert_eq!(found("-cache").await, "4");
    assert_eq!(found("***").await, "", "no word is found nowhere");
}

/// However a store goes about it, many entries and items give the list that few would.
pub async fn a_large_list_is_the_same_list<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let mut stars = Vec::new();
    let mut entries = Vec::new();
    for shelf in 0..30 {
        let number = |n: i64| (n * 7_919) % 1_009;
        let books = (0..40).map(|n| {
            let n = shelf * 40 + n;
            stars.push((-number(n), format!("{n:05}")));
            book(&format!("{n:05}"), number(n))
        });
        let books = books.collect();
        entries.push(key(&format!("shelf/{shelf}")));
        refresh(&store, entries.last().unwrap(), books, at(0)).await;
    }
    stars.sort();
    let asked = ListQuery { entries: entries.clone(), order: Some(Order::Descending("stars")), ..query(&[]) };
    let expected: Vec<String> = stars.iter().take(100).map(|(_, id)| id.clone()).collect();
    assert_eq!(names(&store, &asked).await, expected);
    let few: HashSet<String> = (80..120).map(|n| format!("{n:05}")).collect();
    let of_one = ListQuery { entries: vec![entries[2].clone()], ..asked };
    let expected: Vec<String> =
        stars.iter().map(|(_, id)| id.clone()).filter(|id| few.contains(id)).collect();
    assert_eq!(names(&store, &of_one).await, expected);
}

/// Every row, placeholders and failures too, by key, however small the pages are.
pub async fn rows_come_in_pages_and_their_members_are_counted_apart<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let hidden = fetched(vec![book("x", 1), book("y", 1), book("z", 1)], at(0));
    let members = vec![
        member("x", MemberState::Shown),
        member("y", MemberState::Absent),
        member("z", MemberState::Hidden),
    ];
    write(&store, &key("shelf/b"), Write { members: Some(members), ..hidden }, at(0)).await;
    fail(&store, &key("shelf/a"), at(0)).await;
    refresh(&store, &key("other/c"), vec![], at(0)).await;
    let lines = async |source| {
        let heads = heads(&store, source).await;
        let line = |head: Head| format!("{} {} {}", head.entry.key, head.shown, head.entry.has_data());
        heads.into_iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(lines(None).await, ["other/c 0 true", "shelf/a 0 false", "shelf/b 2 true"]);
    assert_eq!(lines(Some("shelf")).await, ["shelf/a 0 false", "shelf/b 2 true"]);
    assert!(lines(Some("none")).await.is_empty());
    let page = async |source, after: Option<&str>, limit| {
        let rows = store.rows(source, after.map(key).as_ref(), limit).await.unwrap();
        rows.into_iter().map(|row| row.entry.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, None, 2).await, ["other/c", "shelf/a"]);
    assert_eq!(page(None, Some("shelf/a"), 2).await, ["shelf/b"]);
    assert_eq!(page(None, Some("other/d"), 1).await, ["shelf/a"], "the place needs no entry");
    assert_eq!(page(Some("shelf"), Some("other/c"), 9).await, ["shelf/a", "shelf/b"]);
    assert!(page(Some("other"), Some("shelf/a"), 9).await.is_empty());
    assert!(page(None, Some("shelf/b"), 9).await.is_empty());
    assert!(page(None, None, 0).await.is_empty());
    let behind = Rows::behind(&store, None, Some(key("shelf/a"))).next().await.unwrap();
    assert_eq!(behind.unwrap().entry.key, key("shelf/b"));
    let asked = ["shelf/b", "none/such", "shelf/a", "shelf/b"].map(key);
    assert_eq!(store.shown(&asked).await.unwrap(), [2, 0, 0, 2], "in the order asked");
}

/// A healthy store has nothing to report.
pub async fn a_store_says_what_it_is_and_finds_no_damage<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    refresh(&store, &key("shelf/all"), library(), at(0)).await;
    fail(&store, &key("shelf/none"), at(0)).await;
    let info = store.info().await.unwrap();
    assert_eq!((info.entries, info.items), (2, 5));
    assert!(info.schema >= 1 && info.bytes > 0 && info.seq > 0 && !info.place.is_empty());
    assert_eq!(store.verify().await.unwrap(), []);
}
