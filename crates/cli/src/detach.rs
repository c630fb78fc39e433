//! A refresh behind a reader who has gone: one detached child a store and configuration, which ends by itself.
//!
//! The reader takes a lock on a file and hands the open file to the child as its standard input:
//! the lock lives exactly as long as the child does, however that ends, and who cannot take it
//! knows that another child is at work.

mod lock;
mod setup;

use std::fs::{File, OpenOptions};
use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use larder_core::Key;

use crate::commands::Context;
use crate::config::Config;
use crate::wiring::Rooms;

pub use lock::{Server, is_refreshed_behind, keep_others_from_refreshing, server_of};
pub use setup::Setup;

/// Beyond this, the log begins anew.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// Sees to it that somebody refreshes these, which were marked due: the store's server if that means the same by
/// them, else a child, unless one is at work. Answers what people should know of a server that does not.
/// Errors: nobody is at it. What was marked due stays due; the next reader tries again.
pub fn refresh_behind(
    keys: &[Key],
    rooms: &Rooms<'_>,
    config: &Config,
    context: &Context,
) -> io::Result<Option<String>> {
    let ours = Setup::of(rooms, config);
    let note = match server_of(config) {
        Some(Server { url, setup: Some(theirs) }) => match ours.differs_from(&theirs, keys, rooms, config) {
            None => {
                tracing::debug!(url, "a server refreshes this store already");
                return Ok(None);
            }
            Some(apart) => apart.told(&url).map(|(found, hint)| format!("{found}; {hint}")),
        },
        Some(Server { setup: None, .. }) | None => None,
    };
    let lock = lock::take_child_s(config, &ours.digest(config))?;
    tracing::debug!(is_started = lock.is_some(), "a child refreshes this store");
    if let Some(lock) = lock {
        start(lock, config, context)?;
    }
    Ok(note)
}

fn start(lock: File, config: &Config, context: &Context) -> io::Result<()> {
    let name = crate::wiring::store_digest(config);
    let log = log_file(&lock::dir(config).join(format!("{name}.log")))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["refresh", "--due", "--detached", "--quiet"]);
    // A file found by walking up is found again, and judged again: naming it would trust it.
    if let Some(file) = &context.global.config {
        command.arg("--config").arg(file);
    }
    // Not as an option: others may read a process's command line, and the address may hold a password.
    if let Some(store) = &context.global.store {
        command.env("LARDER_STORE__URL", store);
    }
    command.stdin(Stdio::from(lock)).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // It is not waited for: it outlives this process, and the system takes it in.
    command.spawn().map(|_child| ())
}

fn log_file(path: &std::path::Path) -> io::Result<File> {
    let is_long = std::fs::metadata(path).is_ok_and(|about| about.len() > LOG_BYTES_MAX);
    let mut options = OpenOptions::new();
    if is_long {
        options.write(true).truncate(true)
    } else {
        options.append(true)
    };
    options.create(true).open(path)
}

/// Ends this process after a while, should its own limit fail it: a child that nobody sees must
/// not stay for ever.
pub fn end_after(limit: Duration) {
    let (stays_open, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        // Nothing is ever sent: this is a wait, and the sender lives as long as the wait does.
        let _ = ended.recv_timeout(limit);
        drop(stays_open);
        tracing::error!("the limit has passed: ended by force");
        std::process::exit(1);
    });
}
