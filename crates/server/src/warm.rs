//! What the connections of one thread share: buffers that are used from the first request to the
//! last and so stay in the processor's cache, and answers that are asked for again and again, whole.

use std::cell::RefCell;
use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use larder_core::Time;

use crate::answer::Form;
use crate::api::Got;
use crate::fast::Found;
use crate::lent::{LENT_BYTES_MIN, Lent};
use crate::plain::{After, Plain, Verb, Version};
use crate::tier::Held;
use crate::wire::{Dated, Filling, Wire};

thread_local!(pub(crate) static WARM: RefCell<Warm> = RefCell::new(Warm::new()));

/// Room for what is read at once.
const READ_BYTES: usize = 16 * 1024;

/// How many answers are kept whole.
const WHOLES: usize = 8;

/// Larger ones are not.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// How often an answer is asked for within a second before a file is made of it, if it is large: what
/// that costs, so many readers pay back.
const LENT_FROM: u32 = 32;

/// Shorter bodies are copied behind their heads: one piece is sent for less than two are.
const COPIED_BYTES_MAX: usize = 4096;

/// A thread's buffers.
pub(crate) struct Warm {
    pub(crate) read: Vec<u8>,
    pub(crate) made: Made,
}

/// The answer that was made last.
#[derive(Default)]
pub(crate) struct Made {
    /// Its head, and its body where that is short.
    head: Vec<u8>,
    body: Bytes,
    /// Where it is whole, if it is.
    whole: Option<usize>,
    wholes: [Option<Whole>; WHOLES],
    dated: Dated,
    /// What was found in memory last.
    pub(crate) found: Option<Found>,
}

/// An answer, head and body, as it is sent within one second.
struct Whole {
    held: Arc<Held>,
    said: Said,
    /// Nothing until it is asked for a second time: what is asked for once is not worth a copy.
    bytes: Vec<u8>,
    /// How often it was asked for, as it is.
    asked: u32,
    /// The same bytes, to be sent as they lie there.
    lent: Option<Lent>,
}

/// What its head says, by the address of the text, which `held` keeps where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Said {
    wire: usize,
    ttl: i64,
    age: u64,
    second: i64,
}

impl Warm {
    fn new() -> Self {
        Warm { read: vec![0; READ_BYTES], made: Made::default() }
    }
}

impl Made {
    /// Makes an answer; gives its status.
    pub(crate) fn make(
        &mut self,
        got: &Got,
        form: Form,
        plain: &Plain,
        after: After,
        now: Time,
    ) -> StatusCode {
        let wire = got.held.wires.of(got, form, plain.verb, now);
        let told = got.told(now);
        let filling = Filling {
            version: plain.version,
            ttl: told.ttl(),
            age: told.age().unwrap_or_default(),
            after,
            date: self.dated.at(now),
        };
        let body = || match plain.verb {
            Verb::Get => got.held.document.bytes(form),
            Verb::Head => Bytes::new(),
        };
        let is_usual = plain.version == Version::Http11 && after == After::Stays;
        self.whole =
            is_usual.then(|| whole(&mut self.wholes, &got.held, wire, &filling, now, body)).flatten();
        if self.whole.is_none() {
            self.head.clear();
            self.body = body();
            wire.write(&filling, &mut self.head);
            if self.body.len() <= COPIED_BYTES_MAX {
                self.head.extend_from_slice(&std::mem::take(&mut self.body));
            }
        }
        wire.status()
    }

    /// The bytes to be sent, one behind the other.
    pub(crate) fn pieces(&self) -> [&[u8]; 2] {
        match self.whole.and_then(|place| self.wholes[place].as_ref()) {
            Some(whole) => [&whole.bytes, &[]],
            None => [&self.head, &self.body],
        }
    }

    /// The same bytes where the system can send them as they are.
    pub(crate) fn lent(&self) -> Option<&Lent> {
        self.wholes[self.whole?].as_ref()?.lent.as_ref()
    }

    /// What the first bytes are gone of, to be sent later.
    pub(crate) fn behind(&mut self, gone: usize) -> [Bytes; 2] {
        let [first, _] = self.pieces();
        let head = Bytes::copy_from_slice(first.get(gone..).unwrap_or_default());
        let gone = gone.saturating_sub(first.len());
        let body = if self.whole.is_some() { Bytes::new() } else { std::mem::take(&mut self.body) };
        [head, body.slice(gone..)]
    }
}

/// Where an answer is whole, made so now if it was asked for before within this second.
fn whole(
    wholes: &mut [Option<Whole>; WHOLES],
    held: &Arc<Held>,
    wire: &Wire,
    filling: &Filling<'_>,
    now: Time,
    body: impl FnOnce() -> Bytes,
) -> Option<usize> {
    let address = std::ptr::from_ref(wire).addr();
    let second = now.ms().div_euclid(1000);
    let said = Said { wire: address, ttl: filling.ttl, age: filling.age, second };
    let place = address / 64 % WHOLES;
    let is_of = |whole: &Whole| Arc::ptr_eq(&whole.held, held) && whole.said.wire == address;
    match &mut wholes[place] {
        Some(whole) if is_of(whole) && whole.said == said => {
            if whole.bytes.is_empty() {
                let body = body();
                if body.len() > WHOLE_BYTES_MAX {
                    return None;
                }
                wire.write(filling, &mut whole.bytes);
                whole.bytes.extend_from_slice(&body);
            }
            whole.asked = whole.asked.saturating_add(1);
            if whole.asked == LENT_FROM && whole.bytes.len() >= LENT_BYTES_MIN {
                whole.lent = Lent::of(&whole.bytes);
            }
            Some(place)
        }
        Some(whole) if is_of(whole) => {
            whole.said = said;
            whole.bytes.clear();
            whole.asked = 0;
            // Another file is made of what is said now: who has not taken all of this one still may.
            whole.lent = None;
            None
        }
        other => {
            *other = Some(Whole { held: held.clone(), said, bytes: Vec::new(), asked: 0, lent: None });
            None
        }
    }
}
