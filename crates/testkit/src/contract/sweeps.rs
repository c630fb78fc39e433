//! Stories of retention: everything has an end, and none before its time.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Commit, Committed, Configured, Definition, Exported, Fingerprint, Key, LogFilter, LogLine, Outcome,
    Policy, Retention, Spent, Store, Swept, Target, Time, Trigger, Write,
};

use super::Place;
use super::build::{
    NOW, at, book, commit_of, exported, fail, failed, fetched, find, heads, key, lease, refresh,
};

const DAY: Duration = Duration::from_hours(24);

fn day(days: u32) -> Time {
    NOW.plus(DAY * days)
}

/// Keeps everything for ever but what a story asks about.
pub fn lasting() -> Retention {
    let ever = DAY * 36_500;
    Retention {
        failed: ever,
        log: ever,
        log_lines_max: u64::MAX,
        unconfigured: ever,
        unread: ever,
        feed: ever,
        feed_lines_max: u64::MAX,
    }
}

/// Seven days by default; what has data or was touched since stays.
pub async fn failed_entries_without_data_go_after_their_time<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (empty, data, again) = (key("shelf/empty"), key("shelf/data"), key("shelf/again"));
    fail(&store, &empty, day(0)).await;
    fail(&store, &again, day(0)).await;
    refresh(&store, &data, vec![book("a", 1)], day(0)).await;
    fail(&store, &data, day(0)).await;
    fail(&store, &again, day(1)).await;
    let retention = Retention { failed: DAY * 7, ..lasting() };
    assert_eq!(store.sweep(&retention, day(7)).await.unwrap(), Swept::default(), "not before its time");
    let later = day(7).plus(Duration::from_secs(1));
    let expected = Swept { entries: 1, ..Swept::default() };
    assert_eq!(store.sweep(&retention, later).await.unwrap(), expected);
    assert!(find(&store, &empty).await.is_none());
    assert!(find(&store, &again).await.is_some() && find(&store, &data).await.is_some());
    let default = Retention::default();
    assert_eq!((default.failed, default.log, default.unconfigured), (DAY * 7, DAY * 30, DAY * 30));
    assert_eq!((default.feed, default.feed_lines_max), (DAY * 7, 100_000));
}

/// What nobody asks for any more goes, however often it is tried again meanwhile.
pub async fn what_is_only_retried_goes_after_its_time<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (forgotten, read, marked) = (key("shelf/forgotten"), key("shelf/read"), key("shelf/marked"));
    let try_again = async |key: &Key, trigger, now| {
        let (held, before) = lease(&store, key, now).await;
        let attempt = commit_of(&held, failed(&before, now), now);
        let log = LogLine { trigger, ..attempt.log.clone() };
        store.commit(Commit { log, ..attempt }).await.unwrap();
    };
    for days in 0..7 {
        let trigger = if days == 0 { Trigger::Read } else { Trigger::Backoff };
        for key in [&forgotten, &read, &marked] {
            try_again(key, trigger, day(days)).await;
        }
    }
    let an_hour = Duration::from_hours(1);
    try_again(&read, Trigger::Read, day(3).plus(an_hour)).await;
    store.mark_due(std::slice::from_ref(&marked), Trigger::Read, day(3).plus(an_hour)).await.unwrap();
    let retention = Retention { failed: DAY * 7, ..lasting() };
    assert_eq!(store.sweep(&retention, day(7)).await.unwrap().entries, 0, "not before its time");
    // One that is being tried is in use.
    lease(&store, &forgotten, day(8)).await;
    assert_eq!(store.sweep(&retention, day(8)).await.unwrap().entries, 0);
    assert_eq!(store.sweep(&retention, day(8).plus(an_hour)).await.unwrap().entries, 1);
    assert!(find(&store, &forgotten).await.is_none());
    assert!(find(&store, &read).await.is_some() && find(&store, &marked).await.is_some());
}

/// Thirty days by default, with the items that nothing else holds.
pub async fn unconfigured_entries_go_after_their_time<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (gone, kept) = (key("shelf/gone"), key("shelf/kept"));
    refresh(&store, &gone, vec![book("a", 1), book("b", 1)], day(0)).await;
    refresh(&store, &kept, vec![book("b", 1), book("c", 1)], day(0)).await;
    refresh(&store, &kept, vec![book("b", 1)], day(0)).await;
    let one = Definition::new(Fingerprint::trusted("one"), Policy::default());
    let left = [Configured { key: kept.clone(), definition: Arc::new(one) }];
    store.reconcile("shelf", &left, day(1)).await.unwrap();
    let retention = Retention { unconfigured: DAY * 30, ..lasting() };
    let orphan = Swept { items: 1, ..Swept::default() };
    assert_eq!(
        store.sweep(&retention, day(31)).await.unwrap(),
        orphan,
        "an item that nothing holds any more"
    );
    let later = day(31).plus(Duration::from_secs(1));
    let expected = Swept { entries: 1, items: 1, ..Swept::default() };
    assert_eq!(store.sweep(&retention, later).await.unwrap(), expected);
    assert!(find(&store, &gone).await.is_none());
    assert_eq!(store.info().await.unwrap().items, 1);
}

/// Of two configurations that know nothing of each other's entries each keeps its own for as long as it says so.
pub async fn what_any_configuration_names_now_and_then_stays<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let both = ["shelf/one", "shelf/two"].map(|text| {
        let definition = Arc::new(Definition::new(Fingerprint::trusted("one"), Policy::default()));
        Configured { key: key(text), definition }
    });
    for one in &both {
        refresh(&store, &one.key, vec![book("a", 1)], day(0)).await;
    }
    let retention = Retention { unconfigured: DAY * 30, ..lasting() };
    for days in (1..200).step_by(29) {
        for one in both.chunks(1) {
            store.reconcile("shelf", one, day(days)).await.unwrap();
        }
        assert_eq!(store.sweep(&retention, day(days + 28)).await.unwrap().entries, 0, "day {days}");
    }
    // The second one said the last word, on day 175.
    assert_eq!(store.sweep(&retention, day(205)).await.unwrap().entries, 0);
    assert_eq!(store.sweep(&retention, day(206)).await.unwrap().entries, 1);
    assert!(find(&store, &both[0].key).await.is_none() && find(&store, &both[1].key).await.is_some());
}

/// More than go at once go all the same: each with its line, by key, and nobody else's.
pub async fn what_goes_by_the_thousand_goes_as_one_does<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let keys: Vec<Key> = (0..1_100).map(|n| key(&format!("shelf/{n:04}"))).collect();
    let left = Exported { unconfigured_since: Some(day(0)), ..exported(&keys[0], &["red"], day(0)) };
    let all: Vec<Exported> =
        keys.iter().map(|key| Exported { entry: exported(key, &[], day(0)).entry, ..left.clone() }).collect();
    let kept = key("stack/kept");
    refresh(&store, &kept, vec![book("a", 1)], day(0)).await;
    let red = || Target::Tag("red".to_owned());
    let source = || Target::Source("shelf".to_owned());
    for target in [red(), source(), Target::Keys(keys.iter().chain(&keys).cloned().collect())] {
        store.import(&all, day(0)).await.unwrap();
        let from = store.changes(0, 0).await.unwrap().last;
        assert_eq!(store.evict(&target, day(1)).await.unwrap(), 1_100, "{}", keys.len());
        let told = store.changes(from, 5_000).await.unwrap().lines;
        assert_eq!(
            told.iter().filter_map(|line| line.on.key()).collect::<Vec<_>>(),
            keys.iter().collect::<Vec<_>>()
        );
        assert_eq!(store.evict(&target, day(1)).await.unwrap(), 0);
    }
    store.import(&all, day(0)).await.unwrap();
    let retention = Retention { unconfigured: DAY, ..lasting() };
    let expected = Swept { entries: 1_100, ..Swept::default() };
    assert_eq!(store.sweep(&retention, day(2)).await.unwrap(), expected);
    assert_eq!(heads(&store, None).await.len(), 1);
    assert!(find(&store, &kept).await.is_some());
}

/// The log and the feed by age and by lines.
pub async fn the_log_and_the_feed_have_their_lengths<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    for (days, stars) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
        refresh(&store, &cinder, vec![book("a", stars)], day(days)).await;
    }
    let by_age = Retention { log: DAY * 10, feed: DAY * 11, ..lasting() };
    let expected = Swept { log: 2, feed: 1, ..Swept::default() };
    assert_eq!(store.sweep(&by_age, day(12)).await.unwrap(), expected);
    assert_eq!(store.log(&LogFilter { key: None, limit: 10 }).await.unwrap().len(), 2);
    assert_eq!(store.changes(0, 10).await.unwrap().lines.len(), 3);
    let by_lines = Retention { log_lines_max: 1, ..lasting() };
    assert_eq!(store.sweep(&by_lines, day(12)).await.unwrap(), Swept { log: 1, ..Swept::default() });
    let left = store.log(&LogFilter { key: Some(cinder.clone()), limit: 10 }).await.unwrap();
    assert_eq!(left.iter().map(|line| line.started_at).collect::<Vec<_>>(), [day(3)], "the newest");
    let by_lines = Retention { feed_lines_max: 1, ..lasting() };
    let expected = Swept { feed: 2, ..Swept::default() };
    assert_eq!(store.sweep(&by_lines, day(12)).await.unwrap(), expected);
    let left = store.changes(0, 10).await.unwrap();
    assert_eq!(left.lines.iter().map(|line| line.version).collect::<Vec<_>>(), [4]);
    assert!(left.reset);
    assert_eq!(store.sweep(&by_lines, day(12)).await.unwrap(), Swept::default());
    let nothing = Retention { feed_lines_max: 0, ..lasting() };
    assert_eq!(store.sweep(&nothing, day(12)).await.unwrap().feed, 1);
    let empty = store.changes(left.last, 10).await.unwrap();
    assert_eq!((empty.lines.len(), empty.reset, empty.last), (0, false, left.last));
}

/// What lists a hundred local projects every minute leaves no more behind than what does it once a day; what was
/// asked for by hand, cost something, or brought something, is told all the same.
pub async fn looks_that_found_all_as_it_was_leave_few_lines<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (often, once) = (key("shelf/often"), key("shelf/once"));
    let look = async |key: &Key, trigger: Trigger, calls: u32, now: Time| {
        let (held, _) = lease(&store, key, now).await;
        let same = Write { outcome: Outcome::NotModified, members: None, tags: None, ..fetched(vec![], now) };
        let attempt = commit_of(&held, same, now);
        let log = LogLine { trigger, spent: Spent { calls, cost: 0 }, ..attempt.log.clone() };
        let done = store.commit(Commit { log, ..attempt }).await.unwrap();
        assert!(matches!(done, Committed::Done { .. }), "{done:?}");
    };
    refresh(&store, &often, vec![book("a", 1)], at(0)).await;
    refresh(&store, &once, vec![book("b", 1)], at(0)).await;
    look(&once, Trigger::Read, 0, at(1)).await;
    let mut telling = vec![at(0)];
    for second in 1..=40 {
        let (trigger, calls) = match second {
            7 => (Trigger::Manual, 0),
            8 | 30 => (Trigger::Read, 1),
            21 | 22 => (Trigger::Watch, 0),
            _ => (Trigger::Read, 0),
        };
        telling.extend([7, 8, 30].contains(&second).then(|| at(second)));
        look(&often, trigger, calls, at(second)).await;
    }
    let lines = async |key: &Key| -> Vec<Time> {
        let lines = store.log(&LogFilter { key: Some(key.clone()), limit: 100 }).await.unwrap();
        lines.into_iter().map(|line| line.started_at).rev().collect()
    };
    let newest = (0..LogLine::IDLE_KEPT as u64).rev().map(|ago| at(40 - ago));
    assert_eq!(lines(&often).await, telling.into_iter().chain(newest).collect::<Vec<_>>());
    assert_eq!(lines(&once).await, [at(0), at(1)], "another's are another's");
    let all = store.log(&LogFilter { key: None, limit: 100 }).await.unwrap();
    assert_eq!(all.len(), lines(&often).await.len() + 2);
    assert_eq!(all[0].started_at, at(40));
}

/// A row that is being fetched is in use.
pub async fn a_live_lease_is_never_swept<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    store.mark_due(std::slice::from_ref(&cinder), Trigger::Schedule, day(0)).await.unwrap();
    let retention = Retention { failed: Duration::ZERO, ..lasting() };
    lease(&store, &cinder, at(0)).await;
    assert_eq!(store.sweep(&retention, at(14)).await.unwrap().entries, 0);
    assert_eq!(store.sweep(&retention, at(15)).await.unwrap().entries, 1);
}

/// Of many processes that think of it, one sweeps. A note from the future keeps nobody from it.
pub async fn a_sweep_begins_once_in_its_time<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let second = Duration::from_secs(1);
    assert!(store.begin_sweep(DAY, day(1)).await.unwrap(), "nobody ever did");
    store.end_sweep(day(1)).await.unwrap();
    assert!(!store.begin_sweep(DAY, day(1)).await.unwrap());
    assert!(!store.begin_sweep(DAY, day(2).minus(second)).await.unwrap());
    assert!(place.open().await.begin_sweep(DAY, day(2)).await.unwrap());
    store.end_sweep(day(2)).await.unwrap();
    assert!(store.begin_sweep(DAY, day(2).minus(second)).await.unwrap(), "the clock was set back");
}

/// Nobody has to take its beginning back: whoever was to do it may be gone.
pub async fn a_sweep_whose_end_nobody_noted_is_due_again_soon<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let begun = day(1);
    assert!(store.begin_sweep(DAY, begun).await.unwrap());
    let soon = begun.plus(Retention::CUT_OFF);
    assert!(!place.open().await.begin_sweep(DAY, soon.minus(Duration::from_secs(1))).await.unwrap());
    assert!(place.open().await.begin_sweep(DAY, soon).await.unwrap());
    let going_on = soon.plus(Retention::RENEWED_EVERY);
    store.renew_sweep(DAY, going_on).await.unwrap();
    let soon = going_on.plus(Retention::CUT_OFF);
    assert!(!place.open().await.begin_sweep(DAY, soon.minus(Duration::from_secs(1))).await.unwrap());
    assert!(place.open().await.begin_sweep(DAY, soon).await.unwrap());
    let often = Duration::from_mins(1);
    assert!(store.begin_sweep(often, day(3)).await.unwrap());
    assert!(!store.begin_sweep(often, day(3)).await.unwrap(), "nor sooner than it is done");
    assert!(store.begin_sweep(often, day(3).plus(often)).await.unwrap());
}
