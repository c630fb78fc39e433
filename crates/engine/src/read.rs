//! Reading: look up, decide, obey. A batch is one lookup and, for all that must be fetched, one
//! call to each source, with an error per key.

use std::sync::Arc;

use larder_core::{
    Decision, Definition, Failure, Key, Mode, Priority, Refusal, Request, StoreError, Stored, Time, Trigger,
    decide,
};

use crate::flights::{Landing, landed};
use crate::memory::visible;
use crate::reach::loses_reach;
use crate::refresh::{Tell, Want};
use crate::{Engine, Hit, OutOfReach, ReadError, Reading, RefreshError, Refreshed};

/// What happens behind a reader who was served a stale copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behind {
    /// A refresh starts in this process.
    #[default]
    Refresh,
    /// It is noted that one is wanted: for a process that ends before a refresh could.
    MarkDue,
    /// Nothing.
    Leave,
}

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// The caller's wishes.
    pub request: Request,
    /// What happens behind a stale copy.
    pub behind: Behind,
}

/// How one key of a batch goes on after the decision.
enum Course {
    Done(Result<Reading, ReadError>),
    Await { landing: Landing, held: Option<Arc<Stored>>, definition: Arc<Definition> },
}

impl Engine {
    /// Reads one entry. Errs only if nothing may be served.
    pub async fn read(&self, key: &Key, options: &ReadOptions) -> Result<Reading, ReadError> {
        if let Some(reading) = self.glance(key, &options.request, self.inner.clock.now()) {
            return Ok(reading);
        }
        // On the heap, so that a hit does not carry what only the long way needs.
        let mut readings = Box::pin(self.ask(std::slice::from_ref(key), options)).await;
        readings.pop().unwrap_or_else(|| Err(ReadError::Unknown(key.clone())))
    }

    /// Reads many as one batch, in the order asked, with an error per key.
    pub async fn load_many(&self, keys: &[Key], options: &ReadOptions) -> Vec<Result<Reading, ReadError>> {
        let now = self.inner.clock.now();
        let glanced: Vec<Option<Reading>> =
            keys.iter().map(|key| self.glance(key, &options.request, now)).collect();
        let missed = keys.iter().zip(&glanced).filter(|(_, found)| found.is_none());
        let missed: Vec<Key> = missed.map(|(key, _)| key.clone()).collect();
        let mut asked =
            if missed.is_empty() { Vec::new() } else { self.ask(&missed, options).await }.into_iter();
        let fill = |(found, key): (Option<Reading>, &Key)| match found {
            Some(reading) => Ok(reading),
            None => asked.next().unwrap_or_else(|| Err(ReadError::Unknown(key.clone()))),
        };
        glanced.into_iter().zip(keys).map(fill).collect()
    }

    /// Reads many by way of the store. Of those that cannot be read the others do not suffer.
    async fn ask(&self, keys: &[Key], options: &ReadOptions) -> Vec<Result<Reading, ReadError>> {
        let now = self.inner.clock.now();
        if let Some(out) = self.inner.reach.out_lately(now).filter(|_| self.inner.tier().is_some()) {
            return self.stand_in_for_all(keys, options, &out, now);
        }
        let held = match self.inner.look_up(keys).await {
            Ok(held) => held,
            Err(error) if matches!(*error, StoreError::BadRow { .. }) && keys.len() > 1 => {
                let (some, others) = keys.split_at(keys.len() / 2);
                let mut asked = Box::pin(self.ask(some, options)).await;
                asked.extend(Box::pin(self.ask(others, options)).await);
                return asked;
            }
            Err(error) => return self.cannot_look_up(keys, options, &error),
        };
        let now = self.inner.clock.now();
        let mut wants = Vec::new();
        let mut behind = Vec::new();
        let mut courses: Vec<Option<Course>> = Vec::with_capacity(keys.len());
        for (key, held) in keys.iter().zip(held) {
            let Some(definition) = self.define(key) else {
                courses.push(Some(Course::Done(Err(ReadError::Unknown(key.clone())))));
                continue;
            };
            let decision =
                decide(held.as_deref().map(|held| &held.entry), &definition, &options.request, now);
            let want = |priority, request| Want {
                key: key.clone(),
                definition: definition.clone(),
                request,
                trigger: if options.request.mode == Mode::Forced { Trigger::Manual } else { Trigger::Read },
                priority,
                began_seen: Some(held.as_ref().map_or(0, |held| held.entry.began)),
                tell: Tell::Row,
            };
            match decision {
                Decision::Fetch { fallback } => {
                    let priority = if fallback { Priority::Manual } else { Priority::Waiting };
                    wants.push((courses.len(), want(priority, options.request), held.filter(|_| fallback)));
                    courses.push(None);
                }
                Decision::Revalidate => {
                    behind.push(want(Priority::StaleRead, Request::default()));
                    courses.push(Some(Course::Done(serve(key, held, definition, now))));
                }
                Decision::Fresh | Decision::Stale(_) => {
                    courses.push(Some(Course::Done(serve(key, held, definition, now))));
                }
                Decision::Refuse(refusal) => {
                    courses.push(Some(Course::Done(Err(refuse(key, refusal)))));
                }
            }
        }
        self.board_wants(wants, &mut courses);
        self.see_behind(behind, options.behind, now).await;
        self.finish(keys, courses, options, now).await
    }

    fn stand_in_for_all(
        &self,
        keys: &[Key],
        options: &ReadOptions,
        out: &OutOfReach,
        now: Time,
    ) -> Vec<Result<Reading, ReadError>> {
        keys.iter().map(|key| self.stand_in(key, &options.request, out, now)).collect()
    }

    fn cannot_look_up(
        &self,
        keys: &[Key],
        options: &ReadOptions,
        error: &Arc<StoreError>,
    ) -> Vec<Result<Reading, ReadError>> {
        let now = self.inner.clock.now();
        let reach = &self.inner.reach;
        // It may answer others: what cannot be looked up is out of reach all the same.
        let out = reach.out(now).or_else(|| loses_reach(error).then(|| reach.out_since(now, now)));
        if let Some(out) = out.filter(|_| self.inner.tier().is_some()) {
            return self.stand_in_for_all(keys, options, &out, now);
        }
        let each = |key: &Key| match self.define(key) {
            Some(_) => Err(ReadError::Store(error.clone())),
            None => Err(ReadError::Unknown(key.clone())),
        };
        keys.iter().map(each).collect()
    }

    fn board_wants(&self, wants: Vec<(usize, Want, Option<Arc<Stored>>)>, courses: &mut [Option<Course>]) {
        if wants.is_empty() {
            return;
        }
        let mut places = Vec::with_capacity(wants.len());
        let mut plain = Vec::with_capacity(wants.len());
        for (index, want, held) in wants {
            places.push((index, held, want.definition.clone()));
            plain.push(want);
        }
        let landings = self.fly(plain);
        for ((index, held, definition), landing) in places.into_iter().zip(landings) {
            courses[index] = Some(Course::Await { landing, held, definition });
        }
    }

    async fn see_behind(&self, wants: Vec<Want>, behind: Behind, now: Time) {
        if wants.is_empty() {
            return;
        }
        match behind {
            Behind::Refresh => drop(self.fly(wants)),
            Behind::MarkDue => {
                let keys: Vec<Key> = wants.into_iter().map(|want| want.key).collect();
                // A store that cannot be written still serves its readers.
                if let Err(error) = self.inner.store.mark_due(&keys, Trigger::Read, now).await {
                    tracing::warn!(%error, "stale entries could not be marked due");
                }
            }
            Behind::Leave => {}
        }
    }

    async fn finish(
        &self,
        keys: &[Key],
        courses: Vec<Option<Course>>,
        options: &ReadOptions,
        started: Time,
    ) -> Vec<Result<Reading, ReadError>> {
        let mut readings = Vec::with_capacity(keys.len());
        for (key, course) in keys.iter().zip(courses) {
            readings.push(match course {
                Some(Course::Done(reading)) => reading,
                Some(Course::Await { landing, held, definition }) => {
                    self.wait_for(key, landing, held, definition, options, started).await
                }
                None => Err(ReadError::Unknown(key.clone())),
            });
        }
        readings
    }

    /// Waits for a flight; with a copy held, only for the soft time-out, unless it was forced. All
    /// of a batch wait from the same start, so that a batch is no slower than its slowest.
    async fn wait_for(
        &self,
        key: &Key,
        landing: Landing,
        held: Option<Arc<Stored>>,
        definition: Arc<Definition>,
        options: &ReadOptions,
        started: Time,
    ) -> Result<Reading, ReadError> {
        let clock = &self.inner.clock;
        let soft = started.plus(definition.policy.soft_timeout).since(clock.now());
        let patient = held.is_none() || options.request.mode == Mode::Forced;
        let refreshed = tokio::select! {
            biased;
            refreshed = landed(landing) => Some(refreshed),
            () = clock.sleep(soft), if !patient => None,
        };
        let Some(refreshed) = refreshed else {
            // Late for the reader: it is kept when it comes.
            return serve(key, held, definition, clock.now());
        };
        let refreshed = match held {
            None => self.fly_urgently(key, refreshed, &definition, &options.request).await,
            Some(_) => refreshed,
        };
        let now = clock.now();
        let stored = match (&refreshed.result, &refreshed.stored) {
            (Ok(_), Some(stored)) => stored.clone(),
            (Ok(_), None) => match self.look_again(key).await {
                Ok(stored) => stored,
                Err(error) => return fall_back(key, held, definition, &error, now),
            },
            (Err(error), _) => return fall_back(key, held, definition, error, now),
        };
        match self.fly_once_more(key, &stored, &definition, &options.request, now) {
            Some(landing) => match &landed(landing).await.stored {
                Some(later) => served_after(key, later.clone(), definition, clock.now()),
                None => served_after(key, stored, definition, clock.now()),
            },
            None => served_after(key, stored, definition, now),
        }
    }

    /// The flight that a reader boarded who has nothing was less urgent, and our own budget kept it back for
    /// the sake of such readers: one more flight, as urgent as they are.
    async fn fly_urgently(
        &self,
        key: &Key,
        refreshed: Arc<Refreshed>,
        definition: &Arc<Definition>,
        request: &Request,
    ) -> Arc<Refreshed> {
        if !refreshed.result.as_ref().is_err_and(RefreshError::spares_the_urgent) {
            return refreshed;
        }
        let began = refreshed.stored.as_ref().map_or(0, |stored| stored.entry.began);
        match self.fly(vec![waiting(key, definition, request, began)]).pop() {
            Some(landing) => landed(landing).await,
            None => refreshed,
        }
    }

    /// What came was invalidated while it was on its way, and this reader takes nothing like it: one more flight,
    /// which begins behind that.
    fn fly_once_more(
        &self,
        key: &Key,
        stored: &Stored,
        definition: &Arc<Definition>,
        request: &Request,
        now: Time,
    ) -> Option<Landing> {
        let is_refused = request.mode == Mode::Normal
            && stored.entry.is_invalidated()
            && matches!(decide(Some(&stored.entry), definition, request, now), Decision::Fetch { .. });
        let want = || waiting(key, definition, request, stored.entry.began);
        is_refused.then(|| self.fly(vec![want()]).pop()).flatten()
    }

    /// The row after a flight that could not say what it brought.
    async fn look_again(&self, key: &Key) -> Result<Arc<Stored>, RefreshError> {
        let row = self.inner.look_up_one(key).await.map_err(RefreshError::Store)?;
        row.ok_or(RefreshError::Removed)
    }
}

/// The wish of a reader who has nothing.
fn waiting(key: &Key, definition: &Arc<Definition>, request: &Request, began: u64) -> Want {
    Want {
        key: key.clone(),
        definition: definition.clone(),
        request: *request,
        trigger: if request.mode == Mode::Forced { Trigger::Manual } else { Trigger::Read },
        priority: Priority::Waiting,
        began_seen: Some(began),
        tell: Tell::Row,
    }
}

fn serve(
    key: &Key,
    held: Option<Arc<Stored>>,
    definition: Arc<Definition>,
    now: Time,
) -> Result<Reading, ReadError> {
    held.map(|held| reading(key, held, definition, now)).ok_or_else(|| ReadError::NotCached(key.clone()))
}

pub(crate) fn reading(key: &Key, stored: Arc<Stored>, definition: Arc<Definition>, now: Time) -> Reading {
    let status = stored.entry.status(Some(&definition), now);
    let hit = if status == larder_core::Status::Fresh { Hit::Hit } else { Hit::Stale };
    Reading {
        key: key.clone(),
        hit,
        status,
        refresh: stored.entry.refresh_state(&definition.policy, now),
        error: stored.entry.last_error.clone(),
        out_of_reach: None,
        stored: visible(stored, &definition),
        definition,
    }
}

/// The fetch ended well: what it brought, or that there is nothing.
fn served_after(
    key: &Key,
    stored: Arc<Stored>,
    definition: Arc<Definition>,
    now: Time,
) -> Result<Reading, ReadError> {
    if !stored.entry.has_data() {
        return Err(refuse_after(key, &stored, now));
    }
    Ok(Reading { hit: Hit::Miss, ..reading(key, stored, definition, now) })
}

/// The fetch failed: what is held is served if it may be, and says why it is not fresher.
fn fall_back(
    key: &Key,
    held: Option<Arc<Stored>>,
    definition: Arc<Definition>,
    error: &RefreshError,
    now: Time,
) -> Result<Reading, ReadError> {
    match held {
        Some(held) => {
            let mut reading = reading(key, held, definition, now);
            reading.error = Some(error.failure(now));
            Ok(reading)
        }
        None => Err(match error {
            RefreshError::NotConfigured => ReadError::Unknown(key.clone()),
            error => ReadError::Failed { key: key.clone(), source: error.clone() },
        }),
    }
}

/// The fetch ended well and brought nothing to serve: the entry does not exist.
fn refuse_after(key: &Key, stored: &Stored, now: Time) -> ReadError {
    let entry = &stored.entry;
    match entry.absent_at {
        Some(_) => ReadError::Absent { key: key.clone(), until: entry.fresh_until.unwrap_or(now) },
        None => backoff(key, entry.due_at, entry.last_error.clone().map(Box::new)),
    }
}

fn refuse(key: &Key, refusal: Refusal) -> ReadError {
    let key = key.clone();
    match refusal {
        Refusal::NotCached => ReadError::NotCached(key),
        Refusal::TooOld => ReadError::TooOld(key),
        Refusal::Absent { until } => ReadError::Absent { key, until },
        Refusal::Backoff { until, error } => backoff(&key, until, error),
    }
}

fn backoff(key: &Key, until: Time, failure: Option<Box<Failure>>) -> ReadError {
    ReadError::Backoff { key: key.clone(), until, failure }
}
