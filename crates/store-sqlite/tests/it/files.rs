//! Files that are not ours, not current, not writable, or full.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use larder_core::{Acquired, Committed, Json, Store, StoreError, Write};
use larder_store_sqlite::{Access, OpenOptions, SqliteStore};
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{
    NOW, acquire, ask, at, book, commit_of, fetched, ids, key, lease, refresh, row, write,
};
use rusqlite::Connection;

use crate::place::{TempPlace, block_on};

/// Puts something in a place.
type Make<'a> = &'a dyn Fn(&TempPlace);

fn refused(place: &TempPlace) -> StoreError {
    SqliteStore::open(place.options()).map(|_| ()).unwrap_err()
}

#[test]
fn a_foreign_file_is_refused_and_left_byte_for_byte() {
    let text = |place: &TempPlace| fs::write(place.path(), "Dear diary,\n").unwrap();
    let long = |place: &TempPlace| fs::write(place.path(), vec![0x5a; 20_000]).unwrap();
    let other = |place: &TempPlace| {
        let conn = Connection::open(place.path()).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE notes (n); INSERT INTO notes VALUES (1);",
        )
        .unwrap();
    };
    let marked = |place: &TempPlace| {
        let conn = Connection::open(place.path()).unwrap();
        conn.execute_batch("PRAGMA application_id = 77; CREATE TABLE entries (n);").unwrap();
    };
    let ours_by_mark_alone = |place: &TempPlace| {
        let conn = Connection::open(place.path()).unwrap();
        conn.execute_batch(
            "PRAGMA application_id = 0x4c524452; PRAGMA user_version = 1; CREATE TABLE x (n);",
        )
        .unwrap();
    };
    let cases: [(&str, Make<'_>); 5] = [
        ("a text", &text),
        ("bytes", &long),
        ("another database", &other),
        ("a database with another mark", &marked),
        ("our mark and not our tables", &ours_by_mark_alone),
    ];
    for (what, make) in cases {
        let place = TempPlace::fresh();
        make(&place);
        let before = fs::read(place.path()).unwrap();
        let error = refused(&place);
        assert!(matches!(error, StoreError::Foreign { .. }), "{what}: {error}");
        assert!(error.to_string().contains(&place.path().display().to_string()), "{error}");
        assert_eq!(fs::read(place.path()).unwrap(), before, "{what}");
        let strangers = place.files().into_iter().filter(|name| name.contains("corrupt"));
        assert_eq!(strangers.count(), 0, "{what}: nothing is moved");
    }
}

#[test]
fn a_foreign_database_beside_our_lock_file_is_foreign_all_the_same() {
    let place = TempPlace::fresh();
    drop(SqliteStore::open(place.options()).unwrap());
    fs::remove_file(place.path()).unwrap();
    Connection::open(place.path()).unwrap().execute_batch("CREATE TABLE notes (n)").unwrap();
    let before = fs::read(place.path()).unwrap();
    assert!(matches!(refused(&place), StoreError::Foreign { .. }));
    assert_eq!(fs::read(place.path()).unwrap(), before);
}

/// Where the kind of store was mistyped, the other kind's file lies beside a lock that is ours.
#[test]
fn a_store_of_the_other_kind_is_not_damage() {
    let place = TempPlace::fresh();
    drop(SqliteStore::open(place.options()).unwrap());
    let before = [b"redb\x1a\x0a\xa9\x0d\x0a".as_slice(), &[0; 8_000]].concat();
    fs::write(place.path(), &before).unwrap();
    let error = refused(&place);
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    assert!(error.to_string().contains("`redb:PATH`"), "{error}");
    assert_eq!(fs::read(place.path()).unwrap(), before);
}

#[test]
fn an_empty_file_and_an_empty_database_are_ours_to_take() {
    let empty = TempPlace::fresh();
    fs::write(empty.path(), "").unwrap();
    assert!(SqliteStore::open(empty.options()).is_ok());
    let database = TempPlace::fresh();
    Connection::open(database.path()).unwrap().execute_batch("CREATE TABLE t (n); DROP TABLE t;").unwrap();
    assert!(fs::metadata(database.path()).unwrap().len() > 0);
    let store = SqliteStore::open(database.options()).unwrap();
    block_on(refresh(&store, &key("shelf/a"), vec![], at(0)));
}

/// Its maker ended amid a transaction, and what it wrote was rolled back: only its lock file says whose it was.
#[test]
fn a_database_whose_making_was_broken_off_is_made_anew() {
    let place = TempPlace::fresh();
    drop(SqliteStore::open(place.options()).unwrap());
    for file in place.files().into_iter().filter(|file| !file.ends_with("lock")) {
        fs::remove_file(place.path().with_file_name(file)).unwrap();
    }
    let half = Connection::open(place.path()).unwrap();
    half.execute_batch("CREATE TABLE t (n); DROP TABLE t;").unwrap();
    drop(half);
    let store = SqliteStore::open(place.options()).unwrap();
    block_on(refresh(&store, &key("shelf/a"), vec![], at(0)));
}

#[test]
fn a_newer_schema_is_refused_untouched() {
    let place = TempPlace::fresh();
    drop(SqliteStore::open(place.options()).unwrap());
    Connection::open(place.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(place.path()).unwrap();
    let error = refused(&place);
    assert!(matches!(error, StoreError::TooNew { found: 99, .. }), "{error}");
    assert_eq!(fs::read(place.path()).unwrap(), before);
}

#[test]
fn files_and_directories_are_the_users_alone() {
    let place = TempPlace::fresh();
    let path = place.path().with_file_name("deep").join("er").join("larder.db");
    let store = SqliteStore::open(OpenOptions::new(&path, NOW)).unwrap();
    block_on(refresh(&store, &key("shelf/a"), vec![], at(0)));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
    for file in ["larder.db", "larder.db.lock", "larder.db-wal"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
}

#[test]
fn a_store_opened_for_reading_reads_and_makes_nothing() {
    let place = TempPlace::fresh();
    let options = OpenOptions { access: Access::ReadOnly, ..place.options() };
    let error = SqliteStore::open(options.clone()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    assert!(place.files().is_empty());
    block_on(async {
        let cinder = key("shelf/cinder");
        let writing = place.open().await;
        refresh(&writing, &cinder, vec![book("a", 1)], at(0)).await;
        let reading = SqliteStore::open(options).unwrap();
        assert_eq!(ids(&row(&reading, &cinder).await), ["a"]);
        let error = reading.mark_due(&[cinder], larder_core::Trigger::Read, at(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
        assert!(!error.hints().is_empty());
    });
}

#[test]
fn a_read_only_directory_is_read_and_not_written() {
    let place = TempPlace::fresh();
    let directory = place.path().parent().unwrap().to_owned();
    block_on(async {
        let store = place.open().await;
        refresh(&store, &key("shelf/cinder"), vec![book("a", 1)], at(0)).await;
    });
    for file in fs::read_dir(&directory).unwrap() {
        fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = fs::write(directory.join("probe"), "").is_ok();
    if is_root {
        fs::remove_file(directory.join("probe")).unwrap();
        let story = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "files::what_a_reader_of_a_read_only_directory_meets", "--ignored"])
            .current_dir("/")
            .env("LARDER_TEST_READ_ONLY", place.path())
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&story.stdout);
        assert!(story.status.success() && said.contains("1 passed"), "{said}");
    } else {
        meets_a_read_only_directory(&place.path());
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
#[ignore = "told by `a_read_only_directory_is_read_and_not_written`, as a user without rights"]
fn what_a_reader_of_a_read_only_directory_meets() {
    #[expect(clippy::disallowed_methods, reason = "the story is told in a process of its own")]
    let path = std::env::var_os("LARDER_TEST_READ_ONLY").unwrap();
    meets_a_read_only_directory(std::path::Path::new(&path));
}

fn meets_a_read_only_directory(path: &std::path::Path) {
    let steps = larder_store_sqlite::migrations(path).unwrap();
    assert!(steps.iter().all(|step| step.applied_at.is_some()), "{steps:?}");
    let options =
        OpenOptions { views: vec![larder_testkit::contract::build::VIEW], ..OpenOptions::new(path, NOW) };
    let store = SqliteStore::open(options).unwrap();
    block_on(async {
        let cinder = key("shelf/cinder");
        assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
        let error = store.invalidate(&larder_core::Target::All, at(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        assert!(store.verify().await.unwrap().is_empty());
        assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
    });
    let elsewhere = SqliteStore::open(OpenOptions::new(path.with_file_name("new.db"), NOW));
    let error = elsewhere.map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(!error.hints().concat().contains("reads go on"), "there is nothing to be read");
    drop(store);
    let error = larder_store_sqlite::migrate_down(path, 0).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn a_full_disk_is_said_and_reads_go_on() {
    let place = TempPlace::fresh();
    let store = SqliteStore::open(OpenOptions { pages_max: Some(120), ..place.options() }).unwrap();
    block_on(async {
        let (small, big) = (key("shelf/small"), key("shelf/big"));
        refresh(&store, &small, vec![book("a", 1)], at(0)).await;
        let (held, _) = lease(&store, &big, at(1)).await;
        let books = (0..5_000).map(|n| book(&format!("{n:0200}"), 1)).collect();
        let error = store.commit(commit_of(&held, fetched(books, at(1)), at(1))).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(error.is_retryable());
        assert_eq!(ids(&row(&store, &small).await), ["a"]);
        assert!(!row(&store, &big).await.entry.has_data());
        assert_eq!(store.verify().await.unwrap(), []);
        let less = commit_of(&held, fetched(vec![book("b", 1)], at(2)), at(2));
        assert!(store.commit(less).await.is_ok(), "what fits still goes in");
        assert!(store.recovered().is_none());
    });
}

#[test]
fn a_commit_too_large_for_the_disk_gives_back_what_it_took() {
    let place = TempPlace::fresh();
    let store = SqliteStore::open(OpenOptions { pages_max: Some(2_000), ..place.options() }).unwrap();
    block_on(async {
        let (small, big) = (key("shelf/small"), key("shelf/big"));
        refresh(&store, &small, vec![book("a", 1)], at(0)).await;
        let (held, _) = lease(&store, &big, at(1)).await;
        let books = (0..8_000).map(|n| book(&format!("{n:0400}"), 1)).collect();
        let error = store.commit(commit_of(&held, fetched(books, at(1)), at(1))).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        // What comes next is written when that is done.
        refresh(&store, &small, vec![book("b", 1)], at(2)).await;
        let beside = fs::metadata(place.path().with_extension("db-wal")).unwrap().len();
        assert!(beside < 512 * 1024, "{beside} bytes lie beside the file");
        assert_eq!(ids(&row(&store, &small).await), ["b"]);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn a_locked_file_is_busy_and_reads_go_on() {
    let place = TempPlace::fresh();
    let options = OpenOptions { busy_timeout: Duration::from_millis(20), ..place.options() };
    let store = SqliteStore::open(options).unwrap();
    block_on(async {
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
        let other = Connection::open(place.path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = store.invalidate(&larder_core::Target::All, at(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Busy { attempted: "invalidate", .. }), "{error:?}");
        assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
        other.execute_batch("ROLLBACK; BEGIN EXCLUSIVE").unwrap();
        let error = store.invalidate(&larder_core::Target::All, at(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
        other.execute_batch("ROLLBACK").unwrap();
        assert!(matches!(acquire(&store, &cinder, "me", at(1)).await, Acquired::Granted(..)));
    });
}

#[test]
fn a_large_entry_that_is_as_before_is_not_written_again() {
    let place = TempPlace::fresh();
    block_on(async {
        let store = place.open().await;
        let key = key("shelf/large");
        let body = Json::from(serde_json::json!({ "text": "word ".repeat(40_000) }));
        let of = |now| Write { body: Some(body.clone()), ..fetched(vec![book("a", 1)], now) };
        // The smallest numbers take no room in a row, and the first that do move what stands behind them.
        for second in 0..3 {
            write(&store, &key, of(at(second)), at(second)).await;
        }
        let pages = || fs::metadata(place.path().with_extension("db-wal")).unwrap().len() / 4_096;
        let before = pages();
        assert!(before > 50, "it has {before} pages");
        write(&store, &key, of(at(3)), at(3)).await;
        let written = pages() - before;
        // Nothing but numbers, a lease that came and went, and a line of the log.
        assert!(written <= 15, "{written} pages were written for what was there");
        assert_eq!(row(&store, &key).await.entry.fetched_at, Some(at(3)));
    });
}

/// A store as a copy of it is put back under whoever has it open.
fn swap(place: &TempPlace, other: &TempPlace) {
    fs::rename(other.path(), place.path()).unwrap();
}

async fn is_held(store: &SqliteStore, name: &str) -> bool {
    store.lookup(&[key(name)]).await.unwrap()[0].is_some()
}

#[test]
fn what_takes_the_files_place_under_a_store_is_what_it_goes_on_with() {
    block_on(async {
        let (place, copy) = (TempPlace::fresh(), TempPlace::fresh());
        let store = place.open().await;
        for n in 0..50 {
            refresh(&store, &key(&format!("shelf/old{n}")), vec![book("a", n)], at(0)).await;
        }
        let heard = store.changes(0, 1_000).await.unwrap().last;
        let restored = copy.open().await;
        for n in 0..200 {
            refresh(&restored, &key(&format!("shelf/new{n}")), vec![book("a", n)], at(0)).await;
        }
        drop(restored);
        let (late, _) = lease(&store, &key("shelf/old1"), at(1)).await;
        swap(&place, &copy);
        store.pulse().await.unwrap();
        assert!(!is_held(&store, "shelf/old1").await);
        assert!(is_held(&store, "shelf/new1").await);
        assert!(
            store.changes(heard, 10).await.unwrap().reset,
            "nothing that was heard says what is there now"
        );
        let commit = commit_of(&late, fetched(vec![book("a", 9)], at(2)), at(2));
        assert!(
            !matches!(store.commit(commit).await, Ok(Committed::Done { .. })),
            "its lease was of another file"
        );
        refresh(&store, &key("shelf/later"), vec![book("b", 1)], at(2)).await;
        drop(store);
        let again = place.open().await;
        assert!(is_held(&again, "shelf/later").await);
        assert!(is_held(&again, "shelf/new199").await);
        assert!(again.verify().await.unwrap().is_empty());
    });
}

#[test]
fn a_file_that_is_removed_under_a_store_is_out_of_reach_until_somebody_makes_it_or_nobody_does() {
    block_on(async {
        let place = TempPlace::fresh();
        let store = place.open().await;
        refresh(&store, &key("shelf/old"), vec![book("a", 1)], at(0)).await;
        let remove =
            || place.files().iter().for_each(|file| fs::remove_file(place.dir().join(file)).unwrap());
        remove();
        let gone = store.pulse().await.unwrap_err();
        assert!(
            matches!(&gone, StoreError::Unreachable { cause, .. } if cause.contains("was removed")),
            "{gone}"
        );
        assert!(store.lookup(&[key("shelf/old")]).await.is_err(), "and nobody reads what only we see");
        assert!(matches!(
            store.acquire(&[ask(&key("shelf/old"), "me")], at(1)).await,
            Err(StoreError::Unreachable { .. })
        ));
        let another = place.open().await;
        refresh(&another, &key("shelf/new"), vec![book("a", 1)], at(0)).await;
        store.pulse().await.unwrap();
        assert!(is_held(&store, "shelf/new").await);
        drop(another);
        remove();
        let mut looks = 0;
        while store.pulse().await.is_err() {
            looks += 1;
            assert!(looks < 100, "it is made anew some time");
        }
        assert!(looks > 5, "{looks}");
        refresh(&store, &key("shelf/newest"), vec![book("a", 1)], at(0)).await;
        assert!(is_held(&place.open().await, "shelf/newest").await);
    });
}

#[test]
fn by_a_link_or_by_its_name_it_is_one_file_with_one_lock() {
    let (place, elsewhere) = (TempPlace::fresh(), TempPlace::fresh());
    let store = SqliteStore::open(place.options()).unwrap();
    std::os::unix::fs::symlink(place.path(), elsewhere.path()).unwrap();
    drop(SqliteStore::open(elsewhere.options()).unwrap());
    assert_eq!(elsewhere.files(), ["larder.db"]);
    drop(store);
    fs::write(place.path(), vec![0x5a; 20_000]).unwrap();
    drop(SqliteStore::open(elsewhere.options()).unwrap());
    assert_eq!(elsewhere.files(), ["larder.db"], "what is damaged is moved aside where it lies");
    assert!(place.files().iter().any(|name| name.contains("corrupt")), "{:?}", place.files());
    assert!(fs::symlink_metadata(place.path()).unwrap().is_file());
}

#[test]
fn a_schema_that_somebody_uses_is_not_taken_back() {
    let place = TempPlace::fresh();
    let store = SqliteStore::open(place.options()).unwrap();
    let error = larder_store_sqlite::migrate_down(&place.path(), 0).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    drop(store);
    larder_store_sqlite::migrate_down(&place.path(), 0).unwrap();
}

/// As some file systems do it, when what lies below them is first written.
#[test]
fn a_file_that_has_another_number_and_is_what_it_was_loses_nothing_and_tells_nobody_to_begin_anew() {
    block_on(async {
        let place = TempPlace::fresh();
        let store = place.open().await;
        refresh(&store, &key("shelf/one"), vec![book("a", 1)], at(0)).await;
        store.pulse().await.unwrap();
        let heard = store.changes(0, 10).await.unwrap().last;
        let (copy, was) = (place.dir().join("copy"), fs::metadata(place.path()).unwrap());
        fs::copy(place.path(), &copy).unwrap();
        fs::File::options().write(true).open(&copy).unwrap().set_modified(was.modified().unwrap()).unwrap();
        fs::rename(&copy, place.path()).unwrap();
        store.pulse().await.unwrap();
        assert!(is_held(&store, "shelf/one").await, "what the journal has is its own");
        assert!(!store.changes(heard, 10).await.unwrap().reset);
        refresh(&store, &key("shelf/two"), vec![book("a", 2)], at(1)).await;
        assert!(is_held(&place.open().await, "shelf/two").await);
    });
}
