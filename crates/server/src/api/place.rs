//! Places in lists. A cursor names how many items stand before it and which the last of those were: what comes
//! and goes between two pages moves all behind it, and who reads on should neither miss an item nor see one
//! twice for that. A store that orders by its column alone could say it by the last item's value, but not in a
//! list ordered by how well it matches, and not once that item itself has moved.

use std::cmp::Reverse;
use std::fmt::Write as _;

use larder_core::{ListQuery, Listed, StoreError};

use super::page::{anothers_cursor, check_mark, mark, no_cursor};
use crate::app::App;
use crate::problem::Problem;
use crate::sight::Sight;

/// A place in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many items stood before it.
    offset: usize,
    /// Which the last of them were, the nearest first.
    before: Vec<Trace>,
}

/// An item of a list, or what is wrong with it.
type Found = Result<Listed, StoreError>;

/// What is left of an item's name: enough to tell it from the few others around it.
type Trace = u32;

/// The furthest place that a cursor may name: five digits. No list is longer.
const OFFSET_MAX: usize = 0xf_ffff;
/// So many items before a place are remembered: of so many, not all move at once.
const TRACES_MAX: usize = 4;
const TRACE_LENGTH: usize = 8;
/// So many items before a place are read again, to see that they are what they were.
const BACK: usize = 8;
/// So far away they are looked for where they are not.
const REACH: usize = 500;

/// A part of a list, for one reader.
pub(crate) struct Stretch {
    /// What this reader sees of it.
    pub(crate) listed: Vec<Listed>,
    /// The cursor of what follows.
    pub(crate) next: Option<String>,
}

impl Place {
    /// The place behind so many items, whichever they are.
    pub(crate) fn behind(offset: usize) -> Place {
        Place { offset, before: Vec::new() }
    }

    /// The place that a cursor names; without one, the beginning.
    pub(crate) fn of(cursor: Option<&str>, question: &str) -> Result<Place, Problem> {
        let Some(cursor) = cursor else { return Ok(Place::default()) };
        let parts: Vec<&str> = cursor.split('.').collect();
        let [offset, before, marked] = parts[..] else { return Err(no_cursor()) };
        if !cursor.bytes().all(|byte| matches!(byte, b'.' | b'0'..=b'9' | b'a'..=b'f')) || offset.len() > 5 {
            return Err(no_cursor());
        }
        let offset = usize::from_str_radix(offset, 16).map_err(|_| no_cursor())?;
        let (traces, rest) = before.as_bytes().as_chunks::<TRACE_LENGTH>();
        let trace = |hex: &[u8; TRACE_LENGTH]| Trace::from_str_radix(str::from_utf8(hex).ok()?, 16).ok();
        let before: Option<Vec<Trace>> = traces.iter().map(trace).collect();
        let is_whole = rest.is_empty() && traces.len() <= TRACES_MAX;
        let before = before.filter(|_| is_whole).ok_or_else(no_cursor)?;
        check_mark(marked, question)?;
        if offset > OFFSET_MAX { Err(anothers_cursor()) } else { Ok(Place { offset, before }) }
    }

    /// The place as text that only means something for the same question; `None` = it is too far away.
    pub(crate) fn cursor(&self, question: &str) -> Option<String> {
        let mut text = format!("{:x}.", self.offset);
        for trace in &self.before {
            let _ = write!(text, "{trace:08x}");
        }
        (self.offset <= OFFSET_MAX).then(|| format!("{text}.{}", mark(question)))
    }

    /// How many items stand before it.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// How many of these items, which begin with the `from`th of the list, stand before the place now. `None` =
    /// what stood before it is not among them.
    fn found(&self, around: &[Trace], from: usize) -> Option<usize> {
        let at = |(nth, trace): (usize, &Trace)| {
            let at = around.iter().position(|other| other == trace)?;
            Some((at, (from + at + nth + 1).cast_signed() - self.offset.cast_signed()))
        };
        let found: Vec<(usize, isize)> = self.before.iter().enumerate().filter_map(at).collect();
        let count = |by: isize| found.iter().filter(|(_, other)| *other == by).count();
        // Most of them went the same way, which is how far the list went there: the others moved in it.
        let (mut place, _) = *found.iter().rev().max_by_key(|(_, by)| (count(*by), Reverse(by.abs())))?;
        // What stands between them was not shown yet.
        while around.get(place + 1).is_some_and(|next| self.before.contains(next)) {
            place += 1;
        }
        Some(place + 1)
    }

    /// The place behind these items, of which the reader sees some, and which begin here.
    fn after(&self, start: usize, count: usize, seen: &[Found]) -> Place {
        let seen = seen.iter().rev().map(trace);
        let before = seen.chain(self.before.iter().copied()).take(TRACES_MAX).collect();
        Place { offset: start + count, before }
    }
}

fn trace(found: &Found) -> Trace {
    let digest = match found {
        Ok(listed) => blake3::hash(listed.item.of.id.as_bytes()),
        // It stands in the list under no name but what is wrong with it.
        Err(error) => blake3::hash(error.to_string().as_bytes()),
    };
    let [a, b, c, d, ..] = *digest.as_bytes();
    Trace::from_be_bytes([a, b, c, d])
}

impl App {
    /// At most so many items of a list from a place on, wherever that is by now, as one reader sees them. The
    /// query's own offset and limit do not count.
    pub(crate) async fn stretch(
        &self,
        query: &ListQuery,
        place: &Place,
        limit: usize,
        question: &str,
        sight: Sight,
    ) -> Result<Stretch, Problem> {
        // One more tells whether anything follows.
        let wanted = limit + 1;
        let (mut found, start) = self.from(query, place, wanted).await?;
        let follows = found.len() >= wanted;
        found.truncate(limit);
        let count = found.len();
        found.retain(|found| found.as_ref().map_or(true, |listed| sight.sees(listed)));
        let next = follows.then(|| place.after(start, count, &found).cursor(question)).flatten();
        Ok(Stretch { listed: found.into_iter().filter_map(Result::ok).collect(), next })
    }

    /// The items behind a place, damaged ones among them, and how many stand before it.
    async fn from(
        &self,
        query: &ListQuery,
        place: &Place,
        wanted: usize,
    ) -> Result<(Vec<Found>, usize), Problem> {
        let read = async |from: usize, count: usize| {
            let query = ListQuery { offset: from, limit: count, ..query.clone() };
            self.list(&query).await.map_err(Problem::from)
        };
        let back = if place.before.is_empty() { 0 } else { BACK.min(place.offset) };
        let from = place.offset - back;
        let mut around = read(from, back + wanted).await?;
        let traces = |around: &[Found]| -> Vec<Trace> { around.iter().map(trace).collect() };
        if place.before.is_empty() {
            return Ok((around, from));
        }
        let found = place.found(&traces(&around), from);
        if found == Some(back) {
            return Ok((around.split_off(back), place.offset));
        }
        let far = place.offset.saturating_sub(REACH);
        let start = if let Some(found) = found {
            from + found
        } else {
            let around = read(far, 2 * REACH).await?;
            place.found(&traces(&around), far).map_or(place.offset, |found| far + found)
        };
        Ok((read(start, wanted).await?, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a place behind 1 to 6 is by now, in a list of which all is looked at.
    fn found(now: &[Trace]) -> Option<usize> {
        Place { offset: 6, before: vec![6, 5, 4, 3] }.found(now, 0)
    }

    #[test]
    fn a_place_is_behind_what_stood_before_it_wherever_that_is_now() {
        assert_eq!(found(&[1, 2, 3, 4, 5, 6, 7, 8]), Some(6));
        // Others went, or came.
        assert_eq!(found(&[3, 4, 5, 6, 7, 8]), Some(4));
        assert_eq!(found(&[0, 1, 9, 2, 3, 4, 5, 6, 7, 8]), Some(8));
        assert_eq!(found(&[1, 0, 2, 3, 4, 5, 6, 7, 8]), Some(7));
        // So did some of those themselves.
        assert_eq!(found(&[1, 2, 3, 4, 5, 7, 8]), Some(5));
        assert_eq!(found(&[1, 2, 4, 6, 7, 8]), Some(4));
        assert_eq!(found(&[3, 7, 8]), Some(1));
        assert_eq!(found(&[1, 2, 7, 8]), None);
        // What came between them is shown: rather one twice than one never.
        assert_eq!(found(&[1, 2, 3, 4, 5, 0, 6, 7, 8]), Some(5));
    }

    #[test]
    fn what_moved_in_its_list_moves_no_place() {
        // The last of all was changed, and is the first now; or will come again.
        assert_eq!(found(&[6, 1, 2, 3, 4, 5, 7, 8]), Some(6));
        assert_eq!(found(&[1, 2, 3, 4, 5, 7, 8, 6]), Some(5), "behind most, which did not move");
        assert_eq!(found(&[4, 1, 2, 3, 5, 6, 7, 8]), Some(6));
        // Of two that contradict each other, that counts which is about where it was.
        let two = Place { offset: 6, before: vec![6, 5] };
        assert_eq!(two.found(&[6, 1, 2, 3, 4, 5, 7, 8], 0), Some(6));
        assert_eq!(two.found(&[1, 2, 3, 4, 6, 7, 8, 5], 0), Some(5));
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        for place in [Place::default(), Place::behind(40), Place { offset: 6, before: vec![6, u32::MAX] }] {
            let cursor = place.cursor("question").unwrap();
            assert_eq!(Place::of(Some(&cursor), "question").unwrap(), place);
            assert_eq!(Place::of(Some(&cursor), "another").unwrap_err().code, "unknown_cursor");
        }
        let mark = mark("question");
        for wrong in [
            "",
            "6",
            "6.",
            "6..",
            &format!("6.{mark}"),
            &format!("6.0000000.{mark}"),
            &format!("6.é.{mark}"),
            &format!("+6..{mark}"),
            &format!("6.{}.{mark}", "0".repeat(40)),
        ] {
            assert!(Place::of(Some(wrong), "question").is_err(), "{wrong}");
        }
        assert_eq!(Place::behind(OFFSET_MAX + 1).cursor("question"), None);
    }
}
