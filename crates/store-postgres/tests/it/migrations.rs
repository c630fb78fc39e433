//! Migrations up and down, on a database that is full; schemas that are not ours, or too new; many
//! that start at once; views that follow their specs.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Column, ColumnType, Store, StoreError, ViewSpec};
use larder_store_postgres::{
    Migrate, OpenOptions, PostgresStore, SCHEMA, Times, migrate_down, migrate_up, migrations,
};
use larder_testkit::VirtualClock;
use larder_testkit::contract::build::{VIEW, at, book, commit_of, fail, fetched, find, key, lease, refresh};
use tokio_postgres::Client;

use crate::place::{Database, block_on};

async fn names(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn relations(client: &Client, kind: &str) -> Vec<String> {
    let sql = format!(
        "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('larder') \
         AND relkind = '{kind}' ORDER BY relname::text COLLATE \"C\""
    );
    names(client, &sql).await
}

#[test]
fn a_schema_called_larder_that_is_not_ours_is_left_alone() {
    let database = Database::fresh();
    block_on(async {
        let client = database.client().await;
        client.batch_execute("CREATE SCHEMA larder; CREATE TABLE larder.jars (jam text)").await.unwrap();
        let error = PostgresStore::open(database.options()).await.map(|_| ()).unwrap_err();
        assert!(matches!(&error, StoreError::Foreign { .. }), "{error}");
        assert!(matches!(migrate_down(&database.options(), 0).await, Err(StoreError::Foreign { .. })));
        assert_eq!(relations(&client, "r").await, ["jars"]);
        let ours = "DROP TABLE larder.jars; CREATE TABLE larder.mark (one boolean, magic text); \
            INSERT INTO larder.mark VALUES (true, 'mine')";
        client.batch_execute(ours).await.unwrap();
        let error = PostgresStore::open(database.options()).await.map(|_| ()).unwrap_err();
        assert!(matches!(&error, StoreError::Foreign { .. }), "{error}");
        client.batch_execute("DROP TABLE larder.mark").await.unwrap();
        // An empty one was made for us, by somebody who may make schemas.
        PostgresStore::open(database.options()).await.unwrap();
    });
}

#[test]
fn a_database_that_does_not_speak_utf8_is_refused_with_what_makes_one_that_does() {
    let database = Database::made("ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    block_on(async {
        let error = PostgresStore::open(database.options()).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("must be UTF8, and is SQL_ASCII"), "{error}");
        let hints = error.hints().join("\n");
        let (_, sql) = hints.split_once('`').unwrap();
        let (sql, _) = sql.split_once('`').unwrap();
        let better = Database::made(sql.strip_prefix("CREATE DATABASE …").unwrap());
        PostgresStore::open(better.options()).await.unwrap();
    });
}

#[test]
fn sixteen_open_a_new_database_at_once_and_one_migrates() {
    let database = Database::fresh();
    block_on(async {
        let opening = (0..16).map(|_| {
            let options = database.options();
            tokio::spawn(async move { PostgresStore::open(options).await.map(drop) })
        });
        for opened in futures::future::join_all(opening).await {
            opened.unwrap().unwrap();
        }
        let client = database.client().await;
        let applied = names(&client, "SELECT name FROM larder.migrations ORDER BY version").await;
        assert_eq!(applied.len(), SCHEMA as usize);
    });
}

#[test]
fn a_schema_from_a_newer_larder_is_left_alone() {
    let database = Database::fresh();
    block_on(async {
        drop(PostgresStore::open(database.options()).await.unwrap());
        let client = database.client().await;
        client
            .batch_execute("INSERT INTO larder.migrations VALUES (99, 'from the future', 'x', now())")
            .await
            .unwrap();
        let error = PostgresStore::open(database.options()).await.map(|_| ()).unwrap_err();
        assert!(matches!(&error, StoreError::TooNew { found: 99, known: SCHEMA, .. }), "{error}");
        assert!(matches!(migrate_down(&database.options(), 0).await, Err(StoreError::TooNew { .. })));
        let last = migrations(&database.options()).await.unwrap().pop().unwrap();
        assert_eq!((last.version, last.name.as_str()), (99, "from the future"));
    });
}

#[test]
fn an_edited_migration_is_an_error() {
    let database = Database::fresh();
    block_on(async {
        drop(PostgresStore::open(database.options()).await.unwrap());
        let client = database.client().await;
        client.batch_execute("UPDATE larder.migrations SET checksum = 'x'").await.unwrap();
        let error = PostgresStore::open(database.options()).await.map(|_| ()).unwrap_err();
        let told =
            |error: &StoreError| error.to_string().contains("initial") && error.hints()[0].contains("export");
        assert!(told(&error), "{error}");
        let error = migrations(&database.options()).await.unwrap_err();
        assert!(told(&error), "{error}");
    });
}

#[test]
fn whoever_may_not_migrate_is_told_what_to_do() {
    let database = Database::fresh();
    block_on(async {
        let careful = || OpenOptions { migrate: Migrate::No, ..database.options() };
        let error = PostgresStore::open(careful()).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("larder migrate up"), "{error}");
        assert!(relations(&database.client().await, "r").await.is_empty());
        let pending = migrations(&careful()).await.unwrap();
        assert!(pending.iter().all(|step| step.applied_at.is_none()), "{pending:?}");
        let applied = migrate_up(&careful()).await.unwrap();
        assert!(applied.iter().all(|step| step.applied_at.is_some()), "{applied:?}");
        assert_eq!(applied.len(), SCHEMA as usize);
        PostgresStore::open(careful()).await.unwrap();
        let taken_back = migrate_down(&careful(), 0).await.unwrap();
        assert_eq!(taken_back, pending);
        assert!(PostgresStore::open(careful()).await.is_err());
    });
}

#[test]
fn a_database_that_was_made_anew_is_filled_again_and_one_that_was_taken_back_is_left_so() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let client = database.client().await;
        client.batch_execute("DROP SCHEMA larder CASCADE").await.unwrap();
        let asked = [key("book/one")];
        let looks = (0..8).map(|_| store.lookup(&asked));
        for looked in futures::future::join_all(looks).await {
            assert_eq!(looked.unwrap(), [None]);
        }
        assert!(migrations(&database.options()).await.unwrap().iter().all(|step| step.applied_at.is_some()));
        migrate_down(&database.options(), 0).await.unwrap();
        store.lookup(&asked).await.unwrap_err();
        client.batch_execute("DROP SCHEMA larder CASCADE").await.unwrap();
        let careful = OpenOptions { migrate: Migrate::No, ..database.options() };
        PostgresStore::open(careful).await.map(drop).unwrap_err();
        assert!(relations(&client, "r").await.is_empty(), "nobody else makes it");
        store.lookup(&asked).await.unwrap();
    });
}

#[test]
fn whoever_comes_back_to_the_feed_after_the_schema_was_made_anew_begins_anew() {
    let database = Database::fresh();
    block_on(async {
        let stores = [database.options(), database.options()]
            .map(|options| async { PostgresStore::open(options).await.unwrap() });
        let stores = futures::future::join_all(stores).await;
        let client = database.client().await;
        let write = async |count: i64| {
            for nth in 1..=count {
                refresh(&stores[0], &key("shelf/a"), vec![book("moby", nth)], at(nth.unsigned_abs())).await;
            }
        };
        assert!(!stores[0].changes(0, 10).await.unwrap().reset);
        write(2).await;
        let mut places = vec![stores[0].changes(0, 10).await.unwrap().last];
        // By one that has it open, by one that opens it, and by a person.
        for by in 0..3 {
            match by {
                0 => client.batch_execute("DROP SCHEMA larder CASCADE").await.unwrap(),
                1 => {
                    client.batch_execute("DROP SCHEMA larder CASCADE").await.unwrap();
                    drop(PostgresStore::open(database.options()).await.unwrap());
                }
                _ => {
                    migrate_down(&database.options(), 0).await.unwrap();
                    migrate_up(&database.options()).await.unwrap();
                }
            }
            write(9).await;
            for store in &stores {
                for place in &places {
                    let changes = store.changes(*place, 10).await.unwrap();
                    assert!(changes.reset, "{by}, from {place} on: {changes:?}");
                }
            }
            let last = stores[0].changes(0, 10).await.unwrap().last;
            write(1).await;
            let since = stores[1].changes(last, 10).await.unwrap();
            assert!(!since.reset && !since.lines.is_empty(), "{since:?}");
            places.push(since.last);
        }
        assert_eq!(stores[0].verify().await.unwrap(), []);
    });
}

#[test]
fn a_database_that_is_being_restored_is_not_filled_meanwhile() {
    let database = Database::fresh();
    block_on(async {
        let clock = VirtualClock::new();
        let times = Times::Database(Arc::new(clock.clone()));
        let store = PostgresStore::open(OpenOptions { times, ..database.options() }).await.unwrap();
        let client = database.client().await;
        let asked = [key("book/one")];
        // Twice, an hour apart: the second time begins anew.
        for _ in 0..2 {
            client.batch_execute("DROP SCHEMA larder CASCADE").await.unwrap();
            for _ in 0..3 {
                store.lookup(&asked).await.unwrap_err();
                clock.advance(Duration::from_secs(9));
            }
            assert!(relations(&client, "r").await.is_empty());
            // It is restored.
            drop(PostgresStore::open(database.options()).await.unwrap());
            store.lookup(&asked).await.unwrap();
            clock.advance(Duration::from_hours(1));
        }
        client.batch_execute("DROP SCHEMA larder CASCADE").await.unwrap();
        for _ in 0..2 {
            store.lookup(&asked).await.unwrap_err();
            clock.advance(Duration::from_secs(16));
        }
        store.lookup(&asked).await.unwrap();
    });
}

#[test]
fn views_follow_their_specs_and_leave_other_peoples_alone() {
    static NARROW: ViewSpec = ViewSpec {
        kind: "book",
        view: "titles",
        columns: &[Column { name: "title", holds: ColumnType::Text, indexed: true }],
        title: "title",
        words: &[],
    };
    let database = Database::fresh();
    block_on(async {
        drop(PostgresStore::open(database.options()).await.unwrap());
        let client = database.client().await;
        let mine =
            "CREATE VIEW larder.mine AS SELECT 1 AS one; CREATE INDEX my_index ON larder.items (scope)";
        client.batch_execute(mine).await.unwrap();
        assert_eq!(relations(&client, "v").await, ["books", "cache", "mine", "noises"]);
        let narrow = OpenOptions { views: vec![NARROW], ..database.options() };
        drop(PostgresStore::open(narrow).await.unwrap());
        assert_eq!(relations(&client, "v").await, ["cache", "mine", "titles"]);
        let indexes = relations(&client, "i").await;
        assert!(indexes.contains(&"titles_by_title".to_owned()) && indexes.contains(&"my_index".to_owned()));
        assert!(!indexes.iter().any(|name| name.starts_with("books_")));
        drop(PostgresStore::open(database.options()).await.unwrap());
        assert_eq!(relations(&client, "v").await, ["books", "cache", "mine", "noises"]);
    });
}

#[test]
fn a_name_that_cannot_be_a_column_is_refused() {
    static HOSTILE: ViewSpec = ViewSpec {
        kind: "book",
        view: "books",
        columns: &[Column { name: "a'); DROP TABLE items; --", holds: ColumnType::Text, indexed: true }],
        title: "title",
        words: &[],
    };
    let database = Database::fresh();
    block_on(async {
        let options = OpenOptions { views: vec![VIEW, HOSTILE], ..database.options() };
        assert!(PostgresStore::open(options).await.is_err());
        assert!(relations(&database.client().await, "r").await.is_empty());
    });
}

#[test]
fn a_full_database_goes_down_and_up_again() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let books = (0..500).map(|n| book(&format!("{n:05}"), n)).collect();
        refresh(&store, &key("shelf/big"), books, at(0)).await;
        fail(&store, &key("shelf/none"), at(0)).await;
        let (old, _) = lease(&store, &key("shelf/big"), at(0)).await;
        migrate_down(&database.options(), 0).await.unwrap();
        let client = database.client().await;
        assert_eq!(relations(&client, "r").await, ["mark", "migrations"]);
        for kind in ["v", "S"] {
            assert!(relations(&client, kind).await.is_empty(), "{kind}");
        }
        // Whoever still has it open is told, and goes on when it is up again.
        assert!(matches!(find_in(&store).await, Err(StoreError::Failed { .. })));
        let again = PostgresStore::open(database.options()).await.unwrap();
        assert_eq!(again.info().await.unwrap().schema, SCHEMA);
        assert!(find(&again, &key("shelf/big")).await.is_none());
        assert!(find_in(&store).await.unwrap().is_empty());
        // A holder from before the new life cannot pass for a current one.
        let (new, _) = lease(&again, &key("shelf/big"), at(1)).await;
        assert_ne!(new.token.epoch, old.token.epoch);
        let late = commit_of(&old, fetched(vec![], at(2)), at(2));
        assert_eq!(store.commit(late).await.unwrap(), larder_core::Committed::Superseded);
        let landed = commit_of(&new, fetched(vec![book("a", 1)], at(2)), at(2));
        again.commit(landed).await.unwrap();
        assert_eq!(again.verify().await.unwrap(), []);
    });
}

async fn find_in(store: &PostgresStore) -> Result<Vec<larder_core::Stored>, StoreError> {
    Ok(store.lookup(&[key("shelf/big")]).await?.into_iter().flatten().collect())
}
