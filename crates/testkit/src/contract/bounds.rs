//! Stories of what upstreams say beyond what can be kept: one item of it takes no other along, and every store
//! keeps the same.

use larder_core::{
    Answer, Attempt, Definition, Exported, ExportedMember, Fetched, Filter, Finding, Fingerprint, Item,
    ItemRef, Json, Key, ListQuery, Listing, MemberState, NewItem, Order, Policy, Status, Store, Stored, Test,
    Write, absorb,
};
use serde_json::json;

use super::Place;
use super::build::{VIEW, at, book, book_with, done, exported, field, ids, key, lease, refresh, row, write};

/// What comes of a whole answer with these items and tags.
fn absorbed(before: &Stored, items: Vec<NewItem>, tags: &[&str]) -> Write {
    let answer = |item: NewItem| Answer { asked: item.of.id.clone(), finding: Finding::Present(item) };
    let listing = Listing {
        answers: items.into_iter().map(answer).collect(),
        whole: true,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..Listing::default()
    };
    let policy = Policy { jitter: 0.0, ..Policy::default() };
    absorb(Attempt {
        before,
        definition: &Definition::new(Fingerprint::trusted("one"), policy),
        subset: false,
        result: Ok(Fetched::Items(listing)),
        now: at(0),
        chance: 0.0,
    })
}

async fn take(store: &impl Store, key: &Key, items: Vec<NewItem>, tags: &[&str]) {
    let (held, before) = lease(store, key, at(0)).await;
    let write = absorbed(&before, items, tags);
    done(store.commit(super::build::commit_of(&held, write, at(0))).await.unwrap());
}

fn written(id: &str, doc: impl Into<String>) -> NewItem {
    NewItem { doc: Json::parse(doc.into()).unwrap(), ..book(id, 0) }
}

fn nested(depth: usize) -> String {
    format!(r#"{{"title":"nested","stars":1,"n":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1))
}

/// Text of so many bytes that nothing can pack.
fn noise(bytes: usize) -> String {
    let mut state: u64 = 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (state >> 33) as u8 % 90)
    };
    (0..bytes).map(|_| next()).collect()
}

fn list(key: &Key, search: Option<&str>, order: Option<Order>) -> ListQuery {
    ListQuery {
        view: &VIEW,
        entries: vec![key.clone()],
        search: search.map(str::to_owned),
        filters: Vec::new(),
        order,
        offset: 0,
        limit: 100,
    }
}

/// What no store, or one of them alone, can keep; why.
fn beyond() -> Vec<(NewItem, &'static str)> {
    vec![
        (book(&noise(1_025), 1), "its id has 1025 bytes, 1024 is the limit"),
        (book("nul\0", 1), "its id holds the character U+0000"),
        (NewItem { of: ItemRef::new(noise(1_025), "kind"), ..book("", 1) }, "its kind has 1025 bytes"),
        (written("deep", nested(128)), "its document is nested deeper than 127 levels"),
        (written("deeper", nested(100_000)), "its document is nested deeper than 127 levels"),
        (written("huge", r#"{"title":"huge","stars":1e309}"#), "its document holds the number 1e309"),
        (written("tiny", r#"{"title":"tiny","stars":-1E-20000}"#), "its document holds the number -1E-20000"),
        (
            written("long", format!(r#"{{"title":"long","stars":0.{}}}"#, "3".repeat(20_000))),
            "its document holds the number 0.333",
        ),
        (
            // Parsing so much takes its time.
            NewItem { doc: Json::trusted(format!("[{}0]", "0,".repeat(8 << 20))), ..book("large", 1) },
            "its document has 16777219 bytes, 16777216 is the limit",
        ),
    ]
}

/// One item that cannot be kept is left out and named; all others are there.
pub async fn one_item_that_cannot_be_kept_takes_no_other_along<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    for (nr, (unfit, why)) in beyond().into_iter().enumerate() {
        let id = unfit.of.id.clone();
        let items = vec![book("a", 1), unfit, book("b", 2)];
        take(&store, &cinder, items, &["red", &noise(1_025)]).await;
        let held = row(&store, &cinder).await;
        assert_eq!(ids(&held), ["a", "b"], "{why}");
        assert_eq!((held.entry.complete, held.entry.attempts), (true, 0));
        assert_eq!(held.entry.status(None, at(1)), Status::Fresh);
        let [about_item, about_tag] = held.entry.warnings.as_slice() else { panic!("{:?}", held.entry) };
        assert_eq!((about_item.code.as_str(), about_tag.code.as_str()), ("unfit", "unfit"));
        assert!(about_item.message.contains(&format!("is left out: {why}")), "{}", about_item.message);
        let name: String = id.chars().take(3).collect();
        assert!(about_item.about.starts_with(&name) && about_item.message.len() < 900, "{nr}");
        assert!(about_tag.message.contains("1025 bytes"), "{}", about_tag.message);
    }
    let listed = store.list(&list(&cinder, None, Some(Order::Ascending("title")))).await.unwrap();
    assert_eq!(listed.len(), 2);
    let met = store.invalidate(&larder_core::Target::Tag("red".to_owned()), at(2)).await.unwrap();
    assert_eq!(met.count, 1, "the other tag is there");
    assert_eq!(store.verify().await.unwrap(), []);
}

/// The copy that is held of it stays, in its place and with a warning.
pub async fn an_older_copy_of_what_cannot_be_kept_stays<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1), book("deep", 7), book("b", 2)], at(0)).await;
    take(&store, &cinder, vec![book("a", 3), written("deep", nested(128)), book("b", 4)], &[]).await;
    let held = row(&store, &cinder).await;
    assert_eq!(ids(&held), ["a", "deep", "b"]);
    let stars = ["a", "deep", "b"].map(|id| field(&held, id, "stars"));
    assert_eq!(stars, [json!(3), json!(7), json!(4)]);
    assert!(held.entry.warnings[0].message.starts_with("`deep` is shown as it was: "));
}

/// What is just within bounds is kept, found, listed and moved by every store; what texts cannot hold is
/// replaced alike.
pub async fn what_is_just_within_bounds_is_kept_by_every_store<P: Place>() {
    let (place, elsewhere) = (P::fresh(), P::fresh());
    let (store, other) = (place.open().await, elsewhere.open().await);
    let long_key = key(&format!("shelf/{}", "k".repeat(Key::BYTES_MAX - 6)));
    let (name, title) = (noise(1_024), format!("endless {}", "wörd ".repeat(20_000)));
    let number = format!("0.{}", "3".repeat(998));
    let items = vec![
        book(&name, 1),
        written("nested", nested(127)),
        written("digits", format!(r#"{{"title":"digits","stars":{number}}}"#)),
        written("largest", r#"{"title":"largest","stars":1.7e308,"tiny":1e-400}"#),
        written("nul", r#"{"title":"a\u0000b","description":"half \ud83e","whole":"\ud83e\udd80"}"#),
        book_with("endless", json!({"title": title, "description": title, "language": title, "stars": 5})),
    ];
    take(&store, &long_key, items.clone(), &[&name]).await;
    let held = row(&store, &long_key).await;
    let asked: Vec<&str> = items.iter().map(|item| &*item.of.id).collect();
    assert_eq!((ids(&held), held.entry.warnings.len()), (asked.clone(), 0));
    assert_eq!(field(&held, "nul", "title"), "a\u{fffd}b");
    assert_eq!(
        (field(&held, "nul", "description"), field(&held, "nul", "whole")),
        (json!("half \u{fffd}"), json!("🦀"))
    );
    assert_eq!(field(&held, "endless", "title"), title);
    let again = absorbed(&held, items.clone(), &[&name]);
    let (version, counts, _) = done(write(&store, &long_key, again, at(0)).await);
    assert_eq!((version, counts.changed), (1, 0), "what was replaced is no change the next time");
    for order in ["title", "language", "stars", "published_at"] {
        for order in [Order::Ascending(order), Order::Descending(order)] {
            let listed = store.list(&list(&long_key, None, Some(order))).await.unwrap();
            assert_eq!(listed.len(), asked.len(), "{order:?}");
        }
    }
    let found = store.list(&list(&long_key, Some("endless wörd"), None)).await.unwrap();
    assert_eq!(found.len(), 1);
    let is_it = vec![Filter { column: "title", test: Test::Is(title.to_uppercase()) }];
    let same = store.list(&ListQuery { filters: is_it, ..list(&long_key, None, None) }).await.unwrap();
    assert!(same.len() <= 1, "letters beyond ASCII may be told apart");
    assert_eq!(store.verify().await.unwrap(), []);
    let moved = store.export(None, 10).await.unwrap();
    assert_eq!(other.import(&moved, at(1)).await.unwrap(), 1);
    assert_eq!(row(&other, &long_key).await.members, held.members);
    assert_eq!(other.verify().await.unwrap(), []);
}

/// As an answer: what cannot be kept of an entry is left out of it before it is imported.
pub async fn an_import_leaves_out_what_cannot_be_kept<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let beyond = beyond();
    let count = beyond.len();
    let items = beyond.into_iter().map(|(item, _)| item).chain([book("a", 1)]);
    let member = |item: NewItem| ExportedMember {
        asked: item.of.id.clone(),
        state: MemberState::Shown,
        item: Item { of: item.of, scope: item.scope, doc: item.doc, derived: None, fetched_at: at(0) },
    };
    let whole = exported(&cinder, &["red", &noise(1_025)], at(0));
    let mut whole = Exported { members: items.map(member).collect(), ..whole };
    whole.entry.cursor = Some("all of them".to_owned());
    let (fit, told) = whole.admit().unwrap();
    assert_eq!(told.len(), count + 1);
    assert_eq!(store.import(&[fit], at(1)).await.unwrap(), 1);
    let held = row(&store, &cinder).await;
    assert_eq!((ids(&held), &held.entry.warnings), (vec!["a"], &told));
    assert_eq!(
        (held.entry.complete, held.entry.cursor),
        (false, None),
        "the next fetch asks for all of them"
    );
    let mut unfit = exported(&cinder, &[], at(0));
    unfit.entry.body = Some(Json::parse("1e999").unwrap());
    unfit.admit().unwrap_err();
}
