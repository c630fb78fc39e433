//! What is true upstream, and was: names come, change and go, and each moment is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use larder_core::{Key, Policy};

/// Names that the world knows; the last ones are private.
pub(crate) const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "p", "q"];

/// Whether only readers of its repository may see it.
pub(crate) fn is_private(name: &str) -> bool {
    matches!(name, "p" | "q")
}

/// Since a tick: revision so and so, or gone.
#[derive(Debug, Clone, Copy)]
struct Since {
    tick: u64,
    revision: Option<u64>,
}

/// An entry as it is configured.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) edition: u32,
    pub(crate) tags: Vec<String>,
}

/// How the upstream feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// It answers.
    Fine,
    /// So many calls of a hundred fail.
    Failing(u8),
    /// It does not answer at all.
    Hanging,
}

/// The upstream of all processes.
pub(crate) struct World {
    history: BTreeMap<&'static str, Vec<Since>>,
    revision: u64,
    pub(crate) policy: Policy,
    pub(crate) entries: BTreeMap<Key, Asked>,
    pub(crate) weather: Weather,
    /// Names that are not answered for.
    pub(crate) unknown: BTreeSet<&'static str>,
    /// Entries that do not exist as a whole.
    pub(crate) absent: BTreeSet<Key>,
    /// The longest that an answer takes on its way, in milliseconds.
    pub(crate) latency: u64,
    /// Whether a source says nothing of some of what it was asked.
    pub(crate) forgetful: bool,
    /// A tag that answers carry besides, which comes and goes.
    pub(crate) extra_tag: bool,
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        let history = NAMES.iter().map(|name| (*name, vec![Since { tick: 0, revision: Some(1) }]));
        let entry = |key: &str, names: &[&str]| {
            let key: Key = key.parse().unwrap();
            let tags = vec![format!("of-{}", key.source()), "every".to_owned()];
            let names = names.iter().map(|name| Arc::from(*name)).collect();
            (key, Asked { names, edition: 0, tags })
        };
        let entries = [
            entry("left/one", &["a", "b", "c"]),
            entry("left/two", &["b", "c", "d", "p"]),
            entry("right/three", &["a"]),
            entry("right/four", &["d", "e", "f", "q", "a"]),
        ];
        World {
            history: history.collect(),
            revision: 1,
            policy,
            entries: entries.into(),
            weather: Weather::Fine,
            unknown: BTreeSet::new(),
            absent: BTreeSet::new(),
            latency: 20,
            forgetful: true,
            extra_tag: false,
        }
    }

    /// A new revision of a name, from now on.
    pub(crate) fn change(&mut self, name: &'static str, tick: u64) {
        self.revision += 1;
        let since = Since { tick, revision: Some(self.revision) };
        self.history.entry(name).or_default().push(since);
    }

    /// A name is gone, from now on.
    pub(crate) fn remove(&mut self, name: &'static str, tick: u64) {
        self.history.entry(name).or_default().push(Since { tick, revision: None });
    }

    /// What is there now; `None` = it is gone.
    pub(crate) fn now(&self, name: &str) -> Option<u64> {
        self.history.get(name)?.last()?.revision
    }

    /// Whether a name had this revision (`None` = was gone) at some time not before the tick.
    pub(crate) fn was(&self, name: &str, revision: Option<u64>, since: u64) -> bool {
        let Some(history) = self.history.get(name) else { return revision.is_none() };
        let ends = history.iter().skip(1).map(|next| next.tick).chain([u64::MAX]);
        history.iter().zip(ends).any(|(begin, end)| begin.revision == revision && end > since)
    }
}
