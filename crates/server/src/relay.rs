//! A connection as hyper sees it: first what was read already, then the socket. Where the request
//! ends beyond doubt, hyper is told that its reader has no more to say as soon as the answer is
//! out: it ends, and the connection goes on without it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::inbox::Inbox;

/// What hyper reads from and writes to.
pub(crate) struct Relay {
    stream: TokioIo<TcpStream>,
    inbox: Inbox,
    outlet: Arc<Outlet>,
    lone: Option<Lone>,
}

/// Whether the other end takes what is written to it.
#[derive(Default)]
pub(crate) struct Outlet {
    is_stuck: AtomicBool,
    was_taken: AtomicBool,
}

impl Outlet {
    /// Whether what was written last waits for room.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    /// Whether anything was taken since this was asked last.
    pub(crate) fn was_taken(&self) -> bool {
        self.was_taken.swap(false, Ordering::Relaxed)
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_stuck.store(written.is_pending(), Ordering::Relaxed);
        if written.is_ready() {
            self.was_taken.store(true, Ordering::Relaxed);
        }
        written
    }
}

/// One request of known length, with nothing behind it that hyper may see.
struct Lone {
    left: usize,
    turn: Arc<Turn>,
}

/// How far the answer to a lone request is.
#[derive(Default)]
pub(crate) struct Turn {
    /// hyper has taken the last of its body.
    said: AtomicBool,
    /// All of it was written.
    out: AtomicBool,
    /// hyper asked for more after that, and was told that there is none.
    over: AtomicBool,
}

impl Turn {
    /// Whether all of the answer was written.
    pub(crate) fn is_out(&self) -> bool {
        self.out.load(Ordering::Relaxed)
    }

    /// Whether hyper asked for more after that, and was told that there is none.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

impl Relay {
    /// All that comes over the connection.
    pub(crate) fn all(stream: TcpStream, inbox: Inbox) -> Self {
        Relay { stream: TokioIo::new(stream), inbox, outlet: Arc::default(), lone: None }
    }

    /// The next `len` bytes, which are a request without a body.
    pub(crate) fn lone(stream: TcpStream, inbox: Inbox, len: usize, turn: Arc<Turn>) -> Self {
        Relay { lone: Some(Lone { left: len, turn }), ..Relay::all(stream, inbox) }
    }

    /// What tells whether the other end takes what is written to it.
    pub(crate) fn outlet(&self) -> Arc<Outlet> {
        self.outlet.clone()
    }

    /// The connection, with what of it hyper has not seen.
    pub(crate) fn into_parts(self) -> (TcpStream, Inbox) {
        (self.stream.into_inner(), self.inbox)
    }

    fn give(&mut self, most: usize, mut room: ReadBufCursor<'_>) -> usize {
        let held = self.inbox.held();
        let len = most.min(held.len()).min(room.remaining());
        room.put_slice(&held[..len]);
        self.inbox.take(len);
        len
    }
}

impl Read for Relay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(Lone { left, turn }) = &mut this.lone else {
            if this.inbox.is_empty() {
                return Pin::new(&mut this.stream).poll_read(cx, room);
            }
            this.give(usize::MAX, room);
            return Poll::Ready(Ok(()));
        };
        if *left > 0 {
            let most = *left;
            let given = this.give(most, room);
            if let Some(lone) = &mut this.lone {
                lone.left -= given;
            }
            return Poll::Ready(Ok(()));
        }
        if turn.is_out() {
            turn.over.store(true, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        if !this.inbox.is_empty() {
            // The next request waits here, and says that the reader has not left.
            return Poll::Pending;
        }
        // A reader that left ends the answer; one that goes on is heard later.
        match ready!(this.inbox.poll_fill(this.stream.inner_mut(), cx))? {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }
}

impl Write for Relay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.outlet.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.outlet.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes when it has nothing left to write itself.
        if let Some(Lone { turn, .. }) = &self.lone
            && turn.said.load(Ordering::Relaxed)
        {
            turn.out.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An answer's body, which tells when hyper has taken the last of it.
pub(crate) struct Told {
    body: Body,
    turn: Arc<Turn>,
}

impl Told {
    pub(crate) fn new(body: Body, turn: Arc<Turn>) -> Self {
        Told { body, turn }
    }
}

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.turn.said.store(true, Ordering::Relaxed);
    }
}
