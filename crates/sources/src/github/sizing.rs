//! How many repositories one query carries: as many as are answered well within GitHub's ten
//! seconds, learnt from the time that queries take. Pure.

use std::time::Duration;

/// The size to begin with.
const START: usize = 50;
/// More aliases than this make queries that fail for other reasons.
const MAX: usize = 100;
/// How long a query should take.
const TARGET: Duration = Duration::from_secs(3);

/// The size of the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizing {
    size: usize,
}

impl Default for Sizing {
    fn default() -> Self {
        Sizing { size: START }
    }
}

impl Sizing {
    /// How many repositories the next query may carry: 1 to 100.
    pub(super) fn size(self) -> usize {
        self.size
    }

    /// A batch of `size` was answered in `took`. Only full batches teach to grow, by half at most.
    pub(super) fn answered(&mut self, size: usize, took: Duration) {
        let ratio = TARGET.as_secs_f64() / took.as_secs_f64().max(0.001);
        if ratio < 1.0 {
            let fitting = (size as f64 * ratio) as usize;
            self.size = self.size.min(fitting.max(1));
        } else if size >= self.size {
            let fitting = (size as f64 * ratio.min(1.5)).ceil() as usize;
            self.size = self.size.max(fitting.min(MAX));
        }
    }

    /// A batch of `size` was too much.
    pub(super) fn failed(&mut self, size: usize) {
        self.size = self.size.min(size.div_ceil(2)).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_answers_let_it_grow_to_its_limit() {
        let mut sizing = Sizing::default();
        for _ in 0..10 {
            let size = sizing.size();
            sizing.answered(size, Duration::from_millis(400));
            assert!(sizing.size() >= size && sizing.size() <= size + size.div_ceil(2));
        }
        assert_eq!(sizing.size(), MAX);
    }

    #[test]
    fn a_small_batch_that_was_quick_says_nothing_of_large_ones() {
        let mut sizing = Sizing::default();
        sizing.answered(3, Duration::from_millis(1));
        assert_eq!(sizing, Sizing::default());
    }

    #[test]
    fn slow_answers_shrink_it_and_failures_halve_it_down_to_one() {
        let mut sizing = Sizing::default();
        sizing.answered(50, Duration::from_secs(6));
        assert_eq!(sizing.size(), 25);
        for _ in 0..10 {
            let size = sizing.size();
            sizing.failed(size);
        }
        assert_eq!(sizing.size(), 1);
        sizing.answered(1, Duration::from_mins(1));
        assert_eq!(sizing.size(), 1);
        sizing.answered(1, Duration::ZERO);
        assert_eq!(sizing.size(), 2, "it can grow again");
    }
}
