//! The locks of those who refresh a store with nobody watching. A server holds one for the store, and its file
//! says where it is and by what it refreshes; each child holds one for the store and its configuration.

use std::convert::Infallible;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use larder_core::{Clock, Fingerprint};

use super::Setup;
use crate::config::{Config, make_private_dir};

/// How often a server looks whether the one that was there before it has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a server looks whether what it said of itself has changed: a token may have come.
const TELL_EVERY: Duration = Duration::from_mins(1);

const SCHEME: &str = "http://";

/// A server that refreshes the store.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub url: String,
    /// By what it refreshes; `None` = it has not said so.
    pub setup: Option<Setup>,
}

/// For a server, which refreshes what is due itself: readers who would refresh by the same words leave it to
/// that until the answer is dropped, and whoever cannot have the store meanwhile is told where the server is.
/// Another server that is there already is left to end, and then followed by whoever polls the answer, which
/// never ends by itself.
pub fn keep_others_from_refreshing<'a>(
    config: &'a Config,
    address: SocketAddr,
    setup: impl Fn() -> Setup + 'a,
    clock: &'a dyn Clock,
) -> impl Future<Output = Infallible> + 'a {
    let path = dir(config).join(server_lock(config));
    let take = move || take(config, &path);
    let text = move || format!("{SCHEME}{address}\n{}", setup().told());
    let mut said = text();
    let mut taken = take().and_then(|lock| tell(lock, &said));
    async move {
        while let Ok(None) = taken {
            clock.sleep(LOOK_EVERY).await;
            taken = take().and_then(|lock| tell(lock, &said));
        }
        while let Ok(lock) = taken {
            clock.sleep(TELL_EVERY).await;
            let now = text();
            taken = if now == said { Ok(lock) } else { tell(lock, &now) };
            said = now;
        }
        if let Err(error) = &taken {
            tracing::warn!(%error, "readers cannot be told that a server refreshes their store");
        }
        std::future::pending().await
    }
}

/// Says something in the file of a lock in place of what was said there.
fn tell(lock: Option<File>, text: &str) -> io::Result<Option<File>> {
    let Some(mut lock) = lock else { return Ok(None) };
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(text.as_bytes())?;
    Ok(Some(lock))
}

/// The server that refreshes the store, if one does and has said so.
pub fn server_of(config: &Config) -> Option<Server> {
    let path = dir(config).join(server_lock(config));
    if !is_held(&File::open(&path).ok()?) {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let (url, rest) = text.split_once('\n')?;
    url.starts_with(SCHEME).then(|| Server { url: url.to_owned(), setup: Setup::heard(rest) })
}

/// Whether a child refreshes the store behind some reader.
pub fn is_refreshed_behind(config: &Config) -> bool {
    let of_children = format!("{}-", crate::wiring::store_digest(config));
    let files = std::fs::read_dir(dir(config)).into_iter().flatten().filter_map(Result::ok);
    files
        .filter(|file| file.file_name().to_str().is_some_and(|name| name.starts_with(&of_children)))
        .any(|file| File::open(file.path()).is_ok_and(|lock| is_held(&lock)))
}

/// Whether somebody holds a lock. Whoever looks so keeps nobody else who looks from the truth.
fn is_held(lock: &File) -> bool {
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The lock of the child that refreshes by a configuration; `None` = one is at work. A few digits of the digest
/// will do: whoever meets another's by chance tries again, and the files stay few.
pub(super) fn take_child_s(config: &Config, digest: &Fingerprint) -> io::Result<Option<File>> {
    let name = format!("{}-{}.lock", crate::wiring::store_digest(config), &digest.as_str()[..2]);
    take(config, &dir(config).join(name))
}

pub(super) fn dir(config: &Config) -> PathBuf {
    config.dirs.state.join("behind")
}

fn server_lock(config: &Config) -> String {
    format!("{}.lock", crate::wiring::store_digest(config))
}

/// Takes a lock, whose file says nothing then; `None` = somebody holds it.
fn take(config: &Config, path: &std::path::Path) -> io::Result<Option<File>> {
    make_private_dir(&dir(config))?;
    let mut options = OpenOptions::new();
    let lock = options.create(true).truncate(false).write(true).read(true).open(path)?;
    match lock.try_lock() {
        Ok(()) => {
            // What it says is said by whoever held it before.
            lock.set_len(0)?;
            Ok(Some(lock))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
