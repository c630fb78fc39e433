//! What there is: one entry's row, three processes, an upstream; and what a property must remember of the
//! past. All of it small numbers, so that all of it can be gone through.

/// How many ticks of the clock a lease lasts.
pub(crate) const LEASE: u8 = 2;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What the upstream would answer now.
    pub(crate) upstream: u8,
    /// The store-wide number.
    pub(crate) seq: u8,
    pub(crate) row: Row,
    pub(crate) processes: [Process; 3],
    /// What may still happen.
    pub(crate) left: Perils,
    pub(crate) past: Past,
}

/// An entry's row, as far as the protocol goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Row {
    /// What is held; 0 = nothing.
    pub(crate) revision: u8,
    pub(crate) began: u8,
    pub(crate) invalidated: u8,
    /// The number at which an event wanted a refresh; 0 = none did.
    pub(crate) marked: u8,
    /// Whether the last attempt failed …
    pub(crate) failed: bool,
    /// … and the wait after it is not over.
    pub(crate) waits: bool,
    pub(crate) lease: Option<Lease>,
}

/// A lease as the row holds it. Who holds it is told by its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) token: u8,
    /// Ticks until its end.
    pub(crate) left: u8,
}

/// A process and what it may still wish.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) phase: Phase,
    pub(crate) wishes: u8,
}

/// How far a process has come with its one flight for the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It has no flight, or was killed with it.
    Idle,
    /// It is about to ask for the lease. `met`: the token of another's lease that it met first.
    Wants { want: Want, met: Option<u8> },
    /// It holds the lease, and the upstream has not answered.
    Fetches(Held),
    /// It has an answer (`None`: a failure), and has read its clock to commit it.
    Knows { held: Held, answer: Option<u8> },
    /// It holds the lease and found that there is nothing to do.
    LetsGo { token: u8 },
    /// It looks at the row every so often, since another holds the lease.
    Follows { want: Want, met: u8 },
}

/// A wish for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Want {
    pub(crate) by: Wish,
    /// The `began` of the row that it looked at.
    pub(crate) seen: u8,
    /// What the upstream would have answered then.
    pub(crate) upstream: u8,
}

/// Whose wish it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// A reader's, who found it missing or stale.
    Reader,
    /// A hand's, which wants it anew whatever is held.
    Hand,
    /// The store's own word that it is due.
    Due,
}

/// A lease as its holder knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) want: Want,
    pub(crate) token: u8,
    /// Ticks until its end when the holder looked at its clock last.
    pub(crate) left: u8,
    /// The row as it was when the lease was taken.
    pub(crate) before: Row,
}

/// How often each thing may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Perils {
    pub(crate) changes: u8,
    pub(crate) invalidations: u8,
    pub(crate) events: u8,
    pub(crate) kills: u8,
    pub(crate) failures: u8,
    pub(crate) renewals: u8,
    /// Commits whose answer is lost, so that they are sent once more.
    pub(crate) repeats: u8,
    /// Ticks that pass though the holder lives; those after its death are not counted.
    pub(crate) ticks: u8,
}

/// What must be remembered to see that a rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Past {
    /// The tokens under which something was committed, a bit each.
    pub(crate) filled: u32,
    /// What the upstream would have answered when it was invalidated last, and when an event came last.
    pub(crate) at_invalidation: u8,
    pub(crate) at_event: u8,
    pub(crate) wrong: Option<Wrong>,
}

/// What a step did that none may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wrong {
    FilledTwice,
    WentBack,
    FilledLate,
    OldForAHand,
}

/// What a step did: a model in which none of it happens proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Rare {
    TookOver = 1,
    Superseded = 2,
    Shared = 4,
    Unneeded = 8,
}

impl Process {
    /// The token of the lease that it believes to hold.
    pub(crate) fn token(&self) -> Option<u8> {
        match self.phase {
            Phase::Fetches(held) | Phase::Knows { held, .. } => Some(held.token),
            Phase::LetsGo { token } => Some(token),
            Phase::Idle | Phase::Wants { .. } | Phase::Follows { .. } => None,
        }
    }

    /// Whether somebody waits for it to come to an end.
    pub(crate) fn is_waiting(&self) -> bool {
        self.phase != Phase::Idle
    }
}

impl State {
    /// The same with the processes in order: which of them is which makes no difference.
    pub(crate) fn in_order(&self) -> State {
        let mut same = self.clone();
        same.processes.sort();
        same
    }
}
