//! The lease, fill, invalidate protocol as a model, gone through in all interleavings: three processes that
//! want one entry. Each guard can be taken out, and a named property then fails.
//!
//! How it maps to the code. A step is what is atomic there: one call of the store, or one thing that
//! happens outside.
//!
//! | step | code |
//! |---|---|
//! | [`Look`](Step::Look) | `engine/read`, `engine/due`: look the row up, `core::decide` |
//! | [`Acquire`](Step::Acquire) | `Store::acquire` and `engine/lease`: newer, held, or granted and decided once more |
//! | [`Answer`](Step::Answer), [`Fail`](Step::Fail) | the source answers, with what the upstream has at that moment; `engine/settle` reads the clock |
//! | [`Commit`](Step::Commit) | `core::absorb` and `Store::commit`; [`CommitUnheard`](Step::CommitUnheard): its answer is lost, and it is sent again |
//! | [`LetGo`](Step::LetGo) | `Store::commit` with nothing to write |
//! | [`Follow`](Step::Follow) | one look of `engine/lease` every 50 ms: `core::follow` |
//! | [`Renew`](Step::Renew), [`Invalidate`](Step::Invalidate), [`Mark`](Step::Mark) | `Store::renew`, `invalidate`, `mark_due` |
//! | [`Kill`](Step::Kill), [`Tick`](Step::Tick) | kill -9 and, sooner or later, a new process; time. A process that takes no step is stopped, or not yet back |
//!
//! What `core` decides is asked of `core`; what a store does is written down in `steps` as the contract
//! (`testkit/contract`) says it, since each guard must come out. Left out: many readers in one process (they
//! share its one flight), a patience that ends, items, and a store that is made anew.
//!
//! Every run ends: wishes and perils are counted, and looking on changes nothing. So what must happen *in
//! the end* is a property of the states in which nothing can happen any more.

mod state;
mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use larder_core::{Definition, Key};
use stateright::{Checker, HasDiscoveries, Model, Property};

use state::{Past, Perils, Phase, Process, Rare, Row, State, Wish, Wrong};

/// A rule that keeps something from going wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A commit is admitted under the row's own token alone.
    Fencing,
    /// … and before its lease's end.
    End,
    /// A live lease is granted to nobody else.
    Exclusion,
    /// A lease ends by itself.
    Expiry,
    /// An invalidation is compared with the beginning of the fetch, not with its landing.
    Began,
    /// So is an event's mark.
    Marked,
    /// A lease is not taken if another's fetch has landed since the look.
    Newer,
    /// It is decided once more under the lease.
    DecideAgain,
    /// Who follows looks at the lease too, and not for a landing alone.
    LookAtLease,
    /// A hand takes only what began after it asked.
    BegunAfter,
}

/// The model: all guards but one, and what may happen.
pub(crate) struct Protocol {
    without: Option<Guard>,
    perils: Perils,
    wishes: u8,
    key: Key,
    owner: Arc<str>,
    definition: Definition,
    /// What happened that does not in every run, a bit each.
    happened: AtomicU8,
}

/// A step, by the process that takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Look(usize, Wish),
    Acquire(usize),
    Answer(usize),
    Fail(usize),
    Commit(usize),
    CommitUnheard(usize),
    LetGo(usize),
    Follow(usize),
    Renew(usize),
    Kill(usize),
    Tick,
    WaitIsOver,
    Change,
    Invalidate,
    Mark,
}

const NOT_TWICE: &str = "no token is filled twice";
const NOT_BACK: &str = "what is committed never goes back";
const NOT_LATE: &str = "nothing is committed past its lease's end";
const ONE_FLIGHT: &str = "one process at a time fetches under a lease that has not ended";
const INVALIDATION_WINS: &str = "what is fresh is no older than the last invalidation";
const EVENT_WINS: &str = "what an event wanted is fetched after the event";
const NO_LOST_WAKE_UP: &str = "nobody waits for ever for a lease that nobody holds";
const DEAD_IS_REPLACED: &str = "a dead holder is replaced";
const ONE_CALL: &str = "no reader fetches what has landed since it looked";
const WAIT_IS_SHARED: &str = "nobody but a hand or an event fetches inside the wait after a failure";
const HAND_IS_SERVED: &str = "a hand gets what is no older than its wish";

impl Protocol {
    pub(crate) fn new(wishes: u8, perils: Perils) -> Self {
        Protocol {
            without: None,
            perils,
            wishes,
            key: steps::key(),
            owner: "a process".into(),
            definition: steps::definition(),
            happened: AtomicU8::new(0),
        }
    }

    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    fn note(&self, rare: Rare) {
        self.happened.fetch_or(rare as u8, Ordering::Relaxed);
    }

    /// Whether nothing can happen any more but what a person does.
    fn is_at_rest(&self, state: &State) -> bool {
        let mut steps = Vec::new();
        self.actions(state, &mut steps);
        steps.into_iter().all(|step| self.next_state(state, step).is_none())
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let process = || Process { phase: Phase::Idle, wishes: self.wishes };
        let processes = [process(), process(), process()];
        let (row, past) = (Row::default(), Past::default());
        vec![State { upstream: 1, seq: 0, row, processes, left: self.perils, past }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let left = &state.left;
        for (who, process) in state.processes.iter().enumerate() {
            match process.phase {
                Phase::Idle => {
                    if process.wishes > 0 {
                        steps.extend([Step::Look(who, Wish::Reader), Step::Look(who, Wish::Hand)]);
                    }
                    steps.extend(self.is_due(&state.row).then_some(Step::Look(who, Wish::Due)));
                }
                Phase::Wants { .. } => steps.push(Step::Acquire(who)),
                Phase::Fetches(held) => {
                    steps.push(Step::Answer(who));
                    steps.extend((left.failures > 0).then_some(Step::Fail(who)));
                    steps.extend((left.renewals > 0 && held.left < state::LEASE).then_some(Step::Renew(who)));
                }
                Phase::Knows { .. } => {
                    steps.push(Step::Commit(who));
                    steps.extend((left.repeats > 0).then_some(Step::CommitUnheard(who)));
                }
                Phase::LetsGo { .. } => steps.push(Step::LetGo(who)),
                Phase::Follows { .. } => steps.push(Step::Follow(who)),
            }
            steps.extend((left.kills > 0 && process.is_waiting()).then_some(Step::Kill(who)));
        }
        let outside = [
            (left.changes > 0, Step::Change),
            (left.invalidations > 0, Step::Invalidate),
            (left.events > 0, Step::Mark),
            (state.row.waits, Step::WaitIsOver),
            (self.may_tick(state), Step::Tick),
        ];
        steps.extend(outside.into_iter().filter(|(may, _)| *may).map(|(_, step)| step));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.take(&mut state, step);
        // One who looks and sees that it must wait on has done nothing.
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_TWICE, |_, state: &State| state.past.wrong != Some(Wrong::FilledTwice)),
            Property::always(NOT_BACK, |_, state: &State| state.past.wrong != Some(Wrong::WentBack)),
            Property::always(NOT_LATE, |_, state: &State| state.past.wrong != Some(Wrong::FilledLate)),
            Property::always(HAND_IS_SERVED, |_, state: &State| state.past.wrong != Some(Wrong::OldForAHand)),
            Property::always(ONE_FLIGHT, |_, state: &State| {
                fetching(state).filter(|held| held.left > 0).count() < 2
            }),
            Property::always(ONE_CALL, |_, state: &State| {
                fetching(state)
                    .all(|held| held.want.by != Wish::Reader || held.before.began <= held.want.seen)
            }),
            Property::always(WAIT_IS_SHARED, |_, state: &State| {
                fetching(state)
                    .all(|held| held.want.by == Wish::Hand || held.before.marked > 0 || !held.before.waits)
            }),
            Property::always(INVALIDATION_WINS, |model: &Protocol, state: &State| {
                !model.is_fresh(&state.row) || state.row.revision >= state.past.at_invalidation
            }),
            Property::always(EVENT_WINS, |model: &Protocol, state: &State| {
                let is_answered = state.row.marked == 0 && state.row.revision >= state.past.at_event;
                is_answered || model.is_held(&state.row) || !model.is_at_rest(state)
            }),
            Property::always(NO_LOST_WAKE_UP, |model: &Protocol, state: &State| {
                !is_awaited(state) || model.is_held(&state.row) || !model.is_at_rest(state)
            }),
            Property::always(DEAD_IS_REPLACED, |model: &Protocol, state: &State| {
                !is_awaited(state) || !model.is_held(&state.row) || !model.is_at_rest(state)
            }),
        ]
    }
}

fn fetching(state: &State) -> impl Iterator<Item = &state::Held> {
    state.processes.iter().filter_map(|process| match &process.phase {
        Phase::Fetches(held) => Some(held),
        _ => None,
    })
}

/// Whether somebody or some event waits for a fetch.
fn is_awaited(state: &State) -> bool {
    state.row.marked > 0 || state.processes.iter().any(Process::is_waiting)
}

impl Protocol {
    fn may_tick(&self, state: &State) -> bool {
        let Some(lease) = state.row.lease.filter(|lease| lease.left > 0) else { return false };
        let is_alive = state.processes.iter().any(|process| process.token() == Some(lease.token));
        self.has(Guard::Expiry) && (state.left.ticks > 0 || !is_alive)
    }

    fn take(&self, state: &mut State, step: Step) {
        let phase = |who: usize| state.processes[who].phase;
        match step {
            Step::Look(who, wish) => self.look(state, who, wish),
            Step::Kill(who) => {
                state.left.kills -= 1;
                state.processes[who].phase = Phase::Idle;
            }
            Step::Tick => Protocol::tick(state),
            Step::WaitIsOver => state.row.waits = false,
            Step::Change => {
                state.left.changes -= 1;
                state.upstream += 1;
            }
            Step::Invalidate => Protocol::invalidate(state),
            Step::Mark => Protocol::mark(state),
            Step::Acquire(who)
            | Step::Answer(who)
            | Step::Fail(who)
            | Step::Commit(who)
            | Step::CommitUnheard(who)
            | Step::LetGo(who)
            | Step::Follow(who)
            | Step::Renew(who) => self.go_on(state, who, phase(who), step),
        }
    }

    /// A step of a flight.
    fn go_on(&self, state: &mut State, who: usize, phase: Phase, step: Step) {
        match (phase, step) {
            (Phase::Wants { want, met }, _) => self.acquire(state, who, want, met),
            (Phase::Follows { want, met }, _) => self.follow(state, who, want, met),
            (Phase::LetsGo { token }, _) => self.let_go(state, who, token),
            (Phase::Fetches(held), Step::Renew(_)) => Protocol::renew(state, who, held),
            (Phase::Fetches(held), Step::Fail(_)) => {
                state.left.failures -= 1;
                state.processes[who].phase = Phase::Knows { held, answer: None };
            }
            (Phase::Fetches(held), _) => {
                state.processes[who].phase = Phase::Knows { held, answer: Some(state.upstream) };
            }
            (Phase::Knows { held, answer }, Step::CommitUnheard(_)) => {
                state.left.repeats -= 1;
                self.commit(state, who, held, answer);
                state.processes[who].phase = phase;
            }
            (Phase::Knows { held, answer }, _) => self.commit(state, who, held, answer),
            (Phase::Idle, _) => {}
        }
    }
}

/// Nothing happens but what three processes do that want the entry once each.
const QUIET: Perils = Perils {
    changes: 0,
    invalidations: 0,
    events: 0,
    kills: 0,
    failures: 0,
    renewals: 0,
    repeats: 0,
    ticks: 0,
};

/// Worlds in which different things go wrong together.
const WORLDS: [(&str, Perils); 6] = [
    ("invalidated", Perils { changes: 1, invalidations: 1, ..QUIET }),
    ("told by an event", Perils { changes: 1, events: 1, ..QUIET }),
    ("late", Perils { changes: 1, kills: 1, renewals: 1, ticks: 2, ..QUIET }),
    ("unheard", Perils { changes: 1, repeats: 1, ticks: 2, ..QUIET }),
    ("failing and invalidated", Perils { failures: 1, invalidations: 1, ..QUIET }),
    ("failing and told", Perils { failures: 1, events: 1, ..QUIET }),
];

fn without(guard: Option<Guard>, perils: Perils) -> Protocol {
    Protocol { without: guard, ..Protocol::new(1, perils) }
}

#[test]
fn in_all_interleavings_of_three_processes_no_rule_of_the_lease_is_broken() {
    let mut happened = 0;
    for (name, perils) in WORLDS {
        let checker =
            without(None, perils).checker().threads(2).symmetry_fn(State::in_order).spawn_dfs().join();
        let found = checker.discoveries().into_iter().map(|(property, path)| (property, path.into_actions()));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [],
            "{name}: properties that are not true, and how they come not to be"
        );
        assert!(checker.unique_state_count() > 5_000, "{name}: {} states", checker.unique_state_count());
        happened |= checker.model().happened.load(Ordering::Relaxed);
    }
    let all = Rare::TookOver as u8 | Rare::Superseded as u8 | Rare::Shared as u8 | Rare::Unneeded as u8;
    assert_eq!(happened, all, "a model in which it never happens proves nothing");
}

#[test]
fn every_guard_is_needed() {
    let needed: [(Guard, &[&'static str]); 10] = [
        (Guard::Fencing, &[NOT_TWICE, NOT_BACK]),
        (Guard::End, &[NOT_LATE]),
        (Guard::Exclusion, &[ONE_FLIGHT]),
        (Guard::Expiry, &[DEAD_IS_REPLACED]),
        (Guard::Began, &[INVALIDATION_WINS]),
        (Guard::Marked, &[EVENT_WINS]),
        (Guard::Newer, &[ONE_CALL]),
        (Guard::DecideAgain, &[WAIT_IS_SHARED]),
        (Guard::LookAtLease, &[NO_LOST_WAKE_UP]),
        (Guard::BegunAfter, &[HAND_IS_SERVED]),
    ];
    for (guard, properties) in needed {
        for property in properties {
            let is_found = WORLDS.iter().any(|(_, perils)| {
                let until = HasDiscoveries::AnyOf([*property].into());
                let model = without(Some(guard), *perils);
                let checker =
                    model.checker().finish_when(until).symmetry_fn(State::in_order).spawn_dfs().join();
                checker.discovery(property).is_some()
            });
            assert!(is_found, "without {guard:?} it is true all the same that {property}");
        }
    }
}
