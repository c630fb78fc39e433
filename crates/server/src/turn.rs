//! How far hyper is with what it was given, as far as its reads and writes tell.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};

/// What hyper is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Nothing: no request has begun.
    Rest,
    /// The head of a request, of which something came.
    Head,
    /// A request whose body does not come.
    Body,
    /// The answer to a request.
    Answer,
    /// What was written waits for one who takes it.
    Stuck,
}

/// How far hyper is.
#[derive(Default)]
pub(crate) struct Turn {
    /// Something came since the last answer, and is no request yet.
    half: AtomicBool,
    /// A request was heard whose answer is not written whole.
    answering: AtomicBool,
    /// Who answers it waits for more of its body.
    wants: AtomicBool,
    /// hyper has taken the last of the answer's body.
    said: AtomicBool,
    /// All of it was written.
    out: AtomicBool,
    /// hyper asked for more after that, and was told that there is none.
    over: AtomicBool,
    /// What was written last waits for room.
    stuck: AtomicBool,
    /// Something came or went.
    moved: AtomicBool,
}

impl Turn {
    pub(crate) fn at(&self) -> At {
        if get(&self.stuck) {
            At::Stuck
        } else if get(&self.answering) {
            if get(&self.wants) { At::Body } else { At::Answer }
        } else if get(&self.half) {
            At::Head
        } else {
            At::Rest
        }
    }

    /// Whether a request was heard whose answer is not written whole.
    pub(crate) fn is_answering(&self) -> bool {
        get(&self.answering)
    }

    /// Whether all of the last answer was written.
    pub(crate) fn is_out(&self) -> bool {
        get(&self.out)
    }

    /// Whether hyper asked for more after that, and was told that there is none.
    pub(crate) fn is_over(&self) -> bool {
        get(&self.over)
    }

    /// Whether anything came or went since this was asked last.
    pub(crate) fn has_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// A request was heard: its body tells when it is waited for.
    pub(crate) fn begin(self: &Arc<Self>, body: Incoming) -> Body {
        set(&self.answering, true);
        for state in [&self.half, &self.said, &self.out] {
            set(state, false);
        }
        Body::new(Brought { body, turn: self.clone() })
    }

    /// hyper was given something.
    pub(crate) fn came(&self) {
        set(&self.moved, true);
        set(&self.half, !self.is_answering());
    }

    /// hyper wrote something.
    pub(crate) fn wrote(&self, written: &Poll<io::Result<usize>>) {
        set(&self.stuck, written.is_pending());
        if written.is_ready() {
            set(&self.moved, true);
        }
    }

    /// hyper has nothing left to write itself.
    pub(crate) fn flushed(&self) {
        if get(&self.said) && get(&self.answering) {
            set(&self.out, true);
            set(&self.answering, false);
        }
    }

    /// hyper is told that nothing comes after the answer.
    pub(crate) fn end(&self) {
        set(&self.over, true);
    }
}

fn get(state: &AtomicBool) -> bool {
    state.load(Ordering::Relaxed)
}

fn set(state: &AtomicBool, is: bool) {
    state.store(is, Ordering::Relaxed);
}

/// A request's body, which tells when it is waited for.
struct Brought {
    body: Incoming,
    turn: Arc<Turn>,
}

impl hyper::body::Body for Brought {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        set(&self.turn.wants, frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        set(&self.turn.wants, false);
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
        set(&self.turn.said, true);
    }
}
