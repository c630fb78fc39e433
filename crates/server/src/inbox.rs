//! What came over a connection and was not used yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

/// The most bytes of a request's head.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// How much room is made for more.
const ROOM: usize = 4096;

/// Bytes read ahead, at most as many as a head may have. An empty one takes no memory.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

impl Inbox {
    /// What is there.
    pub(crate) fn held(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Whether no more fits.
    pub(crate) fn is_full(&self) -> bool {
        self.to - self.from >= HEAD_BYTES_MAX
    }

    /// Lets go of the first bytes.
    pub(crate) fn take(&mut self, len: usize) {
        self.from = (self.from + len).min(self.to);
        if self.is_empty() {
            *self = Inbox::default();
        }
    }

    /// Keeps what was read elsewhere, behind what is there.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.truncate(self.to);
        self.bytes.extend_from_slice(bytes);
        self.to = self.bytes.len();
    }

    /// Reads what there is, as far as it fits; 0 = the other end writes no more.
    pub(crate) fn poll_fill(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let len = ready!(poll_read(stream, &mut self.bytes[self.to..], cx))?;
        self.to += len;
        Poll::Ready(Ok(len))
    }

    fn make_room(&mut self) {
        if self.to < self.bytes.len() {
            return;
        }
        self.bytes.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let room = (self.to + ROOM).min(HEAD_BYTES_MAX);
        self.bytes.resize(room.max(self.to), 0);
    }
}

/// Reads what there is, as far as it fits; 0 = the other end writes no more.
pub(crate) fn poll_read(
    stream: &mut TcpStream,
    into: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::new(into);
    ready!(Pin::new(stream).poll_read(cx, &mut room))?;
    Poll::Ready(Ok(room.filled().len()))
}
