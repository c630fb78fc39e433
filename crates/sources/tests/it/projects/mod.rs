//! The source of local projects, on real folders.

mod finding;
mod folder;
mod scanning;
mod watching;
