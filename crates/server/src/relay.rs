//! A connection as hyper sees it: first what was read already, then the socket. Where the request
//! ends beyond doubt, hyper is told that its reader has no more to say as soon as the answer is
//! out: it ends, and the connection goes on without it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::inbox::Inbox;
use crate::turn::Turn;

/// What hyper reads from and writes to.
pub(crate) struct Relay {
    stream: TokioIo<TcpStream>,
    inbox: Inbox,
    turn: Arc<Turn>,
    /// How much is left of one request of known length, with nothing behind it that hyper may see.
    lone: Option<usize>,
    /// What hyper said of a head that it could not read.
    refused: Option<StatusCode>,
}

impl Relay {
    /// All that comes over the connection.
    pub(crate) fn all(stream: TcpStream, inbox: Inbox, turn: Arc<Turn>) -> Self {
        Relay { stream: TokioIo::new(stream), inbox, turn, lone: None, refused: None }
    }

    /// The next `len` bytes, which are a request without a body.
    pub(crate) fn lone(stream: TcpStream, inbox: Inbox, len: usize, turn: Arc<Turn>) -> Self {
        Relay { lone: Some(len), ..Relay::all(stream, inbox, turn) }
    }

    /// What hyper would have said of a head that it could not read. It knows no words for why.
    pub(crate) fn refused(&self) -> Option<StatusCode> {
        self.refused
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
        self.turn.came();
        len
    }

    /// Behind a lone request: waits until the answer is out, or nobody is there to take it. What comes
    /// meanwhile is kept as far as there is room.
    fn poll_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.turn.is_out() {
            self.turn.end();
            return Poll::Ready(Ok(()));
        }
        while !self.inbox.is_full() {
            if ready!(self.inbox.poll_fill(self.stream.inner_mut(), cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// Takes what hyper says where no request was heard: that it could not read one.
    fn take_refusal(&mut self, written: &[u8]) -> bool {
        if self.turn.is_answering() {
            return false;
        }
        // It begins with `HTTP/1.1` and the status.
        let status = written.get(9..12).and_then(|status| StatusCode::from_bytes(status).ok());
        self.refused = self.refused.or(status);
        self.refused.is_some()
    }
}

impl Read for Relay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.lone {
            Some(0) => this.poll_behind(cx),
            Some(left) => {
                this.lone = Some(left - this.give(left, room));
                Poll::Ready(Ok(()))
            }
            None if this.inbox.is_empty() => {
                ready!(Pin::new(&mut this.stream).poll_read(cx, room))?;
                this.turn.came();
                Poll::Ready(Ok(()))
            }
            None => {
                this.give(usize::MAX, room);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Write for Relay {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.take_refusal(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.turn.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.take_refusal(parts.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.turn.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes when it has nothing left to write itself.
        self.turn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
