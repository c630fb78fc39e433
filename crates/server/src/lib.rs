//! The HTTP server: what the engine reads, for programs (`api`, a file a resource) and people
//! (`web`, a file a page).
//!
//! A hit is serialised once and sent as bytes from memory (`tier`), without hyper and the router
//! (`connection`, `fast`); all else takes the long way through them (`long`). One task (`watch`)
//! looks at the store's feed, drops what another process changed, and tells open pages (`events`).
//! Who may see what is decided in one place (`access`, `sight`), whoever asks is looked at in another
//! (`guard`).

mod access;
mod alarm;
mod answer;
mod api;
mod app;
mod connection;
mod crowd;
mod csrf;
mod damage;
mod entries;
mod events;
mod faces;
mod fast;
mod fields;
mod folders;
mod guard;
mod habit;
mod inbox;
mod lent;
mod listen;
mod long;
mod metrics;
mod pack;
mod plain;
mod problem;
mod refused;
mod relay;
mod sight;
mod snapshot;
mod stop;
mod tier;
mod trackers;
mod turn;
mod warm;
mod watch;
mod web;
mod wire;

pub use api::{ArtifactView, LocalProjectView, RepositoryView, asked_names, openapi};
pub use app::{Settings, Site};
pub use listen::{Running, ServeError, serve, start};
pub use web::{Demo, DemoControl, DemoMode, DemoRequest};
