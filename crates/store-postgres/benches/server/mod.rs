//! The database that benchmarks go to, and the clock that they go by.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

/// A monotonic reading.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "the script that starts the database tells of it so")]
pub(crate) fn server() -> String {
    std::env::var("LARDER_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!("LARDER_TEST_POSTGRES is not set: run ./bench, or eval \"$(ci/postgres.sh start DIR)\"");
    })
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) async fn drop_database(admin: &Client, name: &str) {
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
}
