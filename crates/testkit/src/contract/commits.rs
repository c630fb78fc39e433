//! Stories of commits: one door, fenced, all or nothing.

use larder_core::{
    Acquired, Commit, Committed, ItemCounts, Json, LogFilter, MemberState, Outcome, Status, Store, Target,
    Validators, Warning, Write,
};
use serde_json::json;

use super::Place;
use super::build::{
    acquire, at, book, commit_of, done, fail, failed, fetched, field, find, ids, key, lease, member, refresh,
    row, words, write,
};

/// What one process commits, another reads.
pub async fn what_is_committed_is_looked_up<P: Place>() {
    let place = P::fresh();
    let (store, other) = (place.open().await, place.open().await);
    let cinder = key("shelf/cinder");
    let (version, items, invalidated) =
        done(refresh(&store, &cinder, vec![book("b", 2), book("a", 1)], at(0)).await);
    assert_eq!((version, invalidated), (1, false));
    assert_eq!(items, ItemCounts { seen: 2, added: 2, changed: 0, removed: 0 });
    let row = row(&other, &cinder).await;
    assert_eq!(ids(&row), ["b", "a"]);
    assert_eq!(field(&row, "b", "stars"), 2);
    assert_eq!(row.entry.status(None, at(1)), Status::Fresh);
    assert_eq!(row.entry.status(None, at(3_600)), Status::Stale);
    assert!(row.entry.lease.is_none(), "the commit let go of the lease");
    let asked = [key("shelf/none"), cinder];
    let found = other.lookup(&asked).await.unwrap();
    assert!(found[0].is_none() && found[1].is_some(), "answers stand in the order asked");
}

/// Late for the lease: nothing is written but the log line.
pub async fn a_late_commit_is_superseded_and_only_logged<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let before = row(&store, &cinder).await;
    let (held, _) = lease(&store, &cinder, at(10)).await;
    let late = commit_of(&held, fetched(vec![book("b", 1)], at(25)), at(25));
    assert_eq!(store.commit(late).await.unwrap(), Committed::Superseded);
    let after = row(&store, &cinder).await;
    assert_eq!(after.members, before.members);
    assert_eq!((after.entry.version, after.entry.fetched_at), (1, Some(at(0))));
    let filter = LogFilter { key: Some(cinder.clone()), limit: 1 };
    let line = store.log(&filter).await.unwrap().remove(0);
    assert_eq!((line.outcome.as_str(), line.items), ("superseded", ItemCounts::default()));
    assert_eq!(words(&store, &cinder).await, ["updated"]);
}

/// A fetch under way when its entry is evicted is refused when it comes.
pub async fn an_evicted_entrys_commit_is_superseded<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let (held, _) = lease(&store, &cinder, at(0)).await;
    assert_eq!(store.evict(&Target::Keys(vec![cinder.clone()]), at(1)).await.unwrap(), 1);
    let commit = commit_of(&held, fetched(vec![book("a", 1)], at(2)), at(2));
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Superseded);
    assert!(find(&store, &cinder).await.is_none());
    assert_eq!(store.info().await.unwrap().items, 0);
}

/// A commit that cannot be done as a whole does nothing, and hurts nobody beside it.
pub async fn a_commit_that_fails_leaves_nothing_behind<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (good, bad) = (key("shelf/good"), key("shelf/bad"));
    let (on_good, _) = lease(&store, &good, at(0)).await;
    let (on_bad, _) = lease(&store, &bad, at(0)).await;
    let mut broken = fetched(vec![book("a", 1)], at(1));
    broken.members = Some(vec![
        member("a", MemberState::Shown),
        // It is neither held nor brought.
        member("nowhere", MemberState::Shown),
    ]);
    let (kept, refused) = futures::join!(
        store.commit(commit_of(&on_good, fetched(vec![book("b", 1)], at(1)), at(1))),
        store.commit(commit_of(&on_bad, broken, at(1))),
    );
    assert!(kept.is_ok() && refused.is_err());
    let row = row(&store, &bad).await;
    assert!(!row.entry.has_data() && row.members.is_empty());
    assert_eq!(row.entry.lease.map(|lease| lease.token), Some(on_bad.token), "the lease is still held");
    assert_eq!(store.info().await.unwrap().items, 1, "the item beside the broken member is not there either");
    assert!(words(&store, &bad).await.is_empty());
    let filter = LogFilter { key: Some(bad), limit: 10 };
    assert!(store.log(&filter).await.unwrap().is_empty());
}

/// An empty result that is true is stored and is a hit.
pub async fn an_empty_result_is_a_hit<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let empty = key("shelf/empty");
    refresh(&store, &empty, Vec::new(), at(0)).await;
    let row = row(&store, &empty).await;
    assert!(row.members.is_empty());
    assert_eq!(row.entry.status(None, at(1)), Status::Fresh);
    assert_eq!(words(&store, &empty).await, ["updated"]);
}

/// Mistakes 1 to 3 of the field: an error neither sticks, nor is final, nor empties the copy.
pub async fn a_failure_keeps_the_data_and_ends_the_lease<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let (version, ..) = done(fail(&store, &cinder, at(4_000)).await);
    assert_eq!(version, 1, "a reader sees the same data");
    let row = row(&store, &cinder).await;
    assert_eq!(ids(&row), ["a"]);
    assert_eq!(row.entry.fetched_at, Some(at(0)));
    assert_eq!((row.entry.attempts, row.entry.due_at), (1, at(4_060)));
    assert_eq!(row.entry.last_error.unwrap().code, "network");
    assert!(matches!(acquire(&store, &cinder, "you", at(4_001)).await, Acquired::Granted(..)));
}

/// The version moves with what a reader sees and with nothing else.
pub async fn versions_count_what_a_reader_sees<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let plain = |seconds| fetched(vec![book("a", 1)], at(seconds));
    let validators = Validators { etag: Some("W/\"1\"".to_owned()), ..Validators::default() };
    let warning = Warning {
        about: "b".to_owned(),
        code: "not_found".to_owned(),
        message: "it is not there".to_owned(),
    };
    let gone = || Write { members: Some(Vec::new()), items: Vec::new(), ..plain(6) };
    let steps = [
        ("the first data", plain(0), 1),
        ("the same again", plain(1), 1),
        ("other validators", Write { validators, ..plain(2) }, 1),
        ("a body", Write { body: Some(Json::from(json!({"n": 1}))), ..plain(3) }, 2),
        ("no body, a warning", Write { warnings: vec![warning], ..plain(4) }, 3),
        ("another document", fetched(vec![book("a", 2)], at(5)), 4),
        ("no members", gone(), 5),
        ("incomplete", Write { complete: false, pending: vec!["b".into()], ..gone() }, 6),
        ("absent", Write { outcome: Outcome::Absent, absent_at: Some(at(8)), fetched_at: None, ..gone() }, 7),
    ];
    for (seconds, (what, step, expected)) in (0..).zip(steps) {
        let (version, ..) = done(write(&store, &cinder, step, at(seconds)).await);
        assert_eq!(version, expected, "{what}");
        assert_eq!(row(&store, &cinder).await.entry.version, expected, "{what}");
    }
}

/// An `ETag` is made of the version: after an eviction it goes on counting.
pub async fn a_version_never_names_two_things<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1)], at(0)).await;
    let (before, ..) = done(refresh(&store, &cinder, vec![book("a", 2)], at(1)).await);
    store.evict(&Target::All, at(2)).await.unwrap();
    let (after, ..) = done(refresh(&store, &cinder, vec![book("a", 3)], at(3)).await);
    assert!(after > before, "{after} > {before}");
}

/// Seen, added, changed and removed, each for itself.
pub async fn items_are_counted_for_the_log<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    refresh(&store, &cinder, vec![book("a", 1), book("b", 1), book("c", 1)], at(0)).await;
    let (_, counts, _) =
        done(refresh(&store, &cinder, vec![book("a", 1), book("b", 9), book("d", 1)], at(1)).await);
    let expected = ItemCounts { seen: 3, added: 1, changed: 1, removed: 1 };
    assert_eq!(counts, expected);
    let filter = LogFilter { key: Some(cinder), limit: 1 };
    let line = store.log(&filter).await.unwrap().remove(0);
    assert_eq!(line.items, expected);
    assert_eq!((line.spent.calls, line.spent.cost, line.duration_ms), (1, 2, 12));
}

/// The log is read backwards.
pub async fn the_log_is_newest_first_and_by_entry<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (a, b) = (key("shelf/a"), key("shelf/b"));
    refresh(&store, &a, vec![], at(0)).await;
    refresh(&store, &b, vec![], at(1)).await;
    fail(&store, &a, at(2)).await;
    let words = async |filter: LogFilter| -> Vec<(String, String)> {
        let lines = store.log(&filter).await.unwrap();
        lines.into_iter().map(|line| (line.key.to_string(), line.outcome)).collect()
    };
    let line = |key: &str, outcome: &str| (key.to_owned(), outcome.to_owned());
    let all = words(LogFilter { key: None, limit: 2 }).await;
    assert_eq!(all, [line("shelf/a", "failed"), line("shelf/b", "updated")]);
    let of_a = words(LogFilter { key: Some(a), limit: 10 }).await;
    assert_eq!(of_a, [line("shelf/a", "failed"), line("shelf/a", "updated")]);
}

/// Every column comes back as it went in.
pub async fn everything_about_an_entry_survives_the_way_through<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let (held, before) = lease(&store, &cinder, at(0)).await;
    let everything = Write {
        outcome: Outcome::Partial,
        definition: larder_core::Fingerprint::of(&["a"]),
        tried: larder_core::Fingerprint::of(&["b"]),
        body: Some(Json::from(json!({"name": "Ünïcode \u{1f980} \"quoted\""}))),
        validators: Validators {
            etag: Some("\"x\"".to_owned()),
            last_modified: Some("Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
            content_hash: Some("abc".to_owned()),
        },
        cursor: Some("next".to_owned()),
        complete: false,
        pending: vec!["o/x".into(), "o/y".into()],
        warnings: vec![Warning {
            about: "o/x".to_owned(),
            code: "unknown".to_owned(),
            message: "no answer".to_owned(),
        }],
        absent_at: Some(at(5)),
        fresh_until: Some(at(100)),
        due_at: at(90),
        attempts: 3,
        faults: 2,
        last_error: failed(&before, at(1)).last_error,
        members: Some(Vec::new()),
        ..fetched(Vec::new(), at(2))
    };
    let commit = Commit { write: Some(everything.clone()), ..commit_of(&held, everything.clone(), at(2)) };
    store.commit(commit).await.unwrap();
    let entry = row(&store, &cinder).await.entry;
    assert_eq!(entry.key, cinder);
    assert_eq!((entry.definition, entry.tried), (everything.definition, everything.tried));
    assert_eq!((entry.body, entry.validators), (everything.body, everything.validators));
    assert_eq!((entry.cursor, entry.complete), (everything.cursor, false));
    assert_eq!((entry.pending, entry.warnings), (everything.pending, everything.warnings));
    assert_eq!((entry.fetched_at, entry.absent_at), (Some(at(2)), Some(at(5))));
    assert_eq!((entry.fresh_until, entry.due_at), (Some(at(100)), at(90)));
    assert_eq!((entry.attempts, entry.faults), (3, 2));
    assert_eq!(entry.last_error, everything.last_error);
    assert_eq!((entry.began, entry.invalidated), (held.token.seq, 0));
    assert!(!entry.marked && entry.lease.is_none());
}
