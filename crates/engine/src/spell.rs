//! Bad times of a store, and when they are worth a line in the log: once when one begins and once when
//! it is over, however many calls meet it, and not at every turn of one that comes and goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use larder_core::{StoreError, Time};

/// What was told is not told again for so long, if it comes and goes …
pub(crate) const QUIET_FOR: Duration = Duration::from_mins(1);

/// … unless it stays for so long.
const STAYS_FOR: Duration = Duration::from_secs(10);

const NEVER: i64 = i64::MIN;

/// A time in which something is not as it should be.
pub(crate) struct Spell {
    /// Since when, in ms; [`NEVER`] = all is well.
    since: AtomicI64,
    is_told: AtomicBool,
    /// When one was told of last.
    told_at: AtomicI64,
}

impl Spell {
    pub(crate) const fn new() -> Self {
        Spell {
            since: AtomicI64::new(NEVER),
            is_told: AtomicBool::new(false),
            told_at: AtomicI64::new(NEVER),
        }
    }

    /// Since when; `None` = all is well.
    pub(crate) fn since(&self) -> Option<Time> {
        let since = self.since.load(Ordering::SeqCst);
        (since != NEVER).then(|| Time::from_ms(since))
    }

    /// It is so. Answers whether that is to be told.
    pub(crate) fn is_on(&self, now: Time) -> bool {
        let began = self.since.compare_exchange(NEVER, now.ms(), Ordering::SeqCst, Ordering::SeqCst);
        let since = match began {
            Ok(_) => now,
            Err(since) => Time::from_ms(since),
        };
        let told_at = self.told_at.load(Ordering::SeqCst);
        // One from the future comes from a clock that was set back.
        let was_told_lately =
            told_at <= now.ms() && told_at != NEVER && now.since(Time::from_ms(told_at)) < QUIET_FOR;
        let is_news = !was_told_lately || now.since(since) >= STAYS_FOR;
        let tells = is_news && !self.is_told.swap(true, Ordering::SeqCst);
        if tells {
            self.told_at.store(now.ms(), Ordering::SeqCst);
        }
        tells
    }

    /// All is well. Answers whether that is to be told: its beginning was.
    pub(crate) fn is_over(&self) -> bool {
        // Read before it is written: readers on many threads share this line.
        self.since.load(Ordering::SeqCst) != NEVER
            && self.since.swap(NEVER, Ordering::SeqCst) != NEVER
            && self.is_told.swap(false, Ordering::SeqCst)
    }
}

/// In which ways the store says no, each with when it did so last.
#[derive(Default)]
pub(crate) struct Troubles {
    are_any: AtomicBool,
    last: Mutex<BTreeMap<&'static str, Time>>,
}

impl Troubles {
    /// A call failed. Answers whether none did in that way lately.
    pub(crate) fn met(&self, error: &StoreError, now: Time) -> bool {
        let Some(way) = way(error) else { return false };
        self.are_any.store(true, Ordering::SeqCst);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(way, now).is_none()
    }

    /// The ways in which no call failed for [`QUIET_FOR`].
    pub(crate) fn passed(&self, now: Time) -> Vec<&'static str> {
        if !self.are_any.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_past = |at: &Time| now.since(*at) >= QUIET_FOR;
        let past = last.iter().filter(|(_, at)| is_past(at)).map(|(way, _)| *way).collect();
        last.retain(|_, at| !is_past(at));
        self.are_any.store(!last.is_empty(), Ordering::SeqCst);
        past
    }
}

/// What the store's no is called, where nobody else tells of it.
fn way(error: &StoreError) -> Option<&'static str> {
    Some(match error {
        StoreError::Unreachable { .. } => "it broke off",
        StoreError::Full { .. } | StoreError::ReadOnly { .. } => return None,
        StoreError::Busy { .. } | StoreError::Held { .. } => "it is in use",
        StoreError::Slow { .. } => "it takes too long",
        StoreError::Stopped { .. } => "it was stopped",
        StoreError::Crowded { .. } => "it takes no more connections",
        StoreError::Denied { .. } => "it does not let us",
        StoreError::Foreign { .. } | StoreError::TooNew { .. } => "it is another's",
        StoreError::Corrupt { .. } | StoreError::BadRow { .. } => "it is damaged",
        StoreError::Failed { .. } => "it failed",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_ms(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn what_comes_and_goes_is_told_once_a_minute_and_what_stays_is_told() {
        let spell = Spell::new();
        assert!(spell.is_on(at(0)) && !spell.is_on(at(1)));
        assert!(spell.is_over() && !spell.is_over());
        assert!(!spell.is_on(at(2)) && !spell.is_over(), "it comes and goes");
        assert!(!spell.is_on(at(3)));
        assert_eq!(spell.since(), Some(at(3)));
        assert!(spell.is_on(at(13)), "this time it stays");
        assert!(spell.is_over());
        assert_eq!(spell.since(), None);
        assert!(spell.is_on(at(80)), "it is another");
    }

    #[test]
    fn a_no_is_told_once_in_each_way_and_again_when_it_had_passed() {
        let troubles = Troubles::default();
        let failed = StoreError::Failed { place: "db".to_owned(), attempted: "read", cause: "no".to_owned() };
        let crowded =
            StoreError::Crowded { place: "db".to_owned(), attempted: "read", cause: "no".to_owned() };
        assert!(troubles.met(&failed, at(0)) && troubles.met(&crowded, at(0)));
        assert!(!troubles.met(&failed, at(30)));
        assert_eq!(troubles.passed(at(60)), ["it takes no more connections"]);
        assert_eq!(troubles.passed(at(90)), ["it failed"]);
        assert!(troubles.passed(at(91)).is_empty());
        assert!(troubles.met(&failed, at(91)));
    }
}
