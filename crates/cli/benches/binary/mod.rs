//! Which `larder` is measured: the one that `LARDER_BIN` names, which `./bench` builds as it is shipped; if
//! none is named, the one that cargo built with the benchmark, which is linked faster and starts slower.

use std::process::Command;

/// It, to be told what to do.
pub(crate) fn larder() -> Command {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is told by its caller")]
    let named = std::env::var_os("LARDER_BIN");
    Command::new(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_larder").into()))
}
