//! Stories about the binary: run as people run it, against a simulated GitHub.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[cfg(target_os = "linux")]
mod apart;
mod architecture;
mod behind;
mod cache;
mod config;
mod denied;
#[cfg(target_os = "linux")]
mod deploy;
mod doctor;
mod failure;
#[cfg(target_os = "linux")]
mod fire;
mod folders;
mod help;
mod init;
mod licences;
#[cfg(target_os = "linux")]
mod log;
mod marketplace;
mod messages;
mod moving;
mod named;
#[cfg(target_os = "linux")]
mod newcomer;
mod postgres;
mod repos;
mod roots;
mod serving;
mod simulator;
mod stores;
mod tables;
mod terminal;
mod token;
mod trackers;
mod trackers_kept;
mod trust;
mod unfit;
#[cfg(unix)]
mod watch;
mod world;
