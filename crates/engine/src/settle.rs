//! How an attempt ends: absorb → commit → announce, and the flight lands. Failures and releases pass
//! the same door.

use std::sync::Arc;

use larder_core::{
    Attempt, Commit, Committed, Extent, FetchError, Fetched, ItemCounts, Key, Lease, LogLine, Outcome, Spent,
    StoreError, Stored, Time, Token, absorb,
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

impl Inner {
    /// Absorbs an answer, commits it, announces it, lands the flight.
    pub(crate) async fn settle(self: &Arc<Self>, leased: Leased, answer: Answered, started: Time) {
        let (leased, unread) = self.with_members(leased, &answer).await;
        let Leased { flown, lease, before, .. } = leased;
        let Answered { mut result, spent, subset } = answer;
        if let Some(unread) = &unread {
            // An attempt that failed: without a wait after it, it would be made again at once, for ever.
            result = Err(FetchError::Local(format!("what is held of it could not be read: {unread}")));
        }
        let now = self.clock.now();
        let definition = &flown.want.definition;
        let error = result.as_ref().err().cloned();
        let mut write =
            absorb(Attempt { before: &before, definition, subset, result, now, chance: self.chance() });
        if let (Some(unread), Some(failure)) = (&unread, &mut write.last_error) {
            failure.hint = unread.hints().into_iter().next();
        }
        let outcome = write.outcome;
        let failure = write.last_error.clone();
        let log = LogLine {
            error: failure.as_ref().map(|failure| failure.message.clone()),
            ..log_line(&flown.want, outcome.word(), started, now, spent)
        };
        let token = lease.token;
        let committed = self.commit(Commit { lease, write: Some(write), log, now }).await;
        if committed.is_ok() {
            self.forget_copy(&flown.want.key);
            self.committed.notify_one();
        }
        // Memory has the new copy before anybody hears of it.
        let is_told = flown.want.tell == Tell::Row || self.tier().is_some() || !is_done(&committed);
        let looked = if is_told || self.is_index(&flown.want.key) {
            self.look_up(std::slice::from_ref(&flown.want.key)).await
        } else {
            Ok(Vec::new())
        };
        let looked = looked.map(|mut rows| rows.pop().flatten());
        let stored = looked.as_ref().ok().cloned().flatten();
        let result = match committed {
            Ok(Committed::Done { version, .. }) => {
                if let Some(stored) = &stored {
                    self.take_in(stored, flown.want.trigger).await;
                }
                self.announcer.announce(&flown.want.key, outcome, version);
                match (outcome, error, failure) {
                    (Outcome::Failed, Some(error), _) => {
                        Err(unread.map_or(RefreshError::Fetch(error), RefreshError::Store))
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
