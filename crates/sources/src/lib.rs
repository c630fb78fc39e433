//! What fetches: GitHub's client, and a folder a source. A source answers per entry and per item;
//! when to fetch, what to keep and what to tell a reader is the engine's.

mod clusters;
pub mod github;

pub use clusters::{ClustersError, ClustersSource};
pub use github::{Checked, GitHub, GitHubConfig, GitHubError, RateLimit};
