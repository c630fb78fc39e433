//! Stories of the feed: one line a change, in order, none missed unnoticed.

use larder_core::{Retention, Store, Target};

use super::Place;
use super::build::{at, book, fail, key, refresh, words};

/// A reader that remembers its place gets what came since, in pieces of any size.
pub async fn a_reader_resumes_where_it_stopped<P: Place>() {
    let place = P::fresh();
    let (store, reader) = (place.open().await, place.open().await);
    let (a, b) = (key("shelf/a"), key("shelf/b"));
    let start = reader.changes(0, 10).await.unwrap();
    assert_eq!((start.lines.len(), start.reset, start.last), (0, false, 0));
    refresh(&store, &a, vec![book("x", 1)], at(0)).await;
    refresh(&store, &b, vec![], at(1)).await;
    store.invalidate(&Target::All, at(2)).await.unwrap();
    store.evict(&Target::Keys(vec![a.clone()]), at(3)).await.unwrap();
    let mut seen = Vec::new();
    let mut place_in_feed = 0;
    loop {
        let piece = reader.changes(place_in_feed, 2).await.unwrap();
        assert!(!piece.reset && piece.lines.len() <= 2);
        assert_eq!(reader.info().await.unwrap().seq, piece.last);
        let Some(last) = piece.lines.last() else { break };
        assert!(piece.lines.is_sorted_by(|one, next| one.seq < next.seq) && last.seq <= piece.last);
        place_in_feed = last.seq;
        seen.extend(
            piece.lines.into_iter().map(|line| format!("{} {} {}", line.on, line.what, line.version)),
        );
    }
    let expected =
        ["shelf/a updated 1", "shelf/b updated 1", "everything invalidated 0", "shelf/a evicted 1"];
    assert_eq!(seen, expected);
}

/// What goes at once is told in the order of the keys: who has but the end of the feed knows which it was.
pub async fn what_goes_at_once_is_told_by_key<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    for name in ["shelf/c", "shelf/a", "shelf/b"] {
        refresh(&store, &key(name), vec![], at(0)).await;
    }
    let before = store.info().await.unwrap().seq;
    assert_eq!(store.evict(&Target::All, at(1)).await.unwrap(), 3);
    let lines = store.changes(before, 10).await.unwrap().lines;
    let told: Vec<String> = lines.iter().map(|line| format!("{} {}", line.on, line.what)).collect();
    assert_eq!(told, ["shelf/a evicted", "shelf/b evicted", "shelf/c evicted"]);
}

/// Lines that were swept behind a reader's back are not passed over in silence.
pub async fn a_reader_that_fell_behind_starts_over<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    for stars in 0..4 {
        refresh(&store, &cinder, vec![book("a", stars)], at(stars as u64)).await;
    }
    let lines = store.changes(0, 10).await.unwrap().lines;
    let retention = Retention { feed_lines_max: 2, ..super::sweeps::lasting() };
    assert_eq!(store.sweep(&retention, at(10)).await.unwrap().feed, 2);
    assert!(store.changes(0, 10).await.unwrap().reset);
    let behind = store.changes(lines[0].seq, 10).await.unwrap();
    assert!(behind.reset, "the second line is gone");
    assert_eq!(behind.lines, lines[2..]);
    assert!(!store.changes(lines[1].seq, 10).await.unwrap().reset, "all it missed is still there");
    assert!(!store.changes(lines[3].seq, 10).await.unwrap().reset);
    let elsewhere = store.changes(lines[3].seq + 1_000, 10).await.unwrap();
    assert!(elsewhere.reset, "a place of another store's life");
}

/// A refresh that found everything as it was is no news.
pub async fn what_nobody_sees_is_not_announced<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    refresh(&store, &cinder, vec![book("a", 1)], at(1)).await;
    assert_eq!(words(&store, &cinder).await, ["updated"]);
}

/// A badge turns red once, and turns back.
pub async fn the_first_failure_and_the_recovery_are_announced<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    fail(&store, &cinder, at(1)).await;
    fail(&store, &cinder, at(2)).await;
    refresh(&store, &cinder, vec![book("a", 1)], at(3)).await;
    assert_eq!(words(&store, &cinder).await, ["updated", "failed", "recovered"]);
    let versions: Vec<u64> =
        store.changes(0, 10).await.unwrap().lines.iter().map(|line| line.version).collect();
    assert_eq!(versions, [1, 1, 1], "the data is the same");
}
