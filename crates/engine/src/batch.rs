//! Entries that are fetched together: one call of their source (and one more for what may succeed at
//! once, or where the source broke off), answers settled as they come, leases renewed meanwhile, and a hard
//! time-out for each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use futures::stream::{FuturesUnordered, StreamExt, iter};
use larder_core::{
    Answers, Ask, FetchError, Fetched, Key, Lease, Request, Retry, Source, Spent, Status, Time,
};
use tokio::sync::mpsc;

use crate::RefreshError;
use crate::engine::Inner;
use crate::lease::Leased;
use crate::settle::Answered;

/// The first try of a batch, or the one more that failures of the moment get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    Retry,
}

/// A leased entry with the names to ask for, where not all are wanted.
struct Open {
    leased: Leased,
    subset: Option<Vec<Arc<str>>>,
}

impl Open {
    fn hard_timeout(&self) -> Duration {
        self.leased.flown.want.definition.policy.hard_timeout
    }
}

/// Leases are not renewed more often than that.
const RENEWAL_MIN: Duration = Duration::from_millis(10);

/// A renewal that failed is tried again after this part of the usual wait.
const RENEWAL_AGAIN: u32 = 4;

/// Calls at once, of what is asked for one by one.
const CALLS_MAX: usize = 8;

/// Entries that are fetched together, and what is still open of them.
struct Batch<'a> {
    engine: &'a Arc<Inner>,
    started: Time,
    /// One for each hard time-out there is. They run from the start as spans, whatever the clock is
    /// set to meanwhile.
    alarms: FuturesUnordered<BoxFuture<'a, Duration>>,
    renew_every: Duration,
    /// How long to wait before the next renewal: the first one comes earlier where leases were granted late.
    renew_in: Duration,
    /// By key, so that a run with the same seed asks and settles alike.
    open: BTreeMap<Key, Open>,
    /// Failed in the first round in a way that may pass at once.
    again: HashMap<Key, (FetchError, Spent)>,
    /// The source broke off over all of these: which of them it was shows when each is asked for alone.
    alone: BTreeSet<Key>,
    interrupted: bool,
}

/// A call of the source that it broke off: what was asked, and what it said.
struct BrokenOff {
    keys: Vec<Key>,
    said: String,
}

impl Inner {
    /// Fetches what is leased, as one batch; whatever may succeed at once gets one more try.
    pub(crate) async fn fetch(self: Arc<Self>, source: Arc<dyn Source>, leased: Vec<Leased>) {
        if leased.is_empty() {
            return;
        }
        let mut batch = Batch::new(&self, leased, self.clock.now());
        batch.round(&*source, Round::First).await;
        batch.round(&*source, Round::Retry).await;
        batch.close().await;
    }
}

impl<'a> Batch<'a> {
    fn new(engine: &'a Arc<Inner>, leased: Vec<Leased>, started: Time) -> Self {
        let shortest = leased.iter().map(|one| one.lease.length).min().unwrap_or_default();
        let renew_every = (shortest / 3).max(RENEWAL_MIN);
        let left = leased.iter().map(|one| one.lease.until.since(started)).min().unwrap_or_default();
        let renew_in = (left / 3).clamp(RENEWAL_MIN, renew_every);
        let open = |one: Leased| {
            let subset = subset_of(&one, started);
            (one.flown.want.key.clone(), Open { leased: one, subset })
        };
        let open: BTreeMap<Key, Open> = leased.into_iter().map(open).collect();
        let spans: BTreeSet<Duration> = open.values().map(Open::hard_timeout).collect();
        let alarm = |span: Duration| -> BoxFuture<'a, Duration> {
            Box::pin(async move {
                engine.clock.sleep(span).await;
                span
            })
        };
        let alarms = spans.into_iter().map(alarm).collect();
        let (again, alone) = (HashMap::new(), BTreeSet::new());
        Batch { engine, started, alarms, renew_every, renew_in, open, again, alone, interrupted: false }
    }

    /// One call of the source (more than one where it broke off before), its answers settled as they come.
    async fn round(&mut self, source: &dyn Source, round: Round) {
        let calls = self.calls(round);
        if calls.is_empty() || self.interrupted {
            return;
        }
        let (sender, mut arrived) = mpsc::unbounded_channel();
        let answers = Answers::new(move |key, result, spent| {
            // The batch has ended: a late answer has nobody to hear it.
            let _ = sender.send((key.clone(), result, spent));
        });
        let asking = async move {
            let each: Vec<_> = calls.iter().map(|asks| call(source, asks, &answers)).collect();
            let broken = iter(each).buffer_unordered(CALLS_MAX).filter_map(std::future::ready);
            broken.collect::<Vec<BrokenOff>>().await
        };
        let mut work = Some(Box::pin(asking));
        let mut broken = Vec::new();
        let mut listening = true;
        let mut settling = FuturesUnordered::new();
        let end = self.engine.end_of(source);
        let mut alarm = self.engine.clock.sleep(self.renew_in);
        // Beside all else: a renewal may wait for a commit of this very batch.
        let mut renewal: Option<BoxFuture<'a, bool>> = None;
        while work.is_some() || listening || !settling.is_empty() {
            tokio::select! {
                biased;
                () = end.cancelled(), if !self.interrupted => {
                    self.interrupted = true;
                    break;
                }
                answer = arrived.recv(), if listening => match answer {
                    Some((key, result, spent)) => {
                        let taken = self.take(&key, result, spent, round);
                        settling.extend(taken.map(|(leased, answer)| self.engine.settle(leased, answer, self.started)));
                    }
                    None => listening = false,
                },
                Some(()) = settling.next(), if !settling.is_empty() => {}
                all = maybe(&mut work), if work.is_some() => {
                    work = None;
                    broken = all;
                }
                Some(span) = self.alarms.next(), if work.is_some() => {
                    let late = self.time_out(span);
                    if self.open.is_empty() {
                        // Nobody waits for the rest of it. It ends before those who waited hear of
                        // that: else their next fetch would meet it.
                        work = None;
                        listening = false;
                    }
                    settling.extend(late.into_iter().map(|(leased, answer)| self.engine.settle(leased, answer, self.started)));
                }
                is_renewed = maybe(&mut renewal), if renewal.is_some() => {
                    renewal = None;
                    if !is_renewed {
                        // While there is time left.
                        alarm = self.engine.clock.sleep((self.renew_every / RENEWAL_AGAIN).max(RENEWAL_MIN));
                    }
                }
                () = &mut alarm, if work.is_some() => {
                    self.renew_in = self.renew_every;
                    alarm = self.engine.clock.sleep(self.renew_in);
                    if renewal.is_none() {
                        renewal = Some(self.renewal());
                    }
                }
            }
        }
        if !self.interrupted {
            let failed = self.broken_off(broken);
            settling.extend(
                failed.into_iter().map(|(leased, answer)| self.engine.settle(leased, answer, self.started)),
            );
        }
        while let Some(()) = settling.next().await {}
    }

    /// What is asked in one call each.
    fn calls(&self, round: Round) -> Vec<Vec<Ask>> {
        let asked = |keys: &dyn Fn(&Key) -> bool| -> Vec<Ask> {
            let asked = self.open.iter().filter(|(key, _)| keys(key));
            asked.map(|(_, open)| ask(open, self.started.plus(open.hard_timeout()))).collect()
        };
        if round == Round::First {
            return vec![asked(&|_| true)];
        }
        let again = asked(&|key| self.again.contains_key(key));
        let alone = asked(&|key| self.alone.contains(key)).into_iter().map(|ask| vec![ask]);
        std::iter::once(again).filter(|asks| !asks.is_empty()).chain(alone).collect()
    }

    /// Takes those off the open ones over which the source broke off; of several, each is asked for once more
    /// first, if there is another round.
    fn broken_off(&mut self, broken: Vec<BrokenOff>) -> Vec<(Leased, Answered)> {
        let mut failed = Vec::new();
        for BrokenOff { keys, said } in broken {
            let [key] = keys.as_slice() else {
                self.alone.extend(keys.into_iter().filter(|key| !self.again.contains_key(key)));
                continue;
            };
            let Some(Open { leased, subset }) = self.open.remove(key) else { continue };
            let detail = format!("the source broke off: {said}");
            let error = FetchError::Unusable { host: key.source().to_owned(), detail };
            failed.push((
                leased,
                Answered { result: Err(error), spent: Spent::default(), subset: subset.is_some() },
            ));
        }
        failed
    }

    /// Takes those off the open ones whose time is over.
    fn time_out(&mut self, span: Duration) -> Vec<(Leased, Answered)> {
        let late: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, open)| open.hard_timeout() <= span)
            .map(|(key, _)| key.clone())
            .collect();
        let late = late.into_iter().filter_map(|key| {
            let Open { leased, subset } = self.open.remove(&key)?;
            let timed_out = || (FetchError::TimedOut { after: span }, Spent::default());
            let (error, spent) = self.again.remove(&key).unwrap_or_else(timed_out);
            Some((leased, Answered { result: Err(error), spent, subset: subset.is_some() }))
        });
        late.collect()
    }

    /// Takes the answered entry off the open ones, unless it gets one more try.
    fn take(
        &mut self,
        key: &Key,
        result: Result<Fetched, FetchError>,
        spent: Spent,
        round: Round,
    ) -> Option<(Leased, Answered)> {
        let before = self.again.remove(key).map_or(Spent::default(), |(_, spent)| spent);
        let spent = Spent { calls: before.calls + spent.calls, cost: before.cost + spent.cost };
        match result {
            Err(error)
                if round == Round::First && error.retry() == Retry::Now && self.open.contains_key(key) =>
            {
                self.again.insert(key.clone(), (error, spent));
                None
            }
            result => {
                let Open { leased, subset } = self.open.remove(key)?;
                Some((leased, Answered { result, spent, subset: subset.is_some() }))
            }
        }
    }

    /// Shows that the refresh is alive; says whether that was heard. A lease that is lost shows itself at the
    /// commit.
    fn renewal(&self) -> BoxFuture<'a, bool> {
        let (engine, span) = (self.engine, self.renew_every);
        let leases: Vec<Lease> = self.open.values().map(|open| open.leased.lease.clone()).collect();
        Box::pin(async move {
            let renewed = engine.store.renew(&leases, engine.clock.now());
            let renewed = engine.within(span, "renew leases", renewed).await;
            renewed.inspect_err(|error| tracing::warn!(%error, "leases could not be renewed")).is_ok()
        })
    }

    /// Settles what no answer came for.
    async fn close(mut self) {
        let open = std::mem::take(&mut self.open);
        if self.interrupted {
            let interrupted = open.into_values().map(|Open { leased, .. }| {
                self.engine.let_go(leased, Err(RefreshError::Interrupted), "interrupted")
            });
            // At once: a store that hangs is waited for once.
            join_all(interrupted).await;
            return;
        }
        let mut settling = FuturesUnordered::new();
        for (key, Open { leased, subset }) in open {
            let (error, spent) = match self.again.remove(&key) {
                Some(failed) => failed,
                None => (
                    FetchError::Unusable {
                        host: key.source().to_owned(),
                        detail: "the source did not answer for it".to_owned(),
                    },
                    Spent::default(),
                ),
            };
            let answer = Answered { result: Err(error), spent, subset: subset.is_some() };
            settling.push(self.engine.settle(leased, answer, self.started));
        }
        while let Some(()) = settling.next().await {}
    }
}

/// One call of the source; what it said where it broke off.
fn call<'a>(
    source: &'a dyn Source,
    asks: &'a [Ask],
    answers: &'a Answers,
) -> BoxFuture<'a, Option<BrokenOff>> {
    let fetching = async { source.fetch_many(asks, answers).await };
    let done = AssertUnwindSafe(fetching).catch_unwind();
    let told = done.map(|done| {
        let panic = done.err()?;
        let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        let said = said.unwrap_or_else(|| "it did not say why".to_owned());
        tracing::error!(source = source.name(), entries = asks.len(), %said, "a source broke off");
        Some(BrokenOff { keys: asks.iter().map(|ask| ask.key.clone()).collect(), said })
    });
    Box::pin(told)
}

/// What is still under way; nothing comes of what is not.
async fn maybe<T>(work: &mut Option<impl Future<Output = T> + Unpin>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// The names to ask for, where the entry is fresh but for some of them.
fn subset_of(leased: &Leased, now: Time) -> Option<Vec<Arc<str>>> {
    let want = &leased.flown.want;
    let entry = &leased.before.entry;
    let fresh = entry.status(Some(&want.definition), now) == Status::Fresh;
    // Names of another definition are not asked for. An event that marked it speaks of all of it.
    let partly =
        fresh && !entry.is_edited(&want.definition) && !entry.marked && want.request == Request::default();
    let pending = partly && !entry.pending.is_empty();
    pending.then(|| entry.pending.clone())
}

fn ask(open: &Open, deadline: Time) -> Ask {
    let Open { leased, subset } = open;
    let want = &leased.flown.want;
    let entry = &leased.before.entry;
    // Validators of another definition's data, or of less than all of it, prove nothing.
    let comparable = entry.has_data() && entry.complete && !entry.is_edited(&want.definition);
    Ask {
        key: want.key.clone(),
        definition: want.definition.clone(),
        subset: subset.clone(),
        validators: if comparable { entry.validators.clone() } else { larder_core::Validators::default() },
        cursor: entry.cursor.clone().filter(|_| comparable),
        body: entry.body.clone(),
        held: leased.held.clone(),
        trigger: want.trigger,
        priority: want.priority,
        deadline,
    }
}
