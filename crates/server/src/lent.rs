//! Large answers that are sent again and again: their bytes lie in a file in memory, whose pages the
//! system sends as they are. Written to a socket they would be copied for each reader, to pages that
//! are in nobody's cache, which is most of what a large hit costs.
//!
//! A file is written once, before anything of it is sent, and never again: what is on its way, or
//! waits for a reader who takes his time, is the file's own pages. They live on until it is taken,
//! whatever becomes of the file.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Shorter answers are copied for less than their pages are looked up.
pub(crate) const LENT_BYTES_MIN: usize = 16 * 1024;

/// The most files of a process: each is a descriptor that connections could want.
const LENT_MAX: usize = 64;

/// How many there are.
static LENT: AtomicUsize = AtomicUsize::new(0);

/// Whether the system will have none of it, as sandboxes may not.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// A file that holds one answer.
pub(crate) struct Lent {
    file: File,
    len: usize,
    _seat: Seat,
}

/// The right to one file, and where it is counted.
struct Seat(&'static AtomicUsize);

impl Seat {
    fn take(taken: &'static AtomicUsize) -> Option<Seat> {
        let more = |held: usize| (held < LENT_MAX).then_some(held + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Seat(taken))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lent {
    /// A file of these bytes; `None` = there are files enough, or the system gives none.
    pub(crate) fn of(bytes: &[u8]) -> Option<Lent> {
        if IS_REFUSED.load(Ordering::Relaxed) {
            return None;
        }
        let seat = Seat::take(&LENT)?;
        let file = system::file(bytes).ok()?;
        Some(Lent { file, len: bytes.len(), _seat: seat })
    }

    /// Sends what is behind the first `from` bytes, as far as it is taken. An error may be the
    /// system's that lends nothing: writing tells whether it is the connection's.
    pub(crate) fn poll_send(
        &self,
        from: usize,
        stream: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let len = self.len.saturating_sub(from);
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || system::send(stream, &self.file, from, len)) {
                // It was not writable any more, and is waited for; or a signal came first.
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    let is_refused = !matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::ConnectionAborted
                            | io::ErrorKind::NotConnected
                            | io::ErrorKind::TimedOut
                    );
                    if is_refused {
                        IS_REFUSED.store(true, Ordering::Relaxed);
                    }
                    return Poll::Ready(Err(error));
                }
                sent => return Poll::Ready(sent),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, Write as _};

    use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create, sendfile};
    use tokio::net::TcpStream;

    /// A file in memory, without a name, that holds these bytes.
    pub(super) fn file(bytes: &[u8]) -> io::Result<File> {
        let usual = MemfdFlags::CLOEXEC;
        // Linux before 6.3 does not know of files that can never be run.
        let made = memfd_create("larder-answer", usual | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| memfd_create("larder-answer", usual))?;
        let mut file = File::from(made);
        file.write_all(bytes)?;
        // When it was read last concerns nobody, and would be looked at for each reader.
        fcntl_setfl(&file, OFlags::NOATIME)?;
        Ok(file)
    }

    /// Sends a part of a file. That nobody listens is an error and no signal: Rust's programs ignore
    /// that one from their start.
    pub(super) fn send(stream: &TcpStream, file: &File, from: usize, len: usize) -> io::Result<usize> {
        Ok(sendfile(stream, file, Some(&mut (from as u64)), len)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    use tokio::net::TcpStream;

    pub(super) fn file(_: &[u8]) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn send(_: &TcpStream, _: &File, _: usize, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    fn bytes(seed: usize) -> Vec<u8> {
        (0..LENT_BYTES_MIN + 5000).map(|place| ((place + seed) * 31 % 251) as u8).collect()
    }

    async fn connected() -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let there = TcpStream::connect(listener.local_addr()?).await?;
        Ok((listener.accept().await?.0, there))
    }

    async fn send(lent: &Lent, from: usize, stream: &TcpStream) -> io::Result<usize> {
        poll_fn(|cx| lent.poll_send(from, stream, cx)).await
    }

    #[tokio::test]
    async fn what_is_on_its_way_stays_what_it_was_when_its_file_is_gone() {
        let (here, mut there) = connected().await.unwrap();
        let first = bytes(0);
        for from in [0, 1, 4096, 9001, first.len() - 1] {
            let lent = Lent::of(&first).unwrap();
            let sent = send(&lent, from, &here).await.unwrap();
            drop(lent);
            // Its pages would be the next ones to be given away.
            let others: Vec<Option<Lent>> = (1..9).map(|seed| Lent::of(&bytes(seed))).collect();
            let mut came = vec![0; sent];
            there.read_exact(&mut came).await.unwrap();
            assert_eq!(came, first[from..from + sent]);
            drop(others);
        }
    }

    #[tokio::test]
    async fn that_a_reader_left_is_an_error_and_no_reason_to_lend_nothing_any_more() {
        let (here, there) = connected().await.unwrap();
        drop(there);
        let lent = Lent::of(&bytes(0)).unwrap();
        let mut sent = Ok(0);
        for _ in 0..1000 {
            sent = send(&lent, 0, &here).await;
            if sent.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(sent.is_err());
        assert!(Lent::of(&bytes(1)).is_some());
    }

    #[test]
    fn there_are_no_more_files_than_may_be() {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let mut all: Vec<Seat> = std::iter::from_fn(|| Seat::take(&TAKEN)).take(2 * LENT_MAX).collect();
        assert_eq!(all.len(), LENT_MAX);
        all.pop();
        assert!(Seat::take(&TAKEN).is_some());
        assert_eq!(TAKEN.load(Ordering::Relaxed), LENT_MAX - 1);
    }
}
