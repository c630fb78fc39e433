//! Commits under way while the sequence is moved: by whoever finds it behind the feed, or comes from another life.

use larder_core::Store;
use larder_store_postgres::PostgresStore;
use larder_testkit::contract::build::{at, book, key, refresh, row};

use crate::frozen::{somebody_waits, waiting};
use crate::place::{Database, block_on};
use crate::restored::{Copy, filled, options};

/// While one that has taken its number is not committed yet, a reader who is behind `place` comes: what the commit
/// brought is in what the reader finds at its new place, or is told behind it.
async fn a_commit_under_way_reaches(
    reader: &PostgresStore,
    place: u64,
    writer: &PostgresStore,
    database: &Database,
) {
    let (client, watcher) = (database.client().await, database.client().await);
    let hold = "CREATE OR REPLACE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS \
          $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$; \
        CREATE TRIGGER hold BEFORE INSERT ON larder.changes FOR EACH ROW EXECUTE FUNCTION public.hold(); \
        SELECT pg_advisory_lock(7)";
    client.batch_execute(hold).await.unwrap();
    let (writing, reading) = (writer.clone(), reader.clone());
    let commit =
        tokio::spawn(async move { refresh(&writing, &key("shelf/b"), vec![book("moby", 70)], at(70)).await });
    somebody_waits(&watcher).await;
    let reads = tokio::spawn(async move {
        let changes = reading.changes(place, 10).await.unwrap();
        (changes, row(&reading, &key("shelf/b")).await.entry.version)
    });
    while waiting(&watcher).await < 2 && !reads.is_finished() {
        tokio::task::yield_now().await;
    }
    client.batch_execute("SELECT pg_advisory_unlock(7)").await.unwrap();
    commit.await.unwrap();
    let (changes, found) = reads.await.unwrap();
    assert!(changes.reset, "{changes:?}");
    let since = reader.changes(changes.last, 10).await.unwrap();
    let version = row(reader, &key("shelf/b")).await.entry.version;
    let is_told = since.lines.iter().any(|line| line.on.key() == Some(&key("shelf/b")));
    assert!(found == version || is_told, "{found} was found, {version} is there: {since:?}");
    client.batch_execute("DROP TRIGGER hold ON larder.changes").await.unwrap();
    assert_eq!(reader.verify().await.unwrap(), []);
}

#[test]
fn a_commit_under_way_does_not_fall_behind_a_sequence_that_is_moved() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let client = database.client().await;
        let set_back = Copy::of(&client).await.restore_rows(&client).await;
        let place = store.changes(0, 10).await.unwrap().last;
        client.batch_execute(&set_back).await.unwrap();
        let writer = PostgresStore::open(options(&database)).await.unwrap();
        a_commit_under_way_reaches(&store, place, &writer, &database).await;
    });
}

#[test]
fn a_commit_under_way_in_what_was_made_anew_does_not_fall_behind_the_stride_of_whoever_comes_there() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let place = store.changes(0, 10).await.unwrap().last;
        database.client().await.batch_execute("DROP SCHEMA larder CASCADE").await.unwrap();
        let writer = filled(&database).await;
        a_commit_under_way_reaches(&store, place, &writer, &database).await;
    });
}

#[test]
fn whoever_moves_the_sequence_and_whoever_removes_entries_wait_for_each_other_in_one_order() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let (mut client, watcher) = (database.client().await, database.client().await);
        let set_back = Copy::of(&client).await.restore_rows(&client).await;
        let place = store.changes(0, 10).await.unwrap().last;
        client.batch_execute(&set_back).await.unwrap();
        let removing = client.transaction().await.unwrap();
        // It is this one that would be stopped, and at once.
        let has = "SET LOCAL deadlock_timeout = 1; UPDATE larder.meta SET version_floor = version_floor + 1";
        removing.batch_execute(has).await.unwrap();
        let reads = tokio::spawn(async move { store.changes(place, 10).await.unwrap().reset });
        somebody_waits(&watcher).await;
        removing.batch_execute("SELECT pg_advisory_xact_lock(5499533213950803971)").await.unwrap();
        removing.commit().await.unwrap();
        assert!(reads.await.unwrap());
    });
}
