//! The one way to a fetch: lease → fetch (`batch`) → absorb → commit → announce (`settle`).
//!
//! Every trigger leads here: a reader, a hand, a wait that is over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use larder_core::{Definition, Key, Mode, Outcome, Priority, Request, Source, Stored, Trigger};

use crate::engine::Inner;
use crate::flights::{Boarded, Boarding, Landing, Pilot, landed};
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
    pub(crate) tell: Tell,
}

/// What those who wait for a refresh are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// What came of it, and the row as it is then.
    Row,
    /// What came of it: whoever wants the row looks it up.
    Outcome,
}

impl Want {
    /// Takes the trigger that marked the entry for its own, where it is only its time that has come.
    pub(crate) fn attribute(&mut self, marked_by: Option<Trigger>) {
        let Some(trigger) = marked_by.filter(|_| self.trigger == Trigger::Backoff) else { return };
        self.trigger = trigger;
        let of_trigger = match trigger {
            Trigger::Manual => Priority::Manual,
            Trigger::Read => Priority::StaleRead,
            Trigger::Backoff | Trigger::Schedule | Trigger::Watch | Trigger::Webhook => Priority::Schedule,
        };
        self.priority = of_trigger.max(self.priority);
    }
}

/// A wish with the flight that it leads.
pub(crate) struct Flown {
    pub(crate) want: Want,
    pub(crate) pilot: Pilot,
    /// The number of another's lease that was met first.
    pub(crate) met: Option<u64>,
    /// Whether another took the lease over once already while this one fetched.
    pub(crate) is_overtaken: bool,
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
        self.refresh_and(Tell::Row, keys, trigger, on_done).await
    }

    /// As [`refresh`](Engine::refresh), for who looks at the rows all together afterwards, or not at all:
    /// the answers come without them.
    pub async fn refresh_only(
        &self,
        keys: &[Key],
        trigger: Trigger,
        on_done: impl Fn(&Refreshed) + Send,
    ) -> Vec<Refreshed> {
        self.refresh_and(Tell::Outcome, keys, trigger, on_done).await
    }

    async fn refresh_and(
        &self,
        tell: Tell,
        keys: &[Key],
        trigger: Trigger,
        on_done: impl Fn(&Refreshed) + Send,
    ) -> Vec<Refreshed> {
        let mut wants = self.wants(keys, Mode::Forced, trigger, Priority::Manual);
        for want in &mut wants {
            want.tell = tell;
        }
        let landed = self.land(wants, &on_done).await;
        let by_key: HashMap<&Key, &Arc<Refreshed>> = landed.iter().map(|one| (&one.key, one)).collect();
        let find = |key: &Key| by_key.get(key).map(|found| Refreshed::clone(found));
        let unknown = |key: &Key| Refreshed {
            key: key.clone(),
            result: Err(RefreshError::NotConfigured),
            stored: None,
        };
        keys.iter().map(|key| find(key).unwrap_or_else(|| unknown(key))).collect()
    }

    /// Wants for a forced or triggered refresh of configured keys; the others are left out.
    pub(crate) fn wants(&self, keys: &[Key], mode: Mode, trigger: Trigger, priority: Priority) -> Vec<Want> {
        let request = Request { mode, ..Request::default() };
        let want = |key: &Key| {
            let definition = self.define(key)?;
            Some(Want {
                key: key.clone(),
                definition,
                request,
                trigger,
                priority,
                began_seen: None,
                tell: Tell::Row,
            })
        };
        keys.iter().filter_map(want).collect()
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
    /// source, or [so many at once](larder_core::Source::at_once).
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
            match self.inner.flights.board(&want.key, boarding, want.priority) {
                Boarded::Joined(landing) => landings.push(landing),
                Boarded::Leads(pilot, landing) => {
                    led.insert(want.key.clone(), landing.clone());
                    landings.push(landing);
                    let group = if pilot.after.is_some() { &mut behind } else { &mut ready };
                    group.entry(want.key.source().to_owned()).or_default().push(Flown {
                        want,
                        pilot,
                        met: None,
                        is_overtaken: false,
                    });
                }
            }
        }
        // Once it is stopping, nothing new takes off: dropped flights land as interrupted.
        if self.inner.tasks.is_closed() {
            return landings;
        }
        let source = |name: &String| self.inner.sources.get(name).cloned();
        for (source, flown) in ready.into_iter().filter_map(|(name, flown)| Some((source(&name)?, flown))) {
            self.inner.tasks.spawn(self.inner.clone().take_off(source, flown));
        }
        for (source, flown) in behind.into_iter().filter_map(|(name, flown)| Some((source(&name)?, flown))) {
            self.inner.tasks.spawn(self.inner.clone().queue(source, flown));
        }
        landings
    }
}

/// Flights that wait for others' landings take off together with those whose wait ends within this.
const GATHERED_FOR: Duration = Duration::from_millis(50);

impl Inner {
    /// Waits for the flights before these. Whatever has landed makes room for a batch at once: the
    /// slowest keeps nobody else waiting.
    async fn queue(self: Arc<Self>, source: Arc<dyn Source>, flown: Vec<Flown>) {
        let mut waiting: FuturesUnordered<_> = flown.into_iter().map(its_turn).collect();
        while let Some(first) = waiting.next().await {
            let mut wave = vec![first];
            let mut gathered = self.clock.sleep(GATHERED_FOR);
            loop {
                tokio::select! {
                    biased;
                    Some(one) = waiting.next(), if !waiting.is_empty() => wave.push(one),
                    () = &mut gathered, if !waiting.is_empty() => break,
                    else => break,
                }
            }
            self.tasks.spawn(self.clone().take_off(source.clone(), wave));
        }
    }

    /// Flights of one source: together, or each in its turn, as the source likes it.
    async fn take_off(self: Arc<Self>, source: Arc<dyn Source>, flown: Vec<Flown>) {
        let at_once = source.at_once().max(1);
        if flown.len() <= at_once {
            return self.take_up(source, flown).await;
        }
        let mut waiting = VecDeque::from(flown);
        let mut under_way = FuturesUnordered::new();
        loop {
            if self.tasks.is_closed() || self.end_of(&*source).is_cancelled() {
                // Nothing new takes off: dropped, they land as interrupted.
                waiting.clear();
            }
            while under_way.len() < at_once
                && let Some(next) = most_urgent(&mut waiting)
            {
                under_way.push(self.clone().take_up(source.clone(), vec![next]));
            }
            tokio::select! {
                biased;
                done = under_way.next() => if done.is_none() { return },
                () = self.end_of(&*source).cancelled(), if !waiting.is_empty() => {}
            }
        }
    }

    /// A batch of one source: asks for the leases, fetches.
    async fn take_up(self: Arc<Self>, source: Arc<dyn Source>, flown: Vec<Flown>) {
        if self.stopping.is_cancelled() {
            return;
        }
        let sorted = self.acquire(flown).await;
        if !sorted.followed.is_empty() {
            self.tasks.spawn(self.clone().wait_for_others(source.clone(), sorted.followed));
        }
        self.fetch(source, sorted.leased).await;
    }
}

/// Takes the one for which the most urgent wait: of several, the one that came first.
fn most_urgent(waiting: &mut VecDeque<Flown>) -> Option<Flown> {
    let urgencies = waiting.iter().map(|flown| flown.pilot.urgency()).enumerate();
    let (place, _) = urgencies.min_by_key(|(_, urgency)| Reverse(*urgency))?;
    waiting.remove(place)
}

/// Waits until the flight before this one has landed.
async fn its_turn(mut flown: Flown) -> Flown {
    if let Some(before) = flown.pilot.after.take() {
        landed(before).await;
    }
    flown
}
