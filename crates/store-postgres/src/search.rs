//! What a search finds, in order: the part of a list's statement that is of its words.
//!
//! First come the titles that begin with what was typed, by the alphabet and so the exact one before all
//! others; then those that have its words; then what has them anywhere, the best first, unless there are too
//! many to be weighed.

use larder_core::ViewSpec;

use crate::list::Page;
use crate::rows::{ITEM_COLUMNS, limit};

/// The most items that a search by rank looks at.
pub(crate) const CANDIDATES_MAX: usize = 10_000;

/// Up to so many matches are weighed (`ts_rank`), which takes longer than all else.
const RANKED_MAX: i64 = 2_000;

/// What a search by rank looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// All matches, whatever list they are of, if they are no more than that: its own are picked from the best of
    /// them down, as far as the page goes.
    AtAll,
    /// The first of those that the list is about: each is asked whether it is.
    AtItsOwn,
}

/// What is typed, as the names of values.
pub(crate) struct Rank {
    /// As the beginning of a title.
    pub(crate) typed: String,
    /// The same without the marks around words, if there are any.
    pub(crate) bare: Option<String>,
    /// As the words of one.
    pub(crate) titles: String,
}

/// What a search finds: of one kind, by these words, on these conditions.
pub(crate) struct Found<'a> {
    pub(crate) view: &'a ViewSpec,
    pub(crate) words: &'a str,
    /// Of a document called `d`.
    pub(crate) conditions: &'a [String],
    pub(crate) page: &'a Page,
}

/// A title of words called by that name, as it is compared.
fn title(of: &str) -> String {
    format!("lower({of}.title COLLATE \"C\")")
}

impl Rank {
    /// What a title is put in order by that begins with what is typed.
    fn begun(&self, title: &str) -> String {
        let bare = self.bare.as_ref();
        let bare = bare.map(|bare| format!("WHEN starts_with({title}, {bare}) THEN '2' || {title} "));
        let typed = &self.typed;
        format!("CASE WHEN starts_with({title}, {typed}) THEN '1' || {title} {}END", bare.unwrap_or_default())
    }
}

impl Found<'_> {
    /// In an order of documents.
    pub(crate) fn sorted(&self, order: &str) -> String {
        self.own(order, usize::MAX)
    }

    /// By rank, of what the list is about.
    pub(crate) fn ranked(&self, rank: &Rank) -> String {
        let (begun, titles, words) = (rank.begun(&title("w")), &rank.titles, self.words);
        let order = format!(
            "{begun} ASC NULLS LAST, \
             w.words @@ {titles}::tsquery DESC, ts_rank(w.words, {words}::tsquery) DESC, d.id"
        );
        self.own(&order, CANDIDATES_MAX)
    }

    /// What the list is about, of that no more than `most`.
    fn own(&self, order: &str, most: usize) -> String {
        format!(
            "WITH w AS MATERIALIZED (SELECT f.nr, f.title, f.words FROM larder.words f \
               JOIN larder.docs d ON d.nr = f.nr \
               WHERE f.kind = '{}' AND f.words @@ {}::tsquery AND {} LIMIT {}) \
             SELECT d.nr FROM w JOIN larder.docs d ON d.nr = w.nr ORDER BY {order} LIMIT {} OFFSET {}",
            self.view.kind,
            self.words,
            self.conditions.join(" AND "),
            limit(most),
            self.page.limit,
            self.page.offset
        )
    }

    /// By rank, a whole statement: matches are put in order by their words alone, and only as many of them as
    /// the page takes are asked what they are and who shows them. Each row says at its end how many matches
    /// were looked at, and its place.
    pub(crate) fn best_down(&self, rank: &Rank, holders: &str) -> String {
        let (begun, titles, words) = (rank.begun(&title("f")), &rank.titles, self.words);
        let (kind, conditions) = (self.view.kind, self.conditions.join(" AND "));
        // What takes no offset is not looked through before it is in order.
        format!(
            "WITH w AS MATERIALIZED ( \
               SELECT f.nr, {begun} AS begun, \
                 f.words @@ {titles}::tsquery AS titled \
               FROM larder.words f WHERE f.kind = '{kind}' AND f.words @@ {words}::tsquery LIMIT {} \
             ), few AS (SELECT count(*) <= {RANKED_MAX} AS is_so FROM w), page AS ( \
               SELECT p.nr, row_number() OVER () AS place FROM ( \
                 SELECT o.nr FROM ( \
                   SELECT w.nr FROM w ORDER BY w.begun ASC NULLS LAST, w.titled DESC, \
                     CASE WHEN (SELECT is_so FROM few) THEN \
                       (SELECT ts_rank(f.words, {words}::tsquery) FROM larder.words f WHERE f.nr = w.nr) END DESC, \
                     CASE WHEN (SELECT is_so FROM few) THEN \
                       (SELECT d.id FROM larder.docs d WHERE d.nr = w.nr) END, w.nr OFFSET 0 \
                 ) o WHERE (SELECT true FROM larder.docs d WHERE d.nr = o.nr AND {conditions} LIMIT 1) \
                 LIMIT {} OFFSET {} \
               ) p \
             ) SELECT {ITEM_COLUMNS}, {holders}, (SELECT count(*) FROM w), l.place \
             FROM (SELECT 1) one LEFT JOIN page l ON true LEFT JOIN larder.items i ON i.nr = l.nr \
             LEFT JOIN larder.docs d ON d.nr = l.nr ORDER BY l.place",
            CANDIDATES_MAX + 1,
            self.page.limit,
            self.page.offset
        )
    }
}
