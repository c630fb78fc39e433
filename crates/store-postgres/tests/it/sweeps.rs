//! A sweep goes over all there is a piece at a time, and what one part of it cannot do keeps no other from its
//! own.

use std::time::Duration;

use larder_core::{Retention, Store, Target};
use larder_store_postgres::PostgresStore;
use larder_testkit::contract::build::{at, book, fail, key, refresh};
use tokio_postgres::Client;

use crate::place::{Database, block_on};

/// What each part of a sweep has to remove: the table, and which rows of it.
const PARTS: [(&str, &str); 5] = [
    ("entries", "key = 'shelf/failed'"),
    ("refresh_log", "true"),
    ("changes", "what <> 'evicted'"),
    ("markers", "true"),
    ("items", "NOT EXISTS (SELECT 1 FROM larder.members m WHERE m.item = items.nr)"),
];

/// Of which tables something is still there that a sweep has to remove.
async fn left(client: &Client) -> Vec<&'static str> {
    let mut left = Vec::new();
    for (table, rows) in PARTS {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM larder.{table} WHERE {rows})");
        if client.query_one(&sql, &[]).await.unwrap().get(0) {
            left.push(table);
        }
    }
    left
}

#[test]
fn what_one_part_of_a_sweep_cannot_do_keeps_no_other_from_its_own() {
    for (broken, _) in PARTS {
        let database = Database::fresh();
        block_on(async {
            let store = PostgresStore::open(database.options()).await.unwrap();
            let client = database.client().await;
            fail(&store, &key("shelf/failed"), at(0)).await;
            refresh(&store, &key("shelf/one"), vec![book("a", 1), book("b", 1)], at(0)).await;
            store.invalidate(&Target::Source("shelf".to_owned()), at(1)).await.unwrap();
            let refuse = format!(
                "DELETE FROM larder.members WHERE position = 0; \
                 CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS \
                   $$ BEGIN RAISE 'not this'; END $$; \
                 CREATE TRIGGER refuse BEFORE DELETE ON larder.{broken} \
                   FOR EACH ROW EXECUTE FUNCTION public.refuse()"
            );
            client.batch_execute(&refuse).await.unwrap();
            assert_eq!(left(&client).await.len(), PARTS.len());
            let later = at(0).plus(Duration::from_hours(24 * 400));
            let error = store.sweep(&Retention::default(), later).await.unwrap_err();
            assert!(error.to_string().contains("not this"), "{error}");
            assert_eq!(left(&client).await, [broken]);
            // How many pages of words wait for their places in the index.
            let wait = "SELECT gin_clean_pending_list('larder.words_by_words')";
            assert_eq!(client.query_one(wait, &[]).await.unwrap().get::<_, i64>(0), 0, "{broken}");
            client.batch_execute(&format!("DROP TRIGGER refuse ON larder.{broken}")).await.unwrap();
            store.sweep(&Retention::default(), later).await.unwrap();
            assert!(left(&client).await.is_empty());
        });
    }
}

/// More than are looked at by one statement, and more than are removed by one.
#[test]
fn of_many_items_those_that_nothing_holds_go_wherever_they_stand() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let client = database.client().await;
        let fill = "INSERT INTO larder.items (nr, kind, id, scope, fetched_at, began) \
              SELECT n * 3, 'book', 'x' || n, 'public', now(), 0 FROM generate_series(1, 45000) n; \
            INSERT INTO larder.docs SELECT nr, kind, id, '{}' FROM larder.items; \
            INSERT INTO larder.members SELECT 1, n, 'x' || n, 'shown', n * 3 FROM generate_series(1, 44999) n \
              WHERE n > 1 AND n % 7 > 0 AND n NOT BETWEEN 19000 AND 27000";
        client.batch_execute(fill).await.unwrap();
        let count = async |table: &str| {
            let sql = format!("SELECT count(*) FROM larder.{table}");
            client.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0)
        };
        let held = count("members").await;
        let swept = store.sweep(&Retention::default(), at(0)).await.unwrap();
        assert_eq!(swept.items, (45_000 - held).cast_unsigned());
        assert_eq!((count("items").await, count("docs").await), (held, held));
        let held = "SELECT count(*) FROM larder.items i JOIN larder.members m ON m.item = i.nr \
            JOIN larder.docs d ON d.nr = i.nr";
        assert_eq!(client.query_one(held, &[]).await.unwrap().get::<_, i64>(0), count("members").await);
    });
}

/// A transaction that takes off all there is would at some length take longer than any statement may, and then
/// never succeed; and whoever commits waits for what it holds.
#[test]
fn of_a_long_feed_no_more_goes_in_one_transaction_than_its_time_allows() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let client = database.client().await;
        let fill = "INSERT INTO larder.changes \
              SELECT n * 2, 'entry', 'shelf/a', 'updated', 1, CASE WHEN n > 50000 THEN $1::timestamptz \
                ELSE $1::timestamptz - interval '8 days' END FROM generate_series(1, 60000) n";
        let now = std::time::UNIX_EPOCH + Duration::from_millis(at(0).ms().cast_unsigned());
        client.execute(fill, &[&now]).await.unwrap();
        let refuse = "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS \
              $$ BEGIN IF (SELECT count(*) FROM gone) > 20000 THEN RAISE 'not so many'; END IF; \
                RETURN NULL; END $$; \
            CREATE TRIGGER refuse AFTER DELETE ON larder.changes REFERENCING OLD TABLE AS gone \
              FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()";
        client.batch_execute(refuse).await.unwrap();
        let left = async || {
            let sql = "SELECT min(seq), count(*), (SELECT feed_swept FROM larder.meta) FROM larder.changes";
            let row = client.query_one(sql, &[]).await.unwrap();
            (row.get::<_, Option<i64>>(0), row.get::<_, i64>(1), row.get::<_, i64>(2))
        };
        let by_age = Retention::default();
        assert_eq!(store.sweep(&by_age, at(0)).await.unwrap().feed, 50_000);
        assert_eq!(left().await, (Some(100_002), 10_000, 100_000));
        let by_lines = Retention { feed_lines_max: 10, ..Retention::default() };
        assert_eq!(store.sweep(&by_lines, at(0)).await.unwrap().feed, 9_990);
        assert_eq!(left().await, (Some(119_982), 10, 119_980));
    });
}
