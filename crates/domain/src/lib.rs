//! What is cached: a file a kind, its type, its JSON, how lists filter, sort and merge. Pure.

mod artifact;
mod cluster;
mod collection;
mod deployed;
mod front_matter;
mod lenient;
mod marketplace;
mod project;
mod registry;
mod repository;
mod tracker;
mod yaml;

pub use artifact::{ARTIFACT, ARTIFACTS, Artifact, ArtifactType, HASH_DIGITS, OnDisk, Placed};
pub use cluster::{ClusterConfig, ClustersConfig, RepoName, RepoNameError, RepoOverride};
pub use collection::{Collection, Collections, Upstream};
pub use deployed::{
    CLAUDE, PROFILES, ProjectFile, Record, Records, bare_name, read_project_file, read_records,
};
pub use front_matter::FrontMatter;
pub use marketplace::{MarketIndex, OFFERS_MAX, Offer, PluginPlace};
pub use project::{LocalProject, PROJECT, PROJECTS};
pub use registry::{Holding, Project, ProjectMember, Registry, RegistryRules, registry};
pub use repository::{Language, REPOSITORIES, REPOSITORY, Release, Repository};
pub use tracker::{
    Generated, Held, Manifest, ManifestError, ManifestTracker, Reads, TRACKER, TRACKERS, Titled, Tracker,
    TrackerMonth, TrackerState, TrackerStats, TrackerType, Verdict, generate, month_of, payload, plural,
    sort_key,
};
