//! How an attempt ends: absorb → commit → announce, and the flight lands. Failures and releases pass
//! the same door.

use std::sync::Arc;

use larder_core::{
    Attempt, Commit, Committed, Extent, Failure, FetchError, Fetched, ItemCounts, Key, Lease, LogLine,
    Outcome, Spent, StoreError, Stored, Time, Token, absorb,
};

use crate::RefreshError;
use crate::engine::Inner;
use crate::lease::Leased;
use crate::refresh::{Tell, Want};

/// What a source answered for one ask.
pub(crate) struct Answered {
    pub(crate) result: Result<Fetched, FetchError>,
    pub(crate) spent: Spent,
    pub(crate) subset: bool,
}

/// An answer as it was committed.
struct Kept {
    committed: Result<Committed, StoreError>,
    outcome: Outcome,
    /// What the source failed with, or what stands for what the store did.
    error: Option<FetchError>,
    failure: Option<Failure>,
    /// Whether what is held of the entry is known to be little.
    is_small: bool,
    /// Why it was not kept, though the source answered.
    unkept: Option<Arc<StoreError>>,
}

impl Inner {
    /// Absorbs an answer, commits it, announces it, lands the flight.
    pub(crate) async fn settle(self: &Arc<Self>, leased: Leased, answer: Answered, started: Time) {
        let (leased, unread) = self.with_members(leased, &answer).await;
        let Leased { flown, lease, before, .. } = leased;
        let token = lease.token;
        let kept = self.keep(&flown.want, lease, &before, answer, started, unread).await;
        let Kept { committed, outcome, error, failure, is_small, unkept } = kept;
        if committed.is_ok() {
            self.forget_copy(&flown.want.key);
            self.committed.notify_one();
        }
        // Memory has the new copy before anybody hears of it.
        let is_told = flown.want.tell == Tell::Row || self.tier().is_some() || !is_done(&committed);
        let (key, trigger) = (&flown.want.key, flown.want.trigger);
        let looked = match self.source_of_index(key).filter(|_| is_done(&committed)) {
            Some(source) => self.look_up_index(&**source, key, trigger).await,
            None if is_told && is_small && is_done(&committed) => self.look_up_gathered(key).await,
            None if is_told => self.look_up_one(key).await,
            None => Ok(None),
        };
        let stored = looked.as_ref().ok().cloned().flatten();
        let result = match committed {
            Ok(Committed::Done { version, .. }) => {
                self.announcer.announce(&flown.want.key, outcome, version);
                match (outcome, error, failure) {
                    (Outcome::Failed, Some(error), _) => {
                        Err(unkept.map_or(RefreshError::Fetch(error), RefreshError::Store))
                    }
                    (Outcome::Failed, None, Some(failure)) => Err(RefreshError::Held(Box::new(failure))),
                    _ => Ok(outcome),
                }
            }
            Ok(Committed::Superseded) => match looked {
                Ok(row) => {
                    if let Some(theirs) = row.as_deref().and_then(|row| who_took_over(row, token)) {
                        return self.follow_who_took_over(flown, token, theirs);
                    }
                    refused(row.as_deref(), token)
                }
                Err(error) => Err(RefreshError::Store(error)),
            },
            Err(error) => {
                tracing::warn!(key = %flown.want.key, %error, "a result could not be stored");
                Err(RefreshError::Store(Arc::new(error)))
            }
        };
        flown.land(result, stored);
    }

    /// Absorbs an answer and commits it; where it cannot be read beside what is held (`unread` says why), or the
    /// store does not take it, as an attempt that failed. Without a wait after that it would be made again at
    /// once, or as soon as the lease has ended, for ever.
    async fn keep(
        &self,
        want: &Want,
        lease: Lease,
        before: &Stored,
        answer: Answered,
        started: Time,
        unread: Option<Arc<StoreError>>,
    ) -> Kept {
        let Answered { result, spent, subset } = answer;
        let failed = |what: &str, why: &StoreError| Answered {
            result: Err(FetchError::Local(format!("{what}: {why}"))),
            spent,
            subset,
        };
        if let Some(why) = unread {
            let answer = failed("what is held of it could not be read", &why);
            return self.keep_once(want, lease, before, answer, started, Some(why)).await;
        }
        let answer = Answered { result, spent, subset };
        let kept = self.keep_once(want, lease.clone(), before, answer, started, None).await;
        let Err(why) = &kept.committed else { return kept };
        if !may_take_less(why) {
            return kept;
        }
        tracing::warn!(key = %want.key, error = %why, "a result could not be stored");
        let (answer, why) = (failed("what was fetched could not be stored", why), Arc::new(why.clone()));
        let less = self.keep_once(want, lease, before, answer, started, Some(why)).await;
        if less.committed.is_ok() { less } else { kept }
    }

    async fn keep_once(
        &self,
        want: &Want,
        lease: Lease,
        before: &Stored,
        answer: Answered,
        started: Time,
        unkept: Option<Arc<StoreError>>,
    ) -> Kept {
        let Answered { result, spent, subset } = answer;
        let now = self.clock.now();
        let error = result.as_ref().err().cloned();
        let (definition, chance) = (&want.definition, self.chance());
        let mut write = absorb(Attempt { before, definition, subset, result, now, chance });
        if let (Some(unkept), Some(failure)) = (&unkept, &mut write.last_error) {
            failure.hint = unkept.hints().into_iter().next();
        }
        let (outcome, failure) = (write.outcome, write.last_error.clone());
        let is_small = self.is_small(before, &write);
        let log = LogLine {
            error: failure.as_ref().map(|failure| failure.message.clone()),
            ..log_line(want, outcome.word(), started, now, spent)
        };
        let committed = self.commit(Commit { lease, write: Some(write), log, now }).await;
        Kept { committed, outcome, error, failure, is_small, unkept }
    }

    /// Sees to it that the members are at hand where the answer may make a difference to them: that all is
    /// as it was makes none, as those of a source that [asks for them](larder_core::Source::extent) are
    /// all shown, and nor does a failure. Answers also why they are not, where they cannot be read.
    async fn with_members(&self, mut leased: Leased, answer: &Answered) -> (Leased, Option<Arc<StoreError>>) {
        let is_moot = matches!(answer.result, Ok(Fetched::NotModified { .. }) | Err(_));
        if is_moot || !leased.before.members.is_empty() {
            return (leased, None);
        }
        let held = leased.held.clone();
        let members = self.within(leased.lease.length, "look members up", held.members()).await;
        match members {
            Ok(members) => {
                leased.before.members = members.to_vec();
                (leased, None)
            }
            Err(error) => (leased, Some(Arc::new(error))),
        }
    }

    /// Lets go of a lease with nothing written but a line in the log.
    pub(crate) async fn let_go(&self, leased: Leased, result: Result<Outcome, RefreshError>, word: &str) {
        let Leased { flown, lease, before, .. } = leased;
        let is_whole = self.extent(&before.entry.key) == Extent::Whole;
        let now = self.clock.now();
        let log = log_line(&flown.want, word, now, now, Spent::default());
        if let Err(error) = self.commit(Commit { lease, write: None, log, now }).await {
            // It ends by itself.
            tracing::warn!(key = %flown.want.key, %error, "a lease could not be let go of");
        }
        self.doubt(&flown.want.key);
        flown.land(result, is_whole.then(|| Arc::new(before)));
    }

    /// Commits, for as long as the lease could hold at the most: after that it would be refused.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let span = commit.lease.length;
        self.within(span, "commit a refresh", self.store.commit(commit)).await
    }

    /// Has memory look an entry up again before it serves it.
    pub(crate) fn doubt(&self, key: &Key) {
        if let Some(tier) = self.tier() {
            tier.doubt(key);
        }
    }

    fn forget_copy(&self, key: &Key) {
        if let Some(tier) = self.tier() {
            tier.drop_copy(key);
        }
    }
}

/// Whether a store that did not take an answer has written nothing of it, and may take that it failed.
fn may_take_less(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Busy { .. }
            | StoreError::Slow { .. }
            | StoreError::Stopped { .. }
            | StoreError::Crowded { .. }
            | StoreError::Full { .. }
            | StoreError::Failed { .. }
    )
}

/// The lease of whoever refreshes the entry now, where their result is not in yet.
fn who_took_over(row: &Stored, own: Token) -> Option<&Lease> {
    row.entry.lease.as_ref().filter(|lease| lease.token != own && row.entry.began <= own.seq)
}

/// What it comes to that a result was refused, by the row as it is now: another's result that is in is as
/// good as ours; a lease that is still ours ended before its time was asked for.
fn refused(row: Option<&Stored>, token: Token) -> Result<Outcome, RefreshError> {
    let Some(Stored { entry, .. }) = row else { return Err(RefreshError::Removed) };
    if entry.began > token.seq {
        return Ok(Outcome::NotModified);
    }
    let is_ours = entry.lease.as_ref().is_some_and(|lease| lease.token == token);
    Err(if is_ours { RefreshError::LeaseEnded } else { RefreshError::Superseded })
}

fn is_done(committed: &Result<Committed, StoreError>) -> bool {
    matches!(committed, Ok(Committed::Done { .. }))
}

fn log_line(want: &Want, outcome: &str, started: Time, now: Time, spent: Spent) -> LogLine {
    LogLine {
        key: want.key.clone(),
        trigger: want.trigger,
        started_at: started,
        duration_ms: now.since(started).as_millis() as u64,
        outcome: outcome.to_owned(),
        items: ItemCounts::default(),
        spent,
        error: None,
    }
}
