//! Many items at once: copied in where they are new, confirmed where they come as they were, and written
//! only where they differ.

use larder_core::{Configured, Coverage, Definition, ListQuery, NewItem, Order, Policy, Retention, Store};
use larder_store_postgres::{OpenOptions, PostgresStore, Statements};
use larder_testkit::contract::build::{VIEW, at, book, done, field, ids, key, refresh, row};
use tokio_postgres::Client;

use crate::place::{Database, block_on, block_on_threads, options};

fn books(count: i64, stars: impl Fn(i64) -> i64) -> Vec<NewItem> {
    // Not in the order of their identities.
    (0..count).map(|n| book(&format!("{:05}", n * 7_919 % count), stars(n))).collect()
}

/// Which transactions have written the rows of a table.
async fn writers(client: &Client, table: &str) -> Vec<String> {
    let sql = format!("SELECT DISTINCT xmin::text FROM larder.{table} ORDER BY 1");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_thousand_arrive_whole_also_behind_a_pooler_and_by_prepared_statements() {
    let database = Database::fresh();
    let prepared = OpenOptions { statements: Statements::Prepared, ..database.options() };
    // More often behind the pooler: what it loses, it does not lose every time.
    let pooled = || options(&database.pooled_url());
    for options in [database.options(), prepared, pooled(), pooled(), pooled(), pooled(), pooled(), pooled()]
    {
        block_on(async {
            let store = PostgresStore::open(options).await.unwrap();
            let (cinder, brick) = (key("shelf/cinder"), key("shelf/brick"));
            let all = books(1_000, |n| n);
            let (version, counts, _) = done(refresh(&store, &cinder, all.clone(), at(0)).await);
            assert_eq!((counts.added, counts.changed), (1_000, 0));
            let held = row(&store, &cinder).await;
            let named: Vec<&str> = all.iter().map(|item| &*item.of.id).collect();
            assert_eq!(ids(&held), named);
            assert_eq!(field(&held, named[7], "stars"), 7);
            let query = ListQuery {
                view: &VIEW,
                entries: vec![cinder.clone()],
                search: Some("00012".to_owned()),
                filters: Vec::new(),
                order: Some(Order::Rank),
                offset: 0,
                limit: 10,
            };
            assert_eq!(store.list(&query).await.unwrap().len(), 1);
            // Held already, and by another entry too.
            let (_, counts, _) = done(refresh(&store, &brick, all, at(1)).await);
            assert_eq!((counts.added, counts.changed), (1_000, 0));
            let other = books(1_000, |n| if n < 3 { -1 } else { n });
            let (next, counts, _) = done(refresh(&store, &cinder, other, at(2)).await);
            assert_eq!((next, counts.added, counts.changed), (version + 1, 0, 3));
            assert_eq!(store.verify().await.unwrap(), []);
            store.evict(&larder_core::Target::All, at(3)).await.unwrap();
            assert_eq!(store.info().await.unwrap().items, 0);
            assert_eq!(store.verify().await.unwrap(), []);
        });
    }
}

/// More than are looked for by one statement: some are new, some others than before, and some as they were.
#[test]
fn six_thousand_are_looked_for_a_piece_at_a_time() {
    let database = Database::fresh();
    let prepared = OpenOptions { statements: Statements::Prepared, ..database.options() };
    for options in [database.options(), prepared, options(&database.pooled_url())] {
        block_on(async {
            let store = PostgresStore::open(options).await.unwrap();
            let cinder = key("shelf/cinder");
            let of = |from: i64, stars: fn(i64) -> i64| {
                (from..from + 6_000)
                    .map(move |n| book(&format!("{:05}", n * 7_919 % 7_000), stars(n)))
                    .collect()
            };
            let (_, counts, _) = done(refresh(&store, &cinder, of(0, |n| n), at(0)).await);
            assert_eq!((counts.added, counts.changed, counts.removed), (6_000, 0, 0));
            // A thousand go, a thousand come, and every tenth is another.
            let other: Vec<NewItem> = of(1_000, |n| if n % 10 == 0 { -n } else { n });
            let named: Vec<String> = other.iter().map(|item| item.of.id.to_string()).collect();
            let (_, counts, _) = done(refresh(&store, &cinder, other, at(1)).await);
            assert_eq!((counts.added, counts.changed, counts.removed), (1_000, 500, 1_000));
            let held = row(&store, &cinder).await;
            assert_eq!(ids(&held), named);
            assert!(held.members.iter().all(|member| member.item.fetched_at == at(1)));
            for (n, name) in (1_000_i64..).zip(&named).step_by(997) {
                let stars = if n % 10 == 0 { -n } else { n };
                assert_eq!(field(&held, name, "stars"), stars, "{name}");
            }
            assert_eq!(store.verify().await.unwrap(), []);
            store.evict(&larder_core::Target::All, at(2)).await.unwrap();
        });
    }
}

/// Two who hold the same items look for them in one order, whatever order theirs is, a piece at a time too.
#[test]
fn two_who_bring_the_same_six_thousand_at_once_wait_for_one_another_and_not_for_ever() {
    let database = Database::fresh();
    block_on_threads(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let bring = |name: &str, turned: bool| {
            let (store, key) = (store.clone(), key(name));
            tokio::spawn(async move {
                for round in 0..4_i64 {
                    let mut all = books(6_000, |n| n * round);
                    if turned {
                        all.reverse();
                    }
                    // Every second one says but half of it: what is held is read, and laid under it.
                    for half in all.iter_mut().step_by(2).filter(|_| round > 0) {
                        half.coverage = Coverage::Partial;
                    }
                    let (_, counts, _) = done(refresh(&store, &key, all, at(round.cast_unsigned())).await);
                    assert_eq!(counts.seen, 6_000);
                }
            })
        };
        for one in [bring("shelf/cinder", false), bring("shelf/brick", true)] {
            one.await.unwrap();
        }
        let (cinder, brick) =
            (row(&store, &key("shelf/cinder")).await, row(&store, &key("shelf/brick")).await);
        for held in [&cinder, &brick] {
            assert_eq!(held.members.len(), 6_000);
            let all = books(6_000, |n| n * 3);
            for (item, n) in all.iter().zip(0..).step_by(499) {
                assert_eq!(field(held, &item.of.id, "stars"), n * 3, "{}", item.of.id);
            }
        }
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

/// All are copied in or none; one that another makes at that moment must not undo the rest.
#[test]
fn a_thousand_arrive_though_another_makes_one_of_them_at_that_moment() {
    let database = Database::fresh();
    let prepared = OpenOptions { statements: Statements::Prepared, ..database.options() };
    block_on_threads(async {
        let store = PostgresStore::open(prepared).await.unwrap();
        let mut client = database.client().await;
        let other = client.transaction().await.unwrap();
        let made = "INSERT INTO larder.items (nr, kind, id, scope, fetched_at, began) \
              SELECT nextval('larder.item_numbers'), 'book', '00500', 'public', now(), 0; \
            INSERT INTO larder.docs SELECT nr, kind, id, '{\"title\": \"old\"}' FROM larder.items; \
            INSERT INTO larder.words SELECT nr, kind, 'old', '', '' FROM larder.items";
        other.batch_execute(made).await.unwrap();
        let (one, cinder) = (store.clone(), key("shelf/cinder"));
        let taken = cinder.clone();
        let commit = tokio::spawn(async move { refresh(&one, &taken, books(1_000, |n| n), at(0)).await });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        let watcher = database.client().await;
        while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        other.commit().await.unwrap();
        let (_, counts, _) = done(commit.await.unwrap());
        assert_eq!((counts.added, counts.changed), (1_000, 1));
        assert_eq!(row(&store, &cinder).await.members.len(), 1_000);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn what_comes_as_it_was_is_confirmed_and_not_written() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let client = database.client().await;
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, books(1_000, |n| n), at(0)).await;
        let mut before = Vec::new();
        for table in ["docs", "words", "members"] {
            before.push(writers(&client, table).await);
        }
        assert_eq!(before[0].len(), 1);
        let (version, counts, _) = done(refresh(&store, &cinder, books(1_000, |n| n), at(60)).await);
        assert_eq!((version, counts.added, counts.changed), (1, 0, 0));
        for (table, before) in ["docs", "words", "members"].into_iter().zip(&before) {
            assert_eq!(writers(&client, table).await, *before, "{table}");
        }
        assert!(row(&store, &cinder).await.members.iter().all(|member| member.item.fetched_at == at(60)));
        let other = books(1_000, |n| if n == 5 { 77_777 } else { n });
        let (_, counts, _) = done(refresh(&store, &cinder, other, at(120)).await);
        assert_eq!(counts.changed, 1);
        assert_eq!(writers(&client, "docs").await.len(), 2, "one document is another's writing now");
        assert_eq!(writers(&client, "words").await, before[1], "and its words are as they were");
    });
}

#[test]
fn members_that_a_configuration_took_away_come_back_with_the_same_answer() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        let all = vec![book("a", 1), book("b", 2)];
        refresh(&store, &cinder, all.clone(), at(0)).await;
        let narrow = Definition {
            names: Some(std::sync::Arc::from(["a".into()])),
            ..Definition::new(larder_core::Fingerprint::trusted("two"), Policy::default())
        };
        let configured = [Configured { key: cinder.clone(), definition: std::sync::Arc::new(narrow) }];
        store.reconcile("shelf", &configured, at(1)).await.unwrap();
        assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
        refresh(&store, &cinder, all, at(2)).await;
        assert_eq!(ids(&row(&store, &cinder).await), ["a", "b"]);
    });
}

/// A search reads all that waits beside the index, and a commit that fills the list sorts it in itself.
#[test]
fn a_sweep_sorts_in_the_words_that_wait() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let client = database.client().await;
        // Answers how many pages waited.
        let sort_in = "SELECT gin_clean_pending_list('larder.words_by_words')";
        refresh(&store, &key("shelf/one"), books(500, |n| n), at(0)).await;
        assert!(client.query_one(sort_in, &[]).await.unwrap().get::<_, i64>(0) > 0);
        let more = (500..900).map(|n| book(&format!("{n:05}"), n)).collect();
        refresh(&store, &key("shelf/two"), more, at(1)).await;
        store.sweep(&Retention::default(), at(2)).await.unwrap();
        assert_eq!(client.query_one(sort_in, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}
