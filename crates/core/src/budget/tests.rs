//! Who is granted what, by rows, urgencies and clocks.

use super::*;

const NOW: Time = Time::from_ms(1_000_000_000);

fn row(remaining: u32, reserved: u32) -> Budget {
    Budget {
        host: "github.com".into(),
        actor: "octocat".into(),
        resource: "graphql".into(),
        limit: Some(5000),
        remaining: Some(remaining),
        reset_at: Some(NOW.plus(Duration::from_mins(30))),
        blocked_until: None,
        minute_start: NOW,
        minute_points: 0,
        reserved,
    }
}

fn ask(points: u32, priority: Priority) -> Reservation {
    Reservation {
        host: "github.com".into(),
        actor: "octocat".into(),
        resource: "graphql".into(),
        points,
        priority,
        assumed_limit: 5000,
        per_minute_max: 2000,
        owner: "me".into(),
        until: NOW.plus(MINUTE),
    }
}

fn refused(admission: &Admission) -> Option<LimitKind> {
    match admission {
        Admission::Granted => None,
        Admission::Wait { kind, until } => {
            assert!(*until > NOW, "a wait ends in the future");
            Some(*kind)
        }
    }
}

#[test]
fn the_urgent_go_first_when_it_runs_short() {
    let cases = [
        (5000, Priority::Warming, None),
        (1900, Priority::Warming, Some(LimitKind::Budget)),
        (1900, Priority::Schedule, None),
        (900, Priority::Schedule, Some(LimitKind::Budget)),
        (900, Priority::StaleRead, None),
        (400, Priority::StaleRead, Some(LimitKind::Budget)),
        (400, Priority::Manual, None),
        (50, Priority::Manual, Some(LimitKind::Budget)),
        (50, Priority::Waiting, None),
        (0, Priority::Waiting, Some(LimitKind::Primary)),
        (0, Priority::Schedule, Some(LimitKind::Primary)),
    ];
    for (remaining, priority, expected) in cases {
        let admission = admit(Some(&row(remaining, 0)), Waits::default(), &ask(1, priority), NOW);
        assert_eq!(refused(&admission), expected, "{remaining} left, {priority:?}");
    }
}

#[test]
fn what_is_in_flight_counts_as_spent() {
    let admitted =
        |reserved| admit(Some(&row(10, reserved)), Waits::default(), &ask(1, Priority::Waiting), NOW);
    assert_eq!(refused(&admitted(9)), None);
    assert_eq!(refused(&admitted(10)), Some(LimitKind::Primary), "for whom would it be kept?");
}

#[test]
fn a_window_that_is_over_gives_everything_back() {
    let later = NOW.plus(Duration::from_mins(31));
    assert_eq!(
        admit(Some(&row(0, 0)), Waits::default(), &ask(1, Priority::Warming), later),
        Admission::Granted
    );
}

#[test]
fn a_secondary_limit_blocks_the_actor_a_primary_one_its_resource_and_an_outage_everybody() {
    let until = NOW.plus(Duration::from_mins(2));
    let blocked = Budget { blocked_until: Some(until), ..row(5000, 0) };
    let asked = ask(1, Priority::Waiting);
    let secondary = Waits { secondary: Some(&blocked), outage: None };
    assert_eq!(refused(&admit(None, secondary, &asked, NOW)), Some(LimitKind::Secondary));
    let outage = Waits { secondary: None, outage: Some(&blocked) };
    assert_eq!(refused(&admit(None, outage, &asked, NOW)), Some(LimitKind::Outage));
    assert_eq!(refused(&admit(Some(&blocked), Waits::default(), &asked, NOW)), Some(LimitKind::Primary));
    assert_eq!(admit(Some(&blocked), secondary, &asked, until), Admission::Granted);
}

#[test]
fn of_two_waits_the_longer_one_is_told() {
    let until = |minutes| Some(NOW.plus(Duration::from_mins(minutes)));
    let (short, long) = (
        Budget { blocked_until: until(2), ..row(5000, 0) },
        Budget { blocked_until: until(9), ..row(5000, 0) },
    );
    for (waits, kind) in [
        (Waits { secondary: Some(&short), outage: Some(&long) }, LimitKind::Outage),
        (Waits { secondary: Some(&long), outage: Some(&short) }, LimitKind::Secondary),
    ] {
        let admission = admit(None, waits, &ask(1, Priority::Waiting), NOW);
        assert_eq!(admission, Admission::Wait { kind, until: NOW.plus(Duration::from_mins(9)) });
    }
}

#[test]
fn a_limit_noted_by_a_clock_that_was_ahead_is_forgotten() {
    let asked = ask(1, Priority::Waiting);
    let far = Some(NOW.plus(Duration::from_hours(24 * 365)));
    let blocked = Budget { blocked_until: far, ..row(5000, 0) };
    let waits = Waits { secondary: Some(&blocked), outage: Some(&blocked) };
    assert_eq!(admit(Some(&blocked), waits, &asked, NOW), Admission::Granted);
    let spent = Budget { reset_at: far, ..row(0, 0) };
    assert_eq!(admit(Some(&spent), Waits::default(), &asked, NOW), Admission::Granted);
}

#[test]
fn a_wait_of_a_whole_day_holds_by_a_clock_that_is_a_little_behind() {
    let until = NOW.plus(Budget::WAIT_MAX);
    let blocked = Budget { blocked_until: Some(until), ..row(5000, 0) };
    let waits = Waits { secondary: Some(&blocked), outage: Some(&blocked) };
    for behind in [1, 1_000, 60_000] {
        let theirs = NOW.minus(Duration::from_millis(behind));
        let admission = admit(Some(&blocked), waits, &ask(1, Priority::Waiting), theirs);
        assert_eq!(refused(&admission), Some(LimitKind::Outage), "{behind} ms");
    }
}

#[test]
fn a_cost_beyond_all_numbers_uses_up_the_minute_and_nothing_else() {
    let spent = Settlement {
        id: 1,
        host: "github.com".into(),
        actor: "octocat".into(),
        resource: "graphql".into(),
        spent: u32::MAX,
        limit: None,
        remaining: None,
        reset_at: None,
        blocked: None,
    };
    let row = row(5000, u32::MAX).told(&spent, NOW).told(&spent, NOW);
    let asked = ask(u32::MAX, Priority::Waiting);
    assert_eq!(refused(&admit(Some(&row), Waits::default(), &asked, NOW)), Some(LimitKind::Secondary));
}

#[test]
fn a_minute_has_only_so_many_points() {
    let busy = Budget { minute_points: 1990, ..row(5000, 0) };
    let asked = ask(20, Priority::Waiting);
    assert_eq!(refused(&admit(Some(&busy), Waits::default(), &asked, NOW)), Some(LimitKind::Secondary));
    assert_eq!(admit(Some(&busy), Waits::default(), &asked, NOW.plus(MINUTE)), Admission::Granted);
}
