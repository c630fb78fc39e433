//! The steps of the protocol, each as atomic as it is in the code: a call of the store, an answer of the
//! upstream, a tick. What `core` decides is asked of `core`: `decide`, `follow`, `absorb`, an entry's
//! status, a lease's end.

use std::time::Duration;

use larder_core::{
    Attempt, Decision, Definition, Entry, FetchError, Fetched, Fingerprint, Following, Json, Key, Mode,
    NextStep, Policy, Request, Status, Stored, Time, Token, Write, absorb, decide, follow,
};

use super::state::{Held, LEASE, Lease, Past, Phase, Rare, Row, State, Want, Wish, Wrong};
use super::{Guard, Protocol};

/// The model's clock stands; leases come nearer to their end instead.
const NOW: Time = Time::from_ms(1_000_000_000_000);
pub(super) const TICK: Duration = Duration::from_secs(10);

pub(super) fn key() -> Key {
    Key::new("model", &["one"]).unwrap()
}

/// Long enough that nothing expires by itself, and that the wait after a failure outlasts all leases.
pub(super) fn definition() -> Definition {
    let wait = Duration::from_hours(1);
    let policy =
        Policy { lease: TICK * u32::from(LEASE), backoff_base: wait, jitter: 0.0, ..Policy::default() };
    Definition::new(Fingerprint::of(&["one"]), policy)
}

fn mode(wish: Wish) -> Mode {
    match wish {
        Wish::Hand => Mode::Forced,
        Wish::Reader | Wish::Due => Mode::Normal,
    }
}

fn request(wish: Wish) -> Request {
    Request { mode: mode(wish), ..Request::default() }
}

fn wants_fetch(decision: &Decision) -> bool {
    matches!(decision, Decision::Fetch { .. } | Decision::Revalidate)
}

impl Protocol {
    /// The row as `core` knows it.
    pub(super) fn entry(&self, row: &Row) -> Entry {
        let mut entry = Entry::empty(self.key.clone(), NOW);
        if row.revision > 0 {
            entry.definition = self.definition.fingerprint.clone();
            entry.fetched_at = Some(NOW);
            entry.fresh_until = Some(NOW.plus(self.definition.policy.ttl));
            entry.body = Some(Json::trusted(row.revision.to_string()));
            entry.complete = true;
        }
        entry.tried = self.definition.fingerprint.clone();
        entry.began = row.began.into();
        entry.invalidated = row.invalidated.into();
        entry.marked = row.marked > 0;
        entry.attempts = row.failed.into();
        entry.due_at = if row.waits { NOW.plus(self.definition.policy.backoff_base) } else { NOW };
        entry.lease = row.lease.map(|lease| self.lease(lease));
        entry
    }

    fn lease(&self, lease: Lease) -> larder_core::Lease {
        larder_core::Lease {
            key: self.key.clone(),
            owner: self.owner.clone(),
            until: NOW.plus(TICK * lease.left.into()),
            length: self.definition.policy.lease,
            token: Token { epoch: 1, seq: lease.token.into() },
        }
    }

    pub(super) fn is_held(&self, row: &Row) -> bool {
        row.lease.is_some_and(|lease| self.lease(lease).is_live(NOW))
    }

    pub(super) fn is_fresh(&self, row: &Row) -> bool {
        self.entry(row).status(Some(&self.definition), NOW) == Status::Fresh
    }

    fn decide(&self, row: &Row, wish: Wish) -> Decision {
        decide(Some(&self.entry(row)), &self.definition, &request(wish), NOW)
    }

    /// As `Store::due`: marked, or past the wait after a failure, and nobody is at it.
    pub(super) fn is_due(&self, row: &Row) -> bool {
        (row.marked > 0 || (row.failed && !row.waits)) && !self.is_held(row)
    }

    /// A reader or a hand looks the row up and decides.
    pub(super) fn look(&self, state: &mut State, who: usize, by: Wish) {
        let want = Want { by, seen: state.row.began, upstream: state.upstream };
        if by != Wish::Due {
            state.processes[who].wishes -= 1;
        }
        if by == Wish::Due || wants_fetch(&self.decide(&state.row, by)) {
            state.processes[who].phase = Phase::Wants { want, met: None };
        }
    }

    /// `Store::acquire`, and what `engine/lease` does with its answer.
    pub(super) fn acquire(&self, state: &mut State, who: usize, want: Want, met: Option<u8>) {
        let row = state.row;
        let is_newer = want.by == Wish::Reader && row.began > want.seen;
        if is_newer && self.has(Guard::Newer) {
            self.note(Rare::Shared);
            return Self::land(state, who, want);
        }
        if self.is_held(&row) && self.has(Guard::Exclusion) {
            let met = met.or(row.lease.map(|lease| lease.token)).unwrap_or(0);
            state.processes[who].phase = Phase::Follows { want, met };
            return;
        }
        if row.lease.is_some() {
            self.note(Rare::TookOver);
        }
        state.seq += 1;
        let token = state.seq;
        state.row.lease = Some(Lease { token, left: LEASE });
        let is_wanted = row.marked > 0 || wants_fetch(&self.decide(&row, want.by));
        state.processes[who].phase = if is_wanted || !self.has(Guard::DecideAgain) {
            Phase::Fetches(Held { want, token, left: LEASE, before: Row { lease: None, ..row } })
        } else {
            Phase::LetsGo { token }
        };
    }

    /// `Store::renew`, which a holder asks for while it fetches.
    pub(super) fn renew(state: &mut State, who: usize, held: Held) {
        state.left.renewals -= 1;
        if let Some(lease) =
            state.row.lease.as_mut().filter(|lease| lease.token == held.token && lease.left > 0)
        {
            lease.left = LEASE;
            state.processes[who].phase = Phase::Fetches(Held { left: LEASE, ..held });
        }
    }

    /// One who follows looks at the row.
    pub(super) fn follow(&self, state: &mut State, who: usize, want: Want, met: u8) {
        // A hand that takes the flight it met is as content as one who was only told that it is due.
        let as_due = want.by == Wish::Hand && !self.has(Guard::BegunAfter);
        let following = Following {
            mode: if as_due { Mode::Normal } else { mode(want.by) },
            began_seen: (want.by == Wish::Reader).then_some(want.seen.into()),
            met: met.into(),
            // It is waited for as long as it takes: giving up is for what is no part of the model.
            give_up_at: Time::MAX,
        };
        match follow(Some(&self.entry(&state.row)), &following, NOW) {
            NextStep::Land => {
                self.note(Rare::Shared);
                Self::land(state, who, want);
            }
            NextStep::Acquire if self.has(Guard::LookAtLease) => {
                state.processes[who].phase = Phase::Wants { want, met: Some(met) };
            }
            NextStep::Acquire | NextStep::Wait | NextStep::GiveUp => {}
        }
    }

    /// `Store::commit` of an answer. With `lost`, its answer is, and it will be sent once more.
    pub(super) fn commit(&self, state: &mut State, who: usize, held: Held, answer: Option<u8>) {
        let is_ours = state.row.lease.is_some_and(|lease| lease.token == held.token);
        let is_admitted = (is_ours || !self.has(Guard::Fencing)) && (held.left > 0 || !self.has(Guard::End));
        if !is_admitted {
            self.note(Rare::Superseded);
            // If another's result is in, it is as good as ours.
            if state.row.began > held.token {
                return Self::land(state, who, held.want);
            }
            state.processes[who].phase = Phase::Idle;
            return;
        }
        let write = self.absorb(&held, answer);
        let before = state.row;
        self.admit(state, held.token, &write);
        Self::remember(&mut state.past, &held, &before, &state.row, &write);
        if write.attempts == 0 {
            return Self::land(state, who, held.want);
        }
        state.processes[who].phase = Phase::Idle;
    }

    fn absorb(&self, held: &Held, answer: Option<u8>) -> Write {
        let before = Stored { entry: self.entry(&held.before), members: Vec::new() };
        let failure = FetchError::TimedOut { after: TICK };
        let result = answer.map(|revision| Fetched::body(Json::trusted(revision.to_string()))).ok_or(failure);
        let definition = &self.definition;
        absorb(Attempt { before: &before, definition, subset: false, result, now: NOW, chance: 1.0 })
    }

    /// What a store writes, as the contract says.
    fn admit(&self, state: &mut State, token: u8, write: &Write) {
        let row = &mut state.row;
        row.revision = write.body.as_ref().map_or(0, |body| body.as_str().parse().unwrap());
        if write.answers_invalidation {
            row.began = token;
            if !self.has(Guard::Began) {
                // In the order of landing, not of beginning.
                row.invalidated = 0;
            }
        }
        row.failed = write.attempts > 0;
        row.waits = row.failed && write.due_at > NOW;
        if row.marked <= token || !self.has(Guard::Marked) {
            row.marked = 0;
        }
        row.lease = None;
    }

    fn remember(past: &mut Past, held: &Held, before: &Row, after: &Row, write: &Write) {
        let bit = 1 << held.token;
        if past.filled & bit > 0 {
            past.wrong = Some(Wrong::FilledTwice);
        } else if held.left == 0 {
            past.wrong = Some(Wrong::FilledLate);
        } else if after.revision < before.revision
            || (write.answers_invalidation && after.began < before.began)
        {
            past.wrong = Some(Wrong::WentBack);
        }
        past.filled |= bit;
    }

    /// A flight ends well: whoever wished has what the row holds.
    fn land(state: &mut State, who: usize, want: Want) {
        if want.by == Wish::Hand && state.row.revision < want.upstream {
            state.past.wrong = state.past.wrong.or(Some(Wrong::OldForAHand));
        }
        state.processes[who].phase = Phase::Idle;
    }

    /// `Store::commit` with nothing to write.
    pub(super) fn let_go(&self, state: &mut State, who: usize, token: u8) {
        if state.row.lease.is_some_and(|lease| lease.token == token) {
            state.row.lease = None;
        }
        self.note(Rare::Unneeded);
        state.processes[who].phase = Phase::Idle;
    }

    /// `Store::invalidate`, which ends the wait after a failure.
    pub(super) fn invalidate(state: &mut State) {
        state.left.invalidations -= 1;
        state.seq += 1;
        state.row.invalidated = state.seq;
        state.row.waits = false;
        state.past.at_invalidation = state.upstream;
    }

    /// `Store::mark_due` by an event.
    pub(super) fn mark(state: &mut State) {
        state.left.events -= 1;
        state.seq += 1;
        state.row.marked = state.seq;
        state.row.waits = false;
        state.past.at_event = state.upstream;
    }

    /// A tick passes, for the row and for whoever still looks at the clock.
    pub(super) fn tick(state: &mut State) {
        let Some(lease) = &mut state.row.lease else { return };
        let is_alive = state.processes.iter().any(|process| process.token() == Some(lease.token));
        state.left.ticks -= u8::from(is_alive);
        lease.left -= 1;
        for process in &mut state.processes {
            if let Phase::Fetches(held) = &mut process.phase {
                held.left = held.left.saturating_sub(1);
            }
        }
    }
}
