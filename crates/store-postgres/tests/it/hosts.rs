//! Addresses of several hosts: which of them new connections go to, once one was found that lets us in.

use std::net::TcpListener;
use std::time::Duration;

use larder_core::{Store, StoreError, Target};
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, Statements};
use larder_testkit::Proxy;
use larder_testkit::contract::build::{at, key};

use crate::connections::host_of;
use crate::place::{Database, block_on, neighbour, options};

/// Two ways to the same database.
async fn two_ways(database: &Database) -> (Proxy, Proxy) {
    let server = host_of(&database.url());
    (Proxy::start(&server).await.unwrap(), Proxy::start(&server).await.unwrap())
}

/// Its address with those hosts.
fn with_hosts(database: &Database, hosts: &str, parameters: &str) -> OpenOptions {
    let url = database.url().replace(&host_of(&database.url()), hosts);
    OpenOptions { connect_timeout: Some(Duration::from_secs(2)), ..options(&(url + parameters)) }
}

fn hosts(first: &Proxy, second: &Proxy) -> String {
    format!("{},{}", first.address(), second.address())
}

/// So many at once that they need connections of their own.
async fn burst(store: &PostgresStore) {
    let asked = [key("shelf/cinder")];
    futures::future::try_join_all((0..12).map(|_| store.lookup(&asked))).await.unwrap();
}

#[test]
fn a_host_that_says_nothing_is_waited_for_once() {
    let database = Database::fresh();
    block_on(async {
        // It takes connections, and never reads one.
        let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        silent.set_nonblocking(true).unwrap();
        let proxy = Proxy::start(&host_of(&database.url())).await.unwrap();
        let both = format!("{},{}", silent.local_addr().unwrap(), proxy.address());
        let store = PostgresStore::open(OpenOptions {
            listen: Listen::Here,
            statements: Statements::Prepared,
            ..with_hosts(&database, &both, "")
        });
        let store = store.await.unwrap();
        store.heard().await;
        burst(&store).await;
        assert!(proxy.traffic().connections > 4, "{:?}", proxy.traffic());
        let waited_for = std::iter::from_fn(|| silent.accept().ok()).count();
        assert_eq!(waited_for, 1);
    });
}

#[test]
fn the_host_that_let_us_in_last_is_tried_first_until_it_fails() {
    let database = Database::fresh();
    block_on(async {
        let (first, second) = two_ways(&database).await;
        first.refuse();
        let store = PostgresStore::open(with_hosts(&database, &hosts(&first, &second), "")).await.unwrap();
        first.accept();
        burst(&store).await;
        assert_eq!(first.traffic().connections, 0, "the second lets us in");
        second.refuse();
        second.cut();
        burst(&store).await;
        assert!(first.traffic().connections > 0);
        second.accept();
        let before = second.traffic().connections;
        first.cut();
        burst(&store).await;
        assert_eq!(second.traffic().connections, before, "as they are written again");
    });
}

/// A standby lets in whoever does not ask for another kind of server.
#[test]
fn a_host_that_may_only_be_read_gives_way_to_those_written_before_it() {
    let database = Database::fresh();
    block_on(async {
        let (first, second) = two_ways(&database).await;
        first.refuse();
        let store = PostgresStore::open(with_hosts(&database, &hosts(&first, &second), "")).await.unwrap();
        first.accept();
        let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
        neighbour().await.batch_execute(&read_only).await.unwrap();
        second.cut();
        let refused = store.invalidate(&Target::All, at(1)).await.unwrap_err();
        assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
        // Both are one database here, so that it is refused once more: by the other.
        assert!(store.invalidate(&Target::All, at(2)).await.is_err());
        assert!(first.traffic().connections > 0);
    });
}

#[test]
fn where_the_load_is_to_be_spread_each_connection_goes_to_any_host() {
    let database = Database::fresh();
    block_on(async {
        let (first, second) = two_ways(&database).await;
        first.refuse();
        let spread = with_hosts(&database, &hosts(&first, &second), "?load_balance_hosts=random");
        let store = PostgresStore::open(OpenOptions { pool_size: 12, ..spread }).await.unwrap();
        burst(&store).await;
        first.accept();
        let before = second.traffic().connections;
        second.cut();
        burst(&store).await;
        let (first, second) = (first.traffic().connections, second.traffic().connections - before);
        assert!(first > 0 && second > 0, "{first} and {second}");
    });
}
