//! The lease: what makes one flight out of many processes' wishes.
//!
//! A key whose lease another holds is followed: every 50 ms it is asked whether anything happened, and if
//! so the row is looked at, until the other's result is in, or its lease is gone and can be taken over.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use larder_core::{
    Acquired, Decision, Extent, Failure, Following, Held, Key, Lease, LeaseAsk, Mode, NextStep, Outcome,
    Priority, Source, StoreError, Stored, Time, Token, decide, follow,
};

use crate::RefreshError;
use crate::engine::Inner;
use crate::reach::PATIENCE;
use crate::refresh::{Flown, Want};

/// How often waiters ask after a row that another process refreshes.
const POLL: Duration = Duration::from_millis(50);

/// A want that holds its lease, with the row as it is under it.
pub(crate) struct Leased {
    pub(crate) flown: Flown,
    pub(crate) lease: Lease,
    /// The row, with its members as far as the source [wants them at once](Source::extent).
    pub(crate) before: Stored,
    /// The members, for whoever wants them all the same.
    pub(crate) held: Held,
}

/// A want whose entry another process is refreshing.
pub(crate) struct Followed {
    flown: Flown,
    /// The number of the lease that was met first: what is begun under a later one began after our
    /// wish, also when that one was met in a race for the next lease.
    met: u64,
    /// The lease that is waited for now, as it was last seen, and when it has had all its time.
    watched: Lease,
    give_up_at: Time,
}

impl Followed {
    fn following(&self) -> Following {
        let want = &self.flown.want;
        Following {
            mode: want.request.mode,
            began_seen: want.began_seen,
            met: self.met,
            give_up_at: self.give_up_at,
        }
    }

    fn watch(&mut self, lease: &Lease, now: Time) {
        if lease.token.seq != self.watched.token.seq {
            self.give_up_at = patience_ends(&self.flown.want, now);
        }
        self.watched = lease.clone();
    }

    /// Whether only what somebody commits can end the wait now.
    fn may_wait(&self, now: Time) -> bool {
        self.watched.is_live(now) && now < self.give_up_at
    }
}

/// When a flight of another that was just met must have come to its end.
fn patience_ends(want: &Want, now: Time) -> Time {
    let policy = &want.definition.policy;
    now.plus(policy.hard_timeout).plus(policy.lease)
}

/// Where wants went when their leases were asked for.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) leased: Vec<Leased>,
    pub(crate) followed: Vec<Followed>,
}

impl Inner {
    /// Asks for leases. What another's fetch has answered meanwhile lands at once.
    pub(crate) async fn acquire(&self, wants: Vec<Flown>) -> Sorted {
        let mut sorted = Sorted::default();
        let mut unneeded = Vec::new();
        let mut batches = vec![wants];
        while let Some(mut wants) = batches.pop() {
            match self.take_leases(&wants).await {
                Ok(acquired) => {
                    for (flown, acquired) in wants.into_iter().zip(acquired) {
                        unneeded.extend(self.sort(flown, acquired, &mut sorted));
                    }
                }
                // A row that cannot be read keeps no other from its refresh.
                Err(StoreError::BadRow { .. }) if wants.len() > 1 => {
                    batches.push(wants.split_off(wants.len() / 2));
                    batches.push(wants);
                }
                Err(error @ StoreError::BadRow { .. }) => land_all(wants, &Arc::new(error)),
                Err(error) => {
                    batches.push(wants);
                    land_all(batches.drain(..).flatten().collect(), &Arc::new(error));
                }
            }
        }
        let letting_go = unneeded.into_iter().map(|(leased, result)| self.let_go(leased, result, "unneeded"));
        join_all(letting_go).await;
        sorted
    }

    async fn take_leases(&self, wants: &[Flown]) -> Result<Vec<Acquired>, StoreError> {
        let asks: Vec<LeaseAsk> = wants.iter().map(|flown| self.lease_ask(&flown.want)).collect();
        // A lease that is granted later than that would have ended.
        let patience = asks.iter().map(|ask| ask.length).max().unwrap_or_default();
        let asked = self.store.acquire(&asks, self.clock.now());
        self.within(patience, "take leases", asked).await
    }

    fn lease_ask(&self, want: &Want) -> LeaseAsk {
        LeaseAsk {
            key: want.key.clone(),
            owner: self.owner.clone(),
            length: want.definition.policy.lease,
            unless_newer_than: want.began_seen.filter(|_| want.request.mode != Mode::Forced),
            extent: self.extent(&want.key),
        }
    }

    /// How much of an entry its source wants at once.
    pub(crate) fn extent(&self, key: &Key) -> Extent {
        self.sources.get(key.source()).map_or(Extent::Whole, |source| source.extent())
    }

    /// The members of a row that a lease was just taken on.
    fn held(&self, before: &Stored) -> Held {
        let key = &before.entry.key;
        // Where there is no data there are no members.
        if self.extent(key) == Extent::Whole || !before.entry.has_data() {
            return Held::from(before.members.clone());
        }
        let (store, key) = (self.store.clone(), key.clone());
        Held::later(move || {
            let (store, key) = (store.clone(), key.clone());
            Box::pin(async move {
                let row = store.lookup(std::slice::from_ref(&key)).await?.pop().flatten();
                // It was evicted since, so that nothing of it will be committed.
                Ok(row.map(|stored| stored.members).unwrap_or_default())
            })
        })
    }

    /// Says where a want goes, or answers the lease to let go of with what its flight came to.
    fn sort(
        &self,
        mut flown: Flown,
        acquired: Acquired,
        sorted: &mut Sorted,
    ) -> Option<(Leased, Result<Outcome, RefreshError>)> {
        let now = self.clock.now();
        match acquired {
            Acquired::Granted(lease, before) => {
                flown.want.priority = flown.pilot.urgency().max(flown.want.priority);
                flown.want.attribute(before.entry.marked_by);
                // Whoever reads it from now on sees that it is being refreshed.
                self.doubt(&flown.want.key);
                let held = self.held(&before);
                let leased = Leased { flown, lease, before: *before, held };
                if let Some(result) = still_wanted(&leased, now) {
                    return Some((leased, result));
                }
                sorted.leased.push(leased);
            }
            Acquired::Held(watched) => {
                let give_up_at = patience_ends(&flown.want, now);
                let met = *flown.met.get_or_insert(watched.token.seq);
                sorted.followed.push(Followed { flown, met, watched, give_up_at });
            }
            Acquired::Newer(stored) => self.land_as_is(flown, *stored),
        }
        None
    }

    /// Follows entries that others refresh, until each has landed or was taken over. What was taken
    /// over is fetched at once, beside those still followed.
    pub(crate) async fn wait_for_others(
        self: Arc<Self>,
        source: Arc<dyn Source>,
        mut followed: Vec<Followed>,
    ) {
        let mut seen = None;
        while !followed.is_empty() {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = self.clock.sleep(POLL) => {}
            }
            let patience = followed.iter().map(|one| one.flown.want.definition.policy.lease).max();
            let patience = patience.unwrap_or_default();
            // A row comes with all its members: it is looked at where that may tell anything new.
            let pulse = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                pulse = self.within(PATIENCE / 2, "follow a refresh", self.store.pulse()) => pulse.ok(),
            };
            let is_quiet = pulse.is_some() && pulse == seen;
            seen = pulse;
            let now = self.clock.now();
            if is_quiet && followed.iter().all(|one| one.may_wait(now)) {
                continue;
            }
            let keys: Vec<_> = followed.iter().map(|one| one.flown.want.key.clone()).collect();
            let looked = self.store.lookup(&keys);
            let rows = match self.within(patience, "follow a refresh", looked).await {
                Ok(rows) => rows,
                Err(error) => {
                    return land_all(followed.into_iter().map(|one| one.flown).collect(), &Arc::new(error));
                }
            };
            let (waiting, free) = self.look(followed, rows);
            followed = waiting;
            if !free.is_empty() {
                let sorted = self.acquire(free).await;
                followed.extend(sorted.followed);
                if !sorted.leased.is_empty() {
                    self.tasks.spawn(self.clone().fetch(source.clone(), sorted.leased));
                }
            }
        }
    }

    /// Sees to a flight whose lease another took over while it fetched, and whose result was refused: the other
    /// began after its wish, so that its result is as good. Once: who is overtaken again is too slow here.
    pub(crate) fn follow_who_took_over(self: &Arc<Self>, mut flown: Flown, own: Token, theirs: &Lease) {
        let source = self.sources.get(flown.want.key.source()).cloned();
        let Some(source) = source.filter(|_| !flown.is_overtaken && !self.tasks.is_closed()) else {
            return flown.land(Err(RefreshError::Superseded), None);
        };
        flown.is_overtaken = true;
        let met = *flown.met.get_or_insert(own.seq);
        let give_up_at = patience_ends(&flown.want, self.clock.now());
        let followed = Followed { flown, met, watched: theirs.clone(), give_up_at };
        self.tasks.spawn(self.clone().wait_for_others(source, vec![followed]));
    }

    /// Sorts followed entries by their rows: landed ones leave, free ones may be acquired.
    fn look(&self, followed: Vec<Followed>, rows: Vec<Option<Stored>>) -> (Vec<Followed>, Vec<Flown>) {
        let now = self.clock.now();
        let mut waiting = Vec::new();
        let mut free = Vec::new();
        for (mut one, row) in followed.into_iter().zip(rows) {
            if let Some(lease) = row.as_ref().and_then(|row| row.entry.lease.as_ref()) {
                one.watch(lease, now);
            }
            let step = follow(row.as_ref().map(|row| &row.entry), &one.following(), now);
            match (step, row) {
                (NextStep::Wait, _) => waiting.push(one),
                (NextStep::Land, Some(row)) => self.land_as_is(one.flown, row),
                (NextStep::Acquire | NextStep::Land, _) => free.push(one.flown),
                (NextStep::GiveUp, _) => one.flown.land(Err(RefreshError::Stuck), None),
            }
        }
        (waiting, free)
    }

    /// Another's fetch has answered: its result is this flight's, and what memory made of the row as it
    /// was is not served after it, though the follower may not have heard of it yet.
    fn land_as_is(&self, flown: Flown, stored: Stored) {
        self.doubt(&flown.want.key);
        flown.land(Ok(Outcome::NotModified), Some(Arc::new(stored)));
    }
}

/// Decides once more, under the lease: another process may have failed a moment ago, and its
/// backoff is ours too. `None` = go on and fetch.
fn still_wanted(leased: &Leased, now: Time) -> Option<Result<Outcome, RefreshError>> {
    let Want { definition, request, .. } = &leased.flown.want;
    let entry = &leased.before.entry;
    if entry.marked {
        return None;
    }
    let is_urgent = leased.flown.want.priority == Priority::Waiting || request.mode == Mode::Forced;
    match decide(Some(entry), definition, request, now) {
        // What is kept for readers who have nothing is not theirs who want it for nobody.
        Decision::Fetch { fallback: false } if !is_urgent && !entry.is_due(definition, now) => {
            Some(standing(entry.last_error.as_ref()))
        }
        Decision::Fetch { .. } | Decision::Revalidate => None,
        Decision::Fresh => Some(Ok(Outcome::NotModified)),
        Decision::Stale(_) | Decision::Refuse(_) => Some(standing(entry.last_error.as_ref())),
    }
}

/// What a refresh that may not start now came to: the failure that stands, or an absence that is
/// remembered.
fn standing(failure: Option<&Failure>) -> Result<Outcome, RefreshError> {
    failure.map_or(Ok(Outcome::Absent), |failure| Err(RefreshError::Held(Box::new(failure.clone()))))
}

pub(crate) fn land_all(flown: Vec<Flown>, error: &Arc<StoreError>) {
    for flown in flown {
        flown.land(Err(RefreshError::Store(error.clone())), None);
    }
}
