//! What links and records lead to, and whom that concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use larder_core::Key;

use super::extent::{Extent, is_looked_at};

/// What links and records lead to, or would if there were something, with the entries that want a look then.
#[derive(Debug, Default)]
pub(super) struct Linked(BTreeMap<PathBuf, BTreeSet<(Extent, Key)>>);

impl Linked {
    /// Adds what concerns an entry, which counts as a profile's folder or as a whole. `false` = it was known.
    pub(super) fn add(&mut self, target: &Path, extent: Extent, key: &Key) -> bool {
        self.0.entry(target.to_owned()).or_default().insert((extent, key.clone()))
    }

    /// Whether a path is something that is led to, or lies in it.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.around(path).next().is_some()
    }

    /// The entries that something at a path concerns. `is_structural`: what is below it may have come, or gone.
    pub(super) fn concerned<'l>(
        &'l self,
        path: &'l Path,
        is_structural: bool,
    ) -> impl Iterator<Item = &'l Key> {
        let below = self.0.range(path.to_owned()..).take_while(move |(target, _)| target.starts_with(path));
        let below = below.filter(move |_| is_structural).flat_map(|(_, of)| of.iter().map(|(_, key)| key));
        self.around(path).chain(below)
    }

    fn around<'l>(&'l self, path: &'l Path) -> impl Iterator<Item = &'l Key> {
        path.ancestors().flat_map(move |above| {
            let of = self.0.get(above).into_iter().flatten();
            let rest = path.strip_prefix(above).unwrap_or(path);
            of.filter(|(extent, _)| *extent != Extent::Profile || is_looked_at(rest)).map(|(_, key)| key)
        })
    }
}
