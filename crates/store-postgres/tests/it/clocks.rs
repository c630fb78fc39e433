//! Leases by the database's clock: instances whose clocks are wrong neither steal nor lose any.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Acquired, Budgets, Clock, Committed, Priority, Reservation, Reserved, Store, Time, Trigger,
};
use larder_store_postgres::{OpenOptions, PostgresStore, Times};
use larder_testkit::VirtualClock;
use larder_testkit::contract::build::{LEASE, acquire, book, commit_of, fetched, key, lease, row};

use crate::place::{Database, block_on};

const HOUR: Duration = Duration::from_hours(1);

/// The machine's time, moved.
#[expect(clippy::disallowed_methods, reason = "it is compared with the database's, which is real")]
fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time::from_ms(i64::try_from(since.as_millis()).unwrap())
}

async fn instance(database: &Database, now: Time) -> (PostgresStore, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::at(now));
    let options = OpenOptions { times: Times::Database(clock.clone()), ..database.options() };
    (PostgresStore::open(options).await.unwrap(), clock)
}

#[test]
fn an_instance_whose_clock_is_an_hour_off_neither_steals_nor_loses_a_lease() {
    let database = Database::fresh();
    block_on(async {
        let (right, clock) = instance(&database, now()).await;
        for (name, off) in [("ahead", now().plus(HOUR)), ("behind", now().minus(HOUR))] {
            let (wrong, its_clock) = instance(&database, off).await;
            let (ours, theirs) = (key(&format!("{name}/ours")), key(&format!("{name}/theirs")));
            let (held, _) = lease(&right, &ours, clock.now()).await;
            let Acquired::Held(met) = acquire(&wrong, &ours, "you", its_clock.now()).await else {
                panic!("{name}: it is held, by the database's clock")
            };
            assert!(
                met.is_live(its_clock.now()),
                "{name}: its end is told in the clock of whoever asks: {met:?}"
            );
            let seen = row(&wrong, &ours).await.entry.lease.unwrap();
            assert!(seen.is_live(its_clock.now()) && seen.until.since(its_clock.now()) <= LEASE, "{name}");
            assert!(wrong.due(its_clock.now().plus(HOUR * 3), 10).await.unwrap().is_empty());
            let landed = commit_of(&held, fetched(vec![book("a", 1)], clock.now()), clock.now());
            assert!(matches!(right.commit(landed).await.unwrap(), Committed::Done { .. }), "{name}");

            let (held, before) = lease(&wrong, &theirs, its_clock.now()).await;
            assert!(held.is_live(its_clock.now()) && before.entry.lease.unwrap().is_live(its_clock.now()));
            assert!(
                matches!(acquire(&right, &theirs, "you", clock.now()).await, Acquired::Held(_)),
                "{name}"
            );
            assert_eq!(wrong.renew(std::slice::from_ref(&held), its_clock.now()).await.unwrap(), [true]);
            assert!(
                matches!(acquire(&right, &theirs, "you", clock.now()).await, Acquired::Held(_)),
                "{name}"
            );
            let landed = commit_of(&held, fetched(vec![book("b", 1)], its_clock.now()), its_clock.now());
            assert!(matches!(wrong.commit(landed).await.unwrap(), Committed::Done { .. }), "{name}");
        }
    });
}

#[test]
fn a_lease_ends_by_the_databases_clock_however_the_callers_stands() {
    let database = Database::fresh();
    block_on(async {
        let (store, clock) = instance(&database, now()).await;
        let cinder = key("shelf/cinder");
        let (lost, _) = lease(&store, &cinder, clock.now()).await;
        // The caller's clock goes on; the database's has not.
        clock.advance(HOUR);
        assert!(matches!(acquire(&store, &cinder, "you", clock.now()).await, Acquired::Held(_)));
        let client = database.client().await;
        let past = "UPDATE larder.entries SET lease_until = clock_timestamp() - interval '1 millisecond'";
        client.batch_execute(past).await.unwrap();
        assert_eq!(store.renew(std::slice::from_ref(&lost), clock.now()).await.unwrap(), [false]);
        let late = commit_of(&lost, fetched(vec![book("a", 1)], clock.now()), clock.now());
        assert_eq!(store.commit(late).await.unwrap(), Committed::Superseded);
        assert!(matches!(acquire(&store, &cinder, "you", clock.now()).await, Acquired::Granted(..)));
        // The database's clock was set back: an end further off than a lease is long is past.
        let far = "UPDATE larder.entries SET lease_until = clock_timestamp() + interval '1 hour'";
        client.batch_execute(far).await.unwrap();
        assert!(matches!(acquire(&store, &cinder, "they", clock.now()).await, Acquired::Granted(..)));
    });
}

#[test]
fn reservations_end_by_the_databases_clock() {
    let database = Database::fresh();
    block_on(async {
        let (right, clock) = instance(&database, now()).await;
        let (ahead, its_clock) = instance(&database, now().plus(HOUR)).await;
        let ask = |now: Time| Reservation {
            host: "github.com".into(),
            actor: "octocat".into(),
            resource: "graphql".into(),
            points: 40,
            priority: Priority::Waiting,
            assumed_limit: 60,
            per_minute_max: 2_000,
            owner: "me".into(),
            until: now.plus(Duration::from_mins(1)),
        };
        let granted = |reserved: &Reserved| matches!(reserved, Reserved::Granted(_));
        assert!(granted(&right.reserve(&ask(clock.now()), clock.now()).await.unwrap()));
        let second = ahead.reserve(&ask(its_clock.now()), its_clock.now()).await.unwrap();
        assert!(!granted(&second), "what is in flight elsewhere is not past for being an hour ago here");
        assert_eq!(ahead.budgets(its_clock.now()).await.unwrap()[0].reserved, 40);
        let client = database.client().await;
        client.batch_execute("UPDATE larder.reservations SET until = clock_timestamp()").await.unwrap();
        assert!(granted(&ahead.reserve(&ask(its_clock.now()), its_clock.now()).await.unwrap()));
        right.mark_due(&[key("shelf/a")], Trigger::Manual, clock.now()).await.unwrap();
        assert_eq!(right.due(clock.now(), 10).await.unwrap(), [key("shelf/a")]);
    });
}
