//! The pure-Rust key-value store: one redb file.
