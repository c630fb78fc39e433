//! Every window, every wish of a caller, every jump of a clock: what a read does.

use std::time::Duration;

use larder_core::{
    Decision, Definition, Entry, FetchError, Fingerprint, Lease, LimitKind, Mode, Policy, RefreshState,
    Refusal, Request, StaleReason, Status, Time, Token, decide,
};
use proptest::prelude::*;

use crate::build::{NOW, definition, fetched, hours, key, mins, network};

const FETCH: Decision = Decision::Fetch { fallback: false };
const FETCH_OR_HELD: Decision = Decision::Fetch { fallback: true };

fn normal() -> Request {
    Request::default()
}

fn offline() -> Request {
    Request { mode: Mode::Offline, ..normal() }
}

fn forced() -> Request {
    Request { mode: Mode::Forced, ..normal() }
}

fn on(entry: &Entry, request: &Request) -> Decision {
    decide(Some(entry), &definition("1"), request, NOW)
}

fn failed(entry: Entry, attempts: u32, due_in: Duration) -> Entry {
    Entry { attempts, due_at: NOW.plus(due_in), last_error: Some(network().at(NOW)), ..entry }
}

#[test]
fn nothing_held_is_fetched_and_never_offline() {
    assert_eq!(decide(None, &definition("1"), &normal(), NOW), FETCH);
    assert_eq!(decide(None, &definition("1"), &forced(), NOW), FETCH);
    assert_eq!(decide(None, &definition("1"), &offline(), NOW), Decision::Refuse(Refusal::NotCached));
}

#[test]
fn a_row_that_only_holds_a_lease_is_no_hit() {
    let placeholder = Entry::empty(key(), NOW);
    assert_eq!(placeholder.status(Some(&definition("1")), NOW), Status::Missing);
    assert_eq!(on(&placeholder, &normal()), FETCH);
    assert_eq!(on(&placeholder, &offline()), Decision::Refuse(Refusal::NotCached));
}

#[test]
fn fresh_is_served_and_stale_is_served_while_revalidating() {
    assert_eq!(on(&fetched(hours(5)), &normal()), Decision::Fresh);
    assert_eq!(on(&fetched(hours(7)), &normal()), Decision::Revalidate);
    assert_eq!(on(&fetched(hours(24 * 365)), &normal()), Decision::Revalidate);
    assert_eq!(on(&fetched(hours(7)), &offline()), Decision::Stale(StaleReason::Offline));
}

#[test]
fn past_the_window_of_stale_while_revalidate_a_reader_waits() {
    let policy = Policy { stale_while_revalidate: Some(hours(1)), ..definition("1").policy };
    let definition = Definition { policy, ..definition("1") };
    let after = |age| decide(Some(&fetched(age)), &definition, &normal(), NOW);
    assert_eq!(after(mins(6 * 60 + 59)), Decision::Revalidate);
    assert_eq!(after(mins(7 * 60 + 1)), FETCH_OR_HELD);
}

#[test]
fn past_the_window_of_stale_if_error_the_copy_is_no_answer_any_more() {
    let policy = Policy {
        stale_while_revalidate: Some(hours(1)),
        stale_if_error: Some(hours(2)),
        ..definition("1").policy
    };
    let definition = Definition { policy, ..definition("1") };
    let old = fetched(hours(9));
    assert_eq!(decide(Some(&old), &definition, &normal(), NOW), FETCH);
    let old = failed(old, 1, mins(1));
    let refused = decide(Some(&old), &definition, &normal(), NOW);
    assert!(matches!(refused, Decision::Refuse(Refusal::Backoff { .. })), "{refused:?}");
}

#[test]
fn a_failed_entry_waits_for_its_backoff_and_is_then_tried_again() {
    let stale = failed(fetched(hours(7)), 3, mins(4));
    assert_eq!(on(&stale, &normal()), Decision::Stale(StaleReason::Backoff(NOW.plus(mins(4)))));
    assert_eq!(on(&stale, &forced()), FETCH_OR_HELD);
    let waited = failed(fetched(hours(7)), 3, Duration::ZERO);
    assert_eq!(on(&waited, &normal()), Decision::Revalidate);
}

#[test]
fn a_missing_entry_that_failed_is_refused_until_its_backoff_is_over() {
    let missing =
        failed(Entry { tried: definition("1").fingerprint, ..Entry::empty(key(), NOW) }, 1, mins(1));
    let Decision::Refuse(Refusal::Backoff { until, error }) = on(&missing, &normal()) else {
        panic!("it is in backoff")
    };
    assert_eq!(until, NOW.plus(mins(1)));
    assert!(error.unwrap().message.contains("could not be reached"));
    assert_eq!(decide(Some(&missing), &definition("1"), &normal(), NOW.plus(mins(2))), FETCH);
    assert_eq!(on(&missing, &forced()), FETCH);
}

#[test]
fn what_is_kept_for_the_urgent_keeps_no_reader_waiting_who_has_nothing() {
    let limited = |kind| FetchError::Limited { kind, until: NOW.plus(mins(50)), message: "kept".to_owned() };
    let kept = |entry, kind| Entry { last_error: Some(limited(kind).at(NOW)), ..failed(entry, 2, mins(50)) };
    let nothing = Entry { tried: definition("1").fingerprint, ..Entry::empty(key(), NOW) };
    assert_eq!(on(&kept(nothing.clone(), LimitKind::Budget), &normal()), FETCH);
    let none_stale = Request { max_stale: Some(Duration::ZERO), ..normal() };
    assert_eq!(on(&kept(fetched(hours(7)), LimitKind::Budget), &none_stale), FETCH);
    let backoff = Decision::Stale(StaleReason::Backoff(NOW.plus(mins(50))));
    let held = kept(fetched(hours(7)), LimitKind::Budget);
    assert_eq!(on(&held, &normal()), backoff, "who is served waits for nothing");
    assert_eq!(on(&held, &Request { max_age: Some(mins(1)), ..normal() }), backoff);
    for kind in [LimitKind::Primary, LimitKind::Secondary, LimitKind::Outage] {
        let refused = on(&kept(nothing.clone(), kind), &normal());
        assert!(matches!(refused, Decision::Refuse(Refusal::Backoff { .. })), "{kind:?}: {refused:?}");
    }
    let dead = Entry { faults: 8, ..kept(nothing, LimitKind::Budget) };
    assert!(
        matches!(on(&dead, &normal()), Decision::Refuse(Refusal::Backoff { .. })),
        "set aside is set aside"
    );
}

#[test]
fn a_dead_entry_is_served_and_left_until_its_time() {
    let dead = Entry { faults: 8, ..failed(fetched(hours(7)), 8, hours(6)) };
    assert_eq!(on(&dead, &normal()), Decision::Stale(StaleReason::Dead(NOW.plus(hours(6)))));
    assert_eq!(dead.refresh_state(&definition("1").policy, NOW), RefreshState::Dead);
    assert_eq!(decide(Some(&dead), &definition("1"), &normal(), NOW.plus(hours(6))), Decision::Revalidate);
}

#[test]
fn a_remembered_absence_is_an_answer_for_a_short_while() {
    let fingerprint = definition("1").fingerprint;
    let absent = Entry {
        definition: fingerprint.clone(),
        tried: fingerprint,
        began: 4,
        absent_at: Some(NOW),
        fresh_until: Some(NOW.plus(mins(1))),
        due_at: NOW.plus(mins(1)),
        ..Entry::empty(key(), NOW)
    };
    let until = NOW.plus(mins(1));
    assert_eq!(on(&absent, &normal()), Decision::Refuse(Refusal::Absent { until }));
    assert_eq!(on(&absent, &offline()), Decision::Refuse(Refusal::Absent { until }));
    assert_eq!(decide(Some(&absent), &definition("1"), &normal(), until), FETCH);
    assert_eq!(decide(Some(&absent), &definition("2"), &normal(), NOW), FETCH, "edited: asked anew");
    let invalidated = Entry { invalidated: 5, due_at: NOW, ..absent };
    assert_eq!(on(&invalidated, &normal()), FETCH);
}

#[test]
fn what_an_instance_noted_whose_clock_is_a_little_ahead_holds_for_the_other() {
    let theirs = NOW.plus(Duration::from_secs(30));
    let policy = definition("1").policy;
    let until = theirs.plus(policy.negative_ttl);
    let absent = Entry {
        fetched_at: None,
        absent_at: Some(theirs),
        fresh_until: Some(until),
        due_at: until,
        ..fetched(hours(1))
    };
    assert_eq!(on(&absent, &normal()), Decision::Refuse(Refusal::Absent { until }));
    let dead = Entry { faults: 9, due_at: theirs.plus(policy.ttl), ..fetched(hours(7)) };
    let dead = Entry { last_error: Some(network().at(theirs)), ..dead };
    assert!(!dead.is_due(&definition("1"), NOW), "set aside for as long as its lifetime");
}

#[test]
fn a_retry_after_of_a_whole_day_holds_by_a_clock_that_is_a_little_behind() {
    let until = NOW.plus(hours(24));
    let error = FetchError::Limited { kind: LimitKind::Secondary, until, message: "a limit".to_owned() };
    let entry = Entry { due_at: until, last_error: Some(error.at(NOW)), ..fetched(hours(7)) };
    for behind in [1, 1_000, 60_000] {
        let theirs = NOW.minus(Duration::from_millis(behind));
        assert!(!entry.is_due(&definition("1"), theirs), "{behind} ms");
    }
}

#[test]
fn an_invalidated_entry_is_stale_whatever_its_ttl() {
    let long = Entry { fresh_until: Some(NOW.plus(hours(24 * 30))), ..fetched(hours(1)) };
    assert_eq!(on(&long, &normal()), Decision::Fresh);
    let invalidated = Entry { invalidated: 11, due_at: NOW, ..long };
    assert_eq!(invalidated.status(Some(&definition("1")), NOW), Status::Stale);
    assert_eq!(on(&invalidated, &normal()), Decision::Revalidate);
    let answered = Entry { began: 12, ..invalidated };
    assert_eq!(on(&answered, &normal()), Decision::Fresh, "a fetch that began later answers it");
}

#[test]
fn an_edited_definition_is_due_at_once_even_in_the_old_ones_backoff() {
    let failing = failed(fetched(hours(1)), 5, mins(15));
    assert_eq!(decide(Some(&failing), &definition("2"), &normal(), NOW), Decision::Revalidate);
    let tried = Entry { tried: definition("2").fingerprint, ..failing };
    let served = decide(Some(&tried), &definition("2"), &normal(), NOW);
    assert_eq!(served, Decision::Stale(StaleReason::Backoff(NOW.plus(mins(15)))), "and once tried, it waits");
}

#[test]
fn a_caller_may_ask_for_younger_or_take_older() {
    let max_age = |age| Request { max_age: Some(age), ..normal() };
    let max_stale = |by| Request { max_stale: Some(by), ..normal() };
    assert_eq!(on(&fetched(hours(2)), &max_age(hours(3))), Decision::Fresh);
    assert_eq!(on(&fetched(hours(2)), &max_age(hours(1))), FETCH_OR_HELD);
    assert_eq!(on(&fetched(hours(7)), &max_stale(hours(2))), Decision::Revalidate);
    assert_eq!(on(&fetched(hours(9)), &max_stale(hours(2))), FETCH);
    let offline_and_young = Request { max_age: Some(hours(1)), ..offline() };
    assert_eq!(on(&fetched(hours(2)), &offline_and_young), Decision::Refuse(Refusal::TooOld));
    let invalidated = Entry { invalidated: 11, due_at: NOW, ..fetched(hours(1)) };
    assert_eq!(on(&invalidated, &max_stale(hours(100))), FETCH, "staleness by invalidation has no measure");
}

#[test]
fn unknown_items_of_a_fresh_entry_are_retried_behind_when_due() {
    let incomplete = Entry { complete: false, pending: vec!["x".into()], ..fetched(hours(1)) };
    assert_eq!(on(&failed(incomplete.clone(), 1, mins(1)), &normal()), Decision::Fresh);
    assert_eq!(on(&failed(incomplete, 1, Duration::ZERO), &normal()), Decision::Revalidate);
}

#[test]
fn a_clock_that_jumps_back_makes_nothing_fresh_for_ever_and_nothing_stuck() {
    let before = NOW.minus(hours(24 * 400));
    let entry = fetched(hours(1));
    assert_eq!(entry.status(Some(&definition("1")), before), Status::Stale);
    assert_eq!(decide(Some(&entry), &definition("1"), &normal(), before), Decision::Revalidate);
    let failing = failed(fetched(hours(7)), 3, mins(4));
    assert_eq!(decide(Some(&failing), &definition("1"), &normal(), before), Decision::Revalidate);
    let waiting = Entry { due_at: NOW.plus(hours(3)), ..fetched(hours(7)) };
    assert_eq!(on(&waiting, &normal()), Decision::Revalidate, "a wait that nothing failed for is none");
    let slight = NOW.minus(hours(1)).minus(Duration::from_secs(30));
    assert_eq!(entry.status(Some(&definition("1")), slight), Status::Fresh, "two machines differ a little");
}

#[test]
fn what_was_confirmed_by_a_clock_that_was_ahead_is_not_fresh_for_as_long_as_that() {
    let status = |entry: &Entry| entry.status(Some(&definition("1")), NOW);
    let ahead = |by| NOW.plus(by);
    // A second clock's first word that it is gone keeps what is held, and its age.
    let until = |by: Duration| Some(ahead(by).plus(definition("1").policy.negative_ttl));
    let gone =
        |by| Entry { absent_at: Some(NOW), fresh_until: until(by), due_at: ahead(by), ..fetched(hours(1)) };
    assert_eq!(status(&gone(Duration::from_secs(30))), Status::Fresh, "two machines differ a little");
    for by in [hours(3), hours(24 * 365)] {
        assert_eq!(status(&gone(by)), Status::Stale, "{by:?}");
        assert_eq!(on(&gone(by), &normal()), Decision::Revalidate, "{by:?}");
    }
    // Somebody else's word, with its own age.
    let by = hours(24 * 365);
    let told = Entry { fresh_until: Some(ahead(by).plus(hours(6))), due_at: ahead(by), ..fetched(hours(1)) };
    assert_eq!(on(&told, &normal()), Decision::Revalidate);
    let decades = Definition { policy: Policy::with_ttl(hours(24 * 365 * 20)), ..definition("1") };
    let long = Entry { fresh_until: Some(NOW.plus(decades.policy.ttl)), ..fetched(Duration::ZERO) };
    assert_eq!(long.status(Some(&decades), NOW), Status::Fresh, "as long as the policy says");
}

#[test]
fn a_lease_that_ends_further_off_than_its_length_is_past() {
    let lease = |until| Lease {
        key: key(),
        owner: "other".into(),
        until,
        length: Duration::from_secs(15),
        token: Token { epoch: 1, seq: 9 },
    };
    assert!(lease(NOW.plus(Duration::from_secs(15))).is_live(NOW));
    assert!(!lease(NOW.plus(Duration::from_secs(16))).is_live(NOW), "the clock was set back");
    assert!(!lease(NOW).is_live(NOW));
}

/// Any row that the rules can produce, and some that only a damaged clock can.
fn any_entry() -> impl Strategy<Value = Entry> {
    let times = -1_000_000_000_i64..1_000_000_000;
    let rows =
        (prop::option::of(times.clone()), times.clone(), times, 0_u64..4, 0_u64..4, 0_u32..10, 0_u32..10);
    (rows, any::<bool>(), any::<bool>()).prop_map(
        |((fetched_at, fresh_until, due_at, began, invalidated, attempts, faults), edited, pending)| Entry {
            definition: if edited { Fingerprint::of(&["2"]) } else { Fingerprint::of(&["1"]) },
            tried: Fingerprint::of(&["1"]),
            pending: if pending { vec!["x".into()] } else { Vec::new() },
            began,
            invalidated,
            fetched_at: fetched_at.map(|ms| Time::from_ms(NOW.ms() + ms)),
            fresh_until: Some(Time::from_ms(NOW.ms() + fresh_until)),
            due_at: Time::from_ms(NOW.ms() + due_at),
            attempts,
            faults: faults.min(attempts),
            ..Entry::empty(key(), NOW)
        },
    )
}

fn any_request() -> impl Strategy<Value = Request> {
    let modes = prop_oneof![Just(Mode::Normal), Just(Mode::Forced), Just(Mode::Offline)];
    let spans = || prop::option::of((0_u64..2_000_000).prop_map(Duration::from_secs));
    (modes, spans(), spans()).prop_map(|(mode, max_age, max_stale)| Request { mode, max_age, max_stale })
}

proptest! {
    #[test]
    fn offline_never_goes_upstream(entry in prop::option::of(any_entry()), mut request in any_request()) {
        request.mode = Mode::Offline;
        let decision = decide(entry.as_ref(), &definition("1"), &request, NOW);
        let goes = matches!(decision, Decision::Fetch { .. } | Decision::Revalidate);
        prop_assert!(!goes, "{:?}", decision);
    }

    #[test]
    fn forced_always_goes_upstream(entry in prop::option::of(any_entry()), mut request in any_request()) {
        request.mode = Mode::Forced;
        let decision = decide(entry.as_ref(), &definition("1"), &request, NOW);
        let goes = matches!(decision, Decision::Fetch { .. });
        prop_assert!(goes, "{:?}", decision);
    }

    #[test]
    fn nothing_is_served_that_is_not_there(entry in any_entry(), request in any_request()) {
        let decision = decide(Some(&entry), &definition("1"), &request, NOW);
        let serves = matches!(
            decision,
            Decision::Fresh | Decision::Revalidate | Decision::Stale(_) | Decision::Fetch { fallback: true }
        );
        prop_assert!(!serves || entry.has_data(), "{:?} of {:?}", decision, entry);
    }

    #[test]
    fn whatever_is_held_is_always_served_to_a_plain_reader(entry in any_entry()) {
        let decision = decide(Some(&entry), &definition("1"), &Request::default(), NOW);
        let serves = matches!(decision, Decision::Fresh | Decision::Revalidate | Decision::Stale(_));
        prop_assert_eq!(serves, entry.has_data());
    }

    #[test]
    fn every_wait_ends(entry in any_entry(), request in any_request()) {
        let far = NOW.plus(hours(24 * 60));
        let decision = decide(Some(&entry), &definition("1"), &request, far);
        let waits = matches!(
            decision,
            Decision::Refuse(Refusal::Backoff { .. } | Refusal::Absent { .. })
                | Decision::Stale(StaleReason::Backoff(_) | StaleReason::Dead(_))
        );
        prop_assert!(!waits, "still waiting after 60 days: {:?}", decision);
    }
}
