//! Pages of a list of issues. GitHub's links name its neighbours alone, by cursors, and it takes no number of a page
//! behind the tenth without one; an Enterprise Server's are numbered throughout.

use super::list::{Page, address, value};
use crate::answer::{Answer, refusal};
use crate::world::Issue;

/// The last page that is found by its number alone.
const NUMBERED_MAX: usize = 10;
const TOO_LARGE: &str = "Pagination with the page parameter is not supported for large datasets, \
                         please use cursor based pagination (after/before)";

/// By what a list of issues is ordered: an instant in nanoseconds, and the number where that is the same.
pub(super) type Order = (i128, u64);

/// A page, and the `Link` that goes with it.
pub(super) struct Cut<'t> {
    pub(super) shown: &'t [&'t Issue],
    pub(super) link: Option<String>,
}

/// The page asked for of what was found, whose addresses begin with `url`. A cursor names a place in the order
/// rather than an issue, so a list that changes between two pages neither repeats nor skips.
pub(super) fn cut<'t>(
    found: &'t [&'t Issue],
    order: impl Fn(&Issue) -> Order,
    url: &str,
    query: &[(String, String)],
) -> Result<Cut<'t>, Answer> {
    let page = Page::of(query, found.len());
    let cursor = |name| value(query, name).map(|text| read(text).ok_or_else(invalid)).transpose();
    let (after, before) = (cursor("after")?, cursor("before")?);
    if page.number > NUMBERED_MAX && after.is_none() && before.is_none() {
        return Err(refusal(422, TOO_LARGE));
    }
    let is_descending =
        found.first().zip(found.last()).is_some_and(|(first, last)| order(first) > order(last));
    let comes_before = |one: Order, other: Order| if is_descending { one > other } else { one < other };
    let (start, end) = match (after, before) {
        (Some(after), _) => {
            let start = found.iter().take_while(|issue| !comes_before(after, order(issue))).count();
            (start, start + page.size)
        }
        (None, Some(before)) => {
            let end = found.iter().take_while(|issue| comes_before(order(issue), before)).count();
            (end.saturating_sub(page.size), end)
        }
        (None, None) => {
            let start = (page.number - 1) * page.size;
            (start, start + page.size)
        }
    };
    let start = start.min(found.len());
    let shown = &found[start..end.clamp(start, found.len())];
    let neighbour = |cursor: &str, of: Option<&&Issue>, number: usize, relation: &str| {
        let place = written(order(of?));
        let with = [(cursor, place), ("page", number.to_string())];
        Some(format!("<{}>; rel=\"{relation}\"", address(url, query, &["after", "before", "page"], &with)))
    };
    let next = shown.last().filter(|_| end < found.len());
    let prev = shown.first().filter(|_| start > 0);
    let links = [
        neighbour("after", next, page.number + 1, "next"),
        neighbour("before", prev, page.number.saturating_sub(1).max(1), "prev"),
    ];
    let links: Vec<String> = links.into_iter().flatten().collect();
    Ok(Cut { shown, link: (!links.is_empty()).then(|| links.join(", ")) })
}

/// With signs at its end that an address holds only encoded, as GitHub's have.
fn written((instant, number): Order) -> String {
    format!("v2:{instant}:{number}==")
}

fn read(cursor: &str) -> Option<Order> {
    let (instant, number) = cursor.strip_prefix("v2:")?.strip_suffix("==")?.split_once(':')?;
    Some((instant.parse().ok()?, number.parse().ok()?))
}

fn invalid() -> Answer {
    refusal(422, "Validation Failed")
}
