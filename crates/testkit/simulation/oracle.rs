//! The reference store beside the real one: it is told the same, and must answer the same. Numbers of
//! the sequence differ from store to store, so they are compared by what they stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use larder_core::{
    Acquired, Commit, Committed, Configured, Entry, Key, Lease, LeaseAsk, Met, Reconciled, Retention, Row,
    Store, Stored, Swept, Target, Time, Token, Trigger,
};
use larder_testkit::MemoryStore;

use super::store::now;

/// The reference, and which of its tokens stands for which of the real store's.
#[derive(Default)]
pub(crate) struct Oracle {
    store: MemoryStore,
    tokens: BTreeMap<u64, Token>,
}

type Seen = Result<(), String>;

impl Oracle {
    pub(crate) fn lookup(&mut self, keys: &[Key], rows: &[Option<Stored>]) -> Seen {
        let expected = now(self.store.lookup(keys)).unwrap();
        for (row, expected) in rows.iter().zip(&expected) {
            same("a row", &row.as_ref().map(|row| self.plain(row)), &expected.as_ref().map(bare))?;
        }
        Ok(())
    }

    pub(crate) fn acquire(&mut self, asks: &[LeaseAsk], at: Time, acquired: &[Acquired]) -> Seen {
        let asks: Vec<LeaseAsk> = asks
            .iter()
            .map(|ask| LeaseAsk {
                unless_newer_than: ask.unless_newer_than.map(|began| self.ours(began)),
                ..ask.clone()
            })
            .collect();
        let expected = now(self.store.acquire(&asks, at)).unwrap();
        for (one, expected) in acquired.iter().zip(&expected) {
            if let (Acquired::Granted(real, _), Acquired::Granted(ours, _)) = (one, expected) {
                self.tokens.insert(real.token.seq, ours.token);
            }
            let plain = match one {
                Acquired::Granted(lease, row) => {
                    Acquired::Granted(self.lease(lease), Box::new(self.plain(row)))
                }
                Acquired::Held(lease) => Acquired::Held(self.lease(lease)),
                Acquired::Newer(row) => Acquired::Newer(Box::new(self.plain(row))),
            };
            let expected = match expected {
                Acquired::Granted(lease, row) => Acquired::Granted(lease.clone(), Box::new(bare(row))),
                Acquired::Newer(row) => Acquired::Newer(Box::new(bare(row))),
                held @ Acquired::Held(_) => held.clone(),
            };
            same("a lease", &plain, &expected)?;
        }
        Ok(())
    }

    pub(crate) fn renew(&mut self, leases: &[Lease], at: Time, renewed: &[bool]) -> Seen {
        let leases: Vec<Lease> = leases.iter().map(|lease| self.lease(lease)).collect();
        same("renewals", &renewed.to_vec(), &now(self.store.renew(&leases, at)).unwrap())
    }

    pub(crate) fn commit(&mut self, commit: &Commit, committed: Committed) -> Seen {
        let ours = Commit { lease: self.lease(&commit.lease), ..commit.clone() };
        let key = commit.lease.key.clone();
        same(&format!("a commit of {key}"), &committed, &now(self.store.commit(ours)).unwrap())
    }

    pub(crate) fn mark_due(&mut self, keys: &[Key], trigger: Trigger, at: Time, marked: u64) -> Seen {
        same("marks", &marked, &now(self.store.mark_due(keys, trigger, at)).unwrap())
    }

    pub(crate) fn invalidate(&mut self, target: &Target, at: Time, met: Met) -> Seen {
        same("an invalidation", &met, &now(self.store.invalidate(target, at)).unwrap())
    }

    pub(crate) fn evict(&mut self, target: &Target, at: Time, evicted: u64) -> Seen {
        same("an eviction", &evicted, &now(self.store.evict(target, at)).unwrap())
    }

    pub(crate) fn replay(&mut self, target: &Target, at: Time, replayed: u64) -> Seen {
        same("a replay", &replayed, &now(self.store.replay(target, at)).unwrap())
    }

    pub(crate) fn reconcile(
        &mut self,
        source: &str,
        configured: &[Configured],
        at: Time,
        reconciled: Reconciled,
    ) -> Seen {
        same("a comparison", &reconciled, &now(self.store.reconcile(source, configured, at)).unwrap())
    }

    pub(crate) fn sweep(&mut self, retention: &Retention, at: Time, swept: Swept) -> Seen {
        let expected = now(self.store.sweep(retention, at)).unwrap();
        same(
            "a sweep",
            &(swept.entries, swept.items, swept.log),
            &(expected.entries, expected.items, expected.log),
        )
    }

    pub(crate) fn rows(
        &mut self,
        source: Option<&str>,
        after: Option<&Key>,
        limit: usize,
        rows: &[Row],
    ) -> Seen {
        let expected = now(self.store.rows(source, after, limit)).unwrap();
        let plain = |row: &Row, entry: Stored| (entry.entry, row.unconfigured_since, row.touched_at);
        let stored = |row: &Row| Stored { entry: row.entry.clone(), members: Vec::new() };
        let ours: Vec<_> = rows.iter().map(|row| plain(row, self.plain(&stored(row)))).collect();
        let expected: Vec<_> = expected.iter().map(|row| plain(row, bare(&stored(row)))).collect();
        same("the rows", &ours, &expected)
    }

    pub(crate) fn due(&mut self, at: Time, limit: usize, due: &[Key]) -> Seen {
        let expected = now(self.store.due(at, limit)).unwrap();
        let in_any_order = |keys: &[Key]| keys.iter().cloned().collect::<BTreeSet<Key>>();
        // Since when an entry is due follows from which invalidation ended its wait, and that a store
        // may say as it likes; so does the order, and who is beyond the limit.
        same("how much is due", &due.len(), &expected.len())?;
        if due.len() < limit {
            same("what is due", &in_any_order(due), &in_any_order(&expected))?;
        }
        Ok(())
    }

    /// The whole feed, entry by entry: within one commit its lines may stand in any order.
    pub(crate) fn feed(&self, real: &dyn Store) -> Seen {
        let lines = |store: &dyn Store| {
            let changes = now(store.changes(0, usize::MAX >> 1)).unwrap();
            let mut by_subject: BTreeMap<String, Vec<(String, u64, Time)>> = BTreeMap::new();
            for line in changes.lines {
                by_subject.entry(line.on.to_string()).or_default().push((line.what, line.version, line.at));
            }
            (changes.reset, by_subject)
        };
        same("the feed", &lines(real), &lines(&self.store))
    }

    fn ours(&self, seq: u64) -> u64 {
        self.tokens.get(&seq).map_or(0, |token| token.seq)
    }

    fn lease(&self, lease: &Lease) -> Lease {
        let never = Token { epoch: 0, seq: 0 };
        Lease { token: self.tokens.get(&lease.token.seq).copied().unwrap_or(never), ..lease.clone() }
    }

    /// A row of the real store, in the reference's numbers.
    fn plain(&self, row: &Stored) -> Stored {
        let mut row = row.clone();
        let invalidated = row.entry.is_invalidated();
        row.entry.began = self.ours(row.entry.began);
        without_numbers(&mut row.entry, invalidated);
        row.entry.lease = row.entry.lease.as_ref().map(|lease| self.lease(lease));
        row
    }
}

/// A row of the reference, with what cannot be compared by its number.
fn bare(row: &Stored) -> Stored {
    let mut row = row.clone();
    let invalidated = row.entry.is_invalidated();
    without_numbers(&mut row.entry, invalidated);
    row
}

/// Of an invalidation, whether there is one is all that is compared: since which of several, and which
/// of them ended a wait first, a store may say as it likes.
fn without_numbers(entry: &mut Entry, invalidated: bool) {
    // Where there is nothing, nothing is stale.
    let says_something = entry.has_data() || entry.absent_at.is_some();
    entry.invalidated = u64::from(invalidated && says_something);
    if invalidated && says_something {
        entry.due_at = Time::default();
    }
}

fn same<T: Debug + PartialEq>(what: &str, real: &T, expected: &T) -> Seen {
    if real == expected {
        return Ok(());
    }
    Err(format!(
        "{what} differs from the reference:\n  the store:     {real:?}\n  the reference: {expected:?}"
    ))
}
