//! Going over all entries as one viewer sees them, a page of the store's at a time: there may be
//! hundreds of thousands, and none of them is held for longer than it is looked at. How many there
//! are in each state is counted once, and remembered until the store or the time changes it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_core::{Damaged, Entry, Key, Row, Rows, Store, StoreError, Time};

use crate::access::Viewer;
use crate::api::{EntryCounts, EntryView};
use crate::app::App;
use crate::{damage, folders};

/// The states of all configured entries and of those that are held besides, by key.
pub(crate) struct Entries<'a> {
    app: &'a App,
    viewer: Viewer,
    now: Time,
    rows: Rows<'a, dyn Store>,
    /// The row that comes next, where one was taken.
    row: Option<Row>,
    /// How many damaged ones were met.
    damaged: usize,
    /// Entries behind the one told last of which there is no row: configured ones, and, with what is wrong with
    /// them, damaged ones.
    without_row: BTreeMap<Key, Option<StoreError>>,
    /// Until when no state changes by itself, of those that were told.
    good_until: Time,
}

impl<'a> Entries<'a> {
    /// Of one source, or of all; those behind `after`.
    pub(crate) fn behind(
        app: &'a App,
        viewer: Viewer,
        source: Option<&'a str>,
        after: Option<Key>,
    ) -> Entries<'a> {
        let is_asked =
            |key: &Key| source.is_none_or(|name| key.source() == name) && after.as_ref() < Some(key);
        // What is configured and not held is for those who may know of everything.
        let keys = if viewer.may_read_private { app.engine.keys() } else { Vec::new() };
        Entries {
            app,
            viewer,
            now: app.now(),
            without_row: keys.into_iter().filter(is_asked).map(|key| (key, None)).collect(),
            rows: Rows::behind(&*app.store, source, after).past_damage(),
            row: None,
            damaged: 0,
            good_until: Time::MAX,
        }
    }

    /// The next one; `None` = there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<EntryView>, StoreError> {
        loop {
            if self.row.is_none() {
                self.row = self.rows.next().await?;
                self.take_damaged();
            }
            let held = self.row.as_ref().map(|row| &row.entry.key);
            let missing = self.without_row.first_key_value().map(|(key, _)| key);
            let entry = match (held, missing) {
                (None, None) => return Ok(None),
                (Some(held), Some(missing)) if missing < held => self.missing(),
                (None, Some(_)) => self.missing(),
                (Some(_), _) => match self.row.take() {
                    Some(row) => self.held(row.entry).await?,
                    None => None,
                },
            };
            if let Some(entry) = entry {
                return Ok(Some(self.view(&entry)));
            }
        }
    }

    /// Notes the entries that were gone past on the way to the row: all of them stand before it.
    fn take_damaged(&mut self) {
        let met = &self.rows.damaged()[self.damaged..];
        self.damaged += met.len();
        if self.viewer.may_read_private {
            let met = met.iter().cloned().map(|Damaged { key, error }| (key, Some(error)));
            self.without_row.extend(met);
        }
    }

    fn missing(&mut self) -> Option<Entry> {
        let (key, error) = self.without_row.pop_first()?;
        let mut entry = match error {
            Some(error) => damage::in_place_of(key, &error, self.now),
            None => Entry::empty(key, self.now),
        };
        self.hide_places(&mut entry);
        Some(entry)
    }

    /// The row as the viewer may see it, if they may.
    async fn held(&mut self, mut entry: Entry) -> Result<Option<Entry>, StoreError> {
        if !self.viewer.may_read_private {
            return self.app.public_row(entry).await;
        }
        self.without_row.remove(&entry.key);
        self.hide_places(&mut entry);
        Ok(Some(entry))
    }

    /// Whole paths are told to readers on this machine alone.
    fn hide_places(&self, entry: &mut Entry) {
        if !self.viewer.is_local && folders::is_local(&entry.key) {
            folders::row(entry);
        }
    }

    fn view(&mut self, entry: &Entry) -> EntryView {
        let times = [entry.fresh_until, entry.lease.as_ref().map(|lease| lease.until)];
        for time in times.into_iter().flatten().filter(|time| *time > self.now) {
            self.good_until = self.good_until.min(time);
        }
        EntryView::new(entry, self.app.engine.define(&entry.key).as_deref(), self.now)
    }
}

/// A count that was made, and what it holds for.
#[derive(Debug, Clone)]
struct Counted {
    pulse: u64,
    keys: Arc<[Key]>,
    since: Time,
    until: Time,
    counts: EntryCounts,
}

/// A count is believed for no longer, whatever else seems to be as it was.
const COUNT_GOOD_FOR: Duration = Duration::from_mins(1);

/// The last counts, for those who may know of everything and for everybody else.
#[derive(Default)]
pub(crate) struct Counts(Mutex<[Option<Counted>; 2]>);

impl App {
    /// How many entries there are in each state, as far as a viewer may know.
    pub(crate) async fn counts(&self, viewer: Viewer) -> Result<EntryCounts, StoreError> {
        let place = usize::from(viewer.may_read_private);
        // What is committed while it is counted changes the pulse, and is counted the next time.
        let pulse = self.store.pulse().await?;
        let keys: Arc<[Key]> = self.engine.keys().into();
        let now = self.now();
        let last = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner)[place].clone();
        let is_good = |last: &Counted| {
            last.pulse == pulse && last.keys == keys && (last.since..last.until).contains(&now)
        };
        if let Some(last) = last.filter(is_good) {
            return Ok(last.counts);
        }
        let mut entries = Entries::behind(self, viewer, None, None);
        let mut counts = EntryCounts::default();
        while let Some(view) = entries.next().await? {
            counts.add(&view);
        }
        let until = entries.good_until.min(now.plus(COUNT_GOOD_FOR));
        let counted = Counted { pulse, keys, since: now, until, counts };
        self.counts.0.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(counted);
        Ok(counts)
    }
}
