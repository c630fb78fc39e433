//! Good data is never replaced by worse: what each answer changes, and what it leaves alone.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Absence, Answer, Attempt, Definition, Delta, Entry, FetchError, Fetched, Finding, ItemRef, LimitKind,
    Listing, MemberState, Others, Outcome, Policy, Scope, Status, Stored, Warning, Write, absorb, backoff,
};
use proptest::prelude::*;

use crate::build::{
    NOW, absent, definition, doc, fetched, holding, hours, key, member, mins, names, network, partial,
    present, unknown, unusable,
};

fn take(before: &Stored, result: Result<Fetched, FetchError>) -> Write {
    take_under(before, &definition("1"), false, result)
}

fn take_under(
    before: &Stored,
    definition: &Definition,
    subset: bool,
    result: Result<Fetched, FetchError>,
) -> Write {
    absorb(Attempt { before, definition, subset, result, now: NOW, chance: 0.5 })
}

fn items(answers: Vec<Answer>) -> Result<Fetched, FetchError> {
    Ok(Fetched::Items(Listing { answers, ..Listing::default() }))
}

fn whole(answers: Vec<Answer>) -> Result<Fetched, FetchError> {
    Ok(Fetched::Items(Listing { answers, whole: true, ..Listing::default() }))
}

fn nothing() -> Stored {
    Stored { entry: Entry::empty(key(), NOW), members: Vec::new() }
}

fn states(write: &Write) -> Vec<(&str, MemberState)> {
    write.members.as_ref().unwrap().iter().map(|member| (&*member.asked, member.state)).collect()
}

const SHOWN: MemberState = MemberState::Shown;

#[test]
fn a_host_that_is_left_alone_is_told_of_by_what_it_did() {
    let alone = || FetchError::BreakerOpen { host: "github.com".to_owned(), until: NOW.plus(hours(1)) };
    let mut before = holding(&["a"]);
    assert_eq!(take(&before, Err(alone())).last_error.unwrap().code, "breaker_open", "nothing else is known");
    before.entry.last_error = Some(network().at(NOW.minus(hours(2))));
    let write = take(&before, Err(alone()));
    assert_eq!(write.last_error, Some(network().at(NOW)));
    assert!(write.due_at >= NOW.plus(hours(1)), "and left alone it is");
    before.entry.last_error = Some(FetchError::NoCredential.at(NOW));
    assert_eq!(take(&before, Err(alone())).last_error.unwrap().code, "breaker_open");
}

#[test]
fn a_complete_answer_is_fresh_and_forgets_failures() {
    let mut before = holding(&["a"]);
    before.entry.attempts = 4;
    before.entry.faults = 2;
    before.entry.last_error = Some(network().at(NOW));
    let write = take(&before, items(vec![present("a", 2), present("b", 1)]));
    assert_eq!(write.outcome, Outcome::Updated);
    assert_eq!(states(&write), [("a", SHOWN), ("b", SHOWN)]);
    assert_eq!((write.attempts, write.faults, &write.last_error), (0, 0, &None));
    assert_eq!(write.fresh_until, Some(NOW.plus(hours(6))));
    assert!(write.complete && write.answers_invalidation);
}

#[test]
fn jitter_only_shortens_a_lifetime() {
    let definition =
        Definition { policy: Policy { jitter: 0.1, ..definition("1").policy }, ..definition("1") };
    let write = take_under(&nothing(), &definition, false, items(vec![present("a", 1)]));
    assert_eq!(write.fresh_until, Some(NOW.plus(mins(342))), "half of a tenth less");
}

#[test]
fn an_empty_result_that_is_true_is_stored() {
    let write = take(&nothing(), items(Vec::new()));
    assert_eq!(write.outcome, Outcome::Updated);
    assert_eq!((write.fetched_at, states(&write).len()), (Some(NOW), 0));
}

#[test]
fn a_failed_fetch_leaves_everything_that_is_held() {
    let before = holding(&["a", "b"]);
    let write = take(&before, Err(network()));
    assert_eq!(write.outcome, Outcome::Failed);
    assert_eq!((write.members, write.items, write.fetched_at), (None, Vec::new(), before.entry.fetched_at));
    assert_eq!((write.attempts, write.faults), (1, 0), "the network is not the entry's fault");
    assert_eq!(write.due_at, NOW.plus(Duration::from_millis(500)));
}

#[test]
fn one_missing_repository_does_not_fail_its_cluster() {
    let write = take(&nothing(), items(vec![present("a", 1), absent("gone"), present("b", 1)]));
    assert_eq!(write.outcome, Outcome::Updated);
    assert_eq!(states(&write), [("a", SHOWN), ("b", SHOWN)]);
    assert_eq!((write.warnings[0].about.as_str(), write.warnings[0].code.as_str()), ("gone", "not_found"));
    assert!(write.complete, "an absence is a complete answer");
}

#[test]
fn an_absence_is_shown_with_a_warning_first_and_removed_when_confirmed() {
    let before = holding(&["a", "b", "c"]);
    let answers = || items(vec![present("a", 1), absent("b"), present("c", 1)]);
    let first = take(&before, answers());
    assert_eq!(states(&first), [("a", SHOWN), ("b", MemberState::Absent), ("c", SHOWN)]);
    let mut next = before.clone();
    next.members[1].state = MemberState::Absent;
    let second = take(&next, answers());
    assert_eq!(states(&second), [("a", SHOWN), ("c", SHOWN)]);
    let back = take(&next, items(vec![present("a", 1), present("b", 1), present("c", 1)]));
    assert_eq!(states(&back)[1], ("b", SHOWN));
}

#[test]
fn a_private_item_that_is_gone_is_hidden_at_once() {
    let mut before = holding(&["a", "b"]);
    before.members.push(member("c", SHOWN, Scope::Repo("github.com/o/c".into())));
    let write = take(&before, items(vec![present("a", 1), present("b", 1), absent("c")]));
    assert_eq!(states(&write)[2], ("c", MemberState::Hidden));
}

#[test]
fn without_a_credential_private_items_that_are_held_stay() {
    let mut before = holding(&["a"]);
    before.members.push(member("p", SHOWN, Scope::Repo("github.com/o/p".into())));
    for (whole, answers) in [(false, vec![present("a", 2), absent("p")]), (true, vec![present("a", 2)])] {
        let listing = Listing { answers, whole, public_only: true, ..Listing::default() };
        let write = take(&before, Ok(Fetched::Items(listing)));
        assert_eq!(states(&write), [("a", SHOWN), ("p", SHOWN)]);
        assert_eq!((write.outcome, &*write.pending), (Outcome::Partial, &["p".into()][..]));
        assert_eq!(
            write.warnings[0].message,
            "`p` is shown as it was: it is private, and there is no token to see it with"
        );
    }
}

#[test]
fn data_of_a_definition_that_serves_this_one_too_is_not_edited() {
    let nobody = Definition { also: vec![definition("token").fingerprint], ..definition("nobody") };
    let with_token = take_under(&nothing(), &definition("token"), false, items(vec![present("a", 1)]));
    let entry = Entry {
        definition: with_token.definition,
        tried: with_token.tried,
        fetched_at: with_token.fetched_at,
        fresh_until: with_token.fresh_until,
        ..Entry::empty(key(), NOW)
    };
    assert_eq!(entry.status(Some(&nobody), NOW), Status::Fresh);
    let without = take_under(&nothing(), &nobody, false, items(vec![present("a", 1)]));
    let entry = Entry { definition: without.definition, ..entry };
    assert_eq!(entry.status(Some(&definition("token")), NOW), Status::Stale, "more can be had now");
}

#[test]
fn more_than_half_gone_at_once_is_lost_access() {
    let before = holding(&["a", "b", "c"]);
    let write = take(&before, items(vec![present("a", 2), absent("b"), absent("c")]));
    assert_eq!(write.outcome, Outcome::Partial);
    assert_eq!(states(&write), [("a", SHOWN), ("b", SHOWN), ("c", SHOWN)]);
    assert_eq!(write.last_error.unwrap().code, "access_lost");
    assert!(write.warnings.iter().all(|warning| warning.code == "access_lost"));

    let emptied = take(&before, whole(Vec::new()));
    assert_eq!(emptied.outcome, Outcome::Failed, "a listing that is suddenly empty is not believed");
    assert_eq!(emptied.members, None);

    let one_of_two = take(&holding(&["a", "b"]), items(vec![present("a", 1), absent("b")]));
    assert_eq!(one_of_two.outcome, Outcome::Updated);
    let the_only_one = take(&holding(&["a"]), items(vec![absent("a")]));
    assert_eq!(states(&the_only_one), [("a", MemberState::Absent)]);
}

#[test]
fn unknown_items_keep_what_is_held_and_are_retried_for_themselves_alone() {
    let before = holding(&["a", "b"]);
    let write = take(&before, items(vec![present("a", 2), unknown("b")]));
    assert_eq!(write.outcome, Outcome::Partial);
    assert_eq!(states(&write), [("a", SHOWN), ("b", SHOWN)]);
    assert_eq!(write.items.len(), 1, "b's item is not written, so it keeps its own age");
    assert_eq!((write.complete, &*write.pending), (false, &["b".into()][..]));
    assert_eq!(write.fresh_until, Some(NOW.plus(hours(6))));
    assert!(write.due_at < NOW.plus(mins(1)));

    let mut next = before.clone();
    next.entry = Entry { complete: false, pending: vec!["b".into()], attempts: 1, ..next.entry };
    let write = take_under(&next, &definition("1"), true, items(vec![present("b", 2)]));
    assert_eq!(write.outcome, Outcome::Updated);
    assert_eq!(states(&write), [("a", SHOWN), ("b", SHOWN)]);
    assert_eq!(write.fetched_at, next.entry.fetched_at, "the others are no younger for it");
    assert_eq!((write.complete, write.attempts, write.due_at), (true, 0, next.entry.fresh_until.unwrap()));
    assert!(!write.answers_invalidation);
}

#[test]
fn a_subset_that_fails_again_leaves_the_rest_and_stays_pending() {
    let mut before = holding(&["a", "b"]);
    before.entry = Entry { complete: false, pending: vec!["b".into()], attempts: 1, ..before.entry };
    let write = take_under(&before, &definition("1"), true, items(vec![unknown("b")]));
    assert_eq!((write.outcome, write.members), (Outcome::Failed, None));
    assert_eq!((write.attempts, &*write.pending), (2, &["b".into()][..]));
}

#[test]
fn nothing_but_unknown_is_a_failure_and_no_data() {
    let write = take(&nothing(), items(vec![unknown("a"), unknown("b")]));
    assert_eq!((write.outcome, write.fetched_at, write.members), (Outcome::Failed, None, None));
}

#[test]
fn names_taken_out_of_the_definition_leave_without_a_warning() {
    let edited = Definition { names: names(&["a"]), ..definition("2") };
    let write = take_under(&holding(&["a", "b", "c"]), &edited, false, items(vec![present("a", 1)]));
    assert_eq!(states(&write), [("a", SHOWN)]);
    assert_eq!((write.outcome, write.warnings.len()), (Outcome::Updated, 0));
    assert_eq!(write.definition, edited.fingerprint);
}

#[test]
fn what_went_to_another_entry_leaves_a_whole_listing_without_a_warning() {
    let edited = Definition { except: Arc::new(["b".into(), "c".into()].into()), ..definition("2") };
    let write = take_under(&holding(&["a", "b", "c"]), &edited, false, whole(vec![present("a", 1)]));
    assert_eq!((states(&write), write.warnings.len()), (vec![("a", SHOWN)], 0));
    assert_eq!(write.outcome, Outcome::Updated, "nor is it lost access");
}

#[test]
fn what_turns_out_to_be_another_entrys_leaves_without_a_warning() {
    let elsewhere = || vec!["b".into(), "c".into()];
    let listing =
        Listing { answers: vec![present("a", 1)], whole: true, elsewhere: elsewhere(), ..Listing::default() };
    let write = take(&holding(&["a", "b", "c"]), Ok(Fetched::Items(listing)));
    assert_eq!((states(&write), write.warnings.len()), (vec![("a", SHOWN)], 0));
    assert_eq!(write.outcome, Outcome::Updated, "nor is it lost access");

    let mut before = holding(&["a", "b", "c"]);
    before.entry = Entry { complete: false, pending: elsewhere(), attempts: 1, ..before.entry };
    let retried = Listing { elsewhere: elsewhere(), ..Listing::default() };
    let write = take_under(&before, &definition("1"), true, Ok(Fetched::Items(retried)));
    assert_eq!((states(&write), write.warnings.len()), (vec![("a", SHOWN)], 0));
    assert_eq!((write.complete, write.pending.len()), (true, 0), "there is nothing left to ask for");
}

#[test]
fn a_listing_that_is_whole_says_who_is_gone() {
    let write = take(&holding(&["a", "b", "c"]), whole(vec![present("a", 1), present("b", 1)]));
    assert_eq!(states(&write), [("a", SHOWN), ("b", SHOWN), ("c", MemberState::Absent)]);
}

#[test]
fn only_failures_of_its_own_kill_an_entry_and_success_revives_it() {
    let mut stored = holding(&["a"]);
    for _ in 0..100 {
        let write = take(&stored, Err(network()));
        stored.entry.attempts = write.attempts;
        stored.entry.faults = write.faults;
    }
    assert!(!stored.entry.is_dead(&definition("1").policy));
    for n in 1..=8 {
        let write = take(&stored, Err(unusable()));
        stored.entry.faults = write.faults;
        assert_eq!(stored.entry.faults, n);
        stored.entry.due_at = write.due_at;
    }
    assert!(stored.entry.is_dead(&definition("1").policy));
    assert_eq!(stored.entry.due_at, NOW.plus(hours(6)), "and is tried once per TTL");
    let write = take(&stored, items(vec![present("a", 2)]));
    assert_eq!((write.attempts, write.faults), (0, 0));
}

#[test]
fn a_limit_is_waited_out() {
    let until = NOW.plus(mins(42));
    let limited = FetchError::Limited { kind: LimitKind::Primary, until, message: "limit".to_owned() };
    let write = take(&holding(&["a"]), Err(limited));
    assert_eq!((write.due_at, write.faults), (until, 0));
}

#[test]
fn failures_of_another_definition_do_not_count() {
    let mut stored = holding(&["a"]);
    stored.entry = Entry { attempts: 20, faults: 8, ..stored.entry };
    let write = take_under(&stored, &definition("2"), false, Err(unusable()));
    assert_eq!((write.attempts, write.faults), (1, 1));
    assert_eq!(write.definition, definition("1").fingerprint, "the data is still the old definition's");
    assert_eq!(write.tried, definition("2").fingerprint);
}

#[test]
fn an_entry_that_is_gone_keeps_its_data_until_that_is_confirmed() {
    let gone = || Ok(Fetched::Absent(Absence::new("not_found", "no such user")));
    let mut stored = holding(&["a"]);
    stored.members.push(member("p", SHOWN, Scope::Repo("h/o/p".into())));
    let first = take(&stored, gone());
    assert_eq!((first.outcome, first.fetched_at), (Outcome::Absent, stored.entry.fetched_at));
    assert_eq!(states(&first), [("a", SHOWN), ("p", MemberState::Hidden)]);
    assert_eq!(first.fresh_until, Some(NOW.plus(mins(1))));
    let first_said = NOW.minus(mins(1));
    stored.entry.absent_at = Some(first_said.plus(Duration::from_secs(1)));
    let at_once = take(&stored, gone());
    assert_eq!((at_once.fetched_at, at_once.absent_at), (stored.entry.fetched_at, stored.entry.absent_at));
    stored.entry.absent_at = Some(NOW.plus(hours(1)));
    let under_a_wrong_clock = take(&stored, gone());
    assert_eq!(under_a_wrong_clock.absent_at, Some(NOW), "it can be confirmed from now on");
    assert_eq!(under_a_wrong_clock.fetched_at, stored.entry.fetched_at);
    stored.entry.absent_at = Some(first_said);
    let second = take(&stored, gone());
    assert_eq!((second.fetched_at, states(&second).len()), (None, 0));
    let never_seen = take(&nothing(), gone());
    assert_eq!((never_seen.fetched_at, never_seen.absent_at), (None, Some(NOW)));
    let no_wait = Policy { negative_ttl: Duration::ZERO, ..Policy::default() };
    let no_wait = Definition::new(definition("1").fingerprint, no_wait);
    stored.entry.absent_at = None;
    let first = take_under(&stored, &no_wait, false, gone());
    assert_eq!((first.fetched_at, first.absent_at), (stored.entry.fetched_at, Some(NOW)));
    stored.entry.absent_at = Some(NOW);
    assert_eq!(
        take_under(&stored, &no_wait, false, gone()).fetched_at,
        None,
        "the second time it is believed"
    );
}

#[test]
fn what_was_asked_for_without_a_credential_is_not_hidden_for_being_gone_once() {
    let private = |id: &str| member(id, SHOWN, Scope::Repo("localhost/marketplace/web".into()));
    let gone = || Absence::new("not_found", "nothing there").of_no_credential();
    let mut stored = holding(&[]);
    stored.members.extend([private("p"), private("q"), private("r")]);
    let whole = take(&stored, Ok(Fetched::Absent(gone())));
    assert_eq!(states(&whole), [("p", SHOWN), ("q", SHOWN), ("r", SHOWN)]);
    let one = Answer { asked: "p".into(), finding: Finding::Absent(gone()) };
    let one = take(&stored, items(vec![one, present("q", 1), present("r", 1)]));
    assert_eq!(states(&one)[0], ("p", MemberState::Absent));
}

#[test]
fn not_modified_renews_and_changes_nothing() {
    let write = take(&holding(&["a"]), Ok(Fetched::NotModified { ttl: None, cursor: None }));
    assert_eq!((write.outcome, write.members), (Outcome::NotModified, None));
    assert_eq!(write.fetched_at, Some(NOW));
    let mut before = holding(&["a"]);
    before.entry.cursor = Some("17".to_owned());
    let same = take(&before, Ok(Fetched::NotModified { ttl: None, cursor: None }));
    assert_eq!(same.cursor.as_deref(), Some("17"));
    let further = take(&before, Ok(Fetched::NotModified { ttl: None, cursor: Some("18".to_owned()) }));
    assert_eq!(further.cursor.as_deref(), Some("18"), "the next one goes on from there");
    let absurd = take(&nothing(), Ok(Fetched::NotModified { ttl: None, cursor: None }));
    assert_eq!(absurd.outcome, Outcome::Failed);
}

#[test]
fn what_comes_back_after_it_was_gone_is_fetched_as_a_whole() {
    let mut stored = holding(&["a"]);
    stored.members.push(member("p", SHOWN, Scope::Repo("h/o/p".into())));
    stored.entry.validators.etag = Some("1".to_owned());
    stored.entry.cursor = Some("17".to_owned());
    let gone = take(&stored, Ok(Fetched::Absent(Absence::new("not_found", "no such user"))));
    assert_eq!((gone.validators, gone.cursor), (larder_core::Validators::default(), None));
}

#[test]
fn not_modified_proves_nothing_of_what_was_not_asked_for_as_a_whole() {
    let held = holding(&["a"]);
    let incomplete = Entry { complete: false, pending: vec!["b".into()], ..held.entry.clone() };
    let incomplete = Stored { entry: incomplete, ..held.clone() };
    for (before, edition, subset) in [(&held, "2", false), (&incomplete, "1", false), (&held, "1", true)] {
        let write = take_under(
            before,
            &definition(edition),
            subset,
            Ok(Fetched::NotModified { ttl: None, cursor: None }),
        );
        assert_eq!((write.outcome, write.fetched_at), (Outcome::Failed, before.entry.fetched_at));
        assert_eq!(
            (write.definition, write.pending),
            (before.entry.definition.clone(), before.entry.pending.clone())
        );
    }
}

#[test]
fn not_modified_confirms_what_was_said_to_be_gone() {
    let mut before = holding(&["a", "b"]);
    before.members[1].state = MemberState::Absent;
    let write = take(&before, Ok(Fetched::NotModified { ttl: None, cursor: None }));
    assert_eq!(states(&write), [("a", SHOWN)]);
}

#[test]
fn a_name_that_was_asked_for_and_not_answered_is_unknown() {
    let asks = Definition { names: names(&["a", "b", "c"]), ..definition("1") };
    let write = take_under(&holding(&["a", "b"]), &asks, false, items(vec![present("a", 2)]));
    assert_eq!((write.outcome, write.complete), (Outcome::Partial, false));
    assert_eq!(write.pending, ["b".into(), "c".into()]);
    assert_eq!(states(&write), [("a", SHOWN), ("b", SHOWN)]);

    let mut before = holding(&["a", "b"]);
    before.entry = Entry { complete: false, pending: vec!["b".into(), "c".into()], ..before.entry };
    let write = take_under(&before, &asks, true, items(vec![present("b", 2)]));
    assert_eq!((write.complete, write.pending), (false, vec!["c".into()]));
}

#[test]
fn an_item_stands_once_also_when_the_name_it_had_is_not_answered_for() {
    // `old` was renamed to `new`, and both are configured.
    let mut before = holding(&["x", "y"]);
    before.members.push(larder_core::Member { asked: "old".into(), ..member("new", SHOWN, Scope::Public) });
    for answers in [vec![unknown("old"), present("new", 2)], vec![absent("old"), present("new", 2)]] {
        let write = take(&before, items(answers));
        let of_new = write.members.unwrap().into_iter().filter(|member| &*member.item.id == "new");
        assert_eq!(of_new.map(|member| member.state).collect::<Vec<_>>(), [SHOWN]);
    }
    before.entry = Entry { complete: false, pending: vec!["new".into()], ..before.entry };
    let write = take_under(&before, &definition("1"), true, items(vec![present("new", 2)]));
    assert_eq!(states(&write).len(), 3);
}

#[test]
fn a_wait_that_the_upstream_asks_for_is_kept_for_a_day_at_the_most() {
    for (asked, kept) in [(hours(12), hours(12)), (hours(24 * 365), hours(24))] {
        let error = FetchError::Upstream {
            host: "example.com".to_owned(),
            status: 503,
            detail: None,
            retry_at: Some(NOW.plus(asked)),
        };
        let before = Stored { entry: fetched(hours(7)), members: Vec::new() };
        let write = take(&before, Err(error));
        assert_eq!(write.due_at, NOW.plus(kept));
        let entry = Entry {
            due_at: write.due_at,
            attempts: write.attempts,
            last_error: write.last_error,
            tried: write.tried,
            ..before.entry
        };
        assert!(!entry.is_due(&definition("1"), NOW.plus(mins(1))));
        assert!(entry.is_due(&definition("1"), NOW.plus(kept)));
        assert!(entry.is_due(&definition("1"), NOW.minus(hours(48))), "the clock was set back");
    }
}

#[test]
fn a_lifetime_of_the_sources_own_is_a_month_at_the_most_or_what_the_policy_says() {
    let months = |policy_ttl, ttl| {
        let policy = Policy { ttl: policy_ttl, ..definition("1").policy };
        let definition = Definition { policy, ..definition("1") };
        let delta = Delta { ttl: Some(ttl), ..Delta::default() };
        let write = take_under(&holding(&["a"]), &definition, false, Ok(Fetched::Delta(delta)));
        write.fresh_until.unwrap().since(NOW)
    };
    let days = |days: u64| hours(24 * days);
    assert_eq!(months(hours(6), days(30)), days(30));
    assert_eq!(
        months(hours(6), days(365)),
        days(31),
        "what lasts longer is not told from a clock that was ahead"
    );
    assert_eq!(months(days(365), days(365)), days(365));
}

#[test]
fn a_delta_adds_changes_and_removes() {
    let Finding::Present(changed) = present("b", 2).finding else { unreachable!() };
    let Finding::Present(new) = present("d", 1).finding else { unreachable!() };
    let delta = Delta {
        upserts: vec![changed, new],
        removals: vec![ItemRef::new("thing", "a")],
        cursor: Some("17".to_owned()),
        ..Delta::default()
    };
    let write = take(&holding(&["a", "b", "c"]), Ok(Fetched::Delta(delta)));
    assert_eq!(states(&write), [("b", SHOWN), ("c", SHOWN), ("d", SHOWN)]);
    assert_eq!(write.cursor.as_deref(), Some("17"));
}

#[test]
fn a_delta_that_is_not_all_of_it_is_due_again_at_once_and_goes_on_where_it_was() {
    let delta =
        Delta { cursor: Some("17".to_owned()), pending: vec!["b".into(), "c".into()], ..Delta::default() };
    let write = take(&holding(&["a"]), Ok(Fetched::Delta(delta)));
    assert_eq!((write.outcome, write.complete, write.due_at), (Outcome::Partial, true, NOW));
    assert_eq!((write.pending.len(), write.cursor.as_deref(), write.attempts), (2, Some("17"), 0));
    assert!(write.fresh_until > Some(NOW), "what is there is as fresh as ever");
    let all = take(&holding(&["a"]), Ok(Fetched::Delta(Delta::default())));
    assert_eq!((all.outcome, all.pending.len()), (Outcome::Updated, 0));
    assert!(all.due_at > NOW);
}

#[test]
fn a_delta_from_the_beginning_drops_whatever_it_does_not_name_without_a_doubt() {
    let Finding::Present(changed) = present("c", 2).finding else { unreachable!() };
    let delta = Delta { upserts: vec![changed], others: Others::Go, ..Delta::default() };
    let write = take(&holding(&["a", "b", "c"]), Ok(Fetched::Delta(delta)));
    assert_eq!(states(&write), [("c", SHOWN)]);
    assert!(write.complete);
}

#[test]
fn a_delta_says_anew_what_to_warn_of_and_leaves_a_document_that_it_does_not_bring() {
    let warning = |about: &str| Warning {
        about: about.to_owned(),
        code: "malformed".to_owned(),
        message: "it cannot be read".to_owned(),
    };
    let mut before = holding(&["a"]);
    before.entry.body = Some(doc(1));
    before.entry.warnings = vec![warning("old")];
    let delta = Delta { warnings: vec![warning("new")], ..Delta::default() };
    let write = take(&before, Ok(Fetched::Delta(delta.clone())));
    assert_eq!((&write.warnings, &write.body), (&delta.warnings, &before.entry.body));
    let delta = Delta { body: Some(doc(2)), ttl: Some(mins(5)), ..Delta::default() };
    let write = take(&before, Ok(Fetched::Delta(delta)));
    assert_eq!((write.warnings, write.body), (Vec::new(), Some(doc(2))));
    assert!(write.fresh_until.unwrap() <= NOW.plus(mins(5)));
}

#[test]
fn the_first_warning_about_a_pending_name_goes_when_it_is_answered() {
    let before = holding(&["a", "b"]);
    let first = take(&before, items(vec![present("a", 1), unknown("b")]));
    let mut next = before.clone();
    next.entry.warnings = first.warnings;
    next.entry.pending = first.pending;
    let second = take_under(&next, &definition("1"), true, items(vec![present("b", 2)]));
    assert_eq!(second.warnings, []);
}

#[derive(Debug, Clone, Copy)]
enum Said {
    Present,
    Absent,
    Unknown,
}

fn any_answers() -> impl Strategy<Value = Vec<Said>> {
    prop::collection::vec(prop_oneof![Just(Said::Present), Just(Said::Absent), Just(Said::Unknown)], 1..12)
}

fn answers_of(said: &[Said]) -> Vec<Answer> {
    let answer = |(index, said): (usize, &Said)| match said {
        Said::Present => present(&format!("n{index}"), 2),
        Said::Absent => absent(&format!("n{index}")),
        Said::Unknown => unknown(&format!("n{index}")),
    };
    said.iter().enumerate().map(answer).collect()
}

proptest! {
    #[test]
    fn no_answer_ever_loses_a_member_in_one_step(said in any_answers(), held in 0_usize..12) {
        let names: Vec<String> = (0..held).map(|index| format!("n{index}")).collect();
        let before = holding(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let write = take(&before, items(answers_of(&said)));
        if let Some(members) = &write.members {
            for member in &before.members {
                prop_assert!(members.iter().any(|kept| kept.asked == member.asked), "{} is lost", member.asked);
            }
        }
    }

    #[test]
    fn what_is_unknown_is_pending_and_nothing_else(said in any_answers()) {
        let write = take(&nothing(), items(answers_of(&said)));
        let unknown = said.iter().filter(|said| matches!(said, Said::Unknown)).count();
        if unknown < said.len() {
            prop_assert_eq!(write.pending.len(), unknown);
            prop_assert_eq!(write.complete, unknown == 0);
        } else {
            prop_assert_eq!(write.fetched_at, None);
        }
    }

    #[test]
    fn after_any_failure_the_copy_is_as_good_as_before(age in 0_u64..100, attempts in 0_u32..50) {
        let entry = Entry { attempts, ..fetched(hours(age)) };
        let before = Stored { entry, ..holding(&["a"]) };
        for error in [network(), unusable(), partial()] {
            let write = take(&before, Err(error));
            prop_assert_eq!(write.fetched_at, before.entry.fetched_at);
            prop_assert_eq!(write.fresh_until, before.entry.fresh_until);
            prop_assert_eq!(&write.body, &before.entry.body);
            prop_assert!(write.members.is_none() && write.items.is_empty() && write.tags.is_none());
            prop_assert!(write.due_at >= NOW);
        }
    }

    #[test]
    fn backoff_is_bounded_and_grows(attempts in 1_u32..1000, chance in 0.0_f64..1.0) {
        let policy = definition("1").policy;
        let wait = backoff(&policy, attempts, chance);
        prop_assert!(wait <= policy.backoff_cap);
        prop_assert!(wait <= backoff(&policy, attempts + 1, chance));
    }
}

#[test]
fn a_fresh_entry_stays_fresh_through_a_partial_answer() {
    let before = holding(&["a", "b"]);
    let write = take(&before, items(vec![present("a", 2), unknown("b")]));
    let after = Entry {
        definition: write.definition,
        tried: write.tried,
        fetched_at: write.fetched_at,
        fresh_until: write.fresh_until,
        ..before.entry
    };
    assert_eq!(after.status(Some(&definition("1")), NOW), Status::Fresh);
    assert_eq!(doc(2).as_str(), r#"{"rev":2}"#);
}
