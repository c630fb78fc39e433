//! A database of a test's own, dropped after it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use larder_core::Time;
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, Times};
use larder_testkit::VirtualClock;
use larder_testkit::contract::Place;
use larder_testkit::contract::build::{NOISE, NOW, VIEW};
use tokio_postgres::{Client, NoTls};

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

/// In a runtime of its own, since a place is made and dropped inside of another's.
fn run(sql: &str) {
    let (url, sql) = (server("LARDER_TEST_POSTGRES"), sql.to_owned());
    let done = thread::spawn(move || {
        block_on(async {
            connect(&url).await.batch_execute(&sql).await.unwrap();
        });
    });
    done.join().unwrap();
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
