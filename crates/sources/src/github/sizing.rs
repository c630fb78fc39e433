//! How much one query carries: of named repositories as many as are answered well within GitHub's ten
//! seconds, learnt from the time that queries take; of a list, a page that is halved where it was too
//! much. Pure.

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

/// What GitHub shows on one page of a list.
const PAGE_MAX: usize = 100;
/// Pages that go well before a larger one is tried again: each that fails takes GitHub's ten seconds.
const GOOD_PAGES: usize = 10;

/// The pages of one list, up to so many of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    size: usize,
    /// How many members may yet be asked for.
    left: usize,
    /// Pages in a row that went well.
    good: usize,
}

impl Pages {
    /// Those of a list that has so many members at the most.
    pub(super) fn of(most: usize) -> Self {
        Pages { size: PAGE_MAX, left: most, good: 0 }
    }

    /// How many members the next page may have, 1 to 100; `None` = there were as many as there may be.
    pub(super) fn next(self) -> Option<usize> {
        (self.left > 0).then_some(self.size)
    }

    /// A page came. It counts for as many as were asked for, so that a list of empty pages ends too.
    pub(super) fn turned(&mut self) {
        self.left = self.left.saturating_sub(self.size);
        self.good += 1;
        if self.good >= GOOD_PAGES {
            self.size = PAGE_MAX.min(self.size * 2);
            self.good = 0;
        }
    }

    /// A page was too much. Whether a smaller one is worth another try.
    pub(super) fn halve(&mut self) -> bool {
        self.good = 0;
        let was = self.size;
        self.size = was.div_ceil(2);
        was > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_as_many_members_whatever_the_size_of_its_pages() {
        for failures in [0, 1, 3, 7] {
            let mut pages = Pages::of(10_000);
            for _ in 0..failures {
                assert!(pages.halve());
            }
            let mut members = 0;
            while let Some(size) = pages.next() {
                members += size;
                pages.turned();
            }
            assert!((10_000..10_100).contains(&members), "{members} after {failures} failures");
        }
    }

    #[test]
    fn pages_shrink_down_to_one_and_grow_when_all_goes_well() {
        let mut pages = Pages::of(usize::MAX);
        let mut sizes = vec![100];
        while pages.halve() {
            sizes.extend(pages.next());
        }
        assert_eq!(sizes, [100, 50, 25, 13, 7, 4, 2, 1]);
        for _ in 0..GOOD_PAGES - 1 {
            pages.turned();
        }
        assert_eq!(pages.next(), Some(1));
        for _ in 0..100 {
            pages.turned();
        }
        assert_eq!(pages.next(), Some(100));
    }

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
