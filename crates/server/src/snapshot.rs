//! What pages and lists show: all clusters with their readings, entries, log and figures, as one
//! viewer sees them.

use std::collections::HashMap;

use larder_core::{
    Budget, Definition, Entry, ItemCounts, Key, LogFilter, LogLine, Member, Mode, Policy, Request, Status,
    StoreError, Stored, Time,
};
use larder_domain::{ClusterConfig, ClustersConfig, HeldRepository, Holding, Registry, registry};
use larder_engine::{Behind, ReadError, ReadOptions, Reading};

use crate::access::Viewer;
use crate::app::App;
use crate::folders;
use crate::sight::Sight;

/// The budget of sites that are neither GitHub's nor asked for by its rules.
const WEB: &str = "web";

/// What happens behind a page that takes what is held, at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// What is missing or stale is fetched behind.
    Glance,
    /// Nothing: a page that only keeps itself current must not keep the upstream busy.
    Look,
}

/// Clusters at one time, in the order asked.
pub(crate) struct Snapshot {
    /// When.
    pub(crate) now: Time,
    /// The clusters that the viewer may know of.
    pub(crate) clusters: Vec<ClusterReading>,
}

/// A cluster as configured, and what is held of it.
pub(crate) struct ClusterReading {
    /// Its id.
    pub(crate) id: String,
    /// Its entry.
    pub(crate) key: Key,
    /// What configuration says of it.
    pub(crate) config: ClusterConfig,
    /// What is held, or why there is nothing.
    pub(crate) reading: Result<Reading, ReadError>,
}

impl ClusterReading {
    /// The name people see.
    pub(crate) fn name(&self) -> String {
        if self.config.name.is_empty() { self.id.clone() } else { self.config.name.clone() }
    }
}

impl App {
    /// Reads these clusters for a viewer.
    pub(crate) async fn snapshot(&self, keys: Vec<Key>, viewer: Viewer, patience: Patience) -> Snapshot {
        let readings = self.readings(&keys, viewer, patience).await;
        let now = self.now();
        let clusters = keys.into_iter().zip(readings).filter_map(|(key, reading)| {
            let reading = reading?;
            let id = key.segments().pop()?;
            let config = self.cluster_config(&id);
            Some(ClusterReading { id, key, config, reading })
        });
        Snapshot { now, clusters: clusters.collect() }
    }

    /// Reads entries for a viewer, in the order asked; `None` = it may not know of it.
    pub(crate) async fn readings(
        &self,
        keys: &[Key],
        viewer: Viewer,
        patience: Patience,
    ) -> Vec<Option<Result<Reading, ReadError>>> {
        let readings = match patience {
            Patience::Glance => self.glance(keys).await,
            Patience::Look => self.look(keys).await,
        };
        readings.into_iter().map(|reading| seen(reading, viewer)).collect()
    }

    /// The rows of entries that have nothing to serve: they know what went wrong. None where the store
    /// cannot say.
    pub(crate) async fn rows_at_hand(&self, keys: &[Key]) -> HashMap<Key, Entry> {
        if keys.is_empty() {
            return HashMap::new();
        }
        let held = self.held(keys).await.unwrap_or_default();
        let rows = held.into_iter().flatten().map(|stored| (stored.entry.key.clone(), stored.entry));
        rows.collect()
    }

    /// What is held, at once. A refresh of what is not fresh goes its own way.
    async fn glance(&self, keys: &[Key]) -> Vec<Result<Reading, ReadError>> {
        let held = self.look(keys).await;
        let is_wanting = |reading: &Result<Reading, ReadError>| match reading {
            Ok(reading) => reading.status != Status::Fresh,
            Err(ReadError::NotCached(_)) => true,
            Err(_) => false,
        };
        let wanting: Vec<Key> =
            keys.iter().zip(&held).filter(|(_, held)| is_wanting(held)).map(|(key, _)| key.clone()).collect();
        if !wanting.is_empty() {
            let engine = self.engine.clone();
            // The engine decides what of it is due, and has one flight an entry.
            tokio::spawn(async move { engine.load_many(&wanting, &ReadOptions::default()).await });
        }
        held
    }

    /// What is held, and nothing more.
    pub(crate) async fn look(&self, keys: &[Key]) -> Vec<Result<Reading, ReadError>> {
        let request = Request { mode: Mode::Offline, ..Request::default() };
        self.engine.load_many(keys, &ReadOptions { request, behind: Behind::Leave }).await
    }

    /// The registry of these holdings; clusters that a viewer may not know of are not named.
    pub(crate) fn registry_of(&self, held: &[Holding], known: &[&str], viewer: Viewer) -> Registry {
        let mut registry = registry(&self.clusters, held, &self.rules, self.now());
        if !viewer.may_read_private {
            registry.empty.retain(|id| known.contains(&id.as_str()));
        }
        registry
    }

    /// Whether a viewer may know that the entry exists.
    pub(crate) async fn knows(&self, key: &Key, viewer: Viewer) -> Result<bool, StoreError> {
        if viewer.may_read_private {
            return Ok(true);
        }
        let row = match self.row_of(key).await {
            Ok(Some(row)) => row,
            Ok(None) | Err(StoreError::BadRow { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(self.public_row(row).await?.is_some())
    }

    /// The last refreshes that a viewer may know of, newest first. How many items one met is not told to
    /// everybody: private ones were counted too.
    pub(crate) async fn recent(&self, viewer: Viewer, limit: usize) -> Result<Vec<LogLine>, StoreError> {
        let mut lines = self.store.log(&LogFilter { key: None, limit }).await?;
        if viewer.may_read_private {
            for line in lines.iter_mut().filter(|line| !viewer.is_local && folders::is_local(&line.key)) {
                line.error = line.error.take().map(|_| "it could not be looked at".to_owned());
            }
            return Ok(lines);
        }
        let mut shown = Vec::with_capacity(lines.len());
        for mut line in lines {
            if self.knows(&line.key, viewer).await? {
                line.error = line.error.map(|_| "the refresh failed".to_owned());
                line.items = ItemCounts::default();
                shown.push(line);
            }
        }
        Ok(shown)
    }

    /// What may still be spent upstream. Whose it is, and from which sites besides GitHub something is
    /// fetched, is told to those who may read private things.
    pub(crate) async fn allowances(&self, viewer: Viewer) -> Result<Vec<Budget>, StoreError> {
        let mut budgets = self.engine.bounded("read the budgets", self.budgets.budgets(self.now())).await?;
        if !viewer.may_read_private {
            budgets.retain(|budget| &*budget.resource != WEB);
            for budget in &mut budgets {
                budget.actor = "hidden".into();
            }
        }
        Ok(budgets)
    }

    /// The keys of the clusters, in the order of configuration.
    pub(crate) fn cluster_keys(&self) -> Vec<Key> {
        self.engine.keys().into_iter().filter(|key| key.source() == CLUSTER).collect()
    }

    /// What configuration says of a cluster.
    pub(crate) fn cluster_config(&self, id: &str) -> ClusterConfig {
        self.clusters.cluster(id).cloned().unwrap_or_else(|| ClusterConfig {
            id: id.to_owned(),
            name: if id == ClustersConfig::UNCLUSTERED {
                "Everything else".to_owned()
            } else {
                id.to_owned()
            },
            ..ClusterConfig::default()
        })
    }
}

/// A reading as a viewer sees it. Why there is none is told to those who may know that there could
/// be one.
fn seen(reading: Result<Reading, ReadError>, viewer: Viewer) -> Option<Result<Reading, ReadError>> {
    match reading {
        Ok(reading) => Sight::from(viewer).reading(reading).map(Ok),
        Err(error) if viewer.may_read_private => Some(Err(error)),
        Err(_) => None,
    }
}

/// The repositories that an entry shows, in order; those whose copies cannot be read left out.
pub(crate) fn repositories_of(stored: &Stored) -> Vec<HeldRepository> {
    let held = |member: &Member| {
        Some(HeldRepository { asked: member.asked.clone(), repository: member.item.doc.decode().ok()? })
    };
    stored.members.iter().filter_map(held).collect()
}

/// The source whose entries are clusters.
pub(crate) const CLUSTER: &str = "cluster";

/// The policy by which an entry without a definition is judged.
pub(crate) fn policy_or_default(definition: Option<&Definition>) -> Policy {
    definition.map_or_else(Policy::default, |definition| definition.policy.clone())
}
