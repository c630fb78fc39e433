//! The one task of a process that follows the store: what anybody committed is dropped from memory
//! and told to whoever listens.
//!
//! It wakes when the store has heard something, and every 50 ms all the same (where nothing has happened
//! for a while, every 200); looks at the store's pulse, and if that moved, at the feed behind the last place and at the refresh log (which also has
//! what changed nothing visible). Only when all of that is in memory's hands does the look count: its
//! beginning is the instant up to which memory is believed. What was in memory and changed is looked
//! up again at once beside it, so that readers go on hitting, and an outage finds memory warm.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_core::{Change, Changes, Key, LogFilter, LogLine, StoreError, Subject, Time};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::engine::Inner;
use crate::reach::PATIENCE;
use crate::tier::Tier;
use crate::{Engine, OutOfReach};

/// What the follower saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A line of the feed.
    Changed(Change),
    /// A line of the refresh log.
    Refreshed {
        /// The line.
        line: LogLine,
        /// Whether the feed had a line of the same entry in the same look.
        is_told: bool,
    },
    /// Lines of the feed were lost: start over.
    Reset {
        /// Where the feed goes on.
        last: u64,
    },
    /// The store is out of reach.
    Lost(OutOfReach),
    /// It can be reached again.
    Found,
}

/// Lines that are read at once.
const LINES_MAX: usize = 256;

/// How many changed entries are looked up again in one turn at the most; more are left to their
/// readers.
const REFILLED_MAX: usize = 64;

/// Turns are this far apart, however often the store hears something.
const GAP: Duration = Duration::from_millis(10);

/// Where nothing was committed for so long, it is looked less often: who sleeps is to cost nothing.
const QUIET_AFTER: Duration = Duration::from_secs(10);

/// So many times as long are the pauses then.
const QUIET_TIMES: u32 = 4;

/// How often a store that is out of reach is tried.
const OUT_EVERY: Duration = Duration::from_millis(250);

/// How many pieces of news a slow listener may fall behind.
pub(crate) const BACKLOG_MAX: usize = 4096;

/// What was seen of the refresh log.
#[derive(Default)]
enum LogSeen {
    /// Nothing yet: what it has is no news.
    #[default]
    Nothing,
    /// Up to its newest line.
    UpTo(Option<LogLine>),
}

/// What was seen of the store so far.
#[derive(Default)]
struct Seen {
    pulse: Option<u64>,
    place: u64,
    log: LogSeen,
    is_reset: bool,
    is_failing: bool,
    is_lost: bool,
    /// When something was seen to have happened.
    stirred_at: Option<Time>,
    /// What was in memory and changed.
    gone: Vec<Key>,
}

impl Seen {
    /// Whether nothing has happened for a while.
    fn is_quiet(&self, now: Time) -> bool {
        self.stirred_at.is_some_and(|at| now.since(at) >= QUIET_AFTER)
    }
}

impl Engine {
    /// Follows the store from a place of its feed on, at least once in `every` while others commit (and in four
    /// times that where nobody does), until the engine stops. Memory is believed only while this runs. Answers `false` at once where this engine
    /// follows the store already.
    pub async fn follow(&self, from: u64, every: Duration) -> bool {
        let inner = &self.inner;
        if inner.is_followed.swap(true, Ordering::SeqCst) {
            return false;
        }
        let _end = End(inner);
        inner.reach.is_told_of();
        inner.place.store(from, Ordering::SeqCst);
        // What is there was put there when nobody looked after it.
        if let Some(tier) = inner.tier() {
            tier.clear();
        }
        let mut seen = Seen { place: from, ..Seen::default() };
        let (mut refilling, mut is_known) = (None, true);
        while !inner.stopping.is_cancelled() {
            let changed = inner.turn(&mut seen).await;
            let is_reset = std::mem::take(&mut seen.is_reset);
            let noted = self.take_note(&changed, is_reset || !is_known).await;
            if let (Err(error), true) = (&noted, is_known) {
                tracing::warn!(%error, "what entries there are now could not be looked up");
            }
            is_known = noted.is_ok();
            inner.refill(&mut seen.gone, &mut refilling);
            let pause = if seen.is_failing || seen.is_lost {
                OUT_EVERY
            } else if seen.is_quiet(inner.clock.now()) {
                every * QUIET_TIMES
            } else {
                every
            };
            tokio::select! {
                biased;
                () = inner.stopping.cancelled() => {}
                () = inner.wait_for_news(pause) => {}
            }
        }
        true
    }

    /// Shows sources those of their indexes that changed, or all of them where lines were lost.
    async fn take_note(&self, changed: &[Key], is_reset: bool) -> Result<(), StoreError> {
        let mut noted = if is_reset { self.learn().await } else { Ok(()) };
        for key in changed {
            noted = self.heard_of(key).await.and(noted);
        }
        noted
    }

    /// Hears of what the follower sees from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.inner.news.subscribe()
    }

    /// The place of the feed up to which it was followed.
    pub fn place(&self) -> u64 {
        self.inner.place.load(Ordering::SeqCst)
    }
}

/// Lets another follower begin, also when this one was dropped.
struct End<'a>(&'a Inner);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_followed.store(false, Ordering::SeqCst);
    }
}

impl Inner {
    /// Waits until something was committed, here or as far as the store hears, or for `pause`.
    async fn wait_for_news(&self, pause: Duration) {
        let began = self.clock.now();
        let turn_is_over = tokio::select! {
            biased;
            () = self.committed.notified() => false,
            () = self.store.heard() => false,
            () = self.clock.sleep(pause) => true,
        };
        let waited = self.clock.now().since(began);
        if !turn_is_over && waited < GAP {
            self.clock.sleep(GAP.min(pause).saturating_sub(waited)).await;
        }
    }

    /// One look, and what it means for what may be believed. Answers the entries that changed.
    async fn turn(&self, seen: &mut Seen) -> Vec<Key> {
        let began = self.clock.now();
        let mut changed = Vec::new();
        self.reach.calm(began);
        // One that hung is asked one thing: its readers ask it again if nobody else did lately.
        let is_out = self.reach.out(began).is_some() && !self.watched.probe(PATIENCE).await;
        if !is_out {
            match self.look_at_store(seen, &mut changed).await {
                Ok(()) => {
                    self.note_answer();
                    self.reach.looked(began);
                    seen.is_failing = false;
                }
                Err(error) => {
                    // Not that the store could not be followed, but whether it can be asked, is what
                    // its readers have to know.
                    if self.watched.probe(PATIENCE).await && !std::mem::replace(&mut seen.is_failing, true) {
                        tracing::warn!(%error, "the store cannot be followed: memory is not believed");
                    }
                }
            }
        }
        match self.reach.out(self.clock.now()) {
            Some(out) if !seen.is_lost => self.tell(News::Lost(out)),
            None if seen.is_lost => self.tell(News::Found),
            Some(_) | None => {}
        }
        seen.is_lost = self.reach.out(self.clock.now()).is_some();
        changed
    }

    /// Everything that came since the last look.
    async fn look_at_store(&self, seen: &mut Seen, changed: &mut Vec<Key>) -> Result<(), StoreError> {
        // Before the feed: what is committed while it is read moves the next pulse.
        let pulse = self.within(PATIENCE, "take the pulse", self.store.pulse()).await?;
        if seen.pulse == Some(pulse) {
            return Ok(());
        }
        let mut gone = Vec::new();
        let looked = async {
            self.look_at_feed(seen, changed, &mut gone).await?;
            self.look_at_log(seen, changed, &mut gone).await
        };
        let looked = looked.await;
        seen.gone.extend(gone);
        looked?;
        (seen.pulse, seen.stirred_at) = (Some(pulse), Some(self.clock.now()));
        Ok(())
    }

    /// Looks up again what had changed, also what a reader looked up as it did, beside the following: what is large takes its time.
    fn refill(self: &Arc<Self>, gone: &mut Vec<Key>, refilling: &mut Option<JoinHandle<()>>) {
        gone.extend(self.tier().map(Tier::take_late).unwrap_or_default());
        if gone.is_empty() || refilling.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        gone.sort();
        gone.dedup();
        gone.truncate(REFILLED_MAX);
        let (inner, gone) = (self.clone(), std::mem::take(gone));
        *refilling = Some(self.tasks.spawn(async move {
            let looking = inner.look_up_all(gone.into_iter().map(|key| (key, ())).collect(), |(), looked| {
                if let Err(error) = looked {
                    tracing::debug!(%error, "what had changed could not be looked up again");
                }
            });
            tokio::select! {
                biased;
                () = inner.closing.cancelled() => {}
                () = looking => {}
            }
        }));
    }

    /// Reads the feed to its end: `changed` gets the entries that it was about, `gone` those of them
    /// that were in memory.
    async fn look_at_feed(
        &self,
        seen: &mut Seen,
        changed: &mut Vec<Key>,
        gone: &mut Vec<Key>,
    ) -> Result<(), StoreError> {
        loop {
            let read = self.store.changes(seen.place, LINES_MAX);
            let Changes { lines, reset, last } = self.within(PATIENCE, "read the feed", read).await?;
            if reset {
                if let Some(tier) = self.tier() {
                    tier.clear();
                }
                seen.is_reset = true;
                self.move_to(seen, last);
                self.tell(News::Reset { last });
                return Ok(());
            }
            let is_all = lines.len() < LINES_MAX;
            for line in lines {
                self.forget(&line, gone);
                changed.extend(line.on.key().cloned());
                self.move_to(seen, line.seq);
                self.tell(News::Changed(line));
            }
            if is_all {
                return Ok(());
            }
        }
    }

    /// Reads the refresh log behind the last line seen: an entry whose data are the same is younger
    /// for it all the same.
    async fn look_at_log(
        &self,
        seen: &mut Seen,
        changed: &[Key],
        gone: &mut Vec<Key>,
    ) -> Result<(), StoreError> {
        let newest = LogFilter { key: None, limit: 1 };
        let newest =
            self.within(PATIENCE, "read the refresh log", self.store.log(&newest)).await?.into_iter().next();
        let known = match &seen.log {
            LogSeen::UpTo(known) if *known != newest => known.clone(),
            LogSeen::UpTo(_) | LogSeen::Nothing => {
                seen.log = LogSeen::UpTo(newest);
                return Ok(());
            }
        };
        let filter = LogFilter { key: None, limit: LINES_MAX };
        let lines = self.within(PATIENCE, "read the refresh log", self.store.log(&filter)).await?;
        let place = lines.iter().position(|line| known.as_ref() == Some(line));
        // The line is not there any more where others of its entry have followed it (see `LogLine::IDLE_KEPT`).
        let began = known.as_ref().map_or(Time::from_ms(i64::MIN), |known| known.started_at);
        let new = place.unwrap_or_else(|| lines.iter().take_while(|line| line.started_at > began).count());
        let is_lost = new == LINES_MAX || (place.is_none() && known.is_some());
        if let Some(tier) = self.tier().filter(|_| is_lost) {
            tier.doubt_all();
        }
        for line in lines[..new].iter().rev() {
            if self.tier().is_some_and(|tier| tier.doubt(&line.key)) {
                gone.push(line.key.clone());
            }
            self.tell(News::Refreshed { line: line.clone(), is_told: changed.contains(&line.key) });
        }
        seen.log = LogSeen::UpTo(lines.into_iter().next());
        Ok(())
    }

    /// Takes what a line is about out of memory: what is only marked stale may still stand in.
    fn forget(&self, line: &Change, gone: &mut Vec<Key>) {
        let Some(tier) = self.tier() else { return };
        let is_only_stale = line.what == "invalidated";
        match &line.on {
            Subject::Entry(key) => {
                let was_held = if is_only_stale { tier.doubt(key) } else { tier.drop_copy(key) };
                gone.extend(was_held.then(|| key.clone()));
            }
            Subject::Tag(_) | Subject::Source(_) | Subject::All if is_only_stale => tier.doubt_all(),
            Subject::Tag(_) | Subject::Source(_) | Subject::All => tier.clear(),
        }
    }

    fn move_to(&self, seen: &mut Seen, place: u64) {
        seen.place = place;
        self.place.store(place, Ordering::SeqCst);
    }

    fn tell(&self, news: News) {
        self.news.send(news);
    }
}
