//! Searches by rank, from the best answers down, so that none looks further than its page is long.
//!
//! First come the titles that begin with what was typed, by the alphabet and so the exact one before
//! all others; then those that begin with its words without the marks around them; then those that have its words; then what has them anywhere. Of those the full-text
//! index ranks (bm25), unless there are too many: to rank them all would take longer than anybody looks
//! at so broad a search.
//!
//! A word is found by its beginning. The index has lists for beginnings of two letters. For a longer one it copies the lists of all words that begin so into one before it answers anything, which
//! for common words takes milliseconds, however few answers are wanted. So a longer one is looked up in
//! the index's own dictionary first, and asked for as any of the words there that begin so: those lists
//! are read only as far as it takes.

use larder_core::{ListQuery, Listed, beginnings, fold};
use rusqlite::{Connection, OptionalExtension, params};

use crate::entries::json;
use crate::errors::Fault;
use crate::flagged;
use crate::list::{Asked, column};
use crate::page::Page;
use crate::rows::limit;
use crate::views::compared;
use crate::words::sign;

/// The most items that a search looks at further, of each sort of match, before it asks which of them
/// the asked entries show.
const CANDIDATES_MAX: usize = 10_000;

/// Up to so many matches are ranked.
const RANKED_MAX: usize = 2_000;

/// So many matches in vain (of other kinds, or in other entries) make it worth asking again for those
/// of this kind alone.
const VAIN_MAX: usize = 500;

/// The most words of a search that count.
const WORDS_MAX: usize = 32;

/// A hit in the title weighs so many in the other words: bm25 counts each further hit less, so that
/// this one outweighs any number of others.
const TITLE_WEIGHT: f64 = 1_000.0;

/// What was typed, as words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// As titles may begin with them, the better way first.
    beginnings: Vec<String>,
    /// As the index has them.
    folded: Vec<String>,
    /// As FTS5 expressions, of which all must match.
    each: Vec<String>,
    /// The same in the words of the dictionary.
    spelt: Vec<String>,
}

/// Beginnings of so many letters have lists of their own.
const LISTED_LETTERS: usize = 2;

/// So many words of the dictionary are asked for one by one.
const SPELT_MAX: usize = 48;

/// A word, quoted, as the beginning of one. One that ends in a character that is a word by itself cannot go on, and
/// to look for what goes on would read all that there is of that character.
fn asked(word: &str) -> String {
    let quoted = format!("\"{}\"", word.replace('"', "\"\""));
    if word.ends_with(' ') { quoted } else { quoted + "*" }
}

impl Words {
    /// Each word quoted, so that whatever people type is a word, and a prefix. `None` = there is no
    /// word in it, so nothing can be found by it.
    pub(crate) fn of(conn: &Connection, search: &str) -> rusqlite::Result<Option<Words>> {
        let Some(mut words) = Words::typed(search) else { return Ok(None) };
        for (word, spelt) in words.folded.iter().zip(&mut words.spelt) {
            if let Some(found) = spelt_out(conn, word)? {
                *spelt = found;
            }
        }
        Ok(Some(words))
    }

    fn typed(search: &str) -> Option<Words> {
        // A point or an accent by itself is no word, and a picture is one.
        let folded: Vec<String> = search
            .split(|c: char| c.is_whitespace() || c.is_control())
            .map(fold)
            .filter(|folded| folded.chars().any(char::is_alphanumeric))
            .take(WORDS_MAX)
            .collect();
        let each: Vec<String> = folded.iter().map(|word| asked(word)).collect();
        let (typed, bare) = beginnings(search);
        let beginnings = [typed].into_iter().chain(bare).collect();
        (!each.is_empty()).then(|| Words { beginnings, folded, spelt: each.clone(), each })
    }

    /// What has them anywhere.
    pub(crate) fn anywhere(&self) -> String {
        format!("{{title words}} : ({})", self.spelt.join(" AND "))
    }

    fn in_title(&self) -> String {
        format!("{{title}} : ({})", self.spelt.join(" AND "))
    }

    /// What has them anywhere, each as one beginning: so they weigh what they weigh, in however many
    /// words they are found.
    fn to_be_ranked(&self) -> String {
        format!("{{title words}} : ({})", self.each.join(" "))
    }

    /// Whether each is rare enough by itself: to rank by all of them, each is looked up alone.
    fn are_rare(&self, conn: &Connection) -> rusqlite::Result<bool> {
        if self.each.len() == 1 {
            return Ok(true);
        }
        for word in &self.spelt {
            if !has_at_most(conn, word, limit(RANKED_MAX))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A word as any of those in the dictionary that begin with it; `None` = it is quicker, or safer, to ask
/// for its beginning.
fn spelt_out(conn: &Connection, word: &str) -> rusqlite::Result<Option<String>> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_plain || word.len() <= LISTED_LETTERS {
        return Ok(None);
    }
    conn.prepare_cached(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.dictionary USING fts5vocab (main, items_fts, instance)",
    )?
    .execute([])?;
    let mut next =
        conn.prepare_cached("SELECT term FROM temp.dictionary WHERE term >= ?1 AND term < ?2 LIMIT 1")?;
    let end = format!("{word}\u{10ffff}");
    let mut from = word.to_owned();
    let mut found: Vec<String> = Vec::new();
    while let Some(term) = next.query_row([&from, &end], |row| row.get::<_, String>(0)).optional()? {
        if found.len() == SPELT_MAX || !term.chars().all(char::is_alphanumeric) {
            return Ok(None);
        }
        // Nothing stands between a word and itself with the first of all characters.
        from = format!("{term}\u{1}");
        found.push(format!("\"{term}\""));
    }
    if found.is_empty() {
        // Nothing begins so.
        found.push(format!("\"{word}\""));
    }
    Ok(Some(format!("({})", found.join(" OR "))))
}

/// An expression for items of that kind alone. It costs a look at each, so it is worth it only where
/// there are many matches.
pub(crate) fn of_kind(expression: &str, kind: &str) -> String {
    format!("{expression} AND {{kind}} : \"{}\"", sign(kind))
}

/// The page of a search, best matches first.
pub(crate) fn ranked(
    conn: &Connection,
    query: &ListQuery,
    words: &Words,
    asked: &Asked<'_>,
) -> Result<Vec<Listed>, Fault> {
    let mut page = Page::of(conn, query, asked)?;
    let few = page.flagged.as_ref().and_then(flagged::few);
    for typed in &words.beginnings {
        begin_with(conn, typed, few.as_deref(), &mut page)?;
    }
    if !page.is_full() {
        matching(conn, words, &mut page)?;
    }
    Ok(page.listed)
}

/// Offers the items (of those `few`) whose titles begin with what was typed, by the alphabet.
fn begin_with(
    conn: &Connection,
    typed: &str,
    few: Option<&[i64]>,
    page: &mut Page<'_, '_>,
) -> Result<(), Fault> {
    let view = page.query.view;
    let title = compared(column(view, view.title)?, "");
    // Where there are few, `+` keeps SQLite from starting at the titles.
    let (among, start) = match few {
        Some(_) => ("nr IN (SELECT value FROM json_each(?3))", "+"),
        None => ("?3 IS NULL", ""),
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT nr FROM items WHERE {among} AND kind = '{}' AND {start}{title} >= ?1 AND {start}{title} < ?2 \
         ORDER BY {start}{title}, id LIMIT {CANDIDATES_MAX}",
        view.kind
    ))?;
    // No text that begins with it stands behind its continuation by the last of all characters.
    let end = format!("{typed}\u{10ffff}");
    let mut rows = statement.query(params![typed, end, few.map(json).transpose()?])?;
    while let Some(row) = rows.next()? {
        page.offer(row.get(0)?)?;
        if page.is_full() {
            break;
        }
    }
    Ok(())
}

/// Offers what has the words: by rank, or where that would take too long, what has them in its title
/// before what has them elsewhere.
fn matching(conn: &Connection, words: &Words, page: &mut Page<'_, '_>) -> Result<(), Fault> {
    let anywhere = words.anywhere();
    let mut statement = conn.prepare_cached(MATCHES)?;
    let mut rows = statement.query([&anywhere])?;
    let mut first = Vec::new();
    while first.len() <= RANKED_MAX
        && let Some(row) = rows.next()?
    {
        first.push(row.get::<_, i64>(0)?);
    }
    if first.is_empty() {
        return Ok(());
    }
    if first.len() <= RANKED_MAX && words.are_rare(conn)? {
        return by_rank(conn, &words.to_be_ranked(), page);
    }
    if page.flagged.is_some() {
        of_the_asked(conn, &words.in_title(), page)?;
        return of_the_asked(conn, &anywhere, page);
    }
    as_they_stand(conn, &words.in_title(), page)?;
    if page.is_full() {
        return Ok(());
    }
    let (enough, mut met) = (page.vain + VAIN_MAX, first.len());
    for nr in first {
        page.offer(nr)?;
    }
    while page.wants_more(enough)
        && let Some(row) = rows.next()?
    {
        page.offer(row.get(0)?)?;
        met += 1;
    }
    if page.is_full() || (page.vain <= enough && met < CANDIDATES_MAX) {
        return Ok(());
    }
    of_the_asked(conn, &of_kind(&anywhere, page.query.view.kind), page)
}

/// No more than [`CANDIDATES_MAX`].
const MATCHES: &str = "SELECT rowid FROM items_fts WHERE items_fts MATCH ?1 LIMIT 10000";

/// Offers what matches an expression, unranked.
fn as_they_stand(conn: &Connection, expression: &str, page: &mut Page<'_, '_>) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(MATCHES)?;
    let mut rows = statement.query([expression])?;
    while !page.is_full()
        && let Some(row) = rows.next()?
    {
        page.offer(row.get(0)?)?;
    }
    Ok(())
}

/// Offers all that matches an expression and that an asked entry shows, unranked: where most matches are
/// others', few of these may be among any number of the first.
fn of_the_asked(conn: &Connection, expression: &str, page: &mut Page<'_, '_>) -> Result<(), Fault> {
    let shown = match &page.flagged {
        Some(flagged) => flagged.clone(),
        None => page.asked.shown(conn)?,
    };
    let mut statement = conn.prepare_cached("SELECT rowid FROM items_fts WHERE items_fts MATCH ?1")?;
    let mut rows = statement.query([expression])?;
    while !page.is_full()
        && let Some(row) = rows.next()?
    {
        let nr = row.get(0)?;
        if shown.contains(&nr) {
            page.offer(nr)?;
        }
    }
    Ok(())
}

/// Offers what matches an expression, by rank.
fn by_rank(conn: &Connection, expression: &str, page: &mut Page<'_, '_>) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT rowid FROM items_fts WHERE items_fts MATCH ?1 \
         ORDER BY bm25(items_fts, {TITLE_WEIGHT:?}, 1.0), rowid"
    ))?;
    let mut rows = statement.query([expression])?;
    while !page.is_full()
        && let Some(row) = rows.next()?
    {
        page.offer(row.get(0)?)?;
    }
    Ok(())
}

/// Whether an expression has at most so many matches, of whatever kind.
pub(crate) fn has_at_most(conn: &Connection, expression: &str, most: i64) -> rusqlite::Result<bool> {
    let matches: i64 = conn
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM items_fts WHERE items_fts MATCH ?1 LIMIT ?2)")?
        .query_row(params![expression, most + 1], |row| row.get(0))?;
    Ok(matches <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_typed_is_words() {
        let words = |typed: &str| Words::typed(typed).map(|words| words.each.join(" "));
        assert_eq!(words("rust cli").as_deref(), Some("\"rust\"* \"cli\"*"));
        assert_eq!(words("a\"b NEAR(x").as_deref(), Some("\"a\"\"b\"* \"near(x\"*"));
        assert_eq!(words("Ёлка \u{5b8}").as_deref(), Some("\"елка\"*"));
        assert_eq!(words(" - * \" "), None);
        assert_eq!(Words::typed(" a \0 - b ").unwrap().beginnings, ["a - b", "a b"]);
    }
}
