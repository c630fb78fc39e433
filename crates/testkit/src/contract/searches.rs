//! Stories of searches by rank, of pages, and of counts.

use std::collections::HashSet;

use larder_core::{
    Coverage, Exported, ExportedMember, Filter, Item, ItemRef, Key, ListQuery, MemberState, Met, NewItem,
    Order, Scope, Store, Test, Write,
};
use serde_json::json;

use super::Place;
use super::build::{VIEW, at, book_with, exported, fetched, key, member, refresh, write};

fn query(entries: &[Key], search: &str, order: Option<Order>) -> ListQuery {
    ListQuery {
        view: &VIEW,
        entries: entries.to_vec(),
        search: (!search.is_empty()).then(|| search.to_owned()),
        filters: Vec::new(),
        order,
        offset: 0,
        limit: 100,
    }
}

async fn ids(store: &impl Store, query: &ListQuery) -> Vec<String> {
    store.list(query).await.unwrap().iter().map(|listed| listed.item.of.id.to_string()).collect()
}

fn titled(id: &str, title: &str, description: &str) -> NewItem {
    let language = if id.starts_with('g') { "Go" } else { "Rust" };
    book_with(id, json!({"title": title, "description": description, "language": language}))
}

/// Whose name begins with it, by the alphabet; whose name has it; who has it at all.
pub async fn names_come_first_the_exact_one_before_all_others<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let shelf = [key("shelf/one"), key("shelf/two")];
    let items = vec![
        titled("a", "zebra", "a cache, and a cache, and a cache again"),
        titled("b", "The Cache", ""),
        titled("c", "cachet", ""),
        titled("g", "Cache", "of things"),
        titled("e", "cachedb", "nothing of the sort"),
    ];
    refresh(&store, &shelf[0], items, at(0)).await;
    refresh(&store, &shelf[1], vec![titled("f", "caching", "slow things and cached things")], at(0)).await;
    for (typed, expected) in [
        ("cache", ["g", "e", "c", "b"].as_slice()),
        ("CACHE", &["g", "e", "c", "b"]),
        ("cached", &["e"]),
        ("cach", &["g", "e", "c", "f", "b"]),
        ("the cache", &["b"]),
        ("cache the", &["b"]),
        ("things slow", &["f"]),
        ("durable", &[]),
        ("-", &[]),
    ] {
        let found = ids(&store, &query(&shelf, typed, Some(Order::Rank))).await;
        assert_eq!(found[..expected.len()], *expected, "{typed}");
        let rest: HashSet<&str> = found[expected.len()..].iter().map(String::as_str).collect();
        let others: &[&str] = match typed {
            "cache" | "CACHE" => &["a", "f"],
            "cach" => &["a"],
            "cached" => &["f"],
            "the cache" | "cache the" => &["e"],
            _ => &[],
        };
        assert_eq!(rest, others.iter().copied().collect(), "{typed}");
    }
    // Without a search there is nothing to rank by.
    assert_eq!(ids(&store, &query(&shelf, "", Some(Order::Rank))).await, ["a", "b", "c", "e", "f", "g"]);
    let renamed = titled("g", "Larder", "once something else");
    refresh(&store, &shelf[0], vec![renamed], at(1)).await;
    assert_eq!(ids(&store, &query(&shelf, "cache", Some(Order::Rank))).await, ["f"], "names change");
    assert_eq!(ids(&store, &query(&shelf, "lard", Some(Order::Rank))).await, ["g"]);
}

/// Commas, quotation marks and stars around a word are nobody's name, unless a title begins with just that.
pub async fn marks_around_what_is_typed_leave_names_first<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let shelf = [key("shelf/one")];
    let items = vec![
        titled("a", "A pdf, pdf and pdf", "pdf"),
        titled("b", "pdf forms", "nothing else of a kind that goes on for a while"),
        titled("c", "PDF", ""),
        titled("d", "\"pdf\" as it was written", ""),
        titled("e", "C# by night", ""),
        titled("f", "C++ by day", ""),
        titled("g", ".NET", ""),
        titled("h", "networks", ""),
    ];
    refresh(&store, &shelf[0], items, at(0)).await;
    for (typed, expected) in [
        ("pdf", ["c", "b"].as_slice()),
        ("pdf,", &["c", "b"]),
        ("pdf*", &["c", "b"]),
        ("(pdf)", &["c", "b"]),
        (" , pdf ; ", &["c", "b"]),
        ("“Pdf” forms!", &["b"]),
        ("pdf 'forms'", &["b"]),
        ("pdf - forms", &["b"]),
        ("\"pdf\"", &["d", "c", "b"]),
        ("c++", &["f", "e"]),
        ("c", &["e", "f"]),
        (".net", &["g", "h"]),
        ("net", &["h", "g"]),
    ] {
        let found = ids(&store, &query(&shelf, typed, Some(Order::Rank))).await;
        assert_eq!(found[..expected.len()], *expected, "{typed}: {found:?}");
        let first = ListQuery { limit: 1, ..query(&shelf, typed, Some(Order::Rank)) };
        assert_eq!(ids(&store, &first).await, expected[..1], "{typed}");
    }
}

/// The same conditions as any list's; the entries that show an item are told in the order asked.
pub async fn a_search_by_rank_is_filtered_and_shows_what_a_list_would<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two, other) = (key("shelf/one"), key("shelf/two"), key("shelf/other"));
    let secret = NewItem { scope: Scope::Repo("h/o/r".into()), ..titled("s", "tools secret", "") };
    let items = vec![titled("a", "tools", ""), secret, titled("gb", "tools b", "")];
    let members = vec![
        member("a", MemberState::Absent),
        member("s", MemberState::Hidden),
        member("gb", MemberState::Shown),
    ];
    write(&store, &one, Write { members: Some(members), ..fetched(items, at(0)) }, at(0)).await;
    refresh(&store, &two, vec![titled("gb", "tools b", ""), titled("c", "power tools", "")], at(0)).await;
    refresh(&store, &other, vec![titled("d", "tools d", "")], at(0)).await;
    let both = query(&[two.clone(), key("shelf/unknown"), one.clone()], "tool", Some(Order::Rank));
    assert_eq!(ids(&store, &both).await, ["a", "gb", "c"]);
    let listed = store.list(&both).await.unwrap();
    assert_eq!(listed[1].entries, [two.clone(), one.clone()], "in the order asked");
    assert_eq!(listed[0].entries, std::slice::from_ref(&one));
    let of_one = ListQuery { entries: vec![one.clone()], ..both.clone() };
    assert_eq!(ids(&store, &of_one).await, ["a", "gb"]);
    let language = Filter { column: "language", test: Test::Is("go".to_owned()) };
    let filtered = ListQuery { filters: vec![language], ..both.clone() };
    assert_eq!(ids(&store, &filtered).await, ["gb"]);
    assert_eq!(store.count(&filtered).await.unwrap(), Met::exactly(1));
    let wrong = Filter { column: "nothing", test: Test::Flag(true) };
    assert!(store.list(&ListQuery { filters: vec![wrong], ..both.clone() }).await.is_err());
    assert!(ids(&store, &ListQuery { limit: 0, ..both.clone() }).await.is_empty());
    assert!(ids(&store, &ListQuery { entries: Vec::new(), ..both.clone() }).await.is_empty());
    assert!(ids(&store, &ListQuery { entries: vec![key("shelf/unknown")], ..both }).await.is_empty());
}

/// Pages follow each other without gaps and without anything twice, in every order.
pub async fn pages_of_a_list_are_the_list<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let shelf = [key("shelf/one"), key("shelf/two")];
    let word = |n: usize| ["cache", "slow cache", "larder", "things"][n % 4];
    let items = |from: usize| {
        let item = |n: usize| titled(&format!("{n:02}"), word(n), &format!("the cache of number {n}"));
        (from..from + 12).map(item).collect::<Vec<_>>()
    };
    refresh(&store, &shelf[0], items(0), at(0)).await;
    refresh(&store, &shelf[1], items(8), at(0)).await;
    let orders =
        [None, Some(Order::Rank), Some(Order::Ascending("title")), Some(Order::Descending("language"))];
    for order in orders {
        for search in ["", "cache", "ca", "c"] {
            let whole = query(&shelf, search, order);
            let expected = ids(&store, &whole).await;
            assert_eq!(expected.len(), 20, "{order:?} {search}");
            let mut paged = Vec::new();
            for offset in (0..25).step_by(3) {
                let page = ids(&store, &ListQuery { offset, limit: 3, ..whole.clone() }).await;
                assert_eq!(page.len(), 3.min(20_usize.saturating_sub(offset)));
                paged.extend(page);
            }
            assert_eq!(paged, expected, "{order:?} {search}");
            assert_eq!(store.count(&ListQuery { offset: 7, ..whole }).await.unwrap(), Met::exactly(20));
        }
    }
}

/// An entry whose items are all alike, to be imported.
fn many(key: &Key, kind: &str, from: usize, count: usize) -> Exported {
    let member = |n: usize| {
        let id = format!("{kind}{n:05}");
        // Every tenth has it in its name.
        let title = if n.is_multiple_of(10) { format!("common {n:05}") } else { format!("number {n:05}") };
        ExportedMember {
            asked: id.as_str().into(),
            state: MemberState::Shown,
            item: Item {
                of: ItemRef::new(kind, id.as_str()),
                scope: Scope::Public,
                doc: json!({"title": title, "description": "what is common to all of them", "stars": n})
                    .into(),
                derived: None,
                fetched_at: at(0),
            },
        }
    };
    Exported { members: (from..from + count).map(member).collect(), ..exported(key, &[], at(0)) }
}

/// More matches than are worth ranking: names still come first, and pages are pages.
pub async fn a_broad_search_is_the_same_in_pages<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let shelf: Vec<Key> = (0..3).map(|n| key(&format!("shelf/{n}"))).collect();
    let all: Vec<Exported> =
        shelf.iter().enumerate().map(|(n, key)| many(key, "book", n * 900, 900)).collect();
    store.import(&all, at(0)).await.unwrap();
    let broad = query(&shelf, "co", Some(Order::Rank));
    let first = ids(&store, &broad).await;
    let named: Vec<String> = (0..100).map(|n| format!("book{:05}", n * 10)).collect();
    assert_eq!(first, named, "by the alphabet");
    let mut seen = HashSet::new();
    for offset in (0..3_000).step_by(500) {
        let page = ids(&store, &ListQuery { offset, limit: 500, ..broad.clone() }).await;
        assert!(page.iter().all(|id| seen.insert(id.clone())), "nothing twice");
    }
    assert_eq!(seen.len(), 2_700);
    assert_eq!(store.count(&broad).await.unwrap(), Met { count: Met::COUNTED_MAX, or_more: true });
    // One of three entries: a third of them.
    let of_one = ListQuery { entries: vec![shelf[2].clone()], limit: 1_000, ..broad };
    assert_eq!(ids(&store, &of_one).await.len(), 900);
    assert_eq!(store.count(&of_one).await.unwrap(), Met::exactly(900));
}

/// A few of one kind are found beside very many of another that match as well.
pub async fn what_others_have_by_the_thousand_hides_nothing<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let noise: Vec<Exported> =
        (0..12).map(|n| many(&key(&format!("noise/{n:02}")), "buzz", n * 1_000, 1_000)).collect();
    store.import(&noise, at(0)).await.unwrap();
    let (mine, others) = (key("shelf/mine"), key("shelf/others"));
    let half = NewItem { coverage: Coverage::Partial, ..titled("m1", "in common", "") };
    refresh(&store, &mine, vec![half, titled("m2", "other", "in common")], at(0)).await;
    refresh(&store, &others, vec![titled("x", "common", "")], at(0)).await;
    for (order, expected) in [
        (Some(Order::Rank), ["m1", "m2"]),
        (Some(Order::Descending("title")), ["m2", "m1"]),
        (None, ["m1", "m2"]),
    ] {
        for typed in ["co", "common", "com"] {
            let asked = query(std::slice::from_ref(&mine), typed, order);
            assert_eq!(ids(&store, &asked).await, expected, "{typed} {order:?}");
            assert_eq!(store.count(&asked).await.unwrap(), Met::exactly(2));
        }
    }
    assert_eq!(ids(&store, &query(&[mine, others], "com", Some(Order::Rank))).await, ["x", "m1", "m2"]);
    assert!(ids(&store, &query(&[key("noise/00")], "com", None)).await.is_empty(), "of one kind alone");
}

/// A few of an entry's are found beside more in others than any search ranks, in whatever order.
pub async fn what_other_entries_have_by_the_thousand_hides_nothing<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let early = [key("shelf/early")];
    store.import(&[many(&early[0], "book", 30_000, 2_100)], at(0)).await.unwrap();
    let noise: Vec<Exported> =
        (0..11).map(|n| many(&key(&format!("noise/{n:02}")), "book", n * 1_000, 1_000)).collect();
    store.import(&noise, at(0)).await.unwrap();
    let mine = [key("shelf/mine")];
    store.import(&[many(&mine[0], "book", 20_001, 3)], at(0)).await.unwrap();
    let (up, down) = (["book20001", "book20002", "book20003"], ["book20003", "book20002", "book20001"]);
    for (order, expected) in [
        (Some(Order::Rank), up),
        (Some(Order::Descending("stars")), down),
        (Some(Order::Ascending("title")), up),
        (None, up),
    ] {
        for typed in ["co", "common", "com all"] {
            let asked = query(&mine, typed, order);
            assert_eq!(ids(&store, &asked).await, expected, "{typed} {order:?}");
            assert_eq!(store.count(&asked).await.unwrap(), Met::exactly(3));
        }
    }
    let everywhere: Vec<Key> = noise.iter().map(|one| one.entry.key.clone()).chain(mine).collect();
    let least = Filter { column: "stars", test: Test::AtLeast("20002".to_owned()) };
    for order in [Some(Order::Rank), Some(Order::Ascending("stars"))] {
        let asked = ListQuery { filters: vec![least.clone()], ..query(&everywhere, "co", order) };
        assert_eq!(ids(&store, &asked).await, ["book20002", "book20003"], "what a filter lets through");
    }
    let most = ListQuery { limit: 1, ..query(&everywhere, "co", Some(Order::Descending("stars"))) };
    assert_eq!(ids(&store, &most).await, ["book20003"], "the first of all, not of those met first");
    let late = key("shelf/late");
    refresh(&store, &late, vec![titled("exact", "co", "")], at(0)).await;
    let [early] = early;
    let both = ListQuery { limit: 700, ..query(&[early, late], "co", Some(Order::Rank)) };
    let mut seen = HashSet::new();
    for offset in [0, 700, 1_400, 2_100] {
        let page = ids(&store, &ListQuery { offset, ..both.clone() }).await;
        assert!(offset > 0 || page[0] == "exact", "the best, wherever it lies: {:?}", &page[..3]);
        assert!(page.into_iter().all(|id| seen.insert(id)), "nothing twice");
    }
    assert_eq!(seen.len(), 2_101);
}

/// Whoever asks for a flag finds those that have it, however many others match, the best first.
pub async fn a_flag_that_few_have_is_found_among_any_number_of_matches<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let noise: Vec<Exported> =
        (0..3).map(|n| many(&key(&format!("noise/{n:02}")), "book", n * 1_000, 1_000)).collect();
    store.import(&noise, at(0)).await.unwrap();
    let mine = key("shelf/mine");
    let printed = |id: &str, title: &str, is_printed: bool| {
        book_with(id, json!({"title": title, "printed": is_printed, "description": "common to all"}))
    };
    let books = vec![
        printed("p1", "A thing", true),
        printed("p2", "Common sense", true),
        printed("p3", "The common thing", true),
        printed("p4", "Common", false),
    ];
    refresh(&store, &mine, books, at(0)).await;
    let everywhere: Vec<Key> = noise.iter().map(|one| one.entry.key.clone()).chain([mine]).collect();
    let flag = Filter { column: "printed", test: Test::Flag(true) };
    for typed in ["co", "common"] {
        let asked = ListQuery { filters: vec![flag.clone()], ..query(&everywhere, typed, Some(Order::Rank)) };
        assert_eq!(ids(&store, &asked).await, ["p2", "p3", "p1"], "{typed}");
        let second = ListQuery { offset: 1, limit: 1, ..asked.clone() };
        assert_eq!(ids(&store, &second).await, ["p3"], "{typed}");
        let elsewhere = ListQuery { entries: everywhere[..1].to_vec(), ..asked };
        assert!(ids(&store, &elsewhere).await.is_empty(), "{typed}: another entry's");
    }
}

/// What a letter is compared by is not for each database to say.
pub async fn letters_are_folded_alike_in_every_script<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let shelf = [key("shelf/one")];
    let titles = [
        ("a", "Йод и Ёлка"),
        ("b", "Σίσυφος"),
        ("c", "ſoft Café"),
        ("d", "שָׁלוֹם"),
        ("e", "한국어"),
        ("f", "Straße"),
        ("g", "東京都の天気 v2"),
        ("h", "🚀 Launch ⭐\u{fe0f}👍\u{1f3fd}"),
        // As macOS writes the names of files.
        ("i", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af} 5\u{b5}s"),
    ];
    let books = titles.map(|(id, title)| titled(id, title, "")).to_vec();
    refresh(&store, &shelf[0], books, at(0)).await;
    for (typed, expected) in [
        ("иод", "a"),
        ("ЙОД", "a"),
        ("ёлк", "a"),
        ("елка", "a"),
        ("ΣΊΣΥΦΟΣ", "b"),
        ("σισυφος", "b"),
        ("soft", "c"),
        ("cafe\u{301}", "c"),
        ("שלום", "d"),
        ("שָׁלוֹם", "d"),
        ("한국", "e"),
        ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}", "e"),
        ("한글", "i"),
        ("5\u{3bc}s", "i"),
        ("하", ""),
        ("국어", "e"),
        ("strasse", "f"),
        ("STRAẞ", "f"),
        ("straß", "f"),
        ("東京", "g"),
        ("京都", "g"),
        ("都の v2", "g"),
        ("気", "g"),
        ("都京", ""),
        ("🚀", "h"),
        ("⭐ laun", "h"),
        ("👍", "h"),
        ("👍🏿", "h"),
        ("🌙", ""),
    ] {
        for order in [Some(Order::Rank), None] {
            let found = ids(&store, &query(&shelf, typed, order)).await;
            assert_eq!(found.concat(), expected, "{typed} {order:?}");
        }
    }
    assert_eq!(store.verify().await.unwrap(), []);
}

/// Exactly, up to a thousand.
pub async fn a_list_is_counted_as_far_as_it_pays<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (big, small) = (key("shelf/big"), key("shelf/small"));
    store.import(&[many(&big, "book", 0, 1_001)], at(0)).await.unwrap();
    store.import(&[many(&small, "book", 990, 20)], at(0)).await.unwrap();
    let of = |entries: &[Key], filters: Vec<Filter>| ListQuery { filters, ..query(entries, "", None) };
    let least = |stars: u32| Filter { column: "stars", test: Test::AtLeast(stars.to_string()) };
    let all = [big.clone(), small.clone()];
    let more = Met { count: Met::COUNTED_MAX, or_more: true };
    for (asked, expected) in [
        (of(&all, vec![]), more),
        (of(std::slice::from_ref(&big), vec![]), more),
        (of(std::slice::from_ref(&small), vec![]), Met::exactly(20)),
        (of(&all, vec![least(10)]), Met::exactly(1_000)),
        (of(&all, vec![least(1_000)]), Met::exactly(10)),
        (of(&all, vec![least(5_000)]), Met::default()),
        (of(&[], vec![]), Met::default()),
        (query(&all, "***", None), Met::default()),
    ] {
        assert_eq!(store.count(&asked).await.unwrap(), expected, "{asked:?}");
    }
}

/// What finds an item is what its document says, however it came to say so.
pub async fn half_an_answer_hides_nothing_from_a_search<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let shelf = [key("shelf/one")];
    refresh(&store, &shelf[0], vec![titled("a", "Larder", "a durable copy")], at(0)).await;
    let found = async |typed: &str| ids(&store, &query(&shelf, typed, Some(Order::Rank))).await;
    let half = |doc| NewItem { coverage: Coverage::Partial, ..book_with("a", doc) };
    refresh(&store, &shelf[0], vec![half(json!({"stars": 7}))], at(1)).await;
    assert_eq!((found("larder").await.len(), found("durable").await.len()), (1, 1), "it says neither");
    refresh(&store, &shelf[0], vec![half(json!({"title": "Pantry"}))], at(2)).await;
    assert_eq!((found("pantry").await.len(), found("durable").await.len()), (1, 1), "a new name");
    assert!(found("larder").await.is_empty(), "the old one is nobody's");
    refresh(&store, &shelf[0], vec![half(json!({"description": null}))], at(3)).await;
    assert_eq!((found("pantry").await.len(), found("durable").await.len()), (1, 0), "it has none any more");
    assert_eq!(store.verify().await.unwrap(), []);
}
