//! What one who wants a refresh does while another process is at it: one pure decision from the row, the
//! wish and the time.

use crate::{Entry, Mode, Time};

/// A wish for a refresh that met another's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// The wish's mode: a hand is content with nothing that began before it asked.
    pub mode: Mode,
    /// The `began` of the row that the wish is based on: whatever began later fulfils it. `None` =
    /// the store's own word that it is due, which only a refresh from then on fulfils.
    pub began_seen: Option<u64>,
    /// The number of the lease that was met first: what is begun under a later one began after the
    /// wish.
    pub met: u64,
    /// When whoever holds the lease now must have come to an end.
    pub give_up_at: Time,
}

/// What one who follows another's refresh does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Look again in a while.
    Wait,
    /// Ask for the lease: nobody holds it.
    Acquire,
    /// The row fulfils the wish.
    Land,
    /// It takes too long.
    GiveUp,
}

/// Decides by the followed row; `None` = there is none any more. Pure.
pub fn follow(entry: Option<&Entry>, following: &Following, now: Time) -> NextStep {
    let Some(entry) = entry else { return NextStep::Acquire };
    let fulfils = match (following.mode, following.began_seen) {
        // A forced refresh takes only what began after it was asked for.
        (Mode::Forced, _) => entry.began > following.met,
        (_, Some(seen)) => entry.began > seen,
        (_, None) => entry.began >= following.met,
    };
    let is_held = entry.lease.as_ref().is_some_and(|lease| lease.is_live(now));
    match (fulfils && entry.has_data(), is_held) {
        (true, _) => NextStep::Land,
        (false, false) => NextStep::Acquire,
        (false, true) if now >= following.give_up_at => NextStep::GiveUp,
        (false, true) => NextStep::Wait,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Key, KeyError, Lease, Token};

    const NOW: Time = Time::from_ms(1_000_000);

    fn row(began: u64, lease_left_s: u64) -> Result<Entry, KeyError> {
        let key = Key::new("fake", &["one"])?;
        let lease = Lease {
            key: key.clone(),
            owner: "other".into(),
            until: NOW.plus(Duration::from_secs(lease_left_s)),
            length: Duration::from_secs(15),
            token: Token { epoch: 1, seq: 7 },
        };
        let fetched_at = (began > 0).then_some(NOW);
        Ok(Entry { began, fetched_at, lease: Some(lease), ..Entry::empty(key, NOW) })
    }

    #[test]
    fn who_follows_takes_what_began_late_enough_and_else_the_lease_when_it_is_free() -> Result<(), KeyError> {
        let reader = Following {
            mode: Mode::Normal,
            began_seen: Some(3),
            met: 7,
            give_up_at: NOW.plus(Duration::from_secs(45)),
        };
        let due = Following { began_seen: None, ..reader };
        let hand = Following { mode: Mode::Forced, ..due };
        let stuck = Following { give_up_at: NOW, ..reader };
        let cases = [
            (reader, 3, 5, NextStep::Wait),
            (reader, 3, 0, NextStep::Acquire),
            (reader, 4, 5, NextStep::Land),
            (reader, 4, 0, NextStep::Land),
            (stuck, 3, 5, NextStep::GiveUp),
            (stuck, 3, 0, NextStep::Acquire),
            (due, 6, 5, NextStep::Wait),
            (due, 7, 5, NextStep::Land),
            (hand, 7, 5, NextStep::Wait),
            (hand, 7, 0, NextStep::Acquire),
            (hand, 8, 5, NextStep::Land),
        ];
        for (following, began, left, expected) in cases {
            let found = follow(Some(&row(began, left)?), &following, NOW);
            assert_eq!(found, expected, "{following:?}, began {began}, {left} s left");
        }
        assert_eq!(follow(None, &reader, NOW), NextStep::Acquire, "it was evicted");
        Ok(())
    }
}
