//! Stories of a cache that moves from one store to another, through JSON, and is the same there.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Committed, Configured, Definition, Entry, Exported, Fingerprint, Key, ListQuery, Member, MemberState,
    Met, NewItem, Outcome, Policy, Retention, Scope, Status, Store, Stored, Target, Time, Trigger,
    Validators, Write,
};

use super::Place;
use super::build::{
    VIEW, at, book, book_with, commit_of, exported, fail, fetched, field, find, heads, key, lease, member,
    refresh, row, words, write,
};

/// All of a store, in pages of two, through the text that a file would hold.
async fn export(store: &impl Store) -> Vec<Exported> {
    let mut all: Vec<Exported> = Vec::new();
    loop {
        let after = all.last().map(|exported| exported.entry.key.clone());
        let page = store.export(after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            return all;
        }
        for exported in page {
            let text = serde_json::to_string(&exported).unwrap();
            let read: Exported = serde_json::from_str(&text).unwrap();
            assert_eq!(read, exported, "nothing is lost on the way through {text}");
            all.push(read);
        }
    }
}

/// What a reader sees of a row, without the numbers that are one store's alone.
fn seen(stored: Stored) -> (Entry, bool, bool, Vec<Member>) {
    let entry = stored.entry;
    let (invalidated, began) = (entry.is_invalidated(), entry.began > 0);
    (Entry { began: 0, invalidated: 0, lease: None, ..entry }, invalidated, began, stored.members)
}

/// Entries in every state that there is; what they are called.
async fn every_state(store: &impl Store) -> Vec<Key> {
    let secret = NewItem { scope: Scope::Repo("h/o/r".into()), ..book("secret", 1) };
    let words = book_with(
        "long",
        serde_json::json!({"title": "long", "description": "a durable café", "topics": ["Cache"]}),
    );
    let items = vec![words, book("gone", 2), secret];
    let members = vec![
        member("long", MemberState::Shown),
        member("gone", MemberState::Absent),
        member("secret", MemberState::Hidden),
    ];
    let whole = Write {
        members: Some(members),
        tags: Some(vec!["red".to_owned(), "blue".to_owned()]),
        cursor: Some("c1".to_owned()),
        ..fetched(items, at(0))
    };
    write(store, &key("shelf/whole"), whole, at(0)).await;
    refresh(store, &key("shelf/invalidated"), vec![book("w", 3)], at(1)).await;
    store.invalidate(&Target::Keys(vec![key("shelf/invalidated")]), at(2)).await.unwrap();
    refresh(store, &key("shelf/failing"), vec![book("x", 1)], at(3)).await;
    fail(store, &key("shelf/failing"), at(4)).await;
    fail(store, &key("shelf/empty"), at(5)).await;
    let half = Write { complete: false, pending: vec!["x".into()], due_at: at(50), ..fetched(vec![], at(6)) };
    write(store, &key("shelf/half"), half, at(6)).await;
    let absent = Write { fetched_at: None, absent_at: Some(at(7)), ..fetched(vec![], at(7)) };
    write(store, &key("shelf/absent"), absent, at(7)).await;
    refresh(store, &key("shelf/wanted"), vec![], at(8)).await;
    store.mark_due(&[key("shelf/wanted")], Trigger::Webhook, at(9)).await.unwrap();
    refresh(store, &key("other/left"), vec![book("y", 1)], at(10)).await;
    store.reconcile("other", &[], at(11)).await.unwrap();
    let names = ["absent", "empty", "failing", "half", "invalidated", "wanted", "whole"];
    let mut keys: Vec<Key> = names.iter().map(|name| key(&format!("shelf/{name}"))).collect();
    keys.insert(0, key("other/left"));
    keys
}

/// Lookups, rows, lists, searches, tags and what is due: all as where it came from. Stale stays stale,
/// and failures keep their wait.
pub async fn a_moved_cache_answers_alike<P: Place>() {
    let (from, to) = (P::fresh(), P::fresh());
    let (old, new) = (from.open().await, to.open().await);
    let keys = every_state(&old).await;
    // Another life, with other numbers.
    for n in 0..7 {
        refresh(&new, &key("temporary/one"), vec![book("z", n)], at(0)).await;
    }
    new.evict(&Target::All, at(0)).await.unwrap();
    // A fetch under way there is nothing to hand on.
    lease(&old, &key("shelf/whole"), at(12)).await;
    let exported = export(&old).await;
    assert!(exported.iter().all(|exported| exported.entry.lease.is_none()));
    assert!(exported.iter().map(|exported| &exported.entry.key).eq(&keys), "by key");
    for piece in exported.chunks(3) {
        assert_eq!(new.import(piece, at(20)).await.unwrap(), piece.len() as u64);
    }
    for one in &keys {
        let (there, here) = (seen(row(&old, one).await), seen(row(&new, one).await));
        let unversioned = |seen: &Entry| Entry { version: 0, ..seen.clone() };
        assert_eq!(unversioned(&there.0), unversioned(&here.0));
        assert_eq!((there.1, there.2, there.3), (here.1, here.2, here.3), "{one}");
    }
    let shelf = |key: &str| super::build::key(&format!("shelf/{key}"));
    assert_eq!(row(&new, &shelf("invalidated")).await.entry.status(None, at(20)), Status::Stale);
    assert_eq!(row(&new, &shelf("whole")).await.entry.status(None, at(20)), Status::Fresh);
    assert_eq!(row(&new, &shelf("whole")).await.entry.status(None, at(4_000)), Status::Stale);
    for now in [at(20), at(55), at(4_000)] {
        assert_eq!(new.due(now, 10).await.unwrap(), old.due(now, 10).await.unwrap(), "{now}");
    }
    let heads = async |store: &P::Store| -> Vec<(Key, u64, Option<Time>)> {
        let heads = heads(store, None).await.into_iter();
        heads.map(|head| (head.entry.key, head.shown, head.unconfigured_since)).collect()
    };
    assert_eq!(heads(&new).await, heads(&old).await);
    for search in [None, Some("durable"), Some("lon"), Some("secret")] {
        let query = ListQuery {
            view: &VIEW,
            entries: keys.clone(),
            search: search.map(str::to_owned),
            filters: Vec::new(),
            order: None,
            offset: 0,
            limit: 100,
        };
        let listed = new.list(&query).await.unwrap();
        assert_eq!(listed, old.list(&query).await.unwrap(), "{search:?}");
        assert_eq!(listed.is_empty(), search == Some("secret"), "{search:?}");
    }
    for (tag, met) in [("red", 1), ("blue", 1), ("green", 0)] {
        let tag = Target::Tag(tag.to_owned());
        assert_eq!(new.invalidate(&tag, at(21)).await.unwrap(), Met::exactly(met), "{tag:?}");
    }
    assert_eq!(row(&new, &shelf("whole")).await.entry.status(None, at(21)), Status::Stale);
    assert_eq!(new.verify().await.unwrap(), []);
    // A moved entry is one like any other: refreshed, fresh again; swept when its time comes.
    refresh(&new, &shelf("invalidated"), vec![book("w", 3)], at(30)).await;
    assert_eq!(row(&new, &shelf("invalidated")).await.entry.status(None, at(30)), Status::Fresh);
    let one = Definition::new(Fingerprint::trusted("one"), Policy::default());
    let back = [Configured { key: key("other/left"), definition: Arc::new(one) }];
    assert_eq!(new.reconcile("other", &back, at(31)).await.unwrap().returned, 1);
    let month = Retention::default().unconfigured;
    assert_eq!(new.sweep(&Retention::default(), at(30).plus(month)).await.unwrap().entries, 2);
    for empty in ["empty", "absent"] {
        assert!(find(&new, &shelf(empty)).await.is_none(), "{empty} never had data");
    }
}

/// The second import finds all of it there and says nothing.
pub async fn importing_twice_is_importing_once<P: Place>() {
    let (from, to) = (P::fresh(), P::fresh());
    let (old, new) = (from.open().await, to.open().await);
    let keys = every_state(&old).await;
    let exported = export(&old).await;
    assert_eq!(new.import(&exported, at(20)).await.unwrap(), keys.len() as u64);
    assert_eq!(words(&new, &key("shelf/whole")).await, ["imported"]);
    let (before, last) = (heads(&new, None).await, new.info().await.unwrap().seq);
    assert_eq!(new.import(&exported, at(21)).await.unwrap(), 0);
    assert_eq!(heads(&new, None).await, before);
    assert_eq!(new.info().await.unwrap().seq, last, "there is no news");
    let again = export(&new).await;
    assert_eq!(to_move(again), to_move(exported), "what was moved can be moved on");
}

fn to_move(all: Vec<Exported>) -> Vec<Exported> {
    let same = |one: Exported| {
        let entry = Entry { began: 0, invalidated: u64::from(one.entry.is_invalidated()), ..one.entry };
        Exported { entry, ..one }
    };
    all.into_iter().map(same).collect()
}

/// What is held and was fetched later is kept, entry by entry and item by item; a fetch under way on
/// an entry that is replaced is refused, since it began from what was there before.
pub async fn what_is_held_and_younger_stays<P: Place>() {
    let (from, to) = (P::fresh(), P::fresh());
    let (old, new) = (from.open().await, to.open().await);
    let (younger, older, other) = (key("shelf/younger"), key("shelf/older"), key("shelf/other"));
    refresh(&new, &older, vec![book("both", 1)], at(0)).await;
    refresh(&new, &other, vec![book("news", 1), book("both", 1)], at(0)).await;
    for entry in [&younger, &older] {
        let items = vec![book("both", 2), book("late", 2), book("news", 2)];
        refresh(&old, entry, items, at(100)).await;
    }
    refresh(&new, &younger, vec![book("late", 3)], at(200)).await;
    let (under_way, _) = lease(&new, &older, at(201)).await;
    let words_before = words(&new, &other).await.len();
    assert_eq!(new.import(&export(&old).await, at(202)).await.unwrap(), 1);
    let kept = row(&new, &younger).await;
    assert_eq!((kept.members.len(), kept.entry.fetched_at), (1, Some(at(200))));
    let taken = row(&new, &older).await;
    assert_eq!(taken.entry.fetched_at, Some(at(100)));
    assert_eq!(field(&taken, "both", "stars"), 2, "it was fetched later than the one held");
    assert_eq!(field(&taken, "late", "stars"), 3, "the one held was fetched later");
    assert!(taken.entry.version > 1, "a version names one thing");
    assert_eq!(words(&new, &older).await, ["updated", "imported"]);
    assert_eq!(field(&row(&new, &other).await, "news", "stars"), 2, "an item is stored once");
    assert_eq!(words(&new, &other).await.len(), words_before + 1, "whoever shows it is told");
    let late = commit_of(&under_way, fetched(vec![], at(203)), at(203));
    assert_eq!(new.commit(late).await.unwrap(), Committed::Superseded);
    assert_eq!(row(&new, &older).await.members.len(), 3);
}

/// A document under a version that it does not belong to would be held by nobody's ETag, and told to
/// nobody.
pub async fn nothing_comes_in_of_an_entry_that_stays<P: Place>() {
    let (from, to) = (P::fresh(), P::fresh());
    let (old, new) = (from.open().await, to.open().await);
    let (kept, fuller, other) = (key("shelf/kept"), key("shelf/fuller"), key("shelf/other"));
    refresh(&old, &kept, vec![book("a", 1), book("gone", 1)], at(100)).await;
    // The items are younger than the entries that stay, since another fetch brought them again.
    refresh(&old, &other, vec![book("a", 2), book("gone", 2)], at(300)).await;
    for one in [&kept, &fuller] {
        refresh(&new, one, vec![book("a", 1)], at(200)).await;
    }
    let exported = export(&old).await;
    let stays: Vec<Exported> = exported.into_iter().filter(|one| one.entry.key == kept).collect();
    let told = new.info().await.unwrap().seq;
    assert_eq!(new.import(&stays, at(400)).await.unwrap(), 0);
    for one in [&kept, &fuller] {
        let row = row(&new, one).await;
        assert_eq!((field(&row, "a", "stars"), row.entry.version), (1.into(), 1), "{one}");
    }
    assert_eq!(new.info().await.unwrap().items, 1, "nobody holds another");
    assert_eq!(new.info().await.unwrap().seq, told, "there is no news");
    // Beside one that is taken it stays away too; what that one brings is told to all.
    let young = book("young", 1);
    refresh(&old, &key("shelf/new"), vec![young], at(301)).await;
    let page: Vec<Exported> = export(&old).await.into_iter().filter(|one| one.entry.key != other).collect();
    assert_eq!(new.import(&page, at(401)).await.unwrap(), 1);
    assert_eq!(field(&row(&new, &kept).await, "a", "stars"), 1);
    assert_eq!(new.info().await.unwrap().items, 2);
    assert_eq!(new.import(&export(&old).await, at(402)).await.unwrap(), 1);
    let row = row(&new, &kept).await;
    assert_eq!((field(&row, "a", "stars"), row.entry.version), (2.into(), 2));
}

/// As a fetch does: what is known of an answer by its validators is not known of what came instead.
pub async fn what_an_import_changes_nobody_confirms<P: Place>() {
    let (from, to) = (P::fresh(), P::fresh());
    let (old, new) = (from.open().await, to.open().await);
    let (shown, hidden, apart) = (key("shelf/shown"), key("shelf/hidden"), key("shelf/apart"));
    let etag = || Validators { etag: Some("\"1\"".to_owned()), ..Validators::default() };
    let known =
        |items, now| Write { validators: etag(), cursor: Some("c".to_owned()), ..fetched(items, now) };
    let comparable = async |entry| {
        let entry = row(&new, entry).await.entry;
        assert_eq!(entry.validators == Validators::default(), entry.cursor.is_none());
        entry.cursor.is_some()
    };
    write(&new, &shown, known(vec![book("a", 1)], at(0)), at(0)).await;
    let hides = Some(vec![member("a", MemberState::Hidden)]);
    write(&new, &hidden, Write { members: hides, ..known(vec![book("a", 1)], at(0)) }, at(0)).await;
    write(&new, &apart, known(vec![book("z", 1)], at(0)), at(0)).await;
    refresh(&old, &key("shelf/new"), vec![book("a", 2), book("z", 1)], at(100)).await;
    let (under_way, _) = lease(&new, &shown, at(101)).await;
    assert_eq!(new.import(&export(&old).await, at(102)).await.unwrap(), 1);
    assert!(!comparable(&shown).await && !comparable(&hidden).await);
    assert!(comparable(&apart).await, "what came is what it was told");
    let versions = [&shown, &hidden, &apart].map(|one| row(&new, one));
    let versions = futures::future::join_all(versions).await;
    let versions: Vec<u64> = versions.into_iter().map(|row| row.entry.version).collect();
    assert_eq!(versions, [2, 1, 1]);
    let same =
        Write { outcome: Outcome::NotModified, members: None, tags: None, ..known(Vec::new(), at(103)) };
    new.commit(commit_of(&under_way, same, at(103))).await.unwrap();
    let definition = Definition::new(Fingerprint::trusted("one"), Policy::default());
    let entry = row(&new, &shown).await.entry;
    assert_eq!(entry.status(Some(&definition), at(104)), Status::Stale, "its fetch saw the old one");
}

/// An ETag is made of the version: what was evicted here and what is imported are two things.
pub async fn an_imported_version_names_nothing_else<P: Place>() {
    let (from, to) = (P::fresh(), P::fresh());
    let (old, new) = (from.open().await, to.open().await);
    let cinder = key("shelf/cinder");
    refresh(&old, &cinder, vec![book("a", 100)], at(0)).await;
    for stars in 0..3 {
        refresh(&new, &cinder, vec![book("a", stars)], at(0)).await;
    }
    let used = row(&new, &cinder).await.entry.version;
    new.evict(&Target::Keys(vec![cinder.clone()]), at(1)).await.unwrap();
    let exported = export(&old).await;
    assert_eq!(new.import(&exported, at(2)).await.unwrap(), 1);
    assert!(row(&new, &cinder).await.entry.version > used);
    let elsewhere = P::fresh();
    let fresh = elsewhere.open().await;
    fresh.import(&exported, at(2)).await.unwrap();
    let version = row(&fresh, &cinder).await.entry.version;
    assert_eq!(version, exported[0].entry.version, "where it names nothing yet, it stays");
}

/// Ninety days by default. An archive may be older than that, and whoever restores it wants what is in it.
pub async fn what_is_restored_counts_as_wanted_from_then_on<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (archived, asked) = (key("shelf/archived"), key("shelf/asked"));
    let day = |days: u32| at(0).plus(Duration::from_hours(24) * days);
    let rows = async || store.rows(None, None, 10).await.unwrap();
    let unread = async |now| -> Vec<Key> {
        let length = Retention::default().unread;
        let unread = rows()
            .await
            .into_iter()
            .filter(|row| !row.is_touched_within(length, now) && row.entry.is_unread_for(length, now));
        unread.map(|row| row.entry.key).collect()
    };
    store.import(&[exported(&archived, &[], day(0))], day(400)).await.unwrap();
    refresh(&store, &asked, vec![book("a", 1)], day(400)).await;
    let touched: Vec<Time> = rows().await.iter().map(|row| row.touched_at).collect();
    assert_eq!(touched, [day(400), day(400)]);
    assert_eq!(unread(day(490)).await, []);
    let later = day(491);
    assert_eq!(unread(later).await, [archived.clone(), asked.clone()]);
    // What is there already is wanted no sooner by a second import, and what is younger anew.
    store.import(&[exported(&archived, &[], day(0)), exported(&asked, &[], day(401))], later).await.unwrap();
    assert_eq!(unread(later).await, [archived]);
}

/// A file may say anything. PostgreSQL's own text of a time has no year 0.
pub async fn what_failed_in_the_year_0_keeps_nothing_else_from_being_due<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (odd, wanted) = (key("shelf/odd"), key("shelf/wanted"));
    fail(&store, &odd, at(0)).await;
    let mut exported = export(&store).await;
    store.evict(&Target::All, at(1)).await.unwrap();
    let entry = &mut exported[0].entry;
    entry.due_at = at(0).plus(Entry::WAIT_MAX * 3);
    entry.last_error.as_mut().expect("it failed").at = Time::parse("0000-01-01T00:00:00Z").unwrap();
    store.import(&exported, at(2)).await.unwrap();
    store.mark_due(std::slice::from_ref(&wanted), Trigger::Schedule, at(2)).await.unwrap();
    assert_eq!(store.due(at(2), 10).await.unwrap(), [wanted]);
}
