//! One connection: reads a request's head, answers at once what is held in memory, and lets hyper
//! answer all else, after which the connection goes on here if that is safe.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use bytes::{Buf as _, Bytes};
use larder_core::Time;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use crate::alarm::Alarm;
use crate::app::App;
use crate::crowd::{Crowd, HALF_WAY, IDLE};
use crate::fast;
use crate::habit::{Asker, Habit, Request, named};
use crate::inbox::{HEAD_BYTES_MAX, Inbox, poll_read};
use crate::long::Share;
use crate::plain::{self, After, Read, Room, Version};
use crate::stop::Stop;
use crate::warm::{Made, WARM, Warm};

/// What serves one connection.
pub(crate) struct Connection {
    pub(crate) app: App,
    pub(crate) router: Router,
    /// The other end.
    pub(crate) peer: SocketAddr,
    pub(crate) stop: Arc<Stop>,
}

/// What is kept of a connection between two looks at it.
struct Desk {
    /// What came and is not answered yet.
    inbox: Inbox,
    /// How much of that is known not to be a whole head.
    looked_at: usize,
    /// What of an answer did not go out at once.
    rest: [Bytes; 2],
    /// What becomes of the connection behind it.
    after: After,
    habit: Habit,
    now: Time,
}

/// What the first of some bytes are.
enum Look {
    /// Not a whole head.
    Part,
    /// A request of so many bytes, whose answer was made.
    Hit(usize, After),
    /// Hyper's share.
    Other(Share),
}

/// Why a connection is not served here any more.
enum Turn {
    Over,
    ByHyper(Share),
}

impl Connection {
    /// Serves until either side ends it.
    pub(crate) async fn serve(self, mut stream: TcpStream) {
        // Small answers must not wait for each other.
        let _ = stream.set_nodelay(true);
        let mut desk = Desk {
            inbox: Inbox::default(),
            looked_at: 0,
            rest: [Bytes::new(), Bytes::new()],
            after: After::Stays,
            habit: Habit::default(),
            now: self.app.now(),
        };
        let crowded = pin!(self.stop.crowded.notified());
        let mut ends = Ends {
            stop: &self.stop,
            closing: pin!(self.stop.closing.cancelled()),
            cutting: pin!(self.stop.cutting.cancelled()),
            crowd: Crowd::new(&self.stop, crowded),
            alarm: Alarm::new(&*self.app.clock, self.app.settings.head_timeout),
            are_awaited: false,
        };
        loop {
            let turn = std::future::poll_fn(|cx| self.poll(&mut stream, &mut desk, &mut ends, cx)).await;
            let Turn::ByHyper(share) = turn else { break };
            // Most connections never come here: what it takes is not kept for those.
            match Box::pin(self.by_hyper(stream, std::mem::take(&mut desk.inbox), share)).await {
                Some(parts) => (stream, desk.inbox) = parts,
                None => return,
            }
            ends.alarm.heard_now();
        }
        let _ = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await;
    }

    /// Reads and answers as far as that goes without waiting.
    fn poll(
        &self,
        stream: &mut TcpStream,
        desk: &mut Desk,
        ends: &mut Ends<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Turn> {
        let mut came = Came::Nothing;
        loop {
            if desk.has_rest() && !(ready!(ends.poll_send(stream, &mut desk.rest, cx)) && desk.after.stays())
            {
                return Poll::Ready(Turn::Over);
            }
            match WARM.with_borrow_mut(|warm| self.step(stream, desk, ends, warm, cx)) {
                Poll::Ready(None) => came = Came::Bytes,
                Poll::Ready(Some(turn)) => return Poll::Ready(turn),
                Poll::Pending => return ends.poll_quiet(desk, came, cx).map(|()| Turn::Over),
            }
        }
    }

    /// Answers what is there, or reads and answers that. `None` = something was done.
    fn step(
        &self,
        stream: &mut TcpStream,
        desk: &mut Desk,
        ends: &mut Ends<'_, '_>,
        warm: &mut Warm,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Turn>> {
        let Warm { read, made } = warm;
        let mut inbox = std::mem::take(&mut desk.inbox);
        let came = match (inbox.is_empty(), desk.looked_at == inbox.held().len()) {
            (true, _) => poll_read(stream, read, cx),
            (false, true) => inbox.poll_fill(stream, cx),
            (false, false) => Poll::Ready(Ok(inbox.held().len())),
        };
        let Poll::Ready(came) = came else {
            desk.inbox = inbox;
            return Poll::Pending;
        };
        let Ok(len @ 1..) = came else { return Poll::Ready(Some(Turn::Over)) };
        let (used, turn) = if inbox.is_empty() {
            let read = &read[..len];
            let (used, turn) = self.answer(read, stream, desk, made, cx);
            inbox.put(&read[used..]);
            (used, turn)
        } else {
            let (used, turn) = self.answer(inbox.held(), stream, desk, made, cx);
            inbox.take(used);
            (used, turn)
        };
        desk.inbox = inbox;
        if used > 0 {
            ends.alarm.heard(desk.now);
        }
        Poll::Ready(turn)
    }

    /// Answers one request after the other, as far as they can be answered at once and their answers
    /// are taken. Says how many bytes they were.
    fn answer(
        &self,
        bytes: &[u8],
        stream: &mut TcpStream,
        desk: &mut Desk,
        made: &mut Made,
        cx: &mut Context<'_>,
    ) -> (usize, Option<Turn>) {
        let mut used = 0;
        while used < bytes.len() && !desk.has_rest() {
            match self.look(&bytes[used..], desk, made) {
                Look::Part => break,
                Look::Other(share) => return (used, Some(Turn::ByHyper(share))),
                Look::Hit(len, after) => {
                    used += len;
                    desk.after = after;
                    match send(stream, made, cx) {
                        Ok(None) if after.stays() => {}
                        Ok(Some(gone)) => desk.rest = made.behind(gone),
                        Ok(None) | Err(_) => return (used, Some(Turn::Over)),
                    }
                }
            }
        }
        (used, None)
    }

    /// Looks at what some bytes begin with, and makes the answer if it is a hit.
    fn look(&self, bytes: &[u8], desk: &mut Desk, made: &mut Made) -> Look {
        if let Some(request) = desk.habit.recognise(bytes) {
            desk.looked_at = 0;
            desk.now = self.app.now();
            return self.hit(request, desk.now, made);
        }
        let is_full = bytes.len() >= HEAD_BYTES_MAX;
        let is_known = desk.looked_at > 0 && !plain::may_be_whole(bytes, desk.looked_at);
        desk.looked_at = bytes.len();
        if is_known && !is_full {
            return Look::Part;
        }
        let mut room: Room<'_> = [const { MaybeUninit::uninit() }; _];
        let (plain, said) = match plain::read(bytes, &mut room) {
            Read::Plain(plain, said) => (plain, said),
            Read::Part if !is_full => return Look::Part,
            Read::Part | Read::Other => {
                desk.looked_at = 0;
                return Look::Other(Share::All);
            }
        };
        desk.looked_at = 0;
        desk.now = self.app.now();
        let asker = Asker::of(&self.app, said.fields, self.peer);
        let request = Request { plain, asker, entry: named(said.target) };
        let look = self.hit(&request, desk.now, made);
        desk.habit.learn(&bytes[..plain.len], request, said.fields);
        look
    }

    fn hit(&self, request: &Request, now: Time, made: &mut Made) -> Look {
        let plain = &request.plain;
        let after = match (self.stop.is_closing(), plain.version) {
            (false, _) => plain.after,
            (true, Version::Http10) => After::Ends,
            (true, Version::Http11) => After::EndsSaid,
        };
        if fast::hit(&self.app, request, after, now, made) {
            return Look::Hit(plain.len, after);
        }
        // A plain request is hyper's alone, and what follows it is not, unless the connection's end is
        // at stake: hyper knows best how to say that.
        let is_lone = plain.version == Version::Http11 && plain.after == After::Stays;
        Look::Other(if is_lone { Share::One(plain.len) } else { Share::All })
    }
}

impl Desk {
    fn has_rest(&self) -> bool {
        !self.rest.iter().all(Bytes::is_empty)
    }
}

/// What ends a connection, whatever it does.
struct Ends<'a, 's> {
    stop: &'s Stop,
    closing: Pin<&'a mut (dyn Future<Output = ()> + Send)>,
    cutting: Pin<&'a mut (dyn Future<Output = ()> + Send)>,
    crowd: Crowd<'a, 's>,
    alarm: Alarm<'a>,
    /// Whether they wake this connection.
    are_awaited: bool,
}

/// What woke a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Bytes,
    Nothing,
}

impl Ends<'_, '_> {
    /// Waits for more; completes when it is over.
    fn poll_quiet(&mut self, desk: &Desk, came: Came, cx: &mut Context<'_>) -> Poll<()> {
        // Who has begun a request is let finish it. A stop that takes too long cuts all off.
        let is_over = self.stop.is_cutting() || (desk.inbox.is_empty() && self.stop.is_closing());
        if is_over {
            return Poll::Ready(());
        }
        // What woke it will be there when it is looked at next. That the alarm went off just when
        // bytes came is not, but then it is near.
        if came == Came::Bytes && self.are_awaited && !self.alarm.is_near(desk.now) {
            return Poll::Pending;
        }
        self.are_awaited = true;
        let is_closing = self.closing.as_mut().poll(cx).is_ready() && desk.inbox.is_empty();
        let longest = if desk.inbox.is_empty() { IDLE } else { HALF_WAY };
        if is_closing || self.makes_room(longest, cx) { Poll::Ready(()) } else { self.poll_cut(cx) }
    }

    /// Whether others wait for a place while nothing has happened here for so long.
    fn makes_room(&mut self, longest: Duration, cx: &mut Context<'_>) -> bool {
        self.crowd.asks(cx) && self.alarm.quiet_for() >= longest
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_over = self.cutting.as_mut().poll(cx).is_ready() || self.alarm.poll(cx).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Sends the rest of an answer; `false` = nobody takes it.
    fn poll_send(
        &mut self,
        stream: &mut TcpStream,
        rest: &mut [Bytes; 2],
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        while let [head, body] = &mut *rest
            && !(head.is_empty() && body.is_empty())
        {
            match poll_write(stream, [head, body], cx) {
                Poll::Ready(Ok(len)) if len > 0 => {
                    let of_head = len.min(head.len());
                    head.advance(of_head);
                    body.advance(len - of_head);
                    self.alarm.heard_now();
                }
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending if self.makes_room(HALF_WAY, cx) => return Poll::Ready(false),
                Poll::Pending => return self.poll_cut(cx).map(|()| false),
            }
        }
        Poll::Ready(true)
    }
}

/// Sends an answer, as far as it is taken at once: `Some` = so many bytes of it.
fn send(stream: &mut TcpStream, made: &Made, cx: &mut Context<'_>) -> io::Result<Option<usize>> {
    let [head, body] = made.pieces();
    let mut gone = 0;
    while gone < head.len() + body.len() {
        let rest = [head.get(gone..).unwrap_or_default(), &body[gone.saturating_sub(head.len())..]];
        let sent = match made.lent().map(|lent| lent.poll_send(gone, stream, cx)) {
            Some(Poll::Ready(Err(_))) | None => poll_write(stream, rest, cx),
            Some(sent) => sent,
        };
        match sent? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(len) => gone += len,
            Poll::Pending => return Ok(Some(gone)),
        }
    }
    Ok(None)
}

/// Writes in one piece where there is but one, which the system does for less.
fn poll_write(stream: &mut TcpStream, pieces: [&[u8]; 2], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    match pieces {
        [one, []] | [[], one] => stream.poll_write(cx, one),
        [head, body] => stream.poll_write_vectored(cx, &[io::IoSlice::new(head), io::IoSlice::new(body)]),
    }
}
