//! The cached thing with one freshness, and its state, which is computed and never stored.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CLOCK_SLACK, Definition, Failure, Fingerprint, Item, Json, Key, Policy, Time, Trigger};

/// The store-wide number that orders leases, invalidations and commits.
///
/// `seq` grows for ever within one file or schema; a rebuilt one gets a new `epoch`, so that a
/// holder from before cannot pass for a current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// The store's life.
    pub epoch: i64,
    /// The number within it; also the point at which the fetch under this lease began.
    pub seq: u64,
}

/// The right to refresh one entry until an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which entry.
    pub key: Key,
    /// Who: one engine in one process.
    pub owner: Arc<str>,
    /// Until when, unless renewed.
    pub until: Time,
    /// How long it was taken for: an end further off than this is past (the clock was set back).
    pub length: Duration,
    /// The fencing token.
    pub token: Token,
}

impl Lease {
    /// Whether it still holds.
    pub fn is_live(&self, now: Time) -> bool {
        now < self.until && self.until.since(now) <= self.length
    }
}

/// What a source can ask "did it change since" with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validators {
    /// RFC 9110 entity tag, weak ones with their `W/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// RFC 9110 Last-Modified, as the source wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// A hash of the content, where the source offers nothing better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
}

/// Something a reader should know about an entry that is served all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is about: a repository's name, or the entry's key.
    pub about: String,
    /// A stable word: `not_found`, `renamed`, `unknown`, `needs_token`, …
    pub code: String,
    /// In a sentence.
    pub message: String,
}

/// Whether a member is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// It was there when last asked for.
    Shown,
    /// The source said once that it is gone: shown with a warning until that is confirmed.
    Absent,
    /// Gone, and not public: not shown any more, removed when confirmed.
    Hidden,
}

/// An item's place in an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name under which the entry asks for it, which outlives a rename upstream.
    pub asked: Arc<str>,
    /// Whether it is shown.
    pub state: MemberState,
    /// The item.
    pub item: Item,
}

/// An entry's row. In JSON it comes without its lease, which is nothing to hand on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub key: Key,
    /// The definition its data was fetched under.
    pub definition: Fingerprint,
    /// The definition last tried, which a failed refresh of an edited entry has moved on.
    pub tried: Fingerprint,
    /// A small document of the entry's own.
    pub body: Option<Json>,
    /// What to revalidate with.
    pub validators: Validators,
    /// Where the next delta goes on.
    pub cursor: Option<String>,
    /// Whether every item was answered for.
    pub complete: bool,
    /// The names still unknown, retried by backoff for themselves alone.
    pub pending: Vec<Arc<str>>,
    /// What a reader should know.
    pub warnings: Vec<Warning>,
    /// Counts the changes of what a reader sees; an ETag is made of it.
    pub version: u64,
    /// The sequence number at which the fetch that brought the data began; 0 = no data.
    pub began: u64,
    /// The sequence number of the last invalidation; 0 = never.
    pub invalidated: u64,
    /// When the data was fetched; `None` = there is none.
    pub fetched_at: Option<Time>,
    /// When the source said that the whole entry does not exist.
    pub absent_at: Option<Time>,
    /// The end of the freshness lifetime, or of a remembered absence.
    pub fresh_until: Option<Time>,
    /// No refresh before this instant, unless by hand.
    pub due_at: Time,
    /// Whether a trigger asked for a refresh that has not happened yet.
    pub marked: bool,
    /// Which trigger, where it is marked.
    pub marked_by: Option<Trigger>,
    /// Attempts without success since the last one.
    pub attempts: u32,
    /// Those of them that count towards `dead`.
    pub faults: u32,
    /// The last failure since the last success.
    pub last_error: Option<Failure>,
    /// Who is refreshing it.
    #[serde(skip)]
    pub lease: Option<Lease>,
}

/// An entry with its members, as a store answers a lookup.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The row.
    pub entry: Entry,
    /// Its members, in order.
    pub members: Vec<Member>,
}

/// Whether there is data, and whether it is young enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing to serve.
    Missing,
    /// Within its freshness lifetime.
    Fresh,
    /// Past it, invalidated, or fetched under a definition that is another and no newer one.
    Stale,
}

/// What is being done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefreshState {
    /// Nothing.
    Idle,
    /// Somebody holds the lease.
    Running,
    /// The last attempt failed or left items unknown; the next one waits for its time.
    Retrying,
    /// Set aside for a person; still tried once per freshness lifetime.
    Dead,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Missing => "missing",
            Status::Fresh => "fresh",
            Status::Stale => "stale",
        })
    }
}

impl fmt::Display for RefreshState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RefreshState::Idle => "idle",
            RefreshState::Running => "running",
            RefreshState::Retrying => "retrying",
            RefreshState::Dead => "dead",
        })
    }
}

impl Entry {
    /// The row of an entry that a lease was just taken on, with no data.
    pub fn empty(key: Key, now: Time) -> Self {
        Entry {
            key,
            definition: Fingerprint::trusted(""),
            tried: Fingerprint::trusted(""),
            body: None,
            validators: Validators::default(),
            cursor: None,
            complete: false,
            pending: Vec::new(),
            warnings: Vec::new(),
            version: 0,
            began: 0,
            invalidated: 0,
            fetched_at: None,
            absent_at: None,
            fresh_until: None,
            due_at: now,
            marked: false,
            marked_by: None,
            attempts: 0,
            faults: 0,
            last_error: None,
            lease: None,
        }
    }

    /// Whether there is anything to serve. A row that only holds a lease, a failure or an absence
    /// has nothing.
    pub fn has_data(&self) -> bool {
        self.fetched_at.is_some()
    }

    /// Whether the data was fetched under another definition: it may lack what this one names, and hold what it
    /// does not.
    pub fn is_edited(&self, definition: &Definition) -> bool {
        !definition.answers_to(&self.definition)
    }

    /// Whether it is to be [fetched anew](Definition::stands_by) for that.
    pub fn is_outdated(&self, definition: &Definition) -> bool {
        !definition.stands_by(&self.definition, self.fetched_at.max(self.absent_at))
    }

    /// Whether its failures and its wait mean this definition too: it is the one that was tried, or another
    /// process has met them since this one read its configuration, which would each begin anew at once.
    pub fn was_tried_for(&self, definition: &Definition) -> bool {
        let failed_at = self.last_error.as_ref().map(|error| error.at);
        let is_since = failed_at.zip(definition.policy.configured_at).is_some_and(|(at, read)| at > read);
        let tried_at = self.fetched_at.max(self.absent_at).max(failed_at);
        definition.stands_by(&self.tried, tried_at) || (is_since && !definition.brings_more(&self.tried))
    }

    /// Missing, fresh or stale. With no definition (an entry that is no longer configured) its own
    /// row alone decides.
    pub fn status(&self, definition: Option<&Definition>, now: Time) -> Status {
        let Some(fetched_at) = self.fetched_at else { return Status::Missing };
        let edited = definition.is_some_and(|definition| self.is_outdated(definition));
        let from_the_future = fetched_at.since(now) > CLOCK_SLACK;
        let expired =
            self.fresh_until.is_none_or(|until| now >= until || self.is_too_far(until, definition, now));
        if edited || from_the_future || expired || self.is_invalidated() {
            Status::Stale
        } else {
            Status::Fresh
        }
    }

    /// Whether freshness ends further off than any lifetime that may have been given: it was given by a
    /// clock that was ahead. `fetched_at` does not always tell that; an absence that is not confirmed yet, and
    /// what comes by way of somebody who asked before, keep an older one.
    fn is_too_far(&self, until: Time, definition: Option<&Definition>, now: Time) -> bool {
        let Some(Definition { policy, .. }) = definition else { return false };
        let longest = if self.absent_at.is_some() { policy.negative_ttl } else { policy.lifetime_max() };
        until.since(now) > longest.saturating_add(CLOCK_SLACK)
    }

    /// Whether an invalidation came after the fetch that brought the data had begun.
    pub fn is_invalidated(&self) -> bool {
        self.invalidated > self.began
    }

    /// What is being done about it.
    pub fn refresh_state(&self, policy: &Policy, now: Time) -> RefreshState {
        if self.lease.as_ref().is_some_and(|lease| lease.is_live(now)) {
            RefreshState::Running
        } else if self.is_dead(policy) {
            RefreshState::Dead
        } else if self.attempts > 0 {
            RefreshState::Retrying
        } else {
            RefreshState::Idle
        }
    }

    /// Whether it is set aside.
    pub fn is_dead(&self, policy: &Policy) -> bool {
        self.faults >= policy.attempts
    }

    /// Whether its wait is over. A wait longer than any that Larder sets, or that the upstream asked
    /// for, means that the clock was set back, and is over too; an edited definition does not wait for the old one's backoff.
    pub fn is_due(&self, definition: &Definition, now: Time) -> bool {
        let policy = &definition.policy;
        let asked_for = self.last_error.as_ref().map_or(Duration::ZERO, |error| self.due_at.since(error.at));
        let longest = policy.ttl.max(policy.backoff_cap).max(policy.negative_ttl).max(LIMIT_WAIT_MAX);
        let longest = longest.max(asked_for).saturating_add(CLOCK_SLACK);
        self.is_wait_over(now) || self.due_at.since(now) > longest || !self.was_tried_for(definition)
    }

    /// Whether its wait is over by its row alone, whatever its policy: its time has come, or it is further off
    /// than [`Entry::WAIT_MAX`] and was set by a failure that a clock noted which was ahead.
    pub fn is_wait_over(&self, now: Time) -> bool {
        let noted_ahead = self.last_error.as_ref().is_some_and(|error| error.at.since(now) > CLOCK_SLACK);
        now >= self.due_at || (noted_ahead && self.due_at.since(now) > Entry::WAIT_MAX)
    }

    /// Whether nobody wanted it for so long: what merely expired is refreshed for readers alone, so that the
    /// end of its freshness tells when one last came. What is marked, fails or is being refreshed is not meant.
    pub fn is_unread_for(&self, length: Duration, now: Time) -> bool {
        let Some(fetched_at) = self.fetched_at else { return false };
        let last = self.fresh_until.map_or(fetched_at, |until| until.max(fetched_at));
        let is_at_rest = !self.marked && self.attempts == 0 && self.pending.is_empty();
        is_at_rest && now.since(last) > length && !self.lease.as_ref().is_some_and(|lease| lease.is_live(now))
    }

    /// Whether for so long nobody fetched it, tried to, or was to: whoever has it is not there any more, for all
    /// that is known.
    pub fn is_unheard_of_for(&self, length: Duration, now: Time) -> bool {
        let failed_at = self.last_error.as_ref().map(|error| error.at);
        let last = self.fetched_at.max(self.fresh_until).max(failed_at).max(Some(self.due_at));
        let is_past = last.is_none_or(|last| now.since(last) > length);
        is_past && !self.lease.as_ref().is_some_and(|lease| lease.is_live(now))
    }

    /// A shorter wait ends soon enough, whichever clock set it.
    pub const WAIT_MAX: Duration = Duration::from_hours(24);
}

/// No upstream's limit lasts longer: GitHub's primary windows are an hour.
const LIMIT_WAIT_MAX: Duration = Duration::from_hours(2);

/// The definition of an entry that holds what another's commit, or an edit, has changed, while a fetch may be
/// under way: no definition answers to it. What that fetch brings does not confirm what it went on from.
pub const TOUCHED: &str = "";

/// What becomes of [`TOUCHED`] when a lease is taken: no definition answers to it either, but the fetch that
/// begins now asks for everything, and so makes it good.
pub const TOUCHED_BEFORE: &str = "touched before";

impl Entry {
    /// Whether what it holds was changed by others since its lease was taken.
    pub fn is_touched(&self) -> bool {
        self.has_data() && self.definition.as_str() == TOUCHED
    }

    /// The definition as a lease leaves it that is taken now.
    pub fn definition_under_lease(&self) -> Fingerprint {
        if self.is_touched() { Fingerprint::trusted(TOUCHED_BEFORE) } else { self.definition.clone() }
    }
}
