//! Who holds what, seen from outside: the store's word on each lease is taken down, and compared with
//! what it said before. Nothing here asks the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Key, Lease, Time};

/// A store may take a caller's clock for this much behind.
const SLACK: Duration = Duration::from_mins(1);

/// All leases that were granted.
#[derive(Default)]
pub(crate) struct Leases {
    newest: u64,
    held: BTreeMap<Key, Grant>,
    /// By number: when the commit under it was done, and how often a fetch began.
    fetched: HashMap<u64, Fetched>,
    /// By entry, the number under which what it holds was committed.
    filled: BTreeMap<Key, u64>,
    /// When an entry was marked by an event, and when a fetch of it began last, in steps.
    wanted: BTreeMap<Key, u64>,
    begun: BTreeMap<Key, u64>,
    /// Fetches under way: entry, process, number of the lease.
    flying: Vec<(Key, Arc<str>)>,
}

/// The lease that was granted last on an entry.
struct Grant {
    seq: u64,
    owner: Arc<str>,
    until: Time,
    length: Duration,
    /// Committed, let go of, or removed with its row.
    ended: bool,
}

#[derive(Default)]
struct Fetched {
    /// Milliseconds that had passed when it was committed.
    committed: Option<u64>,
}

impl Grant {
    /// Whether nobody else may be granted it now.
    fn binds(&self, now: Time) -> bool {
        !self.ended && now < self.until && self.until.since(now) <= self.length
    }
}

/// What a grant was.
#[derive(PartialEq, Eq)]
pub(crate) enum Granted {
    /// Nobody held it.
    Free,
    /// Its holder was silent for longer than it may be.
    TakenOver,
}

impl Leases {
    /// A lease was granted to a caller whose clock said `now`.
    pub(crate) fn granted(&mut self, lease: &Lease, now: Time) -> Result<Granted, String> {
        let seq = lease.token.seq;
        if seq <= self.newest {
            return Err(format!("{}: the token {seq} is not above {}", lease.key, self.newest));
        }
        self.newest = seq;
        let before = self.held.get(&lease.key);
        if let Some(before) = before.filter(|before| before.binds(now)) {
            return Err(format!(
                "{}: {} was granted the lease that {} holds until {}, at {now}",
                lease.key, lease.owner, before.owner, before.until
            ));
        }
        let what =
            if before.is_some_and(|before| !before.ended) { Granted::TakenOver } else { Granted::Free };
        let grant =
            Grant { seq, owner: lease.owner.clone(), until: lease.until, length: lease.length, ended: false };
        self.held.insert(lease.key.clone(), grant);
        Ok(what)
    }

    /// A lease was renewed.
    pub(crate) fn renewed(&mut self, lease: &Lease, now: Time) -> Result<(), String> {
        let seq = lease.token.seq;
        match self.held.get_mut(&lease.key) {
            Some(grant) if grant.seq == seq && !grant.ended => {
                grant.until = now.plus(lease.length);
                Ok(())
            }
            Some(_) | None => Err(format!("{}: a lost lease ({seq}) was renewed", lease.key)),
        }
    }

    /// An attempt was admitted, or let go of.
    pub(crate) fn committed(
        &mut self,
        lease: &Lease,
        writes: bool,
        now: Time,
        passed: u64,
    ) -> Result<(), String> {
        let (key, seq) = (&lease.key, lease.token.seq);
        let done = self.fetched.entry(seq).or_default();
        if writes && done.committed.replace(passed).is_some() {
            return Err(format!("{key}: two commits were admitted under the token {seq}"));
        }
        let Some(grant) = self.held.get_mut(key).filter(|grant| grant.seq == seq && !grant.ended) else {
            return Err(format!("{key}: a commit was admitted under the lost token {seq}"));
        };
        // The caller's clock may have been read before a later caller's.
        let late = now.since(grant.until.plus(SLACK)) > Duration::ZERO;
        grant.ended = true;
        if writes && (late || now >= grant.until) {
            return Err(format!(
                "{key}: a commit was admitted at {now}, past its lease's end {}",
                grant.until
            ));
        }
        Ok(())
    }

    /// What a row holds from now on was committed under this lease.
    pub(crate) fn filled(&mut self, lease: &Lease) {
        self.filled.insert(lease.key.clone(), lease.token.seq);
    }

    /// A row was read: nothing that was committed is lost.
    pub(crate) fn seen(&self, key: &Key, began: u64) -> Result<(), String> {
        let filled = self.filled.get(key).copied().unwrap_or(0);
        if began == filled {
            return Ok(());
        }
        Err(format!("{key}: it was committed under {filled}, and is read as of {began}"))
    }

    /// Rows that are gone took their leases along.
    pub(crate) fn gone(&mut self, is_there: impl Fn(&Key) -> bool) {
        self.filled.retain(|key, _| is_there(key));
        self.wanted.retain(|key, _| is_there(key));
        for (key, grant) in &mut self.held {
            grant.ended |= !is_there(key);
        }
    }

    /// When what the row holds was committed, in milliseconds that had passed.
    pub(crate) fn committed_at(&self, began: u64) -> Option<u64> {
        self.fetched.get(&began)?.committed
    }

    /// An event marked an entry.
    pub(crate) fn wanted(&mut self, key: &Key, tick: u64) {
        self.wanted.insert(key.clone(), tick);
    }

    /// Entries that an event marked, and no fetch began since.
    pub(crate) fn neglected(&self) -> Vec<Key> {
        let begun = |key: &Key| self.begun.get(key).copied().unwrap_or(0);
        self.wanted.iter().filter(|(key, tick)| begun(key) < **tick).map(|(key, _)| key.clone()).collect()
    }

    /// A fetch begins.
    pub(crate) fn fetch_begins(&mut self, key: &Key, who: &Arc<str>, tick: u64) -> Result<(), String> {
        self.begun.insert(key.clone(), tick);
        let twice = self.flying.iter().any(|(other, by)| other == key && by == who);
        let granted = self.held.get(key).is_some_and(|grant| grant.owner == *who);
        let overtaken = self.held.get(key).map(|grant| grant.owner.clone());
        self.flying.push((key.clone(), who.clone()));
        match (twice, granted) {
            (true, _) => Err(format!("{key}: {who} fetches it twice at once")),
            // It may have been taken over since, but then somebody must have been granted it.
            (false, false) if overtaken.is_none() => Err(format!("{key}: {who} fetches it without a lease")),
            (false, _) => Ok(()),
        }
    }

    /// A fetch has ended, or was dropped.
    pub(crate) fn fetch_ends(&mut self, key: &Key, who: &Arc<str>) {
        if let Some(place) = self.flying.iter().position(|(other, by)| other == key && by == who) {
            self.flying.remove(place);
        }
    }
}
