//! Times in the views: each text is the instant that PostgreSQL takes it for, or none, and never an error,
//! whoever asks and by whatever settings.

use larder_store_postgres::PostgresStore;
use larder_testkit::contract::build::{at, book_with, key, refresh};
use serde_json::json;
use tokio_postgres::Client;

use crate::place::{Database, block_on};

/// A database with one book, which was published at that time, and a connection to it.
async fn with_a_book(database: &Database, published_at: &str) -> Client {
    let store = PostgresStore::open(database.options()).await.unwrap();
    let book = book_with("a", json!({"title": "A", "published_at": published_at}));
    refresh(&store, &key("shelf/one"), vec![book], at(0)).await;
    database.client().await
}

async fn texts(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Reads the text as PostgreSQL does, and catches what it does not understand; it knows an hour 24 and a second
/// 60 with a fraction, which nobody else does.
const GUARDED: &str = "CREATE FUNCTION pg_temp.guarded(said text) RETURNS timestamptz LANGUAGE plpgsql AS $$
    BEGIN
      IF said ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'
        AND said !~ '^.{11}(24|.*:60[.])' THEN
        RETURN said::timestamptz;
      END IF;
      RETURN NULL;
    EXCEPTION WHEN data_exception THEN
      RETURN NULL;
    END $$";

/// Days that there are and that there are not, of years of every kind; times; offsets; fractions.
const SAID: &str = "CREATE TEMP TABLE said AS
    WITH two AS (SELECT n, lpad(n::text, 2, '0') AS t FROM generate_series(0, 99) n),
    years AS (SELECT lpad(y::text, 4, '0') AS t FROM unnest(
      '{0, 1, 4, 99, 100, 400, 1600, 1700, 1900, 1996, 2000, 2023, 2024, 2100, 2400, 9996, 9999}'::int[]) y)
    SELECT y.t || '-' || m.t || '-' || d.t || 'T12:30:00Z' AS said
      FROM years y, two m, two d WHERE m.n <= 20 AND d.n <= 40
    UNION ALL SELECT lpad(y::text, 4, '0') || '-02-29 00:00:00+00:00' FROM generate_series(0, 9999) y
    UNION ALL SELECT '2024-02-29t' || h.t || ':' || m.t || ':' || s.t || f
      FROM two h, two m, two s, unnest('{Z, z, .5Z, .999999999Z}'::text[]) f
      WHERE h.n <= 30 AND m.n IN (0, 59, 60, 99) AND s.n IN (0, 59, 60, 61, 99)
    UNION ALL SELECT d || o || h.t || ':' || m.t FROM two h, two m, unnest('{+, -}'::text[]) o,
      unnest('{0001-01-01T00:00:00, 9999-12-31T23:59:59.9999999}'::text[]) d WHERE m.n <= 61";

#[test]
fn a_text_is_the_instant_that_postgresql_takes_it_for_or_none() {
    let database = Database::fresh();
    block_on(async {
        let client = with_a_book(&database, "soon").await;
        client.batch_execute(&format!("{GUARDED}; {SAID}")).await.unwrap();
        let otherwise = "SELECT said FROM said \
            WHERE larder.instant(said) IS DISTINCT FROM pg_temp.guarded(said) ORDER BY said LIMIT 20";
        assert!(texts(&client, otherwise).await.is_empty(), "{:?}", texts(&client, otherwise).await);
        let both = "SELECT DISTINCT (larder.instant(said) IS NULL)::text FROM said ORDER BY 1";
        assert_eq!(texts(&client, both).await, ["false", "true"]);
    });
}

#[test]
fn what_is_no_instant_is_none_and_never_an_error() {
    let database = Database::fresh();
    block_on(async {
        let client = with_a_book(&database, "soon").await;
        let long = format!("2026-01-31T00:00:00.{}Z", "1".repeat(300));
        let odd = [
            "",
            "now",
            "soon",
            "infinity",
            "2026-01-31",
            "2026-01-31T00:00:00",
            "2026-01-31T00:00:00 UTC",
            "2026-01-31T00:00:00+01",
            "2026-01-31T00:00:00.Z",
            "2026-01-31T00:00:00Z\n",
            " 2026-01-31T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-W05-6T00:00:00Z",
            "+2026-01-31T00:00:00Z",
            "-002026-01-31T00:00:00Z",
            "12026-01-31T00:00:00Z",
            "２０２６-01-31T00:00:00Z",
            &long,
        ];
        for said in odd {
            let row = client.query_one("SELECT larder.instant($1) IS NULL", &[&said]).await.unwrap();
            assert!(row.get::<_, bool>(0), "{said:?}");
        }
    });
}

/// Past some ten thousand items the planner does that by itself.
#[test]
fn every_view_is_read_by_parallel_workers() {
    let database = Database::fresh();
    block_on(async {
        for published_at in ["2026-01-31T00:00:00Z", "soon"] {
            let client = with_a_book(&database, published_at).await;
            // It is called otherwise from PostgreSQL 16 on.
            let forced = "SELECT set_config(name, 'on', false) FROM pg_settings \
                WHERE name IN ('force_parallel_mode', 'debug_parallel_query')";
            assert_eq!(texts(&client, forced).await, ["on"]);
            let views = "SELECT viewname::text FROM pg_views WHERE schemaname = 'larder' ORDER BY 1";
            let views = texts(&client, views).await;
            assert_eq!(views, ["books", "cache", "noises"]);
            for view in views {
                let plan = texts(&client, &format!("EXPLAIN SELECT * FROM larder.{view}")).await;
                // What is looked up entry by entry is left to one alone.
                assert!(plan[0].starts_with("Gather") || view == "cache", "{plan:?}");
                client.query(&format!("SELECT * FROM larder.{view}"), &[]).await.unwrap();
            }
        }
    });
}

#[test]
fn times_are_read_whatever_a_session_makes_of_backslashes() {
    let database = Database::fresh();
    block_on(async {
        let client = with_a_book(&database, "2026-01-31T00:00:00+01:00").await;
        client.batch_execute("SET standard_conforming_strings = off; SET TimeZone = 'UTC'").await.unwrap();
        let published = texts(&client, "SELECT coalesce(published_at::text, 'none') FROM larder.books").await;
        assert_eq!(published, ["2026-01-30 23:00:00+00"]);
    });
}
