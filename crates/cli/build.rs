//! How a release is linked. A command that lists what lies ready lives for three milliseconds, and half a
//! millisecond of them would go into moving 28,000 constants to wherever a position-independent program
//! was loaded. So on Linux a release has one place, as Go's tools have, and brings along what unwinds its
//! stack, a library less to be looked for. What serves a network around the clock had better be loaded
//! anywhere: with `LARDER_PIE=1`, as `deploy/` builds it.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it is how cargo is spoken to, and speaks"
)]

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LARDER_PIE");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_linux = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_linux && is("PROFILE", "release") && env::var_os("LARDER_PIE").is_none() {
        println!("cargo:rustc-link-arg-bins=-no-pie");
        println!("cargo:rustc-link-lib=static=gcc_eh");
    }
}
