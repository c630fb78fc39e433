//! What is cached: a file a kind, its type, its JSON, how lists filter, sort and merge. Pure.

mod cluster;
mod registry;
mod repository;
mod tracker;

pub use cluster::{ClusterConfig, ClustersConfig, RepoName, RepoNameError, RepoOverride};
pub use registry::{Holding, Project, ProjectMember, Registry, RegistryRules, registry};
pub use repository::{Language, REPOSITORIES, REPOSITORY, Release, Repository};
pub use tracker::{
    Generated, Held, Manifest, ManifestError, ManifestTracker, Reads, TRACKER, TRACKERS, Titled, Tracker,
    TrackerState, TrackerType, Verdict, generate, payload, sort_key,
};
