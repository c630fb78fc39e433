//! One who reads the feed and nothing else must know every version there is.

use std::collections::BTreeMap;

use larder_core::{Key, Store};

use super::Broken;
use super::sim::Sim;
use super::store::now;

/// A reader of the feed, with its place.
#[derive(Default)]
pub(crate) struct Follower {
    place: u64,
    versions: BTreeMap<Key, u64>,
}

impl Follower {
    /// Reads on, at most so many lines. Answers whether there were any.
    pub(crate) fn follow(&mut self, sim: &Sim, store: &dyn Store, limit: usize) -> bool {
        let Ok(changes) = now(store.changes(self.place, limit)) else { return false };
        if changes.reset {
            // Lines are missing: it starts over, from what there is.
            let rows = now(store.rows(None, None, 100)).unwrap_or_default();
            self.versions = rows.into_iter().map(|row| (row.entry.key, row.entry.version)).collect();
            self.place = changes.last;
            return true;
        }
        for line in &changes.lines {
            if line.seq <= self.place {
                sim.violate(|| format!("the feed goes back from {} to {}", self.place, line.seq));
            }
            self.place = line.seq;
            let is_lost = sim.setup.broken == Some(Broken::Feed) && sim.happens(20);
            let Some(key) = line.on.key().filter(|_| !is_lost) else { continue };
            if line.what == "evicted" {
                self.versions.remove(key);
            } else if let Some(before) = self.versions.insert(key.clone(), line.version)
                && before > line.version
            {
                sim.violate(|| format!("{key}: its version went back from {before} to {}", line.version));
            }
        }
        !changes.lines.is_empty()
    }

    /// Reads to the end, and compares what it was told with what there is.
    pub(crate) fn compare(&mut self, sim: &Sim, store: &dyn Store) {
        while self.follow(sim, store, 7) {}
        let rows = now(store.rows(None, None, 100)).unwrap_or_default();
        for row in rows.iter().filter(|row| row.entry.has_data()) {
            let (key, version) = (&row.entry.key, row.entry.version);
            let told = self.versions.get(key).copied();
            if told != Some(version) {
                sim.violate(|| format!("{key} has version {version}, the feed told of {told:?}"));
            }
        }
        for key in self.versions.keys() {
            if !rows.iter().any(|row| row.entry.key == *key) {
                sim.violate(|| format!("{key} is gone, and the feed did not tell"));
            }
        }
    }
}
