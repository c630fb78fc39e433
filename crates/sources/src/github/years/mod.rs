//! A hundred thousand hours of mixed limits: several processes that share a store's budgets, before an
//! upstream with every limit there is. The gate is the real one (`admit`, `hear`, the headers, the
//! budget); only the wire is left out, so that eleven years take seconds. Another seed than 1, and how
//! many of them: `LARDER_YEARS_SEED=7 LARDER_YEARS_SEEDS=20 cargo test -p larder-sources years`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod upstream;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Budgets, Clock, FetchError, Priority, Time};
use larder_testkit::{MemoryStore, VirtualClock};

use super::allowance::{Draw, Ticket};
use super::call::{Errand, Judged, Reply, Verdict};
use super::limits::RateHeaders;
use super::{GitHub, GitHubConfig};
use upstream::{Mood, Sent, Told, Upstream, Whom};

/// Processes by their tokens: two of one user, one of another, one with none.
const ACTORS: [usize; 5] = [0, 0, 0, 1, ANONYMOUS];
const ANONYMOUS: usize = 2;

const HOURS: u64 = 100_000;

/// A call under way.
struct Flight {
    process: usize,
    ticket: Ticket,
    errand: Errand,
    answered: Result<Reply, FetchError>,
    told: Option<Told>,
    cost: u32,
}

/// How much happened.
#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    kept_back: u64,
    told: u64,
    outages: u64,
    killed: u64,
    used_up: u64,
}

/// So many of the last events are told when a rule is broken.
const REMEMBERED: usize = 40;

struct Years {
    seed: u64,
    clock: VirtualClock,
    store: Arc<MemoryStore>,
    processes: Vec<GitHub>,
    upstream: Upstream,
    mood: Mood,
    busy: bool,
    /// How far apart wishes are in busy hours, in milliseconds at the most.
    pace: u64,
    /// So many wishes still come at once.
    burst: u32,
    mood_ends: Time,
    in_flight: BTreeMap<(Time, u64), Flight>,
    /// What was heard and still holds.
    told: Vec<Told>,
    chance: fastrand::Rng,
    counts: Counts,
    trail: VecDeque<String>,
}

impl Years {
    async fn new(seed: u64) -> Self {
        let clock = VirtualClock::new();
        let mood = Mood {
            breaking: false,
            deadly: false,
            outage: 0,
            secondary: 0,
            failing: 0,
            silent: 0,
            others: false,
            skew_ms: 0,
        };
        let mut years = Years {
            seed,
            mood_ends: clock.now(),
            clock,
            store: Arc::new(MemoryStore::new()),
            processes: Vec::new(),
            upstream: Upstream::default(),
            mood,
            busy: false,
            pace: 0,
            burst: 0,
            in_flight: BTreeMap::new(),
            told: Vec::new(),
            chance: fastrand::Rng::with_seed(seed),
            counts: Counts::default(),
            trail: VecDeque::new(),
        };
        for process in 0..ACTORS.len() {
            let github = years.start(process).await;
            years.processes.push(github);
        }
        years
    }

    /// A process that remembers nothing but what the store does.
    async fn start(&mut self, process: usize) -> GitHub {
        let actor = ACTORS[process];
        let token = (actor != ANONYMOUS).then(|| format!("token-{process}").into());
        let config = GitHubConfig { token, ..GitHubConfig::new("https://api.github.com") };
        let clock = Arc::new(self.clock.clone());
        let github = GitHub::new(config, self.store.clone(), clock, self.chance.u64(..)).unwrap();
        if github.has_token() {
            let name = format!("user-{actor}");
            self.store.set_actor(github.host(), &github.credential(), &name).await.unwrap();
        }
        github
    }

    fn note(&mut self, what: &str) {
        if self.trail.len() == REMEMBERED {
            self.trail.pop_front();
        }
        self.trail.push_back(format!("{} {what}", self.clock.now()));
    }

    /// A rule is broken: how it came to that, and how to see it again.
    fn broken(&self, what: &str) -> ! {
        let trail = self.trail.iter().map(String::as_str).collect::<Vec<_>>().join("\n  ");
        let again = format!("LARDER_YEARS_SEED={} cargo test -p larder-sources years", self.seed);
        panic!("at {}: {what}\n  {trail}\n{again}", self.clock.now());
    }

    fn happens(&mut self, percent: u8) -> bool {
        self.chance.u8(..100) < percent
    }

    /// Other hours come: rush or quiet, an upstream that is well or not.
    fn change_mood(&mut self) {
        let now = self.clock.now();
        self.busy = !self.busy;
        self.pace = [10_000, 40_000, 90_000][self.chance.usize(..3)];
        let minutes = if self.busy { self.chance.u64(20..120) } else { self.chance.u64(60..5_000) };
        self.mood_ends = now.plus(Duration::from_mins(minutes));
        let mut some = |percent: u8, most: u32| {
            if self.chance.u8(..100) < percent { self.chance.u32(..most) } else { 0 }
        };
        let (outage, secondary) = (some(25, 100), some(50, 200));
        let (failing, silent) = (some(25, 300), some(25, 200));
        let skews = [0, 0, 700, -1_900, 4_800, -4_800, 6_500, -60_000, 600_000, -3_600_000];
        let skew_ms = skews[self.chance.usize(..skews.len())];
        let (deadly, breaking) = (self.happens(40), self.happens(20));
        self.mood =
            Mood { breaking, deadly, outage, secondary, failing, silent, others: self.happens(30), skew_ms };
        self.note(&format!("{:?}", self.mood));
    }

    /// When somebody wants something next.
    fn next_wish(&mut self) -> Time {
        let now = self.clock.now();
        if self.burst == 0 && self.busy && self.happens(4) {
            self.burst = self.chance.u32(2..10);
        }
        self.burst = self.burst.saturating_sub(1);
        let most = match (self.burst, self.busy) {
            (1.., _) => 400,
            (0, true) => self.pace,
            (0, false) => 6_000_000,
        };
        now.plus(Duration::from_millis(self.chance.u64(..most)))
    }

    async fn live(&mut self) {
        let end = self.clock.now().plus(Duration::from_hours(HOURS));
        let mut next = self.next_wish();
        // Who was told when to come back comes just then, or a moment before.
        let mut back = None;
        while self.clock.now() < end {
            if self.clock.now() >= self.mood_ends {
                self.change_mood();
            }
            let wish = back.map_or(next, |back: Time| back.min(next));
            let landing = self.in_flight.first_entry().filter(|first| first.key().0 <= wish);
            if let Some(first) = landing {
                let ((at, _), flight) = first.remove_entry();
                self.clock.set(at);
                self.land(flight).await;
                continue;
            }
            self.clock.set(wish);
            let kept_until = self.wish().await;
            if back == Some(wish) {
                back = None;
            } else {
                next = self.next_wish();
            }
            if back.is_none() && self.chance.bool() {
                let before = Duration::from_millis(self.chance.u64(..3));
                back = kept_until.map(|until| until.minus(before).max(self.clock.now()));
            }
        }
    }

    /// A process wants to call. Answers until when it was kept back.
    async fn wish(&mut self) -> Option<Time> {
        let (now, process) = (self.clock.now(), self.chance.usize(..ACTORS.len()));
        let priorities = [
            Priority::Warming,
            Priority::Schedule,
            Priority::StaleRead,
            Priority::Manual,
            Priority::Waiting,
            Priority::Waiting,
        ];
        let priority = priorities[self.chance.usize(..priorities.len())];
        let is_graphql = ACTORS[process] != ANONYMOUS && self.happens(70);
        let (resource, most) = if is_graphql { ("graphql", 400) } else { ("core", 1) };
        let draw = Draw { resource, points: self.chance.u32(1..=most) };
        let errand = Errand::new(priority, now, now.plus(Duration::from_secs(30)));
        if self.mood.others && self.happens(20) {
            let points = self.chance.u32(..800);
            self.note(&format!("somebody else draws {points} of {} {resource}", ACTORS[process]));
            self.upstream.draw_unseen(ACTORS[process], resource, points, now);
        }
        match self.processes[process].admit(&errand, draw).await {
            Ok(ticket) => {
                self.send(process, ticket, errand, draw).await;
                None
            }
            Err(FetchError::Limited { until, .. } | FetchError::BreakerOpen { until, .. }) => {
                self.counts.kept_back += 1;
                if until <= now {
                    self.broken(&format!("process {process} is to wait until {until}, which is over"));
                }
                Some(until)
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn send(&mut self, process: usize, ticket: Ticket, errand: Errand, draw: Draw) {
        let (now, actor) = (self.clock.now(), ACTORS[process]);
        self.told.retain(|told| now < told.until);
        if let Some(told) = self.told.iter().find(|told| told.whom.includes(actor, draw.resource)) {
            self.broken(&format!("process {process} sends {draw:?}, though it was said: {told:?}"));
        }
        self.counts.sent += 1;
        let of = (actor, draw.resource);
        let sent = self.upstream.receive(of, draw.points, &self.mood, now, &mut self.chance);
        let is_broken = self.mood.breaking && self.happens(20);
        let Sent { reply, told, is_over, cost } = if is_broken { sent.broken() } else { sent };
        self.note(&format!("process {process} sends {draw:?}, which costs {cost}"));
        if is_over {
            self.broken(&format!("process {process} drew {draw:?}, and there was less"));
        }
        if self.mood.deadly && self.happens(1) {
            self.kill(process, draw, cost).await;
            return;
        }
        let (latency, answered) = match reply {
            Some(reply) => (self.chance.u64(..11_900), Ok(reply)),
            None => (12_000, Err(FetchError::TimedOut { after: Duration::from_secs(12) })),
        };
        let at = now.plus(Duration::from_millis(latency));
        let flight = Flight { process, ticket, errand, answered, told, cost };
        self.in_flight.insert((at, self.counts.sent), flight);
    }

    /// It tells nobody what it spent, and whoever comes after it remembers nothing.
    async fn kill(&mut self, process: usize, draw: Draw, cost: u32) {
        self.counts.killed += 1;
        self.note(&format!("process {process} is killed"));
        self.upstream.never_told((ACTORS[process], draw.resource), cost);
        let lost: Vec<_> = (self.in_flight.iter())
            .filter(|(_, flight)| flight.process == process)
            .map(|(at, _)| *at)
            .collect();
        for at in lost {
            if let Some(flight) = self.in_flight.remove(&at) {
                self.upstream.never_told((ACTORS[process], flight.ticket.request.resource), flight.cost);
            }
        }
        self.processes[process] = self.start(process).await;
    }

    async fn land(&mut self, flight: Flight) {
        let Flight { process, ticket, errand, answered, told, cost } = flight;
        let Draw { resource, points } = ticket.request;
        let said = match &answered {
            Ok(reply) => {
                format!("{} {:?}", reply.status, RateHeaders::read(&reply.headers, self.clock.now()))
            }
            Err(error) => error.to_string(),
        };
        self.note(&format!("process {process} hears of its {points} of {resource}: {said}"));
        let github = &self.processes[process];
        let judge = |reply: Reply, rate: RateHeaders, _| match reply.status {
            200 if reply.body.is_empty() => {
                Judged { verdict: Verdict::Good(()), spent: cost, rate, login: None }
            }
            200 => {
                let limit = rate.limit_of_graphql(&String::from_utf8(reply.body).unwrap());
                Judged { verdict: Verdict::Limited(limit), spent: points, rate, login: None }
            }
            _ => github.judge_refusal(&reply, rate, points),
        };
        drop(github.hear(&errand, ticket, answered, judge).await);
        if let Some(told) = told {
            match told.whom {
                Whom::Resource(..) => self.counts.used_up += 1,
                Whom::Actor(_) => self.counts.told += 1,
                Whom::Everybody => self.counts.outages += 1,
            }
            self.told.push(told);
        }
    }
}

/// What whoever runs the tests asked for.
fn asked(name: &str, otherwise: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a test's seed is given from outside")]
    let given = std::env::var(name);
    given.map_or(otherwise, |number| number.parse().expect("a number"))
}

#[tokio::test]
async fn in_a_hundred_thousand_hours_nothing_is_sent_inside_a_retry_after_or_over_budget() {
    let first = asked("LARDER_YEARS_SEED", 1);
    for seed in first..first + asked("LARDER_YEARS_SEEDS", 1) {
        let mut years = Years::new(seed).await;
        years.live().await;
        let counts = years.counts;
        // A gate that lets nothing through breaks no limit.
        assert!(counts.sent > 100_000 && counts.kept_back > 5_000, "{counts:?}");
        assert!(counts.told > 3_000 && counts.outages > 300, "{counts:?}");
        assert!(counts.used_up > 300 && counts.killed > 500, "{counts:?}");
        println!("seed {seed}: {counts:?}");
    }
}
