//! Connections that break, stay silent or are too few; how they are secured; and that no password
//! ever shows.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Committed, Store, StoreError, Target};
use larder_store_postgres::{Listen, OpenOptions, PostgresStore, Statements, migrate_down};
use larder_testkit::contract::build::{at, book, commit_of, fetched, find, ids, key, lease, refresh, row};
use larder_testkit::{Proxy, Way};
use tokio::io::AsyncReadExt as _;

use crate::frozen::somebody_waits;
use crate::place::{Database, block_on, block_on_threads, neighbour, options, server};

/// The address with another host and port.
pub(crate) fn by_way_of(url: &str, proxy: &Proxy) -> String {
    let (front, rest) = url.split_once('@').unwrap();
    let (_, database) = rest.split_once('/').unwrap();
    format!("{front}@{}/{database}", proxy.address())
}

pub(crate) fn host_of(url: &str) -> String {
    url.split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned()
}

/// A store behind a proxy, with time-outs that a test can wait for.
async fn behind_a_proxy(database: &Database) -> (PostgresStore, Proxy) {
    let proxy = Proxy::start(&host_of(&database.url())).await.unwrap();
    let options = OpenOptions {
        connect_timeout: Some(Duration::from_millis(500)),
        pool_timeout: Duration::from_millis(500),
        ..options(&by_way_of(&database.url(), &proxy))
    };
    (PostgresStore::open(options).await.unwrap(), proxy)
}

/// `DATABASE_URL` may be another application's, and so are its settings.
#[test]
fn what_a_database_puts_before_postgresqls_own_functions_is_not_called() {
    let database = Database::fresh();
    block_on(async {
        let odd = "CREATE SCHEMA odd; \
            CREATE FUNCTION odd.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT ''odd''::text'; \
            DO $$ BEGIN EXECUTE format( \
                'ALTER DATABASE %I SET search_path = odd, pg_catalog', current_database()); END $$";
        database.client().await.batch_execute(odd).await.unwrap();
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![book("a", 1), book("b", 1)], at(0)).await;
        assert_eq!(ids(&row(&store, &cinder).await), ["a", "b"]);
    });
}

#[test]
fn a_store_whose_connections_are_cut_goes_on_by_itself() {
    let database = Database::fresh();
    block_on(async {
        let (store, proxy) = behind_a_proxy(&database).await;
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
        for round in 1..4 {
            proxy.cut();
            assert_eq!(ids(&row(&store, &cinder).await), ["a"], "a read, round {round}");
            proxy.cut();
            refresh(&store, &cinder, vec![book("a", round)], at(round.cast_unsigned())).await;
        }
        proxy.refuse();
        proxy.cut();
        let error = store.lookup(std::slice::from_ref(&cinder)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable { .. }) && error.is_retryable(), "{error}");
        let error = store.invalidate(&Target::All, at(9)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable { .. }), "{error}");
        proxy.accept();
        assert_eq!(row(&store, &cinder).await.entry.version, 3);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

/// As a router does that saw nothing of them for long.
#[test]
fn connections_that_were_forgotten_on_the_way_while_they_were_idle_are_not_waited_for() {
    let database = Database::fresh();
    block_on(async {
        let proxy = Proxy::start(&host_of(&database.url())).await.unwrap();
        let store = PostgresStore::open(OpenOptions {
            pool_timeout: Duration::from_millis(300),
            statement_timeout: Duration::from_secs(2),
            idle_for: Duration::ZERO,
            ..options(&by_way_of(&database.url(), &proxy))
        });
        let store = store.await.unwrap();
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
        // As many as a few readers at once leave behind.
        let asked = std::slice::from_ref(&cinder);
        futures::future::join_all((0..4).map(|_| store.lookup(asked))).await;
        let before = proxy.traffic();
        assert!(before.open > 1, "{before:?}");
        proxy.forget();
        assert_eq!(ids(&row(&store, &cinder).await), ["a"]);
        assert_eq!(proxy.traffic().connections, before.connections + 1);
        refresh(&store, &cinder, vec![book("a", 2)], at(1)).await;
        assert_eq!(proxy.traffic().connections, before.connections + 1, "one that answers is used again");
    });
}

/// Who stands between is told by the connection's ends; nobody has to say.
#[test]
fn a_database_that_sends_an_open_store_away_is_out_of_reach_and_comes_back() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let (name, client) = (database.url().rsplit_once('/').unwrap().1.to_owned(), neighbour().await);
        let allow = async |are_allowed: bool| {
            client
                .batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {are_allowed}"))
                .await
                .unwrap();
        };
        allow(false).await;
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        client.batch_execute(&cut).await.unwrap();
        let error = store.pulse().await.unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("not currently accepting connections"), "{error}");
        let opened = PostgresStore::open(database.options()).await.map(drop).unwrap_err();
        assert!(matches!(&opened, StoreError::Denied { .. }), "{opened:?}");
        allow(true).await;
        store.pulse().await.unwrap();
    });
}

#[test]
fn a_host_that_says_nothing_keeps_nobody_from_the_next() {
    let database = Database::fresh();
    block_on(async {
        // It takes connections, and never reads one.
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let first = silent.local_addr().unwrap();
        let (front, rest) =
            database.url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let url = format!("{front}@{first},{rest}");
        let quick = OpenOptions { connect_timeout: Some(Duration::from_millis(500)), ..options(&url) };
        let store = PostgresStore::open(quick.clone()).await.unwrap();
        store.pulse().await.unwrap();
        let hearer = PostgresStore::open(OpenOptions {
            listen: Listen::Here,
            statements: Statements::Prepared,
            ..quick.clone()
        });
        hearer.await.unwrap().heard().await;
        let nobody = OpenOptions { url: format!("{front}@{first},{first}/nowhere").into(), ..quick };
        let error = PostgresStore::open(nobody).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("timeout"), "{error}");
    });
}

#[test]
fn it_is_known_whether_somebody_stands_between() {
    let database = Database::fresh();
    block_on(async {
        let straight = PostgresStore::open(database.options()).await.unwrap();
        assert!(straight.is_direct().await);
        let encrypted = options(&format!("{}?sslmode=require", database.url()));
        assert!(PostgresStore::open(encrypted).await.unwrap().is_direct().await);
        // By a name, which has addresses of both kinds on some machines.
        let named = options(&database.url().replace("127.0.0.1", "localhost"));
        assert!(PostgresStore::open(named).await.unwrap().is_direct().await);
        let said = options(&format!("{}?pgbouncer=true", database.url()));
        assert!(!PostgresStore::open(said).await.unwrap().is_direct().await, "it is believed");
        let pooled = PostgresStore::open(options(&database.pooled_url())).await.unwrap();
        assert!(!pooled.is_direct().await, "a pooler");
        let (proxied, proxy) = behind_a_proxy(&database).await;
        proxy.refuse();
        assert!(!proxied.is_direct().await, "nobody knows");
        proxy.accept();
        assert!(!proxied.is_direct().await, "a proxy");
    });
}

#[test]
fn a_database_that_does_not_answer_is_given_up() {
    let database = Database::fresh();
    block_on(async {
        let proxy = Proxy::start(&host_of(&database.url())).await.unwrap();
        // Not so quick that a database on a busy machine would be given up before it is stalled.
        let quick = OpenOptions {
            connect_timeout: Some(Duration::from_millis(1500)),
            statement_timeout: Duration::from_millis(1500),
            ..options(&by_way_of(&database.url(), &proxy))
        };
        let store = PostgresStore::open(quick.clone()).await.unwrap();
        proxy.set(Way::Stalled);
        let error = store.pulse().await.unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable { .. }), "{error}");
        // Nor does one that was never reached.
        let error = PostgresStore::open(quick).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable { .. }), "{error}");
        proxy.set(Way::Open);
        store.pulse().await.unwrap();
    });
}

/// The answer to `COMMIT` is lost: whoever asks again is told that it was done, or does it once.
#[test]
fn a_commit_whose_answer_is_lost_is_never_done_twice() {
    let database = Database::fresh();
    block_on(async {
        let direct = PostgresStore::open(database.options()).await.unwrap();
        let (store, proxy) = behind_a_proxy(&database).await;
        let (mut done, mut lost) = (0, 0);
        for round in 0..40_u64 {
            let cinder = key(&format!("shelf/{round}"));
            let (held, _) = lease(&store, &cinder, at(round)).await;
            let commit = commit_of(&held, fetched(vec![book("a", 1)], at(round)), at(round));
            // Somewhere on the way, in each round a little later.
            let sent = proxy.traffic().sent;
            let cutting = async {
                for _ in 0..round * 3 {
                    tokio::task::yield_now().await;
                }
                proxy.cut();
            };
            let (committed, ()) = futures::join!(store.commit(commit.clone()), cutting);
            assert!(proxy.traffic().sent >= sent);
            match committed {
                Ok(Committed::Done { .. }) => done += 1,
                Ok(Committed::Superseded) => panic!("nobody else holds {cinder}"),
                Err(StoreError::Unreachable { .. }) => {
                    lost += 1;
                    let again = direct.commit(commit).await.unwrap();
                    let landed = matches!(again, Committed::Done { .. });
                    let lines = direct.changes(0, 1_000).await.unwrap().lines;
                    let told = lines.iter().filter(|line| line.on.key() == Some(&cinder)).count();
                    assert_eq!(told, 1, "round {round}: one fill, {again:?}");
                    assert!(landed || find(&direct, &cinder).await.unwrap().entry.has_data());
                }
                Err(error) => panic!("{error}"),
            }
            let row = row(&direct, &cinder).await;
            assert!(row.entry.has_data() && row.entry.lease.is_none(), "round {round}");
        }
        assert!(done > 0, "{done} done, {lost} lost");
        assert_eq!(direct.verify().await.unwrap(), []);
    });
}

#[test]
fn a_statement_that_takes_too_long_is_stopped() {
    let database = Database::fresh();
    block_on(async {
        let options = OpenOptions { statement_timeout: Duration::from_millis(200), ..database.options() };
        let store = PostgresStore::open(options).await.unwrap();
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![], at(0)).await;
        let mut client = database.client().await;
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("SELECT 1 FROM larder.entries FOR UPDATE").await.unwrap();
        let error = store.invalidate(&Target::Keys(vec![cinder.clone()]), at(1)).await.unwrap_err();
        let told = format!("{error} {:?}", error.hints());
        assert!(error.is_retryable() && !told.contains("another process"), "{told}");
        assert!(
            told.contains("statement timeout (57014)") && told.contains("[store] statement_timeout"),
            "{told}"
        );
        assert_eq!(ids(&row(&store, &cinder).await).len(), 0, "reads wait for nobody");
        tx.rollback().await.unwrap();
        store.invalidate(&Target::Keys(vec![cinder]), at(1)).await.unwrap();
        let own: String = client.query_one("SHOW statement_timeout", &[]).await.unwrap().get(0);
        assert_eq!(own, "0", "it is set for each transaction alone");
    });
}

#[test]
fn what_no_setting_stopped_names_none() {
    let database = Database::fresh();
    let told = |error: StoreError| format!("{error} {:?}", error.hints());
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![], at(0)).await;
        let (mut client, watcher) = (database.client().await, database.client().await);
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("SELECT 1 FROM larder.entries FOR UPDATE").await.unwrap();
        let waits = tokio::spawn(async move { store.invalidate(&Target::Keys(vec![cinder]), at(1)).await });
        somebody_waits(&watcher).await;
        let stop = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        watcher.query(stop, &[]).await.unwrap();
        let stopped = waits.await.unwrap().unwrap_err();
        assert!(stopped.is_retryable(), "who has to have it noted tries again");
        let stopped = told(stopped);
        assert!(stopped.contains("user request (57014)") && !stopped.contains("may take"), "{stopped}");
        tx.rollback().await.unwrap();
        let refuse = "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
              RAISE 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END $$; \
            CREATE TRIGGER refuse BEFORE DELETE ON larder.migrations \
              FOR EACH ROW EXECUTE FUNCTION public.refuse()";
        watcher.batch_execute(refuse).await.unwrap();
        let long = told(migrate_down(&database.options(), 0).await.unwrap_err());
        assert!(long.contains("statement timeout (57014)") && !long.contains("[store]"), "{long}");
    });
}

#[test]
fn whoever_waits_in_vain_for_a_connection_is_told_so() {
    let database = Database::fresh();
    block_on(async {
        let options = OpenOptions {
            pool_size: 1,
            max_overflow: 0,
            pool_timeout: Duration::from_millis(100),
            ..database.options()
        };
        let store = PostgresStore::open(options).await.unwrap();
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![], at(0)).await;
        let mut client = database.client().await;
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("SELECT 1 FROM larder.entries FOR UPDATE").await.unwrap();
        let waiting = {
            let (store, cinder) = (store.clone(), cinder.clone());
            tokio::spawn(async move { store.invalidate(&Target::Keys(vec![cinder]), at(1)).await })
        };
        // Not in the transaction, which would see the same activity again and again.
        somebody_waits(&database.client().await).await;
        let error = store.pulse().await.unwrap_err();
        assert!(matches!(&error, StoreError::Busy { .. }), "{error}");
        tx.rollback().await.unwrap();
        waiting.await.unwrap().unwrap();
        store.pulse().await.unwrap();
    });
}

/// A table that somebody has locked against writes, as an index is made.
#[test]
fn however_many_wait_to_write_readers_have_connections_of_their_own() {
    let database = Database::fresh();
    block_on(async {
        let options = OpenOptions {
            pool_size: 1,
            max_overflow: 4,
            pool_timeout: Duration::from_millis(100),
            ..database.options()
        };
        let store = PostgresStore::open(options).await.unwrap();
        let (mut held, mut leases) = (Vec::new(), Vec::new());
        for nth in 0..8 {
            let key = key(&format!("shelf/s{nth}"));
            leases.push(lease(&store, &key, at(0)).await.0);
            held.push(key);
        }
        let mut client = database.client().await;
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("LOCK TABLE larder.refresh_log IN SHARE MODE").await.unwrap();
        let commits: Vec<_> = leases
            .into_iter()
            .map(|lease| {
                let (store, brought) = (store.clone(), fetched(vec![book(lease.key.name(), 1)], at(1)));
                tokio::spawn(async move { store.commit(commit_of(&lease, brought, at(1))).await })
            })
            .collect();
        let watcher = database.client().await;
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) < 4 {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            assert_eq!(store.lookup(&held).await.unwrap().len(), 8);
            store.pulse().await.unwrap();
        }
        while commits.iter().filter(|commit| commit.is_finished()).count() < 4 {
            tokio::task::yield_now().await;
        }
        tx.rollback().await.unwrap();
        let mut in_vain = 0;
        for commit in commits {
            match commit.await.unwrap() {
                Ok(committed) => assert!(matches!(committed, Committed::Done { .. }), "{committed:?}"),
                Err(error) => {
                    assert!(matches!(&error, StoreError::Busy { .. }), "{error:?}");
                    in_vain += 1;
                }
            }
        }
        assert_eq!(in_vain, 4);
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND application_name = 'larder'";
        // Connections beyond those that are kept are closed after use.
        while client.query_one(open, &[]).await.unwrap().get::<_, i64>(0) > 1 {
            tokio::task::yield_now().await;
        }
    });
}

/// As where another application took what the server has.
#[test]
fn who_finds_the_server_full_waits_for_a_connection_of_its_own() {
    let database = Database::fresh();
    block_on(async {
        let mut client = database.client().await;
        let role = format!("few_{}", database.name());
        let make = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'few' CONNECTION LIMIT 2; \
             GRANT CREATE ON DATABASE {} TO {role}",
            database.name()
        );
        client.batch_execute(&make).await.unwrap();
        let url = format!("postgres://{role}:few@{}/{}", host_of(&database.url()), database.name());
        let store = PostgresStore::open(options(&url)).await.unwrap();
        let cinder = key("shelf/cinder");
        refresh(&store, &cinder, vec![], at(0)).await;
        let tx = client.transaction().await.unwrap();
        tx.batch_execute("SELECT 1 FROM larder.entries FOR UPDATE").await.unwrap();
        let invalidate = || {
            let (store, cinder) = (store.clone(), cinder.clone());
            tokio::spawn(async move { store.invalidate(&Target::Keys(vec![cinder]), at(1)).await })
        };
        let blocked = [invalidate(), invalidate()];
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        let watcher = database.client().await;
        while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) < 2 {
            tokio::task::yield_now().await;
        }
        let third = invalidate();
        // Ways to and fro, more than it takes to be sent away.
        for _ in 0..200 {
            watcher.query_one(waits, &[]).await.unwrap();
        }
        assert!(!third.is_finished());
        tx.rollback().await.unwrap();
        for waited in blocked.into_iter().chain([third]) {
            waited.await.unwrap().unwrap();
        }
        drop(store);
        let drop = format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}");
        client.batch_execute(&drop).await.unwrap();
    });
}

#[test]
fn prepared_statements_tell_the_same_story() {
    let database = Database::fresh();
    block_on(async {
        let options = OpenOptions { statements: Statements::Prepared, ..database.options() };
        let store = PostgresStore::open(options).await.unwrap();
        let cinder = key("shelf/cinder");
        for stars in 0..5_i64 {
            let now = at(stars.cast_unsigned());
            refresh(&store, &cinder, vec![book("a", stars), book("b", 1)], now).await;
            let other = key(&format!("shelf/{stars}"));
            refresh(&store, &other, vec![book("b", stars)], now).await;
        }
        let held = row(&store, &cinder).await;
        assert_eq!((held.entry.version, ids(&held)), (9, vec!["a", "b"]));
        assert_eq!(store.invalidate(&Target::All, at(9)).await.unwrap().count, 6);
        assert_eq!(store.evict(&Target::All, at(10)).await.unwrap(), 6);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

/// Whoever has another's session has none of its own statements.
#[test]
fn statements_that_are_prepared_behind_a_pooler_are_told_to_be_what_is_wrong() {
    let database = Database::fresh();
    block_on(async {
        drop(PostgresStore::open(database.options()).await.unwrap());
        let pooled = OpenOptions { statements: Statements::Prepared, ..options(&database.pooled_url()) };
        let store = PostgresStore::open(pooled).await.unwrap();
        let cinder = [key("shelf/cinder")];
        store.lookup(&cinder).await.unwrap();
        // The session that was used is held, so that the next is another.
        let holder = database.pooled_client().await;
        holder.batch_execute("BEGIN").await.unwrap();
        let error = store.lookup(&cinder).await.map(drop).unwrap_err();
        assert!(matches!(&error, StoreError::Denied { .. }), "{error:?}");
        let told = format!("{error} {:?}", error.hints());
        assert!(
            told.contains("(26000)") && told.contains("`[store] prepared` is for a database without"),
            "{told}"
        );
    });
}

#[test]
fn who_begins_with_tls_says_what_is_spoken_in_it() {
    block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!(
            "postgres://me@{}/d?sslmode=require&sslnegotiation=direct",
            listener.local_addr().unwrap()
        );
        let first = async {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut hello = vec![0; 4096];
            let length = client.read(&mut hello).await.unwrap();
            hello.truncate(length);
            drop(listener);
            hello
        };
        let (opened, hello) = futures::join!(PostgresStore::open(options(&url)), first);
        assert!(opened.is_err());
        assert_eq!(hello.first(), Some(&0x16), "a handshake");
        assert!(hello.windows(11).any(|part| part == b"\x0apostgresql"), "a server hangs up otherwise");
    });
}

#[test]
fn tls_is_as_strict_as_the_address_says() {
    let database = Database::fresh();
    let ca = server("LARDER_TEST_POSTGRES_CA");
    let by_name = database.url().replace("127.0.0.1", "localhost");
    let opened = |url: &str, query: &str| {
        let options = options(&format!("{url}?{query}"));
        block_on(async { PostgresStore::open(options).await.map(drop) })
    };
    let url = database.url();
    for good in ["sslmode=disable", "sslmode=prefer", "sslmode=require", "sslmode=verify-ca&sslrootcert="] {
        let query = if good.ends_with('=') { format!("{good}{ca}") } else { good.to_owned() };
        opened(&url, &query).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    opened(&by_name, &format!("sslmode=verify-full&sslrootcert={ca}")).unwrap();
    let refused = |url: &str, query: &str| {
        let error = opened(url, query).unwrap_err();
        assert!(!error.is_retryable(), "{query}: {error:?}");
        (error.to_string(), format!("{:?}", error.hints()))
    };
    let (wrong_name, hint) = refused(&url, &format!("sslmode=verify-full&sslrootcert={ca}"));
    assert!(wrong_name.contains("certificate") && hint.contains("sslmode=verify-ca"), "{wrong_name}: {hint}");
    let (unknown, hint) = refused(&by_name, "sslmode=verify-full");
    assert!(unknown.contains("certificate") && hint.contains("sslrootcert="), "{unknown}: {hint}");
    let (missing, _) = refused(&by_name, "sslmode=verify-full&sslrootcert=/nowhere.pem");
    assert!(missing.contains("/nowhere.pem"), "{missing}");
    // A server without TLS (the tests' pooler has none) never hears the password of `require`.
    let (plain, _) = refused(&database.pooled_url(), "sslmode=require");
    assert!(plain.contains("TLS"), "{plain}");
    opened(&database.pooled_url(), "sslmode=prefer").unwrap();
}

#[test]
fn what_connects_says_whether_it_is_encrypted() {
    let database = Database::fresh();
    block_on(async {
        for (mode, encrypted) in [("disable", false), ("prefer", true), ("require", true)] {
            let store =
                PostgresStore::open(options(&format!("{}?sslmode={mode}", database.url()))).await.unwrap();
            store.pulse().await.unwrap();
            let client = database.client().await;
            let sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                WHERE datname = current_database() AND application_name = 'larder'";
            assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), encrypted, "{mode}");
            drop(store);
            let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'larder' \
                AND datname = current_database()";
            while client.query_one(open, &[]).await.unwrap().get::<_, i64>(0) > 0 {
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn a_password_never_shows() {
    let database = Database::fresh();
    block_on(async {
        let url = database.url();
        let password = url.split([':', '@']).nth(2).unwrap().to_owned();
        assert!(password.len() > 20);
        let store = PostgresStore::open(database.options()).await.unwrap();
        let info = store.info().await.unwrap();
        assert!(!info.place.contains(&password) && !store.place().contains(&password), "{}", info.place);
        assert!(info.place.starts_with("postgres://127.0.0.1:"), "{}", info.place);
        assert!(!format!("{:?}", database.options()).contains(&password));
        let listening = OpenOptions { listen: Listen::At(url.clone().into()), ..database.options() };
        assert!(!format!("{listening:?}").contains(&password));
        for wrong in [
            url.replace(&password, "not-the-password"),
            url.replace("/t_", "/nowhere_"),
            format!("{url}?sslmode={password}x&nonsense={password}"),
            url.replace("127.0.0.1:", "127.0.0.1:1"),
            format!("{url}?{password}={password}"),
        ] {
            let error = PostgresStore::open(options(&wrong)).await.map(drop).unwrap_err();
            let told = format!("{error} {error:?} {:?}", error.hints());
            assert!(!told.contains("not-the-password"), "{told}");
            assert!(!told.contains(&password), "{told}");
        }
    });
}

#[test]
fn a_store_is_shared_by_threads() {
    let database = Database::fresh();
    block_on_threads(async {
        let store = Arc::new(PostgresStore::open(database.options()).await.unwrap());
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    refresh(
                        &*store,
                        &key(&format!("shelf/{n}")),
                        vec![book("shared", n), book(&n.to_string(), 1)],
                        at(0),
                    )
                    .await
                })
            })
            .collect();
        for task in tasks {
            assert!(matches!(task.await.unwrap(), Committed::Done { .. }));
        }
        assert_eq!(store.info().await.unwrap().items, 17);
        assert_eq!(store.verify().await.unwrap(), []);
    });
}
