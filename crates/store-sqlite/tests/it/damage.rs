//! Damaged files: moved aside on the database's word alone, and only when nobody else uses them.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Barrier;

use larder_core::{ListQuery, Store, StoreError, Target};
use larder_store_sqlite::SqliteStore;
use larder_testkit::contract::build::{VIEW, at, book, find, heads, ids, key, lease, refresh, row};
use larder_testkit::contract::{Place, damage};
use rusqlite::Connection;

use crate::place::{TempPlace, block_on};

/// A store with enough in it that a damaged middle is met.
async fn filled(place: &TempPlace) -> SqliteStore {
    let store = place.open().await;
    let books = (0..2_000).map(|n| book(&format!("{n:05}"), n)).collect();
    refresh(&store, &key("shelf/big"), books, at(0)).await;
    store
}

/// Closes the last writer first, so that all is in the one file, then spoils it from `start` on.
fn spoil(place: &TempPlace, start: u64) {
    let mut file = fs::File::options().write(true).open(place.path()).unwrap();
    let end = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(start)).unwrap();
    file.write_all(&vec![0xa5; (end - start) as usize]).unwrap();
}

/// The damaged databases, without their side files.
fn moved(place: &TempPlace) -> Vec<String> {
    let databases = place.files().into_iter().filter(|name| name.starts_with("larder.db.corrupt-"));
    databases.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect()
}

#[test]
fn a_file_without_its_header_is_moved_aside_and_a_new_life_begins() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = filled(&place).await;
        let (before, _) = lease(&store, &key("shelf/other"), at(1)).await;
        drop(store);
        spoil(&place, 0);
        let spoilt = fs::read(place.path()).unwrap();
        let store = place.open().await;
        let aside = store.recovered().expect("it says where the file is");
        assert_eq!(moved(&place), [aside.file_name().unwrap().to_str().unwrap()]);
        assert!(aside.ends_with("larder.db.corrupt-20260101T000000Z"), "{aside:?}");
        assert_eq!(fs::read(&aside).unwrap(), spoilt, "nothing of it is lost");
        assert!(find(&store, &key("shelf/big")).await.is_none());
        let (after, _) = lease(&store, &key("shelf/other"), at(2)).await;
        assert!(after.token.epoch != before.token.epoch, "a holder from before is told apart");
        assert_eq!(store.renew(&[before], at(2)).await.unwrap(), [false]);
        drop(store);
        assert!(place.open().await.recovered().is_none());
    });
}

#[test]
fn our_mark_in_a_torn_header_witnesses_without_a_lock_file() {
    let place = TempPlace::fresh();
    drop(SqliteStore::open(place.options()).unwrap());
    fs::remove_file(place.path().with_file_name("larder.db.lock")).unwrap();
    let mut bytes = fs::read(place.path()).unwrap();
    bytes[..16].fill(0);
    fs::write(place.path(), bytes).unwrap();
    assert!(SqliteStore::open(place.options()).unwrap().recovered().is_some());
}

#[test]
fn damage_that_a_read_meets_is_moved_aside_then() {
    let place = TempPlace::fresh();
    block_on(async {
        drop(filled(&place).await);
        // The header and the schema are whole; the tables are not.
        spoil(&place, 40 * 4_096);
        let store = place.open().await;
        assert!(store.recovered().is_none(), "nothing has met it yet");
        let (before, pulse) = (store.changes(0, 10).await.unwrap().last, store.pulse().await.unwrap());
        let error = store.lookup(&[key("shelf/big")]).await.map(|_| ()).unwrap_err();
        let StoreError::Corrupt { moved_to: Some(aside), .. } = &error else { panic!("{error:?}") };
        assert_eq!(store.recovered().as_ref(), Some(aside));
        assert_eq!(moved(&place).len(), 1);
        assert!(find(&store, &key("shelf/big")).await.is_none(), "the next call meets a new store");
        refresh(&store, &key("shelf/big"), vec![book("a", 1)], at(5)).await;
        assert_eq!(ids(&row(&store, &key("shelf/big")).await), ["a"]);
        assert_eq!(store.verify().await.unwrap(), []);
        for stars in 0..20 {
            refresh(&store, &key("shelf/big"), vec![book("a", stars)], at(6)).await;
        }
        let after = store.changes(before, 100).await.unwrap();
        assert!(after.reset, "a place of the life before is none in this one");
        assert!(!store.changes(after.last, 100).await.unwrap().reset);
        assert_ne!(store.pulse().await.unwrap(), pulse);
    });
}

#[test]
fn damage_stays_in_place_while_another_process_uses_the_file() {
    let place = TempPlace::fresh();
    block_on(async {
        drop(filled(&place).await);
        spoil(&place, 40 * 4_096);
        let store = place.open().await;
        let other = fs::File::open(place.path().with_file_name("larder.db.lock")).unwrap();
        other.lock_shared().unwrap();
        let error = store.lookup(&[key("shelf/big")]).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { moved_to: None, .. }), "{error:?}");
        drop(store);
        spoil(&place, 0);
        let error = SqliteStore::open(place.options()).map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { moved_to: None, .. }), "{error:?}");
        assert!(moved(&place).is_empty());
        drop(other);
        assert!(SqliteStore::open(place.options()).unwrap().recovered().is_some());
    });
}

#[test]
fn damage_is_found_by_verify_without_moving_anything() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = filled(&place).await;
        let conn = Connection::open(place.path()).unwrap();
        conn.execute_batch(
            "PRAGMA foreign_keys = OFF;
             DELETE FROM items WHERE id = '00007';
             UPDATE items SET derived = '{' WHERE id = '00008';
             UPDATE entries SET began = 99999, warnings = 'oops';",
        )
        .unwrap();
        let problems = store.verify().await.unwrap();
        let said = |part: &str| problems.iter().any(|problem| problem.message.contains(part));
        assert!(said("rows name items that are not there"), "{problems:?}");
        assert!(said("what was derived of it is not JSON"), "{problems:?}");
        assert!(said("ahead of the store's"), "{problems:?}");
        assert!(said("column `warnings` holds `oops`"), "{problems:?}");
        let error = store.lookup(&[key("shelf/big")]).await.map(|_| ()).unwrap_err();
        assert!(
            matches!(error, StoreError::BadRow { table: "entries", column: "warnings", .. }),
            "{error:?}"
        );
        assert!(moved(&place).is_empty());
        store.evict(&Target::All, at(1)).await.unwrap();
        assert_eq!(store.verify().await.unwrap(), [], "`cache clear` heals it");
    });
}

#[test]
fn one_damaged_row_keeps_nobody_from_the_others() {
    let place = TempPlace::fresh();
    let damage = async |name: &str| {
        let conn = Connection::open(place.path()).unwrap();
        conn.execute("UPDATE entries SET warnings = 'oops' WHERE key = ?1", [name]).unwrap();
    };
    block_on(damage::one_damaged_row_keeps_nobody_from_the_others(async || place.open().await, damage));
}

#[test]
fn a_full_text_index_that_went_astray_is_rebuilt() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = filled(&place).await;
        let conn = Connection::open(place.path()).unwrap();
        conn.execute_batch("INSERT INTO items_fts (items_fts) VALUES ('delete-all')").unwrap();
        let problems = store.verify().await.unwrap();
        assert!(problems.iter().any(|problem| problem.on == "items_fts"), "{problems:?}");
        assert_eq!(store.verify().await.unwrap(), []);
        assert!(store.recovered().is_none());
    });
}

#[test]
fn a_damaged_index_of_words_fails_neither_writes_nor_reads() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = filled(&place).await;
        let found = async |word: &str| {
            let query = ListQuery {
                view: &VIEW,
                entries: heads(&store, None).await.into_iter().map(|head| head.entry.key).collect(),
                search: Some(word.to_owned()),
                filters: Vec::new(),
                order: None,
                offset: 0,
                limit: 100,
            };
            let listed = store.list(&query).await.unwrap();
            listed.iter().map(|listed| listed.item.of.id.to_string()).collect::<Vec<_>>()
        };
        // What the index says of its own pieces.
        let damage = || {
            let conn = Connection::open(place.path()).unwrap();
            conn.execute("DELETE FROM items_fts_data WHERE id = 10", []).unwrap();
        };
        damage();
        refresh(&store, &key("shelf/alone"), vec![book("zebra", 1)], at(1)).await;
        assert_eq!(found("zebra").await, ["zebra"]);
        damage();
        let together = (0..20).map(|n| {
            let (store, shelf) = (&store, key(&format!("shelf/{n}")));
            async move { refresh(store, &shelf, vec![book(&format!("yak{n}"), n)], at(2)).await }
        });
        futures::future::join_all(together).await;
        assert_eq!(found("yak").await.len(), 20, "each in one piece, and once");
        damage();
        assert_eq!(found("zebra").await, ["zebra"], "a read that mends it is answered");
        assert_eq!(store.verify().await.unwrap(), []);
        assert!(store.recovered().is_none());
    });
}

#[test]
fn a_journal_that_a_crash_left_is_rolled_back() {
    let (crashed, found) = (TempPlace::fresh(), TempPlace::fresh());
    block_on(async {
        drop(filled(&crashed).await);
        let conn = Connection::open(crashed.path()).unwrap();
        // A small cache writes into the file before the commit, as a crash in the middle of one leaves it.
        conn.execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN IMMEDIATE;
             UPDATE items SET scope = 'repo:h/o/r'; UPDATE entries SET key = 'shelf/half';",
        )
        .unwrap();
        for file in crashed.files() {
            fs::copy(crashed.path().with_file_name(&file), found.path().with_file_name(&file)).unwrap();
        }
        assert!(found.files().contains(&"larder.db-journal".to_owned()));
        drop(conn);
        let store = found.open().await;
        assert!(store.recovered().is_none());
        let row = row(&store, &key("shelf/big")).await;
        assert_eq!(row.members.len(), 2_000);
        assert!(row.members.iter().all(|member| member.item.scope.is_public()));
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn of_many_that_meet_a_damaged_file_at_once_one_replaces_it_and_all_open() {
    for _ in 0..5 {
        let place = TempPlace::fresh();
        block_on(async { drop(place.open().await) });
        spoil(&place, 0);
        let start = Barrier::new(6);
        let open = || {
            start.wait();
            block_on(place.open())
        };
        let stores: Vec<SqliteStore> = std::thread::scope(|scope| {
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
}
