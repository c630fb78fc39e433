//! Hears of disks that are mounted and unmounted. Of that the watches on folders tell nothing: they stay on what was
//! covered, or end with what went.

use std::collections::BTreeSet;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

/// What is mounted where, as far as this process sees it. Where the system does not tell, nothing is ever heard.
pub(crate) struct Mounts {
    /// Rung when something was mounted or unmounted.
    bell: Arc<Notify>,
    known: BTreeSet<Mount>,
    /// Whoever listens ends with it.
    _end: Option<PipeWriter>,
}

/// A mount: two on the same place are told apart by the rest of their lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mount {
    place: PathBuf,
    /// Its number, that of what it lies on, the device, and what of that is mounted.
    what: Vec<u8>,
}

impl Mounts {
    /// Begins to listen. What was mounted before is no news.
    pub(crate) fn listen() -> Self {
        let bell = Arc::new(Notify::new());
        let end = listen(bell.clone()).ok();
        Mounts { bell, known: read(), _end: end }
    }

    /// Completes when something was mounted or unmounted, anywhere. Nothing is lost with one that is dropped.
    pub(crate) async fn changed(&self) {
        self.bell.notified().await;
    }

    /// Whether something else than before is mounted on a place that matters.
    pub(crate) fn are_others(&mut self, matters: impl Fn(&Path) -> bool) -> bool {
        let now = read();
        let before = std::mem::replace(&mut self.known, now);
        before.symmetric_difference(&self.known).any(|mount| matters(&mount.place))
    }
}

/// Where the system says what is mounted.
#[cfg(target_os = "linux")]
const TABLE: &str = "/proc/self/mountinfo";

/// A thread of its own, which sleeps until the table changes, or its end is dropped.
#[cfg(target_os = "linux")]
fn listen(bell: Arc<Notify>) -> std::io::Result<PipeWriter> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    let table = std::fs::File::open(TABLE)?;
    let (ended, end) = std::io::pipe()?;
    std::thread::Builder::new().name("mounts".to_owned()).spawn(move || {
        loop {
            let mut both = [PollFd::new(&table, PollFlags::PRI), PollFd::new(&ended, PollFlags::empty())];
            match poll(&mut both, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            let [changed, ended] = both.map(|one| !one.revents().is_empty());
            if ended {
                return;
            }
            if changed {
                bell.notify_one();
            }
        }
    })?;
    Ok(end)
}

#[cfg(not(target_os = "linux"))]
fn listen(_bell: Arc<Notify>) -> std::io::Result<PipeWriter> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn read() -> BTreeSet<Mount> {
    let table = std::fs::read(TABLE).unwrap_or_default();
    table.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

#[cfg(not(target_os = "linux"))]
fn read() -> BTreeSet<Mount> {
    BTreeSet::new()
}

/// A line: number, that of what it lies on, device, what of it, place, and more.
#[cfg(target_os = "linux")]
fn mount(line: &[u8]) -> Option<Mount> {
    use std::os::unix::ffi::OsStringExt as _;
    let mut parts = line.splitn(6, |byte| *byte == b' ');
    let what: Vec<&[u8]> = parts.by_ref().take(4).collect();
    let place = PathBuf::from(std::ffi::OsString::from_vec(unescaped(parts.next()?)));
    Some(Mount { place, what: what.join(&b' ') })
}

/// Blanks in names are written as a backslash and three octal digits.
#[cfg(target_os = "linux")]
fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        let code = rest.get(..3).filter(|_| *first == b'\\').and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            plain.push(byte);
            text = &rest[3..];
        } else {
            plain.push(*first);
            text = rest;
        }
    }
    plain
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_whatever_its_name_is() {
        let line = b"36 35 98:0 /mnt1 /mnt/my\\040disk\\134 rw,noatime master:1 - ext3 /dev/root rw";
        let mount = mount(line).unwrap();
        assert_eq!(mount.place, Path::new("/mnt/my disk\\"));
        assert_eq!(mount.what, b"36 35 98:0 /mnt1");
        assert_eq!(super::mount(b""), None);
        assert!(
            read().iter().any(|mount| mount.place == Path::new("/")),
            "what this machine says is understood"
        );
    }
}
