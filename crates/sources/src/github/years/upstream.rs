//! A GitHub that knows nothing but limits: hourly allowances that others draw from too, secondary limits
//! at any time, clocks that differ from ours, and the many ways in which it says so.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_core::{FetchError, Time};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::call::Reply;

/// What goes wrong for some hours, in parts of a thousand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mood {
    pub(super) outage: u32,
    pub(super) secondary: u32,
    pub(super) failing: u32,
    pub(super) silent: u32,
    /// Whether connections are cut amid answers.
    pub(super) breaking: bool,
    /// Whether processes are killed.
    pub(super) deadly: bool,
    /// Whether others spend from the same allowance.
    pub(super) others: bool,
    /// How far its clock is ahead of ours.
    pub(super) skew_ms: i64,
}

/// What an answer says must not be done, in true time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// Nothing may be sent before …
    pub(super) until: Time,
    /// … by those.
    pub(super) whom: Whom,
}

/// Who is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// Calls of this actor that draw from this resource: the hour is used up.
    Resource(usize, &'static str),
    /// All of this actor's calls: too much at once.
    Actor(usize),
    /// Every call: it is out of service.
    Everybody,
}

impl Whom {
    /// Whether a call is meant.
    pub(super) fn includes(self, actor: usize, resource: &'static str) -> bool {
        match self {
            Whom::Resource(whose, of) => (whose, of) == (actor, resource),
            Whom::Actor(whose) => whose == actor,
            Whom::Everybody => true,
        }
    }
}

/// What becomes of a call.
pub(super) struct Sent {
    /// `None` = no answer comes.
    pub(super) reply: Option<Reply>,
    pub(super) told: Option<Told>,
    /// Whether more was drawn than there was, without what others drew.
    pub(super) is_over: bool,
    pub(super) cost: u32,
}

/// One actor's hourly allowance of one resource.
struct Account {
    limit: u32,
    used: u32,
    ends: Time,
    /// What was drawn of it by those of whom we cannot know.
    unseen: u32,
}

impl Sent {
    /// Its body breaks off: what that alone told is told to nobody.
    pub(super) fn broken(mut self) -> Self {
        if let Some(reply) = &mut self.reply {
            let says = |name: &str, value: Option<&str>| {
                let said = reply.headers.get(name).map(|said| said.to_str().unwrap());
                said.is_some() && value.is_none_or(|value| said == Some(value))
            };
            let is_heard =
                reply.status == 429 || says("retry-after", None) || says("x-ratelimit-remaining", Some("0"));
            self.told = self.told.filter(|_| is_heard);
            reply.body.clear();
            let error = FetchError::Network { host: "github.com".to_owned(), cause: "broken off".to_owned() };
            reply.broken = Some(error);
        }
        self
    }
}

impl Account {
    fn draw(&mut self, points: u32) {
        self.used = (self.used + points).min(self.limit);
    }

    /// Whether one who sees all but the unseen must have known that so much is not there.
    fn is_over(&self, points: u32) -> bool {
        self.used + points > self.limit + self.unseen
    }
}

/// All allowances.
#[derive(Default)]
pub(super) struct Upstream(BTreeMap<(usize, &'static str), Account>);

const HOUR: Duration = Duration::from_hours(1);

impl Upstream {
    fn account(&mut self, actor: usize, resource: &'static str, now: Time) -> &mut Account {
        let limit = if actor == super::ANONYMOUS { 60 } else { 5000 };
        let account =
            self.0.entry((actor, resource)).or_insert(Account { limit, used: 0, ends: now, unseen: 0 });
        if now >= account.ends {
            *account = Account { limit, used: 0, ends: now.plus(HOUR), unseen: 0 };
        }
        account
    }

    /// What a call cost nobody will hear.
    pub(super) fn never_told(&mut self, of: (usize, &'static str), cost: u32) {
        if let Some(account) = self.0.get_mut(&of) {
            account.unseen += cost;
        }
    }

    /// Somebody draws of whom we cannot know.
    pub(super) fn draw_unseen(&mut self, actor: usize, resource: &'static str, points: u32, now: Time) {
        let account = self.account(actor, resource, now);
        account.draw(points);
        account.unseen += points;
    }

    /// A call arrives that costs at most `points`.
    pub(super) fn receive(
        &mut self,
        (actor, resource): (usize, &'static str),
        points: u32,
        mood: &Mood,
        now: Time,
        chance: &mut fastrand::Rng,
    ) -> Sent {
        let die = chance.u32(..1000);
        let mut reached = 0;
        let mut falls = |thousandths: u32| {
            reached += thousandths;
            die < reached
        };
        if falls(mood.outage) {
            return outage(mood, now, chance);
        }
        let account = self.account(actor, resource, now);
        let (limit, ends) = (account.limit, account.ends);
        if falls(mood.secondary) {
            let left = limit - account.used;
            return secondary((actor, resource), limit, left, ends, mood, now, chance);
        }
        if account.used >= limit {
            let is_over = account.is_over(1);
            return Sent { is_over, ..primary((actor, resource), limit, ends, mood, now, chance) };
        }
        let cost = if chance.bool() { points } else { chance.u32(1..=points) };
        let is_over = account.is_over(cost);
        account.draw(cost);
        let left = limit - account.used;
        let headers = Said::at(now, mood).rate(limit, left, ends);
        if falls(mood.failing) {
            let reply = Some(whole(502, Said::at(now, mood).headers, Vec::new()));
            return Sent { reply, told: None, is_over, cost };
        }
        if falls(mood.silent) {
            return Sent { reply: None, told: None, is_over, cost };
        }
        let told = (left == 0).then_some(Told { until: ends, whom: Whom::Resource(actor, resource) });
        Sent { reply: Some(whole(200, headers.headers, Vec::new())), told, is_over, cost }
    }
}

fn whole(status: u16, headers: HeaderMap, body: Vec<u8>) -> Reply {
    Reply { status, headers, body, broken: None }
}

/// Out of service, and it says for how long.
fn outage(mood: &Mood, now: Time, chance: &mut fastrand::Rng) -> Sent {
    let (said, until) = retry_after(Said::at(now, mood), mood, now, chance);
    let status = [503, 503, 500, 502, 504][chance.usize(..5)];
    let told = Some(Told { until, whom: Whom::Everybody });
    let reply = Some(whole(status, said.headers, b"<html>".to_vec()));
    Sent { reply, told, is_over: false, cost: 0 }
}

/// The hour is used up.
fn primary(
    (actor, resource): (usize, &'static str),
    limit: u32,
    ends: Time,
    mood: &Mood,
    now: Time,
    chance: &mut fastrand::Rng,
) -> Sent {
    let headers = Said::at(now, mood).rate(limit, 0, ends).headers;
    let message = "API rate limit exceeded for user ID 1.";
    let statuses: &[u16] = if resource == "graphql" { &[200, 403, 429] } else { &[403, 429] };
    let status = statuses[chance.usize(..statuses.len())];
    let body = serde_json::json!({ "message": message }).to_string().into_bytes();
    let told = Some(Told { until: ends, whom: Whom::Resource(actor, resource) });
    Sent { reply: Some(whole(status, headers, body)), told, is_over: false, cost: 0 }
}

/// Too much at once: with a Retry-After, or with no word on how long.
fn secondary(
    (actor, resource): (usize, &'static str),
    limit: u32,
    left: u32,
    ends: Time,
    mood: &Mood,
    now: Time,
    chance: &mut fastrand::Rng,
) -> Sent {
    let said = Said::at(now, mood).rate(limit, left, ends);
    // Nothing is said: a minute at the least.
    let (said, until) = match chance.u8(..3) {
        0 => (said, now.plus(Duration::from_mins(1))),
        _ => retry_after(said, mood, now, chance),
    };
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes.";
    let body = serde_json::json!({ "message": message }).to_string().into_bytes();
    let statuses: &[u16] = if resource == "graphql" { &[200, 403, 429] } else { &[403, 429] };
    let status = statuses[chance.usize(..statuses.len())];
    let told = Some(Told { until, whom: Whom::Actor(actor) });
    Sent { reply: Some(whole(status, said.headers, body)), told, is_over: false, cost: 0 }
}

/// Says when to come back, in seconds or as a date.
fn retry_after(said: Said, mood: &Mood, now: Time, chance: &mut fastrand::Rng) -> (Said, Time) {
    let longest = if chance.u8(..8) == 0 { 10_000 } else { 600 };
    let span = Duration::from_secs(chance.u64(1..longest));
    let until = now.plus(span);
    if chance.bool() {
        return (said.with("retry-after", &span.as_secs().to_string()), until);
    }
    let date = http_date(until.ms() + mood.skew_ms);
    // A date knows no part of a second.
    let until = (until.ms() + mood.skew_ms).div_euclid(1000) * 1000 - mood.skew_ms;
    (said.with("retry-after", &date), Time::from_ms(until))
}

/// Headers in the making, by the upstream's own clock.
struct Said {
    headers: HeaderMap,
    skew_ms: i64,
}

impl Said {
    fn at(now: Time, mood: &Mood) -> Self {
        let said = Said { headers: HeaderMap::new(), skew_ms: mood.skew_ms };
        said.with("date", &http_date(now.ms() + mood.skew_ms))
    }

    fn rate(self, limit: u32, left: u32, ends: Time) -> Self {
        let reset = (ends.ms() + self.skew_ms + 999).div_euclid(1000);
        self.with("x-ratelimit-limit", &limit.to_string())
            .with("x-ratelimit-remaining", &left.to_string())
            .with("x-ratelimit-reset", &reset.to_string())
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }
}

/// RFC 9110's date, which knows no part of a second.
fn http_date(ms: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(ms).unwrap();
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&instant).unwrap()
}
