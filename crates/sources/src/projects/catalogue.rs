//! Which projects there are, by what the roots' entries say: held in memory, learned from the
//! store, so that every process that reads it knows the same.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use larder_core::{Definition, Fingerprint, Json, Key, KeyError, Learned, Policy};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::place::{id_of, kept, opened};
use super::{PROJECTS_SOURCE, ProjectsConfig};

/// What a root's entry holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// The root, for people.
    pub(super) root: String,
    /// The disk that it is on, by the system's number; `None` = that was not noted, or cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) disk: Option<u64>,
    /// The projects below it, by path.
    pub(super) projects: Vec<Listed>,
}

/// A project in a root's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Its id.
    pub(super) id: String,
    /// How it is called from the root.
    pub(super) relative_path: String,
    /// Where it really is, percent-encoded.
    pub(super) path: String,
}

impl Listed {
    pub(super) fn new(path: &Path, relative_path: String, machine: &str) -> Self {
        Listed { id: id_of(path, machine), relative_path, path: kept(path) }
    }
}

/// A root.
#[derive(Debug, Clone)]
pub(super) struct Root {
    pub(super) key: Key,
    pub(super) path: PathBuf,
    definition: Arc<Definition>,
}

/// A project that is known.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) path: PathBuf,
    pub(super) relative_path: String,
    pub(super) root: PathBuf,
    definition: Arc<Definition>,
}

/// A change of what a scan finds makes all older copies stale.
const EDITION: &str = "projects 4";

#[derive(Debug)]
pub(super) struct Catalogue {
    roots: Vec<Root>,
    /// The keys of the roots that nobody named and nobody saw there.
    awaited: Mutex<BTreeSet<Key>>,
    /// Empty = the only one.
    machine: String,
    /// What decides about every project alike.
    shared: Vec<String>,
    policy: Policy,
    known: RwLock<Arc<Known>>,
    /// Counts the changes of what is known.
    edition: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Known {
    by_root: HashMap<Key, Arc<Index>>,
    projects: HashMap<Key, Arc<Project>>,
    /// In the order of roots and paths.
    keys: Vec<Key>,
}

impl Catalogue {
    pub(super) fn new(config: &ProjectsConfig, base: &Policy) -> Result<Self, KeyError> {
        let policy = Policy { ttl: config.ttl, ..base.clone() };
        let machine = config.machine.as_deref().unwrap_or_default();
        let text = |path: &PathBuf| kept(path);
        let mut walk = vec![EDITION.to_owned(), config.depth.to_string()];
        walk.extend(config.prune.iter().cloned());
        walk.push("links".to_owned());
        walk.extend(config.allow_links.iter().map(text));
        let mut roots = Vec::new();
        let mut awaited = BTreeSet::new();
        for path in config.roots.iter().chain(&config.cwd) {
            if roots.iter().any(|root: &Root| root.path == *path) {
                continue;
            }
            let mut parts = walk.clone();
            parts.push(kept(path));
            let definition = definition(&parts, &policy);
            let key = Key::new(PROJECTS_SOURCE, &["roots", &id_of(path, machine)])?;
            if config.awaited.contains(path) {
                awaited.insert(key.clone());
            }
            roots.push(Root { key, path: path.clone(), definition });
        }
        let mut shared = vec![EDITION.to_owned()];
        for (name, folders) in
            [("roots", &config.roots), ("links", &config.allow_links), ("collections", &config.collections)]
        {
            shared.push(name.to_owned());
            shared.extend(folders.iter().map(text));
        }
        Ok(Catalogue {
            roots,
            awaited: Mutex::new(awaited),
            machine: machine.to_owned(),
            shared,
            policy,
            known: RwLock::default(),
            edition: watch::Sender::new(0),
        })
    }

    /// What this machine is called, if others keep theirs in the same store.
    pub(super) fn machine(&self) -> &str {
        &self.machine
    }

    /// All roots, there or awaited.
    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The entries of the roots that count.
    pub(super) fn indexes(&self) -> Vec<Key> {
        self.roots.iter().map(|root| &root.key).filter(|key| !self.is_awaited(key)).cloned().collect()
    }

    /// The entries of the roots that do not count, as far as is known.
    pub(super) fn awaited_indexes(&self) -> Vec<Key> {
        self.roots.iter().map(|root| &root.key).filter(|key| self.is_awaited(key)).cloned().collect()
    }

    /// A root that counts.
    pub(super) fn root(&self, key: &Key) -> Option<&Root> {
        self.roots.iter().find(|root| root.key == *key).filter(|_| !self.is_awaited(key))
    }

    /// Whether that is a root which does not count: nobody named it, nobody saw it there, and no project of it
    /// is held, which would tell that it was there and went away.
    pub(super) fn is_awaited(&self, key: &Key) -> bool {
        let is_held = || self.known().by_root.get(key).is_some_and(|index| !index.projects.is_empty());
        self.awaited().contains(key) && !is_held()
    }

    /// A root is there: it counts from now on.
    pub(super) fn came(&self, key: &Key) {
        self.awaited().remove(key);
    }

    fn awaited(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn project(&self, key: &Key) -> Option<Arc<Project>> {
        self.known().projects.get(key).cloned()
    }

    /// All projects that are known, in order.
    pub(super) fn projects(&self) -> Vec<(Key, Arc<Project>)> {
        let known = self.known();
        known.keys.iter().filter_map(|key| Some((key.clone(), known.projects.get(key)?.clone()))).collect()
    }

    /// How often what is known has changed.
    pub(super) fn edition(&self) -> u64 {
        *self.edition.borrow()
    }

    /// Completes when what is known is not that edition's any more.
    pub(super) async fn changed(&self, edition: u64) {
        let mut seen = self.edition.subscribe();
        // The sender lives as long as this does, so waiting cannot fail.
        let _ = seen.wait_for(|now| *now != edition).await;
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.known().keys.clone()
    }

    pub(super) fn define(&self, key: &Key) -> Option<Arc<Definition>> {
        if let Some(project) = self.known().projects.get(key) {
            return Some(project.definition.clone());
        }
        self.root(key).map(|root| root.definition.clone())
    }

    /// Takes in what a root's entry says.
    pub(super) fn learn(&self, key: &Key, body: Option<&Json>) -> Learned {
        let index: Arc<Index> = Arc::new(body.and_then(|body| body.decode().ok()).unwrap_or_default());
        let is_root = self.roots.iter().any(|root| root.key == *key);
        if !is_root || (index.projects.is_empty() && self.is_awaited(key)) {
            return Learned::default();
        }
        let mut held = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if held.by_root.get(key).is_some_and(|known| *known == index) {
            return Learned::default();
        }
        let mut by_root = held.by_root.clone();
        by_root.insert(key.clone(), index);
        let known = self.assemble(by_root);
        let without = |all: &[Key], others: &HashMap<Key, Arc<Project>>| -> Vec<Key> {
            all.iter().filter(|key| !others.contains_key(*key)).cloned().collect()
        };
        let learned = Learned {
            came: without(&known.keys, &held.projects),
            gone: without(&held.keys, &known.projects),
        };
        *held = Arc::new(known);
        drop(held);
        self.edition.send_modify(|edition| *edition += 1);
        learned
    }

    /// Everything from all roots; a project below two is the first one's.
    fn assemble(&self, by_root: HashMap<Key, Arc<Index>>) -> Known {
        let mut known = Known { by_root, ..Known::default() };
        for root in &self.roots {
            let Some(index) = known.by_root.get(&root.key).cloned() else { continue };
            for listed in &index.projects {
                let Ok(key) = Key::new(PROJECTS_SOURCE, &[&listed.id]) else { continue };
                if known.projects.contains_key(&key) {
                    continue;
                }
                let mut parts = self.shared.clone();
                parts.extend([kept(&root.path), listed.path.clone(), listed.relative_path.clone()]);
                let project = Project {
                    id: listed.id.clone(),
                    path: opened(&listed.path),
                    relative_path: listed.relative_path.clone(),
                    root: root.path.clone(),
                    definition: definition(&parts, &self.policy),
                };
                known.keys.push(key.clone());
                known.projects.insert(key, Arc::new(project));
            }
        }
        known
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Folders are their owner's alone, names and all.
fn definition(parts: &[String], policy: &Policy) -> Arc<Definition> {
    let definition = Definition::new(Fingerprint::of(parts), policy.clone());
    Arc::new(Definition { private: true, ..definition })
}
