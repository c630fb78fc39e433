//! Who listens where: a session that a pooler hands on is nobody's to listen in.

use larder_core::Store;
use larder_store_postgres::{Listen, OpenOptions, PostgresStore};
use larder_testkit::contract::build::{at, book, key, refresh};
use tokio_postgres::SimpleQueryMessage;

use crate::place::{Database, block_on, options};

#[test]
fn a_direct_connection_listens() {
    let database = Database::fresh();
    block_on(async {
        let hearer = PostgresStore::open(OpenOptions { listen: Listen::Here, ..database.options() });
        hearer.await.unwrap().heard().await;
    });
}

/// `LISTEN` is the session's, and a transaction pooler's sessions are everybody's: what was said in one
/// stays there when we are long gone.
#[test]
fn nobody_listens_through_a_pooler_though_nobody_said_that_it_is_one() {
    let database = Database::fresh();
    block_on(async {
        let pooled = OpenOptions { listen: Listen::Here, ..options(&database.pooled_url()) };
        let store = PostgresStore::open(pooled).await.unwrap();
        assert!(!store.is_direct().await);
        let client = database.pooled_client().await;
        let listens = "SELECT count(*)::text FROM pg_listening_channels()";
        for round in 0..40_u64 {
            refresh(&store, &key("shelf/cinder"), vec![book("a", 1)], at(round)).await;
            let told = client.simple_query(listens).await.unwrap();
            let listens = told.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            assert_eq!(listens, Some("0"), "round {round}");
        }
    });
}
