//! A database that is restored from a copy under stores that have it open: step by step, as `pg_restore` does it
//! (all tables, then their rows, the keys last), or at once.

use larder_core::{ListQuery, Listed, Store, StoreError, Stored};
use larder_store_postgres::{OpenOptions, PostgresStore, Times};
use larder_testkit::contract::build::{NOW, VIEW, at, book, key, lease, refresh};
use tokio_postgres::Client;

use crate::place::{Database, block_on, clock};

/// A copy, and what `pg_restore` does with it, in its order.
pub(crate) struct Copy {
    steps: Vec<String>,
}

impl Copy {
    /// Of what is there now.
    pub(crate) async fn of(client: &Client) -> Copy {
        let all = async |sql: &str| -> Vec<String> {
            client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
        };
        let tables = "SELECT c.relname::text FROM pg_class c WHERE c.relkind = 'r' \
            AND c.relnamespace = 'larder'::regnamespace ORDER BY c.relname::text COLLATE \"C\"";
        let tables = all(tables).await;
        client.batch_execute("DROP SCHEMA IF EXISTS copy CASCADE; CREATE SCHEMA copy").await.unwrap();
        for table in &tables {
            let copied = format!(
                "CREATE TABLE copy.{table} (LIKE larder.{table} INCLUDING IDENTITY); \
                 INSERT INTO copy.{table} OVERRIDING SYSTEM VALUE SELECT * FROM larder.{table}"
            );
            client.batch_execute(&copied).await.unwrap();
        }
        let mut steps = vec!["DROP SCHEMA larder CASCADE".to_owned(), "CREATE SCHEMA larder".to_owned()];
        let functions = "SELECT pg_get_functiondef(oid) FROM pg_proc \
            WHERE pronamespace = 'larder'::regnamespace ORDER BY proname";
        steps.extend(all(functions).await);
        let made =
            |table: &String| format!("CREATE TABLE larder.{table} (LIKE copy.{table} INCLUDING IDENTITY)");
        steps.extend(tables.iter().map(made));
        steps.extend(["item_numbers", "sequence"].map(|name| format!("CREATE SEQUENCE larder.{name}")));
        let filled = |table: &String| {
            format!("INSERT INTO larder.{table} OVERRIDING SYSTEM VALUE SELECT * FROM copy.{table}")
        };
        steps.extend(tables.iter().map(filled));
        let set = "SELECT format('SELECT setval(''larder.%s'', %s)', sequencename, last_value) FROM pg_sequences \
            WHERE schemaname = 'larder' AND last_value IS NOT NULL ORDER BY sequencename";
        steps.extend(all(set).await);
        let keys = "SELECT format('ALTER TABLE %s ADD CONSTRAINT %s %s', conrelid::regclass, conname, \
            pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'larder'::regnamespace \
            AND contype IN ('p', 'u') ORDER BY conname";
        steps.extend(all(keys).await);
        Copy { steps }
    }

    /// Only the rows, into the tables that there are; the sequences later, which those steps set.
    pub(crate) async fn restore_rows(&self, client: &Client) -> String {
        let of = |word: &str| -> Vec<&str> {
            self.steps.iter().map(String::as_str).filter(|step| step.starts_with(word)).collect()
        };
        let tables = "SELECT string_agg('larder.' || relname, ', ') FROM pg_class WHERE relkind = 'r' \
            AND relnamespace = 'larder'::regnamespace";
        let tables: String = client.query_one(tables, &[]).await.unwrap().get(0);
        let rows = of("INSERT").join("; ");
        client.batch_execute(&format!("BEGIN; TRUNCATE {tables}; {rows}; COMMIT")).await.unwrap();
        of("SELECT setval").join("; ")
    }

    /// In one transaction.
    async fn restore(&self, client: &Client) {
        client.batch_execute(&format!("BEGIN; {}; COMMIT", self.steps.join("; "))).await.unwrap();
    }
}

async fn held(store: &PostgresStore) -> Result<Vec<Option<Stored>>, StoreError> {
    store.lookup(&[key("shelf/a"), key("shelf/b")]).await
}

async fn found(store: &PostgresStore) -> Result<Vec<Listed>, StoreError> {
    let query = ListQuery {
        view: &VIEW,
        entries: vec![key("shelf/a"), key("shelf/b")],
        search: Some("moby".to_owned()),
        filters: Vec::new(),
        order: None,
        limit: 10,
        offset: 0,
    };
    store.list(&query).await
}

/// By the database's clock what is empty is not made anew at once.
pub(crate) fn options(database: &Database) -> OpenOptions {
    OpenOptions { times: Times::Database(clock(NOW)), ..database.options() }
}

pub(crate) async fn filled(database: &Database) -> PostgresStore {
    let store = PostgresStore::open(options(database)).await.unwrap();
    refresh(&store, &key("shelf/a"), vec![book("moby", 1), book("ahab", 2)], at(0)).await;
    refresh(&store, &key("shelf/b"), vec![book("moby", 1)], at(1)).await;
    store
}

#[test]
fn whoever_reads_while_it_is_restored_is_told_so_and_nothing_wrong() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let (before, listed) = (held(&store).await.unwrap(), found(&store).await.unwrap());
        assert!(before.iter().flatten().count() == 2 && !listed.is_empty());
        let client = database.client().await;
        let copy = Copy::of(&client).await;
        // Some wake up amid it, and have not seen how it began.
        let mut asleep = Vec::new();
        for _ in 0..copy.steps.len() / 8 {
            asleep.push(PostgresStore::open(options(&database)).await.unwrap());
        }
        for (nth, step) in copy.steps.iter().enumerate() {
            client.batch_execute(step).await.unwrap();
            let awake = if nth % 8 == 7 { asleep.pop() } else { None };
            for store in awake.iter().chain([&store]) {
                for (told, of) in [(held(store).await.err(), "lookup"), (found(store).await.err(), "list")] {
                    let is_last = nth + 1 == copy.steps.len();
                    assert_eq!(told.is_none(), is_last, "{of} after {step}: {told:?}");
                }
                if let Err(error) = store.changes(0, 10).await {
                    assert!(
                        matches!(error, StoreError::Unreachable { .. } | StoreError::Failed { .. }),
                        "{error}"
                    );
                }
            }
            // Where there is nothing at all, whoever opens it makes it.
            if nth > 2 {
                let opened = PostgresStore::open(options(&database)).await;
                assert_eq!(opened.is_ok(), nth + 1 == copy.steps.len(), "opened after {step}");
            }
        }
        assert_eq!(held(&store).await.unwrap(), before);
        assert_eq!(found(&store).await.unwrap(), listed);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn nothing_is_written_into_what_is_being_restored() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let client = database.client().await;
        let copy = Copy::of(&client).await;
        for step in &copy.steps {
            client.batch_execute(step).await.unwrap();
            let is_last = Some(step) == copy.steps.last();
            let host = larder_core::Fingerprint::of(&["token"]);
            let written = larder_core::Budgets::set_actor(&store, "github.com", &host, "octocat").await;
            assert_eq!(written.is_ok(), is_last, "{step}: {written:?}");
        }
    });
}

#[test]
fn whoever_comes_back_to_the_feed_after_a_restore_begins_anew() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let client = database.client().await;
        let copy = Copy::of(&client).await;
        let early = store.changes(0, 10).await.unwrap().last;
        for nth in 2..5 {
            refresh(&store, &key("shelf/b"), vec![book("moby", nth)], at(nth.unsigned_abs())).await;
        }
        let late = store.changes(0, 10).await.unwrap().last;
        let (old, _) = lease(&store, &key("shelf/a"), at(9)).await;
        // Twice from the same copy: the second time is another life too.
        let mut lives = vec![old.token.epoch];
        let mut places = vec![early, late];
        for _ in 0..2 {
            copy.restore(&client).await;
            for nth in 12..20 {
                refresh(&store, &key("shelf/b"), vec![book("moby", nth)], at(nth.unsigned_abs())).await;
            }
            for place in &places {
                let changes = store.changes(*place, 10).await.unwrap();
                assert!(changes.reset, "from {place} on: {changes:?}");
            }
            let last = store.changes(0, 10).await.unwrap().last;
            assert!(!store.changes(last, 10).await.unwrap().reset);
            refresh(&store, &key("shelf/b"), vec![book("moby", 99)], at(99)).await;
            let since = store.changes(last, 10).await.unwrap();
            assert!(!since.reset && !since.lines.is_empty(), "{since:?}");
            let (new, _) = lease(&store, &key("shelf/a"), at(9)).await;
            lives.push(new.token.epoch);
            places.push(since.last);
        }
        lives.sort_unstable();
        lives.dedup();
        assert_eq!(lives.len(), 3);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn a_restore_by_a_transaction_of_the_same_number_is_another_life_all_the_same() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let client = database.client().await;
        let mut copy = Copy::of(&client).await;
        let (old, _) = lease(&store, &key("shelf/a"), at(9)).await;
        // As where both servers had begun to count alike.
        copy.steps.insert(0, "UPDATE copy.written SET by = pg_current_xact_id()::xid".to_owned());
        copy.restore(&client).await;
        let store = PostgresStore::open(options(&database)).await.unwrap();
        let (new, _) = lease(&store, &key("shelf/a"), at(9)).await;
        assert_ne!(new.token.epoch, old.token.epoch);
        assert!(store.changes(1, 10).await.unwrap().reset);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn a_sequence_that_a_restore_of_the_rows_sets_back_last_goes_on_where_the_feed_is() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let client = database.client().await;
        let set_back = Copy::of(&client).await.restore_rows(&client).await;
        let place = store.changes(0, 10).await.unwrap().last;
        client.batch_execute(&set_back).await.unwrap();
        refresh(&store, &key("shelf/b"), vec![book("moby", 7)], at(7)).await;
        let told: Vec<String> =
            store.verify().await.unwrap().into_iter().map(|problem| problem.message).collect();
        assert_eq!(told, ["what was swept of the feed is ahead of the store's number"]);
        // What took a number since then is behind that place.
        let behind = store.changes(place, 10).await.unwrap();
        assert!(behind.reset, "{behind:?}");
        assert!(store.changes(place, 10).await.unwrap().reset, "nor has anybody else seen it");
        refresh(&store, &key("shelf/b"), vec![book("moby", 8)], at(8)).await;
        let since = store.changes(behind.last, 10).await.unwrap();
        assert!(!since.reset && !since.lines.is_empty(), "{since:?}");
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn what_keeps_a_restored_store_from_being_used_is_told_until_it_is_put_right() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let before = held(&store).await.unwrap();
        let client = database.client().await;
        let cases = [
            (
                "INSERT INTO larder.migrations VALUES (99, 'from the future', 'x', now()); \
                 ALTER TABLE larder.entries RENAME COLUMN tried TO attempted",
                "DELETE FROM larder.migrations WHERE version = 99; \
                 ALTER TABLE larder.entries RENAME COLUMN attempted TO tried",
                "schema 99",
            ),
            (
                "UPDATE larder.migrations SET checksum = 'x' || checksum",
                "UPDATE larder.migrations SET checksum = substr(checksum, 2)",
                "another build",
            ),
        ];
        for (spoilt, put_right, told) in cases {
            let copy = Copy::of(&client).await;
            client
                .batch_execute(&format!("BEGIN; {}; {spoilt}; COMMIT", copy.steps.join("; ")))
                .await
                .unwrap();
            for _ in 0..2 {
                for error in [held(&store).await.unwrap_err(), store.changes(0, 10).await.unwrap_err()] {
                    assert!(error.to_string().contains(told) && !error.is_retryable(), "{error}");
                }
            }
            client.batch_execute(put_right).await.unwrap();
            assert_eq!(held(&store).await.unwrap(), before);
            assert!(store.changes(1, 10).await.unwrap().reset);
        }
    });
}

#[test]
fn of_many_who_meet_a_restored_store_one_begins_its_new_life() {
    let database = Database::fresh();
    block_on(async {
        let mut stores = vec![filled(&database).await];
        for _ in 0..7 {
            stores.push(PostgresStore::open(options(&database)).await.unwrap());
        }
        let client = database.client().await;
        Copy::of(&client).await.restore(&client).await;
        let looks = futures::future::join_all(stores.iter().map(held)).await;
        assert!(looks.iter().all(Result::is_ok), "{looks:?}");
        let last = stores[0].changes(0, 1).await.unwrap().last;
        for store in &stores {
            held(store).await.unwrap();
        }
        drop(PostgresStore::open(options(&database)).await.unwrap());
        assert_eq!(stores[0].changes(0, 1).await.unwrap().last, last);
    });
}

#[test]
fn what_is_tidied_or_swept_stays_the_same_life() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let last = store.changes(0, 10).await.unwrap().last;
        let client = database.client().await;
        client.batch_execute("VACUUM FREEZE").await.unwrap();
        client.batch_execute("VACUUM FULL larder.written").await.unwrap();
        store.end_sweep(at(5)).await.unwrap();
        held(&store).await.unwrap();
        drop(PostgresStore::open(options(&database)).await.unwrap());
        assert!(!store.changes(last, 10).await.unwrap().reset);
    });
}

#[test]
fn who_may_only_read_reads_what_was_restored() {
    let database = Database::fresh();
    block_on(async {
        let store = filled(&database).await;
        let client = database.client().await;
        let reader = format!("{}_reader", database.name());
        let copy = Copy::of(&client).await;
        let granted = format!(
            "CREATE ROLE {reader} LOGIN PASSWORD 'reads'; GRANT USAGE ON SCHEMA larder TO {reader}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA larder TO {reader}; \
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA larder TO {reader}"
        );
        let (rights, address) =
            granted.split_once("; ").map(|(_, rights)| rights).zip(Some(database.url())).unwrap();
        client.batch_execute(&granted).await.unwrap();
        let host = address.rsplit_once('@').unwrap().1;
        let url = format!("postgres://{reader}:reads@{host}");
        let reading = PostgresStore::open(crate::place::options(&url)).await.unwrap();
        let before = held(&reading).await.unwrap();
        copy.restore(&client).await;
        client.batch_execute(rights).await.unwrap();
        assert_eq!(held(&reading).await.unwrap(), before);
        assert_eq!(held(&store).await.unwrap(), before);
        assert_eq!(held(&reading).await.unwrap(), before);
        let last = store.changes(0, 1).await.unwrap().last;
        assert_eq!(reading.changes(0, 1).await.unwrap().last, last);
        client.batch_execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).await.unwrap();
    });
}
