//! Which fault strikes a request, if any.

use std::time::Duration;

use crate::answer::{self, Answer};
use crate::log::RequestKind;
use crate::rest::blocked;
use crate::switches::{Face, Outage, Switches, When};
use crate::world::Block;

/// What befalls a request instead of an answer.
pub(crate) enum Strike {
    /// This answer.
    Answer(Answer),
    /// This answer, after a wait.
    Late(Duration, Answer),
    /// The connection closes.
    Cut,
    /// Nothing, for ever.
    Silence,
}

/// The switches, and how far each has counted.
#[derive(Default)]
pub(crate) struct Faults {
    switches: Switches,
    seen: Seen,
}

/// Requests that each `Every` has counted.
#[derive(Default)]
struct Seen {
    bad_gateway: u32,
    time_out: u32,
    secondary_limit: u32,
    graphql_rate_limited_200: u32,
    broken_json: u32,
    cut_body: u32,
    taken_down: u32,
}

impl Faults {
    /// Sets the switches and starts counting anew.
    pub(crate) fn switch(&mut self, switches: Switches) {
        *self = Self { switches, seen: Seen::default() };
    }

    pub(crate) fn switches(&self) -> &Switches {
        &self.switches
    }

    /// Whether faults strike this interface at all.
    pub(crate) fn reach(&self, kind: RequestKind) -> bool {
        match self.switches.only {
            Face::All => true,
            Face::Rest => kind == RequestKind::Rest,
            Face::Graphql => kind == RequestKind::Graphql,
        }
    }

    /// Draws what befalls request `number`, in the order in which GitHub's own parts would fail: the network, the
    /// load balancer, the application.
    pub(crate) fn draw(
        &mut self,
        kind: RequestKind,
        repositories: usize,
        number: u64,
        seed: u64,
    ) -> Option<Strike> {
        if !self.reach(kind) {
            return None;
        }
        match self.switches.outage {
            Outage::Off => {}
            Outage::Unavailable => {
                return Some(Strike::Answer(answer::unavailable(self.switches.outage_retry_after_s)));
            }
            Outage::Dropped => return Some(Strike::Cut),
        }
        if self.switches.time_out.strikes(&mut self.seen.time_out) {
            return Some(Strike::Silence);
        }
        if self.switches.bad_gateway.strikes(&mut self.seen.bad_gateway) {
            return Some(Strike::Answer(answer::bad_gateway()));
        }
        if kind == RequestKind::Rest && self.switches.taken_down.strikes(&mut self.seen.taken_down) {
            return Some(Strike::Answer(blocked(Block::Dmca)));
        }
        if let Some(strike) = flaky(self.switches.flaky, number, seed) {
            return Some(strike);
        }
        let slow = self.switches.slow_query.filter(|slow| repositories > slow.above_repositories)?;
        Some(Strike::Late(Duration::from_millis(slow.after_ms), answer::graphql_timed_out(number)))
            .filter(|_| kind == RequestKind::Graphql)
    }

    /// Whether the secondary limit is forced on this request.
    pub(crate) fn secondary(&mut self, kind: RequestKind) -> bool {
        self.reach(kind) && self.switches.secondary_limit.when.strikes(&mut self.seen.secondary_limit)
    }

    /// Whether this query is told with HTTP 200 that its limit is used up.
    pub(crate) fn graphql_limited(&mut self) -> bool {
        let when: &mut When = &mut self.switches.graphql_rate_limited_200.when;
        when.strikes(&mut self.seen.graphql_rate_limited_200)
    }

    /// Whether this answer's body breaks off.
    pub(crate) fn broken(&mut self, kind: RequestKind) -> bool {
        self.reach(kind) && self.switches.broken_json.strikes(&mut self.seen.broken_json)
    }

    /// Whether the connection is cut in the middle of this answer's body.
    pub(crate) fn cut(&mut self, kind: RequestKind) -> bool {
        self.reach(kind) && self.switches.cut_body.strikes(&mut self.seen.cut_body)
    }

    /// What the primary limit is forced to.
    pub(crate) fn forced_remaining(&self, kind: RequestKind) -> Option<u64> {
        self.switches.primary_limit.remaining.filter(|_| self.reach(kind))
    }
}

/// Fails a share of the requests: the same ones for the same seed, whatever the time.
fn flaky(share: f64, number: u64, seed: u64) -> Option<Strike> {
    let draw = scramble(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let unit = (draw >> 11) as f64 / (1u64 << 53) as f64;
    (unit < share).then(|| match scramble(draw) % 4 {
        0 => Strike::Answer(answer::bad_gateway()),
        1 => Strike::Answer(answer::unavailable(None)),
        2 => Strike::Answer(answer::server_error()),
        _ => Strike::Cut,
    })
}

/// One step of `SplitMix64`.
fn scramble(value: u64) -> u64 {
    let mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
