//! Hears of changes in folders and says which entries want a look. It marks nothing itself and
//! fetches nothing: events lead to the same refresh as every other trigger.
//!
//! Changes are waited out: a moment of quiet, or a while of storm, and all that came is one batch.
//! (Own lines in place of `notify-debouncer-full`: that wakes up many times a second for ever, where
//! this sleeps until something happens, and its pairing of renames is of no use here.)

mod batch;
mod extent;
mod linked;
mod meaning;
mod places;
mod recorded;
mod settle;
mod ways;
mod window;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_core::{Clock, Key, Time};
use tokio::sync::mpsc::{Receiver, channel};

use super::{ProjectsSource, Shared, Stop};
use crate::ears::{Ears, Heard, Mouth};
use crate::mounts::Mounts;
use batch::{Batch, Change, changes};
use extent::Extent;
use meaning::{Meanings, profiles};
use places::{FOLDERS_MAX, Places, below, places};
use recorded::RecordFile;
use settle::settle;
use window::Window;

/// How to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchOptions {
    /// How long it must be quiet before a change is looked at.
    pub debounce: Duration,
    /// How often is looked where the system does not tell.
    pub poll: Duration,
    /// Whether the system is asked to tell at all.
    pub by_events: bool,
    /// How often everything is looked at, for what was missed.
    pub sweep: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        WatchOptions {
            debounce: Duration::from_millis(100),
            poll: Duration::from_secs(5),
            by_events: true,
            sweep: Duration::from_hours(6),
        }
    }
}

/// What is heard before anybody listens; more than that is missed, and everything looked at.
const HEARD_MAX: usize = 8_192;
/// Paths of projects that may become known.
const UNEXPLAINED_MAX: usize = 1_000;
/// How often is looked whether a root that was away is there again.
const AWAY_EVERY: Duration = Duration::from_secs(10);
/// Having missed something, everything is looked at, but not more often than this.
const MISSED_EVERY: Duration = Duration::from_secs(10);

/// A watch on the folders of a source.
pub struct Watch {
    shared: Arc<Shared>,
    options: WatchOptions,
    clock: Arc<dyn Clock>,
    ears: Arc<Mutex<Ears>>,
    heard: Receiver<Heard>,
    missed: Arc<AtomicBool>,
    mounts: Mounts,
    places: Places,
    /// The catalogue's edition that the places were worked out by.
    edition: u64,
    /// What happened in projects that are not known yet: another process may have read them a moment before,
    /// and this one learn of them a moment later.
    unexplained: BTreeSet<PathBuf>,
    /// What waits for quiet.
    window: Window,
    swept_at: Time,
    missed_at: Option<Time>,
    /// When it was last looked whether roots that were away are there again.
    away_at: Time,
    /// What is worked out on a thread ends with the watch.
    stop: Stop,
}

impl ProjectsSource {
    /// Starts watching. The first [`next`](Watch::next) answers everything, since nobody heard what
    /// happened before.
    pub fn watch(&self, options: WatchOptions, clock: Arc<dyn Clock>) -> Watch {
        let (sender, heard) = channel(HEARD_MAX);
        let missed = Arc::new(AtomicBool::new(true));
        let mouth = Mouth { sender, missed: missed.clone() };
        let ears = Ears::new(mouth, options.poll, options.by_events);
        Watch {
            shared: self.shared.clone(),
            options,
            swept_at: clock.now(),
            away_at: clock.now(),
            clock,
            ears: Arc::new(Mutex::new(ears)),
            heard,
            missed,
            mounts: Mounts::listen(),
            places: Places::default(),
            edition: 0,
            unexplained: BTreeSet::new(),
            window: Window::default(),
            missed_at: None,
            stop: Stop::default(),
        }
    }
}

impl Watch {
    /// Waits for the next changes, and answers the entries that want a look: never none.
    pub async fn next(&mut self) -> Vec<Key> {
        loop {
            let batch = self.batch().await;
            let keys = self.meaning(batch).await;
            if !keys.is_empty() {
                return keys;
            }
        }
    }

    /// Why some folders are only looked at every so often, and what to do about it.
    pub fn trouble(&self) -> Option<String> {
        let cut = || {
            self.places.is_cut.then(|| {
                format!(
                    "there are more than {FOLDERS_MAX} folders to watch; what changes in the others is seen when all \
                     is looked at, after `[projects] ttl` ({} s). Have `roots` name fewer, or `prune` leave out what \
                     holds no projects",
                    self.options.sweep.as_secs()
                )
            })
        };
        lock(&self.ears).trouble().or_else(cut)
    }

    /// How many folders are watched.
    pub fn folders(&self) -> usize {
        self.places.folders.len()
    }

    /// Everything that comes until it is quiet where it came.
    async fn batch(&mut self) -> Batch {
        let (shared, quiet) = (self.shared.clone(), self.options.debounce);
        loop {
            while let Ok(heard) = self.heard.try_recv() {
                take(heard, &self.places, &mut self.window, self.clock.now());
            }
            let now = self.clock.now();
            let due = self.window.take_due(quiet, now);
            if due.as_ref().is_some_and(|batch| batch.missed) {
                self.missed.store(true, Ordering::Release);
            }
            let makes_up = self.is_missed() && self.missed_in().is_zero();
            if due.is_some() || (makes_up && self.window.due_in(quiet, now).is_none()) {
                return Batch { missed: makes_up, ..due.unwrap_or_default() };
            }
            let sweep_in = self.swept_at.plus(self.options.sweep).since(now);
            // What is to be made up for now is so with what waits.
            let is_later = self.is_missed() && !makes_up;
            let look_in = if is_later { sweep_in.min(self.missed_in()) } else { sweep_in };
            let (due_in, away_in) = (self.window.due_in(quiet, now), self.away_in(now));
            tokio::select! {
                biased;
                () = hear(&mut self.heard, &self.places, &mut self.window, &*self.clock) => {}
                () = shared.catalogue.changed(self.edition) => return Batch::default(),
                () = self.mounts.changed() => {
                    if self.mounts.are_others(|place| self.places.reach_to(place)) {
                        self.missed.store(true, Ordering::Release);
                    }
                }
                () = self.clock.sleep(due_in.unwrap_or(Duration::MAX)), if due_in.is_some() => {}
                () = self.clock.sleep(look_in) => return Batch { missed: true, ..Batch::default() },
                () = self.clock.sleep(away_in), if !self.places.away.is_empty() => {
                    self.away_at = self.clock.now();
                    let batch = come_back(&self.places.away);
                    if !batch.paths.is_empty() {
                        return batch;
                    }
                }
            }
        }
    }

    /// Whether something was missed that has not been made up for.
    fn is_missed(&self) -> bool {
        self.missed.load(Ordering::Acquire)
    }

    /// How long to wait before what was missed is made up for: not at every gust of a storm.
    fn missed_in(&self) -> Duration {
        let now = self.clock.now();
        let again = |at: Time| if now < at { Duration::ZERO } else { at.plus(MISSED_EVERY).since(now) };
        self.missed_at.map_or(Duration::ZERO, again)
    }

    /// How long to wait before it is looked again whether roots that are away came back.
    fn away_in(&self, now: Time) -> Duration {
        if now < self.away_at { Duration::ZERO } else { self.away_at.plus(AWAY_EVERY).since(now) }
    }

    /// What a batch means: watches are put first, then it is said what to look at, so that nothing
    /// falls between.
    async fn meaning(&mut self, batch: Batch) -> Vec<Key> {
        let edition = self.shared.catalogue.edition();
        let mut keys = BTreeSet::new();
        let is_all = batch.missed || edition != self.edition || self.changes_records(&batch).await;
        let is_news = is_all || self.changes_places(&batch);
        if batch.missed {
            self.missed.store(false, Ordering::Release);
            (self.swept_at, self.missed_at) = (self.clock.now(), Some(self.clock.now()));
            keys.extend(self.everything());
        }
        if is_news {
            // What went is known by the places until now alone.
            self.explain(&batch, &mut keys);
            let (links, folders) = (self.places.links.clone(), self.places.watched());
            let new = self.resync(&batch, is_all).await;
            let meaning = self.meanings();
            // When it is heard that a link or a folder went meanwhile, nobody knows it any more.
            for link in links.difference(&self.places.links) {
                meaning.roots_of(link, &mut keys);
            }
            for folder in folders.difference(&self.places.watched()) {
                meaning.explain(folder, true, &mut keys);
            }
            meaning.unmet(&mut keys);
            // What happened in a folder before it was watched, nobody heard.
            for folder in &new {
                meaning.explain(folder, true, &mut keys);
            }
            self.edition = edition;
        }
        self.explain(&batch, &mut keys);
        let meaning = self.meanings();
        keys.extend(self.unexplained.iter().filter_map(|path| meaning.project_of(path)).cloned());
        let paths = self.unexplained.iter().chain(batch.paths.keys());
        let unexplained = paths.filter(|path| meaning.is_unexplained(path)).take(UNEXPLAINED_MAX).cloned();
        self.unexplained = unexplained.collect();
        let catalogue = &self.shared.catalogue;
        keys.into_iter().filter(|key| !catalogue.is_awaited(key)).collect()
    }

    /// Adds the entries that want a look after a batch, as far as the places tell.
    fn explain(&self, batch: &Batch, keys: &mut BTreeSet<Key>) {
        let meaning = self.meanings();
        for (path, change) in &batch.paths {
            meaning.explain(path, change.is_structural(), keys);
            if *change == Change::Access {
                meaning.below(path, keys);
            }
        }
    }

    fn meanings(&self) -> Meanings<'_> {
        let catalogue = &self.shared.catalogue;
        let searched = catalogue.roots().iter().filter(|root| !self.shared.is_too_much(&root.path));
        let roots: Vec<(PathBuf, Key)> = searched.map(|root| (real(&root.path), root.key.clone())).collect();
        let reach = roots.iter().fold(self.shared.reach(), |reach, (root, _)| reach.and(root));
        Meanings {
            shared: &self.shared,
            places: &self.places,
            roots: roots.into_iter().chain(self.places.beyond.iter().cloned()).collect(),
            projects: catalogue
                .projects()
                .into_iter()
                .map(|(key, project)| (project.path.clone(), key))
                .collect(),
            reach,
        }
    }

    fn everything(&self) -> Vec<Key> {
        let catalogue = &self.shared.catalogue;
        catalogue.roots().iter().map(|root| root.key.clone()).chain(catalogue.keys()).collect()
    }

    /// Whether other folders are to be watched after this.
    fn changes_places(&self, batch: &Batch) -> bool {
        if batch.leaves_out() {
            return true;
        }
        let ears = lock(&self.ears);
        batch.structural().any(|(path, _)| {
            let is_pruned = path.file_name().is_some_and(|name| self.shared.rules.prunes(name));
            let is_folder =
                || std::fs::symlink_metadata(path).is_ok_and(|about| about.is_dir() || about.is_symlink());
            ears.watches(path)
                || self.places.links.contains(path)
                || self.places.linked.has(path)
                || self.places.is_on_way(path)
                || (!is_pruned && is_folder())
        })
    }

    /// Whether other places were recorded after this.
    async fn changes_records(&self, batch: &Batch) -> bool {
        let written = self.places.records.iter().filter(|file| batch.paths.contains_key(&file.real));
        let written: Vec<RecordFile> = written.cloned().collect();
        if written.is_empty() {
            return false;
        }
        let is_another = move || written.iter().any(RecordFile::is_another);
        tokio::task::spawn_blocking(is_another).await.unwrap_or(true)
    }

    /// Works out what to watch now, and answers the folders that were not watched before. What came
    /// below a profile's folder is added alone; anything else wants a walk.
    async fn resync(&mut self, batch: &Batch, is_all: bool) -> Vec<PathBuf> {
        let (shared, ears, stop) = (self.shared.clone(), self.ears.clone(), self.stop.0.clone());
        let renamed = batch.structural().filter(|(_, change)| *change == Change::Name);
        let renamed: Vec<PathBuf> = renamed.map(|(path, _)| path.clone()).collect();
        let other: Vec<PathBuf> = batch.structural().map(|(path, _)| path.clone()).collect();
        let mut roots: Vec<PathBuf> = shared.catalogue.roots().iter().map(|root| real(&root.path)).collect();
        roots.extend(self.places.beyond.iter().map(|(target, _)| target.clone()));
        let is_in = |path: &Path| profiles(path, roots.iter()).iter().all(|way| !way.is_empty());
        let in_profile = |path: &PathBuf| is_in(path) && path.parent().is_some_and(is_in);
        let is_missed = batch.missed;
        let is_local =
            !is_all && !batch.leaves_out() && other.iter().all(|path| in_profile(path) && !path.is_symlink());
        let worked_out = tokio::task::spawn_blocking(move || {
            let mut ears = lock(&ears);
            for path in &renamed {
                // The watch is on what was there, by whatever name it goes now.
                if ears.watches(path) {
                    ears.forget_below(path);
                }
            }
            if is_local {
                let (mut new, mut is_cut) = (Vec::new(), false);
                for path in &other {
                    below(path, 0, &stop, &mut |folder| {
                        let has_room = ears.count() < FOLDERS_MAX;
                        is_cut |= !has_room;
                        if has_room && !ears.watches(folder) && ears.add(folder) {
                            new.push(folder.to_owned());
                        }
                        has_room
                    });
                }
                return (None, new, is_cut);
            }
            if is_missed {
                ears.doubt();
            }
            let (found, mut new) = settle(&mut ears, &shared.rules, &stop, || places(&shared, &stop));
            // Of what happens beside the way to what is awaited nobody wants to know.
            new.retain(|path| !found.is_lookout(path));
            (Some(found), new, false)
        });
        let Ok((found, new, is_cut)) = worked_out.await else { return Vec::new() };
        if let Some(found) = found {
            self.places = found;
        } else {
            self.places.folders.extend(new.iter().map(|folder| (folder.clone(), Extent::All)));
            self.places.is_cut |= is_cut;
        }
        new
    }
}

/// Waits for what may mean something. What is written beside all that is looked at must not keep the quiet
/// away that a change is waiting for: a log in a project's folder is written all the time.
async fn hear(heard: &mut Receiver<Heard>, places: &Places, window: &mut Window, clock: &dyn Clock) {
    loop {
        // Its sender lives in `ears`, as long as the watch does.
        let Some(heard) = heard.recv().await else { return std::future::pending().await };
        if take(heard, places, window, clock.now()) {
            return;
        }
    }
}

/// Adds what was heard to what waits, if it may mean something, and answers whether it does.
fn take(heard: Heard, places: &Places, window: &mut Window, now: Time) -> bool {
    let Heard::Of(event) = heard else {
        window.miss(now);
        return true;
    };
    let changes = changes(event, places);
    let is_any = !changes.is_empty();
    window.add(changes, now);
    is_any
}

/// The roots that were away and can be looked at again: nothing is heard of that.
fn come_back(away: &[PathBuf]) -> Batch {
    let mut batch = Batch::default();
    for root in away.iter().filter(|root| std::fs::read_dir(root).is_ok()) {
        batch.add(real(root), Change::Name);
    }
    batch
}

/// Where a path really is.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn lock(ears: &Mutex<Ears>) -> std::sync::MutexGuard<'_, Ears> {
    ears.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
