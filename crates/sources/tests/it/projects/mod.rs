//! The source of local projects, on real folders.

mod finding;
mod folder;
#[cfg(target_os = "linux")]
mod opened;
mod scanning;
#[cfg(target_os = "linux")]
mod trees;
mod watching;
