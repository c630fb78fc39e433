//! Views that other people use: what they built on them, who may read them, and who may make them anew.

use std::collections::HashMap;

use larder_core::{Column, ColumnType, ListQuery, Retention, Store, StoreError, ViewSpec};
use larder_store_postgres::{OpenOptions, PostgresStore, migrate_up};
use larder_testkit::contract::build::{VIEW, at, book_with, ids, key, refresh, row};
use serde_json::json;
use tokio_postgres::Client;

use crate::place::{Database, block_on, options};

const TITLE: Column = Column { name: "title", holds: ColumnType::Text, indexed: true };
const STARS: Column = Column { name: "stars", holds: ColumnType::Integer, indexed: true };
const PAGES: Column = Column { name: "pages", holds: ColumnType::Integer, indexed: false };

fn spec(columns: &'static [Column]) -> ViewSpec {
    ViewSpec { kind: "book", view: "books", columns, title: "title", words: &[] }
}

fn with(database: &Database, spec: ViewSpec) -> OpenOptions {
    OpenOptions { views: vec![spec], ..database.options() }
}

/// A store whose view has those columns, with one book in it.
async fn filled(database: &Database, columns: &'static [Column]) -> PostgresStore {
    let store = PostgresStore::open(with(database, spec(columns))).await.unwrap();
    let book = book_with("a", json!({"title": "A", "stars": 4, "pages": 100}));
    refresh(&store, &key("shelf/one"), vec![book], at(0)).await;
    store
}

async fn asked<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, sql: &str) -> T {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Another role of the database, which goes with it.
struct Role<'a> {
    client: &'a Client,
    name: String,
}

impl<'a> Role<'a> {
    async fn new(client: &'a Client) -> Role<'a> {
        let name = format!("role_{}", asked::<String>(client, "SELECT current_database()::text").await);
        let make =
            format!("CREATE ROLE {name} LOGIN PASSWORD 'role'; GRANT USAGE ON SCHEMA larder TO {name}");
        client.batch_execute(&make).await.unwrap();
        Role { client, name }
    }

    async fn drop(self) {
        let drop = format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.name);
        self.client.batch_execute(&drop).await.unwrap();
    }
}

#[test]
fn a_view_that_gains_a_column_is_the_same_view_to_all_who_use_it() {
    let database = Database::fresh();
    block_on(async {
        drop(filled(&database, &[TITLE, STARS]).await);
        let client = database.client().await;
        client.batch_execute("CREATE VIEW public.mine AS SELECT * FROM larder.books").await.unwrap();
        drop(PostgresStore::open(with(&database, spec(&[TITLE, PAGES, STARS]))).await.unwrap());
        let line = "SELECT title || stars || pages || fetched_at FROM larder.books";
        assert_eq!(asked::<String>(&client, line).await, "A41002026-01-01 00:00:00+00");
        assert_eq!(asked::<i64>(&client, "SELECT stars FROM public.mine").await, 4);
    });
}

#[test]
fn who_may_read_a_view_may_read_it_when_it_was_made_anew() {
    let database = Database::fresh();
    block_on(async {
        drop(filled(&database, &[TITLE, STARS, PAGES]).await);
        let client = database.client().await;
        let role = Role::new(&client).await;
        let name = role.name.clone();
        let grant = format!(
            "GRANT SELECT ON larder.books TO {name} WITH GRANT OPTION; GRANT SELECT (title) ON larder.books TO PUBLIC"
        );
        client.batch_execute(&grant).await.unwrap();
        drop(PostgresStore::open(with(&database, spec(&[TITLE, STARS]))).await.unwrap());
        let may = format!("SELECT has_table_privilege('{name}', 'larder.books', 'SELECT WITH GRANT OPTION')");
        assert!(asked::<bool>(&client, &may).await);
        let all = "SELECT has_column_privilege('public', 'larder.books', 'title', 'SELECT') \
            AND NOT has_column_privilege('public', 'larder.books', 'stars', 'SELECT')";
        assert!(asked::<bool>(&client, all).await);
        role.drop().await;
    });
}

/// The views are for people; the store does without.
#[test]
fn a_view_that_others_build_on_keeps_nobody_from_the_store() {
    let database = Database::fresh();
    block_on(async {
        drop(filled(&database, &[TITLE, STARS, PAGES]).await);
        let client = database.client().await;
        client.batch_execute("CREATE VIEW public.mine AS SELECT pages FROM larder.books").await.unwrap();
        let newer = with(&database, spec(&[TITLE, STARS]));
        let store = PostgresStore::open(newer.clone()).await.unwrap();
        assert_eq!(ids(&row(&store, &key("shelf/one")).await), ["a"]);
        assert_eq!(asked::<i64>(&client, "SELECT pages FROM public.mine").await, 100);
        let error = migrate_up(&newer).await.unwrap_err();
        let told = format!("{error} {:?}", error.hints());
        assert!(
            matches!(error, StoreError::Denied { .. }) && told.contains("view public.mine depends"),
            "{told}"
        );
        assert!(told.contains("larder migrate up"), "{told}");
        client.batch_execute("DROP VIEW public.mine").await.unwrap();
        migrate_up(&newer).await.unwrap();
        assert!(client.query("SELECT pages FROM larder.books", &[]).await.is_err());
    });
}

#[test]
fn a_role_that_may_not_make_views_uses_the_store_without() {
    let database = Database::fresh();
    block_on(async {
        drop(filled(&database, &[TITLE, STARS, PAGES]).await);
        let client = database.client().await;
        let role = Role::new(&client).await;
        let name = role.name.clone();
        let grant = format!(
            "GRANT ALL ON ALL TABLES IN SCHEMA larder TO {name}; GRANT ALL ON ALL SEQUENCES IN SCHEMA larder TO {name}"
        );
        client.batch_execute(&grant).await.unwrap();
        let url = database.url();
        let url = format!("postgres://{name}:role@{}", url.split_once('@').unwrap().1);
        let fewer = OpenOptions { views: vec![spec(&[TITLE, STARS])], ..options(&url) };
        let store = PostgresStore::open(fewer).await.unwrap();
        assert_eq!(ids(&row(&store, &key("shelf/one")).await), ["a"]);
        refresh(&store, &key("shelf/two"), vec![], at(1)).await;
        drop(store);
        role.drop().await;
    });
}

/// Each index of documents with the number that it is made under.
async fn indexes(client: &Client) -> HashMap<String, u32> {
    let sql = "SELECT c.relname::text, c.oid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid \
        WHERE x.indrelid = 'larder.docs'::regclass AND c.relname LIKE 'books_by_%'";
    client.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Two releases may be at work beside each other, and each command makes what its own wants.
#[test]
fn an_index_that_is_as_it_would_be_is_not_made_anew() {
    const STARRED: Column = Column { name: "stars", holds: ColumnType::Text, indexed: true };
    const PAGED: Column = Column { name: "pages", holds: ColumnType::Integer, indexed: true };
    let database = Database::fresh();
    block_on(async {
        drop(filled(&database, &[TITLE, STARS]).await);
        let client = database.client().await;
        let open = async |columns| {
            drop(PostgresStore::open(with(&database, spec(columns))).await.unwrap());
            indexes(&client).await
        };
        let first = indexes(&client).await;
        let more = open(&[TITLE, STARS, PAGED]).await;
        assert_eq!((more.len(), more["books_by_title"]), (3, first["books_by_title"]));
        assert_eq!(more["books_by_stars"], first["books_by_stars"]);
        let other = open(&[TITLE, STARRED]).await;
        assert_eq!((other.len(), other["books_by_title"]), (2, first["books_by_title"]));
        assert_ne!(other["books_by_stars"], first["books_by_stars"]);
        // What somebody dropped is made again.
        client.batch_execute("DROP INDEX larder.books_by_title").await.unwrap();
        let again = open(&[TITLE, STARRED, PAGES]).await;
        assert_eq!((again.len(), again["books_by_stars"]), (2, other["books_by_stars"]));
    });
}

/// Whoever removes entries holds the store's own row, and then removes documents.
#[test]
fn whoever_makes_indexes_keeps_nobody_from_documents_while_waiting_for_who_removes_entries() {
    let database = Database::fresh();
    block_on(async {
        drop(filled(&database, &[TITLE, STARS]).await);
        let mut client = database.client().await;
        let removing = client.transaction().await.unwrap();
        removing.batch_execute("UPDATE larder.meta SET version_floor = version_floor").await.unwrap();
        let fewer = with(&database, spec(&[TITLE]));
        let opening = tokio::spawn(PostgresStore::open(fewer));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        let watcher = database.client().await;
        while asked::<i64>(&watcher, waits).await < 1 {
            tokio::task::yield_now().await;
        }
        removing.batch_execute("LOCK TABLE larder.docs IN ROW EXCLUSIVE MODE NOWAIT").await.unwrap();
        removing.commit().await.unwrap();
        drop(opening.await.unwrap().unwrap());
        assert_eq!(indexes(&watcher).await.len(), 1);
    });
}

/// How many of the books on that shelf a search finds.
async fn found(store: &PostgresStore, search: &str) -> usize {
    let query = ListQuery {
        view: &VIEW,
        entries: vec![key("shelf/cinder")],
        search: Some(search.to_owned()),
        filters: Vec::new(),
        order: None,
        offset: 0,
        limit: 100,
    };
    store.list(&query).await.unwrap().len()
}

/// What an older larder noted of words: what they are, and nothing of how their letters are folded.
fn digest_of_before(title: &str, search: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in [title, search] {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

#[test]
fn words_that_an_older_larder_folded_otherwise_are_folded_anew_by_a_sweep() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let book = book_with("a", json!({"title": "Йод"}));
        refresh(&store, &key("shelf/cinder"), vec![book], at(0)).await;
        assert_eq!(found(&store, "иод").await, 1);
        let client = database.client().await;
        let older = format!(
            "UPDATE larder.words SET words = '''йод'':1A'::tsvector; \
             UPDATE larder.items SET words_digest = '{}'; \
             UPDATE larder.meta SET view_names = (SELECT jsonb_agg(n) FROM jsonb_array_elements(view_names) n \
               WHERE n ->> 0 <> 'words')",
            digest_of_before("Йод", "")
        );
        client.batch_execute(&older).await.unwrap();
        assert_eq!(found(&store, "иод").await, 0);
        store.sweep(&Retention::default(), at(1)).await.unwrap();
        assert_eq!(found(&store, "иод").await, 1);
    });
}

/// Fields by which nobody found anything yet are in documents that are there already.
#[test]
fn what_a_new_larder_finds_items_by_is_found_after_a_sweep() {
    let database = Database::fresh();
    block_on(async {
        let named = |n: u32| json!({"title": format!("plain {n}"), "language": format!("zig{n}")});
        let books = (0..2_500).map(|n| book_with(&format!("{n:05}"), named(n))).collect();
        let cinder = key("shelf/cinder");
        let old = PostgresStore::open(database.options()).await.unwrap();
        refresh(&old, &cinder, books, at(0)).await;
        let newer = ViewSpec { words: &["description", "language"], ..VIEW };
        let newer = OpenOptions { views: vec![newer], ..database.options() };
        let store = PostgresStore::open(newer).await.unwrap();
        assert_eq!((found(&store, "zig2499").await, found(&store, "plain").await), (0, 100));
        store.sweep(&Retention::default(), at(1)).await.unwrap();
        assert_eq!((found(&store, "zig2499").await, found(&store, "plain").await), (1, 100));
        // What was looked at once is not looked at again.
        let client = database.client().await;
        let written = "SELECT count(DISTINCT xmin::text) FROM larder.words";
        let before: i64 = asked(&client, written).await;
        client.batch_execute("UPDATE larder.words SET words = '' WHERE title = 'plain 7'").await.unwrap();
        store.sweep(&Retention::default(), at(2)).await.unwrap();
        assert_eq!(asked::<i64>(&client, written).await, before + 1);
    });
}
