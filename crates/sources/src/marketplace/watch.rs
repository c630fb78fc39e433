//! Hears of changes to the files that marketplaces are read from, and says which entries want a look.
//! It marks nothing itself and reads nothing.
//!
//! What is watched is the folder that a file lies in: editors write beside a file and rename. Where
//! there is no such folder yet, the nearest one above it that there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::{Clock, Key};
use tokio::sync::mpsc::{Receiver, channel};

use super::{MarketplaceConfig, MarketplaceFrom, MarketplaceSource};
use crate::WatchOptions;
use crate::ears::{Ears, Heard, Mouth};
use crate::mounts::Mounts;

/// What is heard before anybody listens; more than that is missed, and every file looked at.
const HEARD_MAX: usize = 1_024;
/// A storm is looked at after so many times the quiet that never comes.
const STORM: u32 = 10;

/// A watch on the files of marketplaces.
pub struct FilesWatch {
    files: Vec<(PathBuf, Key)>,
    options: WatchOptions,
    clock: Arc<dyn Clock>,
    ears: Ears,
    heard: Receiver<Heard>,
    missed: Arc<AtomicBool>,
    mounts: Mounts,
}

impl FilesWatch {
    /// Starts watching those marketplaces that are files; `None` = none is one. The first
    /// [`next`](FilesWatch::next) answers all of them, since nobody heard what happened before.
    pub fn of(
        configs: &[MarketplaceConfig],
        options: WatchOptions,
        clock: Arc<dyn Clock>,
    ) -> Option<FilesWatch> {
        let file = |config: &MarketplaceConfig| match &config.from {
            MarketplaceFrom::File(path) => Some((path.clone(), MarketplaceSource::key(&config.name).ok()?)),
            MarketplaceFrom::Url { .. } | MarketplaceFrom::Repository(_) => None,
        };
        let files: Vec<(PathBuf, Key)> = configs.iter().filter_map(file).collect();
        if files.is_empty() {
            return None;
        }
        let (sender, heard) = channel(HEARD_MAX);
        let missed = Arc::new(AtomicBool::new(true));
        let mouth = Mouth { sender, missed: missed.clone() };
        let ears = Ears::new(mouth, options.poll, options.by_events);
        Some(FilesWatch { files, options, clock, ears, heard, missed, mounts: Mounts::listen() })
    }

    /// The entries of all of them.
    pub fn keys(&self) -> Vec<Key> {
        self.files.iter().map(|(_, key)| key.clone()).collect()
    }

    /// Waits for the next changes, and answers the entries that want a look: never none.
    pub async fn next(&mut self) -> Vec<Key> {
        loop {
            let mut paths = BTreeSet::new();
            if !self.missed.load(Ordering::Acquire) {
                self.batch(&mut paths).await;
            }
            let is_missed = self.missed.swap(false, Ordering::AcqRel);
            for path in &paths {
                // The watch is on what was there, by whatever name it goes now.
                self.ears.forget_below(path);
            }
            if is_missed {
                self.ears.doubt();
            }
            // Watches are put first, then it is said what to look at: nothing falls between.
            paths.extend(self.ears.watch(&self.folders(), &AtomicBool::new(false)));
            let wanted = |file: &Path| is_missed || paths.iter().any(|path| file.starts_with(path));
            let keys: Vec<Key> = self
                .files
                .iter()
                .filter(|(file, _)| wanted(file) || wanted(&real(file)))
                .map(|(_, key)| key.clone())
                .collect();
            if !keys.is_empty() {
                return keys;
            }
        }
    }

    /// Why some folders are only looked at every so often, and what to do about it.
    pub fn trouble(&self) -> Option<String> {
        self.ears.trouble()
    }

    /// Everything that comes until it is quiet.
    async fn batch(&mut self, paths: &mut BTreeSet<PathBuf>) {
        // Its sender lives in `ears`, as long as this does.
        tokio::select! {
            biased;
            Some(first) = self.heard.recv() => self.take(first, paths),
            () = self.mounts.changed() => {
                let files = &self.files;
                if self.mounts.are_others(|place| concerns(files, place)) {
                    self.missed.store(true, Ordering::Release);
                }
                return;
            }
        }
        let since = self.clock.now();
        loop {
            let quiet = self.clock.sleep(self.options.debounce);
            tokio::select! {
                biased;
                Some(heard) = self.heard.recv() => self.take(heard, paths),
                () = quiet => return,
            }
            if self.clock.now().since(since) >= self.options.debounce * STORM {
                return;
            }
        }
    }

    fn take(&self, heard: Heard, paths: &mut BTreeSet<PathBuf>) {
        match heard {
            // Other files of their folders are nobody's business.
            Heard::Of(event) => {
                paths.extend(event.paths.into_iter().filter(|path| concerns(&self.files, path)));
            }
            Heard::Overflow => self.missed.store(true, Ordering::Release),
        }
    }

    /// The folders to watch, by where they really are and by the names that lead there.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let there = |path: &Path| path.ancestors().skip(1).find(|above| above.is_dir()).map(Path::to_owned);
        self.files.iter().flat_map(|(file, _)| [there(file), there(&real(file))]).flatten().collect()
    }
}

/// Whether a path is a file's, or that of a folder above it.
fn concerns(files: &[(PathBuf, Key)], path: &Path) -> bool {
    files.iter().any(|(file, _)| file.starts_with(path) || real(file).starts_with(path))
}

/// Where a file that is there really is.
fn real(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}
