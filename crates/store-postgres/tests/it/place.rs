//! A database of a test's own, dropped after it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use larder_core::Time;
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, Times};
use larder_testkit::VirtualClock;
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{NOISE, NOW, VIEW};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A database in the tests' cluster.
pub(crate) struct Database {
    name: String,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Database {
    pub(crate) fn fresh() -> Self {
        Database::made("")
    }

    /// One that is made as those words say.
    pub(crate) fn made(how: &str) -> Self {
        let name = format!("t_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        run(&format!("CREATE DATABASE {name} {how}"));
        Database { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its address in the cluster itself.
    pub(crate) fn url(&self) -> String {
        named(&server("LARDER_TEST_POSTGRES"), &self.name)
    }

    /// Its address behind the pooler.
    pub(crate) fn pooled_url(&self) -> String {
        named(&server("LARDER_TEST_PGBOUNCER"), &self.name)
    }

    /// To open it as the contract wants it: the stories' views, and their time.
    pub(crate) fn options(&self) -> OpenOptions {
        options(&self.url())
    }

    /// A connection beside the store, as another program has it.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url()).await
    }

    /// The same behind the pooler, where nothing can be prepared.
    pub(crate) async fn pooled_client(&self) -> Client {
        connect(&self.pooled_url()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Straight to the database.
pub(crate) struct Direct(Database);

/// By way of the pooler.
pub(crate) struct Pooled(Database);

/// Whoever comes next to the pooler's sessions finds them as they were made, after every story.
impl Drop for Pooled {
    fn drop(&mut self) {
        // A story that has failed already is to say why itself.
        if !thread::panicking() {
            let url = self.0.pooled_url();
            let left = elsewhere(async move { left_behind(&url).await });
            assert!(left.is_empty(), "left in sessions that a pooler hands on: {left:?}");
        }
    }
}

impl Place for Direct {
    type Store = PostgresStore;

    fn fresh() -> Self {
        Direct(Database::fresh())
    }

    async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.0.options()).await.unwrap()
    }
}

impl Place for Pooled {
    type Store = PostgresStore;

    fn fresh() -> Self {
        Pooled(Database::fresh())
    }

    async fn open(&self) -> PostgresStore {
        PostgresStore::open(options(&self.0.pooled_url())).await.unwrap()
    }
}

pub(crate) fn options(url: &str) -> OpenOptions {
    OpenOptions {
        views: vec![VIEW, NOISE],
        times: Times::Caller,
        listen: Listen::Never,
        now: NOW,
        ..OpenOptions::new(url.to_owned().into(), clock(NOW))
    }
}

/// A clock that stands still.
pub(crate) fn clock(now: Time) -> std::sync::Arc<VirtualClock> {
    std::sync::Arc::new(VirtualClock::at(now))
}

/// What `ci/postgres.sh` says under that name.
#[expect(clippy::disallowed_methods, reason = "the script that starts the databases tells of them so")]
pub(crate) fn server(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run ./test, or eval \"$(ci/postgres.sh start DIR)\"");
    })
}

fn named(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

/// A client of another database on the same server.
pub(crate) async fn neighbour() -> Client {
    connect(&server("LARDER_TEST_POSTGRES")).await
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn run(sql: &str) {
    let (url, sql) = (server("LARDER_TEST_POSTGRES"), sql.to_owned());
    elsewhere(async move { connect(&url).await.batch_execute(&sql).await.unwrap() });
}

/// In a runtime of its own, since a place is made and dropped inside of another's.
fn elsewhere<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    thread::spawn(move || block_on(work)).join().unwrap()
}

/// What a session keeps beyond a transaction, but for its name: the pooler itself sets that for each who comes.
const KEPT: &str = "\
    SELECT 'the setting ' || name || ' = ' || setting FROM pg_settings \
      WHERE source = 'session' AND name <> 'application_name' \
    UNION ALL SELECT 'an advisory lock, ' || objid FROM pg_locks \
      WHERE locktype = 'advisory' AND pid = pg_backend_pid() \
    UNION ALL SELECT 'the prepared statement ' || statement FROM pg_prepared_statements \
    UNION ALL SELECT 'it listens to ' || channel FROM pg_listening_channels() AS channel \
    UNION ALL SELECT 'the cursor ' || name FROM pg_cursors WHERE is_holdable \
    UNION ALL SELECT 'the temporary ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()";

/// How many more sessions the pooler has of this database, that it could hand to the next who asks.
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND backend_type = 'client backend' AND state = 'idle' AND pid <> pg_backend_pid()";

/// What is left in the sessions behind that address of a pooler: asked of each session itself, as whom it is
/// handed to next would find it.
pub(crate) async fn left_behind(pooled: &str) -> Vec<String> {
    // One that is in a transaction has a session to itself, and the next is given another.
    let first = connect(pooled).await;
    first.batch_execute("BEGIN").await.unwrap();
    let others: usize = texts(&first, OTHERS).await[0].parse().unwrap();
    let mut all = vec![first];
    for _ in 0..others {
        let next = connect(pooled).await;
        next.batch_execute("BEGIN").await.unwrap();
        all.push(next);
    }
    let mut left = Vec::new();
    for session in all {
        left.extend(texts(&session, KEPT).await);
    }
    left
}

/// The first column of each row, with nothing prepared for it.
async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let told = client.simple_query(sql).await.unwrap();
    let text = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    told.iter().filter_map(text).collect()
}

/// Runs a story of this crate's own.
pub(crate) fn block_on<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
}

/// The same on two threads, for stories of many at once.
pub(crate) fn block_on_threads<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(story)
}
