//! A refresh behind a reader who has gone: one detached child a store, which ends by itself.
//!
//! The reader takes a lock on a file and hands the open file to the child as its standard input:
//! the lock lives exactly as long as the child does, however that ends, and who cannot take it
//! knows that another child is at work.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use larder_core::Clock;

use crate::commands::Context;
use crate::config::{Config, make_private_dir};

/// Beyond this, the log begins anew.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// Starts the child, unless one is at work. What was marked due stays due if none can be started:
/// the next reader tries again.
pub fn refresh_behind(config: &Config, context: &Context) {
    match start(config, context) {
        Ok(true) => tracing::debug!("a refresh was started behind"),
        Ok(false) => tracing::debug!("another process refreshes this store already"),
        Err(error) => tracing::warn!(%error, "no refresh could be started behind"),
    }
}

/// How often a server looks whether the child that was at work has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For a server, which refreshes what is due itself: no reader starts a child on its store until the answer is
/// dropped, and whoever cannot have the store meanwhile is told where the server is. A child that is at work
/// already is left to end, and then followed by whoever polls the answer, which never ends by itself.
pub fn keep_others_from_refreshing<'a>(
    config: &'a Config,
    address: SocketAddr,
    clock: &'a dyn Clock,
) -> impl Future<Output = Infallible> + use<'a> {
    let told = move |lock: Option<File>| {
        lock.map(|mut lock| write!(lock, "{SCHEME}{address}").map(|()| lock)).transpose()
    };
    let mut taken = take(config).and_then(told);
    async move {
        while let Ok(None) = taken {
            clock.sleep(LOOK_EVERY).await;
            taken = take(config).and_then(told);
        }
        if let Err(error) = &taken {
            tracing::warn!(%error, "readers cannot be told that a server refreshes their store");
        }
        std::future::pending().await
    }
}

/// Where the server is that refreshes the store, if one does and has said so.
pub fn server_of(config: &Config) -> Option<String> {
    let Ok(None) = take(config) else { return None };
    let text = std::fs::read_to_string(lock_path(config)).ok()?;
    text.starts_with(SCHEME).then_some(text)
}

const SCHEME: &str = "http://";

fn lock_path(config: &Config) -> PathBuf {
    dir(config).join(format!("{}.lock", crate::wiring::store_digest(config)))
}

fn dir(config: &Config) -> PathBuf {
    config.dirs.state.join("behind")
}

/// The lock of whoever refreshes the store with nobody watching; `None` = somebody does.
fn take(config: &Config) -> io::Result<Option<File>> {
    make_private_dir(&dir(config))?;
    let mut options = OpenOptions::new();
    let lock = options.create(true).truncate(false).write(true).read(true).open(lock_path(config))?;
    match lock.try_lock() {
        Ok(()) => {
            // What it says is said by whoever held it before.
            lock.set_len(0)?;
            Ok(Some(lock))
        }
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

fn start(config: &Config, context: &Context) -> io::Result<bool> {
    let Some(lock) = take(config)? else { return Ok(false) };
    let name = crate::wiring::store_digest(config);
    let dir = dir(config);
    let log = log_file(&dir.join(format!("{name}.log")))?;
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
    command.spawn().map(|_child| true)
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
