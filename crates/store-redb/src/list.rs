//! Lists: one kind's items, filtered, searched and sorted, each with the entries that show it.
//!
//! There is no index but the items' own: the asked entries say which items there are, and whatever a
//! list asks of an item is read from its document. Ten thousand are looked at in some tens of
//! milliseconds.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use larder_core::{ColumnType, Filter, Key, ListQuery, Listed, Order, Test};

use crate::columns::{Columns, Value, least_value};
use crate::entries::with_members;
use crate::errors::Fault;
use crate::keys::{Bytes, Parts, Prefix};
use crate::rows::{ItemValue, Kinds, StateValue, bad_row, decode};
use crate::search::{Found, Looking, Search, ranks};
use crate::tables::{Look, ON, STOP, Table};

/// From this share of a kind on, it is quicker to read all of the kind than each by its name.
const MOST_OF_A_KIND: u64 = 4;

/// Which of the asked entries, by their places, show an item of that identity.
type Shown = BTreeMap<String, Vec<usize>>;

/// Answers a list.
pub(crate) fn list(look: &impl Look, query: &ListQuery) -> Result<Vec<Listed>, Fault> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let mut shown = shown(look, query)?;
    let asked = Asked::of(query)?;
    let Some(asked) = asked else { return Ok(Vec::new()) };
    let mut ids: Vec<String> =
        if asked.is_plain() { shown.keys().cloned().collect() } else { asked.choose(look, query, &shown)? };
    let start = query.offset.min(ids.len());
    ids.drain(..start);
    ids.truncate(query.limit);
    let mut kinds = Kinds::default();
    let mut listed = Vec::with_capacity(ids.len());
    for id in ids {
        let of = kinds.item(query.view.kind, &id);
        let name = item_name(query.view.kind, &id);
        let item = look.get(Table::Items, &name, |value| item_of(&name, value)?.model(of.clone()))?;
        let item = item.ok_or_else(|| bad_row(Table::Items, &name, "nothing"))?;
        let places = shown.remove(&id).unwrap_or_default();
        listed.push(Listed { item, entries: entries(query, places) });
    }
    Ok(listed)
}

fn item_name(kind: &str, id: &str) -> Vec<u8> {
    Bytes::default().text(kind).text(id).done()
}

fn item_of<'a>(name: &[u8], value: &'a [u8]) -> Result<ItemValue<'a>, Fault> {
    decode(Table::Items, name, value)
}

/// The entries at these places, in the order asked, each once.
fn entries(query: &ListQuery, mut places: Vec<usize>) -> Vec<Key> {
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(|place| query.entries[place].clone()).collect()
}

/// The items of the kind that the asked entries show, by identity.
fn shown(look: &impl Look, query: &ListQuery) -> Result<Shown, Fault> {
    let mut places: BTreeMap<&Key, usize> = BTreeMap::new();
    for (place, key) in query.entries.iter().enumerate() {
        places.entry(key).or_insert(place);
    }
    let mut shown = Shown::new();
    for (key, place) in places {
        with_members(look, key, |members| {
            let of_kind = members.iter().filter(|member| member.kind == query.view.kind);
            for member in of_kind.filter(|member| member.state != StateValue::Hidden) {
                match shown.get_mut(member.id) {
                    Some(places) => places.push(place),
                    None => drop(shown.insert(member.id.to_owned(), vec![place])),
                }
            }
            Ok(())
        })?;
    }
    Ok(shown)
}

/// What a list asks of each item, understood.
struct Asked<'q> {
    columns: Columns,
    filters: Vec<(usize, Condition<'q>)>,
    sort: Option<(usize, Direction)>,
    search: Option<Search>,
    is_ranked: bool,
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

enum Condition<'q> {
    Is(&'q str),
    Has(&'q str),
    Flag(bool),
    AtLeast(Value),
}

/// An item that a list may show.
struct Candidate {
    id: String,
    by: Value,
    found: Option<Found>,
}

impl<'q> Asked<'q> {
    /// `None` = nothing can match.
    fn of(query: &'q ListQuery) -> Result<Option<Asked<'q>>, Fault> {
        let mut columns = Columns::of(query.view);
        let mut filters = Vec::new();
        for filter in &query.filters {
            let place = columns.place(filter.column)?;
            filters.push((place, condition(&columns, place, filter)?));
        }
        let sort = match query.order {
            None | Some(Order::Rank) => None,
            Some(Order::Ascending(name)) => Some((columns.place(name)?, Direction::Up)),
            Some(Order::Descending(name)) => Some((columns.place(name)?, Direction::Down)),
        };
        let typed = query.search.as_deref().filter(|search| !search.trim().is_empty());
        let search = typed.map(Search::of);
        if matches!(search, Some(None)) {
            return Ok(None);
        }
        let search = search.flatten();
        let is_ranked = query.order == Some(Order::Rank) && search.is_some();
        Ok(Some(Asked { columns, filters, sort, search, is_ranked }))
    }

    /// Whether nothing is asked of the items themselves.
    fn is_plain(&self) -> bool {
        self.filters.is_empty() && self.sort.is_none() && self.search.is_none()
    }

    /// The identities of all that match, in order.
    fn choose(&self, look: &impl Look, query: &ListQuery, shown: &Shown) -> Result<Vec<String>, Fault> {
        let mut looking = Looking::default();
        let mut chosen = Vec::new();
        each(look, query.view.kind, shown, |id, item| {
            let candidate = item.and_then(|item| self.candidate(&mut looking, id, &item));
            match candidate {
                Err(fault) if fault.is_of_row() => chosen.extend(self.damaged(id)),
                candidate => chosen.extend(candidate?),
            }
            Ok(())
        })?;
        if self.is_ranked {
            return Ok(by_rank(chosen, shown.len()));
        }
        if let Some((_, direction)) = self.sort {
            // The sort keeps ties in their order, which is by identity.
            chosen.sort_by(|one, other| missing_last(&one.by, &other.by, direction));
        }
        Ok(chosen.into_iter().map(|candidate| candidate.id).collect())
    }

    /// An item that cannot be understood has its place at a list's end, where only the page that has it errs;
    /// nothing says that it is what a filter or a search asks for.
    fn damaged(&self, id: &str) -> Option<Candidate> {
        let is_sorted_alone = self.filters.is_empty() && self.search.is_none();
        is_sorted_alone.then(|| Candidate { id: id.to_owned(), by: Value::Missing, found: None })
    }

    fn candidate(
        &self,
        looking: &mut Looking,
        id: &str,
        item: &ItemValue<'_>,
    ) -> Result<Option<Candidate>, Fault> {
        let found = match &self.search {
            None => None,
            Some(search) => {
                let found_by = self.columns.view().found_by(item.doc);
                match looking.find(search, &found_by.title, &found_by.words) {
                    None => return Ok(None),
                    found => found,
                }
            }
        };
        let values = self.columns.read(item.doc).map_err(|error| {
            bad_row(Table::Items, id.as_bytes(), &format!("a document that is not JSON: {error}"))
        })?;
        if !self.filters.iter().all(|(place, condition)| condition.holds(&values[*place])) {
            return Ok(None);
        }
        let by = self.sort.map_or(Value::Missing, |(place, _)| values[place].compared());
        Ok(Some(Candidate { id: id.to_owned(), by, found }))
    }
}

/// Hands all items that are shown to `take`, by identity, those that cannot be understood with what is wrong.
fn each(
    look: &impl Look,
    kind: &str,
    shown: &Shown,
    mut take: impl FnMut(&str, Result<ItemValue<'_>, Fault>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if look.count(Table::Items)? > MOST_OF_A_KIND.saturating_mul(shown.len() as u64) {
        for id in shown.keys() {
            let name = item_name(kind, id);
            look.get(Table::Items, &name, |value| take(id, item_of(&name, value)))?;
        }
        return Ok(());
    }
    let prefix = Prefix::new(Bytes::default().text(kind).done());
    let mut wanted = shown.keys().peekable();
    look.walk(Table::Items, prefix.stretch(), |name, value| {
        let id =
            Parts(prefix.behind(name)).text().ok_or_else(|| bad_row(Table::Items, name, "no identity"))?;
        while wanted.next_if(|wanted| wanted.as_str() < &*id).is_some() {}
        match wanted.peek() {
            None => return STOP,
            Some(next) if next.as_str() == &*id => take(&id, item_of(name, value))?,
            Some(_) => {}
        }
        ON
    })
}

fn condition<'q>(columns: &Columns, place: usize, filter: &'q Filter) -> Result<Condition<'q>, Fault> {
    Ok(match &filter.test {
        Test::Is(wanted) => Condition::Is(wanted),
        Test::Has(wanted) => Condition::Has(wanted),
        Test::Flag(wanted) => Condition::Flag(*wanted),
        Test::AtLeast(least) => Condition::AtLeast(least_value(columns.column(place), least)?),
    })
}

impl Condition<'_> {
    fn holds(&self, value: &crate::columns::Held<'_>) -> bool {
        match self {
            Condition::Is(wanted) => match value.column.holds {
                ColumnType::Text => {
                    matches!(value.value(), Value::Text(text) if text.eq_ignore_ascii_case(wanted))
                }
                _ => value.text().is_some_and(|text| text.eq_ignore_ascii_case(wanted)),
            },
            Condition::Has(wanted) => value.parts().iter().any(|part| part.eq_ignore_ascii_case(wanted)),
            Condition::Flag(wanted) => (value.value() == Value::Whole(1)) == *wanted,
            Condition::AtLeast(least) => {
                let held = value.compared();
                held != Value::Missing && held.cmp(least) != Ordering::Less
            }
        }
    }
}

/// Missing values come last, whichever way.
fn missing_last(one: &Value, other: &Value, direction: Direction) -> Ordering {
    let missing = |value: &Value| *value == Value::Missing;
    missing(one).cmp(&missing(other)).then_with(|| match direction {
        Direction::Up => one.cmp(other),
        Direction::Down => other.cmp(one),
    })
}

/// The titles that begin with what was typed, then with its words alone, each by the alphabet, then the best; ties
/// by identity.
fn by_rank(chosen: Vec<Candidate>, looked_at: usize) -> Vec<String> {
    let (ids, found): (Vec<String>, Vec<Option<Found>>) =
        chosen.into_iter().map(|candidate| (candidate.id, candidate.found)).unzip();
    let found: Vec<Found> = found.into_iter().flatten().collect();
    let ranks = ranks(&found, looked_at);
    let mut ranked: Vec<_> = found.into_iter().zip(ranks).zip(ids).collect();
    ranked.sort_by(|((one, (titled, score)), _), ((other, (other_titled, other_score)), _)| {
        match (&one.begins, &other.begins) {
            (Some(one), Some(other)) => one.cmp(other),
            (None, None) => other_titled.cmp(titled).then_with(|| other_score.total_cmp(score)),
            (one, other) => one.is_none().cmp(&other.is_none()),
        }
    });
    ranked.into_iter().map(|(_, id)| id).collect()
}
