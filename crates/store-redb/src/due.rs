//! What is due: entries that want a refresh now without a reader.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeInclusive};
use std::time::Duration;

use larder_core::{Entry, Key, Target, Time};

use crate::entries::{find, target_prefix};
use crate::errors::Fault;
use crate::keys::{Bytes, Parts, Prefix};
use crate::leases::holds;
use crate::markers;
use crate::rows::{bad_row, key_of};
use crate::tables::{Look, ON, STOP, Table};

/// Entries that want a refresh now without a reader, earliest first.
pub(crate) fn due(look: &impl Look, now: Time, limit: usize) -> Result<Vec<Key>, Fault> {
    let markers = markers::targets(look)?;
    // Where something was invalidated as a whole, the places in the table are not the last word on what
    // comes first.
    let most = if markers.is_empty() { limit } else { usize::MAX };
    let mut found = Found { now, due: BTreeSet::new() };
    // Every source's rows are among those that wait; those of a tag, which may be few, are not looked for
    // among a hundred thousand: this is asked every second. Nor is any row read that no marker means.
    let is_wide = |target: &Target| !matches!(target, Target::Tag(_));
    let (whence, ever) = (Time::from_ms(i64::MIN), Time::from_ms(i64::MAX));
    found.walk(look, true, whence..=ever, most, |_| true)?;
    found.walk(look, false, whence..=now, most, |_| true)?;
    if markers.iter().any(is_wide) {
        let is_met = |key: &Key| markers.iter().any(|marker| means(marker, key));
        found.walk(look, false, now.plus(Duration::from_millis(1))..=ever, most, is_met)?;
    }
    found.walk(look, false, now.plus(Entry::WAIT_MAX)..=ever, most, |_| true)?;
    for tag in markers.iter().filter(|target| !is_wide(target)) {
        let prefix = target_prefix(tag);
        look.walk(Table::Tags, prefix.stretch(), |row, _| {
            found.consider(look, key_of(Table::Tags, prefix.behind(row))?)?;
            ON
        })?;
    }
    Ok(found.due.into_iter().take(limit).map(|(_, key)| key).collect())
}

/// Whether a marker of a source, or of everything, is about an entry.
fn means(marker: &Target, key: &Key) -> bool {
    match marker {
        Target::All => true,
        Target::Source(source) => key.source() == source,
        Target::Tag(_) | Target::Keys(_) => false,
    }
}

struct Found {
    now: Time,
    due: BTreeSet<(Time, Key)>,
}

impl Found {
    /// Looks at the rows that are `met` among those whose places in the table are within `times`, until `most`
    /// more are due.
    fn walk(
        &mut self,
        look: &impl Look,
        is_marked: bool,
        times: RangeInclusive<Time>,
        most: usize,
        met: impl Fn(&Key) -> bool,
    ) -> Result<(), Fault> {
        let class = Bytes::default().number(u64::from(is_marked));
        let first = Bytes::default().number(u64::from(is_marked)).signed(times.start().ms()).done();
        let class = Prefix::new(class.done());
        let (_, end) = class.stretch();
        let mut taken = 0;
        if most == 0 {
            return Ok(());
        }
        look.walk(Table::Wanted, (Bound::Included(&first), end), |name, _| {
            let mut place = Parts(class.behind(name));
            let due_at = place.number().ok_or_else(|| bad_row(Table::Wanted, name, "no place"))?;
            if Time::from_ms((due_at ^ (1 << 63)) as i64) > *times.end() {
                return STOP;
            }
            let key = key_of(Table::Wanted, place.rest().unwrap_or_default().as_bytes())?;
            taken += usize::from(met(&key) && self.consider(look, key)?);
            if taken < most { ON } else { STOP }
        })
    }

    /// Takes an entry in, if it is due; whether it is.
    fn consider(&mut self, look: &impl Look, key: Key) -> Result<bool, Fault> {
        let Some(row) = find(look, &key)? else { return Ok(false) };
        let entry = &row.entry;
        let is_retried = entry.attempts > 0 || !entry.pending.is_empty();
        let is_due = row.marked > 0 || (is_retried && entry.is_wait_over(self.now));
        let is_held = entry.lease.as_ref().is_some_and(|lease| holds(lease, self.now));
        if !is_due || is_held {
            return Ok(false);
        }
        self.due.insert((entry.due_at, key));
        Ok(true)
    }
}
