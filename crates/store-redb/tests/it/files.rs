//! Files that are not ours, not current, not writable, or full.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use larder_core::{Store, StoreError, Target};
use larder_store_redb::{Access, Hold, OpenOptions, RedbStore};
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{NOW, at, book, ids, key, refresh, row};
use redb::{Database, MultimapTableDefinition, ReadableDatabase, TableDefinition};

use crate::place::{TempPlace, block_on};

/// Puts something in a place.
type Make<'a> = &'a dyn Fn(&TempPlace);

const NOTES: TableDefinition<'_, &str, u64> = TableDefinition::new("notes");

fn refused(place: &TempPlace) -> StoreError {
    RedbStore::open(place.options()).map(|_| ()).unwrap_err()
}

fn make_notes(database: &Database, table: TableDefinition<'_, &str, u64>) {
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert("note", 1).unwrap();
    transaction.commit().unwrap();
}

/// A copy of a database as a crash leaves it: open, and not closed.
fn make_unclean(place: &TempPlace) {
    let elsewhere = place.path().with_file_name("elsewhere");
    let database = Database::create(&elsewhere).unwrap();
    make_notes(&database, NOTES);
    fs::copy(&elsewhere, place.path()).unwrap();
    drop(database);
    fs::remove_file(elsewhere).unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_left_byte_for_byte() {
    let text = |place: &TempPlace| fs::write(place.path(), "Dear diary,\n").unwrap();
    let zeroes = |place: &TempPlace| fs::write(place.path(), vec![0; 20_000]).unwrap();
    let sqlite = |place: &TempPlace| fs::write(place.path(), b"SQLite format 3\0 and so on").unwrap();
    let other = |place: &TempPlace| make_notes(&Database::create(place.path()).unwrap(), NOTES);
    let same_name = |place: &TempPlace| {
        make_notes(&Database::create(place.path()).unwrap(), TableDefinition::new("larder"));
    };
    let same_type = |place: &TempPlace| {
        let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("larder");
        let database = Database::create(place.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(table).unwrap().insert(&b"magic"[..], &b"pantry"[..]).unwrap();
        transaction.commit().unwrap();
    };
    let multimap = |place: &TempPlace| {
        let table: MultimapTableDefinition<'_, u64, u64> = MultimapTableDefinition::new("many");
        let database = Database::create(place.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_multimap_table(table).unwrap().insert(1, 1).unwrap();
        transaction.commit().unwrap();
    };
    let unclean = |place: &TempPlace| make_unclean(place);
    let torn = |place: &TempPlace| {
        other(place);
        let mut bytes = fs::read(place.path()).unwrap();
        bytes[64..300].fill(0xa5);
        fs::write(place.path(), bytes).unwrap();
    };
    let cases: [(&str, Make<'_>); 9] = [
        ("a text", &text),
        ("zeroes", &zeroes),
        ("a SQLite database", &sqlite),
        ("another redb database", &other),
        ("a table of our name", &same_name),
        ("a table of our name and type", &same_type),
        ("tables of another sort", &multimap),
        ("one that was not closed well", &unclean),
        ("one that is damaged", &torn),
    ];
    for (what, make) in cases {
        let place = TempPlace::fresh();
        make(&place);
        let before = fs::read(place.path()).unwrap();
        for hold in [Hold::PerCall, Hold::Throughout] {
            let options = OpenOptions { hold, ..place.options() };
            let error = RedbStore::open(options).map(|_| ()).unwrap_err();
            assert!(matches!(error, StoreError::Foreign { .. }), "{what}: {error:?}");
            assert!(error.to_string().contains(place.path().to_str().unwrap()), "{error}");
            assert!(fs::read(place.path()).unwrap() == before, "{what}: it is as it was");
            assert_eq!(place.files(), ["larder.redb"], "{what}: nothing is made beside it");
        }
    }
}

#[test]
fn a_foreign_database_beside_our_lock_file_is_foreign_all_the_same() {
    let place = TempPlace::fresh();
    let store = RedbStore::open(place.options()).unwrap();
    fs::remove_file(place.path()).unwrap();
    make_unclean(&place);
    let before = fs::read(place.path()).unwrap();
    assert!(matches!(refused(&place), StoreError::Foreign { .. }));
    // Also where it was put there between two calls of one that has been open all along.
    block_on(async {
        let error = store.lookup(&[key("shelf/a")]).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
        let error = store.invalidate(&Target::All, at(0)).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    });
    assert!(fs::read(place.path()).unwrap() == before);
}

/// Where the kind of store was mistyped, the other kind's file lies beside a lock that is ours.
#[test]
fn a_store_of_the_other_kind_is_not_damage() {
    let place = TempPlace::fresh();
    drop(RedbStore::open(place.options()).unwrap());
    let before = [b"SQLite format 3\0".as_slice(), &[0; 8_000]].concat();
    fs::write(place.path(), &before).unwrap();
    let error = refused(&place);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("`sqlite:PATH`"), "{error}");
    assert!(fs::read(place.path()).unwrap() == before);
}

#[test]
fn an_empty_file_and_a_database_without_tables_are_ours_to_take() {
    let empty = TempPlace::fresh();
    fs::write(empty.path(), "").unwrap();
    block_on(async { refresh(&empty.open().await, &key("shelf/a"), vec![], at(0)).await });
    let database = TempPlace::fresh();
    drop(Database::create(database.path()).unwrap());
    block_on(async { refresh(&database.open().await, &key("shelf/a"), vec![], at(0)).await });
}

#[test]
fn a_newer_schema_is_refused_untouched() {
    let place = TempPlace::fresh();
    drop(RedbStore::open(place.options()).unwrap());
    let database = Database::open(place.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("larder");
    transaction.open_table(table).unwrap().insert(&b"schema"[..], &99_u32.to_be_bytes()[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(place.path()).unwrap();
    let error = refused(&place);
    assert!(matches!(error, StoreError::TooNew { found: 99, .. }), "{error:?}");
    assert!(fs::read(place.path()).unwrap() == before);
}

#[test]
fn files_and_directories_are_the_users_alone() {
    let place = TempPlace::fresh();
    let path = place.path().with_file_name("deep").join("er").join("larder.redb");
    let store = RedbStore::open(OpenOptions::new(&path, NOW)).unwrap();
    block_on(refresh(&store, &key("shelf/a"), vec![], at(0)));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
    for file in ["larder.redb", "larder.redb.lock"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
}

#[test]
fn a_file_that_went_away_between_two_calls_is_made_again() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        let (before, _) = larder_testkit::contract::build::lease(&store, &key("shelf/a"), at(0)).await;
        drop(place.open().await);
        // The writer lets go of it before another may open it.
        let _ = RedbStore::open(OpenOptions { hold: Hold::Throughout, ..place.options() }).unwrap();
        fs::remove_file(place.path()).unwrap();
        assert!(larder_testkit::contract::build::find(&store, &key("shelf/a")).await.is_none());
        let (after, _) = larder_testkit::contract::build::lease(&store, &key("shelf/a"), at(0)).await;
        assert!(after.token.epoch != before.token.epoch, "a holder from before is told apart");
    });
}

#[test]
fn a_store_opened_for_reading_reads_and_makes_nothing() {
    let place = TempPlace::fresh();
    let options = OpenOptions { access: Access::ReadOnly, ..place.options() };
    let error = RedbStore::open(options.clone()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(place.files().is_empty());
    block_on(async {
        let cinder = key("shelf/cinder");
        let writing = place.open().await;
        refresh(&writing, &cinder, vec![book("a", 1)], at(0)).await;
        let reading = RedbStore::open(options).unwrap();
        assert_eq!(ids(&row(&reading, &cinder).await), ["a"]);
        let error = reading.mark_due(&[cinder], larder_core::Trigger::Read, at(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        assert!(!error.hints().is_empty());
    });
}

/// As a crash leaves a store of ours: written to, and not closed.
fn crashed(place: &TempPlace) -> Vec<u8> {
    let options = OpenOptions { hold: Hold::Throughout, ..place.options() };
    let store = RedbStore::open(options).unwrap();
    block_on(refresh(&store, &key("shelf/cinder"), vec![book("a", 1)], at(0)));
    fs::read(place.path()).unwrap()
}

#[test]
fn what_was_not_closed_well_is_read_without_being_touched_where_it_may_not_be() {
    let place = TempPlace::fresh();
    let torn = crashed(&place);
    fs::write(place.path(), &torn).unwrap();
    assert!(redb::ReadOnlyDatabase::open(place.path()).is_err(), "redb wants it repaired first");
    let options = OpenOptions { access: Access::ReadOnly, ..place.options() };
    let reading = RedbStore::open(options).unwrap();
    assert_eq!(ids(&block_on(row(&reading, &key("shelf/cinder")))), ["a"]);
    assert!(fs::read(place.path()).unwrap() == torn, "it was repaired in memory alone");
    // Whoever may write repairs it, and then it is well for all.
    block_on(async { assert_eq!(ids(&row(&place.open().await, &key("shelf/cinder")).await), ["a"]) });
    let database = redb::ReadOnlyDatabase::open(place.path()).unwrap();
    assert!(database.begin_read().is_ok());
}

/// As after a kill: the first of them repairs it, and who comes upon that waits.
#[test]
fn those_who_come_at_once_upon_a_file_that_was_not_closed_well_all_read_it() {
    for _ in 0..5 {
        let place = TempPlace::fresh();
        let torn = crashed(&place);
        fs::write(place.path(), &torn).unwrap();
        let all = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    all.wait();
                    let store = RedbStore::open(place.options()).unwrap();
                    assert_eq!(ids(&block_on(row(&store, &key("shelf/cinder")))), ["a"]);
                });
            }
        });
    }
}

/// Runs an ignored story of this file in a process of its own, as a user without rights.
fn tell_without_rights(story: &str, place: &TempPlace) {
    let directory = place.path().parent().unwrap().to_owned();
    for file in fs::read_dir(&directory).unwrap() {
        fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = fs::write(directory.join("probe"), "").is_ok();
    if is_root {
        fs::remove_file(directory.join("probe")).unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", story, "--ignored"]).current_dir("/").env("LARDER_TEST_READ_ONLY", place.path());
    if is_root {
        command.uid(65_534).gid(65_534);
    }
    let told = command.output().unwrap();
    let said = String::from_utf8_lossy(&told.stdout);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(told.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_read_only_directory_is_read_and_not_written() {
    let place = TempPlace::fresh();
    block_on(async { refresh(&place.open().await, &key("shelf/cinder"), vec![book("a", 1)], at(0)).await });
    tell_without_rights("files::what_a_reader_of_a_read_only_directory_meets", &place);
}

#[test]
fn a_read_only_directory_is_read_though_what_is_there_was_not_closed_well() {
    let place = TempPlace::fresh();
    let torn = crashed(&place);
    fs::write(place.path(), &torn).unwrap();
    tell_without_rights("files::what_a_reader_of_a_read_only_directory_meets", &place);
    assert!(fs::read(place.path()).unwrap() == torn);
}

#[test]
#[ignore = "told by others, as a user without rights"]
fn what_a_reader_of_a_read_only_directory_meets() {
    #[expect(clippy::disallowed_methods, reason = "the story is told in a process of its own")]
    let path = std::env::var_os("LARDER_TEST_READ_ONLY").unwrap();
    let path = Path::new(&path);
    for hold in [Hold::PerCall, Hold::Throughout] {
        let store = RedbStore::open(OpenOptions { hold, ..OpenOptions::new(path, NOW) }).unwrap();
        block_on(async {
            let cinder = key("shelf/cinder");
            assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
            let error = store.invalidate(&Target::All, at(1)).await.unwrap_err();
            assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
            assert!(store.verify().await.unwrap().is_empty());
            assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
        });
    }
    let elsewhere = RedbStore::open(OpenOptions::new(path.with_file_name("new.redb"), NOW));
    let error = elsewhere.map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn what_takes_the_files_place_under_a_server_is_what_it_goes_on_with() {
    block_on(async {
        let (place, copy) = (TempPlace::fresh(), TempPlace::fresh());
        let held = OpenOptions { hold: Hold::Throughout, ..place.options() };
        let store = RedbStore::open(held).unwrap();
        for n in 0..5 {
            refresh(&store, &key(&format!("shelf/old{n}")), vec![book("a", n)], at(0)).await;
        }
        let heard = store.changes(0, 1_000).await.unwrap().last;
        let restored = copy.open().await;
        for n in 0..20 {
            refresh(&restored, &key(&format!("shelf/new{n}")), vec![book("a", n)], at(0)).await;
        }
        drop(restored);
        fs::rename(copy.path(), place.path()).unwrap();
        store.pulse().await.unwrap();
        assert!(!is_held(&store, "shelf/old1").await && is_held(&store, "shelf/new1").await);
        assert!(
            store.changes(heard, 10).await.unwrap().reset,
            "nothing that was heard says what is there now"
        );
        refresh(&store, &key("shelf/later"), vec![book("b", 1)], at(2)).await;
        fs::remove_file(place.path()).unwrap();
        refresh(&store, &key("shelf/last"), vec![book("b", 1)], at(2)).await;
        drop(store);
        let again = place.open().await;
        assert!(is_held(&again, "shelf/last").await && !is_held(&again, "shelf/later").await);
        assert!(again.verify().await.unwrap().is_empty());
    });
}

async fn is_held(store: &RedbStore, name: &str) -> bool {
    store.lookup(&[key(name)]).await.unwrap()[0].is_some()
}

#[test]
fn by_a_link_or_by_its_name_it_is_one_file_with_one_lock() {
    let (place, elsewhere) = (TempPlace::fresh(), TempPlace::fresh());
    drop(RedbStore::open(place.options()).unwrap());
    std::os::unix::fs::symlink(place.path(), elsewhere.path()).unwrap();
    drop(RedbStore::open(elsewhere.options()).unwrap());
    assert_eq!(elsewhere.files(), ["larder.redb"]);
}
