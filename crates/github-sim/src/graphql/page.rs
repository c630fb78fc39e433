//! Pages of a connection: which items `first`, `last`, `after` and `before` leave, and the cursors between them.

use super::values::PageInfo;
use crate::world::ids::base64_url;

/// The four arguments that every connection takes.
#[derive(Clone, Default)]
pub(crate) struct Bounds {
    pub(crate) after: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) first: Option<i32>,
    pub(crate) last: Option<i32>,
}

/// The items of one page with their cursors, in order.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<(String, T)>,
    pub(crate) info: PageInfo,
    pub(crate) total: usize,
}

impl Bounds {
    /// Cuts a page. A cursor names an item rather than a place, so a list that changes between two pages neither
    /// repeats nor skips; one that names none of the items is an error.
    pub(crate) fn page<T>(&self, items: Vec<T>, identity: impl Fn(&T) -> String) -> Result<Page<T>, String> {
        let total = items.len();
        let items: Vec<(String, T)> =
            items.into_iter().map(|item| (cursor(&identity(&item)), item)).collect();
        let place = |wanted: &str| {
            let invalid = || format!("`{wanted}` does not appear to be a valid cursor.");
            items.iter().position(|(cursor, _)| cursor == wanted).ok_or_else(invalid)
        };
        let mut start = self.after.as_deref().map_or(Ok(0), |after| place(after).map(|found| found + 1))?;
        let mut end = self.before.as_deref().map_or(Ok(total), place)?.max(start);
        if let Some(first) = self.first {
            end = end.min(start + usize::try_from(first).unwrap_or(0));
        }
        if let Some(last) = self.last {
            start = start.max(end.saturating_sub(usize::try_from(last).unwrap_or(0)));
        }
        if self.first.is_none() && self.last.is_none() {
            end = start;
        }
        let items: Vec<_> = items.into_iter().skip(start).take(end - start).collect();
        let info = PageInfo {
            start_cursor: items.first().map(|(cursor, _)| cursor.clone()),
            end_cursor: items.last().map(|(cursor, _)| cursor.clone()),
            has_next_page: end < total,
            has_previous_page: start > 0,
        };
        Ok(Page { items, info, total })
    }
}

fn cursor(identity: &str) -> String {
    base64_url(format!("cursor:v2:{identity}").as_bytes())
}
