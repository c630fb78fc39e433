//! What an attempt changes: one pure function from what was held and what came (or failed to
//! come) to what is written. Design rule 3 lives here: good data is never replaced by worse.

use std::sync::Arc;
use std::time::Duration;

use crate::bounds;
use crate::sorting::Sorting;
use crate::{
    Absence, Definition, Failure, FetchError, Fetched, Finding, Fingerprint, ItemRef, Json, Listing, Member,
    MemberState, NewItem, Policy, Retry, Stored, Time, Validators, Warning,
};

/// An attempt that ended.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The row and members as they were when the lease was taken.
    pub before: &'a Stored,
    /// The definition it was done under.
    pub definition: &'a Definition,
    /// Whether only the names still unknown were asked for.
    pub subset: bool,
    /// What came.
    pub result: Result<Fetched, FetchError>,
    /// When it came.
    pub now: Time,
    /// Chance, in 0 ≤ x < 1.
    pub chance: f64,
}

/// What to write into an entry. Fields are the new values; `members: None` leaves them alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// What came of the attempt.
    pub outcome: Outcome,
    /// The definition that the data now answers to.
    pub definition: Fingerprint,
    /// The definition that was tried.
    pub tried: Fingerprint,
    /// The entry's own document.
    pub body: Option<Json>,
    /// What to revalidate with.
    pub validators: Validators,
    /// Where the next delta goes on.
    pub cursor: Option<String>,
    /// Whether every item was answered for.
    pub complete: bool,
    /// The names still unknown.
    pub pending: Vec<Arc<str>>,
    /// What a reader should know.
    pub warnings: Vec<Warning>,
    /// Whether the data was fetched anew as a whole, so that earlier invalidations are answered.
    pub answers_invalidation: bool,
    /// When the data was fetched.
    pub fetched_at: Option<Time>,
    /// When the source said that the whole entry does not exist.
    pub absent_at: Option<Time>,
    /// The end of the freshness lifetime.
    pub fresh_until: Option<Time>,
    /// No refresh before.
    pub due_at: Time,
    /// Attempts without success.
    pub attempts: u32,
    /// Those that count towards `dead`.
    pub faults: u32,
    /// The last failure.
    pub last_error: Option<Failure>,
    /// The members, in order.
    pub members: Option<Vec<MemberWrite>>,
    /// The items that were answered for as present.
    pub items: Vec<NewItem>,
    /// The tags; `None` leaves them alone.
    pub tags: Option<Vec<String>>,
}

/// A member to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberWrite {
    /// The name under which the entry asks for it.
    pub asked: Arc<str>,
    /// Whether it is shown.
    pub state: MemberState,
    /// The item: one that is held, or one of [`Write::items`].
    pub item: ItemRef,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// New data, complete.
    Updated,
    /// New data; some items are still unknown.
    Partial,
    /// What is held is still right.
    NotModified,
    /// The whole entry does not exist upstream.
    Absent,
    /// Nothing came; what was held is held.
    Failed,
}

impl Outcome {
    /// A stable word for the log and the feed.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Updated => "updated",
            Outcome::Partial => "partial",
            Outcome::NotModified => "not_modified",
            Outcome::Absent => "absent",
            Outcome::Failed => "failed",
        }
    }
}

/// Decides what an attempt changes. Pure.
pub fn absorb(attempt: Attempt<'_>) -> Write {
    let Attempt { before, definition, subset, result, now, chance } = attempt;
    let frame = Frame { before, definition, subset, now, chance };
    let mut write = match result {
        Ok(Fetched::Items(listing)) => frame.items(listing),
        Ok(Fetched::Delta(delta)) => frame.delta(delta),
        Ok(Fetched::Body { body, validators, ttl }) => match bounds::admit_doc(body) {
            Ok(body) => Write { body: Some(body), validators, ..frame.success(ttl) },
            Err(unfit) => frame.failure(&FetchError::Unusable {
                host: definition_host(before),
                detail: format!("it cannot be kept: {unfit}"),
            }),
        },
        Ok(Fetched::NotModified { ttl, cursor }) if frame.can_be_unmodified() => {
            frame.not_modified(ttl, cursor)
        }
        Ok(Fetched::NotModified { .. }) => frame.failure(&FetchError::Unusable {
            host: definition_host(before),
            detail: "it said `not modified` of something that is not held".to_owned(),
        }),
        Ok(Fetched::Absent(absence)) => frame.absent(&absence),
        Err(error) => frame.failure(&error),
    };
    leave_tags_out(&mut write, before);
    write
}

/// Leaves tags out that no store could find anything by.
fn leave_tags_out(write: &mut Write, before: &Stored) {
    let Some(tags) = &mut write.tags else { return };
    let mut told = Vec::new();
    tags.retain(|tag| {
        let is_fit = bounds::is_fit_tag(tag);
        told.extend((!is_fit).then(|| bounds::tag_warning(&before.entry.key, tag)));
        is_fit
    });
    bounds::note(&mut write.warnings, &told);
}

/// How long to wait after the `attempts`th failure in a row: full jitter below an exponential
/// ceiling, so that those who failed together do not return together.
pub fn backoff(policy: &Policy, attempts: u32, chance: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1).min(31));
    let ceiling = policy.backoff_base.saturating_mul(doubled).min(policy.backoff_cap);
    ceiling.mul_f64(chance.clamp(0.0, 1.0))
}

/// An upstream that asks for a longer wait is asked again after this one.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

fn definition_host(before: &Stored) -> String {
    before.entry.key.source().to_owned()
}

/// What every outcome needs to know.
pub(crate) struct Frame<'a> {
    pub(crate) before: &'a Stored,
    definition: &'a Definition,
    subset: bool,
    pub(crate) now: Time,
    chance: f64,
}

impl Frame<'_> {
    /// The row as it is, with nothing changed but that this definition was tried.
    fn unchanged(&self, outcome: Outcome) -> Write {
        let entry = &self.before.entry;
        Write {
            outcome,
            definition: entry.definition.clone(),
            tried: self.definition.note(),
            body: entry.body.clone(),
            validators: entry.validators.clone(),
            cursor: entry.cursor.clone(),
            complete: entry.complete,
            pending: entry.pending.clone(),
            warnings: entry.warnings.clone(),
            answers_invalidation: false,
            fetched_at: entry.fetched_at,
            absent_at: entry.absent_at,
            fresh_until: entry.fresh_until,
            due_at: entry.due_at,
            attempts: entry.attempts,
            faults: entry.faults,
            last_error: entry.last_error.clone(),
            members: None,
            items: Vec::new(),
            tags: None,
        }
    }

    /// A complete answer: fresh from now on, all failures forgotten.
    pub(crate) fn success(&self, ttl: Option<Duration>) -> Write {
        let fresh_until = self.now.plus(self.lifetime(ttl.unwrap_or(self.definition.policy.ttl)));
        Write {
            definition: self.definition.note(),
            complete: true,
            pending: Vec::new(),
            answers_invalidation: true,
            fetched_at: Some(self.now),
            absent_at: None,
            fresh_until: Some(fresh_until),
            due_at: fresh_until,
            attempts: 0,
            faults: 0,
            last_error: None,
            tags: Some(self.definition.tags.clone()),
            ..self.unchanged(Outcome::Updated)
        }
    }

    fn lifetime(&self, ttl: Duration) -> Duration {
        let policy = &self.definition.policy;
        let jitter = policy.jitter.clamp(0.0, 1.0);
        ttl.min(policy.lifetime_max()).mul_f64(1.0 - jitter * self.chance.clamp(0.0, 1.0))
    }

    /// Nothing came: what was held is held, and the next attempt has its time.
    fn failure(&self, error: &FetchError) -> Write {
        let entry = &self.before.entry;
        let policy = &self.definition.policy;
        // Failures under another definition say nothing about this one.
        let (attempts, faults) =
            if entry.was_tried_for(self.definition) { (entry.attempts, entry.faults) } else { (0, 0) };
        let attempts = attempts.saturating_add(1);
        let faults = if error.counts() { faults.saturating_add(1) } else { faults };
        let due_at = if faults >= policy.attempts {
            self.now.plus(policy.ttl)
        } else {
            let by_backoff = self.now.plus(backoff(policy, attempts, self.chance));
            match error.retry() {
                Retry::At(at) => by_backoff.max(at.min(self.now.plus(RETRY_AFTER_MAX))),
                Retry::Now | Retry::Later => by_backoff,
            }
        };
        Write {
            due_at,
            attempts,
            faults,
            last_error: Some(self.told(error)),
            ..self.unchanged(Outcome::Failed)
        }
    }

    /// The failure as people are told of it. That a host is left alone says less than why: what the entry
    /// met of it before stays.
    fn told(&self, error: &FetchError) -> Failure {
        let met = self.before.entry.last_error.as_ref().filter(|met| met.is_of_a_call());
        match (error, met) {
            (FetchError::BreakerOpen { .. }, Some(met)) => Failure { at: self.now, ..met.clone() },
            _ => error.at(self.now),
        }
    }

    /// Only all of what this definition asks for can be found unchanged.
    fn can_be_unmodified(&self) -> bool {
        let entry = &self.before.entry;
        let is_whole = entry.has_data() && entry.complete && entry.absent_at.is_none();
        is_whole && !self.subset && !entry.is_edited(self.definition)
    }

    /// The same answer once more, which confirms whoever was gone in it.
    fn not_modified(&self, ttl: Option<Duration>, cursor: Option<String>) -> Write {
        let members = &self.before.members;
        let is_shown = |member: &&Member| member.state == MemberState::Shown;
        let left: Vec<MemberWrite> =
            members.iter().filter(is_shown).map(|member| keep(member, member.state)).collect();
        let members = (left.len() < members.len()).then_some(left);
        let success = self.success(ttl);
        let cursor = cursor.or_else(|| success.cursor.clone());
        Write { outcome: Outcome::NotModified, members, cursor, ..success }
    }

    /// The whole entry is gone: remembered for a short while; data that is held goes when a second
    /// answer, after that while, says so again.
    fn absent(&self, absence: &Absence) -> Write {
        let entry = &self.before.entry;
        let negative_ttl = self.definition.policy.negative_ttl;
        let until = self.now.plus(negative_ttl);
        let first_said = entry.absent_at.filter(|at| *at <= self.now && entry.has_data());
        let confirmed = !entry.has_data() || first_said.is_some_and(|at| self.now.since(at) >= negative_ttl);
        let warning = Warning {
            about: entry.key.to_string(),
            code: absence.code.clone(),
            message: absence.message.clone(),
        };
        let base = Write {
            absent_at: Some(first_said.filter(|_| !confirmed).unwrap_or(self.now)),
            fresh_until: Some(until),
            due_at: until,
            // If it comes back, all of it must be fetched to be shown again.
            validators: Validators::default(),
            cursor: None,
            warnings: vec![warning],
            outcome: Outcome::Absent,
            ..self.success(None)
        };
        if confirmed {
            return Write { fetched_at: None, body: None, members: Some(Vec::new()), ..base };
        }
        let hidden = self.before.members.iter().map(|member| {
            let is_hidden = absence.may_be_refusal && !member.item.scope.is_public();
            let state = if is_hidden { MemberState::Hidden } else { member.state };
            keep(member, state)
        });
        Write { fetched_at: entry.fetched_at, members: Some(hidden.collect()), ..base }
    }

    /// The entry's own document, if it can be kept; if not, the one that is held stays.
    pub(crate) fn body(&self, body: Option<Json>, warnings: &mut Vec<Warning>) -> Option<Json> {
        let key = self.before.entry.key.as_str();
        let unfit = match bounds::admit_doc(body?) {
            Ok(body) => return Some(body),
            Err(unfit) => unfit,
        };
        warnings.push(bounds::warning(key, self.before.entry.body.is_some(), &unfit));
        None
    }

    fn items(&self, listing: Listing) -> Write {
        let Listing { answers, whole, public_only, elsewhere, body, validators, mut warnings, mut tags, ttl } =
            listing;
        let body = self.body(body, &mut warnings);
        let sorting = Sorting::new(self.before, self.definition, &elsewhere);
        let answers = sorting.note_silence(answers, self.subset, whole);
        let answers = if public_only { sorting.keep_private(answers, whole) } else { answers };
        let answers = sorting.distrust_mass_absence(answers, whole);
        let nothing_came =
            !answers.is_empty() && answers.iter().all(|answer| matches!(answer.finding, Finding::Unknown(_)));
        let mut sorted = if self.subset { sorting.around(answers) } else { sorting.all(answers, whole) };
        sorted.warnings.splice(0..0, warnings);
        if let (true, Some(error)) = (nothing_came, &sorted.error) {
            let pending = if self.before.entry.has_data() { sorted.pending } else { Vec::new() };
            return Write { complete: false, pending, warnings: sorted.warnings, ..self.failure(error) };
        }
        tags.extend(self.definition.tags.iter().cloned());
        let success = self.success(ttl);
        let settled = Write {
            body: body.or(success.body.clone()),
            validators,
            warnings: sorted.warnings,
            members: Some(sorted.members),
            items: sorted.items,
            tags: Some(tags),
            ..success
        };
        let settled = if self.subset { self.keep_age(settled) } else { settled };
        match sorted.error {
            None => settled,
            Some(error) => self.partial(settled, &error, sorted.pending),
        }
    }

    /// Only some items were asked for: the entry as a whole is no younger for it.
    fn keep_age(&self, write: Write) -> Write {
        let entry = &self.before.entry;
        Write {
            answers_invalidation: false,
            definition: entry.definition.clone(),
            fetched_at: entry.fetched_at,
            fresh_until: entry.fresh_until,
            due_at: entry.fresh_until.unwrap_or(write.due_at),
            validators: entry.validators.clone(),
            tags: None,
            ..write
        }
    }

    /// Some items are still unknown: what came is in, and they are retried by backoff.
    fn partial(&self, settled: Write, error: &FetchError, pending: Vec<Arc<str>>) -> Write {
        let failure = self.failure(error);
        Write {
            outcome: Outcome::Partial,
            complete: false,
            pending,
            // An incomplete answer must not be taken for unchanged the next time.
            validators: Validators::default(),
            due_at: failure.due_at,
            attempts: failure.attempts,
            faults: failure.faults,
            last_error: failure.last_error,
            ..settled
        }
    }
}

pub(crate) fn keep(member: &Member, state: MemberState) -> MemberWrite {
    MemberWrite { asked: member.asked.clone(), state, item: member.item.of.clone() }
}
