//! The process's own log: off unless `LARDER_LOG` asks for it, on in a detached child.

use tracing_subscriber::EnvFilter;

/// What a detached child logs unless told otherwise.
const DETACHED: &str = "warn,larder=info";

/// Starts logging to standard error if it is wanted.
pub fn start(wanted: Option<&str>, is_detached: bool) {
    let Some(filter) = wanted.or(is_detached.then_some(DETACHED)) else { return };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(DETACHED));
    let logging =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Only a second start could fail, and there is none.
    let _ = logging.try_init();
}
