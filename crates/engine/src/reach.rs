//! What is known of the store from here: when its feed was last read to the end, and since when it
//! has been out of reach.
//!
//! Memory is believed while the last look at the feed is younger than [`TRUSTED_FOR`]; after that
//! readers ask the store. A store that answers a lookup as one that cannot be reached, or is silent for
//! [`PATIENCE`], is *out of reach*: readers are answered from memory at once, without asking, until
//! whoever follows the store (or a reader, where nobody does) has had an answer again.
//!
//! A store that answers and cannot be written is another matter: readers are served, nothing is
//! refreshed, and the log says so once.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_core::{StoreError, Time};

use crate::spell::{Spell, Troubles};

/// How long after a look at the feed memory is believed.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How long a call of the store may take before it is taken for out of reach.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// How long an entry's private items are shown from memory after the last look at the store: who may
/// see them may have changed since.
pub(crate) const PROVEN_FOR: Duration = Duration::from_mins(5);

/// After this long without another failed try, a reader tries the store itself. Whoever follows a store
/// that hangs tries it more often.
const TRIED_FOR: Duration = Duration::from_secs(2);

/// So long after a try in vain a store is said to be one that cannot be written.
const WRITTEN_FOR: Duration = Duration::from_mins(2);

/// The store is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfReach {
    /// Since when.
    pub since: Time,
    /// When its feed was last read to the end; `None` = never.
    pub looked_at: Option<Time>,
    /// Whether that is recent enough for private items to be shown.
    pub is_proven: bool,
}

/// What is known of the store.
pub(crate) struct Reach {
    /// When the last look at the feed that came to its end had begun, in ms.
    looked_at: AtomicI64,
    /// While it is out of reach.
    out: Spell,
    /// When it was last found to be so.
    tried_at: AtomicI64,
    /// While it cannot be written.
    unwritable: Spell,
    /// When that was last tried in vain, in ms.
    written_at: AtomicI64,
    /// Whether it took a little meanwhile, and no more.
    takes_little: AtomicBool,
    /// What else it says no in.
    troubles: Troubles,
    /// Whether somebody tries whether the store answers, since what they asked takes long.
    is_probed: AtomicBool,
    /// Whether somebody reads what is told: a process that ends with its answer says all in that.
    is_told: AtomicBool,
    error: Mutex<Option<Arc<StoreError>>>,
}

const NEVER: i64 = i64::MIN;

/// What a call writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// What no refresh does, such as a mark: where we may not, refreshes go on. A disk that is full may take it.
    Aside,
    /// A lease: a disk that is full may take that.
    Little,
    /// What a fetch brought.
    Much,
}

impl Reach {
    pub(crate) fn new() -> Self {
        Reach {
            looked_at: AtomicI64::new(NEVER),
            out: Spell::new(),
            unwritable: Spell::new(),
            written_at: AtomicI64::new(NEVER),
            takes_little: AtomicBool::new(false),
            troubles: Troubles::default(),
            is_probed: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            tried_at: AtomicI64::new(NEVER),
            error: Mutex::new(None),
        }
    }

    /// Whether memory may be believed. A look from the future comes from a clock that was set back.
    pub(crate) fn is_trusted(&self, now: Time) -> bool {
        is_recent(self.looked_at.load(Ordering::SeqCst), now, TRUSTED_FOR)
    }

    /// Whether the store answered whoever follows it what they asked at that time or later.
    pub(crate) fn has_answered_since(&self, time: Time) -> bool {
        self.looked_at.load(Ordering::SeqCst) >= time.ms()
    }

    /// The feed was read to its end by a look that had begun at `began`.
    pub(crate) fn looked(&self, began: Time) {
        self.looked_at.store(began.ms(), Ordering::SeqCst);
    }

    /// The store answered. Answers whether that is to be told: that it had been out of reach was.
    pub(crate) fn answered(&self) -> bool {
        self.out.is_over()
    }

    /// A call failed. Answers whether it is to be told that the store is out of reach.
    pub(crate) fn failed(&self, error: &Arc<StoreError>, now: Time) -> bool {
        if !loses_reach(error) {
            return false;
        }
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        self.tried_at.store(now.ms(), Ordering::SeqCst);
        self.out.is_on(now)
    }

    /// As [`answered`](Reach::answered), and tells it.
    pub(crate) fn note_answer(&self) {
        if self.answered() {
            tracing::info!("the store can be reached again");
        }
    }

    /// As [`failed`](Reach::failed), and tells it.
    pub(crate) fn note_failure(&self, error: &Arc<StoreError>, now: Time) {
        if self.failed(error, now) {
            tracing::warn!(%error, "the store is out of reach: memory stands in, and nothing is refreshed");
        } else if loses_reach(error) && !error.is_retryable() {
            // What it was out of reach for before may pass by itself, and this does not.
            self.trouble(error, now);
        }
    }

    /// This process lives long: from now on its log is told what is the matter with the store.
    pub(crate) fn is_told_of(&self) {
        self.is_told.store(true, Ordering::SeqCst);
    }

    /// Tells of what the store says no in, once in each way.
    pub(crate) fn trouble(&self, error: &StoreError, now: Time) {
        if self.is_told.load(Ordering::SeqCst) && self.troubles.met(error, now) {
            let hint = error.hints().join("; ");
            tracing::warn!(%error, %hint, "the store could not be asked; others that fail alike are not told of");
        }
    }

    /// Tells of what is over since a while.
    pub(crate) fn calm(&self, now: Time) {
        for way in self.troubles.passed(now) {
            tracing::info!("the store has not failed so for a minute: {way}");
        }
    }

    /// Something was written, or could not be: that is told when it begins and when it is over.
    pub(crate) fn wrote(&self, writing: Writing, error: Option<&StoreError>, now: Time) {
        match error {
            Some(error @ (StoreError::ReadOnly { .. } | StoreError::Full { .. })) => {
                self.written_at.store(now.ms(), Ordering::SeqCst);
                if writing == Writing::Much {
                    self.takes_little.store(true, Ordering::SeqCst);
                }
                if self.unwritable.is_on(now) && self.is_told.load(Ordering::SeqCst) {
                    let hint = error.hints().join("; ");
                    tracing::warn!(%error, %hint, "the store cannot be written: nothing is refreshed, and reads go on");
                }
            }
            Some(_) => {}
            None => {
                let proves_little = writing != Writing::Much && self.takes_little.load(Ordering::SeqCst);
                if self.unwritable.since().is_none() || proves_little {
                    return;
                }
                self.takes_little.store(false, Ordering::SeqCst);
                if self.unwritable.is_over() && self.is_told.load(Ordering::SeqCst) {
                    tracing::info!("the store can be written again");
                }
            }
        }
    }

    /// Since when it cannot be written; `None` = as far as is known, it can. What nobody has tried lately is not
    /// known.
    pub(crate) fn unwritable_since(&self, now: Time) -> Option<Time> {
        let is_tried = is_recent(self.written_at.load(Ordering::SeqCst), now, WRITTEN_FOR);
        self.unwritable.since().filter(|_| is_tried)
    }

    /// Whether, and since when, it is out of reach.
    pub(crate) fn out(&self, now: Time) -> Option<OutOfReach> {
        self.out.since().map(|since| self.out_since(since, now))
    }

    /// What is to be said where something cannot be had from it since then.
    pub(crate) fn out_since(&self, since: Time, now: Time) -> OutOfReach {
        let looked_at = self.looked_at.load(Ordering::SeqCst);
        OutOfReach {
            since,
            looked_at: (looked_at != NEVER).then(|| Time::from_ms(looked_at)),
            is_proven: is_recent(looked_at, now, PROVEN_FOR),
        }
    }

    /// As [`out`](Reach::out), where that was found out so lately that there is no use in asking.
    pub(crate) fn out_lately(&self, now: Time) -> Option<OutOfReach> {
        self.out(now).filter(|_| is_recent(self.tried_at.load(Ordering::SeqCst), now, TRIED_FOR))
    }

    /// The right to try whether the store answers while what was asked takes long: one at a time has it.
    pub(crate) fn only_probe(&self) -> Option<OnlyProbe<'_>> {
        (!self.is_probed.swap(true, Ordering::SeqCst)).then_some(OnlyProbe(&self.is_probed))
    }

    /// What the store's last failure was.
    pub(crate) fn error(&self) -> Option<Arc<StoreError>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// See [`Reach::only_probe`].
pub(crate) struct OnlyProbe<'a>(&'a AtomicBool);

impl Drop for OnlyProbe<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Whether an error means that nobody can ask the store now, rather than that it said no.
pub(crate) fn loses_reach(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unreachable { .. }
            | StoreError::Busy { .. }
            | StoreError::Slow { .. }
            | StoreError::Stopped { .. }
            | StoreError::Crowded { .. }
            | StoreError::Denied { .. }
            | StoreError::Foreign { .. }
            | StoreError::TooNew { .. }
            | StoreError::Failed { .. }
    )
}

fn is_recent(at: i64, now: Time, span: Duration) -> bool {
    at != NEVER && at <= now.ms() && now.since(Time::from_ms(at)) < span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_believed_for_a_second_and_never_from_the_future() {
        let reach = Reach::new();
        let at = Time::from_ms(1_000_000);
        assert!(!reach.is_trusted(at), "nobody has looked");
        reach.looked(at);
        assert!(reach.is_trusted(at.plus(Duration::from_millis(999))));
        assert!(!reach.is_trusted(at.plus(TRUSTED_FOR)));
        assert!(!reach.is_trusted(at.minus(Duration::from_millis(1))));
    }

    #[test]
    fn only_what_cannot_be_asked_is_out_of_reach_and_only_for_a_while_untried() {
        let reach = Reach::new();
        let at = Time::from_ms(1_000_000);
        let place = || "the store".to_owned();
        let full = StoreError::Full { place: place(), attempted: "write" };
        assert!(!reach.failed(&Arc::new(full), at));
        assert_eq!(reach.out(at), None);
        let gone = StoreError::Unreachable { place: place(), attempted: "read", cause: "gone".to_owned() };
        let gone = Arc::new(gone);
        assert!(reach.failed(&gone, at));
        assert!(!reach.failed(&gone, at.plus(TRUSTED_FOR)), "it was so before");
        let later = at.plus(Duration::from_secs(2));
        assert_eq!(reach.out_lately(later).map(|out| (out.since, out.is_proven)), Some((at, false)));
        assert_eq!(reach.out_lately(later.plus(TRIED_FOR)), None, "it is time to try again");
        assert!(reach.answered());
        assert_eq!(reach.out(later), None);
    }

    #[test]
    fn a_store_that_another_was_put_in_the_place_of_is_out_of_reach() {
        let (reach, at) = (Reach::new(), Time::from_ms(1_000_000));
        let place = || "the store".to_owned();
        let newer = StoreError::TooNew { place: place(), found: 99, known: 1 };
        let anothers = StoreError::Foreign { place: place(), found: "it holds jars".to_owned() };
        for error in [newer, anothers].map(Arc::new) {
            reach.note_failure(&error, at);
            assert!(reach.out(at).is_some(), "{error}");
            reach.note_answer();
        }
    }
}
