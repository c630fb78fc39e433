//! Stories of budgets: shared by processes, never oversold, never leaked.

use std::time::Duration;

use larder_core::{
    Admission, Budget, Budgets, EVERYBODY, Fingerprint, LimitKind, Priority, Reservation, Reserved,
    SECONDARY, Settlement, Time,
};

use super::Place;
use super::build::at;

fn ask(points: u32, now: Time) -> Reservation {
    Reservation {
        host: "github.com".into(),
        actor: "octocat".into(),
        resource: "graphql".into(),
        points,
        priority: Priority::Waiting,
        assumed_limit: 60,
        per_minute_max: 2_000,
        owner: "me".into(),
        until: now.plus(Duration::from_mins(1)),
    }
}

fn settled(id: u64, spent: u32) -> Settlement {
    Settlement {
        id,
        host: "github.com".into(),
        actor: "octocat".into(),
        resource: "graphql".into(),
        spent,
        limit: None,
        remaining: None,
        reset_at: None,
        blocked: None,
    }
}

async fn take(store: &impl Budgets, ask: &Reservation, now: Time) -> Option<u64> {
    match store.reserve(ask, now).await.unwrap() {
        Reserved::Granted(id) => Some(id),
        Reserved::Refused(_) => None,
    }
}

async fn refusal(store: &impl Budgets, ask: &Reservation, now: Time) -> Option<(LimitKind, Time)> {
    match store.reserve(ask, now).await.unwrap() {
        Reserved::Granted(_) | Reserved::Refused(Admission::Granted) => None,
        Reserved::Refused(Admission::Wait { kind, until }) => Some((kind, until)),
    }
}

async fn row(store: &impl Budgets, resource: &str, now: Time) -> Budget {
    let all = store.budgets(now).await.unwrap();
    all.into_iter().find(|row| &*row.resource == resource).expect("a row of that resource")
}

/// Twenty asks for five points of sixty, from two processes at once: twelve are granted.
pub async fn concurrent_reservations_never_oversell<P: Place>() {
    let place = P::fresh();
    let (one, two) = (place.open().await, place.open().await);
    let ask = ask(5, at(0));
    let asks = (0..20).map(|n| {
        let store = if n % 2 == 0 { &one } else { &two };
        take(store, &ask, at(0))
    });
    let granted: Vec<u64> = futures::future::join_all(asks).await.into_iter().flatten().collect();
    assert_eq!(granted.len(), 12);
    assert_eq!(row(&two, "graphql", at(0)).await.reserved, 60);
    one.settle(&settled(granted[0], 5), at(1)).await.unwrap();
    assert_eq!(row(&two, "graphql", at(1)).await.reserved, 55);
}

/// Nobody knows the limit before the first answer: whoever asks first may take more than is assumed, and is
/// alone with it.
pub async fn the_first_to_ask_finds_out_what_the_limit_is<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let warming = |points, now| Reservation { priority: Priority::Warming, ..ask(points, now) };
    take(&store, &warming(100, at(0)), at(0)).await.expect("nothing is known yet");
    assert_eq!(take(&store, &ask(1, at(1)), at(1)).await, None, "sixty are assumed, and all are in flight");
    let first = take(&store, &warming(100, at(60)), at(60)).await.expect("the first holder was killed");
    let told =
        Settlement { limit: Some(90), remaining: Some(90), reset_at: Some(at(3_600)), ..settled(first, 0) };
    store.settle(&told, at(61)).await.unwrap();
    assert_eq!(take(&store, &warming(100, at(62)), at(62)).await, None, "now it is known");
    assert!(take(&store, &ask(90, at(62)), at(62)).await.is_some());
}

/// A reservation ends by itself.
pub async fn a_killed_holders_reservation_comes_back<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let killed = take(&store, &ask(60, at(0)), at(0)).await.unwrap();
    assert_eq!(take(&store, &ask(1, at(59)), at(59)).await, None);
    assert_eq!(row(&store, "graphql", at(60)).await.reserved, 0);
    let next = take(&store, &ask(60, at(60)), at(60)).await.unwrap();
    assert!(next != killed);
    store.settle(&settled(killed, 0), at(61)).await.unwrap();
    assert_eq!(
        row(&store, "graphql", at(61)).await.reserved,
        60,
        "a late settlement frees no other's points"
    );
    let early = take(&store, &ask(60, at(0)), at(0)).await;
    assert!(early.is_none(), "a clock a minute behind sees what is in flight");
}

/// Within a window only the lowest figure is true; an older window's says nothing.
pub async fn answers_that_overtake_each_other_never_raise_what_is_left<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let said = |remaining: u32, reset: u64| Settlement {
        limit: Some(5_000),
        remaining: Some(remaining),
        reset_at: Some(at(reset)),
        ..settled(0, 1)
    };
    let left = async || row(&store, "graphql", at(10)).await.remaining;
    store.settle(&said(100, 1_000), at(0)).await.unwrap();
    store.settle(&said(102, 1_000), at(1)).await.unwrap();
    assert_eq!(left().await, Some(100));
    store.settle(&said(99, 1_000), at(2)).await.unwrap();
    assert_eq!(left().await, Some(99));
    store.settle(&Settlement { remaining: None, limit: None, ..said(0, 1_000) }, at(3)).await.unwrap();
    assert_eq!(left().await, Some(98), "it did not say, so what it cost is gone");
    store.settle(&said(4_999, 4_600), at(1_001)).await.unwrap();
    assert_eq!(left().await, Some(4_999), "a new window");
    store.settle(&said(98, 1_000), at(1_002)).await.unwrap();
    let row = row(&store, "graphql", at(1_003)).await;
    assert_eq!((row.remaining, row.reset_at, row.limit), (Some(4_999), Some(at(4_600)), Some(5_000)));
}

/// Ends of windows are told by another clock and moved to ours: one that was long under way seems to
/// end later. It is the same window all the same, and what the prompt answer says of it is true.
pub async fn a_windows_end_wavers_and_its_lowest_figure_still_holds<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let said = |remaining: u32, reset: u64| Settlement {
        limit: Some(5_000),
        remaining: Some(remaining),
        reset_at: Some(at(reset)),
        ..settled(0, 1)
    };
    store.settle(&said(100, 1_012), at(12)).await.unwrap();
    store.settle(&said(0, 1_000), at(13)).await.unwrap();
    let held = row(&store, "graphql", at(13)).await;
    assert_eq!((held.remaining, held.reset_at), (Some(0), Some(at(1_012))), "the later end holds");
    assert_eq!(refusal(&store, &ask(1, at(1_005)), at(1_005)).await, Some((LimitKind::Primary, at(1_012))));
    store.settle(&said(40, 1_015), at(14)).await.unwrap();
    let held = row(&store, "graphql", at(14)).await;
    assert_eq!((held.remaining, held.reset_at), (Some(0), Some(at(1_015))));
}

/// An answer can only be of an earlier window once that is over. If it is not, the later end was
/// noted by a clock that was ahead, and the answer is the word of now.
pub async fn a_window_noted_by_a_clock_that_was_ahead_gives_way_to_the_true_one<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let said = |remaining: u32, reset: u64| Settlement {
        limit: Some(5_000),
        remaining: Some(remaining),
        reset_at: Some(at(reset)),
        ..settled(0, 1)
    };
    store.settle(&said(100, 4_600), at(3_700)).await.unwrap();
    store.settle(&said(0, 1_000), at(101)).await.unwrap();
    let held = row(&store, "graphql", at(101)).await;
    assert_eq!((held.remaining, held.reset_at), (Some(0), Some(at(1_000))));
    assert_eq!(refusal(&store, &ask(1, at(102)), at(102)).await, Some((LimitKind::Primary, at(1_000))));
    assert_eq!(refusal(&store, &ask(1, at(1_000)), at(1_000)).await, None);
}

/// A call whose answer says nothing was spent all the same, and what others in flight with it are told
/// may not know of it yet.
pub async fn what_an_answer_was_told_too_early_is_not_believed<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let said = |id, remaining| Settlement {
        limit: Some(5_000),
        remaining: Some(remaining),
        reset_at: Some(at(1_000)),
        ..settled(id, 10)
    };
    let (first, second) = (ask(10, at(0)), ask(10, at(1)));
    store.settle(&said(0, 100), at(0)).await.unwrap();
    let early = take(&store, &first, at(0)).await.unwrap();
    let silent = take(&store, &second, at(1)).await.unwrap();
    store.settle(&settled(silent, 10), at(2)).await.unwrap();
    store.settle(&said(early, 90), at(3)).await.unwrap();
    assert_eq!(row(&store, "graphql", at(3)).await.remaining, Some(80), "both are spent");
    // Without a connection nothing is.
    let unsent = take(&store, &ask(10, at(4)), at(4)).await.unwrap();
    let early = take(&store, &ask(10, at(4)), at(4)).await.unwrap();
    store.settle(&settled(unsent, 0), at(5)).await.unwrap();
    store.settle(&said(early, 70), at(6)).await.unwrap();
    assert_eq!(row(&store, "graphql", at(6)).await.remaining, Some(70));
}

/// Which limit was met decides who waits.
pub async fn a_primary_limit_blocks_its_resource_and_a_secondary_one_the_actor<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let rest = Reservation { resource: "core".into(), ..ask(1, at(0)) };
    let blocked = |kind, until| Settlement { blocked: Some((kind, at(until))), ..settled(0, 1) };
    store.settle(&blocked(LimitKind::Primary, 100), at(0)).await.unwrap();
    assert_eq!(refusal(&store, &ask(1, at(1)), at(1)).await, Some((LimitKind::Primary, at(100))));
    assert_eq!(refusal(&store, &rest, at(1)).await, None);
    store.settle(&blocked(LimitKind::Secondary, 50), at(2)).await.unwrap();
    assert_eq!(refusal(&store, &rest, at(3)).await, Some((LimitKind::Secondary, at(50))));
    store.settle(&blocked(LimitKind::Secondary, 40), at(4)).await.unwrap();
    assert_eq!(row(&store, SECONDARY, at(4)).await.blocked_until, Some(at(50)), "the longer wait holds");
    assert_eq!(refusal(&store, &rest, at(50)).await, None);
    let other = Reservation { actor: "hubot".into(), ..ask(1, at(5)) };
    assert_eq!(refusal(&store, &other, at(5)).await, None, "another actor is not meant");
}

/// An upstream that is out of service, and says for how long, means whoever asks.
pub async fn an_outage_keeps_everybody_back<P: Place>() {
    let place = P::fresh();
    let (store, another) = (place.open().await, place.open().await);
    let outage = |until| Settlement { blocked: Some((LimitKind::Outage, at(until))), ..settled(0, 1) };
    store.settle(&outage(100), at(0)).await.unwrap();
    store.settle(&outage(60), at(1)).await.unwrap();
    let asks = [
        ask(1, at(2)),
        Reservation { resource: "core".into(), ..ask(1, at(2)) },
        Reservation { actor: "hubot".into(), ..ask(1, at(2)) },
    ];
    for ask in &asks {
        let refused = refusal(&another, ask, at(2)).await;
        assert_eq!(refused, Some((LimitKind::Outage, at(100))), "the longer wait holds: {ask:?}");
    }
    let elsewhere = Reservation { host: "ghe.example".into(), ..ask(1, at(2)) };
    assert_eq!(refusal(&another, &elsewhere, at(2)).await, None, "another host is not meant");
    assert_eq!(refusal(&another, &ask(1, at(100)), at(100)).await, None);
    let rows = another.budgets(at(2)).await.unwrap();
    let held = rows.iter().find(|row| &*row.actor == EVERYBODY).expect("a row of everybody's");
    assert_eq!((&*held.resource, held.blocked_until), (SECONDARY, Some(at(100))));
}

/// A clock that was a year ahead noted a limit; set right, it must not be waited for.
pub async fn what_a_clock_that_was_ahead_noted_is_forgotten<P: Place>() {
    let year = 365 * 24 * 3_600;
    let kinds = [
        (LimitKind::Primary, "octocat", "graphql"),
        (LimitKind::Secondary, "octocat", SECONDARY),
        (LimitKind::Outage, EVERYBODY, SECONDARY),
    ];
    for (kind, actor, resource) in kinds {
        let place = P::fresh();
        let store = place.open().await;
        let said = |remaining: u32, now: u64| Settlement {
            limit: Some(5_000),
            remaining: Some(remaining),
            reset_at: Some(at(now + 1_000)),
            blocked: Some((kind, at(now + 100))),
            ..settled(0, 1)
        };
        store.settle(&said(0, year), at(year)).await.unwrap();
        assert_eq!(refusal(&store, &ask(1, at(0)), at(0)).await, None, "{kind:?}");
        store.settle(&said(70, 0), at(0)).await.unwrap();
        let rows = store.budgets(at(0)).await.unwrap();
        let now = rows.iter().find(|row| (&*row.actor, &*row.resource) == (actor, resource));
        assert_eq!(now.and_then(|row| row.blocked_until), Some(at(100)), "{kind:?}");
        let left = row(&store, "graphql", at(0)).await;
        assert_eq!((left.remaining, left.reset_at), (Some(70), Some(at(1_000))), "{kind:?}");
        assert_eq!(refusal(&store, &ask(1, at(0)), at(0)).await, Some((kind, at(100))));
        assert_eq!(refusal(&store, &ask(1, at(100)), at(100)).await, None);
    }
}

/// The longest wait there is was noted by a clock that is a second ahead: it holds, also when a
/// shorter one is met besides.
pub async fn the_longest_wait_holds_by_a_clock_that_is_a_little_behind<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let day = 24 * 3_600;
    let met = |until| Settlement { blocked: Some((LimitKind::Secondary, until)), ..settled(0, 1) };
    store.settle(&met(at(2 * day)), at(1)).await.unwrap();
    let held = Some((LimitKind::Secondary, at(1 + day)));
    assert_eq!(refusal(&store, &ask(1, at(0)), at(0)).await, held);
    store.settle(&met(at(60)), at(0)).await.unwrap();
    assert_eq!(refusal(&store, &ask(1, at(0)), at(0)).await, held);
}

/// Secondary limits count points a minute.
pub async fn a_minutes_points_are_counted<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let narrow = |now| Reservation { assumed_limit: 5_000, per_minute_max: 100, ..ask(30, now) };
    for second in [0, 10, 20] {
        let id = take(&store, &narrow(at(second)), at(second)).await.unwrap();
        store.settle(&settled(id, 30), at(second)).await.unwrap();
    }
    let held = row(&store, "graphql", at(20)).await;
    assert_eq!((held.minute_points, held.minute_start), (90, at(0)));
    assert_eq!(refusal(&store, &narrow(at(30)), at(30)).await, Some((LimitKind::Secondary, at(60))));
    assert!(take(&store, &narrow(at(60)), at(60)).await.is_some());
}

/// The credential itself is never known to the store.
pub async fn an_actor_is_remembered_by_credential<P: Place>() {
    let place = P::fresh();
    let store = place.open().await;
    let credential = Fingerprint::of(&["a token"]);
    assert_eq!(store.actor("github.com", &credential).await.unwrap(), None);
    store.set_actor("github.com", &credential, "octocat").await.unwrap();
    store.set_actor("github.com", &credential, "hubot").await.unwrap();
    assert_eq!(place.open().await.actor("github.com", &credential).await.unwrap().as_deref(), Some("hubot"));
    assert_eq!(store.actor("ghe.example", &credential).await.unwrap(), None);
}
