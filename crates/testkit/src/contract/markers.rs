//! Stories of invalidations that mean many entries: one marker and one line of the feed, seen by
//! every read at once, whether a sweep has written it through to the rows or not.

use std::time::Duration;

use larder_core::{Entry, Exported, Key, Met, Rows, Status, Store, Subject, Target, Time, Trigger, Write};

use super::Place;
use super::build::{
    at, book, commit_of, done, exported, fail, failed, fetched, heads, key, lease, refresh, row, words, write,
};
use super::sweeps::lasting;

fn tag(name: &str) -> Target {
    Target::Tag(name.to_owned())
}

fn tagged(tags: &[&str], now: Time) -> Write {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Write { tags: Some(tags), ..fetched(vec![book("a", 1)], now) }
}

async fn entry(store: &impl Store, key: &Key) -> Entry {
    row(store, key).await.entry
}

async fn status(store: &impl Store, key: &Key, now: Time) -> Status {
    entry(store, key).await.status(None, now)
}

/// How many entries every way to read them calls stale.
async fn stale(store: &impl Store, keys: &[Key], now: Time) -> [usize; 4] {
    let is_stale = |entry: &Entry| entry.status(None, now) == Status::Stale;
    let looked_up = store.lookup(keys).await.unwrap();
    let looked_up = looked_up.iter().flatten().filter(|stored| is_stale(&stored.entry)).count();
    let heads = heads(store, None).await;
    let heads = heads.iter().filter(|head| is_stale(&head.entry)).count();
    let (mut rows, mut met) = (Rows::of(store, None), 0);
    while let Some(row) = rows.next().await.unwrap() {
        met += usize::from(is_stale(&row.entry));
    }
    let exported = store.export(None, 10_000).await.unwrap();
    let exported = exported.iter().filter(|exported| is_stale(&exported.entry)).count();
    [looked_up, heads, met, exported]
}

/// One line and one marker, however many; all are stale at once, before and after the sweep, and an
/// entry that was fetched since stays fresh.
pub async fn two_thousand_entries_are_invalidated_by_one_line<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let keys: Vec<Key> = (0..2_000).map(|n| key(&format!("shelf/{n:04}"))).collect();
    let all: Vec<Exported> = keys.iter().map(|key| exported(key, &["many", "red"], at(0))).collect();
    assert_eq!(store.import(&all, at(0)).await.unwrap(), 2_000);
    let other = key("other/one");
    write(&store, &other, tagged(&["red"], at(0)), at(0)).await;
    let before = store.info().await.unwrap().seq;
    let met = store.invalidate(&tag("many"), at(10)).await.unwrap();
    assert_eq!(met, Met { count: Met::COUNTED_MAX, or_more: true });
    let lines = store.changes(before, 10_000).await.unwrap().lines;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    let expected = (Subject::Tag("many".to_owned()), "invalidated", 0, at(10));
    assert_eq!((line.on.clone(), line.what.as_str(), line.version, line.at), expected);
    assert_eq!(stale(&store, &keys, at(10)).await, [2_000; 4]);
    assert_eq!(entry(&store, &keys[7]).await.due_at, at(10), "no wait is left");
    assert_eq!(status(&store, &other, at(10)).await, Status::Fresh);
    write(&store, &keys[3], tagged(&["many"], at(11)), at(11)).await;
    assert_eq!(stale(&store, &keys, at(11)).await, [1_999; 4]);
    let before = heads(&store, None).await;
    let last = store.info().await.unwrap().seq;
    let swept = store.sweep(&lasting(), at(12)).await.unwrap();
    assert_eq!(swept.written_through, 1_999, "the one that was fetched since knows");
    assert_eq!(heads(&store, None).await, before, "a sweep changes nothing that is seen");
    assert_eq!(stale(&store, &keys, at(12)).await, [1_999; 4]);
    assert_eq!(store.info().await.unwrap().seq, last, "nor is it news");
    assert_eq!(store.sweep(&lasting(), at(13)).await.unwrap().written_through, 0);
    assert_eq!(store.verify().await.unwrap(), []);
}

/// Whoever invalidates does not wait for the backoff; the attempt after it, if it fails, waits its
/// own time, though the marker is still there.
pub async fn a_marker_ends_one_backoff_and_not_the_next<P: Place>() {
    for target in [tag("red"), Target::Source("shelf".to_owned()), Target::All] {
        let place = P::fresh();
        let store = place.open().await;
        let cinder = key("shelf/cinder");
        write(&store, &cinder, tagged(&["red"], at(0)), at(0)).await;
        fail(&store, &cinder, at(1)).await;
        assert_eq!(store.due(at(2), 10).await.unwrap(), []);
        assert_eq!(store.invalidate(&target, at(2)).await.unwrap(), Met::exactly(1));
        assert_eq!(store.due(at(2), 10).await.unwrap(), std::slice::from_ref(&cinder), "{target:?}");
        assert_eq!(entry(&store, &cinder).await.due_at, at(2));
        fail(&store, &cinder, at(3)).await;
        for _ in 0..2 {
            let held = entry(&store, &cinder).await;
            assert_eq!((held.due_at, held.attempts), (at(63), 2), "{target:?}");
            assert_eq!(held.status(None, at(4)), Status::Stale, "it is still not answered: {target:?}");
            assert_eq!(store.due(at(4), 10).await.unwrap(), [], "{target:?}");
            assert_eq!(store.due(at(63), 10).await.unwrap(), std::slice::from_ref(&cinder));
            store.sweep(&lasting(), at(4)).await.unwrap();
        }
    }
}

/// What began before is stale when it comes: by the tag it had, by the tag it brings, and by the tag
/// it no longer has; with or without a sweep in between.
pub async fn a_fetch_under_way_loses_though_the_marker_was_swept<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cases: [(&str, &[&str], &[&str]); 3] =
        [("keeps", &["red"], &["red"]), ("brings", &[], &["red"]), ("drops", &["red"], &[])];
    for (round, sweeps) in (0_u64..).zip([0, 1, 2]) {
        let now = |seconds: u64| at(round * 100 + seconds);
        for (name, had, has) in cases {
            let one = key(&format!("shelf/{name}"));
            write(&store, &one, tagged(had, now(0)), now(0)).await;
            let (held, _) = lease(&store, &one, now(1)).await;
            store.invalidate(&tag("red"), now(2)).await.unwrap();
            for _ in 0..sweeps {
                store.sweep(&lasting(), now(3)).await.unwrap();
            }
            let (_, _, invalidated) =
                done(store.commit(commit_of(&held, tagged(has, now(4)), now(4))).await.unwrap());
            assert!(invalidated, "{name}, {sweeps} sweeps");
            assert_eq!(status(&store, &one, now(5)).await, Status::Stale, "{name}, {sweeps} sweeps");
            assert!(entry(&store, &one).await.due_at <= now(4), "it is due at once: {name}");
            store.sweep(&lasting(), now(6)).await.unwrap();
            assert_eq!(status(&store, &one, now(6)).await, Status::Stale, "{name}, {sweeps} sweeps");
        }
    }
    // An interrupted attempt leaves the row as the marker left it.
    let one = key("shelf/keeps");
    write(&store, &one, tagged(&["red"], at(500)), at(500)).await;
    let (held, _) = lease(&store, &one, at(501)).await;
    store.invalidate(&tag("red"), at(502)).await.unwrap();
    let let_go = larder_core::Commit { write: None, ..commit_of(&held, tagged(&[], at(503)), at(503)) };
    store.commit(let_go).await.unwrap();
    assert_eq!(status(&store, &one, at(503)).await, Status::Stale);
}

/// A marker means what was fetched before it, also while it is still kept.
pub async fn what_is_fetched_after_a_marker_is_fresh<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two, under_way) = (key("shelf/one"), key("shelf/two"), key("shelf/under-way"));
    // Somebody's fetch keeps the marker from being dropped.
    lease(&store, &under_way, at(0)).await;
    write(&store, &one, tagged(&["red"], at(0)), at(0)).await;
    store.invalidate(&tag("red"), at(1)).await.unwrap();
    store.invalidate(&Target::All, at(1)).await.unwrap();
    for round in 1..4_u64 {
        let now = at(round * 2);
        for one in [&one, &two] {
            let (_, _, invalidated) = done(write(&store, one, tagged(&["red"], now), now).await);
            assert!(!invalidated);
            let held = entry(&store, one).await;
            assert_eq!(held.status(None, now), Status::Fresh, "{one}, round {round}");
            assert_eq!(held.due_at, now.plus(Duration::from_hours(1)));
        }
        store.sweep(&lasting(), now).await.unwrap();
        assert_eq!(stale(&store, &[one.clone(), two.clone()], now).await, [0; 4], "round {round}");
    }
    // The marker was kept for the one under way.
    let (held, _) = lease(&store, &under_way, at(30)).await;
    let (_, _, invalidated) =
        done(store.commit(commit_of(&held, tagged(&["red"], at(31)), at(31))).await.unwrap());
    assert!(!invalidated, "that fetch was given up; this one began after");
}

/// Rows that are made later, by a lease, a mark or an import, have their own waits.
pub async fn what_is_made_after_a_marker_is_not_met_by_it<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (failing, marked) = (key("shelf/failing"), key("shelf/marked"));
    lease(&store, &key("shelf/under-way"), at(0)).await;
    for target in [tag("red"), Target::Source("shelf".to_owned()), Target::All] {
        assert!(!store.invalidate(&target, at(1)).await.unwrap().or_more);
    }
    fail(&store, &failing, at(2)).await;
    store.mark_due(std::slice::from_ref(&marked), Trigger::Schedule, at(3)).await.unwrap();
    let waiting = exported(&key("shelf/waiting"), &["red"], at(0));
    let waiting = Exported {
        entry: Entry { attempts: 1, due_at: at(40), began: 7, version: 3, ..waiting.entry },
        ..waiting
    };
    store.import(std::slice::from_ref(&waiting), at(4)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(entry(&store, &failing).await.due_at, at(62));
        assert_eq!(entry(&store, &marked).await.due_at, at(3));
        let held = entry(&store, &waiting.entry.key).await;
        assert_eq!((held.status(None, at(4)), held.due_at), (Status::Fresh, at(40)));
        assert_eq!(store.due(at(5), 10).await.unwrap(), std::slice::from_ref(&marked));
        store.sweep(&lasting(), at(5)).await.unwrap();
    }
    // What moves on from here says what readers see here.
    store.invalidate(&tag("red"), at(6)).await.unwrap();
    let elsewhere = P::fresh();
    let there = elsewhere.open().await;
    there.import(&store.export(None, 100).await.unwrap(), at(7)).await.unwrap();
    let moved = entry(&there, &waiting.entry.key).await;
    assert_eq!((moved.status(None, at(7)), moved.due_at), (Status::Stale, at(6)));
}

/// The second time means also those that were fetched between the two.
pub async fn a_marker_set_again_means_all_anew<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let keys: Vec<Key> = ["a", "b"].iter().map(|name| key(&format!("shelf/{name}"))).collect();
    let mut met = 0;
    for round in 0..3_u64 {
        for one in &keys {
            write(&store, one, tagged(&["red"], at(round * 10)), at(round * 10)).await;
        }
        assert_eq!(stale(&store, &keys, at(round * 10)).await, [0; 4]);
        assert_eq!(store.invalidate(&tag("red"), at(round * 10 + 1)).await.unwrap(), Met::exactly(2));
        assert_eq!(stale(&store, &keys, at(round * 10 + 1)).await, [2; 4], "round {round}");
        met += 1;
        if round == 1 {
            store.sweep(&lasting(), at(12)).await.unwrap();
        }
    }
    let lines = store.changes(0, 100).await.unwrap().lines;
    let told = lines.iter().filter(|line| line.on == Subject::Tag("red".to_owned())).count();
    assert_eq!(told, met);
    assert_eq!(words(&store, &keys[0]).await, ["updated"], "no line of its own");
}

/// Of a tag, a source and everything, whichever came last; what was invalidated by name keeps its own.
pub async fn the_newest_of_many_markers_counts<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let far =
        |now: Time| Write { due_at: now.plus(Duration::from_hours(9)), ..tagged(&["red", "blue"], now) };
    write(&store, &cinder, far(at(0)), at(0)).await;
    let (mut last, mut second) = (0, 0);
    let targets = [tag("blue"), Target::All, tag("red"), Target::Source("shelf".to_owned())];
    for target in targets.into_iter().chain([Target::Keys(vec![cinder.clone()]), tag("blue")]) {
        second += 1;
        store.invalidate(&target, at(second)).await.unwrap();
        let held = entry(&store, &cinder).await;
        assert!(held.invalidated > last, "{target:?}");
        assert!(held.is_invalidated() && held.due_at <= at(second));
        last = held.invalidated;
    }
    for target in [tag("green"), Target::Source("other".to_owned()), Target::Keys(vec![key("shelf/x")])] {
        store.invalidate(&target, at(20)).await.unwrap();
        assert_eq!(entry(&store, &cinder).await.invalidated, last, "{target:?}");
    }
    refresh(&store, &cinder, vec![], at(21)).await;
    assert_eq!(status(&store, &cinder, at(21)).await, Status::Fresh);
    // A failure under no lease of ours is none.
    let (held, before) = lease(&store, &cinder, at(22)).await;
    store.commit(commit_of(&held, failed(&before, at(22)), at(22))).await.unwrap();
    assert_eq!(status(&store, &cinder, at(23)).await, Status::Fresh);
}
