//! Many instances on one database: what they tell each other, in which order, and that they stay out
//! of each other's way.

use std::time::Duration;

use larder_core::{Acquired, Committed, Key, MemberState, Retention, Store, Target, Time, Trigger, Write};
use larder_store_postgres::{Listen, OpenOptions, PostgresStore};
use larder_testkit::Proxy;
use larder_testkit::contract::build::{
    acquire, ask, at, book, commit_of, done, fetched, ids, key, lease, member, refresh, row, words, write,
};

use crate::place::{Database, block_on, block_on_threads, options};

async fn listening(database: &Database) -> PostgresStore {
    PostgresStore::open(OpenOptions { listen: Listen::Here, ..database.options() }).await.unwrap()
}

/// What the feed has behind `after`, and where it ends then.
async fn read(store: &PostgresStore, after: u64) -> (Vec<String>, u64) {
    let piece = store.changes(after, 1_000).await.unwrap();
    assert!(!piece.reset);
    let last = piece.lines.last().map_or(after, |line| line.seq);
    (piece.lines.iter().map(|line| format!("{} {}", line.on, line.what)).collect(), last)
}

/// A transaction that began first and commits last must not put a line behind a reader's back. Here
/// another program holds the lock that the feed is written under, as a slow commit does.
#[test]
fn a_reader_of_the_feed_misses_nothing_though_commits_overtake_each_other() {
    let database = Database::fresh();
    block_on(async {
        let (store, reader) = (
            PostgresStore::open(database.options()).await.unwrap(),
            PostgresStore::open(database.options()).await.unwrap(),
        );
        let (slow, quick) = (key("shelf/slow"), key("shelf/quick"));
        let (on_slow, _) = lease(&store, &slow, at(0)).await;
        let (on_quick, _) = lease(&store, &quick, at(0)).await;
        let mut client = database.client().await;
        // The slow one waits at its very end, when everything but its line is written.
        let held = client.transaction().await.unwrap();
        held.batch_execute("SELECT pg_advisory_xact_lock(5499533213950803971)").await.unwrap();
        let number = held.query_one("SELECT nextval('larder.sequence')", &[]).await.unwrap().get::<_, i64>(0);
        let insert = "INSERT INTO larder.changes (seq, about, name, what, version, at) \
            VALUES ($1, 'entry', 'shelf/first', 'updated', 1, now())";
        held.execute(insert, &[&number]).await.unwrap();
        let (one, two) = (store.clone(), store.clone());
        let commits = [
            tokio::spawn(async move { one.commit(commit_of(&on_slow, fetched(vec![], at(1)), at(1))).await }),
            tokio::spawn(
                async move { two.commit(commit_of(&on_quick, fetched(vec![], at(1)), at(1))).await },
            ),
        ];
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event = 'advisory'";
        // Not in the transaction, which would see the same activity again and again.
        let watcher = database.client().await;
        while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) < 2 {
            tokio::task::yield_now().await;
            let (seen, _) = read(&reader, 0).await;
            assert!(seen.is_empty(), "nothing behind a line that is not there yet: {seen:?}");
        }
        // What has nothing to tell waits for nobody.
        let quiet = lease(&store, &key("shelf/quiet"), at(1)).await.0;
        store.renew(&[quiet], at(2)).await.unwrap();
        held.commit().await.unwrap();
        let (mut seen, mut after) = (Vec::new(), 0);
        while seen.len() < 3 {
            let (lines, last) = read(&reader, after).await;
            seen.extend(lines);
            after = last;
        }
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        assert_eq!(seen[0], "shelf/first updated");
        seen.sort();
        assert_eq!(seen, ["shelf/first updated", "shelf/quick updated", "shelf/slow updated"]);
    });
}

/// Two dozen writers at once; a reader that polls all the while sees every line, once and in order.
#[test]
fn a_reader_beside_many_writers_sees_every_line_once() {
    const WRITERS: usize = 8;
    const ROUNDS: i64 = 25;
    let database = Database::fresh();
    block_on_threads(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let own = key(&format!("shelf/{n}"));
                    for round in 0..ROUNDS {
                        let items = vec![book(&n.to_string(), round)];
                        refresh(&store, &own, items, at(round.cast_unsigned())).await;
                    }
                })
            })
            .collect();
        let reader = PostgresStore::open(database.options()).await.unwrap();
        let (mut seen, mut after) = (Vec::new(), 0);
        while seen.len() < WRITERS * ROUNDS as usize {
            let piece = reader.changes(after, 7).await.unwrap();
            for line in piece.lines {
                assert!(line.seq > after);
                after = line.seq;
                seen.push((line.on.to_string(), line.version));
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        for n in 0..WRITERS {
            let own = format!("shelf/{n}");
            let versions: Vec<u64> =
                seen.iter().filter(|(name, _)| *name == own).map(|(_, version)| *version).collect();
            let expected: Vec<u64> = (1..=ROUNDS.cast_unsigned()).collect();
            assert_eq!(versions, expected, "{own}");
        }
        assert!(reader.changes(after, 10).await.unwrap().lines.is_empty());
    });
}

#[test]
fn of_eight_who_ask_for_one_lease_at_once_one_gets_it() {
    let database = Database::fresh();
    block_on_threads(async {
        let mut stores = Vec::new();
        for _ in 0..8 {
            stores.push(PostgresStore::open(database.options()).await.unwrap());
        }
        for round in 0..10 {
            let cinder = key(&format!("shelf/{round}"));
            let asking = stores.iter().enumerate().map(|(n, store)| {
                let (store, cinder) = (store.clone(), cinder.clone());
                tokio::spawn(async move { acquire(&store, &cinder, &format!("owner {n}"), at(0)).await })
            });
            let mut granted = Vec::new();
            for asked in futures::future::join_all(asking).await {
                match asked.unwrap() {
                    Acquired::Granted(lease, _) => granted.push(lease),
                    Acquired::Held(_) => {}
                    Acquired::Newer(_) => panic!("nothing was fetched"),
                }
            }
            assert_eq!(granted.len(), 1);
            let held = row(&stores[0], &cinder).await.entry.lease.unwrap();
            assert_eq!(held.token, granted[0].token);
        }
    });
}

fn shelf(n: usize) -> Key {
    key(&format!("shelf/{n}"))
}

/// One of the things that happen beside refreshes.
async fn meddle(store: &PostgresStore, how: usize, one: Key, now: Time) {
    let all: Vec<Key> = (0..6).rev().map(shelf).collect();
    match how {
        0 => assert!(!store.invalidate(&Target::Keys(all), now).await.unwrap().or_more),
        1 => assert!(store.evict(&Target::Keys(vec![one]), now).await.unwrap() <= 1),
        2 => assert!(!store.invalidate(&Target::Tag("all".to_owned()), now).await.unwrap().or_more),
        3 => assert_eq!(store.mark_due(&all, Trigger::Webhook, now).await.unwrap(), 6),
        _ => assert_eq!(store.sweep(&Retention::default(), now).await.unwrap().entries, 0),
    }
}

/// Entries that show one another's items, refreshed, invalidated, evicted and swept at once.
#[test]
fn whoever_meets_whom_nobody_waits_for_ever() {
    let database = Database::fresh();
    block_on_threads(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let tasks: Vec<_> = (0..6)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    for round in 0..12_i64 {
                        let now = at(round.cast_unsigned() * 100);
                        let Acquired::Granted(held, _) =
                            acquire(&store, &shelf(n), &format!("{n}"), now).await
                        else {
                            continue;
                        };
                        // All hold all, each in an order of its own.
                        let mut items: Vec<_> = (0..6).map(|item| book(&item.to_string(), round)).collect();
                        items.rotate_left(n);
                        if round % 3 == 1 {
                            items.truncate(2);
                        }
                        let write = Write { tags: Some(vec!["all".to_owned()]), ..fetched(items, now) };
                        store.commit(commit_of(&held, write, now)).await.unwrap();
                        meddle(&store, (n + round as usize) % 5, shelf((n + 1) % 6), now).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.verify().await.unwrap(), []);
    });
}

#[test]
fn two_instances_hear_each_other_also_after_a_cut() {
    let database = Database::fresh();
    block_on(async {
        let (host, name) = database
            .url()
            .split_once('@')
            .map(|(_, rest)| rest.to_owned())
            .unwrap()
            .split_once('/')
            .map(|(host, name)| (host.to_owned(), name.to_owned()))
            .unwrap();
        let proxy = Proxy::start(&host).await.unwrap();
        let front = database.url().split_once('@').unwrap().0.to_owned();
        let url = format!("{front}@{}/{name}", proxy.address());
        let hearer =
            PostgresStore::open(OpenOptions { listen: Listen::At(url.into()), ..database.options() })
                .await
                .unwrap();
        let speaker = PostgresStore::open(database.options()).await.unwrap();
        // It has begun to listen.
        hearer.heard().await;
        drain(&hearer);
        refresh(&speaker, &key("shelf/a"), vec![book("a", 1)], at(0)).await;
        hearer.heard().await;
        drain(&hearer);
        speaker.invalidate(&Target::All, at(1)).await.unwrap();
        hearer.heard().await;
        drain(&hearer);
        let before = proxy.traffic().connections;
        proxy.cut();
        // It comes back by itself, and takes what it may have missed for something heard.
        hearer.heard().await;
        assert!(proxy.traffic().connections > before);
        drain(&hearer);
        speaker.evict(&Target::All, at(2)).await.unwrap();
        hearer.heard().await;
    });
}

/// Takes what was heard already, so that the next is new.
fn drain(store: &PostgresStore) {
    loop {
        let heard = std::pin::pin!(store.heard());
        if futures::FutureExt::now_or_never(heard).is_none() {
            return;
        }
    }
}

#[test]
fn an_instance_that_cannot_listen_waits_in_vain_and_polls() {
    let database = Database::fresh();
    block_on(async {
        let deaf = PostgresStore::open(database.options()).await.unwrap();
        let pooled = format!("{}?pgbouncer=true", database.pooled_url());
        let pooled =
            PostgresStore::open(OpenOptions { listen: Listen::Here, ..options(&pooled) }).await.unwrap();
        let speaker = listening(&database).await;
        let before = (deaf.pulse().await.unwrap(), pooled.pulse().await.unwrap());
        refresh(&speaker, &key("shelf/a"), vec![], at(0)).await;
        drain(&deaf);
        drain(&pooled);
        assert_ne!(deaf.pulse().await.unwrap(), before.0);
        assert_ne!(pooled.pulse().await.unwrap(), before.1);
    });
}

#[test]
fn a_pulse_differs_after_everything_that_is_committed() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let reader = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        let mut last = reader.pulse().await.unwrap();
        let mut beat = async |what: &str| {
            let next = reader.pulse().await.unwrap();
            assert_ne!(next, last, "{what}");
            last = next;
        };
        let (held, _) = lease(&store, &cinder, at(0)).await;
        beat("a lease").await;
        store.renew(std::slice::from_ref(&held), at(1)).await.unwrap();
        beat("a renewal").await;
        store.commit(commit_of(&held, fetched(vec![book("a", 1)], at(1)), at(1))).await.unwrap();
        beat("a commit").await;
        refresh(&store, &cinder, vec![book("a", 1)], at(2)).await;
        beat("a commit that brought nothing new").await;
        store.mark_due(std::slice::from_ref(&cinder), Trigger::Read, at(3)).await.unwrap();
        beat("a mark").await;
        store.invalidate(&Target::All, at(4)).await.unwrap();
        beat("an invalidation").await;
        // Two at once, of which the one that began first ends last.
        let client = database.client().await;
        client.batch_execute("BEGIN; UPDATE larder.meta SET feed_swept = feed_swept").await.unwrap();
        refresh(&store, &cinder, vec![book("a", 2)], at(5)).await;
        beat("a commit beside it").await;
        client.batch_execute("COMMIT").await.unwrap();
        beat("the one that began before").await;
    });
}

/// An item that nobody holds is removed; one that a commit takes in at that moment is not.
#[test]
fn an_item_that_is_just_taken_in_is_not_removed_as_nobodys() {
    let database = Database::fresh();
    block_on_threads(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let (giver, taker) = (key("shelf/giver"), key("shelf/taker"));
        for round in 0..30_u64 {
            let now = at(round * 100);
            refresh(&store, &giver, vec![book("a", 1)], now).await;
            let (held, _) = lease(&store, &taker, now).await;
            let commit = if round % 2 == 0 {
                commit_of(&held, fetched(vec![book("a", 1)], now), now)
            } else {
                // It names the item without bringing it.
                let members = Some(vec![member("a", MemberState::Shown)]);
                commit_of(&held, Write { members, ..fetched(vec![], now) }, now)
            };
            let (one, two, gone) = (store.clone(), store.clone(), Target::Keys(vec![giver.clone()]));
            let (committed, evicted) = futures::join!(
                tokio::spawn(async move { one.commit(commit).await }),
                tokio::spawn(async move { two.evict(&gone, now).await })
            );
            assert_eq!(evicted.unwrap().unwrap(), 1);
            match committed.unwrap() {
                Ok(committed) => {
                    done(committed);
                    assert_eq!(ids(&row(&store, &taker).await), ["a"], "round {round}");
                }
                // Removed before it could be named.
                Err(error) => assert!(round % 2 == 1, "{error}"),
            }
            assert_eq!(store.verify().await.unwrap(), [], "round {round}");
            store.evict(&Target::All, now).await.unwrap();
        }
    });
}

/// An invalidation and a commit at the same moment: whichever is first, what was fetched before is
/// stale after both.
#[test]
fn an_invalidation_at_the_moment_of_a_commit_is_never_lost() {
    let database = Database::fresh();
    block_on_threads(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let cinder = key("shelf/cinder");
        let targets = [
            Target::Keys(vec![cinder.clone()]),
            Target::Tag("red".to_owned()),
            Target::Source("shelf".to_owned()),
            Target::All,
        ];
        for round in 0..40_u64 {
            let now = at(round * 100);
            let (held, _) = lease(&store, &cinder, now).await;
            let tagged = Write { tags: Some(vec!["red".to_owned()]), ..fetched(vec![book("a", 1)], now) };
            let commit = commit_of(&held, tagged, now);
            let target = targets[round as usize % 4].clone();
            let (one, two, three) = (store.clone(), store.clone(), store.clone());
            let (committed, invalidated, swept) = futures::join!(
                tokio::spawn(async move { one.commit(commit).await }),
                tokio::spawn(async move { two.invalidate(&target, now).await }),
                tokio::spawn(async move { three.sweep(&Retention::default(), now).await })
            );
            assert!(matches!(committed.unwrap().unwrap(), Committed::Done { .. }));
            invalidated.unwrap().unwrap();
            swept.unwrap().unwrap();
            assert!(row(&store, &cinder).await.entry.is_invalidated(), "round {round}");
            store.sweep(&Retention::default(), now.plus(Duration::from_hours(1))).await.unwrap();
            assert!(row(&store, &cinder).await.entry.is_invalidated(), "round {round}, swept");
        }
        assert!(!words(&store, &cinder).await.is_empty());
        write(&store, &cinder, fetched(vec![], at(10_000)), at(10_000)).await;
        assert!(!row(&store, &cinder).await.entry.is_invalidated());
    });
}

/// What is cleared in pieces is cleared to its end, though others remove some of a piece meanwhile.
#[test]
fn a_clear_that_meets_what_another_removes_goes_on_behind_it() {
    let database = Database::fresh();
    block_on(async {
        let store = PostgresStore::open(database.options()).await.unwrap();
        let mut client = database.client().await;
        let asks: Vec<_> = (0..600).map(|n| ask(&key(&format!("shelf/e{n:04}")), "a")).collect();
        store.acquire(&asks, at(0)).await.unwrap();
        let other = client.transaction().await.unwrap();
        other.execute("DELETE FROM larder.entries WHERE key = 'shelf/e0007'", &[]).await.unwrap();
        let clear = tokio::spawn({
            let store = store.clone();
            async move { store.evict(&Target::All, at(1)).await }
        });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        let watcher = database.client().await;
        while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) < 1 {
            tokio::task::yield_now().await;
        }
        other.commit().await.unwrap();
        assert_eq!(clear.await.unwrap().unwrap(), 599);
        assert_eq!(store.info().await.unwrap().entries, 0);
    });
}
