//! Damaged files: moved aside on redb's word alone, and only when nobody else uses them.

use std::fs;
use std::sync::Barrier;

use larder_core::{
    Commit, Committed, ListQuery, LogFilter, LogLine, Order, Outcome, Spent, Store, StoreError, Target,
    Trigger, Write, list_past_damage,
};
use larder_store_redb::{Hold, OpenOptions, RedbStore};
use larder_testkit::contract::build::{
    VIEW, at, book, book_with, commit_of, fetched, find, ids, key, lease, refresh, row,
};
use larder_testkit::contract::{Place, damage};
use redb::{ReadableTable, TableDefinition};
use serde_json::json;

use crate::place::{TempPlace, block_on};

/// Damages what is in a place.
type Spoil<'a> = &'a dyn Fn(&TempPlace);

const HOLDS: [Hold; 2] = [Hold::PerCall, Hold::Throughout];

fn open(place: &TempPlace, hold: Hold) -> RedbStore {
    RedbStore::open(OpenOptions { hold, ..place.options() }).unwrap()
}

/// A closed store with enough in it that a damaged middle is met.
fn fill(place: &TempPlace) {
    let store = open(place, Hold::Throughout);
    let books = (0..2_000).map(|n| book(&format!("{n:05}"), n)).collect();
    block_on(refresh(&store, &key("shelf/big"), books, at(0)));
}

fn spoil(place: &TempPlace, part: std::ops::Range<usize>) {
    let mut bytes = fs::read(place.path()).unwrap();
    let part = part.start.min(bytes.len())..part.end.min(bytes.len());
    bytes[part].fill(0xa5);
    fs::write(place.path(), bytes).unwrap();
}

fn moved(place: &TempPlace) -> Vec<String> {
    place.files().into_iter().filter(|name| name.starts_with("larder.redb.corrupt-")).collect()
}

#[test]
fn a_file_that_cannot_be_opened_is_moved_aside_and_a_new_life_begins() {
    let cut = |place: &TempPlace| {
        let bytes = fs::read(place.path()).unwrap();
        fs::write(place.path(), &bytes[..bytes.len() / 2]).unwrap();
    };
    let header = |place: &TempPlace| spoil(place, 0..64);
    let all = |place: &TempPlace| spoil(place, 0..usize::MAX);
    let behind_the_header = |place: &TempPlace| spoil(place, 4_096..usize::MAX);
    let cases: [(&str, Spoil<'_>); 4] = [
        ("cut in half", &cut),
        ("without its header", &header),
        ("all of it", &all),
        ("all but its header", &behind_the_header),
    ];
    for (what, damage) in cases {
        for hold in HOLDS {
            let place = TempPlace::fresh();
            fill(&place);
            let before = block_on(lease(&open(&place, hold), &key("shelf/other"), at(1))).0;
            let place_before = block_on(open(&place, hold).changes(0, 10)).unwrap().last;
            damage(&place);
            let spoilt = fs::read(place.path()).unwrap();
            let store = open(&place, hold);
            let aside = store.recovered().unwrap_or_else(|| panic!("{what}: it says where the file is"));
            assert_eq!(moved(&place), [aside.file_name().unwrap().to_str().unwrap()], "{what}");
            assert!(aside.ends_with("larder.redb.corrupt-20260101T000000Z"), "{aside:?}");
            assert!(fs::read(&aside).unwrap() == spoilt, "{what}: nothing of it is lost");
            block_on(async {
                assert!(find(&store, &key("shelf/big")).await.is_none());
                let (after, _) = lease(&store, &key("shelf/other"), at(2)).await;
                assert!(after.token.epoch != before.token.epoch, "a holder from before is told apart");
                assert_eq!(store.renew(&[before], at(2)).await.unwrap(), [false]);
                for stars in 0..20 {
                    refresh(&store, &key("shelf/new"), vec![book("a", stars)], at(3)).await;
                }
                let after = store.changes(place_before, 100).await.unwrap();
                assert!(after.reset, "a place of the life before is none in this one");
                assert!(!store.changes(after.last, 100).await.unwrap().reset);
            });
            drop(store);
            assert!(open(&place, hold).recovered().is_none());
        }
    }
}

/// Where the text of one item lies, so that only its page is damaged.
fn place_of(place: &TempPlace, text: &str) -> usize {
    let bytes = fs::read(place.path()).unwrap();
    bytes.windows(text.len()).rposition(|window| window == text.as_bytes()).unwrap()
}

#[test]
fn damaged_pages_are_an_error_or_met_and_moved_aside_but_never_a_panic() {
    // Page after page, whatever it holds.
    for page in (1..400).step_by(37) {
        let place = TempPlace::fresh();
        fill(&place);
        spoil(&place, page * 4_096..(page + 3) * 4_096);
        for hold in HOLDS {
            let Ok(store) = RedbStore::open(OpenOptions { hold, ..place.options() }) else {
                panic!("page {page}: a damaged file is replaced");
            };
            block_on(async {
                // Whatever it says, it says, and then goes on.
                let _ = store.lookup(&[key("shelf/big")]).await;
                let _ = store.rows(None, None, 100).await;
                let problems = store.verify().await.unwrap();
                if let Some(aside) = store.recovered() {
                    assert!(fs::exists(aside).unwrap());
                    assert!(problems.len() <= 1, "page {page}: {problems:?}");
                }
                let _ = store.evict(&Target::All, at(1)).await.unwrap();
                refresh(&store, &key("shelf/new"), vec![book("a", 1)], at(2)).await;
                assert_eq!(ids(&row(&store, &key("shelf/new")).await), ["a"], "page {page}");
            });
        }
    }
}

#[test]
fn damage_that_only_checksums_show_is_found_by_verify() {
    for hold in HOLDS {
        let place = TempPlace::fresh();
        fill(&place);
        let at_text = place_of(&place, "\"title\":\"01000\"");
        spoil(&place, at_text + 9..at_text + 10);
        let store = open(&place, hold);
        block_on(async {
            let problems = store.verify().await.unwrap();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].on, "file");
            assert!(store.recovered().is_some(), "a file that redb cannot mend is moved aside");
            assert!(find(&store, &key("shelf/big")).await.is_none());
            assert_eq!(store.verify().await.unwrap(), []);
        });
    }
}

#[test]
fn damage_stays_in_place_while_another_process_uses_the_file() {
    let place = TempPlace::fresh();
    fill(&place);
    let other = fs::File::open(place.path().with_file_name("larder.redb.lock")).unwrap();
    other.lock_shared().unwrap();
    spoil(&place, 0..usize::MAX);
    let error = RedbStore::open(place.options()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { moved_to: None, .. }), "{error:?}");
    assert!(moved(&place).is_empty());
    drop(other);
    assert!(open(&place, Hold::PerCall).recovered().is_some());
}

#[test]
fn of_many_that_meet_a_damaged_file_at_once_one_replaces_it_and_all_open() {
    let place = TempPlace::fresh();
    drop(open(&place, Hold::PerCall));
    spoil(&place, 0..usize::MAX);
    let start = Barrier::new(6);
    let open = || {
        start.wait();
        open(&place, Hold::PerCall)
    };
    let stores: Vec<RedbStore> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(moved(&place).len(), 1);
    assert_eq!(stores.iter().filter(|store| store.recovered().is_some()).count(), 1);
    block_on(async {
        for (n, store) in (0..).zip(&stores) {
            refresh(store, &key("shelf/one"), vec![book("a", n)], at(0)).await;
            assert_eq!(ids(&row(&stores[0], &key("shelf/one")).await), ["a"]);
        }
    });
}

/// Though all items are read to put them in order.
#[test]
fn an_item_that_cannot_be_read_has_its_place_in_a_list_and_keeps_nobody_from_the_others() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = open(&place, Hold::PerCall);
        let books = ["a", "b", "c", "d"].map(|id| book(id, 1)).to_vec();
        refresh(&store, &key("shelf/all"), books, at(0)).await;
    });
    let database = redb::Database::open(place.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut items = transaction.open_table(table("items")).unwrap();
        let spoilt = items.iter().unwrap().nth(1).unwrap().unwrap().0.value().to_vec();
        items.insert(spoilt.as_slice(), &b"\xff\xff"[..]).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let store = open(&place, Hold::PerCall);
    for (order, search, places) in [
        (None, None, 4),
        (Some(Order::Ascending("title")), None, 4),
        (Some(Order::Descending("stars")), None, 4),
        (Some(Order::Rank), None, 4),
        // Nothing says whether it is found.
        (Some(Order::Rank), Some("a"), 1),
    ] {
        for limit in [1, 3, 100] {
            let (mut shown, mut met) = (Vec::new(), 0);
            for offset in (0..6).step_by(limit) {
                let query = ListQuery {
                    view: &VIEW,
                    entries: vec![key("shelf/all")],
                    search: search.map(str::to_owned),
                    filters: Vec::new(),
                    order,
                    offset,
                    limit,
                };
                for found in block_on(list_past_damage(&store, &query)).unwrap() {
                    met += 1;
                    shown.extend(found.ok().map(|listed| listed.item.of.id.to_string()));
                }
            }
            shown.sort();
            let expected: &[&str] = if search.is_some() { &["a"] } else { &["a", "c", "d"] };
            assert_eq!(shown, expected, "{order:?} {limit}");
            assert_eq!(met, places, "{order:?} {limit}");
        }
    }
}

const fn table(name: &'static str) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

#[test]
fn rows_that_went_astray_are_told_of_and_a_clear_heals_them() {
    let place = TempPlace::fresh();
    fill(&place);
    let database = redb::Database::open(place.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut items = transaction.open_table(table("items")).unwrap();
        let lost = items.iter().unwrap().nth(7).unwrap().unwrap().0.value().to_vec();
        items.remove(lost.as_slice()).unwrap();
        let mut entries = transaction.open_table(table("entries")).unwrap();
        entries.insert(&b"shelf/torn"[..], &b"\xff\xff"[..]).unwrap();
        let mut tags = transaction.open_table(table("entries_by_tag")).unwrap();
        tags.insert(&b"red\0\0shelf/torn"[..], &b""[..]).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let store = open(&place, Hold::PerCall);
    block_on(async {
        let problems = store.verify().await.unwrap();
        let said = |on: &str, part: &str| {
            problems.iter().any(|problem| problem.on.contains(on) && problem.message.contains(part))
        };
        assert!(said("members shelf/big", "items that are not there"), "{problems:?}");
        assert!(said("entries", "shelf/torn"), "{problems:?}");
        assert!(said("entries_by_tag", "made anew"), "{problems:?}");
        let error = store.lookup(&[key("shelf/torn")]).await.unwrap_err();
        assert!(matches!(error, StoreError::BadRow { table: "entries", .. }), "{error:?}");
        let error = store.lookup(&[key("shelf/big")]).await.unwrap_err();
        assert!(matches!(error, StoreError::BadRow { table: "members", .. }), "{error:?}");
        assert_eq!(store.evict(&Target::All, at(1)).await.unwrap(), 2);
        assert_eq!(store.verify().await.unwrap(), [], "`cache clear` heals it");
        assert_eq!(store.info().await.unwrap().items, 0);
        assert!(store.recovered().is_none());
    });
}

#[test]
fn one_damaged_row_keeps_nobody_from_the_others() {
    let place = TempPlace::fresh();
    let damage = async |name: &str| {
        let database = redb::Database::open(place.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut entries = transaction.open_table(table("entries")).unwrap();
        entries.insert(name.as_bytes(), &b"\xff\xff"[..]).unwrap();
        drop(entries);
        transaction.commit().unwrap();
    };
    let open = async || open(&place, Hold::PerCall);
    block_on(damage::one_damaged_row_keeps_nobody_from_the_others(open, damage));
}

#[test]
fn a_line_of_the_log_that_cannot_be_read_keeps_no_look_from_leaving_its_own() {
    let place = TempPlace::fresh();
    let shelf = key("shelf/a");
    let look = async |store: &RedbStore, second: u64| {
        let (held, _) = lease(store, &shelf, at(second)).await;
        let same =
            Write { outcome: Outcome::NotModified, members: None, tags: None, ..fetched(vec![], at(second)) };
        let attempt = commit_of(&held, same, at(second));
        let log = LogLine { trigger: Trigger::Read, spent: Spent::default(), ..attempt.log.clone() };
        store.commit(Commit { log, ..attempt }).await
    };
    let store = open(&place, Hold::PerCall);
    block_on(async {
        refresh(&store, &shelf, vec![book("a", 1)], at(0)).await;
        look(&store, 1).await.unwrap();
    });
    drop(store);
    let database = redb::Database::open(place.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(table("refresh_log"))
        .unwrap()
        .insert(&2_u64.to_be_bytes()[..], &b"\xff\xff"[..])
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let store = open(&place, Hold::PerCall);
    block_on(async {
        for second in 2..20 {
            let done = look(&store, second).await;
            assert!(matches!(done, Ok(Committed::Done { .. })), "{second}: {done:?}");
        }
        let newest = LogFilter { key: Some(shelf.clone()), limit: LogLine::IDLE_KEPT };
        assert_eq!(store.log(&newest).await.unwrap()[0].started_at, at(19));
    });
}

#[test]
fn a_file_that_a_sweep_emptied_is_made_smaller() {
    for hold in HOLDS {
        let place = TempPlace::fresh();
        let store = open(&place, hold);
        block_on(async {
            let text = "so that a row weighs what rows weigh ".repeat(120);
            let big = |n: i64| {
                book_with(&format!("{n:05}"), json!({"title": format!("{n:05}"), "stars": n, "blurb": text}))
            };
            refresh(&store, &key("shelf/big"), (0..1_500).map(big).collect(), at(0)).await;
            refresh(&store, &key("shelf/small"), vec![book("a", 1)], at(0)).await;
            let full = fs::metadata(place.path()).unwrap().len();
            refresh(&store, &key("shelf/big"), vec![], at(1)).await;
            let before = fs::metadata(place.path()).unwrap().len();
            assert!(before >= full, "redb gives nothing back by itself");
            let swept = store.sweep(&larder_core::Retention::default(), at(2)).await.unwrap();
            assert_eq!(swept.items, 1_500);
            let after = fs::metadata(place.path()).unwrap().len();
            assert!(after < full / 2, "{full} → {after} bytes");
            assert_eq!(store.info().await.unwrap().bytes, after);
            assert_eq!(ids(&row(&store, &key("shelf/small")).await), ["a"]);
            assert_eq!(store.verify().await.unwrap(), []);
        });
    }
}
