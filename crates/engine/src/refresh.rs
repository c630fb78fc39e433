//! The one place that fetches: lease → fetch → absorb → commit → announce.
//!
//! Every trigger leads here: a reader, a hand, a wait that is over. What a source answers passes
//! [`absorb`] and then [`Store::commit`](larder_core::Store::commit), failures and releases too.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::{
    Answers, Ask, Attempt, Commit, Committed, Definition, FetchError, Fetched, ItemCounts, Key, Lease,
    LogLine, Mode, Outcome, Priority, Request, Retry, Source, Spent, Status, Stored, Time, Trigger, absorb,
};
use tokio::sync::mpsc;

use crate::engine::Inner;
use crate::flights::{Boarded, Boarding, Landing, Pilot, landed};
use crate::lease::Leased;
use crate::{Engine, RefreshError, Refreshed};

/// A wish for a refresh.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    pub(crate) key: Key,
    pub(crate) definition: Arc<Definition>,
    /// The wishes under which it is decided once more when the lease is held.
    pub(crate) request: Request,
    pub(crate) trigger: Trigger,
    pub(crate) priority: Priority,
    /// The `began` of the row that the wish is based on: whatever began later fulfils it. `None` =
    /// the store's own word that it is due, which only a refresh from now on fulfils.
    pub(crate) began_seen: Option<u64>,
}

impl Want {
    /// Takes the trigger that marked the entry for its own, where it is only its time that has come.
    pub(crate) fn attribute(&mut self, marked_by: Option<Trigger>) {
        let Some(trigger) = marked_by.filter(|_| self.trigger == Trigger::Backoff) else { return };
        self.trigger = trigger;
        self.priority = match trigger {
            Trigger::Manual => Priority::Manual,
            Trigger::Read => Priority::StaleRead,
            Trigger::Backoff | Trigger::Schedule | Trigger::Watch | Trigger::Webhook => Priority::Schedule,
        };
    }
}

/// A wish with the flight that it leads.
pub(crate) struct Flown {
    pub(crate) want: Want,
    pub(crate) pilot: Pilot,
    /// The number of another's lease that was met first.
    pub(crate) met: Option<u64>,
}

impl Flown {
    /// Lands the flight with what came of it and the row as it is now.
    pub(crate) fn land(self, result: Result<Outcome, RefreshError>, stored: Option<Arc<Stored>>) {
        self.pilot.land(Refreshed { key: self.want.key, result, stored });
    }
}

impl Engine {
    /// Refreshes entries whatever their state, as one batch, and waits. `on_done` hears of each as
    /// it lands. Keys that no source knows answer [`RefreshError::NotConfigured`].
    pub async fn refresh(
        &self,
        keys: &[Key],
        trigger: Trigger,
        on_done: impl Fn(&Refreshed) + Send,
    ) -> Vec<Refreshed> {
        let wants = self.wants(keys, Mode::Forced, trigger, Priority::Manual);
        let landed = self.land(wants, &on_done).await;
        let find =
            |key: &Key| landed.iter().find(|refreshed| refreshed.key == *key).map(|found| (**found).clone());
        let unknown = |key: &Key| Refreshed {
            key: key.clone(),
            result: Err(RefreshError::NotConfigured),
            stored: None,
        };
        keys.iter().map(|key| find(key).unwrap_or_else(|| unknown(key))).collect()
    }

    /// Flies wants and waits until all have landed, in the order in which they do.
    pub(crate) async fn land(
        &self,
        wants: Vec<Want>,
        on_done: &(impl Fn(&Refreshed) + Send),
    ) -> Vec<Arc<Refreshed>> {
        let landings = self.fly(wants);
        let mut waiting: FuturesUnordered<_> = landings.into_iter().map(landed).collect();
        let mut all = Vec::new();
        while let Some(refreshed) = waiting.next().await {
            on_done(&refreshed);
            all.push(refreshed);
        }
        all
    }

    /// Starts or joins a flight for each want, in order. Those that start travel as one batch a
    /// source.
    pub(crate) fn fly(&self, wants: Vec<Want>) -> Vec<Landing> {
        let mut landings = Vec::with_capacity(wants.len());
        let mut ready: BTreeMap<String, Vec<Flown>> = BTreeMap::new();
        let mut behind: BTreeMap<String, Vec<Flown>> = BTreeMap::new();
        let mut led: HashMap<Key, Landing> = HashMap::new();
        for want in wants {
            // A key that stands twice would else wait for its own flight and take one more.
            if let Some(landing) = led.get(&want.key) {
                landings.push(landing.clone());
                continue;
            }
            let forced = want.request.mode == Mode::Forced;
            let boarding = if forced { Boarding::NotYetBegun } else { Boarding::Any };
            match self.inner.flights.board(&want.key, boarding) {
                Boarded::Joined(landing) => landings.push(landing),
                Boarded::Leads(pilot, landing) => {
                    led.insert(want.key.clone(), landing.clone());
                    landings.push(landing);
                    let group = if pilot.after.is_some() { &mut behind } else { &mut ready };
                    group.entry(want.key.source().to_owned()).or_default().push(Flown {
                        want,
                        pilot,
                        met: None,
                    });
                }
            }
        }
        // Once it is stopping, nothing new takes off: dropped flights land as interrupted.
        let groups = ready.into_iter().chain(behind).filter(|_| !self.inner.tasks.is_closed());
        for (name, flown) in groups {
            if let Some(source) = self.inner.sources.get(&name) {
                self.inner.tasks.spawn(self.inner.clone().take_off(source.clone(), flown));
            }
        }
        landings
    }
}

impl Inner {
    /// A batch of one source: waits for the flights before it, asks for the leases, fetches.
    async fn take_off(self: Arc<Self>, source: Arc<dyn Source>, mut flown: Vec<Flown>) {
        for one in &mut flown {
            if let Some(before) = one.pilot.after.take() {
                landed(before).await;
            }
        }
        if self.stopping.is_cancelled() {
            return;
        }
        let sorted = self.acquire(flown).await;
        if !sorted.followed.is_empty() {
            self.tasks.spawn(self.clone().wait_for_others(source.clone(), sorted.followed));
        }
        self.fetch(source, sorted.leased).await;
    }

    /// Fetches what is leased, as one batch; whatever may succeed at once gets one more try.
    pub(crate) async fn fetch(self: Arc<Self>, source: Arc<dyn Source>, leased: Vec<Leased>) {
        if leased.is_empty() {
            return;
        }
        let started = self.clock.now();
        let hard =
            leased.iter().map(|one| one.flown.want.definition.policy.hard_timeout).max().unwrap_or_default();
        let mut batch = Batch::new(&self, leased, started, hard);
        batch.round(&*source, Round::First).await;
        batch.round(&*source, Round::Retry).await;
        batch.close().await;
    }

    /// Absorbs an answer, commits it, announces it, lands the flight.
    async fn settle(&self, leased: Leased, answer: Answered, started: Time) {
        let Leased { flown, lease, before } = leased;
        let Answered { result, spent, subset } = answer;
        let now = self.clock.now();
        let definition = &flown.want.definition;
        let error = result.as_ref().err().cloned();
        let write =
            absorb(Attempt { before: &before, definition, subset, result, now, chance: self.chance() });
        let outcome = write.outcome;
        let failure = write.last_error.clone();
        let log = LogLine {
            error: failure.as_ref().map(|failure| failure.message.clone()),
            ..log_line(&flown.want, outcome.word(), started, now, spent)
        };
        let began = lease.token.seq;
        let committed = self.store.commit(Commit { lease, write: Some(write), log, now }).await;
        if committed.is_ok() {
            self.forget_copy(&flown.want.key);
            self.committed.notify_one();
        }
        // Memory has the new copy before anybody hears of it.
        let stored = self.look_up(std::slice::from_ref(&flown.want.key)).await;
        let stored = stored.ok().and_then(|mut rows| rows.pop().flatten());
        let result = match committed {
            Ok(Committed::Done { version, .. }) => {
                if let Some(stored) = &stored {
                    self.take_in(stored, flown.want.trigger).await;
                }
                self.announcer.announce(&flown.want.key, outcome, version);
                match (outcome, error, failure) {
                    (Outcome::Failed, Some(error), _) => Err(RefreshError::Fetch(error)),
                    (Outcome::Failed, None, Some(failure)) => Err(RefreshError::Held(Box::new(failure))),
                    _ => Ok(outcome),
                }
            }
            // Another took over; if its result is in, it is as good as ours.
            Ok(Committed::Superseded) => match &stored {
                Some(stored) if stored.entry.began > began => Ok(Outcome::NotModified),
                _ => Err(RefreshError::Superseded),
            },
            Err(error) => {
                tracing::warn!(key = %flown.want.key, %error, "a result could not be stored");
                Err(RefreshError::Store(Arc::new(error)))
            }
        };
        flown.land(result, stored);
    }

    /// Lets go of a lease with nothing written but a line in the log.
    pub(crate) async fn let_go(&self, leased: Leased, result: Result<Outcome, RefreshError>, word: &str) {
        let Leased { flown, lease, before } = leased;
        let now = self.clock.now();
        let log = log_line(&flown.want, word, now, now, Spent::default());
        if let Err(error) = self.store.commit(Commit { lease, write: None, log, now }).await {
            // It ends by itself.
            tracing::warn!(key = %flown.want.key, %error, "a lease could not be let go of");
        }
        self.doubt(&flown.want.key);
        flown.land(result, Some(Arc::new(before)));
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

/// What a source answered for one ask.
struct Answered {
    result: Result<Fetched, FetchError>,
    spent: Spent,
    subset: bool,
}

/// The first try of a batch, or the one more that failures of the moment get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    Retry,
}

/// A leased entry with the names to ask for, where not all are wanted.
type Open = (Leased, Option<Vec<Arc<str>>>);

/// Entries that are fetched together, and what is still open of them.
struct Batch<'a> {
    engine: &'a Inner,
    started: Time,
    deadline: Time,
    hard: Duration,
    /// Runs from the start as a span, whatever the clock is set to meanwhile.
    hard_timeout: BoxFuture<'a, ()>,
    timed_out: bool,
    renew_every: Duration,
    /// By key, so that a run with the same seed asks and settles alike.
    open: BTreeMap<Key, Open>,
    /// Failed in the first round in a way that may pass at once.
    again: HashMap<Key, (FetchError, Spent)>,
    interrupted: bool,
}

impl<'a> Batch<'a> {
    fn new(engine: &'a Inner, leased: Vec<Leased>, started: Time, hard: Duration) -> Self {
        let shortest = leased.iter().map(|one| one.lease.length).min().unwrap_or_default();
        let renew_every = (shortest / 3).max(Duration::from_millis(10));
        let open = |one: Leased| {
            let subset = subset_of(&one, started);
            (one.flown.want.key.clone(), (one, subset))
        };
        Batch {
            engine,
            started,
            deadline: started.plus(hard),
            hard,
            hard_timeout: engine.clock.sleep(hard),
            timed_out: false,
            renew_every,
            open: leased.into_iter().map(open).collect(),
            again: HashMap::new(),
            interrupted: false,
        }
    }

    /// One call of the source, its answers settled as they come.
    async fn round(&mut self, source: &dyn Source, round: Round) {
        let asks = self.asks(round);
        if asks.is_empty() || self.interrupted || self.timed_out {
            return;
        }
        let (sender, mut arrived) = mpsc::unbounded_channel();
        let answers = Answers::new(move |key, result, spent| {
            // The batch has ended: a late answer has nobody to hear it.
            let _ = sender.send((key.clone(), result, spent));
        });
        let mut work = std::pin::pin!(async move {
            source.fetch_many(&asks, &answers).await;
        });
        let mut working = true;
        let mut listening = true;
        let mut settling = FuturesUnordered::new();
        let mut renewal = self.engine.clock.sleep(self.renew_every);
        while working || listening || !settling.is_empty() {
            tokio::select! {
                biased;
                () = self.engine.stopping.cancelled(), if !self.interrupted => {
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
                () = &mut work, if working => working = false,
                () = &mut self.hard_timeout, if working => {
                    self.timed_out = true;
                    break;
                }
                () = &mut renewal, if working => {
                    renewal = self.engine.clock.sleep(self.renew_every);
                    self.renew().await;
                }
            }
        }
        while let Some(()) = settling.next().await {}
    }

    fn asks(&self, round: Round) -> Vec<Ask> {
        let is_asked = |key: &Key| round == Round::First || self.again.contains_key(key);
        let asked = self.open.iter().filter(|(key, _)| is_asked(key));
        asked.map(|(_, (leased, subset))| ask(leased, subset.clone(), self.deadline)).collect()
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
                let (leased, subset) = self.open.remove(key)?;
                Some((leased, Answered { result, spent, subset: subset.is_some() }))
            }
        }
    }

    /// Shows that the refresh is alive. A lease that is lost shows itself at the commit.
    async fn renew(&mut self) {
        let leases: Vec<Lease> = self.open.values().map(|(leased, _)| leased.lease.clone()).collect();
        if let Err(error) = self.engine.store.renew(&leases, self.engine.clock.now()).await {
            tracing::warn!(%error, "leases could not be renewed");
        }
    }

    /// Settles what no answer came for.
    async fn close(mut self) {
        let mut settling = FuturesUnordered::new();
        for (key, (leased, subset)) in std::mem::take(&mut self.open) {
            if self.interrupted {
                self.engine.let_go(leased, Err(RefreshError::Interrupted), "interrupted").await;
                continue;
            }
            let (error, spent) = match self.again.remove(&key) {
                Some(failed) => failed,
                None if self.timed_out => (FetchError::TimedOut { after: self.hard }, Spent::default()),
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

/// The names to ask for, where the entry is fresh but for some of them.
fn subset_of(leased: &Leased, now: Time) -> Option<Vec<Arc<str>>> {
    let want = &leased.flown.want;
    let entry = &leased.before.entry;
    let fresh = entry.status(Some(&want.definition), now) == Status::Fresh;
    // An event that marked it speaks of all of it.
    let partly = fresh && !entry.marked && want.request == Request::default();
    let pending = partly && !entry.pending.is_empty();
    pending.then(|| entry.pending.clone())
}

fn ask(leased: &Leased, subset: Option<Vec<Arc<str>>>, deadline: Time) -> Ask {
    let want = &leased.flown.want;
    let entry = &leased.before.entry;
    // Validators of another definition's data, or of less than all of it, prove nothing.
    let comparable = entry.has_data() && entry.complete && !entry.is_edited(&want.definition);
    Ask {
        key: want.key.clone(),
        definition: want.definition.clone(),
        subset,
        validators: if comparable { entry.validators.clone() } else { larder_core::Validators::default() },
        cursor: entry.cursor.clone().filter(|_| comparable),
        body: entry.body.clone(),
        held: leased.before.members.clone(),
        trigger: want.trigger,
        priority: want.priority,
        deadline,
    }
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
