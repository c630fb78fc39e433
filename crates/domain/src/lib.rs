//! What is cached: a file a kind, its type, its JSON, how lists filter, sort and merge. Pure.

mod artifact;
mod artifact_type;
mod cluster;
mod collection;
mod content_hash;
mod deployed;
mod front_matter;
mod lenient;
mod marketplace;
mod project;
mod registry;
mod repository;
mod told;
mod tracker;
mod yaml;

pub use artifact::{ARTIFACT, ARTIFACTS, Artifact, OnDisk, Placed};
pub use artifact_type::ArtifactType;
pub use cluster::{ClusterConfig, ClustersConfig, RepoName, RepoNameError, RepoOverride};
pub use collection::{Collection, Collections, Upstream};
pub use content_hash::HASH_DIGITS;
pub use deployed::{
    CLAUDE, PROFILES, ProjectFile, Record, Records, bare_name, read_project_file, read_records,
};
pub use front_matter::FrontMatter;
pub use marketplace::{MarketIndex, OFFERS_MAX, Offer, PluginPlace};
pub use project::{LocalProject, PROJECT, PROJECTS};
pub use registry::{HeldRepository, Holding, Project, ProjectMember, Registry, RegistryRules, registry};
pub use repository::{Language, REPOSITORIES, REPOSITORY, Release, Repository};
pub use tracker::{
    Generated, Held, Manifest, ManifestError, ManifestTracker, Reads, TRACKER, TRACKERS, Titled, Tracker,
    TrackerMonth, TrackerState, TrackerStats, TrackerType, Verdict, generate, month_of, payload, plural,
    sort_key,
};
