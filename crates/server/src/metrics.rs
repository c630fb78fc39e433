//! Figures about this process, and their text for Prometheus. Their labels are words of ours, never
//! an entry's or a repository's name: there is nothing private to tell, and no end of series.
//!
//! Answers at once are counted by each thread for itself: there are so many of them that threads
//! would wait for each other's counters.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

use crate::answer::Came;

/// Upper ends of the histogram's buckets, in milliseconds, which is what the clock tells.
const BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 25, 100, 500, 1_000, 5_000, 30_000];

const OUTCOMES: [&str; 8] =
    ["updated", "partial", "not_modified", "absent", "failed", "superseded", "interrupted", "other"];

/// Counters of this process.
#[derive(Default)]
pub(crate) struct Metrics {
    at_once: [Lane; LANES],
    /// Answers by the hundreds of their status.
    answers: [AtomicU64; 6],
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    busy_ms: AtomicU64,
    hits: AtomicU64,
    stale: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
    from_memory: AtomicU64,
    refreshes: [AtomicU64; OUTCOMES.len()],
}

const AT_ONCE: &str = "larder_http_responses_at_once_total";

/// Threads that count for themselves; more of them share.
const LANES: usize = 16;

/// One thread's count of answers at once, in cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Lane {
    hits: AtomicU64,
    stale: AtomicU64,
    /// Those of them that the reader had already.
    unchanged: AtomicU64,
}

/// Sums over all threads.
struct AtOnce {
    hits: u64,
    stale: u64,
    unchanged: u64,
}

/// What reads came to since the start.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Reads {
    /// Fresh copies served.
    pub(crate) hits: u64,
    /// Stale copies served.
    pub(crate) stale: u64,
    /// Answers that the reader waited for.
    pub(crate) misses: u64,
    /// Reads with no answer.
    pub(crate) failures: u64,
    /// Hits and stale copies that were sent from memory as they were.
    pub(crate) from_memory: u64,
    /// The part of all reads that were answered with nobody waiting, 0 to 1; `null` before the first.
    pub(crate) hit_rate: Option<f64>,
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        let hundreds = usize::from(status.as_u16() / 100).min(5);
        add(&self.answers[hundreds]);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MS.iter().position(|end| ms <= *end).unwrap_or(BUCKETS_MS.len());
        add(&self.buckets[bucket]);
        self.busy_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Counts a read that was answered at once from memory, and its answer.
    pub(crate) fn answered_at_once(&self, status: StatusCode, is_fresh: bool) {
        let lane = &self.at_once[lane()];
        add(if is_fresh { &lane.hits } else { &lane.stale });
        if status == StatusCode::NOT_MODIFIED {
            add(&lane.unchanged);
        }
    }

    fn at_once(&self) -> AtOnce {
        let sum = |of: fn(&Lane) -> &AtomicU64| self.at_once.iter().map(|lane| get(of(lane))).sum();
        AtOnce {
            hits: sum(|lane| &lane.hits),
            stale: sum(|lane| &lane.stale),
            unchanged: sum(|lane| &lane.unchanged),
        }
    }

    /// Counts a read that was answered.
    pub(crate) fn read(&self, came: Came, is_fresh: bool) {
        add(match (came, is_fresh) {
            (Came::Held, true) => &self.hits,
            (Came::Held, false) => &self.stale,
            (Came::Fetched | Came::Forced, _) => &self.misses,
        });
    }

    /// Counts an answer from memory.
    pub(crate) fn read_from_memory(&self) {
        add(&self.from_memory);
    }

    /// Counts a read with no answer.
    pub(crate) fn read_failed(&self) {
        add(&self.failures);
    }

    /// Counts a refresh that some process on this store did.
    pub(crate) fn refreshed(&self, outcome: &str) {
        let place = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(OUTCOMES.len() - 1);
        add(&self.refreshes[place]);
    }

    /// What reads came to.
    pub(crate) fn reads(&self) -> Reads {
        let at_once = self.at_once();
        let (hits, stale) = (get(&self.hits) + at_once.hits, get(&self.stale) + at_once.stale);
        let (misses, failures) = (get(&self.misses), get(&self.failures));
        let all = hits + stale + misses + failures;
        Reads {
            hits,
            stale,
            misses,
            failures,
            from_memory: get(&self.from_memory) + at_once.all(),
            hit_rate: (all > 0).then(|| (hits + stale) as f64 / all as f64),
        }
    }

    /// The text of all counters.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(4096);
        head(&mut text, "larder_http_responses_total", "counter", "Answers by the hundreds of their status.");
        let at_once = self.at_once();
        for (hundreds, count) in self.answers.iter().enumerate().skip(1) {
            let count = get(count)
                + match hundreds {
                    2 => at_once.all() - at_once.unchanged,
                    3 => at_once.unchanged,
                    _ => 0,
                };
            line(&mut text, "larder_http_responses_total", &format!("class=\"{hundreds}xx\""), count);
        }
        head(&mut text, AT_ONCE, "counter", "Answers from memory that took no way through the router.");
        line(&mut text, AT_ONCE, "", at_once.all());
        self.durations(&mut text);
        let reads = self.reads();
        head(&mut text, "larder_reads_total", "counter", "Reads by where their answer came from.");
        for (result, count) in
            [("hit", reads.hits), ("stale", reads.stale), ("miss", reads.misses), ("failure", reads.failures)]
        {
            line(&mut text, "larder_reads_total", &format!("result=\"{result}\""), count);
        }
        head(&mut text, "larder_reads_from_memory_total", "counter", "Reads sent from memory as they were.");
        line(&mut text, "larder_reads_from_memory_total", "", reads.from_memory);
        head(
            &mut text,
            "larder_refreshes_total",
            "counter",
            "Refreshes seen, of all processes on the store.",
        );
        for (outcome, count) in OUTCOMES.iter().zip(&self.refreshes) {
            line(&mut text, "larder_refreshes_total", &format!("outcome=\"{outcome}\""), get(count));
        }
        text
    }

    fn durations(&self, text: &mut String) {
        const NAME: &str = "larder_http_duration_seconds";
        head(text, NAME, "histogram", "Time to an answer's head.");
        // What is answered at once takes no millisecond.
        let mut below = self.at_once().all();
        for (end, count) in BUCKETS_MS.iter().zip(&self.buckets) {
            below += get(count);
            let end = *end as f64 / 1e3;
            line(text, &format!("{NAME}_bucket"), &format!("le=\"{end}\""), below);
        }
        let all = below + get(&self.buckets[BUCKETS_MS.len()]);
        line(text, &format!("{NAME}_bucket"), "le=\"+Inf\"", all);
        let _ = writeln!(text, "{NAME}_sum {}", get(&self.busy_ms) as f64 / 1e3);
        line(text, &format!("{NAME}_count"), "", all);
    }
}

impl AtOnce {
    fn all(&self) -> u64 {
        self.hits + self.stale
    }
}

/// This thread's lane.
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % LANES);
    OWN.with(|own| *own)
}

/// A family's `HELP` and `TYPE`.
pub(crate) fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// One sample.
pub(crate) fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    };
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
