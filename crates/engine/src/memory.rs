//! What is answered from memory: hits, and whatever may stand in while the store is out of reach.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{
    Decision, Definition, Failure, Key, Mode, Request, StaleReason, Status, Store, StoreError, Stored, Time,
    decide, may_serve_on_error,
};

use crate::engine::Inner;
use crate::read::reading;
use crate::tier::{Stamp, Tier, shown};
use crate::watched::{PLACE, within};
use crate::{Engine, Hit, OutOfReach, ReadError, Reading};

/// How much memory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySize {
    /// Copies of entries.
    pub entries: u64,
    /// About how many bytes they take.
    pub bytes: u64,
}

/// The word by which readers are told that the store is out of reach.
const STORE_UNREACHABLE: &str = "store_unreachable";

impl Engine {
    /// A number that differs once any entry changed, as far as is known here: what was made of several
    /// entries is good for as long as it is the same. `None` = memory is not to be
    /// believed now, or there is none.
    pub fn edition(&self) -> Option<u64> {
        let tier = self.inner.tier()?;
        self.inner.reach.is_trusted(self.inner.clock.now()).then(|| tier.edition())
    }

    /// Whether the store is out of reach, and since when.
    pub fn out_of_reach(&self) -> Option<OutOfReach> {
        self.inner.reach.out(self.inner.clock.now())
    }

    /// Since when the store cannot be written, as far as those found who tried in the last two minutes; `None` =
    /// it can, or nobody tried. Whoever writes next finds out whether that is over.
    pub fn unwritable_since(&self) -> Option<Time> {
        self.inner.reach.unwritable_since(self.inner.clock.now())
    }

    /// How much memory holds; `None` = there is none.
    pub fn memory(&self) -> Option<MemorySize> {
        let (entries, bytes) = self.inner.tier()?.size();
        Some(MemorySize { entries, bytes })
    }

    /// What memory alone can answer, without a look at the store: a fresh copy, or a stale one whose
    /// refresh failed and waits for its time. `None` = [`read`](Engine::read) it.
    pub fn glance(&self, key: &Key, request: &Request, now: Time) -> Option<Reading> {
        let tier = self.inner.tier()?;
        if request.mode == Mode::Forced || !self.inner.reach.is_trusted(now) {
            return None;
        }
        let stored = tier.get(key)?;
        let definition = self.define(key)?;
        // It may hold what is not shown.
        if stored.entry.is_edited(&definition) {
            return None;
        }
        let (hit, status) = match decide(Some(&stored.entry), &definition, request, now) {
            Decision::Fresh => (Hit::Hit, Status::Fresh),
            Decision::Stale(StaleReason::Backoff(_) | StaleReason::Dead(_)) => (Hit::Stale, Status::Stale),
            _ => return None,
        };
        Some(Reading {
            key: key.clone(),
            hit,
            status,
            refresh: stored.entry.refresh_state(&definition.policy, now),
            error: stored.entry.last_error.clone(),
            out_of_reach: None,
            stored,
            definition,
        })
    }

    /// Answers without the store: what is held, marked stale, for as long as the policy lets a reader
    /// have it when nothing newer can be had.
    pub(crate) fn stand_in(
        &self,
        key: &Key,
        request: &Request,
        out: &OutOfReach,
        now: Time,
    ) -> Result<Reading, ReadError> {
        let definition = self.define(key).ok_or_else(|| ReadError::Unknown(key.clone()))?;
        let held = self.inner.tier().and_then(|tier| tier.get_any(key));
        let offline = Request { mode: Mode::Offline, ..*request };
        let may_be_served = |held: &Arc<Stored>| {
            let decision = decide(Some(&held.entry), &definition, &offline, now);
            matches!(decision, Decision::Fresh | Decision::Stale(_))
                && may_serve_on_error(&held.entry, &definition, &offline, now)
        };
        let proven = held.filter(may_be_served).and_then(|held| provable(held, out));
        let Some(stored) = proven else { return Err(ReadError::Store(self.inner.why_out())) };
        let mut reading = reading(key, stored, definition, now);
        reading.hit = Hit::Stale;
        reading.status = Status::Stale;
        reading.error = Some(failure(out));
        reading.out_of_reach = Some(*out);
        Ok(reading)
    }
}

impl Inner {
    /// Looks entries up; where there is memory to fall back on, only while the store answers anybody at all: an
    /// entry that is large may take long, a store that is silent may not. What came is kept under the stamps
    /// that were taken before.
    pub(crate) async fn look_up(&self, keys: &[Key]) -> Result<Vec<Option<Arc<Stored>>>, Arc<StoreError>> {
        let Some(tier) = self.tier() else {
            let rows = self.store.lookup(keys).await.map_err(Arc::new)?;
            return Ok(rows.into_iter().map(|row| row.map(|stored| Arc::new(shown(stored)))).collect());
        };
        let stamps: Vec<Stamp> = keys.iter().map(|key| tier.stamp(key)).collect();
        let rows = self.watched.bounded().lookup(keys).await?;
        self.note_answer();
        Ok(rows.into_iter().zip(stamps).map(|(row, stamp)| Some(keep(tier, row?, stamp))).collect())
    }

    /// Does `work` of the store's, and takes it for out of reach if it does not come to its end.
    pub(crate) async fn within<T>(
        &self,
        span: Duration,
        attempted: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(&*self.clock, span, attempted, work).await
    }

    /// The store answered.
    pub(crate) fn note_answer(&self) {
        self.reach.note_answer();
    }

    fn why_out(&self) -> Arc<StoreError> {
        let unknown = || StoreError::Unreachable {
            place: PLACE.to_owned(),
            attempted: "look entries up",
            cause: "it did not answer".to_owned(),
        };
        self.reach.error().unwrap_or_else(|| Arc::new(unknown()))
    }
}

/// Keeps what was looked up, if there is anything to serve.
fn keep(tier: &Tier, stored: Stored, stamp: Stamp) -> Arc<Stored> {
    let stored = Arc::new(shown(stored));
    if stored.entry.has_data() { tier.put(stored, stamp) } else { stored }
}

/// A copy as it may be shown while nobody can ask who may see it: all of it for as long as the last
/// look at the store is recent, and after that what is public. Doubt means no: with anything private
/// in it, all words of the entry's own are left out too.
fn provable(stored: Arc<Stored>, out: &OutOfReach) -> Option<Arc<Stored>> {
    if out.is_proven || stored.members.iter().all(|member| member.item.scope.is_public()) {
        let has_a_scope = out.is_proven || !stored.members.is_empty();
        return has_a_scope.then_some(stored);
    }
    let mut stored = Arc::unwrap_or_clone(stored);
    stored.members.retain(|member| member.item.scope.is_public());
    let entry = &mut stored.entry;
    entry.body = None;
    entry.warnings.clear();
    entry.pending.clear();
    entry.last_error = None;
    (!stored.members.is_empty()).then(|| Arc::new(stored))
}

fn failure(out: &OutOfReach) -> Failure {
    Failure {
        code: STORE_UNREACHABLE.to_owned(),
        message: format!(
            "the store cannot be reached since {}; this is the copy from memory",
            out.since.whole_second()
        ),
        hint: Some("see whether the database runs; it is looked for all the time".to_owned()),
        at: out.since,
    }
}

/// Leaves out the members that are hidden, or whose names are no longer configured.
pub(crate) fn visible(stored: Arc<Stored>, definition: &Definition) -> Arc<Stored> {
    // What was committed under this definition has no other names.
    let roster = stored.entry.is_edited(definition).then(|| definition.roster());
    let is_shown = |member: &larder_core::Member| {
        member.state != larder_core::MemberState::Hidden
            && roster.as_ref().is_none_or(|roster| roster.names(&member.asked))
    };
    if stored.members.iter().all(is_shown) {
        return stored;
    }
    let mut stored = Arc::unwrap_or_clone(stored);
    stored.members.retain(is_shown);
    Arc::new(stored)
}
