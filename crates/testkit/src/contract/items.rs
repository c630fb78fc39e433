//! Stories of items and members: stored once, held by many, never made worse.

use larder_core::{
    Commit, Coverage, Definition, Fingerprint, ItemCounts, MemberState, NewItem, Outcome, Policy, Scope,
    Status, Store, Target, Validators, Write,
};
use serde_json::{Value, json};

use super::Place;
use super::build::{
    at, book, book_with, commit_of, done, fail, fetched, field, ids, key, lease, member, refresh, row, words,
    write,
};

/// Mistake 8 of the field: two paths stored different fields. What a half answer does not name stays.
pub async fn a_partial_answer_keeps_the_fields_it_does_not_know<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let whole = book_with("a", json!({"title": "a", "stars": 1, "language": "en"}));
    refresh(&store, &cinder, vec![whole], at(0)).await;
    let half = NewItem {
        coverage: Coverage::Partial,
        ..book_with("a", json!({"stars": 2, "publisher": {"name": "p"}}))
    };
    let (_, counts, _) = done(refresh(&store, &cinder, vec![half.clone()], at(1)).await);
    assert_eq!(counts, ItemCounts { seen: 1, added: 0, changed: 1, removed: 0 });
    let held = row(&store, &cinder).await;
    assert_eq!(field(&held, "a", "stars"), 2);
    assert_eq!(field(&held, "a", "language"), "en");
    assert_eq!(field(&held, "a", "publisher"), json!({"name": "p"}));
    let (_, counts, _) = done(refresh(&store, &cinder, vec![half], at(2)).await);
    assert_eq!(counts.changed, 0, "the same half again changes nothing");
    let whole = book_with("a", json!({"title": "a", "stars": 3}));
    refresh(&store, &cinder, vec![whole], at(3)).await;
    let held = row(&store, &cinder).await;
    assert_eq!(field(&held, "a", "language"), Value::Null, "a whole answer takes the old one's place");
}

/// Two entries' fetches end in any order, and a clock may be set back between them: the sequence says
/// which of them was asked later.
pub async fn a_newer_item_is_not_overwritten_by_an_older_one<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two) = (key("shelf/one"), key("shelf/two"));
    let (held, _) = lease(&store, &two, at(12)).await;
    refresh(&store, &one, vec![book("a", 2)], at(10)).await;
    let older = commit_of(&held, fetched(vec![book("a", 1)], at(13)), at(13));
    let (_, counts, _) = done(store.commit(older).await.unwrap());
    assert_eq!((counts.added, counts.changed), (1, 0), "the membership is new, the item is not");
    let stored = row(&store, &two).await;
    assert_eq!(field(&stored, "a", "stars"), 2);
    assert_eq!(stored.members[0].item.fetched_at, at(10));
    assert_eq!(words(&store, &one).await, ["updated"]);
    refresh(&store, &two, vec![book("a", 3)], at(9)).await;
    let stored = row(&store, &two).await;
    assert_eq!((field(&stored, "a", "stars"), stored.members[0].item.fetched_at), (json!(3), at(9)));
}

/// Of two fetches under way at once, the one that began later knows better, whichever ends last.
pub async fn of_two_fetches_of_an_item_the_one_that_began_later_stands<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (slow, quick) = (key("shelf/slow"), key("shelf/quick"));
    let (held, _) = lease(&store, &slow, at(0)).await;
    refresh(&store, &quick, vec![book("a", 2)], at(2)).await;
    let late = Commit { now: at(4), ..commit_of(&held, fetched(vec![book("a", 1)], at(4)), at(0)) };
    let (_, counts, _) = done(store.commit(late).await.unwrap());
    assert_eq!((counts.added, counts.changed), (1, 0));
    assert_eq!(field(&row(&store, &slow).await, "a", "stars"), 2);
}

/// An item that a wrong clock dated far ahead must not refuse every answer until then.
pub async fn an_item_from_a_wrong_clock_is_overwritten<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two) = (key("shelf/one"), key("shelf/two"));
    refresh(&store, &one, vec![book("a", 1)], at(86_400)).await;
    refresh(&store, &two, vec![book("a", 2)], at(0)).await;
    let row = row(&store, &two).await;
    assert_eq!(field(&row, "a", "stars"), 2);
    assert_eq!(row.members[0].item.fetched_at, at(0));
}

/// One fetched item is fresh in every entry that holds it, and each says so.
pub async fn an_item_in_two_entries_is_stored_once_and_announced_for_both<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two, three) = (key("shelf/one"), key("shelf/two"), key("shelf/three"));
    refresh(&store, &one, vec![book("a", 1), book("b", 1)], at(0)).await;
    refresh(&store, &two, vec![book("a", 1)], at(1)).await;
    refresh(&store, &three, vec![book("b", 1)], at(1)).await;
    assert_eq!(store.info().await.unwrap().items, 2);
    refresh(&store, &one, vec![book("a", 7), book("b", 1)], at(2)).await;
    let (in_one, in_two) = (row(&store, &one).await, row(&store, &two).await);
    assert_eq!((field(&in_one, "a", "stars"), field(&in_two, "a", "stars")), (json!(7), json!(7)));
    assert_eq!(in_two.members[0].item.fetched_at, at(2));
    assert_eq!((in_one.entry.version, in_two.entry.version), (2, 2));
    assert_eq!(in_two.entry.fetched_at, Some(at(1)), "the entry as a whole is no younger");
    assert_eq!(words(&store, &one).await, ["updated", "updated"]);
    assert_eq!(words(&store, &two).await, ["updated", "updated"]);
    assert_eq!(words(&store, &three).await, ["updated"], "nothing of it changed");
}

/// Order, names and states are the entry's own.
pub async fn members_keep_their_order_and_their_states<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let cinder = key("shelf/cinder");
    let secret = NewItem { scope: Scope::Repo("h/o/r".into()), ..book("c", 1) };
    refresh(&store, &cinder, vec![book("a", 1), book("b", 1), secret], at(0)).await;
    let mut renamed = member("b", MemberState::Absent);
    renamed.asked = "old-name".into();
    let members = vec![member("c", MemberState::Hidden), renamed, member("a", MemberState::Shown)];
    let moved = Write { members: Some(members), items: Vec::new(), ..fetched(Vec::new(), at(1)) };
    let (version, counts, _) = done(write(&store, &cinder, moved.clone(), at(1)).await);
    assert_eq!((version, counts), (2, ItemCounts::default()));
    let held = row(&store, &cinder).await;
    assert_eq!(ids(&held), ["c", "b", "a"]);
    let states: Vec<MemberState> = held.members.iter().map(|member| member.state).collect();
    assert_eq!(states, [MemberState::Hidden, MemberState::Absent, MemberState::Shown]);
    assert_eq!(&*held.members[1].asked, "old-name");
    assert_eq!(held.members[0].item.scope, Scope::Repo("h/o/r".into()));
    let (version, ..) = done(write(&store, &cinder, moved, at(2)).await);
    assert_eq!(version, 2, "the same members again are no change");
    let left_alone = Write { members: None, ..fetched(Vec::new(), at(3)) };
    let (version, ..) = done(write(&store, &cinder, left_alone, at(3)).await);
    assert_eq!((version, ids(&row(&store, &cinder).await).len()), (2, 3));
}

/// Evicting takes what only the evicted held.
pub async fn an_evicted_entrys_items_go_unless_another_holds_them<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two) = (key("shelf/one"), key("other/two"));
    refresh(&store, &one, vec![book("a", 1), book("b", 1)], at(0)).await;
    refresh(&store, &two, vec![book("b", 1), book("c", 1)], at(0)).await;
    assert_eq!(store.evict(&Target::Source("shelf".to_owned()), at(1)).await.unwrap(), 1);
    assert_eq!(store.info().await.unwrap().items, 2);
    assert_eq!(ids(&row(&store, &two).await), ["b", "c"]);
    assert_eq!(words(&store, &one).await, ["updated", "evicted"]);
    assert_eq!(store.evict(&Target::Source("shelf".to_owned()), at(1)).await.unwrap(), 0);
}

/// Validators and a cursor speak of the answer that they came with. Once another entry's fetch has
/// changed an item of it, `not modified` would keep the wrong one for ever.
pub async fn validators_go_when_what_they_speak_of_is_changed_by_another<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two, apart) = (key("shelf/one"), key("shelf/two"), key("shelf/apart"));
    let etag = || Validators { etag: Some("\"1\"".to_owned()), ..Validators::default() };
    let known =
        |items, now| Write { validators: etag(), cursor: Some("c".to_owned()), ..fetched(items, now) };
    let comparable = async |entry| {
        let entry = row(&store, entry).await.entry;
        assert_eq!(entry.validators == Validators::default(), entry.cursor.is_none());
        entry.cursor.is_some()
    };
    write(&store, &one, known(vec![book("a", 1)], at(0)), at(0)).await;
    write(&store, &apart, known(vec![book("z", 1)], at(0)), at(0)).await;
    refresh(&store, &two, vec![book("a", 1)], at(1)).await;
    assert!(comparable(&one).await, "the same again changes nothing");
    refresh(&store, &two, vec![book("a", 2)], at(2)).await;
    assert!(!comparable(&one).await && comparable(&apart).await);
    assert_eq!(row(&store, &one).await.entry.status(None, at(3)), Status::Fresh);

    // Of two fetches under way, the one that was asked for later stands.
    let (held, _) = lease(&store, &one, at(10)).await;
    refresh(&store, &two, vec![book("a", 3)], at(11)).await;
    let late = Commit { now: at(12), ..commit_of(&held, known(vec![book("a", 4)], at(12)), at(10)) };
    store.commit(late).await.unwrap();
    assert_eq!(field(&row(&store, &one).await, "a", "stars"), 3);
    assert!(!comparable(&one).await, "what is held is not what it was told");
}

/// Nor does a fetch answer for what was changed under it, if it only says what is new since.
pub async fn a_fetch_does_not_confirm_what_another_changed_meanwhile<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two) = (key("shelf/one"), key("shelf/two"));
    let definition = Definition::new(Fingerprint::trusted("one"), Policy::default());
    let status = async || row(&store, &one).await.entry.status(Some(&definition), at(60));
    let etag = || Validators { etag: Some("\"1\"".to_owned()), ..Validators::default() };
    let since = |now| Write { cursor: Some("c".to_owned()), ..fetched(vec![book("b", 1)], now) };
    let same = |now| Write {
        outcome: Outcome::NotModified,
        members: None,
        tags: None,
        validators: etag(),
        ..fetched(Vec::new(), now)
    };
    // The same as the other was told: all that it says is what is held.
    let whole = |now| Write { validators: etag(), ..fetched(vec![book("a", 3)], now) };
    for (round, (written, expected)) in (1..).zip([
        (since(at(15)), Status::Stale),
        (same(at(25)), Status::Stale),
        (whole(at(35)), Status::Fresh),
    ]) {
        let now = |second: u64| at(round * 10 + second);
        refresh(&store, &one, vec![book("a", 0)], now(0)).await;
        let (held, _) = lease(&store, &one, now(1)).await;
        refresh(&store, &two, vec![book("a", round as i64)], now(2)).await;
        store.commit(commit_of(&held, written, now(3))).await.unwrap();
        assert_eq!(status().await, expected, "{round}");
        let entry = row(&store, &one).await.entry;
        assert_eq!(entry.validators != Validators::default(), expected == Status::Fresh, "{round}");
    }
}

/// One whole fetch makes that good, whatever became of others in between: it is no reason to ask for
/// everything from then on.
pub async fn what_another_changed_meanwhile_is_made_good_by_the_next_fetch<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let (one, two) = (key("shelf/one"), key("shelf/two"));
    let definition = Definition::new(Fingerprint::trusted("one"), Policy::default());
    let whole = |stars, now| Write { cursor: Some("c".to_owned()), ..fetched(vec![book("a", stars)], now) };
    let standing = async |now| {
        let entry = row(&store, &one).await.entry;
        (entry.status(Some(&definition), now), entry.cursor.is_some())
    };
    for round in 0..4 {
        let now = |second: u64| at(round * 100 + second);
        let stars = round as i64 * 10;
        write(&store, &one, whole(stars, now(0)), now(0)).await;
        let (held, _) = lease(&store, &one, now(1)).await;
        refresh(&store, &two, vec![book("a", stars + 1)], now(2)).await;
        store.commit(commit_of(&held, whole(stars + 1, now(3)), now(3))).await.unwrap();
        assert_eq!(standing(now(3)).await, (Status::Stale, false), "{round}: it went on from what was held");
        match round {
            1 => drop(fail(&store, &one, now(4)).await),
            // Its holder was killed, and it was changed again under that lease.
            2 => {
                lease(&store, &one, now(4)).await;
                refresh(&store, &two, vec![book("a", stars + 2)], now(5)).await;
            }
            3 => {
                let (held, _) = lease(&store, &one, now(4)).await;
                refresh(&store, &two, vec![book("a", stars + 2)], now(5)).await;
                store.commit(commit_of(&held, whole(stars + 2, now(6)), now(6))).await.unwrap();
                assert_eq!(standing(now(6)).await, (Status::Stale, false), "and once more");
            }
            _ => {}
        }
        write(&store, &one, whole(stars + 3, now(30)), now(30)).await;
        assert_eq!(standing(now(31)).await, (Status::Fresh, true), "{round}");
    }
}
