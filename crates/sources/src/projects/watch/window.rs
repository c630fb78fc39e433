//! What happened and waits until it is quiet: around each profile's folder for itself, since a skill that writes a
//! log beside itself would else keep what was changed elsewhere waiting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::Time;

use super::batch::{Batch, Change, PATHS_MAX};
use super::extent::profiles_above;

/// A storm is looked at after so many times the quiet that never comes.
const STORM: u32 = 10;

/// What waits, by the profile's folder that it happened in, or by none.
#[derive(Default)]
pub(super) struct Window {
    places: BTreeMap<PathBuf, Waiting>,
    /// How many paths wait in all of them, at the most.
    paths: usize,
}

/// What happened in one place.
struct Waiting {
    batch: Batch,
    first: Time,
    last: Time,
}

impl Window {
    /// Adds what happened.
    pub(super) fn add(&mut self, changes: Vec<(PathBuf, Change)>, now: Time) {
        for (path, change) in changes {
            if self.paths >= PATHS_MAX {
                return self.miss(now);
            }
            self.paths += 1;
            let place = profiles_above(&path).next().unwrap_or(Path::new("")).to_owned();
            self.touched(place, now).batch.add(path, change);
        }
    }

    /// Something happened that nobody told of.
    pub(super) fn miss(&mut self, now: Time) {
        self.touched(PathBuf::new(), now).batch.missed = true;
    }

    /// How long it is until some of it need not wait any longer.
    pub(super) fn due_in(&self, quiet: Duration, now: Time) -> Option<Duration> {
        self.places.values().map(|waiting| waiting.due_in(quiet, now)).min()
    }

    /// What need not wait any longer.
    pub(super) fn take_due(&mut self, quiet: Duration, now: Time) -> Option<Batch> {
        let mut due = self.places.extract_if(.., |_, waiting| waiting.due_in(quiet, now).is_zero());
        let mut batch = due.next()?.1.batch;
        due.for_each(|(_, waiting)| batch.append(waiting.batch));
        self.paths = self.places.values().map(|waiting| waiting.batch.paths.len()).sum();
        Some(batch)
    }

    fn touched(&mut self, place: PathBuf, now: Time) -> &mut Waiting {
        let new = || Waiting { batch: Batch::default(), first: now, last: now };
        let waiting = self.places.entry(place).or_insert_with(new);
        // A clock that was set back in a storm ends it no later.
        (waiting.first, waiting.last) = (waiting.first.min(now), now);
        waiting
    }
}

impl Waiting {
    /// A clock that was set back makes it wait no longer.
    fn due_in(&self, quiet: Duration, now: Time) -> Duration {
        if now < self.last {
            return Duration::ZERO;
        }
        let until = self.last.plus(quiet).min(self.first.plus(quiet * STORM));
        until.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(100);

    fn at(ms: i64) -> Time {
        Time::from_ms(ms)
    }

    fn written(path: &str) -> Vec<(PathBuf, Change)> {
        vec![(PathBuf::from(path), Change::Content)]
    }

    fn paths(batch: Option<Batch>) -> Vec<String> {
        let batch = batch.unwrap_or_default();
        batch.paths.keys().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn what_is_written_all_the_time_keeps_nothing_else_waiting() {
        let (busy, other) = ("dev/kiln/.claude/skills/log/run.log", "dev/oven/.claude/agents/a.md");
        let mut window = Window::default();
        for ms in (0..1_000).step_by(20) {
            window.add(written(busy), at(ms));
            if ms == 300 {
                window.add(written(other), at(ms));
            }
            let due = paths(window.take_due(QUIET, at(ms)));
            assert_eq!(due, if ms == 400 { vec![other] } else { vec![] }, "at {ms}");
        }
        assert_eq!(window.due_in(QUIET, at(990)), Some(Duration::from_millis(10)));
        assert_eq!(paths(window.take_due(QUIET, at(1_000))), [busy]);
        assert_eq!(window.due_in(QUIET, at(1_000)), None);
    }

    #[test]
    fn what_became_quiet_at_once_is_one_batch() {
        let mut window = Window::default();
        let (a, b, root) = ("dev/a/.claude/agents/x.md", "dev/b/.claude/agents/x.md", "dev/c");
        for path in [a, b, root] {
            window.add(written(path), at(0));
        }
        assert!(window.take_due(QUIET, at(99)).is_none());
        assert_eq!(paths(window.take_due(QUIET, at(100))), [a, b, root]);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nothing_waiting() {
        let mut window = Window::default();
        window.miss(at(1_000_000));
        assert_eq!(window.due_in(QUIET, at(10)), Some(Duration::ZERO));
        assert!(window.take_due(QUIET, at(10)).is_some_and(|batch| batch.missed));
        let busy = "dev/kiln/.claude/skills/log/run.log";
        window.add(written(busy), at(1_000_000));
        for ms in (0..1_000).step_by(20) {
            window.add(written(busy), at(ms));
            assert!(window.take_due(QUIET, at(ms)).is_none(), "at {ms}");
        }
        assert_eq!(paths(window.take_due(QUIET, at(1_000))), [busy]);
    }

    #[test]
    fn more_than_one_looks_at_are_missed_wherever_they_are() {
        let mut window = Window::default();
        for project in 0..=PATHS_MAX / 1_000 {
            let path = |file| format!("dev/p{project}/.claude/skills/s/{file}");
            window.add((0..1_000).flat_map(|file| written(&path(file))).collect(), at(0));
        }
        let batch = window.take_due(QUIET, at(100)).unwrap();
        assert!(batch.missed && batch.paths.len() == PATHS_MAX, "{}", batch.paths.len());
        window.add(written("dev/p0/.claude/skills/s/0"), at(100));
        assert!(window.take_due(QUIET, at(200)).is_some_and(|batch| !batch.missed));
    }
}
