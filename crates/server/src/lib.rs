//! The HTTP server: what the engine reads, for programs (`api`, a file a resource) and people
//! (`web`, a file a page).
//!
//! A hit is serialised once and sent as bytes from memory (`tier`); one task (`watch`) looks at the
//! store's feed, drops what another process changed, and tells open pages (`events`). Who may see
//! what is decided in one place (`access`, `sight`), whoever asks is looked at in another (`guard`).

mod access;
mod answer;
mod api;
mod app;
mod csrf;
mod events;
mod fast;
mod guard;
mod listen;
mod metrics;
mod pack;
mod problem;
mod sight;
mod snapshot;
mod tier;
mod watch;
mod web;

pub use api::openapi;
pub use app::{Settings, Site};
pub use listen::{Running, ServeError, serve, start};
pub use web::{Demo, DemoControl, DemoMode, DemoRequest};
