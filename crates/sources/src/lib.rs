//! What fetches: GitHub's client, and a folder a source. A source answers per entry and per item;
//! when to fetch, what to keep and what to tell a reader is the engine's.

mod clusters;
mod ears;
mod files;
pub mod github;
mod marketplace;
mod mounts;
mod projects;
mod trackers;
mod waits;

pub use clusters::{ClustersError, ClustersSource};
pub use github::{Checked, GitHub, GitHubConfig, GitHubError, RateLimit};
pub use marketplace::{FilesWatch, MarketplaceConfig, MarketplaceFrom, MarketplaceSource};
pub use projects::{Machines, PRUNED, ProjectsConfig, ProjectsSource, Watch, WatchOptions, machine_mark};
pub use trackers::{Desk, MANIFEST, News, Pull, PullHow, Seen, TrackersSource, Way, WayIn, root_of};
