//! Removing what is past its retention, and writing markers through to the rows.

use std::time::Duration;

use larder_core::{Key, Retention, Swept, Time};

use super::state::{EntryRow, State};

impl State {
    pub(super) fn begin_sweep(&mut self, every: Duration, now: Time) -> bool {
        let is_due = self.swept_at.is_none_or(|last| last <= now.minus(every) || last > now);
        if is_due {
            self.swept_at = Some(Retention::begun(every, now));
        }
        is_due
    }

    pub(super) fn end_sweep(&mut self, now: Time) {
        self.swept_at = Some(now);
    }

    pub(super) fn sweep(&mut self, retention: &Retention, now: Time) -> Swept {
        let (failed, unconfigured) = (now.minus(retention.failed), now.minus(retention.unconfigured));
        let is_past = |row: &&EntryRow| {
            let empty = !row.entry.has_data() && row.touched_at < failed;
            let left = row.unconfigured_since.is_some_and(|since| since < unconfigured);
            (empty || left) && !row.is_leased(now)
        };
        let gone: Vec<Key> = self.entries.values().filter(is_past).map(|row| row.entry.key.clone()).collect();
        let removed = self.remove(&gone, now);
        let items = self.items.len();
        let held = self.held();
        self.items.retain(|of, _| held.contains(of));
        let orphans = (items - self.items.len()) as u64;
        let lines = self.log.len();
        let log_from = now.minus(retention.log);
        self.log.retain(|line| line.started_at >= log_from);
        let most = usize::try_from(retention.log_lines_max).unwrap_or(usize::MAX);
        self.log.drain(..self.log.len().saturating_sub(most));
        let log = (lines - self.log.len()) as u64;
        let feed = self.sweep_feed(retention, now);
        let written_through = self.write_markers_through(now);
        Swept { entries: gone.len() as u64, items: removed + orphans, log, feed, written_through }
    }

    /// Takes lines off the old end alone, so that a place in the feed tells whether any are missing.
    fn sweep_feed(&mut self, retention: &Retention, now: Time) -> u64 {
        let from = now.minus(retention.feed);
        let by_age = self.feed.iter().take_while(|line| line.at < from).count();
        let most = usize::try_from(retention.feed_lines_max).unwrap_or(usize::MAX);
        let by_lines = self.feed.len().saturating_sub(most);
        let swept: Vec<_> = self.feed.drain(..by_age.max(by_lines)).collect();
        self.feed_swept = swept.last().map_or(self.feed_swept, |line| line.seq);
        swept.len() as u64
    }

    /// A marker is needed until every row knows of it, and every fetch that began before it has ended.
    /// Answers how many rows learnt of one.
    fn write_markers_through(&mut self, now: Time) -> u64 {
        let mut written = 0;
        let seen: Vec<_> = self.entries.values().map(|row| self.seen(row)).collect();
        for (row, seen) in self.entries.values_mut().zip(seen) {
            written += u64::from(row.entry.invalidated != seen.invalidated);
            row.entry.invalidated = seen.invalidated;
            row.entry.due_at = seen.due_at;
        }
        let live = self.entries.values().filter(|row| row.is_leased(now));
        let began = live.filter_map(|row| row.entry.lease.as_ref()).map(|lease| lease.token.seq).min();
        self.markers.retain(|marker| began.is_some_and(|began| began < marker.seq));
        written
    }
}
