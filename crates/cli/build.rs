//! How a release is linked. A command that lists what lies ready lives for three milliseconds, and most of
//! them go into being started.
//!
//! Half a millisecond would go into moving 28,000 constants to wherever a position-independent program was
//! loaded. So on Linux a release has one place, as Go's tools have, and brings along what unwinds its
//! stack, a library less to be looked for. What serves a network around the clock had better be loaded
//! anywhere: with `LARDER_PIE=1`, as `deploy/` builds it.
//!
//! Nearly another millisecond would go into bringing in code: the 1,400 functions that such a command calls
//! lie all over 24 MB, and a page of them comes with fifteen that nobody asked for. So they are put
//! together, by `startup.ld`, which `ci/startup-order.sh` writes. A linker that does not understand it links
//! without.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it is how cargo is spoken to, and speaks"
)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=startup.ld");
    println!("cargo:rerun-if-env-changed=LARDER_PIE");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_linux = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if !is_linux || !is("PROFILE", "release") {
        return;
    }
    if env::var_os("LARDER_PIE").is_none() {
        println!("cargo:rustc-link-arg-bins=-no-pie");
        println!("cargo:rustc-link-lib=static=gcc_eh");
    }
    if let Ok(home) = env::var("CARGO_MANIFEST_DIR") {
        let order = format!("-Wl,-T,{home}/startup.ld");
        if is_understood(&order) == Some(true) {
            println!("cargo:rustc-link-arg-bins={order}");
        }
    }
}

/// Whether a program of nothing can be linked with it, by the compiler, linker and flags that are asked for.
fn is_understood(link_arg: &str) -> Option<bool> {
    let out = env::var_os("OUT_DIR")?;
    let source = Path::new(&out).join("nothing.rs");
    fs::write(&source, "fn main() {}\n").ok()?;
    let mut rustc = Command::new(env::var_os("RUSTC")?);
    rustc
        .arg(&source)
        .arg("-o")
        .arg(Path::new(&out).join("nothing"))
        .arg("--target")
        .arg(env::var_os("TARGET")?);
    rustc.args(env::var("CARGO_ENCODED_RUSTFLAGS").ok()?.split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={linker}"));
    }
    rustc.arg("-C").arg(format!("link-arg={link_arg}"));
    let status = rustc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(status.success())
}
