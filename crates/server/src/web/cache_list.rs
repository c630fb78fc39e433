//! Which entries the cache's page shows: filtered, ordered, and from where on. However many there
//! are, a page's worth of them is held.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use larder_core::{Key, RefreshState, Status, StoreError, Time};

use super::cache::Asked;
use crate::access::Viewer;
use crate::api::{EntryCounts, EntryView};
use crate::app::App;
use crate::entries::Entries;

/// So many entries are on a page.
const ROWS_MAX: usize = 100;

/// So many entries have their members counted at a time, where that is what they are ordered by.
const COUNT_AT_ONCE: usize = 500;

/// A page's worth of entries.
pub(super) struct Stretch {
    /// In order, with how many members each shows where that is told.
    pub(super) entries: Vec<(EntryView, Option<u64>)>,
    /// The place behind the last, where there are more.
    pub(super) next: Option<String>,
    /// How many there are in each state, of those whose keys are as asked.
    pub(super) counts: EntryCounts,
}

impl Stretch {
    /// What the address asks for.
    pub(super) async fn of(app: &App, viewer: Viewer, asked: &Asked) -> Result<Self, StoreError> {
        let order = Order::parse(&asked.sort);
        let place = Place::parse(&asked.after);
        let stretch = if order.is_by_key() && asked.find().is_empty() {
            by_key(app, viewer, asked, place).await?
        } else {
            ordered(app, viewer, asked, order, place).await?
        };
        // Told only to those who may see all of them.
        let Stretch { mut entries, next, counts } = stretch;
        if viewer.may_read_private && order.column != "items" {
            let keys: Vec<Key> = entries.iter().map(|(view, _)| view.key.clone()).collect();
            let shown = app.store.shown(&keys).await?;
            entries.iter_mut().zip(shown).for_each(|((_, items), shown)| *items = Some(shown));
        }
        Ok(Stretch { entries, next, counts })
    }
}

/// In the store's own order: it is read from the place on, and no further than the page goes.
async fn by_key(
    app: &App,
    viewer: Viewer,
    asked: &Asked,
    place: Option<Place>,
) -> Result<Stretch, StoreError> {
    let counts = app.counts(viewer).await?;
    let mut all = Entries::behind(app, viewer, None, place.map(|place| place.key));
    let (mut entries, mut next): (Vec<(EntryView, Option<u64>)>, _) = (Vec::new(), None);
    while let Some(view) = all.next().await? {
        if !is_shown(&view, &asked.show) {
            continue;
        }
        if entries.len() == ROWS_MAX {
            next = entries.last().map(|(last, _)| last.key.to_string());
            break;
        }
        entries.push((view, None));
    }
    Ok(Stretch { entries, next, counts })
}

/// In another order, or by a part of the key: all are looked at, and the first behind the place kept.
async fn ordered(
    app: &App,
    viewer: Viewer,
    asked: &Asked,
    order: Order,
    place: Option<Place>,
) -> Result<Stretch, StoreError> {
    let counts_items = order.column == "items" && viewer.may_read_private;
    let mut first = First { order, place, kept: BTreeMap::new(), is_cut: false };
    let mut counts = EntryCounts::default();
    let mut all = Entries::behind(app, viewer, None, None);
    let mut batch = Vec::new();
    // Most keys are lower-cased, and nobody remembers which are not.
    let find = asked.find().to_lowercase();
    loop {
        let view = all.next().await?;
        let is_end = view.is_none();
        if let Some(view) = view.filter(|view| view.key.as_str().to_lowercase().contains(&find)) {
            counts.add(&view);
            if is_shown(&view, &asked.show) {
                batch.push(view);
            }
        }
        if is_end || batch.len() == COUNT_AT_ONCE {
            let keys: Vec<Key> = batch.iter().filter(|_| counts_items).map(|view| view.key.clone()).collect();
            let mut shown = app.store.shown(&keys).await?.into_iter();
            batch.drain(..).for_each(|view| first.take(view, shown.next()));
        }
        if is_end {
            break;
        }
    }
    let entries: Vec<(EntryView, Option<u64>)> = first.kept.into_values().collect();
    let last = entries.last().filter(|_| first.is_cut);
    let next = last.map(|(view, items)| Place::of(view, *items, order).text());
    Ok(Stretch { entries, next, counts })
}

/// The first entries behind a place.
struct First {
    order: Order,
    place: Option<Place>,
    kept: BTreeMap<Rank, (EntryView, Option<u64>)>,
    /// Whether there were more than fit.
    is_cut: bool,
}

impl First {
    fn take(&mut self, view: EntryView, items: Option<u64>) {
        let place = Place::of(&view, items, self.order);
        let rank = place.rank(self.order);
        if self.place.as_ref().is_some_and(|from| rank <= from.rank(self.order)) {
            return;
        }
        self.kept.insert(rank, (view, items));
        if self.kept.len() > ROWS_MAX {
            self.kept.pop_last();
            self.is_cut = true;
        }
    }
}

/// Where an entry stands: what it is ordered by, and its key. Text in the address of the next page.
struct Place {
    value: i64,
    key: Key,
}

/// A place as it is compared: the least comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Usual(i64, Key),
    Turned(Reverse<(i64, Key)>),
}

impl Place {
    fn of(view: &EntryView, items: Option<u64>, order: Order) -> Self {
        let descending = |number: u64| -i64::try_from(number).unwrap_or(i64::MAX);
        let value = match order.column {
            "state" => -i64::from(badness(view)),
            "items" => items.map_or(1, descending),
            // The oldest first, and what has no age last.
            "age" => view.fetched_at.map_or(i64::MAX, Time::ms),
            "until" => view.fresh_until.map_or(i64::MIN, Time::ms),
            "attempts" => descending(u64::from(view.attempts)),
            _ => 0,
        };
        Place { value, key: view.key.clone() }
    }

    fn parse(text: &str) -> Option<Self> {
        let (value, key) = text.split_once(' ').unwrap_or(("0", text));
        Some(Place { value: value.parse().ok()?, key: key.parse().ok()? })
    }

    fn text(&self) -> String {
        if self.value == 0 { self.key.to_string() } else { format!("{} {}", self.value, self.key) }
    }

    fn rank(&self, order: Order) -> Rank {
        let (value, key) = (self.value, self.key.clone());
        if order.is_turned { Rank::Turned(Reverse((value, key))) } else { Rank::Usual(value, key) }
    }
}

/// Whether that is where a page may begin.
pub(super) fn is_place(text: &str) -> bool {
    Place::parse(text).is_some()
}

/// The columns that a list can be ordered by, and whether the greatest comes first.
pub(super) const COLUMNS: [(&str, &str, bool, bool); 7] = [
    ("key", "Key", false, false),
    ("state", "State", true, false),
    ("items", "Items", true, true),
    ("age", "Age", true, false),
    ("until", "Fresh until", false, false),
    ("attempts", "Attempts", true, true),
    ("", "Next try", false, false),
];

/// The column of an order, and whether it is turned around: `-age`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) column: &'static str,
    pub(super) is_turned: bool,
}

impl Order {
    pub(super) fn parse(sort: &str) -> Self {
        let (word, is_turned) = sort.strip_prefix('-').map_or((sort, false), |word| (word, true));
        let known = COLUMNS.iter().find(|(name, ..)| *name == word && !name.is_empty());
        known.map_or(Order { column: "key", is_turned: false }, |(column, ..)| Order { column, is_turned })
    }

    fn is_by_key(self) -> bool {
        self.column == "key" && !self.is_turned
    }
}

/// Whether an entry is among those of a tab.
fn is_shown(view: &EntryView, word: &str) -> bool {
    match word {
        "fresh" => view.status == Status::Fresh,
        "stale" => view.status == Status::Stale,
        "failing" => matches!(view.refresh, RefreshState::Retrying | RefreshState::Dead),
        "missing" => view.status == Status::Missing,
        _ => true,
    }
}

fn badness(view: &EntryView) -> u8 {
    match (view.refresh, view.status) {
        (RefreshState::Dead, _) => 5,
        (RefreshState::Retrying, _) => 4,
        (_, Status::Missing) => 3,
        (_, Status::Stale) => 2,
        (RefreshState::Running, Status::Fresh) => 1,
        (RefreshState::Idle, Status::Fresh) => 0,
    }
}
