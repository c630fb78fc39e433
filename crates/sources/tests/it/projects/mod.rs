//! The source of local projects, on real folders.

mod awaited;
mod collections;
mod finding;
mod folder;
mod ignoring;
#[cfg(target_os = "linux")]
mod mounting;
mod noticed;
#[cfg(target_os = "linux")]
mod opened;
mod patience;
#[cfg(target_os = "linux")]
mod quickly;
mod recorded;
mod scanning;
#[cfg(target_os = "linux")]
mod trees;
mod unreadable;
mod watching;
mod ways;
